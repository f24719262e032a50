"""Args: the entry point under the name that linked launchers import."""

from .cli import main

__all__ = ["main"]
