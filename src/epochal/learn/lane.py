"""A lane: one training that goes to any iteration, forth and back, by the very loop that every training has."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32

from epochal.audit import Audit, ExpectedAudit
from epochal.clock import Plan, Position
from epochal.engine import State, named_leaves
from epochal.errors import OptionError
from epochal.learn.kept_points import KeptPoints
from epochal.record.checkpoint_file import weights_sha256
from epochal.record.rows import EpochRow
from epochal.record.run_toml import RunFile
from epochal.run.callbacks import Callback, Callbacks, ChunkEnd, EpochEnd
from epochal.run.fit import fit
from epochal.run.point import Point
from epochal.run.setup import Setup

_STEPS_KEPT = 8  # single steps before the place that a lane goes back to, so that further steps back are at hand
_SECONDS_APART = 0.02


@dataclass(slots=True)
class Lane:
    """One training of a world, standing between two iterations.

    What it did is a function of the iteration alone: losses and epochs are kept by their number, and going back changes
    none of them.

    Attributes:
        setup: what is trained, and how; its plan ends at the last iteration that the lane goes to.
        file: what `run.toml` would hold, which the loop tells its callbacks.
        evaluate_every: epochs between evaluations of the test set.
        expected: the audit that each epoch must have.
        point: where it stands.
        left: set where nobody asks for it any more; it stops wherever it is then.
    """

    setup: Setup
    file: RunFile
    evaluate_every: int = 1
    expected: ExpectedAudit = field(init=False, repr=False)
    point: Point = field(init=False, repr=False)
    kept: KeptPoints = field(default_factory=KeptPoints, repr=False)
    left: threading.Event = field(default_factory=threading.Event, repr=False)
    _losses: Float32[np.ndarray, " iterations"] = field(init=False, repr=False)
    _epochs: dict[int, EpochRow] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self.expected = ExpectedAudit(self.setup.engine.order)
        self.point = Point(self.setup.engine.initial_state())
        self.kept.keep(self.point)
        self._losses = np.zeros(64, np.float32)

    @property
    def plan(self) -> Plan:
        """The arithmetic of its batches."""
        return self.setup.plan

    @property
    def position(self) -> Position:
        """Where it stands."""
        return self.point.position

    @property
    def limit(self) -> int:
        """The greatest iteration that it goes to."""
        return self.plan.iterations

    @property
    def losses(self) -> Float32[np.ndarray, " iterations"]:
        """The recorded loss of each iteration up to here."""
        return self._losses[: self.position.iteration]

    @property
    def epochs(self) -> list[EpochRow]:
        """The rows of the epochs that are complete here."""
        return [self._epochs[number] for number in range(1, self.position.epoch + 1)]

    @property
    def weights_sha256(self) -> str:
        """The SHA-256 of the weights, as a run has it."""
        return weights_sha256(named_leaves(self.point.state))

    @property
    def state_before(self) -> State | None:
        """The state before the latest iteration, on the host; ``None`` at the beginning."""
        before = self.position.iteration - 1
        state: State | None = self.kept.state(before) if before in self.kept else None
        return state

    def audit_due(self) -> Audit:
        """Return the audit that the present epoch must have by now, from its order alone."""
        return self.expected.after(self.position.epoch, self.position.offset)

    def go(self, to: int) -> None:
        """Move to just after iteration ``to``, forth or back, with the bits of a training that never went back.

        Raises `OptionError` for a place outside 0 to `limit`.
        """
        if not 0 <= to <= self.limit:
            raise OptionError(f"iteration must be 0 to {self.limit}, got {to}")
        here = self.position.iteration
        if to == here:
            return
        if to == 0 or (to in self.kept and to - 1 in self.kept):
            self.point = self.kept.restore(to)
            return

        # from where it stands, or from the nearest point before that is kept
        start = self.kept.nearest(to - 1)
        if to < here or start > here:
            self.point = self.kept.restore(start)
        self._train(to, _STEPS_KEPT if to < here else 1)

    def _train(self, to: int, steps: int) -> None:
        """Train on to an iteration; the last ``steps`` iterations are single ones, whose points are all kept."""
        follower = _Follower(self, max(0, to - steps))
        engine, members = self.setup.engine, Callbacks.of(follower, told=())
        try:
            self.point = fit(
                engine,
                self.plan,
                self.point,
                members,
                file=self.file,
                evaluate_every=self.evaluate_every,
                until=to,
            )
        except BaseException:
            # its state is used up
            self.point = self.kept.restore(self.kept.nearest(follower.reached))
            raise
        self.kept.keep(self.point)

    def record(self, chunk: ChunkEnd) -> None:
        """Remember the losses of a chunk."""
        done = chunk.position.iteration
        if done > len(self._losses):
            self._losses = np.resize(self._losses, max(done, 2 * len(self._losses)))
        self._losses[chunk.first : done] = chunk.losses

    def record_epoch(self, row: EpochRow) -> None:
        """Remember the row of a complete epoch."""
        if row.complete:
            self._epochs[row.epoch] = row


class _Follower(Callback):
    """Records what a lane's loop did, and keeps points on the way, more of them towards its end."""

    def __init__(self, lane: Lane, single_from: int) -> None:
        self._lane, self._single_from = lane, single_from
        self._length = 4
        self.reached = lane.position.iteration
        self._kept_at = lane.point.seconds

    @property
    def should_stop(self) -> bool:  # type: ignore[override]
        """Stop where the lane is left."""
        return self._lane.left.is_set()

    def next_stop(self, position: Position) -> int:
        """Return the iteration to stop at: some iterations on, or single ones before the end."""
        here = position.iteration
        if here >= self._single_from:
            return here + 1
        return min(here + self._length, self._single_from)

    def on_chunk(self, chunk: ChunkEnd) -> None:
        """Record its losses, and choose the next length by how long it took."""
        self._lane.record(chunk)
        self.reached = chunk.position.iteration
        if chunk.seconds < _SECONDS_APART / 2:
            self._length = min(2 * self._length, 4096)
        elif chunk.seconds > 2 * _SECONDS_APART:
            self._length = max(1, self._length // 2)

    def on_epoch(self, epoch: EpochEnd) -> None:
        """Record the epoch's row."""
        self._lane.record_epoch(epoch.row)

    def on_point(self, point: Point) -> None:
        """Keep the point: each one towards the end, and else after some time of training."""
        if point.position.iteration >= self._single_from or point.seconds - self._kept_at >= _SECONDS_APART:
            self._lane.kept.keep(point)
            self._kept_at = point.seconds
