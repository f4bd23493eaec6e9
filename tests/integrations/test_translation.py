"""Translation is checked with two-layer models of the true architectures, in the true files, that learn a few
sentences in a second."""

import io
import itertools
import json
import shutil
from collections import Counter

import pytest
import tiny
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch.nn.utils.rnn import pad_sequence
from transformers import M2M100Config, M2M100ForConditionalGeneration, NllbTokenizer

from hybrid_batch import cli, paths
from hybrid_batch.data import corpora, languages
from hybrid_batch.integrations.translation import LANGUAGES, Translator, parallel, problem

GERMAN = {"the cat sleeps": "die Katze schläft", "the dog eats old bread": "der Hund isst altes Brot",
          "water is cold": "Wasser ist kalt", "where is the old house?": "wo ist das alte Haus?",
          "bread": "Brot", "the old cat drinks cold water": "die alte Katze trinkt kaltes Wasser"}
THAI = {"the cat sleeps": "แมวนอนหลับ", "the dog eats old bread": "หมากินขนมปังเก่า",
        "water is cold": "อากาศหนาว", "where is the old house?": "บ้านเก่าอยู่ที่ไหน?", "bread": "ขนมปัง",
        "the old cat drinks cold water": "แมวเก่าดื่ม"}
LESSONS = [("en", "de", GERMAN), ("en", "th", THAI), ("es", "de", {"burro": "der Esel"}),
           ("it", "de", {"burro": "Butter"})]
TEXTS = [text for *_, pairs in LESSONS for pair in pairs.items() for text in pair]


def nllb_tokenizer():
    core = Tokenizer(models.BPE(unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    core.train_from_iterator(TEXTS, trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], show_progress=False))
    parts = json.loads(core.to_str())["model"]
    return NllbTokenizer(vocab=parts["vocab"], merges=[tuple(merge) for merge in parts["merges"]])


def m2m100_tokenizer(folder):
    sentencepiece = pytest.importorskip("sentencepiece")
    from transformers import M2M100Tokenizer
    data = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(TEXTS), model_writer=data, vocab_size=120,
                                             model_type="bpe", character_coverage=1.0, minloglevel=2)
    (folder / "pieces").write_bytes(data.getvalue())
    core = sentencepiece.SentencePieceProcessor(model_proto=data.getvalue())
    pieces = ["<s>", "<pad>", "</s>", "<unk>"] + [core.id_to_piece(i) for i in range(3, core.get_piece_size())]
    (folder / "vocabulary").write_text(json.dumps({piece: i for i, piece in enumerate(pieces)}))
    return M2M100Tokenizer(str(folder / "vocabulary"), str(folder / "pieces"))


def learn(tokenizer, token):
    """A network that has learnt LESSONS. token: a function from an ISO code to the tokenizer's name of a language."""
    sources, targets = [], []
    for source, target, pairs in LESSONS:
        tokenizer.src_lang, tokenizer.tgt_lang = token(source), token(target)
        encoded = tokenizer(list(pairs), text_target=list(pairs.values()))
        sources += map(torch.tensor, encoded["input_ids"])
        targets += map(torch.tensor, encoded["labels"])
    inputs = pad_sequence(sources, batch_first=True, padding_value=1)
    labels = pad_sequence(targets, batch_first=True, padding_value=-100)
    torch.manual_seed(0)
    network = M2M100ForConditionalGeneration(M2M100Config(
        vocab_size=600, d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=64, dropout=0.0,
        attention_dropout=0.0, activation_dropout=0.0, encoder_layerdrop=0.0, decoder_layerdrop=0.0))
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(100):
        loss = network(input_ids=inputs, attention_mask=(inputs != 1).long(), labels=labels).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network


@pytest.fixture(scope="module")
def nllb(tmp_path_factory):
    """The folder of a model, not to be changed."""
    folder, tokenizer = tmp_path_factory.mktemp("nllb") / "tiny", nllb_tokenizer()
    learn(tokenizer, lambda code: LANGUAGES[code][0]).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def m2m100(tmp_path_factory):
    """The folder of a model, not to be changed."""
    folder = tmp_path_factory.mktemp("m2m100")
    tokenizer = m2m100_tokenizer(folder)
    learn(tokenizer, str).save_pretrained(folder / "tiny")
    tokenizer.save_pretrained(folder / "tiny")
    return folder / "tiny"


@pytest.fixture(params=["nllb", "m2m100"])
def model(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def calls(monkeypatch):
    """The arguments of every call of a network's generate, and its output. ``calls.stop``: interrupt at so many."""
    class Calls(list):
        stop = None

    made, generate = Calls(), M2M100ForConditionalGeneration.generate

    def spy(network, **arguments):
        if len(made) == made.stop:
            raise KeyboardInterrupt
        made.append(arguments | dict(output=generate(network, **arguments)))
        return made[-1]["output"]

    monkeypatch.setattr(M2M100ForConditionalGeneration, "generate", spy)
    return made


def sizes(calls):
    return [len(call["input_ids"]) for call in calls]


def lines(cache):
    """The entries of all files under a cache folder: {(file name): [(text, translation)]}."""
    return {path.name: [tuple(json.loads(line).values()) for line in path.read_bytes().splitlines()]
            for path in cache.rglob("*.jsonl")}


# Translating

def test_the_target_decides_the_language(model, tmp_path):
    translator = Translator(model, tmp_path, device="cpu")
    assert translator.translate(GERMAN, "en", "de") == list(GERMAN.values())
    assert translator.translate(THAI, "en", "th") == list(THAI.values())


def test_the_source_decides_what_a_word_means(model, tmp_path):
    translator = Translator(model, tmp_path, device="cpu")
    assert translator.translate(["burro"], "es", "de") == ["der Esel"]
    assert translator.translate(["burro"], "it", "de") == ["Butter"]


def test_a_tokenizer_in_the_files_of_the_hub(m2m100, tmp_path):
    """There M2M100's languages are listed as special tokens, which transformers 5 no longer writes."""
    from transformers import M2M100Tokenizer
    folder = shutil.copytree(m2m100, tmp_path / "hub")
    special = dict(bos_token="<s>", eos_token="</s>", sep_token="</s>", unk_token="<unk>", pad_token="<pad>")
    languages = list(M2M100Tokenizer.from_pretrained(folder).lang_token_to_id)
    (folder / "tokenizer_config.json").write_text(json.dumps(
        special | dict(src_lang=None, tgt_lang=None, num_madeup_words=8, tokenizer_class="M2M100Tokenizer")))
    (folder / "special_tokens_map.json").write_text(json.dumps(special | dict(additional_special_tokens=languages)))
    assert Translator(folder, tmp_path).translate(THAI, "en", "th") == list(THAI.values())


def test_order_duplicates_and_blank_texts(nllb, tmp_path, calls):
    texts = ["water is cold", "", "bread", "water is cold", " ", "the cat sleeps", "bread"]
    assert Translator(nllb, tmp_path).translate(iter(texts), "en", "de") == [
        "Wasser ist kalt", "", "Brot", "Wasser ist kalt", " ", "die Katze schläft", "Brot"]
    assert sizes(calls) == [3]
    assert Translator(nllb, tmp_path).translate([], "en", "de") == []


def test_the_batch_size_does_not_change_the_result(model, tmp_path):
    words = "the old cat dog water bread is cold eats where".split()
    texts = [" ".join(pick) for n in (1, 2, 4) for pick in itertools.islice(itertools.combinations(words, n), 8)]
    one, some, all_ = (Translator(model, tmp_path / str(size), batch_size=size).translate([*texts, *THAI], "en", "th")
                       for size in (1, 3, 64))
    assert one == some == all_
    assert one[-len(THAI):] == list(THAI.values())


def test_a_batch_has_texts_of_like_length(nllb, tmp_path, calls):
    short, long = [f"bread{n}" for n in range(4)], [f"the old cat drinks cold water{n}" for n in range(4)]
    mixed = [text for pair in zip(short, long) for text in pair]
    Translator(nllb, tmp_path, batch_size=4).translate(mixed, "en", "de")
    assert sizes(calls) == [4, 4]
    assert {len(call["input_ids"][0]) > 8 for call in calls} == {True, False}


def test_max_length_cuts_texts_and_translations(model, tmp_path, calls):
    folder = shutil.copytree(model, tmp_path / "model")
    options = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps(options | dict(suppress_tokens=[2])))  # never ends
    Translator(folder, tmp_path, max_length=5).translate(["the old cat drinks cold water " * 40, "bread"], "en", "de")
    assert calls[0]["input_ids"].shape == (2, 5)
    assert calls[0]["output"].shape == (2, 1 + 5)  # the start, and five that are new


def test_options_of_the_repository_do_not_decide(nllb, tmp_path, caplog, calls):
    """facebook's repositories ask for 5 beams and 200 tokens; another might sample."""
    folder = shutil.copytree(nllb, tmp_path / "model")
    options = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps(
        options | dict(do_sample=True, temperature=50.0, num_beams=5, early_stopping=True, max_length=4)))
    assert Translator(folder, tmp_path).translate(GERMAN, "en", "de") == list(GERMAN.values())
    assert Translator(folder, tmp_path, beams=3).translate(GERMAN, "en", "de") == list(GERMAN.values())
    assert [call["num_beams"] for call in calls] == [1, 3]
    assert "max_length" not in caplog.text


def test_progress_is_shown_if_wanted(nllb, tmp_path, capsys):
    translator = Translator(nllb, tmp_path)
    translator.translate(["bread"], "en", "de")
    assert "en > de" not in capsys.readouterr().err
    translator.translate(["water is cold"], "en", "de", progress=True)
    assert "en > de" in capsys.readouterr().err
    translator.translate(["water is cold"], "en", "de", progress=True)
    assert capsys.readouterr().err == ""


# The cache

def test_a_cached_text_needs_no_model(nllb, tmp_path):
    folder = shutil.copytree(nllb, tmp_path / "model")
    first = Translator(folder, tmp_path / "cache").translate(THAI, "en", "th")
    shutil.rmtree(folder)
    again = Translator(folder, tmp_path / "cache")
    assert again.translate([*THAI, ""], "en", "th") == [*first, ""]
    with pytest.raises(FileNotFoundError, match="model"):
        again.translate(["a new text"], "en", "th")


def test_the_cache_is_json_lines_that_a_person_can_read(nllb, tmp_path):
    Translator(nllb, tmp_path).translate(["bread", "water is cold"], "en", "th")
    path, = tmp_path.rglob("*.jsonl")
    assert set(path.read_text(encoding="utf-8").splitlines()) == {
        '{"text": "bread", "translation": "ขนมปัง"}', '{"text": "water is cold", "translation": "อากาศหนาว"}'}


@pytest.mark.parametrize("fresh", [True, False])
def test_an_interrupted_run_resumes(nllb, tmp_path, calls, fresh):
    texts = [*GERMAN, "old bread", "cold\u2028bread\r\n", "the house"]
    whole = Translator(nllb, tmp_path / "whole", batch_size=2).translate(texts, "en", "de")
    calls.clear()
    calls.stop = 3
    translator = Translator(nllb, tmp_path / "cut", batch_size=2)
    with pytest.raises(KeyboardInterrupt):
        translator.translate(texts, "en", "de")
    assert len(lines(tmp_path / "cut")["en-de.jsonl"]) == 6
    calls.clear()
    calls.stop = None
    if fresh:
        translator = Translator(nllb, tmp_path / "cut", batch_size=2)
    assert translator.translate(texts, "en", "de") == whole
    assert sizes(calls) == [2, 1]
    entries = lines(tmp_path / "cut")["en-de.jsonl"]
    assert dict(entries) == dict(zip(texts, whole)) and len(entries) == len(texts)


def test_what_is_done_is_in_the_file_before_the_next_batch(nllb, tmp_path, monkeypatch):
    seen, generate = [], M2M100ForConditionalGeneration.generate

    def spy(network, **arguments):
        seen.append(sum(map(len, lines(tmp_path).values())))
        return generate(network, **arguments)

    monkeypatch.setattr(M2M100ForConditionalGeneration, "generate", spy)
    Translator(nllb, tmp_path, batch_size=2).translate(GERMAN, "en", "de")
    assert seen == [0, 2, 4]


@pytest.mark.parametrize("left", [1, 20, -2, -5, -6])
def test_a_last_line_cut_by_a_crash_is_mended(nllb, tmp_path, calls, left):
    """left: bytes of the last line that were written; -5 ends inside a Thai letter."""
    texts = ["the cat sleeps", "water is cold", "bread"]
    Translator(nllb, tmp_path).translate(texts, "en", "th")
    path, = tmp_path.rglob("*.jsonl")
    before = path.read_bytes()
    start = before[:-1].rfind(b"\n") + 1
    path.write_bytes(before[:start] + before[start:][:left])
    calls.clear()
    assert Translator(nllb, tmp_path).translate(texts, "en", "th") == [THAI[text] for text in texts]
    assert sizes(calls) == [1]
    assert path.read_bytes() == before
    path.write_bytes(b'{"text": "bre')
    assert Translator(nllb, tmp_path).translate(["bread"], "en", "th") == ["ขนมปัง"]


def test_a_damaged_cache_is_named(nllb, tmp_path):
    Translator(nllb, tmp_path).translate(GERMAN, "en", "de")
    path, = tmp_path.rglob("*.jsonl")
    path.write_text(path.read_text().replace('{"text"', "{text", 1))
    with pytest.raises(ValueError, match="en-de.jsonl.*line 1"):
        Translator(nllb, tmp_path).translate(GERMAN, "en", "de")


@pytest.mark.parametrize("change", [dict(revision="v2"), dict(max_length=99), dict(beams=2), dict(model="copy"),
                                    dict(target="th"), dict(source="es")])
def test_another_model_or_option_has_another_cache(nllb, tmp_path, calls, change):
    shutil.copytree(nllb, tmp_path / "copy" / "tiny")  # of the same name in another place
    given = dict(model=nllb, cache=tmp_path / "cache")
    Translator(**given).translate(["bread"], "en", "de")
    pair = {"source": "en", "target": "de"} | {k: v for k, v in change.items() if k in ("source", "target")}
    other = {k: v for k, v in change.items() if k not in pair}
    if "model" in other:
        other["model"] = tmp_path / "copy" / "tiny"
    Translator(**given | other).translate(["bread"], **pair)
    assert sizes(calls) == [1, 1]
    assert len(list((tmp_path / "cache").rglob("*.jsonl"))) == 2


@pytest.mark.parametrize("change", [dict(batch_size=3), dict(device="cpu"), dict(revision="main")])
def test_what_does_not_change_the_result_has_the_same_cache(nllb, tmp_path, calls, change):
    Translator(nllb, tmp_path).translate(["bread"], "en", "de")
    assert Translator(nllb, tmp_path, **change).translate(["bread"], "en", "de") == ["Brot"]
    assert sizes(calls) == [1]


# Errors

@pytest.mark.parametrize("pair", [("xx", "de"), ("de", "xx")])
def test_an_unknown_language_is_named_with_the_known_ones(tmp_path, pair):
    with pytest.raises(ValueError, match="'translation' has no language 'xx'; it has ar bg bn de .* zh"):
        Translator("no-such/model", tmp_path).translate(["bread"], *pair)
    with pytest.raises(ValueError, match="no language 'xx'"):
        list(parallel([dict(row(), language="xx")], Translator("no-such/model", tmp_path), ["de"]))


def test_nllb_knows_every_language(nllb, tmp_path):
    translator = Translator(nllb, tmp_path)
    for language in LANGUAGES:
        assert len(translator.translate(["bread"], language, "de")) == 1
    assert len(LANGUAGES) == 30 and set(languages.LANGUAGES) <= set(LANGUAGES)


def test_m2m100_knows_every_language_but_telugu(m2m100, tmp_path):
    translator = Translator(m2m100, tmp_path)
    for language in set(LANGUAGES) - {"te"}:
        assert len(translator.translate(["bread"], language, "de")) == 1
    for pair in (("en", "te"), ("te", "en")):
        with pytest.raises(ValueError, match="tiny' has no language __te__: do without it"):
            translator.translate(["bread"], *pair)


def test_another_kind_of_model_is_refused_with_the_remedy(tmp_path):
    tiny.encoder(tmp_path)
    with pytest.raises(ValueError, match="parts' is neither an NLLB nor an M2M100.*name one such as facebook/nllb-200"):
        Translator(tmp_path / "parts", tmp_path / "cache").translate(["w1"], "en", "de")


def test_a_model_that_cannot_be_had_is_named_with_the_remedy(tmp_path):
    with pytest.raises(FileNotFoundError, match="'no-such/model' at revision 'v7' .*check the names and the conn"):
        Translator("no-such/model", tmp_path, revision="v7").translate(["bread"], "en", "de")


def test_only_safetensors_are_read(nllb, tmp_path):
    folder = shutil.copytree(nllb, tmp_path / "pickled")
    torch.save(M2M100ForConditionalGeneration.from_pretrained(folder).state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="pickled' at revision 'main' .*safetensors"):
        Translator(folder, tmp_path).translate(["bread"], "en", "de")


def test_no_code_of_the_repository_is_run(nllb, tmp_path):
    folder, ran = shutil.copytree(nllb, tmp_path / "odd"), tmp_path / "ran"
    (folder / "own.py").write_text(f"open({str(ran)!r}, 'w')\nclass Tokenizer: pass\nclass Network: pass\n")
    for name, key, value in (("tokenizer_config.json", "AutoTokenizer", ["own.Tokenizer", None]),
                             ("config.json", "AutoModelForSeq2SeqLM", "own.Network")):
        content = json.loads((folder / name).read_text()) | dict(auto_map={key: value})
        (folder / name).write_text(json.dumps(content))
    assert Translator(folder, tmp_path).translate(["bread"], "en", "de") == ["Brot"]
    assert not ran.exists()


# What is no translation

SAMPLES = {
    "ar": "أين يقع أطول نهر في العالم؟", "bg": "Къде е най-дългата река в света?", "bn": "বিশ্বের দীর্ঘতম নদী কোথায়?",
    "de": "Wo liegt der längste Fluss der Welt?", "el": "Πού βρίσκεται το μακρύτερο ποτάμι του κόσμου;",
    "en": "Where is the longest river of the world?", "es": "¿Dónde está el río más largo del mundo?",
    "fa": "طولانی‌ترین رود جهان کجاست؟", "fi": "Missä on maailman pisin joki?",
    "fr": "Où se trouve le plus long fleuve du monde ?", "he": "היכן נמצא הנהר הארוך בעולם?",
    "hi": "दुनिया की सबसे लंबी नदी कहाँ है?", "id": "Di mana sungai terpanjang di dunia?",
    "it": "Dove si trova il fiume più lungo del mondo?", "ja": "世界一長い川はどこにありますか。",
    "ko": "세계에서 가장 긴 강은 어디에 있습니까?", "nl": "Waar ligt de langste rivier ter wereld?",
    "pl": "Gdzie jest najdłuższa rzeka świata?", "pt": "Onde fica o rio mais longo do mundo?",
    "ro": "Unde se află cel mai lung râu din lume?", "ru": "Где находится самая длинная река в мире?",
    "sw": "Mto mrefu zaidi duniani uko wapi?", "ta": "உலகின் மிக நீளமான நதி எங்கே உள்ளது?",
    "te": "ప్రపంచంలో అతి పొడవైన నది ఎక్కడ ఉంది?", "th": "แม่น้ำที่ยาวที่สุดในโลกอยู่ที่ไหน",
    "tr": "Dünyanın en uzun nehri nerede?", "uk": "Де знаходиться найдовша річка у світі?",
    "ur": "دنیا کا سب سے لمبا دریا کہاں ہے؟", "vi": "Con sông dài nhất thế giới ở đâu?", "zh": "世界上最长的河流在哪里？"}
ALSO = {("zh", "ja"), ("zh", "ko")}  # Chinese writing is part of theirs


@pytest.mark.parametrize("target", sorted(LANGUAGES))
def test_a_language_is_told_by_its_script(target):
    for source, text in SAMPLES.items():
        found = problem("Which one is it, in a word?", text, "en", target)
        same = set(LANGUAGES[source][1]) == set(LANGUAGES[target][1]) or (source, target) in ALSO
        if (source, target) == ("ja", "zh"):
            continue  # by its share of Chinese writing
        assert found == (None if same else "wrong script"), (source, target)


@pytest.mark.parametrize("text, translation, source, target, expected", [
    ("Where is the river?", "", "en", "de", "empty"),
    ("Where is the river?", " ?! … ", "en", "th", "empty"),
    ("In 1912", "1912", "en", "th", None),
    ("", "", "en", "de", None),
    ("→", "→", "en", "de", None),
    ("Where is the river?", "where is the RIVER", "en", "de", "copied"),
    ("Where is the river?", "Where is the river?", "en", "en", None),
    ("Where is the river?", "Wo ist der Fluss?", "en", "de", None),
    ("the longest river", "the longest river", "en", "de", None),  # short enough for a name
    ("internationalisation everywhere", "Internationalisation, everywhere!", "en", "de", "copied"),
    ("Marie Curie", "Marie Curie", "en", "de", None),
    ("Johann Sebastian Bach", "Johann Sebastian Bach", "de", "vi", None),
    ("世界上最长的河流在哪里？", "世界上最长的河流在哪里？", "zh", "ja", None),  # 11 letters: too few to say
    ("世界上最长的河流在哪里？它的源头又在什么地方？", "世界上最长的河流在哪里?它的源头又在什么地方", "zh", "ja", "copied"),
    ("1 2 3 4 5 6 7 8", "1 2 3 4 5 6 7 8", "en", "th", None),
    ("1,234,567,890,123,456,789,012", "1,234,567,890,123,456,789,012", "en", "hi", None),
    ("Ⅸ ﬁve words are here now", "ix five words are here now", "en", "de", "copied"),
    ("هذا نص قصير جدا", "هذا نَصّ قصير جدًّا", "ar", "fa", "copied"),  # vowel marks are no difference
    ("the longest river in Asia", "the longest river in Asia", "en", "th", "copied"),
    ("Wo liegt der Fluss?", "Where is the river?", "de", "th", "wrong script"),
    ("What is NASA?", "NASA คืออะไร", "en", "th", None),
    ("What does an iPhone 15 Pro Max cost?", "iPhone 15 Pro Max ราคา", "en", "th", None),
    ("What is Elasticsearch?", "Elasticsearch 是什么", "en", "zh", None),
    ("Who founded Microsoft?", "Microsoft की स्थापना किसने की?", "en", "hi", None),
    ("What is a Škoda Élan?", "Škoda Élan คืออะไร", "en", "th", None),
    ("Как называется канал?", "Der Kanal heißt Волга-Дон", "ru", "de", None),
    ("Who is Marie Curie?", "Ποια είναι η Marie Curie;", "en", "el", None),
    ("Who is Marie Curie?", "من هي Marie Curie؟", "en", "ar", None),
    ("Who is Marie Curie?", "Marie Curie", "en", "ar", None),
    ("Where is the river in France?", "Where is the river ใน France", "en", "th", "wrong script"),
    ("Where is the river?", "Wo ist der Fluss?", "en", "hi", "wrong script"),
    ("Where is the river?", "Где река?", "en", "el", "wrong script"),
    ("Where is the river?", "Nehir nerede?", "en", "ar", "wrong script"),
    ("नदी कहाँ है?", "नदी कहाँ है?", "hi", "tr", "wrong script"),
    ("नदी कहाँ है?", "نہر کہاں ہے؟", "hi", "ar", None),  # Urdu in Arabic script does not show
    ("नदी कहाँ है?", "Nehir nerede?", "hi", "tr", None),
    ("Wi-fi and coffee", "コーヒー wifi", "en", "ja", None),  # ー belongs to two scripts
    ("Where is the river?", "สายน้ำ the river", "en", "th", "wrong script"),
    ("Where is the river?", "แม่น้ำอยู่ที่ไหน the river", "en", "th", None),
    ("42", "42", "en", "zh", None),
    ("5 km", "5 km", "en", "ru", None),
])
def test_problems(text, translation, source, target, expected):
    assert problem(text, translation, source, target) == expected


def test_the_threshold_is_half_of_the_letters():
    assert problem("abc", "กขabc"[:4], "en", "th") is None      # 2 of 4
    assert problem("abc", "กabc", "en", "th") == "wrong script"  # 1 of 4
    assert problem("abc", "abc", "en", "th") is None             # 3 letters are too few to say


def test_a_problem_needs_a_known_target():
    with pytest.raises(ValueError, match="no language 'xx'"):
        problem("bread", "Brot", "en", "xx")


# Parallel rows

def row(number=0, **changes):
    return dict(item=f"i{number}", group=f"g{number // 2}", language="en", task="qa", query=f"query {number}",
                passage=f"passage {number}", negatives=[f"wrong {number}", f"worse {number}"], subject="s") | changes


class Fake:
    """Translates into texts that say what they are; ``odd`` has the exceptions."""

    def __init__(self, **odd):
        self.odd, self.asked = odd, []

    def translate(self, texts, source, target, progress=False):
        self.asked.append((source, target, sorted(texts)))
        return [text and self.odd.get(text.replace(" ", "_"), f"{text} {source} {target}") for text in texts]


def test_each_row_is_followed_by_its_translations():
    counts, fake = Counter(), Fake()
    rows = [row(0), row(1, language="de")]
    found = list(parallel(rows, fake, ["en", "de", "fr"], counts))
    assert [(r["item"], r["group"], r["language"]) for r in found] == [
        ("i0", "g0", "en"), ("i0", "g0", "de"), ("i0", "g0", "fr"),
        ("i1", "g0", "de"), ("i1", "g0", "en"), ("i1", "g0", "fr")]
    assert found[0] == row(0) and found[3] == row(1, language="de")
    assert found[1] == row(0, language="de", query="query 0 en de", passage="passage 0 en de",
                           negatives=["wrong 0 en de", "worse 0 en de"])
    assert found[4]["query"] == "query 1 de en"
    assert rows == [row(0), row(1, language="de")]  # not changed
    assert counts == {("de", "kept"): 1, ("fr", "kept"): 2, ("en", "kept"): 1}
    texts = ["passage {}", "query {}", "worse {}", "wrong {}"]
    assert sorted(fake.asked) == [(*pair.split(), [text.format(number) for text in texts])
                                  for pair, number in (("de en", 1), ("de fr", 1), ("en de", 0), ("en fr", 0))]


def test_rows_with_a_problem_are_left_out_and_counted():
    counts = Counter()
    fake = Fake(query_0="?", passage_1="ошибка ошибка", wrong_2="ошибка", worse_2="passage 2 en de", wrong_0="!")
    found = list(parallel(map(row, range(4)), fake, ["de"], counts))
    assert [(r["item"], r["language"]) for r in found] == [
        ("i0", "en"), ("i1", "en"), ("i2", "en"), ("i2", "de"), ("i3", "en"), ("i3", "de")]
    assert [r["negatives"] for r in found if r["language"] == "de"] == [[], ["wrong 3 en de", "worse 3 en de"]]
    assert counts == {("de", "empty"): 1, ("de", "wrong script"): 1, ("de", "kept"): 2,
                      ("de", "negative wrong script"): 1, ("de", "negative is the passage"): 1}


def test_a_copied_passage_is_left_out():
    text, counts = "a passage that nobody has translated", Counter()
    fake = Fake(**{text.replace(" ", "_"): text})
    assert [r["language"] for r in parallel([row(passage=text)], fake, ["de", "en"], counts)] == ["en"]
    assert counts == {("de", "copied"): 1}


def test_a_missing_query_or_passage_stays_missing():
    counts = Counter()
    found = list(parallel([row(0, query=""), row(1, passage="", negatives=[])], Fake(), ["de"], counts))
    assert [(r["query"], r["passage"]) for r in found if r["language"] == "de"] == [
        ("", "passage 0 en de"), ("query 1 en de", "")]
    assert counts == {("de", "kept"): 2}


@pytest.mark.parametrize("chunk", [1, 2, 3, 1000])
def test_rows_are_taken_a_chunk_at_a_time(chunk):
    taken = []

    def stream():
        for number in range(7):
            taken.append(number)
            yield row(number, language=("en", "fr")[number % 2])

    found = parallel(stream(), Fake(), ["de", "fr"], chunk=chunk)
    assert next(found)["item"] == "i0" and len(taken) == min(chunk, 7)
    rest = list(found)
    assert [(r["item"], r["language"]) for r in rest if r["item"] in ("i0", "i1", "i6")] == [
        ("i0", "de"), ("i0", "fr"), ("i1", "fr"), ("i1", "de"), ("i6", "en"), ("i6", "de"), ("i6", "fr")]
    assert rest == list(parallel(stream(), Fake(), ["de", "fr"]))[1:]


def test_an_endless_stream_and_no_rows():
    endless = parallel(map(row, itertools.count()), Fake(), ["de"], chunk=2)
    assert len(list(itertools.islice(endless, 9))) == 9
    assert list(parallel([], Fake(), ["de"])) == []


def test_a_corpus_is_translated_once_and_becomes_a_corpus(nllb, tmp_path, calls):
    texts = list(GERMAN)
    rows = [dict(item=f"i{n}", group=f"i{n}", language="en", task="qa", query=texts[n], passage=texts[n + 1],
                 negatives=texts[n + 2:n + 4]) for n in range(3)]
    found = list(parallel(rows, Translator(nllb, tmp_path / "cache"), ["de", "en", "th"], chunk=2))
    assert [r["language"] for r in found] == ["en", "de", "th"] * 3
    assert found[2]["query"] == THAI[texts[0]] and found[4]["negatives"] == [GERMAN[t] for t in texts[3:5]]
    assert sum(sizes(calls)) == 2 * len(texts)  # though most texts stand in several rows and both chunks
    path = tmp_path / "made.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in found))
    assert len(corpora.load_corpus(str(path)).rows) == 9


def test_translate_writes_a_corpus_to_train_on(nllb, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(corpora, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    rows = [dict(item="1", language="en", query="where is the old house?", passage="the cat sleeps", negatives=["bread"]),
            dict(item="2", language="en", query="bread", passage="water is cold")]
    (tmp_path / "one.jsonl").write_text("\n".join(map(json.dumps, rows)))
    made = tmp_path / "made" / "three.jsonl"
    cli.main(["translate", str(tmp_path / "one.jsonl"), "--to", "de", "th", "--model", str(nllb), "-o", str(made)])
    told = capsys.readouterr().out
    assert "de: 2 kept" in told and "th: 2 kept" in told
    corpus = corpora.load_corpus(str(made)).rows.to_pandas().set_index(["item", "language"])
    assert len(corpus) == 6 and {item for item, _ in corpus.index} == {"three/one/1", "three/one/2"}
    assert corpus.passage["three/one/1", "de"] == "die Katze schläft"
    assert corpus["query"]["three/one/2", "th"] == "ขนมปัง" and corpus.negatives["three/one/1", "th"].tolist() == ["ขนมปัง"]
