"""Shell: a command line taken apart into its simple commands, or the reasons why it cannot be judged.

Two readings have to agree: the words of a strict one, written here, and the structure of tree-sitter's. Where they differ, and where bash
would do something that neither can foresee, the line says so (`Line.unjudged`), and is asked about.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from .line import HOLE, Command, Line, Redirect, Unjudged, Word
from .starters import started
from .words import LONGEST, NAME, OPERATORS, Reading, refuse_tricks

DEEPEST = 6
MOST_COMMANDS = 200
MOST_FOLDERS = 8
RESERVED = frozenset("if then elif else fi for in do done while until case esac select function { } ! [[ ]] coproc".split())
# Builtins that change what later words mean.
SHADOWING = frozenset(
    "alias unalias shopt enable bind complete compgen compopt fc history let mapfile readarray trap pushd popd dirs source . builtin"
    " getopts caller disown suspend".split()
)
# Variables that a call may be given without any harm.
HARMLESS = re.compile(
    r"(?:LANG|LANGUAGE|LC_[A-Z]+|TZ|TERM|COLUMNS|LINES|NO_COLOR|FORCE_COLOR|CLICOLOR|CLICOLOR_FORCE|CI|DEBUG|VERBOSE|RUST_BACKTRACE"
    r"|PYTHONUNBUFFERED|PYTHONDONTWRITEBYTECODE|PYTHONHASHSEED|PYTHONIOENCODING|NODE_ENV|HYPOTHESIS_PROFILE|GIT_TERMINAL_PROMPT"
    r"|DEBIAN_FRONTEND|SOURCE_DATE_EPOCH)"
)
# Variables that the shell or the programs it starts act upon.
MEANT = re.compile(
    r"(?:.*PATH|.*_OPTIONS|.*OPTS|.*FLAGS|.*PAGER|.*EDITOR|.*BROWSER|.*SHELL|HOME|PWD|OLDPWD|IFS|ENV|BASH.*|PS[0-9]|PROMPT_.*|LD_.*|DYLD_.*|GIT_.*"
    r"|PYTHON.*|PERL.*|RUBY.*|NODE_.*|JAVA.*|_JAVA.*|XDG_.*|GLOBIGNORE|FIGNORE|HIST.*|OPT.*|TMP.*|TEMP|VISUAL|LESS.*|SSH_.*|GREP_.*"
    r"|RSYNC_.*|MAKE.*|NPM_.*|PIP_.*|UV_.*|CARGO_.*|RUST.*|GO[A-Z]+|DOCKER_.*|REPLY|MAIL.*|TIMEFORMAT|UID|EUID|PPID|GROUPS"
    r"|FUNCNAME|COMP_.*|COPROC|DIRSTACK|EXECIGNORE|FCEDIT|INPUTRC|POSIX.*|RANDOM|SECONDS|SRANDOM|EPOCH.*|CC|CXX|LD|AR|AS|RM)"
)


def parse(text: str, folder: str, home: str | None = None, *, depth: int = 0) -> Line:
    """A command line that is run in `folder`, an absolute path. Never raises: what cannot be judged is said in the line."""
    line = Line(text)
    try:
        refuse_tricks(text)
        data = text.encode()
        reading = Reading(data.decode("latin-1"), folder, home or os.path.expanduser("~"))  # noqa: PTH111 - a text is wanted
        tree = _parser().parse(data)
        _Walk(line, reading, tree.root_node, depth).through(folder)
    except Unjudged as reason:
        line.unjudged.append(str(reason))
    except (RecursionError, ValueError, OSError, LookupError, AttributeError, TypeError, ImportError) as fault:
        line.unjudged.append(f"it cannot be read ({type(fault).__name__})")
    line.bomb = line.bomb or _bomb(text)
    if line.unjudged and depth == 0:
        line.guesses = _guessed(text, folder)
    line.unjudged = list(dict.fromkeys(line.unjudged))
    return line


@lru_cache(maxsize=1)
def _parser() -> Any:
    import tree_sitter_bash
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_bash.language()))


def _guessed(text: str, folder: str) -> list[Command]:
    """What looks like a command in a line that cannot be judged."""
    data = text[:LONGEST].encode("utf-8", "replace")
    found: list[Command] = []
    try:
        waiting = [_parser().parse(data).root_node]
        while waiting and len(found) < MOST_COMMANDS:
            node = waiting.pop()
            waiting += node.children
            if node.type != "command":
                continue
            words = []
            for child in node.children:
                if child.type == "command_name" or child.type in _WORDS - {"variable_assignment"}:
                    raw = child.text.decode("utf-8", "replace")
                    said = re.sub(r"\\\n|\\(?=.)|['\"]", "", raw)
                    said = os.path.expanduser(re.sub(r"\$(?:\{HOME\}|HOME\b)", "~", said))  # noqa: PTH111 - a text is wanted
                    words.append(Word(re.sub(r"\$.*|`.*", HOLE, said), raw, child.start_byte, child.end_byte))
            if words:
                found.append(Command(tuple(words), node.text.decode("utf-8", "replace"), (folder,)))
    except (RecursionError, ValueError, LookupError, AttributeError, ImportError):
        pass
    for command in found[:]:
        try:
            found += [each for each in started(command) or () if isinstance(each, Command)]
        except Unjudged:
            continue
    return found


_BOMB = re.compile(r"(?<![^\s(){}|&;])([^\s(){}|&;]++)\s*\(\s*\)\s*\{\s*\1\s*\|\s*\1\s*&\s*;?\s*\}")


def _bomb(text: str) -> bool:
    return _BOMB.search(text[:LONGEST]) is not None


# --- structure ------------------------------------------------------------------------------------

_WORDS = frozenset(
    "word concatenation string raw_string number simple_expansion expansion command_substitution arithmetic_expansion variable_name"
    " ansi_c_string translated_string process_substitution variable_assignment heredoc_start special_variable_name extglob_pattern regex".split()
)
_QUIET = frozenset({"heredoc_body", "heredoc_end", "heredoc_content", "file_descriptor", "\n"})
_WRITES = frozenset({">", ">>", ">|", "&>", "&>>", "<>", ">&"})


class _Walk:
    """The simple commands of a tree, each with the folders that it may be run in."""

    def __init__(self, line: Line, reading: Reading, root: Any, depth: int) -> None:
        self.line, self.reading, self.root, self.depth = line, reading, root, depth
        self.pipelines = 0
        self.assigned: set[str] = set()

    def through(self, folder: str) -> None:
        if self.depth > DEEPEST:
            raise Unjudged("shells are nested too deeply")
        if self.root.has_error:
            raise Unjudged("its syntax cannot be read")
        self._compare()
        self._statements(self.root, (folder,))

    # --- two readings -----------------------------------------------------------------------------

    def _compare(self) -> None:
        """Both readings have to see the same words and operators in the same places."""
        words: dict[int, int] = {}
        operators: dict[int, str] = {}
        comments: set[int] = set()
        # The inside of a test is read as words alone, but for what it substitutes.
        tests: list[tuple[int, int, list[tuple[int, int]]]] = []
        self._seen(self.root, words, operators, comments, tests)

        def compared(at: int) -> bool:
            return not any(
                start <= at < end and not any(first < at < last for first, last in substituted)
                for start, end, substituted in tests
            )

        ours = {word.start: word.end for word in self.reading.words.values() if compared(word.start)}
        theirs = {at: said for at, said in self.reading.operators.items() if compared(at)}
        if words != ours or operators != theirs or comments != self.reading.comments:
            raise Unjudged("it can be read in two ways")

    def _seen(
        self,
        node: Any,
        words: dict[int, int],
        operators: dict[int, str],
        comments: set[int],
        tests: list[tuple[int, int, list[tuple[int, int]]]],
    ) -> None:
        kind = node.type
        if kind in _QUIET:
            return
        if kind == "comment":
            comments.add(node.start_byte)
            return
        if kind == "test_command":
            tests.append((node.start_byte, node.end_byte, [(each.start_byte, each.end_byte) for each in _substitutions_of(node)]))
            self._seen_inside(node, words, operators, comments, tests)
            return
        if kind in _WORDS:
            words[node.start_byte] = node.end_byte
            self._seen_inside(node, words, operators, comments, tests)
            return
        if node.child_count == 0:
            if kind in OPERATORS:
                operators[node.start_byte] = kind
            elif not node.is_named:
                words[node.start_byte] = node.end_byte
            elif kind != "program":
                raise Unjudged(f"it holds {kind}")
            return
        for child in node.children:
            self._seen(child, words, operators, comments, tests)

    def _seen_inside(self, node: Any, *found: Any) -> None:
        """The commands of the substitutions in a word."""
        if node.type == "command_substitution":
            for child in node.children[1:-1]:
                self._seen(child, *found)
            return
        for child in node.children:
            self._seen_inside(child, *found)

    # --- statements -------------------------------------------------------------------------------

    def _statements(self, node: Any, folders: tuple[str, ...]) -> tuple[str, ...]:
        for child in node.children:
            if child.is_named:
                _, folders = self._statement(child, folders)
        return folders

    def _statement(self, node: Any, folders: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Walk one statement: the folders that the shell may be in where it succeeded, and in any case."""
        kind = node.type
        if kind in ("comment", "heredoc_body", "heredoc_end"):
            return folders, folders
        if kind == "command":
            return self._command(node, folders)
        if kind == "list":
            left, operator, right = node.children
            first = self._statement(left, folders)
            second = self._statement(right, first[0] if operator.type == "&&" else first[1])
            if operator.type == "&&":
                return second[0], _joined(first[1], second[1])
            return _joined(first[0], second[0]), _joined(first[1], second[1])
        if kind == "pipeline":
            self._pipeline(node, folders)
            return folders, folders
        if kind == "subshell":
            self._statements(node, folders)
            return folders, folders
        if kind == "redirected_statement":
            return self._redirected(node, folders)
        if kind == "negated_command":
            after = self._statements(node, folders)
            return after, after
        if kind in ("variable_assignment", "variable_assignments", "declaration_command", "unset_command"):
            self._assignments(node, folders)
            return folders, folders
        if kind == "test_command":
            self._test(node, folders)
            return folders, folders
        if kind == "compound_statement" and node.children[0].type == "{":
            after = self._statements(node, folders)
            return after, after
        if kind in ("for_statement", "while_statement", "if_statement"):
            return self._compound(node, folders)
        raise Unjudged(_NAMES.get(kind, f"it holds {kind.replace('_', ' ')}"))

    def _compound(self, node: Any, folders: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """A loop or a condition. What changes the folder inside a loop may do so any number of times."""
        if node.type == "for_statement":
            variable = node.child_by_field_name("variable")
            if variable is None or node.children[0].type != "for":
                raise Unjudged("it holds a select")
            self._assigned(variable.text.decode())
        before = folders
        for child in node.children:
            if not child.is_named:
                continue
            if child.type in _WORDS and child.type != "variable_assignment":
                self._substitutions(child, folders)
            elif child.type in ("do_group", "elif_clause", "else_clause"):
                folders = _joined(folders, self._statements(child, folders))
            else:
                folders = _joined(folders, self._statement(child, folders)[1])
        if node.type != "if_statement" and folders != before:
            raise Unjudged("a loop changes the folder")
        return folders, folders

    def _pipeline(self, node: Any, folders: tuple[str, ...]) -> None:
        self.pipelines += 1
        number = self.pipelines
        for child in node.children:
            if child.is_named:
                start = len(self.line.commands)
                self._statement(child, folders)
                for at in range(start, len(self.line.commands)):
                    command = self.line.commands[at]
                    if command.pipeline is None:
                        self.line.commands[at] = replace(command, pipeline=number, stdin=True)

    def _redirected(self, node: Any, folders: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        start, after = len(self.line.commands), (folders, folders)
        opened, rest = folders, list[Any]()
        for child in node.children:
            if child.is_named and not child.type.endswith("_redirect"):
                after = self._statement(child, folders)
                if child.type == "list":
                    # tree-sitter has a redirect around the whole of `cd a && b > c`; bash opens c for the last command, wherever that is.
                    opened = _joined(folders, *after, *(command.folders for command in self.line.commands[start:]))
        for child in node.children:
            if child.type.endswith("_redirect"):
                rest += self._redirect(child, opened)
        if any(
            child.type != "file_redirect" or child.children[0].type == "<" for child in node.children if "redirect" in child.type
        ):
            for at in range(start, len(self.line.commands)):
                self.line.commands[at] = replace(self.line.commands[at], stdin=True)
        if not rest:
            return after
        # tree-sitter keeps what follows a here-document on its line inside of the redirect.
        now = _joined(opened, *after)
        for child in rest:
            now = _joined(now, *self._statement(child, now))
        for at in range(start, len(self.line.commands)):
            self.line.commands[at] = replace(self.line.commands[at], stdin=True)
        return now, now

    def _redirect(self, node: Any, folders: tuple[str, ...]) -> list[Any]:
        """Note what a redirect opens; what else stands in its node is given back."""
        rest: list[Any] = []
        operator = next((child.type for child in node.children if not child.is_named), "")
        if node.type == "heredoc_redirect":
            for child in node.children:
                if child.type.endswith("_redirect"):
                    rest += self._redirect(child, folders)
                elif child.type in _WORDS and child.type != "heredoc_start":
                    raise Unjudged("a here-document stands before an argument")
                elif child.is_named and child.type not in ("heredoc_start", "heredoc_body", "heredoc_end", "file_descriptor"):
                    rest.append(child)
                elif child.type in ("&&", "||", ";"):
                    pass
            return rest
        if sum(child.type in _WORDS for child in node.children) > 1:
            # tree-sitter takes what follows for further targets; bash, for arguments.
            raise Unjudged("words stand behind a redirect")
        for child in node.children:
            if child.type in _WORDS:
                self._substitutions(child, folders)
                word = self._word(child)
                if node.type == "herestring_redirect" or (operator in (">&", "<&") and re.fullmatch(r"\d+-?|-", word.text)):
                    continue
                if operator == "<&":
                    raise Unjudged("a stream is copied from a name")
                self.line.redirects.append(Redirect(operator in _WRITES, word, folders))
            elif child.is_named and child.type != "file_descriptor":
                raise Unjudged(f"a redirect holds {child.type.replace('_', ' ')}")
        if node.type == "file_redirect" and operator not in (*_WRITES, "<", "<&"):
            raise Unjudged("a redirect cannot be judged")
        return rest

    # --- simple commands --------------------------------------------------------------------------

    def _word(self, node: Any) -> Word:
        return self.reading.words[node.start_byte]

    def _substitutions(self, node: Any, folders: tuple[str, ...]) -> None:
        """Walk what a word substitutes: it runs on its own, in a shell of its own."""
        if node.type == "command_substitution":
            start = len(self.line.commands)
            if any(child.type.endswith("_redirect") for child in node.children):
                # $(< file)
                for child in node.children:
                    if child.type.endswith("_redirect"):
                        self._redirect(child, folders)
            self._statements_but_redirects(node, folders)
            for at in range(start, len(self.line.commands)):
                self.line.commands[at] = replace(self.line.commands[at], substituted=True)
            return
        for child in node.children:
            self._substitutions(child, folders)

    def _statements_but_redirects(self, node: Any, folders: tuple[str, ...]) -> None:
        for child in node.children:
            if child.is_named and not child.type.endswith("_redirect"):
                _, folders = self._statement(child, folders)

    def _command(self, node: Any, folders: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        words: list[Word] = []
        assignments: list[tuple[str, Word | None]] = []
        text: list[str] = []
        stdin = False
        for child in node.children:
            if child.type == "variable_assignment":
                assignments.append(self._assignment(child, folders))
            elif child.type.endswith("_redirect"):
                stdin = stdin or child.type != "file_redirect" or child.children[0].type == "<"
                if self._redirect(child, folders):
                    raise Unjudged("a redirect cannot be judged")
            elif child.type == "command_name" or child.type in _WORDS:
                self._substitutions(child, folders)
                words.append(self._word(child))
                text.append(words[-1].raw)
            else:
                raise Unjudged(f"a command holds {child.type.replace('_', ' ')}")
        command = Command(tuple(words), " ".join(text), folders, tuple(assignments), stdin=stdin)
        self.add(command)
        return self._moved(command, folders)

    def _test(self, node: Any, folders: tuple[str, ...]) -> None:
        """[ ... ] and [[ ... ]]: a command like any other; the second may reckon, and what reckons may run."""
        for child in node.children:
            self._substitutions(child, folders)
        inner = [word for word in self.reading.words.values() if node.start_byte <= word.start < node.end_byte]
        nested = [word for word in inner if any(other.start < word.start < other.end for other in inner)]
        words = tuple(sorted((word for word in inner if word not in nested), key=lambda word: word.start))
        if not words or words[0].raw not in ("[", "[["):
            raise Unjudged("it reckons")
        if words[0].raw == "[[" and any(word.raw in ("-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-v", "-R") for word in words):
            raise Unjudged("it reckons")
        self.add(Command(words, " ".join(word.raw for word in words), folders))

    def _assignments(self, node: Any, folders: tuple[str, ...]) -> None:
        """Variables that are set for what follows."""
        exported = node.type == "declaration_command"
        assignments: list[tuple[str, Word | None]] = []
        if node.type == "variable_assignment":
            assignments.append(self._assignment(node, folders))
        for child in node.children if node.type != "variable_assignment" else ():
            if child.type == "variable_assignment":
                assignments.append(self._assignment(child, folders))
            elif child.type == "variable_name":
                assignments.append((child.text.decode(), None))
            elif child.is_named:
                word = self._word(child)
                if not re.fullmatch(r"-[xrg]+|--", word.raw):
                    raise Unjudged("it declares a variable in a way that cannot be judged")
            elif child.type in ("declare", "typeset", "export", "readonly", "local", "unset"):
                continue
        for name, _ in assignments:
            self._assigned(name, exported=exported)

    def _assigned(self, name: str, *, exported: bool = False) -> None:
        """Refuse variables that change what later commands mean."""
        if HARMLESS.fullmatch(name):
            return
        if exported or MEANT.fullmatch(name) or name in os.environ or not NAME.fullmatch(name):
            raise Unjudged(f"it sets {name}, which later commands may act upon")

    def _assignment(self, node: Any, folders: tuple[str, ...]) -> tuple[str, Word | None]:
        name = node.child_by_field_name("name")
        value = node.child_by_field_name("value")
        if name is None or name.type != "variable_name" or (value is not None and value.type == "array"):
            raise Unjudged("it assigns to a part of a variable")
        if value is not None:
            self._substitutions(value, folders)
        return name.text.decode(), self.reading.words.get(node.start_byte)

    def _moved(self, command: Command, folders: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Where the shell is after a command: elsewhere, where it was cd."""
        if command.program != "cd":
            return folders, folders
        to = self.targets(command)
        return to, _joined(folders, to)

    def targets(self, command: Command) -> tuple[str, ...]:
        """The folders that a cd goes to."""
        named = [word for word in command.arguments if word.text not in ("-P", "-L", "--")]
        if len(named) > 1 or any(not word.known or word.pattern or word.text.startswith("-") for word in named):
            raise Unjudged("it goes to a folder that cannot be told")
        text = named[0].text if named else self.reading.home
        found = tuple(dict.fromkeys(os.path.realpath(os.path.join(folder, text)) for folder in command.folders))  # noqa: PTH118
        if not all(os.path.isdir(folder) for folder in found):  # noqa: PTH112
            raise Unjudged("it goes to a folder that is not there yet")
        return found

    def add(self, command: Command) -> None:
        """Note a command, and those that it starts."""
        if len(self.line.commands) >= MOST_COMMANDS:
            raise Unjudged("it holds too many commands")
        if command.words:
            first = command.words[0]
            if first.raw in RESERVED and not (first.raw == "[[" and command.words[-1].raw == "]]"):
                raise Unjudged(f"{first.raw} stands where a command should")
            if not first.known or first.pattern is not None or not first.text:
                self.line.commands.append(command)
                raise Unjudged("which program it runs cannot be told")
            if first.text in SHADOWING:
                self.line.commands.append(command)
                raise Unjudged(f"{first.text} changes what later commands mean")
            _refuse_names(command)
        elif command.assignments:
            for name, _ in command.assignments:
                self._assigned(name)
            return
        inner = started(command)
        self.line.commands.append(replace(command, transparent=True) if inner is not None else command)
        for each in inner or ():
            if isinstance(each, Command):
                self.add(each)
                continue
            for folder in command.folders:
                below = parse(each, folder, self.reading.home, depth=self.depth + 1)
                names = (*command.wrappers, command.name)
                self.line.commands += [replace(inner, wrappers=(*names, *inner.wrappers)) for inner in below.commands]
                self.line.redirects += below.redirects
                self.line.unjudged += below.unjudged
                self.line.bomb = self.line.bomb or below.bomb


def _substitutions_of(node: Any) -> Iterator[Any]:
    """The outermost substitutions in a node."""
    for child in node.children:
        if child.type == "command_substitution":
            yield child
        else:
            yield from _substitutions_of(child)


_NAMES = {
    "function_definition": "it defines a function",
    "case_statement": "it holds a case",
    "c_style_for_statement": "it reckons",
    "compound_statement": "it reckons",
}


def _joined(*several: tuple[str, ...]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(folder for folders in several for folder in folders))
    if len(found) > MOST_FOLDERS:
        raise Unjudged("it changes the folder too often")
    return found


def _refuse_names(command: Command) -> None:
    """Builtins that take the name of a variable run what stands in its brackets, and may set any."""
    texts = [word.text for word in command.arguments]
    names: list[str] = []
    if command.program == "read":
        valued, names, skip = "adinNptu", [], False
        for text in texts:
            if skip:
                skip = False
            elif text.startswith("-"):
                if "a" in text[1:]:
                    raise Unjudged("read fills a list")
                skip = text[-1] in valued and len(text) == 2
            else:
                names.append(text)
    elif command.program == "printf" and texts[:1] and texts[0].startswith("-"):
        if texts[0] != "--":
            raise Unjudged("printf sets a variable")
    elif command.program == "printf" and texts[:1] and HOLE in texts[0][:1]:
        raise Unjudged("printf may set a variable")
    elif command.program in ("test", "["):
        if "-v" in texts or "-R" in texts or _may_look(command.arguments):
            raise Unjudged("it may look into a variable, and run what stands there")
    elif command.program == "set":
        options = {
            "-e",
            "-u",
            "-x",
            "-eu",
            "-ex",
            "-ux",
            "-eux",
            "-o",
            "pipefail",
            "errexit",
            "nounset",
            "xtrace",
            "+e",
            "+u",
            "+x",
            "-euo",
            "-eo",
            "-euxo",
        }
        if not texts or not set(texts) <= options:
            raise Unjudged("set changes how the line is read")
    elif command.program == "wait" and any(not re.fullmatch(r"%?\d+", text) for text in texts):
        raise Unjudged("wait sets a variable")
    elif command.program in ("hash", "unset", "export", "declare", "typeset", "local", "readonly") and texts:
        raise Unjudged(f"{command.program} changes what later commands mean")
    for name in names:
        if not NAME.fullmatch(name) or MEANT.fullmatch(name) or name in os.environ:
            raise Unjudged(f"it sets {name.replace(HOLE, '?')}, which later commands may act upon")


_BINARY = frozenset("= == != < > -eq -ne -lt -le -gt -ge -nt -ot -ef ] -a -o )".split())


def _may_look(words: Sequence[Word]) -> bool:
    """Whether words that are not known may become -v and the name of a variable."""
    return any(
        word.splits or (not word.known and at + 1 < len(words) and words[at + 1].text not in _BINARY)
        for at, word in enumerate(words)
    )
