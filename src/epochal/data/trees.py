"""Samples of several parts: dictionaries and tuples of arrays, which a model of one's own takes as its input.

A single array is a tree too, of one leaf. JAX's own trees are the same; this module does without JAX.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Shaped

Tree: TypeAlias = Any
"""An array, or a dictionary or tuple of trees."""


def is_several(x: Any) -> bool:
    """Return whether it is a dictionary or a tuple of arrays, and not a single array."""
    return isinstance(x, (Mapping, tuple))


def map_arrays(function: Callable[..., Any], tree: Tree, *others: Tree) -> Tree:
    """Return a tree with the results of a function of each array, and of what stands at its place in the others."""
    if isinstance(tree, Mapping):
        return {name: map_arrays(function, one, *(other[name] for other in others)) for name, one in tree.items()}
    if isinstance(tree, tuple):
        return tuple(map_arrays(function, *ones) for ones in zip(tree, *others, strict=True))
    return function(tree, *others)


def labelled(tree: Tree, label: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each array with its place, such as ``x['tokens']`` or ``x[0]``; a single array has the label alone."""
    if isinstance(tree, Mapping):
        for name in sorted(tree):
            yield from labelled(tree[name], f"{label}[{name!r}]")
    elif isinstance(tree, tuple):
        for number, one in enumerate(tree):
            yield from labelled(one, f"{label}[{number}]")
    else:
        yield label, tree


def arrays_of(tree: Tree) -> list[Any]:
    """Return a tree's arrays, in a fixed order."""
    return [array for _, array in labelled(tree)]


def take(tree: Tree, rows: Any) -> Tree:
    """Return the rows of each array at these indices, or where a mask is true."""
    return map_arrays(lambda array: array[rows], tree)


def shape_of(tree: Tree) -> Tree:
    """Return the shape of one sample: of an array without its first axis, and a tree of such for several."""
    return map_arrays(lambda array: tuple(array.shape[1:]), tree)


def type_of(tree: Tree) -> Tree:
    """Return the type of samples, a tree of types for several."""
    return map_arrays(lambda array: np.dtype(array.dtype), tree)


def frozen(array: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
    """Return a view of an array that cannot be written through."""
    view = array.view()
    view.setflags(write=False)
    return view
