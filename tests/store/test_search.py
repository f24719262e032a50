"""Search: what is found, in which order, and that the index can always be made anew."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kaizen_components import paths
from kaizen_components.op import Call, Result
from kaizen_components.ops.gotcha import Gotcha
from kaizen_components.store import Store, search

QUIET = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


def note(kz, title: str, summary: str = "A fact.", body: str = "Nothing else.", **flags) -> str:
    return kz.ok("G1", title=title, summary=summary, body=body, **flags)["id"]


def found(kz, query: str, op: str = "G3", **flags) -> list[str]:
    return [record["id"] for record in kz.ok(op, query=query, **flags)["records"]]


def index_of(plane: Path) -> Path:
    return plane / "AI" / "db" / "search.db"


# --- what matches ---------------------------------------------------------------------------------


def test_all_words_must_match_in_any_order(kz):
    both = note(kz, "alpha beta")
    note(kz, "alpha gamma")
    assert found(kz, "beta alpha") == [both]


def test_words_match_by_their_stem_and_in_any_case(kz):
    one = note(kz, "Logging was delayed")
    assert found(kz, "DELAYS") == [one]


def test_a_quoted_phrase_matches_exactly(kz):
    one = note(kz, "the running tests fail")
    note(kz, "tests running in a row fail")
    note(kz, "the run test fails")
    assert found(kz, '"running tests" fail') == [one]


def test_a_quoted_phrase_goes_over_line_ends(kz):
    one = note(kz, "Cache", body="It is the stale\n  cache again.")
    assert found(kz, '"stale cache again"') == [one]


@pytest.mark.parametrize("query", ["100%", "%", "load_average", "_", "a%_b"])
def test_percent_and_underscore_mean_themselves(kz, query):
    one = note(kz, "load_average at 100% with a%_b")
    note(kz, "load average at 100 percent, axyb, loadXaverage")
    assert found(kz, query) == [one]


@pytest.mark.parametrize(
    "query", ["snake", "case", "snake_case", "SNAKE_CASE", "pkg", "mod", "pkg.mod", "--cold-run", "c++", "path/to/it"]
)
def test_code_is_found_by_its_parts_and_as_a_whole(kz, query):
    one = note(kz, "Call snake_case from pkg.mod with --cold-run in C++ at path/to/it")
    note(kz, "Something else")
    assert found(kz, query) == [one]


def test_code_as_a_whole_is_preferred_to_its_parts(kz):
    whole = note(kz, "pkg.mod is slow")
    parts = note(kz, "the pkg mod is slow")
    assert found(kz, "pkg.mod") == [whole]
    assert set(found(kz, "pkg-mod")) == {whole, parts}


def test_a_piece_of_a_word_is_found_where_no_word_matches(kz):
    one = note(kz, "Fix login")
    note(kz, "Fix logout")
    assert found(kz, "gin") == [one]
    assert found(kz, "GIN ix") == [one]


def test_a_piece_of_a_word_is_not_looked_for_where_a_word_matches(kz):
    note(kz, "Fix login")
    one = note(kz, "Drink gin")
    assert found(kz, "gin") == [one]


def test_a_piece_that_stands_in_very_many_words_is_found(kz, plane):
    store = Store(paths.find())
    with store.group():
        for number in range(700):
            gotcha = Gotcha(title=f"word{number}ending", summary="A fact.", body="Nothing else.")
            store.perform(Call(op="G1", writes=True, only_adds=True), lambda gotcha=gotcha: (store.add(gotcha), Result())[1])
    assert len(found(kz, "ending", limit=-1)) == 700
    assert len(found(kz, "rd1", limit=-1)) == 111


@pytest.mark.parametrize(
    "query", ["登录", "失败", "用户登录失败", "ログイン", "Straße", "STRASSE", "éclair", "ÉCLAIR", "हिन्दी", "🚀", "привет"]
)
def test_any_language_is_found(kz, query):
    one = note(kz, "用户登录失败后", "ログインできない。", "Die Straße, ein éclair, हिन्दी में, 🚀, Привет мир.")
    note(kz, "unrelated")
    assert found(kz, query) == [one]


def test_an_accent_spelled_as_a_character_of_its_own_is_the_same(kz):
    one = note(kz, "cafe\u0301 au lait")
    assert found(kz, "café") == found(kz, "caf") == found(kz, '"café au"') == [one]


SYNTAX = ["AND", "OR", "NOT", "alpha OR beta", "alpha AND", "NEAR(alpha beta)", "alp*", "^alpha", "title:alpha", "-alpha", "alpha -beta",
          '"alpha', 'alpha"', '"', '""', '"""', "(alpha", "alpha)", "()", "{title}: alpha", "alpha + beta", "'", "\\", "'; DROP TABLE docs;"]  # fmt: skip


@pytest.mark.parametrize("query", SYNTAX)
def test_query_syntax_is_text_and_never_an_error(kz, query):
    kz.ok("G3", query=query)


def test_no_word_is_an_operator(kz):
    alpha = note(kz, "alpha")
    note(kz, "beta")
    assert found(kz, "alpha OR beta") == found(kz, "alp*beta") == found(kz, "alpha NOT beta") == found(kz, "title:alpha") == []
    assert found(kz, '"alpha') == found(kz, "(alpha)") == found(kz, "alpha?") == [alpha]


def test_a_query_is_required(kz):
    kz.denied("DENIED_QUERY_REQUIRED", "K17")


def test_nothing_is_found_for_what_is_nowhere(kz):
    note(kz, "alpha")
    assert kz.ok("K17", query="omega") == {"status": "OK", "records": [], "count": 0, "query": "omega"}


@QUIET
@given(
    st.text()
    | st.text(alphabet="\"%_*^-:()[]{}+'\\.~ ab\n\0")
    | st.text(alphabet=st.characters(categories=["Cs", "Mn", "Co", "So"]))
)
def test_no_query_ever_fails(kz, plane, query):
    if not index_of(plane).exists():
        note(kz, 'Fix "login" (a_b) 100%', "ab a-b *", "\\ ^ab ~ a:b")
    store = Store(paths.find())
    try:
        search.find(store, query, limit=5)
    finally:
        store.close()


WRITTEN = st.text(alphabet="aAbBzé登录失ß🚀%_.-+'\\/:*() \n", min_size=1, max_size=40)


@QUIET
@given(text=WRITTEN.filter(str.strip), data=st.data())
def test_any_piece_of_a_text_finds_its_record(plane, text, data):
    start = data.draw(st.integers(0, len(text) - 1))
    piece = text[start : data.draw(st.integers(start + 1, len(text)))]
    store = Store(paths.find())
    gotcha = Gotcha(title=text, summary="A fact.", body="Nothing else.")
    added: list[str] = []
    store.perform(Call(op="G1", writes=True), lambda: (added.append(store.add(gotcha)["id"]), Result())[1])
    hits = search.find(store, piece, where={"id": added[0]})
    store.close()
    assert hits or not piece.strip()


def test_taken_loosely_records_that_hold_some_of_the_words_follow_those_that_hold_all(kz):
    alpha, beta = note(kz, "alpha"), note(kz, "beta")
    store = Store(paths.find())

    def loosely(query: str, **options) -> list[tuple[str, str]]:
        hits = search.find(store, query, loosely=True, **options)
        store.close()
        return [(hit["id"], hit["matched"]) for hit in hits]

    assert loosely("alpha beta") == [(beta, "some words"), (alpha, "some words")]
    assert loosely("alpha omega") == [(alpha, "some words")] and loosely("lph") == []
    both = note(kz, "alpha beta")
    assert loosely("beta alpha") == [(both, "all words"), (beta, "some words"), (alpha, "some words")]
    assert loosely("beta alpha", limit=1, offset=1) == [(beta, "some words")]
    assert loosely("alpha", limit=1) == [(alpha, "all words")]


def loosely(query: str, **options) -> list[str]:
    store = Store(paths.find())
    hits = search.find(store, query, loosely=True, **options)
    store.close()
    return [hit["id"] for hit in hits]


def test_a_name_with_underscores_is_told_from_its_parts(kz):
    name = note(kz, "One", body="A long text in which __init__ stands once and other words stand besides.")
    parts = note(kz, "Two", body="An init of init.")
    joined = note(
        kz, "Three", body="Here move_to_end is called, which is long enough to be no better than the next for its length."
    )
    apart = note(kz, "Four", body="Move to end.")
    assert loosely("__init__ omega") == [name, parts]
    assert loosely("move_to_end omega") == [joined, apart]


def test_what_only_common_words_find_follows_what_rare_ones_find(kz, monkeypatch):
    monkeypatch.setattr(search.answering, "MOST_DRIVEN", 2)
    common = [note(kz, f"alpha {number}") for number in range(4)]
    rare, both = note(kz, "beta and a rather long title"), note(kz, "beta alpha")
    assert loosely("alpha beta omega") == [both, rare, *common[::-1]]
    assert loosely("alpha beta omega", limit=2) == [both, rare]


def test_every_word_counts_once_whichever_found_the_record(kz, monkeypatch):
    for number in range(4):
        note(kz, f"alpha {number}")
    note(kz, "beta alpha")
    store = Store(paths.find())
    whole = search.find(store, "alpha beta omega", loosely=True, limit=1)
    monkeypatch.setattr(search.answering, "MOST_DRIVEN", 2)
    assert search.find(store, "alpha beta omega", loosely=True, limit=1) == whole
    store.close()


@pytest.mark.parametrize("query", ["how do I do it", "the", "what is this?"])
def test_where_no_word_says_anything_the_words_themselves_answer(kz, query):
    one = note(kz, "This is how it is done, and the rest follows")
    assert loosely(query) == [one]


@pytest.mark.parametrize(
    "query", ["a_b_" * 2500, "x" * 10_000, "alpha-" * 1700 + "omega", "w " * 5000, '"' * 10_000, "_" * 10_000]
)
def test_a_query_of_ten_thousand_characters_is_answered(kz, query):
    note(kz, "Something")
    assert loosely(query) == []
    store = Store(paths.find())
    assert search.find(store, query, described=True) == search.find(store, query, loosely=True, pieces=True, described=True) == []
    store.close()


# --- in which order -------------------------------------------------------------------------------


def test_a_match_in_the_title_stands_before_the_summary_before_the_body(kz):
    body = note(kz, "One", "A fact.", "The cache is stale.")
    summary = note(kz, "Two", "The cache is stale.")
    title = note(kz, "The cache is stale")
    for _ in range(5):
        note(kz, "Filler", "Something.", "Other words.")
    assert found(kz, "cache") == [title, summary, body]


def test_of_equals_the_newest_stands_first(kz):
    ids = [note(kz, "Same words") for _ in range(3)]
    assert found(kz, "same") == ids[::-1]
    assert found(kz, "ame") == ids[::-1]


def test_of_very_many_matches_the_newest_are_ranked(kz, monkeypatch):
    monkeypatch.setattr(search.answering, "MOST_RANKED", 4)
    oldest = note(kz, "cache cache cache", "cache", "cache")
    newer = [note(kz, "Filler", body="The cache is one word among many others here.") for _ in range(6)]
    assert found(kz, "cache", limit=2) == newer[:-3:-1]
    assert found(kz, "cache", limit=-1)[0] == oldest


def test_pages_follow_each_other(kz):
    ids = [note(kz, f"Cache number {number}") for number in range(5)]
    pages = [found(kz, "cache", limit=2, offset=offset) for offset in (0, 2, 4, 6)]
    assert sorted(one for page in pages for one in page) == sorted(ids) and [len(page) for page in pages] == [2, 2, 1, 0]


def test_a_page_behind_the_last_word_match_is_empty_and_no_substring_match(kz):
    note(kz, "gin")
    note(kz, "login")
    assert found(kz, "gin", offset=1) == []


# --- among which records --------------------------------------------------------------------------


def test_filters_apply_before_the_limit(kz):
    wanted = note(kz, "cache", "Old.", status="resolved", scope="global")
    for _ in range(3):
        note(kz, "cache cache", "cache")
    assert found(kz, "cache", limit=1, status="resolved") == [wanted]
    assert found(kz, "cache", limit=1, scope="global") == [wanted]
    assert found(kz, "ach", limit=1, status="resolved") == [wanted]


def test_a_piece_of_a_word_is_found_where_the_word_matches_only_others(kz):
    note(kz, "gin", status="resolved")
    one = note(kz, "login")
    assert found(kz, "gin", status="active") == [one]


def test_records_are_found_by_task_and_time(kz, monkeypatch):
    monkeypatch.setenv("KAIZEN_CLOCK", "2026-03-01T00:00:00+00:00")
    monkeypatch.setenv("KAIZEN_ID_SEED", "x")
    task = kz.ok("W1", title="Cache work", summary="The cache.")["id"]
    own = note(kz, "cache", task_id=task)
    other = note(kz, "cache")
    assert set(found(kz, "cache", op="K17", task_id=task)) == {task, own}
    assert found(kz, "cache", task_id=task) == [own]
    assert found(kz, "cache", since="2026-03-02") == found(kz, "cache", until="2026-02-28") == []
    assert set(found(kz, "cache", since="2026-03-01", until="2026-03-01")) == {own, other}


def test_a_condition_that_the_index_cannot_judge_is_a_defect_not_an_empty_answer(kz):
    note(kz, "cache")
    with pytest.raises(ValueError, match="nonsense"):
        search.find(Store(paths.find()), "cache", kinds=("gotcha",), where={"nonsense": 1})


def test_a_query_by_another_column_finds(kz, plane):
    (plane / "one.txt").write_text("x")
    one = kz.ok("A1", path="one.txt", kind="log", summary="A cache log.")["id"]
    (plane / "two.txt").write_text("y")
    kz.ok("A1", path="two.txt", kind="other", summary="A cache log.")
    assert found(kz, "cache", op="A4", kind="log") == found(kz, "one.txt", op="A4") == [one]


# --- every kind -----------------------------------------------------------------------------------


def test_every_kind_is_searched(kz, plane):
    from cases import populate

    from kaizen_components.ops import _index
    from kaizen_components.store.texts import texts_of

    populate(kz, plane)
    store = Store(paths.find())
    kinds = {kind for kind, entry in _index.KINDS.items() if entry.search and store.count(kind)}
    for kind in kinds:
        record = store.list(kind, limit=1)[0]
        # Of JSON, its longest line is what is searched.
        texts = texts_of(kind, record)
        text = max(next(filter(None, texts)).splitlines(), key=len)
        hits = search.find(store, f'"{text}"', kinds=(kind,))
        assert record["id"] in [hit["id"] for hit in hits], (kind, text)
    store.close()
    assert len(kinds) > 15


def test_json_is_searched_by_its_names_and_values(kz):
    task = kz.ok("W1", title="T", summary="S.", assumptions='["the \\"quoted\\" disk is h\\u00e9ro"]')["id"]
    packet = kz.ok("W5", summary="S.", payload_json='{"outer": {"innerkey": [1.5, "deep value", "\\ud800\\u0000"]}}')["id"]
    assert found(kz, "héro disk", op="K17") == [task]
    assert found(kz, '"deep value" innerkey', op="K17") == [packet]


def test_records_of_every_kind_are_found_with_what_they_are_and_where_they_match(kz):
    task = kz.ok("W1", title="Fix login", summary="Users cannot log in.")["id"]
    note(kz, "Login pool", "The first login is slow.", "Warm the pool before a login.")
    reply = kz.ok("K17", query="login", kind=["task"])
    (record,) = reply["records"]
    assert (record["id"], record["kind"], record["title"], record["status"]) == (task, "task", "Fix login", "active")
    assert record["snippet"] == "Fix [login]" and record["score"] > 0 and record["created_at"].startswith("20")
    assert reply["count"] == 1 and reply["query"] == "login"
    assert {record["kind"] for record in kz.ok("K17", query="login", kind=["task", "gotcha"])["records"]} == {"task", "gotcha"}
    assert kz.ok("K17", query="ogi")["records"][0]["snippet"].count("[") >= 1


def test_a_kind_that_is_none_is_refused(kz):
    refusal = kz.denied("DENIED_SCHEMA_ENUM", "K17", query="x", kind="plane")
    assert "gotcha" in refusal["allowed"] and "plane" not in refusal["allowed"]


def test_a_person_reads_what_matched_and_where(kz):
    one = note(kz, "Stale cache", "A deploy does not clear it.", "Clear the cache in the deploy script.")
    shown = kz.ok("K17", query="script", _text=True).stdout
    assert one in shown and "Stale cache" in shown and "[script]" in shown and "1 record found for: script" in shown


# --- following the ledger -------------------------------------------------------------------------


def test_a_revision_replaces_the_text(kz):
    one = note(kz, "Stale cache")
    assert found(kz, "stale") == [one]
    kz.ok("G5", id=one, title="Fresh cache", status="resolved")
    assert found(kz, "stale") == found(kz, "tal") == [] and found(kz, "fresh", status="resolved") == [one]


def test_a_purged_record_is_found_no_more_and_its_bytes_are_gone(kz, plane):
    note(kz, "keeper cache")
    one = note(kz, "zanzibar cache")
    assert found(kz, "zanzibar") == [one]
    store = Store(paths.find(), using="sqlite")
    store.perform(Call(op="K7", writes=True), lambda: (store.purge("gotcha", one, "Asked for."), Result())[1])
    assert b"zanzibar" in index_of(plane).read_bytes()
    assert found(kz, "zanzibar") == found(kz, "anziba") == [] and len(found(kz, "cache")) == 1
    assert b"zanzibar" not in b"".join(path.read_bytes() for path in index_of(plane).parent.glob("search.db*"))


def test_what_a_transaction_has_written_is_found_in_it_and_forgotten_with_it(kz, plane):
    note(kz, "alpha cache")
    store = Store(paths.find())
    adding = Call(op="G1", writes=True, only_adds=True)
    with pytest.raises(RuntimeError), store.group():
        gotcha = Gotcha(title="beta cache", summary="A fact.", body="Nothing else.")
        store.perform(adding, lambda: (store.add(gotcha), Result())[1])
        assert [hit["title"] for hit in search.find(store, "cache beta", described=True)] == ["beta cache"]
        raise RuntimeError
    position = sqlite3.connect(index_of(plane)).execute("SELECT seq FROM position").fetchone()
    assert position == (2,) and found(kz, "beta") == []


def test_entries_are_followed_in_chunks(kz, monkeypatch):
    monkeypatch.setattr(search.index, "BATCH", 3)
    ids = [note(kz, f"cache {number}") for number in range(8)]
    assert sorted(found(kz, "cache")) == sorted(ids)
    ids += [note(kz, f"cache {number}") for number in range(4)]
    assert sorted(found(kz, "cache")) == sorted(ids)


# --- the file is derived --------------------------------------------------------------------------


def test_the_index_can_be_deleted_at_any_time(kz, plane):
    one = note(kz, "Stale cache")
    assert found(kz, "cache") == [one]
    index_of(plane).unlink()
    assert found(kz, "cache") == [one] and index_of(plane).exists()


def spoil_header(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 500)


def spoil_middle(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def make_foreign(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE position (seq)")


def make_older(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE position SET format = '0:old'")


def empty_position(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM position")


@pytest.mark.parametrize("spoil", [spoil_header, spoil_middle, cut_short, empty, make_foreign, make_older, empty_position])
def test_a_spoiled_index_is_made_anew(kz, plane, spoil):
    one = note(kz, "Stale cache")
    assert kz.ok("K17", query="cache")["count"] == 1
    spoil(index_of(plane))
    assert found(kz, "cache", op="K17") == [one]
    assert found(kz, "cache", op="K17") == [one]


def test_an_index_of_another_ledger_is_made_anew(kz, plane):
    folder = plane / "AI" / "db"
    note(kz, "alpha cache")
    shutil.copytree(folder, plane / "kept")
    note(kz, "beta cache")
    assert len(found(kz, "cache")) == 2
    for name in ("kaizen.db", "kaizen.db-wal", "ledger.head"):
        (folder / name).unlink(missing_ok=True)
        if (plane / "kept" / name).exists():
            shutil.copy(plane / "kept" / name, folder / name)
    assert found(kz, "beta") == []
    gamma = note(kz, "gamma cache")
    assert found(kz, "gamma") == [gamma] and found(kz, "beta") == [] and len(found(kz, "cache")) == 2


def test_where_the_file_cannot_be_made_the_index_is_in_memory(kz, plane):
    one = note(kz, "Stale cache")
    index_of(plane).mkdir()
    assert found(kz, "cache") == found(kz, "ach") == [one]
    assert list(index_of(plane).iterdir()) == []


def test_an_index_that_cannot_be_written_is_copied_and_followed_in_memory(kz, plane, monkeypatch):
    one = note(kz, "Stale cache")
    assert found(kz, "cache") == [one]
    monkeypatch.setattr(search.Index, "file", classmethod(lambda cls, path: (_ for _ in ()).throw(OSError("read-only"))))
    two = note(kz, "Fresh cache")
    assert found(kz, "cache") == [two, one]
    assert sqlite3.connect(index_of(plane)).execute("SELECT seq FROM position").fetchone() == (2,)


def test_without_apsw_the_refusal_says_what_to_install(kz, monkeypatch):
    note(kz, "cache")
    monkeypatch.setitem(sys.modules, "apsw", None)
    refusal = kz.denied("DENIED_BACKEND_UNAVAILABLE", "G3", query="cache")
    assert "pip install" in refusal["required_action"] and refusal["package"] == "apsw"


def test_a_write_imports_no_apsw(process):
    script = "import sys; from kaizen_components.cli import main; main(['G2', '--json']); sys.exit('apsw' in sys.modules)"
    process("G1", "--title", "t", "--summary", "A fact.", "--body", "b")
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=False).returncode == 0


@pytest.mark.slow
def test_several_processes_may_query_at_once(kz, plane):
    store = Store(paths.find())
    with store.group():
        for number in range(3000):
            gotcha = Gotcha(title=f"cache {number}", summary="A fact.", body="Nothing else.")
            store.perform(Call(op="G1", writes=True, only_adds=True), lambda gotcha=gotcha: (store.add(gotcha), Result())[1])
    argv = [sys.executable, str(ROOT / "kaizen.py"), "K17", "--query", "cache 2999", "--json"]
    running = [subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(6)]
    one = note(kz, "another cache")
    for process in running:
        stdout, stderr = process.communicate(timeout=120)
        assert process.returncode == 0 and '"count": 1' in stdout, stderr
    assert found(kz, "another") == [one]
    connection = sqlite3.connect(index_of(plane))
    assert connection.execute("SELECT count(*), count(DISTINCT record_id) FROM docs").fetchone() == (3001, 3001)
