"""Exported models: seconds to write, bytes, difference to `run.predict`, seconds to predict: `python bench/exports.py`.

Models of one iteration for samples of 28×28 bytes; predictions of 1,000 samples, the median of alternating repeats.
Differences are shares of the largest output. `kept` is what a run with a model of one's own keeps, applied by Epochal.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from jax import export

import epochal
from epochal.errors import ModelError

SAMPLES = 1000
MODELS = ("linear", "mlp", "cnn", "rnn")
Predict = Callable[[np.ndarray], np.ndarray]


def of_stablehlo(path: Path) -> Predict:
    call = jax.jit(export.deserialize(bytearray(path.read_bytes())).call)
    return lambda x: np.asarray(call(x))


def of_onnx(path: Path) -> Predict:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"samples": x})[0]


def of_numpy(path: Path) -> Predict:
    sys.path.insert(0, str(path.parent))
    return importlib.import_module(path.stem).predict


LOADERS: dict[str, Callable[[Path], Predict]] = {"stablehlo": of_stablehlo, "onnx": of_onnx, "numpy": of_numpy}


def kept(run: epochal.Run, folder: Path) -> tuple[epochal.Run, float, int]:
    """Train the same model as one's own; return the run without its code, and seconds and bytes of what it keeps."""
    engine = run.setup.engine
    started = time.perf_counter()
    content = engine.exported_form()
    seconds = time.perf_counter() - started
    data = run.data
    samples = data.train.x, data.train.y
    own = epochal.train(samples, model=run.setup.model, iterations=1, run=folder, progress=False)
    return epochal.Run.open(own.path), seconds, len(content)


def timed(predictors: dict[str, Predict], x: np.ndarray, repeats: int) -> dict[str, float]:
    """Return the median seconds of each, which take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in predictors}
    for predict in predictors.values():
        predict(x)
    for _ in range(repeats):
        for name, predict in predictors.items():
            started = time.perf_counter()
            predict(x)
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(one) for name, one in seconds.items()}


def measure(name: str, folder: Path, repeats: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (SAMPLES, 28, 28)).astype(np.uint8)
    data = epochal.from_arrays(x, rng.integers(0, 10, SAMPLES), name="noise")
    run = epochal.train(data, model=name, iterations=1, run=folder / name, progress=False)
    wanted = run.predict(x)

    predictors: dict[str, Predict] = {"epochal": run.predict}
    facts: dict[str, tuple[float, int]] = {}
    for to in ("stablehlo", "onnx", "safetensors", "numpy"):
        started = time.perf_counter()
        try:
            path = run.export(to)
        except ModelError:
            continue
        size = sum(
            one.stat().st_size for one in path.parent.glob(f"{path.stem}.*") if one.suffix in (path.suffix, ".npz")
        )
        facts[to] = time.perf_counter() - started, size
        if to in LOADERS:
            predictors[to] = LOADERS[to](path)

    own, seconds, size = kept(run, folder / f"{name}-own")
    facts["kept"] = seconds, size
    seconds_of = timed({**predictors, "kept": own.predict}, x, repeats)

    print(f"{name:8}{'epochal':12}{'':10}{'':12}{'':12}{seconds_of['epochal'] * 1e3:8.2f} ms")
    for to, (seconds, size) in facts.items():
        predict = predictors.get(to)
        off = "" if predict is None else f"{np.abs(predict(x) - wanted).max() / np.abs(wanted).max():.1e}"
        took = f"{seconds_of[to] * 1e3:8.2f} ms" if to in seconds_of else ""
        print(f"{'':8}{to:12}{seconds:8.2f} s{size:12,}{off:>12}{took}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    print(f"{'model':8}{'form':12}{'to write':>10}{'bytes':>12}{'difference':>12}{'1,000 samples':>14}")
    with tempfile.TemporaryDirectory() as folder:
        for name in MODELS:
            measure(name, Path(folder), repeats)


if __name__ == "__main__":
    main()
