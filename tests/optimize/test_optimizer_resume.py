"""A run that was cut off goes on to the same end, and pays for nothing twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import planted
import pytest
from conftest import ROOT

from kaizen_components import denial
from kaizen_components.optimize.calls import Calls


@pytest.fixture
def task(kz, plane, text_model):
    kz.ok("K1")
    text_model.answer = planted.model
    return planted.written(plane)


@pytest.fixture
def small(plane, task):
    """The same with few cases."""
    return planted.written(plane, 9)


def end(reply: dict[str, Any]) -> dict[str, Any]:
    """What two runs with the same end have in common: everything but ids and times."""
    told = {name: reply[name] for name in ("verdict", "candidates", "calls", "tokens", "held_out", "run_status", "reason")}
    return {**told, "winner": reply["winner"]["path"], "validation": reply["winner"]["validation_score"]}


class Cut(BaseException):
    """The process is gone."""


def test_a_run_that_dies_at_any_point_ends_as_one_that_does_not(kz, plane, small, text_model, monkeypatch):
    whole = kz.ok("P12", **small, rounds=4, seed=3)
    paid = Counter(planted.chats(text_model.requests))
    text_model.requests.clear()
    made, source = Calls.made, random.Random(5)
    left = 0

    def dying(self, *arguments, **options):
        nonlocal left
        left -= 1
        if left < 0:
            raise Cut
        return made(self, *arguments, **options)

    monkeypatch.setattr(Calls, "made", dying)
    left, flags = source.randrange(1, 20), {**small, "rounds": 4, "seed": 3}
    for _ in range(4):
        with pytest.raises(Cut):
            kz("P12", **flags)
        flags = {"resume": kz.ok("P14")["records"][0]["id"]}
        assert kz.ok("P13", id=flags["resume"])["run"]["status"] == "running"
        recorded = kz.ok("P13", id=flags["resume"])["cost"]
        left = sum(sums["calls"] for sums in recorded.values()) + source.randrange(1, 8)
        # This process lives; the record names one that does not.
        monkeypatch.setattr("kaizen_components.optimize.runs.lives", lambda named: False)
    monkeypatch.setattr(Calls, "made", made)
    resumed = kz.ok("P12", **flags)
    assert end(resumed) == end(whole)
    assert Counter(planted.chats(text_model.requests)) == paid
    assert resumed["calls_repeated"] > 0
    first, second = (kz.ok("P13", id=reply["id"]) for reply in (whole, resumed))
    assert [node["scores"] for node in first["tree"]] == [node["scores"] for node in second["tree"]]
    assert first["blame"] == second["blame"]


def start(*argv: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "kaizen.py"), *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def flags_of(task: dict[str, str], **more: Any) -> list[str]:
    return [word for name, value in {**task, **more}.items() for word in (f"--{name.replace('_', '-')}", str(value))]


@pytest.mark.slow
def test_ten_kills_at_random_points_change_nothing(kz, plane, task, text_model):
    """Real processes, a real server, kill -9."""
    flags = flags_of(task, rounds=4, seed=3)
    done = subprocess.run(
        [sys.executable, str(ROOT / "kaizen.py"), "P12", *flags, "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    whole = json.loads(done.stdout)
    paid = Counter(planted.chats(text_model.requests))
    text_model.requests.clear()
    source = random.Random(11)
    running: list[subprocess.Popen[str]] = []
    state = {"left": 0}
    guard = threading.Lock()

    def answer(body: dict[str, Any]) -> str:
        with guard:
            state["left"] -= 1
            kill = state["left"] == 0
        if kill and source.random() < 0.5:
            # Before the answer: the call under way is lost.
            running[-1].kill()
        text = planted.model(body)
        if kill:
            # Or a moment later, at whatever it does then.
            threading.Timer(source.random() * 0.1, running[-1].kill).start()
        return text

    text_model.answer = answer
    argv = flags
    kills = 0
    while kills < 10:
        state["left"] = source.randrange(1, 5)
        running.append(start("P12", *argv, "--json"))
        said = running[-1].communicate(timeout=120)
        assert running[-1].returncode == -signal.SIGKILL, f"it ended by itself after {kills} kills: {said}"
        kills += 1
        found = kz.ok("P14")["records"]
        if len(found) == 2:
            assert kz.ok("P13", id=found[0]["id"])["run"]["stands"] == found[0]["stands"] == "cut off"
        argv = ["--resume", found[0]["id"]] if len(found) == 2 else flags
    state["left"] = 0
    done = subprocess.run(
        [sys.executable, str(ROOT / "kaizen.py"), "P12", *argv, "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    resumed = json.loads(done.stdout)
    assert end(resumed) == end(whole)
    asked = Counter(planted.chats(text_model.requests))
    # What was recorded was asked once; at most the call that was under way at a kill was asked again.
    assert set(asked) == set(paid) and all(asked[call] >= paid[call] for call in paid)
    assert asked.total() - paid.total() <= kills
    assert resumed["calls"] == whole["calls"]


@pytest.mark.slow
def test_ctrl_c_ends_interrupted_and_the_run_goes_on(kz, plane, task, text_model):
    calls = iter(range(1_000))
    running: list[subprocess.Popen[str]] = []

    def answer(body: dict[str, Any]) -> str:
        if next(calls) == 6:
            os.kill(running[-1].pid, signal.SIGINT)
        return planted.model(body)

    text_model.answer = answer
    running.append(start("P12", *flags_of(task, rounds=4, seed=3), "--json"))
    out, err = running[-1].communicate(timeout=120)
    assert running[-1].returncode == 130, err
    reply = json.loads(out)
    assert reply["run_status"] == "interrupted" and f"--resume {reply['id']}" in reply["message"]
    assert kz.ok("P14")["records"][0]["status"] == "interrupted"
    assert kz.ok("P12", resume=reply["id"])["verdict"] == "better"


def test_what_was_frozen_is_used_whatever_became_of_the_files(kz, plane, small, monkeypatch):
    interrupted = cut(kz, small, monkeypatch)
    for name in ("cases.jsonl", "prompt.md"):
        Path(plane / name).write_text("something else", encoding="utf-8")
    reply = kz.ok("P12", resume=interrupted)
    assert reply["winner"]["validation_score"] == 1 and reply["cases"] == {"train": 4, "validation": 3, "held-out": 2}


def cut(kz, task, monkeypatch, after: int = 9, **more: Any) -> str:
    """The id of a run that was interrupted after some calls."""
    made, left = Calls.made, [after]

    def interrupted(self, *arguments, **options):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return made(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Calls, "made", interrupted)
        reply = kz("P12", **{"rounds": 4, "seed": 3, **task, **more})
    assert reply.code == 130 and reply["run_status"] == "interrupted", reply
    assert reply["calls"] == after
    return reply["id"]


def test_a_scorer_that_has_changed_is_refused(kz, plane, small, monkeypatch):
    interrupted = cut(kz, small, monkeypatch)
    (plane / "planted_scorer.py").write_text(planted.SCORER + "\n# other\n", encoding="utf-8")
    assert kz.denied("DENIED_OPTIMIZER_CHANGED", "P12", resume=interrupted)["changed"] == ["scorer"]
    (plane / "planted_scorer.py").write_text(planted.SCORER, encoding="utf-8")
    assert kz.ok("P12", resume=interrupted)["run_status"] == "completed"


def test_another_gepa_is_refused(kz, small, monkeypatch):
    interrupted = cut(kz, small, monkeypatch)
    monkeypatch.setattr("kaizen_components.optimize.engines.gepa.version", lambda: "9.9.9")
    assert kz.denied("DENIED_OPTIMIZER_CHANGED", "P12", resume=interrupted)["changed"] == ["gepa"]


@pytest.mark.parametrize("limits", [{"max_calls": 22}, {"max_tokens": 1_200, "answer_tokens": 10, "reflection_tokens": 50}])
def test_a_run_that_goes_on_stops_at_the_same_limit(kz, small, monkeypatch, limits):
    whole = kz.ok("P12", **small, rounds=4, seed=3, **limits)
    assert whole["run_status"] == "budget_exceeded"
    assert end(kz.ok("P12", resume=cut(kz, small, monkeypatch, **limits))) == end(whole)


def test_a_frozen_file_that_is_gone_is_refused(kz, plane, small, monkeypatch):
    interrupted = cut(kz, small, monkeypatch)
    blob = plane / "AI" / "db" / "blobs" / kz.ok("P13", id=interrupted)["run"]["cases_blob"]
    kept = blob.read_bytes()
    blob.write_bytes(kept + b"\n")
    kz.denied("DENIED_OPTIMIZER_CHANGED", "P12", resume=interrupted)
    blob.unlink()
    kz.denied("DENIED_OPTIMIZER_CHANGED", "P12", resume=interrupted)


def test_a_run_that_is_over_is_not_taken_up_again(kz, small):
    ended = kz.ok("P12", **small, rounds=1)["id"]
    assert kz.denied("DENIED_OPTIMIZER_ENDED", "P12", resume=ended)["run_status"] == "completed"
    exceeded = kz.ok("P12", **small, rounds=4, max_calls=20)
    assert exceeded["run_status"] == "budget_exceeded"
    kz.denied("DENIED_OPTIMIZER_ENDED", "P12", resume=exceeded["id"])


def test_one_process_at_a_time_works_on_a_run(kz, small, text_model):
    met = []

    def answer(body):
        if not met:
            met.append(kz.denied("DENIED_OPTIMIZER_BUSY", "P12", resume=kz.ok("P14")["records"][0]["id"]))
        return planted.model(body)

    text_model.answer = answer
    assert kz.ok("P12", **small, rounds=1)["run_status"] == "completed"
    assert int(met[0]["process"]) == os.getpid()


def test_resume_takes_no_other_flag(kz, small, monkeypatch):
    interrupted = cut(kz, small, monkeypatch)
    assert kz.denied("DENIED_FLAG_CONFLICT", "P12", resume=interrupted, seed=4)["flag"] == "--seed"
    kz.denied("DENIED_FLAG_CONFLICT", "P12", resume=interrupted, _command=["true"])


def test_the_same_key_does_not_begin_a_run_again_that_was_cut_off(kz, small, monkeypatch):
    interrupted = cut(kz, small, monkeypatch, key="k")
    refused = kz.denied("DENIED_OPTIMIZER_UNFINISHED", "P12", **small, rounds=4, seed=3, key="k")
    assert refused["id"] == interrupted and f"--resume {interrupted}" in refused["required_action"]
    kz.denied("DENIED_KEY_CONFLICT", "P12", **small, rounds=4, seed=4, key="k")
    kz.denied("DENIED_KEY_CONFLICT", "P12", resume=interrupted, key="k")
    warned = kz.ok("P12", **small, rounds=4, seed=3, key="other")
    assert any(interrupted in warning for warning in warned["warnings"])


@pytest.mark.parametrize("key", [{}, {"key": "second"}])
def test_the_key_that_began_a_run_gives_the_answer_of_the_resumed_one(kz, small, text_model, monkeypatch, key):
    interrupted = cut(kz, small, monkeypatch, key="k")
    resumed = kz.ok("P12", resume=interrupted, **key)
    asked = len(text_model.requests)
    again = kz.ok("P12", **small, rounds=4, seed=3, key="k")
    assert again["replayed"] and again["id"] == interrupted and again["proposal_id"] == resumed["proposal_id"]
    assert end(again) == end(resumed) and again["winner"] == resumed["winner"] and again["baseline"] == resumed["baseline"]
    assert len(text_model.requests) == asked and kz.ok("P14")["count"] == 1


def test_the_key_of_a_run_that_failed_leads_to_it(kz, plane, small, monkeypatch):
    made, left = Calls.made, [9]

    def failing(self, *arguments, **options):
        left[0] -= 1
        if left[0] < 0:
            raise denial.ScorerFailed(reason="exit code 1")
        return made(self, *arguments, **options)

    flags = {**small, "rounds": 4, "seed": 3, "key": "k"}
    with monkeypatch.context() as patch:
        patch.setattr(Calls, "made", failing)
        failed = kz.denied("DENIED_SCORER_FAILED", "P12", **flags)["run_id"]
    assert kz.denied("DENIED_OPTIMIZER_UNFINISHED", "P12", **flags)["id"] == failed
    kz.ok("P12", resume=failed)
    assert kz.ok("P12", **flags)["id"] == failed and kz.ok("P14")["count"] == 1


def test_a_key_gives_the_answer_again(kz, small, text_model):
    first = kz.ok("P12", **small, rounds=1, key="k")
    asked = len(text_model.requests)
    again = kz.ok("P12", **small, rounds=1, key="k")
    assert again["replayed"] and again["id"] == first["id"] and len(text_model.requests) == asked


def test_a_failing_model_fails_the_run_which_goes_on_when_it_is_back(kz, small, text_model, monkeypatch):
    monkeypatch.setattr("kaizen_components.backends.http.wait", lambda seconds: None)
    counted = iter(range(1_000))

    def answer(body):
        if next(counted) == 5:
            text_model.faults = [(500, {})] * 4
        return planted.model(body)

    text_model.answer = answer
    refused = kz.denied("DENIED_BACKEND_HTTP", "P12", **small, rounds=4, seed=3)
    assert refused["resume"].endswith(refused["run_id"])
    assert kz.ok("P14")["records"][0]["status"] == "failed"
    assert kz.ok("P12", resume=refused["run_id"])["winner"]["validation_score"] == 1


@pytest.mark.slow
def test_ctrl_c_ends_the_scorer_that_is_under_way(kz, plane, process):
    kz.ok("K1")
    (plane / "slow.sh").write_text("touch begun\nexec sleep 60\n", encoding="utf-8")
    given = {
        "contract": "greeting",
        "body": "a",
        "candidate": "b",
        "cases": '[{"name": "a", "input": 1}, {"name": "b", "input": 1}]',
    }
    running = start("P12", *flags_of(given), "--json", "--", "sh", "slow.sh")
    while not (plane / "begun").exists():
        assert running.poll() is None, running.communicate()
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130 and json.loads(out)["run_status"] == "interrupted", err
    assert json.loads(out)["calls"] == 0
