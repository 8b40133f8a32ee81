"""One process's work on a run folder: through its changes, to its end; and what is cleared away before."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from epochal.clock import Lengths, Plan, Position, Span
from epochal.config.train_config import BUDGETS, TrainConfig
from epochal.engine import check_warmup, present_settings
from epochal.engine.cluster import ALONE, Cluster
from epochal.engine.memory_left import words_of_need
from epochal.errors import PlanError, RunError
from epochal.held_folder import HeldFolder
from epochal.record.checkpoint_file import checkpoint_names, iteration_of, newest_checkpoint
from epochal.record.folder import CHECKPOINTS, SNAPSHOTS, RunFolder
from epochal.record.history import History
from epochal.record.rows import EvaluationRow, best_evaluation
from epochal.record.run_toml import SUMMATION, RunFile, present_versions, write_run_toml
from epochal.run.callbacks import Callback, Callbacks, Grown, Patience
from epochal.run.checkpoints import Checkpoints, CheckpointSaver, Snapshots
from epochal.run.divergence import Divergence
from epochal.run.exchange import ExchangeNote
from epochal.run.fit import fit
from epochal.run.growth import Decision, Growth
from epochal.run.point import Point, restored
from epochal.run.recorder import Recorder
from epochal.run.setup import Setup, set_up


def at_present(file: RunFile, setup: Setup) -> RunFile:
    """Return the file with the versions, the device, the settings and the summation of this process."""
    return dataclasses.replace(
        file,
        versions=present_versions(setup.model.packages),
        device=setup.present_device,
        settings=present_settings(),
        summation=SUMMATION,
    )


@dataclass(slots=True)
class Session:
    """One process's work on a run folder, through its changes, to its end, or to iteration ``until``.

    Several processes, each with a session of its own, train together as a ``cluster``.
    """

    folder: RunFolder
    file: RunFile
    recorder: Recorder
    told: tuple[Callback, ...]
    history: History
    until: int | None = None
    cluster: Cluster = ALONE

    def last_point(self, setup: Setup) -> Point:
        """Return the newest undamaged checkpoint as a starting point, or the beginning."""
        checkpoint = newest_checkpoint(self.folder.checkpoints, lambda: self.history.iterations, self._warn)
        if checkpoint is None:
            return Point(setup.engine.begin())
        self.file.check_origin(checkpoint.origin, checkpoint.position)
        return restored(checkpoint, setup.engine.initial_state, self.history)

    def change(self, point: Point, setup: Setup, changes: Mapping[str, Any]) -> Setup:
        """Write changes from this point on into `run.toml`, and return what is trained with from there.

        Raises what `set_up` raises, and `PlanError` for a budget that is spent, before anything is written.
        """
        position = point.position
        config = self.file.present_config.changed(changes)
        plan = config.plan(self.file.data.train)
        ends_here = plan.budget == Span.iterations(position.iteration) and self.history.last_status != "finished"
        if plan.is_spent(position, point.seconds) and not ends_here:
            raise PlanError(
                f"{self.folder.path} stands at iteration {position.iteration:,} (epoch {position.epoch:,}), so a "
                f"budget of {plan.budget} is spent; give a larger one, such as --epochs {position.epoch + 10}"
            )

        # as they were read, not as they were given: NumPy's numbers and texts are plain ones by now
        options = {name: getattr(config, name) for name in changes if name not in BUDGETS}
        if BUDGETS & changes.keys():
            options["budget"] = str(plan.budget)
        if "batch_size" in options:
            adaptive = config.adaptive(plan.samples)
            options["batch_size"] = plan.batch_sizes if adaptive is None else str(adaptive)

        file = self.file.with_change(position, options)
        changed = _set_up_again(setup, file.present_config, file.present_lengths)
        setup = dataclasses.replace(changed, warnings=setup.warnings)
        if not ends_here:
            _check_position(plan, position)
            check_warmup(config.warmup, setup.lengths)
            setup.engine.prepare(point.state, plan.next_batch_size(position))

        self.file = file
        write_run_toml(self.folder.run_toml, file)
        self.recorder.writer.add_event(position.iteration, "changed", **options)
        return setup

    def work(self, point: Point, setup: Setup) -> Setup:
        """Train from a point to the end, one configuration after another; return what the last one was trained with."""
        self._begin(point.position, setup)
        for message in (*setup.warnings, *words_of_need(setup.data, self.file.model.parameters)):
            self._warn(message)
        best = best_evaluation(row for row in self.history.evaluations if row.iteration <= point.position.iteration)
        if not self.cluster.is_alone:
            seconds = setup.engine.exchange_seconds(point.state, setup.plan.next_batch_size(point.position))
            self.told = (*self.told, ExchangeNote(self.cluster.processes, seconds))

        with HeldFolder.open(self.folder.path) as held, CheckpointSaver(held) as saver:
            while True:
                iteration = point.position.iteration
                config, change = self.file.config_at(iteration), self.file.next_change(iteration)
                lengths = self.file.lengths_at(iteration)
                if (config, lengths) != (setup.config, setup.lengths):
                    setup = _set_up_again(setup, config, lengths)

                is_last = change is None or (self.until is not None and self.until <= change)
                checkpoints, callbacks = self._callbacks(setup, saver, best)
                point = fit(
                    setup.engine,
                    setup.plan,
                    point,
                    callbacks,
                    file=self.file,
                    folder=self.folder.path,
                    evaluate_every=config.evaluate_every,
                    until=self.until if is_last else change,
                    at_until="stopped" if is_last else "changed",
                    cluster=self.cluster,
                )

                best = checkpoints.best
                has_grown = callbacks.is_change()
                if not has_grown and (is_last or point.position.iteration != change):
                    return setup

    def _callbacks(
        self, setup: Setup, saver: CheckpointSaver, best: EvaluationRow | None
    ) -> tuple[Checkpoints, Callbacks]:
        """Return what follows the training under one configuration; the order matters: history before checkpoints."""
        config, recorder = setup.config, self.recorder
        saver.set_interval(config.checkpoint_every)
        origin = at_present(self.file, setup).origin
        divergence = Divergence(recorder, config.lr, self.folder, saver) if config.on_nan == "stop" else None
        checkpoints = Checkpoints(saver, recorder, origin, best, divergence)
        snapshots = Snapshots(saver, origin) if config.snapshots else None
        patience = None
        if config.patience is not None:
            patience = Patience(setup.plan, Span.parse(config.patience), best, self._warn)
        growth = self._growth(setup)
        return checkpoints, Callbacks.of(recorder, growth, divergence, checkpoints, snapshots, patience, told=self.told)

    def _growth(self, setup: Setup) -> Growth | None:
        """Return what lets an adaptive batch grow; a run that is repeated repeats decisions, and measures nothing.

        It comes before the checkpoints: no point is saved after whose decision nobody would ask again.
        """
        adaptive = setup.config.adaptive(setup.plan.samples)
        if adaptive is None or self.until is not None:
            return None
        decided = self.file.changes[-1].iteration if self.file.changes else 0
        return Growth(setup.engine, setup.plan, adaptive, decided, self._grow)

    def _grow(self, decision: Decision) -> None:
        """Write a larger batch into `run.toml`, and what was measured into the history."""
        position, measured = decision.point.position, decision.measured
        self.file = self.file.with_change(position, {"batch_size": str(decision.batch_size)})
        write_run_toml(self.folder.run_toml, self.file)
        self.recorder.writer.add_event(
            position.iteration, "grew", batch_size=decision.batch_size.low, noise_scale=_shown(measured.value),
            small=measured.small, large=measured.large,
            small_square=measured.small_square, large_square=measured.large_square,
        )  # fmt: skip
        Callbacks.of(told=self.told).growth(Grown(position, measured.small, decision.batch_size.low, measured.value))

    def _warn(self, message: str) -> None:
        """Put a warning into the history and tell the caller's callbacks."""
        self.recorder.writer.add_event(self.history.iterations, "warned", message=message)
        Callbacks.of(told=self.told).warn(message)

    def _begin(self, position: Position, setup: Setup) -> None:
        """Forget what came after the position, and record who continues from there."""
        known, present = self.file, at_present(self.file, setup)
        changed = [
            f"{name} {known.versions.get(name)} → {version}"
            for name, version in present.versions.items()
            if known.versions.get(name) != version
        ]

        for name in sorted(known.settings.keys() | present.settings.keys()):
            then, now = (settings.get(name, "the default") for settings in (known.settings, present.settings))
            if then != now:
                changed.append(f"{name} {then} → {now}")

        # three shards or fewer are the same tree either way
        most = max(setup.engine.cut(phase.batch_size).count for phase in setup.plan.phases)
        if known.summation != present.summation and most > 3:
            changed.append(f"sum of shards {known.summation} → {present.summation}")

        if known.device.gives_other_bits(present.device):
            changed.append(f"device {known.device} → {present.device}")

        if changed:
            self._warn(
                "this environment differs from the one the run started in; results may not be bit-identical: "
                + ", ".join(changed)
            )

        self._forget_files_after(position.iteration)
        writer = self.recorder.writer
        writer.roll_back(position.iteration)
        kind = "resumed" if position.iteration else "started"
        about: dict[str, Any] = {"versions": present.versions, "device": present.to_dict()["device"]}
        if setup.engine.at_once > 1:  # its seconds are those of a shared machine
            about["at_once"] = setup.engine.at_once
        if not self.cluster.is_alone:
            about["hosts"] = self.cluster.hosts()
        writer.add_event(position.iteration, kind, process=os.getpid(), **about)

    def _forget_files_after(self, iteration: int) -> None:
        """Clear away what a killed process left: half-written files, and files from after the iteration.

        Checkpoints that were passed over are put aside, so that no later start takes them for this run's; snapshots
        will be made again.
        """
        try:
            with HeldFolder.open(self.folder.path) as run:
                run.remove_leftovers()
                for name in (CHECKPOINTS, SNAPSHOTS):
                    if run.kind(name) is not None:
                        with run.inside(name) as folder:
                            _forget_after(iteration, folder, keeps=name == CHECKPOINTS)
        except OSError as error:
            raise RunError(f"cannot clear away old files in {self.folder.path}: {error.strerror}") from error


def _forget_after(iteration: int, folder: HeldFolder, *, keeps: bool) -> None:
    """Remove what was left half-written, and the files of later iterations, or put them aside under another name."""
    folder.remove_leftovers()
    for name in checkpoint_names(folder):
        if iteration_of(name) > iteration:
            if keeps:
                folder.rename(name, f"{name}.passed-over")
            else:
                folder.remove(name)


def _shown(value: float) -> float | str:
    """Return a number as JSON has it, which knows no infinity."""
    return value if math.isfinite(value) else str(value)


def _set_up_again(setup: Setup, config: TrainConfig, lengths: Lengths) -> Setup:
    """Return what is trained with from a change on; the data stay where they are on the device."""
    changed = set_up(config, setup.data, setup.custom, lengths)
    changed.engine.take_over(setup.engine)
    return changed


def _check_position(plan: Plan, position: Position) -> None:
    """Refuse a batch that the rest of the epoch does not hold, where an epoch drops such a rest: raises `PlanError`."""
    if plan.iterations_left_in_epoch(position) == 0:
        left, size = plan.samples - position.offset, plan.batches_at(position).size
        raise PlanError(
            f"epoch {position.epoch + 1:,} has {left:,} samples left, which hold no batch of {size:,}, and "
            f"last is 'drop'; take at most {left:,}, or change the batch size between two epochs"
        )
