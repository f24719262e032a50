"""Start-up is guarded by modules, not milliseconds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kaizen_components.ops import _index
from kaizen_components.store import connection

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("rich", "pydantic", "pydantic_core", "jsonschema", "apsw", "sqlite_vec", "httpx", "rfc8785", "sqlite3")

PROBE = """
import json, sys
sys.path.insert(0, {root!r})
from kaizen_components.cli import main
code = main({argv!r})
print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""


def modules_after(*argv: str) -> set[str]:
    """What is in sys.modules after one call in a fresh interpreter."""
    program = PROBE.format(root=str(ROOT), argv=list(argv))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    code, loaded = json.loads(done.stderr.splitlines()[-1])
    assert code == 0, done
    return set(loaded)


@pytest.mark.parametrize(
    "argv",
    [
        ("W1", "--title", "Fix login", "--summary", "Users cannot log in.", "--json"),
        ("G1", "--title", "Trap", "--summary", "It bites.", "--body", "Step around it.", "--json"),
        ("Q2", "--summary", "Good.", "--conclusion", "VERIFIED_ACCEPTABLE", "--json"),
        ("P3", "--json"),
        ("G2", "--json"),
        ("X5", "--json"),
        ("R0", "--json"),
    ],
)
def test_a_call_imports_one_family_and_nothing_heavy(argv):
    loaded = modules_after(*argv)
    engine = {"sqlite3"} if connection.engine().name == "sqlite" else set()
    assert not loaded & (set(HEAVY) - engine)
    families = {name.rpartition(".")[2] for name in loaded if name.startswith("kaizen_components.ops.")}
    assert families <= {"_index", "lifecycle", _index.OPS[argv[0]].module}


def test_an_execution_is_recorded_without_what_reads_json_or_delivers():
    loaded = modules_after("P1", "--agent", "reviewer", "--success", "--time", "1.5", "--json")
    # Numbers with a fraction take the slower way to canonical JSON.
    assert not loaded & (set(HEAVY) - {"rfc8785", "sqlite3"})
    metrics = {name.rpartition(".")[2] for name in loaded if name.startswith("kaizen_components.metrics.")}
    assert metrics == {"entry", "events", "executions", "naming", "projection", "records", "summary"}


def test_the_root_help_imports_no_family():
    loaded = modules_after("--help")
    assert not [name for name in loaded if name.startswith("kaizen_components.ops.") and not name.endswith("._index")]


def test_human_output_is_what_imports_rich():
    assert "rich" in modules_after("G2")
