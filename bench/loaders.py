"""Measure what Epochal's order costs a PyTorch loader, beside PyTorch's own shuffling.

    python bench/loaders.py [--rounds 9] [--samples 60000]

Each round reads one epoch of rows of one number with `shuffle=True` and with `epochal.loaders.BatchSampler`, in turns.
A batch's time is the process's own, so that other programs on the machine count little. Needs PyTorch.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterable

import torch
from torch.utils.data import BatchSampler as TorchBatchSampler
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from epochal.loaders import BatchSampler


def microseconds(batches: Iterable[object]) -> float:
    """Return the processor time of a batch."""
    started = time.process_time()
    count = sum(1 for _ in batches)
    return 1e6 * (time.process_time() - started) / count


def compare(
    name: str, theirs: Callable[[], Iterable[object]], ours: Callable[[], Iterable[object]], rounds: int
) -> None:
    """Time both in turns, and print medians and spread."""
    pairs = [(microseconds(theirs()), microseconds(ours())) for _ in range(rounds + 1)][1:]  # the first warms up
    more = sorted(own - other for other, own in pairs)
    shuffled, ordered = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(
        f"{name}: shuffle=True {shuffled:.1f} µs a batch, Epochal's order {ordered:.1f}; "
        f"{statistics.median(more):+.1f} µs (median of {rounds}; {more[0]:+.1f} to {more[-1]:+.1f})",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--samples", type=int, default=60_000)
    options = parser.parse_args()
    samples = options.samples
    rows = TensorDataset(torch.zeros(samples, 1))
    print(f"torch {torch.__version__}, {samples:,} samples")

    for size in (1, 10, 100, 1000):
        indices = BatchSampler(samples, size)
        compare(
            f"indices alone, B={size}",
            lambda size=size: TorchBatchSampler(RandomSampler(rows), size, drop_last=False),
            lambda indices=indices: indices,
            options.rounds,
        )
    for size in (10, 100, 1000):
        shuffling = DataLoader(rows, size, shuffle=True)
        ordered = DataLoader(rows, batch_sampler=BatchSampler(samples, size))
        compare(f"DataLoader, B={size}", lambda it=shuffling: it, lambda it=ordered: it, options.rounds)


if __name__ == "__main__":
    main()
