"""The arithmetic of training time: what a plan is, and everything that can be counted before training.

Source: the article that Epochal follows defines *epoch*, *batch* and *iteration* and counts the batches of BGD
(size N, one batch), SGD (size 1, N batches) and MBGD (size B). They are three cases of one formula, ⌈N/B⌉.

Everything here is integer arithmetic from the standard library; nothing passes through a float.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, SupportsIndex, TypeAlias

from epochal.counts import parse_count
from epochal.errors import PlanError
from epochal.lazy import drawn_by
from epochal.phases import Batches, Last, Mark, Phase, Phases
from epochal.size_schedule import BatchSizes, read_batch_sizes
from epochal.spans import Position, Span, Unit

__all__ = ["Last", "Lengths", "Method", "Plan", "Position", "Span", "Unit"]

Method: TypeAlias = Literal["bgd", "sgd", "mbgd"]


@dataclass(frozen=True, slots=True, init=False)
class Plan:
    """Everything that can be counted before training starts.

    >>> plan = Plan(samples=60_000, batch_size=100, iterations=30_000)
    >>> plan.batches_per_epoch, plan.full_epochs, plan.iterations_after(epochs=10)
    (600, 50, 6000)

    Arguments:
        samples: N, the training set's size; at least 1.
        batch_size: B, 1 to N, or ``"all"`` for N; several with where each begins make a schedule, such as
            ``"100,200@10ep,400@5000it"`` or ``{0: 100, "10ep": 200}``.
        epochs, iterations, budget: how long to train: one of them; ``budget`` is a `Span` or its text (``"50ep"``,
            ``"30000it"``, ``"3000000sa"``, ``"90s"``). None of them means one epoch. A budget of samples ends at the
            last whole batch that it pays for; one of time has an open end: nobody knows its iterations beforehand.
        last: what becomes of an epoch's last batch where B does not divide N: ``"keep"`` trains on the smaller
            batch, ``"drop"`` leaves those samples out of that epoch.

    Raises `PlanError` for numbers that cannot be a plan. Source: the article's table of BGD, SGD and MBGD.
    """

    samples: int
    budget: Span
    last: Last
    _phases: Phases

    def __init__(
        self,
        samples: SupportsIndex | str,
        batch_size: BatchSizes,
        *,
        epochs: SupportsIndex | str | None = None,
        iterations: SupportsIndex | str | None = None,
        budget: Span | str | None = None,
        last: str = "keep",
    ) -> None:
        samples = parse_count("samples", samples)
        sizes = read_batch_sizes(batch_size)
        if last not in ("keep", "drop"):
            raise PlanError(f"last must be 'keep' or 'drop', got '{last}'")

        object.__setattr__(self, "samples", samples)
        object.__setattr__(self, "last", last)
        object.__setattr__(self, "budget", _one_budget(epochs, iterations, budget))
        object.__setattr__(self, "_phases", Phases.of(sizes, samples, self.last))
        if self.budget.amount == 0 or (not self.is_open and self.iterations == 0):
            raise PlanError(
                f"a budget of {self.budget} ends before the first batch of {self.first_batch_size:,} samples"
            )

    def __repr__(self) -> str:
        name = {Unit.EPOCHS: "epochs", Unit.ITERATIONS: "iterations"}.get(self.budget.unit)
        budget = f"budget='{self.budget}'" if name is None else f"{name}={self.budget.amount}"
        last = "" if self.last == "keep" else f", last='{self.last}'"
        return f"Plan(samples={self.samples}, batch_size={self.batch_sizes!r}, {budget}{last})"

    def _repr_html_(self) -> str:
        return str(drawn_by("shown:plan", self))

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Each batch size and where it begins: one for all of the training, or a schedule of several."""
        return self._phases.all

    @property
    def is_schedule(self) -> bool:
        """Whether the batch size changes on the way."""
        return len(self.phases) > 1

    @property
    def batch_sizes(self) -> int | str:
        """B, or the text of a schedule, such as ``100,200@10ep``."""
        return ",".join(map(str, self.phases)) if self.is_schedule else self.batch_size

    @property
    def first_batch_size(self) -> int:
        """B at the beginning, by which a learning rate is chosen that is not given."""
        return self.phases[0].batch_size

    @property
    def batch_size(self) -> int:
        """B. Raises `PlanError` where it changes on the way: `batches_at` tells it for a position."""
        return self._only.size

    @property
    def method(self) -> Method:
        """``"bgd"`` where every batch is the whole set, ``"sgd"`` where it is one sample, else ``"mbgd"``."""
        sizes = {phase.batch_size for phase in self.phases}
        if sizes == {self.samples}:
            return "bgd"
        return "sgd" if sizes == {1} else "mbgd"

    @property
    def batches_per_epoch(self) -> int:
        """⌈N/B⌉ with ``last="keep"``, ⌊N/B⌋ with ``last="drop"``. Raises `PlanError` where B changes on the way."""
        return self._only.per_epoch

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
        return self.samples if self.last == "keep" else self._only.used

    @property
    def dropped_per_epoch(self) -> int:
        """Samples that each epoch leaves out: 0 with ``last="keep"``."""
        return self.samples - self.samples_per_epoch

    @property
    def last_batch_size(self) -> int:
        """Samples in an epoch's last batch."""
        return self._only.last_size

    @property
    def _only(self) -> Batches:
        """The batches of a plan of one batch size. Raises `PlanError` for any other."""
        if self.is_schedule:
            raise PlanError(f"a plan of batch sizes {self.batch_sizes} has no single one; ask for that of a position")
        return self._phases.batches(self.phases[0])

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
        return self.end.epoch

    @property
    def extra_iterations(self) -> int:
        """Iterations of the budget beyond its full epochs."""
        return self.iterations - self.iterations_after(epochs=self.full_epochs)

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
            return self._phases.reaching(Mark(epoch=parse_count("epochs", epochs, at_least=0)), Position())
        place = self._phases.place(parse_count("samples", samples or 0, at_least=0))
        return self._phases.reaching(place, Position(), whole=True)

    def samples_after(self, *, iterations: SupportsIndex) -> int:
        """Return how many samples the first ``iterations`` iterations use."""
        position = self.position(iteration=iterations)
        return self._phases.used_before(position.epoch) + position.offset

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
        return self._phases.advance(position, span.amount)

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
        match length.unit:
            case Unit.MILLISECONDS:
                raise PlanError(f"a budget of {length} has no number of iterations that is known beforehand")
            case Unit.ITERATIONS:
                stop = length.amount
            case Unit.EPOCHS:
                stop = self._phases.reaching(Mark(epoch=length.amount), position)
            case Unit.SAMPLES:
                stop = self._phases.paid_by(length.amount, position)
        return max(0, stop - position.iteration)

    def iterations_left_in_epoch(self, position: Position) -> int:
        """Return how many iterations end the epoch that ``position`` is in."""
        return self._phases.reaching(Mark(epoch=position.epoch + 1), position) - position.iteration

    def batches_at(self, position: Position) -> Batches:
        """Return the batches that epochs are cut into from ``position`` on, until the batch size changes."""
        return self._phases.stretch(position)[0]

    def next_batch_size(self, position: Position) -> int:
        """Return how many samples the iteration after ``position`` uses."""
        size = self.batches_at(position).size
        return size if self.last == "drop" else min(size, self.samples - position.offset)

    def next_phase(self, position: Position) -> Position | None:
        """Return where the batch size changes next; ``None`` where it does not any more."""
        return self._phases.stretch(position)[1]

    def iterations_alike(self, position: Position) -> int:
        """Return how many iterations after ``position`` have batches of one size, within its epoch."""
        batches, following = self._phases.stretch(position)
        count = max(1, (self.samples - position.offset) // batches.size)
        return count if following is None else min(count, following.iteration - position.iteration)

    def sizes_from(self, position: Position) -> tuple[int, ...]:
        """Return the batch sizes from ``position`` to the budget's end, without the smaller ones of epochs' ends."""
        end = None if self.is_open else position.iteration + self.remaining(position).amount
        sizes = [self.batches_at(position).size]
        while (following := self.next_phase(position)) is not None and (end is None or following.iteration < end):
            sizes.append(self.batches_at(following).size)
            position = following
        return tuple(dict.fromkeys(sizes))

    def facts(self) -> dict[str, Any]:
        """Return everything that can be counted before training, by its name; of a schedule also of each phase."""
        names = (
            "samples", "batch_size", "last", "method", "batches_per_epoch", "iterations_per_epoch",
            "updates_per_epoch", "samples_per_epoch", "dropped_per_epoch", "last_batch_size", "iterations", "updates",
            "full_epochs", "extra_iterations", "samples_used",
        )  # fmt: skip
        known = names[: names.index("iterations")] if self.is_open else names
        if not self.is_schedule:
            return {**{name: getattr(self, name) for name in known}, "budget": str(self.budget)}

        of_all = ("samples", "last", "method", *known[names.index("iterations") :])
        facts = {name: getattr(self, name) for name in of_all}
        phases = [self._facts_of(phase) for phase in self.phases]
        return {**facts, "batch_size": self.batch_sizes, "phases": phases, "budget": str(self.budget)}

    def _facts_of(self, phase: Phase) -> dict[str, Any]:
        batches, begin = self._phases.batches(phase), phase.begin
        return {
            "batch_size": phase.batch_size,
            "start": str(phase.start),
            "begin": dataclasses.asdict(begin),
            "batches_per_epoch": batches.per_epoch,
            "last_batch_size": batches.last_size,
            "iterations": self.iterations_of(phase),
        }

    def iterations_of(self, phase: Phase) -> int | None:
        """Return how many iterations of the budget a phase has; ``None`` for the last one of an open end."""
        following = self.next_phase(phase.begin)
        stops = [] if following is None else [following.iteration]
        if not self.is_open:
            stops.append(self.iterations)
        return max(0, min(stops) - phase.begin.iteration) if stops else None


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
