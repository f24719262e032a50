"""Readers: what each makes of a file, and how it refuses one that is damaged, hostile, or not what its name says."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import documents
import pytest

from kaizen_components import denial
from kaizen_components.evidence import extract, masking, readers
from kaizen_components.evidence.records import BLOCK_TYPES, METHODS

FILES = sorted((Path(__file__).resolve().parent.parent / "data" / "documents").iterdir())
BY_NAME = {path.name: path for path in FILES}
EXACT = ("notes.txt", "valve.py", "guide.md", "parts.csv")


def read(name: str, data: bytes | None = None, media_type: str | None = None) -> extract.Extract:
    return readers.read(BY_NAME[name].read_bytes() if data is None else data, name, media_type)


def shown(found: extract.Extract) -> list[tuple[str, str | None, str]]:
    return [(block.type, block.heading, block.text) for block in found.blocks]


# --- the contract of every reader -----------------------------------------------------------------


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_blocks_put_together_are_the_text_and_stand_where_they_say(path):
    found = readers.read(path.read_bytes(), path.name)
    text = extract.joined((block.text, block.tail) for block in found.blocks)
    assert text == found.text and "valve" in text.lower()
    for block in found.blocks:
        assert text[block.start : block.end] == block.text and block.text.strip()
        assert block.type in BLOCK_TYPES and block.method in METHODS and not block.tail.strip()
        assert (block.method, block.confidence) == (found.method, found.confidence)
    assert found.backend and found.version


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_same_bytes_are_read_the_same_way(path):
    assert readers.read(path.read_bytes(), path.name) == readers.read(path.read_bytes(), path.name)


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_text_is_the_characters_of_its_file(name, ends):
    text = BY_NAME[name].read_text(encoding="utf-8").replace("\n", ends)
    assert read(name, b"\xef\xbb\xbf" + text.encode()).text == text


CONFIDENCE = {"txt": 1.0, "md": 1.0, "py": 1.0, "csv": 1.0, "html": 0.9, "docx": 0.9, "xlsx": 0.9, "pdf": 0.8}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_how_sure_the_text_is(path):
    found = readers.read(path.read_bytes(), path.name)
    assert found.confidence == CONFIDENCE[path.suffix[1:]]
    assert found.method == ("pdftext" if path.suffix == ".pdf" else "native")


# --- each format ----------------------------------------------------------------------------------


def test_text_falls_into_paragraphs():
    found = read("x.txt", b"\n\n# One\n\nalpha\nbeta\n \t\n\n  gamma\n")
    assert shown(found) == [("SectionHeader", None, "\n\n# One"), ("Text", "One", "alpha\nbeta"), ("Text", "One", "  gamma")]
    assert found.blocks[1].tail == "\n \t\n\n"


def test_code_is_divided_before_lines_at_the_margin():
    body = "    x = 1\n\n    y = 2\n" * 20
    found = read("x.py", f"def one():\n{body}\n\nclass Two(Base):\n{body}".encode())
    assert [(block.type, block.heading) for block in found.blocks] == [("Code", "def one()"), ("Code", "class Two(Base)")]


def test_markdown_knows_headings_lists_tables_and_code():
    found = read("guide.md")
    assert found.title == "Boiler"
    assert [(block.type, block.heading) for block in found.blocks] == [
        ("Text", None),
        ("SectionHeader", None),
        ("Text", "Boiler"),
        ("Text", "Boiler"),
        ("SectionHeader", "Boiler"),
        ("ListItem", "Boiler > Valve"),
        ("Table", "Boiler > Valve"),
        ("Code", "Boiler > Valve"),
        ("SectionHeader", "Boiler"),
        ("Text", "Boiler > Pressure"),
    ]


def test_markdown_lines_end_where_markdown_says():
    text = "# A\n\none\x0btwo\x85three\u2028four\n\n## B\n\nfive\n"
    found = read("x.md", text.encode())
    assert found.text == text
    assert shown(found)[1:3] == [("Text", "A", "one\x0btwo\x85three\u2028four"), ("SectionHeader", "A", "## B")]


def test_a_long_markdown_file_is_parsed_in_pieces_that_change_nothing(monkeypatch):
    from kaizen_components.evidence.readers import markdown

    text = "".join(f"# H{n}\n\ntext {n}\n\n```\n# no heading {n}\n\nx\n```\n\n- a\n- b\n\n" for n in range(200)).encode()
    whole = read("x.md", text)
    monkeypatch.setattr(markdown, "PIECE", 100)
    assert read("x.md", text).blocks == whole.blocks
    assert not any(block.heading and "no heading" in block.heading for block in whole.blocks)


def test_a_page_is_what_its_reader_sees():
    found = read("page.html")
    assert found.title == "Boiler & valve"
    assert shown(found) == [
        ("SectionHeader", None, "Boiler"),
        ("Text", "Boiler", "It heats the house.\nTwice a day."),
        ("SectionHeader", "Boiler", "Valve"),
        ("ListItem", "Boiler > Valve", "turn it left"),
        ("ListItem", "Boiler > Valve", "turn it right"),
        ("Code", "Boiler > Valve", "valve.turn()\n  again"),
        ("Table", "Boiler > Valve", "part | price\nvalve | 12"),
    ]


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p>a<p>b<div>c", "a\n\nb\n\nc"),
        ("<nav>never closed <p>a", "never closed\n\na"),
        ('<p title="a > b">c</p>', "c"),
        ("<p>1 < 2 &lt; 3 &#x41;&#99999999999;</p>", "1 < 2 < 3 A\ufffd"),
        ("<!-- <p>no</p> --><p>yes<!-- open", "yes"),
        ("<script>'</p>'</script>x<style>y", "x"),
        ('<h1>A<a class="headerlink" href="#a">¶</a></h1>', "A"),
        ("<nav>n</nav><p>p</p><main><p>" + "m" * 200 + "</p></main>", "m" * 200),
        ("<p>a&#0;b&#" + "9" * 5000 + ";</p>", "a&#0;b&#" + "9" * 5000 + ";"),
        ("<table><tr><td>a<p>b</p><td>c<tr><td>d</table>e", "a b | c\nd\n\ne"),
    ],
)
def test_a_page_in_any_state_is_read(page, text):
    assert read("x.html", page.encode()).text == text


def test_a_page_says_which_characters_it_is_made_of():
    page = '<meta charset="iso-8859-1"><p>Größe</p>'.encode("latin-1")
    assert read("x.html", page).text == "Größe"
    assert readers.read(page[30:], "x", "text/html; charset=latin-1").text == "Größe"
    with pytest.raises(denial.FileNotUtf8):
        read("x.html", page[30:])


def test_csv_is_divided_between_rows_under_its_columns():
    rows = "".join(f'{n};"two\nlines";x\n' for n in range(120))
    found = read("x.csv", f"number;words;mark\n{rows}".encode())
    assert [block.heading for block in found.blocks] == ["number, words, mark"] * 3
    assert all(block.text.count('"') % 2 == 0 for block in found.blocks)


def test_a_csv_field_has_an_end():
    with pytest.raises(denial.DocumentUnreadable):
        read("x.csv", b'a,"' + b"x" * 200_000)


def test_a_pdf_block_knows_its_page_and_its_bookmark():
    found = read("manual.pdf")
    assert found.title == "Boiler manual"
    assert [(block.page, block.heading) for block in found.blocks] == [(1, "Boiler"), (2, "Boiler > Valve")]


def test_a_letter_is_read_in_its_order():
    assert shown(read("letter.docx")) == [
        ("SectionHeader", None, "Boiler"),
        ("Text", "Boiler", "It heats the house."),
        ("SectionHeader", "Boiler", "Valve"),
        ("ListItem", "Boiler > Valve", "turn it left"),
        ("Table", "Boiler > Valve", "part | price\nvalve | 12"),
        ("Text", "Boiler > Valve", "Turn it twice."),
    ]


def test_a_sheet_is_read_row_by_row():
    found = read("parts.xlsx")
    assert shown(found)[0] == ("Table", "Parts", "part | price | since\nvalve | 12 | 2026-01-02\npump | 80.5")
    assert found.blocks[1].page == 2


# --- limits ---------------------------------------------------------------------------------------


def test_long_blocks_are_cut_and_many_short_ones_are_joined():
    long = read("x.txt", b"word " * 50_000)
    assert len(long.blocks) == 3 and max(len(block.text) for block in long.blocks) <= extract.LONGEST_BLOCK
    many = read("x.txt", b"a\n\n" * 100_000)
    assert len(many.blocks) <= extract.MOST_BLOCKS and many.text == "a\n\n" * 100_000


@pytest.mark.parametrize(
    ("name", "piece"),
    [
        ("x.html", b"<!--"),
        ("x.html", b'<a "'),
        ("x.html", b"<a '\""),
        ("x.html", b"<script>"),
        ("x.html", b"</"),
        ("x.html", b"<div>"),
        ("x.html", b"<table><td>"),
        ("x.md", b"> "),
        ("x.md", b"- "),
        ("x.md", b"[a]("),
        ("x.md", b"`"),
        ("x.md", b"|a"),
        ("x.md", b"\n```\n"),
        ("x.txt", b"\n \n"),
        ("x.txt", b"\r"),
        ("x.py", b"\n    "),
        ("x.csv", b'"",'),
        ("x.md", b"* "),
    ],
)
def test_hostile_text_takes_time_in_proportion(name, piece):
    def seconds(times: int) -> float:
        start = time.process_time()
        with contextlib.suppress(denial.Denial):
            read(name, piece * times + b"end")
        return time.process_time() - start

    seconds(100)
    small, large = seconds(2_500), seconds(20_000)
    assert large < 0.15 or large < 24 * small, (small, large)


def test_a_large_file_is_refused_before_it_is_read(monkeypatch):
    monkeypatch.setenv("KAIZEN_MAX_DOCUMENT_BYTES", "100")
    monkeypatch.setenv("KAIZEN_MAX_PDF_BYTES", "50")
    for name, limit in (("notes.txt", 100), ("manual.pdf", 50)):
        with pytest.raises(denial.FileTooLarge) as refused:
            read(name)
        assert refused.value.detail["limit"] == limit
    monkeypatch.setenv("KAIZEN_MAX_PDF_BYTES", "many")
    with pytest.raises(denial.EnvironmentInvalid):
        read("manual.pdf")


def test_a_text_has_an_end(monkeypatch):
    monkeypatch.setattr(extract, "MOST_TEXT", 1_000)
    with pytest.raises(denial.FileTooLarge):
        read("x.txt", b"word " * 300)


def test_a_page_of_too_many_tags_is_refused(monkeypatch):
    from kaizen_components.evidence.readers import html

    monkeypatch.setattr(html, "TAGS", 100)
    with pytest.raises(denial.FileTooLarge):
        read("x.html", b"<p>" * 101)


# --- what is refused ------------------------------------------------------------------------------

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
MANUAL, LETTER, PARTS = (BY_NAME[name].read_bytes() for name in ("manual.pdf", "letter.docx", "parts.xlsx"))


def lying(data: bytes, name: bytes, size: int) -> bytes:
    """An archive whose directory says that a part is small."""
    for mark, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = 0
        while (start := data.find(mark, start)) >= 0:
            header = 30 if mark == b"PK\x03\x04" else 46
            if data[start + header :].startswith(name):
                data = data[: start + at] + size.to_bytes(4, "little") + data[start + at + 4 :]
            start += 4
    return data


REFUSED = {
    "binary.txt": (PNG, denial.UnsupportedMedia),
    "binary.md": (PNG, denial.UnsupportedMedia),
    "binary.html": (PNG, denial.UnsupportedMedia),
    "nul.txt": (b"a\0b", denial.UnsupportedMedia),
    "latin.txt": ("Größe".encode("latin-1"), denial.FileNotUtf8),
    "latin.csv": ("Größe;1\n".encode("latin-1"), denial.FileNotUtf8),
    "empty.txt": (b"", denial.NoBlocks),
    "blank.md": (b" \n\n", denial.NoBlocks),
    "script.html": (b"<script>x</script>", denial.NoBlocks),
    "picture.png": (PNG, denial.UnsupportedMedia),
    "text.pdf": (b"Not a PDF.\n", denial.PdfUnreadable),
    "half.pdf": (MANUAL[:700], denial.PdfUnreadable),
    "head.pdf": (b"%PDF-1.7\n", denial.PdfUnreadable),
    "locked.pdf": (documents.encrypted(documents.pdf("x")), denial.PdfEncrypted),
    "scanned.pdf": (documents.pdf("", ""), denial.PdfNoText),
    "bomb.pdf": (documents.pdf_bomb(200_000_000), (denial.PdfUnreadable, denial.PdfNoText)),
    "png.docx": (PNG, denial.DocumentUnreadable),
    "old.docx": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), denial.DocumentUnreadable),
    "sheet.docx": (PARTS, denial.DocumentUnreadable),
    "letter.xlsx": (LETTER, denial.DocumentUnreadable),
    "half.docx": (LETTER[: len(LETTER) // 2], denial.DocumentUnreadable),
    "bomb.docx": (documents.with_part(LETTER, "word/media/x.xml", bytes(60_000_000)), denial.FileTooLarge),
    "lying.docx": (
        lying(documents.with_part(LETTER, "word/x.xml", bytes(9_000_000)), b"word/x.xml", 10),
        denial.DocumentUnreadable,
    ),
    "crowded.docx": (documents.archive({f"{n}": "" for n in range(6_000)}), denial.FileTooLarge),
    "laughs.docx": (documents.with_part(LETTER, "word/document.xml", documents.laughs("w")), denial.DocumentUnreadable),
    "laughs.xlsx": (documents.with_part(PARTS, "xl/sharedStrings.xml", documents.laughs("sst")), denial.DocumentUnreadable),
    "laughs16.xlsx": (
        documents.with_part(PARTS, "xl/workbook.xml", documents.laughs("sst").decode().encode("utf-16")),
        denial.DocumentUnreadable,
    ),
    "broken.docx": (documents.with_part(LETTER, "word/document.xml", b"<w:document"), denial.DocumentUnreadable),
    "broken.xlsx": (documents.with_part(PARTS, "xl/workbook.xml", b"<workbook"), denial.DocumentUnreadable),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused(name):
    data, refusal = REFUSED[name]
    with pytest.raises(refusal) as refused:
        read(name, data)
    assert refused.value.detail.get("name", name) == name and refused.value.required_action


@pytest.mark.slow
def test_a_pdf_of_ten_thousand_pages_is_refused_by_their_number():
    with pytest.raises(denial.PdfTooManyPages) as refused:
        read("x.pdf", documents.pdf(*["x"] * 10_000))
    assert refused.value.detail["pages"] == 10_000 and refused.value.detail["limit"] == 500


def test_how_many_pages_a_pdf_may_have_can_be_said(monkeypatch):
    monkeypatch.setenv("KAIZEN_MAX_PDF_PAGES", "1")
    with pytest.raises(denial.PdfTooManyPages):
        read("manual.pdf")


def test_a_reader_that_never_ends_is_ended(monkeypatch):
    from kaizen_components.evidence.readers import apart

    monkeypatch.setattr(apart, "PATIENCE", 0.2)
    monkeypatch.setattr(apart, "_START", "import time; time.sleep(60)")
    with pytest.raises(denial.PdfUnreadable) as refused:
        read("manual.pdf")
    assert "seconds" in refused.value.detail["reason"]


def test_a_sheet_that_lies_about_its_size_is_read_as_it_is():
    import re
    import zipfile
    from io import BytesIO

    sheet = zipfile.ZipFile(BytesIO(PARTS)).read("xl/worksheets/sheet1.xml")
    huge = re.sub(rb'<dimension ref="[^"]*"', b'<dimension ref="A1:XFD1048576"', sheet)
    assert huge != sheet
    assert read("x.xlsx", documents.with_part(PARTS, "xl/worksheets/sheet1.xml", huge)).text.startswith("part | price")


@pytest.mark.parametrize(("name", "package"), [("manual.pdf", "pypdf"), ("letter.docx", "docx"), ("parts.xlsx", "openpyxl")])
def test_without_its_package_a_format_says_what_to_install(name, package, without):
    without(package)
    with pytest.raises(denial.BackendUnavailable) as refused:
        read(name)
    assert refused.value.required_action == "python -m pip install -r requirements-evidence.txt"
    assert refused.value.detail["package"]


def test_a_file_is_known_by_its_name_or_its_media_type():
    assert readers.format_of("README") is readers.TEXT and readers.format_of("Makefile") is readers.TEXT
    assert readers.format_of("x.PDF") is readers.PDF and readers.format_of("a.tar.gz") is None
    assert readers.format_of("index", "text/html; charset=utf-8") is readers.HTML
    assert readers.format_of("x.md", "text/plain") is readers.MARKDOWN
    assert readers.format_of("x.pdf", "application/octet-stream") is readers.PDF
    assert readers.format_of("x.html", "image/png") is None


# --- masking --------------------------------------------------------------------------------------

KEY = "AKIA" + "ABCDEFGHIJKLMNOP"


def test_a_secret_is_covered_and_nothing_moves():
    found = read("x.md", f"# T\n\nbefore\n\nthe key is {KEY}.\n\nafter\n".encode())
    hidden = masking.masked(found)
    assert KEY not in hidden.text and len(hidden.text) == len(found.text)
    (kind, start, end) = hidden.masked[0]
    assert kind == "aws_access_key" and found.text[start:end] == KEY and hidden.text[start:end] == "*" * len(KEY)
    assert [(block.start, block.end) for block in hidden.blocks] == [(block.start, block.end) for block in found.blocks]
    assert extract.joined((block.text, block.tail) for block in hidden.blocks) == hidden.text


def test_a_secret_in_a_heading_is_in_no_path():
    hidden = masking.masked(read("x.md", f"# Key {KEY}\n\ntext\n".encode()))
    assert KEY not in repr(hidden)


def test_a_key_over_many_lines_keeps_its_line_ends():
    text = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEpAIBAAKCAQEA7bq\n" * 5 + "-----END RSA PRIVATE KEY-----\nrest\n"
    hidden, findings = masking.covered(text)
    assert hidden.count("\n") == text.count("\n") and hidden.endswith("*\nrest\n") and findings[0].kind == "private_key_block"


def test_what_was_covered_is_covered_for_good():
    text = f'password = "hunter2{KEY}x9" token: "{KEY}"\n' * 3
    hidden, _ = masking.covered(text)
    assert KEY not in hidden and masking.covered(hidden) == (hidden, masking.covered(hidden)[1]) and len(hidden) == len(text)
