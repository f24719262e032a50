"""Files: what may be read and written, by the rules, and by default where none of them speaks."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from .rules import Rule
from .settings import Policy


@dataclass(frozen=True, slots=True)
class Verdict:
    """allow, ask or deny; the rule that says so and where it stands; why. `named`: a rule says so, not a default."""

    decision: str
    rule: str
    reason: str
    named: bool = False

    @property
    def by_content(self) -> bool:
        """Whether what the file usually holds is the reason: keys, passwords."""
        return self.rule.startswith(_HOLDS_SECRETS)


_HOLDS_SECRETS = "default: files with "
# What holds keys, by the name of a folder or file anywhere in a path. The pattern is matched against a path in lower case that begins with /.
KEY_FOLDERS = (
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".kube",
    ".config/gcloud",
    ".config/gh",
    ".docker/config.json",
    ".git-credentials",
    ".netrc",
)
_KEYS = re.compile(
    r"/(?:\.ssh|\.gnupg|\.aws|\.azure|\.kube)(?:/|$)(?!known_hosts$|config$)"
    r"|/\.config/(?:gcloud|gh|op)(?:/|$)|/\.docker/config\.json$"
    r"|/(?:\.netrc|_netrc|\.pgpass|\.pypirc|\.git-credentials|\.my\.cnf|\.htpasswd)$"
    r"|/id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?(?:[._-](?!pub$)[^/]*)?$"
    r"|/[^/]+\.(?:pem|p12|pfx|kdbx|jks|keystore|ppk)$|/[^/]*[^/.]\.key$"
    r"|^/etc/(?:shadow|gshadow|sudoers|ssl/private|ssh/ssh_host_[^/]*_key)(?:[-./]|$)|^/proc/[^/]+/(?:environ|mem|task/.*/environ)$|^/dev/(?:mem|kmem|sd|nvme|vd|hd)"
)
_SECRETS = re.compile(
    r"/\.env(?:rc|\.(?!(?:example|sample|template|dist)$)[^/]*)?$|/(?:credentials|secrets?)(?:\.(?:json|ya?ml|toml))?$"
    r"|/(?:\.npmrc|\.dockercfg|\.vault-token|service-account\.json)$"
)
# What a name has to begin or end with so that one of these can fit it: a quick look, for whoever looks at many.
_BEGIN = (".", "_netrc", "id_", "credentials", "secret", "service-account", "config.json")
_END = (".pem", ".p12", ".pfx", ".kdbx", ".jks", ".keystore", ".ppk", ".key")
_GUARDED = re.compile(r"(?:^|/)(\.git|\.kaizen|\.claude)(?:/|$)")
# System files that anybody may read, and that nobody is meant to write.
READABLE = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/opt", "/etc", "/System", "/Library")
SYSTEM = (*READABLE, "/boot", "/dev", "/proc", "/sys", "/var/lib", "/var/log", "/var/spool", "/run")
# Devices that keep nothing.
SINKS = frozenset({"/dev/null", "/dev/stdout", "/dev/stderr", "/dev/tty", "/dev/zero", "/dev/full"})


@lru_cache(maxsize=1)
def _interpreters() -> tuple[str, ...]:
    return tuple({os.path.realpath(sys.prefix), os.path.realpath(sys.base_prefix)} - {"/"})


@lru_cache(maxsize=64)
def _real(folder: str) -> str:
    return os.path.realpath(folder)


def lies_in(path: str, *folders: str) -> bool:
    """Whether a path is one of some folders, or in one."""
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)


def sensitive(path: Path | str) -> bool:
    """Whether a file is one that usually holds keys or passwords, by its name and folders. Case does not matter."""
    text = str(path).lower()
    return _KEYS.search(text) is not None or _SECRETS.search(text) is not None


def may_be_sensitive(folder: str, name: str) -> bool:
    """Whether a file of this name is sensitive, wherever the folder with this name lies. What lies in a folder of keys is not asked about."""
    lowered = name.lower()
    return lowered.startswith(_BEGIN) | lowered.endswith(_END) and sensitive(f"/{folder}/{lowered}")


def judged(way: str, path: str, workspace: Path, policy: Policy, spoken: str | None = None, plane: str | None = None) -> Verdict:
    """What the rules and the defaults say of reading or writing a file. `path` is absolute with links followed; `spoken` is the path as it
    was given, against which rules that restrict are held as well; `plane` is the folder of the data plane."""
    restricting, opening = (policy.reading, policy.reading) if way == "read" else (policy.editing, policy.editing)
    return decided(way, path, workspace, policy, restricting("deny"), restricting("ask"), opening("allow"), spoken, plane)


def decided(
    way: str,
    path: str,
    workspace: Path,
    policy: Policy,
    deny: tuple[Rule, ...],
    ask: tuple[Rule, ...],
    allow: tuple[Rule, ...],
    spoken: str | None = None,
    plane: str | None = None,
) -> Verdict:
    """As judged(), with the rules of a certain tool."""
    spellings = (path,) if spoken in (None, path) else (path, spoken)
    for rules in (deny, ask):
        for rule in rules:
            if any(rule.matches_path(str(text)) for text in spellings):
                return Verdict(rule.decision, str(rule), f"{rule.text} covers {path}.", True)
    fixed = _by_default(way, path, spellings, workspace, policy, plane)
    for rule in allow:
        if rule.matches_path(path) and (not fixed.guarded or _says_so(rule, fixed.guarded)):
            if fixed.final:
                break
            return Verdict("allow", str(rule), f"{rule.text} covers {path}.", True)
    return Verdict(fixed.decision, f"default: {fixed.what}", fixed.reason)


def kaizens_own(root: str, plane: str | None) -> list[str]:
    """Where only Kaizen writes: the data plane, and the registry of what runs in the background."""
    planes = [os.path.join(root, "AI", "db"), *([_real(plane)] if plane else ())]  # noqa: PTH118
    return [*planes, *(os.path.join(os.path.dirname(folder), "work", "processes") for folder in planes)]  # noqa: PTH118, PTH120


def guarded(path: str, workspace: str, policy: Policy | None = None) -> bool:
    """Whether a file decides what programs do here, or holds secrets."""
    within = path.removeprefix(workspace).lower()
    return _GUARDED.search(within) is not None or sensitive(within) or (policy is not None and _is_started((path,), policy))


def _is_started(spellings: tuple[str | None, ...], policy: Policy) -> bool:
    """Whether one of the spellings of a path is a file that hooks or runners are made of. Case does not matter."""
    if not policy.started:
        return False
    programs = {path.casefold() for path in policy.programs()}
    return any(str(text).casefold() in programs for text in spellings)


@dataclass(frozen=True, slots=True)
class _Default:
    decision: str
    what: str
    reason: str
    # What a rule has to name to say otherwise; a broad one is not enough.
    guarded: str | None = None
    final: bool = False


def _says_so(rule: Rule, guarded: str) -> bool:
    """Whether a rule means what is guarded, and not only everything around it."""
    if rule.specifier is None:
        return False
    text = rule.specifier.lower()
    return guarded in text or not any(char in text for char in "*?[")


def _by_default(
    way: str, path: str, spellings: tuple[str | None, ...], workspace: Path, policy: Policy, plane: str | None
) -> _Default:
    root = _real(str(workspace))
    inside = lies_in(path, root, *policy.directories)
    lowered = [str(text).lower() for text in spellings]
    for text in lowered:
        if path not in SINKS and (match := _KEYS.search(text)):
            return _Default(
                "deny", "files with keys", f"{path} may hold keys; allow it by a rule that names it.", _word(match[0])
            )
        if match := _SECRETS.search(text):
            return _Default("ask", "files with secrets", f"{path} may hold secrets.", _word(match[0]))
    if path in SINKS:
        return _Default("allow", f"{way} of a device that keeps nothing", f"{path} keeps nothing.")
    if way == "read":
        if inside:
            return _Default("allow", "reading in the workspace", f"{path} lies in the workspace.")
        if lies_in(path, *READABLE, *_interpreters()):
            return _Default("allow", "reading system files", f"{path} is a file of the system.")
        return _Default("ask", "reading outside of the workspace", f"{path} lies outside of the workspace.")
    own = kaizens_own(root, plane)
    if any(lies_in(text, *(folder.lower() for folder in own)) for text in lowered) or lies_in(path, *own):
        return _Default("deny", "writing in AI/db", f"{path} belongs to the data plane; only Kaizen writes there.", final=True)
    if not inside:
        if lies_in(path, *SYSTEM):
            return _Default(
                "deny", "writing system files", f"{path} is a file of the system; it needs an allow rule, Edit(/{path})."
            )
        return _Default(
            "deny",
            "writing outside of the workspace",
            f"{path} lies outside of the workspace; it needs an allow rule, Edit(/{path}).",
        )
    base = next(folder for folder in (root, *policy.directories) if lies_in(path, folder))
    if match := _GUARDED.search(path[len(base) :].lower()):
        return _Default("ask", f"writing in {match[1]}", f"{path} decides what programs do here.", match[1])
    if _is_started((path, *spellings), policy):
        name = os.path.basename(path).lower()  # noqa: PTH119
        return _Default(
            "ask", "writing what hooks and runners run", f"{path} is run by a hook or a runner of the settings.", name
        )
    return _Default("allow", "writing in the workspace", f"{path} lies in the workspace.")


def _word(found: str) -> str:
    """The part of a path that a rule has to name: .ssh, .env, .pem."""
    parts = [part for part in found.split("/") if part]
    last = parts[0] if parts else found
    return (
        "." + last.rsplit(".", 1)[1]
        if last.count(".") and not last.startswith(".")
        else last[:4]
        if last.startswith(".env")
        else last
    )
