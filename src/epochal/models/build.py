"""The built-in models by name."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Hashable, Mapping
from typing import Any
from weakref import WeakValueDictionary

from epochal.errors import ModelError, OptionError, unknown_name
from epochal.model_names import read_model_name
from epochal.models.cnn import build_cnn
from epochal.models.lenet import build_lenet
from epochal.models.linear import build_linear
from epochal.models.mlp import build_mlp
from epochal.models.model import Model
from epochal.models.rnn import build_rnn

MODELS = {"linear": build_linear, "mlp": build_mlp, "cnn": build_cnn, "lenet": build_lenet, "rnn": build_rnn}

_KNOWN: WeakValueDictionary[Hashable, Model] = WeakValueDictionary()


def build_model(name: str, sample_shape: tuple[Any, ...] | Mapping[str, Any], outputs: int, **options: Any) -> Model:
    """Return the named model for samples of this shape; the same object for equal arguments, while it is in use.

    >>> build_model("mlp", (28, 28), 10, hidden=(64, 32)).options["hidden"]
    [64, 32]

    Args:
        name: one of `MODELS`; ``mlp:300-100`` is an mlp with these hidden sizes.
        sample_shape: the shape of one sample, without the batch; of samples of several parts, which none takes, a tree.
        outputs: how many numbers it returns for a sample: the classes, or the targets.
        options: what that model's own function takes besides, such as ``hidden`` and ``dropout``.

    Raises `OptionError` for an unknown name or option and `ModelError` for values or samples that do not fit.
    """
    said, named = name, read_model_name(name)
    name = named.base
    if name not in MODELS:
        raise OptionError(unknown_name("model", name, MODELS))
    if named.hidden is not None:
        if "hidden" in options:
            raise OptionError(f"the model '{said}' has its hidden sizes in its name; leave out hidden, or write {name}")
        options = {**options, "hidden": named.hidden}
    parameters = inspect.signature(MODELS[name]).parameters
    known = set(parameters) - {"sample_shape", "outputs"}

    for option in options:
        if not known:
            raise OptionError(f"{name} has no options, got '{option}'")
        if option not in known:
            raise OptionError(unknown_name(f"option of {name}", option, known))
    # one size alone is written as a number: --set channels=4
    alone = {one for one, value in options.items() if type(value) is int and type(parameters[one].default) is tuple}
    options = {one: (value,) if one in alone else value for one, value in options.items()}

    if isinstance(sample_shape, Mapping) or not all(isinstance(side, int) for side in sample_shape):
        raise ModelError(
            f"{name} takes one array of samples, and these have several parts; give a model of your own, such as "
            "--model file.py:build"
        )
    if outputs < 1 or min(sample_shape, default=1) < 1:
        raise ModelError(f"{name} needs samples that hold something and an output, got {sample_shape} and {outputs}")

    # One object for equal arguments lets trainings share what was compiled for it. Building costs nothing but checks.
    model = dataclasses.replace(MODELS[name](sample_shape, outputs, **options), is_built_in=True)
    return _KNOWN.setdefault((MODELS[name], tuple(sample_shape), outputs, repr(sorted(model.options.items()))), model)
