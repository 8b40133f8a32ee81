"""From a configuration to everything that a training needs: data, plan, model, task, engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import optax

from epochal.clock import Lengths, Plan
from epochal.config import TrainConfig
from epochal.counts import shown
from epochal.data import Dataset
from epochal.engine import (
    Engine,
    Metric,
    Optimizer,
    Task,
    available_cores,
    build_optimizer,
    build_task,
    check_jax,
    check_shards,
    check_warmup,
    default_learning_rate,
    keep_compiled_programs,
    offer_cores,
    present_settings,
)
from epochal.engine.checks import check_micro_batch
from epochal.engine.checks import check_shards as check_one_piece
from epochal.engine.compile import PROGRAMS, Programs
from epochal.engine.optimizer import check_rate, option_names
from epochal.errors import ModelError, OptionError
from epochal.models import Model, build_model
from epochal.order import Order
from epochal.record.run_toml import DataFacts, DeviceFacts, ModelFacts, RunFile, present_versions

_OWN = "custom"  # the name of an optimizer that was given as an object


@dataclass(frozen=True, slots=True)
class Custom:
    """Parts given as Python objects, which stand in place of what the configuration names."""

    model: Model | None = None
    optimizer: optax.GradientTransformation | None = None
    loss: Callable[..., Any] | None = None
    data: bool = False
    metrics: Sequence[str | Metric] | None = None
    tried: bool = False  # whether they were tried on real samples already, as for a run that continues

    def __post_init__(self) -> None:
        if self.model is not None and not isinstance(self.model, Model):
            raise ModelError(
                f"model must be a name or a Model, got {shown(self.model)}; make one with epochal.from_functions"
            )
        if self.optimizer is not None and not isinstance(self.optimizer, optax.GradientTransformation):
            raise OptionError(f"optimizer must be a name or an Optax transformation, got {shown(self.optimizer)}")

    @property
    def has_objects(self) -> bool:
        """Whether there are parts that may hold values which change from one training to the next, unseen."""
        own_metrics = any(not isinstance(metric, str) for metric in self.metrics or ())
        return own_metrics or any(part is not None for part in (self.model, self.optimizer, self.loss))

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
    """Everything that a training needs.

    Attributes:
        config: resolved: its defaults are filled in.
        lengths: which the learning-rate schedule follows.
        warnings: what the user should know of parts of their own.
    """

    config: TrainConfig
    data: Dataset
    plan: Plan
    lengths: Lengths
    model: Model
    task: Task
    engine: Engine
    custom: Custom
    warnings: tuple[str, ...] = ()

    @property
    def present_device(self) -> DeviceFacts:
        """The kind of device that this process trains on, how many of them, and the CPU cores that it may use."""
        devices = self.engine.cut(self.plan.batch_size).devices
        return DeviceFacts(devices[0].platform, devices[0].device_kind, len(devices), available_cores())

    def run_file(self, parameters: int) -> RunFile:
        """Return what `run.toml` will hold."""
        data = DataFacts(
            name=self.data.name,
            fingerprint=self.data.fingerprint,
            train=len(self.data.train),
            test=len(self.data.test),
            sample_shape=list(self.data.sample_shape),
            task=self.data.task,
            outputs=self.data.outputs,
        )
        model = ModelFacts(self.model.name, parameters, _without_none(self.model.options))

        return RunFile(
            self.config,
            data,
            model,
            present_versions(),
            self.present_device,
            self.custom.names,
            settings=present_settings(),
        )


def set_up(config: TrainConfig, data: Dataset, custom: Custom | None = None, lengths: Lengths | None = None) -> Setup:
    """Build everything from the configuration and its data.

    ``lengths`` are those of a run that has begun (`RunFile.lengths_at`), whose plan may have changed on the way.
    Without them the training is a new one, whose warm-up must not be longer than its plan.

    Raises `PlanError`, `OptionError` or `ModelError` for what cannot be trained; nothing is written.
    """
    # Before anything asks JAX for a device: from then on, the process keeps the devices that it has.
    keep_compiled_programs()
    offer_cores()
    check_jax()

    custom = custom or Custom()
    if custom.model is not None:
        _refuse_beside_own_model(config)
    plan = config.plan(len(data.train))
    if config.shards is not None:
        check_shards(plan.batch_size, config.shards)

    model = custom.model or _build_model(config, data)
    metrics = config.metrics if custom.metrics is None else custom.metrics
    task = build_task(data, custom.loss or config.loss, metrics, config.label_smoothing)
    if lengths is None:
        lengths = Lengths.of(plan, config.warmup)
        check_warmup(config.warmup, lengths)
    optimizer, resolved = _resolve_optimizer(config, plan, lengths, model, custom)
    engine = Engine(
        model,
        data,
        task,
        optimizer,
        Order(plan.samples, config.seed),
        rate=resolved.lr or 1.0,
        seed=config.seed,
        micro_batch=config.micro_batch,
        shards=config.shards,
        is_built_in=custom.model is None and optimizer.is_built_in,
        programs=Programs() if custom.has_objects else PROGRAMS,
    )

    engine, custom, warnings = _try_own_parts(engine, custom, plan)
    resolved = dataclasses.replace(
        resolved, batch_size=plan.batch_size, epochs=None, iterations=None, budget=str(plan.budget), loss=task.loss
    )
    return Setup(resolved, data, plan, lengths, engine.model, task, engine, custom, warnings)


def _try_own_parts(engine: Engine, custom: Custom, plan: Plan) -> tuple[Engine, Custom, tuple[str, ...]]:
    """Try a model and a loss of the user's own; a model whose outputs depend on other samples is known to from here on.

    Raises `ModelError` for what cannot be trained, or not in such pieces.
    """
    model, warnings = custom.model, []
    if not custom.tried and (model is not None or custom.loss is not None):
        found = engine.try_own_parts(loss=custom.loss is not None)
        if not found.learns:
            warnings.append(f"the loss of model '{engine.model.name}' is the same for all weights: nothing is learned")

        if model is not None and found.depends and not model.uses_batch_statistics:
            warnings.append(
                f"an output of model '{model.name}' depends on other samples of its batch, so no batch is computed in "
                "pieces; say so with uses_batch_statistics=True"
            )
            model = dataclasses.replace(model, uses_batch_statistics=True)
            engine = dataclasses.replace(engine, model=model)

    # before anything is written, as the engine itself would only say it when it compiles
    if model is not None and engine.micro_batch is not None:
        check_micro_batch(model, plan.batch_size, engine.micro_batch)
    shards = 1 if model is None or engine.shards is None else engine.cut(plan.batch_size).count
    if model is not None and shards > 1:
        check_one_piece(model, jax.eval_shape(engine.initial_state), shards)
    return engine, dataclasses.replace(custom, model=model, tried=True), tuple(warnings)


def _resolve_optimizer(
    config: TrainConfig, plan: Plan, lengths: Lengths, model: Model, custom: Custom
) -> tuple[Optimizer, TrainConfig]:
    """Return the optimizer, and the configuration with its name, options and learning rate filled in."""
    known = {field.name for field in dataclasses.fields(TrainConfig)}
    given = {name: getattr(config, name) for name in option_names() if name in known}
    given = {name: value for name, value in given.items() if value is not None}
    given |= {name: value for name, value in _settings(config).items() if name in option_names()}

    if custom.optimizer is not None:
        own = Optimizer(own=custom.optimizer)
        if config.optimizer not in (None, _OWN):  # recorded by an earlier version, with a rate that had no effect
            return own, config
        _refuse_beside_own(config, given)
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
    lr = default_learning_rate(name, plan.batch_size) if config.lr is None else check_rate(config.lr)
    filled = {name: value for name, value in optimizer.options if name in known}
    return optimizer, dataclasses.replace(config, optimizer=name, lr=lr, **filled)


def _build_model(config: TrainConfig, data: Dataset) -> Model:
    """Return the named model with the options that were given for it."""
    settings = {name: value for name, value in _settings(config).items() if name not in option_names()}
    return build_model(config.model, data.sample_shape, data.outputs, **{**settings, **config.model_options})


def _settings(config: TrainConfig) -> dict[str, Any]:
    """Return the settings; lists, as they stand in `run.toml`, as tuples, which can be compared and hashed."""
    settings = (config.settings or {}).items()
    return {name: tuple(value) if isinstance(value, list) else value for name, value in settings}


def _refuse_beside_own_model(config: TrainConfig) -> None:
    """Refuse options that have no effect beside a model of the user's own: raises `OptionError`."""
    others = [name for name in config.settings or {} if name not in option_names()]
    for name in (*config.model_options, *others):
        raise OptionError(f"{name} has no effect beside a Model of your own; build it with that value")


def _refuse_beside_own(config: TrainConfig, given: Iterable[str]) -> None:
    """Refuse options that have no effect beside an Optax transformation: raises `OptionError`."""
    plain = TrainConfig()
    others = [
        name for name in ("lr", "schedule", "warmup", "clip_norm") if getattr(config, name) != getattr(plain, name)
    ]
    for name in (*others, *given):
        raise OptionError(f"{name} has no effect beside an Optax transformation of your own; build it with that value")


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


def _without_none(options: Any) -> dict[str, Any]:
    return {name: value for name, value in dict(options).items() if value is not None}
