"""What this machine can do at most: float32 matrix products and memory traffic, by the best of NumPy and JAX.

python bench/limits.py
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from contenders import clock

_SIDE = 2048
_WORDS = 1 << 26  # 256 MiB of float32: far beyond the caches
_IN_CACHE = 1 << 17  # 512 KiB: the weights of `mlp` and their gradient


def best_seconds(function: Callable[[], Any], repetitions: int = 9) -> float:
    function()
    times = []
    for _ in range(repetitions):
        started = clock()
        function()
        times.append(clock() - started)
    return min(times)


def matrix_rate() -> float:
    """Return floating-point operations a second of the fastest product of two 2048×2048 matrices."""
    a = np.random.default_rng(0).standard_normal((_SIDE, _SIDE), np.float32)
    product, on_device = jax.jit(jnp.dot), jnp.asarray(a)
    seconds = min(
        best_seconds(lambda: a @ a), best_seconds(lambda: jax.block_until_ready(product(on_device, on_device)))
    )
    return 2 * _SIDE**3 / seconds


def memory_rate(words: int, rounds: int) -> float:
    """Return bytes a second, read and written, of adding a number to each of so many float32 in place."""

    def add(x: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, rounds, lambda i, x: x + 1.0, x)

    compiled = jax.jit(add, donate_argnums=0)
    holder = [jnp.zeros(words)]

    def once() -> None:
        holder[0] = jax.block_until_ready(compiled(holder[0]))

    return 2 * 4 * words * rounds / best_seconds(once)


def main() -> None:
    print(
        json.dumps(
            {
                "matrix_flops": matrix_rate(),
                "memory_bytes": memory_rate(_WORDS, 1),
                "cache_bytes": memory_rate(_IN_CACHE, 4000),
            }
        )
    )


if __name__ == "__main__":
    main()
