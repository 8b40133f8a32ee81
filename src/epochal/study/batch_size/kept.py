"""A study of batch sizes in its folder: `batch-size.toml`, with each trial as soon as it is done; read without JAX."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomli_w

from epochal.config.command_words import shell_word
from epochal.errors import EpochalError, RunError, brief
from epochal.files import atomic_write, is_own
from epochal.record.study_record import StudyData
from epochal.record.toml_fields import FORMAT_NUMBER, read_toml
from epochal.study.batch_size.kept_fields import BATCH_SIZE_TOML, LONGEST
from epochal.study.batch_size.request import Request
from epochal.study.batch_size.search import Wish
from epochal.study.batch_size.trials import BatchSizes
from epochal.study.target import Target, Trial

FORMAT = 1
FILE = "batch-size.toml"

_HEADING = (
    "# An Epochal study of batch sizes: every training to the target that was made. The same\n"
    "# `epochal batch-size --run FOLDER` finishes what is unfinished; `epochal report FOLDER` shows it.\n\n"
)


@dataclass(frozen=True, slots=True)
class DoneTrial:
    """A trial that was made, what was wanted, and the seconds that it took without compilation."""

    wish: Wish
    trial: Trial
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        wish = {"limit": self.wish.limit, "is_race": self.wish.is_race}
        return {**self.trial.to_dict(), **wish, "seconds": round(self.seconds, 6)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DoneTrial:
        """Read `to_dict`'s result."""
        trial = Trial.from_dict(values)
        wish = Wish(trial.batch_size, trial.lr, trial.seed, int(values["limit"]), bool(values["is_race"]))
        return cls(wish, trial, float(values["seconds"]))


@dataclass(frozen=True, slots=True)
class Pilot:
    """What a first training said: where to begin, and the target where none was given.

    Attributes:
        begun, best: the held-out value before training, and the best on the way.
        seconds: that it took.
    """

    target: Target
    lr: float
    begun: float
    best: float
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {**dataclasses.asdict(self), "target": self.target.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Pilot:
        """Read `to_dict`'s result."""
        numbers = (float(values[name]) for name in ("lr", "begun", "best", "seconds"))
        return cls(Target.from_dict(values["target"]), *numbers)


@dataclass(frozen=True, slots=True)
class BatchSizeRecord:
    """The folder of a study of batch sizes, and what it holds.

    Attributes:
        data: what all trials were trained on.
        trials: that were made, in their order.
        microseconds: of one iteration, by batch size; measured at the end.
        study: the rows so far.
        reach: the best value that one training saw well beyond the target.
        is_finished: whether nothing is left to do.
    """

    path: Path
    request: Request
    data: StudyData
    pilot: Pilot | None = None
    trials: tuple[DoneTrial, ...] = ()
    microseconds: Mapping[int, float] = field(default_factory=dict)
    study: BatchSizes | None = None
    reach: float | None = None
    is_finished: bool = False

    @classmethod
    def read(cls, path: Path) -> BatchSizeRecord:
        """Read the folder. Raises `RunError` where it is no study of batch sizes, or is damaged."""
        file = path / FILE
        try:
            content = read_toml(file, LONGEST)
            FORMAT_NUMBER.require("format", content.get("format"))
            if content["format"] > FORMAT:
                raise RunError(f"{file} has format {content['format']}; this Epochal reads up to {FORMAT}: update it")
            BATCH_SIZE_TOML.require("", content)
            return cls._of(path, content)
        except FileNotFoundError:
            raise RunError(
                f"{path} is no study of batch sizes: it has no {FILE}; `epochal batch-size` makes one"
            ) from None
        except RunError:
            raise
        except OSError as error:
            raise RunError(f"cannot read {file}: {error.strerror}") from error
        except (
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            OverflowError,
            RecursionError,
            EpochalError,
        ) as error:
            raise RunError(f"{file} is damaged: {brief(error)}") from error

    @classmethod
    def _of(cls, path: Path, content: Mapping[str, Any]) -> BatchSizeRecord:
        pilot, study, reach = content.get("pilot"), content.get("study"), content.get("reach")
        trials = tuple(DoneTrial.from_dict(one) for one in content.get("trials", ()))
        if study is not None:
            found = BatchSizes.from_dict({**study, "all_trials": []})
            study = dataclasses.replace(found, all_trials=tuple(one.trial for one in trials))
        return cls(
            path,
            Request.from_dict(content["request"]),
            StudyData(**content["data"]),
            None if pilot is None else Pilot.from_dict(pilot),
            trials,
            {int(size): float(one) for size, one in content.get("microseconds", {}).items()},
            study,
            None if reach is None else float(reach),
            bool(content["finished"]),
        )

    @staticmethod
    def is_at(path: Path) -> bool:
        """Return whether the folder is that of a study of batch sizes."""
        return is_own(path / FILE)

    @property
    def spent(self) -> float:
        """Seconds that went into trials so far."""
        pilot = 0.0 if self.pilot is None else self.pilot.seconds
        return pilot + sum(one.seconds for one in self.trials)

    @property
    def results(self) -> BatchSizes:
        """The rows so far. Raises `RunError` where there is none yet."""
        if self.study is None or not self.study.rows:
            named = shell_word(self.path)
            raise RunError(
                f"{self.path} has no result yet; `epochal batch-size --run {named}` goes on with its first size"
            )
        return self.study

    def write(self) -> None:
        """Write `batch-size.toml` as a whole or not at all."""
        content: dict[str, Any] = {
            "format": FORMAT,
            "finished": self.is_finished,
            "data": dataclasses.asdict(self.data),
            "request": self.request.to_dict(),
        }
        if self.pilot is not None:
            content["pilot"] = self.pilot.to_dict()
        if self.microseconds:
            content["microseconds"] = {str(size): one for size, one in self.microseconds.items()}
        if self.reach is not None:
            content["reach"] = self.reach
        if self.study is not None:
            study = self.study.to_dict()
            del study["all_trials"]
            content["study"] = without_none(study)
        if self.trials:
            content["trials"] = [one.to_dict() for one in self.trials]
        try:
            atomic_write(self.path / FILE, (_HEADING + tomli_w.dumps(content)).encode())
        except OSError as error:
            raise RunError(f"cannot write {self.path / FILE}: {error.strerror}") from error


def without_none(value: Any) -> Any:
    """Return plain values without the entries that are ``None``, which TOML does not know."""
    if isinstance(value, Mapping):
        return {str(name): without_none(one) for name, one in value.items() if one is not None}
    if isinstance(value, (list, tuple)):
        return [without_none(one) for one in value if one is not None]
    return value
