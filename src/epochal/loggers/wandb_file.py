"""What stands in a file that Weights & Biases keeps of a run: all that a killed process leaves of an offline one."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

_HEADER, _BLOCK, _PREFIX = 7, 32_768, 7
_WHOLE, _FIRST, _LAST = 1, 2, 4


def last_step(path: Path) -> int:
    """Return the last step that a file holds, 0 for none; a record that was cut off counts for nothing."""
    messages: Any = import_module("wandb.proto.wandb_internal_pb2")
    step = 0
    for content in records(path.read_bytes()):
        record = messages.Record.FromString(content)
        if record.WhichOneof("record_type") == "history":
            steps = [int(item.value_json) for item in record.history.item if "_step" in (item.key, *item.nested_key)]
            step = max([step, *steps])
    return step


def records(content: bytes) -> Iterator[bytes]:
    """Yield the whole records of a log as LevelDB writes it: in blocks, each part with its length and its kind."""
    place, record = _HEADER, b""
    while place + _PREFIX <= len(content):
        left = _BLOCK - place % _BLOCK
        if left < _PREFIX:
            place += left
            continue

        length, kind = int.from_bytes(content[place + 4 : place + 6], "little"), content[place + 6]
        part = content[place + _PREFIX : place + _PREFIX + length]
        if len(part) < length:
            return
        record = part if kind in (_WHOLE, _FIRST) else record + part
        place += _PREFIX + length
        if kind in (_WHOLE, _LAST):
            yield record
