"""The arithmetic of training time: plans, positions and spans, in whole numbers of any size.

Source: the article that Epochal follows defines *epoch*, *batch* and *iteration* and counts the batches of BGD
(size N, one batch), SGD (size 1, N batches) and MBGD (size B). They are three cases of one formula, ⌈N/B⌉.

Everything here is integer arithmetic from the standard library; nothing passes through a float.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import total_ordering
from typing import Literal, SupportsIndex, TypeAlias

from epochal.counts import parse_count, shortened
from epochal.errors import PlanError
from epochal.lazy import drawn_by

Last: TypeAlias = Literal["keep", "drop"]
Method: TypeAlias = Literal["bgd", "sgd", "mbgd"]


class Unit(Enum):
    """What a span is counted in; the value is its suffix in text, as in ``50ep``."""

    EPOCHS = "ep"
    ITERATIONS = "it"
    SAMPLES = "sa"
    MILLISECONDS = "ms"

    @property
    def word(self) -> str:
        """The unit's plural in English."""
        return self.name.lower()


@total_ordering
@dataclass(frozen=True, slots=True)
class Span:
    """A length of training: so many epochs, iterations, samples or milliseconds. A training budget is a span.

    >>> Span.parse("50ep")
    Span(amount=50, unit=<Unit.EPOCHS: 'ep'>)
    >>> str(Span.iterations(300) + Span.iterations(300))
    '600it'

    Spans of one unit add, subtract and compare. Different units raise `TypeError`, because only a `Plan` knows
    how many iterations an epoch has; they are never equal.
    """

    amount: int
    unit: Unit

    def __post_init__(self) -> None:
        object.__setattr__(self, "amount", parse_count(self.unit.word, self.amount, at_least=0))

    @classmethod
    def epochs(cls, amount: int) -> Span:
        """Return a span of whole passes over the training set."""
        return cls(amount, Unit.EPOCHS)

    @classmethod
    def iterations(cls, amount: int) -> Span:
        """Return a span of weight updates."""
        return cls(amount, Unit.ITERATIONS)

    @classmethod
    def samples(cls, amount: int) -> Span:
        """Return a span of samples used."""
        return cls(amount, Unit.SAMPLES)

    @classmethod
    def seconds(cls, amount: float | str) -> Span:
        """Return a span of training time, exact to the millisecond: ``2``, ``0.5`` or ``"0.5"`` seconds."""
        text = f"{amount:.3f}" if isinstance(amount, float) else str(amount).strip()
        whole, _, decimals = text.partition(".")
        if not re.fullmatch(r"[0-9]+(\.[0-9]{1,3})?", text):
            raise PlanError(f"seconds must be at least 0, with at most three decimals, got '{shortened(text)}'")
        milliseconds = 1000 * parse_count("seconds", whole, at_least=0) + int(decimals.ljust(3, "0"))
        return cls(milliseconds, Unit.MILLISECONDS)

    @classmethod
    def parse(cls, text: str) -> Span:
        """Read ``50ep``, ``30000it``, ``3000000sa``, ``90s`` or ``500ms``. Raises `PlanError` for any other text."""
        if match := re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*s\s*", text):
            return cls.seconds(match[1])
        match = re.fullmatch(r"\s*([0-9][0-9_,]*)\s*(ep|it|sa|ms)\s*", text)
        if match is None:
            raise PlanError(f"'{shortened(text)}' is no training length; write 50ep, 30000it, 3000000sa or 90s")
        unit = Unit(match[2])
        return cls(parse_count(unit.word, match[1], at_least=0), unit)

    def __str__(self) -> str:
        if self.unit is not Unit.MILLISECONDS:
            return f"{self.amount}{self.unit.value}"
        seconds, rest = divmod(self.amount, 1000)
        return f"{seconds}s" if not rest else f"{seconds}.{rest:03d}".rstrip("0") + "s"

    def __add__(self, other: object) -> Span:
        if not isinstance(other, Span) or other.unit is not self.unit:
            return NotImplemented
        return Span(self.amount + other.amount, self.unit)

    def __sub__(self, other: object) -> Span:
        if not isinstance(other, Span) or other.unit is not self.unit:
            return NotImplemented
        return Span(self.amount - other.amount, self.unit)

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Span) or other.unit is not self.unit:
            return NotImplemented
        return self.amount < other.amount


@total_ordering
@dataclass(frozen=True, slots=True)
class Position:
    """A point in training, between two iterations.

    ``iteration`` updates are done, ``epoch`` epochs are complete, and the current epoch has used ``offset`` of its
    samples. The end of an epoch is the beginning of the next: after 600 of 600 iterations the position is
    ``Position(iteration=600, epoch=1, offset=0)``.

    The difference of two positions is a `Span` of iterations; positions are ordered by iteration.
    """

    iteration: int = 0
    epoch: int = 0
    offset: int = 0

    def __post_init__(self) -> None:
        for name in ("iteration", "epoch", "offset"):
            object.__setattr__(self, name, parse_count(name, getattr(self, name), at_least=0))

    def __sub__(self, other: object) -> Span:
        if not isinstance(other, Position):
            return NotImplemented
        return Span.iterations(self.iteration - other.iteration)

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Position):
            return NotImplemented
        return self.iteration < other.iteration


@dataclass(frozen=True, slots=True, init=False)
class Plan:
    """Everything that can be counted before training starts.

    >>> plan = Plan(samples=60_000, batch_size=100, iterations=30_000)
    >>> plan.batches_per_epoch, plan.full_epochs, plan.iterations_after(epochs=10)
    (600, 50, 6000)

    Arguments:
        samples: N, the training set's size; at least 1.
        batch_size: B, 1 to N, or ``"all"`` for N.
        epochs, iterations, budget: how long to train: one of them; ``budget`` is a `Span` or its text (``"50ep"``,
            ``"30000it"``, ``"3000000sa"``, ``"90s"``). None of them means one epoch. A budget of samples ends at the
            last whole batch that it pays for; one of time has an open end: nobody knows its iterations beforehand.
        last: what becomes of an epoch's last batch where B does not divide N: ``"keep"`` trains on the smaller
            batch, ``"drop"`` leaves those samples out of that epoch.

    Raises `PlanError` for numbers that cannot be a plan. Source: the article's table of BGD, SGD and MBGD.
    """

    samples: int
    batch_size: int
    budget: Span
    last: Last

    def __init__(
        self,
        samples: SupportsIndex | str,
        batch_size: SupportsIndex | str,
        *,
        epochs: SupportsIndex | str | None = None,
        iterations: SupportsIndex | str | None = None,
        budget: Span | str | None = None,
        last: str = "keep",
    ) -> None:
        samples = parse_count("samples", samples)
        size = samples if batch_size == "all" else parse_count("batch size", batch_size)

        if size > samples:
            raise PlanError(
                f"batch size {shortened(size)} is above the {shortened(samples)} training samples; "
                f"use at most {shortened(samples)}, or 'all'"
            )

        if last not in ("keep", "drop"):
            raise PlanError(f"last must be 'keep' or 'drop', got '{last}'")

        object.__setattr__(self, "samples", samples)
        object.__setattr__(self, "batch_size", size)
        object.__setattr__(self, "last", last)
        object.__setattr__(self, "budget", _one_budget(epochs, iterations, budget))
        if self.budget.amount == 0 or (not self.is_open and self.iterations == 0):
            raise PlanError(f"a budget of {self.budget} ends before the first batch of {size:,} samples")

    def __repr__(self) -> str:
        name = {Unit.EPOCHS: "epochs", Unit.ITERATIONS: "iterations"}.get(self.budget.unit)
        budget = f"budget='{self.budget}'" if name is None else f"{name}={self.budget.amount}"
        last = "" if self.last == "keep" else f", last='{self.last}'"
        return f"Plan(samples={self.samples}, batch_size={self.batch_size}, {budget}{last})"

    def _repr_html_(self) -> str:
        return str(drawn_by("shown:plan", self))

    @property
    def method(self) -> Method:
        """``"bgd"`` where the batch is the whole set, ``"sgd"`` where it is one sample, else ``"mbgd"``."""
        if self.batch_size == self.samples:
            return "bgd"
        return "sgd" if self.batch_size == 1 else "mbgd"

    @property
    def batches_per_epoch(self) -> int:
        """⌈N/B⌉ with ``last="keep"``, ⌊N/B⌋ with ``last="drop"``."""
        return self._batches_from(0)

    @property
    def iterations_per_epoch(self) -> int:
        """One iteration a batch."""
        return self.batches_per_epoch

    @property
    def updates_per_epoch(self) -> int:
        """One update of the weights an iteration."""
        return self.batches_per_epoch

    @property
    def samples_per_epoch(self) -> int:
        """N, less what ``last="drop"`` leaves out."""
        return self.samples - self.dropped_per_epoch

    @property
    def dropped_per_epoch(self) -> int:
        """Samples that each epoch leaves out: 0 with ``last="keep"``."""
        return self.samples % self.batch_size if self.last == "drop" else 0

    @property
    def last_batch_size(self) -> int:
        """Samples in an epoch's last batch."""
        return self.samples_per_epoch - (self.batches_per_epoch - 1) * self.batch_size

    @property
    def is_open(self) -> bool:
        """Whether the budget is one of time, so that its iterations cannot be counted before training."""
        return self.budget.unit is Unit.MILLISECONDS

    @property
    def iterations(self) -> int:
        """Iterations of the whole budget. Raises `PlanError` for a plan with an open end."""
        match self.budget.unit:
            case Unit.MILLISECONDS:
                raise PlanError(f"a budget of {self.budget} has no number of iterations that is known beforehand")
            case Unit.ITERATIONS:
                return self.budget.amount
            case Unit.EPOCHS:
                return self.iterations_after(epochs=self.budget.amount)
            case Unit.SAMPLES:
                return self.iterations_after(samples=self.budget.amount)

    @property
    def updates(self) -> int:
        """Weight updates of the whole budget: one an iteration."""
        return self.iterations

    @property
    def full_epochs(self) -> int:
        """Epochs that the budget completes."""
        return self.iterations // self.iterations_per_epoch

    @property
    def extra_iterations(self) -> int:
        """Iterations of the budget beyond its full epochs."""
        return self.iterations % self.iterations_per_epoch

    @property
    def samples_used(self) -> int:
        """Samples of the whole budget, each counted as often as it is used."""
        return self.samples_after(iterations=self.iterations)

    @property
    def end(self) -> Position:
        """The position at which the budget is spent."""
        return self.position(iteration=self.iterations)

    def iterations_after(self, *, epochs: SupportsIndex | None = None, samples: SupportsIndex | None = None) -> int:
        """Return the iterations of so many epochs, or the whole batches in so many samples in full."""
        if (epochs is None) == (samples is None):
            raise PlanError("give either epochs or samples")
        if epochs is not None:
            return parse_count("epochs", epochs, at_least=0) * self.iterations_per_epoch
        full, rest = divmod(parse_count("samples", samples or 0, at_least=0), self.samples_per_epoch)
        return full * self.iterations_per_epoch + rest // self.batch_size

    def samples_after(self, *, iterations: SupportsIndex) -> int:
        """Return how many samples the first ``iterations`` iterations use."""
        position = self.position(iteration=iterations)
        return position.epoch * self.samples_per_epoch + position.offset

    def position(self, *, iteration: SupportsIndex | None = None, epoch: SupportsIndex | None = None) -> Position:
        """Return the position after so many iterations, or at the beginning of an epoch (the first is 0)."""
        if (iteration is None) == (epoch is None):
            raise PlanError("give either iteration or epoch")
        if iteration is None:
            iteration = self.iterations_after(epochs=epoch)
        return self.advance(Position(), Span.iterations(parse_count("iteration", iteration, at_least=0)))

    def advance(self, position: Position, span: Span) -> Position:
        """Return the position ``span`` iterations after ``position``, which need not lie on this plan's batches.

        A run may change its batch size inside an epoch: the rest of that epoch then has ⌈rest/B⌉ batches.
        """
        if span.unit is not Unit.ITERATIONS:
            raise PlanError(f"advance by iterations, not by {span.unit.word}")
        iteration = position.iteration + span.amount
        rest = self._batches_from(position.offset)
        if span.amount < rest:
            return Position(iteration, position.epoch, position.offset + span.amount * self.batch_size)
        epochs, batches = divmod(span.amount - rest, self.iterations_per_epoch)
        return Position(iteration, position.epoch + 1 + epochs, batches * self.batch_size)

    def is_spent(self, position: Position, seconds: float) -> bool:
        """Return whether the budget is spent at ``position``, after so many seconds of training."""
        if self.is_open:
            return 1000 * seconds >= self.budget.amount
        return not self.remaining(position).amount

    def remaining(self, position: Position) -> Span:
        """Return what is left of the budget from ``position`` on, in iterations; none where it is spent.

        ``position`` need not lie on this plan's batches, as after a change of the batch size. Raises `PlanError` for a
        plan with an open end: `is_spent` tells when that is reached.
        """
        return Span.iterations(self.iterations_until(self.budget, position))

    def iterations_until(self, length: Span, position: Position) -> int:
        """Return the iterations from ``position`` until a length, counted from the run's beginning, is reached.

        All positions of this plan lead to the same end: their own iterations and those that are left add up to one
        number. Raises `PlanError` for a length of time.
        """
        amount = length.amount
        match length.unit:
            case Unit.MILLISECONDS:
                raise PlanError(f"a budget of {length} has no number of iterations that is known beforehand")
            case Unit.ITERATIONS:
                left = amount - position.iteration
            case Unit.EPOCHS:
                whole = amount - position.epoch - 1  # those after the current epoch
                left = self._batches_from(position.offset) + whole * self.iterations_per_epoch if whole >= 0 else 0
            case Unit.SAMPLES:
                left = self._iterations_within(position, amount - position.epoch * self.samples_per_epoch)
        return max(0, left)

    def _iterations_within(self, position: Position, samples: int) -> int:
        """Count the iterations from ``position`` in so many samples of its epoch and later ones, whole batches only."""
        rest = self._batches_from(position.offset)
        end = self.samples if self.last == "keep" else position.offset + rest * self.batch_size
        if samples < end:
            return (samples - position.offset) // self.batch_size

        # from the next epoch on as if this one had been of this plan's batches: what it left out may differ
        return rest + self.iterations_after(samples=max(0, samples - self.samples_per_epoch))

    def iterations_left_in_epoch(self, position: Position) -> int:
        """Return how many iterations end the epoch that ``position`` is in."""
        return self._batches_from(position.offset)

    def next_batch_size(self, position: Position) -> int:
        """Return how many samples the iteration after ``position`` uses."""
        return self.batch_size if self.last == "drop" else min(self.batch_size, self.samples - position.offset)

    def facts(self) -> dict[str, int | str]:
        """Return everything that can be counted before training, by its name."""
        names = (
            "samples", "batch_size", "last", "method", "batches_per_epoch", "iterations_per_epoch",
            "updates_per_epoch", "samples_per_epoch", "dropped_per_epoch", "last_batch_size", "iterations", "updates",
            "full_epochs", "extra_iterations", "samples_used",
        )  # fmt: skip
        known = names[: names.index("iterations")] if self.is_open else names
        return {**{name: getattr(self, name) for name in known}, "budget": str(self.budget)}

    def _batches_from(self, offset: int) -> int:
        """Count the batches of the samples from ``offset`` to the epoch's end."""
        rest = self.samples - offset
        if rest <= 0:
            raise PlanError(f"offset {offset} is outside an epoch of {self.samples} samples; is it another plan's?")
        return rest // self.batch_size if self.last == "drop" else -(-rest // self.batch_size)


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long a training is, as its learning-rate schedule needs it: in updates, from the beginning.

    Attributes:
        updates: until the budget is spent; ``None`` for a budget of time.
        warmup: until the warm-up is over.
    """

    updates: int | None
    warmup: int = 0

    @classmethod
    def of(cls, plan: Plan, warmup: str | None = None) -> Lengths:
        """Return the lengths of a training by one plan, whose warm-up is a length such as ``1ep`` or ``500it``."""
        until = 0 if warmup is None else plan.iterations_until(Span.parse(warmup), Position())
        return cls(None if plan.is_open else plan.updates, until)


def _one_budget(
    epochs: SupportsIndex | str | None, iterations: SupportsIndex | str | None, budget: Span | str | None
) -> Span:
    given = [
        name
        for name, value in (("epochs", epochs), ("iterations", iterations), ("budget", budget))
        if value is not None
    ]

    # one budget at most; none means one epoch
    if len(given) > 1:
        raise PlanError(f"give one budget, not {len(given)}: {' and '.join(given)}")
    if epochs is not None:
        return Span.epochs(parse_count("epochs", epochs))
    if iterations is not None:
        return Span.iterations(parse_count("iterations", iterations))

    if isinstance(budget, str):
        return Span.parse(budget)
    if isinstance(budget, Span):
        return budget
    if budget is not None:
        raise PlanError(f"budget must be a training length, got {budget!r}; write 50ep, 30000it, 3000000sa or 90s")
    return Span.epochs(1)
