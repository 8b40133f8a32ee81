"""What a world trains: a problem's data with N training samples, and the settings of its three lanes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from epochal.clock import Plan
from epochal.config.train_config import TRAIN, TrainConfig, default_batch_size
from epochal.data import Dataset, load_data
from epochal.data.registry import available
from epochal.errors import OptionError, unknown_name
from epochal.landscape.compute import take_samples
from epochal.learn.atlas import holds_pictures
from epochal.learn.toys import LINE, POINTS, TOYS
from epochal.words.plain_text import plain_text

LANES = ("mbgd", "sgd", "bgd")
_MODELS = {"images": ("linear", "mlp", "cnn"), "table": ("linear", "mlp"), LINE: ("linear",), POINTS: ("linear", "mlp")}
_TOY_BATCH, _TOY_HIDDEN = 10, (8,)
_TOY_RATE = {LINE: 0.1, POINTS: 0.3}
_MOST_ITERATIONS, _MOST_EPOCHS = 200_000, 1_000
_DOWNLOADED = "needs download"
_KINDS = {
    "problem": TRAIN["data"],
    "samples": TRAIN["iterations"],
    **{name: TRAIN[name] for name in ("batch_size", "micro_batch", "lr", "model", "seed", "last")},
}
"""How each part of a wish is read: as the option of a training that it becomes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked of a world; ``None`` leaves the choice to the product.

    Attributes:
        problem: the data's name or path.
        samples: N; all training samples where there are no more.
        batch_size: of the main lane: 1 to N, or ``"all"``.
        micro_batch: the most samples computed at once in the main lane.
        lr: of all lanes; else each lane has the usual one for its batch size.
        model: one of those that fit the problem.
        seed: of the weights and the order.
        last: ``"keep"`` or ``"drop"``.
    """

    problem: str = "digits"
    samples: int | None = None
    batch_size: int | str | None = None
    micro_batch: int | None = None
    lr: float | None = None
    model: str | None = None
    seed: int = 0
    last: str = "keep"

    @classmethod
    def of(cls, body: Mapping[str, Any], problem: str) -> Wish:
        """Read a wish from JSON, where ``null`` is the default. Raises `OptionError` for an unknown name."""
        known = {field.name for field in dataclasses.fields(cls)}
        given = {name: value for name, value in body.items() if value is not None}
        for name in given:
            if name not in known:
                raise OptionError(unknown_name("option", name, known))
        read = {name: _KINDS[name].read(name, value) for name, value in given.items()}
        if read.get("problem") == plain_text(problem):  # the page knows it as it is shown
            del read["problem"]
        return cls(**{"problem": problem, **read})


@dataclass(frozen=True, slots=True)
class Problem:
    """Data to learn from, of one kind.

    Attributes:
        data: with N training samples.
        of: all training samples that there are.
        kind: ``"images"``, ``"table"``, ``"line"`` or ``"points"``.
    """

    data: Dataset
    of: int
    kind: str

    @classmethod
    def take(cls, data: Dataset, samples: int | None) -> Problem:
        """Return the problem of a data set, with so many of its training samples.

        Raises `OptionError` for more than there are, or none.
        """
        of = len(data.train)
        if samples is not None and not 1 <= samples <= of:
            raise OptionError(f"samples must be 1 to {of}, got {samples}")
        kind = data.name if data.name in TOYS else "images" if holds_pictures(data) else "table"
        if samples is not None and samples < of:
            data = dataclasses.replace(data, train=take_samples(data.train, samples, 0))
        return cls(data, of, kind)

    @property
    def models(self) -> tuple[str, ...]:
        """The models that fit it."""
        return _MODELS[self.kind]

    def config(self, wish: Wish, lane: str) -> TrainConfig:
        """Return what a lane trains. Raises `OptionError` or `PlanError` for what cannot be trained."""
        samples = len(self.data.train)
        is_toy = self.data.name in TOYS
        model = wish.model or ("linear" if is_toy else "mlp")
        if model not in self.models:
            raise OptionError(unknown_name("model", model, self.models))

        usual = min(_TOY_BATCH, samples) if is_toy else default_batch_size(samples)
        own = usual if wish.batch_size is None else wish.batch_size
        if not (isinstance(own, int) or own == "all"):
            raise OptionError(f"the page steps through one batch size, not {own}; give one, such as 100")
        config = TrainConfig(
            data=self.data.name,
            model=model,
            hidden=_TOY_HIDDEN if is_toy and model == "mlp" else None,
            optimizer="sgd",
            lr=_TOY_RATE.get(self.data.name) if wish.lr is None else wish.lr,
            batch_size={"mbgd": own, "sgd": 1, "bgd": "all"}[lane],
            micro_batch=wish.micro_batch if lane == "mbgd" else None,
            seed=wish.seed,
            last=wish.last if lane == "mbgd" else "keep",  # type: ignore[arg-type]
            epochs=1,
        )
        epochs = _epochs_within(config.plan(samples))

        return dataclasses.replace(config, epochs=epochs)


def _epochs_within(plan: Plan) -> int:
    """Return how many epochs a lane may go: all that is of use to see, and no more."""
    return max(2, min(_MOST_EPOCHS, _MOST_ITERATIONS // plan.batches_per_epoch))


def problem_names(first: str) -> list[str]:
    """Return the problems that can be chosen here and now, without a download: the one asked for, toys, named sets."""
    here = [one.description.name for one in available() if one.state != _DOWNLOADED]
    return list(dict.fromkeys([first, LINE, POINTS, *here]))


def load_problem(name: str) -> Dataset:
    """Return a problem's data: a toy's, or whatever the name or path means. Raises `DataError`."""
    return TOYS[name]() if name in TOYS else load_data(name)
