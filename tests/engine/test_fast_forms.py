"""Fast forms equal the operations that they replace, outputs and gradients; nothing else is touched; trainings with
them have the same bits in chunks of any length and after a resume; and they are fast.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax
from workbench import drive, engine_for

from epochal import from_functions
from epochal.clock import Plan, Position, Span
from epochal.data import Dataset, from_arrays
from epochal.engine.fast_forms import fast_apply, fast_function
from epochal.engine.fast_forms.choosing import choose_form
from epochal.engine.fast_forms.own_kernels import with_own_kernels
from epochal.engine.fast_forms.rewriting import operations, rewrite
from epochal.models import Model, build_model

Function = Callable[..., Any]
SLOW = {"conv_general_dilated", "reduce_window_max", "reduce_window_sum", "select_and_scatter_add"}
NHWC = ("NHWC", "HWIO", "NHWC")


@pytest.fixture
def double() -> Iterator[None]:
    with jax.enable_x64():
        yield


def values(*shape: int, seed: int = 0) -> Any:
    """Normal numbers, in double precision where that is on."""
    return jnp.asarray(np.random.default_rng([seed, *shape]).standard_normal(shape))


def with_gradients(function: Function) -> Function:
    """Return the function's outputs together with the gradients of a fixed mixture of them."""

    def both(*arguments: Any) -> list[Any]:
        outputs, pull = jax.vjp(function, *arguments)
        return [outputs, *pull(values(*outputs.shape, seed=1).astype(outputs.dtype))]

    return both


def in_fast_form(function: Function) -> Function:
    """Return the function as it is rewritten."""
    return lambda *arguments: rewrite(jax.make_jaxpr(function)(*arguments), choose_form)(*jax.tree.leaves(arguments))


def distance(function: Function, *arguments: Any, other: Function | None = None) -> float:
    """Return the largest difference of outputs and gradients from those of the function as written (or another)."""
    fast, plain = in_fast_form(with_gradients(function)), with_gradients(other or function)
    pairs = jax.jit(lambda *arguments: list(zip(fast(*arguments), plain(*arguments), strict=True)))(*arguments)
    assert all(a.shape == b.shape and a.dtype == b.dtype for a, b in pairs)
    compared = [(np.asarray(a), np.asarray(b)) for a, b in pairs]  # JAX would compile each operation for each shape
    return max(float(np.abs(a - b).max() / (1e-30 + np.abs(b).max())) for a, b in compared)


def names(function: Function, *arguments: Any) -> set[str]:
    """Return the names of all operations of a function."""
    return {equation.primitive.name for equation in operations(jax.make_jaxpr(function)(*arguments).jaxpr)}


# --- convolutions -----------------------------------------------------------------------------------------------------

IMAGES = {
    # name: height, width, sides, channels, features, and what else differs from a plain convolution
    "plain": (7, 6, (3, 3), 3, 4, {}),
    "one pixel": (5, 4, (1, 1), 3, 4, {}),
    "even kernel": (7, 6, (2, 4), 3, 4, {}),
    "no padding": (7, 6, (3, 2), 3, 4, {"padding": "VALID"}),
    "uneven padding": (7, 6, (3, 3), 3, 4, {"padding": [(2, 0), (0, 3)]}),
    "cropped": (7, 6, (3, 3), 3, 4, {"padding": [(-1, 1), (0, -1)]}),
    "stride": (7, 6, (3, 3), 3, 4, {"window_strides": (2, 2)}),
    "stride beyond the kernel": (7, 8, (1, 2), 3, 4, {"window_strides": (2, 3)}),
    "many channels, strides": (7, 6, (3, 3), 16, 2, {"window_strides": (2, 1)}),
    "dilation": (9, 8, (3, 3), 3, 4, {"rhs_dilation": (2, 2)}),
    "dilation, stride": (9, 8, (3, 3), 3, 4, {"rhs_dilation": (2, 3), "window_strides": (2, 2)}),
    "zeros between": (4, 5, (3, 3), 3, 4, {"lhs_dilation": (2, 3), "padding": [(1, 2), (2, 1)]}),
    "zeros between, stride, dilation": (
        *(5, 4, (3, 3), 4, 4),
        {"lhs_dilation": (2, 3), "window_strides": (3, 2), "rhs_dilation": (2, 2), "padding": [(2, 3), (3, 3)]},
    ),
    "groups": (7, 6, (3, 3), 4, 6, {"feature_group_count": 2}),
    "groups, stride": (7, 6, (3, 3), 6, 6, {"feature_group_count": 3, "window_strides": (2, 2)}),
    "depthwise": (7, 6, (3, 3), 4, 4, {"feature_group_count": 4}),
    "depthwise, stride": (7, 6, (3, 3), 4, 4, {"feature_group_count": 4, "window_strides": (2, 2)}),
    "depthwise, several features, dilation": (
        *(8, 9, (3, 2), 4, 8),
        {"feature_group_count": 4, "rhs_dilation": (2, 1)},
    ),
    "depthwise, zeros between": (4, 4, (3, 3), 4, 4, {"feature_group_count": 4, "lhs_dilation": (2, 2)}),
    "as large as the image": (5, 5, (5, 5), 3, 4, {"padding": "VALID"}),
    "many rows": (19, 5, (3, 3), 4, 4, {"feature_group_count": 4}),
}


def convolution(**options: Any) -> Function:
    options = {"window_strides": (1, 1), "padding": "SAME", "dimension_numbers": NHWC, **options}
    if "lhs_dilation" in options and options["padding"] == "SAME":
        options["padding"] = [(1, 2), (1, 2)]
    return lambda x, kernel: lax.conv_general_dilated(x, kernel, **options)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("name", IMAGES)
def test_a_convolution_and_its_gradients_are_those_of_xla(name: str) -> None:
    height, width, sides, channels, features, options = IMAGES[name]
    groups = options.get("feature_group_count", 1)
    x, kernel = values(3, height, width, channels), values(*sides, channels // groups, features)
    assert distance(convolution(**options), x, kernel) < 1e-13


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_sequences_volumes_and_other_layouts(groups: int) -> None:
    for axes, window in (("H", (2,)), ("HW", (2, 1)), ("DHW", (1, 2, 2))):
        layout = (f"NC{axes}", f"OI{axes}", f"NC{axes}")
        operation = convolution(window_strides=window, dimension_numbers=layout, feature_group_count=groups)
        sides = (3, 2, 3)[: len(axes)]
        assert distance(operation, values(2, 4, *(6, 5, 4)[: len(axes)]), values(8, 4 // groups, *sides)) < 1e-13


@pytest.mark.usefixtures("double")
def test_a_transposed_convolution() -> None:
    for stride, padding in ((2, "SAME"), (3, "VALID")):

        def operation(x: Any, kernel: Any, stride: int = stride, padding: str = padding) -> Any:
            return lax.conv_transpose(x, kernel, (stride, stride), padding)

        assert distance(operation, values(2, 5, 4, 3), values(3, 2, 3, 4)) < 1e-13


@pytest.mark.usefixtures("double")
def test_the_comparison_notices_a_kernel_turned_round_and_padding_on_the_other_side() -> None:
    x, kernel = values(2, 6, 5, 3), values(3, 3, 3, 4)
    plain = convolution(padding=[(0, 1), (1, 0)])
    for wrong in (lambda x, k: plain(x, k[::-1]), convolution(padding=[(1, 0), (1, 0)])):
        assert distance(plain, x, kernel, other=wrong) > 0.1


def test_in_single_precision_they_differ_by_rounding() -> None:
    x, kernel = values(8, 9, 9, 16).astype(jnp.float32), values(3, 3, 16, 8).astype(jnp.float32)
    assert distance(convolution(), x, kernel) < 8 * np.finfo(np.float32).eps * (9 * 9 * 8) ** 0.5


@given(
    size=st.tuples(st.integers(1, 3), st.integers(3, 9), st.integers(3, 9)),
    sides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    pads=st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * 2),
    groups=st.sampled_from([(3, 2, 1), (4, 4, 4), (4, 4, 2)]),
)
@settings(max_examples=15, deadline=None, derandomize=True)
def test_any_convolution(size: Any, sides: Any, strides: Any, dilation: Any, pads: Any, groups: Any) -> None:
    with jax.enable_x64():
        spread = [(side - 1) * step + 1 for side, step in zip(sides, dilation, strict=True)]
        pads = [(low + max(0, s - n), high) for (low, high), s, n in zip(pads, spread, size[1:], strict=True)]
        channels, features, count = groups
        operation = convolution(window_strides=strides, rhs_dilation=dilation, padding=pads, feature_group_count=count)
        assert distance(operation, values(*size, channels), values(*sides, channels // count, features)) < 1e-13


# --- pools ------------------------------------------------------------------------------------------------------------


def pool(kind: str, window: tuple[int, ...], strides: tuple[int, ...], padding: Any) -> Function:
    start, combine = {"max": (-jnp.inf, lax.max), "min": (jnp.inf, lax.min), "sum": (0.0, lax.add)}[kind]
    return lambda x: lax.reduce_window(x, start, combine, (1, *window, 1), (1, *strides, 1), padding)


POOLS = {
    "halves": ((2, 2), (2, 2), "VALID"),
    "a rest is left out": ((3, 2), (3, 2), "VALID"),
    "overlap, padding": ((3, 3), (2, 2), "SAME"),
    "every pixel": ((3, 3), (1, 1), "SAME"),
    "gaps": ((2, 1), (3, 2), [(0, 0), (1, 1), (0, 0), (0, 0)]),
}


@pytest.mark.parametrize("kind", ["max", "min", "sum"])
@pytest.mark.parametrize("name", POOLS)
def test_a_pool_and_its_gradient_are_those_of_xla(name: str, kind: str) -> None:
    x = jnp.concatenate([values(2, 7, 8, 3), jnp.round(values(2, 7, 8, 3))]).astype(jnp.float32)  # the rest has ties
    far = distance(pool(kind, *POOLS[name]), x)
    assert far == 0 if kind != "sum" and "overlap" not in name and "every" not in name else far < 1e-6


def test_among_equals_the_first_wins() -> None:
    gradient = jax.jit(in_fast_form(jax.grad(lambda x: pool("max", *POOLS["halves"])(x).sum())))
    assert gradient(jnp.ones((1, 2, 4, 1)))[0].reshape(2, 4).tolist() == [[1, 0, 1, 0], [0, 0, 0, 0]]


def test_the_comparison_notices_that_the_last_wins() -> None:
    def turned(x: Any) -> Any:
        return pool("max", *POOLS["halves"])(x[:, ::-1, ::-1])[:, ::-1, ::-1]

    x = jnp.round(values(2, 8, 8, 3)).astype(jnp.float32)
    assert distance(pool("max", *POOLS["halves"]), x, other=turned) > 0.1


# --- the walk ---------------------------------------------------------------------------------------------------------


def images_and_kernel() -> tuple[Any, Any]:
    return values(2, 6, 6, 4).astype(jnp.float32), values(3, 3, 4, 4).astype(jnp.float32)


def within(place: str) -> Function:
    """Return a convolution with pooling within a call, a loop, a branch, or a function with a derivative of its own."""

    def once(x: Any, kernel: Any) -> Any:
        return jnp.tanh(pool("max", (3, 3), (1, 1), "SAME")(convolution()(x, kernel)))

    @jax.custom_vjp
    def by_hand(x: Any, kernel: Any) -> Any:
        return once(x, kernel)

    def backward(saved: Any, gradient: Any) -> Any:
        return tuple(2 * one for one in jax.vjp(once, *saved)[1](gradient))

    by_hand.defvjp(lambda x, kernel: (once(x, kernel), (x, kernel)), backward)
    places: dict[str, Function] = {
        "call": jax.jit(once),
        "remat": jax.checkpoint(once),
        "scan": lambda x, kernel: lax.scan(lambda x, _: (once(x, kernel), None), x, length=2)[0],
        "cond": lambda x, kernel: lax.cond(x.sum() > 1e9, lambda x, k: x, once, x, kernel),
        "own derivative": by_hand,
    }
    return places[place]


@pytest.mark.parametrize("place", ["call", "remat", "scan", "cond", "own derivative"])
def test_what_stands_within_is_rewritten_too(place: str) -> None:
    x, kernel = images_and_kernel()
    assert distance(within(place), x, kernel) < 1e-5
    rewritten = names(in_fast_form(with_gradients(within(place))), x, kernel)
    assert not rewritten & (SLOW - {"conv_general_dilated"})
    assert names(with_gradients(within(place)), x, kernel) >= {"reduce_window_max", "select_and_scatter_add"}


def model_of(apply: Function, **options: Any) -> Model:
    return from_functions(lambda key: {}, apply, **options)


def test_a_function_without_such_operations_is_called_as_it_is() -> None:

    def function(x: Any) -> Any:
        return jnp.tanh(x) @ x

    x = values(3, 3)
    plain = jax.make_jaxpr(function)(x)
    assert str(jax.make_jaxpr(fast_function(function, model_of(function)))(x)) == str(plain)


def test_built_in_models_and_other_devices_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def function(x: Any) -> Any:
        return pool("max", *POOLS["halves"])(x)

    built_in, own = build_model("cnn", (28, 28), 10), model_of(function)
    assert fast_function(function, built_in) is function
    assert fast_apply(built_in) is built_in.apply
    assert fast_function(function, own) is not function
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert fast_function(function, own) is function
    assert fast_apply(own) is own.apply


# --- our own kernels --------------------------------------------------------------------------------------------------


def network(layout: str = "NHWC", relu: Function = jax.nn.relu, *, twice: bool = False) -> Function:
    """Return convolution, bias, ReLU and pool as libraries write them; ``twice`` uses what is between them again."""
    window = tuple({"N": 1, "C": 1}.get(axis, 2) for axis in layout)

    def apply(params: Any, x: Any) -> Any:
        kernel = params["kernel"] if layout == "NHWC" else params["kernel"].transpose(3, 2, 0, 1)
        numbers = NHWC if layout == "NHWC" else ("NCHW", "OIHW", "NCHW")
        y = lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=numbers)
        y = y + params["bias"].reshape([-1 if axis == "C" else 1 for axis in layout])
        pooled = lax.reduce_window(relu(y), -jnp.inf, lax.max, window, window, "VALID")
        return pooled + y.mean() if twice else pooled

    return apply


def operand(layout: str) -> tuple[Any, Any]:
    x = values(3, 6, 6, 8).astype(jnp.float32)
    params = {"kernel": values(3, 3, 8, 4).astype(jnp.float32), "bias": jnp.arange(4, dtype=jnp.float32) / 3}
    return params, x if layout == "NHWC" else x.transpose(0, 3, 1, 2)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_convolution_relu_and_pool_are_our_own_kernel(layout: str) -> None:
    function = network(layout)
    params, x = operand(layout)

    fast = with_own_kernels(function)

    def loss(function: Function) -> Function:
        return lambda *arguments: jnp.sum(jnp.sin(function(*arguments)))

    assert not names(fast, params, x) & {"reduce_window_max"}
    for a, b in zip(
        jax.tree.leaves(jax.jit(jax.grad(loss(fast), (0, 1)))(params, x)),
        jax.tree.leaves(jax.jit(jax.grad(loss(function), (0, 1)))(params, x)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("function", [network(relu=lambda x: jnp.maximum(x, 0)), network(twice=True)])
def test_what_is_not_quite_the_same_keeps_its_operations(function: Function) -> None:
    params, x = operand("NHWC")
    plain = jax.make_jaxpr(function)(params, x)
    fast = jax.make_jaxpr(with_own_kernels(function))(params, x)
    assert str(fast) == str(plain)


# --- trainings --------------------------------------------------------------------------------------------------------


def pictures(n: int = 90, side: int = 8) -> Dataset:
    random = np.random.default_rng(0)
    x, y = random.integers(0, 256, (n, side, side, 3), dtype=np.uint8), np.arange(n, dtype=np.int32) % 3
    return from_arrays(x, y, test=(x[:30], y[:30]), name="pictures")


def separable() -> Model:
    """A strided, a depthwise and a grouped convolution, an overlapping and an average pool."""

    def init(key: Any) -> Any:
        keys = jax.random.split(key, 4)
        shapes = [(3, 3, 3, 8), (3, 3, 1, 8), (3, 3, 4, 8), (8, 3)]
        return [jax.random.normal(k, shape) / 3 for k, shape in zip(keys, shapes, strict=True)]

    def apply(params: Any, x: Any) -> Any:
        x = jax.nn.relu(convolution(window_strides=(2, 2))(x, params[0]))
        x = pool("max", (3, 3), (1, 1), "SAME")(convolution(feature_group_count=8)(x, params[1]))
        x = pool("sum", (2, 2), (2, 2), "VALID")(convolution(feature_group_count=2)(x, params[2]))
        return x.mean((1, 2)) @ params[3]

    return from_functions(init, apply, name="separable")


def test_trainings_have_the_same_bits_in_chunks_of_any_length_and_after_a_resume() -> None:
    engine, plan = engine_for(separable(), pictures()), Plan(samples=90, batch_size=20, epochs=2)
    whole, losses, _ = drive(engine, plan)
    single, losses_of_one, _ = drive(engine, plan, longest=1)

    half = Plan(samples=90, batch_size=20, iterations=7)
    stopped, _, _ = drive(engine, half)
    copied = jax.tree.map(np.array, stopped)
    resumed, _, _ = drive(
        engine_for(separable(), pictures()), plan, state=copied, position=half.advance(Position(), Span.iterations(7))
    )
    for other in (single, resumed):
        for a, b in zip(jax.tree.leaves(whole.params), jax.tree.leaves(other.params), strict=True):
            assert a.tobytes() == b.tobytes()
    assert losses.tobytes() == losses_of_one.tobytes()
    assert losses[-1] < losses[0]


def test_a_training_and_an_evaluation_are_those_without_fast_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(samples=90, batch_size=30, epochs=1)
    fast_engine, data = engine_for(separable(), pictures()), pictures()
    fast, losses, _ = drive(fast_engine, plan)
    fast_loss = fast_engine.evaluate(fast, data.test).loss
    predicted = fast_engine.predict(fast, data.test)

    monkeypatch.setattr("epochal.engine.fast_forms.choosing.choose_form", lambda equation: None)
    plain_engine = engine_for(separable(), pictures())
    plain, plain_losses, _ = drive(plain_engine, plan)
    np.testing.assert_allclose(losses, plain_losses, rtol=1e-5)
    np.testing.assert_allclose(predicted, plain_engine.predict(plain, data.test), rtol=1e-4, atol=1e-5)
    assert fast_loss == pytest.approx(plain_engine.evaluate(plain, data.test).loss, rel=1e-5)
    assert losses.tobytes() != plain_losses.tobytes()  # the comparison is one of two programs


def lenet(relu: Function = jax.nn.relu) -> Model:
    """What the built-in `cnn` is, written by hand."""

    def init(key: Any) -> Any:
        keys = jax.random.split(key, 4)
        shapes = [(5, 5, 1, 32), (5, 5, 32, 64), (3136, 256), (256, 10)]
        weights = [jax.random.normal(k, s) * np.prod(s[:-1]) ** -0.5 for k, s in zip(keys, shapes, strict=True)]
        return [{"kernel": weight, "bias": jnp.zeros(weight.shape[-1])} for weight in weights]

    def apply(params: Any, x: Any) -> Any:
        x = x[..., None]
        for layer in params[:2]:
            x = network(relu=relu)(layer, x)
        x = jax.nn.relu(x.reshape(len(x), -1) @ params[2]["kernel"] + params[2]["bias"])
        return x @ params[3]["kernel"] + params[3]["bias"]

    return from_functions(init, apply, name="lenet")


@pytest.mark.parametrize(
    ("model", "most"), [(lenet(), 1.7), (lenet(lambda x: jnp.maximum(x, 0)), 4.0)], ids=["own kernel", "other forms"]
)
def test_a_convolutional_network_is_nearly_as_fast_as_the_built_in_one(model: Model, most: float) -> None:
    random = np.random.default_rng(0)
    x, y = random.integers(0, 256, (200, 28, 28), dtype=np.uint8), np.arange(200, dtype=np.int32) % 10
    data = from_arrays(x, y, test=(x[:1], y[:1]), name="random")

    def seconds(engine: Any) -> float:
        times = []
        state = engine.initial_state()
        engine.prepare(state, 50)
        for _ in range(4):
            before = time.process_time()
            state, _ = engine.run(state, Position(), 50, 2)
            times.append(time.process_time() - before)
        return min(times)

    ratio = seconds(engine_for(model, data)) / seconds(engine_for(build_model("cnn", (28, 28), 10), data))
    assert ratio < most  # as they are written, it was more than 50
