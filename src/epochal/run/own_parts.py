"""Parts of the user's own: tried before anything is written, and what they leave no room for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import jax

from epochal.clock import Plan
from epochal.config.train_config import TrainConfig
from epochal.engine import Engine
from epochal.engine.checks import check_micro_batch
from epochal.engine.checks import check_shards as check_one_piece
from epochal.engine.optimizer import option_names
from epochal.errors import OptionError
from epochal.run.custom import Custom


def try_own_parts(engine: Engine, custom: Custom, plan: Plan) -> tuple[Engine, Custom, tuple[str, ...]]:
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


def refuse_beside_own_model(config: TrainConfig) -> None:
    """Refuse options that have no effect beside a model of the user's own: raises `OptionError`."""
    others = [name for name in config.settings or {} if name not in option_names()]
    for name in (*config.model_options, *others):
        raise OptionError(f"{name} has no effect beside a Model of your own; build it with that value")


def refuse_beside_own(config: TrainConfig, given: Iterable[str]) -> None:
    """Refuse options that have no effect beside an Optax transformation: raises `OptionError`."""
    plain = TrainConfig()
    others = [
        name for name in ("lr", "schedule", "warmup", "clip_norm") if getattr(config, name) != getattr(plain, name)
    ]
    for name in (*others, *given):
        raise OptionError(f"{name} has no effect beside an Optax transformation of your own; build it with that value")
