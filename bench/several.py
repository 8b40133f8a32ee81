"""Several processes: the bits of every division of the same work, and the time of an iteration and of its exchange.

python bench/several.py [--iterations 200] [--models mlp,cnn,rnn] [--data mnist] [--divisions 1x1,1x2,2x1,4x1,2x2]

A division is processes x devices of each. All of them cut every batch into four shards, so all have the same weights.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SHARDS = 4
_EXCHANGE = re.compile(r"an iteration takes ([\d.]+) ms, and its exchange between \d+ processes takes ([\d.]+) ms")


@dataclass(frozen=True, slots=True)
class Division:
    """How many processes share the work, and on how many devices of each."""

    processes: int
    devices: int

    @classmethod
    def parse(cls, text: str) -> Division:
        """Read ``2x1``."""
        processes, devices = map(int, text.split("x"))
        return cls(processes, devices)

    def __str__(self) -> str:
        return f"{self.processes} x {self.devices}"


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training by several processes ended with."""

    weights: str
    microseconds: float
    told: str

    @property
    def exchange(self) -> str:
        """What the training said at its start of an exchange's milliseconds, if it did."""
        found = _EXCHANGE.search(self.told)
        return found[2] if found else "-"


def train(model: str, data: str, iterations: int, division: Division) -> Trained:
    """Train as the command line does, and read the result."""
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": str(division.devices)}
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        words: list[Any] = [
            "train", data, "--model", model, "--batch-size", 128, "--iterations", iterations, "--shards", _SHARDS,
            "--evaluate-every", 10**6, "--processes", division.processes, "--run", run,
        ]  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "epochal", *map(str, words)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{model}, {division}: status {done.returncode}\n{done.stderr}")
        shown = subprocess.run(
            [sys.executable, "-m", "epochal", "show", str(run), "--json"], capture_output=True, text=True, check=True
        )
    facts = json.loads(shown.stdout)
    return Trained(facts["weights_sha256"], 1e6 / facts["iterations_per_second"], done.stdout + done.stderr)


def main() -> int:
    """Print the table; the status is 1 where two divisions of a model differ in a bit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--models", default="mlp,cnn,rnn")
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--divisions", default="1x1,1x2,2x1,4x1,2x2")
    options = parser.parse_args()

    print("| model | processes x devices | weights | µs an iteration | ms an exchange |")
    print("| --- | --- | --- | --- | --- |")
    same = True
    for model in options.models.split(","):
        hashes = set()
        for division in map(Division.parse, options.divisions.split(",")):
            trained = train(model, options.data, options.iterations, division)
            hashes.add(trained.weights)
            row = (model, division, trained.weights[:12], f"{trained.microseconds:,.0f}", trained.exchange)
            print("|", " | ".join(map(str, row)), "|", flush=True)
        same &= len(hashes) == 1
    print("the same bits everywhere" if same else "OTHER BITS")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
