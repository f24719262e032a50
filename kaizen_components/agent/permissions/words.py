"""Words: the words and operators of a command line by a strict reading, which gives up where it is not sure."""

from __future__ import annotations

import glob
import re
import unicodedata

from .line import HOLE, Unjudged, Word

LONGEST = 64_000
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def refuse_tricks(text: str) -> None:
    """Refuse characters that are read in more than one way, or not at all."""
    if len(text) > LONGEST:
        raise Unjudged("it is too long to be judged")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Unjudged("it is no text") from None
    for char in set(text):
        if char in " \n\t":
            continue
        kind = unicodedata.category(char)
        if kind in ("Cc", "Cf", "Zs", "Zl", "Zp", "Cn", "Co", "Cs"):
            raise Unjudged(f"it holds the character U+{ord(char):04X}")
    if re.search(r"(?<![ \t])\\\n", text):
        raise Unjudged("a line is continued in the middle of a word")


OPERATORS = (
    "&>>",
    "<<-",
    "<<<",
    ";;&",
    "&&",
    "||",
    "|&",
    ";;",
    ";&",
    ">>",
    ">&",
    "<&",
    "&>",
    ">|",
    "<>",
    "<<",
    "|",
    "&",
    ";",
    "(",
    ")",
    "<",
    ">",
)
_EXPANSION = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*(?:(?::?[-+?]|##?|%%?)[A-Za-z0-9_./:,=* -]*)?\}")
_ARITHMETIC = re.compile(r"\(\([0-9 +*/%()<>=-]*\)\)")
_ASSIGNED_HOME = re.compile(r"([A-Za-z_][A-Za-z0-9_]*\+?=)(?:(~)(?=/[^:]*$|$)|.*~)", re.DOTALL)
_ENDS_WORD = frozenset(" \t\n|&;()<>")


class Reading:
    """The words and operators of a line by a strict reading; one character is one byte, so that places are those of the tree."""

    def __init__(self, text: str, folder: str, home: str) -> None:
        self.text, self.folder, self.home = text, folder, home
        self.words: dict[int, Word] = {}
        self.operators: dict[int, str] = {}
        self.comments: set[int] = set()
        self._heredocs: list[tuple[str, bool, bool]] = []
        end = self._read(0, closed_by=None)
        if end != len(text) or self._heredocs:
            raise Unjudged("a quote or bracket is not closed")

    def _read(self, at: int, closed_by: str | None) -> int:
        """Read from a place to the end, or to the bracket that closes a substitution: the place behind it."""
        text = self.text
        level = 0
        while at < len(text):
            char = text[at]
            if char in " \t":
                at += 1
            elif char == "\\" and text[at + 1 : at + 2] == "\n":
                at += 2
            elif char == "\n":
                at = self._bodies(at + 1)
            elif char == "#":
                end = text.find("\n", at)
                end = len(text) if end < 0 else end
                if text[end - 1] == "\\":
                    raise Unjudged("a comment ends with a backslash")
                if closed_by is not None:
                    raise Unjudged("a substitution holds a comment")
                self.comments.add(at)
                at = end
            elif char == ")" and closed_by is not None and level == 0:
                if self._heredocs:
                    raise Unjudged("a substitution holds a here-document")
                return at + 1
            elif char in "|&;()<>":
                operator = next(known for known in OPERATORS if text.startswith(known, at))
                if operator in ("<", ">") and text[at + 1 : at + 2] == "(":
                    raise Unjudged("it holds a process substitution")
                level += (operator == "(") - (operator == ")")
                self.operators[at] = operator
                at += len(operator)
                if operator in ("<<", "<<-"):
                    at = self._heredoc(at, operator)
            else:
                at = self._word(at)
        if closed_by is not None:
            raise Unjudged("a substitution is not closed")
        return at

    def _heredoc(self, at: int, operator: str) -> int:
        """The word that ends a here-document; its body comes behind the line."""
        while self.text[at : at + 1] in (" ", "\t"):
            at += 1
        match = re.compile(r"(['\"]?)([A-Za-z_][A-Za-z0-9_]*)\1(?=[ \t\n|&;<>)]|$)").match(self.text, at)
        if match is None:
            raise Unjudged("the end of a here-document cannot be told")
        self._heredocs.append((match[2], bool(match[1]), operator == "<<-"))
        self.words[at] = Word(match[2], match[0], at, match.end())
        return match.end()

    def _bodies(self, at: int) -> int:
        """Behind the bodies of the here-documents that began on the line before."""
        for ending, quoted, indented in self._heredocs:
            start = at
            while True:
                if at >= len(self.text):
                    raise Unjudged("a here-document is not closed")
                end = self.text.find("\n", at)
                end = len(self.text) if end < 0 else end
                said = self.text[at:end].lstrip("\t") if indented else self.text[at:end]
                if said == ending:
                    body, at = self.text[start:at], min(end + 1, len(self.text))
                    break
                at = end + 1
            if not quoted and re.search(r"[`\\]|\$[({\[]", body):
                raise Unjudged("a here-document holds a substitution")
        self._heredocs.clear()
        return at

    def _word(self, start: int) -> int:
        """One word: its place and what is known of it."""
        text = self.text
        pieces: list[tuple[str, bool]] = []
        at, globs, braces, splits, tilde = start, False, False, False, text[start] == "~"
        while at < len(text) and text[at] not in _ENDS_WORD:
            char = text[at]
            if char == "'":
                end = text.find("'", at + 1)
                if end < 0:
                    raise Unjudged("a quote is not closed")
                pieces.append((text[at + 1 : end], True))
                at = end + 1
            elif char == '"':
                at = self._quoted(at + 1, pieces)
            elif char == "\\":
                following = text[at + 1 : at + 2]
                if following in ("", "\n"):
                    raise Unjudged("a word ends with a backslash")
                pieces.append((following, True))
                at += 2
            elif char == "`":
                raise Unjudged("it holds a substitution in backquotes")
            elif char == "$":
                at = self._dollar(at, pieces, quoted=False)
                splits = splits or HOLE in pieces[-1][0]
            else:
                if char == "!" and text[at + 1 : at + 2] not in ("", " ", "\t", "\n", "=", "(") and text[at - 1 : at] != "[":
                    raise Unjudged("it holds a history expansion")
                globs = globs or char in "*?["
                braces = braces or char == "{"
                pieces.append((char, False))
                at += 1
        if text[at : at + 1] == "(":
            raise Unjudged("a bracket stands in a word")
        bare = "".join(piece if not quoted else "\1" for piece, quoted in pieces)
        # Bash also takes braces as pairs that are none, as in {a},}: any three of these in a word may be an expansion.
        if braces and re.search(r"\{.*(?:,|\.\.).*\}", bare, re.DOTALL):
            raise Unjudged("it holds a brace expansion")
        if braces and text[start] == "{" and text[at : at + 1] in ("<", ">"):
            raise Unjudged("a redirect sets a variable")
        if re.match(r"[A-Za-z_][A-Za-z0-9_]*\[", bare) and "=" in bare:
            raise Unjudged("it assigns to a part of a variable")
        said = "".join(piece for piece, _ in pieces)
        globs = globs and bare not in ("[", "[[")
        pattern = _pattern(pieces) if globs else None
        if (match := _ASSIGNED_HOME.match(bare)) is not None:
            # What looks like an assignment has its ~ resolved as one, wherever it stands.
            said = f"{match[1]}{self.home.encode().decode('latin-1')}{said[len(match[0]) :]}" if match[2] == "~" else HOLE
            pattern = None
        if tilde and pieces and pieces[0] == ("~", False):
            said, pattern = self._at_home(said, bare), pattern and self._at_home(pattern, bare)
        if at < len(text) and text[at] in "<>" and bare.isdigit() and text[start:at] == bare:
            # The number of a stream: part of the redirect.
            return at
        shape = None if pattern is None else _utf8(pattern)
        self.words[start] = Word(_utf8(said), _utf8(text[start:at]), start, at, shape, splits)
        return at

    def _at_home(self, said: str, bare: str) -> str:
        """A word that begins with ~, with the folder that it means."""
        user, slash, rest = said[1:].partition("/")
        if bare[1:].partition("/")[0] != user:
            return said
        if not user:
            return self.home.encode().decode("latin-1") + slash + rest
        # Of another user's home nothing is known: who lives where is a matter of the system's.
        return HOLE + slash + rest

    def _quoted(self, at: int, pieces: list[tuple[str, bool]]) -> int:
        """What stands in double quotes: the place behind them."""
        text = self.text
        pieces.append(("", True))
        while at < len(text):
            char = text[at]
            if char == '"':
                return at + 1
            if char == "\\":
                following = text[at + 1 : at + 2]
                if following == "":
                    break
                if following != "\n":
                    pieces.append((following if following in '$`"\\' else "\\" + following, True))
                at += 2
            elif char == "`":
                raise Unjudged("it holds a substitution in backquotes")
            elif char == "$":
                at = self._dollar(at, pieces, quoted=True)
            else:
                pieces.append((char, True))
                at += 1
        raise Unjudged("a quote is not closed")

    def _dollar(self, at: int, pieces: list[tuple[str, bool]], *, quoted: bool) -> int:
        """What a $ begins: the place behind it."""
        text, following = self.text, self.text[at + 1 : at + 2]
        if following == "(":
            if match := _ARITHMETIC.match(text, at + 1):
                pieces.append((HOLE, True))
                return match.end()
            if text.startswith("((", at + 1):
                raise Unjudged("it holds arithmetic")
            pieces.append((HOLE, True))
            return self._read(at + 2, closed_by=")")
        if following == "{":
            match = _EXPANSION.match(text, at + 1)
            if match is None:
                raise Unjudged("it holds an expansion that cannot be judged")
            pieces.append((self._value(match[0][1:-1]), True))
            return match.end()
        if following == "[" or (following in ("'", '"') and not quoted):
            raise Unjudged("it holds a $ quote or old arithmetic")
        if match := NAME.match(text, at + 1):
            pieces.append((self._value(match[0]), True))
            return match.end()
        if following and following in "?#$!@*-0123456789":
            pieces.append((HOLE, True))
            return at + 2
        pieces.append(("$", True))
        return at + 1

    def _value(self, name: str) -> str:
        """What is known of a variable: the home folder alone; everything else may change before the line runs."""
        return self.home.encode().decode("latin-1") if name == "HOME" else HOLE


def _pattern(pieces: list[tuple[str, bool]]) -> str:
    """A pattern that matches at least what bash's does: of what stands in brackets, every system has its own reading."""
    chars = [(char, quoted) for piece, quoted in pieces for char in piece]
    found: list[str] = []
    at = 0
    while at < len(chars):
        char, quoted = chars[at]
        if (char, quoted) == ("[", False):
            end = next((n for n in range(at, len(chars)) if chars[n][0] == "/"), len(chars))
            last = max((n for n in range(at, end) if chars[n][0] == "]"), default=None)
            found.append("[[]" if last is None else "*")
            at = at + 1 if last is None else last + 1
            continue
        found.append(glob.escape(char) if quoted else char)
        at += 1
    return "".join(found)


def _utf8(text: str) -> str:
    return text.encode("latin-1").decode("utf-8")
