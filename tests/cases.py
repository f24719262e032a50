"""Cases: a plane with one record of every kind, and a working call of every operation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest import mock

import pages

from kaizen_components.metrics import artifact_store

NO_SUCH = "20260101000000_0000000000"

WORKFLOW = """{
  "3": {"class_type": "KSampler", "inputs": {"seed": 42, "sampler_name": "euler", "model": ["4", 0], "positive": ["6", 0]}},
  "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd15.safetensors"}},
  "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a photo of {{prompt}}", "clip": ["4", 1]}},
  "9": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "kaizen"}}
}
"""

# Operations that do nothing without a server or a model: offline, their working call is refused with this. Their own
# tests run them against a server.
NEEDS = {
    "P7": "DENIED_CORRELATION_UNSET",
    "B2": "DENIED_BACKEND_UNCONFIGURED",
    "B3": "DENIED_BACKEND_UNCONFIGURED",
    "O4": "DENIED_BACKEND_UNCONFIGURED",
    "Y5": "DENIED_BACKEND_UNAVAILABLE",
    "Y7": "DENIED_MCP_NOT_PINNED",
    "Y9": "DENIED_MCP_NOT_PINNED",
}

# Fields that take observed text, which may hold what a scan is for: (operation, field).
OBSERVED = {("B5", "prompt"), ("B5", "body")}
# A question is kept as a hash.
# Arguments of tools are masked in the record.
OBSERVED |= {("N2", name) for name in ("tool", "payload_json", "run_id", "event_id", "task_id", "cwd", "environment")}
OBSERVED |= {("E4", name) for name in ("query", "task_id", "document_id", "source_id", "model")}

# So is a call that is only explained.
OBSERVED |= {("N3", name) for name in ("tool", "payload_json", "run_id", "cwd")}
# So is what happens in a run; ids are looked up.
OBSERVED |= {("T6", name) for name in ("run_id", "payload_json", "tool_call_id")}
OBSERVED |= {("T17", name) for name in ("run_id", "name", "state")}

QUESTIONS = """{"questions": [{"question": "Which database?", "header": "Database", "multiSelect": false,
  "options": [{"label": "PostgreSQL", "description": "For production"}, {"label": "SQLite", "description": "For here"}]}]}"""

# Scored by how often a text says please.
OPTIMIZE: dict[str, Any] = {
    "contract": "greeting",
    "body": "Say hello.",
    "candidate": "Please say hello.",
    "cases": "".join(json.dumps({"name": f"c{n}", "input": "hello"}) + "\n" for n in range(12)),
    "_command": ["awk", '{print gsub(/Please/, "")}'],
}

ANTI_PATTERN = {
    "title": "God module",
    "symptom": "One file has 4000 lines.",
    "maintainability_harm": "Every change touches it.",
    "trigger_evidence": "wc -l",
    "preferred_correction": "Split by noun.",
    "valid_exceptions": "Generated code.",
    "verification": "wc -l again",
    "summary": "One module does everything.",
}


def populate(kz: Any, root: Path) -> dict[str, str]:
    """One record of every kind, by short name -> id."""
    (root / "notes.txt").write_text("alpha beta\n", encoding="utf-8")
    (root / "guide.md").write_text("# Guide\n\nHow users log in.\n\n## Cache\n\nClear it.\n", encoding="utf-8")
    (root / "workflow.json").write_text(WORKFLOW, encoding="utf-8")
    ids: dict[str, str] = {}

    def add(name: str, op: str, **flags: Any) -> Any:
        reply = kz.ok(op, **flags)
        ids[name] = reply["id"]
        return reply

    task = add("task", "W1", title="Fix login", summary="Users cannot log in.", criterion=["A user can log in."])
    ids["criterion"] = task["criterion_ids"][0]
    t = {"task_id": ids["task"]}
    add("plan", "W3", title="Login plan", summary="Reproduce, repair, prove.", **t)
    add("subagent_packet", "W5", summary="Review the login change.", payload_json='{"files": 3}', **t)
    add("diagnostic_packet", "W7", summary="Why does the test hang?", **t)
    add("execution_contract", "W28", title="Login contract", summary="Only login changes.", verifier_command="pytest", **t)
    add("retrospective", "W33", summary="The proof came too late.", kept='["small steps"]', **t)
    add("note", "W38", title="Decision", summary="Sessions expire after a day.", **t)
    add("gotcha", "G1", title="Stale cache", summary="The cache outlives a deploy.", body="Clear it in the deploy script.", **t)
    add("gotcha2", "G1", title="Slow login", summary="The first login is slow.", body="Warm the pool.", **t)
    add("learning", "L2", id=ids["gotcha"])
    add("learned", "L3", id=ids["learning"])
    add("learning2", "L1", title="Warm the cache", summary="A cold cache doubles the latency.")
    add("proof", "Q1", summary="The suite passed on the branch.", evidence='["412 passed"]', **t)
    add("verification", "Q2", summary="The fix is not proved yet.", conclusion="NEEDS_HUMAN_DECISION", **t)
    add("eval_case", "Q3", title="Refuses secrets", summary="A key in the text is refused.", category="security")
    add("eval_run", "Q4", summary="Passed with the new prompt.", eval_case_id=ids["eval_case"])
    add("anti_pattern", "Q5", **ANTI_PATTERN)
    add("artifact", "A1", path="notes.txt", summary="Notes of the fix.", **t)
    add(
        "source_lock",
        "S1",
        source_id="rfc8785",
        authority_tier="normative",
        url_or_repository="https://www.rfc-editor.org/rfc/rfc8785",
        summary="JSON canonicalization.",
    )
    add("irl_review", "I1", title="Cache", summary="Will the new cache hold?")
    add("policy", "X1", title="Ask before deleting", summary="Deletion needs a yes.", priority="high")
    add("trace_event", "T1", kind="tool_call", summary="Ran the linter.", **t)
    score = '{"name": "accuracy", "value": 0.5, "data_type": "numeric", "source": "human", "trace_event_id": "%s"}'
    add("eval_score", "T2", payload_json=score % ids["trace_event"])
    add("evidence_document", "E1", path="guide.md", chunker="recursive", **t)
    add("improvement_proposal", "O2", contract="prompts", title="Shorter", summary="Say less.")
    add("generative_run", "Y1", path="workflow.json", dry_run=True, summary="A photo, not made yet.", **t)
    add("gateway_event", "Y10", event_type="failover", status="switched", summary="The first endpoint timed out.")
    add("pii_scan", "B5", body="Call +44 20 7946 0958 about the invoice.", **t)
    ids["setting"] = kz.ok("K24", name="team", value="platform")["id"]
    ids["tool_call"] = kz.ok("N2", tool="read_file", payload_json='{"path": "notes.txt"}', **t)["call_id"]
    asked = kz("N2", tool="write_file", payload_json='{"path": ".kaizen/notes.txt", "content": "x"}', **t)
    ids["asked_call"] = asked["call_id"]
    add("approval", "N8", id=ids["asked_call"])
    add("permission_rule", "N4", action="add", decision="ask", rule="Bash(npm publish *)", reason="A person decides.")
    run = add("agent_run", "T5", summary="Repair the login.", max_calls=50, **t)
    of_run = {"run_id": run["id"]}
    add("agent_event", "T6", type="message", payload_json='{"content": "Found it."}', **of_run)
    todo = '{"todos": [{"content": "Write tests", "status": "pending", "activeForm": "Writing tests"}]}'
    ids["todo_list"] = kz.ok("N2", tool="todo_write", payload_json=todo, **of_run)["metadata"]["todo_list_id"]
    ids["question"] = kz("N2", tool="ask_user_question", payload_json=QUESTIONS, **of_run)["metadata"]["question_id"]
    ids["checkpoint"] = kz.ok("T17", name="Half way", state='{"file": 3}', **of_run)["id"]
    review = {"agent": "code-reviewer", "primary_metric_json": '{"name": "found", "value": 3, "target": 2}'}
    add("agent_execution", "P1", success=True, time=42, quality=0.9, timestamp="2025-12-30T08:00:00Z", **review)
    add("agent_execution2", "P1", failure=True, time=12.5, quality=0.4, timestamp="2025-12-31T08:00:00Z", **review)
    add("agent_memory", "P8", agent="code-reviewer")
    # An agent that worked and then did not, so that an analysis has something to recommend.
    written = root / ".kaizen" / "metrics" / "test-writer" / "executions.jsonl"
    written.parent.mkdir(parents=True)
    written.write_text(
        "".join(
            json.dumps({"timestamp": f"2025-12-{day:02}T08:00:00Z", "agent": "test-writer", "success": day < 13}) + "\n"
            for day in range(1, 25)
        ),
        encoding="utf-8",
    )
    kz.ok("P16", path=".")
    add("metrics_analysis", "P5")
    desk = {"name": "desk", "transport": "file", "target": ".kaizen/desk.jsonl", "after": 0}
    ids["event_receiver"] = kz.ok("P19", action="add", **desk)["id"]
    with (
        mock.patch.dict("os.environ", ARTIFACTSTORE_API_URL="http://127.0.0.1:9"),
        mock.patch.object(artifact_store, "PAUSES", ()),
    ):
        # Nobody is there to take it: it has begun.
        ids["publication"] = kz("P6")["id"]
    ids["recommendation"] = kz.ok("P21")["records"][0]["id"]
    optimized = add("optimizer_run", "P12", **OPTIMIZE)
    ids["optimizer_candidate"] = optimized["winner"]["id"]
    return ids


def cases(ids: dict[str, str]) -> dict[str, dict[str, Any]]:
    """A working call of every operation: code -> flags."""

    def by_id(name: str, **more: Any) -> dict[str, Any]:
        return {"id": ids[name], **more}

    why = {"reason": "No longer true."}
    found: dict[str, dict[str, Any]] = {
        "K0": {"query": "record a pitfall"},
        "K8": {"_stdin": '{"op": "G2", "limit": 1}\n'},
        "K18": by_id("task"),
        "K19": by_id("gotcha"),
        "K20": {"shell": "bash"},
        "K22": {"limit": 3},
        "K23": {"seq": 1},
        "W1": {"title": "Next", "summary": "Do the next thing."},
        "W2": by_id("task", summary="Users could not log in."),
        "W3": {"title": "Next plan", "summary": "Step by step."},
        "W4": by_id("plan", status="active"),
        "W5": {"summary": "Look at this."},
        "W6": {"summary": "Looked at it."},
        "W7": {"summary": "Why is it slow?"},
        "W8": {"summary": "A lock is taken twice."},
        "W9": {"limit": 5},
        "W10": {"query": "login"},
        "W11": by_id("task"),
        "W12": by_id("task", **why),
        "W13": {},
        "W14": by_id("plan"),
        "W15": by_id("plan", **why),
        "W16": {},
        "W17": {},
        "W18": by_id("subagent_packet"),
        "W19": by_id("subagent_packet", status="done"),
        "W20": by_id("diagnostic_packet", **why),
        "W21": {"summary": "It is fast.", "task_id": ids["task"]},
        "W22": {},
        "W23": by_id("criterion"),
        "W24": by_id("criterion", proof_id=ids["proof"]),
        "W25": by_id("criterion", **why),
        "W26": by_id("criterion", summary="Every user can log in."),
        "W27": by_id("criterion", **why),
        "W28": {"title": "Bounds", "summary": "Only docs change."},
        "W29": {},
        "W30": by_id("execution_contract"),
        "W31": by_id("execution_contract", stop_rule="After one try."),
        "W32": by_id("execution_contract", **why),
        "W33": {"summary": "It went well."},
        "W34": {},
        "W35": by_id("retrospective"),
        "W36": by_id("retrospective", next_priorities='["faster tests"]'),
        "W37": by_id("retrospective", **why),
        "W38": {"summary": "We use UTC."},
        "W39": {},
        "W40": by_id("note"),
        "W41": by_id("note", summary="Sessions expire after a week."),
        "W42": by_id("note", **why),
        "G1": {"title": "Trap", "summary": "It bites.", "body": "Step around it."},
        "G2": {},
        "G3": {"query": "cache"},
        "G4": by_id("gotcha"),
        "G5": by_id("gotcha2", status="resolved"),
        "G6": by_id("gotcha2", **why),
        "L1": {"title": "Lesson", "summary": "Look first."},
        "L2": by_id("gotcha2"),
        "L3": by_id("learning2"),
        "L4": {},
        "L5": {"query": "cache"},
        "L6": by_id("learning"),
        "L7": {},
        "L8": {"query": "cache"},
        "L9": by_id("learned"),
        "L10": {},
        "L11": by_id("learning2", body="More."),
        "L12": by_id("learned", body="More."),
        "L13": by_id("learned", **why),
        "Q1": {"summary": "All green."},
        "Q2": {"summary": "Good.", "conclusion": "VERIFIED_ACCEPTABLE"},
        "Q3": {"title": "Case", "summary": "A case."},
        "Q4": {"summary": "A run."},
        "Q5": ANTI_PATTERN,
        "Q6": {"query": "module"},
        "Q7": by_id("proof"),
        "Q8": {"kind": "gotcha", "payload_json": '{"title": "a", "summary": "b", "body": "c"}'},
        "Q9": {},
        "Q10": {"body": "The tool writes one record. It exits with 0."},
        "Q11": {"_command": ["true"], "task_id": ids["task"]},
        "Q12": by_id("verification", status="resolved"),
        "Q13": by_id("verification", **why),
        "Q14": {},
        "Q15": {},
        "Q16": by_id("eval_case", status="superseded"),
        "Q17": by_id("eval_run", status="failed"),
        "Q18": by_id("eval_run", **why),
        "Q19": {},
        "Q20": by_id("anti_pattern", status="superseded"),
        "Q21": by_id("anti_pattern", **why),
        "S1": {"source_id": "a", "authority_tier": "normative", "url_or_repository": "https://example.org", "summary": "A."},
        "S2": {},
        "S3": by_id("source_lock"),
        "S4": {},
        "S5": by_id("source_lock", license="CC0"),
        "S6": by_id("source_lock", **why),
        "I1": {"summary": "Will it hold?"},
        "I2": {"review_id": ids["irl_review"], "summary": "It will."},
        "I3": {"review_id": ids["irl_review"], "summary": "Count misses."},
        "I4": {"review_id": ids["irl_review"], "summary": "It did."},
        "I5": {"review_id": ids["irl_review"]},
        "I6": {},
        "I7": by_id("irl_review"),
        "I8": by_id("irl_review", status="resolved"),
        "I9": by_id("irl_review", **why),
        "A1": {"path": "notes.txt"},
        "A2": {"path": "notes.txt"},
        "A3": by_id("artifact"),
        "A4": {},
        "A5": by_id("artifact"),
        "A6": by_id("artifact", summary="Notes."),
        "A7": by_id("artifact", **why),
        "X1": {"title": "Rule", "summary": "Do it."},
        "X2": {},
        "X3": {"query": "deleting"},
        "X4": by_id("policy"),
        "X5": {},
        "X6": {},
        "X7": by_id("policy", priority="critical"),
        "X8": by_id("policy", **why),
        "T1": {"kind": "tool_call", "summary": "Ran it."},
        "T2": {"payload_json": '{"name": "n", "value": true, "data_type": "boolean", "source": "human"}'},
        "T3": {"task_id": ids["task"]},
        "T4": {},
        "T9": {},
        "T10": by_id("trace_event"),
        "T11": by_id("trace_event", level="warning"),
        "T12": by_id("trace_event", **why),
        "T13": by_id("eval_score"),
        "T14": by_id("eval_score", value="0.75"),
        "M1": {},
        "M2": {},
        "M3": {},
        "M4": {},
        "M5": {},
        "V1": {},
        "R0": {},
        **{f"R{number}": {} for number in range(1, 11)},
        "R11": {"query": "login"},
        "K1": {},
        "K2": {},
        "K3": {},
        "K6": {},
        "K7": {},
        "K10": {},
        "K12": {},
        "K17": {"query": "login"},
        "K24": {"name": "team", "value": "tools"},
        "K25": {},
        "K26": by_id("setting"),
        "K27": by_id("setting", **why),
        "E1": {"path": "notes.txt"},
        "E2": {"url": pages.url("/guide.html"), "allow_private": True},
        "E3": by_id("evidence_document"),
        "E4": {"query": "login"},
        "E5": by_id("evidence_document"),
        "E6": {"path": ".", "glob": "*.txt"},
        "E7": {},
        "E8": {},
        "E9": by_id("evidence_document", summary="Notes of the fix."),
        "E10": by_id("evidence_document", **why),
        "E11": by_id("evidence_document"),
        "O1": {"contract": "prompts"},
        "O2": {"contract": "prompts", "title": "Longer", "summary": "Say more."},
        "O3": {"contract": "prompts"},
        "O4": {"contract": "prompts"},
        "O5": {},
        "O6": {"contract": "prompts"},
        "O7": by_id("improvement_proposal"),
        "O8": by_id("improvement_proposal", status="accepted"),
        "O9": by_id("improvement_proposal", **why),
        "B1": {},
        "B2": {"prompt": "Name three risks of a cache."},
        "B3": {},
        "B7": {"list": True},
        "B4": {"body": "The cache is cleared on deploy.", "query": "It says when.", "dry_run": True},
        "B5": {"body": "Call +44 20 7946 0958 about the invoice."},
        "B6": {},
        "B8": {},
        "B9": by_id("pii_scan"),
        "B10": by_id("pii_scan", **why),
        "Y1": {"path": "workflow.json", "dry_run": True},
        "Y2": by_id("generative_run"),
        "Y3": {},
        "Y4": by_id("generative_run", dry_run=True),
        "Y5": {},
        "Y6": {},
        "Y7": {"action": "run", "path": "workflow.json"},
        "Y9": {"path": "workflow.json", "seed": 7},
        "Y8": {"path": "workflow.json", "prompt": "a red bicycle", "seed": 7, "dry_run": True},
        "Y15": by_id("generative_run", summary="The first photo."),
        "Y16": by_id("generative_run", **why),
        "Y10": {"event_type": "budget", "status": "refused", "summary": "The budget of the day is spent."},
        "Y11": {},
        "Y12": by_id("gateway_event"),
        "Y13": by_id("gateway_event", status="recovered"),
        "Y14": by_id("gateway_event", **why),
        "T5": {"summary": "Look around.", "parent_run_id": ids["agent_run"], "max_calls": 5},
        "T6": {"run_id": ids["agent_run"], "type": "thinking", "payload_json": '{"content": "Where is it?"}'},
        "T7": by_id("agent_run"),
        "T8": by_id("agent_run", status="failed", reason="The build is broken."),
        "T15": {},
        "T16": by_id("agent_run", reason="The plan changed."),
        "T17": {"run_id": ids["agent_run"], "name": "Nearly there"},
        "T18": by_id("checkpoint", fork=True),
        "N7": by_id("question", payload_json='{"Which database?": "SQLite"}'),
        "N10": {},
        "N11": {},
        "P12": {**OPTIMIZE, "summary": "A kinder greeting."},
        "P13": by_id("optimizer_run"),
        "P14": {},
        "P15": by_id("optimizer_run"),
        "P1": {"agent": "code-reviewer", "success": True, "time": 42, "quality": 0.9},
        "P2": {"agent": "code-reviewer"},
        "P3": {},
        "P4": {"agent": "code-reviewer"},
        "P5": {"agent": "code-reviewer"},
        "P21": {},
        "P22": by_id("recommendation", status="accepted"),
        "P8": {"agent": "code-reviewer"},
        "P9": {"agent": "code-reviewer"},
        "P10": {"agent": "code-reviewer"},
        "P16": {"path": "."},
        "P6": {"dry_run": True},
        "P7": {"uid": "claude:0123"},
        "P11": {"action": "init"},
        "P17": {},
        "P18": {"timeout": 5},
        "P19": {"action": "add", "name": "log", "transport": "file", "target": ".kaizen/events.jsonl"},
        "P20": {"action": "validate"},
        "N1": {"group": "file"},
        "N2": {"tool": "read_file", "payload_json": '{"path": "notes.txt"}'},
        "N3": {"tool": "read_file", "payload_json": '{"path": "notes.txt"}'},
        "N4": {"action": "add", "decision": "deny", "rule": "Bash(git push *)"},
        "N5": by_id("tool_call"),
        "N6": {},
        "N8": by_id("asked_call"),
        "N9": {"days": 30},
        "K21": by_id("note", reason="It held a secret.", confirm=ids["note"]),
    }
    return found
