"""Settings: the rules in force, merged from the settings files of the user and the project, and from the plane.

    {"permissions": {"allow": ["Bash(git *)"], "ask": [], "deny": ["Read(secrets/**)"],
                     "additionalDirectories": ["../shared"], "defaultMode": "default"},
     "hooks": {"before": [{"tools": "bash_command|write_file", "command": ["python", "check.py"], "timeout": 10}], "after": []}}

Files, each optional: ~/.kaizen/settings.json, .kaizen/settings.json, .kaizen/settings.local.json, and, only read and only for their
permissions, the same three names under .claude.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import denial
from .rules import FILES, Rule, parse

if TYPE_CHECKING:
    from ...store import Store

NAMES = ("settings.json", "settings.local.json")
DECISIONS = ("deny", "ask", "allow")
# Modes as other settings name them. What would switch the gate off is not taken from a file.
MODES = {
    "default": "default",
    "acceptEdits": "accept-edits",
    "accept-edits": "accept-edits",
    "plan": "plan",
    "deny-all": "deny-all",
    "dontAsk": "default",
    "auto": "default",
    "delegate": "default",
    "bypassPermissions": "default",
    "bypass": "default",
}
EVENTS = ("before", "after")
TIMEOUT = 30.0
# What a settings file of Kaizen may hold besides.
TOP = frozenset({"$schema", "permissions", "hooks", "runners"})
_PERMISSIONS = frozenset({*DECISIONS, "additionalDirectories", "defaultMode", "disableBypassPermissionsMode"})


@dataclass(frozen=True)
class Policy:
    """The rules in force for one workspace, and what else the files say."""

    rules: tuple[Rule, ...] = ()
    # Folders besides the workspace in which the same is allowed as in it: absolute, links followed.
    directories: tuple[str, ...] = ()
    mode: str | None = None
    # The file that names the mode.
    mode_source: str | None = None
    # Whether a file says that the mode bypass is none here.
    without_bypass: bool = False
    # {"before": [{"tools", "command", "timeout", "source"}], "after": [...]}
    hooks: Mapping[str, tuple[dict[str, Any], ...]] = field(default_factory=lambda: {"before": (), "after": ()})
    # The words of these commands, and of those of runners, that name files in the workspace or may: absolute, no link followed.
    started: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    @cached_property
    def _by_tool(self) -> dict[tuple[str, ...], tuple[Rule, ...]]:
        return {}

    def of(self, decision: str, tool: str, rule_names: tuple[str, ...]) -> tuple[Rule, ...]:
        """The rules of one decision that are about a tool, in the order of the files."""
        key = (decision, tool, *rule_names)
        found = self._by_tool.get(key)
        if found is None:
            found = tuple(rule for rule in self.rules if rule.decision == decision and rule.names(tool, rule_names))
            self._by_tool[key] = found
        return found

    def mode_in_force(self, asked: str) -> tuple[str, str | None]:
        """(the mode that holds where a call or its run asks for one; the settings file that sets it, None where none does). Bypass holds only
        where no file says otherwise."""
        if asked == "bypass" and self.without_bypass:
            asked = "default"
        if asked != "default" or self.mode is None:
            return asked, None
        return self.mode, self.mode_source

    def reading(self, decision: str) -> tuple[Rule, ...]:
        return self.of(decision, "read_file", ("Read",))

    def editing(self, decision: str) -> tuple[Rule, ...]:
        return self.of(decision, "edit_file", ("Edit", "Write"))

    def fetching(self, decision: str) -> tuple[Rule, ...]:
        return self.of(decision, "web_fetch", ("WebFetch",))

    def may_read(self, path: str | Path, workspace: Path) -> bool:
        """Whether a tool that looks through folders may show a file: not where a rule or a default stands against it."""
        from .files import judged

        return judged("read", str(path), workspace, self).decision == "allow"

    def may_fetch(self, host: str) -> bool:
        """Whether no rule denies or asks about a host; for what an address redirects to."""
        return not any(rule.matches_host(host.lower()) for name in ("deny", "ask") for rule in self.fetching(name))

    def opened(self) -> tuple[Path, ...]:
        """Folders and files that rules opened for writing: what a program that is held in may write besides the workspace."""
        named = [rule.pattern.begins for rule in self.rules if rule.decision == "allow" and rule.tool in FILES and rule.pattern]
        edited = [
            rule
            for rule in self.editing("allow")
            if rule.pattern is not None and rule.pattern.begins in named
            if rule.pattern.begins
        ]
        found = [*self.directories, *(str(rule.pattern.begins) for rule in edited if rule.pattern)]
        return tuple(Path(text) for text in dict.fromkeys(found) if text != "/")

    def protected(self, workspace: Path) -> tuple[Path, ...]:
        """What a program that is held in must not write although it lies in what it may: settings, the plane, what rules deny or ask about."""
        named = [workspace / name for name in (".kaizen", ".claude", "AI/db")]
        named += [
            Path(rule.pattern.begins)
            for name in ("deny", "ask")
            for rule in self.editing(name)
            if rule.pattern and rule.pattern.begins
        ]
        return tuple(path for path in dict.fromkeys(named) if path.exists())

    def programs(self) -> tuple[str, ...]:
        """The files that hooks and runners are made of, as far as the settings name them: as they are named, and where links lead to by now.
        Folders are none: what is given one need not run what lies in it."""
        files = [named for named in self.started if not os.path.isdir(named)]  # noqa: PTH112 - as below
        return tuple(dict.fromkeys(path for named in files for path in (named, os.path.realpath(named))))

    def hidden(self, home: Path | None = None) -> tuple[Path, ...]:
        """What a program that is held in must not see: where keys lie, and what rules deny to read."""
        from .files import KEY_FOLDERS

        at_home = [(home or Path.home()) / name for name in KEY_FOLDERS]
        denied = [Path(rule.pattern.begins) for rule in self.reading("deny") if rule.pattern and rule.pattern.begins]
        return tuple(path for path in dict.fromkeys([*at_home, *denied]) if path.exists())

    def record(self) -> list[dict[str, Any]]:
        """Every rule with where it stands, and why, where the plane knows."""
        return [
            {"decision": rule.decision, "rule": rule.text, "source": rule.source, "reason": rule.reason} for rule in self.rules
        ]


_cache: dict[Any, tuple[Any, Policy]] = {}
MOST_CACHED = 64


def load(workspace: Path, store: Store | None = None) -> Policy:
    """The rules in force. Raises DENIED_SETTINGS_INVALID and DENIED_PERMISSION_RULE_INVALID; nothing is skipped.

    The plane may stay open: whoever calls releases it."""
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - without a home it stays a text
    files = _files(workspace, home)
    stamps = tuple(_stamp(path) for path, _, _ in files)
    planned = _of_plane(store)
    key = (str(workspace), str(home))
    said = (stamps, [(row["id"], row["decision"], row["rule"], row["reason"]) for row in planned])
    cached = _cache.get(key)
    if cached is not None and cached[0] == said:
        return cached[1]
    policy = _merged(files, planned, workspace, home)
    if len(_cache) >= MOST_CACHED:
        _cache.clear()
    _cache[key] = (said, policy)
    return policy


@lru_cache(maxsize=MOST_CACHED)
def _files(workspace: Path, home: Path) -> tuple[tuple[Path, str, Path], ...]:
    """(file, the name by which it is shown, the project that its rules start from)."""
    found = []
    for folder in (".kaizen", ".claude"):
        found.append((home / folder / NAMES[0], f"~/{folder}/{NAMES[0]}", home))
        for name in NAMES:
            path = workspace / folder / name
            if path != home / folder / NAMES[0]:
                found.append((path, f"{folder}/{name}", workspace))
    return tuple(found)


def _stamp(path: Path) -> tuple[int, int, int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - the quick one
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def _of_plane(store: Store | None) -> list[dict[str, Any]]:
    """The plane's own rules, as they stand now."""
    if store is None or not (store.is_open or store.plane.database.exists()):
        return []
    return store.remembered(
        "permission_rule", {"status": "active"}, order="created_seq", columns=("id", "decision", "rule", "reason")
    )


def _merged(files: Sequence[tuple[Path, str, Path]], planned: list[dict[str, Any]], workspace: Path, home: Path) -> Policy:
    rules: list[Rule] = []
    directories: list[str] = []
    hooks: dict[str, list[dict[str, Any]]] = {"before": [], "after": []}
    mode: str | None = None
    mode_source: str | None = None
    without_bypass = False
    sources: list[str] = []
    commands: list[Sequence[str]] = []
    for path, shown, project in files:
        said = _read(path, shown)
        if said is None:
            continue
        sources.append(shown)
        ours = ".kaizen" in path.parent.name
        permissions = _of(said, "permissions", dict, shown) or {}
        if ours:
            _refuse_unknown(said, TOP, shown)
            _refuse_unknown(permissions, _PERMISSIONS, shown)
            for event, entry in _hooks(said, shown):
                hooks[event].append(entry)
                commands.append(entry["command"])
            commands += _of_runners(said)
        for decision in DECISIONS:
            for text in _texts(permissions, decision, shown):
                # A pattern that begins nowhere in particular starts in the workspace, also where the user's file says it.
                start = project if text.partition("(")[2].startswith("/") else workspace
                rules.append(parse(decision, text, shown, project=start, home=home))
        for text in _texts(permissions, "additionalDirectories", shown):
            directories.append(os.path.realpath(os.path.join(workspace, os.path.expanduser(text))))  # noqa: PTH111, PTH118
        without = _of(permissions, "disableBypassPermissionsMode", str, shown)
        if without not in (None, "disable"):
            raise _invalid(shown, "disableBypassPermissionsMode is not disable")
        without_bypass = without_bypass or without is not None
        named = _of(permissions, "defaultMode", str, shown)
        if named is not None:
            if named not in MODES:
                raise _invalid(shown, f"defaultMode is none of {', '.join(MODES)}")
            mode, mode_source = MODES[named], shown
    for row in planned:
        rule = parse(row["decision"], row["rule"], f"the plane ({row['id']})", project=workspace, home=home)
        rules.append(replace(rule, reason=row["reason"]))
    return Policy(
        rules=tuple(rules),
        directories=tuple(dict.fromkeys(directories)),
        mode=mode,
        mode_source=mode_source,
        without_bypass=without_bypass,
        hooks={event: tuple(entries) for event, entries in hooks.items()},
        sources=tuple(sources),
        started=_started(commands, workspace),
    )


def _of_runners(said: Mapping[str, Any]) -> Iterator[list[str]]:
    """The commands of runners, as far as they are some: whoever starts a runner refuses others."""
    runners = said.get("runners")
    for entry in runners.values() if isinstance(runners, dict) else ():
        command = entry.get("command") if isinstance(entry, dict) else None
        if isinstance(command, list):
            yield [word for word in command if isinstance(word, str)]


_BETWEEN = re.compile(r"""[\s;|&()<>'"`=,:]+""")


def _started(commands: Iterable[Sequence[str]], workspace: Path) -> tuple[str, ...]:
    """Every word of some commands, and every part of one that a shell would take apart, as a file in the workspace, where it is one or could
    be. They are started there. A program without a folder is looked for elsewhere; of `-m NAME` it is the module."""
    found: dict[str, None] = {}
    root = os.path.realpath(workspace)
    for command in commands:
        for at, word in enumerate(command):
            names = {word, *_BETWEEN.split(word)} - {""}
            if at == 0:
                names = {name for name in names if "/" in name or os.sep in name}
            elif command[at - 1] == "-m":
                module = word.replace(".", "/")
                names |= {f"{module}.py", f"{module}/__init__.py", f"{module}/__main__.py"}
            for name in sorted(names):
                if "\0" not in name and not name.startswith("-"):
                    path = os.path.normpath(os.path.join(root, os.path.expanduser(name)))  # noqa: PTH111, PTH118
                    if path != root:
                        found[path] = None
    return tuple(found)


def _read(path: Path, shown: str) -> dict[str, Any] | None:
    """The object in a settings file; None where there is no file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as fault:
        raise _invalid(shown, getattr(fault, "strerror", None) or "it is no UTF-8 text") from None
    if not text.strip():
        return {}
    try:
        said = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as fault:
        raise _invalid(shown, f"it is no JSON: {fault}") from None
    if not isinstance(said, dict):
        raise _invalid(shown, "it holds no object")
    return said


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    said = dict(pairs)
    if len(said) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return said


def _of(said: Mapping[str, Any], name: str, kind: type, shown: str) -> Any:
    value = said.get(name)
    if value is not None and not isinstance(value, kind):
        raise _invalid(shown, f"{name} is no {'text' if kind is str else 'object' if kind is dict else 'list'}")
    return value


def _texts(permissions: Mapping[str, Any], name: str, shown: str) -> list[str]:
    values = _of(permissions, name, list, shown) or []
    if not all(isinstance(value, str) for value in values):
        raise _invalid(shown, f"permissions.{name} is no list of texts")
    return values


def _refuse_unknown(said: Mapping[str, Any], known: frozenset[str], shown: str) -> None:
    unknown = [name for name in said if name not in known]
    if unknown:
        raise _invalid(shown, f"it knows no {unknown[0]!r}; it takes {', '.join(sorted(known))}")


def _hooks(said: Mapping[str, Any], shown: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(event, {"tools", "command", "timeout", "source"}) of every hook in a file."""
    hooks = _of(said, "hooks", dict, shown) or {}
    _refuse_unknown(hooks, frozenset(EVENTS), shown)
    for event in EVENTS:
        for entry in _of(hooks, event, list, shown) or []:
            command = entry.get("command") if isinstance(entry, dict) else None
            if not isinstance(command, list) or not command or not all(isinstance(word, str) and word for word in command):
                raise _invalid(shown, f"a hook of {event} has no command: a list of texts")
            _refuse_unknown(entry, frozenset({"tools", "command", "timeout"}), shown)
            tools, timeout = entry.get("tools"), entry.get("timeout", TIMEOUT)
            if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= 3600:
                raise _invalid(shown, "the timeout of a hook is no number of seconds up to 3600")
            try:
                re.compile(tools or "")
            except (re.error, TypeError):
                raise _invalid(shown, "the tools of a hook are no regular expression") from None
            yield event, {"tools": tools, "command": list(command), "timeout": float(timeout), "source": shown}


def _invalid(shown: str, reason: str) -> denial.SettingsInvalid:
    return denial.SettingsInvalid(message=f"{shown} cannot be used: {reason}.", path=shown, reason=reason)
