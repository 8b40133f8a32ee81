"""A model's function as StableHLO: data that a run keeps beside its weights, and that predicts without its code.

`keep` writes what a model computes outside training, for any number of samples and for every platform, its weights as
arguments; `read` makes a `Model` of that again. `export_predict` writes a whole prediction, weights included.

What was read is data from somebody else: it is compiled and run as a numeric program when someone predicts, and can be
nothing else, since `read` refuses every call out of it but for the few of StableHLO itself and of linear algebra.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export, lax
from jaxtyping import Array, PyTree, Shaped

from epochal.engine import form_trial
from epochal.engine.state import State
from epochal.errors import ModelError
from epochal.models import Model
from epochal.models.model import Key, ModelState, Outputs, Params, in_full

PLATFORMS = ("cpu", "cuda", "tpu")
MOST_BYTES = 64 << 20
"""The largest form that is kept or read: it holds no weights, but what a model's function has caught in itself."""
FIXED = 128
"""So many samples a form takes at once, if it cannot be had for any number."""

_CALLS = re.compile(r"stablehlo\.custom_call @(\w[\w.]*)\(")
_KNOWN_CALLS = re.compile(
    r"shape_assertion|Sharding|stablehlo\.dynamic_\w+|mhlo\.\w+|cu_threefry2x32_ffi|lapack_\w+_ffi"
    r"|Eigh|Qr|ProductOfElementaryHouseholderReflectors|LuDecomposition|ApproxTopK"
    r"|(cu|hip)_lu_pivots_to_permutation|(cusolver|hipsolver|cublas|hipblas)_\w+_ffi"
)
_OUTSIDE = re.compile(r"stablehlo\.(infeed|outfeed|send|recv)\b")


class NoFormError(Exception):
    """A function that cannot be exported; its text says why, in a line."""


def keep(model: Model, state: State, samples: PyTree[Any], size: int | None = None) -> bytes:
    """Return what a model computes outside training, as a function ``({name: array}, x) -> outputs``.

    The names are those of a checkpoint's arrays, so that the arrays of a checkpoint file are its first argument.

    Args:
        model: whose `apply` is traced; its weights and state are arguments.
        state: their shapes and types are enough.
        samples: some as the model sees them, of which shapes and types are enough.
        size: how many samples it takes, where the model's function has to know that. Default: any number.

    Raises `NoFormError` where the model's function cannot be exported, or is too large.
    """
    of_model = state._replace(optimizer_state=())
    paths, structure = jax.tree_util.tree_flatten_with_path(of_model)
    weights = {jax.tree_util.keystr(path): jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for path, leaf in paths}

    def apply(weights: Mapping[str, Array], x: Any) -> Outputs:
        given: State = jax.tree.unflatten(structure, [weights[name] for name in names])
        return model.apply(given.params, given.model_state, x, None, False)[0]

    names = list(weights)
    content = _serialized(apply, weights, with_batch(samples, size))
    form_trial.remember(content)
    return content


def with_batch(samples: PyTree[Any], size: int | None = None) -> PyTree[jax.ShapeDtypeStruct]:
    """Return the shapes of another number of samples: of ``size``, or of any where that is ``None``."""
    first = export.symbolic_shape("batch")[0] if size is None else size
    return jax.tree.map(lambda some: jax.ShapeDtypeStruct((first, *some.shape[1:]), some.dtype), samples)


def export_predict(
    model: Model, state: State, preprocess: Callable[[Any], Any], in_units: Callable[[Any], Any], samples: Any
) -> bytes:
    """Return a whole prediction, ``stored samples -> outputs``, with the weights and all numbers inside.

    Args:
        model: applied outside training.
        state: with its weights.
        preprocess: turns stored samples into model input.
        in_units: turns outputs into the targets' own units.
        samples: some as they are stored, of which shapes and types are enough.

    Raises `ModelError` where the model's function cannot be exported for any number of samples.
    """
    params, model_state = jax.tree.map(np.asarray, (state.params, state.model_state))

    def predict(x: Any) -> Outputs:
        constants = jax.tree.map(jnp.asarray, (params, model_state))
        return in_units(in_full(model.apply(constants[0], constants[1], preprocess(x), None, False)[0]))

    try:
        return _serialized(predict, with_batch(samples), most=None)
    except NoFormError as error:
        raise ModelError(f"model '{model.name}' cannot be exported for any number of samples: {error}") from error


def _serialized(function: Callable[..., Any], *arguments: Any, most: int | None = MOST_BYTES) -> bytes:
    """Return a function for arguments of these shapes on every platform; without the places of its code in files."""
    try:
        with _without_places():
            content = export.export(jax.jit(function), platforms=PLATFORMS)(*arguments).serialize()
    except Exception as error:  # the user's own code runs here, of any library
        said = (str(error).strip() or type(error).__name__).split("\n", 1)[0]
        if "_DimExpr" in said or isinstance(error, jax.errors.InconclusiveDimensionOperation):
            said = "its code needs the number of samples as a plain number, as in len(x); x.shape[0] is any number"
        raise NoFormError(said[:200]) from error

    if most is not None and len(content) > most:
        raise NoFormError(f"it would take {len(content) / 1e6:,.0f} MB; keep large arrays in the weights or the state")
    if refused := _refused(export.deserialize(content)):
        raise NoFormError(f"it calls '{refused}', which is no part of StableHLO")
    return bytes(content)


@contextmanager
def _without_places() -> Iterator[None]:
    """Keep the paths of source files out of what is exported: they say where a user's files are."""
    name = "jax_traceback_in_locations_limit"
    before = jax.config.values[name]
    jax.config.update(name, 0)
    try:
        yield
    finally:
        jax.config.update(name, before)


# --- reading --------------------------------------------------------------------------------------------------------


@jax.tree_util.register_pytree_with_keys_class
class ByName(dict[str, Any]):
    """Weights or a model's state, by the names that they have in a checkpoint: all that is known of their structure."""

    def tree_flatten_with_keys(self) -> tuple[list[tuple[Any, Any]], tuple[str, ...]]:
        """Return arrays with keys that read as the names do."""
        names = tuple(sorted(self))
        return [(_Name(name), self[name]) for name in names], names

    @classmethod
    def tree_unflatten(cls, names: tuple[str, ...], leaves: Any) -> ByName:
        """Return what was flattened."""
        return cls(zip(names, leaves, strict=True))

    def nested(self) -> Any:
        """Return dictionaries and lists as the names tell of them; attributes become entries of dictionaries."""
        steps = {name: steps_of(name) for name in self}
        if any(found is None for found in steps.values()):
            return dict(self)
        return _nested([(list(steps[name] or ()), self[name]) for name in self])


@dataclass(frozen=True, slots=True)
class _Name:
    """A key of JAX's paths that reads as a whole name."""

    name: str

    def __str__(self) -> str:
        return self.name


_STEP = re.compile(r"\['([^']*)'\]|\[\"([^\"]*)\"\]|\[(\d+)\]|\.(\w+)")


def steps_of(name: str) -> tuple[str | int, ...] | None:
    """Return the steps of a name that JAX gave a leaf of a tree; ``None`` where it cannot be read.

    >>> steps_of("['dense'][0].kernel")
    ('dense', 0, 'kernel')
    """
    found = list(_STEP.finditer(name))
    if "".join(match[0] for match in found) != name:
        return None
    return tuple(int(m[3]) if m[3] is not None else next(text for text in (m[1], m[2], m[4]) if text is not None)
                 for m in found)  # fmt: skip


def _nested(leaves: list[tuple[list[str | int], Any]]) -> Any:
    if len(leaves) == 1 and not leaves[0][0]:
        return leaves[0][1]
    if any(not steps for steps, _ in leaves):
        return {"/".join(map(str, steps)): leaf for steps, leaf in leaves}
    groups: dict[str | int, list[tuple[list[str | int], Any]]] = {}
    for (first, *rest), leaf in leaves:
        groups.setdefault(first, []).append((rest, leaf))

    inner = {key: _nested(group) for key, group in groups.items()}
    is_list = set(inner) == set(range(len(inner)))
    return [inner[number] for number in range(len(inner))] if is_list and inner else inner


def read(content: bytes, name: str) -> Model:
    """Return the model of a form that `keep` made; it computes outputs alone, and cannot be trained.

    Another process tries it first, once for each form that was not written here.

    Raises `ModelError` for anything else: too large, damaged, of another JAX, or with calls out of StableHLO.
    """
    _check_size(content)
    form_trial.try_form(content)
    form = deserialized(content)
    weights, inputs = jax.tree.unflatten(form.in_tree, form.in_avals)[0]
    names = {prefix: [one for one in weights if one.startswith(prefix)] for prefix in (".params", ".model_state")}
    size = jax.tree.leaves(inputs)[0].shape[0]

    def init(key: Key) -> tuple[Params, ModelState]:
        of = {
            prefix: ByName({one[len(prefix) :]: jnp.zeros(weights[one].shape, weights[one].dtype) for one in ours})
            for prefix, ours in names.items()
        }
        return of[".params"], of[".model_state"]

    def apply(params: Params, state: ModelState, x: Any, key: Key | None, training: bool) -> tuple[Outputs, ModelState]:
        arrays = {f".params{one}": array for one, array in params.items()}
        arrays |= {f".model_state{one}": array for one, array in state.items()}
        # of the types that the form takes, which computes in shorter ones itself where the training did
        arrays, x = jax.tree.map(lambda array, wanted: array.astype(wanted.dtype), (arrays, x), (weights, inputs))
        if isinstance(size, int):
            return _in_slices(lambda part: form.call(arrays, part), x, size), state
        return form.call(arrays, x), state

    return Model(name, init, apply)


def _in_slices(function: Callable[[Any], Outputs], x: PyTree[Array], size: int) -> Outputs:
    """Apply a function of just ``size`` samples to any number; the last slice is filled up with its last sample."""
    count = jax.tree.leaves(x)[0].shape[0]
    slices = -(-count // size)

    def cut(values: Shaped[Array, "n *sample"]) -> Shaped[Array, "slices size *sample"]:
        filled = jnp.pad(values, [(0, slices * size - count)] + [(0, 0)] * (values.ndim - 1), mode="edge")
        return filled.reshape(slices, size, *values.shape[1:])

    parts = lax.map(function, jax.tree.map(cut, x))
    return jax.tree.map(lambda rows: rows.reshape(slices * size, *rows.shape[2:])[:count], parts)


def _check_size(content: bytes) -> None:
    """Raise `ModelError` for more than any form has."""
    if len(content) > MOST_BYTES:
        raise ModelError(f"the exported model has {len(content) / 1e6:,.0f} MB; {MOST_BYTES / 1e6:,.0f} are taken")


def deserialized(content: bytes) -> export.Exported:
    """Return a form that is sure to be a numeric program of weights by name and samples.

    JAX's own reader may end the process on bytes of a stranger, which `read` has tried by another one.

    Raises `ModelError` for anything else.
    """
    try:
        form = export.deserialize(bytearray(content))
        refused = _refused(form)
        ((weights, x), keywords) = jax.tree.unflatten(form.in_tree, form.in_avals)
        fits = not keywords and isinstance(weights, dict) and len(jax.tree.leaves(x)) > 0
        fits = fits and all(isinstance(one, str) and hasattr(array, "shape") for one, array in weights.items())
    except Exception as error:  # of many kinds, out of JAX's reader
        said = (str(error).strip() or type(error).__name__).split("\n", 1)[0]
        raise ModelError(f"the exported model cannot be read by JAX {jax.__version__}: {said[:160]}") from error

    if refused:
        raise ModelError(f"the exported model calls '{refused}', which is no part of StableHLO: it is not run")
    if not fits or not all(leaf.shape for leaf in jax.tree.leaves(x)):
        raise ModelError("the exported model is no function of weights by name and samples")
    return form


def _refused(form: export.Exported) -> str:
    """Return what a form does beside computing numbers from numbers; ``""`` for nothing.

    JAX compiles just the text that is looked at here, so that no call can hide from it.
    """
    if form.ordered_effects or form.unordered_effects:
        return str([*form.ordered_effects, *form.unordered_effects][0])
    if form.nr_devices != 1:
        return f"{form.nr_devices} devices"

    text = form.mlir_module()
    if outside := _OUTSIDE.search(text):
        return outside[0]
    calls = _CALLS.findall(text)
    strange = [call for call in calls if not _KNOWN_CALLS.fullmatch(call)]
    if len(calls) != text.count("custom_call"):  # written in some other form, which has no reason to be there
        strange.append("custom_call")
    return strange[0] if strange else ""
