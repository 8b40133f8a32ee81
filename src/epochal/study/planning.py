"""From the options that were given, and the study that is there already, to one configuration."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from epochal.config.options import MOST_RUNS, count, read_options
from epochal.config.study_config import COMPARE, STUDY, VARIED, StudyConfig
from epochal.config.train_config import BUDGETS, TrainConfig
from epochal.counts import shown
from epochal.errors import OptionError, unknown_name
from epochal.record.study_record import StudyRecord
from epochal.run.own_files_only import check_named

_MAY_CHANGE = "target_accuracy"


def plan_study(given: Mapping[str, Any], path: str | os.PathLike[str] | None) -> StudyConfig:
    """Return the configuration of the study at ``path`` if there is one, else that of the options given.

    ``given`` are fields of `StudyConfig` and `TrainConfig`, or ``repeat`` in place of a list of seeds; those that are
    ``None`` count as not given. Raises `OptionError` for unknown options, bad values, and values other than those of
    the existing study.
    """
    wanted = _read(_repeated({name: value for name, value in given.items() if value is not None}))
    if path is None or not StudyRecord.is_at(Path(path)):
        return _build({"snapshots": True, **wanted})

    study = StudyRecord.read(Path(path))
    config = study.config
    anew = {*wanted, *(("data",) if study.data.own else ())}
    check_named(config.shared, study.data.fingerprint, study.named_by, str(path), anew)
    recorded = {name: getattr(config if name in STUDY else config.shared, name) for name in COMPARE}
    for name, value in wanted.items():
        if name != _MAY_CHANGE and value != recorded[name]:
            raise OptionError(
                f"{path} was made with {_shown(name, recorded[name])}, not {_shown(name, value)}; "
                "leave it out to continue that study, or choose another folder"
            )
    return _build({**recorded, **wanted})


def with_budget(study: StudyRecord, budget: Mapping[str, Any]) -> StudyConfig:
    """Return the study's configuration with a larger budget. Raises `OptionError` where it is not larger."""
    config = study.config
    for name in budget:
        if name not in {*BUDGETS, "seconds"}:
            raise OptionError(unknown_name("budget", name, {*BUDGETS, "seconds"}))
    if (config.seconds is None) == ("seconds" in budget):
        unit = "epochs, iterations or samples" if config.seconds is None else "seconds"
        raise OptionError(f"{study.path} has a budget of {unit}; give a larger one of that kind")

    if config.seconds is not None:
        larger = dataclasses.replace(config, seconds=STUDY["seconds"].read("seconds", budget["seconds"]))
        is_larger = larger.seconds is not None and larger.seconds >= config.seconds
    else:
        larger = dataclasses.replace(config, shared=config.shared.changed(budget))
        samples = study.data.train
        pairs = zip(larger.members(), config.members(), strict=True)
        is_larger = all(new.config.plan(samples).updates >= old.config.plan(samples).updates for new, old in pairs)

    if not is_larger:
        raise OptionError(f"{study.path} has a larger budget already; a study's budget can only grow")
    return larger


def _repeated(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with the list of seeds that ``repeat`` stands for: so many, from the given one or 0 on."""
    values = dict(given)
    times = values.pop("repeat", None)
    if times is None:
        return values
    times = count(at_most=MOST_RUNS).read("repeat", times)
    first = STUDY["seeds"].read("seeds", values.get("seeds", (0,)))
    if len(first) > 1:
        raise OptionError(f"give repeat or a list of seeds, not both: repeat={times} counts from one seed on")
    return {**values, "seeds": tuple(range(first[0], first[0] + times))}


def _read(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options as they are kept. Raises what their readers raise, and `OptionError` for unknown names."""
    lists = {one: name for name, one in VARIED.items()}
    for name, value in given.items():
        if name in lists:
            raise OptionError(f"a comparison takes {lists[name]}, one or several: write {lists[name]}={shown(value)}")
    return read_options(COMPARE, given)


def _build(values: Mapping[str, Any]) -> StudyConfig:
    shared = TrainConfig(**{name: value for name, value in values.items() if name not in STUDY})
    return StudyConfig(shared=shared, **{name: value for name, value in values.items() if name in STUDY})


def _shown(name: str, value: Any) -> str:
    """Write an option as the command line has it."""
    option = VARIED.get(name, name).replace("_", "-")
    if value in (None, ()):
        return f"no --{option}"
    return f"--{option} {','.join(map(str, value)) if isinstance(value, tuple) else value}"
