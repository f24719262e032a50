"""The runtime of ComfyUI: its state, its start and its end. A small main.py stands for it; the processes are real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kaizen_components import process
from kaizen_components.generation import runtime
from kaizen_components.store.lock import PlaneLock

SERVER = """
import http.server, json, os, subprocess, sys, time
port = int(sys.argv[sys.argv.index("--port") + 1])
said = {
    "system": {"comfyui_version": "0.17.0", "python_version": "3.11.9 (main)", "os": "posix"},
    "devices": [{"name": "cuda:0 Test GPU", "type": "cuda", "vram_total": 1}],
}

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass

print("secrets:", sorted(name for name in os.environ if "TOKEN" in name or "KEY" in name), flush=True)
print("cuda:", os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
with open("child.pid", "w") as file:
    file.write(str(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid))
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A checkout with a virtual environment, whose Python is ours."""
    folder = tmp_path / "ComfyUI"
    (folder / "venv" / "bin").mkdir(parents=True)
    python = folder / "venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    (folder / "main.py").write_text(SERVER, encoding="utf-8")
    (folder / "models" / "checkpoints" / "sdxl").mkdir(parents=True)
    (folder / "models" / "checkpoints" / "sdxl" / "base.safetensors").write_bytes(b"x")
    (folder / "models" / "checkpoints" / "put_checkpoints_here").write_bytes(b"")
    monkeypatch.setenv("KAIZEN_COMFYUI_HOME", str(folder))
    return folder


@pytest.fixture
def endpoint(unused_port):
    return f"http://127.0.0.1:{unused_port}"


@pytest.fixture
def unused_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def started(kz, home, endpoint, monkeypatch):
    """A runtime that runs; it is ended with the test."""
    monkeypatch.setenv("HF_TOKEN", "not-for-others")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    reply = kz.ok("Y6", action="start", endpoint=endpoint, timeout=20)
    yield reply
    kz("Y6", action="stop")


def is_over(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while process.identity(pid) is not None and time.monotonic() < deadline:
        time.sleep(0.02)
    return process.identity(pid) is None


def test_status_of_nothing_is_an_answer(kz, plane, tmp_path):
    reply = kz.ok("Y6", endpoint="http://127.0.0.1:9")
    assert reply["action"] == "status" and reply["reachable"] is False and reply["running"] is False
    assert reply["runtime_home"] == str(tmp_path / "ComfyUI") and reply["main_py"] is None and reply["venv_python"] is None
    assert reply["pidfile"] == "AI/work/comfyui/runtime.json" and reply["free_disk_bytes"] > 0
    assert not (plane / "AI").exists()


def test_status_of_a_bad_address_is_an_answer_too(kz):
    assert kz.ok("Y6", endpoint="no address")["reachable"] is False
    assert kz.ok("Y6", endpoint="http://user:pw@127.0.0.1:1")["endpoint"] is None
    assert kz.ok("Y6", endpoint="http://203.0.113.1:8188")["reason"]


def test_an_unknown_action_is_refused(kz):
    reply = kz.denied("DENIED_ACTION_UNKNOWN", "Y6", action="explode")
    assert reply["allowed"] == ["status", "provision", "start", "stop", "doctor"] and reply.code == 2


def test_the_virtual_environment_is_found_and_can_be_named(kz, home, monkeypatch, tmp_path):
    (home / "venv").rename(home / ".venv")
    assert kz.ok("Y6")["venv_dir"] == str(home / ".venv")
    monkeypatch.setenv("KAIZEN_COMFYUI_VENV", str(tmp_path / "elsewhere"))
    assert kz.ok("Y6")["venv_dir"] == str(tmp_path / "elsewhere")


@pytest.mark.parametrize("action", ["start", "provision"])
def test_without_a_checkout_the_refusal_says_what_to_type(kz, action, tmp_path):
    reply = kz.denied("DENIED_RUNTIME_MISSING", "Y6", action=action)
    assert reply.code == 1 and reply["missing"] == "main.py"
    assert reply["commands"][0] == f'git clone --depth 1 --branch {runtime.TAG} {runtime.REPOSITORY} "{tmp_path / "ComfyUI"}"'
    assert reply["commands"][0] in reply["required_action"]


def test_without_its_python_the_refusal_names_provision(kz, home, endpoint):
    (home / "venv" / "bin" / "python").unlink()
    reply = kz.denied("DENIED_RUNTIME_MISSING", "Y6", action="start", endpoint=endpoint)
    assert "Y6 --action provision" in reply["required_action"] and "commands" not in reply


def test_start_waits_for_the_answer_and_stop_ends_the_whole_group(kz, started, home, plane, endpoint):
    assert started["reachable"] and started["running"] and started["endpoint"] == endpoint
    assert started["comfyui_version"] == "0.17.0" and started["gpu"] == "cuda:0 Test GPU" and started["checkpoints"] == 1
    known = json.loads((plane / "AI/work/comfyui/runtime.json").read_text())
    assert known["pid"] == started["pid"] and known["endpoint"] == endpoint and known["log"] == "AI/work/comfyui/runtime.log"
    log = (plane / known["log"]).read_text()
    assert "secrets: []" in log and "cuda: 0" in log
    # The pidfile says where to ask.
    assert kz.ok("Y6")["reachable"]
    child = int((home / "child.pid").read_text())
    stopped = kz.ok("Y6", action="stop")
    assert stopped["stopped"] is True and stopped["running"] is False and stopped["reachable"] is False
    assert is_over(known["pid"]) and is_over(child)
    assert not (plane / "AI/work/comfyui/runtime.json").exists()


def test_a_second_start_is_refused(kz, started, endpoint, unused_port):
    reply = kz.denied("DENIED_RUNTIME_ALREADY_RUNNING", "Y6", action="start", endpoint=endpoint)
    assert reply["pid"] == started["pid"]
    kz.denied("DENIED_RUNTIME_ALREADY_RUNNING", "Y6", action="start", endpoint="http://127.0.0.1:1")


def test_of_two_that_start_or_stop_it_at_once_one_is_refused(kz, home, endpoint, plane):
    with PlaneLock(plane / "AI/work/comfyui/runtime.lock", "Y6"):
        reply = kz.denied("DENIED_RUNTIME_ALREADY_RUNNING", "Y6", action="start", endpoint=endpoint)
        assert "Another Kaizen" in reply["message"] and not (home / "child.pid").exists()
        (plane / "AI/work/comfyui/runtime.json").write_text('{"pid": 999999, "process": "x", "endpoint": "http://127.0.0.1:9"}')
        assert "another Kaizen" in kz("Y6", action="stop")["reason"]


@pytest.mark.slow
def test_four_that_start_it_at_once_start_one(process, kz, home, endpoint, plane):
    with ThreadPoolExecutor() as pool:
        calls = [pool.submit(process, "Y6", "--action", "start", "--endpoint", endpoint, "--json") for _ in range(4)]
        codes = sorted(call.result().returncode for call in calls)
    try:
        assert codes == [0, 2, 2, 2] and kz.ok("Y6")["running"] is True
    finally:
        assert kz.ok("Y6", action="stop")["stopped"] is True


def test_a_server_that_answers_already_is_not_started_twice(kz, started, endpoint, plane):
    pidfile = plane / "AI/work/comfyui/runtime.json"
    kept = pidfile.read_text()
    pidfile.unlink()
    reply = kz.denied("DENIED_RUNTIME_ALREADY_RUNNING", "Y6", action="start", endpoint=endpoint)
    assert reply["endpoint"] == endpoint
    # It is none of ours, then: it is not stopped either.
    assert kz.ok("Y6", action="stop", endpoint=endpoint)["stopped"] is False
    assert not kz.ok("Y6", endpoint=endpoint)["running"] and kz.ok("Y6", endpoint=endpoint)["reachable"]
    pidfile.write_text(kept)


def test_a_process_that_got_the_number_later_is_left_alone(kz, plane):
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    try:
        pidfile = plane / "AI/work/comfyui/runtime.json"
        pidfile.parent.mkdir(parents=True)
        # An address that is none: somebody else wrote it.
        pidfile.write_text(json.dumps({"pid": bystander.pid, "process": process.identity(bystander.pid), "endpoint": ["x"]}))
        assert kz.ok("Y6")["running"] is False and kz.ok("Y6", action="stop")["stopped"] is False
        pidfile.write_text(json.dumps({"pid": bystander.pid, "process": "another boot:12"}))
        assert kz.ok("Y6")["running"] is False
        reply = kz.ok("Y6", action="stop")
        assert reply["stopped"] is False and reply["reason"] == "it was over already"
        assert bystander.poll() is None and not pidfile.exists()
    finally:
        bystander.kill()
        bystander.wait()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"pid": -1}',
        '{"pid": true, "process": "x"}',
        "\x00",
        "[" * 50_000,
        '{"pid": 1%s, "process": "x"}' % ("0" * 40),
    ],
)
def test_a_damaged_pidfile_is_none(kz, plane, text):
    pidfile = plane / "AI/work/comfyui/runtime.json"
    pidfile.parent.mkdir(parents=True)
    pidfile.write_text(text)
    assert kz.ok("Y6")["running"] is False
    assert kz.ok("Y6", action="stop")["stopped"] is False


def test_what_does_not_answer_in_time_is_ended_again(kz, home, endpoint, plane):
    (home / "main.py").write_text(
        "import os, time\nopen('own.pid', 'w').write(str(os.getpid()))\nprint('loading', flush=True)\ntime.sleep(600)\n"
    )
    reply = kz.denied("DENIED_RUN_TIMEOUT", "Y6", action="start", endpoint=endpoint, timeout=0.7)
    assert reply.code == 1 and reply["reason"] == "loading" and reply["log"] == "AI/work/comfyui/runtime.log"
    assert is_over(int((home / "own.pid").read_text()))
    assert not (plane / "AI/work/comfyui/runtime.json").exists()


def test_what_ends_by_itself_is_refused_with_the_end_of_its_log(kz, home, endpoint, plane):
    (home / "main.py").write_text("raise SystemExit('no CUDA; key sk-ant-' + 'a' * 30)\n")
    reply = kz.denied("DENIED_BACKEND_UNAVAILABLE", "Y6", action="start", endpoint=endpoint, timeout=20)
    assert reply["exit_code_of_runtime"] == 1 and "no CUDA" in reply["reason"] and "sk-ant-" not in reply["reason"]
    assert not (plane / "AI/work/comfyui/runtime.json").exists()


def test_it_is_started_on_this_machine_only(kz, home, monkeypatch):
    kz.denied("DENIED_ENDPOINT_INSECURE", "Y6", action="start", endpoint="https://comfy.example.org")
    kz.denied("DENIED_ENDPOINT_INSECURE", "Y6", action="start", endpoint="http://203.0.113.1:8188")


def test_doctor_asks_the_runtime_and_its_python(kz, started):
    reply = kz.ok("Y6", action="doctor")
    assert reply["runtime_profile"] == "ComfyUI 0.17.0 on cuda:0 Test GPU" and reply["devices"][0]["type"] == "cuda"
    assert reply["torch_version"] or reply["torch_error"]


def test_doctor_says_what_is_wrong_with_torch(kz, home):
    (home / "venv" / "bin" / "python").write_text("#!/bin/sh\necho 'Traceback: no torch' >&2; exit 1\n")
    assert kz.ok("Y6", action="doctor", endpoint="http://127.0.0.1:9")["torch_error"] == "Traceback: no torch"
    (home / "venv" / "bin" / "python").write_text("#!/bin/sh\nexec sleep 60\n")
    assert "no answer within" in kz.ok("Y6", action="doctor", endpoint="http://127.0.0.1:9", timeout=0.2)["torch_error"]


def test_provision_installs_the_requirements_with_the_runtimes_python(kz, home):
    (home / "venv" / "bin" / "python").write_text('#!/bin/sh\necho "$@" > ran.txt\n')
    (home / "requirements.txt").write_text("torch\n")
    reply = kz.ok("Y6", action="provision")
    assert reply["done"] and [step["exit_code"] for step in reply["steps"]] == [0]
    assert (home / "ran.txt").read_text() == f"-m pip install -r {home / 'requirements.txt'}\n"


def test_provision_hands_no_key_of_ours_on(kz, home, monkeypatch):
    monkeypatch.setenv("KAIZEN_LLM_API_KEY", "not-for-others")
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example.org")
    (home / "venv" / "bin" / "python").write_text("#!/bin/sh\nenv > env.txt\n")
    assert kz.ok("Y6", action="provision")["done"]
    seen = (home / "env.txt").read_text()
    assert "KAIZEN_" not in seen and "not-for-others" not in seen and "PIP_INDEX_URL" in seen


def test_a_pidfile_that_cannot_be_written_is_refused(kz, home, endpoint, plane):
    (plane / "AI" / "work").mkdir(parents=True)
    (plane / "AI" / "work" / "comfyui").write_text("in the way")
    kz.denied("DENIED_FILE_UNWRITABLE", "Y6", action="start", endpoint=endpoint)


def test_provision_that_fails_is_a_finding(kz, home):
    (home / "venv" / "bin" / "python").write_text("#!/bin/sh\necho 'no network' >&2; exit 3\n")
    reply = kz("Y6", action="provision")
    assert reply.code == 1 and reply["status"] == "FAILED"
    assert reply["steps"][0]["exit_code"] == 3 and reply["steps"][0]["reason"] == "no network"


def test_the_plane_is_not_locked_meanwhile(kz, started, plane):
    assert not (plane / "AI" / "db").exists()


def test_an_identity_belongs_to_a_living_process():
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    assert process.identity(os.getpid()) == process.identity(os.getpid())
    time.sleep(0.3)
    # It is over, though nobody has waited for it yet.
    assert process.identity(child.pid) is None
    child.wait()
    assert Path("/proc").exists()
