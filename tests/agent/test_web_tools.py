"""The web tools: what is fetched, what is refused, and what a search backend is asked."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pages
import pytest

from kaizen_components.agent.tool import Context, ToolError
from kaizen_components.agent.tools.web_fetch import WebFetch, WebFetchInput
from kaizen_components.agent.tools.web_search import WebSearch, WebSearchInput

LOOPBACK = ("127.0.0.1",)


@pytest.fixture
def serve(monkeypatch):
    """Adds a page to the server."""
    return lambda path, answer: monkeypatch.setitem(pages.ROUTES, path, answer)


def fetched(url: str, prompt: str | None = None, hosts: tuple[str, ...] = LOOPBACK):
    context = Context(workspace=Path.cwd(), cwd=Path.cwd(), hosts=hosts)
    return WebFetch().run(WebFetchInput(url=url, prompt=prompt), context)


def refused(url: str, hosts: tuple[str, ...] = LOOPBACK) -> ToolError:
    with pytest.raises(ToolError) as fault:
        fetched(url, hosts=hosts)
    return fault.value


def test_a_page_is_read_as_text_with_the_hash_of_its_bytes():
    outcome = fetched(pages.url("/guide.html"))
    assert "<" not in outcome.output and outcome.metadata["extraction"] == "trafilatura"
    assert outcome.metadata["sha256"] == hashlib.sha256(pages.GUIDE).hexdigest()
    assert outcome.metadata["prompt_applied"] is False and outcome.metadata["http_status"] == 200


def test_without_the_package_the_core_reads_it(without):
    without("trafilatura")
    outcome = fetched(pages.url("/guide.html"))
    assert outcome.output and outcome.metadata["extraction"] == "kaizen"


def test_a_page_that_is_not_there_is_an_error():
    fault = refused(pages.url("/no"))
    assert (fault.kind, fault.metadata["http_status"]) == ("http_error", 404)


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1/",
        "http://[::1]/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://127.1/",
        "http://169.254.169.254/",
    ],
)
def test_what_is_not_public_is_refused_in_every_spelling(address):
    assert refused(address, hosts=()).kind == "address_refused"


def test_a_name_that_means_this_machine_is_refused(monkeypatch):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert refused("http://public.example/", hosts=()).kind == "address_refused"


def test_a_redirect_leads_to_no_other_host_than_the_one_that_was_opened(serve):
    serve("/away", lambda handler: handler.answer(b"", status=302, Location="http://127.1/guide.html"))
    assert refused(pages.url("/away")).kind == "address_refused"


def test_a_page_that_is_too_large_is_refused_while_it_comes(monkeypatch, serve):
    monkeypatch.setattr("kaizen_components.agent.tools.web_fetch.MOST_BYTES", 1_000)
    serve("/large", lambda handler: handler.answer(b"<p>" + b"x" * 5_000))
    assert refused(pages.url("/large")).kind == "fetch_failed"


def test_an_address_with_dots_in_its_name_is_fetched(serve):
    serve("/3.10.html", lambda handler: handler.answer(b"<p>Three point ten has pattern matching.</p>"))
    assert "pattern matching" in fetched(pages.url("/3.10.html")).output


def test_json_is_text_and_a_picture_is_not(serve):
    serve("/a.json", lambda handler: handler.answer(b'{"a": 1}', kind="application/json"))
    assert fetched(pages.url("/a.json")).output == '{"a": 1}'
    serve("/a.png", lambda handler: handler.answer(b"\x89PNG", kind="image/png"))
    assert refused(pages.url("/a.png")).kind == "unreadable"


def test_what_is_no_web_address_is_said_before_anything_is_judged():
    for address in ("file:///etc/passwd", "ftp://example.org/", "no address", "http://user:pass@example.org/"):
        with pytest.raises(ToolError) as fault:
            WebFetch().accesses(WebFetchInput(url=address), Context(workspace=Path.cwd(), cwd=Path.cwd()))
        assert fault.value.kind == "bad_address"


def test_a_prompt_is_answered_from_the_page_as_advice(text_model):
    text_model.answer = lambda body: "It names " + ("valves." if "<page>" in body["messages"][-1]["content"] else "nothing.")
    outcome = fetched(pages.url("/guide.html"), "What does it name?")
    assert outcome.output == "It names valves."
    assert outcome.metadata["prompt_applied"] is True and outcome.metadata["advisory"] is True
    assert outcome.metadata["sha256"] == hashlib.sha256(pages.GUIDE).hexdigest()


def test_without_a_model_the_text_comes_back_and_says_so():
    outcome = fetched(pages.url("/guide.html"), "What does it name?")
    assert outcome.metadata["prompt_applied"] is False and "KAIZEN_TEXT_BACKEND" in outcome.metadata["note"]
    assert outcome.output


# --- search ---------------------------------------------------------------------------------------


def searched(query: str, most: int = 5):
    return WebSearch().run(WebSearchInput(query=query, num_results=most), Context(workspace=Path.cwd(), cwd=Path.cwd()))


@pytest.fixture
def engine(monkeypatch):
    """A SearXNG on loopback: what it was asked, and what it answers."""
    asked: list[str] = []
    answers: list[tuple[int, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            hits = [{"title": f"T{n}", "url": f"https://example.org/{n}", "content": "About it."} for n in range(9)]
            status, body = answers.pop(0) if answers else (200, json.dumps({"results": hits}).encode())
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("KAIZEN_SEARCH_BACKEND", "searxng")
    monkeypatch.setenv("KAIZEN_SEARCH_URL", f"http://127.0.0.1:{server.server_address[1]}/")
    yield asked, answers
    server.shutdown()
    server.server_close()


def test_a_search_gives_title_address_and_snippet(engine):
    outcome = searched("asyncio queues", 3)
    assert outcome.output[0] == {"title": "T0", "url": "https://example.org/0", "snippet": "About it."}
    assert len(outcome.output) == 3 == outcome.metadata["count"] and outcome.metadata["backend"] == "searxng"
    assert engine[0] == ["/search?q=asyncio+queues&format=json"]


@pytest.mark.parametrize("answer", [(500, b"down"), (200, b"no json"), (200, b'{"hits": []}'), (200, b'{"results": [1]}')])
def test_a_backend_that_does_not_answer_is_named(engine, answer):
    engine[1].append(answer)
    with pytest.raises(ToolError) as fault:
        searched("x")
    assert (fault.value.kind, fault.value.metadata["backend"]) == ("no_answer", "searxng")


def test_the_default_backend_says_when_no_engine_answers(monkeypatch):
    import ddgs
    from ddgs.exceptions import DDGSException

    class Silent:
        def __init__(self, **_: object) -> None:
            pass

        def text(self, *_: object, **__: object) -> list[dict[str, str]]:
            raise DDGSException("No results found.")

    monkeypatch.setattr(ddgs, "DDGS", Silent)
    with pytest.raises(ToolError) as fault:
        searched("x")
    assert fault.value.kind == "no_answer" and "No results" in fault.value.message


def test_a_missing_package_is_named_with_its_install_line(without):
    from kaizen_components import denial

    without("ddgs")
    with pytest.raises(denial.BackendUnavailable) as refusal:
        searched("x")
    assert refusal.value.detail["package"] == "ddgs" and "requirements-tools.txt" in refusal.value.required_action


@pytest.mark.parametrize(("name", "value"), [("KAIZEN_SEARCH_BACKEND", "bing"), ("KAIZEN_SEARCH_URL", "no address")])
def test_a_wrong_setting_is_refused(monkeypatch, name, value):
    from kaizen_components import denial

    monkeypatch.setenv("KAIZEN_SEARCH_BACKEND", "searxng")
    monkeypatch.setenv(name, value)
    with pytest.raises(denial.EnvironmentInvalid) as refusal:
        searched("x")
    assert refusal.value.detail["variable"] == name


@pytest.mark.parametrize("url", ["127.0.0.1:8934", "example.org/page", "ftp://example.org/", "http://"])
def test_an_address_that_is_none_of_the_web_is_an_argument_that_is_refused(kz, url):
    reply = kz.denied("DENIED_TOOL_ARGUMENTS", "N2", tool="web_fetch", payload_json=json.dumps({"url": url}))
    assert url in reply["message"] and "http:// or https://" in reply["message"] and reply["errors"][0]["argument"] == "url"
    call = kz.ok("N5", id=reply["call_id"])["record"]
    assert (call["error_kind"], call["danger"], call["rule"]) == ("bad_argument", "safe", "schema")


def test_a_failure_names_the_address():
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{unheard.getsockname()[1]}/page"
        assert closed in refused(closed).message
    assert f"{pages.url('/gone')}: the server answered 404" in refused(pages.url("/gone")).message
