"""What `run.toml` and `study.toml` may hold: types and ranges. What an option may be stands in `config`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from epochal.files import parse_toml, read_own
from epochal.record.fields import (
    either,
    matching,
    plain,
    plain_table,
    real,
    several,
    switch,
    table,
    text,
    whole,
    word,
)

LONGEST = 4_000_000
"""Bytes that such a file has at most."""
FORMAT_NUMBER = whole(1)
SUMMATIONS = ("chain", "tree")

_SHA256 = matching(r"[0-9a-f]{64}", "a SHA-256")
_SIZES = several(whole(), 32)
RUN_TOML = table(
    {
        "format": FORMAT_NUMBER,
        "custom": several(word("data", "model", "optimizer", "loss"), 4),
        "config": plain_table(),
        "data": table(
            {
                "name": text(1000),
                "fingerprint": text(200),
                "train": whole(),
                "test": whole(),
                "sample_shape": either(_SIZES, plain_table()),
                "task": word("classification", "regression"),
                "outputs": whole(),
            },
            {"validation": whole(), "preprocessing": _SHA256},
        ),
        "model": table(
            {"name": text(1000), "parameters": whole(), "options": plain_table()},
            {
                "source": text(5000),
                "source_sha256": _SHA256,
                "initial": matching(r"[0-9a-f]{32}", "a checksum"),
                "exported": _SHA256,
            },
        ),
        "versions": table({}, others=text(100)),
        "device": table({"platform": text(100), "kind": text(1000), "count": whole(1)}, {"processors": whole(1)}),
        "changes": several(table({"iteration": whole()}, others=plain()), 1000),
    },
    {"summation": word(*SUMMATIONS), "settings": plain_table(), "named_by": several(_SHA256, 100)},
)

STUDY_DATA = table(
    {
        "name": text(1000),
        "fingerprint": text(200),
        "train": whole(),
        "test": whole(),
        "task": word("classification", "regression"),
    },
    {"own": switch()},
)
STUDY_TOML = table(
    {
        "format": FORMAT_NUMBER,
        "data": STUDY_DATA,
        "compare": table({"shared": plain_table()}, others=plain()),
    },
    {
        "named_by": several(_SHA256, 100),
        "tuned": several(
            table(
                {
                    "model": text(1000),
                    "optimizer": text(1000),
                    "batch_size": either(whole(1), text(1000)),
                    "lr": real(least=0.0),
                    "tried": several(table({"lr": real(least=0.0), "loss": real(infinite=True)})),
                    "updates": whole(),
                    "train": whole(),
                    "held_out": whole(),
                    "seed": whole(0, 2**64 - 1),
                }
            )
        ),
    },
)


def read_toml(path: Path, longest: int = LONGEST) -> dict[str, Any]:
    """Read a TOML file of a folder's own. Raises `OSError` where it cannot be read, `ValueError` where it is none."""
    return parse_toml(read_own(path, longest))
