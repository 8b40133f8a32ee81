"""What the models' products must equal: the same written with XLA's own convolution and pooling, and loops in NumPy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax


def conv_relu_pool(x: Array, kernel: Array, bias: Array) -> Array:
    """The operation as a textbook writes it; JAX derives its gradient."""
    full = lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return lax.reduce_window(jax.nn.relu(full + bias), -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def cut_tiles(x: np.ndarray, size: int) -> np.ndarray:
    """Return all tiles, (images, down, across, size, size, channels), one by one."""
    edge = size // 2 - 1
    padded = np.pad(x, [(0, 0), (edge, size), (edge, size), (0, 0)])
    return np.stack(
        [
            np.stack([padded[:, 2 * t : 2 * t + size, 2 * u : 2 * u + size] for u in range(x.shape[2] // 2)], 1)
            for t in range(x.shape[1] // 2)
        ],
        1,
    )
