"""From a request and its data to everything that its trials need; what cannot be studied is refused here."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from epochal.config.train_config import TrainConfig
from epochal.data import Dataset
from epochal.errors import DataError, OptionError, PlanError
from epochal.run.custom import Custom
from epochal.run.setup import anchored
from epochal.study.batch_size.predicted import refuse_quick
from epochal.study.batch_size.request import SHARED, Request
from epochal.study.held_out import validation_split
from epochal.study.to_target import ToTarget

_FEWEST_SAMPLES = 60
_FACTOR, _MIDDLE = 4, 64
_BY_ROOT = ("adam", "adamw", "rmsprop", "adagrad", "lion", "adafactor")  # whose rate follows √B (Malladi et al. 2022)


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """What the trials of a study need.

    Attributes:
        request: with files named by absolute paths, so that they are found from everywhere.
        data: all of it; the trials see a part of its training set, and are judged on another.
        samples: N, trained on.
        sizes: batch sizes that may be tried, rising.
        start: the one of them to begin with.
        default_rate: the learning rate there where none is given.
        power: of the batch size by which the best rate is expected to grow.
        rates: of each size where no rate is searched.
        shown_data: what the data are called.
        notes: what the user should know.
        options: those of a training that were given, but for batch size and rate.
        noise: measured noise scales.
    """

    request: Request
    data: Dataset
    trials: ToTarget
    samples: int
    held_out: int
    sizes: tuple[int, ...]
    start: int
    model: str
    optimizer: str
    default_rate: float
    power: float
    parameters: int
    shown_data: str
    notes: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    own_data: bool = False
    have_objects: bool = False
    is_quick: bool = False
    rates: Mapping[int, float] | None = None
    branched_from: tuple[str, int] | None = None
    noise: Mapping[str, Any] | None = None

    @property
    def is_branch(self) -> bool:
        """Whether all trainings begin at a run's checkpoint."""
        return self.branched_from is not None


def prepare(request: Request, data: Dataset, custom: Custom | None = None) -> Prepared:
    """Set up what a request needs. Raises `EpochalError` for what cannot be studied."""
    check_request(request, data)
    custom = custom or Custom()
    if not custom.data:
        request = dataclasses.replace(request, shared=anchored(request.shared))
    split = split_of(request, data)
    sizes = _sizes(request, len(split.train), len(split.test))
    return prepare_trials(request, data, ToTarget(request.shared, split, custom), split, sizes, custom=custom)


def split_of(request: Request, data: Dataset) -> Dataset:
    """Return what is trained on and, as its test set, what judges the target. Raises `DataError` for none."""
    if request.judge == "held-out":
        return validation_split(data, request.shared.seed)
    if not len(data.test):
        raise DataError(f"'{data.name}' has no test set to judge the target by; leave out --judge")
    return dataclasses.replace(data, validation=None)


def prepare_trials(
    request: Request,
    data: Dataset,
    trials: ToTarget,
    split: Dataset,
    sizes: tuple[int, ...],
    *,
    middle: int = _MIDDLE,
    custom: Custom | None = None,
) -> Prepared:
    """Set up the trials of these sizes, from the one nearest to ``middle`` outward."""
    custom = custom or Custom()
    start = min(sizes, key=lambda size: (abs(math.log(size / middle)), size))
    setup = trials.set_up(start, request.shared.lr)
    optimizer, rate = setup.config.optimizer or "", setup.config.lr
    assert rate is not None
    if request.quick:
        refuse_quick(optimizer)

    config = setup.config if request.branch is not None else request.shared
    return Prepared(
        request=request,
        data=data,
        trials=trials,
        samples=len(split.train),
        held_out=len(split.test),
        sizes=sizes,
        start=start,
        model=setup.model.name,
        optimizer=optimizer,
        default_rate=rate,
        power=0.5 if optimizer in _BY_ROOT else 1.0,
        parameters=setup.engine.count_parameters(),
        shown_data=data.name if custom.data else config.data,
        notes=(*_notes(setup.model.name, uses_batch=setup.model.uses_batch_statistics), *setup.warnings),
        options=options_of_trials(config),
        own_data=custom.data,
        have_objects=custom.has_objects,
        is_quick=request.quick,
    )


def options_of_trials(config: TrainConfig) -> dict[str, Any]:
    """Return the options of a configuration that its trials have in common and that are not the default."""
    plain = TrainConfig()
    names = [name for name in SHARED if name not in ("data", "lr")]
    given = {name: getattr(config, name) for name in names if getattr(config, name) != getattr(plain, name)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}


def check_request(request: Request, data: Dataset) -> None:
    """Refuse what cannot be asked of these data: raises `OptionError` or `DataError`."""
    if data.class_names is None and request.target_accuracy is not None:
        raise OptionError(
            f"{data.name} is a regression, which has no accuracy; give a loss instead: --target-loss, or leave it out"
        )
    if len(data.train) < _FEWEST_SAMPLES:
        raise DataError(
            f"{len(data.train)} training samples are too few to compare batch sizes: a sixth of them is held out, and "
            f"the sizes lie between 1 and the rest; at least {_FEWEST_SAMPLES} are needed"
        )


def _sizes(request: Request, samples: int, held_out: int) -> tuple[int, ...]:
    """Return the batch sizes that may be tried: those that were given, or the powers of 4."""
    if not request.batch_sizes:
        return tuple(_FACTOR**power for power in range(int(math.log(samples, _FACTOR) + 1e-9) + 1))
    sizes = {samples if size == "all" else int(size) for size in request.batch_sizes}
    if max(sizes) > samples and request.judge == "test":
        raise PlanError(f"batch size {max(sizes):,} is above the {samples:,} samples that are trained on")
    if max(sizes) > samples:
        raise PlanError(
            f"batch size {max(sizes):,} is above the {samples:,} samples that are trained on ({held_out:,} of the "
            "training set are held out); use at most that, or 'all'"
        )
    return tuple(sorted(sizes))


def _notes(model: str, *, uses_batch: bool) -> tuple[str, ...]:
    if not uses_batch:
        return ()
    return (
        f"model '{model}' uses statistics of the batch: the batch size changes the model itself, and not its training "
        "alone, so its curve is one of several models",
    )
