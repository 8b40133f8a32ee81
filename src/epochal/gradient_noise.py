"""The noise scale of gradients: its formulas, from raw sums to an estimate with an error, without a device.

A batch of B samples has the gradient of all of them plus noise, whose squared norm is S/B on average: S is the trace of
the covariance of single samples' gradients. Two halves of a batch share no sample, so that what their gradients differ
in is noise alone: ‖g₁ − g₂‖² is 4·S/B on average, also where an epoch draws each sample once. The noise scale is
S/‖G‖², with G the gradient of the whole training set: the batch size at which noise and gradient are equally large.

‖G‖² is the difficult part. The squared norm of a batch's gradient exceeds it by S·(1/B − 1/N), where batches are drawn
without replacement from N samples: late in a training, nearly all of it. So it is measured on many samples at once, and
an estimate whose ‖G‖² is within two errors of nothing is a lower bound: "more than", and never a negative number.

Source: McCandlish et al. 2018, "An Empirical Model of Large-Batch Training", appendix A.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float, Float32, Int64

MEASURED_EVERY = 20
"""Every which iteration is measured."""

LARGE = 10_000
"""The samples whose gradient is computed at an evaluation, where there are so many."""

_FEWEST, _BLOCKS = 8, 10
_WINDOW = 20  # measured iterations before an evaluation, at least, where there are so many
_ERRORS = 2.0

Floats: TypeAlias = Float[np.ndarray, " measured"]


@dataclass(frozen=True, slots=True)
class NoiseScale:
    """What gradients of two batch sizes say of their noise.

    Attributes:
        small, large: the batch sizes.
        small_square: the mean of the squared norms of the gradients of small batches.
        large_square: the squared norm of the gradient of the large one, which they make together.
    """

    small: int
    large: int
    small_square: float
    large_square: float

    @property
    def value(self) -> float:
        """The trace of the gradient's covariance over its squared norm, in samples; infinite where noise hides it.

        >>> NoiseScale(10, 100, small_square=2.0, large_square=1.1).value
        10.0
        """
        squared = (self.large * self.large_square - self.small * self.small_square) / (self.large - self.small)
        trace = (self.small_square - self.large_square) / (1 / self.small - 1 / self.large)
        return round(trace / squared, 9) if squared > 0 else math.inf if trace > 0 else math.nan


@dataclass(frozen=True, slots=True, eq=False)
class NoiseBlock:
    """What some measured iterations of one batch size gave: sums as they are, and never a ratio.

    Attributes:
        first: the first measured iteration, counted from 0: the update that comes next after so many.
        every: from one measured iteration to the next.
        samples: of both halves together.
        sums: ‖g₁ − g₂‖² and ‖(g₁ + g₂)/2‖² of each.
    """

    first: int
    every: int
    samples: int
    sums: Float32[np.ndarray, "measured 2"]

    @property
    def last(self) -> int:
        """The last measured iteration."""
        return self.first + (len(self.sums) - 1) * self.every

    @property
    def iterations(self) -> Int64[np.ndarray, " measured"]:
        """The measured iterations."""
        return self.first + self.every * np.arange(len(self.sums), dtype=np.int64)

    @property
    def traces(self) -> Floats:
        """S by each iteration."""
        return self.sums[:, 0].astype(np.float64) * self.samples / 4

    def squares(self, samples: int) -> Floats:
        """‖G‖² by each iteration alone, for a training set of so many; any of them may be negative."""
        return self.sums[:, 1] - self.traces * (1 / self.samples - 1 / samples)

    def within(self, start: int, end: int) -> NoiseBlock:
        """Return the part of it that was measured from iteration ``start`` to before ``end``."""
        low, high = (min(max(0, -(-(at - self.first) // self.every)), len(self.sums)) for at in (start, end))
        return replace(self, first=self.first + low * self.every, sums=self.sums[low:high])


@dataclass(frozen=True, slots=True)
class LargeGradient:
    """The gradient of many training samples at once, after ``iteration`` updates.

    Attributes:
        samples: that it is the mean over, each once.
        square: its squared norm.
        error: one standard error of that norm as an estimate; 0 where it is the gradient of the whole training set.
    """

    iteration: int
    samples: int
    square: float
    error: float


@dataclass(frozen=True, slots=True)
class ScaleEstimate:
    """A noise scale in samples, and how sure it is.

    Attributes:
        start, end: the window: from which iteration to before which one S was measured.
        measured: how many iterations of it were.
        trace: S.
        square: ‖G‖², and ``square_error`` one standard error of it.
        error: one standard error of `value`; infinite where `value` is a lower bound.
    """

    start: int
    end: int
    measured: int
    trace: float
    square: float
    square_error: float
    error: float

    @property
    def is_bound(self) -> bool:
        """Whether ‖G‖² cannot be told from nothing, so that the scale is more than `value`."""
        return self.square < _ERRORS * self.square_error or self.square <= 0

    @property
    def value(self) -> float:
        """S/‖G‖²; where that cannot be told, S over the largest ‖G‖² that two errors allow."""
        square = max(self.square, 0) + _ERRORS * self.square_error if self.is_bound else self.square
        return self.trace / square if square > 0 else math.inf

    @property
    def low(self) -> float:
        """The lower end of one standard error, never below 0."""
        return self.value if self.is_bound else max(0.0, self.value - self.error)

    @property
    def high(self) -> float:
        """Its upper end; infinite for a bound."""
        return math.inf if self.is_bound else self.value + self.error

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values; ``more_than`` in place of ``value`` and ``error`` for a bound."""
        told = {"more_than": self.value} if self.is_bound else {"value": self.value, "error": self.error}
        names = ("start", "end", "measured", "trace", "square", "square_error")
        return {**told, **{name: getattr(self, name) for name in names}}


@dataclass(frozen=True, slots=True)
class Sharpness:
    """The sharpness-weighted noise scale tr(H·Σ)/GᵀHG at one place: noise, weighed with the Hessian H (section 2.2).

    Attributes:
        trace: tr(H·Σ), and ``trace_error`` one standard error of it by the spread of the probes.
        curvature: GᵀHG.
    """

    trace: float
    trace_error: float
    curvature: float

    @property
    def value(self) -> float:
        """The scale in samples; infinite where the loss does not curve upwards along its gradient.

        >>> Sharpness(trace=30.0, trace_error=3.0, curvature=0.5).value
        60.0
        """
        return max(self.trace, 0.0) / self.curvature if self.curvature > 0 else math.inf

    @property
    def error(self) -> float:
        """One standard error of it, by the probes alone."""
        return self.trace_error / self.curvature if self.curvature > 0 else math.inf

    def to_dict(self) -> dict[str, float | None]:
        """Return it as plain values; JSON knows no infinite ones."""
        facts = {name: getattr(self, name) for name in ("trace", "trace_error", "curvature", "value", "error")}
        return {name: value if math.isfinite(value) else None for name, value in facts.items()}


def over_run(blocks: Sequence[NoiseBlock], samples: int) -> ScaleEstimate | None:
    """Return ΣS/Σ‖G‖² over all measured iterations, from their halves alone; ``None`` where they are too few.

    ``samples`` is N, the size of the training set. Early iterations, whose gradients are long, weigh most.
    """
    traces, squares = _joined(blocks, lambda block: block.traces), _joined(blocks, lambda block: block.squares(samples))
    if traces.size < _FEWEST:
        return None
    square, square_error = _jackknife(lambda kept: float(squares[kept].mean()), traces.size)
    _, error = _jackknife(lambda kept: _ratio(traces[kept].sum(), squares[kept].sum()), traces.size)
    return _estimate(blocks, traces, square, square_error, error)


def at_evaluation(
    blocks: Sequence[NoiseBlock], gradient: LargeGradient, samples: int, since: int = 0
) -> ScaleEstimate | None:
    """Return the noise scale at an evaluation: S of the iterations before it, ‖G‖² of its one large gradient.

    Args:
        blocks: of the whole run.
        gradient: of the evaluation.
        samples: N, the size of the training set.
        since: the evaluation before. The window is the second half of what was measured since, because S falls while
            a model learns; but at least the last 20 measured iterations.
    """
    end = gradient.iteration
    before = list(_within(blocks, 0, end))
    numbers = np.concatenate([np.zeros(0, np.int64), *(block.iterations for block in before)])
    if numbers.size < _FEWEST:
        return None
    lately = int((numbers >= since).sum())
    start = int(numbers[-max(_WINDOW, -(-lately // 2)) :][0])

    window = list(_within(before, start, end))
    traces = _joined(window, lambda block: block.traces)
    excess = 1 / gradient.samples - 1 / samples
    square, of_trace = _jackknife(lambda kept: gradient.square - excess * float(traces[kept].mean()), traces.size)
    _, error = _jackknife(
        lambda kept: _ratio(traces[kept].mean(), gradient.square - excess * traces[kept].mean()), traces.size
    )
    of_gradient = gradient.error * traces.mean() / square**2 if square else math.inf
    return _estimate(window, traces, square, math.hypot(of_trace, gradient.error), math.hypot(error, of_gradient))


def scale_curve(
    blocks: Sequence[NoiseBlock], gradients: Iterable[LargeGradient], samples: int
) -> list[tuple[LargeGradient, ScaleEstimate]]:
    """Return the noise scale at each evaluation, where enough was measured before it."""
    curve, since = [], 0
    for gradient in gradients:
        estimate = at_evaluation(blocks, gradient, samples, since)
        since = gradient.iteration
        if estimate is not None:
            curve.append((gradient, estimate))
    return curve


def gram_error(gram: Float[np.ndarray, "groups groups"], share: float) -> float:
    """Return one standard error of the squared norm of a mean of gradients, by leaving each of them out.

    Where noise is most of them, it is up to 1.4 times too large.

    Args:
        gram: the products of each with each.
        share: of the training set that they are the gradients of: no error is left once it is all of it.
    """

    def product(left_out: int) -> float:
        """Return the mean product of two different gradients of the others, which noise does not lengthen."""
        some = np.delete(np.delete(gram, left_out, 0), left_out, 1)
        return float((some.sum() - np.trace(some)) / (len(some) * (len(some) - 1)))

    return _spread([product(number) for number in range(len(gram))]) * math.sqrt(max(0.0, 1 - share))


def _estimate(
    window: Sequence[NoiseBlock], traces: Floats, square: float, square_error: float, error: float
) -> ScaleEstimate:
    held = [block for block in window if len(block.sums)]
    start, end, trace = held[0].first, held[-1].last + 1, float(traces.mean())
    estimate = ScaleEstimate(start, end, traces.size, trace, square, square_error, error)
    return replace(estimate, error=math.inf) if estimate.is_bound else estimate


def _within(blocks: Iterable[NoiseBlock], start: int, end: int) -> Iterator[NoiseBlock]:
    for block in blocks:
        part = block.within(start, end)
        if len(part.sums):
            yield part


def _joined(blocks: Iterable[NoiseBlock], part: Callable[[NoiseBlock], Floats]) -> Floats:
    return np.concatenate([np.zeros(0), *(part(block) for block in blocks)])


def _jackknife(figure: Callable[[np.ndarray], float], count: int) -> tuple[float, float]:
    """Return a figure of numbered values, and its standard error by leaving out one block of neighbours at a time."""
    everything = np.arange(count)
    blocks = np.array_split(everything, min(_BLOCKS, count))
    without = [figure(np.setdiff1d(everything, block, assume_unique=True)) for block in blocks]
    return figure(everything), _spread(without)


def _spread(without: Sequence[float]) -> float:
    """Return the standard error that the figures without a block each tell of the figure with all blocks."""
    count = len(without)
    mean = math.fsum(without) / count
    return math.sqrt((count - 1) / count * math.fsum((one - mean) ** 2 for one in without))


def _ratio(trace: float, square: float) -> float:
    return float(trace / square) if square else math.inf
