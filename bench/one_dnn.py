"""A trial: the large products of `mlp` by oneDNN, called out of the compiled loop through JAX's foreign functions.

    python -m venv build/onednn && build/onednn/bin/pip install onednn-cpu-gomp onednn-devel-cpu-gomp
    python bench/one_dnn.py

It needs a C++ compiler. Timed in turns are a whole step of SGD at B = 100 and B = 1,000 with XLA's products and with
oneDNN's, and each product alone. What it led to is in docs/performance.md.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from epochal.engine import offer_cores
from trials import compare

ROOT = Path(__file__).parents[1]
INSTALLED = ROOT / "build" / "onednn"
SAMPLES, HIDDEN, PIXELS = 60_000, 128, 784
Product = Callable[[Array, Array], Array]


def build() -> ctypes.CDLL:
    """Compile the two functions, and load them."""
    library, include = ROOT / "build" / "one_dnn.so", INSTALLED / "include"
    found = sorted(INSTALLED.glob("lib/libdnnl.so*"))
    if not found:
        sys.exit(f"oneDNN is not in {INSTALLED.relative_to(ROOT)}; see the top of {Path(__file__).name}")
    folders = [f"-I{include}", f"-I{jax.ffi.include_dir()}"]
    words = ["g++", "-w", "-O2", "-std=c++17", "-shared", "-fPIC", *folders, str(Path(__file__).with_suffix(".cpp"))]
    subprocess.run([*words, "-o", str(library), str(found[0]), f"-Wl,-rpath,{found[0].parent}"], check=True)
    return ctypes.CDLL(str(library))


def foreign_products() -> tuple[Product, Product]:
    """Return oneDNN's ``x @ w`` and ``xᵀ @ error`` as functions of JAX."""
    library = build()
    for name in ("OneDnnForward", "OneDnnGradient"):
        jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(getattr(library, name)), platform="cpu")

    def called(name: str, rows: int, columns: int, *matrices: Array) -> Array:
        result = jax.ShapeDtypeStruct((rows, columns), jnp.float32)
        found: Array = jax.ffi.ffi_call(name, result)(*matrices)
        return found

    return (
        lambda x, w: called("OneDnnForward", len(x), w.shape[1], x, w),
        lambda x, error: called("OneDnnGradient", x.shape[1], error.shape[1], x, error),
    )


def step_with(forward: Product, gradient: Product, batch: int) -> Callable[[Any, Array], Any]:
    """Return a step of SGD, its two large products by these functions."""
    key = jax.random.key(0)
    images = jax.random.randint(key, (SAMPLES, PIXELS), 0, 256).astype(jnp.uint8)
    labels = jax.random.randint(key, (SAMPLES,), 0, 10)

    @jax.custom_vjp
    def product(w: Array, x: Array) -> Array:
        return forward(x, w)

    product.defvjp(lambda w, x: (forward(x, w), x), lambda x, error: (gradient(x, error), jnp.zeros_like(x)))

    def loss(params: Any, x: Array, y: Array) -> Array:
        (w, bias), (w_out, bias_out) = params
        scores = jax.nn.relu(product(w, x) + bias) @ w_out + bias_out
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(scores), y[:, None], 1))

    def step(params: Any, i: Array) -> Any:
        rows = (i * batch + jnp.arange(batch)) * 7919 % SAMPLES
        slopes = jax.grad(loss)(params, images[rows].astype(jnp.float32) / 255, labels[rows])
        return jax.tree.map(lambda p, g: p - 0.1 * g, params, slopes)

    return step


def kept_alive(product: Callable[[Array], Array]) -> Callable[[Array, Array], Array]:
    """Return a step in which a number of the product goes into the next one, so that none leaves the loop."""

    def step(matrix: Array, i: Array) -> Array:
        found = lax.optimization_barrier(product(matrix))
        return matrix.at[0, 0].add(1e-9 * found[0, 0])

    return step


def main() -> None:
    """Time all of it."""
    offer_cores()
    key = jax.random.key(0)
    own = (lambda x, w: x @ w, lambda x, error: x.T @ error)
    ways = {"XLA": own, "oneDNN": foreign_products()}
    first, second = jax.random.normal(key, (PIXELS, HIDDEN)) / 28, jax.random.normal(key, (HIDDEN, 10)) / 11
    params = ((first, jnp.zeros(HIDDEN)), (second, jnp.zeros(10)))

    for batch, iterations in ((100, 300), (1000, 40)):
        print(f"A whole step, B = {batch}.")
        compare({name: (step_with(*way, batch), params) for name, way in ways.items()}, iterations)

        x, error = jax.random.normal(key, (batch, PIXELS)), jax.random.normal(key, (batch, HIDDEN))
        alone: dict[str, tuple[Callable[[Any, Array], Any], Any]] = {}
        for name, (forward, gradient) in ways.items():
            alone[f"forward, {name}"] = (kept_alive(partial(forward, x)), first)
            alone[f"gradient, {name}"] = (kept_alive(partial(gradient, x)), error)
        print(f"Products alone, B = {batch}.")
        compare(alone, iterations)


if __name__ == "__main__":
    main()
