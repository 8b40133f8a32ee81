"""How what a user has becomes stored samples: the columns of a table, or pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from epochal.data.tables.encoding import TableEncoding
from epochal.errors import DataError


@dataclass(frozen=True, slots=True)
class PictureEncoding:
    """How a picture of any size becomes a sample: uint8 ``(height, width)`` if grey, else ``(height, width, 3)``."""

    size: tuple[int, int]
    grey: bool

    def describe(self) -> list[tuple[str, str]]:
        """Return what is done to a picture, for people."""
        height, width = self.size
        return [("pictures", f"{height}×{width}, {'grey' if self.grey else 'red, green and blue'}")]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"kind": "pictures", "size": list(self.size), "grey": self.grey}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> PictureEncoding:
        """Read `to_dict`'s result. Raises `KeyError`, `TypeError`, `ValueError` or `DataError` where it is damaged."""
        height, width = (int(side) for side in content["size"])
        if not (1 <= height <= 2**14 and 1 <= width <= 2**14):
            raise DataError(f"pictures of {height}×{width} pixels")
        return cls((height, width), bool(content["grey"]))


Encoding: TypeAlias = TableEncoding | PictureEncoding


def read_encoding(content: Mapping[str, Any]) -> Encoding:
    """Read what an encoding's ``to_dict`` returned."""
    kinds: dict[str, type[TableEncoding] | type[PictureEncoding]] = {
        "table": TableEncoding,
        "pictures": PictureEncoding,
    }
    return kinds[content["kind"]].from_dict(content)
