"""Train neural networks in exact epochs, batches and iterations.

>>> from epochal import Plan
>>> Plan(samples=60_000, batch_size=100, iterations=30_000).full_epochs
50
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from epochal.lazy import lazy_names

if TYPE_CHECKING:
    from epochal.clock import Plan, Position, Span
    from epochal.config import TrainConfig
    from epochal.data import Dataset, from_arrays, from_rows, load_data, pack
    from epochal.engine import Metric
    from epochal.errors import EpochalError
    from epochal.models import Model, from_functions
    from epochal.order import Order
    from epochal.run import Callback, EarlyStop, Run, rerun, resume, train
    from epochal.study import Study, batch_sizes, compare

from epochal.version import __version__ as __version__

__all__ = [
    "Callback",
    "Dataset",
    "EarlyStop",
    "EpochalError",
    "Metric",
    "Model",
    "Order",
    "Plan",
    "Position",
    "Run",
    "Span",
    "Study",
    "TrainConfig",
    "batch_sizes",
    "compare",
    "from_arrays",
    "from_functions",
    "from_rows",
    "load_data",
    "pack",
    "rerun",
    "resume",
    "train",
]

_HOMES = {
    "Callback": "run",
    "Dataset": "data",
    "EarlyStop": "run",
    "EpochalError": "errors",
    "Metric": "engine",
    "Model": "models",
    "Order": "order",
    "Plan": "clock",
    "Position": "clock",
    "Run": "run",
    "Span": "clock",
    "Study": "study",
    "TrainConfig": "config",
    "batch_sizes": "study",
    "compare": "study",
    "from_arrays": "data",
    "from_functions": "models",
    "from_rows": "data",
    "load_data": "data",
    "pack": "data",
    "rerun": "run",
    "resume": "run",
    "train": "run",
}


__getattr__, __dir__ = lazy_names(__name__, _HOMES)
