"""The HTML pages of P2, P5 and P13: one file that needs nothing else, whatever the records hold, as a real browser shows it."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import zlib
from html.parser import HTMLParser
from pathlib import Path

import pytest
from histories import falling, line, steady, write

BROWSER = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update"
    " --disable-sync --hide-scrollbars"
)
# Elements that have no end.
VOID = {"meta", "br", "hr", "img", "input", "link"}
EVIL = "<script>alert(1)</script>"


class Reader(HTMLParser):
    """Reads a page strictly: every element that begins ends, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, tag

    def handle_data(self, data):
        self.words.append(data)

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)

    def text(self) -> str:
        return " ".join(self.words)


@pytest.fixture
def analysed(kz, plane):
    """The page of an analysis of an agent that fell and of one that did not."""
    write(plane, [*falling(), *steady(), *(line(number, True, "new") for number in range(4))])
    kz.ok("P16", path=".")
    return plane / kz.ok("P5", format="html", out="page.html")["report"]["path"]


def refuses_everything_outside(text: str) -> None:
    reader = Reader(text)
    assert not {"script", "link", "iframe", "object", "img", "base", "form"} & {name for name, _ in reader.tags}
    for _, attributes in reader.tags:
        assert not {"src", "href", "xlink:href", "action", "style"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
    assert set(re.findall(r"https?://[^\"'\s<]+", text)) <= {"http://www.w3.org/2000/svg"}
    assert "url(" not in text and "@import" not in text
    assert "default-src 'none'" in text


def test_the_page_of_an_analysis_needs_nothing_else(analysed, plane):
    text = analysed.read_text(encoding="utf-8")
    refuses_everything_outside(text)
    assert str(plane) not in text and "prefers-color-scheme: dark" in text
    reader = Reader(text)
    assert "Success of reviewer fell from 0.90 (36 of 40) to 0.50 (20 of 40)" in reader.text()
    assert "Too few records" in reader.text()


def test_every_chart_is_named_and_has_its_table(analysed):
    text = analysed.read_text(encoding="utf-8")
    figures = re.findall(r"<figure>.*?</figure>", text, re.S)
    assert len(figures) == 1 + 1 + 3
    for figure in figures:
        assert 'role="img"' in figure and re.search(r"<svg[^>]*><title>[^<]+</title>", figure)
        assert "<table>" in figure and '<th scope="col"' in figure
    assert "#" not in "".join(re.findall(r'(?:fill|stroke)="([^"]*)"', text))


def test_the_same_records_give_the_same_page(kz, plane, analysed):
    kz.ok("P5", format="html", out="again.html")
    assert (plane / "again.html").read_bytes() == analysed.read_bytes()


def test_what_records_hold_is_text(kz, plane):
    rows = [
        line(
            number,
            number % 2 == 0,
            flavor=EVIL if number % 2 else "a & b",
            metadata={f'"><b>{EVIL}': f"x{number % 2}\u202e</td>"},
        )
        for number in range(40)
    ]
    write(plane, rows)
    kz.ok("P16", path=".")
    kz.ok("P5", format="html", out="page.html")
    text = (plane / "page.html").read_text(encoding="utf-8")
    refuses_everything_outside(text)
    assert EVIL in Reader(text).text() and "\u202e" not in text and "\\u202e" in text


def test_the_page_of_an_agent_has_its_history(kz, plane, analysed):
    report = kz.ok("P2", agent="steady", format="html")["report"]
    assert re.fullmatch(r"AI/db/exports/reports/metrics-show-\w+\.html", report["path"])
    text = (plane / report["path"]).read_text(encoding="utf-8")
    refuses_everything_outside(text)
    reader = Reader(text)
    assert reader.count("svg") == 3 and "Metrics of steady" in reader.text() and "The newest 20 of 60" in reader.text()


def test_of_many_agents_those_are_drawn_that_something_is_said_of(kz, plane):
    write(plane, [one for number in range(14) for one in (falling if number == 5 else steady)(f"agent-{number:02}", 40)])
    kz.ok("P16", path=".")
    kz.ok("P5", format="html", out="page.html")
    text = (plane / "page.html").read_text(encoding="utf-8")
    refuses_everything_outside(text)
    assert text.count("<svg") == 2 and "<h2>agent-05</h2>" in text
    assert text.count("<summary>agent-") == 13


@pytest.mark.parametrize("seconds", [[0.0], [1e-9, 1e-9], [1e300, 3.0], [0.25] * 12])
def test_a_history_of_any_size_is_drawn(seconds, kz, plane):
    write(plane, [line(number, True, execution_time_s=value) for number, value in enumerate(seconds)])
    kz.ok("P16", path=".")
    kz.ok("P2", agent="reviewer", format="html", out="page.html")
    text = (plane / "page.html").read_text(encoding="utf-8")
    refuses_everything_outside(text)
    assert not re.search(r'="[^"]*\b(?:nan|inf|None)\b[^"]*"', "".join(re.findall(r"<svg.*?</svg>", text, re.S)))
    assert max(map(len, re.findall(r">([^<>]*)</text>", text))) < 40


def test_the_page_of_a_run_has_tree_blame_and_held_out_cases(kz, plane, populated):
    report = kz.ok("P13", id=populated["optimizer_run"], format="html", out="run.html")["report"]
    text = (plane / report["path"]).read_text(encoding="utf-8")
    refuses_everything_outside(text)
    words = Reader(text).text()
    assert "Candidates" in words and "0: baseline" in words and 'class="tree"' in text


def test_nothing_is_written_over_and_nothing_outside(kz, plane, analysed):
    before = analysed.read_bytes()
    assert "not there yet" in kz.denied("DENIED_FILE_UNWRITABLE", "P5", format="html", out="page.html")["required_action"]
    assert analysed.read_bytes() == before
    kz.denied("DENIED_PATH_OUTSIDE_REPO", "P5", format="html", out="../page.html")


@pytest.mark.parametrize(("code", "flags"), [("P2", {"agent": "steady"}), ("P5", {})])
def test_a_file_for_no_page_is_refused(code, flags, kz, analysed):
    assert "--format html" in kz.denied("DENIED_FLAG_CONFLICT", code, out="other.html", **flags)["required_action"]


def test_a_repeat_with_a_key_leaves_one_page(kz, plane, analysed):
    kz.ok("P1", agent="steady", success=True)
    for _ in range(2):
        kz.ok("P5", format="html", key="weekly")
    assert len(list((plane / "AI/db/exports/reports").glob("*.html"))) == 1


@pytest.mark.parametrize(("code", "flags"), [("P2", {"agent": "code-reviewer"}), ("P5", {}), ("P13", {"id": "optimizer_run"})])
def test_without_the_package_that_draws_it_says_what_to_install(code, flags, kz, populated, without):
    without("leather")
    flags = {name: populated.get(value, value) for name, value in flags.items()}
    before = kz.ok("K22", limit=1)["head"]
    reply = kz.denied("DENIED_BACKEND_UNAVAILABLE", code, format="html", **flags)
    assert "pip install -r requirements-metrics.txt" in reply["required_action"]
    assert kz.ok("K22", limit=1)["head"] == before
    kz.ok(code, **flags)


# --- in a browser ---------------------------------------------------------------------------------


def browse(folder: Path, page: Path, *flags: str) -> str:
    profile = folder / "profile"
    command = [str(BROWSER), *QUIET.split(), f"--user-data-dir={profile}", *flags, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def corner(path: Path) -> tuple[int, int, int]:
    """The colour of the first pixel of a PNG: whatever filter its row has, that pixel is as it is."""
    data = path.read_bytes()
    at, packed = 8, b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        packed += data[at + 8 : at + 8 + size] if kind == b"IDAT" else b""
        at += 12 + size
    row = zlib.decompressobj().decompress(packed, 8)
    return row[1], row[2], row[3]


@browser
@pytest.mark.slow
def test_a_browser_reads_the_page_as_it_was_written(analysed, tmp_path):
    dom = browse(tmp_path, analysed, "--dump-dom")
    reader = Reader(dom)
    written = Reader(analysed.read_text(encoding="utf-8"))
    assert [name for name, _ in reader.tags] == [name for name, _ in written.tags]
    assert reader.count("svg") == 5


@browser
@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "ground"), [(1, (0xFF, 0xFF, 0xFF)), (0, (0x14, 0x17, 0x1A))])
@pytest.mark.parametrize("width", [400, 1200])
def test_a_browser_draws_it_in_light_and_dark(scheme, ground, width, analysed, tmp_path):
    shot = tmp_path / "shot.png"
    browse(
        tmp_path,
        analysed,
        f"--screenshot={shot}",
        f"--window-size={width},900",
        f"--blink-settings=preferredColorScheme={scheme}",
    )
    assert corner(shot) == ground
    # A chart that draws nothing compresses to next to nothing.
    assert shot.stat().st_size > 20_000
