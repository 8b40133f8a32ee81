"""Errors that the user can mend: one family, whose texts name the nearest right word."""

from __future__ import annotations

import inspect

import pytest

from epochal import errors
from epochal.errors import EpochalError, unknown_name

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, EpochalError)]


def test_there_is_one_family() -> None:
    assert {kind.__name__ for kind in KINDS} >= {"EpochalError", "PlanError", "OptionError", "DataError", "ModelError"}
    assert all(kind.__doc__ for kind in KINDS)
    assert not any(issubclass(kind, (OSError, KeyError)) for kind in KINDS), "whose str() is not their text"


@pytest.mark.parametrize("kind", KINDS)
def test_an_errors_text_is_what_it_was_given(kind: type[EpochalError]) -> None:
    assert str(kind("batch size 11 is above")) == "batch size 11 is above"


@pytest.mark.parametrize(
    ("name", "guess"),
    [
        ("mlpp", "mlp"),
        ("MLP", "mlp"),
        ("fashion_mnist", "fashion-mnist"),
        ("mnsit", "mnist"),
        ("cosin", "cosine"),
        ("", None),
        ("something else", None),
    ],
)
def test_unknown_names_suggest_the_nearest(name: str, guess: str | None) -> None:
    text = unknown_name("thing", name, ["mlp", "mnist", "fashion-mnist", "cosine"])
    assert text.startswith(f"unknown thing '{name}'{':' if guess else '.'} ")
    assert text.endswith("Known: cosine, fashion-mnist, mlp, mnist")
    assert (f"did you mean '{guess}'?" in text) if guess else ("did you mean" not in text)


def test_a_near_name_stands_for_very_many() -> None:
    many = [f"column {i}" for i in range(40)]
    assert unknown_name("thing", "Column 7", many) == "unknown thing 'Column 7': did you mean 'column 7'?"
    assert unknown_name("thing", "?", many).count("column") == 40
