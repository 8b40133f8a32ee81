"""`epochal data`: lists, downloads and describes data sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from epochal.cli.arguments import given, json_option
from epochal.config.options import option, text
from epochal.config.train_config import TRAIN, TrainConfig

if TYPE_CHECKING:
    from rich.console import Console

    from epochal.data import Dataset

LOADING = {name: one for name, one in TRAIN.items() if one.part == "data" and name != "data"}
"""The options that say how data are to be taken."""

_SHOWN = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class DataCommand:
    """List the data sets that have a name, or load (and download, if need be) and describe one of any kind.

    Example: epochal data mnist

    epochal data pack SOURCE FOLDER packs a data set of any size for training from the disk; epochal data verify PACK
    checks every row of a pack. Each has --help.
    """

    name: str | None = option(
        None, "A data set's name, or your own file or folder.", text("a name or a path", "DATA"),
        text="lists all names", positional=True,
    )  # fmt: skip
    given: Mapping[str, Any] = given(LOADING)
    json: bool = json_option()

    def execute(self) -> int:
        """Print the list or the description."""
        return self._list() if self.name is None else self._show(self.name)

    def _list(self) -> int:
        from epochal.cli.fitted_tables import Column, print_table
        from epochal.cli.screen import open_console, print_json
        from epochal.data import available
        from epochal.words.catalogue import tell

        sets = available()
        if self.json:
            keys = ("name", "title", "train", "test", "sample_shape", "source", "licence")
            print_json([{**{key: getattr(one.description, key) for key in keys}, "state": one.state} for one in sets])
            return 0

        columns = (
            Column(tell("dataset.name"), is_text=True, folds=True),
            Column(tell("dataset.training")),
            Column(tell("dataset.test")),
            Column(tell("dataset.shape"), is_text=True, folds=True),
            Column(tell("dataset.where"), is_text=True, folds=True),
        )
        states = {
            "embedded": "dataset.embedded",
            "made on first use": "dataset.made",
            "cached": "dataset.cached",
            "from EPOCHAL_DATA": "dataset.own",
            "needs download": "dataset.download",
        }

        # a line for each
        rows = [
            (
                one.description.name,
                f"{one.description.train:,}",
                f"{one.description.test:,}",
                "×".join(map(str, one.description.sample_shape)),
                tell(states[one.state]),
            )
            for one in sets
        ]
        print_table(open_console(), columns, rows)
        return 0

    def _show(self, name: str) -> int:
        from epochal.cli.load import load_with_progress
        from epochal.cli.screen import open_console, print_json
        from epochal.data.registry import DATA_SETS
        from epochal.data.trees import map_arrays

        console = open_console()
        data = load_with_progress(console, name, **TrainConfig(**self.given).loading)
        facts = {
            "name": data.name,
            "training samples": len(data.train),
            "test samples": len(data.test),
            "sample shape": map_arrays(lambda array: list(array.shape[1:]), data.train.layout.x),
            "stored as": map_arrays(lambda array: str(array.dtype), data.train.layout.x),
            "task": data.task,
            "classes": None if data.class_names is None else list(data.class_names),
            "megabytes": round(data.nbytes / 1e6, 1),
            "fingerprint": data.fingerprint,
        }

        if name in DATA_SETS:
            about = DATA_SETS[name]
            facts |= {"title": about.title, "source": about.source, "licence": about.licence}
        if data.encoding is not None:
            facts["columns"] = dict(data.encoding.describe())
        if data.notes:
            facts["notes"] = list(data.notes)

        if self.json:
            print_json(facts)
            return 0
        _print_facts(facts, console)
        print_data(data, console)
        return 0


def _print_facts(facts: Mapping[str, Any], console: Console) -> None:
    """Print a line for each fact that has a name in words, the names in a column."""
    from epochal.cli.text_lines import print_labelled
    from epochal.words.catalogue import tell
    from epochal.words.layout import cells, padded

    labels = {
        "name": tell("dataset.name"),
        "training samples": tell("dataset.training_samples"),
        "test samples": tell("dataset.test_samples"),
        "sample shape": tell("dataset.sample_shape"),
        "stored as": tell("dataset.stored"),
        "task": tell("dataset.task"),
        "classes": tell("dataset.classes"),
        "megabytes": tell("dataset.megabytes"),
        "fingerprint": tell("dataset.fingerprint"),
        "title": tell("dataset.title"),
        "source": tell("dataset.source"),
        "licence": tell("dataset.licence"),
    }

    width = max(cells(labels[key]) for key in facts if key in labels)
    for key, value in facts.items():
        if key in labels and value is not None:
            print_labelled(console, padded(labels[key], width), _in_words(key, value, facts["name"]))


def _in_words(key: str, value: Any, name: str) -> str:
    """Return what a fact of the data set of this name is, in the present language."""
    from epochal.words.catalogue import tell

    match key:
        case "title":
            return tell(f"dataset.about_{name.replace('-', '_')}")
        case "task":
            return tell("dataset.classification" if value == "classification" else "dataset.regression")
        case "sample shape" | "stored as" if isinstance(value, Mapping):
            return ", ".join(f"{part}: {_in_words(key, one, name)}" for part, one in value.items())
        case "sample shape":
            return "×".join(map(str, value)) or "–"
        case "classes":
            return ", ".join(value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def print_data(data: Dataset, console: Console) -> None:
    """Print how the user's own data were taken: each column, the target with its task and classes, and what to know."""
    from epochal.cli.fitted_tables import Column, print_table
    from epochal.cli.screen import print_notes
    from epochal.words.catalogue import tell
    from epochal.words.phrases import translate

    if data.encoding is not None:
        columns = (
            Column(tell("dataset.column"), is_text=True, folds=True),
            Column(tell("dataset.taken_as"), is_text=True, folds=True),
        )

        taken = [
            (translate(name) if name == "pictures" else name, translate(how)) for name, how in data.encoding.describe()
        ]
        print_table(console, columns, [*taken, *_about_targets(data)])
    print_notes(data.notes, console)


def _about_targets(data: Dataset) -> Iterator[tuple[str, str]]:
    from epochal.words.catalogue import tell

    targets = getattr(data.encoding, "targets", ("class",))
    if data.class_names is not None:
        shown = ", ".join(data.class_names[:_SHOWN]) + (" …" if len(data.class_names) > _SHOWN else "")
        yield targets[0], tell("dataset.target_classes", count=len(data.class_names), classes=shown)
        return

    values = data.train.whole().y.reshape(len(data.train), -1)
    for name, column in zip(targets, values.T, strict=True):
        low, mean, high = (f"{value:.6g}" for value in (column.min(), column.mean(), column.max()))
        yield name, tell("dataset.target_numbers", low=low, high=high, mean=mean)
