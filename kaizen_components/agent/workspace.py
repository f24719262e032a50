"""Workspace: the files of a call, opened so that each is the one that was judged, and replaced whole.

A path is resolved, and what it means is opened name by name, from the root down, never through a symbolic link. A link that is put in
the way meanwhile is therefore refused, and the path that is judged is the path that is open.

Kinds of ToolError that come from here and from the tools that work on files:

    bad_path           no path at all: too long, or a home folder that is unknown
    not_found          nothing is there
    is_directory       a folder, where a file is wanted
    not_a_folder       a file, where a folder is wanted
    not_a_file         a pipe, a device or a socket
    outside_workspace  it leads to where this call may not go
    permission         the system refuses it: rights, a read-only folder or file
    too_large          more bytes than the tool takes
    binary             not a text
    not_utf8           a text whose encoding is unknown, or that cannot be written as UTF-8
    changed_meanwhile  somebody else wrote the file at the same time
    disk_full          no room to write
    io_error           anything else that the system says
    no_match, not_unique, not_changed   (edit_file) the old text is absent, stands there more than once, equals the new one
    bad_pattern        (glob, grep) the pattern cannot be read
    timeout, interrupted   (glob, grep) it took too long; the run was asked to stop
    not_a_notebook, bad_notebook, cell_not_found, source_required, type_required   (notebook_edit)
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from .tool import Access, Changed, ToolError

if TYPE_CHECKING:
    from .tool import Context

# Texts up to this size get a diff.
MOST_DIFF = 1_000_000
BLOCK = 1 << 20


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("a path holds no NUL character")
    return text


# How a path is given to a tool.
PathText = Annotated[str, Field(min_length=1, max_length=32_768), AfterValidator(_without_nul)]


def withheld(base: Path, context: Context) -> Callable[[str], bool]:
    """What a search of a folder passes over, by its real path: files that the gate would not let be read as it let the folder be."""
    from .permissions import files, settings

    policy = settings.load(context.workspace, context.store)
    if context.store is not None:
        context.store.release()
    why = files.judged("read", str(base), context.workspace, policy).rule

    def passed_over(path: str) -> bool:
        verdict = files.judged("read", path, context.workspace, policy)
        # Who approved the folder approved what is asked about for the same reason.
        asked = verdict.decision == "ask" and verdict.rule != why and context.mode != "bypass"
        return asked or verdict.decision == "deny"

    return passed_over


def danger_of_reading(text: str, context: Context) -> str:
    """safe; high for a file of keys or passwords."""
    from .permissions import files

    return "high" if files.sensitive(resolved(text, context)) else "safe"


def danger_of_writing(text: str, context: Context) -> str:
    """low for a new file, medium for one that is there; high for keys, passwords, and what decides what programs do here."""
    from .permissions import files

    path = resolved(text, context)
    if files.guarded(str(path), os.path.realpath(context.workspace), context.policy):
        return "high"
    return "medium" if os.path.lexists(path) else "low"


# --- which path, and whether it may be touched ---------------------------------------------------


def resolved(text: str, context: Context) -> Path:
    """The real absolute path that a text means. Of a text that means none, the path as it is written: nothing can be opened there."""
    try:
        return context.path(text)
    except (OSError, RuntimeError, ValueError):
        return Path(os.path.normpath(context.cwd / text))


def access(way: str, text: str, context: Context) -> Access:
    """What a call would touch, as the gate judges it."""
    return Access(way, str(resolved(text, context)))


def located(text: str, context: Context, way: str = "read") -> Path:
    """The real absolute path of a text, where this call may go. Raises ToolError bad_path, outside_workspace."""
    try:
        path = context.path(text)
    except RuntimeError as fault:
        # A circle of links, or a home folder that nobody has.
        raise ToolError("bad_path", f"{printable(text)} leads nowhere: {fault}") from None
    except (OSError, ValueError) as fault:
        raise ToolError("bad_path", f"{printable(text)} is no path: {fault}") from None
    if not _allowed(path, context, way):
        raise outside(text, path)
    return path


def _allowed(path: Path, context: Context, way: str) -> bool:
    """Whether a real path is one that was judged; without a judgement, whether it lies in a folder of this context."""
    if context.granted:
        ways = ("write",) if way == "write" else ("read", "write")
        return any(granted.way in ways and granted.what == str(path) for granted in context.granted)
    folders = [context.workspace, *(context.writable if way == "write" else ())]
    return any(path.is_relative_to(Path(os.path.realpath(folder))) for folder in folders)


def outside(text: str, path: Path) -> ToolError:
    """The refusal of a path that leads to where the call may not go."""
    leads = f", which is {printable(str(path))}" if str(path) != text else ""
    return ToolError("outside_workspace", f"{printable(text)}{leads}: this call may not go there.", path=printable(str(path)))


def printable(text: str) -> str:
    """A name in one line of Unicode: bytes that are no UTF-8, and control characters, as \\x and \\n escapes."""
    if text.isprintable():
        return text
    whole = readable(text)
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in whole)


def readable(text: str) -> str:
    """A name as Unicode: bytes that are no UTF-8 as \\x escapes."""
    return os.fsencode(text).decode("utf-8", "backslashreplace") if not text.isascii() else text


def shown(path: Path, context: Context) -> str:
    """A path as a result names it: from the current folder where it lies below it, else absolute."""
    with contextlib.suppress(ValueError):
        return readable(path.relative_to(os.path.realpath(context.cwd)).as_posix())
    return readable(str(path))


def recorded(path: Path, context: Context) -> str:
    """A path as a record names it: from the workspace where it lies in it, else absolute."""
    with contextlib.suppress(ValueError):
        return readable(path.relative_to(os.path.realpath(context.workspace)).as_posix())
    return readable(str(path))


def refused(fault: OSError, text: str) -> ToolError:
    """What the system said of a path, as a ToolError with a stable kind."""
    name, number = printable(text), fault.errno
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        reason = "it is on a read-only file system" if number == errno.EROFS else "the system does not allow it"
        return ToolError("permission", f"{name}: {reason}.")
    if number in (errno.ENOSPC, errno.EDQUOT):
        return ToolError("disk_full", f"{name}: there is no room to write it.")
    simple = {
        errno.ENOENT: ("not_found", "no such file or folder"),
        errno.ENOTDIR: ("not_a_folder", "a part of the path is a file, not a folder"),
        errno.EISDIR: ("is_directory", "it is a folder, not a file"),
        errno.ENAMETOOLONG: ("bad_path", "a name in it is too long"),
        errno.ELOOP: ("outside_workspace", "a symbolic link appeared in the path while it was opened"),
        errno.EFBIG: ("too_large", "the system takes no file of this size"),
    }
    kind, reason = simple.get(number or 0, ("io_error", fault.strerror or str(fault)))
    return ToolError(kind, f"{name}: {reason}.")


# --- opening -------------------------------------------------------------------------------------

BY_DESCRIPTOR = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")
_CLOEXEC = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
# To pass through a folder it need not be readable.
_PASS = getattr(os, "O_PATH", 0) | getattr(os, "O_DIRECTORY", 0) | _CLOEXEC
LIST = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _CLOEXEC
# A pipe that nobody writes to must not hold us up, and no terminal may become ours.
READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0) | _CLOEXEC


def step(name: str, folder: int, flags: int = _PASS) -> int:
    """Open a folder by its name in an open one; a symbolic link is ELOOP."""
    try:
        return os.open(name, flags, dir_fd=folder)
    except NotADirectoryError:
        if stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
        raise


@contextlib.contextmanager
def folder_at(path: Path, *, make: bool = False, listed: bool = False) -> Iterator[int]:
    """A descriptor of the folder with this real path, from the root down. `make` makes what is missing of it, and takes that away
    again where the block fails. `listed` opens it for listing. OSError as the system says it."""
    names = path.parts[1:]
    made: list[tuple[int, str]] = []
    current = os.open(path.anchor, LIST if listed and not names else _PASS)
    try:
        for number, name in enumerate(names, start=1):
            flags = LIST if listed and number == len(names) else _PASS
            try:
                below = step(name, current, flags)
            except FileNotFoundError:
                if not make:
                    raise
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o777, dir_fd=current)
                    made.append((os.dup(current), name))
                below = step(name, current, flags)
            os.close(current)
            current = below
        yield current
    except BaseException:
        for above, name in reversed(made):
            with contextlib.suppress(OSError):
                os.rmdir(name, dir_fd=above)
        raise
    finally:
        os.close(current)
        for above, _ in made:
            os.close(above)


class Below:
    """A folder somewhere below an open one, open for listing while the block lasts; no link is followed. OSError as the system says it."""

    def __init__(self, folder: int, path: str) -> None:
        self._folder, self._path = folder, path

    def __enter__(self) -> int:
        current = os.dup(self._folder)
        try:
            for name in filter(None, self._path.split("/")):
                below = step(name, current, LIST)
                os.close(current)
                current = below
        except BaseException:
            os.close(current)
            raise
        self._opened = current
        return current

    def __exit__(self, *_: object) -> None:
        os.close(self._opened)


def file_in(folder: int, name: str) -> tuple[int, os.stat_result]:
    """Open a regular file by its name in an open folder, for reading, without waiting: its descriptor and state.

    Raises OSError, of which ELOOP is a symbolic link; and ToolError is_directory, not_a_file.
    """
    _regular(os.stat(name, dir_fd=folder, follow_symlinks=False), name)
    descriptor = os.open(name, READ, dir_fd=folder)
    try:
        state = os.fstat(descriptor)
        _regular(state, name)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, state


def _regular(state: os.stat_result, name: str) -> None:
    if stat.S_ISLNK(state.st_mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    if stat.S_ISDIR(state.st_mode):
        raise ToolError("is_directory", f"{printable(name)} is a folder, not a file.")
    if not stat.S_ISREG(state.st_mode):
        raise ToolError("not_a_file", f"{printable(name)} is a pipe, a device or a socket, not a file.")


@contextlib.contextmanager
def opened(text: str, context: Context, way: str = "read") -> Iterator[tuple[int, os.stat_result, Path]]:
    """A file open for reading: its descriptor, its state, its real path. Raises ToolError."""
    path = located(text, context, way)
    try:
        descriptor, state = _file_at(path)
    except OSError as fault:
        raise refused(fault, text) from None
    try:
        yield descriptor, state, path
    except OSError as fault:
        raise refused(fault, text) from None
    finally:
        os.close(descriptor)


def _file_at(path: Path) -> tuple[int, os.stat_result]:
    if not path.name:
        raise ToolError("is_directory", f"{path} is a folder, not a file.")
    if not BY_DESCRIPTOR:
        return _file_compared(path)
    with folder_at(path.parent) as folder:
        return file_in(folder, path.name)


def _file_compared(path: Path) -> tuple[int, os.stat_result]:
    """Where a system opens nothing by descriptor: open, and see that the path still means what is open."""
    _regular(path.lstat(), path.name)
    descriptor = os.open(path, READ)
    state = os.fstat(descriptor)
    if os.path.realpath(path) != str(path) or not os.path.samestat(state, path.lstat()):
        os.close(descriptor)
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return descriptor, state


@contextlib.contextmanager
def opened_folder(text: str, context: Context) -> Iterator[tuple[int, Path]]:
    """A folder open for listing: its descriptor and its real path. Raises ToolError."""
    path = located(text, context)
    try:
        with folder_at(path, listed=True) as folder:
            yield folder, path
    except NotADirectoryError:
        raise ToolError("not_a_folder", f"{printable(text)} is a file, not a folder.") from None
    except OSError as fault:
        raise refused(fault, text) from None


def state_of(text: str, context: Context) -> os.stat_result | None:
    """The state of what a path means; None where nothing is there. Raises ToolError."""
    path = located(text, context)
    try:
        if not path.name:
            return path.lstat()
        if not BY_DESCRIPTOR:
            return path.lstat()
        with folder_at(path.parent) as folder:
            return os.stat(path.name, dir_fd=folder, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as fault:
        raise refused(fault, text) from None


def blocks(descriptor: int, size: int = BLOCK) -> Iterator[bytes]:
    """The bytes of an open file, block by block."""
    while block := os.read(descriptor, size):
        yield block


# --- whole files, and replacing them -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Whole:
    """A file that was read whole, and its state at that time."""

    path: Path
    data: bytes
    state: os.stat_result


def whole(text: str, context: Context, most: int, way: str = "read") -> Whole:
    """All of a file, up to `most` bytes. Raises ToolError too_large and the others."""
    with opened(text, context, way) as (descriptor, state, path):
        if state.st_size > most:
            raise too_large(text, state.st_size, most)
        data = bytearray()
        for block in blocks(descriptor):
            data += block
            if len(data) > most:
                raise too_large(text, len(data), most)
        return Whole(path, bytes(data), state)


def too_large(text: str, size: int, most: int) -> ToolError:
    return ToolError("too_large", f"{printable(text)} has {size:,} bytes; the most is {most:,}.", bytes=size, most=most)


def encoded(text: str, what: str) -> bytes:
    """A text as UTF-8. Raises ToolError not_utf8 where it holds half a character."""
    try:
        return text.encode()
    except UnicodeEncodeError as fault:
        raise ToolError("not_utf8", f"{what} holds a lone surrogate at character {fault.start}; it cannot be written.") from None


def replace(path: Path, data: bytes, context: Context, *, read: Whole | None = None) -> Changed:
    """Write a file in one step: its readers see the old bytes or the new, never half. What it was stays its mode and owner.

    `path` comes from located(..., "write"). `read` is what the new bytes were made from: where the file is no longer that, it is left
    alone. Folders that are missing are made. Raises ToolError.
    """
    text = str(path)
    if not path.name:
        raise ToolError("is_directory", f"{text} is a folder, not a file.")
    try:
        if not BY_DESCRIPTOR:
            return _replaced_by_path(path, data, context, read)
        with folder_at(path.parent, make=True) as folder:
            return _replaced(folder, path, data, context, read)
    except OSError as fault:
        raise refused(fault, shown(path, context)) from None


def _replaced(folder: int, path: Path, data: bytes, context: Context, read: Whole | None) -> Changed:
    name = path.name
    before, state = (read.data, read.state) if read is not None else (None, None)
    digest: str | None = None
    if read is None:
        with contextlib.suppress(FileNotFoundError):
            before, digest, state = _as_it_was(folder, name)
    else:
        digest = hashlib.sha256(read.data).hexdigest()
    if state is not None and not os.access(name, os.W_OK, dir_fd=folder, effective_ids=os.access in os.supports_effective_ids):
        raise ToolError("permission", f"{printable(shown(path, context))} is read-only.")
    temporary = f".kaizen-{os.urandom(8).hex()}.tmp"
    mode = 0o666 if state is None else 0o600
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _CLOEXEC, mode, dir_fd=folder)
    try:
        try:
            _written(descriptor, data)
            if state is not None:
                _like(descriptor, state)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        _unchanged(folder, name, state, shown(path, context))
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise
    _kept(folder)
    return _changed(path, before, digest, data, context)


def _as_it_was(folder: int, name: str) -> tuple[bytes | None, str, os.stat_result]:
    """(its bytes where they are few enough for a diff, their hash, the state) of a file that will be replaced."""
    try:
        descriptor, state = file_in(folder, name)
    except PermissionError:
        # It may be written and not be read.
        state = os.stat(name, dir_fd=folder, follow_symlinks=False)
        raise ToolError("permission", f"{printable(name)} cannot be read, so what would be lost is unknown.") from None
    try:
        digest, kept = hashlib.sha256(), bytearray()
        for block in blocks(descriptor):
            digest.update(block)
            if len(kept) <= MOST_DIFF:
                kept += block
    finally:
        os.close(descriptor)
    return (bytes(kept) if len(kept) <= MOST_DIFF else None), digest.hexdigest(), state


def _written(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _like(descriptor: int, state: os.stat_result) -> None:
    """Give a file the owner and mode of another; the owner only where the system lets us."""
    made = os.fstat(descriptor)
    if (made.st_uid, made.st_gid) != (state.st_uid, state.st_gid):
        with contextlib.suppress(OSError):
            os.fchown(descriptor, state.st_uid, state.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(state.st_mode))


def _unchanged(folder: int, name: str, state: os.stat_result | None, text: str) -> None:
    """See that a file is still the one that was looked at."""
    try:
        now = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        now = None
    if now is not None and (stat.S_ISLNK(now.st_mode) or stat.S_ISDIR(now.st_mode)):
        raise OSError(errno.ELOOP if stat.S_ISLNK(now.st_mode) else errno.EISDIR, "changed")
    if _mark(now) != _mark(state):
        raise ToolError("changed_meanwhile", f"{printable(text)} was changed by somebody else; read it again.")


def _mark(state: os.stat_result | None) -> tuple[int, ...] | None:
    return None if state is None else (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns)


def _kept(folder: int) -> None:
    """Make the names in a folder durable; a system that cannot need not."""
    with contextlib.suppress(OSError):
        # A descriptor for passing through syncs nothing.
        listed = os.open(".", LIST, dir_fd=folder)
        try:
            os.fsync(listed)
        finally:
            os.close(listed)


def _replaced_by_path(path: Path, data: bytes, context: Context, read: Whole | None) -> Changed:
    """The same where a system has no descriptors of folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if os.path.realpath(path) != str(path):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    old = read.data if read is not None else path.read_bytes() if path.is_file() else None
    temporary = path.with_name(f".kaizen-{os.urandom(8).hex()}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if old is not None:
            temporary.chmod(stat.S_IMODE(path.stat().st_mode))
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    return _changed(path, old, None if old is None else hashlib.sha256(old).hexdigest(), data, context)


def _changed(path: Path, before: bytes | None, digest: str | None, data: bytes, context: Context) -> Changed:
    from . import diffs

    name = recorded(path, context)
    diff = None
    if len(data) <= MOST_DIFF and (digest is None or (before is not None and len(before) <= MOST_DIFF)):
        diff = diffs.unified(before, data, printable(name))
    return Changed(name, digest, hashlib.sha256(data).hexdigest(), diff)
