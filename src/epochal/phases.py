"""The arithmetic of batches whose size may change on the way, in closed form for any number of samples.

A batch that grows calms the noise of the updates as a learning rate that falls does (Smith et al. 2018), with fewer
updates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from epochal.counts import shortened
from epochal.errors import PlanError
from epochal.size_schedule import BEGINNING, SizeFrom
from epochal.spans import Position, Span, Unit

Last: TypeAlias = Literal["keep", "drop"]


@dataclass(frozen=True, slots=True)
class Mark:
    """A point that training comes to: after so many iterations, or so many samples into an epoch.

    Attributes:
        iteration: ``None`` where the mark stands in an epoch.
        epoch, offset: epochs that are complete by then, and the samples that the next one has used.
    """

    iteration: int | None = None
    epoch: int = 0
    offset: int = 0

    def is_reached(self, position: Position) -> bool:
        """Return whether a position is at the mark or after it."""
        if self.iteration is not None:
            return position.iteration >= self.iteration
        return (position.epoch, position.offset) >= (self.epoch, self.offset)


@dataclass(frozen=True, slots=True)
class Batches:
    """The batches of epochs of N samples, all of one size but an epoch's last one."""

    samples: int
    size: int
    last: Last

    @property
    def per_epoch(self) -> int:
        """⌈N/B⌉ with ``last="keep"``, ⌊N/B⌋ with ``last="drop"``."""
        return self.after(0)

    @property
    def used(self) -> int:
        """Samples that a whole epoch uses."""
        return self.end(0)

    @property
    def last_size(self) -> int:
        """Samples in an epoch's last batch."""
        return self.used - (self.per_epoch - 1) * self.size

    def after(self, offset: int) -> int:
        """Count the batches of the samples from ``offset`` to the epoch's end."""
        rest = self.samples - offset
        if rest <= 0:
            raise PlanError(f"offset {offset} is outside an epoch of {self.samples} samples; is it another plan's?")
        return rest // self.size if self.last == "drop" else -(-rest // self.size)

    def end(self, offset: int) -> int:
        """Return how many samples of the epoch its last batch ends at, from an ``offset`` on."""
        return self.samples if self.last == "keep" else offset + self.after(offset) * self.size

    def advance(self, position: Position, iterations: int) -> Position:
        """Return the position so many iterations later; it need not begin at one of these batches."""
        rest = self.after(position.offset)
        iteration = position.iteration + iterations
        if iterations < rest:
            return Position(iteration, position.epoch, position.offset + iterations * self.size)
        epochs, batches = divmod(iterations - rest, self.per_epoch)
        return Position(iteration, position.epoch + 1 + epochs, batches * self.size)

    def until(self, mark: Mark, position: Position, *, whole: bool = False) -> int:
        """Return the iterations from a position to the first one at or after a mark; not above 0 where that is past.

        With ``whole`` those that end at or before the mark: a budget of samples pays for whole batches only.
        """
        if mark.iteration is not None:
            return mark.iteration - position.iteration
        epochs = mark.epoch - position.epoch
        if epochs < 0:
            return -1

        rest = self.after(position.offset)
        if epochs == 0:
            return self._within(mark.offset, position.offset, whole=whole)
        return rest + (epochs - 1) * self.per_epoch + self._within(mark.offset, 0, whole=whole)

    def _within(self, stop: int, offset: int, *, whole: bool) -> int:
        """Count the batches of one epoch from ``offset`` to ``stop``."""
        if stop >= self.end(offset):
            return self.after(offset)
        return (stop - offset) // self.size if whole else -((offset - stop) // self.size)

    def used_between(self, start: Position, stop: Position) -> int:
        """Return how many samples are used from one position to a later one."""
        epochs = stop.epoch - start.epoch
        if epochs == 0:
            return stop.offset - start.offset
        return self.end(start.offset) - start.offset + (epochs - 1) * self.used + stop.offset

    def place(self, start: Position, samples: int) -> Mark:
        """Return where so many samples are used from a position on."""
        first = self.end(start.offset) - start.offset
        if samples < first:
            return Mark(epoch=start.epoch, offset=start.offset + samples)
        epochs, offset = divmod(samples - first, self.used)
        return Mark(epoch=start.epoch + 1 + epochs, offset=offset)


@dataclass(frozen=True, slots=True)
class Phase:
    """Iterations that a plan gives one batch size.

    Attributes:
        batch_size: B, 1 to N.
        start: the length of training after which it begins.
        mark: the same as a point; it begins at the first boundary of two iterations at or after it.
        begin: the position of that boundary in a run that follows the plan from its beginning.
        used: samples used until there.
    """

    batch_size: int
    start: Span = BEGINNING
    mark: Mark = field(default_factory=Mark, compare=False)
    begin: Position = field(default_factory=Position, compare=False)
    used: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return str(SizeFrom(self.batch_size, self.start))


@dataclass(frozen=True, slots=True)
class Phases:
    """Epochs of N samples in batches of one size after another; a count takes as many steps as phases are ahead.

    Positions need not lie on these batches, as where a run took to them on its way: a phase holds from where its
    length, counted from the run's beginning, is reached.
    """

    samples: int
    last: Last
    all: tuple[Phase, ...]

    @classmethod
    def of(cls, sizes: Sequence[SizeFrom], samples: int, last: Last) -> Phases:
        """Lay out batch sizes in epochs of N samples. Raises `PlanError` for those that cannot follow each other."""
        phases: list[Phase] = []
        for one in sizes:
            size = samples if one.size == "all" else one.size
            if size > samples:
                raise PlanError(
                    f"batch size {shortened(size)} is above the {shortened(samples)} training samples; "
                    f"use at most {shortened(samples)}, or 'all'"
                )
            phases.append(_following(phases[-1], one, size, samples, last) if phases else Phase(size))
        return cls(samples, last, tuple(phases))

    def batches(self, phase: Phase) -> Batches:
        """Return the batches of a phase."""
        return Batches(self.samples, phase.batch_size, self.last)

    def stretch(self, position: Position) -> tuple[Batches, Position | None]:
        """Return the batches at a position, and where those of another size begin, if any do."""
        number = max((number for number, one in enumerate(self.all) if one.mark.is_reached(position)), default=0)
        batches, later = self.batches(self.all[number]), self.all[number + 1 :]
        if not later:
            return batches, None

        # which one is next is known beforehand only where the run followed this plan from its beginning
        begin = batches.advance(position, min(batches.until(one.mark, position) for one in later))
        following = next(one for one in reversed(later) if one.mark.is_reached(begin))
        return batches, _entered(begin, self.batches(following))

    def advance(self, position: Position, iterations: int) -> Position:
        """Return the position so many iterations later."""
        stop = position.iteration + iterations
        while True:
            batches, following = self.stretch(position)
            if following is None or stop < following.iteration:
                return batches.advance(position, stop - position.iteration)
            position = following

    def reaching(self, mark: Mark, position: Position, *, whole: bool = False) -> int:
        """Return the first iteration from a position on at or after a mark.

        With ``whole`` the last one before or at it: a budget of samples pays for whole batches only.
        """
        while True:
            batches, following = self.stretch(position)
            stop = position.iteration + max(0, batches.until(mark, position, whole=whole))
            if following is None or stop < following.iteration:
                return stop
            position = following

    def paid_by(self, samples: int, position: Position) -> int:
        """Return up to which iteration so many samples of the whole run pay for whole batches, from a position on."""
        here = Mark(epoch=position.epoch, offset=max(0, samples - self.used_before(position.epoch)))
        stop = self.reaching(here, position, whole=True)
        end = self.reaching(Mark(epoch=position.epoch + 1), position)
        if stop < end:
            return stop

        # from the next epoch on as if this one had been of these batches: what it left out may differ
        after = self.advance(position, end - position.iteration)
        return self.reaching(self.place(samples), after, whole=True)

    def place(self, samples: int) -> Mark:
        """Return where a run that follows these phases from its beginning has used so many samples."""
        phase = [phase for phase in self.all if phase.used <= samples][-1]
        return self.batches(phase).place(phase.begin, samples - phase.used)

    def used_before(self, epoch: int) -> int:
        """Return how many samples such a run uses in so many epochs."""
        phase = [one for one in self.all if (one.begin.epoch, one.begin.offset) <= (epoch, 0)][-1]
        return phase.used + self.batches(phase).used_between(phase.begin, Position(epoch=epoch))


def _following(before: Phase, one: SizeFrom, size: int, samples: int, last: Last) -> Phase:
    """Return the phase that follows another."""
    if size == before.batch_size:
        raise PlanError(f"batch size {one} is what it was before; leave it out")
    batches, start = Batches(samples, before.batch_size, last), one.start
    match start.unit:
        case Unit.ITERATIONS:
            mark = Mark(iteration=start.amount)
        case Unit.SAMPLES:
            mark = batches.place(before.begin, max(0, start.amount - before.used))
        case _:
            mark = Mark(epoch=start.amount)

    if mark.is_reached(before.begin):
        raise PlanError(
            f"batch size {before} would have no batch: it begins at iteration {before.begin.iteration:,}, and {one} is "
            "reached by then; write them as they follow each other"
        )
    begin = batches.advance(before.begin, batches.until(mark, before.begin))
    used = before.used + batches.used_between(before.begin, begin)

    return Phase(size, start, mark, _entered(begin, Batches(samples, size, last)), used)


def _entered(position: Position, batches: Batches) -> Position:
    """Return where batches begin: an epoch is over whose rest holds none of them and is dropped."""
    if position.offset and not batches.after(position.offset):
        return Position(position.iteration, position.epoch + 1, 0)
    return position
