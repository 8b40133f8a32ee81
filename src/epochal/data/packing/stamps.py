"""What is packed, in a text: the source, the state of its files, and the options; what goes on compares it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from epochal.data.registry import DATA_SETS

_HASH = 12


def stamp_of(source: Any, options: Mapping[str, Any]) -> str:
    """Return a text that is another for another source, files of another size or time, and other options."""
    said = {name: value for name, value in sorted(options.items()) if value not in (None, False, (), [])}
    words = "".join(f" {name}={value}" for name, value in said.items() if not hasattr(value, "read"))
    if not isinstance(source, (str, os.PathLike)):
        return f"{type(source).__name__} from Python{words}"

    if source in DATA_SETS:
        return f"{source}{words}"
    digest = hashlib.sha256()
    for path in _files(Path(source).expanduser()):
        about = path.stat()
        digest.update(json.dumps([path.name, about.st_size, about.st_mtime_ns]).encode())
    return f"{os.fspath(source)}{words} (files {digest.hexdigest()[:_HASH]})"


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from (one for one in sorted(path.rglob("*")) if one.is_file())
    elif path.is_file():
        yield path
