"""Documents made from our own corpus, read back as passages."""

import io
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_batch import documents
from hybrid_batch.data.encyclo11 import read_encyclo11
from hybrid_batch.data.languages import LANGUAGES


def texts(language, count=6):
    return [" ".join(entry["sentences"]) for entry in read_encyclo11("passages", language)[:count]]


def pdf(*pages):
    """A PDF with a line of text a page, written by hand: ASCII only."""
    objects, kids = ["<< /Type /Catalog /Pages 2 0 R >>", None, "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"], []
    for text in pages:
        stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET"
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
        objects.append(f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> "
                       f"/Contents {len(objects)} 0 R >>")
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>"
    out, offsets = io.BytesIO(b""), []
    out.write(b"%PDF-1.4\n")
    for number, body in enumerate(objects, 1):
        offsets.append(out.tell())
        out.write(f"{number} 0 obj\n{body}\nendobj\n".encode())
    start = out.tell()
    out.write(f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode())
    out.write("".join(f"{offset:010} 00000 n \n" for offset in offsets).encode())
    out.write(f"trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF".encode())
    return out.getvalue()


@pytest.mark.parametrize("language", LANGUAGES)
def test_passages_are_about_a_hundred_words_of_whole_sentences_and_nothing_is_lost(language):
    sentences = [s for entry in read_encyclo11("passages", language)[:30] for s in entry["sentences"]]
    found = documents.read("long.txt", " ".join(sentences).encode())
    sizes = [documents.count_words(part.text) for part in found]
    assert len(found) > 5 and max(sizes) <= 130 and min(sizes[:-1]) >= 35
    assert {part.language for part in found} == {language} and min(part.certainty for part in found) > 0.5
    assert "".join(" ".join(part.text for part in found).split()) == "".join(" ".join(sentences).split())


def test_paragraphs_stay_whole_and_places_are_lines():
    first, second, third = texts("en", 3)
    found = documents.read("a.md", f"# Title\n\n{first}\n\n## Next\n\n{second}\nsame paragraph\n\n\n{third}\n".encode())
    assert [part.place for part in found] == ["line 1", "line 5", "line 11"]
    assert found[0].text == f"# Title {first}" and found[1].text == f"## Next {second} same paragraph"


def test_the_line_of_a_passage_within_a_long_paragraph():
    lines = [sentence for entry in read_encyclo11("passages", "de")[:20] for sentence in entry["sentences"]]
    for part in documents.read("a.txt", "\n".join(lines).encode()):
        assert lines[int(part.place.split()[1]) - 1].startswith(part.text[:20])


@given(st.text(max_size=3000))
def test_any_text_is_cut_without_loss_of_letters(text):
    found = documents.read("a.txt", text.encode("utf-8", "ignore"))
    kept = "".join(c for part in found for c in part.text if c.isalpha())
    assert kept == "".join(c for c in text.encode("utf-8", "ignore").decode("utf-8-sig") if c.isalpha()) or "\0" in text


def test_text_without_spaces_or_marks_is_cut_too():
    assert max(len(part.text) for part in documents.read("a.txt", ("ก" * 9000).encode())) < 800
    assert max(len(part.text) for part in documents.read("a.txt", ("汉" * 9000).encode())) < 400
    assert 50 <= len(documents.read("a.txt", b"word " * 5000)) <= 52


def test_html_without_scripts_and_with_the_lines_of_its_paragraphs():
    first, second = texts("el", 2)
    page = (f"<html><head><title>T</title><script>var x = 'hidden';</script><style>p {{}}</style></head>\n<body>\n<h1>Heading</h1>"
            f"\n<p>\n{first}</p>\n<h2>Second &amp; last</h2><p>{second}<br>end")
    found = documents.read("a.html", page.encode())
    assert [(part.place, part.language) for part in found[1:]] == [("line 3", "el"), ("line 6", "el"), ("line 6", "")]
    assert found[1].text == f"Heading {first}" and [part.text for part in found[2:]] == [f"Second & last {second}", "end"]
    assert not any("hidden" in part.text for part in found)


def test_pages_of_a_pdf_and_what_is_wrong_with_a_broken_one():
    first, second = "The rings of Saturn are made of ice.", "Die Ringe bestehen aus Eis."
    assert [(part.place, part.text) for part in documents.read("a.pdf", pdf(first, second))] == [
        ("page 1", first), ("page 2", second)]
    told = []
    assert documents.read("a.pdf", pdf(""), told.append) == [] and "without text" in told[0]
    for data in (b"%PDF-1.4 nonsense", pdf(first)[:200], b""):
        with pytest.raises(ValueError, match="not a readable PDF"):
            documents.read("a.pdf", data)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_rows_are_numbered_as_in_a_spreadsheet(separator):
    arabic, hindi = texts("ar", 1)[0].replace("،", ""), texts("hi", 1)[0]
    data = f"id{separator}text\n1{separator}\"{arabic}\"\n2{separator}\"two\nlines\"\n3{separator}\"{hindi}\"\n"
    found = documents.read("a.csv", data.encode())
    assert found[0].place == "row 2" and found[0].text.startswith("1 | ") and found[0].language == "ar"
    assert [part.text for part in found if part.place == "row 3"] == ["2 | two lines"]
    assert found[-1].place == "row 4" and found[-1].language == "hi"


def test_json_lines_give_the_fields_that_hold_text_or_else_all_texts_and_broken_lines_are_told():
    told, lines = [], [{"title": "Saturn", "text": "Its rings", "id": "zzz"}, {"a": {"b": ["one", 2]}, "title": "three"}]
    data = "\n".join([json.dumps(lines[0]), "{broken", "", json.dumps(lines[1]), "also broken", '["in a list"]'])
    found = documents.read("a.jsonl", data.encode(), told.append)
    assert [(part.place, part.text) for part in found] == [("line 1", "Saturn Its rings"), ("line 4", "one three"),
                                                           ("line 6", "in a list")]
    assert told == ["2 lines left out: not JSON (the first is line 2)"]


@pytest.mark.parametrize("language, encoding", [("de", "latin-1"), ("es", "latin-1"), ("el", "cp1253"), ("ru", "cp1251"),
                                                ("ru", "koi8-r"), ("tr", "cp1254"), ("th", "cp874"), ("zh", "gbk")])
def test_other_encodings_are_recognised_and_told(language, encoding):
    told, text = [], "\n\n".join(texts(language, 4))
    data = text.encode(encoding, "replace")
    found = documents.read("a.txt", data, told.append)
    assert " ".join(part.text for part in found) == " ".join(data.decode(encoding).split())
    assert len(told) == 1 and told[0].startswith("not UTF-8: read as ")


def test_utf_8_with_a_character_cut_in_two_stays_utf_8():
    told, data = [], texts("ar", 1)[0].encode()
    for cut in (data[:-2], data[:101] + b"\xff" + data[101:]):
        found = documents.read("a.txt", cut, told.append)
        assert found[0].text[:40] == texts("ar", 1)[0][:40] and found[0].language == "ar"
    assert "read as utf-8 with 1 broken characters" in told[0] and len(told) == 2


def test_utf_16_and_byte_order_marks():
    for encoding in ("utf-8-sig", "utf-16"):
        assert documents.read("a.txt", "Ein Satz.".encode(encoding))[0].text == "Ein Satz."


def test_a_binary_file_and_one_that_is_too_large_are_refused_in_words(monkeypatch):
    with pytest.raises(ValueError, match="binary"):
        documents.read("a.bin", random.Random(0).randbytes(5000) + b"\0")
    monkeypatch.setattr(documents, "LARGEST", 10)
    with pytest.raises(ValueError, match="split it"):
        documents.read("a.txt", b"more than ten bytes")


def test_what_is_found_in_folders(tmp_path):
    for name in ("b.txt", "sub/a.md", ".hidden/c.txt", "sub/.d.txt", "index/e.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere")
    found = documents.find([tmp_path, tmp_path / "b.txt"], [tmp_path / "index"])
    assert [path.relative_to(tmp_path.resolve()).as_posix() for path in found] == ["b.txt", "sub/a.md"]
    with pytest.raises(FileNotFoundError, match="check the path"):
        documents.find([tmp_path / "nowhere"])


def test_languages_of_questions_are_recognised():
    """Short texts are the harder ones. Measured once on all 6,336 questions: 99.4 % right."""
    right = total = 0
    for language in LANGUAGES:
        for entry in read_encyclo11("passages", language)[::8]:
            for question in entry["questions"]:
                right += documents.detect_language(question["text"])[0] in (language, "")
                total += 1
    assert total > 700 and right / total > 0.99
    assert documents.detect_language("123 456") == ("", pytest.approx(0, abs=0.3))
