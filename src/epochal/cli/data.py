"""`epochal data`: lists, downloads and describes data sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from epochal.cli.arguments import given, json_option
from epochal.config import TRAIN, TrainConfig
from epochal.options import option, text

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
        from epochal.cli.screen import add_rows, build_table, open_console, print_json
        from epochal.data import available

        sets = available()
        if self.json:
            keys = ("name", "title", "train", "test", "sample_shape", "source", "licence")
            print_json([{**{key: getattr(one.description, key) for key in keys}, "state": one.state} for one in sets])
            return 0

        table = build_table(("name", "left"), ("training", "right"), ("test", "right"), ("shape", "left"), ("", "left"))

        rows = (
            (
                one.description.name,
                f"{one.description.train:,}",
                f"{one.description.test:,}",
                "×".join(map(str, one.description.sample_shape)),
                one.state,
            )
            for one in sets
        )

        open_console().print(add_rows(table, rows))
        return 0

    def _show(self, name: str) -> int:
        from epochal.cli.load import load_with_progress
        from epochal.cli.screen import open_console, print_json
        from epochal.data.registry import DATA_SETS

        console = open_console()
        data = load_with_progress(console, name, **TrainConfig(**self.given).loading)
        facts = {
            "name": data.name,
            "training samples": len(data.train),
            "test samples": len(data.test),
            "sample shape": list(data.sample_shape),
            "stored as": str(data.train.x.dtype),
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

        for key, value in facts.items():
            if key in ("columns", "notes"):
                continue
            text = (
                ", ".join(map(str, value))
                if isinstance(value, list)
                else f"{value:,}"
                if isinstance(value, int)
                else value
            )
            console.print(f"{key:16} {text}", soft_wrap=True)
        print_data(data, console)
        return 0


def print_data(data: Dataset, console: Console) -> None:
    """Print how the user's own data were taken: each column, the target with its task and classes, and what to know."""
    from epochal.cli.screen import add_rows, build_table, print_notes

    if data.encoding is not None:
        table = build_table(("column", "left"), ("taken as", "left"))
        console.print(add_rows(table, [*data.encoding.describe(), *_about_targets(data)]))
    print_notes(data.notes, console)


def _about_targets(data: Dataset) -> Iterator[tuple[str, str]]:
    targets = getattr(data.encoding, "targets", ("class",))
    if data.class_names is not None:
        shown = ", ".join(data.class_names[:_SHOWN]) + (" …" if len(data.class_names) > _SHOWN else "")
        yield targets[0], f"target: classification, {len(data.class_names)} classes: {shown}"
        return
    values = data.train.y.reshape(len(data.train), -1)
    for name, column in zip(targets, values.T, strict=True):
        low, mean, high = column.min(), column.mean(), column.max()
        yield name, f"target: regression, {low:.6g} to {high:.6g}, mean {mean:.6g}"
