"""`StudyRecord`: a folder of runs that answer one question, read without JAX: its `study.toml` and its runs."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import tomli_w

from epochal.config.study_config import Member, StudyConfig
from epochal.config.train_config import BatchSize, migrate_config
from epochal.errors import EpochalError, RunError, brief
from epochal.files import atomic_write, is_own, refuse_link
from epochal.record.rows import EvaluationRow, Metrics
from epochal.record.run_record import Reached, RunRecord
from epochal.record.toml_fields import FORMAT_NUMBER, STUDY_TOML, read_toml

FORMAT = 2
LANDSCAPES = {"pca": "landscape.json", "random": "landscape-random.json"}
"""The file of each kind of landscape."""

Record = TypeVar("Record", bound="StudyRecord")

_HEADING = (
    "# An Epochal study: runs that differ in what the lists vary, each in a folder of its own. The same\n"
    "# `epochal compare --run FOLDER` finishes what is unfinished; `epochal report FOLDER` shows it.\n\n"
)


@dataclass(frozen=True, slots=True)
class TriedRate:
    """A learning rate and the validation loss that it led to: infinite where training diverged."""

    lr: float
    loss: float


@dataclass(frozen=True, slots=True)
class TuningResult:
    """The learning rate that a search found for one model, optimizer and batch size, and how.

    Attributes:
        lr: the rate with the lowest validation loss.
        tried: every rate with its validation loss, by rate.
        updates: updates that each rate was trained for.
        train, held_out: samples of the training set that the search trained on, and that it was scored on.
        seed: decides the validation samples, the initial weights and the order.
    """

    model: str
    optimizer: str
    batch_size: BatchSize
    lr: float
    tried: tuple[TriedRate, ...]
    updates: int
    train: int
    held_out: int
    seed: int

    @property
    def group(self) -> tuple[str, str, BatchSize]:
        """What it was searched for."""
        return (self.model, self.optimizer, self.batch_size)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TuningResult:
        """Read what `dataclasses.asdict` gave."""
        return cls(**{**values, "tried": tuple(TriedRate(**tried) for tried in values["tried"])})


@dataclass(frozen=True, slots=True)
class StudyData:
    """The data that all runs of a study use; ``own`` where they were given as arrays, so that no name finds them."""

    name: str
    fingerprint: str
    train: int
    test: int
    task: str
    own: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class ComparedRun:
    """One run of a study, begun or not.

    Attributes:
        record: ``None`` where it has not begun, or cannot be read.
        problem: why it cannot be read.
        target: the test accuracy that the study asks for.
    """

    member: Member
    record: RunRecord | None
    problem: str | None
    target: float

    @property
    def name(self) -> str:
        """Its name, which is its folder's too."""
        return self.member.name

    @property
    def group(self) -> str:
        """Its name without the seed: runs that differ in the seed alone share it."""
        return self.name.removesuffix(f"-seed-{self.member.config.seed}")

    @property
    def status(self) -> str:
        """The run's, or ``missing`` where it has not begun, or ``damaged`` where it cannot be read."""
        if self.problem is not None:
            return "damaged"
        return "missing" if self.record is None else self.record.status

    @property
    def at_once(self) -> int:
        """How many trainings shared the processors at most, this one included; then its seconds are longer."""
        return self.record.at_once if self.record else 1

    @property
    def test(self) -> EvaluationRow | None:
        """The last evaluation of the test set."""
        return self.record.history.tests[-1] if self.record and self.record.history.tests else None

    @property
    def train_loss(self) -> float | None:
        """The last epoch's: the mean of the losses that its batches had when they were used."""
        epochs = self.record.history.epochs if self.record else ()
        return epochs[-1].train_loss if epochs else None

    @property
    def training_seconds(self) -> float | None:
        """Seconds in training alone, without compilation and evaluation."""
        return None if self.record is None else math.fsum(row.seconds for row in self.record.history.epochs)

    @property
    def epochs(self) -> float | None:
        """Samples used over the training set's size; whole unless an epoch was cut short."""
        if self.record is None:
            return None
        plan = self.record.plan
        return plan.samples_after(iterations=self.record.history.iterations) / plan.samples

    @property
    def reached(self) -> Reached | None:
        """Where it first had the target accuracy."""
        return None if self.record is None else self.record.reached(self.target)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values; a count that does not exist yet is ``None``."""
        record, config, reached, test = self.record, self.member.config, self.reached, self.test
        plan = record.plan if record else None
        iterations = record.history.iterations if record else None

        metrics: Metrics = test.metrics if test else {}
        return {
            "name": self.name,
            "group": self.group,
            "model": config.model,
            "optimizer": record.config.optimizer if record else config.optimizer,
            "seed": config.seed,
            "status": self.status,
            "problem": self.problem,
            "lr": record.config.lr if record else None,
            # what it counted
            "method": plan.method if plan else None,
            "batch_size": plan.batch_sizes if plan else None,
            "batches_per_epoch": plan.batches_per_epoch if plan and not plan.is_schedule else None,
            "iterations": iterations,
            "updates": iterations,
            "epochs": self.epochs,
            # how long it took
            "seconds": record.seconds if record else None,
            "training_seconds": self.training_seconds,
            # what it led to
            "train_loss": self.train_loss,
            "test_loss": metrics.get("loss"),
            "test_accuracy": metrics.get("accuracy"),
            **{f"test_{name}": value for name, value in metrics.items()},
            "updates_to_target": reached.updates if reached else None,
            "epochs_to_target": reached.epochs if reached else None,
            "seconds_to_target": reached.seconds if reached else None,
        }


@dataclass(frozen=True, slots=True)
class Spread:
    """A number over repeated seeds: its mean, lowest and highest."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float | None]) -> Spread | None:
        """Return the spread of the values that exist; ``None`` where none does."""
        known = [value for value in values if value is not None]
        return cls(statistics.fmean(known), min(known), max(known)) if known else None


@dataclass(frozen=True, slots=True)
class Band:
    """The runs of one group: what repeated seeds agree on; ``test`` has each metric of the last evaluations."""

    group: str
    seeds: tuple[int, ...]
    train_loss: Spread | None
    test: Mapping[str, Spread]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        spreads = {"train_loss": self.train_loss, "test_loss": None, "test_accuracy": None}
        spreads |= {f"test_{name}": spread for name, spread in self.test.items()}
        plain = {name: None if one is None else dataclasses.asdict(one) for name, one in spreads.items()}
        return {"group": self.group, "seeds": self.seeds, **plain}


def bands(rows: Sequence[ComparedRun]) -> tuple[Band, ...]:
    """Return the spread of each group that has more than one seed."""
    groups: dict[str, list[ComparedRun]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    return tuple(_band(group, members) for group, members in groups.items() if len(members) > 1)


def _band(group: str, rows: Sequence[ComparedRun]) -> Band:
    tests = [row.test.metrics if row.test else {} for row in rows]
    names = dict.fromkeys(name for test in tests for name in test)
    spreads = {name: Spread.of([test.get(name) for test in tests]) for name in names}
    return Band(
        group,
        tuple(row.member.config.seed for row in rows),
        Spread.of([row.train_loss for row in rows]),
        {name: spread for name, spread in spreads.items() if spread is not None},
    )


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """A study folder and what it holds.

    Attributes:
        data: what all runs were trained on.
        tuned: the learning rates that a search found.
        named_by: marks of the users who named the files that it names.
    """

    path: Path
    config: StudyConfig
    data: StudyData
    tuned: tuple[TuningResult, ...] = ()
    named_by: tuple[str, ...] = ()

    @classmethod
    def read(cls: type[Record], path: Path) -> Record:
        """Read `study.toml`. Raises `RunError` where the folder is no study, or is damaged."""
        file = path / "study.toml"
        try:
            content = read_toml(file)
            FORMAT_NUMBER.require("format", content.get("format"))
            if content["format"] > FORMAT:
                raise RunError(f"{file} has format {content['format']}; this Epochal reads up to {FORMAT}: update it")
            STUDY_TOML.require("", content)
            tuned = tuple(TuningResult.from_dict(values) for values in content.get("tuned", ()))
            config = StudyConfig.from_dict(migrate_study(content))
            return cls(path, config, StudyData(**content["data"]), tuned, tuple(content.get("named_by", ())))
        except FileNotFoundError:
            raise RunError(f"{path} is no study: it has no study.toml; `epochal compare` makes one") from None
        except RunError:
            raise
        except OSError as error:
            raise RunError(f"cannot read {file}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError, EpochalError) as error:
            raise RunError(f"{file} is damaged: {brief(error)}") from error

    @staticmethod
    def is_at(path: Path) -> bool:
        """Return whether the folder is a study's."""
        return is_own(path / "study.toml")

    @property
    def members(self) -> tuple[Member, ...]:
        """The runs that the study is made of, made or not yet, in their order."""
        return self.config.members({tuned.group: tuned.lr for tuned in self.tuned})

    @property
    def landscape_files(self) -> dict[str, Path]:
        """The landscapes that were computed, by kind: ``pca``, ``random``."""
        return {kind: self.path / name for kind, name in LANDSCAPES.items() if is_own(self.path / name)}

    def folder_of(self, member: Member) -> Path:
        """Return the folder of one of its runs, made or not yet."""
        return self.path / member.name

    def compared_runs(self, *, losses: bool = False) -> tuple[ComparedRun, ...]:
        """Read every run, begun or not, in the study's order; ``losses`` says whether each iteration's, too."""
        return tuple(self._compared(member, losses=losses) for member in self.members)

    def write(self) -> None:
        """Write `study.toml` as a whole or not at all."""
        content: dict[str, Any] = {
            "format": FORMAT,
            **({"named_by": list(self.named_by)} if self.named_by else {}),
            "data": dataclasses.asdict(self.data),
            "compare": self.config.to_dict(),
        }
        if self.tuned:
            content["tuned"] = [
                {**dataclasses.asdict(one), "tried": list(map(dataclasses.asdict, one.tried))} for one in self.tuned
            ]
        try:
            atomic_write(self.path / "study.toml", (_HEADING + tomli_w.dumps(content)).encode())
        except OSError as error:
            raise RunError(f"cannot write {self.path / 'study.toml'}: {error.strerror}") from error

    def to_dict(self) -> dict[str, Any]:
        """Return the study and its runs' results as plain values: what `epochal compare --json` prints."""
        rows = self.compared_runs()
        return {
            "study": str(self.path),
            "finished": is_finished(rows),
            "data": dataclasses.asdict(self.data),
            "compare": self.config.to_dict(),
            "runs": [{"run": str(self.folder_of(row.member)), **row.to_dict()} for row in rows],
            "bands": [band.to_dict() for band in bands(rows)],
            "tuned": [dataclasses.asdict(tuned) for tuned in self.tuned],
            "landscapes": {kind: str(path) for kind, path in self.landscape_files.items()},
        }

    def _compared(self, member: Member, *, losses: bool) -> ComparedRun:
        folder, target = self.folder_of(member), self.config.target_accuracy
        if not is_own(folder / "run.toml"):
            return ComparedRun(member, None, None, target)
        try:
            refuse_link(folder)
            return ComparedRun(member, RunRecord.read(folder, losses=losses), None, target)
        except RunError as error:
            return ComparedRun(member, None, str(error), target)
        except OSError as error:
            return ComparedRun(member, None, f"cannot read {folder}: {error.strerror}", target)


def migrate_study(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the options that `study.toml` holds, in the present format: format 1 held some that were never read."""
    config: Mapping[str, Any] = content["compare"]
    if content["format"] >= FORMAT:
        return config
    return {**config, "shared": migrate_config(config["shared"], config.get("optimizers", ()))}


def is_finished(rows: Sequence[ComparedRun]) -> bool:
    """Return whether every run came to its end, or diverged, which is an end too."""
    return all(row.status in ("finished", "diverged") for row in rows)
