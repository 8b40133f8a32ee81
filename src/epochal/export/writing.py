"""From a run to the files of another format: where they go, and that nothing is overwritten unasked."""

from __future__ import annotations

import json
import keyword
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

from epochal.errors import OptionError, RunError, unknown_name
from epochal.export import FORMATS
from epochal.export.description import describe, name_of
from epochal.files import made_folder
from epochal.held_folder import HeldFolder
from epochal.run.run import Run

_FOLDER = "export"
_SUFFIXES = {"stablehlo": (".stablehlo", ".json"), "onnx": (".onnx",), "safetensors": (".safetensors",),
             "numpy": (".py", ".npz")}  # fmt: skip


def export_run(run: Run, to: str, out: Path | None = None, *, force: bool = False) -> tuple[Path, ...]:
    """Write a run's model in another format, with the weights that ``run`` stands for.

    Args:
        run: a run; `Run.best` for its best weights.
        to: one of `FORMATS`.
        out: the file, or a folder that there is; of TensorBoard, the folder. Default: ``RUN/export/``, or the current
            folder for a run without one.
        force: whether to replace files that are there.

    Returns the files, the one to load first.

    Raises:
        OptionError: for an unknown format, for files that are there, and where a format's package is missing.
        ModelError: for a model that the format has no form for.
        RunError: where the run is damaged, or nothing can be written.
    """
    if to not in FORMATS:
        raise OptionError(unknown_name("format", to, FORMATS))
    if to == "tensorboard":
        return (_write_tensorboard(run, out, force=force),)

    files = _files(run, to, out)
    there = next((path for path in files if path.exists()), None)
    if there is not None and not force:
        raise OptionError(f"{there} is there already; --force replaces it, --out FILE writes another")

    contents = _CONTENTS[to](run)
    try:
        with _held(run, out, files[0].parent) as folder:
            # what the first one needs comes before it
            for path, content in reversed(list(zip(files, contents, strict=True))):
                folder.write_file(path.name, content)
    except OSError as error:
        raise RunError(f"cannot write {files[0]}: {error.strerror}; choose another place with --out") from error
    return files


def _files(run: Run, to: str, out: Path | None) -> tuple[Path, ...]:
    """Return the paths to write. Raises `OptionError` for a file of another suffix."""
    first, *others = _SUFFIXES[to]
    if out is None or out.is_dir():
        name = name_of(run) if to != "numpy" else _module_name(name_of(run))
        out = (_default_folder(run) if out is None else out) / f"{name}{first}"
    elif out.suffix != first:
        raise OptionError(f"{out}: {to} is written as {first}; name such a file, or a folder that there is")
    return (out, *(out.with_suffix(suffix) for suffix in others))


def _module_name(name: str) -> str:
    """Return a run's name as one that Python imports, which has letters of any language.

    >>> _module_name("my run-2"), _module_name("房价2"), _module_name("2"), _module_name("class")
    ('my_run_2', '房价2', 'run_2', 'run_class')
    """
    word = re.sub(r"\W", "_", unicodedata.normalize("NFKC", name))  # as Python reads names
    return word if word.isidentifier() and not keyword.iskeyword(word) else f"run_{word}"


def _default_folder(run: Run) -> Path:
    return Path() if run.record.path is None else run.path / _FOLDER


def _held(run: Run, out: Path | None, folder: Path) -> HeldFolder:
    """Make the folder and hold it: one in the run folder is the run's own, and no link that leads elsewhere."""
    if out is None and run.record.path is not None:
        return HeldFolder.made_in(run.path, *folder.relative_to(run.path).parts)
    return made_folder(folder)


def _stablehlo(run: Run) -> tuple[bytes, ...]:
    about = json.dumps(describe(run, prepares=True), ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    return run.to_stablehlo(), about.encode()


def _onnx(run: Run) -> tuple[bytes, ...]:
    from epochal.export.onnx_file import to_onnx

    return (to_onnx(run),)


def _safetensors(run: Run) -> tuple[bytes, ...]:
    from epochal.export.safetensors_file import to_safetensors

    return (to_safetensors(run),)


def _numpy(run: Run) -> tuple[bytes, ...]:
    from epochal.export.numpy_file import to_numpy

    return to_numpy(run)


_CONTENTS: dict[str, Callable[[Run], tuple[bytes, ...]]] = {
    "stablehlo": _stablehlo,
    "onnx": _onnx,
    "safetensors": _safetensors,
    "numpy": _numpy,
}


def _write_tensorboard(run: Run, out: Path | None, *, force: bool) -> Path:
    """Write a run's history as a folder that TensorBoard shows; one that holds something is refused."""
    from epochal.loggers.tensorboard import write_events

    place = out or _default_folder(run) / "tensorboard"
    try:
        with _held(run, out, place) as folder:
            there = folder.names()
            if there and not force:
                raise OptionError(
                    f"{place} is there already; --force replaces its events, --out FOLDER writes into another"
                )
            for name in there:
                if "tfevents" in name:
                    folder.remove(name)
            write_events(run.record, folder)
    except OSError as error:
        raise RunError(f"cannot write {place}: {error.strerror}; choose another place with --out") from error
    return place
