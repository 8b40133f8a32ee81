"""Many runs, one question: comparisons, and the search for a learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from epochal.lazy import lazy_names

if TYPE_CHECKING:
    from epochal.study.batch_size.ask import batch_sizes
    from epochal.study.comparison import compare, resume_study
    from epochal.study.landscapes import landscape_of
    from epochal.study.lessons.teaching import lesson
    from epochal.study.runner import StudyCallback
    from epochal.study.study import Study

__all__ = ["Study", "StudyCallback", "batch_sizes", "compare", "landscape_of", "lesson", "resume_study"]

_HOMES = {
    "Study": "study",
    "StudyCallback": "runner",
    "batch_sizes": "batch_size.ask",
    "compare": "comparison",
    "landscape_of": "landscapes",
    "lesson": "lessons.teaching",
    "resume_study": "comparison",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
