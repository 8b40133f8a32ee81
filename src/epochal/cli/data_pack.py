"""`epochal data pack`: any source, of any size, as files from which training reads what it needs."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any

from epochal.cli.arguments import given, json_option
from epochal.cli.data import LOADING
from epochal.config.options import FOLDER, SWITCH, count, option, text
from epochal.config.train_config import TRAIN, TrainConfig

_MEGABYTE = 10**6
_TAKEN = {**LOADING, "seed": TRAIN["seed"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPackCommand:
    """Pack a data set, of any size, so that training reads it from the disk: the same samples, and the same bits.

    Example: epochal data pack photos packed-photos --image-size 64

    A source is whatever epochal train takes, a tar archive or a folder of them (webdataset), or ArrayRecord files.
    What is interrupted goes on when the same command is given again. Training then takes the folder: epochal train
    FOLDER.
    """

    source: str = option(
        MISSING, "A data set's name, or your own file or folder.", text("a name or a path", "SOURCE"), positional=True
    )
    folder: Path = option(MISSING, "The pack's folder, a new one.", FOLDER, positional=True)
    given: Mapping[str, Any] = given(_TAKEN)
    length: int | None = option(
        None,
        "Of sequences of different lengths, the length to which they are padded, or cut.",
        count("VALUES"),
        text="the longest",
    )
    shard_size: int = option(256, "The size of a file in megabytes, about.", count("MB"))
    force: bool = option(False, "Replace a pack that is there.", SWITCH)
    json: bool = json_option()

    def execute(self) -> int:
        """Make the pack and print what it is."""
        from epochal.cli.load import showing_progress
        from epochal.cli.screen import open_console
        from epochal.data import pack
        from epochal.words.catalogue import tell

        config = TrainConfig(**self.given)
        options = config.loading | ({"seed": config.seed} if "seed" in self.given else {})
        try:
            with showing_progress(open_console()) as advance:
                pack(
                    self.source,
                    self.folder,
                    length=self.length,
                    shard_bytes=self.shard_size * _MEGABYTE,
                    force=self.force,
                    progress=advance,
                    **options,
                )
        except KeyboardInterrupt:
            print(tell("pack.interrupted"), file=sys.stderr)
            return 128 + signal.SIGINT

        return self._print()

    def _print(self) -> int:
        from epochal.cli.screen import command_line, open_console, print_json, print_next, print_notes
        from epochal.cli.text_lines import print_whole
        from epochal.data.packed.manifest import Manifest
        from epochal.words.catalogue import tell

        manifest = Manifest.read(self.folder)
        facts = pack_facts(manifest, self.folder)
        if self.json:
            print_json(facts)
            return 0

        console = open_console()
        splits = facts["splits"].items()
        rows = tell("pack.between").join(f"{about['samples']:,} {tell(f'pack.{name}')}" for name, about in splits)
        print_whole(console, tell("pack.made", folder=self.folder, rows=rows, files=facts["files"],
                                  megabytes=f"{facts['bytes'] / _MEGABYTE:,.1f}"))  # fmt: skip
        print_notes(manifest.notes, console)
        print_next([(tell("pack.train_next"), command_line("train", self.folder))], console)
        return 0


def pack_facts(manifest: Any, folder: Path) -> dict[str, Any]:
    """Return what a pack is, of which only the manifest is read."""
    splits = {
        name: {
            "samples": about.samples,
            "bytes": about.bytes,
            "files": about.files,
            "fingerprint": manifest.fingerprint(name),
        }
        for name, about in manifest.splits.items()
    }
    return {
        "folder": str(folder),
        "name": manifest.name,
        "source": manifest.what,
        "splits": splits,
        "files": sum(one["files"] for one in splits.values()),
        "bytes": sum(one["bytes"] for one in splits.values()),
        "notes": list(manifest.notes),
    }
