"""`run.toml`: what was trained, on what, and with what: enough to run it again."""

from __future__ import annotations

import dataclasses
import json
import platform
import sys
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TypeVar

import tomli_w

from epochal.clock import Lengths, Plan, Position, Span
from epochal.config.train_config import TrainConfig, migrate_config
from epochal.errors import EpochalError, RunError, brief
from epochal.files import atomic_write, is_folder
from epochal.phases import Batches
from epochal.record.folder import no_run_folder
from epochal.record.toml_fields import FORMAT_NUMBER, RUN_TOML, SUMMATIONS, read_toml

FORMAT = 3
SUMMATION = SUMMATIONS[-1]
_HEADING = "# An Epochal run. `epochal rerun` repeats it from this file; `epochal resume` continues it.\n\n"

Facts = TypeVar("Facts")


@dataclass(frozen=True, slots=True)
class DataFacts:
    """What a run's data were.

    Attributes:
        fingerprint: SHA-256 of their content.
        train, test: samples.
        sample_shape: of one sample; by name or number for samples of several parts.
        outputs: numbers that a model returns for a sample: one for each class or target.
        validation: samples by which the best weights are chosen.
        preprocessing: SHA-256 of `preprocessing.json`; ``""`` for a run of a format that had none.
    """

    name: str
    fingerprint: str
    train: int
    test: int
    sample_shape: list[int] | dict[str, Any]
    task: Literal["classification", "regression"]
    outputs: int
    validation: int = 0
    preprocessing: str = ""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a run's model was.

    Attributes:
        parameters: how many numbers training adjusts.
        source: ``file:function`` that made a model of the user's own; ``""`` for others.
        source_sha256: of that file.
        initial: the checksum of the weights that a model of the user's own began with, in the name of their file.
        exported: SHA-256 of `model.stablehlo`; ``""`` where the run keeps none.
    """

    name: str
    parameters: int
    options: dict[str, Any]
    source: str = ""
    source_sha256: str = ""
    initial: str = ""
    exported: str = ""


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """The device that a run began on: platform, kind, how many, and the CPU cores that the process could use."""

    platform: str
    kind: str
    count: int
    processors: int | None = None

    def gives_other_bits(self, present: DeviceFacts) -> bool:
        """Return whether another device may give other bits: their number does not matter, but a CPU's cores do."""
        if (self.platform, self.kind) != (present.platform, present.kind):
            return True
        known = self.processors is not None and present.platform == "cpu"
        return known and self.processors != present.processors

    def __str__(self) -> str:
        cores = "" if self.processors is None else f", {self.processors} CPU cores"
        return f"{self.platform} {self.kind}{cores}"


@dataclass(frozen=True, slots=True)
class Change:
    """Options that a run changed after ``iteration`` iterations."""

    iteration: int
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Iterations that have one batch size: those after ``start.iteration``, up to ``end``."""

    start: Position
    end: int
    batches: Batches


@dataclass(frozen=True, slots=True)
class RunFile:
    """What `run.toml` holds.

    Attributes:
        config: the resolved configuration, enough to run it again.
        versions: of everything that decides the bits of the result.
        custom: parts that were given as Python objects (data, model, optimizer, loss) and so cannot be rebuilt by name.
        changes: what later sessions changed, and when.
        settings: of JAX, those that decide the bits of the result and are not the default.
        summation: how the sums of shards are added: as a balanced tree, or one after another as former versions did.
        named_by: marks of the users who named the files that it names (`epochal.run.own_files_only`).
    """

    config: TrainConfig
    data: DataFacts
    model: ModelFacts
    versions: dict[str, str]
    device: DeviceFacts
    custom: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    summation: str = SUMMATION
    named_by: tuple[str, ...] = ()
    _configs: tuple[TrainConfig, ...] = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        configs = [self.config]
        for change in self.changes:
            configs.append(configs[-1].changed(change.options))
        object.__setattr__(self, "_configs", tuple(configs))

    @property
    def present_config(self) -> TrainConfig:
        """The configuration after all changes."""
        return self.config_at(self.changes[-1].iteration) if self.changes else self.config

    @property
    def present_lengths(self) -> Lengths:
        """The training's lengths after all changes."""
        return self.lengths_at(self.changes[-1].iteration if self.changes else 0)

    @property
    def plan(self) -> Plan:
        """The plan after all changes."""
        return self.present_config.plan(self.data.train)

    def config_at(self, iteration: int) -> TrainConfig:
        """Return the configuration of the iteration that follows the first ``iteration``."""
        return self._configs[bisect_right(self.changes, iteration, key=lambda change: change.iteration)]

    def plan_at(self, iteration: int) -> Plan:
        """Return the plan that the iteration after the first ``iteration`` follows."""
        return self.config_at(iteration).plan(self.data.train)

    def next_change(self, iteration: int) -> int | None:
        """Return the iteration of the first change after ``iteration``."""
        return min((change.iteration for change in self.changes if change.iteration > iteration), default=None)

    def with_change(self, position: Position, options: Mapping[str, Any]) -> RunFile:
        """Return the file with options that hold from this position on; later changes are forgotten."""
        past = tuple(change for change in self.changes if change.iteration <= position.iteration)
        return dataclasses.replace(self, changes=(*past, Change(position.iteration, dict(options))))

    def with_iterations(self, iterations: int) -> RunFile:
        """Return the file with this many iterations in place of every budget of time, so that they can be repeated.

        Changes stand where they are: a budget of time was spent at the change that followed it, if not at the end.
        """
        changes = tuple(
            dataclasses.replace(change, options={**change.options, "budget": str(Span.iterations(iterations))})
            if "budget" in change.options and self.plan_at(change.iteration).is_open
            else change
            for change in self.changes
        )
        is_open = self.config.plan(self.data.train).is_open
        config = self.config.changed({"iterations": iterations}) if is_open else self.config
        return dataclasses.replace(self, config=config, changes=changes)

    def lengths_at(self, iteration: int) -> Lengths:
        """Return how long the training is for the iteration after the first ``iteration``.

        After a change of the batch size or the budget that is the updates done and those still to come. Every
        iteration between two changes has the same lengths.
        """
        plan = self.plan_at(iteration)
        since = max((change.iteration for change in self.changes if change.iteration <= iteration), default=0)
        position = self.position_after(since)
        updates = None if plan.is_open else position.iteration + plan.remaining(position).amount
        return Lengths(updates, self._warmup_at(iteration))

    def _warmup_at(self, iteration: int) -> int:
        """Return at which update the warm-up is over, through the changes that hold after ``iteration`` iterations."""
        if self.config.warmup is None:
            return 0
        length, position = Span.parse(self.config.warmup), Position()
        while True:
            plan, change = self.plan_at(position.iteration), self.next_change(position.iteration)
            end = position.iteration + plan.iterations_until(length, position)
            if change is None or change > iteration or end <= change:
                return end
            position = self.position_after(change)

    def position_after(self, iterations: int) -> Position:
        """Return the position after so many iterations, through every change of the batch size."""
        position = Position()
        while position.iteration < iterations:
            change = self.next_change(position.iteration)
            stop = iterations if change is None else min(change, iterations)
            position = self.plan_at(position.iteration).advance(position, Span.iterations(stop - position.iteration))
        return position

    def stretches(self, iterations: int, start: Position | None = None) -> Iterator[Stretch]:
        """Yield the stretches of a run's first iterations, through its changes and its schedule of batch sizes.

        ``start`` is where to begin, at the beginning by default. Each change begins a stretch, whatever it changes.
        """
        position = start or Position()
        while True:
            plan, change = self.plan_at(position.iteration), self.next_change(position.iteration)
            begins = [plan.next_phase(position)]
            if change is not None:
                begins.append(plan.advance(position, Span.iterations(change - position.iteration)))

            following = min((one for one in begins if one is not None), default=None)
            end = iterations if following is None else min(following.iteration, iterations)
            yield Stretch(position, end, plan.batches_at(position))
            if following is None or following.iteration >= iterations:
                return
            position = following

    def to_dict(self) -> dict[str, Any]:
        """Return the file's content."""
        return {
            "format": FORMAT,
            "custom": list(self.custom),
            "summation": self.summation,
            **({"named_by": list(self.named_by)} if self.named_by else {}),
            "config": self.config.to_dict(),
            "data": _written(self.data),
            "model": _written(self.model),
            "versions": self.versions,
            "device": {name: value for name, value in dataclasses.asdict(self.device).items() if value is not None},
            **({"settings": self.settings} if self.settings else {}),
            "changes": [{"iteration": change.iteration, **change.options} for change in self.changes],
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> RunFile:
        """Read `to_dict`'s result. Raises what `read_run_toml` turns into a `RunError`."""
        RUN_TOML.require("", content)
        content = migrate(content)
        changes = [dict(change) for change in content["changes"]]
        file = cls(
            TrainConfig.from_dict(content["config"]),
            _facts(DataFacts, content["data"]),
            _facts(ModelFacts, content["model"]),
            content["versions"],
            _facts(DeviceFacts, content["device"]),
            tuple(content["custom"]),
            tuple(Change(change.pop("iteration"), change) for change in changes),
            content.get("settings", {}),
            content.get("summation", "chain"),
            tuple(content.get("named_by", ())),
        )
        if any(one.iteration > following.iteration for one, following in pairwise(file.changes)):
            raise ValueError("its changes do not follow each other")
        for change in file.changes:
            file.plan_at(change.iteration)  # raises for no plan

        return file

    def origin(self, iteration: int) -> dict[str, Any]:
        """Return everything that decided the state after ``iteration`` iterations, for a checkpoint to carry."""
        content = self.to_dict()
        return {**content, "changes": [change for change in content["changes"] if change["iteration"] < iteration]}

    def check_origin(self, origin: Mapping[str, Any], position: Position) -> None:
        """Raise `RunError` where a checkpoint's origin or its position is not this file's: it belongs to another run.

        Versions and device may differ, and so may the place and name of the data, whose fingerprint may not.
        """
        iteration = position.iteration
        found, wanted = _deciding(origin), _deciding(self.origin(iteration))
        for name in sorted(found.keys() | wanted.keys()):
            if found.get(name) != wanted.get(name):
                raise RunError(
                    f"the checkpoint of iteration {iteration:,} was made with {name} = {found.get(name)}, but run.toml "
                    f"says {wanted.get(name)}; put run.toml back as it was (`epochal resume` has options for changes)"
                )
        planned = self.position_after(iteration)
        if position != planned:
            raise RunError(
                f"the checkpoint of iteration {iteration:,} says {position.epoch:,} epochs and {position.offset:,} "
                f"samples, but its plan has {planned.epoch:,} and {planned.offset:,} there"
            )


def write_run_toml(path: Path, file: RunFile) -> None:
    """Write `run.toml` as a whole or not at all."""
    try:
        atomic_write(path, (_HEADING + tomli_w.dumps(file.to_dict())).encode())
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from error


def read_run_toml(path: Path) -> RunFile:
    """Read `run.toml`. Raises `RunError` where it is missing, damaged, or of a later format."""
    folder = path.parent
    if not is_folder(folder):
        raise RunError(no_run_folder(folder))
    try:
        content = read_toml(path)
        FORMAT_NUMBER.require("format", content.get("format"))
        if content["format"] > FORMAT:
            raise RunError(f"{path} has format {content['format']}; this Epochal reads up to {FORMAT}: update it")
        return RunFile.from_dict(content)

    except FileNotFoundError:
        raise RunError(f"{folder} is no run folder: it has no run.toml") from None
    except RunError:
        raise

    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError, EpochalError) as error:
        raise RunError(f"{path} is damaged: {brief(error)}") from error


def migrate(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what `run.toml` holds in the present format.

    Format 1 recorded momentum and weight decay for every optimizer, also for those that have none. Format 2 had no
    `preprocessing.json`, without which a run needs its data to predict.
    """
    config = content["config"]
    return {**content, "format": FORMAT, "config": migrate_config(config) if content["format"] < 2 else config}


def present_versions(more: Sequence[str] = ()) -> dict[str, str]:
    """Return the versions of everything that decides the bits of a result; ``more`` are packages of a user's model."""
    packages = ("epochal", "jax", "jaxlib", "numpy", "optax", *more)
    return {"python": platform.python_version(), **{name: _version(name) for name in packages}}


def _version(package: str) -> str:
    """Return a package's version as it says it itself where it is imported: its metadata take milliseconds to read."""
    said = getattr(sys.modules.get(package), "__version__", None)
    return said if isinstance(said, str) else version(package)


def _written(facts: DataFacts | ModelFacts) -> dict[str, Any]:
    """Return facts without those that a run does not have, and that former formats did not know."""
    optional = {field.name for field in dataclasses.fields(facts) if field.default is not dataclasses.MISSING}
    return {name: value for name, value in dataclasses.asdict(facts).items() if value or name not in optional}


def _facts(kind: type[Facts], values: Mapping[str, Any]) -> Facts:
    """Build one of the dataclasses above of what it knows."""
    known = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in values.items() if name in known})


def _deciding(origin: Mapping[str, Any]) -> dict[str, str]:
    """Return all of an origin that may not differ, as comparable text: not where the data lie and what they are called.

    Versions, device, settings and summation are left out as well: they may change, with a warning.
    """
    origin = migrate(origin)
    # a switch that is off is one that a former version did not know
    given = {name: value for name, value in origin["config"].items() if value is not False}
    values = {name: value for name, value in given.items() if name not in ("data", "metrics", "measure")}
    values |= {f"data {name}": value for name, value in origin["data"].items() if name != "name"}
    of_model = {name: value for name, value in origin["model"].items() if not name.startswith("source")}
    values |= {f"model {name}": value for name, value in of_model.items()}
    values |= {"custom": origin["custom"], "changes": origin["changes"]}
    return {name: json.dumps(value, sort_keys=True) for name, value in values.items()}
