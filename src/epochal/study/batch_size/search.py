"""The search: which batch sizes are tried, at which rates and for how long; pure, over a function that trains.

Sizes are tried from the middle outward. The rates of each are climbed by factors of 2 from its neighbour's best; a
trial is cut off at 1.3 times the fewest updates so far, and a parabola in the logarithm of the rate through the best
three says where to try once more. The other seeds repeat the best rate; where they need far more updates than the first
one, that had luck at the brink of divergence, and all of them try half of the rate. Unless the sizes were given, larger
ones are left out where twice in a row four times the batch saved less than 15 % of the updates, and smaller ones where
a quarter saved less than 15 % of the samples.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from epochal.study.batch_size.trials import LeftOut, SizeRow
from epochal.study.target import Target, Trial

_STEP = 2.0
_RACE = 1.3
_MOST_CLIMBS = 8
_SAVES = 0.85  # of the updates, or samples, that the neighbour needs: a size that needs more saves nothing
_TWICE = 2
_WORTH = 0.15  # of a factor of 2: nearer, another rate could not be told from this one
_PATIENCE = 4
_LUCK = 1.5  # times the first seed's updates: if the others need more, the best rate was best for it alone
_MOST_HALVINGS = 2
_ROOM = 1.5  # times the updates that are expected from the neighbour


@dataclass(frozen=True, slots=True)
class Wish:
    """A trial that is wanted; ``is_race`` says that another rate has reached the target already."""

    batch_size: int
    lr: float
    seed: int
    limit: int
    is_race: bool = False


TryAll: TypeAlias = Callable[[Sequence[Wish]], list[Trial]]
"""What trains: returns a trial for each wish, in their order, however many are trained at once."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is searched.

    Attributes:
        sizes: batch sizes that may be tried, rising.
        start: the one of them to begin with.
        rate: to begin with, at that size; the only one where ``is_rate_given``.
        limit: the most updates of a first trial there.
        seeds: the first one's trials find the rate, and the others repeat the best.
        rates: the rate of each size, where none is searched and they differ.
        power: of the batch size by which rates are guessed for smaller ones: 1 for plain descent, ½ for Adam.
        stops: whether sizes may be left out.
    """

    target: Target
    sizes: tuple[int, ...]
    start: int
    rate: float
    limit: int
    seeds: tuple[int, ...] = (0,)
    power: float = 1.0
    rates: Mapping[int, float] | None = None
    is_rate_given: bool = False
    stops: bool = True


@dataclass(slots=True)
class Search:
    """The search as it goes on.

    Attributes:
        may_try: asked before each size, with the row of its neighbour; a size that it refuses is left out, and with it
            those beyond.
        rows: what was found, by size.
        left_out: what was not tried.
    """

    question: Question
    try_all: TryAll
    may_try: Callable[[int, SizeRow | None], bool] = lambda size, neighbour: True
    rows: dict[int, SizeRow] = field(default_factory=dict)
    left_out: dict[int, str] = field(default_factory=dict)

    def run(self) -> Iterator[SizeRow]:
        """Search, and yield the row of each size as soon as it is known."""
        for size, neighbour in self._from_the_middle():
            if not self.may_try(size, neighbour):
                self._leave_out(size, "budget")
                continue
            row = self._row(size, neighbour)
            self.rows[size] = row
            yield row

    @property
    def left(self) -> tuple[LeftOut, ...]:
        """What was not tried, by size."""
        return tuple(LeftOut(size, self.left_out[size]) for size in sorted(self.left_out))

    def drop_rest(self) -> None:
        """Leave out every size that is not known yet, as the time is over."""
        for size in self.question.sizes:
            if size not in self.rows:
                self.left_out.setdefault(size, "budget")

    def _from_the_middle(self) -> Iterator[tuple[int, SizeRow | None]]:
        """Yield the sizes that are to be tried, and the row of the neighbour from which each is reached."""
        sizes, start = self.question.sizes, self.question.start
        yield start, None

        larger = [size for size in sizes if size > start]
        smaller = [size for size in reversed(sizes) if size < start]
        while larger or smaller:
            for side, why in ((larger, "flat"), (smaller, "scaling")):
                if not side:
                    continue
                size = side.pop(0)
                if size in self.left_out:
                    continue
                if self.question.stops and self._has_ended(why):
                    self._leave_out(size, why)
                    continue
                yield size, self._neighbour(size)

    def _neighbour(self, size: int) -> SizeRow | None:
        """Return the nearest row between a size and the middle."""
        start = self.question.start
        nearer = [one for one in self.rows if (start <= one < size) or (size < one <= start)]
        found = min(nearer, key=lambda one: abs(one - size), default=None)
        return None if found is None else self.rows[found]

    def _leave_out(self, size: int, why: str) -> None:
        """Leave out a size and all on its side that lie beyond."""
        start = self.question.start
        for one in self.question.sizes:
            if one not in self.rows and ((size > start and one >= size) or (size < start and one <= size)):
                self.left_out.setdefault(one, why)
        self.left_out.setdefault(size, why)

    def _has_ended(self, why: str) -> bool:
        """Return whether the last sizes on a side saved nothing, twice in a row."""
        start = self.question.start
        if why == "flat":
            needed = [self.rows[one].steps for one in sorted(self.rows) if one >= start]
        else:
            needed = [self.rows[one].samples for one in sorted(self.rows, reverse=True) if one <= start]

        last = needed[-_TWICE - 1 :]
        pairs = list(itertools.pairwise(last))
        return len(pairs) == _TWICE and all(before and after and after > _SAVES * before for before, after in pairs)

    # --- one size -------------------------------------------------------------------------------------------------

    def _row(self, size: int, neighbour: SizeRow | None) -> SizeRow:
        """Find the best rate of a size, and repeat it with the other seeds."""
        question = self.question
        first = self._first(size, neighbour)
        rates = _Rates(self.try_all, question.target, first)

        best = rates.at(first.lr) if question.is_rate_given else rates.climb()
        if best.steps is None and neighbour is not None and neighbour.steps is not None:
            # more updates than the neighbour let expect: once more, from the rate that came nearest
            patient = dataclasses.replace(first, lr=best.lr, limit=_PATIENCE * first.limit)
            rates = _Rates(self.try_all, question.target, patient)
            best = rates.at(patient.lr) if question.is_rate_given else rates.climb()
        if best.steps is None:
            return SizeRow(size, None, False, (best,))

        # where another seed needs more than this, it is beyond what the study can say
        limit = max(4 * math.ceil(best.steps), first.limit)
        repeats = self.try_all([Wish(size, best.lr, seed, limit) for seed in question.seeds[1:]])
        if question.is_rate_given:
            return SizeRow(size, best.lr, False, (best, *repeats))
        trials = self._without_luck((best, *repeats), limit)
        return SizeRow(size, trials[0].lr, rates.is_edge(trials[0].lr), trials)

    def _without_luck(self, trials: tuple[Trial, ...], limit: int) -> tuple[Trial, ...]:
        """Return all seeds' trials at this rate, or at a half or quarter of it, if the first seed alone did well."""
        for _ in range(_MOST_HALVINGS):
            first, others = trials[0].steps, trials[1:]
            if not first or not others or _needed(others) <= _LUCK * first:
                break

            half = float(f"{trials[0].lr / _STEP:.6g}")
            slower = self.try_all([Wish(one.batch_size, half, one.seed, limit) for one in trials])
            if _needed(slower) >= _needed(trials):
                break
            trials = tuple(slower)
        return trials

    def _first(self, size: int, neighbour: SizeRow | None) -> Wish:
        """Return the first trial of a size: its rate and its limit follow from the neighbour's."""
        question = self.question
        if neighbour is None or neighbour.steps is None or neighbour.lr is None:
            limit = math.ceil(question.limit * max(1.0, question.start / size))
            return Wish(size, (question.rates or {}).get(size, question.rate), question.seeds[0], limit)

        # a larger batch needs no more updates, and a smaller one no more samples
        ratio = max(1.0, neighbour.batch_size / size)
        lr = (question.rates or {}).get(size, neighbour.lr)
        if not question.is_rate_given:
            lr *= 0.5 ** round(question.power * math.log2(ratio))
        return Wish(size, lr, question.seeds[0], math.ceil(_ROOM * ratio * neighbour.steps) + 1)


def _needed(trials: Sequence[Trial]) -> float:
    """Return the mean updates of all seeds; infinite where one did not reach the target."""
    return statistics.geometric_mean([math.inf if one.steps is None else one.steps for one in trials])


class _Rates:
    """The rates of one size, and the trial of each; those tried by a climb are powers of 2 apart."""

    def __init__(self, try_all: TryAll, target: Target, first: Wish) -> None:
        self._try_all, self._target, self._first = try_all, target, first
        self._tried: dict[float, Trial] = {}

    def climb(self) -> Trial:
        """Climb to the best rate, then look where a parabola has its lowest point."""
        lr = self._first.lr
        best = self.at(lr)
        if best.steps == 0:  # the target is met before any update, whatever the rate
            return best
        # a training that does not even stay finite needs a smaller rate, not a larger one
        for factor in (1 / _STEP,) if best.why == "diverged" else (_STEP, 1 / _STEP):
            climbed = False
            for _ in range(_MOST_CLIMBS):
                trial = self.at(best.lr * factor)
                if not self._is_better(trial, best) and not trial.why == best.why == "diverged":
                    break
                best, climbed = trial, True
            if climbed:
                break

        vertex = self._vertex(best)
        if vertex is not None:
            between = self.at(vertex)
            best = between if self._is_better(between, best) else best
        return best

    def at(self, lr: float) -> Trial:
        """Try a rate, once."""
        lr = float(f"{lr:.6g}")
        if lr not in self._tried:
            first = self._first
            fewest = min((one.steps for one in self._tried.values() if one.steps is not None), default=None)
            limit = first.limit if fewest is None else math.ceil(_RACE * fewest) + 1
            [self._tried[lr]] = self._try_all([Wish(first.batch_size, lr, first.seed, limit, fewest is not None)])
        return self._tried[lr]

    def is_edge(self, lr: float) -> bool:
        """Return whether no rate was tried below, or none above."""
        return not min(self._tried) < lr < max(self._tried)

    def _is_better(self, one: Trial, other: Trial) -> bool:
        return self._rank(one) < self._rank(other)

    def _rank(self, trial: Trial) -> tuple[int, float]:
        """Return what is smaller for the better trial: one that reached the target, or else came nearer."""
        if trial.steps is not None:
            return (0, trial.steps)
        if trial.why == "diverged" or math.isnan(trial.nearest):
            return (2, 0.0)
        return (1, self._target.distance(trial.nearest))

    def _vertex(self, best: Trial) -> float | None:
        """Return where a parabola through the best and its two neighbours is lowest; ``None`` where it says nothing."""
        rates = sorted(self._tried)
        place = rates.index(best.lr)
        if not 0 < place < len(rates) - 1:
            return None
        low, high = self._tried[rates[place - 1]], self._tried[rates[place + 1]]
        if best.steps is None or low.steps is None or high.steps is None:
            return None

        # the three lie at -1, 0 and 1, and 0 is the lowest
        below, here, above = (math.log(steps) for steps in (low.steps, best.steps, high.steps))
        shift = (below - above) / (2 * (below - 2 * here + above))
        return float(f"{best.lr * _STEP**shift:.3g}") if abs(shift) > _WORTH else None
