"""Plans whose batch size changes on the way, against a training that is counted iteration by iteration."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from epochal.clock import Lengths, Plan, Position, Span, Unit
from epochal.errors import PlanError
from epochal.size_schedule import SizeFrom, read_batch_sizes

SCHEDULE = "100,200@10ep,400@20ep"


@pytest.fixture
def growing() -> Plan:
    """The worked example's 60,000 images in 30 epochs, with a batch that doubles twice."""
    return Plan(samples=60_000, batch_size=SCHEDULE, epochs=30)


# --- what is counted --------------------------------------------------------------------------------------------------


def test_ten_epochs_of_each_size_are_counted_together(growing: Plan) -> None:
    assert growing.iterations == 10 * 600 + 10 * 300 + 10 * 150
    assert (growing.full_epochs, growing.extra_iterations, growing.samples_used) == (30, 0, 1_800_000)
    assert growing.iterations_after(epochs=15) == 6_000 + 5 * 300
    assert growing.position(iteration=6_001) == Position(6_001, 10, 200)


def test_facts_tell_of_every_phase(growing: Plan) -> None:
    facts = growing.facts()
    assert (facts["batch_size"], facts["iterations"], facts["full_epochs"]) == (SCHEDULE, 10_500, 30)
    assert facts["phases"][1] == {
        "batch_size": 200,
        "start": "10ep",
        "begin": {"iteration": 6_000, "epoch": 10, "offset": 0},
        "batches_per_epoch": 300,
        "last_batch_size": 200,
        "iterations": 3_000,
    }


def test_a_schedule_has_no_single_batch_size(growing: Plan) -> None:
    for fact in ("batch_size", "batches_per_epoch", "iterations_per_epoch", "updates_per_epoch", "last_batch_size"):
        with pytest.raises(PlanError, match=f"batch sizes {SCHEDULE} has no single one"):
            getattr(growing, fact)
    assert [growing.batches_at(growing.position(epoch=epoch)).size for epoch in (9, 10, 19, 20, 99)] == [
        100, 200, 200, 400, 400,
    ]  # fmt: skip


def test_a_phase_begins_at_the_first_boundary_at_or_after_its_length() -> None:
    plan = Plan(1_000, "100,70@250sa,30@5it", epochs=1)
    assert [(phase.batch_size, phase.begin.iteration, phase.begin.offset) for phase in plan.phases] == [
        (100, 0, 0), (70, 3, 300), (30, 5, 440),
    ]  # fmt: skip


def test_a_dropped_rest_is_dropped_by_the_size_that_meets_it() -> None:
    by_the_old_size = Plan(1_000, "300,100@3it", epochs=2, last="drop")
    by_the_new_size = Plan(1_000, "100,300@8it", epochs=2, last="drop")
    assert by_the_old_size.position(iteration=3) == Position(3, 1, 0)
    assert by_the_new_size.position(iteration=8) == Position(8, 1, 0)
    assert by_the_new_size.samples_used == 800 + 900


def test_phases_after_the_budgets_end_wait_for_a_larger_one() -> None:
    short, long = (Plan(60_000, SCHEDULE, epochs=epochs) for epochs in (10, 11))
    assert short.sizes_from(Position()) == (100,)
    assert long.sizes_from(Position()) == (100, 200)
    assert long.sizes_from(long.position(epoch=10)) == (200,)
    assert [phase["iterations"] for phase in short.facts()["phases"]] == [6_000, 0, 0]


def test_a_budget_of_time_goes_through_the_phases_too() -> None:
    plan = Plan(60_000, SCHEDULE, budget="90s")
    assert plan.sizes_from(Position()) == (100, 200, 400)
    assert [phase["iterations"] for phase in plan.facts()["phases"]] == [6_000, 3_000, None]


def test_a_warm_up_is_counted_through_the_phases() -> None:
    assert Lengths.of(Plan(1_000, "10,100@1ep", epochs=3), "2ep") == Lengths(120, 110)


@pytest.mark.parametrize("last", ["keep", "drop"])
def test_any_number_of_samples_is_counted_at_once(last: Literal["keep", "drop"]) -> None:
    n = 10**12 + 7
    plan = Plan(n, f"1,1_000@{10**15}it,all@{10**9}ep", epochs=2 * 10**9, last=last)
    grown, full = plan.phases[1].begin, plan.phases[2].begin
    assert grown == Position(10**15, 10**15 // n, 10**15 % n)
    assert (full.epoch, full.offset, plan.iterations) == (10**9, 0, full.iteration + 10**9)
    assert plan.position(iteration=full.iteration - 1).epoch == 10**9 - 1


# --- against counting one by one --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Walk:
    """A training that knows nothing but what its next batch is."""

    samples: int
    sizes: tuple[SizeFrom, ...]
    last: str

    def size_at(self, position: Position, used: int) -> int:
        size = 0
        for one in self.sizes:
            at = {"ITERATIONS": position.iteration, "EPOCHS": position.epoch, "SAMPLES": used}[one.start.unit.name]
            if at >= one.start.amount:
                size = self.samples if one.size == "all" else one.size
        return size

    def steps(self) -> Iterator[tuple[Position, int, int]]:
        """Yield each position with the samples used before it, and the size of the batch there."""
        position, used = Position(), 0
        while True:
            size = self.size_at(position, used)
            count = min(size, self.samples - position.offset)
            yield position, used, count
            offset, used = position.offset + count, used + count
            over = offset == self.samples or (self.last == "drop" and self.samples - offset < size)
            position = Position(position.iteration + 1, position.epoch + over, 0 if over else offset)
            if self.last == "drop" and position.offset and self.samples - offset < self.size_at(position, used):
                position = Position(position.iteration, position.epoch + 1, 0)


starts = st.builds("{}{}".format, st.integers(1, 60), st.sampled_from(["ep", "it", "sa"]))


class Drawn(NamedTuple):
    """Parts of a plan; those of its phases that cannot follow the ones before them are left out."""

    samples: int
    first: int | str
    later: list[tuple[int | str, str]]
    last: Literal["keep", "drop"]
    budget: Span

    @property
    def both(self) -> tuple[Plan, Walk]:
        """The plan, and the same to be walked."""
        text = str(self.first)
        for size, start in self.later:
            with contextlib.suppress(PlanError):
                longer = f"{text},{size}@{start}"
                Plan(self.samples, longer, budget=self.budget, last=self.last)
                text = longer
        plan = Plan(self.samples, text, budget=self.budget, last=self.last)
        return plan, Walk(self.samples, read_batch_sizes(text), self.last)


@st.composite
def plans(draw: st.DrawFn) -> Drawn:
    samples = draw(st.integers(1, 40))
    unit = draw(st.sampled_from([Unit.EPOCHS, Unit.ITERATIONS, Unit.SAMPLES]))
    budget = Span(draw(st.integers(1, 8)) if unit is Unit.EPOCHS else draw(st.integers(samples, 120)), unit)
    size = st.integers(1, samples) | st.just("all")
    later = draw(st.lists(st.tuples(size, starts), max_size=6))
    return Drawn(samples, draw(size), later, draw(st.sampled_from(["keep", "drop"])), budget)


def walked(walk: Walk, count: int) -> list[tuple[Position, int, int]]:
    return [step for step, _ in zip(walk.steps(), range(count), strict=False)]


@given(plans(), st.integers(0, 150))
def test_positions_and_sizes_follow_the_batches(drawn: Drawn, iteration: int) -> None:
    plan, walk = drawn.both
    position, used, size = walked(walk, iteration + 1)[-1]
    assert plan.position(iteration=iteration) == position
    assert plan.samples_after(iterations=iteration) == used
    assert plan.next_batch_size(position) == size


@given(plans())
def test_budgets_end_where_the_training_that_is_counted_ends(drawn: Drawn) -> None:
    plan, walk = drawn.both
    amount = plan.budget.amount
    done = 0
    for position, used, size in walk.steps():
        is_over = {
            Unit.EPOCHS: position.epoch >= amount,
            Unit.ITERATIONS: position.iteration >= amount,
            Unit.SAMPLES: used + size > amount,
        }[plan.budget.unit]
        if is_over:
            break
        done += 1
    assert plan.iterations == done
    assert plan.end == walked(walk, done + 1)[-1][0]


@given(plans(), st.integers(0, 150))
def test_every_position_leads_to_the_same_end(drawn: Drawn, iteration: int) -> None:
    plan, walk = drawn.both
    position = walked(walk, min(iteration, plan.iterations) + 1)[-1][0]
    assert position.iteration + plan.remaining(position).amount == plan.iterations
    assert plan.advance(position, plan.remaining(position)) == plan.end


@given(plans(), st.integers(0, 150))
def test_chunks_have_batches_of_one_size_and_stay_in_their_epoch(drawn: Drawn, iteration: int) -> None:
    plan, walk = drawn.both
    position = walked(walk, iteration + 1)[-1][0]
    count = plan.iterations_alike(position)
    following = walked(walk, iteration + count + 1)[iteration:]
    assert {size for _, _, size in following[:-1]} == {plan.next_batch_size(position)}
    assert {step.epoch for step, _, _ in following[:-1]} == {position.epoch}
    assert count <= plan.iterations_left_in_epoch(position)


@given(plans(), st.integers(0, 30), st.integers(0, 5), st.integers(0, 39), st.integers(1, 60))
def test_from_any_position_parts_add_up(drawn: Drawn, iteration: int, epoch: int, offset: int, count: int) -> None:
    plan, _ = drawn.both
    position = Position(iteration, epoch, offset % plan.samples)
    assume(plan.last == "keep" or plan.iterations_left_in_epoch(position))
    whole = plan.advance(position, Span.iterations(count))
    for first in {1, count // 2, count - 1}:
        middle = plan.advance(position, Span.iterations(first))
        assert plan.advance(middle, Span.iterations(count - first)) == whole
        if plan.budget.unit is not Unit.SAMPLES or plan.last == "keep":
            left = plan.remaining(position).amount
            assert plan.remaining(middle).amount == max(0, left - first)


def test_a_wrong_count_is_found() -> None:
    plan, wrong = Plan(10, "3,2@2it", epochs=2), Walk(10, read_batch_sizes("3,2@3it"), "keep")
    assert plan.position(iteration=3) != walked(wrong, 4)[-1][0]


@given(plans())
def test_a_schedule_is_read_back_as_it_is_written(drawn: Drawn) -> None:
    plan, _ = drawn.both
    again = Plan(plan.samples, plan.batch_sizes, budget=plan.budget, last=plan.last)
    assert again == plan
    assert hash(again) == hash(plan)
    assert eval(repr(plan), {"Plan": Plan}) == plan
    assert again.phases[-1].begin == plan.phases[-1].begin


# --- what is written --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    [
        "100,200@10ep,all@7000it",
        " 100 , 200 @ 10ep, all@7_000it",
        {0: 100, "10ep": 200, "7000it": "all"},
        {Span.epochs(0): 100, Span.epochs(10): 200, Span.iterations(7_000): "all"},
    ],
)
def test_the_same_schedule_may_be_text_or_a_mapping(written: Any) -> None:
    assert Plan(60_000, written).batch_sizes == "100,200@10ep,60000@7000it"


def test_plans_differ_by_their_phases() -> None:
    assert Plan(100, "10,20@1ep") != Plan(100, "10,20@2ep")
    assert repr(Plan(100, "10,20@1ep")) == "Plan(samples=100, batch_size='10,20@1ep', epochs=1)"


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("100,200@90s", "a batch size cannot begin after a time, got 200@90s"),
        ("100,200", "above the 1000 training samples"),
        ("100,200@1ep,300", "'300' is no part of a schedule of batch sizes; write one size"),
        ("100@1ep", "'100@1ep' is no part of a schedule"),
        ("100,@1ep", "batch size must be a whole number, got ''"),
        ("100,200@", "'' is no training length"),
        ("100,200@1ep@2ep", "'1ep@2ep' is no training length"),
        ("100,200@ten", "'ten' is no training length"),
        ("100,0@1ep", "batch size must be at least 1, got 0"),
        ("100,200@0ep", "batch size 200 does not begin after 100"),
        ("100,200@2ep,300@1ep", "batch size 300@1ep does not begin after 200@2ep"),
        ("100,200@2ep,300@2ep", "batch size 300@2ep does not begin after 200@2ep"),
        ("100,100@2ep", "batch size 100@2ep is what it was before; leave it out"),
        ("1000,all@2ep", "batch size all@2ep is what it was before"),
        ("100,200@2ep,300@5it", "batch size 200@2ep would have no batch: it begins at iteration 20, and 300@5it"),
        ("100,2000@2ep", "batch size 2000 is above the 1000 training samples"),
        ({"10ep": 100}, "has no batch size to begin with"),
        ({}, "has no batch size to begin with"),
        ({0: 100, 2.5: 200}, "'2.5' is no training length"),
        (",".join(["1", *(f"{1 + n % 2}@{n}it" for n in range(1, 101))]), "101 batch sizes in one schedule; at most"),
    ],
)
def test_impossible_schedules_are_refused_in_one_line(written: Any, message: str) -> None:
    with pytest.raises(PlanError) as error:
        Plan(1_000, written)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
