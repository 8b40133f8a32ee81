"""The work on a study of batch sizes: sets up, searches, measures speeds, and after an interruption does what is left.

Each trial is recorded as soon as it is done. The search is a function of its trials, so that the same call on the same
folder repeats it, takes the trials that are there, and goes on with the first that is not.
"""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from epochal.config.command_words import shell_word
from epochal.engine import available_cores
from epochal.engine.lanes import Lanes, lanes_for
from epochal.errors import DataError, OptionError, RunError
from epochal.lock import locked
from epochal.record.folder import create_run_folder
from epochal.record.study_record import StudyData
from epochal.study.batch_size.kept import BatchSizeRecord, DoneTrial, Pilot
from epochal.study.batch_size.pilot import diverged, run_pilot
from epochal.study.batch_size.preparing import Prepared
from epochal.study.batch_size.request import Request
from epochal.study.batch_size.search import Question, Search, Wish
from epochal.study.batch_size.speeds import measure_speeds
from epochal.study.batch_size.trials import BatchSizes, SizeRow
from epochal.study.target import Target, Trial
from epochal.study.to_target import Stopped

_PASSES, _FEWEST_UPDATES = 100, 2_000
_RESERVE = 0.1  # of the time, for the speeds
_MAY_CHANGE = ("within",)
_FEWEST_STEPS = 3
_BEYOND = 3  # times the updates to the target: so far goes the look at what lies beyond it
_LOOKS = 8
_LEARNED_ON_BRANCH = 0.99  # a run that has learned much gets no further than a little


class BatchSizesCallback:
    """Follows a study of batch sizes; this one does nothing. Override what you need."""

    def on_study(self, record: BatchSizeRecord, samples: int, held_out: int, notes: Sequence[str]) -> None:
        """Note a study that is set up and about to be worked on: on so many samples, judged by those held out."""

    def on_pilot(self, pilot: Pilot) -> None:
        """Note the target that a first training said."""

    def on_trial(self, trial: Trial) -> None:
        """Note a trial that was made now, and did not lie in the folder already."""

    def on_row(self, row: SizeRow) -> None:
        """Note what is known of a batch size."""

    def on_speeds(self, sizes: Sequence[int]) -> None:
        """Note that speeds are about to be measured."""


def work(
    prepared: Prepared,
    path: str | os.PathLike[str] | None = None,
    callback: BatchSizesCallback | None = None,
    should_stop: Callable[[], bool] | None = None,
    *,
    clock: Callable[[], float] = time.perf_counter,
    started: float | None = None,
) -> BatchSizeRecord:
    """Begin or continue a study of batch sizes, to its end or until a stop is asked for.

    ``started`` is when its time began, by the clock; now by default. Everything is set up before anything is
    written. Raises `EpochalError` for what cannot be studied.
    """
    began = clock() if started is None else started
    record = _record_at(None if path is None else Path(path), prepared)
    with locked(record.path / "study.lock"):
        watch = callback or BatchSizesCallback()
        worker = _Worker(record, prepared, watch, should_stop or (lambda: False), clock, began)
        worker.callback.on_study(record, prepared.samples, prepared.held_out, prepared.notes)
        if not record.is_finished:
            record.write()
            worker.run()
    return worker.record


def _record_at(path: Path | None, prepared: Prepared) -> BatchSizeRecord:
    """Return the record in this folder, new where there is none."""
    data, request = prepared.data, prepared.request
    if path is not None and BatchSizeRecord.is_at(path):
        record = BatchSizeRecord.read(path)
        if record.data.fingerprint != data.fingerprint:
            raise DataError(f"'{request.shared.data}' does not hold the data that {path} was made with")
        if record.study is not None and record.study.branched_from != prepared.branched_from:
            raise RunError(
                f"{request.branch} is not where it was when {path} branched off; begin another study in another folder"
            )
        # what the time left out before is tried now where there is more of it
        is_longer = request.within != record.request.within
        return dataclasses.replace(record, request=request, is_finished=record.is_finished and not is_longer)

    folder = create_run_folder(path, f"batch-size-{data.name}").path
    facts = StudyData(data.name, data.fingerprint, len(data.train), len(data.test), data.task, prepared.own_data)
    return BatchSizeRecord(folder, request, facts)


def plan_request(given: dict[str, Any], path: str | os.PathLike[str] | None) -> Request:
    """Return the request of the study at ``path`` if there is one, else that of the options given.

    Raises `OptionError` for unknown options, bad values, and values other than those of the existing study.
    """
    wanted = Request.of(given)
    if path is None or not BatchSizeRecord.is_at(Path(path)):
        return wanted
    known = BatchSizeRecord.read(Path(path)).request
    for name, value in given.items():
        if value is None or name in _MAY_CHANGE:
            continue
        asked, recorded = (
            getattr(one if hasattr(one, name) and name != "target" else one.shared, name) for one in (wanted, known)
        )
        if asked != recorded and not (name == "data" and os.path.abspath(asked) == recorded):
            option = {"batch_sizes": "batch-size", "branch": "from"}.get(name, name.replace("_", "-"))
            raise OptionError(
                f"{path} was made with another --{option}; leave it out to continue that study, or choose another "
                "folder"
            )
    changed = {name: getattr(wanted, name) for name in _MAY_CHANGE if given.get(name) is not None}
    return dataclasses.replace(known, **changed)


@dataclass(slots=True)
class _Worker:
    """One process's work on a study."""

    record: BatchSizeRecord
    prepared: Prepared
    callback: BatchSizesCallback
    should_stop: Callable[[], bool]
    clock: Callable[[], float]
    began: float
    _done: dict[Wish, DoneTrial] = field(default_factory=dict, init=False)
    _order: list[Wish] = field(default_factory=list, init=False)
    _spent_before: float = field(default=0.0, init=False)
    _turn: threading.RLock = field(default_factory=threading.RLock, init=False)

    def run(self) -> None:
        """Do what is left."""
        self._done = {one.wish: one for one in self.record.trials}
        self._spent_before = self.record.spent
        self.prepared.trials.stop_when(self._is_stopping)
        try:
            pilot = self._pilot()
            question = self._question(pilot)
            search = self._search(question)
            if self.prepared.is_quick:
                self._predict(question, search)
            self._finish(search)
        except Stopped:
            if self._is_late and not self.should_stop():
                raise self._too_short() from None

    # --- the time -------------------------------------------------------------------------------------------------

    @property
    def _left(self) -> float:
        """Seconds that are left for trials; infinite without a limit."""
        within = self.record.request.within
        if within is None:
            return float("inf")
        return within * (1 - _RESERVE) - (self.clock() - self.began) - self._spent_before

    @property
    def _is_late(self) -> bool:
        return self._left <= 0

    def _is_stopping(self) -> bool:
        return self.should_stop() or self._is_late

    def _may_try(self, size: int, neighbour: SizeRow | None) -> bool:
        """Return whether the time that is left is enough for a size, judged by what its neighbour took."""
        if neighbour is None or self._left == float("inf"):
            return True
        ratio = size / neighbour.batch_size
        took = sum(one.seconds for one in self._done.values() if one.wish.batch_size == neighbour.batch_size)
        # an iteration of twice the batch takes up to twice as long; half of it twice as many, each of them shorter
        expected = took * (ratio if ratio > 1 else (1 / ratio) ** 0.5)
        known = {one.batch_size for one in self._order}
        return expected + self.prepared.trials.compile_seconds / max(1, len(known)) <= self._left

    def _too_short(self) -> OptionError:
        within = self.record.request.within or 0.0
        return OptionError(
            f"{within:g} seconds are too short for even the first batch size; give more: --within {2 * within:g}s "
            f"--run {shell_word(self.record.path)}"
        )

    # --- trials ---------------------------------------------------------------------------------------------------

    def _pilot(self) -> Pilot:
        """Return where to begin, and to which target."""
        if self.record.pilot is not None:
            return self.record.pilot

        prepared, request = self.prepared, self.record.request
        lr = prepared.default_rate if request.shared.lr is None else request.shared.lr
        started, is_free = self.clock(), request.shared.lr is None and not prepared.is_branch

        if request.target is not None:
            pilot = Pilot(request.target, lr, 0.0, 0.0, 0.0)
        else:
            found = run_pilot(
                prepared.trials,
                batch_size=prepared.start,
                lr=lr,
                seed=request.shared.seed,
                samples=prepared.samples,
                climbs=is_free,
                **({"learned": _LEARNED_ON_BRANCH} if prepared.is_branch else {}),
            )
            pilot = dataclasses.replace(found, seconds=self.clock() - started)
            self.callback.on_pilot(pilot)
        self._keep(pilot=pilot)
        return pilot

    def _question(self, pilot: Pilot) -> Question:
        request, prepared = self.record.request, self.prepared

        return Question(
            target=pilot.target,
            sizes=(prepared.start,) if prepared.is_quick else prepared.sizes,
            start=prepared.start,
            rate=pilot.lr,
            limit=max(_PASSES * prepared.samples // prepared.start, _FEWEST_UPDATES),
            seeds=request.all_seeds[:1] if prepared.is_quick else request.all_seeds,
            power=prepared.power,
            rates=prepared.rates,
            is_rate_given=request.shared.lr is not None or prepared.is_branch,
            stops=not request.batch_sizes,
        )

    def _search(self, question: Question) -> Search:
        """Search all sizes, or as many as the time is enough for."""
        search = Search(question, self._try_all, self._may_try)
        try:
            for row in search.run():
                self._check(question, row)
                self._look_beyond(question, row)
                self._keep(study=self._study(search))
                self.callback.on_row(row)
        except Stopped:
            # the first size must be known; without it, nothing is
            if self.should_stop() or not search.rows:
                raise
            search.drop_rest()
        return search

    def _try_all(self, wishes: Sequence[Wish]) -> list[Trial]:
        """Return the trials, those that lie in the folder from there; the others are made side by side."""
        self._order += [wish for wish in wishes if wish not in self._order]
        missing = [wish for wish in wishes if wish not in self._done]
        at_once = 1
        if len(missing) > 1 and not self.prepared.have_objects:
            at_once = lanes_for(None, len(missing), self.prepared.data, self.prepared.parameters)

        lanes = Lanes(at_once, self._is_stopping)
        lanes.run([partial(self._try, wish, at_once) for wish in missing])
        if any(wish not in self._done for wish in wishes):
            raise Stopped
        return [self._done[wish].trial for wish in wishes]

    def _try(self, wish: Wish, at_once: int) -> None:
        assert self.record.pilot is not None
        trials = self.prepared.trials
        compiled, started = trials.compile_seconds, self.clock()
        trial = trials.train(
            self.record.pilot.target,
            batch_size=wish.batch_size,
            lr=wish.lr,
            seed=wish.seed,
            limit=wish.limit,
            is_race=wish.is_race,
            at_once=at_once,
        )

        seconds = (self.clock() - started - (trials.compile_seconds - compiled)) / at_once
        with self._turn:
            self._done[wish] = DoneTrial(wish, trial, max(0.0, seconds))
            self._keep()
            self.callback.on_trial(trial)

    def _check(self, question: Question, row: SizeRow) -> None:
        """Raise `OptionError` where the first size says that nothing can be compared."""
        if row.batch_size != question.start:
            return
        tried = [self._done[wish].trial for wish in self._order if wish.batch_size == row.batch_size]
        target, rates = question.target, sorted(trial.lr for trial in tried)
        if row.steps is None and all(trial.why == "diverged" for trial in tried):
            raise diverged(rates[0], rates[-1], row.batch_size)
        if row.steps is None:
            raise self._never(target, row.trials[0], rates)

        if row.steps < _FEWEST_STEPS:
            raise OptionError(
                f"{target} is reached after {row.steps:.2g} updates with batch size {row.batch_size}, where batch "
                "sizes cannot be told apart; ask for more, or leave the target out"
            )

    def _look_beyond(self, question: Question, row: SizeRow) -> None:
        """Train the first size on beyond a target that was given: one near the best in reach is met by chance."""
        is_new = self.record.reach is None and not (self.prepared.is_quick or self.prepared.is_branch)
        if self.record.request.target is None or row.batch_size != question.start or row.steps is None or not is_new:
            return

        trial, best = row.trials[0], row.trials[0].nearest
        given: dict[str, Any] = {"batch_size": trial.batch_size, "lr": trial.lr, "seed": trial.seed}
        for seen in self.prepared.trials.evaluations(**given, limit=_BEYOND * trial.updates, stops=_stops(trial)):
            best = question.target.nearer(best, seen.value(question.target.metric))
        self._keep(reach=best)

    def _never(self, target: Target, nearest: Trial, rates: Sequence[float]) -> OptionError:
        return OptionError(
            f"no training with batch size {nearest.batch_size} reached {target}: the nearest was "
            f"{nearest.nearest:.4g}, with learning rate {nearest.lr:g} in {nearest.updates:,} updates ({rates[0]:g} to "
            f"{rates[-1]:g} were tried); ask for less, or leave the target out"
        )

    # --- results --------------------------------------------------------------------------------------------------

    def _predict(self, question: Question, search: Search) -> None:
        """Put predictions in place of the sizes that were not tried."""
        from epochal.study.batch_size.quick import predicted_rows

        rows, noise = predicted_rows(self.prepared, question, search.rows[question.start])
        search.rows.update({row.batch_size: row for row in rows})
        self.prepared = dataclasses.replace(self.prepared, noise=noise)

    def _finish(self, search: Search) -> None:
        """Measure the speeds that are missing, and write the end."""
        rates = {size: row.lr for size, row in sorted(search.rows.items()) if row.lr is not None}
        missing = {size: lr for size, lr in rates.items() if size not in self.record.microseconds}
        if missing:
            self.callback.on_speeds(list(missing))
            self.prepared.trials.stop_when(self.should_stop)
            # all of them, so that they are measured in turns
            self._keep(microseconds=measure_speeds(self.prepared.trials, rates))
        self._keep(study=self._study(search), is_finished=True)

    def _study(self, search: Search) -> BatchSizes:
        speeds, prepared = self.record.microseconds, self.prepared
        rows = tuple(
            dataclasses.replace(row, microseconds=speeds.get(size)) for size, row in sorted(search.rows.items())
        )
        return BatchSizes(
            data=prepared.shown_data,
            model=prepared.model,
            optimizer=prepared.optimizer,
            target=search.question.target,
            samples=prepared.samples,
            held_out=prepared.held_out,
            cores=available_cores(),
            rows=rows,
            all_trials=tuple(self._done[wish].trial for wish in self._order if wish in self._done),
            left_out=search.left,
            notes=prepared.notes,
            noise=prepared.noise,
            is_predicted=prepared.is_quick,
            branched_from=prepared.branched_from,
            options=prepared.options,
            is_rate_given=search.question.is_rate_given,
            judge=self.record.request.judge,
            reach=self.record.reach,
        )

    def _keep(self, **changes: Any) -> None:
        """Write the record with changes, its trials in the order of the search."""
        with self._turn:
            order = [wish for wish in self._order if wish in self._done]
            rest = [wish for wish in self._done if wish not in set(order)]
            trials = tuple(self._done[wish] for wish in (*order, *rest))
            self.record = dataclasses.replace(self.record, trials=trials, **changes)
            self.record.write()


def _stops(trial: Trial) -> list[int]:
    """Return after how many updates to look on the way from a trial's end to well beyond it."""
    return [round(trial.updates * _BEYOND ** (part / _LOOKS)) for part in range(_LOOKS)]
