"""Reading workflows, addresses, and what the client makes of a server's answers."""

from __future__ import annotations

import json

import comfy_server
import pytest

from kaizen_components import denial
from kaizen_components.generation import comfyui, runs, workflow
from kaizen_components.hashing import canonical, sha256

GRAPH = {
    "10": {"class_type": "KSamplerAdvanced", "inputs": {"noise_seed": ["11", 0], "cfg": 7.5}},
    "3": {"class_type": "KSampler", "inputs": {"seed": 5, "model": ["4", 0]}},
    "12": {"class_type": "KSampler", "inputs": {"seed": 6}},
    "4": {"class_type": "DualCLIPLoader", "inputs": {"clip_name1": "b.safetensors", "clip_name2": "a.safetensors"}},
    "5": {"class_type": "LoadImage", "inputs": {"image": "sub/cat.png [input]"}},
    "6": {"class_type": "LoadImageMask", "inputs": {"image": "made.png [output]"}},
}


@pytest.fixture
def server():
    with comfy_server.running() as found:
        yield found


@pytest.fixture
def client(server):
    with comfyui.Client(comfyui.endpoint(server.url)) as found:
        yield found


def parsed(graph: object) -> workflow.Workflow:
    return workflow.parse(json.dumps(graph))


# --- workflows ------------------------------------------------------------------------------------


def test_a_workflow_is_read_in_the_order_of_its_nodes():
    found = parsed(GRAPH)
    assert found.seed == 5 and found.models == ["a.safetensors", "b.safetensors"]
    assert found.images == [("5", "sub/cat.png")]


def test_the_hash_is_of_the_canonical_graph_and_not_of_the_text():
    spaced = workflow.parse(json.dumps(dict(reversed(GRAPH.items())), indent=8))
    assert parsed(GRAPH).hash == spaced.hash == sha256(canonical(GRAPH))
    assert parsed({**GRAPH, "13": {"class_type": "X"}}).hash != spaced.hash


def test_seeds_of_64_bits_are_told_apart():
    seeds = [2**64 - 1, 2**64 - 2, 2**53]
    hashes = {parsed({"1": {"class_type": "KSampler", "inputs": {"seed": seed}}}).hash for seed in seeds}
    assert len(hashes) == 3


def test_a_seed_takes_the_place_of_every_number_and_of_no_link():
    graph = parsed(GRAPH).with_seed(99).graph
    assert [graph[node]["inputs"]["seed"] for node in ("3", "12")] == [99, 99]
    assert graph["10"]["inputs"]["noise_seed"] == ["11", 0] and GRAPH["3"]["inputs"]["seed"] == 5


def test_a_prompt_takes_every_place_also_in_lists():
    graph = {"1": {"class_type": "X", "inputs": {"text": "{{prompt}}, {{prompt}}", "more": [{"deep": "a {{prompt}}"}]}}}
    found = parsed(graph).with_prompt('cat\n"quoted"')
    assert found.graph["1"]["inputs"] == {"text": 'cat\n"quoted", cat\n"quoted"', "more": [{"deep": 'a cat\n"quoted"'}]}
    assert json.loads(found.text) == found.graph and found.hash != parsed(graph).hash


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("{", denial.JsonInvalid),
        ('{"1": {"class_type": "A", "class_type": "B"}}', denial.JsonInvalid),
        ('{"1": {"class_type": "A", "inputs": {"x": NaN}}}', denial.JsonInvalid),
        ("[" * 100_000, denial.JsonInvalid),
        ("[]", denial.WorkflowType),
        ("{}", denial.WorkflowType),
        ('{"nodes": [], "links": []}', denial.WorkflowType),
        ('{"1": {"inputs": {}}}', denial.WorkflowType),
        ('{"1": {"class_type": 7}}', denial.WorkflowType),
        ('{"1": {"class_type": "A", "inputs": []}}', denial.WorkflowType),
        ('{"1": {"class_type": "A", "inputs": {"x": "\\ud800"}}}', denial.WorkflowType),
    ],
)
def test_what_is_no_workflow_is_refused(text, refusal):
    with pytest.raises(refusal) as refused:
        workflow.parse(text)
    assert "API" in refused.value.required_action and "payload" not in refused.value.required_action


def test_a_file_is_refused_by_what_is_wrong_with_it(tmp_path, monkeypatch):
    for content, refusal in ((b"\xff\xfe", denial.FileNotUtf8), (b" " * 101, denial.FileTooBig)):
        monkeypatch.setattr(workflow, "LARGEST", 100)
        (tmp_path / "flow.json").write_bytes(content)
        with pytest.raises(refusal):
            workflow.load(str(tmp_path / "flow.json"))
    for name in (str(tmp_path), str(tmp_path / "none.json"), "a\0b", "x" * 5_000):
        with pytest.raises(denial.FileNotFound):
            workflow.load(name)


def test_a_byte_order_mark_is_no_part_of_a_workflow(tmp_path):
    (tmp_path / "flow.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(GRAPH).encode())
    found = workflow.load(str(tmp_path / "flow.json"))
    assert found.hash == parsed(GRAPH).hash and found.source == tmp_path / "flow.json"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("ComfyUI_00001_.png", "ComfyUI_00001_.png"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\evil.exe", "evil.exe"),
        ("...", "file"),
        ("", "file"),
        ("/", "file"),
        (".bashrc", "bashrc"),
        ("naïve ☃ name.png", "na_ve_name.png"),
        ("a" * 300 + ".png", "a" * 80 + ".png"),
        ("x\0\n.png", "x_.png"),
    ],
)
def test_a_file_name_is_plain(given, wanted):
    assert runs.file_name(given) == wanted


# --- addresses ------------------------------------------------------------------------------------


def test_the_address_is_what_is_given_then_what_the_environment_says_then_this_machine(monkeypatch):
    assert comfyui.endpoint().url == "http://127.0.0.1:8188" and comfyui.endpoint().loopback
    monkeypatch.setenv("KAIZEN_COMFYUI_URL", "https://comfy.example.org/api/")
    assert comfyui.endpoint() == comfyui.Endpoint("https://comfy.example.org/api", False)
    assert comfyui.endpoint("http://localhost:1").url == "http://localhost:1"


@pytest.mark.parametrize("text", ["ftp://127.0.0.1", "127.0.0.1:8188", "http://", "http://[::1", "http://127.0.0.1/?a=1"])
def test_what_is_no_address_is_refused_by_where_it_stood(text, monkeypatch):
    with pytest.raises(denial.Usage) as refused:
        comfyui.endpoint(text)
    assert refused.value.detail["flag"] == "--endpoint"
    monkeypatch.setenv("KAIZEN_COMFYUI_URL", text)
    with pytest.raises(denial.EnvironmentInvalid):
        comfyui.endpoint()


def test_plain_http_off_this_machine_needs_a_word(monkeypatch):
    with pytest.raises(denial.EndpointInsecure):
        comfyui.endpoint("http://comfy.example.org")
    monkeypatch.setenv("KAIZEN_ALLOW_INSECURE_HTTP", "1")
    assert not comfyui.endpoint("http://comfy.example.org").loopback


def test_a_proxy_is_not_asked_for_this_machine(server, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with comfyui.Client(comfyui.endpoint(server.url)) as client:
        assert client.stats()["system"]["comfyui_version"] == "0.9.1"
        with client.listening("somebody") as socket:
            assert socket is not None


# --- what a server answers ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "refusal"),
    [
        ((200, b"[]"), denial.BackendMalformed),
        ((200, b"<html>"), denial.BackendMalformed),
        ((200, b""), denial.BackendMalformed),
        ((200, b"x" * 2_000), denial.BackendMalformed),
        ((500, b"oops"), denial.BackendHttp),
        ((302, b""), denial.BackendHttp),
    ],
)
def test_an_answer_that_is_not_what_was_asked_for_is_refused(server, client, monkeypatch, answer, refusal):
    monkeypatch.setattr(comfyui, "LARGEST_ANSWER", 1_000)
    for path, ask in {
        "/system_stats": client.stats,
        "/queue": lambda: client.queue("x"),
        "/history/x": lambda: client.history("x"),
        "/prompt": lambda: client.submit({}, prompt_id="x", client_id="y"),
    }.items():
        server.faults = {path: answer}
        with pytest.raises(refusal):
            ask()


def test_an_answer_that_does_not_end_is_left(server, monkeypatch):
    server.drips = {"/system_stats"}
    place = comfyui.endpoint(server.url)
    with comfyui.Client(place, seconds=0.05) as client, pytest.raises(denial.BackendMalformed) as refused:
        client.stats()
    assert refused.value.detail["reason"] == "the answer does not end"


def test_what_a_server_says_of_itself_is_kept_short_and_flat(server, client):
    server.stats = {
        "system": {"comfyui_version": "1" * 9_000, "argv": ["--key", "x"], "os": "AKIA" + "QX7ZJ2M4R9T1W3L5"},
        "devices": [{"name": "a\ud800", "vram_total": 1e999, "more": {"deep": []}, "type": None}] * 500,
    }
    said = client.stats()
    assert said["system"] == {"os": "[REDACTED:aws_access_key]", "comfyui_version": "1" * 199 + "…"}
    assert said["devices"] == [{"name": "a\ufffd", "vram_total": None, "type": None}] * 64


def test_an_answer_of_another_shape_breaks_nothing(server, client):
    server.stats = {"system": [], "devices": ["cpu", {"name": 3}]}
    assert client.stats() == {"system": {}, "devices": [{"name": 3}]} and client.profile() == "ComfyUI ? on 3"
    server.faults = {"/queue": (200, b'{"queue_running": [[1], "x", null], "queue_pending": 3}')}
    assert client.queue("x") is None
    server.faults = {"/object_info": (200, b'{"A": [], "B": {"input": []}, "C": {"input": {"required": {"x_name": "y"}}}}')}
    client.check(parsed({n: {"class_type": n, "inputs": {"x_name": "z"}} for n in "ABC"}), sent={})


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"outputs": []},
        {"outputs": {"9": []}},
        {"outputs": {"9": {"images": {}, "text": ["a"], "more": [{"filename": 7}, None, {"filename": "x", "type": "input"}]}}},
    ],
)
def test_a_history_without_files_has_no_outputs(entry):
    assert comfyui.outputs(entry) == []


def test_a_file_that_is_named_twice_is_one_output_and_a_flood_of_names_is_cut(monkeypatch):
    monkeypatch.setattr(comfyui, "MOST_OUTPUTS", 3)
    listed = [{"filename": f"{n // 2}.png"} for n in range(100)]
    assert [file["filename"] for _, file in comfyui.outputs({"outputs": {"9": {"images": listed}}})] == [
        "0.png",
        "1.png",
        "2.png",
    ]


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        (None, None),
        ({"status_str": "success", "messages": []}, None),
        ({"status_str": "error", "messages": None}, "the server says error, and no more"),
        ({"status_str": "error", "messages": [["execution_error", None], 3]}, "the server says error, and no more"),
        (
            {"status_str": "error", "messages": [["execution_interrupted", {"node_id": "3", "node_type": "KSampler"}]]},
            "interrupted on the server at node 3 (KSampler)",
        ),
    ],
)
def test_why_a_run_failed_is_read_from_its_history(client, status, wanted):
    assert client.ending({"status": status}) == wanted


def test_a_node_cannot_steer_a_terminal():
    heard: list[str] = []
    message = json.dumps({"type": "executing", "data": {"prompt_id": "mine", "node": "\x1b]0;x\x07" + "y" * 900}})
    comfyui._hear(message, "mine", lambda done, said, total: heard.append(said))
    assert heard[0].startswith("node ]0;xyyy") and len(heard[0]) < 200


@pytest.mark.parametrize("message", [b"\0\0\0\1", "no json", "[]", '{"type": "executing"}', '{"data": 3}', "[" * 5_000])
def test_a_message_that_says_nothing_is_passed_over(message):
    assert comfyui._hear(message, "mine", lambda *_: None) is False


def test_progress_is_heard_from_all_three_messages():
    heard: list[tuple[str, float, float]] = []
    for kind, data in (
        ("executing", {"node": "3"}),
        ("progress", {"node": "3", "value": 2, "max": 20}),
        ("progress", {"node": "3", "value": "x", "max": None}),
        ("progress_state", {"nodes": {"4": {"state": "running", "value": 1.0, "max": 2.0}, "5": {"state": "finished"}}}),
    ):
        for prompt_id in ("mine", "another"):
            message = json.dumps({"type": kind, "data": {**data, "prompt_id": prompt_id}})
            comfyui._hear(message, "mine", lambda *told: heard.append(told))
    assert heard == [(0, "node 3", 0), (2, "node 3", 20), (0, "node 3", 0), (1, "node 4", 2)]


def test_a_picture_in_a_subfolder_is_uploaded_there(server, client, tmp_path):
    path = tmp_path / "cat.png"
    path.write_bytes(comfy_server.png())
    source = runs.Source("sub/cat.png", runs.Kept(path, "", 0))
    assert client.upload(source) == "sub/cat.png" and server.inputs["sub/cat.png"] == comfy_server.png()
