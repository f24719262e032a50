"""MCP servers as a route: looking at them, choosing one, runs over it, and pairs of runs. Servers and sockets are real."""

from __future__ import annotations

import json
import struct
import sys
import time
import zlib
from pathlib import Path

import comfy_server
import pytest

from kaizen_components import process
from kaizen_components.generation import mcp, parity
from kaizen_components.paths import of_root

CANDIDATE = str(Path(__file__).resolve().parent.parent / "mcp_candidate.py")
GRAPH = {
    "3": {"class_type": "KSampler", "inputs": {"seed": 5, "sampler_name": "euler"}},
    "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "x", "images": ["3", 0]}},
}
# Served by hand, and by the package mcp, which takes a second to import.
HOW = ["by-hand", pytest.param("real", marks=pytest.mark.slow)]
VERBATIM = "import os, sys, time, json\n"


@pytest.fixture
def comfy(monkeypatch):
    with comfy_server.running() as server:
        monkeypatch.setenv("KAIZEN_COMFYUI_URL", server.url)
        yield server


@pytest.fixture
def workflow(tmp_path):
    path = tmp_path / "photo.json"
    path.write_text(json.dumps(GRAPH), encoding="utf-8")
    return str(path)


@pytest.fixture
def candidate(monkeypatch):
    """candidate("artokun", "pictures") says how a candidate is started; with "real" it is served by the package mcp."""

    def say(name: str, *words: str) -> None:
        said = [word for word in words if word != "real"] if "real" in words else ["by-hand", *words]
        monkeypatch.setenv(f"KAIZEN_COMFY_MCP_{name.upper()}", json.dumps([sys.executable, CANDIDATE, *said]))

    return say


@pytest.fixture
def script(monkeypatch, tmp_path):
    """script("...") starts a few lines of Python in place of artokun's server."""

    def say(text: str) -> Path:
        path = tmp_path / "server.py"
        path.write_text(VERBATIM + text, encoding="utf-8")
        monkeypatch.setenv("KAIZEN_COMFY_MCP_ARTOKUN", f"{sys.executable} -S {path}")
        return path

    return say


@pytest.fixture
def pin(kz, candidate, comfy, plane):
    """pin("artokun", "pictures") pins a candidate as a bakeoff does, without starting it."""

    def say(name: str, *words: str, version: str = "1.2.3") -> None:
        candidate(name, *words)
        value = {"candidate": name, "version": version, "command_sha256": mcp.command(of_root(plane), name).hash}
        kz.ok("K24", name="comfy_mcp", value=json.dumps(value))

    return say


@pytest.fixture
def pinned(pin):
    pin("artokun")


def is_over(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while process.identity(pid) is not None and time.monotonic() < deadline:
        time.sleep(0.02)
    return process.identity(pid) is None


# --- refusals that need no server -----------------------------------------------------------------


def test_what_is_refused_before_anything_is_started(kz, workflow):
    assert kz.denied("DENIED_ACTION_REQUIRED", "Y7").code == 2
    assert kz.denied("DENIED_ACTION_UNKNOWN", "Y7", action="dance")["allowed"] == ["doctor", "bakeoff", "run"]
    assert kz.denied("DENIED_CANDIDATE_REQUIRED", "Y7", action="doctor")["allowed"] == list(mcp.CANDIDATES)
    assert kz.denied("DENIED_CANDIDATE_UNKNOWN", "Y7", action="doctor", candidate="nobody")["value"] == "nobody"
    kz.denied("DENIED_PATH_REQUIRED", "Y7", action="run")
    kz.denied("DENIED_MCP_NOT_PINNED", "Y7", action="run", path=workflow)
    kz.denied("DENIED_PATH_REQUIRED", "Y9")
    kz.denied("DENIED_SEED_REQUIRED", "Y9", path=workflow)
    kz.denied("DENIED_MCP_NOT_PINNED", "Y9", path=workflow, seed=1)
    kz.denied("DENIED_MCP_NOT_PINNED", "Y1", path=workflow, route="mcp")


@pytest.mark.parametrize("name", mcp.CANDIDATES)
def test_nothing_is_started_that_nobody_named(kz, name):
    reply = kz.denied("DENIED_BACKEND_UNCONFIGURED", "Y7", action="doctor", candidate=name)
    assert (
        reply["variables"] == [f"KAIZEN_COMFY_MCP_{name.upper()}"] and mcp.CANDIDATES[name].published in reply["required_action"]
    )


@pytest.mark.parametrize("said", ["[1]", "[]", '["npx"', "'unclosed", '[""]', '{"a": 1}x"'])
def test_a_command_that_is_none_is_refused(kz, monkeypatch, said):
    monkeypatch.setenv("KAIZEN_COMFY_MCP_ARTOKUN", said)
    assert kz.denied("DENIED_ENVIRONMENT_INVALID", "Y7", action="doctor", candidate="artokun")["variable"].endswith("ARTOKUN")


def test_without_the_package_the_refusal_says_what_to_install(kz, without, candidate):
    candidate("artokun")
    without("mcp")
    reply = kz.denied("DENIED_BACKEND_UNAVAILABLE", "Y7", action="doctor", candidate="artokun")
    assert reply["package"] == "mcp" and "requirements-mcp.txt" in reply["required_action"]


# --- doctor and bakeoff ---------------------------------------------------------------------------


@pytest.mark.parametrize("how", HOW)
def test_doctor_judges_a_server_that_does_all(kz, candidate, comfy, monkeypatch, how):
    monkeypatch.setenv("HF_TOKEN", "not-for-others")
    candidate("artokun", how)
    reply = kz.ok("Y7", action="doctor", candidate="ARTOKUN")
    report = reply["report"]
    assert reply["score"] == 100 == sum(report["breakdown"].values()), report
    assert report["version"] == "1.2.3" and report["server"] == "comfy candidate" and report["adapter"]["confirmed"]
    assert report["tools"][0] == "enqueue_workflow" and report["endpoint_reachable"]
    assert "credentials: []" in report["stderr"]
    assert reply["endpoint"] == comfy.url and reply["action"] == "doctor"


@pytest.mark.parametrize(
    ("words", "reason", "lost"),
    [
        (["renamed"], "does not take disable_random_seed, workflow", 40),
        (["greedy"], "also wants licence_key", 40),
        (["--tool", "other"], "has no tool enqueue_workflow", 40),
        (["banner", "stays"], None, 10),
    ],
)
def test_doctor_says_what_a_server_lacks(kz, candidate, words, reason, lost):
    candidate("artokun", *words)
    reply = kz.ok("Y7", action="doctor", candidate="artokun")
    assert reply["score"] == 100 - lost and reply["report"]["adapter"]["confirmed"] is (reason is None)
    assert reason is None or reason in reply["report"]["adapter"]["reason"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("sys.exit('no ComfyUI; AKIA' + 'ABCDEFGHIJKLMNOP')", "ended with exit code 1"),
        ("time.sleep(600)", "no answer within"),
        ("sys.stdin.close(); time.sleep(600)", "no answer within"),
        ("while True: sys.stdout.write('x' * 65536)", "said more than"),
        ("while True: sys.stdout.write('{}\\n' * 9999)", "said more than"),
        ("print(json.dumps({'jsonrpc': '2.0', 'id': 1, 'result': 'nonsense'}), flush=True); time.sleep(600)", "no answer within"),
    ],
)
def test_a_server_that_misbehaves_is_ended_and_said_so(kz, script, monkeypatch, text, reason):
    monkeypatch.setattr(mcp, "MOST_SAID", 1_000_000)
    monkeypatch.setattr(mcp, "GRACE", 0.1)
    path = script("open(sys.argv[0] + '.pid', 'w').write(str(os.getpid()))\n" + text)
    monkeypatch.setattr(mcp, "MOST_NOISE", 200)
    reply = kz("Y7", action="doctor", candidate="artokun", timeout=0.6 if "within" in reason else 20)
    assert reply.code == 1 and reply["status"] == "FAILED" and reply["score"] == 0
    assert reason in reply["report"]["reason"]
    assert "AKIA" not in reply.stdout
    assert is_over(int(Path(f"{path}.pid").read_text()))


def test_a_program_that_is_not_there_is_said_so(kz, monkeypatch):
    monkeypatch.setenv("KAIZEN_COMFY_MCP_ARTOKUN", "/no/such/program --stdio")
    reply = kz("Y7", action="doctor", candidate="artokun")
    assert reply.code == 1 and "No such file" in reply["report"]["reason"]


def test_bakeoff_pins_the_best_with_its_provenance(kz, plane, candidate, comfy):
    candidate("artokun", "banner")
    candidate("shawnrushefsky", "--tool", "run_workflow", "--version", "0.1.0")
    reply = kz.ok("Y7", action="bakeoff")
    assert reply["winner"] == "shawnrushefsky" and reply["winner_version"] == "0.1.0"
    assert [(entry["candidate"], entry["score"]) for entry in reply["candidates"]] == [
        ("artokun", 95),
        ("joenorton", 0),
        ("shawnrushefsky", 100),
    ]
    assert "KAIZEN_COMFY_MCP_JOENORTON is not set" in reply["candidates"][1]["reason"]
    pin = json.loads(kz.ok("K25", name="comfy_mcp")["records"][0]["value"])
    assert pin["candidate"] == "shawnrushefsky" and len(pin["command_sha256"]) == 64
    lock = kz.ok("S3", id=reply["source_lock_id"])["record"]
    assert lock["url_or_repository"] == "https://github.com/shawnrushefsky/comfyui-mcp" and lock["version_or_commit"] == "0.1.0"
    artifact = kz.ok("A3", id=reply["report_artifact_id"])["record"]
    assert json.loads((plane / artifact["path"]).read_text())["winner"] == "shawnrushefsky"
    assert kz.ok("A5", id=reply["report_artifact_id"])["match"] is True


def test_a_second_bakeoff_keeps_the_lock_and_another_version_supersedes_it(kz, comfy, candidate):
    candidate("artokun")
    pinned = kz.ok("Y7", action="bakeoff")
    again = kz.ok("Y7", action="bakeoff", candidate="artokun")
    assert again["source_lock_id"] == pinned["source_lock_id"]
    candidate("artokun", "--version", "2.0.0")
    newer = kz.ok("Y7", action="bakeoff", candidate="artokun")
    assert kz.ok("S3", id=newer["source_lock_id"])["record"]["supersedes"] == pinned["source_lock_id"]
    assert kz.ok("S3", id=pinned["source_lock_id"])["record"]["status"] == "superseded"


def test_a_bakeoff_that_nobody_wins_is_refused_with_reasons(kz, candidate, script):
    reply = kz.denied("DENIED_BACKEND_UNAVAILABLE", "Y7", action="bakeoff")
    assert set(reply["reasons"]) == set(mcp.CANDIDATES) and reply.code == 2
    candidate("artokun", "renamed")
    assert "does not take" in kz.denied("DENIED_MCP_ADAPTER_UNCONFIRMED", "Y7", action="bakeoff")["reasons"]["artokun"]
    assert kz.ok("K25", name="comfy_mcp")["count"] == 0


def test_a_bakeoff_with_a_key_is_done_once(kz, candidate, comfy):
    candidate("artokun")
    first = kz.ok("Y7", action="bakeoff", key="k")
    assert kz.ok("Y7", action="bakeoff", key="k") == {**first, "replayed": True}


@pytest.mark.parametrize(
    ("part", "prompt_id", "pictures"),
    [
        ({"type": "text", "text": json.dumps({"prompt_id": "../../system_stats"})}, "../../system_stats", 0),
        ({"type": "text", "text": json.dumps({"prompt_id": "half \ud800"})}, "half \ufffd", 0),
        ({"type": "text", "text": json.dumps({"result": {"promptId": 5}})}, None, 0),
        ({"type": "text", "text": "[" * 50_000}, None, 0),
        ({"type": "image", "data": "!!!", "mimeType": "image/png"}, None, 0),
        ({"type": "image", "data": "", "mimeType": "image/png"}, None, 0),
        ({"type": "image", "data": "AAAA", "mimeType": "../../x"}, None, 1),
    ],
)
def test_what_a_tool_says_is_read_with_care(part, prompt_id, pictures):
    from mcp_types import CallToolResult

    said = mcp._read(CallToolResult.model_validate({"content": [part]}), mcp.Seen())
    assert (said.prompt_id, len(said.pictures), said.error) == (prompt_id, pictures, None)


def test_a_servers_words_do_not_steer_a_terminal_and_are_kept_short():
    assert mcp._cut("\x1b]0;x\x07 AKIA" + "QX7ZJ2M4R9T1W3L5") == "]0;x [REDACTED:aws_access_key]"
    assert mcp._cut("x" * 9_000) == "…" + "x" * 2_000 and mcp._cut(" \0 ") is None


# --- runs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", HOW)
def test_a_run_over_the_pinned_server_is_recorded_with_its_route(kz, plane, pin, comfy, workflow, how):
    pin("artokun", how)
    reply = kz.ok("Y7", action="run", path=workflow)
    assert reply["run_status"] == "completed" and reply["route"] == "mcp" and reply["prompt_id"] in comfy.graphs
    assert comfy.graphs[reply["prompt_id"]] == GRAPH
    [output] = reply["outputs"]
    assert (plane / output["path"]).read_bytes() == comfy_server.png()
    route = kz.ok("Y2", id=reply["id"])["record"]["route_info"]
    assert (route["route"], route["mcp_candidate"], route["mcp_version"]) == ("mcp", "artokun", "1.2.3")
    assert json.loads(route["payload_json"])["graph_as_submitted"] is True
    assert route["runtime_profile"].startswith("ComfyUI")


def test_the_other_operations_take_the_route_too(kz, pinned, workflow):
    assert kz.ok("Y1", path=workflow, route="mcp")["route"] == "mcp"
    assert kz.ok("Y8", path=workflow, route="mcp", candidate="artokun", seed=9)["seed"] == "9"
    assert kz.denied("DENIED_MCP_NOT_PINNED", "Y8", path=workflow, route="mcp", candidate="joenorton")["pinned"] == "artokun"


@pytest.mark.parametrize("words", [["words"], ["staged"], pytest.param(["staged", "real"], marks=pytest.mark.slow)])
def test_the_run_is_found_however_the_tool_names_it(kz, pin, comfy, workflow, words):
    name = "joenorton" if "staged" in words else "shawnrushefsky"
    pin(name, "--tool", "run_workflow", *words)
    reply = kz.ok("Y7", action="run", path=workflow)
    assert reply["prompt_id"] in comfy.history and len(reply["outputs"]) == 1


@pytest.mark.parametrize("how", HOW)
def test_pictures_of_a_tool_that_names_no_run_are_kept(kz, plane, pin, comfy, workflow, how):
    pin("artokun", "pictures", how)
    reply = kz.ok("Y7", action="run", path=workflow)
    assert (plane / reply["outputs"][0]["path"]).read_bytes() == comfy_server.png()


@pytest.mark.parametrize("how", HOW)
def test_a_tool_that_fails_is_a_failed_run_without_its_secret(kz, pin, comfy, workflow, how):
    pin("artokun", "fails", how)
    reply = kz("Y7", action="run", path=workflow)
    assert reply.code == 1 and reply["run_status"] == "failed" and "no such model" in reply["error"]
    assert "sk-ant-" not in reply.stdout


def test_a_run_that_fails_on_comfyui_is_a_failed_run(kz, pinned, comfy, workflow):
    comfy.failure = {"node_id": "3", "node_type": "KSampler", "exception_type": "OOM", "exception_message": "out of memory"}
    reply = kz("Y7", action="run", path=workflow)
    assert reply.code == 1 and "out of memory" in reply["error"]


def test_a_tool_that_never_answers_is_ended_in_time(kz, pin, comfy, workflow, monkeypatch):
    monkeypatch.setattr(mcp, "GRACE", 0.1)
    monkeypatch.setattr(mcp, "PATIENCE", 0.1)
    pin("artokun", "stuck")
    reply = kz.denied("DENIED_RUN_TIMEOUT", "Y7", action="run", path=workflow, timeout=1)
    run = kz.ok("Y2", id=reply["id"])["record"]
    assert run["status"] == "failed" and "in time" in run["error"]


@pytest.mark.slow
def test_a_run_that_does_not_end_is_stopped_on_the_server(kz, pinned, comfy, workflow):
    comfy.stalls = True
    reply = kz.denied("DENIED_RUN_TIMEOUT", "Y7", action="run", path=workflow, timeout=2.5)
    assert comfy.interrupted == [kz.ok("Y2", id=reply["id"])["record"]["prompt_id"]]


def test_another_command_or_version_than_the_pinned_one_is_refused(kz, pinned, comfy, candidate, workflow, tmp_path, monkeypatch):
    candidate("artokun", "--version", "1.2.4")
    reply = kz.denied("DENIED_MCP_NOT_PINNED", "Y7", action="run", path=workflow)
    assert reply["variable"] == "KAIZEN_COMFY_MCP_ARTOKUN"
    # The same command, and what it starts is another version now.
    launcher = tmp_path / "launch.py"
    text = "import runpy, sys\nsys.argv = ['x', '--version', '{}', 'by-hand']\nrunpy.run_path({!r}, run_name='__main__')\n"
    launcher.write_text(text.format("1.0", CANDIDATE))
    monkeypatch.setenv("KAIZEN_COMFY_MCP_ARTOKUN", f"{sys.executable} {launcher}")
    kz.ok("Y7", action="bakeoff")
    launcher.write_text(text.format("1.1", CANDIDATE))
    reply = kz.denied("DENIED_MCP_NOT_PINNED", "Y7", action="run", path=workflow)
    assert (reply["version"], reply["pinned"]) == ("1.1", "1.0")
    assert not comfy.graphs


def test_a_tool_that_changed_under_its_version_is_refused(kz, comfy, workflow, tmp_path, monkeypatch):
    launcher = tmp_path / "launch.py"
    text = "import runpy, sys\nsys.argv = ['x', *{!r}]\nrunpy.run_path({!r}, run_name='__main__')\n"
    launcher.write_text(text.format(["by-hand"], CANDIDATE))
    monkeypatch.setenv("KAIZEN_COMFY_MCP_ARTOKUN", f"{sys.executable} {launcher}")
    kz.ok("Y7", action="bakeoff")
    launcher.write_text(text.format(["by-hand", "renamed"], CANDIDATE))
    assert "does not take" in kz.denied("DENIED_MCP_ADAPTER_UNCONFIRMED", "Y7", action="run", path=workflow)["reason"]


def test_the_plane_is_free_while_the_server_works(kz, pinned, comfy, workflow):
    import threading

    comfy.stalls = True
    done: list[str] = []

    # In this process stdout is shared: what the note answered is not looked at, that it was written is.
    from kaizen_components.api import call

    def noted() -> None:
        comfy.begun.wait(10)
        done.append(call("W38", summary="Written meanwhile.")["id"])
        comfy.stalls = False

    thread = threading.Thread(target=noted)
    thread.start()
    reply = kz.ok("Y7", action="run", path=workflow)
    thread.join()
    assert done and reply["run_status"] == "completed"


# --- pairs ----------------------------------------------------------------------------------------


def test_a_pair_runs_the_same_over_both_routes(kz, plane, pinned, comfy, workflow):
    reply = kz.ok("Y9", path=workflow, seed=7)
    assert reply["parity"] is True and reply["report"]["differences"] == []
    assert reply["ab_pair_id"].startswith("ab_") and reply["report"]["outputs"][0]["equal"] == "bytes"
    assert [graph["3"]["inputs"]["seed"] for graph in comfy.graphs.values()] == [7, 7]
    for side, route in (("api_run", "api"), ("mcp_run", "mcp")):
        info = kz.ok("Y2", id=reply[side]["id"])["record"]["route_info"]
        assert (info["route"], info["ab_pair_id"]) == (route, reply["ab_pair_id"])
    report = json.loads((plane / reply["report_path"]).read_text())
    assert report["ab_pair_id"] == reply["ab_pair_id"] and report["graph_as_submitted"] is True
    assert kz.ok("A5", id=reply["report_artifact_id"])["match"] is True


def test_a_run_of_another_workflow_than_the_recorded_one_says_so(kz, pin, comfy, workflow):
    pin("artokun", "meddles")
    reply = kz.ok("Y8", path=workflow, route="mcp")
    assert any("not the recorded workflow" in warning for warning in reply["warnings"])


def test_a_server_that_changes_the_workflow_is_found_out(kz, pin, comfy, workflow):
    pin("artokun", "meddles")
    reply = kz("Y9", path=workflow, seed=7)
    assert reply.code == 1 and reply["status"] == "FAILED" and reply["parity"] is False
    assert reply["report"]["differences"] == ["the MCP server changed the workflow before it submitted it"]


def test_a_pair_with_a_key_runs_once(kz, pinned, comfy, workflow):
    first = kz.ok("Y9", path=workflow, seed=7, key="k")
    assert kz.ok("Y9", path=workflow, seed=7, key="k") == {**first, "replayed": True}
    assert len(comfy.graphs) == 2


def test_a_pair_where_comfyui_does_not_answer_writes_nothing(kz, pinned, workflow):
    kz.denied("DENIED_BACKEND_UNAVAILABLE", "Y9", path=workflow, seed=7, endpoint="http://127.0.0.1:9")
    assert kz.ok("Y3")["records"] == []


# --- parity ---------------------------------------------------------------------------------------


def written(path: Path, rows: list[bytes], *, size: tuple[int, int] = (2, 2), text: bytes = b"") -> Path:
    """A PNG of 8-bit RGB with rows as they stand behind their filters."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0))
    said = chunk(b"tEXt", text) if text else b""
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + said + chunk(b"IDAT", zlib.compress(b"".join(rows))) + chunk(b"IEND", b""))
    return path


def test_pictures_are_the_same_however_they_are_written(tmp_path):
    plain = written(tmp_path / "a.png", [b"\x00" + bytes([1, 2, 3, 4, 5, 6]), b"\x00" + bytes([7, 8, 9, 10, 11, 12])])
    same = parity.pixels(plain)
    assert same is not None
    for number, rows in enumerate(
        [
            [b"\x01" + bytes([1, 2, 3, 3, 3, 3]), b"\x02" + bytes([6] * 6)],
            [b"\x03" + bytes([1, 2, 3, 4, 4, 5]), b"\x04" + bytes([6, 6, 6, 3, 3, 3])],
        ]
    ):
        assert parity.pixels(written(tmp_path / f"{number}.png", rows, text=b"prompt\0other")) == same
    other = written(tmp_path / "b.png", [b"\x00" + bytes(6), b"\x00" + bytes(6)])
    assert parity.pixels(other) != same


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n" + bytes(20)])
def test_what_is_no_picture_has_no_pixels(tmp_path, content):
    path = tmp_path / "x.png"
    path.write_bytes(content)
    assert parity.pixels(path) is None


def test_a_picture_that_unfolds_without_end_is_left_alone(tmp_path):
    assert parity.pixels(written(tmp_path / "bomb.png", [bytes(10_000_000)], size=(65_000, 65_000))) is None
    assert parity.pixels(written(tmp_path / "long.png", [bytes(10_000_000)])) is not None


def test_differences_are_named(tmp_path):
    one = written(tmp_path / "1.png", [b"\x00" + bytes(6)] * 2)
    two = written(tmp_path / "2.png", [b"\x00" + bytes([9] * 6)] * 2)

    def run(route: str, *paths: Path, **more):
        outputs = [{"path": path.name, "sha256": path.name} for path in paths]
        return {"route": route, "run_status": "completed", "workflow_hash": "h", "outputs": outputs, **more}

    assert parity.compared(run("api", one), run("mcp", two), tmp_path)["differences"] == ["output 1: other pixels"]
    assert parity.compared(run("api", one, two), run("mcp", one), tmp_path)["differences"] == ["2 outputs over api, 1 over mcp"]
    assert parity.compared(run("api"), run("mcp"), tmp_path)["differences"] == ["no output to compare"]
    found = parity.compared(run("api", one), run("mcp", one, run_status="failed", workflow_hash="i"), tmp_path)
    assert found["differences"] == ["the run over mcp is failed", "the workflows differ"]
