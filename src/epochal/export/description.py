"""What is said beside an exported model: what it takes, what it returns, and where it comes from."""

from __future__ import annotations

import json
from typing import Any

from epochal.engine import named_leaves
from epochal.errors import ModelError
from epochal.files import real_path
from epochal.models import MODELS
from epochal.record.checkpoint_file import iteration_of, weights_sha256
from epochal.run.anew import best_file
from epochal.run.run import Run
from epochal.version import __version__

FORMAT = 1
OF_CLASSES = "a score for each class, before the softmax: the largest is the predicted class"
OF_VALUES = "a value for each target, in the targets' own units"


def describe(run: Run, *, prepares: bool) -> dict[str, Any]:
    """Return plain values for JSON.

    Args:
        run: the one that is exported, with the weights that are.
        prepares: whether what is exported takes samples as they are stored, and does the preprocessing itself.
    """
    schema = run.schema
    data = json.loads(schema.to_json())
    is_best = run.weights == "best"

    return {
        "format": FORMAT,
        "epochal": __version__,
        "run": name_of(run),
        "data": run.file.data.name,
        "model": {"name": run.file.model.name, "options": run.file.model.options},
        "weights": {
            "which": run.weights,
            "iteration": iteration_of(best_file(run.record)) if is_best else run.position.iteration,
            "sha256": weights_sha256(named_leaves(run.state)),
        },
        **_samples(data, prepares=prepares),
        "output": {
            "shape": ["batch", schema.outputs],
            "type": "float32",
            "means": OF_VALUES if schema.class_names is None else OF_CLASSES,
        },
        "classes": None if schema.class_names is None else list(schema.class_names),
        "targets": data["targets"],
        "encoding": data["encoding"],
    }


def _samples(data: dict[str, Any], *, prepares: bool) -> dict[str, Any]:
    """Return what is said of samples: of one array, or of each of several parts as `preprocessing.json` says it."""
    if "parts" in data:
        return {"input": {"parts": data["parts"]}, "preprocessing": {"is_inside": prepares}}
    stored = data["samples"]
    return {
        "input": {"shape": ["batch", *stored["shape"]], "type": stored["type"]},
        "preprocessing": {"is_inside": prepares, **data["preprocessing"]},
    }


def name_of(run: Run) -> str:
    """Return the name of a run's folder, or what stands for one that has none."""
    if run.record.path is None:
        return f"{run.file.data.name}-{run.file.model.name}"
    return real_path(run.path).name


def built_in(run: Run, wanted: tuple[str, ...], to: str) -> str:
    """Return the name of a run's built-in model. Raises `ModelError` where it is none of those wanted."""
    name = run.file.model.name
    if "model" in run.file.custom or name not in MODELS or name not in wanted:
        what = f"'{name}', a model of your own" if "model" in run.file.custom else name
        raise ModelError(f"{to} is written for {', '.join(wanted)}; this run has {what}: use --to stablehlo")
    return name
