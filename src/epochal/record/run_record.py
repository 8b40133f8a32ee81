"""`RunRecord`: one run, read once and without JAX: what was trained, what happened, and how it stands."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from epochal import formats
from epochal.clock import Plan, Position
from epochal.config.command_words import shell_word
from epochal.config.train_config import TrainConfig
from epochal.errors import AlteredWarning, RunError
from epochal.files import is_own
from epochal.gradient_noise import LargeGradient, ScaleEstimate, over_run, scale_curve
from epochal.lock import is_locked
from epochal.plan_rows import counters
from epochal.record.agreement import altered, contradictions, is_spent, position_in
from epochal.record.checkpoint_file import (
    Checkpoint,
    checkpoint_files,
    load_checkpoint,
    newest_checkpoint,
)
from epochal.record.folder import RunFolder
from epochal.record.history import History, count_iterations, read_history
from epochal.record.rows import EpochRow
from epochal.record.run_toml import RunFile, read_run_toml

MAY_CONTINUE = ("new", "running", "interrupted")
"""The statuses of a run that is not over."""


@dataclass(frozen=True, slots=True)
class Reached:
    """Where a run first reached a target: at the end of an epoch.

    Attributes:
        updates: iterations until then.
        epochs: epochs until then.
        seconds: in training alone, without compilation and evaluation.
    """

    updates: int
    epochs: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Fact:
    """One number of the worked example: computed from the plan, and counted while training."""

    name: str
    planned: int
    counted: int

    @property
    def agrees(self) -> bool:
        """Whether training did what was planned."""
        return self.planned == self.counted


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """The newest weights of a run that can be used, and what does not agree in its folder.

    Attributes:
        problems: what was passed over or altered, a sentence each; none in a folder that is as it was written.
    """

    checkpoint: Checkpoint
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class RunRecord:
    """One run.

    Attributes:
        path: its folder; ``None`` for a run that was trained without one.
        history: empty where the run was lost before its training began.
        status: how the last session ended: finished, stopped, changed, diverged, failed or interrupted; or running, or
            new.
        position: where the weights stand: the newest checkpoint's position, or the beginning where there is none yet.
        passed_over: what does not agree among its checkpoints and `run.toml`, as far as their headers tell.
        contradictions: what its history says otherwise than itself.
    """

    path: Path | None
    file: RunFile
    history: History
    status: str
    position: Position
    passed_over: tuple[str, ...] = ()
    contradictions: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path, *, losses: bool = True, check: bool = False) -> RunRecord:
        """Read a run folder; `read_history` says what the options do. Raises `RunError` where any of it is damaged."""
        folder = RunFolder(path)
        file = read_run_toml(folder.run_toml)
        if not is_own(folder.history_db) and not checkpoint_files(folder.checkpoints):
            return cls(path, file, History.empty(), "new", Position())

        files = checkpoint_files(folder.checkpoints)  # before the history, which is never behind
        history = read_history(folder.history_db, losses=losses, check=check)
        status = status_of(folder, history.last_status)
        position, problems = position_in(files, history.iterations, file)
        if problems and (present := read_run_toml(folder.run_toml)) != file:  # a process at work has changed it
            file = present
            position, problems = position_in(files, history.iterations, file)

        if status == "finished" and not is_spent(history, file):  # extended, by a process that was lost at once
            status = "interrupted"
        return cls(path, file, history, status, position, problems, contradictions(folder.history_db, history, file))

    def __repr__(self) -> str:
        return f"RunRecord {self.summary}"

    @property
    def problems(self) -> tuple[str, ...]:
        """What does not agree in the folder, as far as it is seen without reading weights; `standing` sees all."""
        return (*self.passed_over, *self.contradictions)

    @property
    def summary(self) -> str:
        """The run in a line: its name, how it stands, where, and what it led to."""
        plan = self.plan
        at = counters(self.recorded, plan)
        of = "" if plan.is_open else f" of {plan.iterations:,}"
        where = " (in memory)" if self.path is None else ""
        text = f"'{self.name}'{where}: {self.status}, epoch {at['epoch']:,}, iteration {at['iteration']:,}{of}"
        tests = self.history.tests
        values = {name: value for name, value in tests[-1].metrics.items() if "/" not in name} if tests else {}
        shown = [f"test {name} {formats.metric(name, value)}" for name, value in values.items()]
        return ", ".join([text, *shown[:3]])

    @property
    def resume_command(self) -> str:
        """What continues it from Python; parts that only Python can give are to be given again."""
        return f"epochal.resume({', '.join([repr(self.name), *(f'{part}=…' for part in self.file.custom)])})"

    @property
    def folder(self) -> RunFolder:
        """The paths of its files. Raises `RunError` for a run without a folder."""
        if self.path is None:
            raise RunError("this run was trained with run=False, so nothing of it is on the disk")
        return RunFolder(self.path)

    @property
    def name(self) -> str:
        """Its folder, as the user wrote it."""
        return str(self.path or self.file.data.name)

    @property
    def config(self) -> TrainConfig:
        """The resolved configuration, with what later sessions changed."""
        return self.file.present_config

    @property
    def plan(self) -> Plan:
        """The plan that the run follows."""
        return self.file.plan

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be expected of it."""
        return self.status not in MAY_CONTINUE

    @property
    def recorded(self) -> Position:
        """The position that the history has reached; the weights on the disk may be older."""
        return self.file.position_after(self.history.iterations)

    @property
    def hosts(self) -> Mapping[str, int]:
        """The hosts of its last session, and the processes on each; empty where one process trained."""
        begun = [event.detail for event in self.history.events if event.kind in ("started", "resumed")]
        return dict(begun[-1].get("hosts", {})) if begun else {}

    @property
    def at_once(self) -> int:
        """How many trainings shared the processors at most, this one included; then its seconds are longer."""
        return max((int(event.detail.get("at_once", 1)) for event in self.history.events), default=1)

    @property
    def seconds(self) -> float:
        """Seconds of all sessions, from the start of their training to its end."""
        return sum(session.seconds for session in self.history.sessions)

    @property
    def training_seconds(self) -> float:
        """Seconds in training chunks that led to the recorded iterations, without compilation and evaluation."""
        epochs = self.history.epochs
        if epochs and epochs[-1].end_iteration == self.history.iterations:
            return math.fsum(row.seconds for row in epochs)
        return math.fsum(session.chunk_seconds for session in self.history.sessions)

    @property
    def iterations_per_second(self) -> float:
        """Iterations over the time spent in training chunks."""
        sessions = self.history.sessions
        seconds = sum(session.chunk_seconds for session in sessions)
        iterations = sum(session.end_iteration - session.first_iteration for session in sessions)
        return iterations / seconds if seconds else 0.0

    def reached(self, target: float, metric: str = "accuracy") -> Reached | None:
        """Return where the test set's metric was first at least ``target``; ``None`` where it never was."""
        seconds = 0.0
        for row in self.history.epochs:
            seconds += row.seconds
            if row.test.get(metric, -math.inf) >= target:
                return Reached(row.end_iteration, row.epoch, seconds)
        return None

    def checkpoint(self) -> Checkpoint:
        """Read the newest checkpoint that is not damaged. Raises `RunError` where there is none.

        Warns (`AlteredWarning`) of what is passed over for it, and of a `run.toml` that it was not made with.
        """
        found = self.standing()
        for problem in found.problems:
            warnings.warn(problem, AlteredWarning, stacklevel=2)
        return found.checkpoint

    def check(self) -> None:
        """Read the weights that the run stands at, if there are any, and warn of what is not as it was written."""
        if self.status == "new" or not checkpoint_files(self.folder.checkpoints):
            for problem in self.problems:
                warnings.warn(problem, AlteredWarning, stacklevel=2)
            return
        try:
            self.checkpoint()
        except RunError as error:
            warnings.warn(str(error), AlteredWarning, stacklevel=2)

    def load(self, path: Path) -> Checkpoint:
        """Read one of the run's checkpoints; warn of a `run.toml` that it was not made with. Raises `RunError`."""
        checkpoint = load_checkpoint(path)
        for problem in altered(self.file, checkpoint.origin, checkpoint.position):
            warnings.warn(problem, AlteredWarning, stacklevel=2)
        return checkpoint

    def standing(self) -> Standing:
        """Read the newest checkpoint that is not damaged, and say what is not as it was written.

        Raises `RunError` where there is none.
        """
        folder, place = self.folder, shell_word(self.path)
        if self.status == "new":
            raise RunError(f"{self.path} was stopped before its training began; start it: epochal resume {place}")
        problems: list[str] = []
        checkpoint = newest_checkpoint(folder.checkpoints, lambda: count_iterations(folder.history_db), problems.append)
        if checkpoint is None:
            raise RunError(f"{self.path} holds no checkpoint yet; start it again: epochal resume {place}")
        problems += altered(read_run_toml(folder.run_toml), checkpoint.origin, checkpoint.position)
        return Standing(checkpoint, (*problems, *self.contradictions))

    def facts(self) -> list[Fact]:
        """Return each fact of the plan beside its count from the history, for a run that is at its end.

        The counts come from what training recorded: one loss for each iteration that ran, and one row for each epoch
        with the samples that the device gathered. A plan without a known end has fewer facts.
        """
        plan, rows = self.plan, self.history.epochs
        has_changed = any("batch_size" in change.options for change in self.file.changes)
        epochs = [row for row in rows if row.complete]
        facts = []
        if epochs:
            # in every full epoch alike
            used = _shared([row.samples for row in epochs])
            if not (plan.is_schedule or has_changed):
                batches = _shared([row.iterations for row in epochs])
                facts = [
                    Fact("batches_per_epoch", plan.batches_per_epoch, batches),
                    Fact("samples_per_epoch", plan.samples_per_epoch, used),
                ]
            elif plan.last == "keep":  # whatever the batch size
                facts = [Fact("samples_per_epoch", plan.samples_per_epoch, used)]

        if plan.is_open:
            return [*facts, Fact("exact_epochs", len(epochs), sum(row.is_exact for row in epochs))]

        if len(epochs) >= 10 and plan.full_epochs > 10 and not has_changed:
            facts.append(Fact("updates_after_10", plan.iterations_after(epochs=10), epochs[9].end_iteration))
        return [
            *facts,
            Fact("full_epochs", plan.full_epochs, len(epochs)),
            Fact("updates", self.file.present_lengths.updates or plan.updates, self.history.iterations),
            *([] if has_changed else [Fact("samples_used", plan.samples_used, sum(row.samples for row in rows))]),
            Fact("exact_epochs", plan.full_epochs, sum(row.is_exact for row in epochs)),
        ]

    def noise_curve(self) -> list[tuple[LargeGradient, ScaleEstimate]]:
        """Return the noise scale at each evaluation that tells it, of a run that measured it."""
        return scale_curve(self.history.noise, self.history.gradients, self.file.data.train)

    def noise_over_run(self) -> ScaleEstimate | None:
        """Return the noise scale over all that was measured; ``None`` for too little."""
        return over_run(self.history.noise, self.file.data.train)

    def to_dict(self) -> dict[str, Any]:
        """Return the run as plain values: what `epochal show --json` prints. Raises `RunError` for no weights yet."""
        content, rows, found = self.file.to_dict(), self.history.epochs, self.standing()
        weights = found.checkpoint
        return {
            "run": self.name,
            "status": self.status,
            # what was trained
            "config": self.config.to_dict(),
            "data": content["data"],
            "model": content["model"],
            "plan": self.plan.facts(),
            # how far it got
            "position": dataclasses.asdict(weights.position),
            "epochs": [_plain(row) for row in rows if row.complete],
            "partial_epoch": next((_plain(row) for row in rows if not row.complete), None),
            "weights_sha256": weights.weights_sha256,
            "seconds": self.seconds,
            "iterations_per_second": self.iterations_per_second,
            "sessions": len(self.history.sessions),
            **self._noise_facts(),
            "hosts": self.hosts,
            "at_once": self.at_once,
            **({"problems": list(found.problems)} if found.problems else {}),
            # with what
            "versions": content["versions"],
            "device": content["device"],
        }

    def _noise_facts(self) -> dict[str, Any]:
        """Return the last noise scale and that over the run; a run that measured none says nothing of it."""
        if not self.history.noise:
            return {}
        curve = self.noise_curve()
        last, whole = curve[-1][1] if curve else None, self.noise_over_run()
        return {"noise_scale": {name: one and one.to_dict() for name, one in (("last", last), ("over_run", whole))}}


def status_of(folder: RunFolder, last: str | None) -> str:
    """Return how a run stands whose last session says ``last`` of itself."""
    if last is None:
        return "new"
    return "interrupted" if last == "running" and not is_locked(folder.lock) else last


def _shared(counts: list[int]) -> int:
    """Return the count that all epochs have, or the first that differs from the first epoch's."""
    return next((count for count in counts if count != counts[0]), counts[0])


def _plain(row: EpochRow) -> Mapping[str, Any]:
    return {
        "epoch": row.epoch,
        "iterations": row.iterations,
        "end_iteration": row.end_iteration,
        "samples": row.samples,
        # what it led to
        "train_loss": row.train_loss,
        "test_loss": row.test_loss,
        "test_accuracy": row.test_accuracy,
        **{f"test_{name}": value for name, value in row.test.items()},
        "seconds": row.seconds,
        # whether each sample was used exactly once
        "audit": {
            "exact": row.is_exact,
            "samples": row.samples,
            "expected_samples": row.expected_samples,
            "hash": row.audit_hash,
            "expected_hash": row.expected_hash,
        },
    }
