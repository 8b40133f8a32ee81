"""Training in an order of blocks: exact as any other, a run's own from its start on, wherever the samples lie."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from epochal import resume, train
from epochal.block_order import BlockOrder
from epochal.data import Dataset
from epochal.data.row_source import ArraySource, StoredSplit
from epochal.errors import EpochalError, OptionError
from epochal.record.run_record import RunRecord
from epochal.run import Run
from little import StopAfter
from small import three_clouds

SMALL_BLOCKS = "blocks:5x3"


def trained(data: Dataset | None = None, **options: Any) -> Run:
    return train(data or three_clouds(63), **{"epochs": 2, "batch_size": 10, "order": SMALL_BLOCKS, **options})


def hash_of(run: Run) -> str:
    return run.weights_sha256


@pytest.mark.parametrize("batch_size", [1, 7, 63])
def test_every_epoch_uses_each_sample_once(batch_size: int) -> None:
    run = trained(batch_size=batch_size)
    assert [row.is_exact for row in run.history.epochs] == [True, True]


def test_batches_are_what_the_order_says() -> None:
    """One update whose gradient is that of the order's first ten samples: training on them alone gives its loss."""
    data, first = three_clouds(63), BlockOrder(63, 0, 5, 3).indices(0, 0, 10)
    only = dataclasses.replace(data, train=data.train.take(first))
    losses = [
        trained(one, order=order, iterations=1, epochs=None).history.losses
        for one, order in ((data, SMALL_BLOCKS), (only, None), (data, None))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0] != pytest.approx(losses[2], rel=1e-5), "the control"


def test_samples_have_the_same_order_wherever_they_lie() -> None:
    data = three_clouds(63)
    stored = dataclasses.replace(data, train=StoredSplit(ArraySource(data.train)))
    assert hash_of(trained(data)) == hash_of(trained(stored))
    assert hash_of(trained(data)) != hash_of(trained(data, order=None)), "the control: the exact order has other bits"
    assert hash_of(trained(data)) != hash_of(trained(data, order="blocks:4x3")), "and so have other blocks"


def test_size_of_blocks_is_a_runs_own_and_a_resume_keeps_it(tmp_path: Path) -> None:
    """256 KiB are 13,107 rows of 20 bytes: one block, all of whose rows are the rest."""
    run = trained(order="blocks", run=tmp_path / "run", epochs=3, callbacks=StopAfter(5))
    assert (run.status, RunRecord.read(tmp_path / "run").config.order) == ("stopped", "blocks:13107x64")
    assert 'order = "blocks:13107x64"' in (tmp_path / "run" / "run.toml").read_text()
    whole = trained(order="blocks", epochs=3)
    assert hash_of(resume(tmp_path / "run", data=three_clouds(63))) == hash_of(whole)


def test_a_killed_run_goes_on_inside_a_window(tmp_path: Path) -> None:
    trained(run=tmp_path / "run", epochs=3, callbacks=StopAfter(9))
    again = resume(tmp_path / "run", data=three_clouds(63))
    assert hash_of(again) == hash_of(trained(epochs=3))
    assert all(row.is_exact for row in again.history.epochs)


def test_a_run_cannot_change_its_order(tmp_path: Path) -> None:
    trained(run=tmp_path / "run", epochs=3, callbacks=StopAfter(9))
    with pytest.raises(OptionError, match="unknown option that a run can change 'order'"):
        resume(tmp_path / "run", data=three_clouds(63), order="exact")

    toml = tmp_path / "run" / "run.toml"
    toml.write_text(toml.read_text().replace(SMALL_BLOCKS, "blocks:5x4"))
    with pytest.raises(EpochalError, match=r'was made with order = "blocks:5x3", but run.toml says "blocks:5x4"'):
        resume(tmp_path / "run", data=three_clouds(63))


@pytest.mark.parametrize("given", [None, "exact"])
def test_the_exact_order_is_not_written(given: str | None, tmp_path: Path) -> None:
    """So that runs of former versions, which had no other, go on under the same name."""
    trained(order=given, run=tmp_path / "run")
    assert RunRecord.read(tmp_path / "run").config.order is None
    assert "order" not in (tmp_path / "run" / "run.toml").read_text().split("[data]")[0].split("[config]")[1]


@pytest.mark.parametrize("given", ["block", "blocks:", 3])
def test_other_orders_are_refused(given: Any) -> None:
    with pytest.raises(OptionError, match=r"order must be exact or blocks|such as 334x64"):
        trained(order=given)
