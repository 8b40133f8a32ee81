"""The arithmetic of training time, against the article's numbers and against counting batch by batch."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from epochal.clock import Plan, Position, Span, Unit
from epochal.counts import parse_count
from epochal.errors import EpochalError, PlanError

HUGE = 2**100
BEYOND_FLOAT = 9007199254740993  # 2**53 + 1, which no float64 can hold


# --- the worked example ---------------------------------------------------------------------------------------------


@pytest.fixture
def article() -> Plan:
    """MNIST as the article trains on it: 60,000 images, batches of 100, 30,000 iterations."""
    return Plan(samples=60_000, batch_size=100, iterations=30_000)


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("method", "mbgd"),
        ("batches_per_epoch", 600),
        ("iterations_per_epoch", 600),
        ("updates_per_epoch", 600),
        ("samples_per_epoch", 60_000),
        ("dropped_per_epoch", 0),
        ("last_batch_size", 100),
        ("iterations", 30_000),
        ("updates", 30_000),
        ("full_epochs", 50),
        ("extra_iterations", 0),
        ("samples_used", 3_000_000),
        ("end", Position(iteration=30_000, epoch=50, offset=0)),
    ],
)
def test_worked_example(article: Plan, fact: str, value: object) -> None:
    assert getattr(article, fact) == value


def test_ten_epochs_of_the_worked_example_are_6000_updates(article: Plan) -> None:
    assert article.iterations_after(epochs=10) == 6_000
    assert Plan(samples=60_000, batch_size=100, epochs=10).updates == 6_000


@pytest.mark.parametrize("budget", [{"epochs": 50}, {"budget": "50ep"}, {"budget": "30000it"}, {"budget": "3000000sa"}])
def test_the_same_length_can_be_said_in_epochs_iterations_or_samples(article: Plan, budget: dict[str, Any]) -> None:
    plan = Plan(samples=60_000, batch_size=100, **budget)
    assert (plan.iterations, plan.end) == (article.iterations, article.end)


def test_facts_hold_every_number_under_the_name_of_its_property(article: Plan) -> None:
    facts = article.facts()
    assert facts.pop("budget") == "30000it"
    assert facts == {name: getattr(article, name) for name in facts}
    assert {"method", "batches_per_epoch", "updates", "full_epochs", "last_batch_size", "samples_used"} <= facts.keys()


@pytest.mark.parametrize(
    ("batch_size", "method", "batches"),
    [(60_000, "bgd", 1), ("all", "bgd", 1), (1, "sgd", 60_000), (100, "mbgd", 600), (59_999, "mbgd", 2)],
)
def test_three_methods_are_cases_of_one_formula(batch_size: int | str, method: str, batches: int) -> None:
    plan = Plan(60_000, batch_size)
    assert (plan.method, plan.batches_per_epoch) == (method, batches)


def test_one_sample_alone_is_the_whole_batch() -> None:
    plan = Plan(1, 1, epochs=3)
    assert (plan.method, plan.batches_per_epoch, plan.iterations, plan.last_batch_size) == ("bgd", 1, 3, 1)


def test_batches_are_not_the_articles_quotient_plus_one(article: Plan) -> None:
    """N/B + 1 is one too many wherever B divides N, the article's own example included."""
    quotient_plus_one = article.samples // article.batch_size + 1
    assert (quotient_plus_one, article.batches_per_epoch) == (601, 600)
    assert Plan(60_001, 100).batches_per_epoch == 601


# --- against a loop that counts -------------------------------------------------------------------------------------


class Batch(NamedTuple):
    """One batch, as a loop over data would meet it."""

    epoch: int
    start: int
    stop: int


def batches(samples: int, batch_size: int, last: str, epoch: int = 0, offset: int = 0) -> Iterator[Batch]:
    """Go through epoch after epoch as the definitions say: the specification of everything below."""
    while True:
        for start in range(offset, samples, batch_size):
            stop = min(start + batch_size, samples)
            if last == "keep" or stop - start == batch_size:
                yield Batch(epoch, start, stop)
        epoch, offset = epoch + 1, 0


class Shape(NamedTuple):
    """A plan's numbers, small enough to count."""

    samples: int
    batch_size: int
    last: Literal["keep", "drop"]


COUNTED = [unit for unit in Unit if unit is not Unit.MILLISECONDS]  # what can be counted before training
shapes = st.integers(1, 40).flatmap(
    lambda n: st.builds(Shape, st.just(n), st.integers(1, n), st.sampled_from(["keep", "drop"]))
)


@given(shapes, st.integers(1, 60))
def test_positions_follow_the_batches(shape: Shape, iterations: int) -> None:
    plan = Plan(shape.samples, shape.batch_size, iterations=iterations, last=shape.last)
    used = 0
    loop = batches(*shape)
    for done in range(iterations):
        batch = next(loop)
        position = plan.position(iteration=done)
        assert position == Position(done, batch.epoch, batch.start)
        assert plan.next_batch_size(position) == batch.stop - batch.start
        assert plan.samples_after(iterations=done) == used
        used += batch.stop - batch.start
    assert plan.samples_used == used
    following = next(loop)
    assert plan.end == Position(iterations, following.epoch, following.start)


@given(shapes)
def test_facts_of_an_epoch_are_those_of_its_batches(shape: Shape) -> None:
    plan = Plan(shape.samples, shape.batch_size, last=shape.last)
    loop = batches(*shape)
    epoch = [next(loop) for _ in range(plan.batches_per_epoch)]
    assert {batch.epoch for batch in epoch} == {0}
    assert next(loop).epoch == 1
    sizes = [batch.stop - batch.start for batch in epoch]
    assert plan.samples_per_epoch == sum(sizes)
    assert plan.dropped_per_epoch == shape.samples - sum(sizes)
    assert plan.last_batch_size == sizes[-1]
    assert plan.iterations_per_epoch == plan.updates_per_epoch == plan.batches_per_epoch


@given(shapes, st.integers(1, 6))
def test_budget_in_epochs_ends_where_the_last_of_them_ends(shape: Shape, epochs: int) -> None:
    plan = Plan(shape.samples, shape.batch_size, epochs=epochs, last=shape.last)
    loop = batches(*shape)
    iterations = 0
    while next(loop).epoch < epochs:
        iterations += 1
    assert plan.iterations == iterations
    assert (plan.full_epochs, plan.extra_iterations) == (epochs, 0)
    assert plan.end == Position(iterations, epochs, 0) == plan.position(epoch=epochs)


@given(shapes, st.integers(1, 200))
def test_budget_in_samples_ends_at_the_last_batch_that_it_pays_for(shape: Shape, samples: int) -> None:
    loop = batches(*shape)
    iterations, left = 0, samples
    while (batch := next(loop)).stop - batch.start <= left:
        left -= batch.stop - batch.start
        iterations += 1
    if not iterations:
        with pytest.raises(PlanError, match=f"a budget of {samples}sa ends before the first batch"):
            Plan(shape.samples, shape.batch_size, budget=Span.samples(samples), last=shape.last)
    else:
        plan = Plan(shape.samples, shape.batch_size, budget=Span.samples(samples), last=shape.last)
        assert plan.iterations == iterations
        assert samples - plan.samples_used == left >= 0


@given(shapes, st.integers(1, 130))
def test_full_epochs_and_the_iterations_beyond_them_make_the_budget(shape: Shape, iterations: int) -> None:
    plan = Plan(shape.samples, shape.batch_size, iterations=iterations, last=shape.last)
    loop = batches(*shape)
    epochs = [next(loop).epoch for _ in range(iterations + 1)]
    complete = epochs[-1]  # where the following batch is the first of an epoch, that one is complete
    assert plan.full_epochs == complete
    assert plan.extra_iterations == epochs[:-1].count(complete)
    assert plan.iterations_after(epochs=plan.full_epochs) + plan.extra_iterations == plan.iterations


@given(shapes, st.integers(1, 90), st.data())
def test_interruption_anywhere_neither_skips_nor_doubles(shape: Shape, iterations: int, data: st.DataObject) -> None:
    """Also after the very last batch of an epoch, where other trainers lose or repeat one."""
    plan = Plan(shape.samples, shape.batch_size, iterations=iterations, last=shape.last)
    interrupted = data.draw(st.integers(0, iterations))
    position = plan.advance(Position(), Span.iterations(interrupted))
    assert plan.advance(position, Span.iterations(iterations - interrupted)) == plan.end
    assert plan.end - position == Span.iterations(iterations - interrupted)
    assert plan.iterations_left_in_epoch(position) >= 1


@given(shapes, st.integers(0, 39), st.integers(0, 60))
@example(Shape(10, 4, "keep"), 8, 1)
@example(Shape(10, 3, "keep"), 5, 2)
def test_batch_size_may_change_inside_an_epoch(shape: Shape, offset: int, count: int) -> None:
    plan = Plan(shape.samples, shape.batch_size, last=shape.last)
    offset %= shape.samples
    if shape.last == "drop" and shape.samples - offset < shape.batch_size:
        return  # the next test
    position = Position(iteration=7, epoch=3, offset=offset)
    loop = batches(*shape, epoch=3, offset=offset)
    left_in_epoch = plan.iterations_left_in_epoch(position)
    for done in range(count + 1):
        batch = next(loop)
        here = plan.advance(position, Span.iterations(done))
        assert here == Position(7 + done, batch.epoch, batch.start)
        assert plan.next_batch_size(here) == batch.stop - batch.start
        assert (batch.epoch == 3) == (done < left_in_epoch)


def test_rest_of_an_epoch_that_is_dropped_has_no_iteration_left() -> None:
    """Two samples are left of ten, and the batch is of four now: they are this epoch's remainder."""
    plan = Plan(10, 4, last="drop")
    position = Position(iteration=4, epoch=0, offset=8)
    assert plan.iterations_left_in_epoch(position) == 0
    assert plan.next_batch_size(position) == 4
    assert plan.advance(position, Span.iterations(0)) == Position(4, 1, 0)
    assert plan.advance(position, Span.iterations(1)) == Position(5, 1, 4)


@given(shapes, st.integers(0, 39), st.integers(0, 4), st.integers(1, 160), st.sampled_from(COUNTED))
def test_what_remains_of_a_budget_is_counted_from_any_position(
    shape: Shape, offset: int, epoch: int, amount: int, unit: Unit
) -> None:
    """Also where the batch size has changed, so that the position is none of this plan's."""
    amount = -(-amount // shape.samples) if unit is Unit.EPOCHS else max(amount, shape.batch_size)
    plan = Plan(shape.samples, shape.batch_size, budget=Span(amount, unit), last=shape.last)
    position = plan.advance(Position(iteration=5, epoch=epoch, offset=offset % shape.samples), Span.iterations(0))
    iterations = 0
    for batch in batches(*shape, epoch=position.epoch, offset=position.offset):
        used = batch.epoch * plan.samples_per_epoch + batch.stop
        spent = {Unit.EPOCHS: batch.epoch, Unit.ITERATIONS: 5 + iterations, Unit.SAMPLES: used - 1}[unit]
        if spent >= amount:
            break
        iterations += 1
    assert plan.remaining(position) == Span.iterations(iterations)


@given(shapes, st.integers(0, 39), st.integers(0, 4), st.integers(1, 160), st.sampled_from(COUNTED), st.integers(0, 60))
def test_every_later_position_leads_to_the_same_end(
    shape: Shape, offset: int, epoch: int, amount: int, unit: Unit, later: int
) -> None:
    """From a position that need not be of this plan's batches: updates done and those to come have one sum."""
    amount = -(-amount // shape.samples) if unit is Unit.EPOCHS else max(amount, shape.batch_size)
    plan = Plan(shape.samples, shape.batch_size, budget=Span(amount, unit), last=shape.last)
    position = Position(iteration=5, epoch=epoch, offset=offset % shape.samples)
    left = plan.remaining(position).amount
    there = plan.advance(position, Span.iterations(min(later, left)))
    assert there.iteration + plan.remaining(there).amount == 5 + left


def test_position_outside_the_epoch_is_refused() -> None:
    with pytest.raises(PlanError, match=r"offset 50 .* 10 samples"):
        Plan(10, 5).advance(Position(10, 0, 50), Span.iterations(1))


def test_advance_takes_iterations_only() -> None:
    with pytest.raises(PlanError, match="advance by iterations, not by epochs"):
        Plan(10, 5).advance(Position(), Span.epochs(1))


# --- whole numbers of any size --------------------------------------------------------------------------------------


def test_numbers_of_any_size_stay_exact() -> None:
    plan = Plan(samples=HUGE + 1, batch_size=HUGE // 2, iterations=3 * HUGE)
    assert plan.batches_per_epoch == 3
    assert plan.last_batch_size == 1
    assert (plan.full_epochs, plan.extra_iterations) == (HUGE, 0)
    assert plan.samples_used == HUGE * (HUGE + 1)
    assert plan.position(iteration=HUGE) == Position(HUGE, HUGE // 3, HUGE // 2 * (HUGE % 3))


@pytest.mark.parametrize("written", [BEYOND_FLOAT, str(BEYOND_FLOAT), "9_007_199_254_740_993", "9,007,199,254,740,993"])
def test_numbers_do_not_pass_through_a_float(written: int | str) -> None:
    assert int(float(BEYOND_FLOAT)) != BEYOND_FLOAT, "the control: a float loses this number"
    plan = Plan(samples=written, batch_size=1, epochs=written)
    assert plan.samples == plan.batches_per_epoch == BEYOND_FLOAT
    assert plan.iterations == BEYOND_FLOAT**2
    assert Span.parse(f"{BEYOND_FLOAT}sa").amount == BEYOND_FLOAT


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (7, 7),
        (np.int64(7), 7),
        (np.uint8(200), 200),
        (np.array(7), 7),
        ("7", 7),
        (" 7 ", 7),
        ("+7", 7),
        ("007", 7),
        ("60_000", 60_000),
        ("60,000", 60_000),
        (HUGE, HUGE),
        (str(HUGE), HUGE),
    ],
)
def test_counts_are_read_exactly(value: Any, number: int) -> None:
    counted = parse_count("samples", value)
    assert counted == number
    assert type(counted) is int


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    "value",
    [
        *("", " ", "all", "1.0", "1e3", "6e4", "0x10", "１２", "1 000", "ten", "inf", "nan", "--5", "+", "½"),
        *("1,5", "1,00", "60,00,0", ",5", "5,", "1,,000", "_1", "1__0", "1_", "1_000,000"),
        *(1.0, 1e3, 0.5, float("nan"), float("inf"), np.float64(3.0), True, False, np.True_, None, [3], b"3", 3 + 0j),
    ],
)
def test_what_is_no_whole_number_is_refused(value: Any) -> None:
    with pytest.raises(PlanError, match=r"^samples must be a whole number, got "):
        parse_count("samples", value)


@pytest.mark.parametrize("value", [0, -1, "0", "-1", -HUGE, -(10**5000)], ids=range(6))
def test_counts_below_one_are_refused(value: int | str) -> None:
    with pytest.raises(PlanError, match=r"^batch size must be at least 1, got ") as caught:
        parse_count("batch size", value)
    assert len(str(caught.value)) < 80


@pytest.mark.parametrize("value", ["9" * 2000, "1" + "_000" * 2000], ids=["plain", "grouped"])
def test_absurdly_long_texts_are_refused_in_one_short_line(value: str) -> None:
    with pytest.raises(PlanError, match=r"^samples has .* digits; at most 1,000 are read$") as caught:
        parse_count("samples", value)
    assert len(str(caught.value)) < 80


def test_largest_numbers_that_are_read_can_be_printed() -> None:
    """Python refuses to print integers of more than 4,300 digits; products of those that are read stay below that."""
    most = "9" * 1000
    plan = Plan(samples=most, batch_size=1, epochs=most)
    assert len(f"{plan.samples_used:,}") > 2000
    assert len(f"{Plan(samples=most, batch_size='all', epochs=most).facts()}") > 2000


# --- spans and positions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("50ep", Span.epochs(50)),
        ("30000it", Span.iterations(30_000)),
        ("3_000_000sa", Span.samples(3_000_000)),
        ("3,000,000 sa", Span.samples(3_000_000)),
        (" 0it ", Span(0, Unit.ITERATIONS)),
        ("90s", Span(90_000, Unit.MILLISECONDS)),
        ("0.05s", Span(50, Unit.MILLISECONDS)),
        ("1500ms", Span.seconds(1.5)),
    ],
)
def test_spans_are_read_from_text(text: str, span: Span) -> None:
    assert Span.parse(text) == span


@pytest.mark.parametrize("text", ["1.0005s", "-1s", "1e3s", ".5s", "1,5s", "s"])
def test_seconds_are_exact_to_the_millisecond(text: str) -> None:
    with pytest.raises(PlanError):
        Span.parse(text)


def test_a_plan_of_seconds_has_an_open_end() -> None:
    plan = Plan(samples=10, batch_size=4, budget="1.5s")
    assert plan.is_open
    assert plan.batches_per_epoch == 3
    position = plan.position(iteration=7)
    assert (position.epoch, position.offset) == (2, 4)
    assert [plan.is_spent(position, seconds) for seconds in (0.0, 1.499, 1.5, 9.0)] == [False, False, True, True]
    for count in ("iterations", "updates", "full_epochs", "samples_used", "end"):
        with pytest.raises(PlanError, match=r"a budget of 1\.5s has no number of iterations that is known beforehand"):
            getattr(plan, count)
    with pytest.raises(PlanError, match="known beforehand"):
        plan.remaining(position)
    assert "iterations" not in plan.facts()
    assert plan.facts()["budget"] == "1.5s"


@given(st.integers(1, 50), st.integers(0, 60), st.floats(0, 1e9))
def test_a_plan_with_a_known_end_is_spent_there_whatever_the_time(iterations: int, at: int, seconds: float) -> None:
    plan = Plan(samples=10, batch_size=4, iterations=iterations)
    assert plan.is_spent(plan.position(iteration=at), seconds) is (at >= iterations)


@given(st.integers(0, HUGE), st.sampled_from(Unit))
def test_spans_are_read_back_as_they_are_written(amount: int, unit: Unit) -> None:
    assert Span.parse(str(Span(amount, unit))) == Span(amount, unit)


@pytest.mark.parametrize(
    "text", ["", "50", "ep", "50 epochs", "5.5ep", "-5ep", "1e3it", "50EP", "50ep 3it", "50ep\n3it"]
)
def test_other_texts_are_no_span(text: str) -> None:
    with pytest.raises(PlanError, match="is no training length; write 50ep, 30000it, 3000000sa or 90s"):
        Span.parse(text)


def test_spans_of_one_unit_add_subtract_and_compare() -> None:
    short, long = Span.iterations(200), Span.iterations(300)
    assert short + long == Span.iterations(500)
    assert long - short == Span.iterations(100)
    assert short < long
    assert long >= short
    assert max(short, long) is long
    with pytest.raises(PlanError, match="iterations must be at least 0, got -100"):
        short - long


@pytest.mark.parametrize("other", [Span.epochs(1), Span.samples(1), 1, 1.0, "1it", None])
def test_different_units_are_unequal_and_neither_ordered_nor_added(other: Any) -> None:
    one = Span.iterations(1)
    assert one != other
    for compute in (
        lambda: one < other,
        lambda: one <= other,
        lambda: one > other,
        lambda: one >= other,
        lambda: one + other,
        lambda: one - other,
    ):
        with pytest.raises(TypeError):
            compute()


def test_points_differ_by_a_length_and_do_not_add() -> None:
    earlier, later = Position(200, 0, 20_000), Position(700, 1, 10_000)
    assert later - earlier == Span.iterations(500)
    assert earlier < later
    for compute in (lambda: earlier + later, lambda: earlier + 1, lambda: earlier < 700, lambda: earlier - 1):
        with pytest.raises(TypeError):
            compute()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("field", ["iteration", "epoch", "offset"])
def test_positions_are_whole_numbers_from_zero(field: str) -> None:
    with pytest.raises(PlanError, match=f"{field} must be at least 0, got -1"):
        Position(**{field: -1})
    with pytest.raises(PlanError, match=f"{field} must be a whole number"):
        Position(**{field: "1.5"})


@pytest.mark.parametrize("value", [Plan(10, 3), Position(1, 0, 3), Span.epochs(2)])
def test_values_are_frozen_and_have_no_room_for_more(value: Any) -> None:
    for field in dataclasses.fields(value):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, field.name, 1)
    with pytest.raises((AttributeError, TypeError)):
        value.step = 1
    assert not hasattr(value, "__dict__")
    assert hash(value) == hash(dataclasses.replace(value)) if not isinstance(value, Plan) else hash(value)


def test_plans_are_equal_by_what_was_planned() -> None:
    assert Plan(10, "all") == Plan("10", 10, epochs=1)
    assert hash(Plan(10, "all")) == hash(Plan(10, 10))
    assert Plan(10, 5, epochs=2) != Plan(10, 5, iterations=4), "a budget is kept as it was given"


# --- what cannot be a plan ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"samples": 0}, "samples must be at least 1, got 0"),
        ({"samples": 1.5}, "samples must be a whole number, got 1.5; write it as an int"),
        ({"batch_size": 0}, "batch size must be at least 1, got 0"),
        ({"batch_size": -3}, "batch size must be at least 1, got -3"),
        ({"batch_size": "half"}, "batch size must be a whole number, got 'half'"),
        ({"batch_size": 11}, "batch size 11 is above the 10 training samples; use at most 10, or 'all'"),
        (
            {"batch_size": 11, "last": "drop"},
            "batch size 11 is above the 10 training samples; use at most 10, or 'all'",
        ),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"epochs": 2.5}, "epochs must be a whole number, got 2.5; write it as an int"),
        ({"iterations": -1}, "iterations must be at least 1, got -1"),
        ({"epochs": 2, "iterations": 5}, "give one budget, not 2: epochs and iterations"),
        ({"epochs": 2, "iterations": 5, "budget": "2ep"}, "give one budget, not 3: epochs and iterations and budget"),
        ({"budget": "2"}, "'2' is no training length; write 50ep, 30000it, 3000000sa or 90s"),
        ({"budget": 2}, "budget must be a training length, got 2; write 50ep, 30000it, 3000000sa or 90s"),
        ({"budget": "0ep"}, "a budget of 0ep ends before the first batch of 5 samples"),
        ({"budget": "4sa"}, "a budget of 4sa ends before the first batch of 5 samples"),
        ({"last": "pad"}, "last must be 'keep' or 'drop', got 'pad'"),
    ],
)
def test_impossible_plans_are_refused_with_the_reason(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanError) as caught:
        Plan(**{"samples": 10, "batch_size": 5, **arguments})
    assert str(caught.value) == message
    assert isinstance(caught.value, EpochalError)
    assert isinstance(caught.value, ValueError)


@given(shapes)
def test_every_plan_that_is_accepted_trains(shape: Shape) -> None:
    """Dropping the last batch never leaves an epoch without any: 100 epochs that train nothing cannot be planned."""
    plan = Plan(shape.samples, shape.batch_size, epochs=100, last=shape.last)
    assert plan.batches_per_epoch >= 1
    assert plan.iterations >= 100


@pytest.mark.parametrize("arguments", [{}, {"epochs": 1, "samples": 1}])
def test_one_length_is_converted_at_a_time(arguments: dict[str, int]) -> None:
    with pytest.raises(PlanError, match="give either epochs or samples"):
        Plan(10, 5).iterations_after(**arguments)


@pytest.mark.parametrize("arguments", [{}, {"iteration": 1, "epoch": 1}])
def test_one_place_is_converted_at_a_time(arguments: dict[str, int]) -> None:
    with pytest.raises(PlanError, match="give either iteration or epoch"):
        Plan(10, 5).position(**arguments)
