"""linear and mlp as a module that needs NumPy alone: a few lines to read, and the numbers in an `.npz` beside them."""

from __future__ import annotations

import io
import math
import pprint
from typing import Any

import numpy as np

from epochal.data.data_schema import Schema
from epochal.data.tables.encoding import TableEncoding
from epochal.export.description import OF_CLASSES, OF_VALUES, built_in, describe
from epochal.run.run import Run


def to_numpy(run: Run) -> tuple[bytes, bytes]:
    """Return the contents of a `.py` file and of the `.npz` of the same name. Raises `ModelError` for other models."""
    name = built_in(run, ("linear", "mlp"), "the NumPy function")
    layers = [run.params] if name == "linear" else run.params
    schema, about = run.schema, describe(run, prepares=True)

    numbers = {"shift": schema.preprocessing.shift, "scale": schema.preprocessing.scale}
    if schema.target_scaling is not None:
        numbers |= {"target_shift": schema.target_scaling.shift, "target_scale": schema.target_scaling.scale}
    for number, layer in enumerate(layers):
        numbers |= {f"{number}.{part}": layer[part] for part in ("weights", "bias")}

    sizes = " → ".join(str(size) for size in (math.prod(schema.sample_shape), *(len(one["bias"]) for one in layers)))
    facts = {
        "run": about["run"],
        "model": f"{name} {sizes}",
        "version": about["epochal"],
        "iteration": f"{about['weights']['iteration']:,}",
        "sha256": about["weights"]["sha256"],
        "takes": _takes(schema),
        "means": OF_VALUES if schema.class_names is None else OF_CLASSES,
        "outputs": schema.outputs,
        "shape": repr(tuple(schema.sample_shape)),
        "layers": len(layers),
        "prepare": _AS_THEY_ARE if schema.sample_type == np.int32 else _PREPARE,
        "units": "" if schema.target_scaling is None else _UNITS,
    }

    code = _MODULE.format(**{key: _in_docstring(value) for key, value in facts.items()})
    if schema.class_names is not None:
        code += _CLASSES.format(classes=pprint.pformat(schema.class_names, width=110, compact=True))
    if isinstance(schema.encoding, TableEncoding):
        columns = [{**one, "parts": len(encoder.own_parts)} for one, encoder in _columns(schema.encoding)]
        code += _TABLE.format(columns=pprint.pformat(columns, width=110, compact=True, sort_dicts=False))

    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **numbers)
    return code.encode(), content.getvalue()


def _columns(encoding: TableEncoding) -> list[tuple[dict[str, Any], Any]]:
    return list(zip(encoding.to_dict()["columns"], encoding.encoders, strict=True))


def _takes(schema: Schema) -> str:
    if isinstance(schema.encoding, TableEncoding):
        return f"(n, {math.prod(schema.sample_shape)}) float32: rows of the table as `encode` returns them"
    shape = ", ".join(str(size) for size in ("n", *schema.sample_shape))
    return f"({shape}) {schema.sample_type}, as the data set stores them"


def _in_docstring(value: Any) -> Any:
    """Return a text that cannot end the docstring in which it stands."""
    return value.replace("\\", "/").replace('"""', "'''") if isinstance(value, str) else value


_MODULE = '''\
"""The model of the run {run}: {model}. Needs NumPy, and the .npz file beside this one.

predict(samples) takes samples {takes}.
It returns (n, {outputs}) float32: {means}.

Written by Epochal {version}; weights after {iteration} iterations, SHA-256 {sha256}.
"""

from pathlib import Path

import numpy as np

SAMPLE_SHAPE = {shape}

with np.load(Path(__file__).with_suffix(".npz"), allow_pickle=False) as file:
    NUMBERS = dict(file)
LAYERS = [(NUMBERS[f"{{i}}.weights"], NUMBERS[f"{{i}}.bias"]) for i in range({layers})]


def predict(samples):
    """Return the model's outputs for samples, or for a single one."""
    x = np.asarray(samples)
    if x.shape == SAMPLE_SHAPE:
        x = x[np.newaxis]
    if x.shape[1:] != SAMPLE_SHAPE:
        raise ValueError(f"samples have shape {{SAMPLE_SHAPE}} each, not {{x.shape[1:]}}")

{prepare}
    # dense layers with ReLU between them
    x = x.reshape(len(x), -1)
    for weights, bias in LAYERS[:-1]:
        x = np.maximum(x @ weights + bias, 0)
    weights, bias = LAYERS[-1]
    outputs = x @ weights + bias
{units}    return outputs
'''

_PREPARE = """\
    # from stored values to model input
    x = (x.astype(np.float32) - NUMBERS["shift"]) * NUMBERS["scale"]
"""

_AS_THEY_ARE = """\
    x = x.astype(np.float32)
"""

_UNITS = """
    # training saw targets of mean 0 and deviation 1
    outputs = outputs * NUMBERS["target_scale"] + NUMBERS["target_shift"]
"""

_CLASSES = '''

CLASSES = {classes}


def predict_proba(samples):
    """Return each class's probability, (n, classes)."""
    scores = predict(samples)
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def predict_labels(samples):
    """Return the name of each sample's most probable class."""
    return [CLASSES[number] for number in predict(samples).argmax(axis=1)]
'''

_TABLE = '''

# How each column of the table becomes numbers
COLUMNS = {columns}
MISSING = ("", "na", "n/a", "#n/a", "#na", "nan", "null", "<na>", "?", "nat", "none")


def encode(rows):
    """Return rows of a table as samples: predict(encode(rows)).

    A row is a dictionary of the columns above, such as csv.DictReader gives: numbers or their texts with a decimal
    point, true or false, words, dates as YYYY-MM-DD[THH:MM:SS]. None, NaN and the words of MISSING are no value.
    """
    rows = list(rows)
    return np.concatenate([_encode(column, [row[column["name"]] for row in rows]) for column in COLUMNS], axis=1)


def _encode(column, values):
    missing = np.array([value is None or str(value).strip().lower() in MISSING for value in values], bool)
    numbers = np.zeros((len(values), column["parts"]))
    for row, value in enumerate(values):
        numbers[row] = _numbers(column, None if missing[row] else value)
    if column["has_indicator"]:
        numbers = np.column_stack([numbers, missing])
    return numbers.astype(np.float32)


def _numbers(column, value):
    """Return the numbers of one value."""
    kind = column["as"]
    if kind == "number":
        return (column["fill"] if value is None else float(value)) - column["offset"]
    if kind == "boolean":
        return column["fill"] if value is None else str(value).strip().lower() in ("true", "yes", "1", "1.0")
    if kind == "categories":
        return [value is not None and str(value).strip() == category for category in column["categories"]]
    if kind == "hashed":
        from zlib import crc32

        place = None if value is None else crc32(str(value).strip().encode()) % column["buckets"]
        return [place == bucket for bucket in range(column["buckets"])]

    # a date: year, month, day of the week from Monday, age in days before the latest of the training, hour
    if value is None and column["fill"]:
        return column["fill"]
    latest = np.datetime64(column["latest"], "s")
    date = latest if value is None else np.datetime64(str(value).strip().rstrip("Z").replace(" ", "T"), "s")
    day = date.astype("datetime64[D]")
    parts = [date.astype("datetime64[Y]").astype(int) + 1970, date.astype("datetime64[M]").astype(int) % 12 + 1,
             (day.astype(int) + 3) % 7, (latest - date).astype(int) / 86400]
    return parts + [(date - day).astype(int) / 3600] * column["has_time"]
'''
