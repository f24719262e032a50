"""Delivery to files and commands: in order, at least once, and never in the way of a record."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time

import pytest
from conftest import ROOT
from killing import killed
from outbox import got, ids, store, tell

from kaizen_components.call import Call, Result
from kaizen_components.metrics import delivery

LOG = ".kaizen/events.jsonl"


def add_file(kz, **more):
    return kz.ok("P19", action="add", name="log", transport="file", target=LOG, **more)


def add_command(kz, plane, body: str, name: str = "hook", **more):
    """A receiver that runs Python: `event` is the event, `here` the project's folder."""
    script = plane / f"{name}.py"
    script.write_text(
        "import json, pathlib, sys, time, os\nhere = pathlib.Path.cwd()\nevent = json.loads(sys.stdin.read())\n" + body,
        encoding="utf-8",
    )
    return kz.ok("P19", action="add", name=name, transport="command", target=f"{sys.executable} {name}.py", **more)


KEEP = "with (here / 'taken.txt').open('a') as file: file.write(event['id'] + '\\n')\n"


def taken(plane) -> list[str]:
    path = plane / "taken.txt"
    return path.read_text(encoding="utf-8").split() if path.exists() else []


def wait_for(happened) -> None:
    until = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.01)


def shown(kz, name: str = "log"):
    return next(row for row in kz.ok("P17")["receivers"] if row["name"] == name)


# --- files ----------------------------------------------------------------------------------------


def test_a_file_gets_every_event_in_order_and_once(kz, plane):
    add_file(kz)
    told = tell(plane, count=250)
    reply = kz.ok("P18")
    assert reply["taken"] == 250 and reply["receivers"][0]["waiting"] == 0
    assert [event["id"] for event in got(plane / LOG)] == ids(told)
    assert kz.ok("P18")["taken"] == 0
    told += tell(plane)
    kz.ok("P18")
    assert [event["id"] for event in got(plane / LOG)] == ids(told)


def test_a_receiver_begins_with_the_next_event_or_where_it_is_told(kz, plane):
    told = tell(plane, count=3)
    add_file(kz)
    kz.ok("P18")
    assert got(plane / LOG) == []
    kz.ok("P19", action="resume", name="log", after=told[0]["number"])
    kz.ok("P18")
    assert [event["id"] for event in got(plane / LOG)] == ids(told)[1:]
    kz.ok("P19", action="add", name="all", transport="file", target="all.jsonl", after=0)
    kz.ok("P18", receiver="all")
    assert [event["id"] for event in got(plane / "all.jsonl")] == ids(told)


def test_of_test_data_nobody_is_told(kz, plane):
    add_file(kz)
    tell(plane, test=True)
    real = tell(plane)
    kz.ok("P18")
    assert [event["id"] for event in got(plane / LOG)] == ids(real)


def test_many_deliveries_write_few_entries_into_the_ledger(kz, plane):
    add_file(kz)
    before = kz.ok("K22", limit=1)["head"]["seq"]
    for _ in range(6):
        tell(plane)
        delivery.deliver(store(plane))
    assert kz.ok("K22", limit=1)["head"]["seq"] == before + 6
    assert shown(kz)["waiting"] == 0 and len(got(plane / LOG)) == 6
    told = tell(plane, count=150)
    kz.ok("P18")
    assert kz.ok("K22", limit=1)["head"]["seq"] <= before + 6 + 150 + 2
    assert shown(kz)["delivered"] == told[-1]["number"]


def test_a_line_that_was_cut_off_is_written_whole_and_not_twice(kz, plane):
    add_file(kz)
    told = tell(plane, count=2)
    (plane / ".kaizen").mkdir(exist_ok=True)
    (plane / LOG).write_text(told[0]["event_json"] + "\n" + told[1]["event_json"][:40], encoding="utf-8")
    kz.ok("P18")
    assert [event["id"] for event in got(plane / LOG)] == ids(told)


def test_a_line_that_is_not_ours_is_left_alone(kz, plane):
    add_file(kz)
    told = tell(plane)
    (plane / ".kaizen").mkdir(exist_ok=True)
    (plane / LOG).write_text("somebody else's", encoding="utf-8")
    kz.ok("P18")
    assert (plane / LOG).read_text(encoding="utf-8") == f"somebody else's\n{told[0]['event_json']}\n"


@pytest.mark.parametrize("where", ["os.fsync(self._file)", "files.write_whole"])
def test_a_delivery_that_is_killed_leaves_each_event_in_the_file_once(kz, plane, where):
    add_file(kz)
    told = tell(plane, count=3)
    patch = {
        "os.fsync(self._file)": "from kaizen_components.metrics import receivers\nreceivers.os.fsync = die\n",
        "files.write_whole": "from kaizen_components.metrics import delivery\ndelivery.files.write_whole = die\n",
    }[where]
    killed(patch + "cli.main(['P18', '--json'])")
    kz.ok("P18")
    assert [event["id"] for event in got(plane / LOG)] == ids(told)


def test_a_file_that_cannot_be_written_keeps_its_place(kz, plane):
    add_file(kz)
    told = tell(plane, count=2)
    (plane / ".kaizen").mkdir(exist_ok=True)
    (plane / LOG).mkdir()
    assert kz("P18").code == 1
    row = shown(kz)
    assert row["failures"] == 1 and row["waiting"] == 2 and row["last_error"] and row["next_try"] > row["last_at"]
    (plane / LOG).rmdir()
    kz.ok("P18")
    assert [event["id"] for event in got(plane / LOG)] == ids(told)
    assert shown(kz)["failures"] == 0 and shown(kz)["last_error"] is None


def test_a_note_of_another_plane_is_not_believed(kz, plane):
    row = add_file(kz)
    note = plane / "AI" / "work" / "kaizen-runtime" / "events" / f"{row['id']}.json"
    note.parent.mkdir(parents=True, exist_ok=True)
    told = tell(plane, count=2)
    note.write_text(json.dumps({"number": told[1]["number"], "event_id": "of another", "since": 1}), encoding="utf-8")
    kz.ok("P18")
    assert [event["id"] for event in got(plane / LOG)] == ids(told)


# --- commands -------------------------------------------------------------------------------------


def test_a_command_gets_each_event_on_stdin(kz, plane):
    add_command(kz, plane, KEEP)
    told = tell(plane, count=3)
    assert kz.ok("P18")["taken"] == 3
    assert taken(plane) == ids(told)


def test_a_command_that_fails_keeps_its_place_and_the_others_get_theirs(kz, plane):
    add_command(kz, plane, KEEP + "sys.exit((here / 'down').exists() and 'the desk is closed')")
    add_file(kz)
    told = tell(plane, count=2)
    (plane / "down").touch()
    reply = kz("P18")
    assert reply.code == 1 and reply["failed"] == ["hook"]
    assert taken(plane) == ids(told)[:1] and len(got(plane / LOG)) == 2
    row = shown(kz, "hook")
    assert row["failures"] == 1 and row["waiting"] == 2 and row["last_error"] == "exit code 1: the desk is closed"
    (plane / "down").unlink()
    kz.ok("P18")
    # The one that failed comes again: at least once.
    assert taken(plane) == [ids(told)[0], *ids(told)]


def test_a_receiver_that_failed_is_left_alone_by_commands_that_record(kz, plane, monkeypatch):
    add_command(kz, plane, KEEP + "sys.exit(1)")
    tell(plane)
    assert delivery.deliver(store(plane))[0]["state"] == "failed"
    assert delivery.deliver(store(plane))[0]["state"] == "waits"
    assert len(taken(plane)) == 1
    later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 40))
    monkeypatch.setenv("KAIZEN_CLOCK", later)
    assert delivery.deliver(store(plane))[0]["state"] == "failed"
    assert delivery.deliver(store(plane))[0]["state"] == "waits"
    assert shown(kz, "hook")["failures"] == 2


def test_a_command_that_hangs_is_ended_with_what_it_started(kz, plane):
    add_command(kz, plane, "import subprocess\nsubprocess.Popen(['sleep', '300']); print(flush=True); time.sleep(300)")
    add_file(kz)
    tell(plane)
    began = time.monotonic()
    reports = {report["receiver"]: report for report in delivery.deliver(store(plane), seconds=0.6)}
    assert time.monotonic() - began < 4
    assert reports["hook"]["state"] == "failed" and "no end within" in reports["hook"]["error"]
    assert "sleep 300" not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    kz.ok("P18", receiver="log")
    assert len(got(plane / LOG)) == 1


def test_a_record_is_there_whatever_the_receiver_does(kz, plane, monkeypatch):
    add_command(kz, plane, "sys.exit(1)")
    kz.ok("P19", action="add", name="gone", transport="file", target="no/such.jsonl")
    (plane / "no").write_text("a file where a folder belongs", encoding="utf-8")
    told = tell(plane)
    assert {report["state"] for report in delivery.deliver(store(plane))} == {"failed"}
    assert kz.ok("P17")["records"][0]["id"] == told[0]["id"]


def test_an_execution_is_recorded_and_its_event_waits_where_a_receiver_fails(kz, plane):
    add_command(kz, plane, "sys.exit('closed')")
    add_file(kz)
    reply = kz.ok("P1", agent="coach", success=True)
    assert "closed" in reply["warnings"][0] and shown(kz, "hook")["waiting"] == 1
    (event,) = got(plane / LOG)
    assert event["type"] == "kaizen.metrics.recorded" and event["attributes"]["summary"]["execution_count"] == 1
    assert kz.ok("P17")["records"][0]["record_id"] == reply["id"]


def test_a_duplicate_tells_nobody(kz, plane):
    add_file(kz)
    for _ in range(2):
        kz.ok("P1", agent="coach", success=True, timestamp="2026-01-01T00:00:00Z")
    assert len(got(plane / LOG)) == 1


def test_a_batch_is_delivered_when_it_is_committed(kz, plane):
    add_file(kz)
    lines = [{"op": "P1", "agent": "coach", "success": True, "session_id": str(number)} for number in range(3)]
    assert kz("K8", _stdin="".join(json.dumps(line) + "\n" for line in lines)).code == 0
    assert [event["attributes"]["summary"]["execution_count"] for event in got(plane / LOG)] == [1, 2, 3]


def test_zero_seconds_leave_delivery_to_whoever_delivers_by_hand(kz, plane, monkeypatch):
    add_file(kz)
    tell(plane)
    monkeypatch.setenv("KAIZEN_EVENT_TIMEOUT", "0")
    assert delivery.deliver(store(plane)) == []
    assert kz.ok("P18")["taken"] == 1


def test_nothing_is_delivered_inside_a_transaction(kz, plane):
    add_file(kz)
    opened = store(plane)

    def work() -> Result:
        from kaizen_components.metrics import events

        events.put(opened, events.RECORDED, "coach", {}, None)
        assert delivery.deliver(opened) == []
        return Result()

    opened.perform(Call(op="P1", writes=True), work)
    assert got(plane / LOG) == []
    assert delivery.deliver(opened)[0]["taken"] == 1


def test_the_call_that_is_followed_stays_what_it_was(kz, plane):
    add_file(kz)
    tell(plane)
    opened = store(plane)
    opened.call = call = Call(op="P1", key="k", test=True)
    delivery.deliver(opened)
    assert opened.call is call


def test_what_a_command_records_is_delivered_by_who_started_it(kz, plane, monkeypatch):
    add_file(kz)
    tell(plane)
    monkeypatch.setenv("KAIZEN_DELIVERY", "x")
    assert delivery.deliver(store(plane)) == []


def test_one_delivers_at_a_time_and_finds_what_the_other_has_written(kz, plane):
    add_command(kz, plane, KEEP + "time.sleep(0.3)")
    told = tell(plane)
    first = threading.Thread(target=lambda: delivery.run(store(plane)))
    first.start()
    wait_for(lambda: taken(plane))
    told += tell(plane)
    assert delivery.run(store(plane))[0].state == "busy"
    first.join()
    assert taken(plane) == ids(told)


def test_the_plane_is_free_while_a_command_works(kz, plane, monkeypatch):
    monkeypatch.setenv("KAIZEN_LOCK_TIMEOUT", "0.1")
    add_command(
        kz,
        plane,
        f"import subprocess\nsys.exit(subprocess.run([{sys.executable!r}, {str(ROOT / 'kaizen.py')!r}, 'P17', '--json']).returncode)",
    )
    tell(plane)
    assert kz.ok("P18")["taken"] == 1


@pytest.mark.slow
def test_a_command_that_is_cut_short_by_a_kill_gets_its_event_again(kz, plane):
    add_command(kz, plane, KEEP + "time.sleep(0.2)")
    told = tell(plane, count=3)
    process = subprocess.Popen([sys.executable, str(ROOT / "kaizen.py"), "P18"], stdout=subprocess.DEVNULL)
    wait_for(lambda: len(taken(plane)) >= 2)
    process.kill()
    process.wait()
    kz.ok("P18")
    assert list(dict.fromkeys(taken(plane))) == ids(told)
    assert len(taken(plane)) <= 4


# --- receivers ------------------------------------------------------------------------------------


def test_a_receiver_is_paused_resumed_and_removed(kz, plane):
    add_file(kz)
    told = tell(plane)
    kz.ok("P19", action="pause", name="log")
    assert kz.ok("P18")["receivers"][0]["state"] == "paused"
    kz.ok("P19", action="resume", name="log")
    assert kz.ok("P18")["taken"] == 1 and [event["id"] for event in got(plane / LOG)] == ids(told)
    kz.ok("P19", action="remove", name="log")
    assert kz.ok("P19", action="list")["receivers"] == [] and kz.ok("P18")["receivers"] == []
    add_file(kz)


def test_receivers_that_cannot_be_are_refused(kz, plane):
    add = {"action": "add", "name": "x"}
    for transport, target in [
        ("nats", "http://127.0.0.1:4222"),
        ("nats", "nats://u:hunter22@127.0.0.1:4222"),
        ("nats", "nats://127.0.0.1:99999"),
        ("command", "no-such-program --x"),
        ("command", "'unbalanced"),
        ("file", "AI/db/events.jsonl"),
        ("file", "."),
    ]:
        reply = kz.denied("DENIED_EVENT_TARGET", "P19", **add, transport=transport, target=target)
        assert "hunter22" not in reply.stderr and reply["required_action"].startswith(("Pass", "Name", "Check"))
    for outside in ("../x.jsonl", "a/../../etc/x.jsonl"):
        kz.denied("DENIED_PATH_OUTSIDE_REPO", "P19", **add, transport="file", target=outside)
        assert not (plane / outside).resolve().exists()
    elsewhere = str(plane.parent / "elsewhere.jsonl")
    assert kz.ok("P19", action="add", name="far", transport="file", target=elsewhere)["target"] == elsewhere
    assert kz.denied("DENIED_REQUIRED_FIELDS", "P19", action="add")["fields"] == ["name", "transport", "target"]
    kz.denied("DENIED_REQUIRED_FIELDS", "P19", action="pause")
    kz.denied("DENIED_ACTION_REQUIRED", "P19")
    kz.denied("DENIED_RECEIVER_UNKNOWN", "P19", action="remove", name="nobody")
    kz.denied("DENIED_RECEIVER_UNKNOWN", "P18", receiver="nobody")
    add_file(kz)
    kz.denied("DENIED_RECEIVER_EXISTS", "P19", action="add", name="log", transport="file", target="x.jsonl")
