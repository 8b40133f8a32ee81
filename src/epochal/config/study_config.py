"""What to compare: lists of values that runs of one question differ in, and what all of them share."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from epochal.clock import Span
from epochal.config.options import (
    SWITCH,
    check_options,
    documented,
    number,
    option,
    options_of,
    read_options,
    several,
    written,
)
from epochal.config.train_config import BUDGETS, DEFAULT_EPOCHS, TRAIN, BatchSize, TrainConfig
from epochal.errors import OptionError
from epochal.files import as_file_name

DEFAULT_TARGET = 0.95
_MOST_RUNS = 10_000


def _each(name: str, default: tuple[Any, ...], **more: Any) -> Any:
    """Declare a list of a comparison: of values that an option of `TrainConfig` may have."""
    one = TRAIN[name]
    more = {"help": one.help, "part": one.part, "flag": name, "short": one.short, **more}
    return option(default, kind=several(one.kind), **more)


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


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class StudyConfig:
    """A comparison: every combination of the lists, trained from the same weights on the same order of samples.

    >>> config = StudyConfig(shared=TrainConfig(data="mnist", epochs=5), batch_sizes=(1, 100, "all"))
    >>> [member.name for member in config.members()]
    ['batch-1', 'batch-100', 'batch-all']

    ``shared`` is what all runs share; what a list varies is taken from the list. A list may be a single value, or text
    with commas. Runs of the same seed start from the same weights and visit the samples in the same order.
    """

    # fmt: off
    shared: TrainConfig
    batch_sizes: tuple[BatchSize, ...] = _each("batch_size", (1, 100, "all"))
    models: tuple[str, ...] = _each("model", ("mlp",))
    optimizers: tuple[str, ...] = _each("optimizer", (), text="each model's own: sgd (adam for rnn)")
    lrs: tuple[float, ...] = _each(
        "lr", (), help="Learning rates: one for all, or one for each batch size.",
        text="chosen by optimizer and batch size")
    seeds: tuple[int, ...] = _each("seed", (0,), part="comparison")
    seconds: float | None = option(
        None, "Budget of each run in seconds of training.", number("SECONDS", "above 0", lambda seconds: seconds > 0),
        part="batches and budget")
    tune_lr: bool = option(
        False, "Search each learning rate first, on held-out training samples.", SWITCH, part="optimizer")
    target_accuracy: float = option(
        DEFAULT_TARGET, "The test accuracy to which updates and seconds are counted.",
        number("SHARE", "above 0 and at most 1 (0.95 for 95 %)", lambda share: 0 < share <= 1), part="comparison")
    # fmt: on

    def __post_init__(self) -> None:
        check_options(self)
        for name in VARIED:
            _refuse_repeats(name, getattr(self, name), may_repeat=name == "lrs" and not self._compares_rates)

        if len(self.lrs) > 1 and len(self.batch_sizes) not in (1, len(self.lrs)):
            raise OptionError(
                f"{len(self.lrs)} learning rates for {len(self.batch_sizes)} batch sizes: "
                "give one for all, or one for each"
            )
        if self.tune_lr and self.lrs:
            raise OptionError("give learning rates or search them (tune_lr), not both")
        self._check_seconds()
        runs = math.prod(len(getattr(self, name)) or 1 for name in VARIED if name != "lrs")
        if runs > _MOST_RUNS:
            raise OptionError(f"a comparison of {runs:,} runs; at most {_MOST_RUNS:,} are made")

    def _check_seconds(self) -> None:
        if self.seconds is None:
            return
        if any(getattr(self.shared, name) is not None for name in BUDGETS):
            raise OptionError("give one budget: seconds, or epochs, iterations or a budget")

    @property
    def _compares_rates(self) -> bool:
        return len(self.batch_sizes) == 1

    def members(self, tuned: Mapping[tuple[str, str, BatchSize], float] | None = None) -> tuple[Member, ...]:
        """Return the runs: models × optimizers × batch sizes (and their learning rates) × seeds, the last fastest.

        ``tuned`` gives the learning rate that was found for (model, optimizer, batch size). A run whose optimizer is
        the model's own has none in its configuration.
        """
        members = []
        for model, optimizer, (batch_size, lr), seed in itertools.product(
            self.models, self.optimizers or (None,), self._batch_sizes_and_rates(), self.seeds
        ):
            values: dict[str, Any] = {
                "model": model,
                "optimizer": optimizer,
                "batch_size": batch_size,
                "lr": lr,
                "seed": seed,
            }

            name = self._name(values)

            # the name comes first: a searched rate does not change it
            for (of_model, of_optimizer, of_batch_size), rate in (tuned or {}).items():
                if of_model == model and of_batch_size == batch_size and optimizer in (of_optimizer, None):
                    values["lr"] = rate
            if self.seconds is not None:
                values["budget"] = str(Span.seconds(self.seconds))
            elif all(getattr(self.shared, name) is None for name in BUDGETS):
                values["epochs"] = DEFAULT_EPOCHS  # the same for all batch sizes, whatever the data
            members.append(Member(name, dataclasses.replace(self.shared, **values, **self._left_out(optimizer))))
        return tuple(members)

    def _left_out(self, optimizer: str | None) -> dict[str, Any]:
        """Return the shared options that this optimizer does not read, but another of the comparison does."""
        readers = {name: one.optimizers for name, one in TRAIN.items() if one.optimizers}
        return {
            name: None
            for name, read_by in readers.items()
            if optimizer not in read_by and set(read_by) & set(self.optimizers)
        }

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
        parts = [str(values[name]) for name in ("model", "optimizer") if len(getattr(self, f"{name}s")) > 1]
        parts.append(f"batch-{values['batch_size']}")
        if self._compares_rates and len(self.lrs) > 1:
            parts.append(f"lr-{values['lr']}")
        if len(self.seeds) > 1:
            parts.append(f"seed-{values['seed']}")
        return as_file_name("-".join(parts))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a TOML file; an empty list is left out."""
        shared = {name: value for name, value in self.shared.to_dict().items() if name not in VARIED.values()}
        own = written({name: getattr(self, name) for name in STUDY})
        return {**{name: value for name, value in own.items() if value != []}, "shared": shared}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> StudyConfig:
        """Read `to_dict`'s result. Raises `OptionError` for an unknown name."""
        own = {name: value for name, value in values.items() if name != "shared"}
        return cls(shared=TrainConfig.from_dict(values["shared"]), **read_options(STUDY, own, "option of a study"))


STUDY = options_of(StudyConfig)
"""The options of a comparison beside those that its runs share, by name."""

VARIED = {name: one.flag for name, one in STUDY.items() if one.flag}
"""The lists of a comparison, and the option of a run that each of them varies."""

COMPARE = {**STUDY, **{name: one for name, one in TRAIN.items() if name not in VARIED.values()}}
"""Every option of a comparison, by name."""


def _refuse_repeats(name: str, values: tuple[Any, ...], *, may_repeat: bool) -> None:
    if not values and name not in ("lrs", "optimizers"):
        raise OptionError(f"{name.replace('_', ' ')}: the list is empty")
    repeated = [value for value, times in Counter(values).items() if times > 1]
    if repeated and not may_repeat:
        raise OptionError(f"{name.replace('_', ' ')}: {repeated[0]} is listed twice")
