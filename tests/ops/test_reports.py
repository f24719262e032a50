"""Reports: what they hold, how they are written, and the records of them."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from kaizen_components import hashing, paths
from kaizen_components.reports import markdown, spreadsheet
from kaizen_components.reports.document import Document
from kaizen_components.store import Store

LEDGER_REPORTS = {"R2": "ledger", "R8": "weekly", "R9": "monthly", "R10": "yearly"}
NAMES = {"R1": "task", "R3": "learning", "R4": "proof", "R5": "eval", "R6": "source", "R7": "anti-pattern", **LEDGER_REPORTS}
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)


def content(plane, reply) -> str:
    return (plane / reply["path"]).read_bytes().decode()


def report(kz, plane, code, **flags):
    """The JSON of a report."""
    return json.loads(content(plane, kz.ok(code, format="json", **flags)))


def files(plane) -> list[str]:
    folder = plane / "AI/db/exports/reports"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def ids(rows) -> list[str]:
    return [row["id"] for row in rows]


# --- writing a report -----------------------------------------------------------------------------


@pytest.mark.parametrize("code", NAMES)
def test_a_report_is_a_file_with_a_record_that_holds_its_hash(kz, plane, code):
    made = kz.ok(code)
    assert re.fullmatch(rf"AI/db/exports/reports/{NAMES[code]}-report-\d{{8}}T\d{{6}}Z\.md", made["path"])
    assert hashing.file_sha256(plane / made["path"])[0] == made["sha256"]
    record = kz.ok("R13", id=made["id"])["record"]
    assert {name: record[name] for name in ("path", "rows", "sha256", "format")} == {
        name: made[name] for name in ("path", "rows", "sha256", "format")
    }
    assert json.loads(record["columns_json"]) == made["columns"] and "id" in made["columns"]


def test_two_reports_in_one_second_have_two_files(kz, plane, monkeypatch):
    monkeypatch.setenv("KAIZEN_CLOCK", "2026-01-01T00:00:00+00:00")
    first = kz.ok("R6")
    (plane / first["path"]).rename(plane / "AI/db/exports/reports/source-report-20260101T000003Z.md")
    second = kz.ok("R6")
    assert second["path"].endswith("source-report-20260101T000003Z-2.md")


def test_reports_are_listed_searched_and_retired(kz):
    kz.ok("R2")
    topic = kz.ok("R11", query="login")
    assert ids(kz.ok("R12", limit=1)["records"]) == ids(kz.ok("R12", query="login")["records"]) == [topic["id"]]
    assert len(kz.ok("R12", report_type="ledger")["records"]) == 1
    kz.ok("R14", id=topic["id"], reason="It left out a week.")
    assert kz.ok("R13", id=topic["id"])["record"]["retired_reason"] == "It left out a week."


def test_a_test_report_is_test_data(kz):
    assert kz.ok("R13", id=kz.ok("R2", test=True)["id"])["record"]["is_test"] == 1


def test_purging_a_report_deletes_its_file_and_no_other(kz, plane):
    kept = kz.ok("R6")
    kz.ok("R6", test=True)
    assert kz.ok("K7")["purged"]["reports"] == 1
    assert files(plane) == [kept["path"].rpartition("/")[2]]


def test_repeating_a_key_gives_the_first_report_and_no_second_file(kz, plane):
    first = kz.ok("R2", key="monday")
    again = kz.ok("R2", key="monday")
    assert again["replayed"] and again["path"] == first["path"]
    whole = kz.ok("R2", key="all", limit=-1)
    assert kz.ok("R2", key="all", limit=-1)["path"] == whole["path"]
    assert len(files(plane)) == 2


@pytest.mark.parametrize("limit", [10, -1])
def test_no_file_is_left_where_the_record_cannot_be_written(kz, plane, limit):
    kz.ok("R2")
    before = files(plane)
    kz.ok("W1", title="Task", summary="A task.", key="taken")
    kz.denied("DENIED_KEY_CONFLICT", "R2", key="taken", limit=limit)
    with sqlite3.connect(plane / "AI/db/kaizen.db") as database:
        database.execute("UPDATE schema_version SET manifest_hash = 'another'")
    kz.denied("DENIED_SCHEMA_DRIFT", "R2", limit=limit)
    assert files(plane) == before


def test_a_secret_in_a_query_is_refused(kz, plane):
    kz.denied("DENIED_REDACTION", "R2", query="AKIA" + "Q7" * 8)
    assert files(plane) == []


def test_a_report_on_everything_lets_others_write_meanwhile(kz, plane):
    kz.ok("W1", title="Task", summary="A task.")
    with Store(paths.find()).reading_copy() as reader:
        kz.ok("W1", title="Another", summary="Another task.")
        assert reader.count("task") == 1


def test_people_read_where_the_report_is(kz):
    shown = kz.ok("R2", _text=True).stdout
    assert "AI/db/exports/reports/ledger-report-" in shown and "1 of 1 rows" in shown


# --- what is selected -----------------------------------------------------------------------------


def test_a_limit_cuts_the_rows_and_says_how_many_match(kz, plane):
    lines = [json.dumps({"op": "W1", "title": f"Task {n}", "summary": "One of many."}) for n in range(60)]
    assert kz("K8", _stdin="\n".join(lines)).code == 0
    bare = kz.ok("R1")
    assert (bare["rows"], bare["matching"]) == (50, 60)
    assert "50 of 60 that match; all of them: `python kaizen.py R1 --limit=-1`" in content(plane, bare)
    assert (kz.ok("R1", limit=3)["rows"], kz.ok("R1", limit=-1)["rows"]) == (3, 60)


@pytest.mark.parametrize("code", [code for code in NAMES if code != "R4"])
@pytest.mark.parametrize("flag", ["severity", "actionability"])
def test_severity_and_actionability_belong_to_proofs(kz, code, flag):
    refusal = kz.denied("DENIED_FILTER_UNSUPPORTED", code, **{flag: "high"})
    assert (refusal["report"], refusal["flag"]) == (code, f"--{flag}")


def test_proofs_are_filtered_by_severity_and_actionability(kz, plane):
    kz.ok("Q2", summary="Bad.", severity="high", actionability="now")
    kz.ok("Q2", summary="Worse.", severity="high", actionability="later")
    rows = report(kz, plane, "R4", severity="high", actionability="later")["rows"]
    assert [row["summary"] for row in rows] == ["Worse."]


def test_a_task_report_can_be_of_one_task_and_its_parts(kz, plane):
    task = kz.ok("W1", title="Whole", summary="The whole.")["id"]
    part = kz.ok("W1", title="Part", summary="A part.", task_id=task)["id"]
    kz.ok("W1", title="Other", summary="Another.")
    assert ids(report(kz, plane, "R1", task_id=task)["rows"]) == [part, task]


def test_a_task_that_does_not_exist_is_refused(kz, plane):
    kz.denied("DENIED_REFERENCE_NOT_FOUND", "R1", task_id="t_20260101000000_0123456789")
    assert files(plane) == []


def test_a_task_selects_the_entries_and_proofs_that_belong_to_it(kz, plane):
    task = kz.ok("W1", title="Task", summary="A task.")["id"]
    proof = kz.ok("Q1", summary="It passed.", task_id=task)["id"]
    kz.ok("Q1", summary="Something else passed.")
    assert [row["record_id"] for row in report(kz, plane, "R2", task_id=task)["rows"]] == [proof, task]
    assert ids(report(kz, plane, "R4", task_id=task)["rows"]) == [proof]


@pytest.mark.parametrize("code", ["R5", "R6", "R7"])
def test_what_has_no_task_has_no_such_flag(kz, code):
    assert kz.denied("DENIED_USAGE", code, task_id="PROJ-42")["flag"] == "--task-id"


def test_a_scope_selects_records_and_the_entries_of_such_records(kz, plane):
    kz.ok("G1", title="Here", summary="Here.", body="Here.")
    there = kz.ok("G1", title="There", summary="There.", body="There.", scope="global")["id"]
    wide = kz.ok("W1", title="Wide", summary="Wide.", scope="global")["id"]
    assert [row["record_id"] for row in report(kz, plane, "R2", scope="global")["rows"]] == [wide, there]
    assert ids(report(kz, plane, "R1", scope="global")["rows"]) == [wide]


def test_sources_belong_to_the_project(kz, plane):
    kz.ok("S1", source_id="rfc8785", authority_tier="normative", url_or_repository="https://example.org", summary="JCS.")
    assert kz.ok("R6", scope="project")["rows"] == 1
    assert kz.ok("R6", scope="global")["rows"] == 0


def test_a_query_selects_records_by_their_words(kz, plane):
    kz.ok("W1", title="Fix login", summary="Users cannot log in.")
    kz.ok("W1", title="Fix logout", summary="Users cannot leave.")
    assert [row["title"] for row in report(kz, plane, "R1", query="login fix")["rows"]] == ["Fix login"]


def test_a_topic_is_the_entries_of_the_records_that_a_query_finds(kz, plane):
    kz.denied("DENIED_QUERY_REQUIRED", "R11")
    task = kz.ok("W1", title="Fix login", summary="Users cannot log in.")["id"]
    kz.ok("G1", title="Cache", summary="It is stale.", body="Clear it.")
    kz.ok("W2", id=task, status="done")
    report(kz, plane, "R11", query="login")
    rows = report(kz, plane, "R11", query="login")["rows"]
    assert [(row["record_id"], row["action"]) for row in rows] == [(task, "revise"), (task, "add")]


@pytest.mark.parametrize(("code", "days"), [("R8", 7), ("R9", 30), ("R10", 365)])
def test_a_fixed_window_ends_now_or_where_it_is_told(kz, plane, monkeypatch, code, days):
    monkeypatch.setenv("KAIZEN_CLOCK", "2025-01-01T00:00:00+00:00")
    kz.ok("G1", title="Old", summary="Old.", body="Old.")
    monkeypatch.setenv("KAIZEN_CLOCK", "2026-12-31T00:00:00+00:00")
    new = kz.ok("G1", title="New", summary="New.", body="New.")["id"]
    made = report(kz, plane, code)
    assert [row["record_id"] for row in made["rows"]] == [new]
    before = report(kz, plane, code, until="2025-01-01")
    assert [row["title"] for row in before["rows"]] == ["Old", None]
    assert before["window"]["until"] == "2025-01-02T00:00:00.000000+00:00"


def test_since_and_until_bound_every_report(kz, plane, monkeypatch):
    for day in (1, 2, 3):
        monkeypatch.setenv("KAIZEN_CLOCK", f"2026-01-0{day}T00:00:00+00:00")
        kz.ok("W1", title=f"Day {day}", summary="A day.")
    rows = report(kz, plane, "R1", since="2026-01-02", until="2026-01-02")["rows"]
    assert [row["title"] for row in rows] == ["Day 2"]
    kz.denied("DENIED_SCHEMA_RANGE", "R1", since="2026-01-03", until="2026-01-01")
    kz.denied("DENIED_SCHEMA_FIELD_TYPE", "R8", since="yesterday")


# --- what is reported -----------------------------------------------------------------------------


def test_a_task_report_shows_what_belongs_to_each_task(kz, plane):
    task = kz.ok("W1", title="Fix login", summary="Users cannot log in.", criterion=["A user can log in.", "It is fast."])
    plan = kz.ok("W3", title="Plan", summary="The plan.", task_id=task["id"])
    planned = kz.ok("W4", id=plan["id"], criterion=["The plan is kept."])["criterion_ids"]
    proof = kz.ok("Q1", summary="It passed.")["id"]
    verdict = kz.ok("Q2", summary="Good.", conclusion="VERIFIED_ACCEPTABLE", task_id=task["id"], proof_id=proof)["id"]
    met, waived = task["criterion_ids"]
    kz.ok("W24", id=met, proof_id=proof)
    kz.ok("W25", id=waived, reason="Not now.")
    contract = kz.ok("W28", title="Bounds", summary="Only login.", task_id=task["id"])["id"]
    retrospective = kz.ok("W33", summary="The proof came late.", task_id=task["id"])["id"]
    (row,) = report(kz, plane, "R1")["rows"]
    shown = {name: ids(value) for name, value in row.items() if isinstance(value, list)}
    assert shown == {
        "plans": [plan["id"]],
        "criteria_open": planned,
        "criteria_met": [met],
        "criteria_waived": [waived],
        "criteria_retired": [],
        "contracts": [contract],
        "retrospectives": [retrospective],
        "proofs": [verdict, proof],
    }
    page = content(plane, kz.ok("R1"))
    assert all(f"`{entry}`" in page for entry in (task["id"], plan["id"], met, waived, contract, retrospective, verdict, proof))


def test_a_proof_report_tells_observed_from_asserted(kz, plane):
    asserted = kz.ok("Q1", summary="It passed, I say.")["id"]
    observed = kz("Q11", _command=[sys.executable, "-c", "pass"])["id"]
    made = report(kz, plane, "R4")
    assert {row["id"]: row["basis"] for row in made["rows"]} == {asserted: "asserted", observed: "observed"}
    figures = {figure["name"]: figure for figure in made["figures"]}
    assert (figures["basis observed"]["ids"], figures["basis asserted"]["ids"]) == ([observed], [asserted])


def test_a_ledger_report_holds_the_receipts(kz, plane):
    task = kz.ok("W1", title="Task", summary="A task.", agent="alice")
    made = report(kz, plane, "R2")
    assert made["ledger"] == {"seq": task["seq"], "chain_hash": task["chain_hash"]}
    first = made["rows"][0]
    assert first == {
        "seq": 2,
        "id": task["revision_id"],
        "time": first["time"],
        "op": "W1",
        "action": "add",
        "kind": "task",
        "record_id": task["id"],
        "title": "Task",
        "task_id": task["id"],
        "agent": "alice",
        "chain_hash": task["chain_hash"],
    }


def test_every_number_leads_to_records(kz, plane):
    kz.ok("W1", title="Task", summary="A task.", criterion=["It is done."])
    kz.ok("Q2", summary="Bad.", conclusion="VERIFICATION_FAILED")
    kz.ok("Q3", title="Case", summary="A case.", category="proof")
    for code in NAMES:
        made = report(kz, plane, code)
        for figure in made["figures"]:
            assert figure["value"] == len(figure["ids"]), (code, figure)
            for entry in figure["ids"]:
                assert kz("K23", id=entry).code == 0 if entry.startswith("led_") else kz("K18", id=entry).code == 0


def test_a_learning_report_shows_what_was_settled(kz, plane):
    learning = kz.ok("L1", title="Lesson", summary="A lesson.")["id"]
    learned = kz.ok("L3", id=learning)["id"]
    (row,) = report(kz, plane, "R3")["rows"]
    assert row["status"] == "promoted" and ids(row["learned"]) == [learned]


def test_an_eval_report_shows_the_runs(kz, plane):
    case = kz.ok("Q3", title="Case", summary="A case.")["id"]
    run = kz.ok("Q4", summary="Passed.", eval_case_id=case, status="passed")["id"]
    (row,) = report(kz, plane, "R5")["rows"]
    assert row["id"] == case and ids(row["runs"]) == [run]


# --- the timeline of a review, the steps of a trace -----------------------------------------------


def test_a_review_is_told_in_order(kz, plane):
    review = kz.ok("I1", title="Cache", summary="Will it hold?")["id"]
    prediction = kz.ok("I2", review_id=review, summary="It will.")["id"]
    outcome = kz.ok("I4", review_id=review, summary="It did not.")["id"]
    made = kz.ok("I5", review_id=review)
    assert made["path"] == f"AI/db/exports/reports/irl-review-{review}.md" and made["rows"] == 3
    assert hashing.file_sha256(plane / made["path"])[0] == made["sha256"]
    assert ids(report(kz, plane, "I5", id=prediction)["rows"]) == [review, prediction, outcome]
    assert kz.ok("R12")["records"] == []


def test_an_unknown_review_has_no_rows(kz):
    kz.denied("DENIED_REVIEW_ID_REQUIRED", "I5")
    assert kz.ok("I5", id="PROJ-42")["rows"] == 0


def test_a_second_timeline_leaves_the_first_alone(kz):
    assert kz.ok("I5", id="PROJ/42")["path"] != kz.ok("I5", id="PROJ-42")["path"]


def test_a_trace_report_adds_up_tokens_and_cost(kz, plane):
    kz.denied("DENIED_ID_REQUIRED", "T3")
    for number, payload in enumerate(
        ({"total_tokens": 10, "cost": 0.1}, {"prompt_tokens": 3, "completion_tokens": 4, "cost": 0.2})
    ):
        kz.ok("T1", kind="model_call", summary=f"Step {number}.", payload_json=json.dumps({"trace_id": "run/7", **payload}))
    made = kz.ok("T3", trace_id="run/7")
    assert (made["key"], made["events"], made["total_tokens"], made["path"]) == (
        "run/7",
        2,
        17,
        "AI/db/exports/reports/trace-run-7.md",
    )
    assert made["total_cost"] == pytest.approx(0.3)


def test_a_trace_report_shows_the_scores_of_each_step(kz, plane):
    task = kz.ok("W1", title="Task", summary="A task.")["id"]
    step = kz.ok("T1", kind="tool_call", summary="Ran it.", task_id=task)["id"]
    score = {"name": "accuracy", "value": 0.5, "data_type": "numeric", "source": "human", "trace_event_id": step}
    scored = kz.ok("T2", payload_json=json.dumps(score))["id"]
    made = report(kz, plane, "T3", task_id=task)
    assert ids(made["rows"]) == [step] and ids(made["rows"][0]["scores"]) == [scored]


def test_sums_beyond_what_json_holds_end_in_a_report(kz):
    for _ in range(2):
        payload = {"trace_id": "much", "total_tokens": 2**53 - 1, "cost": 1.7e308}
        kz.ok("T1", kind="model_call", summary="Much.", payload_json=json.dumps(payload))
    assert kz.ok("T3", trace_id="much", format="json")["total_tokens"] == 2**53 - 1


# --- how it is written ----------------------------------------------------------------------------

HOSTILE = 'a|b `c` <b>d</b> *e* _f_ [g](javascript:h) \\ # & "i"'


def test_markdown_stays_whole_whatever_a_title_holds(kz, plane):
    kz.ok("W1", title=HOSTILE + "\nsecond line\r\n| x | y |", summary="=1+1", criterion=["- not a list\n# nor a heading"])
    html = MarkdownIt("commonmark", {"html": False}).enable("table").render(content(plane, kz.ok("R1")))
    assert "<b>" not in html and "<a " not in html and "<em>" not in html
    assert html.count("<h1>") == 1 and html.count("<table>") == 2


def test_a_query_in_a_heading_and_a_command_stays_text(kz, plane):
    page = content(plane, kz.ok("R11", query="`x` | <i> $(ls)"))
    html = MarkdownIt("commonmark").enable("table").render(page)
    assert html.count("<h1>") == 1 and "<i>" not in html
    assert "<code>python kaizen.py R11 --query='`x` | &lt;i&gt; $(ls)' --limit=-1</code>" in html


@given(ANY_TEXT, ANY_TEXT)
def test_any_text_is_one_cell_of_a_markdown_table(first, second):
    document = Document("x", first, ("id", "a", "b"), ("id", "a", "b"), [{"id": "one", "a": first, "b": second}])
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(markdown.page(document))
    cells = [tokens[n + 1] for n, token in enumerate(tokens) if token.type == "td_open"]
    assert len(cells) == 3
    for text, cell in zip((first, second), cells[1:], strict=True):
        plain = "".join(child.content if child.type == "text" else " " for child in cell.children or ())
        assert all(child.type in ("text", "text_special") or child.content == "<br>" for child in cell.children or ())
        wanted = "".join(c for c in text if c.isalnum())
        shown = re.sub(r"\\u[0-9a-f]{4}", "", plain)
        assert "".join(c for c in shown if c.isalnum()) == wanted


@given(st.lists(st.tuples(ANY_TEXT, ANY_TEXT | st.integers() | st.none()), max_size=5))
def test_any_text_survives_a_csv_and_none_is_a_formula(rows):
    document = Document("x", "x", ("id", "b"), ("id",), [{"id": a, "b": b} for a, b in rows])
    text = spreadsheet.sheet(document)
    assert text.endswith("\r\n")
    read = list(csv.reader(io.StringIO(text, newline="")))
    assert read[0] == ["id", "b"] and len(read) == len(rows) + 1
    for (a, b), cells in zip(rows, read[1:], strict=True):
        for value, cell in zip((a, b), cells, strict=True):
            assert cell.removeprefix("'") == ("" if value is None else str(value)).removeprefix("'")
            if isinstance(value, str):
                assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_csv_has_a_row_for_each_record_and_ids_for_what_belongs_to_it(kz, plane):
    task = kz.ok("W1", title='=HYPERLINK("x")', summary='A, "b"\nand c.', criterion=["One.", "Two."])
    header, row = csv.reader(io.StringIO(content(plane, kz.ok("R1", format="csv")), newline=""))
    shown = dict(zip(header, row, strict=True))
    assert shown["title"] == '\'=HYPERLINK("x")' and shown["summary"] == 'A, "b"\nand c.'
    assert shown["criteria_open"].split() == task["criterion_ids"]


def test_json_is_canonical_and_the_same_for_the_same_records(kz, plane, monkeypatch):
    monkeypatch.setenv("KAIZEN_CLOCK", "2026-01-01T00:00:00+00:00")
    monkeypatch.setenv("KAIZEN_ID_SEED", "seed")
    kz.ok("W1", title="Größe 漢字", summary="A task.")
    made = kz.ok("R1", format="json")
    text = content(plane, made)
    assert text == hashing.canonical(json.loads(text)) + "\n"
    assert made["path"].endswith(".json")


def test_a_format_outside_the_vocabulary_is_refused(kz):
    assert kz.denied("DENIED_SCHEMA_ENUM", "R1", format="pdf")["allowed"] == ["md", "json", "csv"]
