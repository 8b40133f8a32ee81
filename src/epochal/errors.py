"""What a user can fix: one small family of exceptions, and how they name the nearest right word."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from epochal.words.language import present_language
from epochal.words.phrases import translate
from epochal.words.plain_text import one_line, plain_text

_LONGEST_NAME = 200
_MANY_NAMES = 16  # of which a near one says enough
_LONGEST = 1_500  # letters of what is wrong with data; a file's names may be of any length


class EpochalError(Exception):
    """Something that the user can fix; its text says what, with which values, the likely cause and the fix.

    The command line prints the text in a line or two and exits with status 2. Any other exception is a bug. The text is
    English; where another language is spoken, a traceback has the translation as a note.
    """

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        if present_language() != "en" and (translation := translate(str(self))) != str(self):
            self.add_note(translation)

    def __str__(self) -> str:
        """Return its text, in which no name of a file or of a class acts on the terminal."""
        return plain_text(super().__str__())


class PlanError(EpochalError, ValueError):
    """Numbers that cannot be a training plan, such as a batch size above the number of samples."""


class OptionError(EpochalError, ValueError):
    """An option that does not exist, or whose value is out of range."""


class DataError(EpochalError, ValueError):
    """Data that are missing, damaged, or not what they should be; in one line, whatever a value or a name holds."""

    def __str__(self) -> str:
        """Return its text, in which a newline of a value is a picture of itself, and whose end is cut off."""
        said = one_line(super().__str__())
        return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"


class ModelError(EpochalError, ValueError):
    """A model that does not fit its data or its training."""


class RunError(EpochalError):
    """A run folder that is missing, in use, damaged, or cannot be written."""


class DivergedError(EpochalError, ValueError):
    """A training whose loss or weights are no longer finite."""


class AlteredWarning(UserWarning):
    """A run folder that is not as it was written: what it shows may not be what was trained."""


def spent_memory(error: BaseException) -> EpochalError | None:
    """Return what an error means that says that memory is spent, Python's, NumPy's or JAX's; ``None`` for others."""
    of_jax = re.search(r"out of memory|resource_exhausted", str(error), re.IGNORECASE)
    if not isinstance(error, MemoryError) and not (isinstance(error, RuntimeError) and of_jax):
        return None

    asked = re.search(r"allocat\w+ (\d+) bytes", str(error))
    more = f"{int(asked[1]) / 1e9:,.2f} GB or more" if asked else "a part"
    return EpochalError(
        f"there is not enough memory: {more} of what is needed could not be had; take a smaller model, slices of a "
        "batch (--micro-batch) or a part of the data, or allow more memory"
    )


def brief(error: BaseException, most: int = 200) -> str:
    r"""Return what another library says of a failure in a line: it may quote a whole file, and end in a list of places.

    >>> brief(ValueError("no number:\n  'aaaa'"))
    "no number: 'aaaa'"
    """
    return shortened_line(str(error), most) or type(error).__name__


def shortened_line(text: str, most: int = 200) -> str:
    """Return a text in a line of at most so many letters."""
    said = " ".join(text.split())
    return said if len(said) <= most else f"{said[: most - 1]}…"


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Return the text for an unknown name: the nearest known one where one is near, and all unless they are many.

    >>> unknown_name("model", "cmn", ["mlp", "cnn"])
    "unknown model 'cmn': did you mean 'cnn'? Known: cnn, mlp"
    """
    names = sorted(known)
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    asked = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
    if not near:
        return f"unknown {kind} '{asked}'. Known: {', '.join(names)}"
    if len(names) > _MANY_NAMES:
        return f"unknown {kind} '{asked}': did you mean '{near[0]}'?"
    return f"unknown {kind} '{asked}': did you mean '{near[0]}'? Known: {', '.join(names)}"
