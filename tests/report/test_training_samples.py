from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_records import made_file, made_run

from epochal import Order
from epochal.errors import DataError
from epochal.record.outputs_record import OutputsRecord, SamplesRecord
from epochal.report import read
from epochal.report.page_model import Notice, TrainingSamples
from epochal.report.timeline import Timeline
from epochal.report.training_samples import atlas, training_samples
from epochal.run import train
from epochal.run.outputs import OutputsReader
from small import three_clouds

IMAGES = np.random.default_rng(0).integers(0, 256, (1000, 8, 8), np.uint8)


def chosen(limit: int, x: Any = IMAGES, **options: Any) -> TrainingSamples:
    run = made_run(**options).record
    return training_samples(
        SamplesRecord(x, np.arange(1000) % 3, ("a", "b", "c")), [(Timeline.of(run), Order(1_000, 0))], limit
    )


def test_all_images_where_they_fit() -> None:
    found = chosen(64_000)
    assert found.indices is None
    np.testing.assert_array_equal(found.images, IMAGES)
    assert chosen(63_999).indices is not None


def test_else_the_first_and_last_batch_of_the_first_and_last_epoch() -> None:
    found, order = chosen(63_999), Order(1000)
    batches = [order.indices(epoch, start, start + 100) for epoch in (0, 11) for start in (0, 900)]
    np.testing.assert_array_equal(found.indices, np.unique(np.concatenate(batches)))
    np.testing.assert_array_equal(found.images, IMAGES[found.indices])
    assert found.labelled is None, "labels take little, and are there for all"


@pytest.mark.parametrize("limit", [0, 63, 64, 6400, 20_000])
def test_the_limit_is_kept(limit: int) -> None:
    found = chosen(limit)
    assert found.images is None or found.images.nbytes <= limit


def test_the_last_epoch_is_the_last_that_was_begun() -> None:
    found = chosen(63_999, done=37, status="stopped")
    assert found.indices is not None
    assert set(Order(1000).indices(3, 600, 700)) <= set(found.indices.tolist())


def test_a_run_that_did_nothing_has_no_batches_to_show() -> None:
    found = chosen(63_999, done=0, status="new")
    assert found.images is None


def test_samples_that_are_no_images() -> None:
    for x in (np.zeros((1000, 4), np.float32), None):
        found = chosen(64_000, x=x)
        assert found.images is None
        assert found.labels is not None


def test_several_targets_have_no_label() -> None:
    run = made_run().record
    record = SamplesRecord(IMAGES, np.zeros((1000, 2), np.float32), ())
    assert training_samples(record, [(Timeline.of(run), Order(1_000, 0))]).labels is None


@pytest.mark.parametrize("number", [1, 2, 3, 7, 100, 101])
@pytest.mark.parametrize("shape", [(8, 8), (3, 9), (9, 3), (4, 4, 3)])
def test_every_image_has_its_place_in_the_atlas(number: int, shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(1).integers(0, 256, (number, *shape), np.uint8)
    picture, (height, width) = atlas(images), shape[:2]
    across = picture.shape[1] // width
    for place, image in enumerate(images):
        top, left = place // across * height, place % across * width
        np.testing.assert_array_equal(picture[top : top + height, left : left + width], image)
    assert picture.size < images.size + across * image.size


class TestReading:
    def test_runs_on_the_same_data_share_it(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            train("digits", model="linear", batch_size=500, epochs=1, run=tmp_path / name)
        asked: list[Path] = []

        class Counted(OutputsReader):
            def samples(self, path: Path) -> SamplesRecord:
                asked.append(path)
                return super().samples(path)

        page = read([tmp_path / "a", tmp_path / "b"], outputs=Counted())
        (found,) = page.samples.values()
        assert isinstance(found, TrainingSamples)
        assert found.number == 1437
        assert asked == [tmp_path / "a"]

    def test_data_that_only_python_has(self, tmp_path: Path) -> None:
        train(three_clouds(), model="linear", batch_size=10, epochs=1, run=tmp_path / "own")
        page = read([tmp_path / "own"], outputs=OutputsReader())
        assert [isinstance(one, Notice) and one.key for one in page.samples.values()] == ["no_samples"]

    def test_data_that_are_not_at_hand(self, tmp_path: Path) -> None:
        train("digits", model="linear", batch_size=500, epochs=1, run=tmp_path / "a")

        class Gone(OutputsReader):
            def __call__(self, path: Path) -> OutputsRecord:
                raise DataError("the file is gone")

            def samples(self, path: Path) -> SamplesRecord:
                raise DataError("the file is gone")

        (notice,) = read([tmp_path / "a"], outputs=Gone()).samples.values()
        assert isinstance(notice, Notice)
        assert notice.values["reason"] == "the file is gone"

    def test_without_a_door_there_are_none(self, tmp_path: Path) -> None:
        train("digits", model="linear", batch_size=500, epochs=1, run=tmp_path / "a")
        assert read([tmp_path / "a"]).samples == {}


def test_a_made_run_has_the_fingerprint_that_its_samples_are_found_by() -> None:
    file = made_file(made_run().record.config, 1000)
    assert dataclasses.replace(file).data.fingerprint == made_run().record.file.data.fingerprint
