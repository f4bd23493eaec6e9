"""Files of data sets, in a folder or on the Hugging Face Hub, and the records in them."""

import codecs
import csv
import glob
import gzip
import json
import re
import zlib
from collections import Counter
from pathlib import Path

import fsspec
import httpx2
import pyarrow as pa
import pyarrow.parquet as pq
from huggingface_hub import HfFileSystem, constants, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError


def locate(name, patterns, data=None, repo=None, revision=None, stream=False):
    """Find the files of a data set.

    patterns: file names in it, with wildcards. data: a folder that may hold the folder ``name``, taken first.
    repo, revision: a dataset repository of the Hub and one of its commits; downloaded once, and with ``stream`` read
        over the network without keeping it. Nothing that a repository holds is ever run.
    Returns fsspec addresses, sorted, by pattern. Raises FileNotFoundError that says what is missing and the remedy.
    """
    folder = Path(data or ".") / name
    if folder.is_dir():
        root, where = str(folder), f"folder {folder}"
    elif repo is None:
        raise FileNotFoundError(f"{name!r}: there is no folder {folder}; say with --data (in a notebook: the parameter "
                                f"data) which folder holds the folder {name!r}")
    else:
        where = f"repository {repo} at revision {revision}"
        root = _hub(name, repo, revision, patterns, stream)
    system, path = fsspec.url_to_fs(root)
    path = glob.escape(path)
    found = {pattern: [system.unstrip_protocol(f) for f in sorted(system.glob(f"{path}/{pattern}"))]
             for pattern in patterns}
    for pattern, files in found.items():
        if not files:
            raise FileNotFoundError(f"{name!r}: the {where} has no file {pattern!r}: check languages and split, or "
                                    f"whether the data set has another form by now")
        parts = Counter(part.groups() for file in files if (part := re.fullmatch(r"(.*)-\d{5}-of-(\d{5})\b.*", file)))
        for (start, total), number in parts.items():
            if number < int(total):
                raise FileNotFoundError(f"{name!r}: the {where} has only {number} of the {int(total)} parts of "
                                        f"{Path(start).name!r}: fetch the others too")
    return found


def _hub(name, repo, revision, patterns, stream):
    remedy = (f"check the revision and the network, or put the repository's files into a folder {name!r} and say with "
              f"--data which folder holds that one")
    try:
        if stream and not constants.HF_HUB_OFFLINE:
            HfFileSystem().ls(f"datasets/{repo}@{revision}", detail=False)  # fails now if it does not exist
            return f"hf://datasets/{repo}@{revision}"
        return snapshot_download(repo, repo_type="dataset", revision=revision, allow_patterns=list(patterns))
    except (LocalEntryNotFoundError, httpx2.TransportError):
        raise FileNotFoundError(f"{name!r}: the Hub's repository {repo} at revision {revision} is not on this machine "
                                f"and the Hub is out of reach: {remedy}") from None
    except (HfHubHTTPError, FileNotFoundError) as error:
        raise FileNotFoundError(f"{name!r}: the Hub has no repository {repo} at revision {revision} "
                                f"({type(error).__name__}): {remedy}") from None


def file_and_part(name):
    """The file and the part that ``mine.jsonl:train`` names; the part is "" where the name is that of no part of a file."""
    file, _, part = name.rpartition(":")
    return (file, part) if file.endswith(".jsonl") else (name, "")


def records(file, fields=(), columns=None):
    """Yield (where, record) for each record of a file, where being "file, line 3" or "file, row 3" for errors.

    file: an address; .jsonl, .json (a list of records, or one), .tsv, .csv, .parquet, each but the last also .gz.
    fields: what a record must have. columns: names of the columns of a table without a heading.
    Raises ValueError that names the file, the place and what is wrong with it.
    """
    short = file.removeprefix("file://")
    kind = Path(file.removesuffix(".gz")).suffix
    if kind not in READERS:
        raise ValueError(f"{short}: unknown kind of file; known are {', '.join(READERS)}, plain or .gz")
    number, unit = 0, "line" if kind in (".jsonl", ".tsv") else "row"
    try:
        with fsspec.open(file, "rb", compression="gzip" if file.endswith(".gz") else None) as stream:
            for number, record in READERS[kind](stream, columns):
                where = f"{short}, {unit} {number}"
                if not isinstance(record, dict):
                    raise ValueError(f"{where}: not a JSON object in braces ({record!r:.99}): "
                                     f"fix or remove it")
                for field in fields:
                    if field not in record:
                        raise _missing(where, record, repr(field))
                yield where, record
    except (json.JSONDecodeError, UnicodeError, gzip.BadGzipFile, zlib.error, EOFError, csv.Error) as error:
        raise ValueError(f"{short}, {unit} {number + 1}: not readable as {kind} ({error}): fix or fetch it "
                         f"again") from None
    except (httpx2.TransportError, HfHubHTTPError) as error:
        raise FileNotFoundError(f"{short}: not readable over the network ({type(error).__name__}): try again, or fetch "
                                f"the file and say with --data which folder holds the data set's") from None
    except pa.ArrowInvalid as error:
        raise ValueError(f"{short}: not a readable Parquet file ({error}): fetch it again") from None


def identifier(where, record, *fields):
    """The id of a record as a text, from the first of some fields that it has: ids of different files and types are
    compared as texts, without the spaces around them."""
    field = next((field for field in fields if field in record), None)
    if field is None:
        raise _missing(where, record, " or ".join(map(repr, fields)))
    value = record[field]
    if not isinstance(value, (str, int)) or isinstance(value, bool) or not str(value).strip():
        raise ValueError(f"{where}: field {field!r} must be a text or a whole number, not {value!r}: give it an id")
    return str(value).strip()


def text(where, record, field, empty=False):
    """A text of a record. empty: it may be without a letter."""
    if not isinstance(record[field], str) or not (empty or record[field].strip()):
        raise ValueError(f"{where}: field {field!r} must be a text{'' if empty else ' that is not empty'}, not "
                         f"{record[field]!r:.60}: fill it, or leave the record out")
    return record[field]


def whole_number(where, record, field):
    """A whole number of a record, however it is written: 2, 2.0, "2", "2.0"."""
    try:
        number = float("nan" if isinstance(record[field], bool) else record[field])
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if not number.is_integer():  # nor are infinities
        raise ValueError(f"{where}: {field} must be a whole number, not {record[field]!r}: fix it")
    return int(number)


def _missing(where, record, fields):
    return ValueError(f"{where}: no field {fields}, only {', '.join(map(str, record))}: rename it, or use the revision "
                      f"that this data set was pinned at")


def _load(content):
    """JSON from bytes. Half of a surrogate pair is no text and could not be written anywhere."""
    found = json.loads(content)
    if b"\\ud" in content or b"\\uD" in content:
        json.dumps(found, ensure_ascii=False).encode()
    return found


def _json_lines(stream, _):
    for number, line in enumerate(stream, 1):
        if line.strip(codecs.BOM_UTF8 + b" \t\r\n"):
            try:
                yield number, _load(line)
            except (json.JSONDecodeError, UnicodeError) as error:
                yield number, getattr(error, "msg", str(error))


def _json(stream, _):
    content = _load(stream.read())
    yield from enumerate(content if isinstance(content, list) else [content], 1)


def _table(stream, columns, delimiter):
    lines = (line.decode("utf-8" if number else "utf-8-sig") for number, line in enumerate(stream))
    start = 1
    if delimiter == "\t":  # no quoting: a quotation mark is a letter like any other
        start, splits = (1, len(columns) - 1) if columns else (2, -1)  # the last column may hold tabs
        rows = (line.rstrip("\r\n").split("\t", splits) for line in lines)
    else:
        rows = csv.reader(lines)  # counted by records: one may take several lines
    columns = columns or next(rows, [])
    for number, row in enumerate(rows, start):
        if any(cell.strip() for cell in row):  # else a blank line
            yield number, dict(zip(columns, row))


def _parquet(stream, _):
    number = 0
    try:
        for batch in pq.ParquetFile(stream).iter_batches(1000):
            for record in batch.to_pylist():
                number += 1
                yield number, record
    except OSError as error:
        if type(error) is not OSError:
            raise
        raise pa.ArrowInvalid(" ".join(str(error).split())) from None  # so Arrow says that a page is broken


READERS = {".jsonl": _json_lines, ".json": _json, ".parquet": _parquet,
           ".tsv": lambda stream, columns: _table(stream, columns, "\t"),
           ".csv": lambda stream, columns: _table(stream, columns, ",")}
