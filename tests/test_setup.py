"""Setup: the scripts parse, say what they do, refuse what is wrong, and pins stand in one place."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SETUP, LINK = ROOT / "setup" / "setup.sh", ROOT / "setup" / "link-skills.sh"


def bash(script: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(script), *words],
        env={**os.environ, **environment},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what setup needs, in a path with spaces."""
    copy = tmp_path / "a checkout"
    copy.mkdir()
    for name in ("kaizen.py", "requirements-kaizen.txt", "requirements-test.txt", "pyproject.toml"):
        shutil.copy2(ROOT / name, copy)
    for name in ("setup", "support_scripts"):
        shutil.copytree(ROOT / name, copy / name)
    shutil.copytree(ROOT / "kaizen_components", copy / "kaizen_components", ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def fitted(venv: Path) -> None:
    """An environment that needs no network: this one's packages, and the stamp that says they are there."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    site = next(venv.glob("lib/python*/site-packages"))
    here = Path(next(path for path in sys.path if path.endswith("site-packages")))
    for path in here.iterdir():
        (site / path.name).symlink_to(path)


@pytest.mark.parametrize("script", [SETUP, LINK], ids=lambda path: path.name)
def test_the_script_parses_stops_at_faults_and_explains_itself(script):
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    assert "\nset -euo pipefail\n" in script.read_text(encoding="utf-8")
    shown = bash(script, "--help")
    assert shown.returncode == 0 and shown.stdout.startswith("Usage: bash setup/")


@pytest.mark.parametrize("words", [["--nonsense"], ["--demo", "--test"], [""], ["one", "two"]])
def test_setup_refuses_what_it_does_not_know(words):
    done = bash(SETUP, *words)
    assert done.returncode == 1 and done.stderr.startswith("setup: ")


def test_setup_says_so_where_there_is_no_python(checkout, tmp_path):
    empty = tmp_path / "bin"
    empty.mkdir()
    for name in ("bash", "dirname", "ls", "cat"):
        (empty / name).symlink_to(shutil.which(name) or f"/bin/{name}")
    done = bash(checkout / "setup" / "setup.sh", PATH=str(empty))
    assert done.returncode == 1 and "needs Python 3.11 or newer" in done.stderr
    assert not (checkout / ".venv").exists()


def test_setup_says_so_where_python_is_too_old_or_cannot_make_environments(checkout, tmp_path):
    fake = tmp_path / "python3"
    fake.write_text('#!/bin/sh\ncase "$*" in *version_info*) exit 0 ;; esac\nexit 1\n', encoding="utf-8")
    fake.chmod(0o755)
    done = bash(checkout / "setup" / "setup.sh", PYTHON=str(fake))
    assert done.returncode == 1 and "venv or ensurepip is missing" in done.stderr
    fake.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    done = bash(checkout / "setup" / "setup.sh", PYTHON=str(fake))
    assert done.returncode == 1 and f"too old: {fake}" in done.stderr


def test_setup_leaves_a_folder_alone_that_is_no_environment(checkout):
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "mine.txt").write_text("mine", encoding="utf-8")
    done = bash(checkout / "setup" / "setup.sh", PYTHON=sys.executable)
    assert done.returncode == 1 and "left alone" in done.stderr
    assert (checkout / ".venv" / "mine.txt").is_file()


def test_setup_never_empties_an_environment_that_does_not_work(checkout):
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "pyvenv.cfg").write_text("home = /nowhere\n", encoding="utf-8")
    (checkout / ".venv" / "mine.txt").write_text("mine", encoding="utf-8")
    (checkout / ".venv" / "bin" / "python").symlink_to("/nowhere/python")
    done = bash(checkout / "setup" / "setup.sh", PYTHON=sys.executable)
    assert done.returncode == 1 and done.stderr.startswith("setup: ")
    assert (checkout / ".venv" / "mine.txt").is_file()


@pytest.mark.slow
def test_setup_does_not_call_pip_again_once_the_pins_are_there(checkout):
    fitted(checkout / ".venv")
    shim = next((checkout / ".venv").glob("lib/python*/site-packages")) / "pip"
    shim.unlink(missing_ok=True)
    shim.mkdir()
    (shim / "__init__.py").write_text("", encoding="utf-8")
    calls = checkout / "pip was called"
    (shim / "__main__.py").write_text(f"from pathlib import Path\nPath({str(calls)!r}).touch()\n", encoding="utf-8")
    for first in (True, False):
        calls.unlink(missing_ok=True)
        done = bash(checkout / "setup" / "setup.sh")
        assert done.returncode == 0, done.stderr
        assert calls.exists() is first
        assert "ready: kaizen" in done.stdout
    (checkout / "requirements-kaizen.txt").write_text("# other pins\n", encoding="utf-8")
    assert bash(checkout / "setup" / "setup.sh").returncode == 0 and calls.exists()
    assert not (checkout / "AI").exists()
    assert list((checkout / "kaizen_components").rglob("*.pyc"))


@pytest.mark.slow
def test_devroot_gets_a_clone_a_skills_store_and_a_shared_environment(checkout, tmp_path):
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(checkout)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-qm", "all"], check=True)
    root = tmp_path / "dev root"
    venv = root / "Python" / "venvs" / "kaizen"
    venv.parent.mkdir(parents=True)
    fitted(venv)
    shim = next(venv.glob("lib/python*/site-packages")) / "pip"
    shim.unlink(missing_ok=True)
    shim.mkdir()
    for name in ("__init__.py", "__main__.py"):
        (shim / name).write_text("", encoding="utf-8")
    for said in ("cloned into", "is there already"):
        done = bash(checkout / "setup" / "setup.sh", str(root))
        assert done.returncode == 0, done.stderr
        assert said in done.stdout
    assert (root / "SKILLS").is_dir() and (root / "kaizen" / "kaizen.py").is_file()
    assert not (checkout / ".venv").exists()
    inside = bash(root / "kaizen" / "setup" / "setup.sh", str(root))
    assert inside.returncode == 0 and "lies in" in inside.stdout


def test_skills_are_linked_once_and_a_folder_with_something_in_it_is_left_alone(tmp_path):
    store, project = tmp_path / "the skills", tmp_path / "a project"
    store.mkdir()
    (project / ".claude" / "skills" / "own").mkdir(parents=True)
    refused = bash(LINK, str(store), str(project))
    assert refused.returncode == 1 and "left alone" in refused.stderr
    (project / ".claude" / "skills" / "own").rmdir()
    for _ in range(2):
        assert bash(LINK, str(store), str(project)).returncode == 0
    for surface in (".agents", ".claude"):
        assert (project / surface / "skills").is_symlink()
        assert (project / surface / "skills").resolve() == store.resolve()


# --- pins -----------------------------------------------------------------------------------------


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_pyproject_reads_its_pins_from_the_requirements_files():
    dynamic = project()["tool"]["setuptools"]["dynamic"]
    assert dynamic["dependencies"] == {"file": ["requirements-kaizen.txt"]}
    assert dynamic["optional-dependencies"]["test"] == {"file": ["requirements-test.txt"]}
    assert {"dependencies", "optional-dependencies", "version"} <= set(project()["project"]["dynamic"])


@pytest.mark.parametrize("name", ["requirements-kaizen.txt", "requirements-test.txt"])
def test_every_requirement_is_pinned_to_one_version(name):
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        assert not line or line.startswith("#") or re.match(r"[\w.-]+(\[\w+\])?==[\w.]+(; .*)?$", line), line


def test_the_wheel_holds_every_package_and_the_schema():
    settings = project()["tool"]["setuptools"]
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "kaizen_components").rglob("__init__.py")}
    assert found == set(settings["packages"])
    data = settings["package-data"]["kaizen_components"]
    extra = [path for path in (ROOT / "kaizen_components").rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
    assert {path.relative_to(ROOT / "kaizen_components").as_posix() for path in extra} == set(data)
