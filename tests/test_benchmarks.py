"""Benchmarks: what is loaded, and what a wrong name or file is told."""

import gzip
import json
import shutil

import pytest

from hybrid_batch import corpora, metrics
from hybrid_batch.benchmarks import Benchmark, load_benchmark

XQUAD = {"ar": 1222, "de": 1276, "el": 1234, "en": 1180, "es": 1215, "hi": 1244, "ru": 1219, "th": 852,
         "tr": 1167, "vi": 1209, "zh": 1196}  # candidates; 1190 queries in each language
MLQA = {"ar": (517, 2545), "de": (512, 2362), "en": (1148, 6264), "es": (500, 1787), "hi": (507, 2426),
        "vi": (511, 2828), "zh": (504, 2322)}  # queries, candidates



@pytest.mark.parametrize("call, kind, named", [
    (lambda: load_benchmark("encyclo11", split="dev"), ValueError, ["'dev'", "train", "validation", "test"]),
    (lambda: load_benchmark("encyclo11", languages=["en", "fr"]), ValueError, ["'fr'", "it has ar de el en"]),
    (lambda: load_benchmark("encyclo11-reasoning", languages=["fr"]), ValueError, ["'fr'", "it has ar de el en"]),
    (lambda: load_benchmark("xquad-r", "no/such"), FileNotFoundError, ["'xquad-r'", "no folder", "such", "--data"]),
])
def test_a_wrong_name_is_told_the_right_ones(call, kind, named):
    with pytest.raises(kind) as error:
        call()
    assert all(part in str(error.value) for part in named), error.value


def test_our_own_benchmark_holds_every_sentence_and_marks_the_answer():
    benchmark = load_benchmark("encyclo11", languages=["en", "th"])
    assert benchmark.languages == ["en", "th"]
    sentences = [s for language in ("en", "th") for e in corpora.own("passages", language, "test") for s in e["sentences"]]
    assert benchmark.passages.text.tolist() == sentences
    relevant = benchmark.relevant.merge(benchmark.passages, left_on="passage", right_index=True)
    relevant = relevant.set_index(["item", "language"]).text
    for language in ("en", "th"):
        for entry in corpora.own("passages", language, "test"):
            for question in entry["questions"]:
                assert relevant[question["id"], language] == entry["sentences"][question["answer"]]
    assert benchmark.queries.groupby("group").item.nunique().eq(2).all()  # two questions a passage
    assert benchmark.counts().loc["th"].to_dict() == {
        "queries": len(benchmark.queries) // 2, "passages": len(sentences) // 2}


def test_our_own_reasoning_benchmark_holds_every_option_and_marks_the_right_one():
    benchmark = load_benchmark("encyclo11-reasoning", languages=["zh"])
    entries = corpora.own("reasoning", "zh", "test")
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
    ("{", ["JSONDecodeError"]),
    ("[]", ["TypeError"]),
    *((without(field), [f"'{field}'"]) for field in (
        "data", "paragraphs", "context", "sentence_breaks", "qas", "answers", "answer_start", "question", "id")),
    (json.dumps(ENGLISH).replace('"answers": [', '"answers": [], "was": ['), ["IndexError"]),
])
def test_a_malformed_file_is_named_with_the_form_it_needs(text, named, folder):
    path = folder / "mine" / "en.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError) as error:
        load_benchmark("mine", folder)
    for part in [str(path), "form of LAReQA", "sentence_breaks", *named]:
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
    with pytest.raises(FileNotFoundError, match="'mine'.*en.json"):
        load_benchmark("mine", folder)


# The real ones


def fake_ranks(benchmark: Benchmark):
    """Every relevant passage first in its pool."""
    queries = benchmark.queries.rename(columns={"language": "query_language"})
    frame = queries.merge(benchmark.relevant, on="item")
    language = benchmark.passages.language.to_numpy()[frame.passage]
    return frame.assign(passage_language=language, rank=1.0, rank_mul=1.0)


def settings(benchmark):
    return metrics.macro(metrics.per_query(fake_ranks(benchmark), ["recall@1"])).settings.to_dict()


def test_xquad_r_has_the_counts_of_its_readme_and_11_110_11_settings(data):
    benchmark = load_benchmark("xquad-r", data)
    assert benchmark.counts().to_dict() == {"queries": dict.fromkeys(XQUAD, 1190), "passages": XQUAD}
    assert benchmark.queries.item.nunique() == 1190
    assert benchmark.queries.group.nunique() == 240
    assert len(benchmark.relevant) == 1190 * 11
    few = benchmark.queries[benchmark.queries.item.isin(benchmark.queries.item.unique()[:3])]
    few = Benchmark("few", few, benchmark.passages, benchmark.relevant, "")
    assert settings(few) == {"Mo": 11, "Cr": 110, "Mul": 11}


def test_mlqa_r_has_the_counts_of_its_readme_and_7_42_7_settings(data):
    benchmark = load_benchmark("mlqa-r", data)
    assert {language: tuple(row) for language, row in benchmark.counts().iterrows()} == MLQA
    languages = benchmark.queries.groupby("item").language.nunique()
    assert languages.value_counts().to_dict() == {4: 820, 3: 263, 2: 65}
    assert len(benchmark.relevant) == len(benchmark.queries) == sum(queries for queries, _ in MLQA.values())
    assert settings(benchmark) == {"Mo": 7, "Cr": 42, "Mul": 7}
