"""Runs to export, and programs without Epochal that load what was written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from epochal import Run, from_functions, train

ROWS = 130
COUNTS = (1, 3, 1000)


def train_all(folder: Path) -> dict[str, Run]:
    """Train a run of each kind; return them opened from their folders. ``NAME.npy`` are 1,000 samples of each."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (60, 9, 7, 3)).astype(np.uint8), np.arange(60) % 3
    x = rng.normal(50, 20, (60, 5, 3)).astype(np.float32)
    sequences = x, np.stack([1000 + 300 * x[:, 0, 0], x[:, 1, 2] - x[:, 2, 2]], 1)
    small: dict[str, Any] = {"epochs": 2, "batch_size": 20, "progress": False}
    big = {**small, "batch_size": 100}

    wanted: dict[str, tuple[Any, dict[str, Any]]] = {
        "mlp": ("digits", {**big, "model": "mlp", "hidden": (32, 16), "dropout": 0.1}),
        "cnn": ("digits", {**big, "model": "cnn", "settings": {"channels": [4], "kernel": 3}}),
        "colours": (pictures, {**small, "model": "cnn", "settings": {"channels": [3, 4], "kernel": 3}, "hidden": (5,)}),
        "sequences": (sequences, {**small, "model": "rnn", "hidden": (6,)}),
        "flats": (str(table(folder)), {**small, "model": "linear"}),
    }
    for name, (data, options) in wanted.items():
        run = train(data, **options, run=folder / name)
        np.save(folder / f"{name}.npy", np.resize(run.data.test.x, (max(COUNTS), *run.data.sample_shape)))
    return {name: Run.open(folder / name) for name in wanted}


def table(folder: Path) -> Path:
    """Write a table of numbers, words, dates and truth values, some of them missing."""
    rng = np.random.default_rng(1)
    lines = ["area,city,built,lift,price"]
    for row in range(ROWS):
        area, city, year = rng.uniform(30, 120), rng.integers(3), rng.integers(1950, 2024)
        cells = [f"{area:.1f}", ("Rome", "Oslo", "Lima")[city], f"{year}-0{1 + row % 9}-11", ("true", "false")[row % 2]]
        if row % 10 == 3:
            cells[row // 10 % 4] = ""
        lines.append(",".join([*cells, f"{100_000 + 2_500 * area + 20_000 * city:.0f}"]))
    (folder / "flats.csv").write_text("\n".join(lines) + "\n")
    return folder / "flats.csv"


def integers(folder: Path) -> Run:
    """Train an embedding of its own on whole numbers, which are no quantities."""
    import jax

    def init(key: Any) -> Any:
        return {"table": jax.random.normal(key, (50, 4)), "out": jax.random.normal(key, (4, 2))}

    x = np.random.default_rng(2).integers(0, 50, (40, 6)).astype(np.int32)
    model = from_functions(init, lambda params, x: params["table"][x].mean(1) @ params["out"], name="words")
    np.save(folder / "words.npy", np.resize(x, (max(COUNTS), 6)))
    return train((x, x[:, 0] % 2), model=model, epochs=1, batch_size=10, run=folder / "words", progress=False)


def in_a_process_without_epochal(code: str, *arguments: Path | str, cwd: Path | None = None) -> Any:
    """Run a program from which Epochal cannot be imported; return what it printed as JSON in its last line."""
    guard = "import sys\nsys.modules['epochal'] = None  # importing it fails\n"
    last = "\nassert not [name for name in sys.modules if name.startswith('epochal.')]\n"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", guard + code + last, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment,
        cwd=cwd,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
