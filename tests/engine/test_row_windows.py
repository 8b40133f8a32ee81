"""Windows: the bits, the audit and the order of samples in memory, for data that are read while training."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from workbench import batches_of, drive, engine_for, labelled, linear, noisy, number_of_sample, numbered, output_itself

from epochal.audit import Audit, ExpectedAudit
from epochal.clock import Plan, Position
from epochal.data import Dataset, Split, from_arrays
from epochal.data.row_source import ArraySource, RowBuffer, RowSource, StoredSplit
from epochal.engine import Engine, named_leaves
from epochal.engine.placement import in_one_piece
from epochal.engine.row_windows import WindowReader
from epochal.errors import DataError
from epochal.order import Order


def stored(data: Dataset, source: RowSource | None = None) -> Dataset:
    """The same data, whose training split is read when it is needed."""
    assert isinstance(data.train, Split)
    return dataclasses.replace(data, train=StoredSplit(source or ArraySource(data.train)))


def with_windows(engine: Engine, size: int) -> Engine:
    """The engine with windows of so many bytes, so that small data have many of them."""
    assert engine._reader is not None
    engine._reader.window_bytes = size
    return engine


def bits(state: Any) -> dict[str, bytes]:
    return {name: leaf.tobytes() for name, leaf in named_leaves(state).items()}


@dataclass(frozen=True, eq=False)
class Wrong(ArraySource):
    """A source that hands out other rows than those it was asked for, and says so in their ids, or does not."""

    change: Any = None

    def read(self, ids: Any, into: RowBuffer) -> None:
        ArraySource.read(self, ids, into)
        self.change(into)


# fixed cases: threads of windows draw from `random` beside a test, which hypothesis does not allow
CASES = [(1, 40, 64, "keep"), (7, 3, 300, "keep"), (10, 1, 4_000, "drop"), (33, 2, 1, "keep"), (64, 9, 900, "drop"),
         (100, 40, 2_000, "keep"), (103, 5, 50, "keep"), (2, 17, 150, "drop")]  # fmt: skip


@pytest.mark.parametrize(("batch_size", "longest", "window", "last"), CASES)
def test_training_has_the_bits_of_memory(batch_size: int, longest: int, window: int, last: str) -> None:
    data = labelled(n=103)
    plan = Plan(103, batch_size, epochs=3, last=last)
    in_memory, in_windows = engine_for(linear(), data), with_windows(engine_for(linear(), stored(data)), window)
    one, losses, audit = drive(in_memory, plan)
    other, other_losses, other_audit = drive(in_windows, plan, longest=longest)
    assert bits(one) == bits(other)
    assert losses.tolist() == other_losses.tolist()
    assert audit == other_audit


def test_each_batch_has_its_samples() -> None:
    plan = Plan(50, 8, epochs=2)
    engine = with_windows(engine_for(linear(1, 1), stored(numbered(50)), loss=number_of_sample), 300)
    _, losses, _ = drive(engine, plan)
    assert losses == pytest.approx([batch.mean() for batch in batches_of(plan, engine.order)])


def test_noise_and_weights_are_those_of_memory() -> None:
    weighed = dataclasses.replace(numbered(64).train, weight=np.linspace(0, 2, 64, dtype=np.float32))
    data = dataclasses.replace(numbered(64), train=weighed)
    results = [
        drive(engine_for(noisy(), one, loss=output_itself), Plan(64, 16, epochs=2))[1] for one in (data, stored(data))
    ]
    assert results[0].tolist() == results[1].tolist()
    assert (
        results[0].tolist()
        != drive(engine_for(noisy(), numbered(64), loss=output_itself), Plan(64, 16, epochs=2))[1].tolist()
    )


DEALT = """
import dataclasses, epochal
from epochal.data.row_source import ArraySource, StoredSplit
data = epochal.load_data("digits")
stored = dataclasses.replace(data, train=StoredSplit(ArraySource(data.train, "rows")))
for one in (data, stored):
    run = epochal.train(one, model="mlp", batch_size=256, shards=8, iterations=9, run=False, seed=3)
    print(run.file.device.count, run.weights_sha256, run.history.epochs[0].is_exact)
"""


def test_shards_are_dealt_to_the_devices() -> None:
    """1,437 samples in batches of 256: five in eight shards on four devices, and one in one piece."""
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    done = subprocess.run([sys.executable, "-c", DEALT], env=os.environ | flags, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    one, other = done.stdout.splitlines()
    assert one == other
    assert one.startswith("4 ")
    assert one.endswith(" True")


def test_evaluation_goes_through_pieces() -> None:
    data = labelled(n=103)
    engine = engine_for(linear(), data, slice_size=10)
    state = engine.initial_state()
    assert isinstance(data.train, Split)
    split = StoredSplit(ArraySource(data.train))
    assert engine.evaluate(state, split) == engine.evaluate(state, data.train)
    assert engine.predict(state, split).tolist() == engine.predict(state, data.train).tolist()


def test_a_change_of_the_batch_size_begins_anew_where_it_stands() -> None:
    plans = [Plan(103, 10, iterations=13), Plan(103, 7, iterations=40)]
    states = []
    for data in (labelled(), stored(labelled())):
        engine = engine_for(linear(), data)
        state, _, _ = drive(engine, plans[0])
        states.append(drive(engine, plans[1], state=state, position=plans[0].end)[0])
    assert bits(states[0]) == bits(states[1])


def test_rows_that_were_not_asked_for_fail_the_audit() -> None:
    """The ids that are hashed came with the rows: the control is a source that gives one row twice."""

    def twice(into: RowBuffer) -> None:
        into.ids[-1] = into.ids[0]

    data = labelled(n=100)
    assert isinstance(data.train, Split)
    engine = engine_for(linear(), stored(data, Wrong(data.train, change=twice)))
    _, _, audit = drive(engine, Plan(100, 10, epochs=1))
    assert audit.samples == 100
    assert audit != ExpectedAudit(engine.order).everything


def test_an_error_of_the_source_is_the_training_s() -> None:
    def fail(into: RowBuffer) -> None:
        raise DataError("row 7 is damaged")

    data = labelled(n=100)
    assert isinstance(data.train, Split)
    engine = engine_for(linear(), stored(data, Wrong(data.train, change=fail)))
    with pytest.raises(DataError, match="row 7 is damaged"):
        drive(engine, Plan(100, 10, epochs=1))


def test_no_buffer_is_filled_while_it_is_used() -> None:
    """A reader that is far ahead must wait: what the device holds is the buffer itself, without a copy."""
    data = numbered(1_000)
    assert isinstance(data.train, Split)
    reader = WindowReader(ArraySource(data.train), Order(1_000), data, window_bytes=400)
    shards = in_one_piece()
    for offset in range(0, 1_000, 10):
        held = reader.window(Position(offset // 10, 0, offset), 10, shards)
        wanted = reader.order.indices(0, held.first, held.stop)
        for _ in range(3):
            assert np.asarray(held.feed.y)[: len(wanted)].tolist() == wanted.tolist()


@dataclass(frozen=True)
class Generated:
    """Ten to the power of twelve samples, made from their numbers when they are read."""

    samples: int = 10**12
    fingerprint: str = "generated"
    row_bytes: int = 16
    threads: set[int] = field(default_factory=set)

    @property
    def layout(self) -> Split:
        return Split(np.zeros((0, 4), np.float32), np.zeros(0, np.int32))

    def hint(self, ids: Any) -> None:
        pass

    def read(self, ids: Any, into: RowBuffer) -> None:
        self.threads.add(threading.get_ident())
        into.ids[:] = ids
        into.x[:] = (ids[:, None] >> np.arange(0, 40, 10)) % 1024 / np.float32(1024)
        into.y[:] = ids % 3


def test_samples_beyond_32_bits_are_told_apart() -> None:
    few = from_arrays(np.zeros((3, 4), np.float32), np.arange(3), test=(np.zeros((1, 4), np.float32), np.zeros(1, int)))
    source = Generated()
    engine = engine_for(linear(), dataclasses.replace(few, train=StoredSplit(source)))
    assert isinstance(source, RowSource)
    _, _, audit = drive(engine, Plan(10**12, 100, iterations=50))
    ids = engine.order.indices(0, 0, 5_000)
    assert ids.max() > 2**32
    assert audit == Audit.of_indices(ids) == ExpectedAudit(engine.order).after(0, 5_000)
    assert audit != Audit.of_indices(ids % 2**32), "the control: as former versions saw them"


def test_training_stands_beyond_32_bits_of_an_epoch() -> None:
    few = from_arrays(np.zeros((3, 4), np.float32), np.arange(3), test=(np.zeros((1, 4), np.float32), np.zeros(1, int)))
    engine = engine_for(linear(), dataclasses.replace(few, train=StoredSplit(Generated())))
    far = Position(2**33, 5, 2**33 * 100)
    _, chunk = engine.run(engine.initial_state(), far, 100, 7)
    assert chunk.audit == Audit.of_indices(engine.order.indices(5, far.offset, far.offset + 700))
