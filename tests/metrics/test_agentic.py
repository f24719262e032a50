"""The command kaizen-agentic: its users' verbs, in the project of the current folder."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from kaizen_components import agentic
from kaizen_components.op import load

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project without a plane yet, as the current folder."""
    folder = tmp_path / "shop"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("KAIZEN_REPO_ROOT", "HELIX_SESSION_UID", "HELIX_REPO", "HELIX_FLAVOR", "HELIX_TOKENS", "NATS_URL"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def command(tmp_path, project):
    """Run the console command as pip installs it."""
    target = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["kaizen-agentic"]
    module, function = target.split(":")
    script = tmp_path / "kaizen-agentic"
    script.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom {module} import {function}\nsys.exit({function}())\n"
    )
    script.chmod(0o755)

    def run(*argv: str, **options) -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(script), *argv], capture_output=True, text=True, timeout=60, check=False, **options)

    return run


def here(*argv: str) -> tuple[int, str, str]:
    """The same in this process: exit code, standard output, standard error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = agentic.main(list(argv))
    return code, out.getvalue(), err.getvalue()


def ok(*argv: str):
    code, out, err = here(*argv, "--json")
    assert code == 0, (argv, err)
    return json.loads(out)


def test_the_real_command_records_shows_and_refuses(command, project):
    done = command("metrics", "record", "reviewer", "--success", "--time", "42", "--quality", "0.9")
    assert done.returncode == 0 and "reviewer: recorded as ex_" in done.stdout, done.stderr
    assert (project / ".kaizen/metrics/reviewer/summary.json").is_file()
    shown = json.loads(command("metrics", "show", "reviewer", "--json").stdout)
    assert shown["summary"]["execution_count"] == 1 and shown["executions"][0]["execution_time_s"] == 42.0
    refused = command("metrics", "record", "reviewer")
    assert refused.returncode == 2 and refused.stdout == ""
    assert "DENIED_OUTCOME_REQUIRED" in refused.stderr
    assert "example: kaizen-agentic metrics record code-reviewer --success" in refused.stderr


def test_the_smoke_test_of_its_users_holds(project):
    """List, optimize, and the analysis is there."""
    for number in range(12):
        here("metrics", "record", "reviewer", "--success" if number % 3 else "--failure", "--time", str(number))
    assert here("metrics", "list")[0] == 0
    assert here("metrics", "optimize")[0] == 0
    assert (project / ".kaizen/metrics/optimizer/analysis.json").is_file()


def test_a_folder_that_was_there_before_is_read_at_once(project):
    folder = project / ".kaizen/metrics/reviewer"
    folder.mkdir(parents=True)
    line = '{"timestamp": "2026-11-0%dT00:00:00Z", "agent": "reviewer", "success": true}'
    (folder / "executions.jsonl").write_text("".join(f"{line % day}\n" for day in (1, 2)) + "broken\n")
    code, out, err = here("metrics", "list", "--json")
    assert code == 0 and json.loads(out)[0]["execution_count"] == 2 and "1 could not be taken in" in err
    assert here("metrics", "list", "--json")[2] == ""
    with (folder / "executions.jsonl").open("a") as file:
        file.write(f"{line % 3}\n")
    assert ok("metrics", "show", "reviewer")["summary"]["execution_count"] == 3


def test_json_answers_hold_no_receipt(project):
    told = ok("metrics", "record", "reviewer", "--failure", "--emit-event")
    assert set(told) == {"id", "agent", "duplicate", "summary"}
    assert set(ok("metrics", "show", "reviewer")) == {"agent", "summary", "executions"}
    assert [entry["agent"] for entry in ok("metrics", "list")] == ["reviewer"]
    assert set(ok("metrics", "export", "reviewer")) == {"format", "content"}
    assert ok("memory", "init", "reviewer")["path"] == ".kaizen/agents/reviewer/memory.md"
    assert ok("memory", "show", "reviewer")["text"].startswith("# Memory of reviewer")
    assert "## Performance" in ok("memory", "brief", "reviewer")["text"]


def test_an_export_is_the_lines_alone(project):
    ok("metrics", "record", "reviewer", "--success", "--time", "2")
    ok("metrics", "record", "writer", "--success", "--time", "2")
    assert [json.loads(line)["agent"] for line in here("metrics", "export")[1].splitlines()] == ["reviewer", "writer"]
    assert here("metrics", "export", "writer", "--format", "csv")[1].splitlines()[0].startswith("timestamp,agent,success")


def test_a_duplicate_is_no_failure_and_says_so(project):
    flags = ("metrics", "record", "reviewer", "--success", "--timestamp", "2026-01-01T00:00:00Z")
    assert ok(*flags)["duplicate"] is False
    assert ok(*flags)["duplicate"] is True
    assert "was recorded before" in here(*flags)[1]


def test_target_names_another_project(project, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    ok("metrics", "record", "reviewer", "--success", "--target", str(other))
    assert (other / ".kaizen/metrics/reviewer/executions.jsonl").is_file() and not (project / ".kaizen").exists()
    assert [entry["agent"] for entry in ok("metrics", "list", "--target", str(other))] == ["reviewer"]
    assert "DENIED_FILE_NOT_FOUND" in here("metrics", "list", "--target", str(tmp_path / "nowhere"))[2]


def test_below_a_folder_with_metrics_that_folder_is_the_project(project, monkeypatch):
    (project / ".git").mkdir()
    (project / "till/.kaizen/metrics/reviewer").mkdir(parents=True)
    (project / "till/src").mkdir()
    monkeypatch.chdir(project / "till/src")
    ok("metrics", "record", "reviewer", "--success")
    assert (project / "till/.kaizen/metrics/reviewer/summary.json").is_file() and not (project / ".kaizen").exists()


def test_a_payload_comes_from_stdin(command):
    done = command("metrics", "record", "reviewer", "--payload-json-file", "-", "--json", input='{"success": true, "tokens": 5}')
    assert json.loads(done.stdout)["summary"]["execution_count"] == 1, done.stderr


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (("metrics",), 0, "metrics record AGENT"),
        ((), 0, "memory brief AGENT"),
        (("--help",), 0, "schedule prepare"),
        (("metrics", "--help"), 0, "metrics optimize [AGENT]"),
        (("metrics", "show", "--help"), 0, "Show an agent's summary"),
        (("--version",), 0, "kaizen"),
        (("metric", "show"), 2, "Did you mean metrics?"),
        (("metrics", "shwo"), 2, "Did you mean show?"),
        (("metrics", "show"), 2, "Missing"),
        (("metrics", "show", "a", "b"), 2, "unexpected"),
        (("metrics", "show", "a", "--no-such"), 2, "--no-such"),
        (("metrics", "show", "nobody"), 1, "DENIED_AGENT_UNKNOWN"),
        (("metrics", "show", "../up"), 2, "DENIED_AGENT_NAME"),
        (("metrics", "record", "a", "--success", "--failure"), 2, "DENIED_FLAG_CONFLICT"),
        (("memory", "show", "nobody"), 1, "DENIED_MEMORY_MISSING"),
    ],
)
def test_what_it_says_and_its_exit_code(project, argv, code, said):
    got, out, err = here(*argv)
    assert got == code, (out, err)
    assert said in (out if code == 0 else err)


def test_a_refusal_as_json_is_one_object_on_standard_error(project):
    code, out, err = here("metrics", "show", "nobody", "--json")
    assert (code, out, json.loads(err)["code"]) == (1, "", "DENIED_AGENT_UNKNOWN")


def test_every_verb_is_an_operation_and_explains_itself(project):
    for group, verbs in agentic.VERBS.items():
        for verb, entry in verbs.items():
            operation = load(entry.code)
            assert {word.removesuffix("?") for word in entry.words} <= {
                spec.key for spec in (operation.input.specs if operation.input else ())
            }
            code, out, err = here(group, verb, "--help")
            assert code == 0 and "Usage: kaizen-agentic" in out and "--action" not in out, err


def test_the_schedule_goes_by_actions(project):
    assert here("schedule", "init")[0] == 0
    assert (project / ".kaizen/schedule.yml").is_file()
    assert here("schedule", "validate")[0] == 0
    assert here("schedule", "list")[0] == 0
    assert here("schedule", "prepare")[0] == 0
