"""Optimizers and schedules: the rules by hand, and a learning rate that is measured in updates of the plan."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from workbench import constant, drive, engine_for, numbered, output_itself

from epochal.clock import Lengths, Plan
from epochal.engine import OPTIMIZERS, Optimizer, build_optimizer, check_warmup, default_learning_rate
from epochal.engine.optimizer import SCHEDULES, DefaultRate, check_rate, register
from epochal.errors import OptionError, PlanError

GRADIENTS = [1.0, -2.0, 0.5, 0.0, 3.0]


def optimizer_of(
    name: str = "sgd", updates: int = 0, schedule: str = "constant", warmup: int = 0, **options: Any
) -> Any:
    return build_optimizer(name, options, schedule=schedule, warmup=warmup, updates=updates)


def weights_by_optax(optimizer: Optimizer, rate: float, gradients: list[float]) -> list[float]:
    """One weight, from 1.0, after each gradient."""
    transformation = optimizer.with_rate(rate)
    weight = jnp.float32(1.0)
    state, weights = optimizer.init(weight), []
    for gradient in gradients:
        change, state = transformation.update(jnp.float32(gradient), state, weight)
        weight = optax.apply_updates(weight, change)
        weights.append(float(weight))
    return weights


def rates(updates: int, schedule: str = "constant", warmup: int = 0) -> list[float]:
    """The learning rate of each update, from 0.5: what a gradient of 1 takes off under plain descent."""
    optimizer = optimizer_of(updates=updates, schedule=schedule, warmup=warmup)
    weights = [1.0, *weights_by_optax(optimizer, 0.5, [1.0] * updates)]
    return [before - after for before, after in pairwise(weights)]


# --- rules ----------------------------------------------------------------------------------------------------------


def by_hand(name: str, rate: float, gradients: list[float], momentum: float, decay: float) -> list[float]:
    """The textbook's rules, one weight from 1.0, which decays by itself."""
    weight, velocity, mean, square, weights = 1.0, 0.0, 0.0, 0.0, []
    for number, gradient in enumerate(gradients, start=1):
        match name:
            case "sgd":
                change = gradient
            case "momentum" | "nesterov":
                velocity = gradient + momentum * velocity
                change = gradient + momentum * velocity if name == "nesterov" else velocity
            case "rmsprop":
                square = 0.9 * square + 0.1 * gradient**2
                change = gradient / math.sqrt(square + 1e-8)
            case "adagrad":
                square += gradient**2 + (0.1 if number == 1 else 0)
                change = gradient / math.sqrt(square + 1e-7)
            case "lion":
                change = float(np.sign(0.9 * mean + 0.1 * gradient))
                mean = 0.99 * mean + 0.01 * gradient
            case "adafactor":
                kept = 1 - number**-0.8
                square = kept * square + (1 - kept) * (gradient**2 + 1e-30)
                change = gradient / math.sqrt(square)
                change = change / max(1, abs(change)) * max(1e-3, abs(weight))
            case _:
                mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
                change = mean / (1 - 0.9**number) / (math.sqrt(square / (1 - 0.999**number)) + 1e-8)
        weight -= rate * (change + decay * weight)
        weights.append(weight)
    return weights


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_rules_are_the_textbooks(name: str) -> None:
    values = {"momentum": 0.8, "weight_decay": 0.3}
    optimizer = optimizer_of(name, **{option: values[option] for option in OPTIMIZERS[name].defaults})
    expected = by_hand(name, 0.1, GRADIENTS, momentum=0.8, decay=0.3)
    assert weights_by_optax(optimizer, 0.1, GRADIENTS) == pytest.approx(expected, abs=1e-5)


def test_rules_are_told_apart() -> None:
    """The control for the comparison above: no two rules go the same way, but adam and adamw with one decay."""
    ends = [by_hand(name, 0.1, GRADIENTS, momentum=0.8, decay=0.3)[-1] for name in OPTIMIZERS if name != "adamw"]
    assert min(abs(a - b) for i, a in enumerate(ends) for b in ends[:i]) > 1e-3
    assert by_hand("sgd", 0.1, GRADIENTS, 0.8, 0.0)[-1] != pytest.approx(ends[0], abs=1e-2)


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "adamw"])
def test_no_decay_is_the_default_and_leaves_the_rule_as_it_is(name: str) -> None:
    expected = by_hand(name, 0.1, GRADIENTS, momentum=0.9, decay=0.0)
    assert weights_by_optax(optimizer_of(name), 0.1, GRADIENTS) == pytest.approx(expected, abs=1e-5)
    assert dict(optimizer_of(name).options)["weight_decay"] is None


def test_decay_follows_the_schedule() -> None:
    """Without a gradient, each update takes its rate times the decay off the weight: nothing at a rate of nothing."""
    optimizer = optimizer_of("sgd", updates=4, schedule="linear", weight_decay=0.5)
    expected = np.cumprod([1 - 0.1 * share * 0.5 for share in (1, 0.75, 0.5, 0.25)])
    assert weights_by_optax(optimizer, 0.1, [0.0] * 4) == pytest.approx(expected.tolist(), abs=1e-6)


# --- clipping -------------------------------------------------------------------------------------------------------


def test_a_gradient_is_clipped_by_the_norm_of_all_its_arrays() -> None:
    """Before the rule: momentum adds up gradients of norm 1."""
    optimizer = build_optimizer("momentum", {"momentum": 0.5}, clip_norm=1.0)
    params = {"a": jnp.zeros(1), "b": jnp.zeros(1)}
    long, short = ({"a": jnp.array([3.0]), "b": jnp.array([4.0])}, {"a": jnp.array([0.3]), "b": jnp.array([0.4])})
    state = optimizer.init(params)

    change, state = optimizer.with_rate(1.0).update(long, state, params)
    assert (float(change["a"][0]), float(change["b"][0])) == pytest.approx((-0.6, -0.8))
    change, state = optimizer.with_rate(1.0).update(short, state, params)
    assert (float(change["a"][0]), float(change["b"][0])) == pytest.approx((-0.6, -0.8)), "0.3 + 0.5 · 0.6, 0.4 + …"


def test_clipping_counts_for_programs_and_its_absence_leaves_the_state_as_it_was() -> None:
    assert build_optimizer("sgd", clip_norm=1.0) == build_optimizer("sgd", clip_norm=1.0) != build_optimizer("sgd")
    plain = jax.tree.structure(build_optimizer("momentum").init(jnp.ones(2)))
    assert plain == jax.tree.structure(optax.sgd(1.0, momentum=0.9).init(jnp.ones(2)))


@pytest.mark.parametrize("norm", [0.0, -1.0, math.nan, math.inf])
def test_norms_out_of_range_are_refused(norm: float) -> None:
    with pytest.raises(OptionError, match=f"the norm to clip to must be a finite number above 0, got {norm}"):
        build_optimizer("sgd", clip_norm=norm)


# --- schedules ------------------------------------------------------------------------------------------------------


def cosine(share: float) -> float:
    return (1 + math.cos(math.pi * share)) / 2


@pytest.mark.parametrize(
    ("schedule", "warmup", "expected"),
    [
        ("constant", 0, [1.0] * 10),
        ("linear", 0, [1 - k / 10 for k in range(10)]),
        ("cosine", 0, [cosine(k / 10) for k in range(10)]),
        ("constant", 4, [0.25, 0.5, 0.75, *[1.0] * 7]),
        ("constant", 1, [1.0] * 10),
        ("linear", 4, [0.25, 0.5, 0.75, 1.0, *[1 - k / 6 for k in range(6)]]),
        ("cosine", 4, [0.25, 0.5, 0.75, 1.0, *[cosine(k / 6) for k in range(6)]]),
        ("cosine", 10, [(k + 1) / 10 for k in range(10)]),
    ],
)
def test_rate_at_each_update(schedule: str, warmup: int, expected: list[float]) -> None:
    assert rates(10, schedule, warmup) == pytest.approx([0.5 * share for share in expected], abs=1e-6)


def test_one_cycle_rises_for_three_tenths_and_falls_to_almost_nothing() -> None:
    rate = rates(100, "one-cycle")
    assert max(rate) == pytest.approx(0.5, abs=1e-6)
    assert int(np.argmax(rate)) == 30
    assert rate[:31] == sorted(rate[:31])
    assert rate[30:] == sorted(rate[30:], reverse=True)
    assert rate[0] == pytest.approx(0.02, abs=1e-6)
    assert rate[-1] < 0.001


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("updates", [1, 2, 3])
def test_the_shortest_plans_have_finite_rates(schedule: str, updates: int) -> None:
    rate = rates(updates, schedule)
    assert all(0 < value <= 0.5 + 1e-6 for value in rate)


@pytest.mark.parametrize("micro_batch", [None, 3])
def test_schedule_counts_updates_not_micro_batches_nor_epochs(micro_batch: int | None) -> None:
    """The weight falls by the rate at each update, and is the loss: three epochs of two batches of five samples."""
    plan = Plan(10, 5, epochs=3)
    optimizer = optimizer_of(updates=plan.updates, schedule="linear", warmup=2)
    engine = engine_for(
        constant(1.0), numbered(10), loss=output_itself, optimizer=optimizer, rate=0.5, micro_batch=micro_batch
    )
    state, losses, _ = drive(engine, plan)
    weights = [*losses.tolist(), float(state.params)]
    used = [before - after for before, after in pairwise(weights)]
    assert used == pytest.approx(rates(6, "linear", 2), abs=1e-6)
    twice_as_fast = rates(12, "linear", 2)[::2]
    assert used != pytest.approx(twice_as_fast, abs=1e-2), "the control: two micro-batches an update, both counted"


# --- warm-up and default rates --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("warmup", "updates"),
    [(None, 0), ("2ep", 12), ("7it", 7), ("500sa", 5), ("619sa", 6), ("620sa", 7), ("0it", 0), ("10ep", 60)],
)
def test_warm_up_is_a_training_length_of_the_plan(warmup: str | None, updates: int) -> None:
    lengths = Lengths.of(Plan(520, 100, epochs=10), warmup)
    assert lengths == Lengths(60, updates)
    check_warmup(warmup, lengths)


def test_warm_up_beyond_the_plan_is_refused() -> None:
    with pytest.raises(OptionError, match="a warm-up of 11ep is 66 updates, more than the plan's 60"):
        check_warmup("11ep", Lengths.of(Plan(520, 100, epochs=10), "11ep"))
    with pytest.raises(PlanError, match="'soon' is no training length"):
        Lengths.of(Plan(520, 100, epochs=10), "soon")


def test_warm_up_within_a_budget_of_time_may_be_of_any_length() -> None:
    lengths = Lengths.of(Plan(520, 100, budget="1s"), "11ep")
    assert lengths == Lengths(None, 66)
    check_warmup("11ep", lengths)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_default_rate_grows_with_the_batch_and_ever_less_beyond_its_knee(optimizer: str) -> None:
    rate = OPTIMIZERS[optimizer].rate
    for batch_size in (1, 7, 64, 1_000):
        formula = min(rate.most, rate.largest / (1 + rate.knee / batch_size) ** rate.power)
        assert default_learning_rate(optimizer, batch_size) == pytest.approx(formula, rel=0.01)
    assert default_learning_rate(optimizer, 10**9) == pytest.approx(min(rate.most, rate.largest), rel=0.01)


@pytest.mark.parametrize("power", [1.0, 0.5])
def test_a_rate_can_grow_faster_or_further(power: float) -> None:
    rate = DefaultRate(0.5, 20.0, power, most=0.4)
    assert rate.steeper(0.25).of(1) == pytest.approx(0.25 * rate.of(1), rel=0.05)
    assert rate.steeper(0.25).of(10**9) == rate.of(10**9) == 0.4
    assert rate.higher(2.0).of(1) == pytest.approx(rate.of(1), rel=0.05)
    assert rate.higher(2.0).of(10**9) == 1.0


def test_the_rate_of_plain_descent_ends_where_whole_batches_begin_to_swing() -> None:
    assert [default_learning_rate("sgd", size) for size in (64, 100, 1_000, 60_000)] == [0.36, 0.4, 0.4, 0.4]


@pytest.mark.parametrize(("optimizer", "factor"), [("sgd", 8), ("momentum", 8), ("adam", 8**0.5), ("adamw", 8**0.5)])
def test_small_batches_have_the_rate_that_their_noise_allows(optimizer: str, factor: float) -> None:
    """Linear in the batch for plain descent (Goyal et al. 2017), its root for Adam (Malladi et al. 2022)."""
    assert default_learning_rate(optimizer, 8) / default_learning_rate(optimizer, 1) == pytest.approx(factor, rel=0.25)


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("adma", {}, "unknown optimizer 'adma': did you mean 'adam'?"),
        ("sgd", {"schedule": "cosin"}, "unknown schedule 'cosin': did you mean 'cosine'?"),
        ("momentum", {"momentum": 1.0}, "momentum must be at least 0 and below 1, got 1.0"),
        ("nesterov", {"momentum": -0.1}, "momentum must be at least 0 and below 1, got -0.1"),
        ("momentum", {"momentum": math.nan}, "momentum must be at least 0 and below 1, got nan"),
        ("adamw", {"weight_decay": -1.0}, "weight decay must be a finite number of at least 0, got -1.0"),
        ("adamw", {"weight_decay": math.nan}, "weight decay must be a finite number of at least 0, got nan"),
        ("sgd", {"schedule": "one-cycle", "warmup": 5}, "one-cycle has its own warm-up; leave out warmup"),
        ("lion", {"weight_decay": -1.0}, "weight decay must be a finite number of at least 0, got -1.0"),
        ("adam", {"momentum": 0.5}, "momentum has no effect with adam; it is an option of momentum and nesterov"),
        ("sgd", {"moment": 0.5}, "unknown option of sgd 'moment'. Known: "),
    ],
)
def test_what_cannot_be_is_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        optimizer_of(name, updates=10, **options)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("rate", [0.0, -0.1, math.nan, math.inf])
def test_rates_out_of_range_are_refused(rate: float) -> None:
    with pytest.raises(OptionError, match=f"the learning rate must be a finite number above 0, got {rate}"):
        check_rate(rate)


def test_default_rate_of_an_unknown_optimizer_is_refused() -> None:
    with pytest.raises(OptionError, match="unknown optimizer 'sdg': did you mean 'sgd'"):
        default_learning_rate("sdg", 100)


# --- what decides a program -----------------------------------------------------------------------------------------


def test_equal_arguments_make_equal_optimizers_and_lengths_count_for_schedules_alone() -> None:
    assert optimizer_of("adamw", 10, weight_decay=0.1) == optimizer_of("adamw", 20, weight_decay=0.1)
    assert optimizer_of("adamw", weight_decay=0.1) != optimizer_of("adamw", weight_decay=0.2)
    assert optimizer_of("sgd", 10, "linear") != optimizer_of("sgd", 20, "linear")
    assert optimizer_of("sgd", 10, warmup=3) == optimizer_of("sgd", 20, warmup=3)
    assert optimizer_of("momentum") != optimizer_of("nesterov")


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_states_structure_does_not_depend_on_how_the_rate_is_given(name: str, schedule: str) -> None:
    """Checkpoints name arrays by their path: a rate that is traced must lead to the same ones as a number."""
    optimizer, params = optimizer_of(name, 10, schedule), {"w": jnp.ones(3)}
    plain = jax.tree.structure(optimizer.with_rate(0.1).init(params))
    assert jax.tree.structure(optimizer.init(params)) == plain
    step = jax.jit(lambda rate: optimizer.with_rate(rate).update(params, optimizer.init(params), params)[1])
    assert jax.tree.structure(step(0.1)) == plain


@pytest.fixture
def clipped() -> Iterator[None]:
    """An optimizer that is defined outside the package, with an option that none there has."""

    @register("clipped", rate_at_100=0.2)
    def clipped(rate: Any, *, largest: float = 1.0) -> optax.GradientTransformation:
        return optax.chain(optax.clip(largest), optax.sgd(rate))

    yield
    del OPTIMIZERS["clipped"]


@pytest.mark.usefixtures("clipped")
def test_an_optimizer_with_an_option_of_its_own_needs_one_function() -> None:
    assert weights_by_optax(optimizer_of("clipped", largest=0.5), 1.0, [3.0, 0.25]) == [0.5, 0.25]
    assert (optimizer_of("clipped").is_built_in, optimizer_of("sgd").is_built_in) == (False, True)
    assert default_learning_rate("clipped", 100) == 0.2
    with pytest.raises(OptionError, match="largest has no effect with adam; it is an option of clipped"):
        optimizer_of("adam", largest=0.5)
