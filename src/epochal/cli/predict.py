"""`epochal predict`: a run's model on new samples, without the data that it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from epochal.cli.arguments import json_option, model_option, run_option
from epochal.config.options import FILE, PATHS, SWITCH, choice, option, text
from epochal.csv_cells import csv_text
from epochal.errors import DataError, RunError
from epochal.words.plain_text import one_line

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console

    from epochal.data.data_schema import Schema
    from epochal.data.new_samples import NewSamples
    from epochal.run.run import Run

DIGITS = ("digits", "digits-60k", "mnist")
"""Data sets of handwritten digits: a picture for their models is a photographed digit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictCommand:
    """Apply a run's model to new samples: tables, arrays, pictures, folders of pictures. No training data are needed.

    Example: epochal predict runs/prices-mlp-1 new.csv --out predictions.csv

    A table's columns are matched by name. A picture for a model of handwritten digits is a photograph: paper is
    removed, and the digit is centred as the training's are.
    """

    run: Path = run_option()
    files: tuple[Path, ...] = option(
        (), "Tables (.csv, .parquet …), .npy, .npz, pictures, or folders of pictures.", PATHS, text="", positional=True
    )
    out: Path | None = option(None, "Write the predictions into this .csv file.", FILE)
    weights: Literal["last", "best"] | None = option(
        None, "Which weights.", choice("last", "best"), text="the best on validation samples, if there were any"
    )
    encoding: str | None = option(None, "Encoding of a table's text.", text("an encoding"))
    no_header: bool = option(False, "The tables have no line of column names.", SWITCH)
    as_is: bool = option(False, "Take pictures as they are, and not as photographs of digits.", SWITCH)
    save_input: Path | None = option(None, "Save the picture that the model saw into this .png file.", FILE)
    model: str | None = model_option()
    json: bool = json_option()

    def execute(self) -> int:
        """Predict and print one line a sample."""
        from epochal.cli.screen import open_console, print_json
        from epochal.cli.text_lines import print_whole
        from epochal.run.run import Run
        from epochal.words.catalogue import counted, tell
        from epochal.words.plain_text import print_plain

        if not self.files:
            raise DataError(
                "name one or more files of samples: a table, .npy, .npz, a picture, or a folder of pictures"
            )
        console = open_console(quiet=self.json)
        run = Run.open(self.run, model=self.model).with_weights(self.weights)
        rows = [row for path in self.files for row in self._predict(run, path, console)]

        if self.out is not None:
            _write(self.out, rows)
            print_whole(console, tell("predictions.written", samples=counted(len(rows), "sample"), file=self.out))
        if self.json:
            print_json(rows)
        elif self.out is None:
            for row in rows:
                print_plain(_line(row))
        return 0

    def _predict(self, run: Run, path: Path, console: Console) -> list[dict[str, Any]]:
        from epochal.cli.screen import print_notes

        new = run.read(
            path,
            encoding=self.encoding,
            no_header=self.no_header,
            as_digits=run.file.data.name in DIGITS and not self.as_is,
        )
        print_notes(new.notes, console)
        if path.is_file() and new.names:
            self._show_picture(new.x[0], run, console)
        return list(_rows(run, path, new))

    def _show_picture(self, x: np.ndarray, run: Run, console: Console) -> None:
        """Draw the picture that the model saw, and save it where that is asked for."""
        from epochal.cli.picture_blocks import draw
        from epochal.cli.text_lines import print_whole
        from epochal.report.png import png_file
        from epochal.words.catalogue import tell

        picture = to_bytes(x, run.schema)
        if self.save_input is not None:
            _save(self.save_input, png_file(picture))
            print_whole(console, tell("predictions.saw", file=self.save_input))
        if console.is_terminal:
            draw(picture, console)


def to_bytes(x: np.ndarray, schema: Schema) -> np.ndarray:
    """Return a sample of a picture as bytes from 0 to 255: the digits of scikit-learn go from 0 to 16."""
    import numpy as np

    bytes_: np.ndarray = np.clip(x.astype(np.float32) * (255 / schema.highest), 0, 255).astype(np.uint8)
    return bytes_


def _rows(run: Run, path: Path, new: NewSamples) -> Any:
    """Yield what is predicted for each sample."""
    schema, outputs = run.schema, run.predict(new)
    names = schema.class_names
    files = new.names or (str(path),) * len(outputs)

    if names is None:
        targets = list(getattr(schema.encoding, "targets", ())) or [f"target {i + 1}" for i in range(schema.outputs)]
        for number, (file, row) in enumerate(zip(files, outputs.tolist(), strict=True)):
            yield {"file": file, "sample": number, "prediction": row, "values": dict(zip(targets, row, strict=True))}
        return

    from scipy.special import softmax

    for number, (file, row) in enumerate(zip(files, softmax(outputs, axis=1), strict=True)):
        yield {
            "file": file,
            "sample": 0 if new.names else number,
            "prediction": names[int(row.argmax())],
            "probability": float(row.max()),
            "probabilities": dict(zip(names, row.tolist(), strict=True)),
        }


def _line(row: dict[str, Any]) -> str:
    """Return a sample's prediction in a line, its parts separated by tabs."""
    if "values" in row:
        said = ", ".join(f"{value:.7g}" for value in row["values"].values())
    else:
        said = f"{row['prediction']}\t{100 * row['probability']:.1f} %"
    return one_line(f"{row['file']}\t{row['sample']}\t{said}")


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write the predictions as a table: file and sample, the prediction, and each class's probability."""
    if path.suffix.lower() != ".csv":
        raise DataError(f"{path}: predictions are written as .csv; name such a file")
    table = []
    for row in rows:
        said = (
            row["values"] if "values" in row else {"prediction": row["prediction"], "probability": row["probability"]}
        )
        shares = {f"p({name})": share for name, share in row.get("probabilities", {}).items()}
        table.append({"file": row["file"], "sample": row["sample"], **said, **shares})

    names = list(table[0])
    _save(path, csv_text([names, *([row.get(name, "") for name in names] for row in table)]).encode())


def _save(path: Path, content: bytes) -> None:
    """Write a file as a whole. Raises `RunError` where that fails."""
    from epochal.files import atomic_write

    try:
        atomic_write(path, content)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from error
