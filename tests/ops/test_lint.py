"""Lint: what a contract text is failed for, and what it is not."""

from __future__ import annotations

import time

import pytest

from kaizen_components import wordiness

CRISP = "The tool writes one record. It exits with code zero. A refusal names the field, on stderr, with exit code 2."
PADDED = (
    "It is important to note that, due to the fact that there are a number of things which we might want to do, it would"
    " seem that it is perhaps for the best if we were to try to do what we can in order to be of help at this point in time."
)


def test_a_crisp_text_passes(kz):
    reply = kz.ok("Q10", body=CRISP, strict=True)
    assert reply["verdict"] == "pass" and reply["reasons"] == []
    assert (reply["op"], reply["word_count"], reply["sentence_count"]) == ("Q10", 21, 3)
    assert reply["filler_hits"] == reply["hedge_hits"] == reply["duplicate_sentences"] == []


def test_a_padded_text_fails_with_its_reasons_and_exits_0(kz):
    reply = kz.ok("Q10", body=PADDED)
    assert reply["verdict"] == "fail"
    assert [reason.split()[0] for reason in reply["reasons"]] == ["signal_per_token", "5", "4"]
    assert reply["signal_per_token"] < 0.35 and reply["hedge_density"] > 0.02


def test_strict_turns_a_fail_into_exit_code_1(kz):
    reply = kz("Q10", body=PADDED, strict=True)
    assert (reply.code, reply["status"], reply["verdict"], reply.stderr) == (1, "OK", "fail", "")


def test_a_filler_is_shown_where_it_stands_with_what_to_write_instead(kz):
    body = "Run it in  order\nto test. This is very fast."
    hits = kz.ok("Q10", body=body)["filler_hits"]
    assert hits[0] == {"label": "wordy", "span": [7, 19], "suggestion": "to", "text": "in  order\nto"}
    assert (hits[1]["label"], hits[1]["text"], hits[1]["suggestion"]) == ("intensifier", "very", "(remove)")


def test_a_hedge_is_shown_where_it_stands(kz):
    body = "İ: If possible, it will probably stop."
    hits = kz.ok("Q10", body=body)["hedge_hits"]
    assert [(hit["word"], body[slice(*hit["span"])]) for hit in hits] == [
        ("If possible", "If possible"),
        ("probably", "probably"),
    ]


def test_a_phrase_with_a_comma_inside_is_no_phrase(kz):
    assert kz.ok("Q10", body="Put them in order, to the left first.")["filler_hits"] == []


def test_one_filler_fails_no_text(kz):
    assert kz.ok("Q10", body="Wait in order to retry.")["verdict"] == "pass"


def test_a_sentence_that_comes_twice_fails(kz):
    reply = kz.ok("Q10", body="The gate must pass first. Then it runs.\n\n- the gate  must pass first.\n- then it runs")
    assert reply["duplicate_sentences"] == ["The gate must pass first."]
    assert reply["verdict"] == "fail" and reply["sentence_count"] == 4


def test_code_is_not_judged(kz):
    body = "Run `just very basically` now.\n\n```\nreally really simply\nreally really simply\n```\nThen stop."
    reply = kz.ok("Q10", body=body)
    assert (reply["word_count"], reply["filler_hits"], reply["duplicate_sentences"]) == (4, [], [])


@pytest.mark.parametrize("mark", ["```\n", "~~~ text\n", "`"])
def test_a_mark_of_code_that_is_never_closed_hides_nothing(kz, mark):
    assert kz.ok("Q10", body=mark + PADDED)["verdict"] == "fail"


def test_requirements_may_say_may_and_should(kz):
    reply = kz.ok("Q10", body="The server MAY close the connection. The client SHOULD retry, and MUST log the code.")
    assert reply["hedge_hits"] == [] and reply["verdict"] == "pass"


def test_every_phrase_of_the_lists_is_found():
    phrases = [phrase for phrases in wordiness.FILLERS.values() for phrase in phrases] + wordiness.HEDGES.split(", ")
    assert len(phrases) == len(set(phrases))
    for phrase in phrases:
        judged = wordiness.judge(phrase)
        assert [hit.text for hit in judged.fillers + judged.hedges] == [phrase]


def test_the_same_text_is_always_judged_the_same():
    assert wordiness.judge(PADDED) == wordiness.judge(PADDED)


def test_a_file_of_the_project_is_read(kz, plane):
    (plane / "contract.md").write_bytes("\ufeff".encode() + CRISP.encode())
    reply = kz.ok("Q10", path="contract.md")
    assert (reply["path"], reply["verdict"], reply["word_count"]) == ("contract.md", "pass", 21)


def test_body_file_takes_a_file_or_stdin(kz, tmp_path):
    (tmp_path / "c.txt").write_text(PADDED)
    assert kz.ok("Q10", body_file=tmp_path / "c.txt")["verdict"] == "fail"
    assert kz.ok("Q10", body_file="-", _stdin=CRISP)["verdict"] == "pass"


def test_a_file_outside_the_project_is_refused_unless_it_is_allowed(kz, tmp_path):
    (tmp_path / "c.txt").write_text(CRISP)
    kz.denied("DENIED_PATH_OUTSIDE_REPO", "Q10", path=tmp_path / "c.txt")
    assert kz.ok("Q10", path=tmp_path / "c.txt", allow_external=True)["path"] == "external:c.txt"


@pytest.mark.parametrize("flags", [{}, {"body": " \n"}, {"path": "empty.md"}])
def test_a_text_is_required(kz, plane, flags):
    (plane / "empty.md").touch()
    kz.denied("DENIED_CONTRACT_TEXT_REQUIRED", "Q10", **flags)


def test_two_texts_are_a_conflict(kz, plane):
    (plane / "c.md").write_text(CRISP)
    kz.denied("DENIED_FLAG_CONFLICT", "Q10", body=CRISP, path="c.md")


@pytest.mark.parametrize("path", ["nowhere.md", "."])
def test_a_file_that_is_not_there_is_refused(kz, path):
    assert kz.denied("DENIED_FILE_NOT_FOUND", "Q10", path=path).code == 1


def test_a_file_that_is_not_utf_8_is_refused(kz, plane):
    (plane / "latin.md").write_bytes(b"caf\xe9")
    kz.denied("DENIED_FILE_NOT_UTF8", "Q10", path="latin.md")


def test_a_file_over_a_megabyte_is_refused(kz, plane):
    (plane / "big.md").write_bytes(b"a" * 1_000_001)
    kz.denied("DENIED_FILE_TOO_LARGE", "Q10", path="big.md")


def test_no_data_plane_is_made(kz, plane):
    kz.ok("Q10", body=CRISP)
    assert not (plane / "AI").exists()


MEGABYTE = 1_000_000
HOSTILE = [
    "a",
    "a ",
    "in ",
    "in the ",
    "it is important to ",
    "in order, ",
    "\n",
    "-\n",
    "- a\n",
    "A. ",
    ".",
    "1",
    "`",
    "` ",
    "```\n",
    "~~~a\n",
    "`x``y```z",
    "a-",
    "'",
    "«",
    "a\x1c",
]


@pytest.mark.parametrize("unit", HOSTILE)
def test_the_time_for_anything_grows_with_its_length_and_not_faster(unit):
    # Processor time, the better of two; where it grew with the square, eight times the text would take 64 times as long.
    short, long = (unit * (size // len(unit)) for size in (MEGABYTE // 8, MEGABYTE))
    assert min(seconds(long) for _ in range(2)) < 30 * min(seconds(short) for _ in range(2)) + 0.5


def seconds(text: str) -> float:
    start = time.process_time()
    wordiness.judge(text)
    return time.process_time() - start
