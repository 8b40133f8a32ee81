"""The built-in models by name."""

from __future__ import annotations

import inspect
from typing import Any

from epochal.errors import OptionError, unknown_name
from epochal.models.cnn import build_cnn
from epochal.models.linear import build_linear
from epochal.models.mlp import build_mlp
from epochal.models.model import Model
from epochal.models.rnn import build_rnn

MODELS = {"linear": build_linear, "mlp": build_mlp, "cnn": build_cnn, "rnn": build_rnn}


def build_model(name: str, sample_shape: tuple[int, ...], outputs: int, **options: Any) -> Model:
    """Return the named model for samples of this shape.

    >>> build_model("mlp", (28, 28), 10, hidden=(64, 32)).options["hidden"]
    [64, 32]

    Raises `OptionError` for an unknown name or option and `ModelError` for values or samples that do not fit.
    """
    if name not in MODELS:
        raise OptionError(unknown_name("model", name, MODELS))
    known = [
        option for option in inspect.signature(MODELS[name]).parameters if option not in ("sample_shape", "outputs")
    ]
    for option in options:
        if option not in known:
            raise OptionError(f"{name} has no option '{option}'; it has {', '.join(known) or 'none'}")
    model: Model = MODELS[name](sample_shape, outputs, **options)
    return model
