"""The study room: many runs, one question. Comparisons of runs, and the landscape that they walk through."""

from __future__ import annotations

from typing import TYPE_CHECKING

from epochal.lazy import lazy_names

if TYPE_CHECKING:
    from epochal.study.comparison import compare, resume_study
    from epochal.study.study import Study

__all__ = ["Study", "compare", "resume_study"]

_HOMES = {
    "Study": "study",
    "compare": "comparison",
    "resume_study": "comparison",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
