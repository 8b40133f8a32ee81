"""`epochal data`: lists, downloads and describes data sets."""

from __future__ import annotations

from dataclasses import dataclass

from epochal.cli.arguments import json_option
from epochal.options import option, text


@dataclass(frozen=True, slots=True, kw_only=True)
class DataCommand:
    """List the data sets that have a name, or load (and download, if need be) and describe one of any kind.

    Example: epochal data mnist
    """

    name: str | None = option(
        None, "A data set's name, or your own file or folder.", text("a name or a path", "DATA"),
        text="lists all names", positional=True,
    )  # fmt: skip
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
        data = load_with_progress(console, name)
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

        if self.json:
            print_json(facts)
            return 0

        for key, value in facts.items():
            text = (
                ", ".join(map(str, value))
                if isinstance(value, list)
                else f"{value:,}"
                if isinstance(value, int)
                else value
            )
            console.print(f"{key:16} {text}", soft_wrap=True)
        return 0
