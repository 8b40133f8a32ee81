"""The report: records in, one self-contained HTML page out. It imports no JAX and writes no file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from epochal.lazy import lazy_names

if TYPE_CHECKING:
    from epochal.report.page import render
    from epochal.report.reader import read

__all__ = ["read", "render"]

_HOMES = {"read": "reader", "render": "page"}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
