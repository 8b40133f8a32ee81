"""PyTorch: the tutorial's loop over a `DataLoader`, the same loop indexing tensors, and that one compiled."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from contenders import CannotDoError, Done, clock
from contenders.torch_models import build_model, build_optimizer
from problem import Problem

Batches = Iterator[tuple[torch.Tensor, torch.Tensor]]


class Loader:
    """The loop of PyTorch's quickstart: a shuffling `DataLoader` over a `TensorDataset`."""

    def __init__(self, problem: Problem, device: str) -> None:
        torch.manual_seed(0)
        self.device = device
        self.problem = problem
        self.model = build_model(problem.work.model).to(device)
        self.loss = nn.CrossEntropyLoss()
        self.optimizer = build_optimizer(problem, self.model)
        self.batches = self.endless_batches()

    def endless_batches(self) -> Batches:
        data = TensorDataset(torch.tensor(self.problem.x), torch.tensor(self.problem.y).long())
        loader = DataLoader(data, batch_size=self.problem.batch, shuffle=True)
        while True:
            for x, y in loader:
                yield x.to(self.device), y.to(self.device)

    def update(self, x: torch.Tensor, y: torch.Tensor) -> None:
        loss = self.loss(self.model(x), y)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def train(self, iterations: int) -> Done:
        started = clock()
        for _ in range(iterations):
            self.update(*next(self.batches))
        if self.device != "cpu":
            torch.cuda.synchronize()
        return Done(iterations, clock() - started)

    @torch.no_grad()
    def predict(self, x: np.ndarray) -> np.ndarray:
        outputs = [self.model(torch.tensor(part).to(self.device)).argmax(1) for part in np.split(x, 10)]
        return torch.cat(outputs).cpu().numpy()


class Indexing(Loader):
    """Without a `DataLoader`: a permutation an epoch, and tensors indexed by a slice of it."""

    def endless_batches(self) -> Batches:
        x = torch.tensor(self.problem.x).to(self.device)
        y = torch.tensor(self.problem.y).long().to(self.device)
        while True:
            for indices in torch.randperm(len(x), device=self.device).split(self.problem.batch):
                yield x[indices], y[indices]


class Compiled(Indexing):
    """`torch.compile` around forward, backward and the optimizer's step, as its documentation advises."""

    def __init__(self, problem: Problem, device: str) -> None:
        super().__init__(problem, device)
        if problem.work.model == "rnn":
            raise CannotDoError("torch.compile leaves nn.RNN as it is")
        if problem.samples % problem.batch:
            raise CannotDoError("a smaller last batch would compile twice")
        self.forward = torch.compile(lambda x, y: self.loss(self.model(x), y))
        self.step = torch.compile(self.optimizer.step, fullgraph=False)

    def update(self, x: torch.Tensor, y: torch.Tensor) -> None:
        self.forward(x, y).backward()
        self.step()
        self.optimizer.zero_grad()
