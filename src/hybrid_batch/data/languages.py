"""The languages of the project, and how others name them."""

NAMES = {"ar": "Arabic", "de": "German", "el": "Greek", "en": "English", "es": "Spanish", "hi": "Hindi",
         "ru": "Russian", "th": "Thai", "tr": "Turkish", "vi": "Vietnamese", "zh": "Chinese"}
LANGUAGES = list(NAMES)  # of XQuAD-R and of our own corpus
RIGHT_TO_LEFT = ("ar", "fa", "he", "ur")
FLORES = {code[:2]: code[3:] for code in """
    ar arb_Arab, bg bul_Cyrl, bn ben_Beng, de deu_Latn, el ell_Grek, en eng_Latn, es spa_Latn, fa pes_Arab, fi fin_Latn,
    fr fra_Latn, he heb_Hebr, hi hin_Deva, id ind_Latn, it ita_Latn, ja jpn_Jpan, ko kor_Hang, nl nld_Latn, pl pol_Latn,
    pt por_Latn, ro ron_Latn, ru rus_Cyrl, sw swh_Latn, ta tam_Taml, te tel_Telu, th tha_Thai, tr tur_Latn, uk ukr_Cyrl,
    ur urd_Arab, vi vie_Latn, zh zho_Hans""".strip().replace("\n   ", "").split(", ")}  # ISO code: FLORES-200 code


def check_languages(languages, available, name):
    """Raise ValueError if one of ``languages`` (None: all) is not among those that ``name`` has."""
    if unknown := sorted(set(languages or ()) - set(available)):
        raise ValueError(f"{name!r} has no language {unknown[0]!r}; it has {' '.join(sorted(available))}")
