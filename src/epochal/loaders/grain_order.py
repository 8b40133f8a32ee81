"""Epochal's order as a Grain `MapDataset`. Grain is imported when it is used."""

from __future__ import annotations

from functools import cache
from typing import Any

from epochal.errors import OptionError
from epochal.order import Order

_BLOCK = 16_384


def by_order(dataset: Any, *, seed: int = 0) -> Any:
    """Return a `grain.MapDataset` that visits another's elements in Epochal's order, each exactly once in every epoch.

    Use it in place of Grain's ``shuffle``, before ``batch``; ``repeat`` after ``batch`` gives the next epochs, each in
    an order of its own.

    Args:
        dataset: a `grain.MapDataset`, or a source: anything with ``len`` and ``[]``.
        seed: of the order, as `epochal.Order` takes it.

    Raises:
        OptionError: where Grain is not installed.
    """
    grain = _import_grain()
    known = isinstance(dataset, grain.MapDataset)
    return _order_class()(dataset if known else grain.MapDataset.source(dataset), seed)


def _import_grain() -> Any:
    try:
        import grain
    except ImportError:
        raise OptionError("this needs the package grain, which is not installed: pip install grain") from None
    return grain


@cache
def _order_class() -> Any:
    """Return the class, which can only be made where Grain is."""

    class ByOrder(_import_grain().MapDataset):  # type: ignore[misc]
        """Elements of the parent in an epoch's order."""

        def __init__(self, parent: Any, seed: int) -> None:
            super().__init__(parent)
            self._order = Order(len(parent), seed)
            self._block: tuple[tuple[int, int], Any] | None = None

        def __len__(self) -> int:
            return self._order.samples

        def __getitem__(self, index: Any) -> Any:
            if isinstance(index, slice):
                return self.slice(index)
            epoch, place = divmod(index, len(self))
            block, within = divmod(place, _BLOCK)

            # Grain reads in threads: what is read here is one tuple, whole, whoever replaces it meanwhile
            held = self._block
            if held is None or held[0] != (epoch, block):
                first = block * _BLOCK
                indices = self._order.indices(epoch, first, min(first + _BLOCK, len(self)))
                held = self._block = ((epoch, block), indices)
            return self._parent[int(held[1][within])]

    return ByOrder
