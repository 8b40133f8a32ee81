"""Evaluation over each sample once: sums for each slice on the device, merged on the host."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, PyTree, Shaped

from epochal import formats
from epochal.engine.cluster import Cluster
from epochal.engine.fast_forms import fast_apply, fast_function
from epochal.engine.feed import Resident
from epochal.engine.metrics import Mean, Metric, Sums
from epochal.engine.state import Params
from epochal.engine.task import Task
from epochal.models import Model
from epochal.models.model import in_full

SLICE = 1000
"""How many samples are evaluated at once."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The figures of one evaluation.

    Attributes:
        samples: how many were evaluated.
        values: the figures by name, the loss first.
    """

    samples: int = 0
    values: Mapping[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        shown = (f"{name} {formats.metric(name, value)}" for name, value in self.values.items() if "/" not in name)
        return f"Evaluation of {formats.plural(self.samples, 'sample')}: {', '.join(shown) or 'nothing measured'}"

    @property
    def loss(self) -> float:
        """The mean loss over samples; NaN where there are none."""
        return self.values.get("loss", math.nan)

    @property
    def accuracy(self) -> float | None:
        """The share of samples that were classified correctly; ``None`` where it was not measured."""
        return self.values.get("accuracy")


SlicedSums: TypeAlias = tuple[Sums | None, Sums | None]
"""The sums of full slices, along a first axis, and those of a last, smaller slice."""

Evaluate: TypeAlias = Callable[[Params, PyTree[Any], Resident], SlicedSums]
Predict: TypeAlias = Callable[[Params, PyTree[Any], Resident], PyTree[Shaped[Array, "n ..."]]]


def all_metrics(task: Task) -> tuple[Metric, ...]:
    """Return the task's loss as a metric, and its metrics."""
    return (Mean("loss", task.losses), *task.metrics)


def build_evaluate(model: Model, metrics: tuple[Metric, ...], size: int) -> Evaluate:
    """Return the function that measures a whole split in slices of ``size`` samples; not yet compiled."""
    apply = fast_apply(model)

    def evaluate(params: Params, model_state: PyTree[Any], split: Resident) -> SlicedSums:
        def measure(x: PyTree[Shaped[Array, "slice ..."]], y: Shaped[Array, "slice *target"]) -> Sums:
            outputs, _ = apply(params, model_state, split.preprocess(x), None, False)
            outputs = split.in_units(in_full(outputs))
            return tuple(metric.of(outputs, y) for metric in metrics)

        def measure_at(number: jax.Array) -> Sums:
            samples = (split.x, split.y)
            rows = jax.tree.map(lambda rows: lax.dynamic_slice_in_dim(rows, number * size, size), samples)
            return fast_function(measure, model)(*rows)

        full, rest = divmod(len(split.y), size)
        slices = lax.map(measure_at, jnp.arange(full)) if full else None
        last = jax.tree.map(lambda rows: rows[full * size :], (split.x, split.y))
        return slices, fast_function(measure, model)(*last) if rest else None

    return evaluate


def sums_of_slices(sums: SlicedSums, samples: int, size: int) -> list[Sums]:
    """Return the sums of each slice of ``size`` samples, in their order, in double precision and exact integers."""
    slices, rest = (jax.tree.map(_widen, part) for part in sums)
    parts = [] if slices is None else [_at(slices, number) for number in range(samples // size)]
    return parts if rest is None else [*parts, rest]


def to_evaluation(parts: Sequence[Sums], metrics: tuple[Metric, ...], samples: int) -> Evaluation:
    """Merge the sums of slices in their order, and take the figures."""
    if not samples:
        return Evaluation()

    values: dict[str, float] = {}
    for number, metric in enumerate(metrics):
        figure = metric.compute(reduce(metric.merge, (part[number] for part in parts), metric.empty))
        figures = figure if isinstance(figure, Mapping) else {metric.name: figure}
        values |= {name: float(one) for name, one in figures.items()}
    return Evaluation(samples, values)


def dealt_rows(samples: int, size: int, cluster: Cluster) -> range:
    """Return the rows of a split that this process evaluates: whole slices, and the last process the rest too.

    Each process has two full slices or more, since a loop of a single one is compiled in another way.
    """
    full = samples // size
    sharing = max(1, min(cluster.processes, full // 2))
    if cluster.rank >= sharing:
        return range(0)
    start, stop = (full * rank // sharing * size for rank in (cluster.rank, cluster.rank + 1))
    return range(start, samples if cluster.rank == sharing - 1 else stop)


def together(parts: Sequence[Sums], cluster: Cluster, compute: Callable[[Sequence[Sums]], Evaluation]) -> Evaluation:
    """Return what is computed of the slices of all processes, in their order; the first one does it for all."""
    if cluster.is_alone:
        return compute(parts)

    leaves = [jax.tree.leaves(part) for part in parts]
    gathered = cluster.gather(b"".join(leaf.tobytes() for part in leaves for leaf in part))
    if cluster.rank:
        samples, values = json.loads(cluster.share())
        return Evaluation(samples, values)

    structure = jax.tree.structure(parts[0]) if parts else None
    everything = b"".join(gathered)
    found = compute([] if structure is None else _read(everything, structure, leaves[0]))
    cluster.share(json.dumps([found.samples, dict(found.values)]).encode())
    return found


def _read(content: bytes, structure: Any, like: Sequence[Shaped[np.ndarray, "..."]]) -> list[Sums]:
    """Return sums from their bytes, of which each has leaves like these."""
    parts, offset = [], 0
    while offset < len(content):
        leaves = []
        for leaf in like:
            flat = np.frombuffer(content, leaf.dtype, leaf.size, offset)
            leaves.append(flat.reshape(leaf.shape))
            offset += leaf.nbytes
        parts.append(jax.tree.unflatten(structure, leaves))
    return parts


def _widen(values: Any) -> Shaped[np.ndarray, "..."]:
    array = np.asarray(values)
    return array.astype(np.float64 if array.dtype.kind == "f" else np.int64)


def _at(slices: Sums, number: int) -> Sums:
    return jax.tree.map(lambda values: values[number], slices)


def build_predict(model: Model, size: int) -> Predict:
    """Return the function that computes the outputs of a whole split, slice by slice; not yet compiled."""
    apply = fast_apply(model)

    def predict(params: Params, model_state: PyTree[Any], split: Resident) -> PyTree[Shaped[Array, "n ..."]]:
        def outputs_of(x: Any) -> Any:
            return split.in_units(in_full(apply(params, model_state, split.preprocess(x), None, False)[0]))

        count = len(split.y)
        full = count // size * size
        compute = fast_function(outputs_of, model)
        parts = []
        if full:
            slices = jax.tree.map(lambda rows: rows[:full].reshape(-1, size, *rows.shape[1:]), split.x)
            parts = [jax.tree.map(lambda rows: rows.reshape(full, *rows.shape[2:]), lax.map(compute, slices))]
        if full < count:
            parts.append(compute(jax.tree.map(lambda rows: rows[full:], split.x)))
        return jax.tree.map(lambda *rows: jnp.concatenate(rows), *parts)

    return predict
