"""Scorers: a command, a Python callable or a model judge says how well a text does on a case. A higher score is a better one."""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .. import denial, process
from ..fields import parse_json, shorten
from ..hashing import canonical, file_sha256, sha256
from .budget import Amount, Prices
from .calls import JUDGE, SCORE, Answer, Failed

if TYPE_CHECKING:
    from ..backends import TextModel
    from .calls import Calls
    from .cases import Case

# A score beyond this cannot be compared any more.
MOST_SCORE = 1e100
# Characters of feedback that are kept; bytes that a command may answer; bytes of a file that its version is made of.
MOST_FEEDBACK, MOST_ANSWER, MOST_FILE = 20_000, 1_000_000, 50_000_000
JUDGE_TOKENS = 1_024
_SHAPE = '{"score": 0.5, "feedback": "what to do better"}, or the number alone'


@dataclass(frozen=True, slots=True)
class Score:
    """A finite number, and what to do better, where the scorer says so."""

    value: float
    feedback: str | None = None


class Scorer(Protocol):
    """What scores."""

    @property
    def kind(self) -> str:
        """command, python or judge."""
        ...

    @property
    def named(self) -> str:
        """What it is, for people."""
        ...

    @property
    def version(self) -> str:
        """SHA-256 of what it is made of."""
        ...

    @property
    def perfect(self) -> float | None:
        """The score that none beats, where there is one."""
        ...

    def values(self) -> dict[str, Any]:
        """What a plan says of it: enough to make it again."""
        ...

    def worst(self, candidate: str, case: Case, output: str | None) -> Amount:
        """The most that scoring can use up, as far as that is known before."""
        ...

    def scored(self, calls: Calls, candidate: str, case: Case, output: str | None) -> tuple[Score, Answer]:
        """The score of a candidate on a case, by a call that is recorded; `output` is what a model answered to the case with the
        candidate. Raises Failed, DENIED_SCORE_INVALID, and what the call raises."""
        ...


def read(value: Any) -> tuple[Score, dict[str, Any]]:
    """The score in what a scorer answered, and what else it said. Raises DENIED_SCORE_INVALID."""
    said = dict(value) if isinstance(value, Mapping) else {"score": value}
    given: Any = said.pop("score", None)
    feedback = said.pop("feedback", None)
    number = None
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        # numpy has numbers of its own.
        number = None if isinstance(given, bool | str) else float(given)
    if not isinstance(number, float) or not math.isfinite(number) or abs(number) > MOST_SCORE:
        raise denial.ScoreInvalid(value=shorten(repr(given), 200))
    if feedback is not None and not isinstance(feedback, str):
        feedback = json.dumps(feedback, ensure_ascii=False, default=str)
    return Score(number + 0.0, feedback[:MOST_FEEDBACK] if feedback else None), said


def _answered(score: Score, said: dict[str, Any]) -> Answer:
    """What is recorded of a score. What the scorer says it used up itself counts. Raises DENIED_SCORE_INVALID."""
    tokens: Any = said.get("tokens") or 0
    cost: Any = said.get("cost_usd") or 0.0
    if type(tokens) is not int or not 0 <= tokens < 2**53 or type(cost) not in (int, float) or not 0 <= cost < 1e9:
        raise denial.ScoreInvalid(
            "Let it give tokens as an integer and cost_usd as a number, neither below 0, or leave them out.",
            message="What the scorer says it used up is no amount.",
            value=shorten(f"tokens {tokens!r}, cost_usd {cost!r}", 200),
        )
    value = {"score": score.value, "feedback": score.feedback}
    more = {name: item for name, item in said.items() if name not in value}
    return Answer(
        {**value, **({"more": _plain(more)} if more else {})},
        tokens=tokens,
        cost_usd=float(cost),
    )


def _plain(value: Any) -> Any:
    """What JSON can hold of a value, at most so much."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=str)
    except ValueError:
        text = json.dumps(str(value))
    return json.loads(text) if len(text) <= MOST_FEEDBACK else shorten(text, MOST_FEEDBACK)


def _request(scorer: Scorer, candidate: str, case: Case, output: str | None) -> dict[str, Any]:
    """What makes a question to a scorer that one; the output is among it where there is one."""
    given = {} if output is None else {"output": output}
    return {"scorer": scorer.version, "candidate": candidate, "case": dict(case.values), **given}


class CommandScorer:
    """A command, run in the project's folder: {"candidate", "case", "output"} on stdin; on stdout a number, or an object."""

    kind, perfect = "command", None

    def __init__(self, argv: Sequence[str], root: Path, timeout: float) -> None:
        self.argv, self.root, self.timeout = [*argv], root, timeout
        if shutil.which(argv[0]) is None and not (root / argv[0]).is_file():
            raise denial.CommandNotFound(command=shorten(argv[0]), reason="there is no such program")
        self.named = shorten(" ".join(argv), 200)
        files = {word: _hash(root, word) for word in argv}
        self.version = sha256(canonical({"argv": self.argv, "files": {word: found for word, found in files.items() if found}}))

    def values(self) -> dict[str, Any]:
        """The command line, and the seconds that it may take."""
        return {"kind": self.kind, "command": self.argv, "timeout": self.timeout}

    def worst(self, candidate: str, case: Case, output: str | None) -> Amount:
        """One call; a command tells what it cost afterwards."""
        return Amount(1)

    def scored(self, calls: Calls, candidate: str, case: Case, output: str | None) -> tuple[Score, Answer]:
        """Raises Failed where the command ends otherwise than with 0, and after the timeout."""
        given = {"candidate": candidate, "case": dict(case.values), "output": output}
        text = json.dumps(given, ensure_ascii=False) + "\n"
        request = _request(self, candidate, case, output)
        answer = calls.made(SCORE, request, Amount(1), lambda turn: self._run(text))
        return read({name: answer.value[name] for name in ("score", "feedback")})[0], answer

    def _run(self, text: str) -> Answer:
        try:
            ended = process.run(self.argv, cwd=self.root, text=text, timeout=self.timeout, most=MOST_ANSWER)
        except process.NotStarted as fault:
            raise Failed(str(fault)) from None
        if ended.interrupted:
            raise KeyboardInterrupt
        if ended.timed_out:
            raise Failed(f"it took longer than {self.timeout:g} seconds")
        if ended.exit_code != 0:
            last = ended.stderr.last(400).decode("utf-8", "replace").strip()
            raise Failed(f"{ended.killed_by or f'exit code {ended.exit_code}'}{': ' + last if last else ''}")
        said = ended.stdout.kept().decode("utf-8", "replace").strip()
        try:
            value = parse_json(said, "score")
        except denial.JsonInvalid:
            raise denial.ScoreInvalid(f"Let it print {_SHAPE}.", value=shorten(said, 200)) from None
        return _answered(*read(value))


def _hash(root: Path, word: str) -> str | None:
    """The hash of a file in the project that a word of a command names; None where it names none."""
    try:
        path = (root / word).resolve()
        if path.is_relative_to(root.resolve()) and path.is_file() and path.stat().st_size <= MOST_FILE:
            return file_sha256(path)[0]
    except (OSError, ValueError):
        return None
    return None


class PythonScorer:
    """A callable of the project: called with candidate=, case= and output=; it gives a number, or a mapping."""

    kind, perfect = "python", None

    def __init__(self, spec: str, root: Path) -> None:
        self.named = self.spec = spec
        self._function, source = _imported(spec, root)
        self.version = sha256(canonical({"callable": spec, "source": file_sha256(source)[0]}))

    def values(self) -> dict[str, Any]:
        """Where the callable stands."""
        return {"kind": self.kind, "callable": self.spec}

    def worst(self, candidate: str, case: Case, output: str | None) -> Amount:
        """One call."""
        return Amount(1)

    def scored(self, calls: Calls, candidate: str, case: Case, output: str | None) -> tuple[Score, Answer]:
        """Raises Failed for whatever the callable raises."""
        request = _request(self, candidate, case, output)
        answer = calls.made(SCORE, request, Amount(1), lambda turn: self._called(candidate, case, output))
        return read({name: answer.value[name] for name in ("score", "feedback")})[0], answer

    def _called(self, candidate: str, case: Case, output: str | None) -> Answer:
        try:
            # Our stdout is for the answer.
            with contextlib.redirect_stdout(sys.stderr):
                value = self._function(candidate=candidate, case=json.loads(canonical(dict(case.values))), output=output)
        except Exception as fault:
            raise Failed(f"{type(fault).__name__}: {shorten(str(fault), 400)}") from None
        return _answered(*read(value))


def _imported(spec: str, root: Path) -> tuple[Any, Path]:
    """The callable that module:function names, imported from the project, and the file it stands in."""
    module, _, name = spec.partition(":")
    if not all(part.isidentifier() for part in module.split(".")) or not name.isidentifier():
        raise denial.ScorerNotFound(scorer=shorten(spec), reason="it has not the form module:function")
    top = module.partition(".")[0]
    kept = sys.modules.get(top)
    if kept is not None and not _lies_in(kept, root) and top != __name__.partition(".")[0]:
        # Another project's module of this name, from an earlier run in this process.
        for known in [known for known in sys.modules if known == top or known.startswith(f"{top}.")]:
            if getattr(kept, "__file__", None):
                del sys.modules[known]
    sys.path.insert(0, str(root))
    try:
        importlib.invalidate_caches()
        with contextlib.redirect_stdout(sys.stderr):
            found = importlib.import_module(module)
    except Exception as fault:
        raise denial.ScorerNotFound(scorer=shorten(spec), reason=f"{type(fault).__name__}: {shorten(str(fault), 400)}") from None
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(str(root))
    if not _lies_in(found, root):
        raise denial.ScorerNotFound(scorer=shorten(spec), reason="the module of this name lies outside the project")
    function = getattr(found, name, None)
    if not callable(function):
        raise denial.ScorerNotFound(scorer=shorten(spec), reason=f"{module} has no callable {name}")
    return function, Path(str(found.__file__))


def _lies_in(module: Any, root: Path) -> bool:
    file = getattr(module, "__file__", None)
    return bool(file) and Path(file).resolve().is_relative_to(root.resolve())


class JudgeScorer:
    """A model's opinion: of the output, or of the candidate where there is none, by a rubric and what the case expects."""

    kind, perfect = "judge", 1.0

    def __init__(self, model: TextModel, rubric: str, seed: int, prices: Prices) -> None:
        from ..backends import judge

        self.model, self.rubric, self.seed, self.prices = model, rubric, seed, prices
        self.named = f"judge {model.model}"
        made = {"rubric": rubric, "system": judge.SYSTEM, "model": model.model, "provider": model.provider}
        self.version = sha256(canonical(made))

    def values(self) -> dict[str, Any]:
        """The rubric, and who judges by it."""
        return {"kind": self.kind, "rubric": self.rubric, "model": self.model.model, "provider": self.model.provider}

    def worst(self, candidate: str, case: Case, output: str | None) -> Amount:
        """One call with a prompt of rubric, case and text."""
        asked = self._asked(candidate, case, output)
        return self.prices.worst((asked.system, asked.text), JUDGE_TOKENS)

    def scored(self, calls: Calls, candidate: str, case: Case, output: str | None) -> tuple[Score, Answer]:
        """Raises DENIED_BACKEND_MALFORMED for an answer that holds no verdict; Failed, where failures are kept."""
        from ..backends import judge

        asked = self._asked(candidate, case, output)
        answer = calls.asked(
            JUDGE,
            self.model,
            asked.text,
            system=asked.system,
            limit=JUDGE_TOKENS,
            seed=self.seed,
            prices=self.prices,
            check=judge.parsed,
        )
        verdict, score, rationale = judge.parsed(answer.value)
        return Score(score + 0.0, f"{verdict}: {rationale}" if rationale else verdict), answer

    def _asked(self, candidate: str, case: Case, output: str | None) -> Any:
        from ..backends import judge

        parts = [self.rubric, f"The case:\n{case.question}"]
        parts += [f"Expected:\n{case.expected}"] if case.expected else []
        return judge.prompt(candidate if output is None else output, "\n\n".join(parts))
