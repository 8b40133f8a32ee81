"""What commands say of run folders that are not as they were written: a line each, beside what they print."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from epochal.errors import AlteredWarning
from epochal.words.phrases import translate


@contextmanager
def alterations_told() -> Iterator[None]:
    """Print each `AlteredWarning` of the block once, on standard error; other warnings stay as they are."""
    others, told = warnings.showwarning, set[str]()

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if not issubclass(category, AlteredWarning):
            others(message, category, *place, **more)
        elif str(message) not in told:
            from epochal.words.catalogue import tell

            told.add(str(message))
            print(tell("epoch_line.warning", message=translate(str(message))), file=sys.stderr)

    with warnings.catch_warnings():
        warnings.simplefilter("always", AlteredWarning)
        warnings.showwarning = show
        yield
