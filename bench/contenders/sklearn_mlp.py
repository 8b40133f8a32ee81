"""scikit-learn: `MLPClassifier`, fed by `partial_fit`, with plain settings equal to the others'."""

from __future__ import annotations

import numpy as np
from sklearn.neural_network import MLPClassifier

from contenders import CannotDoError, Done, clock
from problem import Problem


class ScikitLearn:
    """Only `mlp`: scikit-learn has no other of these networks. It draws its own Glorot-uniform weights."""

    def __init__(self, problem: Problem, device: str) -> None:
        work = problem.work
        if work.model != "mlp":
            raise CannotDoError("scikit-learn has no such network")
        if device != "cpu":
            raise CannotDoError("scikit-learn computes on the CPU")
        self.batch = problem.batch
        self.x, self.y = problem.x.reshape(len(problem.x), -1), problem.y
        self.model = MLPClassifier(
            (128,), solver="adam" if work.optimizer == "adam" else "sgd", alpha=0.0, batch_size=self.batch,
            learning_rate_init=work.lr, momentum=0.9 if work.optimizer == "momentum" else 0.0,
            nesterovs_momentum=False, random_state=0,
        )  # fmt: skip

    def train(self, iterations: int) -> Done:
        """Each `partial_fit` goes once over what it is given, in batches."""
        per_epoch = len(self.x) // self.batch
        started, left = clock(), iterations
        while left:
            size = min(left, per_epoch) * self.batch
            self.model.partial_fit(self.x[:size], self.y[:size], classes=range(10))
            left -= size // self.batch
        return Done(iterations, clock() - started)

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.model.predict(x.reshape(len(x), -1))
