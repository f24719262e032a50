"""Files: what Kaizen writes beside the database, whole or not at all, and never over another."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from .. import denial


def write_whole(path: Path, text: str) -> None:
    """Write a file in one step: a reader sees the old text or the new, never half."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as fault:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise denial.FileUnwritable(path=str(path), reason=fault.strerror or str(fault)) from fault


def reserve(folder: Path, stem: str, suffix: str) -> Path:
    """A new, empty file whose name nobody else has: stem.suffix, stem-2.suffix, ..."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        number = 1
        while True:
            path = folder / (f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}")
            try:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
                return path
            except FileExistsError:
                number += 1
    except OSError as fault:
        raise denial.FileUnwritable(path=str(folder), reason=fault.strerror or str(fault)) from fault


def reserve_folder(folder: Path, stem: str) -> Path:
    """A new, empty folder whose name nobody else has: stem, stem-2, ..."""
    number = 1
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while True:
            path = folder / (stem if number == 1 else f"{stem}-{number}")
            try:
                path.mkdir()
                return path
            except FileExistsError:
                number += 1
    except OSError as fault:
        raise denial.FileUnwritable(path=str(folder), reason=fault.strerror or str(fault)) from fault


def sync(path: Path) -> None:
    """Make a file's bytes, or the names in a folder, durable; a system that cannot sync folders need not."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(descriptor)
    except OSError as fault:
        if not path.is_dir():
            raise denial.FileUnwritable(path=str(path), reason=fault.strerror or str(fault)) from fault
    finally:
        os.close(descriptor)
