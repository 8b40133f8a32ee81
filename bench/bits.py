"""Whether trainings still have the bits that they had: hashes of weights and losses, written once and compared later.

`python bench/bits.py --write` records them in `bench/bits.json` with the processor that they hold for;
`python bench/bits.py` trains everything again and names what differs.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import math
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import epochal

HASHES = Path(__file__).with_name("bits.json")
ITERATIONS = {1: 150, 37: 60, 100: 20, "all": 4}  # each but the last crosses the end of an epoch of digits, or is short
MODELS = ("linear", "mlp", "cnn", "rnn")
OPTIMIZERS = ("sgd", "momentum", "adam")
SAMPLES = {"digits": 1_437, "mnist": 60_000}
RATES = {"sgd": 0.1, "momentum": 0.02, "nesterov": 0.02, "adam": 0.001, "adamw": 0.001}  # in batches of 100

OTHERS: dict[str, dict[str, Any]] = {
    "dropout": {"model": "mlp", "dropout": 0.3, "batch_size": 37, "iterations": 60, "seed": 2**40 + 7},
    "cnn dropout": {"model": "cnn", "dropout": 0.5, "batch_size": 100, "iterations": 20},
    "nesterov, dropped rest": {"model": "mlp", "optimizer": "nesterov", "batch_size": 100, "epochs": 2, "last": "drop"},
    "adamw, cosine, warm-up": {
        "model": "mlp", "optimizer": "adamw", "schedule": "cosine", "warmup": "10it", "iterations": 60,
    },
    "linear schedule": {"model": "linear", "schedule": "linear", "warmup": "1ep", "epochs": 3},
    "one-cycle": {"model": "mlp", "schedule": "one-cycle", "iterations": 60},
    "micro-batches": {"model": "mlp", "batch_size": 100, "micro_batch": 30, "iterations": 30},
    "shards": {"model": "mlp", "batch_size": 128, "shards": 4, "iterations": 30},
    "squared error": {"model": "mlp", "loss": "mean-squared-error", "iterations": 30},
}  # fmt: skip


def trainings() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and the options of each training."""
    for model, optimizer, (size, iterations) in itertools.product(MODELS, OPTIMIZERS, ITERATIONS.items()):
        options = {"model": model, "optimizer": optimizer, "batch_size": size, "iterations": iterations}
        yield f"{model} {optimizer} B={size}", options
    yield from OTHERS.items()
    if os.environ.get("EPOCHAL_DATA"):
        for model in MODELS:
            yield f"mnist {model} B=100", {"data": "mnist", "model": model, "batch_size": 100, "iterations": 12}
        for model in ("linear", "mlp"):
            yield f"mnist {model} B=all", {"data": "mnist", "model": model, "batch_size": "all", "iterations": 2}


def with_rate(options: dict[str, Any]) -> dict[str, Any]:
    """Return options with a learning rate in them, so that the bits outlive a change of the default ones."""
    usual = "adam" if options["model"] == "rnn" else "sgd"
    samples, size = SAMPLES[options.get("data", "digits")], options.get("batch_size", 100)
    factor = min(4, math.sqrt((samples if size == "all" else size) / 100))
    return {"lr": float(f"{RATES[options.get('optimizer', usual)] * factor:.3g}"), **options}


def hash_of(options: dict[str, Any]) -> str:
    """Train and return the hash of the weights, and of every loss."""
    with tempfile.TemporaryDirectory() as folder:
        run = epochal.train(**with_rate(options), run=Path(folder) / "run")
        losses = hashlib.sha256(run.history.losses.tobytes()).hexdigest()
        return f"{run.weights_sha256[:16]} {losses[:16]}"


def machine() -> str:
    """Return what the hashes hold for: processor, cores and versions."""
    import jax

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    cpu = names[0].split(":")[1].strip() if names else platform.processor()
    return f"{cpu}, {cores} cores, jax {jax.__version__}"


def main() -> int:
    """Write the hashes, or compare with those that were written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="record the hashes instead of comparing")
    parser.add_argument("--only", default="", help="only trainings whose name contains this")
    arguments = parser.parse_args()

    found = {name: hash_of(options) for name, options in trainings() if arguments.only in name}
    if arguments.write:
        HASHES.write_text(json.dumps({"machine": machine(), "hashes": found}, indent=1) + "\n")
        print(f"{len(found)} hashes written to {HASHES.name}")
        return 0

    recorded = json.loads(HASHES.read_text())
    if recorded["machine"] != machine():
        print(f"the hashes are those of {recorded['machine']}; this is {machine()}, whose bits may differ")
    other = [name for name in found if found[name] != recorded["hashes"].get(name)]
    for name in other:
        print(f"OTHER bits: {name}: {recorded['hashes'].get(name)} → {found[name]}")
    print(f"{len(found) - len(other)} of {len(found)} trainings have the recorded bits")
    return bool(other)


if __name__ == "__main__":
    sys.exit(main())
