"""Parts of a training that are given as Python objects: what no name in a configuration can rebuild."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import optax

from epochal.config.train_config import TrainConfig
from epochal.counts import shown
from epochal.data import Dataset
from epochal.engine import Metric
from epochal.engine.task import input_spec
from epochal.errors import OptionError
from epochal.models import Model
from epochal.models.adapters.recognise import adapt, check_known
from epochal.run.own_model import ModelSource


@dataclass(frozen=True, slots=True)
class Custom:
    """Parts given as Python objects, which stand in place of what the configuration names.

    Attributes:
        model: a `Model`, a module of another library, or where a function that makes one stands.
        source: where the model came from, if that was a file.
        data: whether the data came as an object.
        tried: whether the parts were tried on real samples already, as for a run that continues.
        at_once: how many trainings share the processors, this one included.
    """

    model: Any = None
    optimizer: optax.GradientTransformation | None = None
    loss: Callable[..., Any] | None = None
    data: bool = False
    metrics: Sequence[str | Metric] | None = None
    tried: bool = False
    source: ModelSource | None = None
    at_once: int = 1

    def __post_init__(self) -> None:
        if self.model is not None and not isinstance(self.model, ModelSource):
            check_known(self.model)
        if self.optimizer is not None and not isinstance(self.optimizer, optax.GradientTransformation):
            raise OptionError(f"optimizer must be a name or an Optax transformation, got {shown(self.optimizer)}")

    def for_data(self, config: TrainConfig, data: Dataset) -> Custom:
        """Return the parts with the model as the engine needs it, whatever it was given as.

        Raises `ModelError` where it does not fit the data, or its file cannot be run.
        """
        if self.model is None or isinstance(self.model, Model):
            return self
        source = self.model if isinstance(self.model, ModelSource) else None
        thing = self.model if source is None else source.build(config, data)
        return dataclasses.replace(self, model=adapt(thing, input_spec(data, count=2)), source=source)

    @property
    def has_objects(self) -> bool:
        """Whether there are parts that may hold values which change from one training to the next, unseen."""
        own_metrics = any(not isinstance(metric, str) for metric in self.metrics or ())
        return own_metrics or any(part is not None for part in (self.model, self.optimizer, self.loss))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parts that were given."""
        given = {
            "data": self.data,
            "model": self.model is not None,
            "optimizer": self.optimizer is not None,
            "loss": self.loss is not None,
        }
        return tuple(name for name, is_given in given.items() if is_given)
