"""Projection: the files below .kaizen/metrics follow the records, and keep what others wrote there."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

import pytest

from kaizen_components import paths
from kaizen_components.metrics import projection
from kaizen_components.store import Store
from kaizen_components.store.lock import PlaneLock

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def today(monkeypatch):
    monkeypatch.setenv("KAIZEN_CLOCK", "2026-06-01T00:00:00+00:00")


@pytest.fixture
def folder(plane):
    return plane / ".kaizen/metrics/reviewer"


def record(kz, day: int, **more):
    return kz.ok("P1", agent="reviewer", success=True, timestamp=f"2026-05-{day:02d}T08:00:00Z", **more)


def lines(folder) -> list[str]:
    return (folder / "executions.jsonl").read_text().splitlines()


def days(folder) -> list[str]:
    return [json.loads(line)["timestamp"][5:10] for line in lines(folder)]


def count(folder) -> int:
    return json.loads((folder / "summary.json").read_text())["execution_count"]


def test_lines_are_appended_and_those_before_stay_to_the_byte(kz, folder):
    record(kz, 1)
    before = (folder / "executions.jsonl").read_bytes()
    inode = (folder / "executions.jsonl").stat().st_ino
    record(kz, 2)
    after = (folder / "executions.jsonl").read_bytes()
    assert after.startswith(before) and len(after) > len(before)
    assert (folder / "executions.jsonl").stat().st_ino == inode
    assert count(folder) == 2


def test_after_180_days_a_line_goes_and_the_record_stays(kz, folder, monkeypatch):
    record(kz, 1)
    record(kz, 20)
    monkeypatch.setenv("KAIZEN_CLOCK", "2026-10-29T00:00:00+00:00")
    kz.ok("P1", agent="reviewer", success=True, timestamp="2026-10-28T00:00:00Z")
    assert days(folder) == ["05-20", "10-28"]
    assert count(folder) == 3
    assert kz.ok("P4", agent="reviewer")["count"] == 3


def test_an_execution_that_is_too_old_is_recorded_and_stands_in_no_file(kz, folder):
    record(kz, 1)
    kz.ok("P1", agent="reviewer", success=True, timestamp="2020-01-01T00:00:00Z")
    record(kz, 2)
    assert days(folder) == ["05-01", "05-02"] and count(folder) == 3


def test_files_that_are_lost_come_back_with_the_next_record(kz, folder):
    record(kz, 1)
    record(kz, 2)
    (folder / "executions.jsonl").unlink()
    (folder / "summary.json").unlink()
    record(kz, 3)
    assert days(folder) == ["05-01", "05-02", "05-03"] and count(folder) == 3


def test_a_record_whose_file_was_not_written_is_caught_up(kz, folder, plane):
    record(kz, 1)
    (plane / ".kaizen/metrics").rename(plane / "aside")
    (plane / ".kaizen/metrics").write_text("a file where a folder belongs")
    reply = record(kz, 2)
    assert "do not follow it yet" in reply["warnings"][0] and reply["summary"]["execution_count"] == 2
    (plane / ".kaizen/metrics").unlink()
    (plane / "aside").rename(plane / ".kaizen/metrics")
    assert days(folder) == ["05-01"]
    record(kz, 3)
    assert days(folder) == ["05-01", "05-02", "05-03"]


def test_what_others_appended_is_taken_in_before_the_next_record(kz, folder):
    record(kz, 1)
    theirs = '{"agent": "reviewer", "success": false, "timestamp": "2026-05-02T00:00:00+00:00",  "note": "by hand"}'
    with (folder / "executions.jsonl").open("a") as file:
        file.write(f"{theirs}\n\nno json\n" + '{"agent": "reviewer"}')
    reply = record(kz, 3)
    assert reply["imported"] == 1 and "2 lines" in reply["warnings"][0]
    assert reply["summary"]["execution_count"] == count(folder) == 3
    assert lines(folder)[1:4] == [theirs, "no json", '{"agent": "reviewer"}']
    again = record(kz, 4)
    assert "imported" not in again and "warnings" not in again
    assert count(folder) == 4 and len(lines(folder)) == 6


def test_the_first_record_of_a_project_keeps_what_is_there(kz, folder):
    folder.mkdir(parents=True)
    theirs = [b'{"timestamp": "2026-05-%02dT00:00:00Z", "agent": "reviewer", "success": true}' % day for day in (1, 2)]
    data = b"\xef\xbb\xbf" + b"\r\n".join([theirs[0], b"{broken \xff", theirs[1]])
    (folder / "executions.jsonl").write_bytes(data)
    (folder / "summary.json").write_text("{}")
    assert record(kz, 3)["summary"]["execution_count"] == count(folder) == 3
    written = (folder / "executions.jsonl").read_bytes().splitlines()
    assert written[:3] == [theirs[0], b"{broken \xff", theirs[1]] and len(written) == 4


def test_a_line_that_is_not_taken_in_yet_stays_where_the_files_are_renewed(kz, folder):
    record(kz, 1)
    with (folder / "executions.jsonl").open("a") as file:
        file.write('{"timestamp": "2026-05-02T00:00:00Z", "agent": "reviewer", "success": true}\n')
    store = Store(paths.find())
    projection.renew(store, ["reviewer"])
    assert days(folder) == ["05-01", "05-02"] and store.warnings == []


def test_a_file_that_others_write_to_is_appended_to_and_not_replaced(kz, folder):
    record(kz, 1)
    inode = (folder / "executions.jsonl").stat().st_ino
    with (folder / "executions.jsonl").open("a") as file:
        file.write('{"timestamp": "2026-05-02T00:00:00Z", "agent": "reviewer", "success": true}\nhalf a l')
        file.flush()
        record(kz, 3)
        file.write("theirs\n")
    assert (folder / "executions.jsonl").stat().st_ino == inode
    assert days_of(lines(folder)) == ["05-01", "05-02", "05-03"] and lines(folder)[-1] == "theirs"


def days_of(found: list[str]) -> list[str]:
    return [json.loads(line)["timestamp"][5:10] for line in found if line.startswith("{")]


def test_a_batch_writes_the_files_once_it_is_durable(kz, folder, plane):
    batch = [
        {"op": "P1", "agent": "reviewer", "success": True, "timestamp": f"2026-05-{day:02d}T00:00:00Z"} for day in range(1, 29)
    ]
    batch.insert(5, {"op": "P1", "agent": "reviewer"})
    reply = kz("K8", _stdin="\n".join(map(json.dumps, batch)))
    assert reply.code == 1 and reply.stdout.count('"duplicate": false') == 28
    assert days(folder) == [f"05-{day:02d}" for day in range(1, 29)] and count(folder) == 28
    refused = kz("K8", atomic=True, _stdin="\n".join([json.dumps({**batch[0], "time": 5}), json.dumps({"op": "P1"})]))
    assert refused.code and count(folder) == 28 and len(lines(folder)) == 28


def test_an_erased_execution_leaves_its_line(kz, folder):
    first = record(kz, 1)
    record(kz, 2)
    (folder / "executions.jsonl").write_text((folder / "executions.jsonl").read_text() + "theirs\n")
    kz.ok("K21", id=first["id"], reason="It named a person.", confirm=first["id"])
    assert "05-01" not in (folder / "executions.jsonl").read_text() and lines(folder)[-1] == "theirs"
    assert count(folder) == 1
    kz.ok("P16")
    assert count(folder) == 1


def test_erasing_test_data_leaves_nothing_in_the_files(kz, folder):
    record(kz, 1, test=True)
    kz.ok("K7")
    assert lines(folder) == [] and count(folder) == 0


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_out_of_the_project_is_not_followed(kz, plane, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "profile").write_text("export A=1\n")
    (plane / ".kaizen/metrics").mkdir(parents=True)
    (plane / ".kaizen/metrics/reviewer").symlink_to(outside)
    reply = record(kz, 1)
    assert "leads out of the project" in reply["warnings"][0]
    assert sorted(path.name for path in outside.iterdir()) == ["profile"]
    (plane / ".kaizen/metrics/reviewer").unlink()
    (plane / ".kaizen/metrics/reviewer").mkdir()
    (plane / ".kaizen/metrics/reviewer/executions.jsonl").symlink_to(outside / "profile")
    record(kz, 2)
    assert (outside / "profile").read_text() == "export A=1\n"


@pytest.mark.skipif(os.name == "nt", reason="there are no pipes as files there")
def test_a_pipe_instead_of_a_file_holds_nobody_up(kz, folder):
    folder.mkdir(parents=True)
    os.mkfifo(folder / "executions.jsonl")
    assert "it is no file" in record(kz, 1)["warnings"][0]
    assert kz.ok("P16")["imported"] == 0


def test_somebody_else_at_the_files_costs_a_warning_after_a_while(kz, plane, folder, monkeypatch):
    monkeypatch.setattr(projection, "PATIENCE", 0.05)
    record(kz, 1)
    held = PlaneLock(plane / "AI/db/projections/lock", "somebody")
    done: list[dict] = []
    with held:
        worker = threading.Thread(target=lambda: done.append(record(kz, 2)))
        worker.start()
        worker.join(20)
    assert "do not follow it yet" in done[0]["warnings"][0]
    record(kz, 3)
    assert count(folder) == 3


def test_a_summary_that_a_reader_sees_is_always_whole(kz, folder):
    record(kz, 1)
    stop, seen = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            seen.append(count(folder))

    reader = threading.Thread(target=read)
    reader.start()
    for day in range(2, 12):
        record(kz, day)
    stop.set()
    reader.join()
    assert seen == sorted(seen) and set(seen) <= set(range(1, 12))


@pytest.mark.slow
def test_many_processes_record_at_once_and_the_files_have_all(process, plane):
    import subprocess

    started = [
        subprocess.Popen(
            [sys.executable, str(ROOT / "kaizen.py"), "P1", "--agent", "reviewer", "--success", "--time", str(number), "--json"],
            stdout=subprocess.DEVNULL,
        )
        for number in range(8)
    ]
    assert [one.wait(60) for one in started] == [0] * 8
    folder = plane / ".kaizen/metrics/reviewer"
    assert sorted(json.loads(line)["execution_time_s"] for line in lines(folder)) == list(range(8))
    assert count(folder) == 8
