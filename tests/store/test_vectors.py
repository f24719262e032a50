"""Vectors: what lies nearest, that the file is a cache which follows the ledger, and that nothing erased stays in it."""

from __future__ import annotations

import hashlib
import random
import sqlite3
from array import array
from pathlib import Path

import apsw
import pytest
from killing import killed

from kaizen_components import embeddings, paths
from kaizen_components.backends import unit
from kaizen_components.store import Store, vectors


def note(kz, title: str, **flags) -> str:
    return kz.ok("G1", title=title, summary="A fact.", body="Nothing else.", **flags)["id"]


def nearest(query: str, **options) -> list[str]:
    return [hit[0] for hit in embeddings.nearest(Store(paths.find()), query, **options).hits]


def file_of(plane: Path) -> Path:
    return plane / "AI" / "db" / "vectors.db"


def asked(server) -> int:
    """How many texts the server was given."""
    return sum(len(body["input"]) for path, body, _ in server.requests if path.endswith("/embeddings"))


# --- the first pass -------------------------------------------------------------------------------


@pytest.fixture
def few_candidates(monkeypatch):
    """An index of few vectors has codes already."""
    monkeypatch.setattr(vectors, "CANDIDATES", 200)
    monkeypatch.setattr(vectors, "SHARD", 100)


def filled(path: Path, found: list[array], model: str = "m") -> vectors.Vectors:
    """A file with one chunk a vector; the vectors put in batches, as they come."""
    held = vectors.Vectors.file(path)
    lacking = []
    for n in range(len(found)):
        digest, record_id = hashlib.sha256(b"%d" % n).digest(), f"ec_20260101000000_{n:010x}"
        held._db.execute("INSERT INTO texts (n, hash) VALUES (?, ?)", (n + 1, digest))
        sql = "INSERT INTO records (record_id, kind, status, document_id, text, answers) VALUES (?, ?, 'active', ?, ?, 1)"
        held._db.execute(sql, (record_id, "evidence_chunk", f"d{n % 7}" if n % 50 else "rare", n + 1))
        held._db.execute("INSERT INTO said VALUES (?, ?)", (record_id, n + 1))
        lacking.append(vectors.Lacking(n + 1, record_id, "evidence_chunk", n + 1, digest))
    pairs = list(zip(lacking, found, strict=True))
    for start in range(0, len(found), 64):
        held.put(model, pairs[start : start + 64])
    return held


def random_vectors(count: int, source: random.Random, around: list[float] | None = None) -> list[array]:
    middle = around or [0.0] * 64
    return [unit([at + source.gauss(0, 0.5) for at in middle]) for _ in range(count)]


def exact(found: list[array], query: array, limit: int = 10) -> set[int]:
    ranked = sorted(range(len(found)), key=lambda n: -sum(a * b for a, b in zip(found[n], query, strict=True)))
    return set(ranked[:limit])


@pytest.mark.parametrize("is_clustered", [False, True])
def test_the_first_pass_finds_what_an_exact_search_finds(tmp_path, few_candidates, is_clustered):
    source = random.Random(1)
    middles = [[source.gauss(0.5, 0.6) for _ in range(64)] for _ in range(10)] if is_clustered else [None]
    found = [vector for middle in middles for vector in random_vectors(2000 // len(middles), source, middle)]
    queries = [random_vectors(1, source, source.choice(middles))[0] for _ in range(15)]
    held = filled(tmp_path / "v.db", found)
    index = held.index("m")
    assert index and index.shards and index.vectors == 2000
    hits = 0
    for query in queries:
        got = {int(hit[0][-10:], 16) for hit in held.nearest(index, query.tobytes(), limit=10)}
        hits += len(got & exact(found, query))
    # A tenth of the vectors are candidates; at a hundred thousand a twentieth are, and the dimensions are more.
    assert hits / 150 >= 0.93
    held.close()


def test_distances_are_cosines_and_go_up(tmp_path, few_candidates):
    source = random.Random(2)
    found = random_vectors(600, source)
    held = filled(tmp_path / "v.db", found)
    hits = held.nearest(held.index("m"), found[5].tobytes(), limit=5)
    assert hits[0][0].endswith("5") and hits[0][2] == pytest.approx(0, abs=1e-6)
    assert [hit[2] for hit in hits] == sorted(hit[2] for hit in hits)
    held.close()


def test_a_condition_that_few_meet_is_answered_in_full(tmp_path, few_candidates):
    found = random_vectors(1000, random.Random(3))
    held = filled(tmp_path / "v.db", found)
    hits = held.nearest(held.index("m"), found[0].tobytes(), where={"document_id": "rare"}, limit=20)
    assert sorted(int(hit[0][-10:], 16) for hit in hits) == list(range(0, 1000, 50))
    held.close()


def test_where_too_few_candidates_meet_a_condition_every_record_is_compared(tmp_path, few_candidates, monkeypatch):
    found = random_vectors(1000, random.Random(3))
    held = filled(tmp_path / "v.db", found)
    monkeypatch.setattr(vectors.Vectors, "_few", lambda *arguments: False)
    hits = held.nearest(held.index("m"), found[0].tobytes(), where={"document_id": "rare"}, limit=20)
    assert len(hits) == 20
    held.close()


def test_an_unknown_condition_is_a_defect(tmp_path):
    held = filled(tmp_path / "v.db", random_vectors(2, random.Random(4)))
    with pytest.raises(ValueError, match="no_column"):
        held.nearest(held.index("m"), bytes(256), where={"no_column": 1})
    held.close()


def test_codes_are_made_anew_when_the_index_has_doubled(tmp_path, few_candidates):
    held = filled(tmp_path / "v.db", random_vectors(900, random.Random(5)))
    index = held.index("m")
    assert index.coded < index.vectors <= 2 * index.coded
    assert held._value(f"SELECT count(*) FROM codes_{index.m}") == 900
    held.close()


def test_a_text_that_another_process_embedded_meanwhile_is_kept_once(tmp_path, few_candidates):
    found = random_vectors(600, random.Random(8))
    held = filled(tmp_path / "v.db", found)
    late = [(vectors.Lacking(n, "", "evidence_chunk", n, hashlib.sha256(b"%d" % (n - 1)).digest()), found[0]) for n in (1, 600)]
    assert held.put("m", [*late, late[0]]) == 0
    index = held.index("m")
    assert index.vectors == held._value(f"SELECT count(*) FROM codes_{index.m}") == 600
    held.close()


def test_vectors_whose_size_has_no_code_are_compared_one_by_one(tmp_path, few_candidates):
    found = [unit(vector[:63]) for vector in random_vectors(300, random.Random(6))]
    held = filled(tmp_path / "v.db", found)
    assert held.index("m").shards == 0
    assert held.nearest(held.index("m"), found[9].tobytes(), limit=1)[0][0].endswith("9")
    held.close()


# --- a cache that follows the ledger --------------------------------------------------------------


def test_a_text_is_embedded_once_however_many_records_say_it(kz, embedding):
    note(kz, "Stale cache")
    note(kz, "Stale cache")
    assert kz.ok("B3", records=True)["reembedded"] == 1
    assert asked(embedding) == 1
    assert len(nearest("stale cache")) == 2


def test_a_revised_record_is_found_by_what_it_says_now(kz, embedding):
    one = note(kz, "Stale cache")
    note(kz, "Printer paper")
    kz.ok("B3", records=True)
    kz.ok("G5", id=one, title="Coffee machine")
    hit = embeddings.nearest(Store(paths.find()), "coffee machine", limit=1)
    assert hit.hits[0][0] == one and hit.note is None


def test_deleting_the_file_loses_nothing_but_vectors(kz, embedding, plane):
    one = note(kz, "Stale cache")
    kz.ok("B3", records=True)
    file_of(plane).unlink()
    kz.denied("DENIED_EMBED_INDEX_ABSENT", "B7", activate=True, model="fake")
    kz.ok("B3", records=True)
    assert nearest("stale cache") == [one]


def test_a_rebuild_keeps_the_vectors(kz, embedding):
    note(kz, "Stale cache")
    kz.ok("B3", records=True)
    kz.ok("K12")
    assert kz.ok("B3", records=True)["reembedded"] == 0
    assert asked(embedding) == 1


def test_another_ledger_begins_again_and_keeps_the_vectors_of_what_it_says(kz, embedding, plane):
    one = note(kz, "Stale cache")
    backup = kz.ok("K3")
    two = note(kz, "Printer paper")
    kz.ok("B3", records=True)
    folder = plane / next(value for key, value in backup.items() if isinstance(value, str) and "backups" in value)
    kz.ok("K11", path=str(folder if folder.is_dir() else folder.parent))
    note(kz, "Coffee machine")
    assert one in nearest("stale cache") and two not in nearest("stale cache")
    # The two of before the restore, and the new one: nothing was paid for twice.
    assert asked(embedding) == 3 + sum(1 for _, body, _ in embedding.requests if body["input"] == ["stale cache"])
    with vectors.opened(Store(paths.find())) as held:
        assert held._value("SELECT count(*) FROM texts") == 2


@pytest.mark.parametrize("damage", [b"not a database at all" * 100, b"SQLite format 3\0" + bytes(5000)])
def test_a_damaged_file_is_made_anew(kz, embedding, plane, damage):
    one = note(kz, "Stale cache")
    kz.ok("B3", records=True)
    file_of(plane).write_bytes(damage)
    kz.ok("B3", records=True)
    assert nearest("stale cache") == [one]


def test_a_page_of_rubbish_costs_the_cache_and_no_answer(kz, embedding, plane):
    one = note(kz, "Stale cache")
    kz.ok("B3", records=True)
    data = bytearray(file_of(plane).read_bytes())
    data[4096 : 4096 * 20] = b"\xa5" * (4096 * 19)
    file_of(plane).write_bytes(data)
    kz.ok("B3", records=True)
    assert nearest("stale cache") == [one]


def test_a_file_of_another_program_is_set_aside(kz, embedding, plane):
    note(kz, "Stale cache")
    with sqlite3.connect(file_of(plane)) as other:
        other.execute("CREATE TABLE mine (x)")
    other.close()
    kz.ok("B3", records=True)
    with sqlite3.connect(file_of(plane).with_name("vectors.db.foreign")) as kept:
        assert kept.execute("SELECT count(*) FROM mine").fetchone() == (0,)
    kept.close()


def test_where_nothing_can_be_written_a_copy_answers(kz, embedding, plane, monkeypatch):
    one = note(kz, "Stale cache")
    kz.ok("B3", records=True)

    def refused(path: Path) -> vectors.Vectors:
        raise apsw.ReadOnlyError("attempt to write a readonly database")

    monkeypatch.setattr(vectors.Vectors, "file", refused)
    assert nearest("stale cache") == [one]
    two = note(kz, "Printer paper")
    assert set(nearest("stale cache")) == {one, two}


def test_a_process_that_is_killed_pays_for_no_batch_twice(kz, embedding, plane, monkeypatch):
    for number in range(130):
        note(kz, f"word{number * 7919} other{number}")
    killed("""
from kaizen_components import embeddings
put, done = embeddings.embed.__globals__['_texts'], []
def third(store, batch):
    done.append(1)
    return die() if len(done) == 3 else put(store, batch)
embeddings._texts = third
cli.main(['B3', '--records'])
""")
    assert asked(embedding) == 128
    assert kz.ok("B3", records=True)["reembedded"] == 2


@pytest.mark.slow
def test_several_processes_at_once(kz, embedding, process):
    import concurrent.futures

    for number in range(100):
        note(kz, f"word{number * 7919}")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: process("B3", "--records", "--json"), range(4)))
    assert [reply.returncode for reply in done] == [0] * 4, [reply.stderr for reply in done]
    assert kz.ok("B3", records=True)["reembedded"] == 0


# --- erasing --------------------------------------------------------------------------------------


def bytes_of(plane: Path) -> bytes:
    return b"".join(path.read_bytes() for path in file_of(plane).parent.glob("vectors.db*"))


def erased(kz, record_id: str) -> None:
    kz.ok("K21", id=record_id, reason="It was private.", confirm=record_id)


def vector_of(record_id: str) -> bytes:
    with vectors.opened(Store(paths.find())) as held:
        return held.vectors("fake", [record_id])[record_id]


def test_nothing_of_an_erased_record_stays(kz, embedding, plane):
    one, two = note(kz, "Stale cache"), note(kz, "Printer paper")
    kz.ok("B3", records=True)
    vector, other = vector_of(one), vector_of(two)
    kz.ok("G5", id=one, title="Coffee machine")
    kz.ok("B3", records=True)
    newer = vector_of(one)
    assert vector in bytes_of(plane) and newer in bytes_of(plane)
    erased(kz, one)
    assert vector not in bytes_of(plane) and newer not in bytes_of(plane) and other in bytes_of(plane)
    assert nearest("coffee machine") == [two]


def test_nothing_of_it_stays_in_the_journal_of_a_file_that_others_have_open(kz, embedding, plane):
    one = note(kz, "Stale cache")
    kz.ok("B3", records=True)
    vector = vector_of(one)
    other = vectors.Vectors.file(file_of(plane))
    erased(kz, one)
    assert vector not in bytes_of(plane)
    other.close()


def test_test_records_are_erased_from_the_vectors_too(kz, embedding, plane):
    note(kz, "Printer paper")
    one = note(kz, "Stale cache", test=True)
    kz.ok("B3", records=True)
    vector = vector_of(one)
    kz.ok("K7")
    assert vector not in bytes_of(plane)


def test_a_code_is_erased_with_its_vector(tmp_path, few_candidates):
    held = filled(tmp_path / "v.db", random_vectors(600, random.Random(7)))
    index = held.index("m")
    held.erase(["ec_20260101000000_0000000005"])
    assert held._value(f"SELECT count(*) FROM codes_{index.m}") == held.index("m").vectors == 599
    held.close()


def test_what_another_record_says_as_well_stays(kz, embedding, plane):
    one, two = note(kz, "Stale cache"), note(kz, "Stale cache")
    kz.ok("B3", records=True)
    vector = vector_of(one)
    erased(kz, one)
    assert vector in bytes_of(plane) and nearest("stale cache") == [two]


def test_an_erasure_that_the_sweep_did_not_see_follows_from_the_ledger(kz, embedding, plane, monkeypatch):
    one = note(kz, "Stale cache")
    note(kz, "Printer paper")
    kz.ok("B3", records=True)
    vector = vector_of(one)
    with monkeypatch.context() as patch:
        patch.setattr(vectors, "erase", lambda path, ids: None)
        erased(kz, one)
    kz.ok("B3", records=True)
    with vectors.opened(Store(paths.find())) as held:
        assert held.vectors("fake", [one]) == {}
        assert not held._value("SELECT count(*) FROM vectors_1 WHERE vector = ?", (vector,))


def test_a_purge_without_the_packages_throws_the_file_away(kz, embedding, plane, without):
    one = note(kz, "Stale cache")
    kz.ok("B3", records=True)
    without("apsw")
    erased(kz, one)
    assert not file_of(plane).exists()


def test_a_purge_that_cannot_reach_the_file_says_so(kz, embedding, plane):
    one = note(kz, "Stale cache")
    file_of(plane).mkdir()
    kz.denied("DENIED_PURGE_UNFINISHED", "K21", id=one, reason="It was private.", confirm=one)
    file_of(plane).rmdir()
    kz.ok("K7")
