"""From a configuration to everything that a training needs: data, plan, model, task, engine."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from epochal.block_order import BlockSize, order_named
from epochal.clock import Lengths, Plan
from epochal.config import TrainConfig
from epochal.data import Dataset
from epochal.data.data_schema import Schema
from epochal.data.load_options import as_file
from epochal.data.registry import DATA_SETS
from epochal.data.splitting import with_balanced_classes
from epochal.engine import (
    Engine,
    Optimizer,
    Task,
    available_cores,
    build_optimizer,
    build_task,
    check_jax,
    check_shards,
    check_warmup,
    keep_compiled_programs,
    offer_cores,
    present_settings,
)
from epochal.engine.checks import check_micro_batch, with_fitting_metrics
from epochal.engine.checks import check_shards as check_one_piece
from epochal.engine.compile import PROGRAMS, Programs
from epochal.engine.optimizer import check_rate, option_names
from epochal.engine.placement import check_processes, usual_shards
from epochal.engine.precision import in_bfloat16
from epochal.errors import OptionError, PlanError
from epochal.gradient_noise import MEASURED_EVERY
from epochal.models import Model, build_model
from epochal.order import Order
from epochal.record.checkpoint_file import Checkpoint
from epochal.record.run_toml import DataFacts, DeviceFacts, ModelFacts, RunFile, present_versions
from epochal.run.custom import Custom
from epochal.run.defaults import usual_rate, with_defaults
from epochal.run.own_files_only import marked
from epochal.run.own_model import ModelSource
from epochal.run.point import restored_weights

_OWN = "custom"  # the name of an optimizer that was given as an object


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
        devices = self.engine.cut(self.plan.first_batch_size).devices
        return DeviceFacts(devices[0].platform, devices[0].device_kind, len(devices), available_cores())

    @property
    def schema(self) -> Schema:
        """What prediction needs to know of the data."""
        return Schema.of(self.engine.data)

    def beginning_with(self, weights: Checkpoint) -> Setup:
        """Return the same with these weights and this state of the model to begin with, from a run's own file."""
        begun = restored_weights(weights, self.engine.initial_state)

        def beginning(model: Model) -> Model:
            return dataclasses.replace(model, init=lambda key: (begun.params, begun.model_state))

        # two models where the engine's computes in another precision
        model = beginning(self.model)
        engine = dataclasses.replace(self.engine, model=model)
        custom = dataclasses.replace(self.custom, model=beginning(self.custom.model))
        return dataclasses.replace(self, model=model, engine=engine, custom=custom)

    def run_file(self, parameters: int) -> RunFile:
        """Return what `run.toml` will hold."""
        fingerprint = self.data.fingerprint  # computed anew each time
        data = DataFacts(
            name=self.data.name,
            fingerprint=fingerprint,
            train=len(self.data.train),
            test=len(self.data.test),
            sample_shape=_shape_facts(self.data.sample_shape),
            task=self.data.task,
            outputs=self.data.outputs,
            validation=0 if self.data.validation is None else len(self.data.validation),
            preprocessing=hashlib.sha256(self.schema.to_json().encode()).hexdigest(),
        )
        source = self.custom.source
        model = ModelFacts(
            self.model.name,
            parameters,
            _without_none(self.model.options),
            "" if source is None else source.text,
            "" if source is None else source.sha256,
        )
        config = self.config if self.custom.data else anchored(self.config)
        return RunFile(
            config,
            data,
            model,
            present_versions(self.model.packages),
            self.present_device,
            self.custom.names,
            settings=present_settings(),
            named_by=() if self.custom.data else marked(config, fingerprint),
        )


def _shape_facts(shape: Any) -> Any:
    """Return the shape of a sample as a TOML file holds it: a list, or a table for samples of several parts."""
    if isinstance(shape, dict):
        return {name: _shape_facts(one) for name, one in shape.items()}
    if shape and not isinstance(shape[0], int):
        return {str(number): _shape_facts(one) for number, one in enumerate(shape)}
    return list(shape)


def anchored(config: TrainConfig) -> TrainConfig:
    """Return a configuration whose files are named by absolute paths, so that they are found from everywhere."""
    files = {name: value for name in ("test", "validation") if (value := getattr(config, name)) and as_file(value)}
    if config.data not in DATA_SETS:
        files["data"] = config.data
    return dataclasses.replace(
        config, **{name: os.path.abspath(os.path.expanduser(one)) for name, one in files.items()}
    )


def set_up(
    config: TrainConfig,
    data: Dataset,
    custom: Custom | None = None,
    lengths: Lengths | None = None,
    *,
    is_compared: bool = False,
) -> Setup:
    """Build everything from the configuration and its data.

    ``lengths`` are those of a run that has begun (`RunFile.lengths_at`), whose plan may have changed on the way.
    Without them the training is a new one, whose warm-up must not be longer than its plan. A training that
    ``is_compared`` has the model's own optimizer whatever the data, so that one thing alone differs.

    Raises `PlanError`, `OptionError` or `ModelError` for what cannot be trained; nothing is written.
    """
    # Before anything asks JAX for a device: from then on, the process keeps the devices that it has.
    notes = keep_compiled_programs()
    offer_cores()
    check_jax()

    custom = (custom or Custom()).for_data(config, data)
    if custom.model is None:
        if not is_compared:
            config = with_defaults(config, data, own_optimizer=custom.optimizer is not None)
    else:
        if custom.source is None and lengths is None:
            _refuse_beside_own_model(config)
        if not is_compared:
            config = dataclasses.replace(config, model=custom.model.name)
        data = dataclasses.replace(data, target_scaling=None)  # it sees targets as they are
    plan = config.plan(len(data.train))
    if config.shards is not None:
        for phase in plan.phases:
            check_shards(phase.batch_size, config.shards)
    adaptive = config.adaptive(plan.samples)
    if adaptive is not None and jax.process_count() > 1:
        raise OptionError(
            "an adaptive batch size is measured in one process, and this training has several; write a schedule, such "
            "as 100,200@10ep"
        )
    if adaptive is not None and isinstance(adaptive.high, int) and adaptive.high > plan.samples:
        raise PlanError(
            f"an adaptive batch size of at most {adaptive.high:,} is above the {plan.samples:,} training samples; "
            f"use at most {plan.samples:,}, or 'all'"
        )

    if config.patience is not None and data.validation is None:
        raise OptionError("patience waits for a better validation, so it needs validation samples: validation=0.1")
    if config.class_weight is not None and data.class_names is None:
        raise OptionError(f"class_weight weighs classes, and '{data.name}' is a regression; leave it out")

    model = custom.model or _build_model(config, data)
    config = _for_processes(config, plan, model, is_new=lengths is None)
    task = _build_task(config, custom, data, model, custom.loss or config.loss, config.label_smoothing)
    if lengths is None:
        lengths = Lengths.of(plan, config.warmup)
        check_warmup(config.warmup, lengths)
    optimizer, resolved = _resolve_optimizer(config, plan, lengths, model, custom, data)
    order = _sized_order(config, data)
    engine = Engine(
        in_bfloat16(model) if config.precision == "bfloat16" else model,
        data if config.class_weight is None else with_balanced_classes(data),
        task,
        optimizer,
        order_named(order, plan.samples, config.seed),
        rate=resolved.lr or 1.0,
        seed=config.seed,
        micro_batch=config.micro_batch,
        shards=config.shards,
        at_once=custom.at_once,
        noise_every=MEASURED_EVERY if config.measure == "noise" else None,
        is_built_in=custom.model is None and optimizer.is_built_in,
        programs=Programs() if custom.has_objects else PROGRAMS,
    )

    engine, custom, warnings = _try_own_parts(engine, custom, plan)
    if config.measure == "noise":
        _check_halves(engine, plan)
    size = plan.batch_sizes if adaptive is None else str(adaptive)
    resolved = dataclasses.replace(
        resolved,
        batch_size=size,
        epochs=None,
        iterations=None,
        budget=str(plan.budget),
        loss=task.loss,
        order=order,
    )
    return Setup(resolved, data, plan, lengths, engine.model, task, engine, custom, (*notes, *warnings))


def _check_halves(engine: Engine, plan: Plan) -> None:
    """Refuse to compare halves of batches that have none: raises `OptionError`."""
    if any(phase.batch_size == 1 for phase in plan.phases):
        raise OptionError(
            "measure='noise' compares two halves of each batch, and a batch of 1 sample has none; take a batch size of "
            "at least 2, or leave it out"
        )
    if engine.model.uses_batch_statistics:
        raise OptionError(
            f"measure='noise' compares two halves of each batch, and model '{engine.model.name}' computes with "
            "statistics of its batch, so that a half has another model; leave it out"
        )


def _for_processes(config: TrainConfig, plan: Plan, model: Model, *, is_new: bool) -> TrainConfig:
    """Return the configuration with the shards that several processes share; a run that has begun keeps its own.

    Raises `OptionError` where they cannot share any.
    """
    if jax.process_count() == 1:
        return config
    if config.shards is None and is_new:
        config = dataclasses.replace(config, shards=usual_shards([phase.batch_size for phase in plan.phases]))
    usual = model.shards if jax.default_backend() == "cpu" else 1
    for phase in plan.phases:
        check_processes(phase.batch_size, usual if config.shards is None else config.shards)
    return config


def _sized_order(config: TrainConfig, data: Dataset) -> str | None:
    """Return the order's name with the size of its blocks, which is a run's own from its start on."""
    if config.order != "blocks":
        return config.order
    return f"blocks:{BlockSize.for_rows(data.train.layout.row_bytes)}"


def _try_own_parts(engine: Engine, custom: Custom, plan: Plan) -> tuple[Engine, Custom, tuple[str, ...]]:
    """Try a model and a loss of the user's own; a model whose outputs depend on other samples is known to from here on.

    Raises `ModelError` for what cannot be trained, or not in such pieces.
    """
    model, warnings = custom.model, [] if custom.tried or custom.model is None else [*custom.model.notes]
    if not custom.tried and (model is not None or custom.loss is not None):
        found = engine.try_own_parts(plan.first_batch_size, loss=custom.loss is not None)
        if not found.learns:
            warnings.append(f"the loss of model '{engine.model.name}' is the same for all weights: nothing is learned")

        warnings += [f"model '{engine.model.name}': {slow}" for slow in found.slow]
        if found.are_probabilities and engine.task.loss == "cross-entropy":
            warnings.append(
                f"the outputs of model '{engine.model.name}' are probabilities, and cross-entropy takes scores: leave "
                "out its last softmax, or it learns slowly"
            )
        if model is not None and found.depends and not model.uses_batch_statistics:
            warnings.append(
                f"an output of model '{model.name}' depends on other samples of its batch, so no batch is computed in "
                "pieces; say so with uses_batch_statistics=True"
            )
            model = dataclasses.replace(model, uses_batch_statistics=True)
            engine = dataclasses.replace(engine, model=dataclasses.replace(engine.model, uses_batch_statistics=True))

    # before anything is written, as the engine itself would only say it when it compiles
    if model is not None and engine.micro_batch is not None:
        for phase in plan.phases:
            check_micro_batch(model, phase.batch_size, engine.micro_batch)
    cuts = () if model is None or engine.shards is None else (engine.cut(one.batch_size).count for one in plan.phases)
    shards = max(cuts, default=1)
    if model is not None and shards > 1:
        check_one_piece(model, jax.eval_shape(engine.initial_state), shards)
    return engine, dataclasses.replace(custom, model=model, tried=True), tuple(warnings)


def _resolve_optimizer(
    config: TrainConfig, plan: Plan, lengths: Lengths, model: Model, custom: Custom, data: Dataset
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
    lr = usual_rate(name, plan, data, model) if config.lr is None else check_rate(config.lr)
    filled = {name: value for name, value in optimizer.options if name in known}
    return optimizer, dataclasses.replace(config, optimizer=name, lr=lr, **filled)


def _build_model(config: TrainConfig, data: Dataset) -> Model:
    """Return the named model with the options that were given for it."""
    if ModelSource.is_one(config.model):
        raise OptionError(
            f"{config.model} makes a model of your own, which `train` alone takes from a file; give others from Python"
        )
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


def _build_task(
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


def _no_loss(outputs: Any, targets: Any) -> jax.Array:
    """Stand for a loss of the user's own that is not at hand: to predict, none is needed, whatever the outputs are."""
    return jnp.zeros(len(targets))


def prediction_engine(file: RunFile, schema: Schema, custom: Custom) -> Engine:
    """Return an engine that predicts and evaluates without the data that a run was trained on.

    The loss of a regression or classification is the run's where it has a name. Raises `OptionError` or `ModelError`
    where the model cannot be built.
    """
    keep_compiled_programs()
    offer_cores()
    config = file.present_config
    data = schema.without_samples(file.data.name)
    custom = custom.for_data(config, data)
    model = custom.model or _build_model(config, data)
    task = _build_task(config, custom, data, model, custom.loss or (_no_loss if "loss" in file.custom else config.loss))
    programs = Programs() if custom.has_objects else PROGRAMS
    untrained = Optimizer(own=optax.identity())
    if config.precision == "bfloat16":
        model = in_bfloat16(model)
    return Engine(model, data, task, untrained, Order(max(1, file.data.train), config.seed), programs=programs)
