"""Data: named sets, the user's files, splits, fingerprints; NumPy only, and never JAX.

`registry` knows names and sizes from the standard library alone; everything that holds arrays is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from epochal.lazy import lazy_names

if TYPE_CHECKING:
    from epochal.data.arrays import from_arrays
    from epochal.data.dataset import Dataset, Preprocessing
    from epochal.data.generated import from_rows
    from epochal.data.loading import load_data
    from epochal.data.packing.pack import pack
    from epochal.data.registry import Available, Description, available, describe
    from epochal.data.split import Split

__all__ = [
    "Available",
    "Dataset",
    "Description",
    "Preprocessing",
    "Split",
    "available",
    "describe",
    "from_arrays",
    "from_rows",
    "load_data",
    "pack",
]

_HOMES = {
    "Available": "registry",
    "Dataset": "dataset",
    "Description": "registry",
    "Preprocessing": "dataset",
    "Split": "split",
    "available": "registry",
    "describe": "registry",
    "from_arrays": "arrays",
    "from_rows": "generated",
    "load_data": "loading",
    "pack": "packing.pack",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
