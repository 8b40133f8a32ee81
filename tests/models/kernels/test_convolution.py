"""The fast convolution equals XLA's own, forward and backward: in double precision to the last digits, in float32 to
rounding; for ragged sizes, several blocks, ties, and inside a loop, which it is there for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from jax import Array, lax

from epochal.models.kernels import convolution
from epochal.models.kernels.convolution import conv_relu_pool, over_blocks, split_evenly

Operation = Callable[[Array, Array, Array], Array]
# images, height, width, channels, side, features
WINOGRAD = [(3, 7, 5, 9, 3, 2), (2, 6, 4, 8, 5, 3)]
DIRECT = [(2, 7, 9, 3, 3, 5), (2, 5, 4, 2, 7, 3), (4, 4, 6, 8, 1, 2), (2, 2, 2, 1, 5, 3)]


@pytest.fixture
def double() -> Iterator[None]:
    with jax.enable_x64():
        yield


def problem(images: int, height: int, width: int, channels: int, side: int, features: int, dtype: type) -> list[Array]:
    """Return x, kernel, bias and a gradient of the outputs."""
    random = np.random.default_rng(images * height + width)
    shapes = [(images, height, width, channels), (side, side, channels, features), (features,)]
    shapes.append((images, height // 2, width // 2, features))
    scales = [1, (side * side * channels) ** -0.5, 0.3, 1]
    return [jnp.asarray((random.standard_normal(s) * f).astype(dtype)) for s, f in zip(shapes, scales, strict=True)]


def distance(operation: Operation, other: Operation, x: Array, kernel: Array, bias: Array, g: Array) -> float:
    """Return the largest difference of outputs and gradients, each as a share of the largest value."""

    def both(operation: Operation) -> list[Array]:
        outputs, pull = jax.vjp(operation, x, kernel, bias)
        return [outputs, *pull(g)]

    run = jax.jit(both, static_argnums=0)
    pairs = zip(run(operation), run(other), strict=True)
    return max(float(jnp.abs(a - b).max() / jnp.abs(b).max()) for a, b in pairs)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("sizes", WINOGRAD + DIRECT)
def test_outputs_and_gradients_are_those_of_xla(sizes: tuple[int, ...]) -> None:
    assert distance(conv_relu_pool, reference.conv_relu_pool, *problem(*sizes, np.float64)) < 1e-13


@pytest.mark.parametrize("sizes", [(3, 8, 8, 16, 5, 8), (3, 8, 8, 1, 5, 8)])
def test_in_float32_they_differ_by_rounding_only(sizes: tuple[int, ...]) -> None:
    terms = sizes[3] * sizes[4] ** 2  # products in a sum: their errors add up like a random walk
    allowed = 8 * np.finfo(np.float32).eps * terms**0.5
    assert distance(conv_relu_pool, reference.conv_relu_pool, *problem(*sizes, np.float32)) < allowed


@pytest.mark.usefixtures("double")
def test_the_comparison_notices_a_kernel_that_is_turned_round_and_a_pool_one_pixel_off() -> None:
    def turned(x: Array, kernel: Array, bias: Array) -> Array:
        return reference.conv_relu_pool(x, kernel[::-1, ::-1], bias)

    def shifted(x: Array, kernel: Array, bias: Array) -> Array:
        return reference.conv_relu_pool(jnp.roll(x, 1, axis=1), kernel, bias)

    for wrong in (turned, shifted):
        assert distance(wrong, reference.conv_relu_pool, *problem(2, 7, 9, 3, 3, 5, np.float64)) > 0.1


@pytest.mark.usefixtures("double")
def test_blocks_of_images_change_nothing_and_their_filling_counts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "_BLOCK_BYTES", 16 << 10)
    x, kernel, bias, g = problem(7, 6, 6, 8, 3, 4, np.float64)
    assert 1 < convolution._images_at_a_time(x, kernel) < 7
    jax.clear_caches()
    assert distance(conv_relu_pool, reference.conv_relu_pool, x, kernel, bias, g) < 1e-13


@pytest.mark.usefixtures("double")
def test_what_other_devices_run_is_the_same() -> None:
    x, kernel, bias, g = problem(2, 7, 5, 3, 3, 4, np.float64)

    @jax.custom_vjp
    def elsewhere(x: Array, kernel: Array, bias: Array) -> Array:
        return convolution._forward_whole(x, kernel, bias)[0]

    def forward(x: Array, kernel: Array, bias: Array) -> tuple[Array, tuple[Array, ...]]:
        pooled, winners = convolution._forward_whole(x, kernel, bias)
        return pooled, (x, kernel, winners)

    def backward(saved: tuple[Array, ...], g: Array) -> tuple[Array, ...]:
        of_bias = jnp.where(saved[2] < 4, g, 0).sum((0, 1, 2))
        return *convolution._backward_whole(*saved, g), of_bias

    elsewhere.defvjp(forward, backward)
    assert distance(elsewhere, reference.conv_relu_pool, x, kernel, bias, g) < 1e-13


def test_among_equal_values_the_first_wins_and_nothing_passes_a_closed_relu() -> None:
    x = jnp.asarray([[3.0, 3.0, -1.0, -2.0], [3.0, 1.0, -3.0, -4.0]])[None, :, :, None]
    one, no_bias = jnp.ones((1, 1, 1, 1)), jnp.zeros(1)

    @jax.jit
    def both(g: Array) -> tuple[Array, ...]:
        outputs, pull = jax.vjp(conv_relu_pool, x, one, no_bias)
        return outputs, *pull(g)

    outputs, of_x, of_kernel, of_bias = both(jnp.asarray([[[[5.0], [7.0]]]]))
    assert outputs.ravel().tolist() == [3, 0]
    assert of_x[0, ..., 0].tolist() == [[5, 0, 0, 0], [0, 0, 0, 0]]
    assert (float(of_kernel.sum()), float(of_bias[0])) == (15, 5)


def test_a_loop_of_any_length_computes_what_single_calls_compute() -> None:
    x, kernel, bias, g = problem(3, 4, 4, 2, 3, 2, np.float32)

    @jax.jit
    def descend(kernel: Array) -> Array:
        return kernel - 0.1 * jax.grad(lambda k: jnp.vdot(conv_relu_pool(x, k, bias), g))(kernel)

    looped = jax.jit(lambda count: lax.fori_loop(0, count, lambda _, k: descend(k), kernel))(3)
    single = descend(descend(descend(kernel)))
    assert jnp.allclose(looped, single, atol=1e-5)
    assert not jnp.allclose(looped, kernel, atol=1e-2)


def test_the_gradient_of_images_that_nobody_asks_for_is_not_computed() -> None:
    x, kernel, bias, g = problem(3, 8, 8, 1, 5, 4, np.float32)

    def loss(kernel: Array, x: Array) -> Array:
        return jnp.vdot(conv_relu_pool(x, kernel, bias), g)

    def products(argnums: int | tuple[int, ...]) -> float:
        compiled = jax.jit(jax.grad(loss, argnums)).lower(kernel, x).compile()
        return float(compiled.cost_analysis()["flops"])

    assert products(0) < 0.8 * products((0, 1))


def test_blocks_are_put_together_and_sums_added_up() -> None:
    x = jnp.arange(14.0).reshape(7, 2)
    rows, total = over_blocks(lambda a: (2 * a, a.sum(0)), 3, x)
    assert rows.tolist() == (2 * x).tolist()
    assert total.tolist() == x.sum(0).tolist()


@pytest.mark.parametrize("most", [1, 2, 5, 12, 64])
def test_blocks_hold_all_rows_are_small_enough_and_waste_little(most: int) -> None:
    for rows in range(1, 200):
        blocks, size = split_evenly(rows, most)
        assert size <= most
        assert rows <= blocks * size < rows + blocks
        assert blocks < 2 * -(-rows // most) or blocks == 1
