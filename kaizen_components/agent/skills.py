"""Skills: packages of instructions, a folder each with SKILL.md and the files that belong to it.

They are looked for in .kaizen/skills, .claude/skills and .agents/skills of the workspace, then of the user's home; the first of a name
counts. A package is never followed out of its folder by a symbolic link. Its hash is that of all its files; one that was pinned
(N10 --pin) is refused when it has another.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..fields import shorten
from ..hashing import canonical, sha256

if TYPE_CHECKING:
    from ..store import Store

FOLDERS = (".kaizen/skills", ".claude/skills", ".agents/skills")
MANIFEST = "SKILL.md"
# The setting that holds name -> hash of the skills that were pinned.
PINS = "skill_pins"
# The largest SKILL.md, the most files beside it, their size together, and how deep they lie.
MOST_TEXT, MOST_FILES, MOST_BYTES, MOST_DEPTH = 200_000, 500, 50_000_000, 12
# Files that no package is judged by.
IGNORED = (".git", "__pycache__", ".DS_Store")


class SkillFault(Exception):
    """A package cannot be used: `kind` is not_found, bad_front_matter, too_large, outside_workspace, not_text or changed."""

    def __init__(self, kind: str, message: str, **detail: Any) -> None:
        super().__init__(message)
        self.kind, self.message, self.detail = kind, message, detail


@dataclass(frozen=True, slots=True)
class Skill:
    """A package: its name, what it says of itself, its instructions, and path, size and SHA-256 of every file of it."""

    name: str
    folder: Path
    description: str
    front: dict[str, Any]
    body: str
    files: list[dict[str, Any]] = field(default_factory=list)
    sha256: str = ""

    @property
    def beside(self) -> list[dict[str, Any]]:
        """The files besides SKILL.md."""
        return [file for file in self.files if file["path"] != MANIFEST]


# --- finding --------------------------------------------------------------------------------------


def places(workspace: Path, home: Path | None = None) -> list[Path]:
    """The folders that may hold packages, in the order in which they count."""
    roots = [workspace, home or Path.home()]
    return list(dict.fromkeys(root / folder for root in roots for folder in FOLDERS))


def found(workspace: Path, home: Path | None = None) -> Iterator[tuple[str, Path]]:
    """(name, folder) of every package, the first of a name alone."""
    seen: set[str] = set()
    for place in places(workspace, home):
        try:
            entries = sorted(place.iterdir())
        except OSError:
            continue
        for folder in entries:
            if folder.name not in seen and (folder / MANIFEST).is_file():
                seen.add(folder.name)
                yield folder.name, folder


def load(name: str, workspace: Path, home: Path | None = None) -> Skill:
    """A package by the name of its folder, or by the name that it gives itself. Raises SkillFault."""
    here = dict(found(workspace, home))
    if name in here:
        return read(here[name], root_of(here[name], workspace))
    for folder in here.values():
        try:
            skill = read(folder, root_of(folder, workspace))
        except SkillFault:
            continue
        if skill.front.get("name") == name:
            return skill
    from difflib import get_close_matches

    near = get_close_matches(name.lower(), list(here), n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(list(here)[:20]) or 'none'}"
    raise SkillFault("not_found", f"There is no skill {shorten(name)!r}; {hint}", nearest=near)


def root_of(folder: Path, workspace: Path) -> Path:
    """The folder out of which nothing of a package may lead: the workspace, or the place of the user's own skills."""
    return workspace if folder.is_relative_to(workspace) else folder.parent


# --- reading --------------------------------------------------------------------------------------


def read(folder: Path, root: Path) -> Skill:
    """A package from its folder, which has to lie in `root` with every link followed. Raises SkillFault."""
    real = folder.resolve()
    if not real.is_relative_to(root.resolve()):
        raise SkillFault("outside_workspace", f"The skill {folder.name} is a link that leads out of {root}.")
    files, text = [], None
    for path in _walked(real):
        name = path.relative_to(real).as_posix()
        data = _bytes(path, real, MOST_TEXT if name == MANIFEST else MOST_BYTES)
        files.append({"path": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()})
        if len(files) > MOST_FILES or sum(file["bytes"] for file in files) > MOST_BYTES:
            raise SkillFault("too_large", f"The skill {folder.name} has more than {MOST_FILES} files, or {MOST_BYTES} bytes.")
        if name == MANIFEST:
            text = data
    if text is None:
        raise SkillFault("not_found", f"The skill {folder.name} has no {MANIFEST}.")
    try:
        front, body = parted(text.decode("utf-8-sig"))
    except UnicodeDecodeError as fault:
        raise SkillFault("not_text", f"{MANIFEST} of the skill {folder.name} is no UTF-8: {fault}.") from None
    except ValueError as fault:
        raise SkillFault("bad_front_matter", f"{MANIFEST} of the skill {folder.name}: {fault}.") from None
    for key in ("name", "description"):
        if not isinstance(front.get(key), str) or not front[key].strip():
            raise SkillFault("bad_front_matter", f"{MANIFEST} of the skill {folder.name} has no {key} in its front matter.")
    files.sort(key=lambda file: file["path"])
    whole = sha256(canonical([[file["path"], file["sha256"]] for file in files]))
    return Skill(folder.name, folder, front["description"].strip(), front, body, files, whole)


def _walked(folder: Path, depth: int = 0) -> Iterator[Path]:
    """The files of a folder and those below. A link is a file, and is judged when it is read; a link to a folder is not followed."""
    if depth > MOST_DEPTH:
        raise SkillFault("too_large", f"The folders of a skill lie deeper than {MOST_DEPTH}.")
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.name in IGNORED:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walked(Path(entry.path), depth + 1)
        else:
            yield Path(entry.path)


def _bytes(path: Path, folder: Path, most: int) -> bytes:
    """What a file holds. Opened first and judged then, so that what was judged is what is read."""
    real = path.resolve()
    if not real.is_relative_to(folder):
        raise SkillFault(
            "outside_workspace", f"{path.relative_to(folder).as_posix()} of the skill {folder.name} leads out of it."
        )
    try:
        # Not held up by a pipe that somebody put there.
        with open(real, "rb", opener=lambda name, flags: os.open(name, flags | _SAFELY)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise SkillFault("not_text", f"{path.name} of the skill {folder.name} is no file.")
            data = file.read(most + 1)
    except OSError as fault:
        raise SkillFault("not_found", f"{path.name} of the skill {folder.name} cannot be read: {fault.strerror}.") from None
    if len(data) > most:
        raise SkillFault("too_large", f"{path.name} of the skill {folder.name} has more than {most} bytes.")
    return data


_SAFELY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


# --- front matter ---------------------------------------------------------------------------------

_KEY = re.compile(r"([A-Za-z_][\w.-]*):(?:[ \t]+(.*)|[ \t]*)$")
_BLOCK = re.compile(r"([|>])[+-]?$")


def parted(text: str) -> tuple[dict[str, Any], str]:
    """(front matter, instructions) of a SKILL.md. Raises ValueError, with the line."""
    lines = text.splitlines()
    if not lines or lines[0].rstrip() != "---":
        raise ValueError("it begins with no line ---, so it has no front matter")
    end = next((number for number, line in enumerate(lines[1:], 1) if line.rstrip() == "---"), None)
    if end is None:
        raise ValueError("its front matter has no end, a line ---")
    return mapping(lines[1:end], 2), "\n".join(lines[end + 1 :]).strip("\n") + "\n"


def mapping(lines: Sequence[str], first: int = 1) -> dict[str, Any]:
    """The small part of YAML that front matter uses: keys with texts (plain, in quotes, or as blocks with | and >), lists of texts,
    and one more level of keys. Everything is a text. What it does not know is an error, never a guess."""
    read: dict[str, Any] = {}
    number = 0
    while number < len(lines):
        line = lines[number].rstrip()
        number += 1
        if not line or line.lstrip().startswith("#"):
            continue
        match = _KEY.match(line)
        if match is None:
            raise ValueError(f"line {first + number - 1} is no `key: value`: {shorten(line, 60)!r}")
        key, value = match[1], (match[2] or "").strip()
        if key in read:
            raise ValueError(f"line {first + number - 1} has {key!r} a second time")
        start, below = number, []
        while number < len(lines) and (not lines[number].strip() or lines[number][0] in " \t" or _item(lines[number])):
            below.append(lines[number])
            number += 1
        read[key] = _value(value, below, first + start)
    return read


def _value(value: str, below: Sequence[str], first: int) -> Any:
    block = _BLOCK.match(value)
    if block:
        return _folded(below, block[1])
    inner = [line for line in below if line.strip() and not line.lstrip().startswith("#")]
    if value:
        if value[0] in "[\"'&*!{|>%@`":
            if inner:
                raise ValueError(f"line {first} belongs to nothing")
            return _inline(value, first - 1)
        return " ".join([_plain(value, first - 1), *(_plain(line.strip(), first) for line in inner)])
    if inner and _item(inner[0].lstrip()):
        if not all(_item(line.lstrip()) for line in inner):
            raise ValueError(f"line {first} begins a list, in which a line is no `- item`")
        return [_inline(line.lstrip()[1:].strip(), first) for line in inner]
    if inner:
        depth = min(len(line) - len(line.lstrip()) for line in inner)
        return mapping([line[depth:] for line in below], first)
    return ""


def _item(line: str) -> bool:
    return line.rstrip() == "-" or line.startswith("- ")


def _inline(value: str, line: int) -> Any:
    """A text, plain or in quotes, or a list in brackets."""
    if value.startswith("["):
        if not value.endswith("]"):
            raise ValueError(f"line {line} begins a list that does not end there")
        return [_inline(item.strip(), line) for item in value[1:-1].split(",") if item.strip()]
    if value.startswith('"'):
        try:
            text = json.loads(value)
        except ValueError:
            raise ValueError(f"line {line} has a text in quotes that cannot be read") from None
        return text
    if value.startswith("'"):
        if len(value) < 2 or not value.endswith("'") or "'" in value[1:-1].replace("''", ""):
            raise ValueError(f"line {line} has a text in quotes that cannot be read")
        return value[1:-1].replace("''", "'")
    return _plain(value, line)


def _plain(value: str, line: int) -> str:
    if value[:1] in ("&", "*", "!", "{", "|", ">", "%", "@", "`"):
        raise ValueError(f"line {line} uses what is not read here: {shorten(value, 60)!r}; put the text into quotes")
    return value.partition(" #")[0].rstrip()


def _folded(lines: Sequence[str], style: str) -> str:
    depth = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    texts = [line[depth:].rstrip() for line in lines]
    if style == "|":
        return "\n".join(texts).strip("\n")
    return "\n".join(" ".join(part.split("\n")) for part in "\n".join(texts).strip("\n").split("\n\n"))


# --- pins -----------------------------------------------------------------------------------------


def pins(store: Store) -> dict[str, str]:
    """Name -> hash of the skills that were pinned in this plane."""
    from .. import settings

    return json.loads(settings.current(store, PINS) or "{}")


def pin(store: Store, skills: Sequence[Skill]) -> dict[str, str]:
    """Pin skills as they are now; all pins. In a unit of work."""
    from .. import settings

    held = {**pins(store), **{skill.name: skill.sha256 for skill in skills}}
    settings.put(store, PINS, canonical(held))
    return held
