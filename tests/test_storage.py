"""Files whole or not at all, whoever writes and whatever happens; fingerprints that see what counts."""

import ast
import multiprocessing
import os
import stat
import subprocess
import sys

import filelock
import pytest

from hybrid_batch import paths, storage


def test_a_file_that_fails_leaves_what_was_there_and_nothing_else(tmp_path):
    storage.write(tmp_path / "a.txt", "before")

    def parts():
        yield "half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        storage.write(tmp_path / "a.txt", parts())
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"] and (tmp_path / "a.txt").read_text() == "before"


def test_a_folder_takes_the_place_of_a_folder(tmp_path):
    for text in ("first", "second"):
        with storage.replacing(tmp_path / "folder") as partial:
            partial.mkdir()
            (partial / "file").write_text(text)
    assert (tmp_path / "folder" / "file").read_text() == "second" and [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_permissions_are_those_of_the_umask(tmp_path):
    before = os.umask(0o022)
    try:
        with storage.replacing(tmp_path / "folder") as partial:
            partial.mkdir()
        storage.write(tmp_path / "file", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644


def write_many(folder, number):
    for round_ in range(20):
        storage.write(folder / "same.txt", (f"{number}-{round_}\n" for _ in range(50)))


def test_processes_that_write_one_file_do_not_mix(tmp_path):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=write_many, args=(tmp_path, number)) for number in range(3)]
    [process.start() for process in processes]
    [process.join() for process in processes]
    assert all(process.exitcode == 0 for process in processes)
    lines = (tmp_path / "same.txt").read_text().splitlines()
    assert len(lines) == 50 and len(set(lines)) == 1 and len(list(tmp_path.iterdir())) == 1


def test_a_resumable_folder_keeps_what_an_interrupted_process_left(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        with storage.resumable(tmp_path / "run") as folder:
            (folder / "checkpoint").write_text("half")
            raise KeyboardInterrupt
    assert not (tmp_path / "run").exists()
    with storage.resumable(tmp_path / "run") as folder:
        assert (folder / "checkpoint").read_text() == "half"
    assert (tmp_path / "run" / "checkpoint").exists()


def test_a_lock_ends_with_the_process_that_holds_it(tmp_path):
    code = ("import os, sys; from hybrid_batch import storage; lock = storage.lock(sys.argv[1]); lock.acquire();"
            "print('held', flush=True); sys.stdin.read()")
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    holder.stdout.readline()
    with pytest.raises(filelock.Timeout), storage.lock(tmp_path / "lock", wait=False):
        pass
    holder.kill()
    holder.wait()
    with storage.lock(tmp_path / "lock"):
        pass


def test_a_checksum_is_of_contents_and_of_addresses_on_the_hub(tmp_path):
    (tmp_path / "a").write_text("x")
    first = storage.checksum([tmp_path / "a"])
    (tmp_path / "b").write_text("x")
    assert storage.checksum([tmp_path / "b"]) == first != storage.checksum([tmp_path / "a", "hf://datasets/o/n@1/a"])


def test_the_fingerprint_of_code_follows_imports_and_ignores_comments(tmp_path, monkeypatch):
    package = tmp_path / "hybrid_batch"
    package.mkdir()
    files = {"top": "from hybrid_batch import middle\n", "middle": "import hybrid_batch.base\n", "base": "X = 1\n", "other": "Y = 1\n"}
    for name, text in files.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.setattr(storage, "PACKAGE", package)

    def fingerprint():
        storage.code_fingerprint.cache_clear()
        return storage.code_fingerprint("top")

    first = fingerprint()
    (package / "other.py").write_text("Y = 2\n")
    (package / "base.py").write_text("# a comment\n\nX = 1  # another\n")
    assert fingerprint() == first
    (package / "base.py").write_text("X = 2\n")
    assert (second := fingerprint()) != first
    for name in ("data.yaml", "data.tsv"):
        (package / name).write_text("a\tb\n")
        assert (first := second) != (second := fingerprint())
    storage.code_fingerprint.cache_clear()


def test_the_fingerprint_of_an_experiment_covers_what_makes_its_figures():
    """Not a list kept by hand: what experiment imports, and what that imports."""
    found, waiting = set(), ["experiment"]
    while waiting:
        name = waiting.pop()
        path = paths.PACKAGE / f"{name.replace('.', '/')}.py"
        if name not in found and path.exists():
            found.add(name)
            waiting += storage.imports(ast.parse(path.read_text()))
    assert {"sampler", "losses", "trainer", "retrieval", "debias", "metrics", "statistics", "config", "data.readers",
            "data.encyclo11", "data.decontamination", "encoders.e5_q4", "encoders.weights"} <= found


def test_the_commit_is_that_of_this_repository_or_none(tmp_path, monkeypatch):
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    subprocess.run(["git", "init", "-q", tmp_path / "outer"], check=True)
    git = ["git", "-C", str(tmp_path / "outer"), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    for root, found in ((tmp_path / "outer", True), (inner, False)):
        storage.commit.cache_clear()
        monkeypatch.setattr(storage, "ROOT", root.resolve())
        assert bool(storage.commit()) == found
    storage.commit.cache_clear()
    monkeypatch.setenv("PATH", "")
    assert storage.commit() is None  # no git on the path
    storage.commit.cache_clear()
