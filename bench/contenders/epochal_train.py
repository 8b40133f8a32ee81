"""Epochal as its users call it: `epochal.train`, with its history, audit, losses and checkpoints.

A training runs in a thread of its own and is held at the question that it asks after each chunk, "should I stop?".
"""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np

import epochal
from contenders import Done, clock
from epochal.data import Dataset, Split
from epochal.run.callbacks import Callback, ChunkEnd
from problem import Problem

_EVALUATE_NEVER = 10**9


class _Held(Callback):
    """Holds a training at the question that it asks before each chunk."""

    def __init__(self, contender: Epochal) -> None:
        self.contender = contender

    def on_chunk(self, chunk: ChunkEnd) -> None:
        self.contender.reached = chunk.position.iteration

    @property
    def should_stop(self) -> bool:  # type: ignore[override]
        return self.contender.should_stop()


class Epochal:
    """``epochal train mnist --model … --batch-size …``, without evaluations between epochs."""

    def __init__(self, problem: Problem, device: str) -> None:
        self.problem = problem
        self.data = self.without_rest(problem)
        self.folder = Path(tempfile.mkdtemp(prefix="epochal-bench-"))
        self.closing = False
        self.runs = 0
        self.resting = threading.Semaphore(0)
        self.going = threading.Semaphore(0)
        self.wanted = self.reached = 0
        self.thread: threading.Thread | None = None
        self.fresh: epochal.Run | None = None

    @staticmethod
    def without_rest(problem: Problem) -> Dataset:
        train = problem.dataset.train
        if problem.samples == len(train):
            return problem.dataset
        return dataclasses.replace(problem.dataset, train=Split(problem.images, problem.y))

    def start(self, iterations: int, **options: Any) -> epochal.Run:
        work = self.problem.work
        self.runs += 1
        return epochal.train(
            self.data, model=work.model, optimizer=work.optimizer, lr=work.lr, batch_size=self.problem.batch,
            iterations=iterations, evaluate_every=_EVALUATE_NEVER,
            run=self.folder / str(self.runs), **options,
        )  # fmt: skip

    def train(self, iterations: int) -> Done:
        """Train anew at the first call, for `predict`; later calls go on with a second training."""
        if self.fresh is None:
            started = clock()
            self.fresh = self.start(iterations)
            return Done(iterations, clock() - started)
        if self.thread is None:
            options = {"callbacks": _Held(self)}
            self.thread = threading.Thread(target=self.start, args=(10**12,), kwargs=options, daemon=True)
            self.thread.start()
            self.resting.acquire()
        before = self.reached
        self.wanted = before + iterations
        started = clock()
        self.going.release()
        self.resting.acquire()
        return Done(self.reached - before, clock() - started)

    def should_stop(self) -> bool:
        if self.reached >= self.wanted:
            self.resting.release()
            self.going.acquire()
        return self.closing

    def close(self) -> None:
        """End the training and remove its folder."""
        self.closing, self.wanted = True, 0
        if self.thread is not None:
            self.going.release()
            self.thread.join()
        shutil.rmtree(self.folder)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Predict from the stored images, which are the test set's."""
        assert self.fresh is not None
        return self.fresh.predict(self.problem.test_images).argmax(1)
