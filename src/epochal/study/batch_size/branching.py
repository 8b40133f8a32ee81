"""`--from RUN`: which batch size from a run's last checkpoint on? All trainings branch off there.

Each goes on from the run's weights and its optimizer's state, with a rate by the linear rule (√B for Adam and its like)
up to the noise scale that is measured there, and kept above it.

Source: Merrill et al. 2025, "Critical Batch Size Revisited" (branched training).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from epochal.config.train_config import TrainConfig
from epochal.data import Dataset
from epochal.engine import Engine, State
from epochal.engine.sharpness import measure_sharpness
from epochal.errors import OptionError, PlanError, RunError
from epochal.record.checkpoint_file import Checkpoint
from epochal.run.point import restored_state, restored_weights
from epochal.run.run import Run
from epochal.study.batch_size.preparing import Prepared, check_request, prepare_trials, split_of
from epochal.study.batch_size.request import SHARED, Request
from epochal.study.held_out import validation_split
from epochal.study.to_target import ToTarget

_AROUND = (0.25, 1, 4, 16)
_OWN = ("data", "seed", "lr")
_FEWEST_HELD_OUT = 50
_SPENT = 0.01  # of the peak: a schedule that has brought the rate below that is at its end
_SEEN = (
    "the run has no validation samples, so the target is judged by training samples that it has seen before, held out "
    "from here on"
)


def prepare_branch(request: Request, data: Any = None) -> Prepared:
    """Set up trainings that begin at a run's last checkpoint. Raises `EpochalError` for what cannot branch."""
    assert request.branch is not None
    run = Run.open(request.branch)
    _check(request, run)
    dataset = run.data if data is None else run.rebuild(data=data).data
    check_request(request, dataset)

    split, notes = _split(request, dataset, run.config.seed)

    size = min(run.plan.batches_at(run.position).size, len(split.train))
    rate = _present_rate(run) if request.shared.lr is None else request.shared.lr
    config = dataclasses.replace(run.config, seed=request.shared.seed, lr=rate)
    begin = _beginning(run.record.checkpoint())

    trials = ToTarget(config, split, begin=begin)
    sizes = _sizes(request, size, len(split.train))
    prepared = prepare_trials(request, dataset, trials, split, sizes, middle=size)

    # up to the noise scale a larger batch allows a larger rate
    engine = trials.set_up(prepared.start, rate).engine
    scale = measure_sharpness(engine, begin(engine), request.shared.seed)
    is_given = request.shared.lr is not None
    return dataclasses.replace(
        prepared,
        default_rate=rate,
        rates=dict.fromkeys(sizes, rate) if is_given else _rates(sizes, size, rate, scale.value, prepared.power),
        notes=(*prepared.notes, *notes),
        branched_from=(str(request.branch), run.position.iteration),
        noise={"here": scale.to_dict()},
    )


def _check(request: Request, run: Run) -> None:
    plain = TrainConfig()
    for name in SHARED:
        if name not in _OWN and getattr(request.shared, name) != getattr(plain, name):
            raise OptionError(f"--{name.replace('_', '-')} is the run's own where --from names one; leave it out")
    if custom := [name for name in run.file.custom if name != "data"]:
        raise RunError(
            f"{run.record.name} has a {custom[0]} of its own, which only Python can give; --from takes runs whose "
            "parts have names"
        )


def _split(request: Request, data: Dataset, seed: int) -> tuple[Dataset, tuple[str, ...]]:
    """Return what is trained on and, as its test set, what the target is judged by, and a note where that was seen."""
    if request.judge == "test":
        return split_of(request, data), ()
    if data.validation is not None and len(data.validation) >= _FEWEST_HELD_OUT:
        return dataclasses.replace(data, test=data.validation, validation=None), ()
    return validation_split(data, seed), (_SEEN,)


def _present_rate(run: Run) -> float:
    """Return the rate of the run's next update. Raises `OptionError` where its schedule is at its end."""
    peak = run.config.lr
    assert peak is not None
    rate = run.setup.engine.optimizer.schedule.of(peak)
    if not callable(rate):
        return peak
    present = float(rate(run.position.iteration))
    if present < _SPENT * peak:
        raise OptionError(
            f"the schedule of {run.record.name} has brought the learning rate to {present:.2g}, with which no batch "
            f"size gets anywhere; say which to go on with: --lr {peak:g}"
        )
    return float(f"{present:.3g}")


def _sizes(request: Request, size: int, samples: int) -> tuple[int, ...]:
    """Return the sizes to compare: those given, or B/4, B, 4B and 16B; the run's own is always among them."""
    wanted = {samples if one == "all" else int(one) for one in request.batch_sizes}
    wanted = wanted or {int(factor * size) for factor in _AROUND if 1 <= factor * size <= samples}
    if max(wanted) > samples:
        raise PlanError(f"batch size {max(wanted):,} is above the {samples:,} samples that are trained on")
    return tuple(sorted({size, *wanted}))


def _rates(sizes: tuple[int, ...], size: int, rate: float, scale: float, power: float) -> dict[int, float]:
    """Return each size's rate: in proportion to the batch (to its power) up to the noise scale, and kept above."""
    most = scale if scale > 0 else math.inf
    return {one: float(f"{rate * (min(one, most) / min(size, most)) ** power:.3g}") for one in sizes}


def _beginning(checkpoint: Checkpoint) -> Callable[[Engine], State]:
    """Return what gives an engine the checkpoint's state, anew each time, as training overwrites it."""

    def begin(engine: Engine) -> State:
        try:
            state = restored_state(checkpoint, engine.initial_state)
        except RunError:  # of a schedule that counts its updates, which a constant rate does not
            state = restored_weights(checkpoint, engine.initial_state)
            state = state._replace(optimizer_state=engine.initial_state().optimizer_state)
        copied: State = jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), state)
        return copied

    return begin
