"""Studies of batch sizes as they were measured on two cores: mlp 784-128-10 on MNIST, and on digits."""

from __future__ import annotations

import dataclasses
from typing import Any

from epochal.study.batch_size.trials import BatchSizes, LeftOut, SizeRow
from epochal.study.target import Target, Trial

# updates to the target of each seed, by batch size
MEASURED: dict[str, dict[int, list[int]]] = {
    "sgd, 10,000 samples": {
        1: [20_939, 18_503], 4: [4_181, 4_448], 16: [1_259, 1_493], 64: [291, 350], 256: [207, 230],
        1_024: [232, 277], 4_096: [225, 243], 10_000: [210, 202],
    },
    "momentum, 10,000 samples": {
        1: [18_242], 4: [4_567], 16: [1_257], 64: [271], 256: [116], 1_024: [61], 4_096: [52], 10_000: [56],
    },
    "sgd, 60,000 samples": {
        1: [72_030, 82_469], 4: [24_007, 19_912], 16: [6_741, 6_659], 64: [1_582, 1_315], 256: [777, 784],
        1_024: [639, 664], 4_096: [529, 762], 16_384: [649],
    },
    "adam, 10,000 samples": {
        1: [15_567], 4: [3_574], 16: [760, 1_307], 64: [297], 256: [98], 1_024: [48], 4_096: [48],
    },
    "sgd, digits": {1: [1_233], 4: [325], 16: [138], 64: [58], 256: [41], 1_437: [44]},
}  # fmt: skip

# the best rate of each size, from the smallest on
RATES = {
    "sgd, 10,000 samples": (0.02, 0.08, 0.16, 0.64, 0.64, 0.64, 0.64, 1.28),
    "momentum, 10,000 samples": (0.002, 0.008, 0.016, 0.128, 0.256, 0.512, 0.512, 0.512),
    "sgd, 60,000 samples": (0.01, 0.04, 0.16, 0.64, 0.64, 0.64, 1.28, 0.64),
    "adam, 10,000 samples": (0.0008, 0.0016, 0.0064, 0.0064, 0.0128, 0.0256, 0.0128),
    "sgd, digits": (0.04, 0.16, 0.64, 1.28, 1.28, 1.28),
}

# microseconds of an iteration, on the idle machine
SPEEDS = {
    1: 21, 4: 55, 16: 116, 64: 258, 256: 715, 1_024: 2_394, 1_437: 3_300, 4_096: 9_424, 10_000: 24_354, 16_384: 35_341,
}  # fmt: skip


def measured_study(name: str = "sgd, 60,000 samples", **changes: Any) -> BatchSizes:
    """Return one of them, as the product keeps it."""
    rows = [
        measured_row(size, rate, steps) for (size, steps), rate in zip(MEASURED[name].items(), RATES[name], strict=True)
    ]
    optimizer, _, data = name.partition(", ")
    study = BatchSizes(
        data="digits" if data == "digits" else "mnist",
        model="mlp",
        optimizer=optimizer,
        target=Target("accuracy", 0.97),
        samples=1_437 if data == "digits" else int(data.split(" ")[0].replace(",", "")),
        held_out=359 if data == "digits" else 10_000,
        cores=2,
        rows=tuple(rows),
        all_trials=tuple(trial for row in rows for trial in row.trials),
    )
    return dataclasses.replace(study, **changes)


def measured_row(size: int, rate: float | None, steps: list[int], *, is_edge: bool = False) -> SizeRow:
    """Return a size with a trial for each seed; with no steps, one that did not reach the target."""
    lr = rate or 0.1
    trials = [
        Trial(size, lr, seed, float(count), "reached", nearest=0.9712, updates=round(1.05 * count))
        for seed, count in enumerate(steps)
    ]
    missed = [Trial(size, lr, 0, None, "limit", nearest=0.953, updates=9_000)]
    return SizeRow(size, rate, is_edge, tuple(trials or missed), float(SPEEDS.get(size, 100)))


def with_rows(study: BatchSizes, *sizes: int, **changes: Any) -> BatchSizes:
    """Return a study with these sizes alone."""
    rows = tuple(row for row in study.rows if row.batch_size in sizes)
    trials = tuple(trial for trial in study.all_trials if trial.batch_size in sizes)
    return dataclasses.replace(study, rows=rows, all_trials=trials, **changes)


FLAT = (LeftOut(16_384, "flat"), LeftOut(60_000, "flat"))
