"""Run the three methods (B = 1, 100 and all) to the end on all four models, each as a user's command.

    python bench/methods.py [--models cnn] [--data mnist]

Shown for each: what was planned and counted, whether each epoch used each sample exactly once, the test accuracy, the
seconds from command to prompt, and the peak memory of the process. Ends with status 1 if any count or audit is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

MODELS = ("linear", "mlp", "rnn", "cnn")
METHODS = (("1", "1"), ("100", "1"), ("all", "3"))  # batch size, epochs


def train(data: str, model: str, batch_size: str, epochs: str) -> bool:
    """Train in a process of its own, print its row, and return whether all counts are as planned."""
    options = ["--model", model, "--batch-size", batch_size, "--epochs", epochs, "--json"]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "epochal", "train", data, *options, "--run", f"{folder}/run"]
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        answer = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        print(f"{model:7s} B={batch_size:4s} ended with status {process.returncode}", flush=True)
        return False
    run = json.loads(answer)
    exact = sum(epoch["audit"]["exact"] for epoch in run["epochs"])
    planned, counted = run["plan"]["iterations"], run["position"]["iteration"]
    right = counted == planned and exact == run["plan"]["full_epochs"] == int(epochs)
    print(
        f"{model:7s} B={batch_size:4s} {counted:>6,} of {planned:,} iterations, {exact} of {epochs} epochs exact, "
        f"{run['epochs'][-1]['test_accuracy']:.2%}, {seconds:6.1f} s, peak {usage.ru_maxrss / 1024:,.0f} MiB",
        flush=True,
    )
    return right


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--data", default="mnist")
    options = parser.parse_args()
    done = [train(options.data, model, *method) for model in options.models for method in METHODS]
    sys.exit(not all(done))


if __name__ == "__main__":
    main()
