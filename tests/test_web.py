"""Web: pages are fetched from public addresses alone, within limits, over a real connection."""

from __future__ import annotations

import gzip
import ipaddress
import time

import pages
import pytest

from kaizen_components import denial, web


def fetched(path: str, **options) -> web.Page:
    return web.fetch(pages.url(path), **{"allow_private": True, "timeout": 5, **options})


@pytest.fixture
def route(monkeypatch):
    """route("/x", lambda handler: handler.answer(b"...")) adds a page for one test."""

    def add(path: str, answer: pages.Route) -> None:
        monkeypatch.setitem(pages.ROUTES, path, answer)

    return add


def test_a_page_is_fetched():
    page = fetched("/guide.html#part")
    assert page.status == 200 and page.body == pages.GUIDE and page.media_type == "text/html" and page.charset == "utf-8"
    assert page.final_url == pages.url("/guide.html") and page.redirects == () and page.retrieved.endswith("+00:00")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "127.1",
        "0x7f000001",
        "2130706433",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "[::]",
        "[64:ff9b::7f00:1]",
        "[::127.0.0.1]",
        "169.254.169.254",
        "10.0.0.1",
        "[fe80::1]",
        "[fd00::1]",
        "192.168.1.1",
        "224.0.0.1",
    ],
)
def test_an_address_that_is_not_public_is_refused_in_every_spelling(host):
    with pytest.raises((denial.AddressRefused, denial.FetchFailed)):
        web.fetch(pages.url("/guide.html", host), timeout=5)


@pytest.mark.parametrize("text", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"])
def test_public_addresses_are_public(text):
    assert web.is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "text", ["2002:7f00:1::", "2001:0:1::", "64:ff9b:1::1", "100.64.0.1", "192.0.2.1", "240.0.0.1", "255.255.255.255"]
)
def test_addresses_that_hide_others_or_are_of_nobody_are_not(text):
    assert not web.is_public(ipaddress.ip_address(text))


def test_a_name_that_leads_to_a_private_address_is_refused():
    for answers in (["127.0.0.1"], ["8.8.8.8", "10.0.0.7"], ["fe80::1%lo"]):
        with pytest.raises(denial.AddressRefused):
            web.fetch("http://public.example/", timeout=5, resolve=lambda host, port, found=answers: found)


def test_what_was_judged_is_what_is_connected_to():
    asked = []

    def once(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    url = f"http://rebind.example:{pages.port()}/guide.html"
    assert web.fetch(url, allow_private=True, timeout=5, resolve=once).body == pages.GUIDE
    assert asked == ["rebind.example"]


def test_each_redirect_is_judged_again(monkeypatch, route):
    route("/away", lambda handler: handler.answer(b"", status=302, Location=f"http://inside.example:{pages.port()}/guide.html"))
    judged = web.is_public
    monkeypatch.setattr(web, "is_public", lambda address: str(address) == "127.0.0.1" or judged(address))
    where = {"outside.example": ["127.0.0.1"], "inside.example": ["10.0.0.1"]}
    with pytest.raises(denial.AddressRefused) as refused:
        web.fetch(f"http://outside.example:{pages.port()}/away", timeout=5, resolve=lambda host, port: where[host])
    assert refused.value.detail == {"host": "inside.example", "address": "10.0.0.1"}


def test_redirects_are_followed_so_far(route):
    route("/a", lambda handler: handler.answer(b"", status=301, Location="/guide.html"))
    page = fetched("/a")
    assert page.body == pages.GUIDE and page.redirects == (pages.url("/a"),) and page.final_url == pages.url("/guide.html")
    route("/round", lambda handler: handler.answer(b"", status=302, Location="/round"))
    with pytest.raises(denial.FetchFailed, match="fetched") as refused:
        fetched("/round")
    assert "redirects" in refused.value.detail["reason"]


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://example.org/", "http://user:pw@127.0.0.1/"])
def test_a_redirect_to_something_else_is_refused(route, target):
    route("/a", lambda handler: handler.answer(b"", status=302, Location=target))
    with pytest.raises((denial.FetchFailed, denial.AddressRefused)):
        fetched("/a")


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "example.org", "", "http://", "http://[::1", "http://exa mple/", "javascript:x", "http:///x"]
)
def test_what_is_no_web_address_is_refused(url):
    with pytest.raises(denial.FetchFailed):
        web.fetch(url, allow_private=True, timeout=2)


def test_a_password_in_an_address_is_refused():
    with pytest.raises(denial.AddressRefused) as refused:
        web.fetch("https://user:hunter2x9@example.org/")
    assert "hunter2x9" not in str(refused.value.envelope())


def test_an_error_of_the_server_is_one():
    with pytest.raises(denial.FetchFailed) as refused:
        fetched("/missing")
    assert refused.value.detail["http_status"] == 404


def test_nobody_there():
    with pytest.raises(denial.FetchFailed):
        web.fetch("http://127.0.0.1:1/", allow_private=True, timeout=5)
    with pytest.raises(denial.FetchFailed):
        web.fetch("http://name.invalid/", timeout=5, resolve=lambda host, port: [])


def test_a_page_larger_than_the_limit_is_refused_while_it_comes(route):
    sent = []

    def endless(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", "text/plain")
        handler.end_headers()
        handler.close_connection = True
        try:
            for _ in range(10_000):
                handler.wfile.write(b"x" * 65_536)
                sent.append(1)
        except OSError:
            pass

    route("/endless", endless)
    with pytest.raises(denial.FileTooLarge):
        fetched("/endless", most=1_000_000)
    assert len(sent) < 5_000
    with pytest.raises(denial.FileTooLarge):
        fetched("/guide.html", most=10)


def test_what_unpacks_to_more_than_the_limit_is_refused(route):
    packed = gzip.compress(bytes(50_000_000))
    route("/bomb", lambda handler: handler.answer(packed, "text/plain", Content_Encoding="gzip"))
    with pytest.raises(denial.FileTooLarge):
        fetched("/bomb", most=1_000_000)
    route("/packed", lambda handler: handler.answer(gzip.compress(b"hello"), "text/plain", Content_Encoding="gzip"))
    assert fetched("/packed").body == b"hello"
    route("/odd", lambda handler: handler.answer(b"x", "text/plain", Content_Encoding="br"))
    with pytest.raises(denial.FetchFailed):
        fetched("/odd")


@pytest.mark.parametrize("part", ["head", "body"])
def test_a_server_that_drips_is_left_when_the_time_is_over(route, part):
    def slow(handler):
        handler.close_connection = True
        try:
            if part == "body":
                handler.send_response(200)
                handler.end_headers()
            for _ in range(200):
                handler.wfile.write(b"H")
                handler.wfile.flush()
                time.sleep(0.05)
        except OSError:
            pass

    route("/slow", slow)
    start = time.monotonic()
    with pytest.raises(denial.FetchFailed) as refused:
        fetched("/slow", timeout=0.3)
    assert time.monotonic() - start < 3 and "--timeout" in refused.value.required_action


def test_a_name_server_that_does_not_answer_is_left_too():
    start = time.monotonic()
    with pytest.raises(denial.FetchFailed):
        web.fetch("http://slow.example/", timeout=0.2, resolve=lambda host, port: time.sleep(2) or [])
    assert time.monotonic() - start < 1.5


def test_no_proxy_is_asked(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert fetched("/guide.html").status == 200


def test_without_httpx_it_says_what_to_install(without):
    without("httpx")
    with pytest.raises(denial.BackendUnavailable) as refused:
        web.fetch("https://example.org/")
    assert refused.value.required_action == "python -m pip install -r requirements-kaizen.txt"
