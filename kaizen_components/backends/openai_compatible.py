"""Servers that speak the OpenAI protocol: ollama and every other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import clock, denial
from . import Completion, Config, Vector, unit
from .http import Endpoint

BATCH = 64


class _Served:
    """A model behind an address."""

    kind = "http"

    def __init__(self, config: Config) -> None:
        if config.model is None or config.base_url is None:
            raise denial.BackendUnconfigured(lane=config.lane, variables=list(config.variables))
        self.model: str = config.model
        self.provider: str = config.backend or "openai"
        address, key = config.variables[-2:]
        self.endpoint = Endpoint(config.base_url, variable=address, api_key=config.api_key, key_variable=key)

    def _post(self, path: str, body: dict[str, Any], *, quick: bool = False) -> dict[str, Any]:
        try:
            answer = self.endpoint.post(path, body, quick=quick)
        except denial.BackendHttp as refusal:
            if refusal.detail["http_status"] == 404 and self.provider == "ollama" and "model" in refusal.detail["reason"]:
                refusal.required_action = f"Get the model: ollama pull {self.model}"
            raise
        if not isinstance(answer, dict):
            raise self.endpoint.malformed("the answer is no JSON object")
        return answer


class HttpEmbedder(_Served):
    """Embeddings by POST /embeddings."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._query_prompt = config.query_prompt

    def embed(self, texts: Sequence[str], *, query: bool = False) -> list[Vector]:
        """One unit vector a text, asked for in batches of 64. DENIED_EMBED_EMPTY for a text without words."""
        asked = [prompted(text, self._query_prompt) if query else text for text in texts]
        if any(not text.strip() for text in texts):
            raise denial.EmbedEmpty()
        vectors: list[Vector] = []
        for start in range(0, len(asked), BATCH):
            vectors += self._batch(asked[start : start + BATCH])
        self._refuse_uneven(vectors)
        return vectors

    def probe(self) -> dict[str, Any]:
        """Embed one word: its dimension."""
        return {"dimension": len(self._batch(["probe"], quick=True)[0])}

    def _batch(self, texts: Sequence[str], *, quick: bool = False) -> list[Vector]:
        body = {"model": self.model, "input": list(texts), "encoding_format": "float"}
        data = self._post("/embeddings", body, quick=quick).get("data")
        if not isinstance(data, list) or len(data) != len(texts) or not all(isinstance(item, dict) for item in data):
            raise self.endpoint.malformed(f"there are not {len(texts)} embeddings in it")
        numbers = [item.get("index", position) for position, item in enumerate(data)]
        if not all(type(number) is int for number in numbers) or sorted(numbers) != list(range(len(texts))):
            raise self.endpoint.malformed("the embeddings are not numbered from 0 on")
        placed = dict(zip(numbers, data, strict=True))
        return [self._vector(placed[number].get("embedding")) for number in range(len(texts))]

    def _vector(self, values: Any) -> Vector:
        if not isinstance(values, list) or not values or not all(type(value) in (int, float) for value in values):
            raise self.endpoint.malformed("an embedding is no list of numbers")
        # Beyond this a square is no number any more; and an integer may be too long to be one of floats.
        if not all(abs(value) < 1e100 for value in values):
            raise self.endpoint.malformed("an embedding holds what is no finite number")
        return unit(values)

    def _refuse_uneven(self, vectors: Sequence[Vector]) -> None:
        sizes = sorted({len(vector) for vector in vectors})
        if len(sizes) > 1:
            raise self.endpoint.malformed(f"the embeddings are of different sizes: {sizes[0]} and {sizes[-1]}")


class HttpTextModel(_Served):
    """Texts by POST /chat/completions."""

    def complete(self, prompt: str, *, system: str | None = None, limit: int = 1024, seed: int | None = None) -> Completion:
        """An answer of at most `limit` tokens, at temperature 0. Raises Denial."""
        return self._complete(prompt, system=system, limit=limit, seed=seed)

    def probe(self) -> dict[str, Any]:
        """Whether the server lists the model; where it lists none, whether it answers."""
        try:
            listed = self.endpoint.get("/models", quick=True)
            names = {item["id"] for item in listed["data"]}
        except (denial.BackendHttp, denial.BackendMalformed, KeyError, TypeError):
            self._complete("Say yes.", system=None, limit=1, seed=None, quick=True)
            return {"ok": True}
        if self.model in names or f"{self.model}:latest" in names:
            return {"ok": True}
        action = f": ollama pull {self.model}" if self.provider == "ollama" else ""
        return {"ok": False, "reason": f"The server does not list the model {self.model}{action}"}

    def _complete(self, prompt: str, *, system: str | None, limit: int, seed: int | None, quick: bool = False) -> Completion:
        messages = [{"role": "system", "content": system}] if system else []
        messages.append({"role": "user", "content": prompt})
        body: dict[str, Any] = {"model": self.model, "messages": messages, "temperature": 0, "max_tokens": limit, "stream": False}
        if seed is not None:
            body["seed"] = seed
        watch = clock.Stopwatch()
        answer = self._post("/chat/completions", body, quick=quick)
        latency = watch.ms()
        usage = answer.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        model = answer.get("model")
        return Completion(
            text=self.endpoint.without_key(self._text(answer, needed=not quick)),
            model=self.endpoint.without_key(model) if isinstance(model, str) and model else self.model,
            provider=self.provider,
            prompt_tokens=_count(usage.get("prompt_tokens")),
            completion_tokens=_count(usage.get("completion_tokens")),
            latency_ms=latency,
        )

    def _text(self, answer: dict[str, Any], *, needed: bool) -> str:
        try:
            choice = answer["choices"][0]
            content = choice["message"]["content"]
        except (KeyError, IndexError, TypeError):
            raise self.endpoint.malformed("there is no message in it") from None
        if isinstance(content, str) and (content.strip() or not needed):
            return content
        cut = isinstance(choice, dict) and choice.get("finish_reason") == "length"
        raise self.endpoint.malformed("the model stopped at its limit before it said anything" if cut else "the message is empty")


def prompted(text: str, prompt: str | None) -> str:
    """A question as a model wants it: put at {query} of the prompt, or behind it."""
    if not prompt:
        return text
    return prompt.replace("{query}", text) if "{query}" in prompt else prompt + text


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 2**53 else None
