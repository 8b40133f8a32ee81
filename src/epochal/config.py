"""A training's configuration: one frozen dataclass is the Python call, the file `run.toml` and the command line."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from tyro.conf import Positional, arg

from epochal.clock import Last, Plan
from epochal.counts import parse_count
from epochal.errors import OptionError, unknown_name

DEFAULT_BATCH_SIZE = 100
DEFAULT_EPOCHS = 10
BUDGETS = frozenset({"epochs", "iterations", "budget"})
CHANGEABLE = (
    "epochs", "iterations", "budget", "batch_size", "micro_batch", "shards", "lr", "evaluate_every", "checkpoint_every",
    "on_nan",
)  # fmt: skip
"""What a run may change at any position and still be one run."""

Task: TypeAlias = Literal["classification", "regression"]
Count: TypeAlias = Annotated[int | str | None, arg(metavar="N", help_behavior_hint="")]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """What to train, on what, for how long, and how. `epochal.train` takes these as keyword arguments.

    Attributes:
        data: a data set's name, or a file or folder of your own.
        target: the target's column in a table of your own (the last one where not given).
        model: linear, mlp, cnn or rnn.
        hidden: sizes of the hidden layers (of the recurrent state for rnn); the model's own where not given.
        dropout: share of hidden values left out while training, 0 to below 1 (mlp and cnn).
        batch_size: samples an update, 1 to N, or ``all``; 100 where not given, or N if that is less.
        epochs: budget in passes over the training set.
        iterations: budget in weight updates.
        budget: budget with its unit: 50ep, 30000it or 3000000sa. 10 epochs where no budget is given.
        last: keep or drop an epoch's smaller last batch.
        optimizer: sgd, momentum, nesterov, adam or adamw; adam for rnn and sgd for the others where not given.
        lr: learning rate; one that suits optimizer and batch size where not given.
        schedule: constant, cosine, linear or one-cycle, over the plan's updates.
        warmup: linear warm-up before it: 1ep, 500it or 50000sa.
        momentum: for momentum and nesterov, 0 to below 1.
        weight_decay: for adamw, at least 0.
        loss: cross-entropy or mean-squared-error; the task's usual one where not given.
        seed: decides the initial weights, every epoch's order and all noise; 0 to 2⁶⁴ - 1.
        micro_batch: the most samples computed at once; chosen from memory and cache where not given.
        shards: equal parts of a batch, computed side by side on as many processors or devices as there are; 2 for rnn
            on a CPU and else 1 where not given.
        task: classification or regression, where the targets of your own data do not say it.
        evaluate_every: epochs between evaluations of the test set; the end is always evaluated.
        checkpoint_every: seconds between checkpoints; as often as costs at most 2 % of the time where not given.
        snapshots: keep the weights of every epoch (of fewer after the 128th), and of iterations 1, 2, 4, 8 … within the
            first.
        on_nan: stop or continue when a loss is not finite.
    """

    data: Positional[Annotated[str, arg(metavar="DATA")]] = "digits"
    target: Annotated[str | None, arg(metavar="COLUMN", help_behavior_hint="")] = None
    model: Annotated[str, arg(metavar="NAME")] = "mlp"
    hidden: Annotated[tuple[int, ...] | None, arg(metavar="N …", help_behavior_hint="")] = None
    dropout: Annotated[float | None, arg(metavar="SHARE", help_behavior_hint="")] = None
    batch_size: Annotated[int | str | None, arg(metavar="B", help_behavior_hint="")] = None
    epochs: Count = None
    iterations: Count = None
    budget: Annotated[str | None, arg(metavar="LENGTH", help_behavior_hint="")] = None
    last: Last = "keep"
    optimizer: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")] = None
    lr: Annotated[float | None, arg(metavar="RATE", help_behavior_hint="")] = None
    schedule: Annotated[str, arg(metavar="NAME")] = "constant"
    warmup: Annotated[str | None, arg(metavar="LENGTH", help_behavior_hint="")] = None
    momentum: float = 0.9
    weight_decay: float = 1e-4
    loss: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")] = None
    seed: int = 0
    micro_batch: Annotated[int | None, arg(metavar="N", help_behavior_hint="")] = None
    shards: Annotated[int | None, arg(metavar="N", help_behavior_hint="")] = None
    task: Annotated[Task | None, arg(metavar="NAME", help_behavior_hint="")] = None
    evaluate_every: int = 1
    checkpoint_every: Annotated[float | None, arg(metavar="SECONDS", help_behavior_hint="")] = None
    snapshots: bool = False
    on_nan: Literal["stop", "continue"] = "stop"

    def __post_init__(self) -> None:
        parse_count("evaluate_every", self.evaluate_every)
        for name in ("micro_batch", "shards"):
            if getattr(self, name) is not None:
                parse_count(name, getattr(self, name))
        if self.checkpoint_every is not None and not self.checkpoint_every >= 0:
            raise OptionError(f"checkpoint_every must be at least 0 seconds, got {self.checkpoint_every}")
        if not 0 <= self.seed < 2**64:
            raise OptionError(f"seed must be 0 to 2**64 - 1, got {self.seed}")

    @property
    def optimizer_name(self) -> str:
        """The optimizer that was given, or the model's usual one."""
        return self.optimizer or usual_optimizer(self.model)

    def plan(self, samples: int) -> Plan:
        """Return the plan for a training set of this size. Raises `PlanError` where there is none."""
        unlimited = self.epochs is None and self.iterations is None and self.budget is None
        return Plan(
            samples,
            min(DEFAULT_BATCH_SIZE, samples) if self.batch_size is None else self.batch_size,
            epochs=DEFAULT_EPOCHS if unlimited else self.epochs,
            iterations=self.iterations,
            budget=self.budget,
            last=self.last,
        )

    @property
    def model_options(self) -> dict[str, Any]:
        """The options that were given for the model."""
        options = {"hidden": self.hidden, "dropout": self.dropout}
        return {name: value for name, value in options.items() if value is not None}

    def changed(self, change: Mapping[str, Any]) -> TrainConfig:
        """Return the configuration after a change; a new budget replaces the old one. Raises `OptionError`."""
        for name in change:
            if name not in CHANGEABLE:
                raise OptionError(f"{unknown_name('option that a run can change', name, CHANGEABLE)}; start a new run")
        if BUDGETS & change.keys():
            change = {**dict.fromkeys(BUDGETS), **change}
        return dataclasses.replace(self, **change)

    def to_dict(self) -> dict[str, Any]:
        """Return what was given, for a TOML file, which has no ``None``."""
        values = dataclasses.asdict(self)
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if value is not None
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainConfig:
        """Read `to_dict`'s result. Raises `OptionError` for an unknown name."""
        known = {field.name for field in dataclasses.fields(cls)}
        for name in values:
            if name not in known:
                raise OptionError(unknown_name("option", name, known))
        hidden = values.get("hidden")
        return cls(**{**values, "hidden": None if hidden is None else tuple(hidden)})


def usual_optimizer(model: str) -> str:
    """Return the optimizer that a model has where none is given: plain steps make a recurrent network unstable."""
    return "adam" if model == "rnn" else "sgd"
