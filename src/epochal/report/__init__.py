"""The report room: records in, one self-contained HTML page out. It reads and writes no file of the user's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from epochal.lazy import lazy_names

if TYPE_CHECKING:
    from epochal.report.page import render

__all__ = ["render"]

_HOMES = {"render": "page"}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
