"""What an iteration changes, its fingerprint, and keys that are pure functions of seed and purpose."""

from __future__ import annotations

import hashlib
from itertools import product

import jax
import numpy as np
import pytest
from workbench import engine_for, labelled, linear

from epochal.engine import named_leaves
from epochal.engine.state import INITIAL_WEIGHTS, TRAINING_NOISE, purpose_key
from epochal.record.checkpoint_file import weights_sha256

ARRAYS = {
    ".params['b']": np.arange(3, dtype=np.float32),
    ".params['a']": np.ones((2, 2), np.float32),
    ".optimizer_state[0].count": np.array(7, np.int32),
}


def test_keys_of_every_seed_and_purpose_are_different() -> None:
    """Also of seeds that are alike in one half, and where seed and purpose have the same sum."""
    seeds = [0, 1, 2, 3, 2**32, 2**32 + 1, 2**63, 2**64 - 1]
    keys = {tuple(jax.random.key_data(purpose_key(*pair)).tolist()) for pair in product(seeds, (1, 2, 3))}
    assert len(keys) == len(seeds) * 3
    assert INITIAL_WEIGHTS != TRAINING_NOISE


def test_leaves_have_the_names_of_their_paths_in_the_trees_order() -> None:
    state = engine_for(linear(), labelled()).initial_state()
    assert list(named_leaves(state)) == [".params['bias']", ".params['matrix']"]
    assert all(type(leaf) is np.ndarray for leaf in named_leaves(state).values())


def test_fingerprint_is_that_of_names_types_shapes_and_bytes() -> None:
    text = b".params['a'] <f4 (2, 2)\n" + ARRAYS[".params['a']"].tobytes()
    text += b".params['b'] <f4 (3,)\n" + ARRAYS[".params['b']"].tobytes()
    assert weights_sha256(ARRAYS) == hashlib.sha256(text).hexdigest()


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({".optimizer_state[0].count": np.array(8, np.int32)}, True),
        ({".params['a']": np.asfortranarray(np.ones((2, 2), np.float32))}, True),
        ({".params['a']": np.ones((4, 1), np.float32)}, False),
        ({".params['a']": np.ones((2, 2), np.int32)}, False),
        ({".params['a']": np.full((2, 2), np.nextafter(np.float32(1), np.float32(2)))}, False),
        ({".params['b']": np.array([-0.0, 1, 2], np.float32)}, False),
        ({".params['c']": np.zeros(0, np.float32)}, False),
    ],
)
def test_fingerprint_tells_every_change_of_the_weights_and_no_other(change: dict[str, np.ndarray], same: bool) -> None:
    assert (weights_sha256({**ARRAYS, **change}) == weights_sha256(ARRAYS)) is same


def test_fingerprint_does_not_depend_on_the_order_of_the_arrays() -> None:
    assert weights_sha256(dict(reversed(ARRAYS.items()))) == weights_sha256(ARRAYS)
