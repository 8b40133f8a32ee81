"""A split on the device, and how samples become model input."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from epochal.data import Recipe, Split
from epochal.data.dataset import to_input
from epochal.errors import DataError

_MOST = 2**31 - 1  # indices are 32-bit on the device


class Samples(NamedTuple):
    """A split on the device, in its storage type, and the recipe that turns it into model input."""

    x: Shaped[Array, "n *sample"]
    y: Shaped[Array, "n *target"]
    shift: Float[Array, "..."]
    scale: Float[Array, "..."]

    def take(
        self, indices: Int[Array, " batch"]
    ) -> tuple[Float[Array, "batch *sample"], Shaped[Array, "batch *target"]]:
        """Return model input and targets of these samples; every index must be within range."""
        x = self.x.at[indices].get(mode="promise_in_bounds")
        return self.prepare(x), self.y.at[indices].get(mode="promise_in_bounds")

    def prepare(self, x: Shaped[Array, "batch *sample"]) -> Float[Array, "batch *sample"]:
        """Turn stored values into model input."""
        prepared: Array = to_input(x, self.shift, self.scale)
        return prepared


def put_on_device(split: Split, recipe: Recipe) -> Samples:
    """Copy a split to the default device, as it is stored. Raises `DataError` for more samples than it can index."""
    if len(split) > _MOST:
        raise DataError(
            f"{len(split):,} samples are more than the {_MOST:,} that one device can hold; use a part of them"
        )
    return Samples(jnp.asarray(split.x), jnp.asarray(split.y), jnp.asarray(recipe.shift), jnp.asarray(recipe.scale))
