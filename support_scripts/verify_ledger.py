"""Verify a Kaizen data plane with the standard library alone, as docs/LEDGER.md describes it.

    python support_scripts/verify_ledger.py PATH [--expect SEQ:HASH]...

PATH is a project, its AI/db folder, or a database file (a backup, say). Prints the first fault and exits 1, or says what
was verified and exits 0. Imports nothing of Kaizen, so it can be copied anywhere; changes nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import re
import shutil
import sqlite3
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

APPLICATION_ID = 0x4B5A4E31
# kinds: generated
KINDS = {
    "agent_event": "agent_events",
    "agent_execution": "agent_executions",
    "agent_memory": "agent_memories",
    "agent_run": "agent_runs",
    "anti_pattern": "anti_patterns",
    "approval": "approvals",
    "artifact": "artifacts",
    "checkpoint": "checkpoints",
    "criterion": "criteria",
    "diagnostic_packet": "diagnostic_packets",
    "eval_case": "eval_cases",
    "eval_run": "eval_runs",
    "eval_score": "eval_scores",
    "event_receiver": "event_receivers",
    "evidence_block": "evidence_blocks",
    "evidence_chunk": "evidence_chunks",
    "evidence_document": "evidence_documents",
    "execution_contract": "execution_contracts",
    "gateway_event": "agentgateway_events",
    "generative_run": "generative_runs",
    "generative_run_route": "generative_run_routes",
    "gotcha": "gotcha",
    "improvement_proposal": "improvement_proposals",
    "irl_review": "irl_reviews",
    "learned": "learned",
    "learning": "learning",
    "metrics_analysis": "metrics_analyses",
    "note": "notes",
    "optimizer_call": "optimizer_calls",
    "optimizer_candidate": "optimizer_candidates",
    "optimizer_run": "optimizer_runs",
    "optimizer_score": "optimizer_scores",
    "outbox_event": "outbox_events",
    "permission_rule": "permission_rules",
    "pii_scan": "pii_scan",
    "plan": "plans",
    "plane": "schema_version",
    "policy": "private_policy",
    "publication": "publications",
    "question": "questions",
    "recommendation": "recommendations",
    "report": "reports",
    "retrospective": "retrospectives",
    "setting": "db_settings",
    "source_lock": "source_locks",
    "subagent_packet": "subagent_packets",
    "task": "tasks",
    "todo_list": "todo_lists",
    "tool_call": "tool_calls",
    "trace_event": "trace_events",
    "verification": "verification_events",
}
CLOSED = {
    "abandoned",
    "archived",
    "canceled",
    "cancelled",
    "closed",
    "complete",
    "completed",
    "deprecated",
    "done",
    "expired",
    "finished",
    "met",
    "obsolete",
    "promoted",
    "rejected",
    "resolved",
    "retired",
    "superseded",
    "waived",
    "withdrawn",
}
BLOCKING = {
    "NEEDS_HUMAN_DECISION",
    "STRUCTURAL_REWORK_RECOMMENDED",
    "VERIFICATION_FAILED",
}
# end of kinds

ENTRY = [
    ("seq", int, False),
    ("entry_id", str, False),
    ("time", str, False),
    ("op", str, False),
    ("action", str, False),
    ("kind", str, False),
    ("kind_version", int, False),
    ("record_id", str, False),
    ("task_id", str, True),
    ("agent", str, True),
    ("session", str, True),
    ("writer_role", str, False),
    ("idempotency_key", str, True),
    ("request_hash", str, True),
    ("content", str, True),
    ("content_hash", str, False),
    ("leaf_hash", str, False),
    ("chain_hash", str, False),
]
COLUMNS = [name for name, _, _ in ENTRY]
OUTSIDE_LEAF = {"content", "leaf_hash", "chain_hash"}
START = "0" * 64
UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")
HEX_32 = re.compile(r"[0-9a-f]{32}")
HEX_64 = re.compile(r"[0-9a-f]{64}")
NAME = re.compile(r"[A-Za-z0-9_.:-]{1,80}")
DERIVED = {"current_revision_id", "created_seq", "updated_seq", "is_open"}
LOCK_SECONDS = 60


class Fault(Exception):
    """The first thing that is wrong: an entry, a row, a file, and what about it."""


# --- canonical JSON (RFC 8785) ----------------------------------------------------------------------


quoted = json.JSONEncoder(ensure_ascii=False).encode


def canonical(value: object) -> str:
    """The RFC 8785 text of a JSON value; ValueError for what has none."""
    if value is None:
        return "null"
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, int):
        if abs(value) >= 2**53:
            raise ValueError("an integer that no double holds")
        return str(value)
    if isinstance(value, float):
        return number(value)
    if isinstance(value, list):
        return "[" + ",".join([canonical(item) for item in value]) + "]"
    if isinstance(value, dict):
        keys = sorted(value) if all(map(str.isascii, value)) else sorted(value, key=_utf16)
        return "{" + ",".join([quoted(key) + ":" + canonical(value[key]) for key in keys]) + "}"
    raise ValueError(f"no JSON value: {type(value).__name__}")


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be", "surrogatepass")


def number(value: float) -> str:
    """A double as ECMAScript writes it: the shortest digits, which repr() finds as well, in another notation."""
    if not math.isfinite(value):
        raise ValueError("no JSON number")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    # value = 0.DIGITS * 10 ** point
    point = len(whole) + int(exponent or 0) if whole != "0" else len(digits) - len(fraction)
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        text = digits + "0" * (point - len(digits))
    elif 0 < point <= 21:
        text = digits[:point] + "." + digits[point:]
    elif -6 < point <= 0:
        text = "0." + "0" * -point + digits
    else:
        power = f"e{'+' if point > 0 else '-'}{abs(point - 1)}"
        text = digits[0] + ("." + digits[1:] if len(digits) > 1 else "") + power
    return sign + text


def parsed(text: str) -> object:
    """A JSON value; what is beyond 2^53 was a double."""
    return _parse(text)


def _integer(text: str) -> int | float:
    return int(text) if len(text) < 16 or abs(int(text)) < 2**53 else float(text)


def _refuse(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


_parse = json.JSONDecoder(parse_int=_integer, parse_constant=_refuse).decode


# --- hashes -----------------------------------------------------------------------------------------


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def leaf_hash(entry: dict) -> str:
    sealed = {name: entry[name] for name in COLUMNS if name not in OUTSIDE_LEAF}
    return sha256(b"\x00" + canonical(sealed).encode("utf-8"))


def chain_hash(previous: str, leaf: str) -> str:
    return sha256(b"\x02" + bytes.fromhex(previous) + bytes.fromhex(leaf))


# --- the ledger -------------------------------------------------------------------------------------


class Plane:
    """What the ledger says must be there, gathered entry by entry."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self.database = database
        self.seq, self.chain = 0, START
        self.kind: dict[str, str] = {}
        self.first: dict[str, int] = {}
        self.newest: dict[str, int] = {}
        self.purged: dict[str, int] = {}
        self.empty: dict[str, list[int]] = defaultdict(list)
        self.entries_of_task: Counter[str] = Counter()
        self.counters: Counter[str] = Counter()
        self.rows = 0


def read_ledger(plane: Plane, receipts: dict[int, list[tuple[str, str]]]) -> None:
    """Every entry, from the first to the last."""
    seen: set[str] = set()
    wanted = ", ".join(COLUMNS)
    for values in plane.database.execute(f"SELECT {wanted} FROM ledger NOT INDEXED ORDER BY seq"):
        entry = dict(zip(COLUMNS, values, strict=True))
        here = f"ledger entry {plane.seq + 1}"
        if entry["seq"] != plane.seq + 1:
            raise Fault(f"{here} is missing")
        for name, kind, may_be_null in ENTRY:
            if type(entry[name]) is not kind and not (entry[name] is None and may_be_null):
                raise Fault(f"{here}: {name} has a wrong type")
        try:
            content = read_content(entry, here)
            leaf = leaf_hash(entry)
        except UnicodeEncodeError:
            raise Fault(f"{here}: a column holds no UTF-8 text") from None
        if leaf != entry["leaf_hash"]:
            raise Fault(f"{here}: leaf_hash should be {leaf}")
        chain = chain_hash(plane.chain, leaf)
        if chain != entry["chain_hash"]:
            raise Fault(f"{here}: chain_hash should be {chain}")
        for source, expected in receipts.get(entry["seq"], []):
            if chain != expected:
                raise Fault(f"{here}: {source} says that its chain_hash was {expected}")
        if not UTC_TIME.fullmatch(entry["time"]):
            raise Fault(f"{here}: time has a wrong format")
        if entry["entry_id"] in seen:
            raise Fault(f"{here}: an earlier entry has the same entry_id")
        seen.add(entry["entry_id"])
        plane.seq, plane.chain = entry["seq"], chain
        follow(plane, entry, content, here)
    if plane.seq == 0:
        raise Fault("the ledger is empty")
    for record_id, seqs in plane.empty.items():
        if record_id not in plane.purged:
            raise Fault(f"ledger entry {seqs[0]}: content is NULL, but the record was never purged")
    for seq in sorted(receipts):
        if seq > plane.seq:
            raise Fault(f"the ledger ends at entry {plane.seq}, but {receipts[seq][0][0]} is of entry {seq}: its tail was cut")
        if seq == 0 and any(expected != START for _, expected in receipts[0]):
            raise Fault("a receipt of entry 0 is not the start of a chain")


def read_content(entry: dict, here: str) -> dict | None:
    """An entry's content, its hash, its canonical form and its shape being right."""
    text = entry["content"]
    if text is None:
        if entry["action"] == "purge":
            raise Fault(f"{here}: a purge has no content")
        return None
    actual = sha256(text.encode("utf-8"))
    if actual != entry["content_hash"]:
        raise Fault(f"{here}: content_hash should be {actual}")
    try:
        content = parsed(text)
        if canonical(content) != text:
            raise ValueError("not canonical")
    except (ValueError, RecursionError):
        raise Fault(f"{here}: content is no canonical JSON") from None
    if not isinstance(content, dict) or not {"record", "salt"} <= set(content) <= {"record", "salt", "reply", "reason"}:
        raise Fault(f"{here}: content has a wrong shape")
    if not isinstance(content["salt"], str) or not HEX_32.fullmatch(content["salt"]):
        raise Fault(f"{here}: salt is not 16 bytes of hex")
    record = content["record"]
    if entry["action"] == "purge":
        if record is not None:
            raise Fault(f"{here}: a purge holds a record")
        return content
    if not isinstance(record, dict) or any(isinstance(value, (dict, list, bool)) for value in record.values()):
        raise Fault(f"{here}: record is no object of texts, numbers and nulls")
    if record.get("id") != entry["record_id"]:
        raise Fault(f"{here}: the content is another record's")
    for name in ("created_at", "updated_at"):
        if not isinstance(record.get(name), str) or not UTC_TIME.fullmatch(record[name]):
            raise Fault(f"{here}: {name} has a wrong format")
    return content


def follow(plane: Plane, entry: dict, content: dict | None, here: str) -> None:
    """What an entry means for tables and counters."""
    seq, record_id = entry["seq"], entry["record_id"]
    if seq == 1 and entry["kind"] != "plane":
        raise Fault(f"{here}: the first entry is not the plane's own")
    if entry["kind"] not in KINDS:
        raise Fault(f"{here}: this verifier does not know the kind {shown(entry['kind'])}")
    if plane.kind.setdefault(record_id, entry["kind"]) != entry["kind"]:
        raise Fault(f"{here}: the record had another kind")
    if record_id in plane.purged:
        raise Fault(f"{here}: its record was purged before")
    plane.counters[f"ledger.entries:{entry['time'][:10]}"] += 1
    if entry["task_id"] is not None:
        plane.entries_of_task[entry["task_id"]] += 1
    if entry["action"] != "purge":
        plane.first.setdefault(record_id, seq)
        plane.newest[record_id] = seq
        if content is None:
            plane.empty[record_id].append(seq)
        elif record_id in plane.empty:
            raise Fault(f"ledger entry {plane.empty[record_id][0]}: content is NULL, but entry {seq} of the record has one")
        return
    plane.purged[record_id] = seq
    if plane.newest.pop(record_id, None) is None:
        raise Fault(f"{here}: a purge of a record that never was")
    earlier = "SELECT min(seq) FROM ledger WHERE record_id = ? AND seq < ? AND content IS NOT NULL"
    left = plane.database.execute(earlier, (record_id, seq)).fetchone()[0]
    if left is not None:
        raise Fault(f"ledger entry {left}: content is still there, but entry {seq} purged the record")


# --- tables and counters ----------------------------------------------------------------------------


def check_schema(database: sqlite3.Connection) -> dict[str, list[str]]:
    """Table -> columns; nothing but tables of a plane and indexes on them may be there."""
    tables = {"ledger", "counters", *KINDS.values()}
    found: dict[str, list[str]] = {}
    for kind, name, table in database.execute("SELECT type, name, tbl_name FROM sqlite_master"):
        if kind == "table" and name in tables:
            found[name] = [row[1] for row in database.execute(f"PRAGMA table_xinfo('{name}')")]
        elif kind != "index" or table not in tables:
            raise Fault(f"the {shown(kind)} {shown(name)} is none of a plane's")
    for table, needed in (("ledger", COLUMNS), ("counters", ["name", "value"])):
        if found.get(table) != needed:
            raise Fault(f"the table {table} is missing or has other columns than it should")
    return found


def check_rows(plane: Plane, columns: dict[str, list[str]]) -> None:
    """Every row of every table against the newest entry of its record."""
    for kind, table in KINDS.items():
        waiting = {record_id for record_id in plane.newest if plane.kind[record_id] == kind}
        if table not in columns:
            if waiting:
                raise Fault(f"the table {table} is missing")
            continue
        names = columns[table]
        listed = ", ".join('"' + name.replace('"', '""') + '"' for name in names)
        real = {row[1] for row in plane.database.execute(f"PRAGMA table_xinfo('{table}')") if row[2].upper() == "REAL"}
        for values in plane.database.execute(f'SELECT {listed} FROM "{table}" NOT INDEXED'):
            row = dict(zip(names, values, strict=True))
            record_id = row.get("id")
            if record_id not in waiting:
                raise Fault(f"{table}: the row of {shown(record_id)} is of no record in the ledger, or there twice")
            waiting.discard(record_id)
            compare(plane, kind, table, row, real)
        if waiting:
            first = min(waiting, key=plane.newest.__getitem__)
            raise Fault(f"{table}: the row of {shown(first)} is missing (ledger entry {plane.newest[first]})")


def compare(plane: Plane, kind: str, table: str, row: dict, real: set[str]) -> None:
    record_id = row["id"]
    seq = plane.newest[record_id]
    sql = "SELECT entry_id, content, content_hash FROM ledger WHERE seq = ?"
    entry_id, text, content_hash = plane.database.execute(sql, (seq,)).fetchone()
    record = parsed(text)["record"]  # type: ignore[index]
    expected = dict(record)
    expected["record_hash" if kind == "source_lock" else "content_hash"] = content_hash
    expected["current_revision_id"] = entry_id
    expected["created_seq"], expected["updated_seq"] = plane.first[record_id], seq
    is_open = str(record.get("status")).lower() not in CLOSED and record.get("retired_reason") is None
    expected["is_open"] = int(is_open)
    if kind == "task":
        expected["entry_count"] = plane.entries_of_task[record_id]
    if kind == "verification":
        expected["is_blocking"] = int(is_open and record.get("conclusion") in BLOCKING)
    for name in {**row, **expected}:
        if name not in row:
            raise Fault(f"{table}: the column {shown(name)} is missing")
        wanted = expected.get(name)
        if name in real and type(wanted) is int:
            wanted = float(wanted)
        if type(row[name]) is not type(wanted) or row[name] != wanted:
            raise Fault(f"{table}: {shown(name)} of {shown(record_id)} is not what ledger entry {seq} says")
    plane.rows += 1
    plane.counters[f"{kind}.total"] += 1
    plane.counters[f"{kind}.added:{record['created_at'][:10]}"] += 1
    plane.counters[f"{kind}.open"] += expected["is_open"]
    plane.counters["verification.blocking"] += expected.get("is_blocking", 0)
    plane.counters["task.without_entries"] += int(kind == "task" and is_open and expected["entry_count"] < 2)


def check_counters(plane: Plane) -> None:
    expected = {name: value for name, value in plane.counters.items() if value}
    for name, value in plane.database.execute("SELECT name, value FROM counters NOT INDEXED"):
        if name not in expected or type(value) is not int or expected.pop(name) != value:
            raise Fault(f"the counter {shown(name)} is not what the records say")
    if expected:
        raise Fault(f"the counter {min(expected)} is missing")


def check_plane_record(plane: Plane) -> None:
    own = [record_id for record_id in plane.newest if plane.kind[record_id] == "plane"]
    if len(own) != 1:
        raise Fault(f"the ledger holds {len(own)} records of the plane itself instead of one")
    text = plane.database.execute("SELECT content FROM ledger WHERE seq = ?", (plane.newest[own[0]],)).fetchone()[0]
    if plane.database.execute("PRAGMA user_version").fetchone()[0] != parsed(text)["record"].get("schema_version"):  # type: ignore[index]
        raise Fault("user_version is not the schema_version of the plane's own record")


def shown(value: object) -> str:
    """A name or an id, for a message; nothing else, as it might be what a record says."""
    return value if isinstance(value, str) and NAME.fullmatch(value) else "(something else)"


# --- the whole --------------------------------------------------------------------------------------


def verify_file(path: Path, head: str | None, expect: list[tuple[int, str]]) -> Plane:
    """Verify a database file that nobody else uses; the first Fault is raised."""
    receipts: dict[int, list[tuple[str, str]]] = defaultdict(list)
    if head is not None:
        seq, chain = read_head(head)
        receipts[seq].append(("ledger.head", chain))
    for seq, chain in expect:
        receipts[seq].append(("--expect", chain))
    database = sqlite3.connect(str(path), isolation_level=None)
    # Text that is no UTF-8 is read as something that no text equals.
    database.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
    try:
        database.execute("PRAGMA query_only = 1")
        if database.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise Fault("application_id is not that of a Kaizen plane")
        columns = check_schema(database)
        plane = Plane(database)
        read_ledger(plane, receipts)
        check_plane_record(plane)
        check_rows(plane, columns)
        check_counters(plane)
        if database.execute("PRAGMA integrity_check(1)").fetchone()[0] != "ok":
            raise Fault("the file's own structure is damaged: PRAGMA integrity_check tells how")
        return plane
    except sqlite3.Error as fault:
        raise Fault(f"the file is damaged: {getattr(fault, 'sqlite_errorname', type(fault).__name__)}") from None
    except UnicodeError:
        raise Fault("the file is damaged: its schema holds text that is no UTF-8") from None
    finally:
        database.close()


def read_head(text: str) -> tuple[int, str]:
    try:
        found = json.loads(text)
        seq, chain = found["seq"], found["chain_hash"]
    except (ValueError, KeyError, TypeError, RecursionError):
        seq, chain = None, None
    if type(seq) is not int or seq < 0 or not isinstance(chain, str) or not HEX_64.fullmatch(chain):
        raise Fault("ledger.head is not what it should be")
    return seq, chain


def verify(path: Path, expect: list[tuple[int, str]] | None = None) -> tuple[Plane, bool]:
    """Verify a plane, or a database file; (what was found, whether a ledger.head was there)."""
    database = next((file for file in (path / "AI/db/kaizen.db", path / "kaizen.db", path) if file.is_file()), None)
    if database is None:
        raise Fault(f"there is no database at {path}")
    with tempfile.TemporaryDirectory(prefix="kaizen-verify-") as folder:
        copy = Path(folder) / "copy.db"
        lock = locked(database.with_name("kaizen.lock"))
        try:
            for suffix in ("", "-wal", "-journal"):
                source = database.with_name(database.name + suffix)
                if source.is_file():
                    shutil.copyfile(source, copy.with_name(copy.name + suffix))
            head_file = database.with_name("ledger.head")
            head = head_file.read_bytes().decode("utf-8", "replace") if head_file.is_file() else None
        finally:
            if lock is not None:
                lock.close()
        return verify_file(copy, head, expect or []), head is not None


def locked(path: Path):
    """The plane's lock, shared, so that nothing is written while the file is copied; None where there is none."""
    try:
        import fcntl

        file = path.open("rb")
    except (ImportError, OSError):
        return None
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return file
        except OSError:
            if time.monotonic() > deadline:
                file.close()
                raise Fault(f"the plane was locked for {LOCK_SECONDS} seconds; verify it when nobody writes") from None
            time.sleep(0.01)


def receipt(text: str) -> tuple[int, str]:
    seq, _, chain = text.partition(":")
    if not re.fullmatch(r"\d{1,18}", seq) or not HEX_64.fullmatch(chain):
        raise argparse.ArgumentTypeError("a receipt is SEQ:HASH, with all 64 digits")
    return int(seq), chain


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Verify a Kaizen data plane; docs/LEDGER.md says what that means.")
    parser.add_argument("path", type=Path, help="a project, its AI/db folder, or a database file")
    parser.add_argument(
        "--expect", type=receipt, action="append", default=[], metavar="SEQ:HASH", help="a receipt kept elsewhere"
    )
    given = parser.parse_args(argv)
    try:
        plane, has_head = verify(given.path, given.expect)
    except (Fault, OSError) as fault:
        return told(1, f"FAILED: {fault}")
    said = [f"OK: {plane.seq} entries, {plane.rows} records; receipt {plane.seq}:{plane.chain}"]
    if not has_head and not given.expect:
        said.append("Neither ledger.head nor --expect: whether the ledger's tail was cut cannot be seen.")
    return told(0, *said)


def told(code: int, *lines: str) -> int:
    """Print what was found. The verdict is the exit code, and stands also where nobody reads, or the disk is full."""
    try:
        for line in lines:
            print(line, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


if __name__ == "__main__":
    sys.exit(main())
