"""What a comparison varies and what its runs share; from there to one ordinary configuration a run."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from epochal.clock import Span
from epochal.config import TrainConfig, usual_optimizer
from epochal.counts import parse_count
from epochal.errors import OptionError, PlanError, unknown_name

BatchSize: TypeAlias = int | str

VARIED = {
    "batch_sizes": "batch_size",
    "models": "model",
    "optimizers": "optimizer",
    "lrs": "lr",
    "seeds": "seed",
}
"""The lists of a comparison, and the option of a run that each of them varies."""

DEFAULT_TARGET = 0.95


@dataclass(frozen=True, slots=True)
class Member:
    """One run of a comparison: its name, which is its folder's too, and what it trains."""

    name: str
    config: TrainConfig

    @property
    def group(self) -> tuple[Any, ...]:
        """What it shares with the runs that differ from it in the seed alone."""
        config = self.config
        return (config.model, config.optimizer, config.batch_size, config.lr)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyConfig:
    """A comparison: every combination of the lists, trained from the same weights on the same order of samples.

    >>> config = StudyConfig(shared=TrainConfig(data="mnist", epochs=5), batch_sizes=(1, 100, "all"))
    >>> [member.name for member in config.members()]
    ['batch-1', 'batch-100', 'batch-all']

    Attributes:
        shared: what all runs share; what a list varies is taken from the list.
        batch_sizes: 1 to N each, or ``"all"``.
        models, seeds: as for `epochal.train`; runs of the same seed start from the same weights and visit the samples
            in the same order.
        optimizers: by name; none for each model's usual one.
        lrs: learning rates: none (one that suits optimizer and batch size each), one for all, or one for each
            batch size; with a single batch size, any number to compare.
        seconds: the budget of each run in seconds of training, in place of epochs.
        tune_lr: search a learning rate for each model, optimizer and batch size (`epochal.study.tuning`).
        target_accuracy: the test accuracy, above 0 to 1, to which updates and seconds are counted.
    """

    shared: TrainConfig
    batch_sizes: tuple[BatchSize, ...] = (1, 100, "all")
    models: tuple[str, ...] = ("mlp",)
    optimizers: tuple[str, ...] = ()
    lrs: tuple[float, ...] = ()
    seeds: tuple[int, ...] = (0,)
    seconds: float | None = None
    tune_lr: bool = False
    target_accuracy: float = DEFAULT_TARGET

    def __post_init__(self) -> None:
        for name in VARIED:
            _refuse_repeats(name, getattr(self, name), may_repeat=name == "lrs" and not self._compares_rates)
        if len(self.lrs) > 1 and len(self.batch_sizes) not in (1, len(self.lrs)):
            raise OptionError(
                f"{len(self.lrs)} learning rates for {len(self.batch_sizes)} batch sizes: "
                "give one for all, or one for each"
            )
        if self.tune_lr and self.lrs:
            raise OptionError("give learning rates or search them (tune_lr), not both")
        if not 0 < self.target_accuracy <= 1:
            raise OptionError(
                f"the target accuracy must be above 0 and at most 1 (0.95 for 95 %), got {self.target_accuracy:g}"
            )
        self._check_seconds()

    def _check_seconds(self) -> None:
        if self.seconds is None:
            return
        if not self.seconds > 0:
            raise OptionError(f"seconds must be above 0, got {self.seconds:g}")
        if any(value is not None for value in (self.shared.epochs, self.shared.iterations, self.shared.budget)):
            raise OptionError("give one budget: seconds, or epochs, iterations or a budget")
        if self.shared.schedule != "constant":
            raise OptionError(
                f"the schedule '{self.shared.schedule}' needs a known number of updates, which a budget of seconds "
                "does not have; use constant, or a budget of epochs"
            )

    @property
    def _compares_rates(self) -> bool:
        return len(self.batch_sizes) == 1

    def members(self, tuned: Mapping[tuple[str, str, BatchSize], float] | None = None) -> tuple[Member, ...]:
        """Return the runs: models × optimizers × batch sizes (and their learning rates) × seeds, the last fastest.

        ``tuned`` gives the learning rate that was found for (model, optimizer, batch size).
        """
        tuned = tuned or {}
        members = []
        for model, optimizer, (batch_size, lr), seed in itertools.product(
            self.models, self.optimizers or (None,), self._batch_sizes_and_rates(), self.seeds
        ):
            optimizer = optimizer or usual_optimizer(model)
            values: dict[str, Any] = {
                "model": model,
                "optimizer": optimizer,
                "batch_size": batch_size,
                "lr": lr,
                "seed": seed,
            }
            name = self._name(values)
            values["lr"] = tuned.get((model, optimizer, batch_size), lr)
            if self.seconds is not None:
                values["budget"] = str(Span.seconds(self.seconds))
            members.append(Member(name, dataclasses.replace(self.shared, **values)))
        return tuple(members)

    def _batch_sizes_and_rates(self) -> Iterator[tuple[BatchSize, float | None]]:
        if self._compares_rates and self.lrs:
            yield from ((self.batch_sizes[0], lr) for lr in self.lrs)
        elif len(self.lrs) > 1:
            yield from zip(self.batch_sizes, self.lrs, strict=True)
        else:
            lr = self.lrs[0] if self.lrs else None
            yield from ((batch_size, lr) for batch_size in self.batch_sizes)

    def _name(self, values: Mapping[str, Any]) -> str:
        """Name a run after what varies, and always after its batch size."""
        parts = [str(values[option]) for option in ("model", "optimizer") if len(getattr(self, f"{option}s")) > 1]
        parts.append(f"batch-{values['batch_size']}")
        if self._compares_rates and len(self.lrs) > 1:
            parts.append(f"lr-{values['lr']}")
        if len(self.seeds) > 1:
            parts.append(f"seed-{values['seed']}")
        return re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(parts))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a TOML file, which has no ``None``."""
        shared = {name: value for name, value in self.shared.to_dict().items() if name not in VARIED.values()}
        lists = {name: list(getattr(self, name)) for name in VARIED if getattr(self, name)}
        rest = {"tune_lr": self.tune_lr, "target_accuracy": self.target_accuracy}
        seconds = {} if self.seconds is None else {"seconds": self.seconds}
        return {**lists, **seconds, **rest, "shared": shared}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> StudyConfig:
        """Read `to_dict`'s result. Raises `OptionError` for an unknown name."""
        known = {field.name for field in dataclasses.fields(cls)}
        for name in values:
            if name not in known:
                raise OptionError(unknown_name("option of a study", name, known))
        lists = {name: tuple(values[name]) for name in VARIED if name in values}
        return cls(**{**values, **lists, "shared": TrainConfig.from_dict(values["shared"])})


def listed(value: Any) -> tuple[Any, ...]:
    """Return a list's entries: those of a sequence, of text with commas, or one single value.

    >>> listed("1,100,all"), listed([1, 100]), listed(0.1)
    (('1', '100', 'all'), (1, 100), (0.1,))
    """
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return tuple(value) if isinstance(value, Iterable) else (value,)


def parse_batch_sizes(values: Any) -> tuple[BatchSize, ...]:
    """Read batch sizes. Raises `PlanError` for what is neither a whole number from 1 nor ``all``."""
    try:
        return tuple("all" if value == "all" else parse_count("batch size", value) for value in listed(values))
    except PlanError as error:
        raise PlanError(f"{error}; write batch sizes as 1,100,all") from None


def parse_names(kind: str, values: Any) -> tuple[str, ...]:
    """Read names. Raises `OptionError` for anything else."""
    names = listed(values)
    for name in names:
        if not isinstance(name, str):
            raise OptionError(f"a comparison takes {kind}s by name, got {type(name).__name__}")
    return names


def parse_seeds(values: Any) -> tuple[int, ...]:
    """Read seeds. Raises `PlanError` for what is no whole number from 0."""
    return tuple(parse_count("seed", value, at_least=0) for value in listed(values))


def parse_rates(values: Any) -> tuple[float, ...]:
    """Read learning rates. Raises `OptionError` for what is no finite number above 0."""
    rates = tuple(parse_number("a learning rate", value) for value in listed(values))
    for rate in rates:
        if rate <= 0:
            raise OptionError(f"a learning rate must be above 0, got {rate:g}")
    return rates


def parse_number(name: str, value: Any) -> float:
    """Read a finite number. Raises `OptionError` for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise OptionError(f"{name} must be a finite number, got {value!r}")
    return number


def _refuse_repeats(name: str, values: tuple[Any, ...], *, may_repeat: bool) -> None:
    if not values and name not in ("lrs", "optimizers"):
        raise OptionError(f"{name.replace('_', ' ')}: the list is empty")
    repeated = [value for value, count in Counter(values).items() if count > 1]
    if repeated and not may_repeat:
        raise OptionError(f"{name.replace('_', ' ')}: {repeated[0]} is listed twice")
