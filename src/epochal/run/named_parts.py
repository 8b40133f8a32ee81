"""The model, the task and the optimizer that a configuration names."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from epochal.clock import Lengths, Plan
from epochal.config.train_config import TrainConfig
from epochal.data import Dataset
from epochal.engine import Optimizer, Task, build_optimizer, build_task
from epochal.engine.checks import with_fitting_metrics
from epochal.engine.optimizer import check_rate, option_names
from epochal.errors import OptionError
from epochal.models import Model, build_model
from epochal.run.custom import Custom
from epochal.run.defaults import usual_rate
from epochal.run.own_model import ModelSource
from epochal.run.own_parts import refuse_beside_own

_OWN = "custom"  # the name of an optimizer that was given as an object


def model_of(config: TrainConfig, data: Dataset) -> Model:
    """Return the named model with the options that were given for it."""
    if ModelSource.is_one(config.model):
        raise OptionError(
            f"{config.model} makes a model of your own, which `train` alone takes from a file; give others from Python"
        )
    settings = {name: value for name, value in settings_of(config).items() if name not in option_names()}
    return build_model(config.model, data.sample_shape, data.outputs, **{**settings, **config.model_options})


def task_of(
    config: TrainConfig,
    custom: Custom,
    data: Dataset,
    model: Model,
    loss: str | Callable[..., Any] | None,
    label_smoothing: float | None = None,
) -> Task:
    """Return the task; beside a model and a loss of the user's own, without the default metrics that do not fit."""
    metrics = config.metrics if custom.metrics is None else custom.metrics
    task = build_task(data, loss, metrics, label_smoothing)
    is_own = metrics is None and custom.model is not None and callable(loss)
    return with_fitting_metrics(task, model) if is_own else task


def optimizer_of(
    config: TrainConfig, plan: Plan, lengths: Lengths, model: Model, custom: Custom, data: Dataset, loss: str
) -> tuple[Optimizer, TrainConfig]:
    """Return the optimizer, and the configuration with its name, options and learning rate filled in."""
    known = {field.name for field in dataclasses.fields(TrainConfig)}
    given = {name: getattr(config, name) for name in option_names() if name in known}
    given = {name: value for name, value in given.items() if value is not None}
    given |= {name: value for name, value in settings_of(config).items() if name in option_names()}

    if custom.optimizer is not None:
        own = Optimizer(own=custom.optimizer)
        if config.optimizer not in (None, _OWN):  # recorded by an earlier version, with a rate that had no effect
            return own, config
        refuse_beside_own(config, given)
        return own, dataclasses.replace(config, optimizer=_OWN)

    name = config.optimizer or model.optimizer
    updates = _updates(lengths, plan, config)
    optimizer = build_optimizer(
        name,
        given,
        schedule=config.schedule,
        warmup=lengths.warmup,
        updates=updates,
        clip_norm=config.clip_norm,
    )
    lr = usual_rate(name, plan, data, model, loss) if config.lr is None else check_rate(config.lr)
    filled = {name: value for name, value in optimizer.options if name in known}
    return optimizer, dataclasses.replace(config, optimizer=name, lr=lr, **filled)


def _updates(lengths: Lengths, plan: Plan, config: TrainConfig) -> int:
    """Return how many updates a schedule falls over. Raises `OptionError` where a plan of time does not say it."""
    if lengths.updates is not None:
        return lengths.updates
    if config.schedule != "constant":
        raise OptionError(
            f"the schedule '{config.schedule}' needs a known number of updates, which a budget of {plan.budget} does "
            "not have; use constant, or a budget of epochs"
        )
    return 1


def settings_of(config: TrainConfig) -> dict[str, Any]:
    """Return the settings; lists, as they stand in `run.toml`, as tuples, which can be compared and hashed."""
    settings = (config.settings or {}).items()
    return {name: tuple(value) if isinstance(value, list) else value for name, value in settings}
