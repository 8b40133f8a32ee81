"""Sections of the page on what other commands of this folder measure: modules of other libraries, and estimators."""

from __future__ import annotations

from typing import Any


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def modules_section(modules: dict[str, Any] | None) -> str:
    """Return the table of other libraries' modules, each in its own trainer and in Epochal."""
    if modules is None:
        return ""
    rows = [
        [row["library"], str(row["batch_size"]), *(f"{row[name]:,.0f}" for name in ("own", "in_epochal")),
         _ratio(row["ratio"]), f"{row['mlp']:,.0f}"]
        for row in modules["rows"]
    ]  # fmt: skip
    head = ["trainer", "B", "its own, µs", "in Epochal, µs", "its own ÷ in Epochal", "Epochal's `mlp`, µs"]
    return f"""
## Modules of other libraries

The same network (784-128-10, plain SGD, MNIST) as a module of each library, trained by the library's own loop and by
`epochal.train(model=module)`, in turns ({modules["rounds"]} rounds; medians of microseconds an iteration, and the
median of the ratios within a round with their middle half). `python bench/libraries.py` measures it alone;
convolutional networks: `python bench/own_models.py`, [performance.md](performance.md).

""" + table(head, rows)


def estimators_section(estimators: dict[str, Any] | None) -> str:
    """Return the table of fits and searches, by our estimators and by scikit-learn's."""
    if estimators is None:
        return ""
    rows = [[row["work"], *(_quartiles(row[name]) for name in ("ours", "theirs")), _ratio(row["ratio"])]
            for row in estimators["rows"]]  # fmt: skip
    head = ["work", "`EpochalClassifier`, ms", "`MLPClassifier`, ms", "scikit-learn's ÷ Epochal's"]
    return """
## Fits of estimators

Multi-layer perceptrons of 128 hidden values by Adam, in one process and in turns: milliseconds by the clock, medians
and middle halves, and the ratios within a turn. Each fit on iris has another N, learning rate and seed; nothing is
compiled meanwhile. `python bench/estimators.py` measures it alone, and compares first fits and scores
([scikit-learn](scikit-learn.md#speed)).

""" + table(head, rows)


def _ratio(quartiles: list[float]) -> str:
    low, middle, high = quartiles
    return f"**{middle:.1f}×** ({low:.1f} – {high:.1f})"


def _quartiles(milliseconds: list[float]) -> str:
    low, middle, high = (f"{one:,.0f}" if one >= 100 else f"{one:.3g}" for one in milliseconds)
    return f"{middle} ({low} – {high})"
