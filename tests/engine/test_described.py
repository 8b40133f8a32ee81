"""Parts of programs as texts: equal for parts that do the same, and never for others."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
import optax
import pytest

from epochal.engine import METRICS, Optimizer, build_optimizer, described
from epochal.engine.described import UnknownPartError
from epochal.engine.metrics import Mean
from epochal.engine.optimizer import OPTIMIZERS, Schedule
from epochal.engine.placement import in_one_piece
from epochal.engine.precision import in_bfloat16
from epochal.engine.step import StepConfig
from epochal.engine.task import choose_loss
from epochal.models import Model, build_model
from epochal.order import Order


def text_of(part: Any) -> str:
    return described.described(part, [])


def config_of(**changes: Any) -> StepConfig:
    model, losses = build_model("mlp", (4,), 3), choose_loss(None, "classification")[1]
    config = StepConfig(model, losses, build_optimizer("adam"), Order(60), 7, 3, in_one_piece())
    return dataclasses.replace(config, **changes)


# --- every field of everything --------------------------------------------------------------------------------------

ELSE: dict[type, Any] = {int: 5, float: 0.5, str: "else", tuple: ("else",)}
"""What a field may be instead, by the type of what it is."""

OTHERS = {
    "model": build_model("mlp", (4,), 4),
    "init": build_model("mlp", (4,), 4).init,
    "apply": build_model("mlp", (4,), 3, dropout=0.5).apply,
    "losses": choose_loss("mean-squared-error", "classification")[1],
    "optimizer": build_optimizer("sgd"),
    "rule": OPTIMIZERS["sgd"].rule,
    "schedule": Schedule("cosine", 0, 100),
    "order": Order(61),
    "shards": dataclasses.replace(in_one_piece(), count=2),
    "devices": (jax.devices()[0], jax.devices()[-1], jax.devices()[0]),
    "options": {"hidden": [6]},
    "values": METRICS["mse"].values,  # type: ignore[attr-defined]
    "finish": np.sqrt,
    "figure": METRICS["recall"].figure,  # type: ignore[attr-defined]
}
"""What a field of this name may be instead."""

OF_THE_USERS_OWN = {"own", "trained"}
"""Fields that hold what no text describes: nothing is kept where they do."""


def parts_in(part: Any) -> list[Any]:
    """Return a part and all dataclasses in it, of the package's own."""
    if isinstance(part, (tuple, list)):
        return [inner for one in part for inner in parts_in(one)]
    if not dataclasses.is_dataclass(part):
        return []
    fields = [getattr(part, field.name) for field in dataclasses.fields(part)]
    return [part, *(inner for one in fields for inner in parts_in(one))]


PARTS = {
    type(part).__name__: part
    for part in parts_in((config_of(), choose_loss(None, "regression")[1], *METRICS.values(), in_one_piece()))
}


def test_these_are_the_parts_of_a_train_step_and_an_evaluation() -> None:
    """What is listed here is found by walking; a new kind of part is one more line, and is tested by that."""
    assert set(PARTS) == {
        "StepConfig",
        "Model",
        "Optimizer",
        "Schedule",
        "Order",
        "Shards",
        "Mean",
        "PerClass",
        "RocAuc",
        "R2",
    }


@pytest.mark.parametrize(
    ("part", "field"),
    [(part, field.name) for part in PARTS.values() for field in dataclasses.fields(part)],
    ids=lambda one: one if isinstance(one, str) else type(one).__name__,
)
def test_every_field_of_every_part_changes_the_text(part: Any, field: str, unchecked: None) -> None:
    value = getattr(part, field)
    other = not value if isinstance(value, bool) else OTHERS.get(field, ELSE.get(type(value), 5))
    other = object() if field in OF_THE_USERS_OWN else other
    assert other != value, "the control"
    changed = dataclasses.replace(part, **{field: other})
    if field in OF_THE_USERS_OWN or (field, other) == ("is_built_in", False):
        with pytest.raises(UnknownPartError):
            text_of(changed)
    else:
        assert text_of(changed) != text_of(part)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_option_of_every_optimizer_changes_the_text(name: str) -> None:
    texts = [text_of(build_optimizer(name))]
    for option, value in OPTIMIZERS[name].defaults.items():
        texts.append(text_of(build_optimizer(name, {option: 0.25})))
        assert value != 0.25, "the control"
    assert len(set(texts)) == len(texts)


def test_every_option_of_every_model_changes_the_text() -> None:
    """The programs that make first weights have no argument that shows the sizes."""
    options: dict[str, list[dict[str, Any]]] = {
        "linear": [{}],
        "mlp": [{}, {"hidden": (5,)}, {"hidden": (5, 5)}, {"dropout": 0.5}, {"dropout": 0.25}],
        "cnn": [{}, {"channels": (8, 8)}, {"kernel": 3}, {"hidden": (5,)}, {"dropout": 0.5}],
        "lenet": [{}],
        "rnn": [{}, {"hidden": (5,)}],
    }
    models = [build_model(name, (28, 28), 10, **some) for name, each in options.items() for some in each]
    short = [in_bfloat16(model) for model in models]
    texts = [text_of(model) for model in (*models, *short)]
    assert len(set(texts)) == len(texts)


# --- functions ------------------------------------------------------------------------------------------------------


def test_functions_without_names_in_one_line_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    here = as_of_the_package(monkeypatch)
    first, second = here("lambda x: x + 1, lambda x: x * 2")
    assert first.__qualname__ == second.__qualname__
    assert first.__code__.co_firstlineno == second.__code__.co_firstlineno
    assert text_of(first) != text_of(second)


def test_where_columns_are_not_known_they_are_not_described(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python has none with -X no_debug_ranges."""
    (one,) = as_of_the_package(monkeypatch)("lambda x: x + 1,")
    text_of(one)
    nowhere = one.__code__.replace(co_linetable=b"\xff" * 40)  # each for eight units, without a place
    with pytest.raises(UnknownPartError):
        text_of(type(one)(nowhere, one.__globals__))


@pytest.mark.parametrize("made", ["closure", "default", "keyword", "partial"])
def test_what_a_function_took_with_it_changes_the_text(monkeypatch: pytest.MonkeyPatch, made: str) -> None:
    source = {
        "closure": "(lambda rate: lambda x: x * rate)(RATE),",
        "default": "lambda x, rate=RATE: x * rate,",
        "keyword": "lambda x, *, rate=RATE: x * rate,",
        "partial": "partial(lambda x, rate: x * rate, rate=RATE),",
    }[made]
    here = as_of_the_package(monkeypatch)
    texts = {rate: text_of(here(source.replace("RATE", rate))[0]) for rate in ("0.5", "0.25")}
    assert texts["0.5"] != texts["0.25"]
    assert text_of(here(source.replace("RATE", "0.5"))[0]) == texts["0.5"], "the control"


def as_of_the_package(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[Any, ...]]:
    """Return what makes functions as a module of the package would."""
    return lambda source: eval(source, {"__name__": "epochal.invented", "partial": partial})


def test_a_function_that_holds_itself_is_not_described(monkeypatch: pytest.MonkeyPatch) -> None:
    (one,) = as_of_the_package(monkeypatch)("(lambda: (f := lambda x: f(x)))(),")
    with pytest.raises(UnknownPartError):
        text_of(one)


def test_a_function_of_the_users_own_cannot_pass_for_the_one_that_it_wraps() -> None:
    """`functools.wraps` gives it that one's module and name."""
    model = dataclasses.replace(build_model("mlp", (4,), 3))
    text_of(model)

    @functools.wraps(model.apply)
    def doubled(*arguments: Any) -> Any:
        outputs, state = model.apply(*arguments)
        return 2 * outputs, state

    @functools.wraps(optax.softmax_cross_entropy_with_integer_labels)
    def tripled(outputs: Any, targets: Any) -> Any:
        return 3 * optax.softmax_cross_entropy_with_integer_labels(outputs, targets)

    for part in (dataclasses.replace(model, apply=doubled), tripled, Mean("loss", tripled), Optimizer(rule=tripled)):
        with pytest.raises(UnknownPartError):
            text_of(part)


def test_a_model_of_the_users_own_is_not_described() -> None:
    with pytest.raises(UnknownPartError):
        text_of(Model("mlp", lambda key: ((), ()), lambda *_: ((), ()), is_built_in=True))
    with pytest.raises(UnknownPartError):
        text_of(dataclasses.replace(build_model("mlp", (4,), 3), is_built_in=False))


def test_devices_are_named_by_kind_and_noted() -> None:
    devices: list[jax.Device] = []
    text = described.described((config_of(), 5), devices)
    assert devices == [jax.devices()[0]]
    assert jax.devices()[0].device_kind in text


def test_alike_texts_are_kept_apart() -> None:
    pairs = [
        (1, True),
        ("1", 1),
        ((1,), [1]),
        (0.0, -0.0),
        (("a, b",), ("a", "b")),
        ({"a": 1}, [("a", 1)]),
        (None, "None"),
    ]
    for one, other in pairs:
        assert text_of(one) != text_of(other)
