"""Tables in text: a header line, numbers, and one target column of numbers or texts.

NumPy's own reader parses the numbers; only where it stumbles is the file read again, slowly, to name line and column.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import Float64, Shaped

from epochal.config import Task
from epochal.errors import DataError, unknown_name

_MISSING = ("", "na", "n/a", "nan", "null", "?")


def read_table(
    path: Path, *, target: str | None = None, task: Task | None = None
) -> tuple[Float64[np.ndarray, "n features"], Shaped[np.ndarray, " n"]]:
    """Return the features and the target of a ``.csv`` or ``.tsv`` file with a header line.

    A target of integers gives int64, of other numbers float64, of texts ``str``.

    Args:
        path: the file, in UTF-8; a comma or, where its header has none, a semicolon separates; a tab in ``.tsv``.
        target: the target column's name; without it, the last column.
        task: ``"classification"`` takes a target that mixes numbers and texts as texts.

    Raises:
        DataError: for missing values, texts among the features and lines of another length, with line and column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            return _read(lines, path, target, task)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: not text in UTF-8 ({error.reason} at byte {error.start:,}); save it as UTF-8"
        ) from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def _read(
    lines: IO[str], path: Path, target: str | None, task: Task | None
) -> tuple[Float64[np.ndarray, "n features"], Shaped[np.ndarray, " n"]]:
    header = lines.readline()
    separator = "\t" if path.suffix.lower() == ".tsv" else ";" if "," not in header and ";" in header else ","
    columns = [name.strip() for name in next(csv.reader([header], delimiter=separator), [])]
    place = _target_place(columns, target, path)
    start = lines.tell()
    if not any(line.strip() for line in iter(lines.readline, "")):
        raise DataError(f"{path}: has a header but no rows")
    lines.seek(start)

    texts: list[str] = []

    def keep(text: str) -> float:
        texts.append(text.strip())
        return 0.0

    try:
        table = np.loadtxt(lines, delimiter=separator, quotechar='"', comments=None, converters={place: keep}, ndmin=2)
    except ValueError as error:
        if isinstance(error, UnicodeDecodeError):
            raise
        _explain(path, separator, columns, place)
        raise DataError(f"{path}: {error}") from error
    if table.shape[1] != len(columns) or not np.isfinite(table).all() or any(t.lower() in _MISSING for t in texts):
        _explain(path, separator, columns, place)

    features = table[:, :-1] if place == len(columns) - 1 else np.delete(table, place, axis=1)  # a view where it can be
    return features, _typed(texts, path, columns[place], task)


def _target_place(columns: list[str], target: str | None, path: Path) -> int:
    if columns and all(_is_number(name) for name in columns):
        raise DataError(f"{path}: its first line holds numbers ({columns[0]}, …); put a line of column names before it")
    if len(columns) < 2:
        raise DataError(f"{path}: one column only ({', '.join(columns) or 'empty'}); features and a target are needed")
    if target is None:
        return len(columns) - 1
    if columns.count(target) != 1:
        fault = (
            unknown_name("column", target, columns) if target not in columns else f"two columns are named '{target}'"
        )
        raise DataError(f"{path}: {fault}")
    return columns.index(target)


def _explain(path: Path, separator: str, columns: list[str], place: int) -> None:
    """Raise the error that names the first line and column that cannot be taken."""
    with path.open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.reader(lines, delimiter=separator)
        next(rows)
        for row in rows:
            if row and len(row) != len(columns):
                raise DataError(f"{path}: line {rows.line_num} has {len(row)} columns, the header {len(columns)}")
            for at, (name, text) in enumerate(zip(columns, row, strict=False)):
                where = f"{path}: line {rows.line_num}, column '{name}'"
                if text.strip().lower() in _MISSING:
                    raise DataError(f"{where}: missing value '{text}'; fill it in or leave the line out")
                if at != place and not _is_number(text):
                    raise DataError(f"{where}: '{text:.40}' is no number; only the target may be text, so encode it")
                if at != place and not np.isfinite(float(text)):
                    raise DataError(f"{where}: '{text}' is not finite; fix or remove that line")


def _typed(texts: list[str], path: Path, column: str, task: Task | None) -> Shaped[np.ndarray, " n"]:
    """Return the target as integers, floats or texts, by what all of its values are."""
    if all(re.fullmatch(r"[+-]?[0-9]{1,18}", text) for text in texts):
        return np.array([int(text) for text in texts])
    numbers = [_is_number(text) for text in texts]
    if all(numbers):
        return np.array(texts, np.float64)
    if any(numbers) and task != "classification":
        number, word = numbers.index(True), numbers.index(False)
        raise DataError(
            f"{path}: the target column '{column}' mixes numbers ('{texts[number]}') and texts ('{texts[word]:.40}'); "
            "fix it, or say task='classification' to take all as class names"
        )
    return np.array(texts)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
