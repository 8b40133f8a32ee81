"""The four models in PyTorch, initialised as Epochal's are."""

from __future__ import annotations

import torch
from torch import nn

from problem import Problem


class Recurrent(nn.Module):
    """A simple recurrent network over an image's rows; the last state decides."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.RNN(28, 128, batch_first=True)
        self.head = nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.rnn(x)[0][:, -1])


def build_model(name: str) -> nn.Module:
    """Return the named model for 28×28 images and 10 classes."""
    match name:
        case "linear":
            model: nn.Module = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
        case "mlp":
            model = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
        case "cnn":
            model = nn.Sequential(
                nn.Unflatten(1, (1, 28)),
                nn.Conv2d(1, 32, 5, padding="same"), nn.ReLU(), nn.MaxPool2d(2),
                nn.Conv2d(32, 64, 5, padding="same"), nn.ReLU(), nn.MaxPool2d(2),
                nn.Flatten(), nn.Linear(64 * 7 * 7, 256), nn.ReLU(), nn.Linear(256, 10),
            )  # fmt: skip
        case _:
            model = Recurrent()
    initialise(model, name)
    return model


@torch.no_grad()
def initialise(model: nn.Module, name: str) -> None:
    """Draw weights with variance 2 / inputs (1 / inputs in `rnn`, none in `linear`), and biases of 0."""
    gain = {"linear": 0.0, "rnn": 1.0}.get(name, 2.0)
    for parameter_name, parameter in model.named_parameters():
        if "bias" in parameter_name:
            parameter.zero_()
        elif "weight_hh" in parameter_name:
            nn.init.orthogonal_(parameter)
        else:
            parameter.normal_(std=(gain / parameter[0].numel()) ** 0.5)


def build_optimizer(problem: Problem, model: nn.Module) -> torch.optim.Optimizer:
    """Return the work's optimizer."""
    work = problem.work
    if work.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), lr=work.lr)
    return torch.optim.SGD(model.parameters(), lr=work.lr, momentum=0.9 if work.optimizer == "momentum" else 0.0)
