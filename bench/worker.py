"""A process that holds one contender and does what it is told: one JSON object a line in, one out.

    python bench/worker.py NAME [cpu|cuda]

``{"prepare": work}`` builds the contender, trains it as long as the work says and answers with the test accuracy;
``{"train": k}`` trains k more iterations and answers with how many it did in how many seconds; ``{"forget": true}``
lets it go. A contender that cannot do a work answers ``{"cannot": why}``.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import sys
import time
import traceback
from typing import Any

from contenders import CONTENDERS, CannotDoError
from problem import Problem, load_dataset
from work import Work


class Worker:
    """One contender, of one class, working on one problem after another."""

    def __init__(self, name: str, device: str) -> None:
        module, self.class_name = CONTENDERS[name].split(".")
        self.module = importlib.import_module(f"contenders.{module}")
        self.device = device
        self.dataset = load_dataset()
        self.contender: Any = None

    def answer(self, order: dict[str, Any]) -> dict[str, Any]:
        if "prepare" in order:
            return self.prepare(Work(**order["prepare"]))
        if "train" in order:
            return self.contender.train(order["train"])._asdict()
        self.forget()
        return {}

    def forget(self) -> None:
        """Let the contender go; one that holds more than memory has a ``close``."""
        if hasattr(self.contender, "close"):
            self.contender.close()
        self.contender = None
        gc.collect()

    def prepare(self, work: Work) -> dict[str, Any]:
        self.forget()
        problem = Problem(work, self.dataset)
        started = time.perf_counter()
        try:
            self.contender = getattr(self.module, self.class_name)(problem, self.device)
            self.contender.train(work.updates)
        except CannotDoError as error:
            return {"cannot": str(error)}
        seconds = time.perf_counter() - started
        accuracy = float((self.contender.predict(problem.x_test) == problem.y_test).mean())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {"accuracy": accuracy, "seconds": seconds, "peak_mib": peak}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a contender prints goes to standard error
    try:
        worker = Worker(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "cpu")
        print(json.dumps({"ready": True}), file=answers, flush=True)
    except ImportError as error:
        print(json.dumps({"cannot": f"not installed: {error}"}), file=answers, flush=True)
        return
    for line in sys.stdin:
        try:
            answer = worker.answer(json.loads(line))
        except Exception as error:  # a contender that fails must not end the others' measurement
            traceback.print_exc()
            answer = {"cannot": f"failed: {type(error).__name__}: {error}"[:200]}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
