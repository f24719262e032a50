"""Generative runs from the command line to the records, against a server on loopback."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import comfy_server
import pytest

from kaizen_components.generation import comfyui

ROOT = Path(__file__).resolve().parent.parent.parent

GRAPH = {
    "3": {"class_type": "KSampler", "inputs": {"seed": 42, "sampler_name": "euler", "model": ["4", 0]}},
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd15.safetensors"}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a photo of {{prompt}}"}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "out"}},
}
PICTURE = {"1": {"class_type": "LoadImage", "inputs": {"image": "cat.png"}}}


@pytest.fixture
def server(monkeypatch):
    with comfy_server.running() as found:
        monkeypatch.setenv("KAIZEN_COMFYUI_URL", found.url)
        monkeypatch.setattr(comfyui, "PAUSES", (0.01, 0.05))
        monkeypatch.setattr(comfyui, "QUIET", 0.2)
        yield found


@pytest.fixture
def path(tmp_path):
    return written(tmp_path, GRAPH)


@pytest.fixture
def ready(kz):
    kz.ok("K1")


pytestmark = pytest.mark.usefixtures("ready")


def written(folder: Path, graph: object, name: str = "flow.json") -> Path:
    found = folder / name
    found.write_text(graph if isinstance(graph, str) else json.dumps(graph), encoding="utf-8")
    return found


def runs(kz) -> list[dict]:
    return kz.ok("Y3", limit=-1)["records"]


def shown(kz, run_id: str) -> dict:
    return kz.ok("Y2", id=run_id)["record"]


def left(plane: Path) -> list[str]:
    """Files of runs."""
    return [path.name for path in (plane / "AI" / "generation").rglob("*.*") if path.name != ".gitignore"]


# --- a run that goes well -------------------------------------------------------------------------


def test_a_run_is_recorded_with_what_it_was_made_of_and_what_came_out(kz, server, path, plane):
    task = kz.ok("W1", title="Pictures", summary="Make some.")["id"]
    reply = kz.ok("Y1", path=path, summary="A first try.", task_id=task)
    assert reply["run_status"] == "completed" and reply["route"] == "api" and not reply["dry_run"]
    assert reply["seed"] == "42" and "sd15.safetensors" in reply["models"]
    assert reply["output_dir"] == "AI/generation/flow"
    (output,) = reply["outputs"]
    kept = (plane / output["path"]).read_bytes()
    assert kept == comfy_server.png() and output["sha256"] == hashlib.sha256(kept).hexdigest()
    record = shown(kz, reply["id"])
    assert record["status"] == "completed" and record["summary"] == "A first try." and record["task_id"] == task
    assert record["route_info"]["route"] == "api" and "ComfyUI 0.9.1 on cpu" in record["route_info"]["runtime_profile"]
    for artifact_id in (reply["workflow_artifact_id"], *reply["output_artifact_ids"]):
        assert kz.ok("A5", id=artifact_id)["match"] is True
    assert (plane / kz.ok("A3", id=reply["workflow_artifact_id"])["record"]["path"]).read_text() == path.read_text()


def test_the_record_names_the_run_of_the_server_before_the_server_does(kz, server, path):
    reply = kz.ok("Y1", path=path)
    assert list(server.history) == [reply["prompt_id"]] and server.asked("/prompt")[0]["prompt_id"] == reply["prompt_id"]


def test_an_older_server_gives_the_run_an_id_of_its_own(kz, server, path):
    server.old = True
    reply = kz.ok("Y1", path=path)
    assert list(server.history) == [reply["prompt_id"]] == [shown(kz, reply["id"])["prompt_id"]]


def test_a_run_is_an_event_of_the_gateway_and_of_the_trace_and_neither_holds_its_text(kz, server, path):
    reply = kz.ok("Y8", path=path, prompt="a violet bicycle")
    (event,) = kz.ok("Y11", event_type="comfyui_run")["records"]
    payload = json.loads(kz.ok("Y12", id=event["id"])["record"]["payload_json"])
    assert payload["run_id"] == reply["id"] and payload["outputs"] == 1 and event["status"] == "completed"
    (step,) = kz.ok("T9", kind="generative_run")["records"]
    trace = kz.ok("T10", id=step["id"])["record"]
    assert trace["input_ref"] == f"sha256:{reply['workflow_hash']}" and trace["output_ref"].startswith("sha256:")
    assert "bicycle" not in json.dumps([payload, trace])


def test_the_ledger_holds_the_run_twice_and_verifies(kz, server, path):
    reply = kz.ok("Y1", path=path)
    history = kz.ok("K19", id=reply["id"])
    assert len(history["records"]) == 2
    assert kz.ok("V1", files=True)["status"] == "OK"


def test_a_key_gives_the_first_answer_again_and_runs_nothing(kz, server, path):
    first = kz.ok("Y1", path=path, key="one")
    again = kz.ok("Y1", path=path, key="one")
    assert again["replayed"] is True and again["id"] == first["id"] and again["outputs"] == first["outputs"]
    assert again["chain_hash"] == first["chain_hash"] and len(server.graphs) == 1
    kz.denied("DENIED_KEY_CONFLICT", "Y1", path=path, key="one", template="another")


def test_a_key_stands_for_a_dry_run_too(kz, path):
    first = kz.ok("Y1", path=path, key="one", dry_run=True)
    assert kz.ok("Y1", path=path, key="one", dry_run=True)["id"] == first["id"] and len(runs(kz)) == 1


def test_a_key_of_a_run_that_was_refused_gives_what_was_recorded(kz, server, path):
    server.stalls = True
    refused = kz.denied("DENIED_RUN_TIMEOUT", "Y1", path=path, timeout=0.1, key="one")
    again = kz("Y1", path=path, timeout=0.1, key="one")
    assert (again.code, again["id"], again["run_status"], again["replayed"]) == (1, refused["id"], "failed", True)


def test_what_others_say_on_the_socket_and_previews_do_not_end_a_run(kz, server, path):
    server.previews = True
    assert kz.ok("Y1", path=path)["run_status"] == "completed"


@pytest.mark.parametrize("fault", ["no_socket", "cuts_socket", "keeps_silent"])
def test_without_the_socket_the_history_is_looked_at(kz, server, path, fault):
    setattr(server, fault, True)
    reply = kz.ok("Y1", path=path)
    assert reply["run_status"] == "completed" and len(reply["outputs"]) == 1
    assert server.asked(f"/history/{reply['prompt_id']}")


def test_a_socket_that_points_elsewhere_is_not_followed(kz, server, path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:

        def moved(handler):
            handler.send_response(302)
            handler.send_header("Location", f"ws://127.0.0.1:{elsewhere.getsockname()[1]}/ws")
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        monkeypatch.setattr(comfy_server._Handler, "_socket", moved)
        assert kz.ok("Y1", path=path)["run_status"] == "completed"
        elsewhere.settimeout(0.05)
        with pytest.raises(TimeoutError):
            elsewhere.accept()


def test_without_the_package_for_sockets_a_run_goes_through(kz, server, path, without):
    without("websockets")
    assert kz.ok("Y1", path=path)["run_status"] == "completed"


@pytest.mark.parametrize("flag", ["workflow_file", "payload_json_file"])
def test_other_flags_name_the_workflow_too(kz, path, flag):
    reply = kz.ok("Y1", **{flag: path}, dry_run=True)
    assert shown(kz, reply["id"])["template"] == "flow"
    assert kz.ok("Y1", **{flag: path}, path=path, dry_run=True)["workflow_hash"] == reply["workflow_hash"]
    assert kz.denied("DENIED_FLAG_CONFLICT", "Y1", **{flag: path}, path="other.json")["flag"] == "--path"


def test_a_workflow_comes_on_stdin(kz):
    reply = kz.ok("Y1", path="-", dry_run=True, _stdin=json.dumps(GRAPH))
    assert shown(kz, reply["id"])["template"] == "workflow"


def test_a_dry_run_is_queued_and_asks_no_server(kz, server, path, plane):
    reply = kz.ok("Y1", path=path, dry_run=True)
    assert (reply["run_status"], reply["dry_run"], reply["outputs"], reply["prompt_id"]) == ("queued", True, [], None)
    assert server.requests == []
    assert (plane / "AI/generation/flow" / f"{reply['id']}-workflow.json").read_text() == path.read_text()


# --- what a server says is not trusted ------------------------------------------------------------


def test_names_of_the_server_stay_inside_the_folder(kz, server, path, plane):
    named = [
        ("../../../evil.png", "..", "output"),
        ("/etc/passwd", "../..", "temp"),
        ("..", "", "output"),
        (".bashrc", "a/b", "output"),
    ]
    server.files = dict.fromkeys(named, comfy_server.png())
    reply = kz.ok("Y1", path=path)
    folder = plane / "AI" / "generation" / "flow"
    assert len(reply["outputs"]) == 4
    for output in reply["outputs"]:
        place = (plane / output["path"]).resolve()
        assert place.parent == folder and place.name.startswith(reply["id"])
    assert not list(plane.rglob("evil.png")) and {entry.parent for entry in folder.rglob("*")} == {folder}


def test_what_is_no_picture_is_kept_as_it_is_and_what_was_read_is_no_output(kz, server, path, plane):
    server.files = {("film.mp4", "", "output"): b"\0film", ("there.png", "", "input"): b"read", ("note.txt", "s", "temp"): b"n"}
    reply = kz.ok("Y1", path=path)
    assert [(plane / output["path"]).read_bytes() for output in reply["outputs"]] == [b"\0film", b"n"]


def test_an_output_that_is_too_long_is_not_kept(kz, server, path, plane, monkeypatch):
    monkeypatch.setattr(comfyui.runs, "OUTPUT_BYTES", 10)
    server.files = {("big.png", "", "output"): b"x" * 11}
    refused = kz.denied("DENIED_FILE_TOO_LARGE", "Y1", path=path)
    assert shown(kz, refused["id"])["status"] == "failed"
    assert [entry.name for entry in (plane / "AI/generation/flow").iterdir()] == [f"{refused['id']}-workflow.json"]


def test_an_output_that_comes_a_byte_now_and_then_ends_with_the_time(kz, server, path, monkeypatch):
    server.drips = {"/view"}
    fetch = comfyui.Client.fetch
    monkeypatch.setattr(comfyui.Client, "fetch", lambda self, plan, entry, seconds: fetch(self, plan, entry, seconds=0.2))
    refused = kz.denied("DENIED_RUN_TIMEOUT", "Y1", path=path)
    assert shown(kz, refused["id"])["status"] == "failed"


@pytest.mark.parametrize("half", ["\ud800", "\0"])
def test_what_no_record_can_hold_is_not_believed_and_the_run_is_recorded(kz, server, path, half):
    server.stats["system"]["comfyui_version"] = f"0{half}9"
    server.files = {(f"a{half}.png", half, "output"): comfy_server.png()}
    server.faults["/view"] = (200, comfy_server.png())
    reply = kz.ok("Y1", path=path)
    assert reply["outputs"][0]["bytes"] == len(comfy_server.png())
    server.failure = {"node_id": half, "node_type": "X", "exception_type": "E", "exception_message": f"bad {half} thing"}
    reply = kz("Y1", path=path)
    assert reply.code == 1 and reply["error"] == "node \ufffd (X): E: bad \ufffd thing"
    server.rejection = {"error": {"message": half}, "node_errors": {half: {"class_type": half, "errors": [{"message": "no"}]}}}
    assert kz.denied("DENIED_WORKFLOW_REJECTED", "Y1", path=path)["errors"] == ["\ufffd", "node \ufffd (\ufffd): no"]
    assert sorted(run["status"] for run in runs(kz)) == ["completed", "failed", "failed"]


@pytest.mark.parametrize("prompt_id", ["x" * 201, 7, None, ""])
def test_an_id_that_is_none_is_refused(kz, server, path, prompt_id):
    server.faults["/prompt"] = (200, json.dumps({"prompt_id": prompt_id}).encode())
    kz.denied("DENIED_BACKEND_MALFORMED", "Y1", path=path)


def test_what_cannot_be_written_is_refused_before_anything_runs(kz, server, path, plane):
    (plane / "AI" / "generation").mkdir(parents=True, exist_ok=True)
    (plane / "AI" / "generation" / "flow").write_text("in the way")
    kz.denied("DENIED_FILE_UNWRITABLE", "Y1", path=path)
    assert runs(kz) == [] and server.asked("/prompt") == []


# --- pictures that go in --------------------------------------------------------------------------


def test_a_picture_beside_the_workflow_is_uploaded_and_kept(kz, server, tmp_path, plane):
    (tmp_path / "cat.png").write_bytes(comfy_server.png((1, 2, 3)))
    reply = kz.ok("Y1", path=written(tmp_path, {**GRAPH, **PICTURE}), validate=True)
    assert server.inputs["cat.png"] == comfy_server.png((1, 2, 3))
    (entry,) = json.loads(shown(kz, reply["id"])["inputs_json"])
    assert entry["name"] == "cat.png" and entry["sha256"] == hashlib.sha256(server.inputs["cat.png"]).hexdigest()
    assert (plane / entry["path"]).read_bytes() == server.inputs["cat.png"]


def test_a_picture_of_the_servers_is_not_overwritten(kz, server, tmp_path):
    server.inputs["cat.png"] = b"another cat"
    (tmp_path / "cat.png").write_bytes(comfy_server.png())
    reply = kz.ok("Y1", path=written(tmp_path, {**GRAPH, **PICTURE}))
    assert server.inputs["cat.png"] == b"another cat"
    assert server.graphs[reply["prompt_id"]]["1"]["inputs"]["image"] == "cat (1).png"
    assert reply["workflow_hash"] == kz.ok("Y1", path=tmp_path / "flow.json", dry_run=True)["workflow_hash"]


@pytest.mark.parametrize("name", ["../secret.png", ".env", "/etc/hostname", "nothing.png"])
def test_a_workflow_cannot_have_other_files_sent(kz, server, tmp_path, name):
    (tmp_path / "secret.png").write_bytes(comfy_server.png())
    folder = tmp_path / "flows"
    folder.mkdir()
    (folder / ".env").write_text("A=1")
    graph = {**GRAPH, "1": {"class_type": "LoadImage", "inputs": {"image": name}}}
    kz.ok("Y1", path=written(folder, graph))
    assert server.asked("/upload/image") == []


# --- runs that fail -------------------------------------------------------------------------------


def test_a_run_that_fails_on_the_server_is_recorded_and_a_finding(kz, server, path):
    secret = "AKIA" + "ABCDEFGHIJKLMNOP"
    server.failure = {
        "node_id": "3",
        "node_type": "KSampler",
        "exception_type": "RuntimeError",
        "exception_message": f"out of memory in /home/alice/ComfyUI with {secret} " + "x" * 5_000,
        "traceback": ["..."],
    }
    reply = kz("Y1", path=path)
    assert (reply.code, reply["status"], reply["run_status"]) == (1, "FAILED", "failed")
    record = shown(kz, reply["id"])
    assert record["status"] == "failed" and "KSampler" in record["error"] and "out of memory" in record["error"]
    assert secret not in record["error"] and "alice" not in record["error"] and len(record["error"]) <= 2_000
    assert kz.ok("T9", kind="generative_run")["records"][0]["level"] == "error"


def test_a_rejected_workflow_is_refused_with_the_reasons_and_recorded_as_failed(kz, server, path):
    server.rejection = {
        "error": {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation", "details": ""},
        "node_errors": {
            "4": {
                "class_type": "CheckpointLoaderSimple",
                "errors": [{"type": "value_not_in_list", "message": "Value not in list", "details": "ckpt_name: 'x'"}],
            }
        },
    }
    refused = kz.denied("DENIED_WORKFLOW_REJECTED", "Y1", path=path)
    assert refused["errors"] == [
        "Prompt outputs failed validation",
        "node 4 (CheckpointLoaderSimple): Value not in list: ckpt_name: 'x'",
    ]
    record = shown(kz, refused["id"])
    assert record["status"] == "failed" and "Value not in list" in record["error"]


def test_a_run_that_does_not_end_in_time_is_stopped_and_recorded(kz, server, path):
    server.stalls = True
    refused = kz.denied("DENIED_RUN_TIMEOUT", "Y1", path=path, timeout=0.3)
    record = shown(kz, refused["id"])
    assert refused["exit_code"] == 1 and record["status"] == "failed" and "timeout" in record["error"]
    assert server.interrupted == [record["prompt_id"]]


def test_a_run_that_waits_too_long_is_taken_out_of_the_queue_and_nobody_elses_is_stopped(kz, server, path):
    server.waits = server.old = True
    server.running.append("another")
    kz.denied("DENIED_RUN_TIMEOUT", "Y1", path=path, timeout=0.2)
    assert server.pending == [] and server.interrupted == []


def test_a_run_that_the_server_forgot_is_failed(kz, server, path):
    server.forgets = True
    reply = kz("Y1", path=path)
    assert reply.code == 1 and reply["run_status"] == "failed" and "does not know the run" in reply["error"]


def test_a_server_that_goes_away_is_refused_and_the_run_is_failed(kz, server, path, monkeypatch):
    monkeypatch.setattr(comfyui, "PATIENCE", 0.1)
    server.no_socket = True
    server.faults["/queue"] = (500, b"")
    server.stalls = True
    refused = kz.denied("DENIED_BACKEND_HTTP", "Y1", path=path)
    assert shown(kz, refused["id"])["status"] == "failed"


def test_an_output_that_cannot_be_fetched_fails_the_run_and_the_others_are_kept(kz, server, path):
    server.files = {("a.png", "", "output"): comfy_server.png()}
    server.faults["/view"] = (500, b"")
    refused = kz.denied("DENIED_BACKEND_HTTP", "Y1", path=path)
    assert refused["http_status"] == 500 and shown(kz, refused["id"])["status"] == "failed"


def test_a_server_that_does_not_answer_costs_nothing(kz, path, plane, monkeypatch):
    monkeypatch.setenv("KAIZEN_COMFYUI_URL", "http://127.0.0.1:9")
    refused = kz.denied("DENIED_BACKEND_UNAVAILABLE", "Y1", path=path)
    assert refused["endpoint"] == "http://127.0.0.1:9" and "id" not in refused
    assert runs(kz) == [] and left(plane) == []


def test_a_page_that_is_no_comfyui_is_refused(kz, server, path):
    server.faults["/system_stats"] = (200, b"<html>hello</html>")
    kz.denied("DENIED_BACKEND_MALFORMED", "Y1", path=path)
    server.faults["/system_stats"] = (403, b"no")
    assert kz.denied("DENIED_BACKEND_HTTP", "Y1", path=path)["http_status"] == 403


def test_without_httpx_a_run_says_what_to_install_and_a_dry_run_works(kz, path, without):
    without("httpx")
    refused = kz.denied("DENIED_BACKEND_UNAVAILABLE", "Y1", path=path)
    assert refused["package"] == "httpx" and "pip install -r requirements-kaizen.txt" in refused["required_action"]
    kz.ok("Y1", path=path, dry_run=True)


# --- runs whose process ends ----------------------------------------------------------------------


def started(path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "kaizen.py"), "Y1", "--path", str(path), "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)


def test_a_run_whose_process_is_killed_stays_as_running(kz, server, path):
    server.stalls = True
    process = started(path)
    assert server.begun.wait(30)
    process.kill()
    process.communicate(timeout=30)
    (run,) = runs(kz)
    assert run["status"] == "running" and shown(kz, run["id"])["prompt_id"] == server.running[0]
    assert kz.ok("Y15", id=run["id"], status="failed")["id"] == run["id"]


def test_ctrl_c_stops_the_run_on_the_server_and_records_it(kz, server, path):
    server.stalls = True
    process = started(path)
    assert server.begun.wait(30)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130 and json.loads(out)["run_status"] == "failed"
    (run,) = runs(kz)
    assert run["status"] == "failed" and shown(kz, run["id"])["error"] == "interrupted"
    assert server.interrupted == [shown(kz, run["id"])["prompt_id"]]


# --- checks before a run --------------------------------------------------------------------------


def test_nodes_that_the_server_does_not_know_are_named(kz, server, tmp_path):
    graph = {**GRAPH, "20": {"class_type": "Upscale/Magic", "inputs": {}}, "21": {"class_type": "Another", "inputs": {}}}
    refused = kz.denied("DENIED_WORKFLOW_NODES_UNKNOWN", "Y1", path=written(tmp_path, graph), validate=True)
    assert refused["nodes"] == ["Another", "Upscale/Magic"] and runs(kz) == []


def test_files_that_the_server_does_not_have_are_named(kz, server, tmp_path):
    graph = {
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sdxl.safetensors"}},
        "5": {"class_type": "VAELoader", "inputs": {"vae_name": "other.safetensors"}},
        "1": {"class_type": "LoadImage", "inputs": {"image": "dog.png"}},
        "2": {"class_type": "LoadImage", "inputs": {"image": "there.png [input]"}},
        "3": {"class_type": "KSampler", "inputs": {"sampler_name": "unheard of"}},
    }
    refused = kz.denied("DENIED_ASSET_MISSING", "Y1", path=written(tmp_path, graph), validate=True, dry_run=True)
    assert refused["files"] == ["dog.png", "other.safetensors", "sdxl.safetensors"] and runs(kz) == []
    (tmp_path / "dog.png").write_bytes(comfy_server.png())
    refused = kz.denied("DENIED_ASSET_MISSING", "Y1", path=tmp_path / "flow.json", validate=True)
    assert refused["files"] == ["other.safetensors", "sdxl.safetensors"]


def test_a_secret_in_the_workflow_is_refused(kz, tmp_path, plane):
    graph = {"1": {"class_type": "Cloud", "inputs": {"token": "AKIA" + "ABCDEFGHIJKLMNOP"}}}
    refused = kz.denied("DENIED_TRACE_REDACTION", "Y1", path=written(tmp_path, graph), dry_run=True)
    assert "aws_access_key" in refused["fields"]["path"] and left(plane) == []


@pytest.mark.parametrize("field", ["summary", "template"])
def test_personal_data_in_summary_and_template_is_refused(kz, path, field):
    kz.denied("DENIED_TRACE_REDACTION", "Y1", path=path, dry_run=True, **{field: "from /home/alice/pictures"})


def test_an_unknown_task_is_refused_before_anything_runs(kz, server, path):
    kz.denied("DENIED_REFERENCE_NOT_FOUND", "Y1", path=path, task_id="t_20260101000000_0123456789")
    assert server.requests == []


def test_a_secret_in_the_address_is_refused_and_kept_nowhere(kz, path, plane, monkeypatch):
    secret = "AKIA" + "QX7ZJ2M4R9T1W3L5"
    monkeypatch.setenv("KAIZEN_COMFYUI_URL", f"https://comfy.example.org/{secret}/api")
    reply = kz.denied("DENIED_ENVIRONMENT_INVALID", "Y1", path=path, dry_run=True)
    assert secret not in reply.stderr
    kept = b"".join(file.read_bytes() for file in (plane / "AI").rglob("*") if file.is_file())
    assert secret.encode() not in kept and left(plane) == []


def test_a_private_folder_in_a_models_name_is_not_in_the_trace(kz, tmp_path):
    graph = {**GRAPH, "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "/home/anna/x.safetensors"}}}
    kz.ok("Y1", path=written(tmp_path, graph), dry_run=True)
    (event,) = kz.ok("T9", kind="generative_run")["records"]
    assert kz.ok("T10", id=event["id"])["record"]["model"] == "[REDACTED:posix_home_path]/x.safetensors, euler"


def test_plain_http_to_another_machine_is_refused(kz, path):
    kz.denied("DENIED_ENDPOINT_INSECURE", "Y1", path=path, endpoint="http://192.0.2.1:8188")


def test_the_route_mcp_needs_a_server_that_is_pinned(kz, path):
    kz.denied("DENIED_MCP_NOT_PINNED", "Y1", path=path, route="mcp", dry_run=True)


# --- prompts, seeds, replays ----------------------------------------------------------------------


def test_prompt_and_seed_take_their_places(kz, server, path, plane):
    reply = kz.ok("Y8", path=path, prompt='a "red" bicycle', seed=7)
    graph = server.graphs[reply["prompt_id"]]
    assert graph["6"]["inputs"]["text"] == 'a photo of a "red" bicycle' and graph["3"]["inputs"]["seed"] == 7
    assert reply["seed"] == "7"
    stored = plane / "AI/generation/flow" / f"{reply['id']}-workflow.json"
    assert json.loads(stored.read_text()) == graph


def test_a_prompt_needs_its_place_and_a_place_its_prompt(kz, tmp_path, path):
    bare = written(tmp_path, PICTURE, "bare.json")
    kz.denied("DENIED_PROMPT_PLACEHOLDER_MISSING", "Y8", path=bare, prompt="x", dry_run=True)
    kz.denied("DENIED_PROMPT_REQUIRED", "Y8", path=path, dry_run=True)
    assert kz.denied("DENIED_WORKFLOW_TYPE", "Y8", path=bare, seed=1, dry_run=True)["field"] == "seed"
    assert kz.ok("Y8", path=bare, dry_run=True)["run_status"] == "queued"


def test_a_candidate_is_for_the_route_mcp(kz, path):
    kz.denied("DENIED_FLAG_CONFLICT", "Y8", path=path, prompt="x", candidate="artokun", dry_run=True)


def test_a_replay_submits_the_stored_workflow_with_its_pictures(kz, server, tmp_path):
    (tmp_path / "cat.png").write_bytes(comfy_server.png((9, 9, 9)))
    path = written(tmp_path, {**GRAPH, **PICTURE})
    first = kz.ok("Y8", path=path, prompt="a boat", seed=3)
    path.unlink()
    (tmp_path / "cat.png").unlink()
    server.inputs.clear()
    again = kz.ok("Y4", id=first["id"])
    assert again["replay_of"] == first["id"] and again["workflow_hash"] == first["workflow_hash"]
    assert server.graphs[again["prompt_id"]] == server.graphs[first["prompt_id"]] and "cat.png" in server.inputs
    assert shown(kz, again["id"])["replay_of"] == first["id"] and shown(kz, again["id"])["template"] == "flow"
    assert kz.ok("Y4", id=again["id"], dry_run=True, template="copy")["output_dir"] == "AI/generation/copy"


def test_a_stored_workflow_that_was_changed_is_not_replayed(kz, server, path, plane):
    first = kz.ok("Y1", path=path, dry_run=True)
    stored = plane / first["output_dir"] / f"{first['id']}-workflow.json"
    stored.write_text(stored.read_text().replace("42", "43"))
    assert kz.denied("DENIED_REFERENCE_NOT_FOUND", "Y4", id=first["id"])["path"].endswith("-workflow.json")
    stored.unlink()
    kz.denied("DENIED_FILE_NOT_FOUND", "Y4", id=first["id"])
    assert len(runs(kz)) == 1


def test_a_stored_picture_that_was_changed_is_not_sent(kz, server, tmp_path, plane):
    (tmp_path / "cat.png").write_bytes(comfy_server.png())
    first = kz.ok("Y1", path=written(tmp_path, {**GRAPH, **PICTURE}), dry_run=True)
    (stored,) = (plane / first["output_dir"]).glob("*cat.png")
    stored.write_bytes(comfy_server.png((9, 9, 9)))
    assert kz.denied("DENIED_REFERENCE_NOT_FOUND", "Y4", id=first["id"])["path"].endswith("cat.png")
    assert server.asked("/upload/image") == []


def test_a_replay_needs_a_run_with_its_id(kz, populated):
    kz.denied("DENIED_ID_REQUIRED", "Y4")
    for run in ("gen_20260101000000_0000000000", populated["task"], "PROJ-42"):
        assert kz.denied("DENIED_RECORD_NOT_FOUND", "Y4", id=run, dry_run=True).code == 1


# --- what is there --------------------------------------------------------------------------------


def test_the_doctor_says_what_runs_there(kz, server):
    reply = kz.ok("Y5")
    assert reply["reachable"] is True and reply["loopback"] is True and reply["endpoint"] == server.url
    assert reply["comfyui_version"] == "0.9.1" and reply["python_version"].startswith("3.12")
    assert reply["devices"] == [{"name": "cpu", "type": "cpu", "vram_total": 8_000, "vram_free": 4_000}]
    assert kz.denied("DENIED_BACKEND_UNAVAILABLE", "Y5", endpoint="http://127.0.0.1:9", timeout=1).code == 2


def test_a_run_is_revised_and_retired_and_what_came_out_stays(kz, path):
    run_id = kz.ok("Y1", path=path, dry_run=True)["id"]
    task = kz.ok("W1", title="Pictures", summary="Make some.")["id"]
    kz.ok("Y15", id=run_id, summary="Never ran.", task_id=task, status="failed")
    assert [shown(kz, run_id)[name] for name in ("summary", "task_id", "status")] == ["Never ran.", task, "failed"]
    kz.denied("DENIED_SCHEMA_ENUM", "Y15", id=run_id, status="done")
    kz.denied("DENIED_USAGE", "Y15", id=run_id, workflow_hash="0")
    kz.ok("Y16", id=run_id, reason="Not needed.")
    assert shown(kz, run_id)["status"] == "retired"
    assert kz.ok("Y3", task_id=task, template="flow")["count"] == 1
