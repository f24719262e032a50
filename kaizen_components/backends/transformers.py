"""transformers in this process: a text model, and one that recognises personal data."""

from __future__ import annotations

from typing import Any

from .. import clock, denial
from . import Completion, Span
from .local import Local, offline

# Tokens that two windows of a long text share, so that what stands at a border is seen whole.
SHARED = 64


class LocalTextModel(Local):
    """Texts by a causal language model."""

    packages = ("transformers", "torch")

    def complete(self, prompt: str, *, system: str | None = None, limit: int = 1024, seed: int | None = None) -> Completion:
        """An answer of at most `limit` tokens, the likeliest token each time.

        Raises DENIED_BACKEND_MODEL, DENIED_FIELD_TOO_LARGE for a prompt that the model has no room for.
        """
        import torch

        tokenizer, model = self._model()
        watch = clock.Stopwatch()
        with self.working(), torch.inference_mode():
            given = self._encoded(tokenizer, prompt, system).to(model.device)
            asked = int(given["input_ids"].shape[1])
            room = getattr(model.config, "max_position_embeddings", None)
            room = room - asked if isinstance(room, int) else limit
            if room < 1:
                raise denial.FieldTooLarge(
                    "Shorten the prompt, or use a model that reads more.",
                    message=f"The prompt has {asked} tokens, and the model has no room for an answer to it.",
                    field="prompt",
                    model=self.model,
                )
            if seed is not None:
                torch.manual_seed(seed)
            pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
            # temperature 0 is greedy; what the model's own settings say of sampling does not hold.
            settings = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None, "pad_token_id": pad}
            answer = model.generate(**given, max_new_tokens=min(limit, room), **settings)[0][asked:]
            text = tokenizer.decode(answer, skip_special_tokens=True)
        return Completion(
            text=text.strip(),
            model=self.model,
            provider=self.provider,
            prompt_tokens=asked,
            completion_tokens=len(answer),
            latency_ms=watch.ms(),
        )

    def probe(self) -> dict[str, Any]:
        """Load the model and let it say one token."""
        self.complete("Say yes.", limit=1)
        return {"ok": True, "device": str(self._model()[1].device)}

    def _encoded(self, tokenizer: Any, prompt: str, system: str | None) -> Any:
        """The tokens of a prompt, in the form of a chat where the model has one."""
        whole = f"{system}\n\n{prompt}" if system else prompt
        if not tokenizer.chat_template:
            return tokenizer(whole, return_tensors="pt", return_token_type_ids=False)
        said = [{"role": "system", "content": system}] if system else []
        said.append({"role": "user", "content": prompt})
        form = {"add_generation_prompt": True, "return_tensors": "pt", "return_dict": True}
        # What a text says in the marks of the chat is text.
        form["sanitize_control_tokens"] = True
        try:
            return tokenizer.apply_chat_template(said, **form)
        except Exception:
            # Some templates refuse a system message.
            return tokenizer.apply_chat_template([{"role": "user", "content": whole}], **form)

    def _model(self) -> tuple[Any, Any]:
        def make(place: str, on: str) -> tuple[Any, Any]:
            from transformers import AutoModelForCausalLM, AutoTokenizer

            tokenizer = AutoTokenizer.from_pretrained(place, local_files_only=offline())
            model: Any = AutoModelForCausalLM.from_pretrained(place, local_files_only=offline(), dtype="auto")
            return tokenizer, model.to(on).eval()

        return self.load(make)


class LocalRecognizer(Local):
    """Personal data by a token classifier."""

    packages = ("transformers", "torch")

    def spans(self, text: str) -> list[Span]:
        """What the model takes for personal data, in order. A long text is read in windows. DENIED_BACKEND_MODEL."""
        if not text.strip():
            return []
        recognise = self._model()
        with self.working():
            found = recognise(text)
        spans = (Span(entry["start"], entry["end"], str(entry["entity_group"]), float(entry["score"])) for entry in found)
        return sorted(spans, key=lambda span: (span.start, span.end))

    def probe(self) -> dict[str, Any]:
        """Load the model and let it read a word."""
        self.spans("probe")
        return {"ok": True, "device": str(self._model().device)}

    def _model(self) -> Any:
        def make(place: str, on: str) -> Any:
            from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

            tokenizer = AutoTokenizer.from_pretrained(place, local_files_only=offline())
            model = AutoModelForTokenClassification.from_pretrained(place, local_files_only=offline())
            room = getattr(model.config, "max_position_embeddings", 512)
            tokenizer.model_max_length = min(tokenizer.model_max_length, room)
            # Windows need the offsets that a fast tokenizer gives, and so do we.
            if not tokenizer.is_fast:
                raise self.refusal("its tokenizer gives no offsets")
            shared = min(SHARED, tokenizer.model_max_length // 4)
            settings: Any = {"aggregation_strategy": "simple", "stride": shared, "device": on}
            return pipeline("token-classification", model=model, tokenizer=tokenizer, **settings)

        return self.load(make)
