"""How many samples to compute at once: what a CPU's cache holds, in the memory that the compiler predicts."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax

from epochal.engine.compile import Program

MEBIBYTE = 1 << 20
_MOST = 1024 * MEBIBYTE
_IN_CACHE = 4 * MEBIBYTE
_FEWEST_IN_CACHE = 64


def memory_limit() -> int:
    """Return the bytes that one iteration's intermediate values may take: 1 GiB, or a quarter of a smaller memory."""
    memory = device_memory()
    return _MOST if memory is None else min(_MOST, memory // 4)


def device_memory() -> int | None:
    """Return the bytes that the default device can hold; ``None`` where that cannot be found out."""
    about = jax.local_devices()[0].memory_stats()  # none for a CPU, whose memory is the machine's
    if about and "bytes_limit" in about:
        return int(about["bytes_limit"])
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def fast_micro_batch(batch_size: int, values: int) -> int:
    """Return the micro-batch to begin with for samples of this many values: the whole batch, except on a CPU.

    There, slices whose input takes about 4 MiB stay in the cache: full-batch descent of `mlp` on MNIST is a quarter
    faster in slices of 1,250 than in one piece (docs/performance.md). A divisor of the batch is preferred, since a
    last slice of another size is compiled a second time.

    >>> fast_micro_batch(60_000, values=784), fast_micro_batch(1_000, values=784)
    (1250, 1000)
    """
    most = max(_FEWEST_IN_CACHE, _IN_CACHE // (4 * max(1, values)))
    if jax.default_backend() != "cpu" or batch_size <= 2 * most:
        return batch_size
    return next((size for size in range(most, most // 2, -1) if batch_size % size == 0), most)


class Trial(NamedTuple):
    """A compilation, and the bytes that the compiler predicts for its intermediate values."""

    micro_batch: int
    predicted: int


def next_micro_batch(trials: Sequence[Trial], limit: int) -> int | None:
    """Return the micro-batch to try after ``trials``, a smaller one; ``None`` where the last one will do.

    Some bytes are needed for any micro-batch, such as those of the gradient; two trials tell how many. Where they
    alone come near the limit, smaller slices would cost time and save little: then the slices may have as much again.

    >>> next_micro_batch([Trial(60_000, 30 << 30)], limit=1 << 30)
    2000
    >>> next_micro_batch([Trial(60_000, 30 << 30), Trial(2_000, 1 << 30)], limit=1 << 30)
    """
    last = trials[-1]
    fixed = 0 if len(trials) == 1 else _bytes_without_samples(trials[-2], last)
    limit = max(limit, 2 * fixed)
    if last.predicted <= limit or last.micro_batch == 1:
        return None
    fitting = min((limit - fixed) * last.micro_batch // (last.predicted - fixed), last.micro_batch - 1)
    return max(1, fitting // 8 * 8 if fitting >= 8 else fitting)


def _bytes_without_samples(one: Trial, other: Trial) -> int:
    """Return what a straight line through two trials says of no samples at all."""
    rise = (one.predicted - other.predicted) * other.micro_batch // (one.micro_batch - other.micro_batch)
    return max(0, other.predicted - rise)


def search_micro_batch(first: int, compile_for: Callable[[int], tuple[Program, int]]) -> tuple[int, Program]:
    """Return the first micro-batch whose predicted memory fits, from ``first`` on downwards, and its program.

    ``compile_for`` returns the program for a micro-batch and the bytes that all devices of one memory need for it.
    """
    trials: list[Trial] = []
    micro_batch: int | None = first
    while micro_batch is not None:
        program, predicted = compile_for(micro_batch)
        trials.append(Trial(micro_batch, predicted))
        micro_batch = next_micro_batch(trials, memory_limit())
    return trials[-1].micro_batch, program
