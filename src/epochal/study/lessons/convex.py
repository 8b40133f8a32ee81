"""A strongly convex loss, whose optimum is known, and plain descent on it along any order of samples.

Softmax regression with the whole square norm of its weights added, ``mean cross-entropy + λ/2 · ‖θ‖²``: it curves by λ
at least in every direction, so that it has one optimum, and the way there can be measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Float64, Int, Int32
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

from epochal.data import Dataset

NEAR_ENOUGH = 1e-7
_PART = 10  # epochs between two questions whether to stop


@dataclass(frozen=True, slots=True, eq=False)
class ConvexProblem:
    """The samples with a 1 added for the bias, their classes, and λ."""

    x: Float32[np.ndarray, "n features"]
    y: Int32[np.ndarray, " n"]
    classes: int
    strength: float

    @classmethod
    def of(cls, data: Dataset, strength: float) -> ConvexProblem:
        """Return the problem of a classification's training set."""
        train = data.train.whole()
        x = np.asarray(data.preprocessing(train.x), np.float32).reshape(len(train), -1)
        biased = np.concatenate([x, np.ones((len(x), 1), np.float32)], axis=1)
        return cls(biased, np.asarray(train.y, np.int32), data.outputs, strength)

    def gradient(self, weights: Float64[np.ndarray, "features classes"]) -> Float64[np.ndarray, "features classes"]:
        """Return the gradient of the whole loss."""
        return self._value_and_gradient(weights)[1]

    def optimum(self) -> Float64[np.ndarray, "features classes"]:
        """Return the weights of the lowest loss, where the gradient's norm is 10⁻⁷ at most.

        Raises `ArithmeticError` where the solver does not come so near: a bug, as the loss is strongly convex.
        """
        shape = (self.x.shape[1], self.classes)

        def function(flat: Float64[np.ndarray, " size"]) -> tuple[float, Float64[np.ndarray, " size"]]:
            value, gradient = self._value_and_gradient(flat.reshape(shape))
            return value, gradient.ravel()

        options = {"gtol": NEAR_ENOUGH / 1e4, "ftol": 0.0, "maxiter": 20_000, "maxfun": 40_000}
        solved = minimize(function, np.zeros(shape[0] * shape[1]), jac=True, method="L-BFGS-B", options=options)
        weights: Float64[np.ndarray, "features classes"] = solved.x.reshape(shape)
        left = float(np.linalg.norm(self.gradient(weights)))
        if left > NEAR_ENOUGH:
            raise ArithmeticError(f"the optimum was not found: a gradient of norm {left:g} is left")
        return weights

    def _value_and_gradient(
        self, weights: Float64[np.ndarray, "features classes"]
    ) -> tuple[float, Float64[np.ndarray, "features classes"]]:
        x, rows = self.x.astype(np.float64), np.arange(len(self.y))
        scores = x @ weights
        losses = logsumexp(scores, axis=1) - scores[rows, self.y]
        wrong = softmax(scores, axis=1)
        wrong[rows, self.y] -= 1
        gradient = x.T @ wrong / len(x) + self.strength * weights
        return float(losses.mean() + self.strength / 2 * (weights**2).sum()), gradient


def distances(
    problem: ConvexProblem,
    optimum: Float64[np.ndarray, "features classes"],
    orders: Int32[np.ndarray, "runs epochs n"],
    rates: Float[np.ndarray, " runs"],
    batch_size: int,
    should_stop: Callable[[], bool] = lambda: False,
) -> Float32[np.ndarray, "runs epochs"] | None:
    """Return each run's squared distance to the optimum, ‖θ − θ*‖², after each of its epochs; ``None`` when stopped.

    All runs begin at 0 and are computed side by side, a run for each order and rate. An epoch's last samples that make
    no whole batch are left out.
    """
    runs, epochs, samples = orders.shape
    batches = orders[:, :, : samples // batch_size * batch_size].reshape(runs, epochs, -1, batch_size)
    weights = jnp.zeros((runs, *optimum.shape), jnp.float32)
    target, parts = jnp.asarray(optimum, jnp.float32), []
    descend = jax.jit(jax.vmap(partial(_epochs, problem.strength), in_axes=(None, None, None, 0, 0, 0)))

    for first in range(0, epochs, _PART):
        if should_stop():
            return None
        part = batches[:, first : first + _PART]
        weights, squares = descend(problem.x, problem.y, target, weights, part, rates.astype(np.float32))
        parts.append(np.asarray(squares))
    return np.concatenate(parts, axis=1)


def _epochs(
    strength: float,
    x: Float[Array, "n features"],
    y: Int[Array, " n"],
    target: Float[Array, "features classes"],
    weights: Float[Array, "features classes"],
    batches: Int[Array, "epochs batches size"],
    rate: Float[Array, ""],
) -> tuple[Array, Array]:
    """Go through some epochs of one run."""

    def update(weights: Array, batch: Array) -> tuple[Array, None]:
        rows = x[batch]
        wrong = jax.nn.softmax(rows @ weights) - jax.nn.one_hot(y[batch], weights.shape[1])
        gradient = rows.T @ wrong / len(batch) + strength * weights
        return weights - rate * gradient, None

    def epoch(weights: Array, batches: Array) -> tuple[Array, Array]:
        weights, _ = jax.lax.scan(update, weights, batches)
        return weights, ((weights - target) ** 2).sum()

    return jax.lax.scan(epoch, weights, batches)
