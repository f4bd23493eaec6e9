"""Benchmarks: what is loaded, and what a wrong name or file is told."""

import gzip
import json
import shutil

import pytest
from hub import hub, write  # noqa: F401

from hybrid_batch.data import encyclo11
from hybrid_batch.data.benchmarks import HUB, Benchmark, load, load_benchmark
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
        "paragraphs", "context", "sentence_breaks", "qas", "answers", "answer_start", "question", "id")),
    (json.dumps(ENGLISH).replace('"answers": [', '"answers": [], "was": ['), ["IndexError", "form of LAReQA"]),
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
    wrong["data"][0]["paragraphs"][0]["qas"][0]["answers"][0]["answer_start"] = start
    path = folder / "mine" / "en.json"
    path.write_text(json.dumps(wrong), encoding="utf-8")
    with pytest.raises(ValueError) as error:
        load_benchmark("mine", folder)
    for part in (str(path), "question a", "0 sentences"):
        assert part in str(error.value), error.value


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
     ["docs-0.jsonl.gz, line 1", "no field '_id', 'id' or 'docid', only number, title, text"]),
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
