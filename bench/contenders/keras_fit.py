"""Keras on JAX: `model.fit`, with `steps_per_execution` as it is by default, and the best of several."""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "jax"

import keras
import numpy as np
from keras import layers

from contenders import CannotDoError, Done, clock
from problem import Problem

_CANDIDATES = (32,) if os.environ.get("BENCH_CLOCK") == "cpu" else (8, 32)


def build_model(name: str) -> keras.Model:
    """Return the named model for 28×28 images and 10 classes."""
    gain = 1.0 if name == "rnn" else 2.0
    weights = keras.initializers.VarianceScaling(gain, "fan_in", "untruncated_normal")
    relu = {"activation": "relu", "kernel_initializer": weights}
    inner = {
        "linear": [layers.Flatten()],
        "mlp": [layers.Flatten(), layers.Dense(128, **relu)],
        "cnn": [
            layers.Reshape((28, 28, 1)),
            layers.Conv2D(32, 5, padding="same", **relu), layers.MaxPooling2D(),
            layers.Conv2D(64, 5, padding="same", **relu), layers.MaxPooling2D(),
            layers.Flatten(), layers.Dense(256, **relu),
        ],
        "rnn": [layers.SimpleRNN(128, kernel_initializer=weights)],
    }[name]  # fmt: skip
    last = "zeros" if name == "linear" else weights
    return keras.Sequential([keras.Input((28, 28)), *inner, layers.Dense(10, kernel_initializer=last)])


def build_optimizer(problem: Problem) -> keras.optimizers.Optimizer:
    """Return the work's optimizer."""
    work = problem.work
    if work.optimizer == "adam":
        return keras.optimizers.Adam(work.lr)
    return keras.optimizers.SGD(work.lr, momentum=0.9 if work.optimizer == "momentum" else 0.0)


class Keras:
    """`compile` and `fit` as the documentation's first example has them."""

    steps_per_execution = 1

    def __init__(self, problem: Problem, device: str) -> None:
        keras.utils.set_random_seed(0)
        self.problem = problem
        self.x, self.y = problem.x, problem.y
        self.batch = problem.batch
        self.model = build_model(problem.work.model)
        self.compile(self.steps_per_execution)

    def compile(self, steps: int) -> None:
        self.steps_per_execution = steps
        self.model.compile(
            optimizer=build_optimizer(self.problem),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            steps_per_execution=steps,
        )

    def train(self, iterations: int) -> Done:
        """Fit whole executions only; more than an epoch of them are several epochs."""
        steps = self.steps_per_execution
        iterations = -(-iterations // steps) * steps
        per_epoch = len(self.x) // self.batch // steps * steps
        epochs, rest = divmod(iterations, per_epoch)
        started = clock()
        for size, count in ((per_epoch * self.batch, epochs), (rest * self.batch, 1)):
            if size and count:
                self.model.fit(self.x[:size], self.y[:size], batch_size=self.batch, epochs=count, verbose=0)
        return Done(iterations, clock() - started)

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.model.predict(x, batch_size=1000, verbose=0).argmax(1)


class TunedKeras(Keras):
    """The best `steps_per_execution` of several, found by trying them on this work."""

    def __init__(self, problem: Problem, device: str) -> None:
        candidates = [steps for steps in _CANDIDATES if steps <= problem.samples // problem.batch // 4]
        if not candidates or problem.work.model == "cnn":
            raise CannotDoError("several steps an execution help only where steps are short")
        super().__init__(problem, device)
        speeds = {}
        for steps in candidates:
            self.compile(steps)
            self.train(steps)
            done = self.train(max(256, steps))
            speeds[steps] = done.seconds / done.iterations
        keras.utils.set_random_seed(0)
        self.model = build_model(problem.work.model)
        self.compile(min(speeds, key=speeds.__getitem__))
