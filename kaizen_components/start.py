"""Start: a process that runs one command line and ends, with as little ado as possible.

Agents start Kaizen hundreds of times a day: while modules are imported the garbage collector only gets in the way,
and once the answer is out there is nothing left for the interpreter to tidy up.
"""

import gc
import os
import sys
from pathlib import Path
from typing import NoReturn

gc.disable()


def main(home: Path | None = None) -> NoReturn:
    """Run sys.argv and end the process with its exit code. `home` is the checkout whose kaizen.py was started."""
    from .cli import main as run

    gc.freeze()
    gc.enable()
    code = run(home=home)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            code = code or 1
    os._exit(code)
