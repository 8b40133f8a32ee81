"""`epochal data verify`: every row of a pack is read and checked."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from pathlib import Path

from epochal.cli.arguments import json_option
from epochal.config.options import FOLDER, Kind, option


@dataclass(frozen=True, slots=True, kw_only=True)
class DataVerifyCommand:
    """Read a pack wholly and check every row and every file; the first fault is named.

    Example: epochal data verify packed-photos

    Exit status: 0 if all is sound, 2 if not.
    """

    pack: Path = option(MISSING, "The pack's folder.", Kind(FOLDER.read, "PACK"), positional=True)
    json: bool = json_option()

    def execute(self) -> int:
        """Read the pack and print how much of it there was."""
        from epochal.cli.load import showing_progress
        from epochal.cli.screen import open_console, print_json
        from epochal.cli.text_lines import print_whole
        from epochal.data.packed.verification import verify_pack
        from epochal.words.catalogue import tell

        console = open_console()
        with showing_progress(console) as advance:
            found = verify_pack(self.pack, advance)
        if self.json:
            print_json({"folder": str(self.pack), **found._asdict()})
            return 0
        megabytes = f"{found.bytes / 1e6:,.1f}"
        print_whole(console, tell("pack.sound", rows=f"{found.rows:,}", files=found.shards, megabytes=megabytes))
        return 0
