"""Names of the built-in models, with the sizes of their hidden layers where they have some: ``mlp:300-100``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from epochal.errors import OptionError

MODEL_NAMES: Final = ("linear", "mlp", "cnn", "lenet", "rnn")
_SIZED: Final = ("mlp", "rnn")
_SIZES: Final = re.compile(r"[1-9][0-9]{0,8}(-[1-9][0-9]{0,8})*")


@dataclass(frozen=True, slots=True)
class ModelName:
    """A model's name, and the sizes that stand behind it.

    Attributes:
        base: the name alone; that of a model of the user's own, ``file.py:function``, is whole.
        hidden: sizes of the hidden layers; ``None`` where none are given.
    """

    base: str
    hidden: tuple[int, ...] | None = None


def read_model_name(text: str) -> ModelName:
    """Return what a model's name says.

    >>> read_model_name("mlp:300-100"), read_model_name("cnn")
    (ModelName(base='mlp', hidden=(300, 100)), ModelName(base='cnn', hidden=None))

    Raises `OptionError` for sizes that are none, or of a built-in model that takes none.
    """
    base, colon, sizes = text.partition(":")
    if not colon or base not in MODEL_NAMES:
        return ModelName(text)
    if base not in _SIZED:
        raise OptionError(
            f"{base} takes no sizes behind its name, got '{text}'; mlp and rnn do, such as mlp:300-100; for cnn, write "
            "--set channels=6,16 and --hidden 120,84"
        )
    if not _SIZES.fullmatch(sizes):
        raise OptionError(f"the sizes in '{text}' must be whole numbers of at least 1 with - between them: {base}:300")
    return ModelName(base, tuple(map(int, sizes.split("-"))))
