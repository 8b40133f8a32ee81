"""Weights by readable names, in a file that `safetensors.numpy.load_file` alone reads."""

from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np
from jaxtyping import Shaped
from safetensors.numpy import save

from epochal.engine import named_leaves
from epochal.engine.exported import steps_of
from epochal.export.description import describe
from epochal.run.run import Run

_PARTS = {".params": (), ".model_state": ("state",)}


def to_safetensors(run: Run) -> bytes:
    """Return a file's content: the weights, the model's state as ``state.…``, and a description in the metadata."""
    arrays = named_leaves(run.state._replace(optimizer_state=()))
    readable = readable_names(arrays)
    about = json.dumps(describe(run, prepares=False), ensure_ascii=False, allow_nan=False)
    # one entry of metadata: several would stand in random order
    content: bytes = save({readable[name]: _plain(array) for name, array in arrays.items()}, {"epochal": about})
    return content


def readable_names(names: Iterable[str]) -> dict[str, str]:
    """Return what stands for each name of a checkpoint's arrays.

    >>> readable_names([".params['dense'][0]['bias']", ".model_state['mean']"]).values()
    dict_values(['dense.0.bias', 'state.mean'])
    """
    known = list(names)
    readable = {name: _readable(name) for name in known}
    return readable if len(set(readable.values())) == len(known) else {name: name for name in known}


def _readable(name: str) -> str:
    for prefix, first in _PARTS.items():
        steps = steps_of(name[len(prefix) :]) if name.startswith(prefix) else None
        if steps is not None:
            return ".".join(map(str, (*first, *steps))) or "weights"
    return name


def _plain(array: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
    """Return an array of a type that NumPy has itself: shorter floats, such as bfloat16, as float32."""
    return np.ascontiguousarray(array if array.dtype.isbuiltin == 1 else array.astype(np.float32))
