"""What is asked of a study of batch sizes, each option declared once: the Python call and the command line."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from epochal.config.options import (
    MOST_RUNS,
    SWITCH,
    Kind,
    check_options,
    choice,
    count,
    documented,
    number,
    option,
    options_of,
    read_options,
    several,
    text,
    written,
)
from epochal.config.train_config import TRAIN, BatchSize, TrainConfig
from epochal.counts import shown
from epochal.errors import OptionError, PlanError
from epochal.study.target import Target

_SHARED_PARTS = ("data", "model", "optimizer")
_NOT_SHARED = {"validation", "fold", "schedule", "warmup"}
_SHARED_OF_RUN = {"seed", "micro_batch", "shards"}
_SECONDS = {"s": 1, "m": 60, "h": 3600}

Judge: TypeAlias = Literal["held-out", "test"]
"""What says whether the target is reached: samples held out of the training set, or the test set."""


def _read_size(name: str, value: Any) -> BatchSize:
    try:
        return "all" if isinstance(value, str) and value.strip() == "all" else int(count().read(name, value))
    except PlanError as error:
        raise PlanError(f"{error}; write 'all' for the whole training set") from None


def _read_time(name: str, value: Any) -> float:
    """Return seconds, of text such as ``90s``, ``2m`` or ``1h``, or a number of them."""
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(s|m|h)?\s*", value if isinstance(value, str) else str(value))
    seconds = float(match[1]) * _SECONDS[match[2] or "s"] if match else 0.0
    if not (math.isfinite(seconds) and seconds > 0):
        raise OptionError(f"{name} must be a time above 0 such as 90s, 2m or 1h, got {shown(value)}")
    return seconds


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A question for the best batch size. ``shared`` is what all of its trainings have in common.

    >>> Request.of({"data": "digits", "target_accuracy": "0.95", "batch_sizes": "1,64,all"}).batch_sizes
    (1, 64, 'all')
    """

    # fmt: off
    shared: TrainConfig
    batch_sizes: tuple[BatchSize, ...] = option(
        (), "Batch sizes to try: 1 to N, or 'all'.", several(Kind(_read_size, "B")),
        text="1, 4, 16, 64 … as far as each still tells something", flag="batch_size", short="b",
        part="batches and budget")
    target_accuracy: float | None = option(
        None, "Train until this accuracy on held-out training samples.",
        number("SHARE", "above 0 and below 1 (0.95 for 95 %)", lambda share: 0 < share < 1), part="batches and budget")
    target_loss: float | None = option(
        None, "Train until this loss on held-out training samples.",
        number("LOSS", "above 0", lambda loss: loss > 0), text="one that a first training says",
        part="batches and budget")
    judge: Judge = option(
        "held-out", "What says that the target is reached: training samples that are held out, or the test set, which "
        "is for comparing with published numbers.", choice(*get_args(Judge)), part="batches and budget")
    within: float | None = option(
        None, "The time that all of it may take: 90s or 2m. The slowest sizes are left out, and named.",
        Kind(_read_time, "TIME"), text="no limit", part="batches and budget")
    seeds: int = option(
        3, "Trainings at each size's best rate, with seeds from --seed on.", count(at_most=MOST_RUNS), part="comparison"
    )
    quick: bool = option(
        False, "Predict the curve from one training and its gradients' noise, for plain sgd: right to a factor of 2.",
        SWITCH, part="comparison")
    branch: str | None = option(
        None, "Begin all trainings at this run's last checkpoint: which batch size from there on?",
        text("a run's folder", "RUN"), text="none", flag="from", part="comparison")
    # fmt: on

    def __post_init__(self) -> None:
        check_options(self)
        if self.target_accuracy is not None and self.target_loss is not None:
            raise OptionError("give a target accuracy or a target loss, not both")
        sizes = self.batch_sizes
        repeated = next((size for size in sizes if sizes.count(size) > 1), None)
        if repeated is not None:
            raise OptionError(f"batch sizes: {repeated} is listed twice")
        if self.quick and self.branch is not None:
            raise OptionError("give --quick or --from, not both: a prediction begins at a training's beginning")

    @property
    def target(self) -> Target | None:
        """The target that was given."""
        if self.target_accuracy is not None:
            return Target("accuracy", self.target_accuracy)
        return None if self.target_loss is None else Target("loss", self.target_loss)

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """The seeds of the trainings."""
        return tuple((self.shared.seed + number) % 2**64 for number in range(self.seeds))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a TOML file."""
        shared = {name: value for name, value in self.shared.to_dict().items() if name in SHARED}
        own = written({name: getattr(self, name) for name in OWN})
        return {**{name: value for name, value in own.items() if value != []}, "shared": shared}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Request:
        """Read `to_dict`'s result. Raises `OptionError` for an unknown name."""
        own = {name: value for name, value in values.items() if name != "shared"}
        return cls(shared=TrainConfig.from_dict(values["shared"]), **read_options(OWN, own))

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Request:
        """Return the request of options by name, all in one; ``None`` is one that was not given.

        Raises what their readers raise, and `OptionError` for an unknown name.
        """
        values = read_options(OPTIONS, {name: value for name, value in given.items() if value is not None})
        shared = TrainConfig(**{name: value for name, value in values.items() if name in SHARED})
        return cls(shared=shared, **{name: value for name, value in values.items() if name in OWN})

    def with_data(self, data: str) -> Request:
        """Return the request for data of another name."""
        return dataclasses.replace(self, shared=dataclasses.replace(self.shared, data=data))


OWN = options_of(Request)
"""The options beside those of every training, by name."""

SHARED = {
    name: one
    for name, one in TRAIN.items()
    if (one.part in _SHARED_PARTS and name not in _NOT_SHARED) or name in _SHARED_OF_RUN
}
"""The options of a training that its trials have in common, by name."""

OPTIONS = {**OWN, **SHARED}
"""Every option of a study of batch sizes, by name."""
