"""Operations: one module a family. _index.py says which, without importing any."""

from typing import NamedTuple


class OpEntry(NamedTuple):
    """An operation as the index knows it."""

    aliases: tuple[str, ...]
    module: str
    purpose: str
    keywords: str
    example: str
    writes: bool


class KindEntry(NamedTuple):
    """A record kind as the index knows it: where its class is, its table, its id prefix, the column of its task."""

    module: str
    name: str
    table: str
    prefix: str
    task_column: str | None
    search: tuple[str, ...]
    columns: tuple[str, ...]
