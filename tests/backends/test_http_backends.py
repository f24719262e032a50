"""Model servers over HTTP: what is sent, what is tried again, what is refused, and that no key is ever shown."""

from __future__ import annotations

import contextlib
import json
import math
import socket
import threading

import pytest

from kaizen_components import backends, denial
from kaizen_components.backends import http

KEY = "key-4fT9zQ2mX7wL1pR8"


@pytest.fixture
def pauses(monkeypatch):
    """What would have been waited."""
    waited: list[float] = []
    monkeypatch.setattr(http, "wait", waited.append)
    return waited


def answering(server, path, value):
    """Let the server answer one path otherwise."""
    before = server.reply
    server.reply = lambda asked, body: (200, value) if asked == path else before(asked, body)


def refused(work):
    """The refusal of a piece of work, as a user sees it."""
    with pytest.raises(denial.Denial) as caught:
        work()
    return caught.value.envelope()


# --- embeddings -----------------------------------------------------------------------------------


def test_texts_become_unit_vectors_in_their_order(embedding):
    one, two = backends.opened("embedding").embed(["a cache", "another thing"])
    assert len(one) == len(two) == embedding.dimension and one.typecode == "f"
    assert math.isclose(sum(value * value for value in one), 1.0, rel_tol=1e-5)
    assert one == backends.opened("embedding").embed(["a cache"])[0] != two


def test_many_texts_go_in_batches_of_64(embedding):
    vectors = backends.opened("embedding").embed([f"text {number}" for number in range(130)])
    assert len(vectors) == 130
    assert [len(body["input"]) for _, body, _ in embedding.requests] == [64, 64, 2]
    assert all(body["encoding_format"] == "float" for _, body, _ in embedding.requests)


def test_nothing_to_embed_asks_nobody(embedding):
    assert backends.opened("embedding").embed([]) == [] and embedding.requests == []
    assert refused(lambda: backends.opened("embedding").embed(["x", " "]))["code"] == "DENIED_EMBED_EMPTY"


def test_embeddings_are_ordered_by_their_index(embedding):
    answering(embedding, "/v1/embeddings", {"data": [{"index": 1, "embedding": [0, 2]}, {"index": 0, "embedding": [3, 0]}]})
    assert [list(vector) for vector in backends.opened("embedding").embed(["a", "b"])] == [[1, 0], [0, 1]]


@pytest.mark.parametrize(("prompt", "sent"), [("query: ", "query: why"), ("Find {query}!", "Find why!"), (None, "why")])
def test_a_question_gets_its_prompt_and_a_text_does_not(embedding, monkeypatch, prompt, sent):
    if prompt:
        monkeypatch.setenv("KAIZEN_EMBED_QUERY_PROMPT", prompt)
    model = backends.opened("embedding")
    model.embed(["why"], query=True)
    model.embed(["why"])
    assert [body["input"] for _, body, _ in embedding.requests] == [[sent], ["why"]]


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        {"data": "x"},
        {"data": []},
        {"data": [1, 2]},
        {"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}]},
        {"data": [{"index": 0, "embedding": [1]}, {"index": [1], "embedding": [1]}]},
        {"data": [{"index": 0, "embedding": [1]}, {"index": 2, "embedding": [1]}]},
        {"data": [{"index": 0, "embedding": [1, 0]}, {"index": 1, "embedding": [1]}]},
        {"data": [{"embedding": []}, {"embedding": []}]},
        {"data": [{"embedding": "AAAA"}, {"embedding": "AAAA"}]},
        {"data": [{"embedding": [1, None]}, {"embedding": [1, 2]}]},
        {"data": [{"embedding": [1, True]}, {"embedding": [1, 2]}]},
        {"data": [{"embedding": [1, math.nan]}, {"embedding": [1, 2]}]},
        {"data": [{"embedding": [1, 1e300]}, {"embedding": [1, 2]}]},
        {"data": [{"embedding": [1, 10**400]}, {"embedding": [1, 2]}]},
        {"data": [{"embedding": [1]}]},
        {"data": [{"embedding": [1]}] * 3},
    ],
)
def test_embeddings_that_are_none_are_refused(embedding, value):
    answering(embedding, "/v1/embeddings", value)
    assert refused(lambda: backends.opened("embedding").embed(["a", "b"]))["code"] == "DENIED_BACKEND_MALFORMED"


# --- texts ----------------------------------------------------------------------------------------


def test_a_prompt_becomes_a_text_at_temperature_0(text_model):
    said = backends.opened("text").complete("Why?", system="Be short.", limit=9, seed=7)
    assert said.text == "You said: Why?" and (said.model, said.provider) == ("fake", "ollama")
    assert (said.prompt_tokens, said.completion_tokens) == (11, 5) and said.latency_ms >= 0
    path, body, _ = text_model.requests[0]
    assert path == "/v1/chat/completions" and body["temperature"] == 0 and body["stream"] is False
    assert (body["max_tokens"], body["seed"]) == (9, 7)
    assert [message["role"] for message in body["messages"]] == ["system", "user"]


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"choices": []},
        {"choices": [{"message": {}}]},
        {"choices": [{"message": {"content": None}}]},
        {"choices": [{"message": {"content": " "}, "finish_reason": "length"}]},
        {"choices": [{"message": {"content": ["x"]}}]},
        {"choices": "x"},
        "x",
    ],
)
def test_a_message_that_is_none_is_refused(text_model, value):
    answering(text_model, "/v1/chat/completions", value)
    assert refused(lambda: backends.opened("text").complete("x"))["code"] == "DENIED_BACKEND_MALFORMED"


def test_numbers_of_tokens_that_are_none_are_left_out(text_model):
    answer = {"choices": [{"message": {"content": "yes"}}], "usage": {"prompt_tokens": -1, "completion_tokens": "5"}}
    answering(text_model, "/v1/chat/completions", answer)
    said = backends.opened("text").complete("x")
    assert (said.text, said.model, said.prompt_tokens, said.completion_tokens) == ("yes", "fake", None, None)


# --- what is tried again --------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(text_model, pauses, status):
    text_model.faults = [(status, {}), (status, {})]
    assert backends.opened("text").complete("x").text
    assert pauses == [0.5, 1.0]


def test_three_further_tries_and_no_more(text_model, pauses):
    text_model.faults = [(503, {})] * 9
    told = refused(lambda: backends.opened("text").complete("x"))
    assert told["code"] == "DENIED_BACKEND_HTTP" and told["http_status"] == 503 and told["reason"] == "not now"
    assert pauses == [0.5, 1.0, 2.0] and len(text_model.requests) == 4


def test_the_doctor_does_not_wait_for_a_busy_server(embedding, text_model, pauses, kz):
    text_model.faults = [(503, {"Retry-After": "5"})] * 9
    told = kz.ok("B1")
    assert told["embedding"]["code"] == "DENIED_BACKEND_HTTP" and pauses == []


@pytest.mark.parametrize("status", [400, 401, 404, 302])
def test_what_will_not_change_is_not_asked_again(text_model, pauses, status):
    text_model.faults = [(status, {"Location": "http://198.51.100.1/"})]
    assert refused(lambda: backends.opened("text").complete("x"))["http_status"] == status
    assert pauses == [] and len(text_model.requests) == 1


@pytest.mark.parametrize(
    ("header", "waited"),
    [
        ("0", 0.0),
        ("3", 3.0),
        ("90", 5.0),
        ("-4", 0.0),
        ("soon", 0.5),
        ("nan", 0.5),
        ("9" * 5_000, 0.5),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 5.0),
        ("Mon, 99 Foo 2026", 0.5),
    ],
)
def test_retry_after_is_honoured_up_to_five_seconds(text_model, pauses, header, waited):
    text_model.faults = [(429, {"Retry-After": header})]
    assert backends.opened("text").complete("x").text
    assert pauses == [waited]


@pytest.mark.parametrize(
    "said", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000]
)
def test_a_connection_that_breaks_is_made_again(monkeypatch, text_model, pauses, said):
    with socket.create_server(("127.0.0.1", 0)) as door:

        def answer():
            while True:
                try:
                    connection, _ = door.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    connection.recv(65_536)
                    connection.sendall(said)
                    connection.shutdown(socket.SHUT_WR)

        threading.Thread(target=answer, daemon=True).start()
        monkeypatch.setenv("KAIZEN_LLM_BASE_URL", f"http://127.0.0.1:{door.getsockname()[1]}/v1")
        assert refused(lambda: backends.opened("text").complete("x"))["code"] == "DENIED_BACKEND_UNAVAILABLE"
        door.shutdown(socket.SHUT_RDWR)
    assert pauses == [0.5, 1.0, 2.0]


def test_a_server_that_is_not_there_is_unreachable(monkeypatch, text_model, pauses):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("KAIZEN_LLM_BASE_URL", f"http://127.0.0.1:{free.getsockname()[1]}/v1")
        told = refused(lambda: backends.opened("text").complete("x"))
    assert told["code"] == "DENIED_BACKEND_UNAVAILABLE" and "KAIZEN_LLM_BASE_URL" in told["required_action"]
    assert pauses == [0.5, 1.0, 2.0]


def test_a_server_that_takes_too_long_is_unreachable_and_not_asked_again(monkeypatch, text_model, pauses):
    monkeypatch.setattr(http, "ANSWER", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("KAIZEN_LLM_BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}/v1")
        told = refused(lambda: backends.opened("text").complete("x"))
    assert told["code"] == "DENIED_BACKEND_UNAVAILABLE" and "0.2 seconds" in told["reason"] and pauses == []


def test_an_answer_without_end_is_cut_off(monkeypatch, text_model):
    monkeypatch.setattr(http, "MOST_BYTES", 1_000)
    text_model.garbage = "x" * 2_000
    assert "longer than 1000" in refused(lambda: backends.opened("text").complete("x"))["reason"]


@pytest.mark.parametrize("garbage", ["<html>", "", "[" * 100_000, "9" * 10_000, b'{"choices": "\xff"}', b"\xff\xfe{\0}\0"])
def test_what_is_no_json_is_malformed(text_model, garbage):
    text_model.garbage = garbage
    assert refused(lambda: backends.opened("text").complete("x"))["code"] == "DENIED_BACKEND_MALFORMED"


def test_a_model_that_ollama_does_not_have_is_named_with_the_command_that_gets_it(text_model):
    text_model.reply = lambda path, body: (404, {"error": {"message": "model 'fake' not found"}})
    assert refused(lambda: backends.opened("text").complete("x"))["required_action"] == "Get the model: ollama pull fake"


# --- addresses and keys ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["models.example.org", "192.0.2.1", "localhost.example.org", "127.0.0.1.example.org", "2130706433"]
)
def test_plain_http_to_another_machine_is_refused_unless_allowed(text_model, monkeypatch, host):
    monkeypatch.setenv("KAIZEN_LLM_BASE_URL", f"http://{host}/v1")
    told = refused(lambda: backends.opened("text"))
    assert told["code"] == "DENIED_ENDPOINT_INSECURE" and told["variable"] == "KAIZEN_LLM_BASE_URL"
    monkeypatch.setenv("KAIZEN_ALLOW_INSECURE_HTTP", "1")
    assert backends.opened("text").model == "fake"


@pytest.mark.parametrize(
    "url",
    ["https://models.example.org/v1", "http://localhost:1/v1/", "http://127.9.9.9/v1", "http://[::1]:11434/v1"],
)
def test_https_and_this_machine_are_allowed(text_model, monkeypatch, url):
    monkeypatch.setenv("KAIZEN_LLM_BASE_URL", url)
    assert backends.opened("text").endpoint.url == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "models.example.org",
        "ftp://x.example.org",
        "https://",
        "https://x:99999/v1",
        "https://x/v1?k=v",
        "https://x y/",
        "http://[::1",
        "https://x/#a",
        "https://x:0/",
    ],
)
def test_an_address_that_is_none_is_refused(text_model, monkeypatch, url):
    monkeypatch.setenv("KAIZEN_LLM_BASE_URL", url)
    told = refused(lambda: backends.opened("text"))
    assert told["code"] == "DENIED_ENVIRONMENT_INVALID" and told["variable"] == "KAIZEN_LLM_BASE_URL"


def test_credentials_in_an_address_are_refused_and_never_shown(text_model, monkeypatch, kz):
    monkeypatch.setenv("KAIZEN_LLM_BASE_URL", f"https://user:{KEY}@models.example.org/v1")
    told = refused(lambda: backends.opened("text"))
    assert told["code"] == "DENIED_ENVIRONMENT_INVALID" and "KAIZEN_LLM_API_KEY" in told["required_action"]
    shown = json.dumps(told) + kz.ok("B1").stdout + kz.ok("B6").stdout + kz.denied(told["code"], "B2", prompt="x").stderr
    assert KEY not in shown and "user" not in shown


def test_a_secret_in_the_path_of_an_address_is_refused_and_never_shown(text_model, monkeypatch, kz):
    secret = "AKIA" + "QX7ZJ2M4R9T1W3L5"
    monkeypatch.setenv("KAIZEN_LLM_BASE_URL", f"https://models.example.org/{secret}/v1")
    told = refused(lambda: backends.opened("text"))
    assert told["code"] == "DENIED_ENVIRONMENT_INVALID" and secret not in json.dumps(told) + kz.ok("B1").stdout


def test_a_key_in_the_place_of_a_backend_is_not_shown(kz, monkeypatch):
    secret = "AKIA" + "QX7ZJ2M4R9T1W3L5"
    monkeypatch.setenv("KAIZEN_TEXT_BACKEND", secret)
    assert secret.lower() not in kz.denied("DENIED_ENVIRONMENT_INVALID", "B2", prompt="x").stderr.lower()


def test_the_key_is_in_the_header_and_in_no_message(text_model, monkeypatch, kz):
    monkeypatch.setenv("KAIZEN_LLM_API_KEY", KEY)
    text_model.reply = lambda path, body: (401, {"error": {"message": f"Incorrect key {KEY} \x1b[31m" + "x" * 999}})
    reply = kz.denied("DENIED_BACKEND_HTTP", "B2", prompt="x")
    assert text_model.requests[0][2]["Authorization"] == f"Bearer {KEY}"
    assert KEY not in reply.stderr and "\\u001b" not in reply.stderr and len(reply["reason"]) <= 300
    assert "KAIZEN_LLM_API_KEY" in reply["required_action"]
    assert KEY not in repr(backends.config("text")) + kz.ok("B1").stdout


@pytest.mark.parametrize("key", ["two words", "line\nline", "schlüssel"])
def test_a_key_that_is_none_is_refused_and_not_shown(text_model, monkeypatch, key):
    monkeypatch.setenv("KAIZEN_LLM_API_KEY", key)
    told = refused(lambda: backends.opened("text"))
    assert told["code"] == "DENIED_ENVIRONMENT_INVALID" and key not in json.dumps(told, ensure_ascii=False)


def test_what_is_on_this_machine_is_not_asked_for_through_a_proxy(text_model, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert backends.opened("text").complete("x").text


def test_the_protocol_of_others_needs_an_address(monkeypatch):
    monkeypatch.setenv("KAIZEN_TEXT_BACKEND", "openai")
    monkeypatch.setenv("KAIZEN_LLM_MODEL", "m")
    assert not backends.configured("text")
    assert refused(lambda: backends.opened("text"))["variables"] == ["KAIZEN_LLM_BASE_URL"]
    monkeypatch.setenv("KAIZEN_LLM_BASE_URL", "https://models.example.org/v1")
    assert backends.configured("text") and backends.opened("text").provider == "openai"


def test_without_the_package_the_install_command_is_named(text_model, without):
    without("httpx")
    told = refused(lambda: backends.opened("text"))
    assert told["code"] == "DENIED_BACKEND_UNAVAILABLE" and told["package"] == "httpx"
    assert "python -m pip install -r requirements-kaizen.txt" in told["required_action"]
