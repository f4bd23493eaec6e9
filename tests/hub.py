"""A cache of the Hugging Face Hub with small repositories in it: what a loader downloads, without a network."""

import csv
import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A function (repo, revision, {path: content}) -> folder that puts a data set into a cache of its own, as
    huggingface_hub lays it out, in offline mode. content: see ``write``."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    def add(repo, revision, files):
        folder = tmp_path / "hub" / f"datasets--{repo.replace('/', '--')}"
        for path, content in files.items():
            write(folder / "snapshots" / revision / path, content)
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / "main").write_text(revision)
        return folder / "snapshots" / revision

    return add


def write(path, content):
    """Write a file in the form that its suffix names, compressed if that ends in .gz.

    content: bytes and text as they are; else a list of dicts, for .jsonl, .json, .csv, .tsv (with a heading) and
    .parquet; a list of lists for a table without a heading; anything for .json.
    """
    path = Path(path)
    kind = Path(path.name.removesuffix(".gz")).suffix
    if isinstance(content, str):
        content = content.encode()
    elif not isinstance(content, bytes):
        content = WRITERS[kind](content)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def _json_lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _csv(rows):
    stream = io.StringIO()
    csv.writer(stream).writerows(_cells(rows))
    return stream.getvalue().encode()


def _tsv(rows):
    return "".join("\t".join(map(str, row)) + "\n" for row in _cells(rows)).encode()


def _cells(rows):
    return [list(rows[0]), *(row.values() for row in rows)] if rows and isinstance(rows[0], dict) else rows


def _parquet(rows):
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), stream)
    return stream.getvalue()


WRITERS = {".jsonl": _json_lines, ".json": lambda content: json.dumps(content, ensure_ascii=False).encode(),
           ".csv": _csv, ".tsv": _tsv, ".parquet": _parquet}
