"""The languages of the project, and how others name them."""

NAMES = {"ar": "Arabic", "de": "German", "el": "Greek", "en": "English", "es": "Spanish", "hi": "Hindi",
         "ru": "Russian", "th": "Thai", "tr": "Turkish", "vi": "Vietnamese", "zh": "Chinese"}
LANGUAGES = list(NAMES)  # of XQuAD-R and of our own corpus
RIGHT_TO_LEFT = ("ar", "fa", "he", "ur")
SCRIPTS = {code: (flores, tuple(scripts)) for code, flores, *scripts in map(str.split, """
    ar arb_Arab Arabic, bg bul_Cyrl Cyrillic, bn ben_Beng Bengali, de deu_Latn Latin, el ell_Grek Greek,
    en eng_Latn Latin, es spa_Latn Latin, fa pes_Arab Arabic, fi fin_Latn Latin, fr fra_Latn Latin,
    he heb_Hebr Hebrew, hi hin_Deva Devanagari, id ind_Latn Latin, it ita_Latn Latin,
    ja jpn_Jpan Hiragana Katakana Han, ko kor_Hang Hangul Han, nl nld_Latn Latin, pl pol_Latn Latin,
    pt por_Latn Latin, ro ron_Latn Latin, ru rus_Cyrl Cyrillic, sw swh_Latn Latin, ta tam_Taml Tamil,
    te tel_Telu Telugu, th tha_Thai Thai, tr tur_Latn Latin, uk ukr_Cyrl Cyrillic, ur urd_Arab Arabic,
    vi vie_Latn Latin, zh zho_Hans Han""".split(","))}  # ISO code: (FLORES-200 code, Unicode scripts)


def check_languages(languages, available, name):
    """Raise ValueError if one of ``languages`` (None: all) is not among those that ``name`` has."""
    if unknown := sorted(set(languages or ()) - set(available)):
        raise ValueError(f"{name!r} has no language {unknown[0]!r}; it has {' '.join(sorted(available))}")
