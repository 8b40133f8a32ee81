"""Lanes: several whole trainings side by side on one machine's processors, each with the bits that it has alone.

A small training keeps one processor busy, and waits for the disk and for Python in between. A lane is a thread that
does whole trainings, one after another; all lanes call the same compiled chunk, so there is one compilation for each
batch size. XLA computes a program in as many threads as ask for it, and cuts a product by how many processors there
are, not by how many are free: so neither the other lanes nor their number change a bit. A batch that is cut into
shards is computed by one device in a lane, as the other devices have lanes of their own.

One program over all trainings (`vmap`) would not do: on a CPU it gives other bits from the second sample of a batch
on, it is slower, and all of its trainings have to begin, stop and diverge together.
"""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import jax

from epochal.data import Dataset, Split
from epochal.engine.machine import available_cores
from epochal.engine.micro_batch import device_memory
from epochal.engine.runtime import present_settings, setting

Result = TypeVar("Result")

_MOST = 8
_SHARE_OF_MEMORY = 2  # trainings at once may take half of it
_WINDOWS = 64 << 20  # of samples that are read from where they are stored
_BYTES_EACH = 32  # of a parameter: weights, gradient, an optimizer's moments, and a copy that is being saved


@dataclass(slots=True)
class Lanes:
    """Does tasks in threads, so many at once.

    Attributes:
        at_once: how many threads; a single one is the caller's own.
        should_stop: asked before each task; after a true answer no other begins.
        has_failed: whether a task raised an error, so that the others should end soon.
    """

    at_once: int
    should_stop: Callable[[], bool] = lambda: False
    has_failed: bool = field(default=False, init=False)
    _errors: list[BaseException] = field(default_factory=list, init=False, repr=False)

    @property
    def is_stopping(self) -> bool:
        """Whether running tasks should end soon: a stop is asked for, or one of them failed."""
        return self.has_failed or self.should_stop()

    def run(self, tasks: Sequence[Callable[[], Result]]) -> list[Result]:
        """Return what the tasks return, in their order; without those that had not begun when a stop was asked for.

        Raises the first error of a task, once all that had begun have ended.
        """
        waiting, results = deque(enumerate(tasks)), dict[int, Result]()

        def work() -> None:
            while waiting and not self.is_stopping:
                try:
                    number, task = waiting.popleft()
                except IndexError:  # another lane was faster
                    return
                results[number] = task()

        if self.at_once == 1:
            work()
        else:
            self._work_in_threads(work, min(self.at_once, len(tasks)))
        return [results[number] for number in sorted(results)]

    def _work_in_threads(self, work: Callable[[], None], count: int) -> None:
        def guarded() -> None:
            try:
                work()
            except BaseException as error:
                self._errors.append(error)
                self.has_failed = True

        # each sees the language, and whatever else belongs to the caller's context
        contexts = [contextvars.copy_context() for _ in range(count)]
        threads = [
            threading.Thread(target=context.run, args=(guarded,), name=f"lane-{number}", daemon=True)
            for number, context in enumerate(contexts, start=1)
        ]
        for thread in threads:
            thread.start()

        try:
            _join(threads)
        except BaseException:  # a KeyboardInterrupt: the others end after their chunks, and save
            self.has_failed = True
            _join(threads)
            raise
        if self._errors:
            raise self._errors[0]


def lanes_for(wanted: int | None, trainings: int, data: Dataset, parameters: int) -> int:
    """Return how many of some equal trainings run at once.

    Args:
        wanted: how many were asked for; ``None`` for as many as there are processors, but at most 8, on a CPU, and one
            elsewhere.
        trainings: how many there are.
        data: what each of them holds on the device.
        parameters: how many numbers each of them adjusts.
    """
    if trainings < 2 or wanted == 1 or jax.process_count() > 1 or not _threads_see_the_settings():
        return 1
    usual = min(available_cores(), _MOST) if jax.default_backend() == "cpu" else 1
    at_once = min(trainings, usual if wanted is None else wanted)

    memory = device_memory()
    if memory is None:
        return at_once
    splits = [split for split in (data.train, data.test, data.validation) if split is not None]
    held = sum(split.nbytes if isinstance(split, Split) else min(split.nbytes, _WINDOWS) for split in splits)
    each = held + _BYTES_EACH * parameters
    return max(1, min(at_once, memory // _SHARE_OF_MEMORY // max(1, each)))


def _threads_see_the_settings() -> bool:
    """Return whether JAX's settings hold in other threads; one that a ``with`` changed holds in its own alone."""
    seen: list[Any] = []
    thread = threading.Thread(target=lambda: seen.append(_settings()))
    thread.start()
    thread.join()
    return bool(seen == [_settings()])


def _settings() -> Any:
    return present_settings(), setting("jax_default_device"), setting("jax_debug_nans")


def _join(threads: Sequence[threading.Thread]) -> None:
    for thread in threads:
        thread.join()
