"""The floor: the least that a hand-written JAX training must do, in one compiled loop.

It counts nothing, records nothing and cannot be stopped; a permutation is drawn on the host for each epoch. What
Epochal takes longer is what its order, its audit, its losses and its history cost.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from contenders import CannotDoError, Done, clock
from problem import Problem

Params = list[jax.Array]
_MOST_PLAIN = 100


def dense(key: jax.Array, inputs: int, outputs: int, gain: float = 2.0) -> Params:
    """Return normal weights of variance gain / inputs, and biases of 0."""
    return [jax.random.normal(key, (inputs, outputs)) * math.sqrt(gain / inputs), jnp.zeros(outputs)]


def linear(params: Params, x: jax.Array) -> jax.Array:
    return x.reshape(len(x), -1) @ params[0] + params[1]


def mlp(params: Params, x: jax.Array) -> jax.Array:
    hidden = jax.nn.relu(x.reshape(len(x), -1) @ params[0] + params[1])
    return hidden @ params[2] + params[3]


def rnn(params: Params, x: jax.Array) -> jax.Array:
    def read(state: jax.Array, drive: jax.Array) -> tuple[jax.Array, None]:
        return jnp.tanh(drive + state @ params[2]), None

    drive = (x.swapaxes(0, 1).reshape(-1, 28) @ params[0] + params[1]).reshape(28, len(x), 128)
    state, _ = lax.scan(read, jnp.zeros((len(x), 128)), drive)
    return state @ params[3] + params[4]


def plain_cnn(params: Params, x: jax.Array) -> jax.Array:
    x = x[..., None]
    for w, b in (params[0:2], params[2:4]):
        x = lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")) + b
        x = lax.reduce_window(jax.nn.relu(x), -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    return mlp(params[4:], x)


def initial_params(model: str, key: jax.Array) -> Params:
    """Return fresh weights of a hand-written model."""
    keys = jax.random.split(key, 4)
    match model:
        case "linear":
            return dense(keys[0], 784, 10, gain=0.0)
        case "mlp":
            return [*dense(keys[0], 784, 128), *dense(keys[1], 128, 10)]
        case "rnn":
            recurrent = jax.random.orthogonal(keys[1], 128)
            return [*dense(keys[0], 28, 128, 1.0), recurrent, *dense(keys[2], 128, 10, 1.0)]
        case _:
            first, second = dense(keys[0], 25, 32), dense(keys[1], 800, 64)
            kernels = [first[0].reshape(5, 5, 1, 32), first[1], second[0].reshape(5, 5, 32, 64), second[1]]
            return [*kernels, *dense(keys[2], 3136, 256), *dense(keys[3], 256, 10)]


MODELS = {"linear": linear, "mlp": mlp, "rnn": rnn, "cnn": plain_cnn}


def build_optimizer(name: str, lr: float) -> tuple[Any, Any]:
    """Return ``init(params) -> state`` and ``update(params, gradient, state) -> (params, state)``."""
    tree = jax.tree.map

    def sgd(params: Any, gradient: Any, state: Any) -> Any:
        return tree(lambda p, g: p - lr * g, params, gradient), state

    def momentum(params: Any, gradient: Any, state: Any) -> Any:
        state = tree(lambda m, g: 0.9 * m + g, state, gradient)
        return tree(lambda p, m: p - lr * m, params, state), state

    def adam(params: Any, gradient: Any, state: Any) -> Any:
        first, second, count = state
        count = count + 1
        first = tree(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
        second = tree(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradient)
        one, two = 1 - 0.9**count, 1 - 0.999**count
        params = tree(lambda p, m, v: p - lr * (m / one) / (jnp.sqrt(v / two) + 1e-8), params, first, second)
        return params, (first, second, count)

    def zeros(params: Any) -> Any:
        return tree(jnp.zeros_like, params)

    return {
        "sgd": (lambda params: (), sgd),
        "momentum": (zeros, momentum),
        "adam": (lambda params: (zeros(params), zeros(params), jnp.float32(0)), adam),
    }[name]


class Loop:
    """A `fori_loop` over the batches of an epoch, its arrays donated; `cnn` with Epochal's own convolution."""

    def __init__(self, problem: Problem, device: str) -> None:
        self.forward, params = self.build(problem)
        init, update = build_optimizer(problem.work.optimizer, problem.work.lr)
        batch, preprocessing = problem.batch, problem.dataset.preprocessing

        def loss(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
            scores = jax.nn.log_softmax(self.forward(params, x))
            return -jnp.mean(jnp.take_along_axis(scores, y[:, None], 1))

        @partial(jax.jit, donate_argnums=0)
        def run(carry: Any, x: jax.Array, y: jax.Array, order: jax.Array, first: int, last: int) -> Any:
            def iterate(i: jax.Array, carry: Any) -> Any:
                params, state = carry
                indices = lax.dynamic_slice(order, (i * batch,), (batch,))
                gradient = jax.grad(loss)(params, preprocessing(x[indices]), y[indices])
                return update(params, gradient, state)

            return lax.fori_loop(first, last, iterate, carry)

        self.preprocessing, self.run = preprocessing, run
        self.carry = (params, init(params))
        self.x, self.y = jnp.asarray(problem.images), jnp.asarray(problem.y)
        self.batches = problem.samples // batch
        self.random = np.random.default_rng(0)
        self.next = self.batches

    def build(self, problem: Problem) -> tuple[Any, Any]:
        """Return the model's function and fresh weights."""
        name, key = problem.work.model, jax.random.key(0)
        if name != "cnn":
            return MODELS[name], initial_params(name, key)
        from epochal.models import build_model

        model = build_model("cnn", problem.dataset.sample_shape, problem.dataset.outputs)
        return lambda params, x: model.apply(params, (), x, None, True)[0], model.init(key)[0]

    def train(self, iterations: int) -> Done:
        started, left = clock(), iterations
        while left:
            if self.next == self.batches:
                self.next, self.order = 0, jnp.asarray(self.random.permutation(len(self.x)), jnp.int32)
            last = min(self.next + left, self.batches)
            self.carry = self.run(self.carry, self.x, self.y, self.order, self.next, last)
            left, self.next = left - (last - self.next), last
        jax.block_until_ready(self.carry)
        return Done(iterations, clock() - started)

    def predict(self, x: np.ndarray) -> np.ndarray:
        forward = jax.jit(self.forward)
        return np.concatenate([forward(self.carry[0], part).argmax(1) for part in np.split(x, 10)])


class PlainConvolutionLoop(Loop):
    """The same with `lax.conv_general_dilated`, as a convolution is usually written."""

    def build(self, problem: Problem) -> tuple[Any, Any]:
        if problem.work.model != "cnn":
            raise CannotDoError("no convolution")
        if problem.batch > _MOST_PLAIN:
            raise CannotDoError(f"takes over a second an update at B = {_MOST_PLAIN} already")
        return plain_cnn, initial_params("cnn", jax.random.key(0))
