"""From a configuration to everything that a training needs: data, plan, model, objective, engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import optax

from epochal.clock import Plan
from epochal.config import TrainConfig
from epochal.counts import shown
from epochal.data import Dataset
from epochal.engine import (
    Engine,
    Objective,
    OptimizerOptions,
    available_processors,
    build_objective,
    build_optimizer,
    check_shards,
    default_learning_rate,
    keep_compiled_programs,
    offer_processors,
    warmup_updates,
)
from epochal.errors import ModelError, OptionError
from epochal.models import Model, build_model
from epochal.order import Order
from epochal.record.run_toml import DataFacts, DeviceFacts, ModelFacts, RunFile, present_versions


@dataclass(frozen=True, slots=True)
class Custom:
    """Parts given as Python objects, which stand in place of what the configuration names."""

    model: Model | None = None
    optimizer: optax.GradientTransformation | None = None
    loss: Callable[..., Any] | None = None
    data: bool = False

    def __post_init__(self) -> None:
        if self.model is not None and not isinstance(self.model, Model):
            raise ModelError(
                f"model must be a name or a Model, got {shown(self.model)}; make one with epochal.from_functions"
            )
        if self.optimizer is not None and not isinstance(self.optimizer, optax.GradientTransformation):
            raise OptionError(f"optimizer must be a name or an Optax transformation, got {shown(self.optimizer)}")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parts that were given."""
        given = {
            "data": self.data,
            "model": self.model is not None,
            "optimizer": self.optimizer is not None,
            "loss": self.loss is not None,
        }
        return tuple(name for name, is_given in given.items() if is_given)


@dataclass(frozen=True, slots=True)
class Setup:
    """Everything that a training needs. ``config`` is resolved: its defaults are filled in."""

    config: TrainConfig
    data: Dataset
    plan: Plan
    model: Model
    objective: Objective
    engine: Engine
    custom: Custom

    @property
    def present_device(self) -> DeviceFacts:
        """The kind of device that this process trains on, how many of them, and the processors it may use."""
        devices = self.engine.cut(self.plan.batch_size).devices
        return DeviceFacts(devices[0].platform, devices[0].device_kind, len(devices), available_processors())

    def run_file(self, parameters: int) -> RunFile:
        """Return what `run.toml` will hold."""
        return RunFile(
            self.config,
            DataFacts(
                name=self.data.name,
                fingerprint=self.data.fingerprint,
                train=len(self.data.train),
                test=len(self.data.test),
                sample_shape=list(self.data.sample_shape),
                task=self.data.task,
                outputs=self.data.outputs,
            ),
            ModelFacts(self.model.name, parameters, _without_none(self.model.options)),
            present_versions(),
            self.present_device,
            self.custom.names,
        )


def set_up(config: TrainConfig, data: Dataset, custom: Custom | None = None) -> Setup:
    """Build everything from the configuration and its data.

    Raises `PlanError`, `OptionError` or `ModelError` for what cannot be trained; nothing is written.
    """
    keep_compiled_programs()
    offer_processors()
    custom = custom or Custom()
    plan = config.plan(len(data.train))
    if config.shards is not None:
        check_shards(plan.batch_size, config.shards)
    name = config.optimizer or ("adam" if config.model == "rnn" else "sgd")
    lr = default_learning_rate(name, plan.batch_size) if config.lr is None else config.lr
    options = OptimizerOptions(
        optimizer=name,
        lr=lr,
        schedule=config.schedule,
        warmup=warmup_updates(config.warmup, plan),
        momentum=0.9 if config.momentum is None else config.momentum,
        weight_decay=1e-4 if config.weight_decay is None else config.weight_decay,
    )
    model = custom.model or build_model(config.model, data.sample_shape, data.outputs, **config.model_options)
    objective = build_objective(custom.loss or config.loss, data.task)
    optimizer = custom.optimizer or build_optimizer(options, _updates(plan, config))
    order = Order(plan.samples, config.seed)
    engine = Engine(model, data, objective, optimizer, order, config.seed, config.micro_batch, config.shards)
    resolved = dataclasses.replace(
        config,
        batch_size=plan.batch_size,
        epochs=None,
        iterations=None,
        budget=str(plan.budget),
        optimizer=name,
        lr=lr,
        loss=objective.name,
    )
    return Setup(resolved, data, plan, model, objective, engine, custom)


def _updates(plan: Plan, config: TrainConfig) -> int:
    """Return how many updates a schedule falls over. Raises `OptionError` where a plan of time does not say it."""
    if not plan.is_open:
        return plan.updates
    if config.schedule != "constant":
        raise OptionError(
            f"the schedule '{config.schedule}' needs a known number of updates, which a budget of {plan.budget} does "
            "not have; use constant, or a budget of epochs"
        )
    return 1


def _without_none(options: Any) -> dict[str, Any]:
    return {name: value for name, value in dict(options).items() if value is not None}
