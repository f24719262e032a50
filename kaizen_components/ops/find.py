"""Find: operations looked up by what one wants to do, and the shell's completion of them."""

import re

from ..fields import RawText, Vocabulary
from ..op import Result, load_all, op
from ..record import Field, Input
from . import OpEntry
from .lifecycle import Annotated

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Intent(Input):
    """What one wants to do, in words."""

    scanned = False
    query: RawText | None = Field(None, description="Words for what you want to do; none lists every operation")
    limit: int | None = Field(None, description="At most so many; 0 is the default of 5, negative is no limit")


@op(
    "K0",
    "op-find",
    needs_plane=False,
    keywords="help which command lookup discover operations codes",
    example='--query "record a pitfall"',
)
def op_find(intent: Intent) -> Result:
    """Look up operations by intent; needs no data plane."""
    from . import _index

    if not intent.query:
        in_order = sorted(_index.OPS.items(), key=lambda item: (item[0].rstrip("0123456789"), int(item[0].lstrip(_LETTERS))))
        records = [_described(code, entry) for code, entry in in_order]
        return Result(count=len(records), records=records)
    words = [_stem(word) for word in re.findall(r"\w+", intent.query.lower())]
    scored = [(score(words, entry), code, entry) for code, entry in _index.OPS.items()]
    found = sorted((item for item in scored if item[0]), key=lambda item: -item[0])
    limit = intent.limit or 5
    records = [{**_described(code, entry), "score": points} for points, code, entry in (found if limit < 0 else found[:limit])]
    result = Result(count=len(records), records=records, query=intent.query)
    if not records:
        result["required_action"] = "Try other words, or run K0 without --query to list every operation."
    return result


def _described(code: str, entry: OpEntry) -> dict[str, str]:
    example = f"python kaizen.py {code} {entry.example}".strip()
    return {"code": code, "alias": entry.aliases[0], "purpose": entry.purpose, "example": example}


def _stem(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def score(words: list[str], entry: OpEntry) -> int:
    """2 for each word that occurs as a word in aliases, purpose or keywords, 1 for one that occurs inside another."""
    text = " ".join([*entry.aliases, entry.purpose, entry.keywords]).lower()
    whole = {_stem(word) for word in re.findall(r"[^\W_]+", text)}
    return sum(2 if word in whole else 1 if word in text else 0 for word in words)


class Shell(Input):
    """Which shell."""

    scanned = False
    shell: Annotated[str, Vocabulary("bash", "zsh", "fish")] = Field("bash", description="The shell to complete in")


@op("K20", "completion", needs_plane=False, keywords="shell bash zsh fish complete tab", example="--shell bash")
def completion(wanted: Shell) -> Result:
    """Print a completion script: source it, or put it where your shell looks for completions."""
    from . import _index

    flags: dict[str, list[str]] = {}
    words: dict[str, str] = {}
    for code, operation in load_all().items():
        own = [spec for spec in operation.input.specs if spec.flagged] if operation.input else []
        names = [spec.flag for spec in own] + [f"{spec.flag}-file" for spec in own if spec.file]
        names += ["--test", "--key", "--agent"] if operation.writes else []
        flags[code] = [*names, "--json", "--help"]
        for name in (code, *operation.aliases):
            words[name] = _index.OPS[code].purpose.split(". ")[0].rstrip(".")
    return Result(shell=wanted.shell, view=SCRIPTS[wanted.shell](flags, words))


def _names(code: str) -> list[str]:
    from . import _index

    return [code, code.lower(), *_index.OPS[code].aliases]


def _bash(flags: dict[str, list[str]], words: dict[str, str]) -> str:
    cases = "\n".join(f"    {'|'.join(_names(code))}) flags='{' '.join(own)}' ;;" for code, own in flags.items())
    return f"""# bash completion for kaizen; for kaizen.py alias it: alias kaizen='python kaizen.py'
_kaizen() {{
  local word op='' flags='' current="${{COMP_WORDS[COMP_CWORD]}}"
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$word" in -*) ;; *.py) ;; *) op="$word"; break ;; esac
  done
  case "$op" in
{cases}
    *) flags='{" ".join(words)} --help --version --json' ;;
  esac
  case "${{COMP_WORDS[COMP_CWORD-1]}}" in
    --*-file|--path|--artifact|--root) COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  COMPREPLY=($(compgen -W "$flags" -- "$current"))
}}
complete -o default -F _kaizen kaizen kaizen.py
"""


def _zsh(flags: dict[str, list[str]], words: dict[str, str]) -> str:
    described = "\n".join(f"    '{name}:{_zsh_quoted(purpose)}'" for name, purpose in words.items())
    cases = "\n".join(f"    {'|'.join(_names(code))}) compadd -- {' '.join(own)} ;;" for code, own in flags.items())
    return f"""#compdef kaizen kaizen.py
_kaizen() {{
  local word op=''
  for word in "${{words[@]:1:$((CURRENT-2))}}"; do
    case "$word" in -*) ;; *.py) ;; *) op="$word"; break ;; esac
  done
  case "${{words[CURRENT-1]}}" in
    --*-file|--path|--artifact|--root) _files; return ;;
  esac
  case "$op" in
{cases}
    *) local -a operations
    operations=(
{described}
    )
    _describe 'operation' operations ;;
  esac
}}
compdef _kaizen kaizen kaizen.py
"""


def _zsh_quoted(text: str) -> str:
    return text.replace("'", "'\\''").replace(":", "\\:")


def _fish(flags: dict[str, list[str]], words: dict[str, str]) -> str:
    lines = ["# fish completion for kaizen", "complete -c kaizen -f"]
    for name, purpose in words.items():
        quoted = purpose.replace("\\", "\\\\").replace("'", "\\'")
        lines.append(f"complete -c kaizen -n __fish_use_subcommand -a '{name}' -d '{quoted}'")
    for code, own in flags.items():
        seen = f"__fish_seen_subcommand_from {' '.join(_names(code))}"
        for flag in own:
            takes_file = " -rF" if flag.endswith("-file") or flag in ("--path", "--artifact", "--root") else ""
            lines.append(f"complete -c kaizen -n '{seen}' -l {flag[2:]}{takes_file}")
    return "\n".join(lines) + "\n"


SCRIPTS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
