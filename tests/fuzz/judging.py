"""By which rules an input is judged: read, or refused in a line; in time, in little memory, and never taken altered."""

from __future__ import annotations

import dataclasses
import hashlib
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from epochal.errors import EpochalError

BASE, TIMES = 128 << 20, 4
"""Bytes that a reader may take beyond what it took before: four times what any file may unpack to, and its size."""
SECONDS = 5.0
"""Of the processor's time; what waits without working is seen by `fuzz.py`, which waits for it."""
_LONGEST_LINE = 2_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of an input.

    Attributes:
        was_read: whether it was read; else it was refused.
        value: what was read, as a hash; of a refusal its text.
        fault: which rule was broken, and how; ``None`` for a good reader.
    """

    was_read: bool
    value: str
    fault: str | None = None


class Memory:
    """The most memory that this process takes while something is done, where the system can say so."""

    def __init__(self) -> None:
        self.can_tell = Path("/proc/self/clear_refs").exists()

    def begin(self) -> int:
        """Forget former peaks, and return what it takes now."""
        if not self.can_tell:
            return 0
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        return self._of(b"VmRSS:")

    def peak(self) -> int:
        """Return the most that it took since."""
        return self._of(b"VmHWM:") if self.can_tell else 0

    def _of(self, name: bytes) -> int:
        with open("/proc/self/status", "rb") as file:
            text = file.read()
        start = text.index(name) + len(name)
        return int(text[start : text.index(b"kB", start)]) * 1024


def judge(read: Callable[[Path], Any], path: Path, memory: Memory) -> Verdict:
    """Have an input read, and return what became of it."""
    size = path.stat().st_size if path.is_file() else 0
    before, began = memory.begin(), time.process_time()
    fault = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value, was_read = read(path), True
    except EpochalError as error:
        value, was_read = str(error), False
        if "\n" in value or len(value) > _LONGEST_LINE:
            fault = f"refused in more than a line: {value[:300]!r}"
    except (Exception, RecursionError) as error:
        place = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in place if "epochal" in frame.filename and "tests" not in frame.filename] or place
        value, was_read = "", False
        fault = f"traceback: {type(error).__name__} at {Path(own[-1].filename).name}:{own[-1].name}: {str(error)[:200]}"

    seconds, grown = time.process_time() - began, memory.peak() - before
    if fault is None and seconds > SECONDS:
        fault = f"slow: {seconds:.1f} s for {size:,} bytes"
    if fault is None and grown > BASE + TIMES * size:
        fault = f"memory: {grown >> 20} MiB for {size:,} bytes"
    return Verdict(was_read, digest_of(value) if was_read else str(value), fault)


def digest_of(value: Any) -> str:
    """Return a hash of what was read: of arrays type, shape and bytes, of records their fields."""
    digest = hashlib.sha256()
    _add(digest, value)
    return digest.hexdigest()


def _add(digest: Any, value: Any) -> None:
    if isinstance(value, np.ndarray) and value.dtype != object:
        digest.update(f"{value.dtype.str}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            if field.compare and not callable(getattr(value, field.name)):
                digest.update(field.name.encode())
                _add(digest, getattr(value, field.name))
    elif isinstance(value, Mapping):
        for key, one in value.items():
            digest.update(repr(key).encode())
            _add(digest, one)
    elif isinstance(value, list | tuple | np.ndarray):
        digest.update(b"(")
        for one in value:
            _add(digest, one)
        digest.update(b")")
    else:
        digest.update(repr(value).encode(errors="backslashreplace"))
