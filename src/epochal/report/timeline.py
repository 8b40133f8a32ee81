"""A run's epochs and their batches as its plans and positions have them: what its strips show, and its page's script.

The page's script counts in the same way (`assets/strip.js`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from epochal.clock import Position
from epochal.record.run_record import RunRecord
from epochal.record.run_toml import Stretch


@dataclass(frozen=True, slots=True)
class Piece:
    """Batches of one epoch that follow each other and have one batch size.

    Attributes:
        iteration: iterations before its first batch.
        offset: samples of the epoch before its first batch.
        batch_size: of all its batches but the epoch's last one, which may be smaller.
        batches: how many.
    """

    iteration: int
    offset: int
    batch_size: int
    batches: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """What a run has done and is to do, through every change of its batch size.

    Attributes:
        samples: N.
        done: iterations in the history.
        epochs_begun: epochs of which a batch is done.
        iterations: done and planned; only those done where the plan has an open end.
    """

    samples: int
    done: int
    epochs_begun: int
    iterations: int
    stretches: tuple[Stretch, ...]

    @classmethod
    def of(cls, run: RunRecord) -> Timeline:
        """Lay out a run."""
        file, done = run.file, run.history.iterations
        planned = file.present_lengths.updates
        total = done if planned is None else max(done, planned)

        reached = run.recorded
        begun = reached.epoch + bool(reached.offset)
        return cls(file.data.train, done, begun, total, tuple(file.stretches(total)))

    @property
    def end(self) -> Position:
        """The position after all its iterations."""
        last = self.stretches[-1]
        return last.batches.advance(last.start, last.end - last.start.iteration)

    @property
    def epochs(self) -> int:
        """Epochs, a last one that is cut short included."""
        return self.end.epoch + bool(self.end.offset)

    def first_iteration(self, epoch: int) -> int:
        """Return the iterations before an epoch, the first being 0."""
        return next(self.pieces(epoch)).iteration

    def pieces(self, epoch: int) -> Iterator[Piece]:
        """Yield the batches of an epoch, the first being 0: one piece, or more where the batch size changed in it."""
        for stretch in self.stretches:
            start, cut = stretch.start, stretch.batches
            in_first = cut.after(start.offset)
            if epoch == start.epoch:
                first, offset, batches = start.iteration, start.offset, in_first
            else:
                batches, offset = cut.per_epoch, 0
                first = start.iteration + in_first + (epoch - start.epoch - 1) * batches

            batches = min(batches, stretch.end - first)
            if epoch >= start.epoch and batches > 0:
                yield Piece(first, offset, cut.size, batches)

    def batches(self, epoch: int) -> int:
        """Return the batches of an epoch: one iteration each."""
        return sum(piece.batches for piece in self.pieces(epoch))

    def positions(self, epoch: int, batch: int) -> tuple[int, int]:
        """Return where a batch's samples stand in its epoch's order, from and up to; the first batch is 0."""
        for piece in self.pieces(epoch):
            if batch < piece.batches:
                start = piece.offset + batch * piece.batch_size
                return start, min(start + piece.batch_size, self.samples)
            batch -= piece.batches
        raise IndexError(batch)
