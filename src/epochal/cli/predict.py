"""`epochal predict`: a run's model on files of samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from epochal.cli.arguments import json_option, run_option
from epochal.errors import DataError
from epochal.options import PATHS, option

if TYPE_CHECKING:
    from epochal.run.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictCommand:
    """Apply a run's model to samples in .npy files: one sample, or an array of them, as the data set stores them.

    Example: epochal predict runs/mnist-mlp-1 digit.npy
    """

    run: Path = run_option()
    files: tuple[Path, ...] = option((), ".npy files.", PATHS, text="", positional=True)
    json: bool = json_option()

    def execute(self) -> int:
        """Predict and print one line a sample."""
        from epochal.cli.screen import print_json
        from epochal.run.run import Run

        if not self.files:
            raise DataError("name one or more .npy files of samples")
        run = Run.open(self.run)
        rows = [row for path in self.files for row in _predict_file(run, path)]
        if self.json:
            print_json(rows)
            return 0
        for row in rows:
            print(f"{row['file']}\t{row['sample']}\t{row['prediction']}" + _share(row))
        return 0


def _share(row: dict[str, Any]) -> str:
    return f"\t{100 * row['probability']:.1f} %" if "probability" in row else ""


def _predict_file(run: Run, path: Path) -> list[dict[str, Any]]:
    import numpy as np

    try:
        x = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"cannot read {path} as a .npy array: {error}") from error
    if not isinstance(x, np.ndarray) or x.dtype.kind not in "uif" or not x.ndim:
        raise DataError(f"{path} holds no array of numbers; save one with numpy.save")
    if x.dtype != np.uint8:
        with np.errstate(over="ignore"):
            x = x.astype(np.float32)
    if not np.isfinite(x).all():
        raise DataError(f"{path} holds values that are missing (NaN), infinite or beyond 32-bit floats; fix them")

    names = run.data.class_names
    if names is None:
        return [{"file": str(path), "sample": i, "prediction": row.tolist()} for i, row in enumerate(run.predict(x))]

    return [
        {
            "file": str(path),
            "sample": i,
            "prediction": names[int(row.argmax())],
            "probability": float(row.max()),
            "probabilities": dict(zip(names, row.tolist(), strict=True)),
        }
        for i, row in enumerate(run.predict_proba(x))
    ]
