"""What a run folder keeps beside its record: its data's schema, and of an own model its beginning and its function."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

from epochal.data.data_schema import Schema
from epochal.engine import keep_compiled_programs
from epochal.engine.exported import NoFormError, read
from epochal.errors import DataError, ModelError, RunError
from epochal.files import atomic_write, read_own
from epochal.held_folder import HeldFolder
from epochal.models import Model
from epochal.record.checkpoint_file import (
    Checkpoint,
    checkpoint_files,
    checksum_of,
    load_checkpoint,
    save_checkpoint,
)
from epochal.record.folder import INITIAL, RunFolder
from epochal.record.run_toml import RunFile
from epochal.run.point import Point
from epochal.run.setup import Setup


def keep_schema(folder: RunFolder, setup: Setup) -> None:
    """Write what prediction needs to know of the data. Raises `RunError` where that fails."""
    _write(folder.preprocessing, setup.schema.to_json().encode())


def read_schema(folder: RunFolder, file: RunFile) -> Schema | None:
    """Return what a run folder knows of its data; ``None`` for one of a format that knew nothing.

    Raises `RunError` where the file is missing, altered or damaged.
    """
    if not file.data.preprocessing:
        return None
    content = _read(folder.preprocessing, file.data.preprocessing, "which the run needs to predict")
    try:
        return Schema.from_json(content)
    except DataError as error:
        raise RunError(f"{folder.preprocessing}: {error}") from error


def keep_beginning(folder: RunFolder, file: RunFile, setup: Setup, point: Point) -> RunFile:
    """Keep what a model of the user's own begins with, which no seed can tell, and return the file that names it."""
    if setup.custom.model is None:
        return file
    with HeldFolder.open(folder.path) as held:
        path = save_checkpoint(held, INITIAL, point.checkpoint().weights)
    return dataclasses.replace(file, model=dataclasses.replace(file.model, initial=checksum_of(path)))


def read_beginning(folder: RunFolder, file: RunFile) -> Checkpoint:
    """Return the weights that a run with a model of the user's own began with.

    Raises `RunError` where their file is missing, or not the one that `run.toml` names.
    """
    found = [path for path in checkpoint_files(folder.initial) if checksum_of(path) == file.model.initial]
    if not found:
        raise RunError(f"{folder.initial} does not hold the weights that the run began with; put its file back")
    return load_checkpoint(found[0])


def keep_form(folder: RunFolder, file: RunFile, setup: Setup) -> tuple[RunFile, Setup]:
    """Write a model of the user's own into a run folder, before training; return what names it, and what to warn of.

    Training goes on where the model cannot be exported: the run then needs its code to predict.
    """
    file = dataclasses.replace(file, model=dataclasses.replace(file.model, exported=""))
    if setup.custom.model is None:
        return file, setup
    try:
        form = setup.engine.exported_form()
    except NoFormError as error:
        warning = f"the run needs its model's code to predict, which cannot be exported: {error}"
        return file, dataclasses.replace(setup, warnings=(*setup.warnings, warning))

    _write(folder.exported, form)
    digest = hashlib.sha256(form).hexdigest()
    return dataclasses.replace(file, model=dataclasses.replace(file.model, exported=digest)), setup


def read_form(folder: RunFolder, file: RunFile) -> Model | None:
    """Return the model that a run keeps, to predict with; ``None`` where it keeps none.

    Raises `RunError` where it is missing, altered, damaged, or no plain numeric program.
    """
    if not file.model.exported:
        return None
    again = f"; give its model again: Run.open('{folder.path.name}', model=…)"
    content = _read(folder.exported, file.model.exported, "which the run predicts with", again)
    keep_compiled_programs()  # where it is remembered that the form was tried
    try:
        return read(content, file.model.name)
    except ModelError as error:
        raise RunError(f"{folder.exported}: {error}{again}") from error


def _write(path: Path, content: bytes) -> None:
    """Write a file as a whole or not at all. Raises `RunError` where that fails."""
    try:
        atomic_write(path, content)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from error


def _read(path: Path, sha256: str, what_for: str, fix: str = "") -> bytes:
    """Read a file that `run.toml` names by its SHA-256. Raises `RunError` where it is missing or altered."""
    try:
        content: bytes = read_own(path)
    except OSError as error:
        raise RunError(f"cannot read {path}, {what_for}: {error.strerror}{fix}") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise RunError(f"{path} was altered: it is not the file that run.toml names; put it back as it was")
    return content
