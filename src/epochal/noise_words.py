"""A noise scale in words: with its error, or as the bound that it is."""

from __future__ import annotations

import math

from epochal.gradient_noise import ScaleEstimate
from epochal.words.catalogue import Words, say


def noise_scale(scale: ScaleEstimate) -> Words | str:
    """Return a noise scale as a reader may take it: as many digits as the error leaves.

    >>> str(noise_scale(ScaleEstimate(0, 600, 30, 20.0, 0.01, 0.001, 213.0)))
    '2,000 ± 210'
    >>> str(noise_scale(ScaleEstimate(0, 600, 30, 20.0, -0.01, 0.01, math.inf)))
    'more than 1,000'
    """
    if scale.is_bound:
        return say("noise.more_than", scale=_digits(scale.value, scale.value))
    return f"{_digits(scale.value, scale.error)} ± {_digits(scale.error, scale.error)}"


def _digits(value: float, error: float) -> str:
    """Write a number to the second digit of its error."""
    if not math.isfinite(value):
        return "∞"
    places = 1 - math.floor(math.log10(error)) if 0 < error < math.inf else 2
    return f"{round(value, places):,.{max(0, places)}f}"
