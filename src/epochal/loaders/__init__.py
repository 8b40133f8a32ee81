"""Epochal's order for other people's loops: PyTorch, torchdata, Lightning, Hugging Face, Grain (docs/loaders.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from epochal.lazy import lazy_names

if TYPE_CHECKING:
    from epochal.loaders.batch_sampler import BatchSampler
    from epochal.loaders.grain_order import by_order

__all__ = ["BatchSampler", "by_order"]

_HOMES = {"BatchSampler": "batch_sampler", "by_order": "grain_order"}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
