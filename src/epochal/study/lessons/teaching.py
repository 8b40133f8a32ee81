"""The lessons by name, and what gives one: `lesson`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from epochal.config.options import MOST_RUNS, count
from epochal.config.study_config import STUDY
from epochal.errors import OptionError, unknown_name
from epochal.run.anew import DataSource
from epochal.study.lessons.lesson_result import LessonResult
from epochal.study.runner import StudyCallback
from epochal.words.catalogue import Words, say


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is known of a lesson before it is given.

    Attributes:
        asks: its question in a line.
        seconds, quick_seconds: that it takes in full and in its short form on two cores, about.
        data, quick_data: the data set of each form.
        seeds, quick_seeds: how many each form trains with.
        module: of this package, which has its plans ``FULL`` and ``QUICK``.
        teach: the function there.
    """

    name: str
    asks: Words
    seconds: float
    quick_seconds: float
    data: str
    quick_data: str
    seeds: int
    quick_seeds: int
    module: str
    teach: str


def lessons() -> dict[str, Lesson]:
    """Return all lessons by name, in the order in which they are best taken."""
    every = (
        Lesson("ladder", say("ladder.asks"), 240.0, 15.0, "mnist", "mnist", 1, 1, "ladder", "teach_ladder"),
        Lesson(
            "reshuffling",
            say("reshuffling.asks"),
            8.0,
            5.0,
            "digits",
            "digits",
            3,
            1,
            "reshuffling",
            "teach_reshuffling",
        ),
        Lesson("growth", say("growing.asks"), 60.0, 4.0, "mnist", "digits", 3, 3, "batch_growth", "teach_growth"),
        Lesson("gap", say("gap.asks"), 100.0, 5.0, "mnist", "digits", 3, 3, "gap", "teach_gap"),
        Lesson("rates", say("rates.asks"), 100.0, 10.0, "mnist", "digits", 2, 1, "rate_rules", "teach_rates"),
    )
    return {one.name: one for one in every}


_SEEDS: Final = STUDY["seeds"]


def lesson(
    name: str,
    *,
    quick: bool = False,
    data: DataSource | None = None,
    seeds: int | Iterable[int] | None = None,
    callback: StudyCallback | None = None,
    should_stop: Callable[[], bool] | None = None,
    at_once: int | None = None,
    run: str | os.PathLike[str] | None = None,
) -> LessonResult:
    """Give a lesson: train what it needs, and return its tables, what is to be seen in them, and its picture.

    >>> print(lesson("gap", quick=True))  # doctest: +SKIP

    Args:
        name: ladder, reshuffling, growth, gap or rates.
        quick: whether to take the short form, of seconds, on few samples.
        data: a classification, as for `epochal.train`. Default: the lesson's own, mnist or digits.
        seeds: the seeds of its trainings, or how many: 0, 1, 2, …. Default: the lesson's own number.
        callback: follows the trainings (`epochal.study.StudyCallback`).
        should_stop: asked again and again; a true answer ends the lesson with `LessonStopped`.
        at_once: trainings side by side. Default: as many as there are processors.
        run: a folder that keeps what its trainings came to: the same call goes on where it was stopped. Default: none.

    Raises:
        EpochalError: for an unknown name, data that do not fit, and whatever else the user can fix.
    """
    chosen = find_lesson(name)
    numbers = read_seeds(seeds, chosen.quick_seeds if quick else chosen.seeds)

    from epochal.data import load_data
    from epochal.lock import locked
    from epochal.record.folder import RunFolder, create_run_folder
    from epochal.study.lessons.kept_lesson import KeptLesson
    from epochal.study.lessons.lesson_trainings import Work

    samples = load_data((chosen.quick_data if quick else chosen.data) if data is None else data)
    about = {"lesson": name, "quick": quick, "seeds": list(numbers), "data": samples.fingerprint}
    module = import_module(f"epochal.study.lessons.{chosen.module}")

    # the folder is held for as long as it is worked on
    with ExitStack() as held:
        kept = KeptLesson(about=about)
        if run is not None:
            path = Path(run)
            folder = RunFolder(path) if KeptLesson.is_at(path) else create_run_folder(path, name)
            held.enter_context(locked(folder.lock))
            kept = KeptLesson.begin(path, about)

        work = Work(numbers, callback or StudyCallback(), should_stop or (lambda: False), at_once, kept)
        result: LessonResult = getattr(module, chosen.teach)(
            samples, module.QUICK if quick else module.FULL, work, is_quick=quick
        )
    return dataclasses.replace(result, seconds=kept.seconds)


def find_lesson(name: str) -> Lesson:
    """Return a lesson by its name. Raises `OptionError` for an unknown one, with the nearest."""
    known: Mapping[str, Lesson] = lessons()
    if name not in known:
        raise OptionError(unknown_name("lesson", str(name), known))
    return known[name]


def read_seeds(seeds: Any, usual: int) -> tuple[int, ...]:
    """Return the seeds: those given, or so many from 0 on. Raises `OptionError` or `PlanError`."""
    if seeds is None:
        return tuple(range(usual))
    if isinstance(seeds, Iterable) and not isinstance(seeds, str):
        given: tuple[int, ...] = _SEEDS.read("seeds", tuple(seeds))
        if not given or len(set(given)) < len(given):
            raise OptionError(f"seeds must be one or more different numbers, got {list(given)}")
        return given
    return tuple(range(count(at_most=MOST_RUNS).read("seeds", seeds)))
