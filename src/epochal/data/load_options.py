"""What the user may say of data of their own, beside where they are."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from epochal.config.train_config import Task
from epochal.data.splitting import Fold
from epochal.data.tables.from_table import TableOptions
from epochal.errors import DataError, OptionError, unknown_name

What: TypeAlias = Literal["table", "arrays", "pictures", "named", "pack"]

_FOR: dict[str, tuple[What, ...]] = {
    "target": ("table",),
    "features": ("table",),
    "drop": ("table",),
    "categorical": ("table",),
    "no_header": ("table",),
    "encoding": ("table",),
    "test": ("table", "arrays", "pictures"),
    "validation": ("table", "arrays", "pictures", "named", "pack"),
    "fold": ("table", "arrays", "pictures", "named", "pack"),
    "task": ("table", "arrays"),
    "image_size": ("pictures",),
    "grey": ("pictures",),
}
_ARE = {
    "table": "tables",
    "arrays": "arrays",
    "pictures": "folders of pictures",
    "named": "named data sets",
    "pack": "packs",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """How data are to be taken.

    Attributes:
        target: of a table, the target column; several with commas. Default: the last.
        features: of a table, the columns to use. Default: all others.
        drop: of a table, columns to leave out.
        categorical: of a table, columns whose values are categories, even if they are numbers.
        no_header: whether a table has no line of column names, which it may look like.
        encoding: of a table in text.
        test: a file of test samples, or their share of all samples. Default: what the data bring, else 0.2.
        validation: a file of validation samples, or their share of the training samples. Default: none.
        image_size: of pictures, ``(height, width)``. Default: their own if it is one and small, else 64 × 64.
        grey: whether pictures are made grey. Default: if all are.
        fold: ``"2/5"``: the second fifth of the samples is the test set. Default: what ``test`` says.
        task: ``"classification"`` or ``"regression"``, where the targets can be taken as either.
        seed: of the splits.
        as_digits: whether pictures are photographs of handwritten digits, to be made like MNIST's.
        as_given: whether integers stay integers and channels stay where they are, for a model of the user's own.
    """

    target: str | Sequence[str] | None = None
    features: Sequence[str] | None = None
    drop: Sequence[str] | None = None
    categorical: Sequence[str] | None = None
    no_header: bool = False
    encoding: str | None = None
    test: Any = None
    validation: Any = None
    fold: str | None = None
    image_size: tuple[int, ...] | None = None
    grey: bool = False
    task: Task | None = None
    seed: int = 0
    as_digits: bool = False
    as_given: bool = False

    @classmethod
    def of(cls, given: dict[str, Any]) -> LoadOptions:
        """Return options by name. Raises `OptionError` for an unknown one."""
        names = [field.name for field in dataclasses.fields(cls)]
        for name in given:
            if name not in names:
                raise OptionError(unknown_name("option of load_data", name, names))
        return cls(**given)

    def with_test(self, test: Any) -> LoadOptions:
        """Return the options with a test split that came with the data."""
        if self.test is not None:
            raise DataError(f"the data bring their own test samples; leave out test={self.test}")
        return dataclasses.replace(self, test=test)

    @property
    def held_out(self) -> Any:
        """The test split: a share, a file or samples; of a cross-validation, a `Fold`; ``None`` if nothing is said."""
        if self.fold is None:
            return as_share(self.test)
        if self.test is not None:
            raise DataError(f"a cross-validation chooses the test samples; leave out test={self.test}")
        return Fold.parse(self.fold)

    @property
    def of_table(self) -> TableOptions:
        """What is said of a table's columns."""
        features, drop, categorical = (_names(one) for one in (self.features, self.drop, self.categorical))
        return TableOptions(self.target, features, drop, categorical, self.task)

    def check(self, source: object, what: What) -> None:
        """Raise `DataError` for an option that has no effect on what the data are."""
        for name, fitting in _FOR.items():
            if _is_given(getattr(self, name)) and what not in fitting:
                kinds = " and ".join(_ARE[one] for one in fitting)
                raise DataError(f"{name} is for {kinds}; {source} is none of them; leave it out")


def _is_given(value: Any) -> bool:
    return value is not None and value is not False and not (isinstance(value, (list, tuple)) and not value)


def _names(value: Sequence[str] | str | None) -> tuple[str, ...]:
    if value is None:
        return ()
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else tuple(value)


def as_file(value: Any) -> Path | None:
    """Return a split that is given as a file's path; ``None`` for a share, or samples themselves."""
    if isinstance(value, (str, os.PathLike)):
        try:
            float(os.fspath(value))
        except ValueError:
            return Path(value).expanduser()
    return None


def as_share(value: Any) -> Any:
    """Return a share that may be given as text as a number; everything else as it is."""
    return float(value) if isinstance(value, str) and as_file(value) is None else value
