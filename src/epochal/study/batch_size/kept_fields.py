"""What `batch-size.toml` may hold: types and ranges. What an option may be stands in `request`."""

from __future__ import annotations

from typing import get_args

from epochal.record.fields import either, optional, plain, plain_table, real, several, switch, table, text, whole, word
from epochal.record.toml_fields import FORMAT_NUMBER, STUDY_DATA
from epochal.study.batch_size.request import Judge
from epochal.study.target import Ending, TargetMetric

LONGEST = 64_000_000
"""Bytes that such a file has at most: a trial takes about 150 of them."""

_COUNT, _RATE = whole(), real(least=0.0)
_SECONDS = real(least=0.0, most=1e12)
_VALUE = real(infinite=True)
_NAME = text(1000)
_TARGET = table({"metric": word(*get_args(TargetMetric)), "value": real()})
_OF_TRIAL = {
    "batch_size": whole(1),
    "lr": _RATE,
    "seed": whole(0, 2**64 - 1),
    "why": word(*get_args(Ending)),
    "nearest": _VALUE,
    "updates": _COUNT,
}
_STEPS = {"steps": real(least=0.0, most=1e15)}
_ROW = table(
    {"batch_size": whole(1), "is_edge": switch(), "trials": several(table(_OF_TRIAL, _STEPS))},
    {"lr": optional(_RATE), "microseconds": optional(real(least=0.0, most=1e15))},
)
_STUDY = table(
    {
        "data": _NAME,
        "model": _NAME,
        "optimizer": _NAME,
        "target": _TARGET,
        "samples": whole(1),
        "held_out": _COUNT,
        "cores": whole(1),
        "rows": several(_ROW, 1000),
        "left_out": several(table({"batch_size": whole(1), "why": word("budget", "flat", "scaling")}), 1000),
        "notes": several(text(10_000), 100),
        "is_predicted": switch(),
    },
    {
        "noise": plain_table(),
        "branched_from": several(either(text(5000), whole()), 2),
        "options": plain_table(),
        "is_rate_given": switch(),
        "judge": word(*get_args(Judge)),
        "reach": _VALUE,
    },
)
BATCH_SIZE_TOML = table(
    {
        "format": FORMAT_NUMBER,
        "finished": switch(),
        "data": STUDY_DATA,
        "request": table({"shared": plain_table()}, others=plain()),
    },
    {
        "pilot": table({"target": _TARGET, "lr": _RATE, "begun": _VALUE, "best": _VALUE, "seconds": _SECONDS}),
        "trials": several(
            table({**_OF_TRIAL, "limit": _COUNT, "is_race": switch(), "seconds": _SECONDS}, _STEPS), 200_000
        ),
        "microseconds": table({}, others=real(least=0.0, most=1e15)),
        "study": _STUDY,
        "reach": _VALUE,
    },
)
