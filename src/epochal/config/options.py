"""How an option is declared: once, as a dataclass field with its help, its kind of value and what else depends on it.

The command line, the configuration's checks, its documentation and its file are all made from these declarations.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

from epochal.clock import Span, Unit
from epochal.counts import parse_count, shortened, shown
from epochal.errors import OptionError, PlanError, unknown_name
from epochal.files import is_utf8
from epochal.size_schedule import read_adaptive, read_batch_sizes

T = TypeVar("T")
Reader: TypeAlias = Callable[[str, Any], Any]
Part: TypeAlias = Literal[
    "data", "model", "batches and budget", "optimizer", "comparison", "run", "landscape", "options"
]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value.

    Attributes:
        read: takes an option's name and a value, from Python or as text, and returns the value as it is kept. Raises
            `OptionError` or `PlanError` for any other.
        metavar: what stands for the value in a command's help.
        words: how many words of a command line make it: ``"none"`` for a switch.
        known: words that it may be, which a shell completes.
        joins: a sign by which a part of text with commas belongs to the part before it, as in ``1,100,200@10ep``.
    """

    read: Reader
    metavar: str = ""
    words: Literal["none", "one", "many"] = "one"
    known: tuple[str, ...] = ()
    joins: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """What is known of an option beside its name and its default.

    Attributes:
        help: a sentence or two.
        default: what the help says of the default; ``""`` for nothing.
        part: the heading under which a command's help lists it.
        flag: its name on the command line, where that differs.
        short: a letter that stands for its name there.
        resume: whether a run may change it at any position.
        optimizers: the optimizers that read it; all where empty.
        positional: whether a command takes it without ``--name``.
        required: whether a command needs it.
        optional: whether it may be ``None``.
    """

    help: str
    kind: Kind
    default: str = ""
    part: Part = "options"
    flag: str = ""
    short: str = ""
    resume: bool = False
    optimizers: tuple[str, ...] = ()
    positional: bool = False
    required: bool = False
    optional: bool = False

    def read(self, name: str, value: Any) -> Any:
        """Return a value as it is kept. Raises `OptionError` or `PlanError` for one that cannot be meant."""
        return None if value is None and self.optional else self.kind.read(name, value)

    @property
    def text(self) -> str:
        """The whole help text, the default included, in English."""
        return f"{self.help} Default: {self.default}." if self.default else self.help


def option(default: Any, help: str, kind: Kind, *, text: str | None = None, **more: Any) -> Any:  # noqa: A002
    """Declare an option as a dataclass field; `MISSING` is the default of one that must be given.

    The help states the default itself, or ``text`` where the default is ``None`` and something is chosen. ``more`` are
    fields of `Option`.
    """
    if text is None:
        text = "" if default is None or default is MISSING or isinstance(default, bool) else _as_text(default)
    needed, optional = default is MISSING, default is None
    declared = Option(help=help, kind=kind, default=text, required=needed, optional=optional, **more)
    return dataclasses.field(default=default, metadata={"option": declared})


def options_of(kind: type) -> dict[str, Option]:
    """Return the options that a dataclass declares, by name."""
    return {field.name: field.metadata["option"] for field in dataclasses.fields(kind) if "option" in field.metadata}


def read_options(options: Mapping[str, Option], values: Mapping[str, Any], what: str = "option") -> dict[str, Any]:
    """Return values by name as they are kept. Raises what their kinds raise, and `OptionError` for an unknown name."""
    for name in values:
        if name not in options:
            raise OptionError(unknown_name(what, name, options))
    return {name: options[name].read(name, value) for name, value in values.items()}


def check_options(config: Any) -> None:
    """Read every option of a frozen dataclass again, so that each is of its kind, whoever made it."""
    for name, one in options_of(type(config)).items():
        value = one.read(name, getattr(config, name))
        _check_letters(name, value)
        object.__setattr__(config, name, value)


def _check_letters(name: str, value: Any) -> None:
    """Raise `OptionError` for the name of a file that is no text: what is recorded of a training is."""
    if isinstance(value, Mapping):
        value = [*value, *value.values()]
    if isinstance(value, (list, tuple)):
        for one in value:
            _check_letters(name, one)
    if isinstance(value, str) and not is_utf8(value):
        raise OptionError(f"{name}: '{value}' has bytes that are no UTF-8, which no record can keep; rename it")


def documented(kind: type[T]) -> type[T]:
    """Add the options of a dataclass to its docstring."""
    lines = (f"        {name}: {one.text}" for name, one in options_of(kind).items())
    kind.__doc__ = "\n".join([f"{kind.__doc__ or ''}\n    Attributes:", *lines, "    "])
    return kind


def written(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as a TOML file holds them, which knows neither ``None`` nor tuples."""
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    return {name: value for name, value in plain.items() if value is not None}


# --- kinds of values ------------------------------------------------------------------------------------------------


def text(what: str = "text", metavar: str = "NAME", *, known: tuple[str, ...] = ()) -> Kind:
    """Return the kind of text, or of a path in text; ``known`` are some of its values."""

    def read(name: str, value: Any) -> str:
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        if not isinstance(value, str) or not value:
            raise OptionError(f"{name} must be {what}, got {shown(value)}")
        return value

    return Kind(read, metavar, known=known)


def choice(*choices: str) -> Kind:
    """Return the kind of one of some words."""

    def read(name: str, value: Any) -> str:
        if not isinstance(value, str) or value not in choices:
            raise OptionError(f"{name} must be one of {', '.join(choices)}, got {shown(value)}")
        return value

    return Kind(read, "|".join(choices), known=choices)


MOST_RUNS = 100_000
"""Of one study, seeds or processes: a list of so many is made at once."""


def count(metavar: str = "N", *, at_least: int = 1, at_most: int | None = None) -> Kind:
    """Return the kind of exact whole numbers, NumPy's and those in text included."""
    return Kind(lambda name, value: parse_count(name, value, at_least=at_least, at_most=at_most), metavar)


def number(metavar: str, limits: str, is_within: Callable[[float], bool]) -> Kind:
    """Return the kind of finite numbers within limits, NumPy's and those in text included."""

    def read(name: str, value: Any) -> float:
        try:
            # a truth value and an array have a float too, but nobody means it
            is_other = _is_bool(value) or getattr(value, "ndim", 0) > 0
            result = math.nan if is_other else float(value)
        except (TypeError, ValueError, OverflowError):
            result = math.nan
        if not (math.isfinite(result) and is_within(result)):
            raise OptionError(f"{name} must be a finite number {limits}, got {shown(value)}")
        return result

    return Kind(read, metavar)


def _read_switch(name: str, value: Any) -> bool:
    if not _is_bool(value):
        raise OptionError(f"{name} must be True or False, got {shown(value)}")
    return bool(value)


def _read_length(name: str, value: Any) -> str:
    try:
        return str(value if isinstance(value, Span) else Span.parse(value if isinstance(value, str) else shown(value)))
    except PlanError as error:
        raise PlanError(f"{name}: {error}") from None


def _read_warmup(name: str, value: Any) -> str:
    length = _read_length(name, value)
    if Span.parse(length).unit is Unit.MILLISECONDS:
        raise OptionError(f"{name} must be epochs, iterations or samples, got {length}; write 1ep, 500it or 50000sa")
    return length


def _read_batch_size(name: str, value: Any) -> int | str:
    if isinstance(value, str) and read_adaptive(value) is not None:
        return value.strip()
    if isinstance(value, Mapping) or (isinstance(value, str) and "@" in value):
        return ",".join(map(str, read_batch_sizes(value)))
    if not isinstance(value, str):
        return parse_count(name, value)
    try:
        return "all" if value.strip() == "all" else parse_count(name, value)
    except PlanError as error:
        raise PlanError(f"{error}; write 'all' for the whole training set") from None


def _read_seed(name: str, value: Any) -> int:
    seed = parse_count(name, value, at_least=None)
    if not 0 <= seed < 2**64:
        raise OptionError(f"{name} must be 0 to 2**64 - 1, got {shortened(seed)}")
    return seed


def _read_order(name: str, value: Any) -> str | None:
    """Return an order as it is kept: ``None`` is the exact one."""
    if value == "exact":
        return None
    if value == "blocks":
        return "blocks"
    if not isinstance(value, str) or not value.startswith("blocks:"):
        raise OptionError(f"{name} must be exact or blocks, got {shown(value)}")

    from epochal.block_order import BlockSize  # NumPy, which the command line's help does without

    return f"blocks:{BlockSize.parse(value.removeprefix('blocks:'))}"


def _read_sizes(name: str, value: Any) -> tuple[int, ...]:
    try:
        sizes: tuple[int, ...] = several(count()).read(name, value)
    except PlanError:
        sizes = ()
    if not sizes:
        given = f"'{' '.join(map(str, value))}'" if isinstance(value, list) else shown(value)
        raise OptionError(f"{name} must be one or more whole numbers of at least 1, got {given}")
    return sizes


def _read_settings(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {str(key): list(one) if isinstance(one, tuple) else one for key, one in value.items()}
    settings = {}
    for word in listed(value):
        key, sign, content = str(word).partition("=")
        if not key or not sign:
            raise OptionError(f"{name} must be NAME=VALUE, such as kernel=3, got {shown(word)}")
        settings[key.replace("-", "_")] = _from_text(content)
    return settings


def _from_text(content: str) -> Any:
    """Return what a text means: a number, a truth value, several of them with commas, or itself."""
    if "," in content:
        return [_from_text(part) for part in content.split(",") if part]
    try:
        return json.loads(content)
    except (ValueError, RecursionError):  # the second for brackets in brackets
        return content


SWITCH = Kind(_read_switch, words="none")
LENGTH = Kind(_read_length, "LENGTH")
WARMUP = Kind(_read_warmup, "LENGTH")
BATCH_SIZE = Kind(_read_batch_size, "B", joins="@")
SEED = Kind(_read_seed, "N")
ORDER = Kind(_read_order, "exact|blocks", known=("exact", "blocks"))
SIZES = Kind(_read_sizes, "N,…", "many")
SETTINGS = Kind(_read_settings, "NAME=VALUE …", "many")
FOLDER = Kind(lambda name, value: Path(text("a path").read(name, value)), "FOLDER")
FILE = Kind(FOLDER.read, "FILE")
PATHS = Kind(lambda name, value: tuple(FOLDER.read(name, one) for one in value), "FILE …", "many")


def _read_part(name: str, value: Any) -> str:
    if isinstance(value, (str, os.PathLike)) and not _is_numeric(str(value)):
        return str(FILE_NAME.read(name, value))
    share = number("SHARE", "above 0 and below 1 (0.2 for a fifth), or a file", lambda share: 0 < share < 1)
    return f"{share.read(name, value):.12g}"


def _is_numeric(content: str) -> bool:
    try:
        float(content)
    except ValueError:
        return False
    return True


def _read_names(name: str, value: Any) -> str:
    """Return a name; several, from Python, with commas between them."""
    names = text("a column's name")
    if isinstance(value, (list, tuple)) and value:
        value = ",".join(str(names.read(name, one)) for one in value)
    return str(names.read(name, value))


FILE_NAME = text("a share such as 0.2, or a file")
PART = Kind(_read_part, "SHARE|FILE")
NAME_OR_NAMES = Kind(_read_names, "COLUMN")


def several(kind: Kind, metavar: str = "A,B,…", words: Literal["one", "many"] = "one") -> Kind:
    """Return the kind of a list whose entries are of another kind: a sequence, text with commas, or a single value."""

    def read(name: str, value: Any) -> tuple[Any, ...]:
        given = (value,) if isinstance(value, str) else listed(value)
        entries = (_parts(entry, kind.joins) if isinstance(entry, str) else (entry,) for entry in given)
        return tuple(kind.read(name, one) for entry in entries for one in entry)

    return Kind(read, metavar, words, kind.known)


COLUMNS = several(text("a column's name"), "COLUMN,…", "one")


def listed(value: Any) -> tuple[Any, ...]:
    """Return a list's entries: those of a sequence, of text with commas, or one single value.

    >>> listed("1,100,all"), listed([1, 100]), listed(0.1)
    (('1', '100', 'all'), (1, 100), (0.1,))
    """
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    is_single = not isinstance(value, Iterable) or isinstance(value, (bytes, Mapping)) or getattr(value, "ndim", 1) == 0
    return (value,) if is_single else tuple(value)


def _parts(content: str, joins: str) -> tuple[str, ...]:
    """Return the parts of text with commas; one with the sign ``joins`` stays with the part before it.

    >>> _parts("1, 100,200@10ep, all", "@")
    ('1', '100,200@10ep', 'all')
    """
    parts: list[str] = []
    for part in listed(content):
        if joins and joins in part and parts:
            parts[-1] += f",{part}"
        else:
            parts.append(part)
    return tuple(parts)


def _is_bool(value: Any) -> bool:
    """Return whether it is a truth value, Python's or NumPy's."""
    return isinstance(value, bool) or (str(getattr(value, "dtype", "")) == "bool" and not value.ndim)


def _as_text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
