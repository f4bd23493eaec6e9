"""Parallel sentences to probe with: from small files, and the real ones."""

import pytest
from hub import write

from hybrid_batch.data import probes
from hybrid_batch.data.probes import load_probes


@pytest.fixture
def folder(tmp_path):
    """Three sentences of NTREX in each language of the study, two pairs of Tatoeba, and one more language of each."""
    for code, name in [*probes.NTREX.items(), ("fr", "fra")]:
        write(tmp_path / "ntrex" / f"{name}.jsonl.gz", [dict(id=n, doc="d", text=f"{n} {code}") for n in range(3)])
    for code, name in [*probes.TATOEBA.items(), ("fr", "fra")]:
        write(tmp_path / "tatoeba" / f"{name}-eng.jsonl.gz", [dict(text=f"{n} {code}", en=f"{n} en of {code}") for n in range(2)])
    return tmp_path


def test_sentences_stand_beside_their_translations(folder):
    found = load_probes(folder, ["de", "en", "zh", "fr"])
    assert found.tatoeba == {"de": (["0 de", "1 de"], ["0 en of de", "1 en of de"]),
                             "zh": (["0 zh", "1 zh"], ["0 en of zh", "1 en of zh"])}
    assert found.ntrex == {code: [f"0 {code}", f"1 {code}", f"2 {code}"] for code in ("de", "en", "zh")}


def test_all_languages_of_the_study_are_read_if_none_is_named(folder):
    found = load_probes(folder)
    assert set(found.ntrex) == set("ar de el en es hi ru th tr vi zh".split()) == {*found.tatoeba, "en"}


def test_of_ntrex_so_many_sentences_are_taken_as_asked_for(folder):
    found = load_probes(folder, ["de", "en"], sentences=2)
    assert found.ntrex == {"de": ["0 de", "1 de"], "en": ["0 en", "1 en"]} and len(found.tatoeba["de"][0]) == 2


def test_the_checksum_is_that_of_the_files_read(folder):
    before = load_probes(folder, ["de", "en"]).checksum
    assert before != load_probes(folder, ["de"]).checksum
    write(folder / "ntrex" / "fra.jsonl.gz", [dict(text="another")])
    assert load_probes(folder, ["de", "en"]).checksum == before
    write(folder / "tatoeba" / "deu-eng.jsonl.gz", [dict(text="another", en="too")])
    assert load_probes(folder, ["de", "en"]).checksum != before


@pytest.mark.parametrize("kind, file", [("ntrex", "deu.jsonl.gz"), ("tatoeba", "deu-eng.jsonl.gz")])
def test_a_missing_file_is_named_with_the_remedy(kind, file, folder):
    (folder / kind / file).unlink()
    with pytest.raises(FileNotFoundError, match=f"{kind}/{file}: say with --data which folder holds the folder '{kind}'"):
        load_probes(folder, ["de", "en"])
    assert set(load_probes(folder, ["en", "hi"]).ntrex) == {"en", "hi"}
    with pytest.raises(FileNotFoundError, match="leave the probes out") as error:
        load_probes(None)
    assert "\n" not in str(error.value)


def test_a_file_in_another_form_is_named(folder):
    write(folder / "tatoeba" / "deu-eng.jsonl.gz", [dict(text="allein")])
    with pytest.raises(ValueError, match="deu-eng.jsonl.gz, line 1: no field 'en', only text"):
        load_probes(folder, ["de"])


@pytest.mark.parametrize("content", [[], "\n \n"])
@pytest.mark.parametrize("kind, file", [("ntrex", "deu.jsonl.gz"), ("tatoeba", "deu-eng.jsonl.gz")])
def test_an_empty_file_is_named_with_the_remedy(kind, file, content, folder):
    write(folder / kind / file, content)
    with pytest.raises(ValueError, match=f"{kind}/{file} is empty: fetch it again, or leave the probes out$") as error:
        load_probes(folder, ["de", "en"])
    assert "\n" not in str(error.value)


def test_the_real_ones_are_whole(data):
    for kind in ("tatoeba", "ntrex"):
        if not (data / kind).is_dir():
            pytest.skip(f"{kind} is not in {data}")
    found = load_probes(data)
    assert {(len(texts), len(english)) for texts, english in found.tatoeba.values()} == {(500, 500)}
    everything = load_probes(data, sentences=5000).tatoeba
    assert {code: len(texts) for code, (texts, english) in everything.items() if len(texts) == len(english)} == {
        code: 548 if code == "th" else 1000 for code in probes.TATOEBA}
    assert {len(texts) for texts in found.ntrex.values()} == {500}
    whole = load_probes(data, ["en", "zh"], sentences=5000)
    assert {len(texts) for texts in whole.ntrex.values()} == {1997} and whole.ntrex["zh"][:500] == found.ntrex["zh"]
    assert "Welsh AMs" in found.ntrex["en"][0] and all(texts != found.ntrex["en"] for code, texts in found.ntrex.items()
                                                       if code != "en")
