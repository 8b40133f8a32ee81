"""NumPy: the gradients of `linear` and `mlp` written out, as a textbook does."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from contenders import CannotDoError, Done, clock
from problem import Problem

Arrays = list[np.ndarray]


class NumPy:
    """Weights and biases in a list; forward, backward and update by hand."""

    def __init__(self, problem: Problem, device: str) -> None:
        sizes = {"linear": (784, 10), "mlp": (784, 128, 10)}.get(problem.work.model)
        if sizes is None:
            raise CannotDoError("not written out by hand")
        if device != "cpu":
            raise CannotDoError("NumPy computes on the CPU")
        self.work, self.batch = problem.work, problem.batch
        self.x, self.y = problem.x.reshape(len(problem.x), -1), problem.y
        self.random = np.random.default_rng(0)
        self.params: Arrays = []
        for inputs, outputs in pairwise(sizes):
            self.params += [self.initial_weights(inputs, outputs), np.zeros(outputs, np.float32)]
        self.first = [np.zeros_like(p) for p in self.params]
        self.second = [np.zeros_like(p) for p in self.params]
        self.updates = 0
        self.batches = self.endless_batches()

    def initial_weights(self, inputs: int, outputs: int) -> np.ndarray:
        return (self.random.standard_normal((inputs, outputs)) * math.sqrt(2 / inputs)).astype(np.float32)

    def endless_batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        while True:
            order = self.random.permutation(len(self.x))
            for start in range(0, len(order), self.batch):
                indices = order[start : start + self.batch]
                yield self.x[indices], self.y[indices]

    def forward(self, x: np.ndarray) -> Arrays:
        """Return the input and each layer's outputs."""
        layers = [x]
        for i in range(0, len(self.params), 2):
            outputs = layers[-1] @ self.params[i] + self.params[i + 1]
            layers.append(np.maximum(outputs, 0) if i + 2 < len(self.params) else outputs)
        return layers

    def gradient(self, x: np.ndarray, y: np.ndarray) -> Arrays:
        """Return the gradient of the mean cross-entropy, by parameter."""
        layers = self.forward(x)
        scores = layers[-1] - layers[-1].max(1, keepdims=True)
        error = np.exp(scores)
        error /= error.sum(1, keepdims=True)
        error[np.arange(len(y)), y] -= 1
        error /= np.float32(len(y))
        gradient: Arrays = []
        for i in range(len(self.params) - 2, -1, -2):
            gradient = [layers[i // 2].T @ error, error.sum(0), *gradient]
            if i:
                error = (error @ self.params[i].T) * (layers[i // 2] > 0)
        return gradient

    def update(self, x: np.ndarray, y: np.ndarray) -> None:
        rate = np.float32(self.work.lr)
        self.updates += 1
        for p, g, m, v in zip(self.params, self.gradient(x, y), self.first, self.second, strict=True):
            if self.work.optimizer == "sgd":
                p -= rate * g
            elif self.work.optimizer == "momentum":
                m *= np.float32(0.9)
                m += g
                p -= rate * m
            else:
                m += np.float32(0.1) * (g - m)
                v += np.float32(0.001) * (g * g - v)
                p -= rate * (m / (1 - 0.9**self.updates)) / (np.sqrt(v / (1 - 0.999**self.updates)) + np.float32(1e-8))

    def train(self, iterations: int) -> Done:
        started = clock()
        for _ in range(iterations):
            self.update(*next(self.batches))
        return Done(iterations, clock() - started)

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.forward(x.reshape(len(x), -1))[-1].argmax(1)
