"""Benchmarks: what is loaded, and what a wrong name or file is told."""

import gzip
import json
import shutil

import pytest
from hub import hub, write  # noqa: F401

from hybrid_batch.data import corpora, encyclo11
from hybrid_batch.data.benchmarks import HUB, load, load_benchmark
from hybrid_batch.data.streaming import CORPUS as MIRACL_CORPUS
from hybrid_batch.data.streaming import TOPICS as MIRACL_TOPICS
from hybrid_batch.data.streaming import Collection, load_collections

XQUAD = {"ar": 1222, "de": 1276, "el": 1234, "en": 1180, "es": 1215, "hi": 1244, "ru": 1219, "th": 852,
         "tr": 1167, "vi": 1209, "zh": 1196}  # candidates; 1190 queries in each language
MLQA = {"ar": (517, 2545), "de": (512, 2362), "en": (1148, 6264), "es": (500, 1787), "hi": (507, 2426),
        "vi": (511, 2828), "zh": (504, 2322)}  # queries, candidates


@pytest.mark.parametrize("call, kind, named", [
    (lambda: load_benchmark("encyclo11", split="dev"), ValueError, ["'dev'", "train", "validation", "test"]),
    (lambda: load_benchmark("encyclo11", languages=["en", "fr"]), ValueError, ["'fr'", "it has ar de el en"]),
    (lambda: load_benchmark("encyclo11-reasoning", languages=["fr"]), ValueError, ["'fr'", "it has ar de el en"]),
    (lambda: load_benchmark("xquad-r", "no/such"), FileNotFoundError, ["'xquad-r'", "no folder", "such", "--data"]),
    (lambda: load_benchmark("mirakl"), FileNotFoundError, ["'mirakl'", "no folder", "encyclo11, ", "miracl"]),
    (lambda: load_benchmark("miracl"), ValueError, ["'miracl'", "as a stream", "`evaluate`"]),
    (lambda: load("some/thing"), FileNotFoundError, ["'some/thing'", "no folder", "some/thing@<commit>"]),
    (lambda: load_benchmark("belebele", split="dev"), ValueError, ["'belebele'", "'dev'", "only 'test'"]),
    (lambda: load_benchmark("belebele", languages=["de", "ga"]), ValueError, ["'ga'", "FLORES code", "gle_Latn"]),
    (lambda: load_benchmark("mlqa held out", split="train"), ValueError, ["'mlqa held out'", "has no splits"]),
    (lambda: load_benchmark("mlqa", languages=["th"]), ValueError, ["'mlqa'", "'th'", "ar de en es hi vi zh"]),
    (lambda: load_collections("miracl", languages=["tr"]), ValueError, ["'miracl'", "'tr'", "ar bn de en"]),
])
def test_a_wrong_name_is_told_the_right_ones(call, kind, named):
    with pytest.raises(kind) as error:
        call()
    assert all(part in str(error.value) for part in named), error.value


def test_our_own_benchmark_holds_every_sentence_and_marks_the_answer():
    benchmark = load_benchmark("encyclo11", languages=["en", "th"])
    assert benchmark.languages == ["en", "th"]
    sentences = [s for language in ("en", "th") for entry in encyclo11.read_encyclo11("passages", language, "test")
                 for s in entry["sentences"]]
    assert benchmark.passages.text.tolist() == sentences
    relevant = benchmark.relevant.merge(benchmark.passages, left_on="passage", right_index=True)
    relevant = relevant.set_index(["item", "language"]).text
    for language in ("en", "th"):
        for entry in encyclo11.read_encyclo11("passages", language, "test"):
            for question in entry["questions"]:
                assert relevant[question["id"], language] == entry["sentences"][question["answer"]]
    assert benchmark.queries.groupby("group").item.nunique().eq(2).all()  # two questions a passage
    assert benchmark.counts().loc["th"].to_dict() == {
        "queries": len(benchmark.queries) // 2, "passages": len(sentences) // 2}


def test_whole_passages_are_their_sentences_joined_as_the_language_writes():
    benchmark = load_benchmark("encyclo11-passages", languages=["en", "zh"])
    for language, sign in (("en", " "), ("zh", "")):
        wanted = [sign.join(entry["sentences"]) for entry in encyclo11.read_encyclo11("passages", language, "test")]
        assert benchmark.passages.text[benchmark.passages.language == language].tolist() == wanted
    sentences = load_benchmark("encyclo11", languages=["en", "zh"])
    assert benchmark.queries.equals(sentences.queries)
    of_english = benchmark.relevant.merge(benchmark.passages, left_on="passage", right_index=True).query("language == 'en'")
    first = encyclo11.read_encyclo11("passages", "en", "test")[0]
    assert set(of_english.text[of_english["item"].isin([q["id"] for q in first["questions"]])]) == {" ".join(first["sentences"])}
    validation = load_benchmark("encyclo11-passages-validation", languages=["en"])
    assert set(validation.passages.text).isdisjoint(benchmark.passages.text)


def test_what_a_corpus_keeps_for_validation_is_a_benchmark(monkeypatch, tmp_path):
    rows = [dict(item="a", language="en", query="qa", passage="p1"), dict(item="a", language="de", query="fa", passage=""),
            dict(item="b", language="en", query="qb", passage="p1"),
            dict(item="b", language="de", query="fb", passage="p2", negatives=["n", "p3"]),
            dict(item="c", language="de", query="", passage="p3"), dict(item="d", language="en", query="qd", passage="")]
    corpus = corpora.build("small", iter(rows), "sum")
    asked = []
    monkeypatch.setattr(corpora, "load_corpus", lambda *given: asked.append(given) or corpus)
    benchmark = load_benchmark("encyclo11 held out", "folder", languages=["de", "en"])
    assert asked == [("encyclo11", "validation", ["de", "en"], "folder")]
    assert benchmark.passages.to_dict("list") == {"language": ["en", "de", "de", "de"], "text": ["p1", "p2", "p3", "n"]}  # each once
    assert benchmark.queries.text.tolist() == ["qa", "fa", "qb", "fb"]          # d has no passage, c no question
    found = {(row.item.split("/")[1], benchmark.passages.text[row.passage]) for row in benchmark.relevant.itertuples()}
    assert found == {("a", "p1"), ("b", "p1"), ("b", "p2"), ("c", "p3")}
    assert benchmark.queries.group.nunique() == 1                               # a and b share a passage


def test_the_held_out_benchmark_is_validation_and_test_and_nothing_that_is_trained_on():
    held_out = load_benchmark("encyclo11-held-out", languages=["en", "hi"])
    parts = [load_benchmark("encyclo11", split=split, languages=["en", "hi"]) for split in ("validation", "test")]
    assert set(held_out.queries.item) == set(parts[0].queries.item) | set(parts[1].queries.item)
    assert sorted(held_out.passages.text) == sorted([*parts[0].passages.text, *parts[1].passages.text])
    assert set(held_out.passages.text).isdisjoint(load_benchmark("encyclo11", split="train").passages.text)


def test_our_own_reasoning_benchmark_holds_every_option_and_marks_the_right_one():
    benchmark = load_benchmark("encyclo11-reasoning", languages=["zh"])
    entries = encyclo11.read_encyclo11("reasoning", "zh", "test")
    assert benchmark.passages.text.tolist() == [option for entry in entries for option in entry["options"]]
    assert benchmark.queries.text.tolist() == [entry["stem"] for entry in entries]
    texts = benchmark.passages.text[benchmark.relevant.passage].tolist()
    assert texts == [entry["options"][entry["answer"]] for entry in entries]


def lareqa(*paragraphs):
    """SQuAD JSON; paragraphs: (sentences, {question id: (question, answer)}), all in one article."""
    made = []
    for sentences, questions in paragraphs:
        starts = [sum(len(s) + 1 for s in sentences[:i]) for i in range(len(sentences))]
        context = " ".join(sentences)
        made.append(dict(
            context=context, sentence_breaks=[[start, start + len(s)] for start, s in zip(starts, sentences)],
            qas=[dict(id=id_, question=question, answers=[dict(text=answer, answer_start=context.index(answer))])
                 for id_, (question, answer) in questions.items()]))
    return {"data": [{"title": "one", "paragraphs": made}]}


ENGLISH = lareqa((["It rains.", "It is cold."], {"a": ("Is it warm?", "cold"), "b": ("Is it dry?", "rains")}),
                 (["We go.", "You stay.", "They wait."], {"c": ("Who waits?", "They")}))
GERMAN = lareqa((["Wir gehen.", "Sie warten."], {"c": ("Wer wartet?", "Sie"), "a": ("Wer geht?", "Wir")}))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "en.json").write_text(json.dumps(ENGLISH), encoding="utf-8")
    with gzip.open(tmp_path / "mine" / "de.json.gz", "wt", encoding="utf-8") as stream:
        json.dump(GERMAN, stream)
    return tmp_path


def test_a_folder_in_the_form_of_lareqa_is_a_benchmark(folder):
    benchmark = load_benchmark("mine", folder)
    assert benchmark.languages == ["de", "en"]
    assert benchmark.passages.values.tolist() == [
        ["de", "Wir gehen."], ["de", "Sie warten."], ["en", "It rains."], ["en", "It is cold."],
        ["en", "We go."], ["en", "You stay."], ["en", "They wait."]]
    assert sorted(benchmark.relevant.values.tolist()) == [["a", 0], ["a", 3], ["b", 2], ["c", 1], ["c", 6]]
    assert benchmark.queries[["item", "language", "text"]].values.tolist() == [
        ["c", "de", "Wer wartet?"], ["a", "de", "Wer geht?"],
        ["a", "en", "Is it warm?"], ["b", "en", "Is it dry?"], ["c", "en", "Who waits?"]]
    assert benchmark.counts().to_dict() == {"queries": {"de": 2, "en": 3}, "passages": {"de": 2, "en": 5}}


def test_items_that_share_a_paragraph_in_any_language_are_one_group(folder):
    """a and b share one in English, a and c one in German: so all three depend on each other."""
    assert load_benchmark("mine", folder).queries.group.nunique() == 1
    assert load_benchmark("mine", folder, languages=["en"]).queries.groupby("group").item.apply(sorted).tolist() == [
        ["a", "b"], ["c"]]


def test_languages_of_a_benchmark_can_be_chosen(folder):
    assert load_benchmark("mine", folder, languages=["de"]).languages == ["de"]
    assert load_benchmark("mine", folder, languages=["de"]).checksum != load_benchmark("mine", folder).checksum
    with pytest.raises(ValueError, match="'mine' has no language 'fr'; it has de en"):
        load_benchmark("mine", folder, languages=["de", "fr"])


def without(field):
    """ENGLISH without a field, wherever it stands."""
    def strip(value):
        if isinstance(value, dict):
            return {key: strip(inner) for key, inner in value.items() if key != field}
        return [strip(inner) for inner in value] if isinstance(value, list) else value

    return json.dumps(strip(ENGLISH))


@pytest.mark.parametrize("text, named", [
    ("{", ["line 1", "not readable as .json"]),
    ("[]", ["'mine' has no questions in 'en'", "leave that language out"]),
    (without("data"), ["no field 'data'", "rename it"]),
    *((without(field), [f"'{field}'", "form of LAReQA", "sentence_breaks"]) for field in (
        "paragraphs", "context", "sentence_breaks", "qas", "answers", "answer_start", "question")),
    (without("id"), ["article 1, paragraph 1", "no field 'id', only question"]),
])
def test_a_malformed_file_is_named_with_the_form_it_needs(text, named, folder):
    path = folder / "mine" / "en.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError) as error:
        load_benchmark("mine", folder)
    for part in named if text == "[]" else [str(path), *named]:
        assert part in str(error.value), error.value


@pytest.mark.parametrize("start", [9, 99])  # between two sentences; behind the last
def test_a_question_without_an_answering_sentence_is_named_with_its_file(start, folder):
    wrong = json.loads(json.dumps(ENGLISH))
    wrong["data"][0]["paragraphs"][0]["qas"][0]["answers"][0] = {"answer_start": start}
    path = folder / "mine" / "en.json"
    path.write_text(json.dumps(wrong), encoding="utf-8")
    with pytest.raises(ValueError) as error:
        load_benchmark("mine", folder)
    for part in (str(path), "question a", "0 sentences"):
        assert part in str(error.value), error.value


def rewritten(folder, language="en", **changes):
    """The folder with fields of the first question of ENGLISH changed."""
    changed = json.loads(json.dumps(ENGLISH))
    changed["data"][0]["paragraphs"][0]["qas"][0].update(changes)
    (folder / "mine" / f"{language}.json").write_text(json.dumps(changed), encoding="utf-8")
    return folder


@pytest.mark.parametrize("changes, named", [
    (dict(id="b"), ["en.json", "question id 'b' occurs twice in 'en'", "its own id"]),
    (dict(id=""), ["en.json", "article 1, paragraph 1", "'id'", "not ''"]),
    (dict(id=None), ["en.json", "'id'", "not None"]),
    (dict(question=None), ["en.json", "article 1, paragraph 1, question a", "'question'", "not None"]),
    (dict(question=" "), ["question a", "not empty"]),
    (dict(answers=[dict(text="warm", answer_start=0)]), ["question a", "'warm'", "answer_start 0", "0 times"]),
    (dict(answers=[dict(text="It", answer_start=5)]), ["question a", "'It'", "answer_start 5", "2 times"]),
    (dict(answers=[dict(text="cold", answer_start="16")]), ["question a", "whole number", "'16'"]),
    (dict(question="\ud83d"), ["en.json", "surrogates not allowed"]),
])
def test_a_question_whose_id_text_or_answer_is_wrong_is_named(changes, named, folder):
    with pytest.raises(ValueError) as error:
        load_benchmark("mine", rewritten(folder, **changes), languages=["en"])
    assert all(part in str(error.value) for part in named), error.value


def test_an_answer_is_looked_for_where_it_does_not_stand_and_counted(folder):
    """Before, the sentence at the wrong offset was taken for the answer, without a word."""
    right = load_benchmark("mine", folder, languages=["en"])
    with pytest.warns(UserWarning, match="en.json: 1 answers do not stand at their answer_start"):
        moved = load_benchmark("mine", rewritten(folder, answers=[dict(text="cold", answer_start=0)]), languages=["en"])
    assert moved.relevant.equals(right.relevant)


@pytest.mark.parametrize("changes", [dict(answers=[]), dict(answers=[dict(text="", answer_start=0)])])
def test_a_question_without_an_answer_is_left_out_and_counted(changes, folder):
    with pytest.warns(UserWarning, match="en.json: 1 questions without an answer are left out"):
        benchmark = load_benchmark("mine", rewritten(folder, **changes), languages=["en"])
    assert benchmark.queries["item"].tolist() == ["b", "c"] and len(benchmark.passages) == 5


def test_ids_that_are_numbers_in_one_language_and_texts_in_another_are_the_same(folder):
    for language, ids in (("en", {"a": 1, "b": 2, "c": 3}), ("de", {"a": "1", "c": " 3"})):
        made = json.loads(json.dumps({"en": ENGLISH, "de": GERMAN}[language]))
        for paragraph in made["data"][0]["paragraphs"]:
            for qa in paragraph["qas"]:
                qa["id"] = ids[qa["id"]]
        (folder / "mine" / f"{language}.json").write_text(json.dumps(made), encoding="utf-8")
    (folder / "mine" / "de.json.gz").unlink()
    assert load_benchmark("mine", folder).queries["item"].tolist() == ["3", "1", "1", "2", "3"]


def test_a_benchmark_in_which_nothing_is_parallel_is_told_of(folder):
    write(folder / "mine" / "de.json.gz", json.loads(json.dumps(GERMAN).replace('"id": "', '"id": "de')))
    with pytest.warns(UserWarning, match="'mine': no question has the same id in two languages"):
        assert load_benchmark("mine", folder).queries["item"].is_unique


def test_a_passage_that_differs_in_unicode_form_only_is_one_candidate(folder):
    (folder / "mine").rename(folder / "xquad-r")
    twice = json.loads(json.dumps(GERMAN).replace("Sie", "Süe"))
    twice["data"].append(lareqa((["Wir gehen.", "Su\u0308e warten."], {"d": ("Wer?", "Wir")}))["data"][0])
    write(folder / "xquad-r" / "de.json.gz", twice)
    benchmark = load_benchmark("xquad", folder, languages=["de"])
    assert benchmark.passages.text.tolist() == ["Wir gehen. Süe warten."] and set(benchmark.relevant.passage) == {0}


def test_the_quick_benchmark_is_a_part_of_test(tmp_path, monkeypatch):
    assert set(load_benchmark("encyclo11-quick", languages=["el"]).queries["item"]) <= set(
        load_benchmark("encyclo11", languages=["el"]).queries["item"])
    shutil.copytree(encyclo11.FOLDER, tmp_path / "encyclo11")
    monkeypatch.setattr(encyclo11, "FOLDER", tmp_path / "encyclo11")
    splits = json.loads((tmp_path / "encyclo11" / "splits.json").read_text())
    without_quick = {name: ids for name, ids in splits.items() if name != "quick"}
    (tmp_path / "encyclo11" / "splits.json").write_text(json.dumps(without_quick))
    whole, quick = (load_benchmark(name, languages=["el"]) for name in ("encyclo11", "encyclo11-quick"))
    assert quick.queries.equals(whole.queries)  # where the key is not there
    chosen = splits["test"][:30]
    (tmp_path / "encyclo11" / "splits.json").write_text(json.dumps(splits | {"quick": chosen}))
    quick = load_benchmark("encyclo11-quick", languages=["el"])
    assert 0 < len(quick.queries) < len(whole.queries)
    assert {item[:-2] for item in quick.queries["item"]} <= set(chosen)
    assert quick.checksum != whole.checksum  # that of the files


def test_a_folder_without_benchmark_files_is_told_what_belongs_there(folder):
    shutil.rmtree(folder / "mine")
    (folder / "mine").mkdir()
    for loader in (load, load_benchmark):
        with pytest.raises(FileNotFoundError, match="'mine'.*en.json.*LAReQA.*corpus.jsonl.*BEIR.*mteb"):
            loader("mine", folder)


@pytest.mark.parametrize("name", ["mlqa", "xquad"])
def test_paragraphs_are_the_pool_where_sentences_are_not_asked_for(name, folder):
    """Paragraphs in the folder of LAReQA; one that stands in two articles is one candidate."""
    (folder / "mine").rename(folder / f"{name}-r")
    twice = json.loads(json.dumps(GERMAN))
    twice["data"].append(lareqa((["Wir gehen.", "Sie warten."], {"d": ("Wer?", "Wir")}))["data"][0])
    with gzip.open(folder / f"{name}-r" / "de.json.gz", "wt", encoding="utf-8") as stream:
        json.dump(twice, stream)
    benchmark = load(name, folder)
    assert benchmark.passages.values.tolist() == [
        ["de", "Wir gehen. Sie warten."], ["en", "It rains. It is cold."], ["en", "We go. You stay. They wait."]]
    assert sorted(benchmark.relevant.values.tolist()) == [["a", 0], ["a", 1], ["b", 1], ["c", 0], ["c", 2], ["d", 0]]
    assert benchmark.queries.groupby("group").item.apply(set).tolist() == [{"a", "b", "c", "d"}]


# Data sets of the Hub, in the schema of their cards, with texts of our own


def belebele(code, **texts):
    """Rows of facebook/belebele: two questions on the first passage and one on the second, in an order of their own."""
    rows = [dict(link=f"https://en.wikibooks.org/wiki/{link}", question_number=number, flores_passage=texts[link],
                 question=f"{code} {link} {number}?", mc_answer1="1", mc_answer2="2", mc_answer3="3", mc_answer4="4",
                 correct_answer_num="2", dialect=code, ds="2023-05-03")
            for link, number in (("Rain", 1), ("Snow", 1), ("Rain", 2))]
    return rows[::-1] if code == "arb_Arab" else rows


def squad(language):
    """Rows in the schema of google/xquad and of MLQA in google/xtreme: a row a question."""
    return [dict(id=id_, title="One", context=f"{language}: context {number}.", question=f"{language} {id_}?",
                 answers=dict(answer_start=[4], text=["context"])) for id_, number in (("q1", 1), ("q2", 1), ("q3", 2))]


def miracl(language="sw"):
    """The files of both repositories of MIRACL in a language: topics and judgements without a heading, and passages."""
    folder = f"miracl-v1.0-{language}"
    corpus = f"miracl-corpus-v1.0-{language}"
    topics = [["0#0", "Mvua ni \"nini\"?"], ["3#0", "Theluji?"], ["5#0", "Nani?"]]
    qrels = ["0#0 Q0 39#0 1", "0#0 Q0 39#1 0", "3#0 Q0 7#0 1", "5#0 Q0 7#0 0"]
    return {f"{folder}/topics/topics.{folder}-dev.tsv": topics,
            f"{folder}/qrels/qrels.{folder}-dev.tsv": [line.split() for line in qrels]}, {
        f"{corpus}/docs-0.jsonl.gz": [dict(docid="39#0", title="Mvua", text="Mvua ni maji."),
                                      dict(docid="39#1", title="Mvua", text="Hunyesha.")],
        f"{corpus}/docs-1.jsonl.gz": [dict(docid="7#0", title="", text=" Theluji ni baridi. ")]}


PASSAGES = [("39#0", "Mvua Mvua ni maji."), ("39#1", "Mvua Hunyesha."), ("7#0", "Theluji ni baridi.")]


def is_that_of_miracl(collection, language="sw"):
    assert isinstance(collection, Collection) and collection.language == language
    assert collection.queries.values.tolist() == [["0#0", 'Mvua ni "nini"?'], ["3#0", "Theluji?"], ["5#0", "Nani?"]]
    assert collection.qrels.values.tolist() == [
        ["0#0", "39#0", 1], ["0#0", "39#1", 0], ["3#0", "7#0", 1], ["5#0", "7#0", 0]]
    assert list(collection.passages()) == list(collection.passages()) == PASSAGES  # read anew each time


def mteb_form(prefix="", key="_id", kind="parquet", split="dev"):
    """MIRACL as mteb lays it out: a folder for each config, a file for each part of a split."""
    topics, passages = miracl()
    topics, qrels = topics.values()
    first, second = passages.values()
    corpus = [{key: row["docid"], "title": row["title"], "text": row["text"]} for row in first + second]
    return {f"{prefix}corpus/{split}-00000-of-00002.{kind}": corpus[:2],
            f"{prefix}corpus/{split}-00001-of-00002.{kind}": corpus[2:],
            f"{prefix}queries/{split}-00000-of-00001.{kind}": [{key: id_, "text": text} for id_, text in topics],
            f"{prefix}qrels/{split}-00000-of-00001.{kind}": [
                {"query-id": query, "corpus-id": passage, "score": int(grade)} for query, _, passage, grade in qrels]}


def beir_form(packed="", split="test"):
    form = mteb_form(kind="x")
    first, second, queries, qrels = form.values()
    return {f"corpus.jsonl{packed}": first + second, f"qrels/{split}.tsv": qrels,
            f"queries.jsonl{packed}": [row | {"metadata": {}} for row in queries]}


def put(folder, files):
    for path, content in files.items():
        write(folder / path, content)


def renamed(files, old, new):
    """The same files with another name of a field."""
    return {path: [{new if key == old else key: value for key, value in row.items()} for row in rows]
            if isinstance(rows[0], dict) else rows for path, rows in files.items()}


COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_belebele_asks_for_the_passage_of_a_question_in_every_language(hub):
    hub(*HUB["belebele"].values(), {f"data/{code}.jsonl": belebele(code, **texts) for code, texts in {
        "eng_Latn": dict(Rain="It rains.", Snow="It snows."), "arb_Arab": dict(Rain="مطر", Snow="ثلج"),
        "gle_Latn": dict(Rain="Báisteach.", Snow="Sneachta.")}.items()})
    benchmark = load("belebele", languages=["en", "ar", "gle_Latn"])
    assert benchmark.counts().to_dict() == {"queries": {"ar": 3, "en": 3, "gle_Latn": 3},
                                            "passages": {"ar": 2, "en": 2, "gle_Latn": 2}}
    answers = benchmark.relevant.merge(benchmark.passages, left_on="passage", right_index=True)
    asked = benchmark.queries.set_index(["item", "language"])
    for item, parts in answers.groupby("item"):
        right = {"Rain": ["Báisteach.", "It rains.", "مطر"], "Snow": ["It snows.", "Sneachta.", "ثلج"]}
        assert sorted(parts.text) == right[item.split("/")[-1].split()[0]]
        assert asked.text[item, "en"] == "eng_Latn {} {}?".format(*item.split("/")[-1].split())
    assert sorted(map(len, benchmark.queries.groupby("group").item.apply(set))) == [1, 2]  # by link


@pytest.mark.parametrize("name, split, form", [
    ("mlqa", "validation", "MLQA.{0}.{0}/{1}-00000-of-00001.parquet"),
    ("mlqa", "test", "MLQA.{0}.{0}/{1}-00000-of-00001.parquet"),
    ("xquad", "validation", "xquad.{0}/{1}-00000-of-00001.parquet")])
def test_question_answering_is_retrieval_of_distinct_contexts(name, split, form, hub):
    hub(*HUB[name].values(), {form.format(language, split): squad(language) for language in ("de", "hi", "zh")})
    benchmark = load(name, split=None if split == "validation" else split, languages=["de", "hi"])
    assert benchmark.passages.values.tolist() == [[language, f"{language}: context {number}."]
                                                  for language in ("de", "hi") for number in (1, 2)]
    assert sorted(benchmark.relevant.values.tolist()) == [
        ["q1", 0], ["q1", 2], ["q2", 0], ["q2", 2], ["q3", 1], ["q3", 3]]
    assert benchmark.queries.groupby("group").item.apply(set).tolist() == [{"q1", "q2"}, {"q3"}]


def test_miracl_is_read_from_its_two_repositories(hub):
    topics, passages = miracl()
    hub(*MIRACL_TOPICS.values(), topics)
    hub(*MIRACL_CORPUS.values(), passages)
    collection, = load("miracl", languages=["sw"])
    is_that_of_miracl(collection)


@pytest.mark.parametrize("files", [
    miracl()[0] | miracl()[1], mteb_form("sw-"), mteb_form("sw-", "id"), mteb_form("sw-", kind="jsonl")])
def test_miracl_is_read_from_a_folder_in_its_own_form_or_mtebs(files, tmp_path):
    put(tmp_path / "miracl", files)
    collection, = load("miracl", tmp_path, languages=["sw"])
    is_that_of_miracl(collection)


@pytest.mark.parametrize("packed", ["", ".gz"])
def test_any_folder_or_repository_in_the_form_of_beir_is_a_collection(packed, tmp_path, hub):
    put(tmp_path / "mine", beir_form(packed) | beir_form(packed, "dev"))
    hub("some/thing", COMMIT, beir_form(packed))
    (here,), (there,) = load("mine", tmp_path), load(f"some/thing@{COMMIT}")
    is_that_of_miracl(here, "und")
    is_that_of_miracl(there, "und")
    assert here.checksum == there.checksum
    is_that_of_miracl(load("mine", tmp_path, "dev")[0], "und")


def test_any_folder_or_repository_in_the_form_of_mteb_is_collections(tmp_path, hub):
    files = mteb_form("sw-", split="test") | mteb_form("ara-deu-", "id", split="test")
    put(tmp_path / "mine", files)
    hub("some/thing", COMMIT, files | {"README.md": "a card"})
    for collections in (load("mine", tmp_path), load(f"some/thing@{COMMIT}")):
        for collection, language in zip(collections, ("ara-deu", "sw"), strict=True):
            is_that_of_miracl(collection, language)
    assert [c.language for c in load("mine", tmp_path, languages=["sw"])] == ["sw"]


@pytest.mark.parametrize("qrels", ["qrels", "data"])  # the latter is where mteb's config "default" lies
def test_one_language_in_the_form_of_mteb_may_have_other_splits_of_corpus_and_queries(qrels, tmp_path):
    files = mteb_form(split="test")
    put(tmp_path / "mine", {path.replace("qrels/", f"{qrels}/").replace("corpus/test", "corpus/corpus")
                            .replace("queries/test", "queries/queries"): rows for path, rows in files.items()})
    is_that_of_miracl(load("mine", tmp_path)[0], "und")


def use(name, **options):
    """Load and read all of it."""
    loaded = load(name, **options)
    for collection in loaded if isinstance(loaded, list) else []:
        list(collection.passages())


EN = {"data/eng_Latn.jsonl": belebele("eng_Latn", Rain="It rains.", Snow="It snows.")}
DE = {"MLQA.de.de/validation-00000-of-00001.parquet": squad("de")}
TOPICS, CORPUS = miracl()
PINNED = HUB | {"miracl": MIRACL_TOPICS, "miracl-corpus": MIRACL_CORPUS}
THING = f"some/thing@{COMMIT}"


def judged(score, query="0#0"):
    return beir_form() | {"qrels/test.tsv": [{"query-id": query, "corpus-id": "7#0", "score": score}]}


@pytest.mark.parametrize("repositories, name, options, named", [
    ({"belebele": EN}, "belebele", "de", ["'belebele'", "data/deu_Latn.jsonl", "check languages"]),
    ({"belebele": renamed(EN, "flores_passage", "passage")}, "belebele", "en",
     ["eng_Latn.jsonl, line 1", "no field 'flores_passage'", "rename it"]),
    ({"mlqa": DE}, "mlqa", "de test", ["'mlqa'", "MLQA.de.de/test-*", "split"]),
    ({"mlqa": renamed(DE, "context", "text")}, "mlqa", "de",
     ["validation-00000-of-00001.parquet, row 1", "no field 'context'", "rename it"]),
    ({"miracl": TOPICS}, "miracl", "sw", ["'miracl'", *MIRACL_CORPUS.values(), "check the revision"]),
    ({"miracl": TOPICS, "miracl-corpus": CORPUS}, "miracl", "sw test",
     ["'miracl'", "topics.miracl-v1.0-sw-test.tsv", "split"]),
    ({"miracl": TOPICS, "miracl-corpus": renamed(CORPUS, "docid", "number")}, "miracl", "sw",
     ["docs-0.jsonl.gz, line 1", "no field '_id' or 'id' or 'docid', only number, title, text"]),
    ({"miracl": {path: [row[:3] for row in rows] for path, rows in TOPICS.items()}, "miracl-corpus": CORPUS},
     "miracl", "sw", ["qrels.miracl-v1.0-sw-dev.tsv, line 1", "no field 'score'"]),
    ({"some/thing": beir_form()}, THING, "und dev", ["qrels/dev.*", "split"]),
    ({"some/thing": beir_form()}, THING, "de", ["'de'", "it has und"]),
    ({"some/thing": renamed(beir_form(), "score", "grade")}, THING, "und",
     ["qrels/test.tsv, line 2", "no field 'score'", "rename it"]),
    ({"some/thing": judged("much")}, THING, "und", ["qrels/test.tsv, line 2", "whole number, not 'much'"]),
    ({"some/thing": judged(1, "9")}, THING, "und", ["no query of", "queries.jsonl", "qrels/test.tsv", "same ids"]),
    ({"some/thing": judged(0)}, THING, "und", ["no query of", "has a relevant passage"]),
    ({"some/thing": mteb_form("sw-")}, THING, "sw", ["sw-qrels has no split 'test', only dev", "--split"]),
    ({"some/thing": mteb_form("sw-")}, THING, "de", ["'de'", "it has sw"]),
    ({"some/thing": renamed(mteb_form("sw-"), "text", "body")}, THING, "sw dev",
     ["sw-queries/dev-00000-of-00001.parquet, row 1", "no field 'text'", "rename it"]),
])
def test_what_a_repository_lacks_is_named_in_one_clear_error(repositories, name, options, named, hub):
    for repo, files in repositories.items():
        hub(*PINNED.get(repo, dict(repo=repo, revision=COMMIT)).values(), files)
    language, *split = options.split()
    with pytest.raises((FileNotFoundError, ValueError)) as error:
        use(name, languages=[language], split=split[0] if split else None)
    for part in named:
        assert part in str(error.value), error.value


@pytest.mark.parametrize("name, files", [("belebele", EN), ("mlqa", DE), ("miracl", TOPICS), (THING, beir_form())])
def test_another_commit_than_the_pinned_one_does_not_count(name, files, hub):
    repo, revision = PINNED.get(name, dict(zip(("repo", "revision"), name.split("@")))).values()
    hub(repo, "f" * 40, files)
    with pytest.raises(FileNotFoundError) as error:
        use(name, languages=["und" if name == THING else "sw" if name == "miracl" else "de"])
    for part in (f"'{name}'", repo, revision, "not on this machine", "check the revision", "--data"):
        assert part in str(error.value), error.value


# What the files of a collection say of each other


def collection(folder, **changes):
    """beir_form, some of its files changed, as a collection."""
    put(folder / "mine", beir_form() | changes)
    return load("mine", folder)[0]


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


CORPUS_LINES = [dict(_id="39#0", title="Mvua", text="Mvua ni maji."), dict(_id="39#1", title="Mvua", text="Hunyesha."),
                dict(_id="7#0", title="", text="Theluji ni baridi.")]


@pytest.mark.parametrize("repeated", [0, 1])  # a relevant one, a distractor
def test_of_equal_ids_of_passages_the_last_counts_once(repeated, tmp_path):
    made = collection(tmp_path, **{"corpus.jsonl": lines(*CORPUS_LINES, CORPUS_LINES[repeated] | {"text": "Last."})})
    ids = [id_ for id_, _ in made.passages()]
    with pytest.warns(UserWarning, match="'mine' .und.: 1 passages have an id that comes again: the last"):
        counts = made.check_ids([ids[:2], ids[2:]])
    assert counts.tolist() == [number != repeated for number in range(3)] + [True]
    assert {id_: text for id_, text in made.passages()}[ids[repeated]] == "Mvua Last."  # as mteb takes it


def test_passages_that_are_as_they_should_be_are_not_warned_of(tmp_path, recwarn):
    made = collection(tmp_path)
    assert made.check_ids([[id_ for id_, _ in made.passages()]]).all() and not recwarn.list


def test_judged_passages_that_are_not_in_the_corpus_are_counted(tmp_path):
    made = collection(tmp_path, **{"corpus.jsonl": lines(*CORPUS_LINES[:2])})
    with pytest.warns(UserWarning, match=r"1 of 3 judged passages \(33.3%\) are not in the corpus, such as '7#0'"):
        assert made.check_ids([["39#0", "39#1"]]).all()
    with pytest.raises(ValueError, match="none of the 2 relevant passages, such as '39#0', is in the corpus"):
        made.check_ids([["39", "39#1"]])


@pytest.mark.parametrize("qrels", [
    "query-id\tcorpus-id\tscore\n0#0\t 39#0\t1\n 0#0 \t39#1\t0\n3#0\t7#0 \t1\n5#0\t7#0\t0\n",
    "\ufeffquery-id\tcorpus-id\tscore\r\n0#0\t39#0\t1\r\n0#0\t39#1\t0\r\n3#0\t7#0\t1\r\n5#0\t7#0\t0\r\n\r\n",
    "query-id\tcorpus-id\tscore\n0#0\t39#0\t1.0\n0#0\t39#1\t-0\n3#0\t7#0\t1e0\n5#0\t7#0\t 0\n\n \n",
    "query-id\tcorpus-id\tscore\n0#0\t39#0\t3\n0#0\t39#0\t1\n0#0\t39#1\t0\n3#0\t7#0\t1\n5#0\t7#0\t0\n",
], ids=["spaces", "byte order mark", "whole numbers", "the last of equal rows"])
@pytest.mark.filterwarnings("ignore:.*later judgement")
def test_judgements_are_read_however_they_are_written(qrels, tmp_path):
    is_that_of_miracl(collection(tmp_path, **{"qrels/test.tsv": qrels}), "und")


@pytest.mark.parametrize("score", [0.5, "0.5", "Infinity", float("inf"), float("nan"), None, True, "", [1]])
def test_a_score_that_is_no_whole_number_is_refused_by_name(score, tmp_path):
    put(tmp_path / "mine", beir_form())
    (tmp_path / "mine" / "qrels" / "test.tsv").unlink()
    rows = [{"query-id": "0#0", "corpus-id": "39#0", "score": 1},
            {"query-id": "3#0", "corpus-id": "7#0", "score": score}]
    write(tmp_path / "mine" / "qrels" / "test.jsonl", lines(*rows))
    with pytest.raises(ValueError) as error:
        load("mine", tmp_path)
    assert f"qrels/test.jsonl, line 2: score must be a whole number, not {score!r}" in str(error.value)


def test_a_whole_score_of_json_is_read(tmp_path):
    put(tmp_path / "mine", beir_form())
    (tmp_path / "mine" / "qrels" / "test.tsv").unlink()
    write(tmp_path / "mine" / "qrels" / "test.jsonl", lines({"query-id": "0#0", "corpus-id": "39#0", "score": 2.0}))
    assert load("mine", tmp_path)[0].qrels.values.tolist() == [["0#0", "39#0", 2]]


@pytest.mark.parametrize("file, row, named", [
    ("queries.jsonl", dict(_id="9", text=None), ["queries.jsonl, line 2", "'text'", "not None"]),
    ("queries.jsonl", dict(_id="9", text=" "), ["queries.jsonl, line 2", "not empty"]),
    ("queries.jsonl", dict(_id=None, text="Who?"), ["queries.jsonl, line 2", "'_id'", "not None"]),
    ("queries.jsonl", dict(_id="9", text=7), ["queries.jsonl, line 2", "'text'", "not 7"]),
    ("corpus.jsonl", dict(_id="9", text=None), ["corpus.jsonl, line 2", "'text'", "not None"]),
    ("corpus.jsonl", dict(_id=[1], text="It."), ["corpus.jsonl, line 2", "'_id'", "not [1]"]),
])
def test_a_query_or_passage_without_text_or_id_is_named_before_anything_is_encoded(file, row, named, tmp_path):
    first = dict(_id="0#0", text="Mvua?") if file == "queries.jsonl" else CORPUS_LINES[0]
    with pytest.raises(ValueError) as error:
        list(collection(tmp_path, **{file: lines(first, row)}).passages())
    assert all(part in str(error.value) for part in named), error.value


def test_queries_that_come_twice_or_are_judged_only_are_told_of(tmp_path):
    twice = lines(dict(_id="0#0", text="First?"), dict(_id="0#0", text="Last?"))
    with pytest.warns(UserWarning) as told:
        made = collection(tmp_path, **{"queries.jsonl": twice})
    assert made.queries.values.tolist() == [["0#0", "Last?"]]
    told = " ".join(str(warning.message) for warning in told)
    assert "queries.jsonl: 1 rows have the key of a later query" in told and "2 of 3 queries with judgements" in told


def test_the_checksum_of_the_passages_is_that_of_every_split(tmp_path):
    put(tmp_path / "mine", beir_form() | {"qrels/dev.tsv": "query-id\tcorpus-id\tscore\n0#0\t39#0\t1\n"})
    test, dev = load("mine", tmp_path)[0], load("mine", tmp_path, "dev")[0]
    assert test.passages_checksum == dev.passages_checksum and test.checksum != dev.checksum
    other = collection(tmp_path, **{"corpus.jsonl": lines(*CORPUS_LINES[:2], CORPUS_LINES[2] | {"text": "Other."})})
    assert other.passages_checksum != test.passages_checksum and other.checksum != test.checksum


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A function (rows or a number of groups, name) -> a file of rows: two questions a group, in German and English."""
    monkeypatch.setattr(corpora, "CACHE", tmp_path / "cache")

    def make(rows=30, name="mine.jsonl"):
        if isinstance(rows, int):
            rows = [dict(item=f"{group}-{item}", group=f"g{group}", language=language, query=f"question {group}-{item} {language}",
                         passage=f"passage {group}-{item} {language}")
                    for group in range(rows) for item in "ab" for language in ("de", "en")]
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(tmp_path / name)

    return make


def test_a_file_of_rows_is_a_benchmark_whose_answers_are_in_all_its_languages(mine):
    benchmark = load_benchmark(mine(3))
    assert benchmark.languages == ["de", "en"] and len(benchmark.queries) == len(benchmark.passages) == 12
    relevant = benchmark.relevant.merge(benchmark.passages, left_on="passage", right_index=True)
    assert sorted(relevant.text[relevant["item"].str.endswith("1-a")]) == ["passage 1-a de", "passage 1-a en"]
    assert benchmark.queries.groupby("group")["item"].nunique().tolist() == [2, 2, 2]
    assert load_benchmark(mine(3), languages=["en"]).languages == ["en"]


def test_the_parts_of_a_file_share_no_group_whatever_its_languages_and_are_the_same_each_time(mine):
    name = mine(30)
    parts = {part: set(corpora.load_corpus(f"{name}:{part}").rows["group"]) for part in corpora.PARTS}
    assert [len(groups) for groups in parts.values()] == [24, 3, 3]
    assert len(set.union(*parts.values())) == 30
    german = corpora.load_corpus(f"{name}:train", languages=["de"])
    assert set(german.rows["group"]) == parts["train"] and german.about["counts"]["de"] == {"held out": 12, "kept": 48}
    assert len(corpora.load_corpus(f"{name}:train", limit=5).rows) == 10
    test = load_benchmark(f"{name}:test")
    assert test.queries.text.tolist() == load_benchmark(name, split="test").queries.text.tolist()
    asked = {text.split()[1].split("-")[0] for text in test.queries.text}
    assert asked == {group.removeprefix("mine/g") for group in parts["test"]}
    other = corpora.load_corpus(f"{mine(30, 'other.jsonl')}:test")  # however the file is called
    assert {group.partition("/")[2] for group in other.rows["group"]} == {group.partition("/")[2] for group in parts["test"]}


def test_wrong_answers_are_candidates_too_and_translations_ask_nothing(mine):
    row = dict(item="a", language="en", query="q", passage="p", negatives=["n", "m"])
    benchmark = load_benchmark(mine([row, row | dict(item="b", task="parallel", query="t", passage="t", negatives=[])]))
    assert sorted(benchmark.passages.text) == ["m", "n", "p"] and benchmark.queries.text.tolist() == ["q"]
    assert benchmark.passages.text[benchmark.relevant.passage].tolist() == ["p"]


@pytest.mark.parametrize("name, rows, message", [
    ("{}:dev", 30, "no part 'dev': choose train, validation, test"), ("{}:test", 19, "has 19 groups .* give at least 20"),
    ("{}", [dict(item="a", language="en", query="q")], "no row has both a query and a passage"),
    ("{}", [dict(item="a", language="en", query="q", passage="q", task="parallel")], "a task other than parallel"),
    ("no.jsonl", 1, "no.jsonl does not exist: check the path"), ("{}", [dict(item="a", language="en", lang="x")], "line 1: unknown")])
def test_a_file_that_cannot_measure_says_why(name, rows, message, mine):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load(name.format(mine(rows)))


def test_a_file_whose_ids_differ_between_languages_is_warned_of(mine):
    rows = [dict(item=f"a-{code}", language=code, query=f"q {code}", passage=f"p {code}") for code in ("de", "en")]
    with pytest.warns(UserWarning, match="no question has the same id in two languages"):
        load_benchmark(mine(rows))
