"""Corpora and benchmarks: what is loaded, and what a wrong name or file is told."""

import gzip
import json
import shutil

import pytest

from hybrid_batch import corpora, metrics
from hybrid_batch.corpora import LANGUAGES, Benchmark, join, load_benchmark, load_corpus, overlap, shuffle_answers

ROW = dict(item="1", language="en", query="Who?", passage="She did.")
XQUAD = {"ar": 1222, "de": 1276, "el": 1234, "en": 1180, "es": 1215, "hi": 1244, "ru": 1219, "th": 852,
         "tr": 1167, "vi": 1209, "zh": 1196}  # candidates; 1190 queries in each language
MLQA = {"ar": (517, 2545), "de": (512, 2362), "en": (1148, 6264), "es": (500, 1787), "hi": (507, 2426),
        "vi": (511, 2828), "zh": (504, 2322)}  # queries, candidates


@pytest.fixture
def write(tmp_path):
    """A function that writes rows (or lines of text) to a JSON-lines file and names it."""
    def write(*rows, name="rows.jsonl"):
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
        return str(tmp_path / name)

    return write


# Rows to train on


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_our_own_corpus_has_the_items_of_the_split_in_every_language(split):
    ids = json.loads((corpora.OWN / "encyclo11" / "splits.json").read_text())[split]
    for name, field in (("encyclo11", "group"), ("encyclo11-reasoning", "item")):
        rows = load_corpus(name, split).rows.to_pandas()
        items = rows.groupby("language")[["item", "group"]].agg(list)
        assert sorted(items.index) == LANGUAGES
        assert all(row.to_dict() == items.loc["en"].to_dict() for _, row in items.iterrows())
        ids = sorted(set(ids) ^ set(items[field]["en"]))  # what the other corpus must have
        assert len(rows) == len(set(rows["item"])) * len(LANGUAGES)
    assert ids == []


def test_questions_meet_the_sentence_that_answers_them():
    rows = {(row["item"], row["language"]): row for row in load_corpus("encyclo11").rows}
    for entry in corpora.own("passages", "de", "train"):
        for question in entry["questions"]:
            assert rows[question["id"], "de"] == dict(
                item=question["id"], group=entry["id"], language="de", task="qa", query=question["text"],
                passage=entry["sentences"][question["answer"]], negatives=[])


def test_stems_meet_the_right_option_and_the_wrong_ones_are_negatives():
    rows = {(row["item"], row["language"]): row for row in load_corpus("encyclo11-reasoning").rows}
    for entry in corpora.own("reasoning", "hi", "train"):
        row = rows[entry["id"], "hi"]
        assert (row["task"], row["query"], row["group"]) == ("reasoning", entry["stem"], entry["id"])
        assert row["passage"] == entry["options"][entry["answer"]]
        assert [row["passage"], *row["negatives"]] == sorted(entry["options"], key=lambda o: o != row["passage"])


def test_languages_can_be_chosen():
    chosen = load_corpus("encyclo11", languages=["hi", "en"])
    assert set(chosen.rows["language"]) == {"en", "hi"}
    assert len(chosen.rows) == len(load_corpus("encyclo11").rows) * 2 // 11


def test_a_file_of_rows_gets_task_group_and_negatives_if_it_has_none(write):
    full = dict(ROW, item="2", group="g", task="reasoning", negatives=["He did.", "Nobody did."])
    rows = load_corpus(write(ROW, full)).rows.to_list()
    assert rows == [dict(ROW, group="1", task="qa", negatives=[]), full]


def test_the_checksum_changes_with_the_files(write):
    first, second = write(ROW, name="a.jsonl"), write(dict(ROW, query="Which?"), name="b.jsonl")
    assert load_corpus(first).checksum == load_corpus(write(ROW, name="c.jsonl")).checksum
    assert load_corpus(first).checksum != load_corpus(second).checksum


@pytest.mark.parametrize("rows, named", [
    ([ROW, "{"], ["line 2", "not a JSON object"]),
    ([ROW, "[1]"], ["line 2", "not a JSON object"]),
    ([ROW, "", dict(ROW, item="")], ["line 3", "'item'", "not empty"]),  # empty lines are left out, but counted
    ([ROW, {k: v for k, v in ROW.items() if k != "item"}], ["line 2", "'item'", "not None"]),
    ([dict(ROW, query=" ")], ["line 1", "'query'", "not empty"]),
    ([dict(ROW, passage=7)], ["line 1", "'passage'", "must be a text", "not 7"]),
    ([dict(ROW, language=None)], ["line 1", "'language'", "must be a text"]),
    ([dict(ROW, group="")], ["line 1", "'group'", "not empty"]),
    ([dict(ROW, negatives="no")], ["line 1", "'negatives'", "list of texts", "'no'"]),
    ([dict(ROW, negatives=["a", ""])], ["line 1", "'negatives'", "list of texts"]),
    ([dict(ROW, negatives=None)], ["line 1", "'negatives'", "list of texts"]),
    ([dict(ROW, anwser="x")], ["line 1", "unknown field 'anwser'", "a row has", "'passage'"]),
    ([ROW, ROW], ["line 2", "'1' occurs twice in language 'en'", "its own id"]),
    ([], ["has no rows"]),
])
def test_a_wrong_row_is_named_by_file_line_and_field(rows, named, write):
    path = write(*rows)
    with pytest.raises(ValueError) as error:
        load_corpus(path)
    assert all(part in str(error.value) for part in [path, *named]), error.value


@pytest.mark.parametrize("call, kind, named", [
    (lambda: load_corpus("wiki"), FileNotFoundError, ["'wiki'", "'encyclo11'", ".jsonl"]),
    (lambda: load_corpus("no/such.jsonl"), FileNotFoundError, ["such.jsonl does not exist"]),
    (lambda: load_corpus("encyclo11", "dev"), ValueError, ["'dev'", "train", "validation", "test"]),
    (lambda: load_corpus("encyclo11-reasoning", languages=["en", "fr"]), ValueError, ["'fr'", "it has ar de el en"]),
    (lambda: load_benchmark("encyclo11", split="dev"), ValueError, ["'dev'", "train", "validation", "test"]),
    (lambda: load_benchmark("encyclo11", languages=["en", "fr"]), ValueError, ["'fr'", "it has ar de el en"]),
    (lambda: load_benchmark("encyclo11-reasoning", languages=["fr"]), ValueError, ["'fr'", "it has ar de el en"]),
    (lambda: load_benchmark("xquad-r", "no/such"), FileNotFoundError, ["'xquad-r'", "no folder", "such", "--data"]),
])
def test_a_wrong_name_is_told_the_right_ones(call, kind, named):
    with pytest.raises(kind) as error:
        call()
    assert all(part in str(error.value) for part in named), error.value


# Joining and shuffling


def test_joined_corpora_keep_their_rows_under_ids_of_their_own(write):
    first, second = load_corpus(write(ROW, name="a.jsonl")), load_corpus("encyclo11-reasoning", languages=["de"])
    both = join(first, second)
    assert len(both.rows) == 1 + len(second.rows)
    for old, new in zip([*first.rows, *second.rows], both.rows):
        name = first.name if new["query"] == ROW["query"] else second.name
        assert new == old | dict(item=f"{name}/{old['item']}", group=f"{name}/{old['group']}")
    assert both.checksum not in (first.checksum, second.checksum, join(second, first).checksum)
    assert first.name in both.name and second.name in both.name


def test_shuffling_puts_the_same_wrong_option_in_place_of_the_right_one_in_all_languages():
    corpus = load_corpus("encyclo11-reasoning")
    shuffled, places = shuffle_answers(corpus, seed=1), {}
    for old, new in zip(corpus.rows, shuffled.rows, strict=True):
        place = old["negatives"].index(new["passage"])
        assert new["negatives"] == [old["passage"] if i == place else n for i, n in enumerate(old["negatives"])]
        assert {k: new[k] for k in ("item", "group", "language", "query", "task")} == {
            k: old[k] for k in ("item", "group", "language", "query", "task")}
        places.setdefault(new["item"], set()).add(place)
    assert all(len(place) == 1 for place in places.values())
    assert {place for (place,) in places.values()} == {0, 1, 2}
    assert shuffled.name != corpus.name and shuffled.checksum != corpus.checksum


def test_the_seed_decides_which_wrong_option():
    corpus = load_corpus("encyclo11-reasoning", languages=["en"])
    assert shuffle_answers(corpus, 1).rows["passage"][:] == shuffle_answers(corpus, 1).rows["passage"][:]
    assert shuffle_answers(corpus, 1).rows["passage"][:] != shuffle_answers(corpus, 2).rows["passage"][:]


def test_rows_without_negatives_are_not_shuffled():
    corpus = load_corpus("encyclo11", languages=["en"])
    assert shuffle_answers(corpus).rows.to_list() == corpus.rows.to_list()


# Contamination


def test_overlap_finds_texts_but_for_case_punctuation_and_spaces(write, make_benchmark):
    benchmark = make_benchmark(["en", "el"], {"a": (["en"], [0])})
    benchmark.passages["text"] = ["She did it.", "Η ΑΘΗΝΑ!"]
    benchmark.queries["text"] = ["Who did it?"]
    rows = [dict(ROW, item="copy", query="who  DID it", passage="«she did it»"),
            dict(ROW, item="greek", language="el", query="Ποια;", passage="η Αθηνα"),
            dict(ROW, item="crossed", query="She did it?", passage="Who did it?"),
            dict(ROW, item="clean", query="Who did that?", passage="..."),
            dict(ROW, item="mark", query="?!", passage="She did it too.")]
    found = overlap(load_corpus(write(*rows)), benchmark)
    assert list(found.columns) == ["field", "item", "language", "text"]
    assert list(zip(found.field, found["item"])) == [
        ("query", "copy"), ("passage", "copy"), ("passage", "greek"), ("query", "crossed"), ("passage", "crossed")]
    assert found.text[1] == "«she did it»"


def test_overlap_is_empty_without_copies(write, make_benchmark):
    found = overlap(load_corpus(write(ROW)), make_benchmark(["en"], {"a": (["en"], [0])}))
    assert list(found.columns) == ["field", "item", "language", "text"]
    assert len(found) == 0


# Benchmarks


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


@pytest.mark.parametrize("name", ["xquad-r", "mlqa-r"])
def test_our_own_corpus_shares_no_text_with_a_real_benchmark(name, data):
    benchmark = load_benchmark(name, data)
    for corpus in ("encyclo11", "encyclo11-reasoning"):
        for split in ("train", "validation", "test"):
            assert len(overlap(load_corpus(corpus, split), benchmark)) == 0
