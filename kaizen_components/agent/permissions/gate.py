"""Gate: what is allowed, asked about and denied of a call, and by which rule. It never raises, whatever text it is given."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...fields import shorten
from ..tool import Access, Context, Tool, ToolError
from . import Judgement, danger, files, hosts, line, shell
from .rules import Rule
from .settings import Policy

ALLOW, ASK, DENY = "allow", "ask", "deny"
_ORDER = (ALLOW, ASK, DENY)


@dataclass(frozen=True, slots=True)
class _Part:
    """What is said of one part of a call; the whole is what the strictest part is."""

    decision: str
    rule: str
    reason: str
    # What it is about may be decided by the mode: an edit in the workspace.
    edit: bool = False
    # A rule says it, not what holds the command in.
    named: bool = False


def authorize(tool: Tool, given: Any, context: Context, policy: Policy) -> Judgement:
    """What the gate says of a call. What it cannot judge for a defect or a strange text is denied."""
    try:
        return _in_mode(_judged(tool, given, context, policy), tool, context, policy)
    except ToolError as fault:
        return Judgement(
            DENY,
            "default: what cannot be judged",
            fault.message,
            "high",
            {"accesses": [], "error": fault.kind},
            error_kind=fault.kind,
            metadata=fault.metadata,
        )
    except Exception as fault:
        return Judgement(
            DENY, "default: what cannot be judged", f"The call cannot be judged: {type(fault).__name__}: {fault}", "high"
        )


def _in_mode(judgement: Judgement, tool: Tool, context: Context, policy: Policy) -> Judgement:
    """What the mode makes of a judgement."""
    mode, source = policy.mode_in_force(context.mode)
    source = context.mode_source or source

    def denied(reason: str) -> Judgement:
        if source is None:
            return replace(judgement, decision=DENY, rule=f"mode {mode}", reason=reason)
        metadata = {**judgement.metadata, "mode_source": source}
        reason = f"{reason} {source} sets this mode."
        return replace(judgement, decision=DENY, rule=f"mode {mode}", reason=reason, metadata=metadata)

    if mode == "deny-all":
        return denied("In this mode no tool is called.")
    if judgement.decision == DENY:
        return judgement
    if mode == "plan" and (why := _not_only_reading(judgement, tool, context)) is not None:
        return denied(f"In plan mode only what reads is called: {why}.")
    if judgement.decision == ASK and mode == "bypass":
        return replace(judgement, decision=ALLOW, rule=f"mode bypass ({judgement.rule})")
    if judgement.decision == ASK and mode == "accept-edits" and judgement.parsed.get("edit"):
        return replace(judgement, decision=ALLOW, rule=f"mode accept-edits ({judgement.rule})")
    return judgement


def _not_only_reading(judgement: Judgement, tool: Tool, context: Context) -> str | None:
    """Why a call does more than read; None where it does not."""
    if _is_shell(tool):
        if context.mode != "plan" or _means(context) is None:
            return "nothing keeps the command from writing"
        if judgement.parsed.get("unjudged"):
            return str(judgement.parsed["unjudged"][0])
        if judgement.danger != "safe":
            return f"the command is {judgement.danger}, not safe"
        return None
    if not tool.reads_only:
        return f"{tool.name} does more"
    return next(
        (
            f"it would {access['way']} {access['what']}"
            for access in judgement.parsed["accesses"]
            if access["way"] in ("write", "run")
        ),
        None,
    )


def _is_shell(tool: Tool) -> bool:
    return "Bash" in tool.rule_names


def _means(context: Context) -> str | None:
    """The name of what holds commands in; None where nothing does."""
    held = context.confinement
    return held.name if held is not None and held.name != "unconfined" and held.holds.get("writable", True) else None


def _judged(tool: Tool, given: Any, context: Context, policy: Policy) -> Judgement:
    if _is_shell(tool):
        return _command(tool, given, context, policy)
    accesses = list(tool.accesses(given, context))
    parts = [part for access in accesses for part in _of_access(access, tool, given, context, policy)]
    if not any(access.way in ("read", "write", "fetch") for access in accesses):
        parts.append(_of_tool(tool, given, accesses, context, policy))
    decided = _strictest(parts)
    opened = _opened(accesses, tool, context, policy) if decided.decision != DENY else ()
    return Judgement(
        decided.decision,
        decided.rule,
        decided.reason,
        tool.danger(given, context),
        {"accesses": [{"way": access.way, "what": access.what} for access in accesses], "edit": decided.edit},
        writable=opened,
        hosts=_hosts(accesses, policy),
        bound=_bound(parts, tool.danger(given, context), [(access.way, access.what) for access in accesses]),
    )


def _bound(parts: Sequence[_Part], level: str, places: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Judgement.bound: what a leave for a call is a leave for."""
    # A program that asks about itself is another one the next time.
    own = f"/proc/{os.getpid()}/"
    return {
        "danger": level,
        "parts": sorted({(part.decision, part.rule, part.reason) for part in parts if part.decision != ALLOW}),
        "places": sorted({(way, "/proc/self" if what.startswith(own) else what) for way, what in places}),
    }


def _strictest(parts: Sequence[_Part]) -> _Part:
    return max(parts, key=lambda part: (_ORDER.index(part.decision), not part.edit))


# --- files, hosts and what is used ----------------------------------------------------------------


def _of_access(access: Access, tool: Tool, given: Any, context: Context, policy: Policy) -> Iterator[_Part]:
    if access.way in ("read", "write"):
        yield _of_file(access, tool, given, context, policy)
    elif access.way == "fetch":
        yield _of_address(access.what, tool, policy)


def _of_file(access: Access, tool: Tool, given: Any, context: Context, policy: Policy) -> _Part:
    workspace = os.path.realpath(context.workspace)
    path = os.path.realpath(os.path.join(workspace, access.what))  # noqa: PTH118
    general = policy.reading if access.way == "read" else policy.editing

    def rules(decision: str) -> tuple[Rule, ...]:
        own = tuple(
            rule for rule in policy.of(decision, tool.name, tuple(tool.rule_names)) if rule.specifier is None or rule.pattern
        )
        return tuple(dict.fromkeys((*own, *general(decision))))

    verdict = files.decided(
        access.way,
        path,
        context.workspace,
        policy,
        rules(DENY),
        rules(ASK),
        tuple(rule for rule in rules(ALLOW) if access.way == "read" or rule.pattern or _lies_inside(path, workspace, policy)),
        _spoken(given, context),
        str(context.store.plane.folder) if context.store is not None else None,
    )
    mere = (
        access.way == "write"
        and verdict.named
        and _lies_inside(path, workspace, policy)
        and not files.guarded(path, workspace, policy)
    )
    return _Part(verdict.decision, verdict.rule, verdict.reason, edit=mere)


def _lies_inside(path: str, workspace: str, policy: Policy) -> bool:
    return files.lies_in(path, workspace, *policy.directories)


def _spoken(given: Any, context: Context) -> str | None:
    """The path as it was given, absolute, with no link followed."""
    text = getattr(given, "path", None) or getattr(given, "notebook_path", None)
    if not isinstance(text, str):
        return None
    return os.path.normpath(os.path.join(context.cwd, os.path.expanduser(text)))  # noqa: PTH111, PTH118


def _opened(accesses: Sequence[Access], tool: Tool, context: Context, policy: Policy) -> tuple[Path, ...]:
    workspace = os.path.realpath(context.workspace)
    written = [os.path.realpath(access.what) for access in accesses if access.way == "write"]
    return tuple(Path(path) for path in dict.fromkeys(written) if not files.lies_in(path, workspace))


def _of_address(address: str, tool: Tool, policy: Policy) -> _Part:
    host = hosts.host_of(address)
    if host is None:
        return _Part(DENY, "default: addresses that are not clear", f"{shorten(address)} names no host that is clear.")
    for decision in (DENY, ASK, ALLOW):
        for rule in policy.of(decision, tool.name, tuple(tool.rule_names)):
            if rule.matches_host(host) and (decision != ALLOW or hosts.is_public(host) or _names_host(rule, host)):
                return _Part(decision, str(rule), f"{rule.text} covers {host}.")
    if hosts.is_public(host):
        return _Part(ALLOW, "default: public addresses", f"{host} is not known to be anything but public.")
    return _Part(
        DENY, "default: addresses that are not public", f"{host} is not public; it needs an allow rule, WebFetch(domain:{host})."
    )


def _names_host(rule: Rule, host: str) -> bool:
    return rule.specifier is not None and rule.specifier.removeprefix("domain:").lower().strip("[]") == host


def _hosts(accesses: Sequence[Access], policy: Policy) -> tuple[str, ...]:
    """Hosts that rules name outright: those may be anywhere."""
    named = [hosts.host_of(access.what) for access in accesses if access.way == "fetch"]
    allowed = policy.fetching(ALLOW)
    return tuple(dict.fromkeys(host for host in named if host and any(_names_host(rule, host) for rule in allowed)))


def _of_tool(tool: Tool, given: Any, accesses: Sequence[Access], context: Context, policy: Policy) -> _Part:
    """A tool that touches no file and no address of its own: by its name, and by what it uses."""
    subjects = [access.what for access in accesses if access.way == "use"]
    for name in ("subagent_type", "skill"):
        value = getattr(given, name, None)
        if isinstance(value, str):
            subjects += [value, f"{value} {getattr(given, 'args', None) or ''}".strip()]
    for decision in (DENY, ASK, ALLOW):
        for rule in policy.of(decision, tool.name, tuple(tool.rule_names)):
            if rule.specifier is None or any(rule.matches_name(subject) for subject in subjects):
                return _Part(decision, str(rule), f"{rule.text} covers {tool.name}.")
    level = tool.danger(given, context)
    started = [access.what for access in accesses if access.way == "run"]
    if started:
        return _Part(
            ASK, f"default: {tool.name} of danger {level}", f"{tool.name} would run, with nothing to hold it in: {started[0]}"
        )
    if level in ("high", "critical"):
        return _Part(ASK, f"default: {tool.name} of danger {level}", f"{tool.name} would do what nothing holds in.")
    return _Part(ALLOW, f"default: {tool.name}", f"{tool.name} touches nothing outside of the ledger by itself.")


# --- commands -------------------------------------------------------------------------------------


def _command(tool: Tool, given: Any, context: Context, policy: Policy) -> Judgement:
    text = str(given.command)
    cwd = getattr(given, "cwd", None)
    folder = str(context.path(cwd)) if cwd else os.path.realpath(context.cwd)
    home = os.path.realpath(os.path.expanduser("~"))  # noqa: PTH111 - without a home it stays a text
    by_rule: dict[str, bool] = {}

    def opened(path: str) -> bool:
        if path not in by_rule:
            verdict = files.judged("write", path, context.workspace, policy)
            by_rule[path] = verdict.decision == ALLOW and verdict.named
        return by_rule[path]

    where = danger.Where(os.path.realpath(context.workspace), home, policy.directories, opened if policy.editing(ALLOW) else None)
    return _Line(shell.parse(text, folder, home), tool, context, policy, where).judgement()


class _Line:
    """One command line before the gate."""

    def __init__(self, parsed: line.Line, tool: Tool, context: Context, policy: Policy, where: danger.Where) -> None:
        self.line, self.context, self.policy, self.where = parsed, context, policy, where
        self.rules: Callable[[str], tuple[Rule, ...]] = lambda decision: policy.of(decision, tool.name, tuple(tool.rule_names))
        self.means = _means(context)
        # Whether settings and hooks inside of the workspace stay as they are, whatever a command does.
        held = context.confinement
        self.why_nothing_better = held.reason if held is not None else None
        self.holds_all = held is not None and self.means is not None and held.holds.get("protected") is not False
        self.plane = str(context.store.plane.folder) if context.store is not None else None
        self.commands = [(command, danger.effect(command, where)) for command in parsed.commands]
        self.guesses = [(command, danger.effect(command, where)) for command in parsed.guesses]
        self.writable: list[str] = []
        # Files with secrets that the line names: whoever lets it pass lets it read them.
        self.secrets: list[str] = []
        # Every file that the line was seen to read or write.
        self.places: list[tuple[str, str]] = []

    def judgement(self) -> Judgement:
        level, why = danger.of_whole(self.line)
        levels = [level, *(effect.level for _, effect in [*self.commands, *self.guesses]), *self._levels_of_redirects()]
        if self.line.unjudged:
            levels.append("high")
        level = max(levels, key=danger.DANGERS.index)
        parts = list(self._parts(level, why))
        decided = _strictest(parts)
        if decided.decision == ALLOW:
            rules = list(dict.fromkeys(part.rule for part in parts))
            decided = replace(decided, rule="; ".join(rules[:5]))
        network = self.means is not None and decided.decision != DENY and any(effect.network for _, effect in self.commands)
        if network:
            said = "Whoever lets it pass gives it the network." if decided.decision == ASK else "It has the network."
            decided = replace(decided, reason=f"{decided.reason} {said}")
        return Judgement(
            decided.decision,
            decided.rule,
            decided.reason,
            level,
            self._record(),
            writable=tuple(dict.fromkeys([*(Path(path) for path in self.writable), *self.policy.opened()])),
            hosts=(),
            network=network,
            bound=_bound(parts, level, [*self.places, *(("network", "any") for _ in range(network))]),
        )

    def _parts(self, level: str, why: str) -> Iterator[_Part]:
        """What is said of the line, part by part."""
        yield from self._restricted()
        exact = self._exactly(self.line.text.strip())
        if exact is not None:
            yield _Part(ALLOW, str(exact), f"{exact.text} is this line.")
            yield from self._files(only_rules=True)
            return
        if level == "critical":
            found = next(
                (
                    f"{command.text}: {effect.reason}"
                    for command, effect in [*self.commands, *self.guesses]
                    if effect.level == level
                ),
                why,
            )
            yield _Part(DENY, "default: critical commands", f"{shorten(found or 'it writes where the system lies')}.")
        yield from self._files()
        if self.line.unjudged:
            yield _Part(
                ASK, "default: commands that cannot be judged", f"The line cannot be judged: {'; '.join(self.line.unjudged[:3])}."
            )
            return
        if not self.commands and not self.line.redirects:
            yield _Part(ASK if self.means is None else ALLOW, "default: nothing is run", "The line runs nothing.")
        needed = [(command, effect) for command, effect in self.commands if not (effect.neutral and effect.beyond is None)]
        online = next((command for command, effect in self.commands if effect.network), None)
        for command, effect in needed:
            part = self._allowed(command, effect)
            yield part
            if online is not None and part.decision == ALLOW and not part.named and effect.level == "medium":
                reason = f"{shorten(command.text)} would have the network that {shorten(online.text)} is given."
                yield _Part(ASK, "default: commands beside one that has the network", reason)
        if not needed and (self.commands or self.line.redirects):
            yield self._by_default("safe", "The line only goes about the shell itself.")
        if self.means is None and (race := self._moving()) is not None:
            yield race

    def _exactly(self, text: str) -> Rule | None:
        return next((rule for rule in self.rules(ALLOW) if rule.exact and rule.specifier == text), None)

    def _restricted(self) -> Iterator[_Part]:
        """What deny and ask rules say, of every spelling of every command, and of the line as a whole."""
        every = [*self.line.commands, *self.line.guesses]
        for decision in (DENY, ASK):
            for rule in self.rules(decision):
                if rule.matches_command([self.line.text.strip()]):
                    yield _Part(decision, str(rule), f"{rule.text} covers the line.")
                    continue
                for command in every:
                    if not command.words:
                        continue
                    texts = spellings(command)
                    if rule.matches_command(texts):
                        yield _Part(decision, str(rule), f"{rule.text} covers {shorten(command.text)}.")
                        break
                    if (command.appended or any(not word.known for word in command.words)) and any(
                        rule.may_match_command(text + (f" {line.HOLE}" if command.appended else ""), line.HOLE) for text in texts
                    ):
                        yield _Part(
                            ASK,
                            str(rule),
                            f"{rule.text} may cover {shorten(command.text)}: not all of it is known before it runs.",
                        )
                        break
        for command in every:
            if command.name in danger.NETWORK:
                yield from self._addresses(command)

    def _addresses(self, command: line.Command) -> Iterator[_Part]:
        for word in command.arguments:
            host = hosts.host_of(word.text)
            for decision in (DENY, ASK):
                for rule in self.policy.fetching(decision):
                    if host is not None and rule.matches_host(host):
                        yield _Part(decision, str(rule), f"{rule.text} covers {host}.")

    # --- files ----------------------------------------------------------------------------------

    def _levels_of_redirects(self) -> Iterator[str]:
        for redirect in self.line.redirects:
            if redirect.writes:
                for path in danger.opened(redirect, self.where) or ():
                    yield danger.of_write(path, self.where)

    def _files(self, *, only_rules: bool = False) -> Iterator[_Part]:
        """What the rules about files say of what the commands read and write, as far as that can be told."""
        written: list[str] = []
        read: list[str] = []
        for redirect in self.line.redirects:
            paths = danger.opened(redirect, self.where)
            if paths is None:
                if redirect.writes and not only_rules:
                    yield _Part(
                        ASK,
                        "default: writing where cannot be told",
                        f"Where {redirect.target.raw} leads cannot be told before it runs.",
                    )
                continue
            (written if redirect.writes else read).extend(paths)
        for command, effect in [*self.commands, *self.guesses]:
            finds = command.name == "find"
            # Its folder stays what it is also where something holds the records in it.
            within = [path for path in effect.replaced if path != self.where.workspace]
            reached = within if self.holds_all else effect.writes if finds else effect.whole
            around = self._around_the_plane(reached)
            if around is not None:
                # Which files find finds there is another matter.
                yield _Part(
                    ASK if finds else DENY,
                    "default: writing in AI/db",
                    f"{around} holds the data plane; only Kaizen writes there.",
                )
            written += effect.writes
            read += [*effect.reads, *self._mentioned(command)]
        self.places += [*(("write", path) for path in written), *(("read", path) for path in read)]
        for path in dict.fromkeys(written):
            verdict = files.judged("write", path, self.context.workspace, self.policy, None, self.plane)
            if verdict.decision == ALLOW:
                if verdict.named and not files.lies_in(path, self.where.workspace):
                    self.writable.append(path)
                continue
            if not only_rules or verdict.named:
                yield _Part(verdict.decision, verdict.rule, verdict.reason)
            if verdict.decision == ASK:
                # A person who lets the command pass opens what was asked about.
                self.writable.append(path)
        for path in dict.fromkeys(read):
            verdict = files.judged("read", path, self.context.workspace, self.policy)
            if verdict.decision != ALLOW and (verdict.named or verdict.by_content):
                self.secrets.append(path)
            # What lies elsewhere may be read by commands: what they see is a matter of what holds them in.
            if verdict.decision != ALLOW and (verdict.named or (not only_rules and verdict.by_content)):
                yield _Part(verdict.decision, verdict.rule, verdict.reason)

    def _around_the_plane(self, paths: Sequence[str]) -> str | None:
        """The first of some paths that the data plane lies below."""
        own = files.kaizens_own(self.where.workspace, self.plane)
        return next((path for path in paths if any(files.lies_in(folder, path) for folder in own)), None)

    def _mentioned(self, command: line.Command) -> Iterator[str]:
        """Files that the words of a command name, for programs that are given files to read."""
        if command.name in _NAMES_ONLY:
            return
        for word in command.arguments:
            if word.text == "" or len(word.text) > 4_000:
                continue
            known = word.text.replace(line.HOLE, "")
            for text in {known, known.rpartition("=")[2], known.rpartition(":")[2], known.lstrip("@"), known.lstrip("-")[1:]}:
                if text and "/" + text.rsplit("/", 1)[-1] != "/":
                    for folder in command.folders:
                        yield os.path.realpath(os.path.join(folder, text))  # noqa: PTH118
            if word.pattern is not None:
                yield from (os.path.realpath(path) for path in line.places(word, command.folders) or ())

    def _moving(self) -> _Part | None:
        """What is judged by names and by what lies here now may be something else after one command of a line. What holds commands in
        holds that as well."""
        effects = [effect for _, effect in self.commands]
        opened = [
            path for redirect in self.line.redirects if redirect.writes for path in danger.opened(redirect, self.where) or ()
        ]
        writes = any(path not in files.SINKS for path in opened)
        if len(effects) > 1 and any(effect.links for effect in effects):
            makers = [command.text for command, effect in self.commands if effect.links]
            others = any(not effect.links and (effect.writes or effect.level not in ("safe", "low")) for effect in effects)
            moved = any(command.name == "git" and "-C" in [word.text for word in command.words] for command, _ in self.commands)
            if writes or others or moved or len(makers) > 1:
                reason = f"After {shorten(makers[0])} a name may lead elsewhere than it does now."
                return _Part(ASK, "default: names that may lead elsewhere", reason)
        if any(effect.above for effect in effects) and (writes or any(effect.writes for effect in effects)):
            return _Part(ASK, "default: folders that may become repositories", "What the line writes may decide what git runs.")
        return None

    # --- one command ----------------------------------------------------------------------------

    def _allowed(self, command: line.Command, effect: danger.Effect) -> _Part:
        """What allows a command: a rule that is meant to cover it, else what holds it in."""
        shown = shorten(command.text or "an assignment")
        beyond = None
        for rule in self.rules(ALLOW):
            if not command.words or not rule.matches_command(_plainly(command)):
                continue
            if rule.exact and not command.assignments and not command.appended:
                return _Part(ALLOW, str(rule), f"{rule.text} is {shown}.", named=True)
            if effect.beyond is None:
                return _Part(ALLOW, str(rule), f"{rule.text} covers {shown}.", named=True)
            beyond = (rule, effect.beyond)
        part = self._by_default(effect.level, f"{shown}: {effect.reason}.")
        if beyond is not None and part.decision != ALLOW:
            return replace(part, reason=f"{beyond[0].text} does not cover {shown}: {beyond[1]}.")
        return part

    def _by_default(self, level: str, reason: str) -> _Part:
        if self.means is None:
            why = f" Nothing holds it in: {self.why_nothing_better}." if self.why_nothing_better else ""
            return _Part(ASK, "default: commands that nothing holds in", reason + why)
        if level == "medium" and not self.holds_all:
            better = f" ({self.why_nothing_better})" if self.why_nothing_better else ""
            why = f"{reason} {self.means} does not keep it from AI/db, .kaizen, .claude and .git{better}."
            return _Part(ASK, f"default: commands of medium danger, held in by {self.means}", why)
        if level in ("safe", "low", "medium"):
            return _Part(ALLOW, f"default: commands up to medium danger, held in by {self.means}", reason)
        return _Part(ASK, f"default: commands of {level} danger", reason)

    def _record(self) -> dict[str, Any]:
        """What was understood of the line."""
        return {
            "accesses": [{"way": "run", "what": self.line.text}, *({"way": "read", "what": path} for path in self.secrets)],
            "commands": [
                {
                    "text": command.text,
                    "argv": [word.text.replace(line.HOLE, "?") for word in command.words],
                    "danger": effect.level,
                    "reason": effect.reason,
                    **({"writes": effect.writes} if effect.writes else {}),
                    **({"wrappers": list(command.wrappers)} if command.wrappers else {}),
                    **({"beyond": effect.beyond} if effect.beyond else {}),
                }
                for command, effect in (self.commands or self.guesses)
            ],
            "redirects": [
                {"way": "write" if redirect.writes else "read", "what": redirect.target.text.replace(line.HOLE, "?")}
                for redirect in self.line.redirects
            ],
            "unjudged": self.line.unjudged,
        }


# Their words name files without reading them, or are no files.
_NAMES_ONLY = frozenset("echo printf ls stat test [ [[ find seq expr basename dirname realpath mkdir touch cd".split())
_GIT_GLOBAL = re.compile(r"git((?: (?:-[pP]|--[a-z-]+(?:=\S*)?|-[cC] \S+))+)(?= |$)")


def _plainly(command: line.Command) -> list[str]:
    """The spellings by which an allow rule may mean a command: as it is written, and with its quotes resolved where that is clear."""
    words = [
        word.raw if not word.known else shlex.quote(word.text) if _SPLITS.search(word.text) or not word.text else word.text
        for word in command.words
    ]
    found = [" ".join(words)]
    # As it is written, but only where the program is: 'gi't is not what a rule about git names.
    if command.words[0].raw == command.words[0].text and not _SPLITS.search(command.words[0].text):
        found.append(command.text)
    return found


_SPLITS = re.compile(r"[\s'\"\\;|&<>()$`]")


def spellings(command: line.Command) -> list[str]:
    """The spellings by which a rule that restricts may mean a command: also without the folder of its program, and without what git
    takes before its command."""
    words = [word.text for word in command.words]
    short = [command.name, *words[1:]]
    found = [command.text, " ".join(words), " ".join(short)]
    if command.name == "git":
        found.append(_GIT_GLOBAL.sub("git", found[-1]))
    found += [
        " ".join(f"{name}={(value.text if value else '').partition('=')[2]}" for name, value in command.assignments)
        + " "
        + found[1]
    ]
    return list(dict.fromkeys([*found, *(text.rstrip() for text in found)]))
