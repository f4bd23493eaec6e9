"""The index of your own files, kept and brought in step; the prompt, the command line and the page."""

import contextlib
import hashlib
import json
import multiprocessing
import os
import random
import re
import signal
import sys
import threading
import time
from pathlib import Path
from urllib.parse import quote
from urllib.request import Request, urlopen

import numpy as np
import pytest
import torch

from hybrid_batch import cli, documents, search, webpage
from hybrid_batch.data.encyclo11 import read_encyclo11
from hybrid_batch.encoders import load

USE = "offline-use-multilingual"
EVIL = "<img src=x onerror=alert(1)> \"quoted\" </p></li>"


class Stub:
    """An encoder that costs nothing: a text's vector is drawn from its letters; the prompts are noted."""

    device, max_seq_length, prompts = torch.device("cpu"), None, {"query": "", "passage": ""}

    def __init__(self):
        self.seen = []

    def get_embedding_dimension(self):
        return 8

    def encode(self, texts, prompt_name=None, **_):
        self.seen += [(prompt_name, text) for text in texts]
        seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") for text in texts]
        vectors = np.stack([np.random.default_rng(seed).normal(size=8) for seed in seeds])
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "files"
    (folder / "sub").mkdir(parents=True)
    for place, name in enumerate(("a.txt", "b.txt", "sub/c.txt")):
        (folder / name).write_text("\n\n".join(" ".join(entry["sentences"]) for entry in read_encyclo11(
            "passages", "en")[3 * place:3 * place + 3]))
    return folder


@pytest.fixture
def stub(monkeypatch):
    made = Stub()
    monkeypatch.setattr(load, "load", lambda name: made)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)  # else it would see texts to try bf16 with
    return made


def opened(files, tmp_path, told=None):
    return search.open_index([files], "offline-e5-small", folder=tmp_path / "indexes", tell=(told if told is not None else []).append,
                             progress=False)


def is_whole(index):
    """Vectors, passages and the list of files say the same."""
    ids = search.faiss.vector_to_array(index.vectors.id_map)
    expected = Stub().encode(index.passages.text.loc[ids].tolist()) if len(ids) else np.zeros((0, 8))
    return (sorted(ids) == sorted(index.passages.index) and index.passages.index.is_unique
            and np.allclose(index.vectors.index.reconstruct_n(0, len(ids)), expected, atol=1e-6)
            and set(index.passages.file) <= set(index.files))


# Kept on disk, and in step with the files


def test_only_what_changed_is_encoded_again_and_what_is_gone_is_not_found(files, tmp_path, stub):
    first = opened(files, tmp_path)
    assert is_whole(first) and {prompt for prompt, _ in stub.seen} == {"passage"}
    stub.seen.clear()
    assert len(opened(files, tmp_path)) == len(first) and stub.seen == []
    os.utime(files / "a.txt")  # touched: read again, not encoded
    opened(files, tmp_path)
    assert stub.seen == []
    (files / "b.txt").write_text("Only this is left in the second file.")
    (files / "sub" / "c.txt").unlink()
    (files / "d.md").write_text("# New\n\nThis file is new.")
    index = opened(files, tmp_path)
    assert [text for _, text in stub.seen] == ["Only this is left in the second file.", "# New This file is new."]
    assert is_whole(index) and {Path(name).name for name in index.files} == {"a.txt", "b.txt", "d.md"}
    again = opened(files, tmp_path)
    assert is_whole(again) and again.passages.equals(index.passages)


def test_an_answer_is_the_nearest_passage_with_all_that_is_said_of_it(files, tmp_path, stub):
    index = opened(files, tmp_path)
    wanted = index.passages.iloc[4]
    hits = index.search(wanted.text, top=3)  # the stub's vector of a text is the same with any prompt
    assert hits[0] == dict(rank=1, score=pytest.approx(1, abs=1e-4), file=wanted.file, place=wanted.place, text=wanted.text,
                           language="en", certainty=wanted.certainty)
    assert stub.seen[-1][0] == "query" and [hit["rank"] for hit in hits] == [1, 2, 3]
    assert hits[0]["score"] >= hits[1]["score"] >= hits[2]["score"] and len(index.search("x", 1000)) == len(index)
    with pytest.raises(ValueError, match="the query is empty"):
        index.search("  ")


def test_a_bad_file_is_told_in_words_and_the_rest_is_indexed(files, tmp_path, stub):
    (files / "broken.pdf").write_bytes(b"%PDF-1.4 nonsense")
    (files / "binary.bin").write_bytes(b"\0\1\2" * 500)
    (files / "latin.txt").write_bytes("Die Übergröße der Brücke über den Fluss überraschte die Zuhörer.".encode("latin-1"))
    (files / "empty").mkdir()
    (files / "locked.txt").write_text("x")
    (files / "locked.txt").chmod(0)
    told = []
    index = opened(files, tmp_path, told)
    assert is_whole(index) and len(index) > 9
    assert "Übergröße der Brücke" in " ".join(index.passages.text)
    told = {line.rsplit("/", 1)[1] for line in told}
    assert "binary.bin: left out: a binary file, not text" in told
    assert any(line.startswith("latin.txt: not UTF-8: read as cp125") for line in told)
    assert any(line.startswith("broken.pdf: left out: not a readable PDF") for line in told)
    assert "locked.txt: left out: Permission denied" in told or os.geteuid() == 0


def test_a_file_that_breaks_loses_its_passages(files, tmp_path, stub):
    opened(files, tmp_path)
    (files / "a.txt").write_bytes(b"\0" * 100)
    index = opened(files, tmp_path)
    assert is_whole(index) and not any(name.endswith("a.txt") for name in index.files)


def test_a_file_that_changes_while_it_is_read_is_told_and_one_that_vanishes_is_left_out(files, tmp_path, stub, monkeypatch):
    real = Path.read_bytes

    def read_bytes(path):
        data = real(path)
        if path.name == "a.txt":
            path.write_text(f"Longer and longer: {data.decode()}")
        if path.name == "b.txt":
            path.unlink()
        return data

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    told = []
    index = opened(files, tmp_path, told)
    assert is_whole(index) and any("a.txt: changes while it is read" in line for line in told)
    assert any("b.txt: left out: No such file" in line for line in told) and not any("b.txt" in n for n in index.files)
    monkeypatch.undo()
    monkeypatch.setattr(load, "load", lambda name: stub)
    again = opened(files, tmp_path)
    assert any("Longer and longer: Longer and longer" in text for text in again.passages.text)


def test_nothing_to_index_is_said_with_the_folder(tmp_path, stub):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="nothing to search: no passage was found in .*empty, in 0 files"):
        opened(tmp_path / "empty", tmp_path)
    with pytest.raises(FileNotFoundError, match="check the path"):
        opened(tmp_path / "nowhere", tmp_path)


def test_another_encoder_has_an_index_of_its_own(files, tmp_path, stub):
    opened(files, tmp_path)
    stub.seen.clear()
    search.open_index([files], USE, folder=tmp_path / "indexes", tell=print, progress=False)
    assert len(stub.seen) == 9 and len([path for path in (tmp_path / "indexes").iterdir() if path.is_dir()]) == 2


def churn(files, folder):
    """Change files and bring the index in step, for ever: what a process does until it is killed."""
    os.environ["OMP_NUM_THREADS"] = "1"
    index, chance = search.Index(folder, Stub()), random.Random()
    while True:
        for name in "abcdef":
            version = chance.randrange(10 ** 6)
            lines = [f"Version {version} of the file {name}, paragraph {n}: " + "word " * 60 for n in range(chance.randrange(1, 5))]
            (files / f"{name}.txt").write_text("\n\n".join(lines))
        with search.storage.lock(folder / ".lock"):
            index.update(sorted(files.glob("*.txt")), print, progress=False)


def saved_states(folder):
    manifest = folder / "manifest.json"
    return json.loads(manifest.read_text())["state"] if manifest.exists() else 0


def test_killed_at_random_twenty_times_the_index_opens_and_is_whole(tmp_path):
    files, folder = tmp_path / "files", tmp_path / "index"
    files.mkdir()
    context, chance, states = multiprocessing.get_context("forkserver"), random.Random(0), []
    context.set_forkserver_preload(["hybrid_batch.search"])
    for _ in range(20):
        process = context.Process(target=churn, args=(files, folder), daemon=True)
        process.start()
        begun, state = time.monotonic(), states[-1] if states else 0
        while time.monotonic() < begun + 60 and saved_states(folder) == state:
            time.sleep(0.01)  # until it has saved once
        time.sleep(chance.uniform(0, 0.1))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        index = search.Index(folder, Stub())
        states.append(index.number)
        assert is_whole(index) and index.number > state
        for _, texts in index.passages.groupby("file").text:
            assert len({re.match(r"Version \d+ of the file \w", text)[0] for text in texts}) == 1
    index.update(sorted(files.glob("*.txt")), print, progress=False)
    assert is_whole(index) and not list(folder.glob(".partial-*")) and len(list(folder.glob("*.faiss"))) == 1


# With a real encoder


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """Files of our own corpus in five languages, one with markup for a text: (folder of files, folder of indexes)."""
    folder = tmp_path_factory.mktemp("library")
    (folder / "files").mkdir()
    for language in ("ar", "de", "en", "hi", "zh"):
        (folder / "files" / f"{language}.txt").write_text("\n\n".join(
            " ".join(entry["sentences"]) for entry in read_encyclo11("passages", language)[:8]), encoding="utf-8")
    (folder / "files" / "evil.txt").write_text(f"A text with markup {EVIL} in it, which must stay text.")
    return folder / "files", folder / "indexes"


@pytest.fixture(scope="module")
def encoder():
    return load.load(USE)


@pytest.fixture
def index(library, encoder, monkeypatch):
    monkeypatch.setattr(load, "load", lambda name: encoder)
    return search.open_index([library[0]], USE, folder=library[1], tell=print, progress=False)


def test_an_answer_is_found_whatever_the_language_of_the_question(index):
    known = ("ar", "de", "en", "zh")  # this encoder was not trained on Hindi
    for language in known:
        question = read_encyclo11("passages", language)[0]["questions"][0]["text"]
        expected = {" ".join(read_encyclo11("passages", code)[0]["sentences"])[:40] for code in known}
        found = {hit["text"][:40] for hit in index.search(question, 8)}
        assert len(expected & found) >= 3, language


@pytest.mark.parametrize("method", ["centring", "LSAR"])
def test_debias_is_fitted_on_our_own_corpus_once_and_changes_scores_not_what_is_kept(method, index, library, monkeypatch):
    small = search.experiment.load_benchmark("encyclo11", split="validation", languages=["de", "en", "zh"])  # faster
    monkeypatch.setattr(search.experiment, "load_benchmark", lambda name, split: small)
    (library[0] / "fr.txt").write_text("Les anneaux de Saturne sont faits de glace, et cette langue manque à notre corpus.")
    stored = index.vectors.index.reconstruct_n(0, len(index))
    after = search.open_index([library[0]], USE, method, library[1], print, False)
    assert np.allclose(after.vectors.index.reconstruct_n(0, len(index)), stored) and len(after) == len(index) + 1
    question = read_encyclo11("passages", "zh")[0]["questions"][0]["text"]
    plain, other = index.search(question), after.search(question)
    assert [hit["score"] for hit in plain] != [hit["score"] for hit in other] and after.title == f"{USE}, {method}"
    monkeypatch.setattr(search.experiment, "embed_fitted", None)  # not fitted again
    search.open_index([library[0]], USE, method, library[1], print, False)
    (library[0] / "fr.txt").unlink()


def test_the_command_line_answers_as_json_and_as_text_and_compares(library, encoder, monkeypatch, capsys):
    monkeypatch.setattr(load, "load", lambda name: encoder)
    base = ["search", str(library[0]), "--encoder", USE, "--index", str(library[1]), "--top", "2"]
    cli.main([*base, "--query", "Woraus bestehen die Ringe des Saturn?", "--json", "--compare", USE])
    found = json.loads(capsys.readouterr().out)
    assert [part["encoder"] for part in found["encoders"]] == [USE, USE] and len(found["encoders"][0]["results"]) == 2
    assert set(found["encoders"][0]["results"][0]) == {"rank", "score", "file", "place", "text", "language", "certainty"}
    monkeypatch.setattr(sys, "stdin", open(os.devnull))
    lines = iter(["", "What are the rings of Saturn made of?"])
    monkeypatch.setattr("builtins.input", lambda prompt: next(lines, None) if prompt == "" else None)
    with contextlib.suppress(AttributeError):  # after the last line input() gives None
        cli.main(base)
    told = capsys.readouterr().out
    assert re.search(r"  1  0\.\d{3}  \w\w \d+%  .*\.txt, line \d+\n     \S", told)


def test_a_mistake_on_the_command_line_is_one_line(tmp_path):
    with pytest.raises(SystemExit, match="^error: there is no file or folder"):
        cli.main(["search", str(tmp_path / "nowhere")])


# The page


@pytest.fixture
def address(index):
    with webpage.server([index, index]) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_names_of_languages_say_how_sure():
    assert [webpage.language_name(*x) for x in (("de", 0.99), ("fr", 0.95), ("ar", 0.62), ("", 0.3))] == [
        "German", "fr", "Arabic, 62 % sure", "language unclear"]


def test_another_host_is_refused_and_nothing_else_is_served(address):
    for name, path, status in (("evil.example", "", 403), ("localhost", "", 200), ("127.0.0.1", "etc/passwd", 404)):
        try:
            answer = urlopen(Request(address + path, headers={"Host": name}))
        except OSError as error:
            answer = error
        assert answer.status == status
    assert urlopen(address).headers["Content-Security-Policy"].startswith("default-src 'none'")


@pytest.fixture
def visit(browser, address):
    """A function (query, width, ...) -> the page; nothing was asked of another address, and no script ran."""
    contexts, asked = [], []

    def visit(query="", width=1280, **options):
        contexts.append(browser.new_context(viewport={"width": width, "height": 800}, **options))
        page = contexts[-1].new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("dialog", lambda dialog: asked.append("a dialog"))
        page.goto(address + (f"?q={quote(query)}" if query else ""))
        return page

    yield visit
    for context in contexts:
        context.close()
    assert all(url.startswith((address, "data:")) for url in asked)


def test_a_query_is_typed_and_answered_with_the_keyboard_alone_and_without_a_script(visit):
    page = visit(java_script_enabled=False)
    page.locator("input[type=search]:focus").wait_for()
    page.keyboard.type("Woraus bestehen die Ringe des Saturn?")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=Woraus*")
    assert page.locator("section").count() == 2 and page.locator("section >> nth=0 >> li").count() == 10
    assert page.get_by_role("status").text_content() == "Query: German"
    assert page.get_by_role("searchbox").input_value() == "Woraus bestehen die Ringe des Saturn?"


def test_right_to_left_text_is_set_from_the_right_and_languages_are_labelled(visit):
    page = visit(read_encyclo11("passages", "ar")[0]["questions"][0]["text"])
    arabic = page.locator("p[lang=ar]").first
    assert arabic.evaluate("e => getComputedStyle(e).direction") == "rtl" and page.locator("p[lang=de]").first.evaluate(
        "e => getComputedStyle(e).direction") == "ltr"
    assert page.locator("li:has(p[lang=ar]) .language").first.text_content().startswith("Arabic")
    assert page.get_by_role("searchbox").evaluate("e => getComputedStyle(e).direction") == "rtl"


def test_markup_in_files_and_queries_stays_text(visit):
    page = visit(f"A text with markup {EVIL}")
    assert page.locator("img").count() == 0 and any(EVIL in text for text in page.locator("li p").all_text_contents())
    assert page.get_by_role("searchbox").input_value() == f"A text with markup {EVIL}"


@pytest.mark.parametrize("width, columns", [(390, 1), (1280, 2)])
def test_results_stand_side_by_side_where_there_is_room_and_nothing_overflows(visit, width, columns):
    page = visit("What are the rings of Saturn made of?", width)
    lefts = page.eval_on_selector_all("section", "all => all.map(e => e.getBoundingClientRect().left)")
    assert len(set(lefts)) == columns and page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_languages_of_passages_are_those_of_documents(index):
    assert set(index.passages.language) >= {"ar", "de", "en", "hi", "zh"} and documents.WORDS == 100
