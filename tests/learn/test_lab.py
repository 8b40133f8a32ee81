"""The learn page's questions: what is answered is what the engine did, for several worlds at once."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from epochal.clock import Plan
from epochal.learn.lab import Lab
from epochal.order import Order


@pytest.fixture
def lab() -> Iterator[Lab]:
    lab = Lab("digits")
    yield lab
    lab.close()


def start(lab: Lab, **body: Any) -> dict[str, Any]:
    answer = lab.answer("/api/start", {"problem": "digits", "samples": 60, "model": "linear", **body})
    assert answer["ok"], answer
    return answer


def ask(lab: Lab, path: str, **body: Any) -> dict[str, Any]:
    answer = lab.answer(f"/api/{path}", body)
    assert answer["ok"], answer
    json.dumps(answer, allow_nan=False)  # plain JSON, numbers alone
    return answer


def marks(view: dict[str, Any], samples: int) -> np.ndarray:
    packed = np.frombuffer(base64.b64decode(view["used"]), np.uint8)
    return np.flatnonzero(np.unpackbits(packed, bitorder="little")[:samples])


@pytest.mark.parametrize(
    ("samples", "batch_size", "last"),
    [(60, 10, "keep"), (60, 13, "keep"), (60, 13, "drop"), (60, 1, "keep"), (60, "all", "keep")],
)
def test_counters_batches_and_bitmap_follow_the_plan(lab: Lab, samples: int, batch_size: Any, last: str) -> None:
    began = start(lab, samples=samples, batch_size=batch_size, last=last)
    plan, order = Plan(samples, batch_size, epochs=3, last=last), Order(samples, 0)
    facts = began["lanes"]["mbgd"]
    assert (facts["batches_per_epoch"], facts["last_batch_size"]) == (plan.batches_per_epoch, plan.last_batch_size)
    assert facts["method"] == plan.method

    seen: list[int] = []
    for to in range(min(plan.iterations, 70) + 1):
        view = ask(lab, "go", id=began["id"], lane="mbgd", to=to)
        position = plan.position(iteration=to)
        assert view["position"]["iteration"] == to
        assert (view["position"]["epoch"], view["position"]["offset"]) == (position.epoch, position.offset)
        assert view["position"]["samples_used"] == plan.samples_after(iterations=to)
        assert view["position"]["batch"] == -(-position.offset // plan.batch_size)
        assert view["audit"]["exact"]

        # at the end of an epoch its samples are still shown, each once
        ended = to > 0 and position.offset == 0
        if ended:
            assert sorted(seen) == sorted(set(seen))
            assert len(seen) == plan.samples_per_epoch == view["audit"]["samples"]
            assert view["epochs"][-1]["exact"]
        assert marks(view, samples).tolist() == sorted(seen)
        if ended:
            seen = []

        hand = view["in_hand"]
        size = plan.next_batch_size(position)
        assert (hand["start"], hand["stop"]) == (position.offset, position.offset + size)
        assert hand["indices"] == order.indices(position.epoch, position.offset, position.offset + size).tolist()
        assert not set(seen) & set(hand["indices"])
        seen += hand["indices"]


@pytest.mark.parametrize("lane", ["mbgd", "sgd", "bgd"])
def test_the_batch_in_hand_has_the_loss_that_the_iteration_records(lab: Lab, lane: str) -> None:
    name = start(lab, batch_size=8)["id"]
    for to in range(6):
        before = ask(lab, "go", id=name, lane=lane, to=to)
        after = ask(lab, "go", id=name, lane=lane, to=to + 1)
        hand = before["in_hand"]
        assert hand["mean_loss"] == pytest.approx(after["last"]["loss"], rel=1e-5)
        assert np.mean(hand["losses"]) == pytest.approx(after["last"]["loss"], rel=1e-4)
        if to and lane != "sgd":  # a sample too few is seen, once losses differ
            assert np.mean(sorted(hand["losses"])[:-1]) != pytest.approx(after["last"]["loss"], rel=1e-4)
        assert after["losses"][-1][0] == to + 1
        assert after["last"]["size"] == hand["stop"] - hand["start"]


@pytest.mark.parametrize("problem", ["line", "points", "digits"])
def test_the_move_in_the_plane_is_the_learning_rate_times_the_mean_pull(lab: Lab, problem: str) -> None:
    began = start(lab, problem=problem, samples=30, batch_size=7)
    name = began["id"]
    lab.finish_background(name)
    assert ask(lab, "landscape", id=name)["ready"]
    for lane, facts in began["lanes"].items():
        for to in (1, 2, 5):
            before = ask(lab, "go", id=name, lane=lane, to=to - 1)
            after = ask(lab, "go", id=name, lane=lane, to=to)
            move = np.array([after["place"][axis] - before["place"][axis] for axis in "xy"])
            pull = facts["lr"] * np.array(before["mean_pull"])
            assert after["previous"] == before["place"]
            assert np.allclose(pull, move, rtol=0, atol=2e-3 * np.abs(move).max() + 1e-6)
            assert np.allclose(np.mean(before["in_hand"]["pulls"], axis=0), before["mean_pull"], rtol=1e-3, atol=1e-5)

            # the other way, or half as far, is seen
            for wrong in (-pull, pull / 2):
                assert not np.allclose(wrong, move, rtol=0, atol=2e-3 * np.abs(move).max() + 1e-6)


def test_the_landscape_of_a_line_is_its_loss(lab: Lab) -> None:
    began = start(lab, problem="line")
    lab.finish_background(began["id"])
    land = ask(lab, "landscape", id=began["id"])
    x, y = np.array(began["points"]["x"])[:, 0], np.array(began["points"]["y"])
    assert (land["kind"], land["axes"]) == ("exact", ["w", "b"])
    for row, height in enumerate(land["y"][::8]):
        for column, slope in enumerate(land["x"][::8]):
            assert land["loss"][8 * row][8 * column] == pytest.approx(np.mean((slope * x + height - y) ** 2), rel=1e-4)

    view = ask(lab, "go", id=began["id"], lane="mbgd", to=3)
    assert [view["place"]["x"], view["place"]["y"]] == pytest.approx(view["weights"])


def test_back_has_the_same_bits_and_two_worlds_do_not_touch(lab: Lab) -> None:
    first, second = start(lab)["id"], start(lab, seed=1)["id"]
    there = ask(lab, "go", id=first, lane="mbgd", to=3)
    other = ask(lab, "go", id=second, lane="mbgd", to=2)
    assert there["weights_sha256"] != other["weights_sha256"]
    ask(lab, "go", id=first, lane="mbgd", to=9)
    assert ask(lab, "view", id=second, lane="mbgd")["weights_sha256"] == other["weights_sha256"]
    again = ask(lab, "go", id=first, lane="mbgd", to=3)
    assert again["weights_sha256"] == there["weights_sha256"]
    assert again["in_hand"] == {**there["in_hand"], "pulls": again["in_hand"]["pulls"]}


def test_threads_that_step_at_once_get_each_world_to_its_place(lab: Lab) -> None:
    names = [start(lab, seed=seed)["id"] for seed in range(3)]
    shas: dict[str, str] = {}

    def work(name: str) -> None:
        for to in (1, 4, 2, 7, 5):
            shas[name] = ask(lab, "go", id=name, lane="mbgd", to=to)["weights_sha256"]

    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    for seed, name in enumerate(names):
        alone = start(lab, seed=seed)["id"]
        assert ask(lab, "go", id=alone, lane="mbgd", to=5)["weights_sha256"] == shas[name]


def test_the_world_used_longest_ago_goes_first() -> None:
    lab = Lab("digits", most_worlds=2)
    first, second = start(lab)["id"], start(lab)["id"]
    ask(lab, "view", id=first, lane="mbgd")
    third = start(lab)["id"]
    for name in (first, third):
        ask(lab, "view", id=name, lane="mbgd")
    gone = lab.answer("/api/view", {"id": second, "lane": "mbgd"})
    assert not gone["ok"]
    assert "start it again" in gone["error"]["en"]
    assert gone["error"]["zh"] != gone["error"]["en"]
    lab.close()


def test_a_world_that_is_left_computes_nothing_more(lab: Lab) -> None:
    left, kept = start(lab)["id"], start(lab)["id"]
    ask(lab, "leave", id=left)
    assert not lab.answer("/api/view", {"id": left, "lane": "mbgd"})["ok"]
    assert not lab.answer("/api/leave", {"id": left})["ok"]
    assert ask(lab, "view", id=kept, lane="mbgd")["position"]["iteration"] == 0


def test_worlds_have_a_limit_of_memory() -> None:
    lab = Lab("digits", most_bytes=1)
    first, second = start(lab)["id"], start(lab)["id"]
    assert lab.answer("/api/view", {"id": second, "lane": "mbgd"})["ok"]
    assert not lab.answer("/api/view", {"id": first, "lane": "mbgd"})["ok"]
    lab.close()


def test_micro_batches_change_nothing_and_count_as_one(lab: Lab) -> None:
    name = start(lab, batch_size=13)["id"]
    before = ask(lab, "go", id=name, lane="mbgd", to=2)
    answer = ask(lab, "micro", id=name, micro_batch=5, iteration=2)
    assert answer["micro"]["slices"] == [5, 5, 3]
    assert (answer["iterations"], answer["updates"]) == (1, 1)
    assert answer["micro"]["loss"] == pytest.approx(answer["whole"]["loss"], rel=1e-5)
    assert answer["largest_difference"] < 1e-6 < answer["largest_weight"]
    assert ask(lab, "view", id=name, lane="mbgd")["weights_sha256"] == before["weights_sha256"]
    assert ask(lab, "go", id=name, lane="mbgd", to=3)["weights_sha256"] == answer["whole"]["sha"]


def test_one_sample(lab: Lab) -> None:
    name = start(lab, batch_size=13)["id"]
    view = ask(lab, "go", id=name, lane="mbgd", to=2)
    for place in (0, 12):
        sample = ask(lab, "sample", id=name, lane="mbgd", index=view["in_hand"]["indices"][place], iteration=2)
        assert sample["loss"] == pytest.approx(view["in_hand"]["losses"][place], rel=1e-4)
        assert sample["label"] == view["in_hand"]["labels"][place]
        assert sum(sample["outputs"]) == pytest.approx(1, abs=1e-4)
        assert len(base64.b64decode(sample["image"]["data"])) == 64
    moved = lab.answer("/api/sample", {"id": name, "lane": "mbgd", "index": 1, "iteration": 9})
    assert "stands at iteration 2" in moved["error"]["en"]


def test_the_orders_of_two_epochs(lab: Lab) -> None:
    name = start(lab)["id"]
    first, second = (ask(lab, "order", id=name, epoch=epoch)["order"] for epoch in (0, 1))
    assert sorted(first) == sorted(second) == list(range(60))
    assert first != second
    assert first == Order(60, 0).indices(0, 0, 60).tolist()


def test_own_tables_are_shown_as_text(lab: Lab, workplace: Path) -> None:
    lines = [f"{i % 7},{i % 3},{'yes' if i % 2 else 'no'}" for i in range(40)]
    (workplace / "mine.csv").write_text("\n".join(["height,width,sold", *lines]))
    began = start(lab, problem="mine.csv", samples=None, batch_size=4)
    assert (began["problem"]["kind"], began["images"]) == ("table", None)
    sample = ask(lab, "sample", id=began["id"], lane="sgd", index=0)
    assert [name for name, _ in sample["features"]] == ["height", "width"]
    assert sample["image"] is None


def test_a_diverging_training_has_no_numbers_that_are_none(lab: Lab) -> None:
    began = start(lab, problem="line", lr=1e20)
    view = ask(lab, "go", id=began["id"], lane="bgd", to=60)
    assert view["last"]["loss"] is None
    lab.finish_background(began["id"])


@pytest.mark.parametrize(
    ("path", "body", "text"),
    [
        ("start", {"batch_size": 100}, "batch size 100 is above the 60 training samples"),
        ("start", {"samples": 0}, "samples must be"),
        ("start", {"samples": 100_000}, "samples must be 1 to 1437"),
        ("start", {"model": "rnn"}, "unknown model 'rnn'"),
        ("start", {"problem": "nothing"}, "unknown data set 'nothing'"),
        ("start", {"lr": -1}, "lr must be"),
        ("start", {"colour": "red"}, "unknown option 'colour'"),
        ("start", {"problem": ["digits"]}, "problem must be"),
        ("start", {"last": 3}, "last must be"),
        ("go", {"lane": "fast", "to": 1}, "lane must be one of"),
        ("go", {"lane": "mbgd", "to": -1}, "to must be"),
        ("go", {"lane": "mbgd", "to": 10**9}, "iteration must be 0 to"),
        ("go", {"lane": "mbgd"}, "to must be"),
        ("go", {"lane": ["mbgd"], "to": 1}, "lane must be one of"),
        ("sample", {"index": 60}, "index must be 0 to 59"),
        ("micro", {"micro_batch": 0}, "micro_batch must be"),
        ("order", {"epoch": -1}, "epoch must be"),
        ("order", {"epoch": 10**30}, "epoch must be"),
    ],
)
def test_what_cannot_be_is_said_in_both_languages(lab: Lab, path: str, body: dict[str, Any], text: str) -> None:
    began = start(lab)
    base = {"problem": "digits", "samples": 60} if path == "start" else {"id": began["id"]}
    answer = lab.answer(f"/api/{path}", {**base, **body})
    assert not answer["ok"]
    assert text in answer["error"]["en"]
    assert answer["error"].keys() == {"en", "zh"}
    assert ask(lab, "view", id=began["id"], lane="mbgd")["position"]["iteration"] == 0


def test_many_losses_are_thinned_to_lowest_and_highest(lab: Lab) -> None:
    began = start(lab, problem="line")
    view = ask(lab, "go", id=began["id"], lane="sgd", to=3001)
    assert view["thinned"] == 4
    assert len(view["losses"]) <= 2_000
    every = ask(lab, "go", id=began["id"], lane="sgd", to=2000)
    assert every["thinned"] == 1
    lowest = min(loss for _, loss in every["losses"])
    assert any(loss <= lowest for _, loss in view["losses"])


def test_steps_do_not_wait_for_the_landscape(lab: Lab) -> None:
    name = start(lab, problem="line", samples=12)["id"]
    began = time.perf_counter()
    while not (land := ask(lab, "landscape", id=name))["ready"] and not land["total"]:
        ask(lab, "go", id=name, lane="mbgd", to=2)
        assert time.perf_counter() - began < 120  # nor does it starve
