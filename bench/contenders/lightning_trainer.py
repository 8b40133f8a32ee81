"""Lightning: a module and a trainer, with loggers, checkpoints and progress switched off for speed."""

from __future__ import annotations

import logging
import warnings

import lightning
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from contenders import Done, clock
from contenders.torch_loops import Loader
from problem import Problem


class Module(lightning.LightningModule):
    """The contender's model, loss and optimizer."""

    def __init__(self, contender: Lightning) -> None:
        super().__init__()
        self.model = contender.model
        self.optimizer = contender.optimizer
        self.loss = nn.CrossEntropyLoss()

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], number: int) -> torch.Tensor:
        x, y = batch
        return self.loss(self.model(x), y)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.optimizer


class Stopwatch(lightning.Callback):
    """Times the training itself, without the trainer's preparations."""

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.started = clock()

    def on_train_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.seconds = clock() - self.started


class Lightning(Loader):
    """`Trainer.fit` for a number of steps, over the same `DataLoader`."""

    def __init__(self, problem: Problem, device: str) -> None:
        super().__init__(problem, device)
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", module="lightning")
        data = TensorDataset(torch.tensor(problem.x), torch.tensor(problem.y).long())
        self.loader = DataLoader(data, batch_size=problem.batch, shuffle=True)
        self.module = Module(self)

    def train(self, iterations: int) -> Done:
        stopwatch = Stopwatch()
        trainer = lightning.Trainer(
            max_steps=iterations, accelerator="cpu" if self.device == "cpu" else "gpu", devices=1, logger=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, callbacks=[stopwatch],
        )  # fmt: skip
        trainer.fit(self.module, self.loader)
        return Done(iterations, stopwatch.seconds)
