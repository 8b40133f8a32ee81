"""Operations without a fast form are measured once, and the user is told which are slow in the training's loop."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epochal import from_functions, train
from epochal.engine.fast_forms.slow_operations import slow_operations

IMAGES = jax.ShapeDtypeStruct((32, 16, 16, 16), np.float32)
KERNEL = jax.ShapeDtypeStruct((5, 5, 16, 16), np.float32)


def convolved(kernel: Any, x: Any) -> Any:
    numbers = ("NHWC", "HWIO", "NHWC")
    return jnp.square(jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=numbers)).sum()


def nothing_has_a_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("epochal.engine.fast_forms.slow_operations"), "choose_form", lambda one: None)


def test_the_gradient_of_a_convolution_would_be_slow_without_its_form(monkeypatch: pytest.MonkeyPatch) -> None:
    assert slow_operations(jax.grad(convolved), KERNEL, IMAGES) == []
    nothing_has_a_form(monkeypatch)
    found = slow_operations(jax.grad(convolved), KERNEL, IMAGES)
    assert [one.name for one in found] == ["conv_general_dilated"]
    assert found[0].in_loop > 3 * found[0].alone
    assert "ms in a loop" in str(found[0])


def test_what_is_as_slow_alone_is_not_blamed_on_the_loop() -> None:
    def total(x: Any) -> Any:
        return jnp.cumsum(x, 1).sum()

    assert slow_operations(jax.grad(total), IMAGES) == []


def test_a_training_tells(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nothing_has_a_form(monkeypatch)

    def apply(params: Any, x: Any) -> Any:
        numbers = ("NHWC", "HWIO", "NHWC")
        kernel = jnp.broadcast_to(params["kernel"], (5, 5, 16, 16))
        wide = jnp.repeat(x[..., None], 16, axis=3)
        h = jax.lax.conv_general_dilated(wide, kernel, (1, 1), "SAME", dimension_numbers=numbers)
        return h.mean((1, 2)) @ params["w"]

    def init(key: Any) -> Any:
        return {"kernel": 0.1 * jax.random.normal(key, (5, 5, 16, 16)), "w": 0.1 * jax.random.normal(key, (16, 10))}

    run = train("digits", model=from_functions(init, apply, name="mine"), iterations=1, run=tmp_path / "r")
    said = [event.detail["message"] for event in run.history.events if event.kind == "warned"]
    assert any(message.startswith("model 'mine': 'conv_general_dilated' of") for message in said)
