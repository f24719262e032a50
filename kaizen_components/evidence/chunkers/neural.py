"""Neural: pieces that end where a token classification model says a new one begins."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ... import denial
from . import Source, Span, library

VARIABLE = "KAIZEN_NEURAL_CHUNK_MODEL"
PYTORCH = "python -m pip install -r requirements-pytorch.txt"


class Neural:
    """Cut by chonkie, with a model from a folder of this machine; nothing is downloaded."""

    def __init__(self) -> None:
        named = os.environ.get(VARIABLE, "").strip()
        if not named:
            raise denial.BackendUnconfigured(
                f"Set {VARIABLE} to the folder of a token classification model, such as a copy of"
                " mirth/chonky_distilbert_base_uncased_1, or use --chunker recursive.",
                message="No model is configured that cuts texts.",
                variables=[VARIABLE],
            )
        self.folder = Path(named)
        if not (self.folder / "config.json").is_file():
            raise denial.BackendModel(
                f"Set {VARIABLE} to a folder that holds a model: config.json, its weights and its tokenizer.",
                variable=VARIABLE,
                path=named,
            )
        self.made = f"chonkie {library.version()} neural {'-'.join(self.folder.name.split())}"

    def spans(self, source: Source) -> Iterator[Span]:
        transformers = library.needed("transformers", package="transformers", install=PYTORCH)
        library.needed("torch", package="torch", install=PYTORCH)
        cutter = library.guarded(lambda: self._cutter(transformers))
        yield from library.located(source.text, library.guarded(lambda: cutter.chunk(source.text)))

    def _cutter(self, transformers: Any) -> Any:
        try:
            model = transformers.AutoModelForTokenClassification.from_pretrained(str(self.folder), local_files_only=True)
            tokenizer = transformers.AutoTokenizer.from_pretrained(str(self.folder), local_files_only=True)
        except (OSError, ValueError) as fault:
            raise denial.BackendModel(
                f"Set {VARIABLE} to a folder that holds a whole model.", variable=VARIABLE, reason=str(fault)[:300]
            ) from None
        stride = max(min(256, int(tokenizer.model_max_length)) // 2, 1)
        return library.needed("chonkie").NeuralChunker(model=model, tokenizer=tokenizer, device_map="cpu", stride=stride)
