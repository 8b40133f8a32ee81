"""From the options that were given, and the study that is there already, to one configuration."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from epochal.clock import Span
from epochal.config import BUDGETS, TrainConfig
from epochal.counts import parse_count
from epochal.errors import OptionError, unknown_name
from epochal.record.study_record import StudyRecord as Study
from epochal.study.config import (
    VARIED,
    StudyConfig,
    parse_batch_sizes,
    parse_names,
    parse_number,
    parse_rates,
    parse_seeds,
)

_READERS: Mapping[str, Callable[[Any], Any]] = {
    "batch_sizes": parse_batch_sizes,
    "models": lambda value: parse_names("model", value),
    "optimizers": lambda value: parse_names("optimizer", value),
    "lrs": parse_rates,
    "seeds": parse_seeds,
    "seconds": lambda value: parse_number("seconds", value),
    "target_accuracy": lambda value: parse_number("the target accuracy", value),
    "epochs": lambda value: parse_count("epochs", value),
    "iterations": lambda value: parse_count("iterations", value),
    "budget": lambda value: str(Span.parse(value) if isinstance(value, str) else value),
}
_MAY_CHANGE = "target_accuracy"


def plan_study(given: Mapping[str, Any], path: str | os.PathLike[str] | None) -> StudyConfig:
    """Return the configuration of the study at ``path`` if there is one, else that of the options given.

    ``given`` are fields of `StudyConfig` and `TrainConfig`; those that are ``None`` count as not given. Raises
    `OptionError` for unknown options, bad values, and values other than those of the existing study.
    """
    wanted = _read({name: value for name, value in given.items() if value is not None})
    if path is None or not Study.is_at(Path(path)):
        return _build({"snapshots": True, **wanted})
    recorded = _flat(Study.read(Path(path)).config)
    for name, value in wanted.items():
        if name != _MAY_CHANGE and value != recorded.get(name):
            raise OptionError(
                f"{path} was made with {_shown(name, recorded.get(name))}, not {_shown(name, value)}; "
                "leave it out to go on with that study, or choose another folder"
            )
    return _build({**recorded, **wanted})


def with_budget(study: Study, budget: Mapping[str, Any]) -> StudyConfig:
    """Return the study's configuration with a larger budget. Raises `OptionError` where it is not larger."""
    config = study.config
    for name in budget:
        if name not in {*BUDGETS, "seconds"}:
            raise OptionError(unknown_name("budget", name, {*BUDGETS, "seconds"}))
    if (config.seconds is None) == ("seconds" in budget):
        unit = "epochs, iterations or samples" if config.seconds is None else "seconds"
        raise OptionError(f"{study.path} has a budget of {unit}; give a larger one of that kind")
    if config.seconds is not None:
        larger = dataclasses.replace(config, seconds=parse_number("seconds", budget["seconds"]))
        is_larger = larger.seconds is not None and larger.seconds >= config.seconds
    else:
        larger = dataclasses.replace(config, shared=config.shared.changed(budget))
        samples = study.data.train
        pairs = zip(larger.members(), config.members(), strict=True)
        is_larger = all(new.config.plan(samples).updates >= old.config.plan(samples).updates for new, old in pairs)
    if not is_larger:
        raise OptionError(f"{study.path} has a larger budget already; a study's budget can only grow")
    return larger


def _read(given: Mapping[str, Any]) -> dict[str, Any]:
    for name in given:
        if name in VARIED.values():
            raise OptionError(f"a comparison varies '{name}': give a list of {name}s")
    return {name: _READERS[name](value) if name in _READERS else value for name, value in given.items()}


def _build(values: Mapping[str, Any]) -> StudyConfig:
    own = {field.name for field in dataclasses.fields(StudyConfig)} - {"shared"}
    shared = {field.name for field in dataclasses.fields(TrainConfig)} - set(VARIED.values())
    for name in values:
        if name not in own | shared:
            raise OptionError(unknown_name("option", name, own | shared))
    train = TrainConfig.from_dict({name: value for name, value in values.items() if name in shared})
    return StudyConfig(shared=train, **{name: value for name, value in values.items() if name in own})


def _flat(config: StudyConfig) -> dict[str, Any]:
    """Return every option that the configuration has, by its own name."""
    values = config.to_dict()
    flat = {**values.pop("shared"), **values}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in flat.items()}


def _shown(name: str, value: Any) -> str:
    """Write an option as the command line has it."""
    option = VARIED.get(name, name).replace("_", "-")
    if value is None:
        return f"no --{option}"
    return f"--{option} {','.join(map(str, value)) if isinstance(value, tuple) else value}"
