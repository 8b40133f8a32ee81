"""``_repr_html_`` of what a session holds: a plan, a history, a run, a study, a data set.

Nothing here is imported before a notebook asks for it, and none of it imports JAX.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from epochal.errors import EpochalError
from epochal.formats import count, decimal
from epochal.report import fragments
from epochal.report.mistakes import as_image
from epochal.report.png import png_address
from epochal.report.reader import read
from epochal.web.fragment import Fragment, Text
from epochal.words.catalogue import phrase, say

if TYPE_CHECKING:
    from epochal.clock import Plan
    from epochal.data.dataset import Dataset
    from epochal.data.split import Split
    from epochal.record.history import History
    from epochal.record.run_record import RunRecord
    from epochal.record.study_record import StudyRecord

_PICTURES, _MOST_CLASSES, _MOST_TARGETS, _MOST_COLUMNS = 12, 30, 20, 60


def plan(plan: Plan) -> str:
    """Show a plan's arithmetic."""
    return fragments.plan_fragment(plan, Fragment.here())


def history(history: History) -> str:
    """Show the curves and epochs of a history."""
    return fragments.history_fragment(history, Fragment.here())


def run(record: RunRecord) -> str:
    """Show a run's key numbers, curves, epochs and arithmetic."""
    return fragments.run_fragment(record, Fragment.here())


def study(record: StudyRecord) -> str:
    """Show a study's runs side by side; one that has none says why."""
    write = Fragment.here()
    try:
        return fragments.study_fragment(read([record.path]), write)
    except EpochalError as error:
        is_new = not any((record.folder_of(member) / "run.toml").exists() for member in record.members)
        return write.whole(
            write.head(str(record.path)), write.line(say("cell.no_run") if is_new else phrase(str(error)))
        )


def dataset(data: Dataset) -> str:
    """Show a data set's splits, classes or targets, columns, and its first pictures."""
    write = Fragment.here()
    splits = {name: split for name, split in _splits(data) if len(split)}
    headings = [say(f"cell.{name}") for name in ("split", "samples_of", "shape", "type", "memory")]
    rows: list[list[Text]] = [
        [say(f"cell.{name}"), count(len(one)), _shape(one), str(one.x.dtype), _megabytes(one.x.nbytes + one.y.nbytes)]
        for name, one in splits.items()
    ]
    return write.whole(
        write.head(data.name, say(f"cell.task_{data.task}", outputs=count(data.outputs))),
        *(write.line(phrase(note), "soft") for note in data.notes),
        write.table(headings, rows),
        _classes(data.class_names, splits, write) if data.class_names is not None else _targets(splits, write),
        _columns(data, write),
        _pictures(data, write),
    )


def _splits(data: Dataset) -> Iterator[tuple[str, Split]]:
    yield "train", data.train.whole()
    if data.validation is not None:
        yield "validation", data.validation.whole()
    yield "test", data.test.whole()


def _shape(split: Split) -> str:
    return " × ".join(map(str, split.x.shape[1:])) or "1"


def _megabytes(number: int) -> str:
    return f"{number / 1e6:,.1f} MB" if number >= 1e5 else f"{number / 1e3:,.1f} kB"


def _classes(names: tuple[str, ...], splits: dict[str, Split], write: Fragment) -> Markup:
    """Return how many samples each class has in each split."""
    counts = [np.bincount(split.y, minlength=len(names)) for split in splits.values()]
    rows: list[list[Text] | Text] = [
        [name, *(count(int(one[number])) for one in counts)] for number, name in enumerate(names[:_MOST_CLASSES])
    ]
    if len(names) > _MOST_CLASSES:
        rows.append(say("cell.more", count=count(len(names) - _MOST_CLASSES)))
    table = write.table([say("cell.class"), *(say(f"cell.{name}") for name in splits)], rows)
    return write.folded(say("cell.classes"), table)


def _targets(splits: dict[str, Split], write: Fragment) -> Markup:
    """Return mean, deviation and range of each target of a regression, over the training samples."""
    values = splits["train"].y.reshape(len(splits["train"]), -1).astype(np.float64)
    headings = [say(f"cell.{name}") for name in ("target", "mean", "deviation", "lowest", "highest")]
    rows: list[list[Text] | Text] = [
        [str(place + 1), *map(decimal, (one.mean(), one.std(), one.min(), one.max()))]
        for place, one in enumerate(values.T[:_MOST_TARGETS])
    ]
    if values.shape[1] > _MOST_TARGETS:
        rows.append(say("cell.more", count=count(values.shape[1] - _MOST_TARGETS)))
    return write.table(headings, rows)


def _columns(data: Dataset, write: Fragment) -> Markup:
    """Return the columns that a table's samples are made of."""
    names = getattr(data.encoding, "names", ())
    if not names:
        return Markup("")
    shown = ", ".join(names[:_MOST_COLUMNS]) + (" …" if len(names) > _MOST_COLUMNS else "")
    return write.folded(Markup("{} ({})").format(write.say("cell.columns"), count(len(names))), write.line(shown))


def _pictures(data: Dataset, write: Fragment) -> Markup:
    """Return the first training samples as pictures, where they are some."""
    shown = []
    some = data.train.take(np.arange(min(_PICTURES, len(data.train))))
    for x, y in zip(some.x, some.y, strict=True):
        image = as_image(x)
        if image is None:
            return Markup("")
        name = decimal(float(y.flat[0])) if data.class_names is None else data.class_names[int(y)]
        shown.append(Markup('<div><img src="{}" alt="">{}</div>').format(png_address(image), name))
    pictures = Markup('<div class="pictures">{}</div>').format(Markup("").join(shown))
    return write.line(say("cell.first"), "soft") + pictures if shown else Markup("")
