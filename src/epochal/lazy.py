"""Names that are imported when first asked for (PEP 562), so that importing a package stays light."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` for a package whose public names live in the modules ``homes``.

    >>> get, names = lazy_names("epochal", {"Plan": "clock"})
    >>> get("Plan").__name__, names()
    ('Plan', ['Plan'])
    """

    def get(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        return getattr(import_module(f"{package}.{homes[name]}"), name)

    def names() -> list[str]:
        return sorted(homes)

    return get, names


def drawn_by(place: str, *what: Any, **options: Any) -> Any:
    """Call a function of the room that draws things for people, ``epochal.notebook``, by its name.

    A record knows how it is shown only by this name, as a plug-in is known: nothing of it is imported before somebody
    looks, and the record's own room needs nothing that stands above it.

    >>> from epochal.clock import Plan
    >>> drawn_by("shown:plan", Plan(60_000, 100))[:20]
    '<div class="epochal"'
    """
    module, _, name = place.partition(":")
    return getattr(import_module(f"epochal.notebook.{module}"), name)(*what, **options)
