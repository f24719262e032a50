"""Landlock: a program that gave up rights to files and to the network for good, where the kernel knows them.

A thread gives its rights up and starts the program, which inherits what is left; the rest of this process keeps its own. Of the network
Landlock knows TCP alone; a filter of system calls (seccomp) leaves no socket but local ones.
Landlock can only open, not close: what is opened is open as a whole, so nothing within a workspace can be kept from writing.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .confinement import Confinement, Held, Jail, covers, limited, shown

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 24, 38
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_PATH_BENEATH = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
# By the version that brought them: remove and make of every kind; refer; truncate; ioctl of devices.
_MAKE = sum(1 << bit for bit in range(4, 13))
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_TCP = 0b11
_ABSTRACT_SOCKETS, _SIGNALS = 1 << 0, 1 << 1
# What may be asked of a file that is no folder.
_OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | _TRUNCATE | _IOCTL_DEV

_READ = EXECUTE | READ_FILE
# Devices that every program may use.
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/pts", "/dev/shm")
# Files of other programs, sockets of services, disks.
_HIDDEN = ("/tmp", "/var/tmp", "/run", "/var/run", "/dev")

_libc: Any = None


def _system() -> Any:
    global _libc
    if _libc is None:
        _libc = ctypes.CDLL(None, use_errno=True)
    return _libc


def abi() -> int:
    """The version of Landlock in this kernel; 0: none."""
    return max(_system().syscall(_CREATE_RULESET, None, 0, 1), 0)


def candidate() -> Confinement:
    """Landlock as this kernel has it."""
    version = abi() if sys.platform == "linux" else 0
    if not version:
        return Confinement("landlock", reason="the kernel has none, or it is not switched on")
    return Confinement("landlock", version=f"ABI {version}")


def hold(confinement: Confinement, jail: Jail, argv: Sequence[str]) -> Held:
    """The program after it gave up what the jail does not open. It gets a folder of its own for temporary files."""
    version = abi()
    inner, limits, not_held = limited(jail.limits, argv, alone=False)
    temporary = Path(os.path.realpath(tempfile.mkdtemp(prefix="kaizen-")))
    not_held = [
        "protected",
        "names of hidden files",
        "sockets with a path",
        "modes, owners and times of files",
        "daemons",
        *not_held,
    ]
    if not jail.network and _machine() is None:
        not_held.append("network but for TCP" if version >= 4 else "network")
    not_held += [f"hidden: {path}" for path in shown([path for path in jail.hidden if covers(jail.writable, path)])]
    not_held += [f"protected: {path}" for path in shown([path for path in jail.protected if covers(jail.writable, path)])]
    not_held += [f"hidden, protected: {what}" for what in jail.unseen]
    not_held += [what for since, what in ((2, "links and moves between folders"), (3, "truncating")) if version < since]
    if version < 6:
        not_held.append("signals to other programs, sockets in the abstract namespace")
    says = {
        "name": "landlock",
        "version": f"ABI {version}",
        "writable": [*shown(jail.writable), f"{temporary} (its own)"],
        "protected": [],
        "hidden": shown(jail.hidden),
        "network": jail.network,
        "limits": limits,
        "not_held": not_held,
    }
    variables = {"TMPDIR": str(temporary), "XDG_CACHE_HOME": str(temporary / ".cache")}

    def within(start: Callable[[], Any]) -> Any:
        return _started(start, lambda: _restrict(jail, temporary, version))

    return Held(inner, says, variables, within, temporary)


def _started(start: Callable[[], Any], restrict: Callable[[], None]) -> Any:
    """What `start` answers in a thread that gave up its rights."""
    # What the start imports must be there before nothing can be read any more.
    import subprocess  # noqa: F401

    came: list[Any] = []
    faults: list[BaseException] = []

    def work() -> None:
        try:
            restrict()
            came.append(start())
        except BaseException as fault:
            faults.append(fault)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if faults:
        raise faults[0]
    return came[0]


def _restrict(jail: Jail, temporary: Path, version: int) -> None:
    """Give up, in this thread and for all that it starts, everything that the jail does not open. Raises OSError."""
    change = WRITE_FILE | _MAKE
    change |= sum(right for since, right in ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV)) if version >= since)
    handled = _READ | READ_DIR | change
    network = _TCP if version >= 4 and not jail.network else 0
    scoped = _ABSTRACT_SOCKETS * (not jail.network) | _SIGNALS if version >= 6 else 0
    attributes = struct.pack("=QQQ", handled, network, scoped)[: 24 if version >= 6 else 16 if version >= 4 else 8]
    rules = _checked(_system().syscall(_CREATE_RULESET, attributes, len(attributes), 0))
    try:
        # Names can be listed everywhere, or no program could find its way.
        _open(rules, "/", READ_DIR)
        for path in _readable([*jail.hidden, *map(Path, _HIDDEN)]):
            _open(rules, path, _READ | READ_DIR)
        for folder in jail.readable:
            for path in _readable(jail.hidden, str(folder)):
                _open(rules, path, _READ | READ_DIR)
        for device in _DEVICES:
            _open(rules, device, handled)
        for folder in (*jail.writable, temporary):
            _open(rules, folder, handled)
        for right in range(64):
            # Root keeps no more rights than its files give it; others have none to drop.
            if _system().prctl(_PR_CAPBSET_DROP, right, 0, 0, 0):
                break
        _checked(_system().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _checked(_system().syscall(_RESTRICT_SELF, rules, 0))
        if not jail.network:
            _without_sockets()
    finally:
        os.close(rules)


def _open(rules: int, path: str | Path, rights: int) -> None:
    """Allow rights to a file, or to all that is in a folder; what is not there needs none."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not os.path.isdir(path):  # noqa: PTH112
            rights &= _OF_FILES
        _checked(_system().syscall(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", rights, descriptor), 0))
    finally:
        os.close(descriptor)


def _readable(hidden: Sequence[Path], within: str = "/") -> Iterator[str]:
    """All there is in a folder but for what is hidden: as few folders and files as can be."""
    closed = {str(path) for path in hidden}
    on_the_way = {str(parent) for path in hidden for parent in path.parents}

    def around(folder: str) -> Iterator[str]:
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                # Where a link leads has a rule of its own.
                if entry.path in closed or entry.is_symlink():
                    continue
                if entry.path in on_the_way:
                    yield from around(entry.path)
                else:
                    yield entry.path

    return around(within) if within in on_the_way else iter([within])


# Machine -> (how the kernel names it in a filter, the number of socket()).
_MACHINES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
_IO_URING_SETUP = 425
# Above this number x86-64 has a second set of the same calls.
_X32 = 0x40000000
_AF_UNIX, _AF_NETLINK = 1, 16
_LOAD, _IF_EQUAL, _IF_NOT_LESS, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 13


def _machine() -> tuple[int, int] | None:
    """What a filter has to know of this machine; None where it is not known."""
    return _MACHINES.get(os.uname().machine) if sys.maxsize > 2**32 else None


def _without_sockets() -> None:
    """Leave this thread, and all that it starts, no way to make a socket but a local one. Raises OSError."""
    machine = _machine()
    if machine is None:
        return
    kernel_name, socket_call = machine
    # (what, where to go on if so and if not, with what): how many instructions are passed over.
    program = [
        (_LOAD, 0, 0, 4),
        (_IF_EQUAL, 0, 8, kernel_name),
        (_LOAD, 0, 0, 0),
        (_IF_NOT_LESS, 6, 0, _X32),
        (_IF_EQUAL, 5, 0, _IO_URING_SETUP),
        (_IF_EQUAL, 0, 3, socket_call),
        (_LOAD, 0, 0, 16),
        (_IF_EQUAL, 1, 0, _AF_UNIX),
        (_IF_EQUAL, 0, 1, _AF_NETLINK),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *instruction) for instruction in program))
    wanted = struct.pack("@HP", len(program), ctypes.addressof(code))
    _checked(_system().prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, wanted, 0, 0))


def _checked(answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"Landlock: {os.strerror(number)}")
    return answer
