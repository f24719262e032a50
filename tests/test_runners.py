"""Runners: the closing lines of each, as they print them, and the numbers that are read from them."""

from __future__ import annotations

import pytest

from kaizen_components import runners

# name -> (what it prints, runner, passed, failed, skipped, errors, total)
CLOSINGS = {
    "pytest": (
        "========== 1 failed, 1 passed, 1 skipped, 1 xfailed, 1 error in 0.52s ==========\n",
        ("pytest", 1, 1, 1, 1, 5),
    ),
    "pytest -q": (
        "..                                  [100%]\n12 passed, 3 warnings in 75.12s (0:01:15)\n",
        ("pytest", 12, 0, 0, 0, 12),
    ),
    "pytest in colour": (
        "\x1b[31m\x1b[31m\x1b[1m1 failed\x1b[0m, \x1b[32m1 passed\x1b[0m\x1b[31m in 0.55s\x1b[0m\x1b[0m\n",
        ("pytest", 1, 1, 0, 0, 2),
    ),
    "pytest with subtests": ("3 passed, 7 subtests passed in 0.10s\n", ("pytest", 3, 0, 0, 0, 3)),
    "pytest without a match": ("5 deselected in 0.53s\n", ("pytest", 0, 0, 0, 0, 0)),
    "pytest without a test": ("============ no tests ran in 0.51s ============\n", ("pytest", 0, 0, 0, 0, 0)),
    "pytest --collect-only": ("1/5 tests collected (4 deselected) in 0.53s\n", ("pytest", 0, 0, 0, 0, 0)),
    "unittest": (
        "Ran 6 tests in 0.001s\n\nFAILED (failures=1, errors=1, skipped=1, expected failures=1, unexpected successes=1)\n",
        ("unittest", 1, 2, 1, 1, 6),
    ),
    "unittest that passes": ("Ran 3 tests in 0.001s\n\nOK (skipped=1)\n", ("unittest", 2, 0, 1, 0, 3)),
    "unittest without a test": ("Ran 0 tests in 0.000s\n\nOK\n", ("unittest", 0, 0, 0, 0, 0)),
    "unittest 3.12 without a test": ("Ran 0 tests in 0.000s\n\nNO TESTS RAN\n", ("unittest", 0, 0, 0, 0, 0)),
    "go test -v": (
        "=== RUN   TestA\n--- PASS: TestA (0.00s)\n--- SKIP: TestB (0.00s)\nPASS\nok  \texample.com/a\t0.003s\n",
        ("go test", 1, 0, 1, 0, 2),
    ),
    "go test": ("ok  \texample.com/a\t0.003s\nok  \texample.com/b\t(cached)\n", ("go test", None, 0, 0, 0, None)),
    "go test that fails": (
        "--- FAIL: TestA (0.00s)\n    a_test.go:5: no\nFAIL\nFAIL\texample.com/a\t0.003s\nok  \texample.com/b\t0.01s\nFAIL\n",
        ("go test", None, 1, 0, 0, None),
    ),
    "go test that does not build": ("FAIL\texample.com/a [build failed]\nFAIL\n", ("go test", 0, 0, 0, 1, 1)),
    "go test without a test": (
        "?   \texample.com/a\t[no test files]\nok  \texample.com/b\t0.01s [no tests to run]\n",
        ("go test", 0, 0, 0, 0, 0),
    ),
    "go test -json": (
        '{"Time":"2026-01-01T00:00:00Z","Action":"pass","Package":"a","Test":"TestA","Elapsed":0}\n'
        '{"Time":"2026-01-01T00:00:00Z","Action":"fail","Package":"a","Test":"TestB","Elapsed":0}\n'
        '{"Time":"2026-01-01T00:00:00Z","Action":"fail","Package":"a","Elapsed":0}\n',
        ("go test", 1, 1, 0, 0, 2),
    ),
    "gotestsum": ("DONE 12 tests, 1 skipped, 2 failures in 1.204s\n", ("gotestsum", 9, 2, 1, 0, 12)),
    "cargo test": (
        "test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.12s\n",
        ("cargo test", 1, 1, 1, 0, 3),
    ),
    "cargo test of two crates": (
        "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n"
        "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
        ("cargo test", 5, 0, 1, 0, 6),
    ),
    "nextest": (
        "     Summary [   0.012s] 4 tests run: 3 passed (1 slow), 1 failed, 2 skipped\n",
        ("nextest", 3, 1, 2, 0, 6),
    ),
    "nextest cut short": (
        "     Summary [   0.012s] 3/9 tests run: 1 passed, 1 failed, 1 timed out, 0 skipped\n",
        ("nextest", 1, 1, 0, 1, 3),
    ),
    "nextest without a test": ("error: no tests to run\n(hint: use `--no-tests` to customize)\n", ("nextest", 0, 0, 0, 0, 0)),
    "node --test": (
        "ℹ tests 6\nℹ suites 0\nℹ pass 3\nℹ fail 1\nℹ cancelled 0\nℹ skipped 1\nℹ todo 1\nℹ duration_ms 95.5\n",
        ("node --test", 3, 1, 1, 0, 6),
    ),
    "node --test as TAP": (
        "TAP version 13\n# Subtest: a\nok 1 - a\n1..1\n# tests 1\n# suites 0\n# pass 1\n# fail 0\n# cancelled 0\n# skipped 0\n# todo 0\n",
        ("node --test", 1, 0, 0, 0, 1),
    ),
    "node --test without a test": (
        "TAP version 13\n1..0\n# tests 0\n# suites 0\n# pass 0\n# fail 0\n# cancelled 0\n# skipped 0\n# todo 0\n",
        ("node --test", 0, 0, 0, 0, 0),
    ),
    "tape": ("1..2\n# tests 2\n# pass  1\n# fail  1\n", ("node --test", 1, 1, 0, 0, 2)),
    "jest": (
        "Test Suites: 2 failed, 2 total\nTests:       1 failed, 1 skipped, 1 todo, 1 passed, 4 total\nSnapshots:   0 total\n",
        ("jest", 1, 1, 2, 0, 4),
    ),
    "jest without a test": ("No tests found, exiting with code 0\n", ("jest", 0, 0, 0, 0, 0)),
    "pest": ("  Tests:    1 failed, 2 passed (3 assertions)\n", ("pest", 2, 1, 0, 0, 3)),
    "vitest": (
        " Test Files  1 failed (1)\n      Tests  1 failed | 1 passed | 1 skipped | 1 todo (4)\n   Start at  03:38:24\n",
        ("vitest", 1, 1, 2, 0, 4),
    ),
    "vitest without a test": ("No test files found, exiting with code 0\n", ("vitest", 0, 0, 0, 0, 0)),
    "mocha": ("\n  1 passing (3ms)\n  1 pending\n  1 failing\n\n  1) b:\n", ("mocha", 1, 1, 1, 0, 3)),
    "mocha without a test": ("\n\n  0 passing (1ms)\n\n", ("mocha", 0, 0, 0, 0, 0)),
    "jasmine": ("3 specs, 1 failure, 1 pending spec\nFinished in 0.004 seconds\n", ("jasmine", 1, 1, 1, 0, 3)),
    "playwright": (
        "  1 failed\n    a.spec.js:2:18 › b ──────────\n  1 skipped\n  1 passed (909ms)\n",
        ("playwright", 1, 1, 1, 0, 3),
    ),
    "deno test": ("ok | 3 passed (28 steps) | 0 failed | 2 ignored (3ms)\n", ("deno test", 3, 0, 2, 0, 5)),
    "bun test": (
        " 5 pass\n 1 skip\n 1 fail\n 9 expect() calls\nRan 7 tests across 2 files. [12.00ms]\n",
        ("bun test", 5, 1, 1, 0, 7),
    ),
    "prove": (
        "a.t .. \nFailed 1/3 subtests \n\t(less 1 skipped subtest: 1 okay)\nb.t .. ok\n\nTest Summary Report\n-------------------\n"
        "Files=2, Tests=4,  0 wallclock secs ( 0.01 usr +  0.01 sys =  0.02 CPU)\nResult: FAIL\n",
        ("prove", 2, 1, 1, 0, 4),
    ),
    "prove without a test": (
        "c.t .. skipped: no\nFiles=1, Tests=0,  0 wallclock secs ( 0.01 usr +  0.00 sys =  0.01 CPU)\nResult: NOTESTS\n",
        ("prove", 0, 0, 0, 0, 0),
    ),
    "ctest": (
        "67% tests passed, 1 tests failed out of 3\n\nTotal Test time (real) =   0.01 sec\n\nThe following tests did not run:\n"
        "\t  3 - three (Skipped)\n\t  4 - four (Disabled)\n\nThe following tests FAILED:\n\t  2 - two (Failed)\n",
        ("ctest", 1, 1, 1, 0, 3),
    ),
    "ctest without a test": ("Test project /work\nNo tests were found!!!\n", ("ctest", 0, 0, 0, 0, 0)),
    "rspec": (
        "Finished in 0.1 seconds\n5 examples, 1 failure, 2 pending, 1 error occurred outside of examples\n",
        ("rspec", 1, 1, 2, 1, 5),
    ),
    "minitest": ("3 runs, 5 assertions, 1 failures, 0 errors, 1 skips\n", ("minitest", 1, 1, 1, 0, 3)),
    "test-unit": (
        "4 tests, 5 assertions, 1 failures, 1 errors, 1 pendings, 0 omissions, 0 notifications\n",
        ("minitest", 1, 1, 1, 1, 4),
    ),
    "exunit": ("2 doctests, 1 property, 3 tests, 1 failure, 1 skipped\n", ("exunit or bats", 4, 1, 1, 0, 6)),
    "bats": (" ✓ adds\n ✗ fails\n\n3 tests, 1 failure, 1 skipped\n", ("exunit or bats", 1, 1, 1, 0, 3)),
    "phpunit": ("OK (3 tests, 5 assertions)\n", ("phpunit", 3, 0, 0, 0, 3)),
    "phpunit that fails": (
        "ERRORS!\nTests: 9, Assertions: 12, Errors: 1, Failures: 2, Warnings: 3, Skipped: 1, Incomplete: 1, Risky: 1.\n",
        ("phpunit", 4, 2, 2, 1, 9),
    ),
    "phpunit without a test": ("No tests executed!\n", ("phpunit", 0, 0, 0, 0, 0)),
    "maven surefire": (
        "[INFO] Tests run: 2, Failures: 0, Errors: 0, Skipped: 0, Time elapsed: 0.05 s - in a.ATest\n[INFO] Results:\n"
        "[ERROR] Tests run: 5, Failures: 1, Errors: 1, Skipped: 1\n",
        ("surefire", 2, 1, 1, 1, 5),
    ),
    "maven without a test": ("[INFO] No tests to run.\n", ("surefire", 0, 0, 0, 0, 0)),
    "junit 4": ("Time: 0.01\n\nOK (3 tests)\n", ("junit", 3, 0, 0, 0, 3)),
    "junit 4 that fails": ("FAILURES!!!\nTests run: 3,  Failures: 1\n", ("junit", 2, 1, 0, 0, 3)),
    "junit 5": (
        "[         6 tests found           ]\n[         1 tests skipped         ]\n[         5 tests started         ]\n"
        "[         1 tests aborted         ]\n[         3 tests successful      ]\n[         1 tests failed          ]\n",
        ("junit", 3, 1, 1, 1, 6),
    ),
    "gradle": ("59 tests completed, 1 failed, 1 skipped\nBUILD FAILED in 9s\n", ("gradle", 57, 1, 1, 0, 59)),
    "dotnet test": (
        "Failed!  - Failed:     1, Passed:     3, Skipped:     1, Total:     5, Duration: 12 ms - x.dll (net8.0)\n",
        ("dotnet test", 3, 1, 1, 0, 5),
    ),
    "dotnet test, terminal logger": (
        "Test summary: total: 5, failed: 1, succeeded: 3, skipped: 1, duration: 1.2s\n",
        ("dotnet test", 3, 1, 1, 0, 5),
    ),
    "dotnet test, testing platform": (
        "Test run summary: Passed! - a.dll (net10.0|x64)\n  total: 415\n  failed: 0\n  succeeded: 412\n  skipped: 3\n  duration: 4s 282ms\n",
        ("dotnet test", 412, 0, 3, 0, 415),
    ),
    "dotnet test, long form": (
        "Total tests: 5\n     Passed: 3\n     Failed: 1\n    Skipped: 1\n Total time: 1.2 Seconds\n",
        ("dotnet test", 3, 1, 1, 0, 5),
    ),
    "dotnet test without a test": ("No test is available in a.dll. Make sure ...\n", ("dotnet test", 0, 0, 0, 0, 0)),
    "swift test": (
        "Test Suite 'ATests' passed at 2026-01-01 00:00:00.000.\n\t Executed 4 tests, with 1 test skipped and 1 failure (0 unexpected) in 0.1 (0.1) seconds\n"
        "Test Suite 'All tests' failed at 2026-01-01 00:00:00.000.\n\t Executed 4 tests, with 1 test skipped and 1 failure (0 unexpected) in 0.1 (0.1) seconds\n",
        ("xctest", 2, 1, 1, 0, 4),
    ),
    "swift testing": ("✔ Test run with 3 tests in 1 suite passed after 0.001 seconds.\n", ("swift testing", 3, 0, 0, 0, 3)),
    "swift testing that fails": (
        "✘ Test run with 3 tests failed after 0.001 seconds with 7 issues.\n",
        ("swift testing", 0, 3, 0, 0, 3),
    ),
    "googletest": (
        "[==========] 4 tests from 2 test suites ran. (12 ms total)\n[  PASSED  ] 2 tests.\n[  SKIPPED ] 1 test, listed below:\n"
        "[  SKIPPED ] A.b\n[  FAILED  ] 1 test, listed below:\n[  FAILED  ] A.c\n",
        ("googletest", 2, 1, 1, 0, 4),
    ),
    "catch2": ("All tests passed (9 assertions in 3 test cases)\n", ("catch2", 3, 0, 0, 0, 3)),
    "catch2 that fails": (
        "test cases: 3 | 2 passed | 1 failed\nassertions: 9 | 8 passed | 1 failed\n",
        ("catch2", 2, 1, 0, 0, 3),
    ),
    "doctest": ("[doctest] test cases:  3 |  2 passed | 1 failed | 4 skipped\n", ("doctest", 2, 1, 4, 0, 7)),
    "scalatest": ("[info] Tests: succeeded 3, failed 1, canceled 0, ignored 2, pending 0\n", ("scalatest", 3, 1, 2, 0, 6)),
    "dart test": ("00:01 +3 ~1 -1: Some tests failed.\n", ("dart test", 3, 1, 1, 0, 5)),
    "robot": (
        "Suite.A\n2 tests, 1 passed, 1 failed\nSuite\n5 tests, 4 passed, 1 failed\nOutput: output.xml\n",
        ("robot", 4, 1, 0, 0, 5),
    ),
    "TAP": ("1..4\nok 1 a\nnot ok 2 b\nok 3 c # skip no network\nnot ok 4 d # TODO later\n", ("TAP", 1, 1, 1, 0, 4)),
    "TAP that stops": ("1..4\nok 1 a\n", ("TAP", 1, 0, 0, 3, 4)),
    "TAP without a test": ("1..0 # SKIP no database\n", ("TAP", 0, 0, 0, 0, 0)),
}

NO_CLOSING = {
    "a build": "Compiling kaizen v0.1.0\n    Finished dev [unoptimized] target(s) in 0.5s\n",
    "npm": "added 12 packages, and audited 13 packages in 3s\nfound 0 vulnerabilities\n",
    "prose": "3 tests were added and 2 passed review in 4 days.\nok, that is all\n",
    "a linter": "All checks passed!\nSuccess: no issues found in 5 source files\n",
    "ok lines without a plan": "ok\nok 1\nnot ok\n",
    "nothing": "",
}


@pytest.mark.parametrize("name", CLOSINGS)
def test_the_numbers_of_a_closing_line_are_read(name):
    text, expected = CLOSINGS[name]
    tests = runners.read("collecting ...\nall sorts of output\n" + text)
    assert tests is not None
    assert (tests.runner, tests.passed, tests.failed, tests.skipped, tests.errors, tests.total) == expected


@pytest.mark.parametrize("name", CLOSINGS)
def test_a_closing_line_may_come_on_stderr_with_windows_line_ends(name):
    text, expected = CLOSINGS[name]
    tests = runners.read("", text.replace("\n", "\r\n"))
    assert tests is not None and (tests.runner, tests.total) == (expected[0], expected[-1])


@pytest.mark.parametrize("name", [name for name in CLOSINGS if "without" in name or "collect-only" in name])
def test_a_runner_that_ran_no_test_is_seen(name):
    tests = runners.read(CLOSINGS[name][0])
    assert tests is not None and tests.none_ran


@pytest.mark.parametrize("name", NO_CLOSING)
def test_other_output_is_no_test_run(name):
    assert runners.read(NO_CLOSING[name]) is None


def test_tests_that_were_all_skipped_did_not_run():
    tests = runners.read("3 skipped in 0.01s\n")
    assert tests is not None and tests.none_ran


def test_packages_without_a_count_did_run():
    tests = runners.read("ok  \texample.com/a\t0.003s\n")
    assert tests is not None and not tests.none_ran and tests.say() == "go test: no count"


def test_two_runners_of_one_command_are_added_up():
    tests = runners.read("3 passed in 0.01s\n\nTests:       1 failed, 2 passed, 3 total\n")
    assert tests is not None
    assert tests.record() == {
        "runner": "pytest + jest",
        "passed": 5,
        "failed": 1,
        "skipped": 0,
        "errors": 0,
        "total": 6,
        "closing_lines": 2,
    }


def test_a_broken_closing_line_is_a_bad_one():
    tests = runners.read("1 error in 0.01s\n")
    assert tests is not None and tests.bad == 1 and not tests.none_ran


def test_a_quarter_megabyte_of_any_text_is_read_in_a_moment():
    import time

    for text in ("1 passed " * 30_000, "ok 1 - x\n" * 30_000, " " * 262_144, "a\n" * 130_000, "  1 failed\n    x\n" * 16_000):
        started = time.perf_counter()
        runners.read(text)
        assert time.perf_counter() - started < 2
