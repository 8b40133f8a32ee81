"""What is claimed of the noise scale, each claim as a command with its tolerance; the exit status says if it holds.

    python bench/noise.py start          # mlp and cnn at the start of MNIST, each sample's gradient alone
    python bench/noise.py average        # the average over five and ten epochs
    python bench/noise.py traces         # S at each epoch's end against the exact one, and "more than"
    python bench/noise.py order          # batches of an epoch have the variance of draws without replacement
    python bench/noise.py cost           # what measuring costs at every 20th iteration
    python bench/noise.py bits           # the same weights with and without
    python bench/noise.py sharpness      # tr(HΣ)/GᵀHG along the way to 94 %, and the critical size that it predicts

``--samples`` takes fewer samples where one alone takes long; ``--data`` another data set, for a quick look.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
import time
from typing import Any

import jax
import numpy as np

from epochal import load_data, train
from epochal.clock import Position
from epochal.config.train_config import TrainConfig
from epochal.data import Dataset
from epochal.engine import Engine, State
from epochal.engine.noise_scale import exact_noise_scale, gradient_of, rows_from, run_over
from epochal.engine.sharpness import measure_sharpness
from epochal.gradient_noise import NoiseBlock, NoiseScale, over_run
from epochal.noise_words import noise_scale
from epochal.run.callbacks import Callback
from epochal.run.point import Point
from epochal.run.setup import set_up
from epochal.study.batch_size.predicted import checkpoints, predict

_ORDERS = 300


@dataclasses.dataclass
class Verdict:
    """Collects what holds and what does not: names, values, and their lowest and highest."""

    holds: bool = True
    seen: list[tuple[str, float, float, float]] = dataclasses.field(default_factory=list)

    def check(self, what: str, value: float, low: float, high: float) -> None:
        """Print a value beside what it may be."""
        fits = low <= value <= high
        self.holds = self.holds and fits
        self.seen.append((what, float(value), low, high))
        print(f"{'ok ' if fits else 'NOT'} {what}: {value:,.4g} (wanted {low:,.4g} to {high:,.4g})")

    def near(self, what: str, value: float, wanted: float, share: float) -> None:
        """Print a value beside one that it may differ from by a share."""
        self.check(what, value, wanted * (1 - share), wanted * (1 + share))


def engine_of(data: Dataset, model: str = "mlp", batch_size: int = 100, lr: float = 0.1) -> Engine:
    return set_up(TrainConfig(model=model, batch_size=batch_size, lr=lr, iterations=1), data).engine


def train_on(engine: Engine, state: State, start: int, end: int, batch_size: int) -> State:
    """Go from one iteration to another; an epoch's smaller last batch is left out."""
    per_epoch = len(engine.data.train) // batch_size
    while start < end:
        epoch, batch = divmod(start, per_epoch)
        count = min(end - start, per_epoch - batch)
        state, _ = engine.run(state, Position(start, epoch, batch * batch_size), batch_size, count)
        start += count
    return state


def start(verdict: Verdict, data: Dataset, samples: int) -> None:
    for model, wanted, share, most in (("mlp", 55, 0.1, samples), ("cnn", 19, 0.2, min(samples, 4_000))):
        engine = engine_of(data, model)
        indices = engine.order.indices(0, 0, min(most, len(data.train)))
        scale = exact_noise_scale(engine, engine.initial_state(), engine.data.train.take(indices))
        verdict.near(f"B_simple, {model}, N = {len(indices):,}", scale.value, wanted, share)


class ExactAtEnds(Callback):
    """Measures S exactly at the end of each epoch, over some samples."""

    def __init__(self, engine: Engine, samples: int) -> None:
        self.engine, self.samples, self.traces = engine, samples, dict[int, float]()

    def on_point(self, point: Point) -> None:
        if point.position.offset == 0:
            indices = self.engine.order.indices(point.position.epoch, 0, self.samples)
            exact = exact_noise_scale(self.engine, point.state, self.engine.data.train.take(indices))
            self.traces[point.position.iteration] = trace_of(exact)


def trace_of(scale: NoiseScale) -> float:
    return (scale.small_square - scale.large_square) / (1 / scale.small - 1 / scale.large)


OPTIONS: dict[str, Any] = {
    "model": "mlp", "batch_size": 100, "lr": 0.1, "epochs": 10, "seed": 0, "run": False, "progress": False,
}  # fmt: skip


def average(verdict: Verdict, data: Dataset, samples: int) -> None:
    """Compare the ratio of sums from the start on, which grows with the length of the run."""
    engine = dataclasses.replace(engine_of(data), noise_every=1)
    state, per_epoch, blocks = engine.initial_state(), len(data.train) // 100, list[NoiseBlock]()
    for epoch in range(OPTIONS["epochs"]):
        engine.prepare(state, 100)
        state, chunk = engine.run(state, Position(epoch * per_epoch, epoch, 0), 100, per_epoch)
        assert chunk.noise is not None
        blocks.append(chunk.noise)

    # as a training measures it, of the same gradients
    rarely = [dataclasses.replace(block, every=20, sums=block.sums[::20]) for block in blocks]
    for name, some, wanted in (
        ("5 ep", blocks[:5], 780),
        ("10 ep", blocks, 1_080),
        ("10 ep, every 20th", rarely, 1_080),
    ):
        found = over_run(some, len(data.train))
        if found is None:
            raise SystemExit("too little was measured")
        print(f"     {name}: {noise_scale(found)}")
        verdict.near(f"ΣS/Σ‖G‖², {name}", found.value, wanted, 0.3)

    last = over_run([blocks[-1].within(10 * per_epoch - 100, 10 * per_epoch)], len(data.train))
    print(f"     the last 100 iterations alone: {last and noise_scale(last)}")
    verdict.check("the last 100 of 10 ep: a bound", last is not None and last.is_bound, 1, 1)


def traces(verdict: Verdict, data: Dataset, samples: int) -> None:
    """Compare S of halves with the exact one at each epoch's end; never a negative scale; a bound where that is all."""
    exact = ExactAtEnds(engine_of(data), min(samples, len(data.train)))
    measured = train(data, measure="noise", callbacks=exact, **OPTIONS)
    history, curve = measured.history, measured.record.noise_curve()
    shares = [scale.trace / exact.traces[gradient.iteration] for gradient, scale in curve]
    print("     S of halves / exact S at each epoch's end: " + ", ".join(f"{share:.2f}" for share in shares))
    verdict.near("S/S exact, mean of 10 ep", float(np.mean(shares)), 1, 0.15)
    root = math.sqrt(float(np.mean(np.square(np.array(shares) - 1))))
    verdict.check("root mean square of S/S exact − 1", root, 0, 0.15)
    verdict.check("max ‖S/S exact − 1‖", max(abs(share - 1) for share in shares), 0, 0.15)

    for gradient, scale in curve:
        print(f"     iteration {gradient.iteration:,}: {noise_scale(scale)}")
    verdict.check("min B_simple", min(scale.low for _, scale in curve), 0, math.inf)
    last = [block.within(history.iterations - 200, history.iterations) for block in history.noise]
    late = over_run([block for block in last if len(block.sums)], len(data.train))
    print(f"     the last 200 iterations' halves alone: {late and noise_scale(late)}")
    verdict.check("the last 200 of 10 ep: a bound", late is not None and late.is_bound, 1, 1)


def bits(verdict: Verdict, data: Dataset, samples: int) -> None:
    """Compare the weights with and without."""
    few: dict[str, Any] = {**OPTIONS, "epochs": 2}
    measured, plain = (train(data, **{**few, "measure": more}).weights_sha256 for more in ("noise", None))
    verdict.check("the same weights", measured == plain, 1, 1)


def order(verdict: Verdict, data: Dataset, samples: int, *, model: str = "mlp", replaced: bool = False) -> None:
    """Compare the variance of batch gradients over many orders with S·(1/B − 1/N); ``replaced`` is a wrong order."""
    total = min(2_000, len(data.train))
    few = dataclasses.replace(data, train=data.train.take(np.arange(total)))
    engine = engine_of(few, model)
    state = train_on(engine, engine.initial_state(), 0, 100, min(100, total // 2))
    gradients = single_gradients(engine, state)
    gradients -= gradients.mean(0)
    products = gradients @ gradients.T
    trace = float(np.trace(products) / (total - 1))

    random = np.random.default_rng(0)
    for batch in (total // 20, total // 2, total * 19 // 20):
        found = []
        for epoch in range(_ORDERS):
            drawn = random.integers(0, total, batch) if replaced else engine.order.indices(epoch, 0, batch)
            share = np.bincount(drawn, minlength=total) / batch
            found.append(float(share @ products @ share))
        ratio = float(np.mean(found)) / (trace * (1 / batch - 1 / total))
        verdict.near(f"Var/(S(1/B − 1/N)), B = {batch:,}", ratio, 1, 0.05)


def single_gradients(engine: Engine, state: State) -> np.ndarray:
    """Return the gradient of each sample, a row each."""
    gradient, rows = gradient_of(engine), []

    def each(params: object, model_state: object, samples: Any) -> jax.Array:
        def one(number: jax.Array) -> jax.Array:
            leaves = jax.tree.leaves(gradient(params, model_state, samples, rows_from(number, 1)))
            return jax.numpy.concatenate([leaf.ravel() for leaf in leaves])

        return jax.lax.map(one, jax.numpy.arange(len(samples.y)))

    for first in range(0, len(engine.data.train), 500):
        some = engine.data.train.take(np.arange(first, min(first + 500, len(engine.data.train))))
        rows.append(np.asarray(run_over(engine, ("rows", len(some)), lambda: each, state, some)))
    return np.concatenate(rows)


def cost(verdict: Verdict, data: Dataset, samples: int) -> None:
    """Train epochs in turn, with and without, and compare the processor time of the fastest of each."""
    plain = engine_of(data)
    engines = {"plain": plain, "measured": dataclasses.replace(plain, noise_every=20)}
    states = {name: engine.initial_state() for name, engine in engines.items()}
    best = dict.fromkeys(engines, math.inf)
    count = len(data.train) // 100
    for epoch in range(25):
        for name, engine in engines.items():
            engine.prepare(states[name], 100)
            began = time.process_time()
            states[name], _ = engine.run(states[name], Position(epoch * count, epoch, 0), 100, count)
            best[name] = min(best[name], time.process_time() - began)
    print("     " + ", ".join(f"{name} {seconds / count * 1e6:,.0f} µs" for name, seconds in best.items()))
    verdict.check("+ % processor time", 100 * (best["measured"] / best["plain"] - 1), -5, 8)


def sharpness(verdict: Verdict, data: Dataset, samples: int) -> None:
    few = dataclasses.replace(data, train=data.train.take(np.arange(min(10_000, len(data.train)))))
    engine, steps = engine_of(few, batch_size=64, lr=0.64), 319.0
    state, before, scales = engine.initial_state(), 0, []
    for iteration in checkpoints(steps):
        state, before = train_on(engine, state, before, iteration, 64), iteration
        scales.append(measure_sharpness(engine, state))
        print(f"    iteration {iteration}: {scales[-1].value:.0f} ± {scales[-1].error:.0f} by 24 probes")
    verdict.check("tr(HΣ)/GᵀHG, mean", float(np.mean([one.value for one in scales])), 90, 160)
    verdict.check("B_crit predicted (curve: 86)", predict(64, steps, scales).critical, 43, 172)


CHECKS = {
    "start": start, "average": average, "traces": traces, "order": order, "cost": cost, "bits": bits,
    "sharpness": sharpness,
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checks", nargs="*", default=list(CHECKS), choices=[*CHECKS, []])
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--samples", type=int, default=60_000)
    arguments = parser.parse_args()
    data, verdict = load_data(arguments.data), Verdict()
    for name in arguments.checks:
        CHECKS[name](verdict, data, arguments.samples)
    return 0 if verdict.holds else 1


if __name__ == "__main__":
    sys.exit(main())
