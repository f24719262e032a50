"""Progress: a bar on a terminal's error stream, for a person who waits; elsewhere nothing is shown."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from . import output

# (done, said, total): so much is done now, with this, of so much; a total that is not given stays what it was.
Show = Callable[..., None]


@contextlib.contextmanager
def bar(title: str, total: float | None = None) -> Iterator[Show]:
    """A bar that is told how much of `total` is done, and with what. None: the total is not known yet."""
    if not (output.is_for_people() and sys.stderr.isatty()):
        yield lambda done, said="", total=None: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[said]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(title[:40], total=total, said="")

        def show(done: float, said: str = "", total: float | None = None) -> None:
            # A file's name may hold anything, commands for the terminal too.
            shown.update(task, completed=done, said=output.clean(said[:40]).replace("\n", " "), total=total or None)

        yield show
