"""An engine that predicts and evaluates without the data that a run was trained on."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from epochal.data.data_schema import Schema
from epochal.engine import Engine, Optimizer, keep_compiled_programs, offer_cores
from epochal.engine.compile import PROGRAMS, Programs
from epochal.engine.precision import in_bfloat16
from epochal.order import Order
from epochal.record.run_toml import RunFile
from epochal.run.custom import Custom
from epochal.run.named_parts import model_of, task_of


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
    model = custom.model or model_of(config, data)
    task = task_of(config, custom, data, model, custom.loss or (_no_loss if "loss" in file.custom else config.loss))
    programs = Programs() if custom.has_objects else PROGRAMS
    untrained = Optimizer(own=optax.identity())
    if config.precision == "bfloat16":
        model = in_bfloat16(model)
    return Engine(model, data, task, untrained, Order(max(1, file.data.train), config.seed), programs=programs)
