"""Runtime: the ComfyUI of this machine: its state, starting, stopping and setting it up."""

import sys
from typing import Annotated

from .. import denial
from ..fields import Bytes, Range, Word, shorten
from ..op import Result, op
from ..record import Field, Input
from ..store import Store

ACTIONS = ("status", "provision", "start", "stop", "doctor")
Seconds = Annotated[float, Range(0.001, 86_400)]


class RuntimeCall(Input):
    """What to do with the runtime."""

    action: Word = Field("status", description=f"What to do: {', '.join(ACTIONS)}")
    endpoint: Annotated[str, Bytes(2_000)] | None = Field(
        None, description="Where it answers; default KAIZEN_COMFYUI_URL, else http://127.0.0.1:8188"
    )
    timeout: Seconds | None = Field(None, description="Seconds: to answer after a start, to end at a stop, to install")


@op(
    "Y6",
    "comfy-runtime",
    manages_store=True,
    keywords="comfyui server process gpu torch install setup start stop state",
    example="--action status",
)
def comfy_runtime(wanted: RuntimeCall, store: Store) -> Result:
    """Manage the ComfyUI of this machine.

    Its folder is KAIZEN_COMFYUI_HOME, else ComfyUI beside the project; its virtual environment KAIZEN_COMFYUI_VENV, else
    venv or .venv in that folder. status says what is there and whether it answers. start runs it in the background and
    waits until it answers; it gets an environment without credentials, and its output goes to a log under AI/work/comfyui.
    stop ends what start started, and no other process. doctor asks it and its Python for versions and devices. provision
    makes the virtual environment of a checkout and installs its requirements.
    """
    from ..generation import runtime

    plane, action = store.plane, wanted.action.lower()
    if action == "status":
        return Result(action=action, **runtime.status(plane, wanted.endpoint))
    if action == "doctor":
        return Result(action=action, **runtime.doctor(plane, wanted.endpoint, wanted.timeout))
    if action == "start":
        return Result(action=action, **runtime.start(plane, wanted.endpoint, wanted.timeout))
    if action == "stop":
        found = runtime.stop(plane, wanted.timeout)
        # That there was nothing to stop is an answer; what does not end is a finding.
        return Result(finding=found["running"], action=action, **found)
    if action == "provision":
        found = runtime.provision(plane, _show, wanted.timeout)
        return Result(finding=not found["done"], action=action, **found)
    raise denial.ActionUnknown(
        f"Use one of: {', '.join(ACTIONS)}.", field="action", value=shorten(wanted.action), allowed=list(ACTIONS)
    )


def _show(block: bytes) -> None:
    """What pip says, as it says it, on stderr."""
    stream = getattr(sys.stderr, "buffer", None)
    if stream is not None:
        stream.write(block)
        stream.flush()
