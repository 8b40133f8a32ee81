"""What an interrupted packing has done: a line for each finished step, forced to the disk before the next begins."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from epochal.data.packed.manifest import FORMAT, SPLITS, Shard, SplitName, shard_name
from epochal.errors import DataError, brief
from epochal.files import read_own, sync_folder

JOURNAL = "packing.jsonl"
_MOST_BYTES = 1 << 28


class Journal:
    """The steps of a packing. A line that a kill cut short is as if it had not been written.

    Arguments:
        folder: where the pack is made.
        plan: what decides its bytes: an interrupted packing goes on only for the same.

    Raises `DataError` where another packing was interrupted there, and `OSError` where nothing can be written.
    """

    def __init__(self, folder: Path, plan: Mapping[str, Any]) -> None:
        self._path = folder / JOURNAL
        self.shards: dict[SplitName, list[Shard]] = {}
        self.sources: dict[SplitName, dict[str, Any]] = {}

        header = {"format": FORMAT, **plan}
        content = _content_of(self._path)
        whole = content[: content.rfind(b"\n") + 1]
        lines = whole.splitlines()
        try:
            self._continue(folder, header, lines)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{self._path} is damaged ({brief(error)}); remove the folder and pack again") from error

        self._file = self._path.open("r+b" if content else "w+b")
        self._file.truncate(len(whole))
        self._file.seek(len(whole))
        if not lines:
            try:
                self._append(header)
                sync_folder(folder)
            except BaseException:
                self.close()
                raise

    def _continue(self, folder: Path, header: Mapping[str, Any], lines: list[bytes]) -> None:
        """Take what is done already. Raises `DataError` where that is of another packing."""
        before = json.loads(lines[0]) if lines else {}
        if lines and before != json.loads(json.dumps(header)):
            differing = ", ".join(key for key in header if header[key] != before.get(key))
            raise DataError(
                f"{folder} holds an interrupted packing of {before.get('what')}, and this one differs in {differing}; "
                "go on with that one, or remove the folder"
            )
        for line in lines[1:]:
            self._take(json.loads(line))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def remove(self) -> None:
        """Delete the file: the pack is whole."""
        self.close()
        self._path.unlink(missing_ok=True)

    def begin(self, split: SplitName, source: dict[str, Any]) -> None:
        """Note what a split's rows come from. Raises `DataError` where they came from something else before."""
        before = self.sources.get(split)
        if before is None:
            self._note({"split": split, "source": source})
        elif before != source:
            raise DataError(
                f"{self._path.parent}: the {split} samples have changed since their packing was interrupted "
                f"({before['samples']} then, {source['samples']} now, or others); remove the folder and pack again"
            )

    def finish_shard(self, split: SplitName, shard: Shard) -> None:
        """Note that a split's next file is whole."""
        self._note({"split": split, "shard": shard.to_plain()})

    def _note(self, step: dict[str, Any]) -> None:
        self._append(step)
        self._take(step)

    def _append(self, step: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(step).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _take(self, step: Mapping[str, Any]) -> None:
        split = step["split"]
        if split not in SPLITS:
            raise ValueError(f"there is no split {split!r:.40}")
        if "source" in step:
            self.sources[split] = dict(step["source"])
        else:
            shards = self.shards.setdefault(split, [])
            shard = Shard.of_plain(step["shard"])
            if shard.file != shard_name(split, len(shards)):
                raise ValueError(f"file {len(shards)} of {split} is called {shard.file!r:.60}")
            shards.append(shard)


def _content_of(path: Path) -> bytes:
    """Return what a journal holds, if there is one. Raises `DataError` for what is no file of its folder's own."""
    try:
        content: bytes = read_own(path, _MOST_BYTES)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; remove it and pack again") from error
    return content
