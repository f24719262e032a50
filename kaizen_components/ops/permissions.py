"""Permissions: what would be said of a call, and the rules of this plane."""

import shlex
from typing import Annotated, ClassVar

from .. import denial
from ..agent.records import AgentRunRef, Decision, Mode, PermissionRule
from ..fields import JsonObject, RawText, RepoPath, Vocabulary, parse_json
from ..op import Result, op
from ..record import Field, Input
from ..store import Row, Store
from . import lifecycle

ACTIONS = ("list", "add", "remove")


class CallToExplain(Input):
    """A call that is not made."""

    scanned: ClassVar[bool] = False

    tool: RawText = Field(description="The tool's name")
    payload_json: JsonObject | None = Field(None, file=True, file_wins=True, description="JSON object with its arguments")
    mode: Mode | None = Field(None, description="Permission mode; default: the run's, or default")
    run_id: AgentRunRef | None = Field(None, description="The run that it would belong to")
    cwd: RepoPath | None = Field(None, description="Folder that relative paths start at; default: the project's")


@op(
    "N3",
    "permission-explain",
    keywords="permission gate allow ask deny rule why danger dry run judge command",
    example='--tool bash_command --payload-json \'{"command": "git log; id"}\'',
)
def permission_explain(wanted: CallToExplain, store: Store) -> Result:
    """Show what would be said of a call: decision, rule, reason, danger and what was understood of it. Nothing is run or recorded."""
    from .tools import session_of

    session = session_of(store, wanted.run_id, None, wanted.mode, wanted.cwd)
    arguments = parse_json(wanted.payload_json, "payload_json") if wanted.payload_json else {}
    said = session.explain(wanted.tool, arguments)
    result = Result(**said)
    result.view = lambda width: _explained(result)
    return result


def _explained(said: Result) -> str:
    """The judgement for a person."""
    by = f" (by {said['mode_source']})" if said["mode_source"] else ""
    lines = [f"{said['decision']}  {said['rule']}", said["reason"], f"danger: {said['danger']}, mode: {said['mode']}{by}"]
    if said["confinement"]:
        why = f" ({said['confinement_reason']})" if said["confinement_reason"] else ""
        lines.append(f"held in by: {'nothing' if said['confinement'] == 'unconfined' else said['confinement']}{why}")
        lines.append(f"network: {'yes' if said['network'] else 'no'}")
    lines += [
        f"  {command['danger']:<9} {command['text']}  ({command['reason']})" for command in said["parsed"].get("commands", ())
    ]
    lines += [f"  asked before it: hook {name}" for name in said["hooks"]]
    lines += [f"  cannot be judged: {reason}" for reason in said["parsed"].get("unjudged", ())]
    return "\n".join(lines)


class RuleChange(Input):
    """What to do with which rule."""

    action: Annotated[str, Vocabulary(*ACTIONS)] = Field("list", description="list, add or remove")
    decision: Decision | None = Field(None, description="allow, ask or deny")
    rule: RawText | None = Field(None, description='Tool, or Tool(specifier): "Bash(git *)", "Edit(src/**)"')
    reason: RawText | None = Field(None, description="Why")


@op(
    "N4",
    "permission-rules",
    writes=True,
    keywords="permission rules allow ask deny settings list add remove policy",
    example='--action add --decision allow --rule "Bash(git status)" --reason "It only reads."',
)
def permission_rules(wanted: RuleChange, store: Store) -> Result:
    """List the rules in force with where each stands, or add one to this plane or remove it.

    Deny beats ask beats allow, whatever the order. Rules of settings files are changed in those files.
    """
    if wanted.action == "list":
        return _listed(wanted, store)
    missing = [
        name for name in ("decision", "rule") if getattr(wanted, name) is None and (wanted.action, name) != ("remove", "decision")
    ]
    if missing:
        raise denial.SchemaRequired(f"Pass --{' and --'.join(missing)}.", field=missing[0], fields=missing)
    return _added(wanted, store) if wanted.action == "add" else _removed(wanted, store)


def _listed(wanted: RuleChange, store: Store) -> Result:
    from ..agent.permissions import settings

    policy = settings.load(store.plane.root.resolve(), store)
    rules = [
        rule for rule in policy.record() if wanted.decision in (None, rule["decision"]) and wanted.rule in (None, rule["rule"])
    ]
    rules.sort(key=lambda rule: settings.DECISIONS.index(rule["decision"]))
    result = Result(
        rules=rules,
        count=len(rules),
        sources=list(policy.sources),
        default_mode=policy.mode,
        directories=list(policy.directories),
        hooks=[
            {"event": event, "tools": entry["tools"], "command": entry["command"], "source": entry["source"]}
            for event, entries in policy.hooks.items()
            for entry in entries
        ],
    )
    narrowed = wanted.rule is not None or wanted.decision is not None
    result.view = lambda width: _page(result, width, "No such rule; --action add makes one." if narrowed else "No rules.")
    return result


def _page(listed: Result, width: int, none: str) -> str:
    """The rules for a person, and what else the settings say; where a rule stands goes below what leaves no room for it."""
    lines = []
    wide = min(max((len(rule["rule"]) for rule in listed["rules"]), default=0), 40)
    for rule in listed["rules"]:
        line, source = f"{rule['decision']:<5}  {rule['rule']:<{wide}}", rule["source"]
        lines += [f"{line}  {source}"] if len(line) + 2 + len(source) <= width else [line.rstrip(), f"         {source}"]
        lines += [f"         {rule['reason']}"] if rule["reason"] else []
    lines = lines or [none]
    if listed["default_mode"] not in (None, "default"):
        lines.append(f"default mode: {listed['default_mode']}")
    lines += [f"further folder: {folder}" for folder in listed["directories"]]
    lines += [
        f"hook {hook['event']} {hook['tools'] or 'every tool'}: {shlex.join(hook['command'])}  {hook['source']}"
        for hook in listed["hooks"]
    ]
    return "\n".join(lines)


def _added(wanted: RuleChange, store: Store) -> Result:
    from pathlib import Path

    from ..agent.permissions.rules import parse

    decision, rule = str(wanted.decision), str(wanted.rule).strip()
    parse(decision, rule, "--rule", project=store.plane.root, home=Path("/"))
    known = _rows(store, rule, decision)
    if known:
        return lifecycle.written(known[0], already=True, decision=decision, rule=rule)
    row = store.add(PermissionRule(decision=decision, rule=rule, reason=wanted.reason, status="active"))
    return lifecycle.written(row, decision=decision, rule=rule)


def _removed(wanted: RuleChange, store: Store) -> Result:
    rule = str(wanted.rule).strip()
    known = _rows(store, rule, wanted.decision)
    if not known:
        raise denial.PermissionRuleUnknown(rule=rule, decision=wanted.decision)
    changes = {"status": "retired", "retired_reason": wanted.reason or "removed"}
    rows = [store.revise("permission_rule", row["id"], changes, action="retire") for row in known]
    return lifecycle.written(
        rows[0], removed=[{"id": row["id"], "decision": row["decision"], "rule": row["rule"]} for row in rows]
    )


def _rows(store: Store, rule: str, decision: str | None) -> list[Row]:
    """The plane's own rules of this text that are in force."""
    where = {"rule": rule, "status": "active", **({"decision": decision} if decision else {})}
    return store.list("permission_rule", where)
