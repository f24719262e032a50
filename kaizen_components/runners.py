"""Runners: the numbers of tests in what well-known test runners say at their end."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

Counts = dict[str, int]

# Exit codes by which a runner says that it found no test, where another runner means a failure by them.
NO_TESTS_EXIT = {"pytest": 5, "unittest": 5, "nextest": 4}

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
# "3 passed", "1 tests skipped", "Failures: 1", "expected failures=2"
_SAID = re.compile(r"(\d+) +([A-Za-z]+(?: [a-z]+)*)|([A-Za-z]+(?: [a-z]+)*) *[:=] *(\d+)")
_MEANS = {
    "passed": "passed pass passing succeeded successful successes ok flaky",
    "failed": "failed fail failing failure failures unexpected",
    "skipped": "skipped skip skips ignored pending pendings omissions incomplete excluded disabled todo",
    "errors": "error errors cancelled canceled aborted invalid timed exec",
    "other": "xfailed xpassed expected",
    "total": "test tests doctest doctests property properties",
}
_MEANING = {word: meaning for meaning, words in _MEANS.items() for word in words.split()}


@dataclass(frozen=True, slots=True)
class Tests:
    """How many tests ran and how they ended, summed over `closing_lines`; None where the runner does not say."""

    runner: str
    passed: int | None
    failed: int
    skipped: int
    errors: int
    total: int | None
    closing_lines: int
    # The numbers of a long output come from its end alone; earlier closing lines may be missing.
    partial: bool = False

    @property
    def bad(self) -> int:
        """Tests that failed or broke."""
        return self.failed + self.errors

    @property
    def none_ran(self) -> bool:
        """Whether the runner says that no test ran: none was there, or all were skipped."""
        return self.total is not None and self.total - self.skipped <= 0 and not self.bad

    def record(self) -> dict[str, Any]:
        """The numbers as records and replies hold them."""
        names = ("runner", "passed", "failed", "skipped", "errors", "total", "closing_lines")
        return {name: getattr(self, name) for name in names} | ({"partial": True} if self.partial else {})

    def say(self) -> str:
        """The numbers in words: pytest: 12 passed, 1 skipped."""
        names = ("passed", "failed", "errors", "skipped")
        said = [f"{getattr(self, name)} {name}" for name in names if getattr(self, name)]
        return f"{self.runner}: {', '.join(said) or ('no count' if self.total is None else 'no test')}"


def read(*streams: str, partial: bool = False) -> Tests | None:
    """The numbers in the last part of stdout and of stderr; None where no runner is recognised.

    Closing lines are added up: one command may run several suites.
    """
    found: list[tuple[str, Counts]] = []
    for stream in streams:
        text = _ANSI.sub("", stream).replace("\r\n", "\n")
        closings = list(_closings(text))
        if "gotestsum" not in (name for name, _ in closings):
            closings += _go(text)
        found += closings or _tap(text)
    if not found:
        return None
    sums: Counts = {}
    for _, counts in found:
        for name, count in counts.items():
            sums[name] = sums.get(name, 0) + count
    unsaid = any("total" not in counts for _, counts in found)
    return Tests(
        runner=" + ".join(dict.fromkeys(name for name, _ in found)),
        passed=None if unsaid else sums["passed"],
        failed=sums["failed"],
        skipped=sums["skipped"],
        errors=sums["errors"],
        total=None if unsaid else sums["total"],
        closing_lines=len(found),
        partial=partial,
    )


class Closing(NamedTuple):
    """A runner's closing line: groups named like the counts hold numbers, the group `said` a list in words."""

    runner: str
    pattern: re.Pattern[str]
    # It prints such a line for every suite, and the last is the sum of all.
    last_counts: bool = False


def _line(runner: str, pattern: str, *, last_counts: bool = False) -> Closing:
    return Closing(runner, re.compile(pattern, re.MULTILINE), last_counts)


_PYTEST = r"(?:passed|failed|errors?|skipped|xfailed|xpassed|deselected|warnings?|reruns?|rerun|subtests passed|subtests failed)"
_DURATION = r"[\d.]+ ?(?:ns|µs|us|ms|s|m|h)"

CLOSINGS = (
    _line("pytest", rf"^(?:=+ )?(?P<said>\d+ {_PYTEST}(?:, \d+ {_PYTEST})*) in [\d.]+s(?: \([\d:]+\))?(?: =+)?$"),
    _line(
        "pytest", r"^(?:=+ )?(?P<none>no tests ran|(?:no|[\d/]+) tests? collected(?: \(.*\))?(?:, \d+ errors?)?) in [\d.]+s.*$"
    ),
    _line("unittest", r"^Ran (?P<total>\d+) tests? in [\d.]+s\n+(?:OK|FAILED|PASSED|NO TESTS RAN)(?: \((?P<said>[^)\n]*)\))?$"),
    _line("gotestsum", r"^DONE (?:\d+ runs?, )?(?P<total>\d+) tests?(?P<said>(?:, \d+ \w+)*) in [\d.]+m?s$"),
    _line("cargo test", r"^test result: (?:ok|FAILED)\. (?P<said>\d+ passed; \d+ failed; \d+ ignored)"),
    _line("nextest", r"^ +Summary \[ *[\d.]+s\] +\d+(?:/\d+)? tests? run: (?P<said>.*)$"),
    _line("nextest", r"^error: (?P<none>no tests to run)"),
    _line(
        "node --test",
        r"^[ℹ#] tests (?P<total>\d+)\n(?:[ℹ#] suites \d+\n)?[ℹ#] pass +(?P<passed>\d+)\n(?:[ℹ#] fail +(?P<failed>\d+)\n?)?"
        r"(?:[ℹ#] cancelled (?P<errors>\d+)\n)?(?:[ℹ#] skipped (?P<skipped>\d+)\n)?(?:[ℹ#] todo (?P<other>\d+))?",
    ),
    _line("jest", r"^Tests: +(?P<said>(?:\d+ (?:failed|skipped|todo|passed), )*)(?P<total>\d+) total$"),
    _line("jest", r"^(?P<none>No tests found), exiting with code \d"),
    _line("pest", r"^ *Tests: +(?P<said>\d+ [a-z]+(?:, \d+ [a-z]+)*) \(\d+ assertions?\)$"),
    _line("vitest", r"^ +Tests +(?P<said>\d+ [a-z ]+(?: \| \d+ [a-z ]+)*) \((?P<total>\d+)\)$"),
    _line("vitest", r"^ *(?P<none>Tests +no tests|No test files found, exiting with code \d)"),
    _line(
        "mocha",
        r"^ +(?P<passed>\d+) passing(?: \([\w. ]+\))?$(?:\n +(?P<skipped>\d+) pending$)?(?:\n +(?P<failed>\d+) failing$)?",
    ),
    _line(
        "playwright",
        r"^(?:  (?P<failed>\d+) failed\n(?:    .*\n)*)?(?:  (?P<flaky>\d+) flaky\n(?:    .*\n)*)?"
        rf"(?:  (?P<skipped>\d+) skipped\n)?(?:  \d+ did not run\n)?  (?P<passed>\d+) passed \({_DURATION}\)$",
    ),
    _line("prove", r"^Files=\d+, Tests=(?P<total>\d+), .*\nResult: (?P<verdict>\w+)$"),
    _line("ctest", r"^\d+% tests passed, (?P<failed>\d+) tests? failed out of (?P<total>\d+)$"),
    _line("ctest", r"^(?P<none>No tests were found!!!)$"),
    _line(
        "rspec",
        r"^(?P<total>\d+) examples?, (?P<failed>\d+) failures?(?:, (?P<skipped>\d+) pending)?(?:, (?P<errors>\d+) errors? occurred.*)?$",
    ),
    _line("minitest", r"^(?P<total>\d+) (?:runs|tests), \d+ assertions, (?P<said>\d+ failures, \d+ errors(?:, \d+ \w+)*)$"),
    _line("exunit or bats", r"^(?P<said>(?:\d+ (?:doctests?|property|properties|tests?), )+\d+ failures?(?:, \d+ [a-z ]+)*)$"),
    _line("phpunit", r"^OK \((?P<total>\d+) tests?, \d+ assertions?\)$"),
    _line("phpunit", r"^Tests: (?P<total>\d+), Assertions: \d+(?P<said>(?:, [A-Za-z ]+: \d+)*)\.$"),
    _line("phpunit", r"^(?P<none>No tests executed!)$"),
    _line("junit", r"^OK \((?P<total>\d+) tests?\)$"),
    _line("junit", r"^Tests run: (?P<total>\d+),  Failures: (?P<failed>\d+)$"),
    _line(
        "junit",
        r"^\[ *(?P<total>\d+) tests found +\]\n\[ *(?P<skipped>\d+) tests skipped +\]\n\[ *\d+ tests started +\]\n"
        r"\[ *(?P<errors>\d+) tests aborted +\]\n\[ *(?P<passed>\d+) tests successful +\]\n\[ *(?P<failed>\d+) tests failed +\]$",
    ),
    _line(
        "surefire",
        r"^(?:\[\w+\] )?Tests run: (?P<total>\d+), Failures: (?P<failed>\d+), Errors: (?P<errors>\d+), Skipped: (?P<skipped>\d+)$",
    ),
    _line("surefire", r"^(?:\[\w+\] )?(?P<none>No tests to run\.)$"),
    _line("gradle", r"^(?P<total>\d+) tests? completed(?P<said>(?:, \d+ (?:failed|skipped))*)$"),
    _line(
        "dotnet test",
        r"^(?:Passed|Failed|Skipped)! +- Failed: +(?P<failed>\d+), Passed: +(?P<passed>\d+), Skipped: +(?P<skipped>\d+), Total: +(?P<total>\d+)",
    ),
    _line("dotnet test", r"^ *Test summary: (?P<said>total: \d+, failed: \d+, succeeded: \d+, skipped: \d+)"),
    _line("dotnet test", r"^Test run summary: .*\n(?P<said>(?: +(?:total|failed|succeeded|skipped): \d+\n?)+)"),
    _line(
        "dotnet test",
        r"^Total tests: (?P<total>\d+)$(?:\n +Passed: (?P<passed>\d+)$)?(?:\n +Failed: (?P<failed>\d+)$)?(?:\n +Skipped: (?P<skipped>\d+)$)?",
    ),
    _line("dotnet test", r"^(?P<none>No test (?:is available in|matches the given testcase filter)) ?.*$"),
    _line(
        "xctest",
        r"^Test Suite '(?:All|Selected) tests' (?:passed|failed) at .*\n\s*Executed (?P<total>\d+) tests?,"
        r" with (?:(?P<skipped>\d+) tests? skipped and )?(?P<failed>\d+) failures?",
    ),
    _line(
        "swift testing",
        r"^\S+ +Test run with (?P<total>\d+) tests?(?: in \d+ suites?)? (?:passed|failed) after [\d.]+ seconds(?: with (?P<failed>\d+) issues?)?",
    ),
    _line(
        "googletest",
        r"^\[=+\] (?P<total>\d+) tests? from \d+ test (?:suites?|cases?) ran\..*\n\[  PASSED  \] (?P<passed>\d+) tests?\."
        r"(?:\n\[  SKIPPED \] (?P<skipped>\d+) tests?, listed below:(?:\n\[  SKIPPED \] \D.*)*)?"
        r"(?:\n\[  FAILED  \] (?P<failed>\d+) tests?, listed below)?",
    ),
    _line("catch2", r"^All tests passed \(\d+ assertions? in (?P<total>\d+) test cases?\)$"),
    _line("catch2", r"^test cases: +(?P<total>\d+) \|(?P<said>(?:[ |]*\d+ [a-z ]+)+)$"),
    _line("doctest", r"^\[doctest\] test cases: +\d+ \|(?P<said>(?:[ |]*\d+ [a-z]+)+) *$"),
    _line("jasmine", r"^(?P<total>\d+) specs?, (?P<failed>\d+) failures?(?:, (?P<skipped>\d+) pending specs?)?$"),
    _line("deno test", r"^(?:ok|FAILED) \| (?P<said>\d+ passed.* \| \d+ failed.*) \(.*\)$"),
    _line(
        "bun test", r"^ *(?P<passed>\d+) pass\n(?: *(?P<skipped>\d+) skip\n)?(?: *(?P<todo>\d+) todo\n)? *(?P<failed>\d+) fail$"
    ),
    _line("scalatest", r"^(?:\[\w+\] )?Tests: (?P<said>succeeded \d+, failed \d+, canceled \d+, ignored \d+, pending \d+)"),
    _line(
        "dart test",
        r"^(?:.*\r)?\d\d:\d\d \+(?P<passed>\d+)(?: ~(?P<skipped>\d+))?(?: -(?P<failed>\d+))?: (?:All tests passed!|Some tests failed\.)",
    ),
    _line(
        "robot",
        r"^(?P<total>\d+) tests?, (?P<passed>\d+) passed, (?P<failed>\d+) failed(?:, (?P<skipped>\d+) skipped)?$",
        last_counts=True,
    ),
)


def _closings(text: str) -> Iterator[tuple[str, Counts]]:
    for closing in CLOSINGS:
        matches = list(closing.pattern.finditer(text))
        for match in matches[-1:] if closing.last_counts else matches:
            counts = _counts(match)
            special = _SPECIAL.get(closing.runner)
            if special is not None:
                special(counts, match, text)
            yield closing.runner, _whole(counts)


def _counts(match: re.Match[str]) -> Counts:
    counts: Counts = {}
    groups = match.groupdict()
    if "none" in groups:
        return {"total": 0}
    for number, words, label, value in _SAID.findall(_in_order(groups.get("said") or "")):
        said = (words or label).lower()
        meaning = _MEANING.get(said) or _MEANING.get(said.split()[0])
        if meaning:
            counts[meaning] = counts.get(meaning, 0) + int(number or value)
    for name, value in groups.items():
        meaning = name if name in _MEANS else _MEANING.get(name)
        if meaning and value is not None:
            counts[meaning] = counts.get(meaning, 0) + int(value)
    return counts


def _in_order(said: str) -> str:
    """`failed 1` as `failed: 1`; what stands in parentheses is a remark on the number before it."""
    return re.sub(r"([a-z]) (\d+)(?=,|$)", r"\1: \2", re.sub(r"\([^)]*\)", "", said))


def _whole(counts: Counts) -> Counts:
    """Every count, what is not said following from the rest."""
    rest = sum(counts.get(name, 0) for name in ("failed", "skipped", "errors", "other"))
    failed, total = counts.get("failed", 0), counts.get("total")
    if total is not None and failed > total:
        # Some count failed assertions, of which a test can have many.
        rest, failed = rest - failed + total, total
    passed = counts.get("passed")
    if passed is None:
        passed = max(0, (rest if total is None else total) - rest)
    if total is None:
        total = passed + rest
    return {
        "passed": passed,
        "failed": failed,
        "skipped": counts.get("skipped", 0),
        "errors": counts.get("errors", 0),
        "total": total,
    }


# --- runners whose closing line does not say it all -----------------------------------------------


def _prove(counts: Counts, match: re.Match[str], text: str) -> None:
    counts["failed"] = sum(int(number) for number in re.findall(r"^Failed (\d+)/\d+ subtests", text, re.MULTILINE))
    counts["skipped"] = sum(int(number) for number in re.findall(r"\(less (\d+) skipped subtest", text))
    if match["verdict"] == "FAIL" and not counts["failed"]:
        counts["errors"] = 1


def _ctest(counts: Counts, match: re.Match[str], text: str) -> None:
    # It counts a skipped test among those that passed, and a disabled one not at all.
    counts["skipped"] = len(re.findall(r"^\s+\d+ - .* \(Skipped\)$", text[match.end() :], re.MULTILINE))


_SPECIAL: dict[str, Callable[[Counts, re.Match[str], str], None]] = {"prove": _prove, "ctest": _ctest}

_GO_PACKAGE = re.compile(
    r"^(?:(?P<ok>ok)  \t\S+\t(?:[\d.]+s|\(cached\))(?P<none>.*\[no tests to run\])?|FAIL\t\S+ (?P<broken>\[.* failed\])|(?P<fail>FAIL)\t\S+\t[\d.]+s"
    r"|\?   \t\S+\t(?P<empty>\[no test files\]))",
    re.MULTILINE,
)
_GO_TEST = re.compile(r"^--- (PASS|FAIL|SKIP): ", re.MULTILINE)
_GO_JSON = re.compile(r'^\{.*"Action":"(pass|fail|skip)".*"Test":"[^"/]+"', re.MULTILINE)


def _go(text: str) -> Iterator[tuple[str, Counts]]:
    """go test closes each package with a line, and counts tests only with -v or -json."""
    packages = list(_GO_PACKAGE.finditer(text))
    events = [event.upper() for event in _GO_JSON.findall(text)]
    if not packages and not events:
        return
    ended = events or _GO_TEST.findall(text)
    counts = {"failed": ended.count("FAIL"), "skipped": ended.count("SKIP"), "passed": ended.count("PASS")}
    counts["errors"] = sum(1 for package in packages if package["broken"])
    # A package that failed without a failed test: it panicked, or its TestMain did.
    if any(package["fail"] for package in packages) and not counts["failed"]:
        counts["errors"] += 1
    uncounted = any(package["ok"] and not package["none"] for package in packages) and not counts["passed"] + counts["skipped"]
    whole = _whole(counts)
    if uncounted:
        del whole["total"]
    yield "go test", whole


_TAP_LINE = re.compile(r"^(?P<bad>not )?ok\b(?: +\d+)?(?P<rest>.*)$", re.MULTILINE)
_TAP_PLAN = re.compile(r"^1\.\.(\d+)(?: *#.*)?$", re.MULTILINE)


def _tap(text: str) -> Iterator[tuple[str, Counts]]:
    """The Test Anything Protocol itself (bats, tap, pg_prove ...): a plan, and a line for each test."""
    plan = sum(int(number) for number in _TAP_PLAN.findall(text))
    if not _TAP_PLAN.search(text):
        return
    counts = {"passed": 0, "failed": 0, "skipped": 0, "other": 0}
    for line in _TAP_LINE.finditer(text):
        directive = re.search(r"# *(skip|todo)", line["rest"], re.IGNORECASE)
        if directive:
            counts["skipped" if directive[1].lower() == "skip" else "other"] += 1
        else:
            counts["failed" if line["bad"] else "passed"] += 1
    # Tests that were planned and never reported did not pass.
    counts["errors"] = max(0, plan - sum(counts.values()))
    yield "TAP", _whole(counts)
