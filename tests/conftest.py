"""Fixtures: a throwaway plane, and `kz`, which runs operations in this process as the command line would."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from kaizen_components import cli  # noqa: E402


def _own_plane() -> dict[str, tuple[int, int]]:
    """Size and time of every file in the checkout's own AI/db."""
    folder = ROOT / "AI" / "db"
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="session", autouse=True)
def checkout_stays_as_it_is():
    """No test writes to the checkout's own plane, or makes one."""
    before = _own_plane()
    yield
    assert _own_plane() == before, "a test (or somebody, meanwhile) wrote to AI/db of the checkout"


@pytest.fixture(autouse=True)
def plane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has a project of its own; none can reach the checkout's AI/db."""
    root = tmp_path / "project"
    root.mkdir()
    for name in [name for name in os.environ if name.startswith("KAIZEN_") and name not in ("KAIZEN_DB_ENGINE", "KAIZEN_SOAK")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("KAIZEN_REPO_ROOT", str(root))
    # The settings of whoever runs the tests say nothing about them.
    home = tmp_path / "home-of-nobody"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return root


class Reply(dict[str, Any]):
    """What an operation answered: the JSON object, with the exit code and which stream it came on."""

    code: int = 0
    stdout: str = ""
    stderr: str = ""


class Kz:
    """kz("W1", title="x", summary="y") runs an operation; keywords are flags with underscores.

    True passes a bare flag, None and False leave it out, a list repeats it; `_args` are passed as they are; `_text=True`
    asks for human output; `_command=[...]` stands behind --; `_stdin` is what - reads. A refusal is returned, not raised.
    """

    def __call__(
        self,
        op: str,
        *,
        _args: list[str] | tuple[str, ...] = (),
        _text: bool = False,
        _command: list[str] | None = None,
        _stdin: str | bytes = "",
        **flags: Any,
    ) -> Reply:
        argv = [op, *_args]
        for name, value in flags.items():
            flag = "--" + name.replace("_", "-")
            for item in value if isinstance(value, list) else [value]:
                if item is True:
                    argv.append(flag)
                elif item is not None and item is not False:
                    argv += [flag, str(item)]
        if not _text:
            argv.append("--json")
        if _command is not None:
            argv += ["--", *_command]
        out, err = io.StringIO(), io.StringIO()
        data = _stdin.encode() if isinstance(_stdin, str) else _stdin
        old = sys.stdin
        sys.stdin = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8")
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = cli.main(argv)
        finally:
            sys.stdin = old
        reply = Reply()
        reply.code, reply.stdout, reply.stderr = code, out.getvalue(), err.getvalue()
        if not _text:
            text = reply.stdout or reply.stderr
            # A batch answers with several objects; those are for its tests to read.
            with contextlib.suppress(json.JSONDecodeError):
                reply.update(json.loads(text) if text.strip().startswith("{") else {})
        return reply

    def ok(self, op: str, **flags: Any) -> Reply:
        """As a call, but it must succeed."""
        reply = self(op, **flags)
        assert reply.code == 0, (op, flags, reply.stderr)
        assert reply.get("status") == "OK" or flags.get("_text"), reply
        return reply

    def denied(self, code: str, op: str, **flags: Any) -> Reply:
        """As a call, but it must be refused with this code, on stderr alone."""
        reply = self(op, **flags)
        assert reply.get("code") == code, (op, flags, dict(reply), reply.stdout)
        assert reply.stdout == "" and reply.code == reply["exit_code"]
        return reply


@pytest.fixture
def kz() -> Kz:
    return Kz()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A project whose plane holds one record of every kind, made once and copied by the tests that want it."""
    from cases import populate

    root = tmp_path_factory.mktemp("template")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KAIZEN_REPO_ROOT", str(root))
        patch.setenv("KAIZEN_CLOCK", "2026-01-01T00:00:00+00:00")
        patch.setenv("KAIZEN_ID_SEED", "template")
        ids = populate(Kz(), root)
    return root, ids


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What chooses its engine itself says the same whatever the run's engine is: once is enough."""
    for item in items:
        params = getattr(getattr(item, "callspec", None), "params", {}).values()
        if any(param in ("turso", "sqlite") for param in params if isinstance(param, str)):
            item.add_marker("engines")


@pytest.fixture(scope="session", autouse=True)
def _empty_planes(tmp_path_factory: pytest.TempPathFactory):
    """Tables are made once for each engine and schema and then copied: most tests begin with an empty plane."""
    from kaizen_components.store import connection, creation, schema

    folder, make = tmp_path_factory.mktemp("empty-planes"), creation.make_tables

    def copied(path: Path, using: connection.Capabilities | None = None) -> None:
        made = folder / f"{(using or connection.engine()).name}-{schema.SCHEMA_VERSION}.db"
        if not made.exists():
            make(made, using)
        shutil.copyfile(made, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(creation, "make_tables", copied)
        yield


@pytest.fixture
def populated(template: tuple[Path, dict[str, str]], plane: Path) -> dict[str, str]:
    """This test's plane with one record of every kind: short name -> id."""
    shutil.copytree(template[0], plane, dirs_exist_ok=True)
    return template[1]


@pytest.fixture
def process(plane: Path):
    """Run the real kaizen.py: process("W1", "--title", ...) -> CompletedProcess with text streams."""

    def start(*argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
        options.setdefault("timeout", 120)
        return subprocess.run([sys.executable, str(ROOT / "kaizen.py"), *argv], capture_output=True, text=True, **options)

    return start


@pytest.fixture
def model_server():
    """A server that speaks the OpenAI protocol on loopback; see models.ModelServer."""
    import models

    with models.running() as server:
        yield server


@pytest.fixture
def embedding(model_server, monkeypatch: pytest.MonkeyPatch):
    """The lane embedding, configured to the server."""
    monkeypatch.setenv("KAIZEN_EMBED_BACKEND", "ollama")
    monkeypatch.setenv("KAIZEN_EMBED_MODEL", "fake")
    monkeypatch.setenv("KAIZEN_EMBED_BASE_URL", model_server.url)
    return model_server


@pytest.fixture
def text_model(model_server, monkeypatch: pytest.MonkeyPatch):
    """The lane text, configured to the server."""
    monkeypatch.setenv("KAIZEN_TEXT_BACKEND", "ollama")
    monkeypatch.setenv("KAIZEN_LLM_MODEL", "fake")
    monkeypatch.setenv("KAIZEN_LLM_BASE_URL", model_server.url)
    return model_server


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch):
    """without("pypdf", "docx") makes packages as if they were not installed."""

    def hide(*names: str) -> None:
        for name in names:
            for loaded in [module for module in sys.modules if module == name or module.startswith(name + ".")]:
                monkeypatch.delitem(sys.modules, loaded)
            monkeypatch.setitem(sys.modules, name, None)

    return hide
