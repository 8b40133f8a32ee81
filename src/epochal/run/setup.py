"""From a configuration to everything that a training needs: data, plan, model, task, engine."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from dataclasses import dataclass
from typing import Any

import jax

from epochal.block_order import BlockSize, order_named
from epochal.clock import Lengths, Plan
from epochal.config.train_config import TrainConfig
from epochal.data import Dataset
from epochal.data.data_schema import Schema
from epochal.data.load_options import as_file
from epochal.data.registry import DATA_SETS
from epochal.data.splitting import with_balanced_classes
from epochal.engine import (
    Engine,
    Task,
    available_cores,
    check_jax,
    check_shards,
    check_warmup,
    keep_compiled_programs,
    offer_cores,
    present_settings,
)
from epochal.engine.compile import PROGRAMS, Programs
from epochal.engine.placement import check_processes, usual_shards
from epochal.engine.precision import in_bfloat16
from epochal.errors import OptionError, PlanError
from epochal.gradient_noise import MEASURED_EVERY
from epochal.models import Model
from epochal.record.checkpoint_file import Checkpoint
from epochal.record.run_toml import DataFacts, DeviceFacts, ModelFacts, RunFile, present_versions
from epochal.run.custom import Custom
from epochal.run.defaults import with_defaults
from epochal.run.named_parts import model_of, optimizer_of, task_of
from epochal.run.own_files_only import marked
from epochal.run.own_parts import refuse_beside_own_model, try_own_parts
from epochal.run.point import restored_weights
from epochal.size_schedule import Adaptive


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
            refuse_beside_own_model(config)
        if not is_compared:
            config = dataclasses.replace(config, model=custom.model.name)
        data = dataclasses.replace(data, target_scaling=None)  # it sees targets as they are
    plan = config.plan(len(data.train))
    adaptive = config.adaptive(plan.samples)
    _check_sizes(config, plan, adaptive)
    _check_data(config, data)

    model = custom.model or model_of(config, data)
    config = _for_processes(config, plan, model, is_new=lengths is None)
    task = task_of(config, custom, data, model, custom.loss or config.loss, config.label_smoothing)
    if lengths is None:
        lengths = Lengths.of(plan, config.warmup)
        check_warmup(config.warmup, lengths)
    optimizer, resolved = optimizer_of(config, plan, lengths, model, custom, data, task.loss)
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

    engine, custom, warnings = try_own_parts(engine, custom, plan)
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


def anchored(config: TrainConfig) -> TrainConfig:
    """Return a configuration whose files are named by absolute paths, so that they are found from everywhere."""
    files = {name: value for name in ("test", "validation") if (value := getattr(config, name)) and as_file(value)}
    if config.data not in DATA_SETS:
        files["data"] = config.data
    return dataclasses.replace(
        config, **{name: os.path.abspath(os.path.expanduser(one)) for name, one in files.items()}
    )


def _check_sizes(config: TrainConfig, plan: Plan, adaptive: Adaptive | None) -> None:
    """Refuse batch sizes that cannot be cut into the shards, or that cannot grow as asked.

    Raises `PlanError` or `OptionError`.
    """
    if config.shards is not None:
        for phase in plan.phases:
            check_shards(phase.batch_size, config.shards)
    if adaptive is None:
        return
    if jax.process_count() > 1:
        raise OptionError(
            "an adaptive batch size is measured in one process, and this training has several; write a schedule, such "
            "as 100,200@10ep"
        )
    if isinstance(adaptive.high, int) and adaptive.high > plan.samples:
        raise PlanError(
            f"an adaptive batch size of at most {adaptive.high:,} is above the {plan.samples:,} training samples; "
            f"use at most {plan.samples:,}, or 'all'"
        )


def _check_data(config: TrainConfig, data: Dataset) -> None:
    """Refuse options that ask more of the data than they hold: raises `OptionError`."""
    if config.patience is not None and data.validation is None:
        raise OptionError("patience waits for a better validation, so it needs validation samples: validation=0.1")
    if config.class_weight is not None and data.class_names is None:
        raise OptionError(f"class_weight weighs classes, and '{data.name}' is a regression; leave it out")


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


def _shape_facts(shape: Any) -> Any:
    """Return the shape of a sample as a TOML file holds it: a list, or a table for samples of several parts."""
    if isinstance(shape, dict):
        return {name: _shape_facts(one) for name, one in shape.items()}
    if shape and not isinstance(shape[0], int):
        return {str(number): _shape_facts(one) for number, one in enumerate(shape)}
    return list(shape)


def _without_none(options: Any) -> dict[str, Any]:
    return {name: value for name, value in dict(options).items() if value is not None}
