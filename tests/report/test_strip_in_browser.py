"""The strip in a real browser: an epoch, its batches, their samples and losses, against the order and the records."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_records import made_file, made_landscape, made_losses, made_page, made_run

from epochal import Order
from epochal.block_order import BlockOrder, order_named
from epochal.record.outputs_record import SamplesRecord
from epochal.record.run_toml import Change
from epochal.report import read, render
from epochal.report.mistakes import as_image
from epochal.report.page_model import Notice, Page
from epochal.report.timeline import Timeline
from epochal.report.training_samples import training_samples
from epochal.run import Run, train
from epochal.run.outputs import OutputsReader

OpenPage = Callable[..., Any]
SEEDS = (0, 7, 2**32 + 5, 2**64 - 1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three epochs of digits in batches of 400, the last of them ragged."""
    path = tmp_path_factory.mktemp("strip") / "trained"
    train("digits", model="linear", batch_size=400, epochs=3, seed=2**32 + 1, run=path)
    return path


def choose(page: Any, epoch: int, batch: int) -> None:
    """Type two numbers, from 1, into the fields."""
    page.fill('[data-field="epoch"] input', str(epoch))
    page.keyboard.press("Enter")
    page.fill('[data-field="batch"] input', str(batch))
    page.keyboard.press("Enter")


def part(page: Any, name: str) -> str:
    text: str = page.inner_text(f'[data-part="{name}"]')
    return text


def numbers(page: Any, all_of_them: bool = True) -> list[int]:
    """The samples that are shown, by their numbers."""
    while all_of_them and page.is_visible('[data-part="more"]'):
        page.click('[data-part="more"]')
    return [int(text.replace(",", "")) for text in page.locator(".samples .index").all_inner_texts()]


def pressed(page: Any, kind: str) -> str:
    text: str = page.inner_text(f'[data-cells="{kind}"] [aria-pressed="true"] b')
    return text


def page_with_samples(run: Any, *, limit: int = 1_500_000, **changes: Any) -> Page:
    """A page of 1,000 pictures in three classes, of which it holds as many as the limit allows."""
    x = np.random.default_rng(0).integers(0, 256, (1000, 8, 8), np.uint8)
    record = SamplesRecord(x, np.arange(1000, dtype=np.int32) % 3, ("cat", "dog", "<owl>"))
    record = dataclasses.replace(record, **changes)
    chosen = training_samples(record, [(Timeline.of(run.record), Order(len(record.y), run.record.config.seed))], limit)
    return made_page(run, samples={run.record.file.data.fingerprint: chosen})


class TestOrder:
    @pytest.mark.parametrize("samples", [1, 2, 3, 10, 1198, 4096, 4097, 65_537])
    def test_it_is_the_engines_for_every_position(self, open_page: OpenPage, samples: int) -> None:
        page = open_page(render(made_page()))
        for seed in SEEDS:
            for epoch in (0, 1, 2**32 + 3):
                found = page.evaluate(
                    "([n, seed, epoch]) => new epochal.Order(n, seed).indices(epoch, 0, n)", [samples, str(seed), epoch]
                )
                np.testing.assert_array_equal(found, Order(samples, seed).indices(epoch, 0, samples))

    def test_it_is_for_many_epochs(self, open_page: OpenPage) -> None:
        page = open_page(render(made_page()))
        found = page.evaluate(
            "() => { const order = new epochal.Order(1437, '3');"
            " return Array.from({length: 200}, (_, epoch) => order.indices(epoch, 1400, 1437)); }"
        )
        for epoch, indices in enumerate(found):
            np.testing.assert_array_equal(indices, Order(1437, 3).indices(epoch, 1400, 1437))

    @pytest.mark.parametrize("samples", [262_145, 2**31 - 1, 2**32 + 1, 10**12])
    def test_it_is_at_the_ends_of_large_sets(self, open_page: OpenPage, samples: int) -> None:
        page = open_page(render(made_page()))
        for start in (0, samples // 2, samples - 50):
            found = page.evaluate(
                "([n, start]) => new epochal.Order(n, '4294967301').indices(9, start, start + 50)", [samples, start]
            )
            np.testing.assert_array_equal(found, Order(samples, 2**32 + 5).indices(9, start, start + 50))

    def test_a_wrong_seed_or_epoch_would_be_seen(self, open_page: OpenPage) -> None:
        page = open_page(render(made_page()))
        found = page.evaluate("new epochal.Order(1437, '0').indices(1, 0, 1437)")
        assert sorted(found) == [*range(1437)]
        assert found != Order(1437, 1).indices(0, 0, 1437).tolist()
        assert found != Order(1437, 0).indices(0, 0, 1437).tolist()


class TestBlockOrder:
    @pytest.mark.parametrize(
        ("samples", "size"), [(1, "5x2"), (3, "5x2"), (10, "2x2"), (1198, "7x4"), (4097, "100x8"), (65_537, "334x64")]
    )
    def test_it_is_the_engines_for_every_position(self, open_page: OpenPage, samples: int, size: str) -> None:
        page = open_page(render(made_page()))
        for seed, epoch in itertools.product(SEEDS, (0, 1, 2**32 + 3)):
            found = page.evaluate(
                "([name, n, seed, epoch]) => epochal.orderNamed(name, n, seed).indices(epoch, 0, n)",
                [f"blocks:{size}", samples, str(seed), epoch],
            )
            expected = order_named(f"blocks:{size}", samples, seed).indices(epoch, 0, samples)
            np.testing.assert_array_equal(found, expected)

    def test_it_is_at_the_ends_of_a_large_set(self, open_page: OpenPage) -> None:
        page, samples = open_page(render(made_page())), 10**12 + 7
        for start in (0, samples // 2, samples - 50):
            found = page.evaluate(
                "([n, start]) => epochal.orderNamed('blocks:334x64', n, '5').indices(9, start, start + 50)",
                [samples, start],
            )
            np.testing.assert_array_equal(found, BlockOrder(samples, 5, 334, 64).indices(9, start, start + 50))


class TestBatches:
    def test_samples_loss_labels_and_images_are_those_of_the_run(self, open_page: OpenPage, trained: Path) -> None:
        """Every batch of the run: the order's indices, the history's losses, the data's labels and pixels."""
        run = Run.open(trained)
        page = open_page(render(read([trained], outputs=OutputsReader())))
        order, iteration = Order(len(run.data.train), 2**32 + 1), 0
        for epoch in range(3):
            for batch in range(4):
                choose(page, epoch + 1, batch + 1)
                start, stop = 400 * batch, min(400 * batch + 400, 1437)
                indices = order.indices(epoch, start, stop)
                assert numbers(page) == indices.tolist()
                assert part(page, "loss") == f"{run.history.losses[iteration]:.4f}"
                iteration += 1
                assert part(page, "iteration") == str(iteration)
                assert part(page, "size") == str(stop - start)
                assert part(page, "positions") == f"{start + 1:,} to {stop:,}"
                labels = page.locator(".samples b").all_inner_texts()
                assert labels == [str(one) for one in run.data.train.y[indices]]
        self.assert_images(page, run, indices)
        assert iteration == run.history.iterations

    @staticmethod
    def assert_images(page: Any, run: Run, indices: Any) -> None:
        drawn = page.eval_on_selector_all(
            ".samples canvas",
            "all => all.map(one => [...one.getContext('2d').getImageData(0, 0, 8, 8).data]"
            ".filter((_, at) => at % 4 === 0))",
        )
        for pixels, index in zip(drawn, indices, strict=True):
            np.testing.assert_array_equal(pixels, np.ravel(as_image(run.data.train.x[index])))

    def test_a_change_of_the_batch_size_inside_an_epoch(self, open_page: OpenPage) -> None:
        """Against the positions that training had before and after each iteration."""
        record = made_run(batch_size=70, iterations=60).record
        file = dataclasses.replace(record.file, changes=(Change(20, {"batch_size": 300}),))
        page = open_page(render(made_page(made_run(batch_size=70, iterations=60, file=file))))
        laid = page.evaluate(
            "() => { const { timeline } = epochal.strips[0]; return Array.from({length: timeline.epochs}, (_, epoch) =>"
            " Array.from({length: timeline.batches(epoch)}, (_, batch) => timeline.batch(epoch, batch))); }"
        )
        flat = [batch for epoch in laid for batch in epoch]
        assert [batch["iteration"] for batch in flat] == [*range(1, 61)]
        assert [batch["start"] for batch in flat] == [file.position_after(done).offset for done in range(60)]
        places = page.evaluate("Array.from({length: 60}, (_, done) => epochal.strips[0].timeline.at(done + 1))")
        assert [place["epoch"] for place in places] == [file.position_after(done).epoch for done in range(60)]
        assert places == [
            {"epoch": epoch, "batch": batch} for epoch, batches in enumerate(laid) for batch in range(len(batches))
        ]

    def test_samples_that_each_epoch_leaves_out(self, open_page: OpenPage) -> None:
        config = dataclasses.replace(made_run(batch_size=300).record.config, last="drop", budget="2ep")
        page = open_page(render(made_page(made_run(iterations=6, file=made_file(config, 1000)))))
        assert page.locator('[data-cells="batch"] button').count() == 3
        choose(page, 2, 3)
        assert part(page, "positions") == "601 to 900"
        assert part(page, "epoch") == "Epoch 2: 900 samples, each once, in 3 batches"

    def test_micro_batches_are_shown_and_not_counted(self, open_page: OpenPage) -> None:
        config = dataclasses.replace(made_run(batch_size=100).record.config, micro_batch=30)
        page = open_page(render(made_page(made_run(file=made_file(config, 1000)))))
        assert "Computed in 4 micro-batches of at most 30 samples" in part(page, "micro")
        assert page.locator('[data-cells="batch"] button').count() == 10

    def test_what_is_planned_but_not_done_has_no_loss(self, open_page: OpenPage) -> None:
        page = open_page(render(made_page(made_run(iterations=120, done=37, status="interrupted"))))
        choose(page, 4, 7)
        assert part(page, "loss") != "not trained yet"
        choose(page, 4, 8)
        assert (part(page, "iteration"), part(page, "loss")) == ("38", "not trained yet")
        assert page.locator('[data-cells="batch"] .ahead').count() == 3

    def test_a_budget_of_time_ends_where_it_ended(self, open_page: OpenPage) -> None:
        page = open_page(render(made_page(made_run(budget="90s", done=37))))
        assert part(page, "epochs") == "of 4"
        choose(page, 4, 99)
        assert (pressed(page, "batch"), part(page, "iteration")) == ("7", "37")

    def test_losses_that_stand_for_several_say_so(self, open_page: OpenPage) -> None:
        losses = made_losses(1_000_000)
        run = made_run(samples=10_000, batch_size=1, iterations=1_000_000, losses=losses, epochs=())
        page = open_page(render(made_page(run)))
        mean, low, high = losses[4:8].mean(dtype=np.float64), losses[4:8].min(), losses[4:8].max()
        choose(page, 1, 6)
        assert part(page, "loss") == f"{mean:.4f} on average over 4 iterations ({low:.4f} to {high:.4f})"


class TestChoosing:
    def test_by_mouse(self, open_page: OpenPage) -> None:
        page = open_page(render(made_page(made_run(batch_size=30))))
        page.click('[data-cells="epoch"] button:last-child')
        page.click('[data-cells="batch"] button:last-child')
        assert (pressed(page, "epoch"), pressed(page, "batch")) == ("4", "18")
        assert part(page, "title") == "Epoch 4, batch 18 of 18"

    def test_on_the_bars(self, open_page: OpenPage) -> None:
        page = open_page(render(made_page(made_run(iterations=1200))))
        box = page.locator('[data-sky="epoch"]').bounding_box()
        for share, epoch in ((0.001, "1"), (0.5, "61"), (0.999, "120")):
            page.mouse.click(box["x"] + share * box["width"], box["y"] + 20)
            assert pressed(page, "epoch") == epoch

    def test_by_touch_on_a_phone(self, open_page: OpenPage) -> None:
        page = open_page(render(made_page()), width=390, has_touch=True, is_mobile=True)
        page.locator('[data-cells="epoch"] button').nth(1).tap()
        page.locator('[data-cells="batch"] button').nth(2).tap()
        assert (pressed(page, "epoch"), pressed(page, "batch")) == ("2", "3")
        assert page.evaluate("document.documentElement.scrollWidth") == 390

    def test_by_keyboard(self, open_page: OpenPage) -> None:
        page = open_page(render(made_page(made_run(iterations=1200))))
        page.focus('[data-cells="epoch"] [aria-pressed="true"]')
        for key, epoch in (
            ("ArrowRight", "2"),
            ("End", "120"),
            ("ArrowRight", "120"),
            ("PageUp", "108"),
            ("Home", "1"),
        ):
            page.keyboard.press(key)
            assert pressed(page, "epoch") == epoch
            assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
        page.focus('[data-sky="batch"] input')
        page.keyboard.press("ArrowRight")
        assert pressed(page, "batch") == "2"

    def test_what_the_reader_of_a_screen_hears(self, open_page: OpenPage) -> None:
        page = open_page(render(made_page()))
        assert page.get_attribute('[data-cells="epoch"]', "aria-label") == "Epochs of the run"
        assert page.get_attribute('[data-cells="epoch"] button', "aria-label") == "Epoch 1, iterations: 10"
        assert page.get_attribute('[data-sky="batch"] input', "aria-valuetext") == "1 of 10"
        page.check('input[name="lang"][value="zh"]', force=True)
        assert page.get_attribute('[data-cells="epoch"] button', "aria-label") == "第 1 轮，迭代次数：10"

    def test_a_number_that_there_is_not_is_the_nearest(self, open_page: OpenPage) -> None:
        page = open_page(render(made_page()))
        choose(page, 99, 0)
        assert (pressed(page, "epoch"), pressed(page, "batch")) == ("12", "1")
        assert page.input_value('[data-field="epoch"] input') == "12"

    def test_an_epoch_of_sixty_thousand_batches_stays_quick(self, open_page: OpenPage) -> None:
        run = made_run(samples=60_000, batch_size=1, iterations=180_000)
        page = open_page(render(made_page(run)))
        assert page.locator('[data-cells="batch"] button').count() < 20
        took = page.evaluate(
            "() => { const begun = performance.now();"
            " for (let batch = 0; batch < 60000; batch += 6000) epochal.strips[0].choose('batch', batch);"
            " return (performance.now() - begun) / 10; }"
        )
        assert took < 100, "20 ms are the aim, with nothing else on the machine"
        choose(page, 3, 60_000)
        assert (part(page, "iteration"), pressed(page, "batch")) == ("180,000", "60,000")
        assert numbers(page) == Order(60_000, 0).indices(2, 59_999, 60_000).tolist()

    def test_of_several_runs_the_one_that_is_used_opens(self, open_page: OpenPage) -> None:
        page = open_page(render(made_page(made_run("a"), made_run("b"), landscapes=(made_landscape("a"),))))
        assert page.locator(".batch:visible").count() == 0
        page.click('[data-strip="1"] [data-cells="batch"] button:last-child')
        assert page.locator('[data-strip="1"] .batch').is_visible()
        assert page.locator(".batch:visible").count() == 1

    def test_the_chosen_batch_stays_when_the_language_changes(self, open_page: OpenPage) -> None:
        page = open_page(render(page_with_samples(made_run())))
        choose(page, 5, 3)
        page.check('input[name="lang"][value="zh"]', force=True)
        assert part(page, "title") == "第 5 轮，第 3 批，共 10 批"


class TestSamples:
    def test_of_too_many_images_the_page_says_which_it_holds(self, open_page: OpenPage) -> None:
        run = made_run()
        page = open_page(render(page_with_samples(run, limit=64 * 8)))
        assert page.locator(".samples canvas:not(.absent)").count() == 2, "of eight, two for each of four batches"
        assert part(page, "about").startswith("The page holds the images of ")
        held = {index for epoch in (0, 11) for at in (0, 900) for index in Order(1000).indices(epoch, at, at + 2)}
        batch = next(at for at in range(10) if not held & {*Order(1000).indices(5, 100 * at, 100 * at + 100)})
        choose(page, 6, batch + 1)
        assert "This batch is shown by its samples' numbers" in part(page, "about")
        assert page.locator(".samples canvas").count() == 0
        assert page.locator(".samples b").count() > 0, "labels are there for all"

    def test_without_the_data_batches_losses_and_indices_are_there(self, open_page: OpenPage) -> None:
        page = open_page(render(made_page()))
        assert "without the data" in part(page, "about")
        assert numbers(page) == Order(1000, 0).indices(0, 0, 100).tolist()

    def test_why_there_are_no_images(self, open_page: OpenPage) -> None:
        run = made_run()
        gone = {run.record.file.data.fingerprint: Notice("no_samples", {"reason": "the file is gone"})}
        page = open_page(render(made_page(run, samples=gone)))
        assert part(page, "about") == "The images of the training samples are not shown: the file is gone"

    def test_targets_of_a_regression(self, open_page: OpenPage) -> None:
        y = np.linspace(0, 1, 1000, dtype=np.float32)
        page = open_page(render(page_with_samples(made_run(), x=np.zeros((1000, 3), np.float32), y=y, class_names=())))
        index = numbers(page, all_of_them=False)[0]
        assert page.locator(".samples b").first.inner_text() == f"{y[index]:.4f}"
        assert "no images" in part(page, "about")
