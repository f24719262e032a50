"""The session digest: what a session sees at its start, in how many tokens."""

from __future__ import annotations

import json
import shlex
import sqlite3
import sys

import pytest

from kaizen_components.ops import _index
from kaizen_components.reports import digest

KEYS = "status message policies active_gotchas blocking_verifications recent_learned active_tasks counts required_action".split()
COUNTS = (
    "policies_active gotchas_active blocking_verifications learned_total tasks_active active_tasks_without_ledger"
    " ledger_events_last_7d verifications_last_7d"
).split()


def tokens(text: str) -> int:
    return -(-len(text.encode()) // 4)


def fill(kz, many: int = 8) -> None:
    """A plane with enough in every section to be cut."""
    body = "Why it holds, said at some length, so that there is something to shorten. " * 12
    lines = []
    for n in range(many):
        lines += [
            {
                "op": "X1",
                "title": f"Rule {n}",
                "summary": f"Rule {n} holds.",
                "body": body,
                "priority": ["low", "critical"][n % 2],
            },
            {"op": "G1", "title": f"Pitfall {n}", "summary": f"Pitfall {n} is deep.", "body": body},
            {"op": "Q2", "summary": f"Verdict {n} is bad.", "conclusion": "VERIFICATION_FAILED"},
            {"op": "L1", "title": f"Lesson {n}", "summary": f"Lesson {n} was hard.", "body": body},
            {"op": "L3", "id": f"${len(lines) + 4}.id"},
            {"op": "W1", "title": f"Task {n}", "summary": f"Task {n} – größer als gedacht.", "body": body},
        ]
    assert kz("K8", _stdin="\n".join(json.dumps(line) for line in lines)).code == 0


def test_the_digest_holds_every_key(kz):
    fill(kz, 6)
    digest = kz.ok("R0")
    assert list(digest) == KEYS
    assert list(digest["counts"]) == COUNTS
    assert [len(digest[name]) for name in KEYS[2:7]] == [6, 5, 5, 5, 5]
    assert digest["policies"][0]["priority"] == "critical" and digest["policies"][0]["body"]
    assert set(digest["active_gotchas"][0]) == {"id", "title", "summary", "scope", "status", "created_at"}
    assert {"id", "title", "summary", "created_at"} == set(digest["recent_learned"][0])


def test_an_empty_plane_has_a_digest(kz):
    digest = kz.ok("R0")
    assert digest["active_tasks"] == [] and digest["counts"]["ledger_events_last_7d"] == 1
    assert "W1" in digest["required_action"]


def test_active_is_every_status_that_is_not_closed(kz):
    waiting = kz.ok("W1", title="Waiting", summary="It waits.", status="waiting for review")
    kz.ok("W1", title="Over", summary="It is over.", status="Done")
    digest = kz.ok("R0")
    assert [task["id"] for task in digest["active_tasks"]] == [waiting["id"]]
    assert digest["counts"]["tasks_active"] == 1


def test_the_newest_come_first_and_a_limit_is_kept(kz):
    fill(kz, 6)
    assert [row["title"] for row in kz.ok("R0", limit=2)["active_tasks"]] == ["Task 5", "Task 4"]
    assert len(kz.ok("R0", limit=-1)["active_gotchas"]) == 6


def test_nothing_that_was_retired_is_shown(kz):
    made = {
        "policies": kz.ok("X1", title="Rule", summary="Zebra rule.", body="Zebra body.")["id"],
        "active_gotchas": kz.ok("G1", title="Pit", summary="Zebra pit.", body="Deep.")["id"],
        "blocking_verifications": kz.ok("Q2", summary="Zebra fails.", conclusion="VERIFICATION_FAILED")["id"],
        "active_tasks": kz.ok("W1", title="Task", summary="Zebra task.")["id"],
    }
    learning = kz.ok("L1", title="Lesson", summary="Zebra lesson.")["id"]
    made["recent_learned"] = kz.ok("L3", id=learning)["id"]
    for op, section in {
        "X8": "policies",
        "G6": "active_gotchas",
        "Q13": "blocking_verifications",
        "W12": "active_tasks",
        "L13": "recent_learned",
    }.items():
        kz.ok(op, id=made[section], reason="No longer.")
    digest = kz.ok("R0", query="zebra")
    assert all(digest[section] == [] for section in made)
    assert "ebra" not in digest.stdout


def test_a_blocking_verdict_says_on_what_it_rests(kz):
    proof = kz("Q11", _command=[sys.executable, "-c", "raise SystemExit(3)"])["id"]
    kz.ok("Q12", id=proof, status="superseded")
    kz.ok("Q2", summary="The suite fails.", conclusion="VERIFICATION_FAILED", proof_id=proof)
    (verdict,) = kz.ok("R0")["blocking_verifications"]
    assert verdict["basis"] == "asserted"
    assert [(row["id"], row["basis"]) for row in verdict["proofs"]] == [(proof, "observed")]


def test_of_a_retired_proof_only_its_basis_is_told(kz):
    proof = kz.ok("Q1", summary="Zebra seen.")["id"]
    kz.ok("Q2", summary="It fails.", conclusion="VERIFICATION_FAILED", proof_id=proof)
    kz.ok("Q13", id=proof, reason="It tested the wrong branch.")
    digest = kz.ok("R0")
    assert digest["blocking_verifications"][0]["proofs"][0]["basis"] == "asserted"
    assert "Zebra" not in digest.stdout


def test_the_counts_cover_seven_days_to_the_second(kz, monkeypatch):
    monkeypatch.setenv("KAIZEN_CLOCK", "2026-01-01T12:00:00+00:00")
    kz.ok("Q1", summary="Long ago.")  # entries 1 and 2: 12:00:01 and 12:00:02
    kz.ok("Q1", summary="Just within.")  # entry 3: 12:00:03
    monkeypatch.setenv("KAIZEN_CLOCK", "2026-01-05T00:00:00+00:00")
    kz.ok("Q1", summary="Some days ago.")
    monkeypatch.setenv("KAIZEN_CLOCK", "2026-01-08T11:59:59+00:00")  # now is 12:00:03, as the ledger is at entry 4
    counts = kz.ok("R0")["counts"]
    assert (counts["ledger_events_last_7d"], counts["verifications_last_7d"]) == (2, 2)
    monkeypatch.setenv("KAIZEN_CLOCK", "2026-01-08T11:59:58+00:00")
    counts = kz.ok("R0")["counts"]
    assert (counts["ledger_events_last_7d"], counts["verifications_last_7d"]) == (3, 3)


def test_tasks_without_entries_of_their_own_are_counted(kz):
    task = kz.ok("W1", title="Alone", summary="Nothing follows.")["id"]
    assert kz.ok("R0")["counts"]["active_tasks_without_ledger"] == 1
    kz.ok("W38", summary="A remark.", task_id=task)
    assert kz.ok("R0")["counts"]["active_tasks_without_ledger"] == 0


def test_one_section_can_be_asked_for(kz):
    fill(kz, 3)
    digest = kz.ok("R0", section="active_gotchas", limit=2)
    assert [row["title"] for row in digest["active_gotchas"]] == ["Pitfall 2", "Pitfall 1"]
    assert "policies" not in digest and digest["counts"]["policies_active"] == 3


@pytest.mark.parametrize("section", digest.SECTIONS)
def test_each_section_is_read_from_an_index_in_its_order(kz, plane, section):
    kz.ok("R0")
    kind, flag, _, order = digest.SECTIONS[section]
    with sqlite3.connect(plane / "AI/db/kaizen.db") as database:
        sql = f"EXPLAIN QUERY PLAN SELECT * FROM {_index.KINDS[kind].table} WHERE {flag} = 1 ORDER BY {order} LIMIT 5"
        (plan,) = [row[3] for row in database.execute(sql)]
    assert " USING INDEX " in plan


# --- the task at hand -----------------------------------------------------------------------------


def test_what_the_task_at_hand_is_about_comes_first(kz):
    wanted = kz.ok("G1", title="Login loop", summary="The login page reloads.", body="Cookies.")["id"]
    policy = kz.ok("X1", title="Login rule", summary="Test the login.", priority="low")["id"]
    fill(kz, 6)
    digest = kz.ok("R0", query="repair the login page")
    assert digest["active_gotchas"][0]["id"] == wanted and len(digest["active_gotchas"]) == 5
    assert digest["policies"][0]["id"] == policy


def test_a_query_never_drops_a_blocking_verdict(kz):
    old = kz.ok("Q2", summary="The login fails.", conclusion="VERIFICATION_FAILED")["id"]
    fill(kz, 6)
    before = {row["id"] for row in kz.ok("R0")["blocking_verifications"]}
    shown = [row["id"] for row in kz.ok("R0", query="login")["blocking_verifications"]]
    assert shown[0] == old and before <= set(shown)


def test_a_query_that_finds_nothing_changes_nothing(kz):
    fill(kz, 3)
    assert kz.ok("R0", query="xylophone")["active_tasks"] == kz.ok("R0")["active_tasks"]


# --- the budget -----------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [200, 201, 240, 300, 450, 700, 1_000, 1_500, 2_500, 4_000, 8_000, 20_000])
def test_a_budget_is_a_hard_ceiling_on_the_whole_reply(kz, limit):
    fill(kz)
    digest = kz.ok("R0", budget=limit)
    assert tokens(digest.stdout) == digest["budget"]["used"] <= limit == digest["budget"]["limit"]
    assert list(digest["counts"]) == COUNTS


def test_a_budget_that_suffices_cuts_nothing(kz):
    fill(kz, 2)
    digest = kz.ok("R0", budget=50_000)
    assert digest["budget"]["cut"] == []
    assert {name: digest[name] for name in KEYS} == dict(kz.ok("R0"))


def test_bodies_are_shortened_before_records_are_dropped(kz):
    fill(kz)
    whole, digest = kz.ok("R0"), kz.ok("R0", budget=3_500)
    assert [len(digest[name]) for name in KEYS[2:7]] == [len(whole[name]) for name in KEYS[2:7]]
    assert all(len(row["body"]) < 800 and row["body"].endswith("…") for row in digest["policies"])
    (cut,) = digest["budget"]["cut"]
    assert (cut["section"], cut["shown"], cut["total"], cut["shortened"]) == ("policies", 8, 8, 8)


def test_what_blocks_is_kept_longest_and_lesser_policies_go_first(kz):
    fill(kz)
    digest = kz.ok("R0", budget=900)
    assert digest["blocking_verifications"]
    assert {row["priority"] for row in digest["policies"]} <= {"critical"}
    assert len(digest["recent_learned"]) < 5


def test_a_cut_names_the_command_that_shows_it_all(kz):
    fill(kz)
    digest = kz.ok("R0", budget=900)
    assert digest["budget"]["cut"]
    for cut in digest["budget"]["cut"]:
        _, _, *argv = shlex.split(cut["command"])
        shown = kz.ok(argv[0], _args=argv[1:])[cut["section"]]
        assert len(shown) == cut["total"] >= cut["shown"] == len(digest[cut["section"]])


def test_a_budget_too_small_for_anything_is_refused(kz):
    assert kz.denied("DENIED_SCHEMA_RANGE", "R0", budget=199)["min"] == 200


def test_texts_of_any_script_keep_to_the_budget(kz):
    for n in range(5):
        kz.ok("W1", title=f"{n} " + "漢字" * 300, summary="🦓" * 500, task_id="x" * 900)
        kz.ok("Q2", summary='\\"' * 900, conclusion="VERIFICATION_FAILED", proof_id="y" * 900)
    for limit in (200, 400, 800, 1_600):
        assert tokens(kz.ok("R0", budget=limit).stdout) <= limit


def test_warnings_count_as_well(kz, plane):
    fill(kz, 2)
    with sqlite3.connect(plane / "AI/db/kaizen.db") as database:
        database.execute("UPDATE schema_version SET manifest_hash = 'another'")
    for limit in (200, 230, 300):
        digest = kz.ok("R0", budget=limit)
        assert digest["warnings"] and tokens(digest.stdout) == digest["budget"]["used"] <= limit


# --- for people -----------------------------------------------------------------------------------


def test_a_person_reads_what_matters_first(kz):
    fill(kz, 2)
    text = kz.ok("R0", _text=True).stdout
    order = [
        "Blocking verifications (2 of 2)",
        "Policies (2 of 2)",
        "Open tasks (2 of 2)",
        "Gotchas (2 of 2)",
        "Lessons (2 of 2)",
        "Next: ",
    ]
    assert [text.index(part) for part in order] == sorted(text.index(part) for part in order)
    assert max(map(len, text.splitlines())) <= 110


def test_a_person_sees_what_a_budget_cut(kz):
    fill(kz)
    assert "R0 --section" in kz.ok("R0", budget=900, _text=True).stdout
