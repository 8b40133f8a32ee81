"""Rows that are made when they are asked for: as many as their source says, and none is read before training."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import epochal
from epochal.data import load_data
from epochal.data.generated import from_rows
from epochal.data.row_source import RowBuffer, RowSource
from epochal.data.split import Split
from epochal.errors import DataError


@dataclass(frozen=True)
class Parities:
    """Sample i is a row of the last digits of i, its class whether i is odd."""

    samples: int
    fingerprint: str = "parities"
    row_bytes: int = 36

    @property
    def layout(self) -> Split:
        return Split(np.zeros((0, 8), np.float32), np.zeros(0, np.int32))

    def hint(self, ids: Any) -> None:
        """Nothing is on a disk."""

    def read(self, ids: Any, into: RowBuffer) -> None:
        into.ids[:] = ids
        into.x[:] = ids[:, None] // 10 ** np.arange(8) % 10
        into.y[:] = ids % 2


class WithTest(Parities):
    class_names = ("even", "odd")
    test = Parities(100)


def test_it_is_a_source_of_rows() -> None:
    assert isinstance(Parities(10), RowSource)


def test_a_million_millions_of_rows_start_at_once(tmp_path: Path) -> None:
    data = from_rows(Parities(10**12), test=Parities(1_000), class_names=["even", "odd"])
    started = time.monotonic()
    run = epochal.train(data, model="linear", batch_size=100, iterations=20, run=tmp_path / "run")
    seconds = time.monotonic() - started
    print(f"N = 10^12: {seconds:.1f} s from the call to the end of 20 iterations")
    assert seconds < 60, "generous: it takes about 2 s on an idle machine"
    assert run.plan.samples == 10**12

    again = epochal.train(data, model="linear", batch_size=100, iterations=20, run=tmp_path / "again")
    np.testing.assert_array_equal(*(np.concatenate([w.ravel() for w in _leaves(one.params)]) for one in (run, again)))


def _leaves(tree: Any) -> list[Any]:
    if isinstance(tree, dict):
        return [leaf for name in sorted(tree) for leaf in _leaves(tree[name])]
    if isinstance(tree, (list, tuple)):
        return [leaf for one in tree for leaf in _leaves(one)]
    return [np.asarray(tree)]


def test_generated_rows_train_as_the_same_rows_in_memory() -> None:
    ids = np.arange(500)
    source, buffer = Parities(500), RowBuffer.of(Parities(500).layout, 500)
    source.read(ids, buffer)
    assert load_data(WithTest(500)).class_names == ("even", "odd")
    taken = load_data(WithTest(500)).train.take(ids)
    np.testing.assert_array_equal(taken.x, buffer.x)
    np.testing.assert_array_equal(taken.y, buffer.y)


def test_a_source_can_be_packed(tmp_path: Path) -> None:
    folder = epochal.pack(Parities(300), tmp_path / "pack", test=Parities(20), class_names=2)
    data = load_data(folder)
    np.testing.assert_array_equal(data.train.take(np.arange(300)).y, np.arange(300) % 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs test samples"),
        ({"test": 0.2, "class_names": 2}, r"are another source, or \(x, y\), got 0\.2"),
        ({"test": (np.zeros((3, 7)), np.zeros(3)), "class_names": 2}, "test samples have shape"),
    ],
)
def test_what_cannot_be_meant_is_said(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        from_rows(Parities(10), **options)
