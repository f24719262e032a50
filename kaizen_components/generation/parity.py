"""Parity: whether two runs of one workflow made the same, and what differs."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# A picture of more bytes than this is compared by its file's bytes alone.
MOST_PIXELS = 64_000_000
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def compared(one: Mapping[str, Any], two: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """Two answers of runs, side by side: `parity`, `outputs` pair by pair, and `differences` in words.

    Outputs are equal where their bytes are, or where both are PNGs with the same pixels: what a server writes into a
    picture besides them may hold an id of the run.
    """
    differences = []
    for run in (one, two):
        if run["run_status"] != "completed":
            differences.append(f"the run over {run['route']} is {run['run_status']}")
    if one["workflow_hash"] != two["workflow_hash"]:
        differences.append("the workflows differ")
    if len(one["outputs"]) != len(two["outputs"]):
        differences.append(f"{len(one['outputs'])} outputs over {one['route']}, {len(two['outputs'])} over {two['route']}")
    pairs = []
    for number, (left, right) in enumerate(zip(one["outputs"], two["outputs"], strict=False), start=1):
        equal = _equal(left, right, base)
        pairs.append({"number": number, "equal": equal, one["route"]: left["sha256"], two["route"]: right["sha256"]})
        if equal not in ("bytes", "pixels"):
            differences.append(f"output {number}: {equal}")
    if not pairs and not differences:
        differences.append("no output to compare")
    return {"parity": not differences, "outputs": pairs, "differences": differences}


def _equal(left: Mapping[str, Any], right: Mapping[str, Any], base: Path) -> str:
    """bytes, pixels, or what differs."""
    if left["sha256"] == right["sha256"]:
        return "bytes"
    pictures = [pixels(base / output["path"]) for output in (left, right)]
    if None in pictures:
        return "other bytes, and no pictures that can be compared"
    if pictures[0] == pictures[1]:
        return "pixels"
    return "another size or kind of picture" if pictures[0][0] != pictures[1][0] else "other pixels"  # type: ignore[index]


def pixels(path: Path) -> tuple[bytes, bytes] | None:
    """(header and palette, every pixel's bytes) of a PNG; None for what is none, is damaged, interlaced or too large."""
    try:
        if path.stat().st_size > MOST_PIXELS:
            return None
        return _decoded(path.read_bytes())
    except (OSError, ValueError, struct.error, zlib.error, KeyError, IndexError):
        return None


def _decoded(data: bytes) -> tuple[bytes, bytes]:
    if not data.startswith(_SIGNATURE):
        raise ValueError("no PNG")
    parts: dict[bytes, bytes] = {}
    at = len(_SIGNATURE)
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        parts[kind] = parts.get(kind, b"") + data[at + 8 : at + 8 + size]
        at += size + 12
    width, height, depth, color, _, _, interlace = struct.unpack(">IIBBBBB", parts[b"IHDR"])
    row = (width * _SAMPLES[color] * depth + 7) // 8
    step = max(1, _SAMPLES[color] * depth // 8)
    if interlace or height * (row + 1) > MOST_PIXELS:
        raise ValueError("not compared")
    packed = zlib.decompressobj().decompress(parts[b"IDAT"], height * (row + 1))
    if len(packed) != height * (row + 1):
        raise ValueError("cut short")
    return parts[b"IHDR"] + parts.get(b"PLTE", b"") + parts.get(b"tRNS", b""), _unfiltered(packed, row, step)


def _unfiltered(packed: bytes, row: int, step: int) -> bytes:
    """The pixels behind PNG's filters: each row says by its first byte what was taken away from it."""
    found, above = bytearray(), bytes(row)
    for start in range(0, len(packed), row + 1):
        kind, line = packed[start], bytearray(packed[start + 1 : start + 1 + row])
        if kind > 4:
            raise ValueError("no such filter")
        if kind:
            for index in range(row):
                left = line[index - step] if index >= step else 0
                up = above[index]
                if kind == 1:
                    add = left
                elif kind == 2:
                    add = up
                elif kind == 3:
                    add = (left + up) // 2
                else:
                    add = _paeth(left, up, above[index - step] if index >= step else 0)
                line[index] = (line[index] + add) & 255
        found += line
        above = bytes(line)
    return bytes(found)


def _paeth(left: int, up: int, corner: int) -> int:
    near = left + up - corner
    distances = abs(near - left), abs(near - up), abs(near - corner)
    if distances[0] <= distances[1] and distances[0] <= distances[2]:
        return left
    return up if distances[1] <= distances[2] else corner
