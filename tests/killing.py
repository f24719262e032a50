"""Processes that end themselves as kill -9 would, at a chosen point."""

from __future__ import annotations

import signal
import subprocess
import sys

from conftest import ROOT

HEAD = f"""import os, signal, sys
sys.path.insert(0, {str(ROOT)!r})
from kaizen_components import cli
def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(script: str) -> None:
    """Run Python that meets die() on its way."""
    done = subprocess.run([sys.executable, "-c", HEAD + script], capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
