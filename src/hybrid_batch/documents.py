"""From files to passages: text, Markdown, HTML, PDF, CSV and JSON lines, in any mix of languages.

A reader yields sections of a file, lists of (unit, number, paragraph): a page, a row, the text below a heading. A
passage lies within a section, is about 100 words long, and ends where a paragraph or a sentence does.
"""

import csv
import functools
import html.parser
import io
import itertools
import json
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path

import charset_normalizer

from hybrid_batch.data.sentences import sentences

WORDS = 100  # of a passage, about
LARGEST = 200 * 2 ** 20  # bytes of a file: it is read whole
SURE = 0.5  # least certainty with which a language is named
IDEOGRAPHS = re.compile("[\u3040-\u30ff\u3400-\u9fff]")      # two make a word, about
SYLLABLES = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")  # Thai, Lao, Burmese, Khmer: five make one
DIALECTS = {"arz": "ar", "ary": "ar", "apc": "ar", "wuu": "zh"}
BROKEN = 0.05  # of the characters beyond ASCII, at most, in a text that is UTF-8 all the same
CONFUSED = ("cp1252", "cp1253", "cp1254")  # Western, Greek, Turkish: often taken for others
HIDDEN = {"script", "style", "template", "noscript", "svg"}
BLOCKS = set("address article aside blockquote body br dd div dl dt figcaption footer form h1 h2 h3 h4 h5 h6 header hr li "
             "main nav ol option p pre section table td th title tr ul".split())
TEXT_FIELDS = ("text", "passage", "content", "body")  # of a record, besides its title; without any, all its texts are taken

logging.getLogger("pypdf").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Passage:
    """place: "line 12", "page 3" or "row 5", counted from 1. language: an ISO 639 code, or "" if no language has a
    probability of SURE; certainty: its probability."""

    place: str
    text: str
    language: str
    certainty: float


def find(sources, leave_out=()):
    """Files to read, sorted: those named, and all in the folders named, but hidden ones and those in the folders
    ``leave_out``. Raises FileNotFoundError if a source does not exist."""
    found, leave_out = set(), {Path(folder).resolve() for folder in leave_out}
    for source in map(Path, sources):
        if not source.exists():
            raise FileNotFoundError(f"there is no file or folder {source}: check the path, which is taken from {Path.cwd()}")
        if source.is_file():
            found.add(source.resolve())
        for folder, inside, names in os.walk(source.resolve()):
            inside[:] = [name for name in inside if name[0] != "." and Path(folder, name) not in leave_out]
            found.update(Path(folder, name) for name in names if name[0] != ".")
    return sorted(path for path in found if path.is_file())


def read(path, data, tell=lambda text: None):
    """Passages of a file, in order. data: its bytes; tell: a function that is told, in words, what was left out.
    Raises ValueError, in words, if it cannot be read as what its name says."""
    if len(data) > LARGEST:
        raise ValueError(f"larger than {LARGEST >> 20} MiB: split it into smaller files")
    reader = READERS.get(Path(path).suffix.lower(), _text)
    return [Passage(place, text, *detect_language(text))
            for section in reader(data, tell) for place, text in passages(section)]


def detect_language(text):
    """(ISO 639 code, probability) of a text's language, found by py3langid from its first 300 characters."""
    code, certainty = _identifier().classify(text[:300])
    return (DIALECTS.get(code, code) if certainty >= SURE else ""), round(certainty, 3)


@functools.cache
def _identifier():
    from py3langid.langid import MODEL_FILE, LanguageIdentifier
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def passages(section):
    """Yield (place, text) of the passages of a section. A passage without a letter is left out."""
    parts, size, place = [], 0, ""
    for unit, number, paragraph in section:
        for begin, end in _spans(paragraph.replace("\n", " ")):
            new = count_words(paragraph[begin:end])
            if parts and size + new > 1.25 * WORDS:
                yield place, " ".join(parts)
                parts, size = [], 0
            if not parts:
                place = f"{unit} {number + paragraph.count(chr(10), 0, begin) * (unit == 'line')}"
            parts.append(" ".join(paragraph[begin:end].split()))
            size += new
        if size >= WORDS / 2:
            yield place, " ".join(parts)
            parts, size = [], 0
    if any(map(str.isalpha, "".join(parts))):
        yield place, " ".join(parts)


def count_words(text):
    """The number of words, estimated where a script writes no spaces between them."""
    return len(text.split()) + len(IDEOGRAPHS.findall(text)) / 2 + len(SYLLABLES.findall(text)) / 5


def _spans(text):
    """(begin, end) of the sentences of a paragraph; one that is too long is cut at spaces, or else anywhere."""
    for begin, end in sentences(text):
        if (size := count_words(text[begin:end])) > 1.25 * WORDS:
            step = int((end - begin) * WORDS / size)
            while end - begin > 1.25 * step:
                cut = text.rfind(" ", begin + step // 2, begin + step)
                cut = cut if cut > 0 else begin + step
                yield begin, cut
                begin = cut
        yield begin, end


def decode(data):
    """(text, name of its encoding): UTF-8 or UTF-16 if it is that, else what charset-normalizer finds most likely, or
    one of CONFUSED in which the accented words look more like a language. Raises ValueError for what is no text."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace"), "utf-16"
    if b"\0" in data[:8192]:
        raise ValueError("a binary file, not text")
    text = data.decode("utf-8-sig", "replace")
    broken, foreign = text.count("\ufffd"), len(text) - len(text.encode("ascii", "ignore"))
    if broken <= foreign * BROKEN:
        return text, "utf-8" + f" with {broken} broken characters" * (broken > 0)
    best = charset_normalizer.from_bytes(data[:100_000]).best()
    if best is None:
        raise ValueError("neither UTF-8 nor text in an encoding that can be recognised: save it as UTF-8")
    found = {best.encoding: _certainty_of_accents(data, best.encoding)}
    found |= {name: _certainty_of_accents(data, name) for name in CONFUSED}
    encoding = max(found, key=found.get)
    return data.decode(encoding, "replace"), encoding


def _certainty_of_accents(data, encoding):
    """How surely the words with letters beyond ASCII are of some language, 0 to 1: less if they are decoded wrongly."""
    try:
        words = (word for word in data.decode(encoding).split() if not word.isascii())
    except UnicodeDecodeError:
        return 0
    return _identifier().classify(" ".join(itertools.islice(words, 60)))[1]


def _decoded(data, tell):
    text, encoding = decode(data)
    if encoding not in ("utf-8", "utf-16"):
        tell(f"not UTF-8: read as {encoding}, the most likely encoding")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _text(data, tell):
    """Paragraphs end at blank lines, sections before Markdown's headings."""
    section, lines, first = [], [], 1
    for number, line in enumerate([*_decoded(data, tell).split("\n"), ""], 1):
        heading = re.match("#{1,6} ", line)
        if (not line.strip() or heading) and lines:
            section.append(("line", first, "\n".join(lines)))
            lines = []
        if heading and section:
            yield section
            section = []
        if line.strip():
            first = first if lines else number
            lines.append(line)
    yield section


class _Html(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.sections, self.parts, self.hidden, self.line = [[]], [], 0, 0

    def handle_starttag(self, tag, attributes):
        self.hidden += tag in HIDDEN
        self.end_paragraph(tag)
        if re.fullmatch("h[1-6]", tag):
            self.sections.append([])

    def handle_endtag(self, tag):
        self.hidden = max(self.hidden - (tag in HIDDEN), 0)
        self.end_paragraph(tag)

    def handle_data(self, text):
        if not self.hidden:
            self.line = self.line if self.parts else self.getpos()[0] + len(text[:-len(text.lstrip()) or None].split("\n")) - 1
            self.parts.append(text)

    def end_paragraph(self, tag):
        if tag in BLOCKS:
            if text := " ".join("".join(self.parts).split()):
                self.sections[-1].append(("line", self.line, text))
            self.parts = []


def _html(data, tell):
    parser = _Html()
    parser.feed(_decoded(data, tell))
    parser.close()
    parser.end_paragraph("p")
    return parser.sections


def _pdf(data, tell):
    from pypdf import PdfReader
    try:
        pages = list(PdfReader(io.BytesIO(data)).pages)
    except Exception as error:  # it raises what it likes
        raise ValueError(f"not a readable PDF ({str(error) or type(error).__name__})") from None
    found = 0
    for number, page in enumerate(pages, 1):
        try:
            text = re.sub(r"(?<=\w)-\n(?=[^\W\d_])", "", page.extract_text())
        except Exception as error:
            tell(f"page {number} left out: not readable ({str(error) or type(error).__name__})")
            continue
        found += bool(text.strip())
        yield [("page", number, paragraph) for paragraph in re.split(r"\n\s*\n", text)]
    if not found:
        tell("a PDF without text, perhaps scanned: recognise its characters first")


def _csv(data, tell):
    """A section for each row below the heading, its cells joined; rows are numbered as a spreadsheet does."""
    text = _decoded(data, tell)
    try:
        dialect = csv.Sniffer().sniff(text[:8192], ",;\t|")
    except csv.Error:
        dialect = csv.excel
    try:
        for number, row in enumerate(csv.reader(io.StringIO(text), dialect), 1):
            if number > 1:
                yield [("row", number, " | ".join(cell.strip() for cell in row if cell.strip()))]
    except csv.Error as error:
        tell(f"left out from row {number + 1} on: {error}")


def _json_lines(data, tell):
    broken = []
    for number, line in enumerate(_decoded(data, tell).split("\n"), 1):
        try:
            record = json.loads(line) if line.strip() else ""
        except (json.JSONDecodeError, RecursionError):
            broken.append(number)
            continue
        if isinstance(record, dict) and any(field in record for field in TEXT_FIELDS):
            record = [record.get(field) for field in ("title", *TEXT_FIELDS)]
        yield [("line", number, " ".join(text.split())) for text in _texts(record)]
    if broken:
        tell(f"{len(broken)} lines left out: not JSON (the first is line {broken[0]})")


def _texts(value):
    """All texts in a JSON value, in order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


READERS = {".html": _html, ".htm": _html, ".xhtml": _html, ".pdf": _pdf, ".csv": _csv, ".tsv": _csv,
           ".jsonl": _json_lines, ".ndjson": _json_lines}
