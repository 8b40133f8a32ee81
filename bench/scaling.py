"""How Epochal scales: time per sample as N grows, memory as B grows, and an order of 10¹³ samples.

python bench/scaling.py samples 1000000 | memory 60000 1000 | order
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from typing import Any

from environment import BENCH, PYTHON, environment

_FEATURES = 16
_BATCH = 100


def time_per_sample(samples: int) -> dict[str, Any]:
    """Train a small `mlp` on so many generated samples, for an epoch or a million samples, whichever is longer."""
    import numpy as np

    import epochal
    from epochal.data import from_arrays

    random = np.random.default_rng(0)
    x = random.integers(0, 256, (samples + 100, _FEATURES), dtype=np.uint8)
    y = (x[:, 0] > 127).astype(np.int32)
    data = from_arrays(x[:-100], y[:-100], test=(x[-100:], y[-100:]))
    with tempfile.TemporaryDirectory() as folder:
        run = epochal.train(
            data, model="mlp", hidden=(32,), batch_size=_BATCH, iterations=max(samples, 1_000_000) // _BATCH,
            evaluate_every=10**9, run=f"{folder}/run",
        )  # fmt: skip
        microseconds = 1e6 / run.iterations_per_second / _BATCH
    return {"samples": samples, "us_per_sample": microseconds, "peak_mib": _peak()}


def memory(batch_size: int, micro_batch: int) -> dict[str, Any]:
    """Train `mlp` on MNIST's size for two iterations; return the most memory that the process had."""
    import epochal
    from epochal.data import load_data

    data = load_data("mnist")
    with tempfile.TemporaryDirectory() as folder:
        run = epochal.train(
            data, model="mlp", batch_size=batch_size, micro_batch=min(micro_batch, batch_size), iterations=2,
            evaluate_every=10**9, run=f"{folder}/run",
        )  # fmt: skip
    return {"batch_size": batch_size, "micro_batch": min(micro_batch, batch_size), "peak_mib": _peak(), "ok": bool(run)}


def order() -> list[dict[str, Any]]:
    """Time the finding of 100 indices at the beginning, and near the end, of orders of 10⁴ and 10¹³ samples."""
    from epochal import Order

    results = []
    for samples, start in ((10**4, 0), (10**13, 0), (10**13, 10**12)):
        one = Order(samples=samples, seed=1)
        times = []
        for epoch in range(200):
            started = time.perf_counter()
            one.indices(epoch, start, start + 100)
            times.append(time.perf_counter() - started)
        results.append({"samples": samples, "start": start, "microseconds": sorted(times)[len(times) // 2] * 1e6})
    return results


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure_scaling(threads: int, *, quick: bool) -> dict[str, Any]:
    """Measure each in a process of its own, so that peaks of memory do not mix."""
    sizes = (10**3, 10**6) if quick else (10**3, 10**4, 10**5, 10**6, 10**7)
    few, more = ((1, 1), (60_000, 60_000), (60_000, 1000)), ((100, 100), (1000, 1000), (10_000, 10_000), (10_000, 1000))
    batches = few if quick else sorted(few + more)
    return {
        "samples": [_in_process(threads, "samples", size) for size in sizes],
        "memory": [_in_process(threads, "memory", *pair) for pair in batches],
        "order": _in_process(threads, "order"),
    }


def _in_process(threads: int, *arguments: Any) -> Any:
    command = [str(PYTHON), str(BENCH / "scaling.py"), *map(str, arguments)]
    done = subprocess.run(command, env=environment(threads), capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    what, *numbers = sys.argv[1:]
    print(json.dumps({"samples": time_per_sample, "memory": memory, "order": order}[what](*map(int, numbers))))
