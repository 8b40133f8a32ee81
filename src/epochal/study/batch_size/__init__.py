"""Which batch size? Trainings to one target with several of them, each at its own best rate, and what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from epochal.lazy import lazy_names

if TYPE_CHECKING:
    from epochal.study.batch_size.trials import BatchSizes, SizeRow

__all__ = ["BatchSizes", "SizeRow"]

_HOMES = {"BatchSizes": "trials", "SizeRow": "trials"}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
