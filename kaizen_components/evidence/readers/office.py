"""Office: what is checked of a DOCX or XLSX file before a library opens it."""

from __future__ import annotations

import io
import zipfile

from ... import denial

# Files in the archive, and bytes of all of them unpacked.
ENTRIES, UNPACKED = 5_000, 256 * 1024 * 1024
# How many times its size a large file may unpack to: tables of numbers reach forty.
RATIO, SMALL = 150, 10 * 1024 * 1024
BLOCK = 1 << 20
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_DECLARATIONS = tuple(
    mark.encode(encoding) for mark in ("<!DOCTYPE", "<!ENTITY") for encoding in ("utf-8", "utf-16-le", "utf-16-be")
)


def check(data: bytes, name: str, part: str) -> None:
    """Refuse what is no office file with `part` in it, and what would unpack to more than a document has.

    First by what the archive says of itself, then by unpacking it: what it says need not be so."""
    if data.startswith(_OLE):
        message = "The file is encrypted, or has the format of before 2007."
        raise denial.DocumentUnreadable("Save it without a password, as DOCX or XLSX.", message=message, name=name)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            _refuse_bomb(entries, len(data), name)
            if part not in {entry.filename for entry in entries}:
                raise denial.DocumentUnreadable(name=name, reason=f"it has no {part}")
            _unpack(archive, entries, name)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, ValueError, OSError) as fault:
        raise denial.DocumentUnreadable(name=name, reason=str(fault)) from None
    except (NotImplementedError, RuntimeError) as fault:
        # A method of compression that nobody uses; a password.
        raise denial.DocumentUnreadable(name=name, reason=str(fault)) from None
    except Exception as fault:
        if isinstance(fault, denial.Denial | MemoryError):
            raise
        raise denial.DocumentUnreadable(name=name, reason=f"{type(fault).__name__}: {fault}"[:300]) from None


def _refuse_bomb(entries: list[zipfile.ZipInfo], size: int, name: str) -> None:
    unpacked = sum(entry.file_size for entry in entries)
    packed = sum(entry.compress_size for entry in entries)
    reason = None
    if len(entries) > ENTRIES:
        reason = f"{len(entries)} files in it"
    elif unpacked > UNPACKED or (unpacked > SMALL and unpacked > RATIO * max(packed, 1)):
        reason = f"{unpacked} bytes unpacked from {size}"
    elif packed > size:
        reason = "its parts overlap"
    if reason:
        raise denial.FileTooLarge(
            "Split the document.",
            message="The file unpacks to more than is read at once.",
            name=name,
            reason=reason,
            limit=UNPACKED,
        )


def _unpack(archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo], name: str) -> None:
    """Unpack what will be parsed, to see that it is whole, no larger than it says, and defines no entities."""
    total = 0
    for entry in entries:
        if not entry.filename.lower().endswith((".xml", ".rels")):
            continue
        with archive.open(entry) as stream:
            before = b""
            while block := stream.read(BLOCK):
                total += len(block)
                if total > UNPACKED:
                    raise denial.FileTooLarge("Split the document.", name=name, limit=UNPACKED)
                window = before + block
                if any(mark in window for mark in _DECLARATIONS):
                    raise denial.DocumentUnreadable(name=name, reason=f"{entry.filename} defines entities")
                before = block[-32:]
