"""Publishing: a real server on loopback that drops connections at each step; nothing is ever half published."""

from __future__ import annotations

import hashlib
import json

import artifact_server
import pytest
from artifact_server import STEPS
from killing import killed

from kaizen_components.metrics import artifact_store

FOLDER = ".kaizen/metrics/optimizer"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(artifact_store, "wait", lambda seconds: None)


@pytest.fixture
def server(monkeypatch):
    with artifact_server.running() as made:
        monkeypatch.setenv("ARTIFACTSTORE_API_URL", made.url)
        yield made


@pytest.fixture
def files(plane):
    folder = plane / FOLDER
    folder.mkdir(parents=True)
    (folder / "analysis.json").write_text('{"agents": {}}\n', encoding="utf-8")
    (folder / "recommendations.jsonl").write_text('{"agent": "coach"}\n', encoding="utf-8")
    return folder


def hashes(folder) -> set[str]:
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def published(server, folder) -> None:
    """There is one package, and it is whole."""
    assert len(server.packages) == len(server.visible()) == 1
    (package,) = server.visible()
    assert set(package["files"]) == hashes(folder)
    assert package["manifest"]["retention_class"] == "raw-evidence"


def test_the_files_are_published_whole_under_a_manifest(kz, server, files):
    reply = kz.ok("P6")
    published(server, files)
    assert reply["state"] == "published" and reply["package_id"] == "pkg-1"
    assert reply["sent"] == [f"{FOLDER}/analysis.json", f"{FOLDER}/recommendations.jsonl"]
    for entry in reply["manifest"]["files"]:
        data = (files.parents[2] / entry["path"]).read_bytes()
        assert (entry["bytes"], entry["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert server.requests[-1] == "POST finalize"


def test_the_same_files_are_published_once(kz, server, files):
    first = kz.ok("P6")
    count = len(server.requests)
    again = kz.ok("P6")
    assert again["already"] and again["id"] == first["id"] and len(server.requests) == count
    (files / "analysis.json").write_text("{}\n", encoding="utf-8")
    other = kz.ok("P6")
    assert other["id"] != first["id"] and len(server.visible()) == 2


def test_a_call_with_a_key_is_one_like_others(kz, server, files):
    first = kz.ok("P6", key="monday")
    assert first["state"] == "published" and len(server.visible()) == 1
    assert kz.ok("P6", key="monday")["id"] == first["id"] and len(server.packages) == 1


def test_an_analysis_that_is_recorded_is_named(kz, server, plane):
    for number in range(2):
        kz.ok("P1", agent="coach", success=True, session_id=str(number))
    analysis = kz.ok("P5")["id"]
    assert kz.ok("P6")["analysis_id"] == analysis


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("when", ["drop_before", "drop_after"])
def test_a_connection_that_is_dropped_once_is_tried_again(kz, server, files, step, when):
    getattr(server, when)[step] = 1
    kz.ok("P6")
    published(server, files)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("when", ["drop_before", "drop_after"])
def test_what_was_stopped_at_any_step_goes_on_from_there(kz, server, files, step, when):
    getattr(server, when)[step] = 3
    refused = kz.denied("DENIED_PUBLISH_FAILED", "P6")
    assert refused["state"] in ("started", "uploaded") and refused["id"] and refused["reason"]
    # Seen from outside there is nothing, or all of it: the answer to the last call may have been lost.
    assert all(set(package["files"]) == hashes(files) for package in server.visible())
    if (step, when) != ("POST finalize", "drop_after"):
        assert server.visible() == []
    done = kz.ok("P6")
    published(server, files)
    assert done["id"] == refused["id"] and done["state"] == "published"
    uploads = server.requests.count("PUT file")
    assert kz.ok("P6")["already"] and server.requests.count("PUT file") == uploads


KILLS = {
    "before the package is made": "artifact_store.Client.create = die",
    "before its id is noted": "publishing._Record.note = die",
    "before a file is sent": "artifact_store.Client.upload = die",
    "between two files": (
        "upload, sent = artifact_store.Client.upload, []\n"
        "def once(*given):\n    if sent: die()\n    sent.append(upload(*given))\n"
        "artifact_store.Client.upload = once"
    ),
    "before the last call": "artifact_store.Client.finalize = die",
    "after the last call": (
        "finalize = artifact_store.Client.finalize\n"
        "def last(*given):\n    finalize(*given); die()\n"
        "artifact_store.Client.finalize = last"
    ),
}


@pytest.mark.parametrize("where", KILLS)
def test_a_call_that_is_killed_goes_on_from_there(kz, server, files, where):
    killed(f"from kaizen_components.metrics import artifact_store, publishing\n{KILLS[where]}\ncli.main(['P6', '--json'])")
    assert all(set(package["files"]) == hashes(files) for package in server.visible())
    assert kz.ok("P6")["state"] == "published"
    published(server, files)
    # No file is sent twice.
    assert server.requests.count("PUT file") == 2


def test_the_token_comes_from_the_environment_and_stands_nowhere(kz, server, files, plane, monkeypatch):
    server.token = "t0ken-of-the-store"
    refused = kz.denied("DENIED_PUBLISH_FAILED", "P6")
    assert refused["http_status"] == 401 and "ARTIFACTSTORE_API_TOKEN" in refused["required_action"]
    monkeypatch.setenv("ARTIFACTSTORE_API_TOKEN", "wr0ng-token-here")
    assert "wr0ng-token-here" not in kz.denied("DENIED_PUBLISH_FAILED", "P6").stderr
    monkeypatch.setenv("ARTIFACTSTORE_API_TOKEN", server.token)
    kz.ok("P6")
    written = b"".join(path.read_bytes() for path in (plane / "AI").rglob("*") if path.is_file())
    assert b"t0ken-of-the-store" not in written and b"wr0ng-token-here" not in written


def test_what_the_store_refuses_is_said(kz, server, files):
    server.statuses = [(422, {"detail": "no such retention_class"})]
    refused = kz.denied("DENIED_PUBLISH_FAILED", "P6")
    assert refused["http_status"] == 422 and "no such retention_class" in refused["reason"]
    assert refused["state"] == "started"


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b'{"id": null}', b"{}", b"\xff", b'{"id": "' + b"x" * 2_000_000 + b'"}'])
def test_what_is_no_store_is_told_from_one(kz, server, files, answer):
    server.statuses = [(200, answer)]
    assert "address of an artifact store" in kz.denied("DENIED_PUBLISH_FAILED", "P6")["required_action"]


def test_a_busy_store_is_asked_again(kz, server, files):
    server.statuses = [(503, {"detail": "busy"}), (429, {"detail": "slow down"})]
    kz.ok("P6")
    published(server, files)


def test_a_store_that_is_not_there(kz, files, monkeypatch):
    monkeypatch.setenv("ARTIFACTSTORE_API_URL", "http://127.0.0.1:9")
    refused = kz.denied("DENIED_PUBLISH_FAILED", "P6")
    assert refused["endpoint"] == "http://127.0.0.1:9" and refused["state"] == "started"


def test_addresses_that_cannot_be_are_refused(kz, files, monkeypatch):
    for url, code in {
        "http://user:hunter22@127.0.0.1:8000": "DENIED_ENVIRONMENT_INVALID",
        "ftp://127.0.0.1": "DENIED_ENVIRONMENT_INVALID",
        "http://store.example.org": "DENIED_ENDPOINT_INSECURE",
    }.items():
        monkeypatch.setenv("ARTIFACTSTORE_API_URL", url)
        assert "hunter22" not in kz.denied(code, "P6").stderr
    monkeypatch.setenv("ARTIFACTSTORE_API_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("ARTIFACTSTORE_API_TOKEN", "two\nlines")
    kz.denied("DENIED_ENVIRONMENT_INVALID", "P6")


def test_a_dry_run_shows_the_manifest_and_does_nothing(kz, server, files):
    reply = kz.ok("P6", dry_run=True)
    assert [entry["path"] for entry in reply["manifest"]["files"]] == [
        f"{FOLDER}/analysis.json",
        f"{FOLDER}/recommendations.jsonl",
    ]
    assert server.requests == [] and reply["state"] == "not begun"
    kz.ok("P6")
    assert kz.ok("P6", dry_run=True)["state"] == "published"


def test_without_an_analysis_there_is_nothing_to_publish(kz, server, plane, tmp_path):
    assert kz.denied("DENIED_NOTHING_TO_PUBLISH", "P6")["required_action"].endswith("P5")
    (plane / FOLDER).mkdir(parents=True)
    (tmp_path / "elsewhere.json").write_text("{}", encoding="utf-8")
    (plane / FOLDER / "analysis.json").symlink_to(tmp_path / "elsewhere.json")
    kz.denied("DENIED_PATH_OUTSIDE_REPO", "P6")


def test_a_publication_is_kept_longer(kz, server, files, monkeypatch):
    monkeypatch.setenv("KAIZEN_CLOCK", "2026-06-01T00:00:00+00:00")
    kz.denied("DENIED_NOTHING_TO_PUBLISH", "P6", until="2027-01-01", reason="An audit.")
    kz.ok("P6")
    kz.ok("P6", until="2027-01-01T00:00:00Z", reason="An audit.")
    assert server.extensions == [{"new_expires_at": "2027-01-01T00:00:00.000000+00:00", "reason": "An audit."}]
    assert kz.denied("DENIED_REQUIRED_FIELDS", "P6", until="2027-01-01")["field"] == "reason"
    assert kz.denied("DENIED_UNTIL_PAST", "P6", until="2026-01-01", reason="An audit.")["field"] == "until"
    assert kz.ok("P6", until="2027-01-01T00:00:00Z", reason="An audit.")["already"] is True
    assert len(server.extensions) == 1
    assert "already" not in kz.ok("P6", until="2027-01-01T00:00:00Z", reason="Another audit.")
    assert len(server.extensions) == 2
    assert kz.denied("DENIED_REQUIRED_FIELDS", "P6", reason="An audit.")["field"] == "until"


def test_the_plane_is_free_while_the_store_is_talked_with(kz, server, files, monkeypatch):
    monkeypatch.setenv("KAIZEN_LOCK_TIMEOUT", "0.1")
    seen = []
    finalize = artifact_store.Client.finalize

    def look(self, *given):
        seen.append(kz.ok("G2"))
        finalize(self, *given)

    monkeypatch.setattr(artifact_store.Client, "finalize", look)
    kz.ok("P6")
    assert seen


def test_a_missing_package_is_named(kz, files, without):
    without("httpx")
    kz.denied("DENIED_BACKEND_UNAVAILABLE", "P6")


def test_the_record_says_how_far_it_is(kz, server, files):
    server.drop_before["POST finalize"] = 3
    refused = kz.denied("DENIED_PUBLISH_FAILED", "P6")
    row = kz.ok("K18", id=refused["id"])["record"]
    assert (row["status"], row["package_id"], row["retention_class"]) == ("uploaded", "pkg-1", "raw-evidence")
    assert row["error"] and json.loads(row["manifest_json"])["kind"] == "kaizen-optimizer-output"
    kz.ok("P6")
    row = kz.ok("K18", id=refused["id"])["record"]
    assert (row["status"], row["error"]) == ("published", None)
