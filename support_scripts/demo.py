"""Demo: one whole session over this checkout, on a throwaway plane, for a person to read.

python support_scripts/demo.py [FOLDER]

The session works on a copy of this checkout's files, so the checkout and its own records stay as they are. FOLDER, which
must not exist yet, is where the copy goes; without it, a temporary folder. Exits 1 as soon as a step goes wrong.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ID = re.compile(r"\b[a-z]{1,6}_\d{14}_[0-9a-f]{10}\b")
# Never looked at when a checkout without git is copied.
PRIVATE = {".git", ".venv", "db", "work", "generation", "__pycache__", "build", "dist"}
WIDTH = 118


class StepFailed(Exception):
    """A step of the session went another way than it must."""


class Session:
    """Commands run as a person would type them, each shown with its answer."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("KAIZEN_")}
        for name in ("KAIZEN_DB_ENGINE", "KAIZEN_LOCK_TIMEOUT"):
            if name in os.environ:
                self.environment[name] = os.environ[name]
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        self.environment |= {"KAIZEN_REPO_ROOT": str(project), "KAIZEN_AGENT": "demo", "PATH": path, "PYTHONIOENCODING": "utf-8"}
        self.commands = 0

    def kaizen(self, *words: str, exit_code: int = 0, lines: int = 12) -> str:
        """Run kaizen.py and show at most `lines` of its answer; the whole answer."""
        return self.run("kaizen.py", *words, exit_code=exit_code, lines=lines)

    def run(self, script: str, *words: str, exit_code: int = 0, lines: int = 12) -> str:
        """Run a script of the checkout; StepFailed where it ends with another exit code than expected."""
        self.commands += 1
        print(f"\n$ python {shlex.join([script, *words])}", flush=True)
        done = subprocess.run(
            [sys.executable, str(ROOT / script), *words],
            cwd=self.project,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        answer = "\n".join(part.rstrip() for part in (done.stdout, done.stderr) if part.strip())
        _show(answer, lines if done.returncode == exit_code else 200)
        if done.returncode != exit_code:
            raise StepFailed(f"this should have ended with exit code {exit_code}, and ended with {done.returncode}")
        if exit_code:
            print(f"    (exit code {exit_code}, as it must be)")
        return answer


def _show(answer: str, most: int) -> None:
    shown = answer.splitlines()
    for line in shown[:most]:
        print("    " + (line if len(line) <= WIDTH else line[: WIDTH - 1] + "…").rstrip())
    if len(shown) > most:
        print(f"    … {len(shown) - most} more lines")


def ids(answer: str, prefix: str) -> list[str]:
    """The ids of one kind in an answer, in order, each once."""
    found = list(dict.fromkeys(match for match in ID.findall(answer) if match.startswith(f"{prefix}_")))
    if not found:
        raise StepFailed(f"the answer names no {prefix}_ id")
    return found


def part(title: str) -> None:
    """A heading."""
    print(f"\n\n── {title} " + "─" * (WIDTH - len(title)))


def tell(text: str) -> None:
    """A remark for the reader."""
    print(f"\n  {text}")


# --- the throwaway project ------------------------------------------------------------------------


def copy_checkout(project: Path) -> bool:
    """The files of this checkout in `project`; as a git clone with the same changes where that works: whether it did."""
    listed = _git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if listed is None:
        names = [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if not PRIVATE & set(path.relative_to(ROOT).parts)]
    else:
        names = [name for name in listed.split("\0") if name]
    cloned = listed is not None and _git(ROOT, "clone", "--quiet", "--no-checkout", str(ROOT), str(project)) is not None
    cloned = cloned and _git(project, "reset", "--quiet") is not None
    for name in names:
        source, target = ROOT / name, project / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    return cloned


def _git(folder: Path, *words: str) -> str | None:
    """What git says in a folder; None where there is no git or it fails."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


# --- the session ----------------------------------------------------------------------------------


def scope(kz: Session) -> tuple[str, str, str]:
    """Scope; (task, the criterion that a test decides, the one that will be waived)."""
    part("Scope: what is wanted, and how will we know?")
    tell("A plane is made once. It is a folder AI/ in the project, private to it.")
    kz.kaizen("K1", lines=6)
    tell("Rules of the user stand in the plane; every session begins by loading them.")
    kz.kaizen(
        "X1",
        *("--title", "Prove before closing", "--priority", "high"),
        *(
            "--summary",
            "A task is closed by a proof, never by a promise.",
            "--body",
            "Run the check with Q11 and link the proof.",
        ),
    )
    kz.kaizen("X5")
    tell("The digest shows what is open, what blocks, and what was learned. This plane is new.")
    kz.kaizen("R0")
    tell("The task says how one will know that it is done.")
    answer = kz.kaizen(
        "W1",
        *("--title", "Check this checkout", "--summary", "Show that the engine in this checkout is fit for work."),
        *("--assumptions", '["the environment holds the pinned packages"]'),
        *("--boundaries", '["no file of the checkout changes"]'),
        *("--criterion", "The self-test passes.", "--criterion", "The whole test suite passes."),
    )
    criteria = ids(answer, "ac")
    return ids(answer, "t")[0], criteria[0], criteria[1]


def adapt(kz: Session, task: str) -> str:
    """Adapt: plan, contract, artifacts, a prediction; the review that the prediction belongs to."""
    part("Adapt: what changes, within which bounds?")
    kz.kaizen("W3", "--title", "Check the engine", "--summary", "Note the files, run the self-test, judge.", "--task-id", task)
    kz.kaizen(
        "W28",
        *("--title", "Look, do not touch", "--summary", "Only the record may change.", "--task-id", task),
        *("--allowed-paths", '["AI/**"]', "--forbidden-paths", '["kaizen_components/**"]'),
        *("--verifier-command", "python -m unittest support_scripts.selftest", "--stop-rule", "After one failed run."),
    )
    tell("Files are recorded with their hash.")
    for name in ("kaizen.py", "kaizen_components/store/ledger.py"):
        answer = kz.kaizen("A1", "--path", name, "--summary", f"{name} as it was checked.", "--task-id", task)
    kz.kaizen("A5", "--id", ids(answer, "a")[0])
    tell("A prediction is written down before. Afterwards everybody is right.")
    review = ids(kz.kaizen("I1", "--title", "Self-test", "--summary", "How long does the self-test take?"), "irl")[0]
    kz.kaizen("I2", "--review-id", review, "--summary", "It takes less than five seconds.")
    return review


def verify(kz: Session, task: str, tested: str, waived: str) -> str:
    """Verify: an observed proof, a verdict, the criteria; how many milliseconds the check took."""
    part("Verify: did it work?")
    tell("Nothing is proved yet, so closing is refused, and the refusal says what to do.")
    kz.kaizen("W2", "--id", task, "--status", "done", exit_code=2)
    tell("Kaizen runs the check itself and keeps what it saw. This is a real run, now.")
    answer = kz.kaizen(
        "Q11",
        *("--task-id", task, "--criterion-id", tested, "--timeout", "300"),
        *("--", "python", "-m", "unittest", "support_scripts.selftest"),
        lines=24,
    )
    proof = ids(answer, "qv")[0]
    measured = re.search(r"duration_ms\s+(\d+)", answer)
    if not measured:
        raise StepFailed("the answer holds no duration")
    tell("A verdict says what follows from the proof.")
    kz.kaizen(
        "Q2",
        *("--task-id", task, "--proof-id", proof, "--conclusion", "ACCEPTABLE_WITH_CONCERNS"),
        *("--summary", "The engine works here. The whole suite was not run.", "--severity", "low"),
    )
    kz.kaizen("Q9", "--task-id", task)
    kz.kaizen("W23", "--id", tested, lines=16)
    tell("What is not proved can be waived, with the reason. It is not forgotten.")
    kz.kaizen("W25", "--id", waived, "--reason", "The demo is short; bash setup/setup.sh --test runs the suite.")
    return measured[1]


def manage(kz: Session, task: str, duration: str) -> None:
    """Manage: traces, scores, a note."""
    part("Manage: can we find it again and trust it?")
    answer = kz.kaizen(
        "T1",
        *("--kind", "tool_call", "--summary", "Ran the self-test.", "--task-id", task),
        *("--payload-json", f'{{"trace_id": "demo", "name": "unittest", "latency_ms": {duration}, "status": "ok"}}'),
    )
    event = ids(answer, "te")[0]
    score = '{"name": "self-test", "value": 1.0, "data_type": "numeric", "source": "deterministic", "trace_event_id": "%s"}'
    kz.kaizen("T2", "--payload-json", score % event)
    kz.kaizen("T4", "--trace-id", event)
    kz.kaizen("W38", "--title", "Decision", "--summary", "The checkout is fit for work.", "--task-id", task)


def improve(kz: Session, task: str, review: str, duration: str) -> None:
    """Improve: pitfall to lesson, the outcome of the prediction, retrospective; the task is closed."""
    part("Improve: what do we do differently?")
    tell("A pitfall becomes a LEARNING when its cause is known, and a LEARNED when it holds.")
    answer = kz.kaizen(
        "G1",
        *("--title", "A run without tests looks green", "--summary", "A test command that finds no test may still exit with 0."),
        *("--body", "Q11 calls such a run inconclusive. Name the tests that must run.", "--task-id", task),
    )
    answer = kz.kaizen("L2", "--id", ids(answer, "g")[0])
    kz.kaizen("L3", "--id", ids(answer, "l")[0])
    kz.kaizen("L10", "--limit", "1")
    tell("The prediction meets what was measured.")
    kz.kaizen("I4", "--review-id", review, "--summary", f"It took {duration} milliseconds.")
    kz.kaizen("I5", "--review-id", review)
    kz.kaizen(
        "W33",
        *("--summary", "The check ran by itself and took no promise.", "--task-id", task),
        *("--kept", '["observed proof"]', "--changed", '["say at once what is waived"]'),
        *("--next-priorities", '["run the whole suite"]'),
    )
    tell("Every criterion is met or waived, so the task may close.")
    kz.kaizen("W2", "--id", task, "--status", "done")


def trust(kz: Session, task: str) -> None:
    """The digest, the reports, the ledger, and a tampered copy that is found out."""
    part("The next session, and the record")
    tell("What the next session sees first, held to a number of tokens.")
    kz.kaizen("R0", "--budget", "1500", lines=40)
    tell("Reports are files. This one tells the task from beginning to end.")
    report = re.search(r"AI/db/exports/\S+\.md", kz.kaizen("R1", "--task-id", task))
    if report:
        _show((kz.project / report[0]).read_text(encoding="utf-8"), 30)
    kz.kaizen("R2", "--limit", "100")
    tell("Each answer is a receipt: its number and chain hash, kept elsewhere, vouch for all before them.")
    answer = kz.kaizen("W38", "--summary", "The session ends here.", "--json")
    found = re.search(r'"seq": (\d+),\s+"chain_hash": "([0-9a-f]{64})"', answer)
    if not found:
        raise StepFailed("the answer holds no receipt")
    kz.kaizen("V1", "--expect", f"{found[1]}:{found[2]}", "--files")
    tell("A second verifier uses the standard library alone and nothing of Kaizen.")
    database = kz.project / "AI" / "db" / "kaizen.db"
    kz.run("support_scripts/verify_ledger.py", str(database))
    tell("Somebody changes one word in a copy, with another tool, and is found out.")
    tampered = kz.project.parent / "tampered"
    tampered.mkdir()
    for path in database.parent.glob("kaizen.db*"):
        shutil.copyfile(path, tampered / path.name)
    with contextlib.closing(sqlite3.connect(tampered / database.name)) as connection, connection:
        connection.execute("UPDATE tasks SET title = 'Check nothing'")
    kz.run("support_scripts/verify_ledger.py", str(tampered / database.name), exit_code=1)


def main(words: list[str]) -> int:
    """Make the throwaway project and run the session; the exit code."""
    if words in (["--help"], ["-h"]) or len(words) > 1:
        print(__doc__)
        return 0 if len(words) == 1 else 2
    if words and Path(words[0]).exists():
        print(f"demo: {words[0]} exists already; name a new folder.", file=sys.stderr)
        return 2
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    folder = Path(words[0]).resolve() if words else Path(tempfile.mkdtemp(prefix="kaizen-demo-"))
    project = folder / "project"
    project.mkdir(parents=True)
    cloned = copy_checkout(project)
    before = _git(project, "status", "--porcelain") if cloned else None
    print("One session with Kaizen, from Scope to Improve. To go on from it in a shell of your own:\n")
    activate = Path(sys.prefix) / "bin" / "activate"
    if activate.is_file():
        print(f"  source {shlex.quote(str(activate))}")
    print(f"  cd {shlex.quote(str(project))}\n  export KAIZEN_REPO_ROOT={shlex.quote(str(project))}")
    kz = Session(project)
    try:
        task, tested, waived = scope(kz)
        review = adapt(kz, task)
        duration = verify(kz, task, tested, waived)
        manage(kz, task, duration)
        improve(kz, task, review, duration)
        trust(kz, task)
        if before != (_git(project, "status", "--porcelain") if cloned else None):
            raise StepFailed("the session changed what git sees")
    except StepFailed as fault:
        print(f"\ndemo: {fault}. The plane is in {project}", file=sys.stderr)
        return 1
    part("Done")
    print(f"\n  {kz.commands} commands, all as they must be. The throwaway plane is in {project}/AI; look around, and delete")
    print(f"  {folder} when you like. Your own records begin with: python kaizen.py K1")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
