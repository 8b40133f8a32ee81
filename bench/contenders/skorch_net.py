"""skorch: a PyTorch module with scikit-learn's interface."""

from __future__ import annotations

import numpy as np
import torch
from skorch import NeuralNetClassifier
from torch import nn

from contenders import Done, clock
from contenders.torch_models import build_model
from problem import Problem


class Skorch:
    """`NeuralNetClassifier` without validation split and printing, fed by `partial_fit`."""

    def __init__(self, problem: Problem, device: str) -> None:
        torch.manual_seed(0)
        work = problem.work
        self.batch = problem.batch
        self.x, self.y = problem.x, problem.y.astype(np.int64)
        momentum = {} if work.optimizer == "adam" else {"optimizer__momentum": 0.9 * (work.optimizer == "momentum")}
        self.model = NeuralNetClassifier(
            build_model(work.model), criterion=nn.CrossEntropyLoss, lr=work.lr, batch_size=self.batch, max_epochs=1,
            optimizer=torch.optim.Adam if work.optimizer == "adam" else torch.optim.SGD, **momentum,
            iterator_train__shuffle=True, train_split=None, verbose=0, device=device,
        )  # fmt: skip
        self.model.initialize()

    def train(self, iterations: int) -> Done:
        """Each `partial_fit` is one epoch over what it is given."""
        per_epoch = len(self.x) // self.batch
        started, left = clock(), iterations
        while left:
            size = min(left, per_epoch) * self.batch
            self.model.partial_fit(self.x[:size], self.y[:size])
            left -= size // self.batch
        return Done(iterations, clock() - started)

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.model.predict(x)
