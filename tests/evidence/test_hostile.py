"""Hostile and careless sources: what is made to be run, to keep it busy, to lead astray or to be forgotten."""

from __future__ import annotations

import contextlib
import gzip
import io
import ipaddress
import os
import subprocess
import sys
import time
from pathlib import Path

import documents
import pages
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaizen_components import denial, output, progress, web
from kaizen_components.evidence import chunkers, chunks, citations, extract, ingest, readers
from kaizen_components.evidence.chunkers import sentence
from kaizen_components.evidence.extract import Block, placed
from kaizen_components.evidence.readers import apart

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENTS = ROOT / "tests" / "data" / "documents"
KEY = "AKIA" + "QWERTYUIOPASDFGH"


@pytest.fixture(autouse=True)
def made(kz):
    kz.ok("K1")


def found(kz, query: str) -> int:
    return len(kz.ok("E4", query=query)["records"])


# --- readers --------------------------------------------------------------------------------------


def test_a_module_in_the_current_folder_is_not_run(tmp_path, monkeypatch):
    (tmp_path / "pypdf.py").write_text("open('ran', 'w')\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert readers.read((DOCUMENTS / "manual.pdf").read_bytes(), "manual.pdf").blocks
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="a limit of the system")
def test_a_reader_gets_so_much_memory_and_no_more():
    code = "from kaizen_components.evidence.readers import apart; apart._limit_memory(); bytearray(apart.MEMORY)"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 1 and ended.stderr.strip().endswith("MemoryError")


def test_a_reader_that_does_not_start_is_a_refusal(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(denial.PdfUnreadable) as refused:
        readers.read((DOCUMENTS / "manual.pdf").read_bytes(), "manual.pdf")
    assert "could not be started" in refused.value.detail["reason"]


def test_a_name_may_be_longer_than_a_command_line():
    assert readers.read((DOCUMENTS / "manual.pdf").read_bytes(), "x" * 300_000 + ".pdf").blocks


def test_many_short_paragraphs_are_few_blocks(monkeypatch):
    for module in (extract, apart):
        monkeypatch.setattr(module, "MOST_BLOCKS", 100)
    count = 1_000
    paragraphs = "".join(f"<w:p><w:r><w:t>{n * 7919 % 1_000_003}</w:t></w:r></w:p>" for n in range(count))
    body = f'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>{paragraphs}</w:body>'
    data = documents.with_part((DOCUMENTS / "letter.docx").read_bytes(), "word/document.xml", f"{body}</w:document>".encode())
    read = readers.read(data, "x.docx")
    assert len(read.blocks) <= 100
    assert read.text.split() == [str(n * 7919 % 1_000_003) for n in range(count)]


def test_a_table_in_a_table_is_read_once():
    import docx

    document = docx.Document()
    table = document.add_table(1, 2)
    table.cell(0, 0).text = "outer"
    table.cell(0, 1).add_table(1, 1).cell(0, 0).text = "inner"
    data = io.BytesIO()
    document.save(data)
    assert readers.read(data.getvalue(), "x.docx").text.split() == ["outer", "|", "inner"]


@pytest.mark.parametrize("charset", ["punycode", "idna", "utf-7", "unicode_escape", "raw-unicode-escape", "undefined", "hex"])
def test_a_page_in_an_encoding_of_no_text_is_refused_at_once(charset):
    start = time.perf_counter()
    with pytest.raises(denial.FileNotUtf8):
        readers.read(b"a" * 200_000 + b"-" + b"a" * 200_000, "x", f"text/plain; charset={charset}")
    with pytest.raises(denial.FileNotUtf8):
        readers.read(f"<meta charset={charset}>{'a' * 200_000}-{'a' * 200_000}".encode(), "x.html")
    assert time.perf_counter() - start < 1


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such files")
def test_a_pipe_is_not_waited_for(kz, plane):
    os.mkfifo(plane / "pipe.txt")
    assert "pipe" in kz.denied("DENIED_FILE_NOT_FOUND", "E1", path="pipe.txt")["reason"]
    (plane / "zero.txt").symlink_to("/dev/zero")
    kz.denied("DENIED_FILE_NOT_FOUND", "E1", path="zero.txt", allow_external=True)
    assert [entry["path"] for entry in kz.ok("E6", path=".")["refused"]] == ["pipe.txt"]


def test_a_folder_may_hold_files_whose_names_cannot_be_kept(kz, plane):
    folder = plane / "docs"
    folder.mkdir()
    names = [f"a {KEY}.txt", "line\nend.txt", "esc\x1b[31m.txt"]
    with contextlib.suppress(OSError):
        # Not every file system takes it.
        (folder / os.fsdecode(b"half\xff.txt")).write_text("half", encoding="utf-8")
    for name in names:
        (folder / name).write_text(f"Text of {name[:3]}.", encoding="utf-8")
    (folder / os.fsdecode(b"\xffempty.pdf")).write_bytes(b"no pdf")
    first = kz.ok("E6", path="docs", chunker="recursive", key="once")
    assert first["ingested"] == len(list(folder.glob("*.txt"))) and first["refused_count"] == 1
    assert kz.ok("E6", path="docs", chunker="recursive", key="once")["replayed"]
    assert kz.ok("E6", path="docs", chunker="recursive")["ingested"] == 0
    for path in (plane / "AI").rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path
    # What cannot be found by the name that was kept is neither missing nor drifted.
    checked = kz.ok("E8", strict=True)
    assert checked["missing"] == checked["drifted"] == 0 and checked["not_checked"] >= 1
    assert kz.ok("V1")["status"] == "OK"


def test_two_files_of_which_the_same_name_was_kept_stand_side_by_side(kz, plane):
    for tail in ("QWERTYUIOPASDFGH", "ABCDEFGHIJKLMNOP"):
        (plane / f"AKIA{tail}.txt").write_text(f"Of {tail[:3]}.", encoding="utf-8")
    assert kz.ok("E6", path=".")["ingested"] == 2
    assert kz.ok("E6", path=".") | {"warnings": None} == kz.ok("E6", path=".") | {"warnings": None}
    assert [row["status"] for row in kz.ok("E7")["records"]] == ["active", "active"]


def test_a_call_with_a_key_is_answered_again_when_the_file_is_gone(kz, plane):
    path = plane / "a.txt"
    path.write_text("Boilers.", encoding="utf-8")
    first = kz.ok("E1", path="a.txt", key="once")
    path.unlink()
    again = kz.ok("E1", path="a.txt", key="once")
    assert again["replayed"] and again["id"] == first["id"]
    kz.denied("DENIED_FILE_NOT_FOUND", "E1", path="a.txt")


def test_one_file_read_by_two_at_once_is_one_document(process, kz, plane):
    (plane / "a.txt").write_text("Boilers.", encoding="utf-8")
    argv = [sys.executable, str(ROOT / "kaizen.py"), "E1", "--path", "a.txt", "--chunker", "recursive", "--json"]
    both = [subprocess.Popen(argv, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [one.wait(60) for one in both] == [0, 0]
    assert kz.ok("E7")["count"] == 1 and kz.ok("V1")["status"] == "OK"


def test_a_name_on_a_terminal_is_no_command(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for name in ("a\x1b]0;title\x07\nb.txt", os.fsdecode(b"title\xff.txt")):
        terminal = Terminal()
        monkeypatch.setattr("sys.stderr", terminal)
        monkeypatch.setattr(output, "_stdout_is_free", True)
        with progress.bar("Reading", 1) as show:
            show(1, name)
        assert "title" in terminal.getvalue() and "\x1b]0;" not in terminal.getvalue()


# --- documents in and out of use ------------------------------------------------------------------


@pytest.mark.parametrize("status", ["archived", "obsolete", "superseded", "retired"])
def test_a_document_whose_status_is_over_is_in_no_search_and_comes_back(kz, plane, status):
    (plane / "a.txt").write_text("Boilers of steel.", encoding="utf-8")
    document = kz.ok("E1", path="a.txt", chunker="recursive")["id"]
    kz.ok("E9", id=document, status=status)
    assert found(kz, "boilers") == 0
    kz.ok("E9", id=document, status="active")
    assert found(kz, "boilers") == 1


def test_a_document_that_another_took_the_place_of_can_be_used_again(kz, plane):
    path = plane / "a.txt"
    path.write_text("Boilers of steel.", encoding="utf-8")
    document = kz.ok("E1", path="a.txt", chunker="token")["id"]
    kz.ok("E3", id=document)
    path.write_text("Pumps of brass.", encoding="utf-8")
    kz.ok("E1", path="a.txt")
    assert found(kz, "boilers") == 0
    kz.ok("E9", id=document, status="active")
    assert found(kz, "boilers") == 1
    used = {row["status"]: row["chunker"] for row in kz.ok("E11", id=document)["records"]}
    assert used == {"active": "recursive"} and kz.ok("E3", id=document)["already"]


def test_every_verdict_on_a_chunk_of_a_superseded_document(kz, plane):
    path = plane / "a.txt"
    text = "The valve opens at seven bar.\n\nIt closes at two.\n"
    path.write_text(text, encoding="utf-8")
    document = kz.ok("E1", path="a.txt", chunker="recursive")["id"]
    chunk = kz.ok("E11", id=document)["records"][0]["id"]

    def verdict() -> tuple[str, int | None]:
        shown = kz.ok("E5", id=chunk)
        return shown["citation"]["state"], shown["citation"]["start"]

    assert verdict() == ("stands", 0)
    path.write_text("New.\n\n" + text, encoding="utf-8")
    kz.ok("E1", path="a.txt")
    assert kz.ok("E5", id=chunk)["record"]["status"] == "superseded" and verdict() == ("moved", 6)
    path.write_text("Something else.\n", encoding="utf-8")
    assert verdict() == ("gone", None)
    path.write_text(text, encoding="utf-8")
    assert verdict() == ("stands", 0)
    path.unlink()
    assert verdict()[0] == "source_missing"
    path.mkdir()
    assert verdict()[0] == "source_missing"


def test_strict_says_what_drifted_went_missing_and_came_back(kz, plane):
    path = plane / "a.txt"
    path.write_text("Boilers.", encoding="utf-8")
    document = kz.ok("E1", path="a.txt", chunker="recursive")["id"]

    def checked() -> tuple[int, str, int, int, str]:
        reply = kz("E8", strict=True)
        status = kz.ok("E5", id=document)["record"]["status"]
        return reply.code, reply["status"], reply["marked"], reply["drifted"] + reply["missing"], status

    assert checked() == (0, "OK", 0, 0, "active")
    path.write_text("Pumps.", encoding="utf-8")
    assert checked() == (1, "FAILED", 1, 1, "drifted")
    assert checked() == (1, "FAILED", 0, 1, "drifted")
    path.unlink()
    assert checked() == (1, "FAILED", 0, 1, "drifted")
    assert kz("E8").code == 0
    path.write_text("Boilers.", encoding="utf-8")
    assert checked() == (0, "OK", 1, 0, "active") and found(kz, "boilers") == 1


def test_pieces_that_all_begin_alike_are_looked_for_in_proportion():
    old = "".join("a" * 1_000 + f"{n * 7919:024d}" for n in range(300))
    cuts = chunks.cut(placed([Block("Text", old)]), chunkers.opened("recursive"))
    pieces = [{"id": str(n), "text": cut.text, "start_index": cut.start, "end_index": cut.end} for n, cut in enumerate(cuts)]
    assert len(pieces) > citations.ALIKE
    start = time.perf_counter()
    assert citations.gone("a" * len(old), pieces) == [piece["id"] for piece in pieces]
    assert citations.gone("x" + old[1_000_000 // 4 :] + old, pieces) == []
    assert time.perf_counter() - start < 2


# --- chunkers -------------------------------------------------------------------------------------

SENTENCES = st.lists(st.sampled_from(["Boil. ", "a b ", "x" * 90, "\n", "So? ", "é! ", " ", "\n\n", "word " * 40]), max_size=400)


@settings(max_examples=40, deadline=None)
@given(SENTENCES, st.integers(300, 3_000))
def test_sentences_are_the_same_however_much_is_cut_at_once(parts, size):
    text = "".join(parts)
    source = chunkers.Source(text, placed([Block("Text", text)]))
    whole = list(chunkers.opened("sentence").spans(source))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sentence, "AT_ONCE", size)
        assert list(chunkers.opened("sentence").spans(source)) == whole


LINES = st.lists(
    st.sampled_from(
        [
            "def f():\n    return 1\n",
            "# é\n",
            "\n",
            "x = '''\n\n a'''\n",
            "class C:\n    @p\n    def g(self): ...\n",
            "y = [\n  1,\n]\r\n",
            "if x:\n\tz = 1\nelse:\n\tz = 2\n",
            "s = 'w w ' * 3; t = 1\n",
            f"v = '{'long ' * 400}'\n",
            "\f\n",
            "u = 'ä\u2028b'\n",
        ]
    ),
    min_size=1,
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(LINES)
def test_code_is_cut_exactly(lines):
    text = "".join(lines)
    if not text.strip():
        return
    at = 0
    for piece in chunks.cut(placed([Block("Code", text)]), chunkers.opened("code"), origin="a.py"):
        assert piece.text == text[piece.start : piece.end] == piece.text.strip() != "" and not text[at : piece.start].strip()
        at = piece.end
    assert not text[at:].strip()


def test_a_new_document_is_not_asked_for_chunks(kz, plane, monkeypatch):
    from kaizen_components.store import Store

    asked: list[str] = []
    listed = Store.list
    monkeypatch.setattr(
        Store, "list", lambda self, kind, *args, **named: asked.append(kind) or listed(self, kind, *args, **named)
    )
    (plane / "a.txt").write_text("Boilers.", encoding="utf-8")
    kz.ok("E1", path="a.txt", chunker="recursive")
    assert "evidence_chunk" not in asked


# --- pages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address", ["192.0.0.8", "192.0.0.9", "192.88.99.1", "3fff::1", "5f00::1", "::ffff:0:127.0.0.1", "100::1"]
)
def test_addresses_of_nobody_are_not_public(address):
    assert not web.is_public(ipaddress.ip_address(address))


def test_a_page_of_several_packed_parts_is_not_taken_for_its_first(monkeypatch):
    body = gzip.compress(b"one") + gzip.compress(b"two")
    monkeypatch.setitem(pages.ROUTES, "/parts", lambda handler: handler.answer(body, "text/plain", Content_Encoding="gzip"))
    with pytest.raises(denial.FetchFailed) as refused:
        web.fetch(pages.url("/parts"), allow_private=True, timeout=5)
    assert "several parts" in refused.value.detail["reason"]


def test_a_charset_that_would_keep_it_busy_is_refused(kz, monkeypatch):
    body = b"a" * 300_000 + b"-" + b"a" * 300_000
    monkeypatch.setitem(pages.ROUTES, "/puny", lambda handler: handler.answer(body, "text/plain; charset=punycode"))
    start = time.perf_counter()
    kz.denied("DENIED_FILE_NOT_UTF8", "E2", url=pages.url("/puny"), allow_private=True)
    assert time.perf_counter() - start < 2


def test_a_name_that_was_kept_whole_leads_back():
    assert ingest.leads_back("docs/a.md")
    assert not ingest.leads_back("external:a.md") and not ingest.leads_back(ingest.kept(f"docs/{KEY}.md"))
    assert not ingest.leads_back(ingest.kept(os.fsdecode(b"half\xff.txt")))
