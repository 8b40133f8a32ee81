"""The batches of an epoch as lists of sample indices, for loaders that take a batch sampler. Needs no PyTorch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, SupportsIndex

from epochal.clock import Plan, Position
from epochal.counts import parse_count
from epochal.errors import OptionError, PlanError
from epochal.order import Order

_BLOCK = 16_384  # indices computed at once: a call costs 150 µs before its first index


class BatchSampler:
    """Hands out the batches of each epoch in Epochal's order, each sample exactly once in every epoch.

    Each new iteration is an epoch: the one that `set_epoch`, `seek` or `load_state_dict` asked for, from where they
    said, and otherwise the next, also where the last one was broken off.

    >>> batches = BatchSampler(samples=10, batch_size=4, seed=7)
    >>> list(batches), batches.position
    ([[5, 3, 9, 6], [0, 4, 7, 1], [2, 8]], Position(iteration=3, epoch=1, offset=0))
    >>> list(batches)
    [[7, 6, 2, 9], [1, 3, 5, 8], [4, 0]]

    Arguments:
        samples: N, the data set's size.
        batch_size: B, the samples of one update, over all ranks together.
        seed: of the order, as `epochal.Order` takes it.
        last: ``"keep"`` hands out an epoch's smaller last batch, ``"drop"`` leaves it out.
        rank: this process's number, where several share each batch.
        ranks: how many processes there are. The union of their slices is the batch: nobody pads, nobody doubles.
        slices: ``"strided"`` gives a rank every ``ranks``-th sample of a batch, ``"contiguous"`` a run of them.

    Raises `PlanError` for sizes that are no plan, or a batch too small for a sample on every rank; `OptionError` for
    another seed or slice.
    """

    def __init__(
        self,
        samples: SupportsIndex,
        batch_size: SupportsIndex | str,
        *,
        seed: SupportsIndex = 0,
        last: str = "keep",
        rank: SupportsIndex = 0,
        ranks: SupportsIndex = 1,
        slices: Literal["strided", "contiguous"] = "strided",
    ) -> None:
        self.plan = Plan(samples, batch_size, last=last)
        if self.plan.is_schedule:
            raise OptionError(
                f"a sampler has one batch size, not {self.plan.batch_sizes}: loaders take its length for every "
                "epoch's; make another one where the size changes, and hand it the state"
            )
        self.order = Order(self.plan.samples, seed.__index__())
        self.ranks = parse_count("ranks", ranks)
        self.rank = parse_count("rank", rank, at_least=0)
        self.slices = slices
        self._check_slices()

        self._iteration = self._epoch = self._offset = 0
        self._is_set = True  # whether the next iteration begins just here

    @property
    def batch_size(self) -> int:
        """B, over all ranks together."""
        return self.plan.batch_size

    @property
    def drop_last(self) -> bool:
        """Whether an epoch's smaller last batch is left out."""
        return self.plan.last == "drop"

    @property
    def sampler(self) -> BatchSampler:
        """Itself: Lightning tells the epoch to ``batch_sampler.sampler``."""
        return self

    @property
    def position(self) -> Position:
        """The place after the last batch that was handed out; a loader with workers asks for some in advance."""
        return Position(self._iteration, self._epoch, self._offset)

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return self.plan.batches_per_epoch

    def __iter__(self) -> Iterator[list[int]]:
        if not self._is_set and self._offset:
            self.set_epoch(self._epoch + 1)
        left = self.plan.iterations_left_in_epoch(self.position)
        if not left:  # a rest that holds no batch, where such rests are dropped
            self.set_epoch(self._epoch + 1)
            left = len(self)
        self._is_set = False

        iteration, epoch, offset = self._iteration, self._epoch, self._offset
        samples, size = self.plan.samples, self.plan.batch_size
        block: list[int] = []
        first = offset  # the position in the epoch of the block's first index
        for left_after in reversed(range(left)):
            stop = min(offset + size, samples)
            if stop > first + len(block):
                until = min(samples, offset + max(1, _BLOCK // size) * size)
                first, block = offset, self.order.indices(epoch, offset, until).tolist()
            begin, end = offset - first, stop - first

            # The position moves before the batch is handed out: some loops never ask for what comes after the last.
            iteration, offset = iteration + 1, stop
            self._iteration = iteration
            self._epoch, self._offset = (epoch, offset) if left_after else (epoch + 1, 0)
            yield self._slice(block, begin, end)

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch, the first being 0; what `load_state_dict` or `seek` set in it stays."""
        if epoch != self._epoch or not self._is_set:
            self._go_to(self.plan.position(epoch=epoch))

    def seek(self, iteration: int) -> None:
        """Go to where so many batches are done, in O(1): for loops that count their own iterations."""
        self._go_to(self.plan.position(iteration=iteration))

    def state_dict(self) -> dict[str, int]:
        """Return the position as plain numbers, with what the order depends on. It is the same on every rank."""
        order, place = self.order, self.position
        return {
            "samples": order.samples,
            "seed": order.seed,
            "iteration": place.iteration,
            "epoch": place.epoch,
            "offset": place.offset,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue at a position: also with another batch size or other ranks, as the order depends on neither.

        Raises `OptionError` where the state is one of another order.
        """
        for name, here in (("samples", self.order.samples), ("seed", self.order.seed)):
            if state.get(name) != here:
                raise OptionError(
                    f"the state is of {name} {state.get(name)}, and this sampler has {here}: its order is another one; "
                    f"give {name} {state.get(name)}"
                )
        place = Position(state["iteration"], state["epoch"], state["offset"])
        self.plan.iterations_left_in_epoch(place)  # refuses an offset outside the epoch
        self._go_to(place)

    def _go_to(self, place: Position) -> None:
        self._iteration, self._epoch, self._offset = place.iteration, place.epoch, place.offset
        self._is_set = True

    def _slice(self, block: list[int], begin: int, end: int) -> list[int]:
        """Return this rank's part of a batch."""
        if self.slices == "strided":
            return block[begin + self.rank : end : self.ranks]
        size = end - begin
        return block[begin + size * self.rank // self.ranks : begin + size * (self.rank + 1) // self.ranks]

    def _check_slices(self) -> None:
        if self.slices not in ("strided", "contiguous"):
            raise OptionError(f"slices must be 'strided' or 'contiguous', got {self.slices!r}")
        if self.rank >= self.ranks:
            raise OptionError(f"rank {self.rank} is none of the {self.ranks} ranks, 0 to {self.ranks - 1}")
        smallest = self.plan.last_batch_size
        if smallest < self.ranks:
            fix = "take a larger one" if self.plan.batch_size < self.ranks else "take last='drop', or another size"
            raise PlanError(
                f"a batch of {smallest} leaves nothing for some of {self.ranks} ranks, and a process without samples "
                f"would stop the others; {fix}"
            )
