"""Train what the README's pictures show, on MNIST, and draw them.

    python tools/pictures.py [--folder docs/pictures] [--epochs 50]

worked-example.svg has the loss of every iteration and the test accuracy after every epoch of the worked example;
three-ways.svg the ways of batch sizes 1, 100 and all through the loss's landscape, with one dot for each epoch.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from epochal import Run, compare, train
from epochal.study import landscape_of

BATCH_SIZE = 100
WAYS = {"batch-1": ("#c2410c", "o"), "batch-100": ("#1d4ed8", "s"), "batch-all": ("#15803d", "^")}
NAMES = {"batch-1": "SGD, B = 1", "batch-100": "mini-batch, B = 100", "batch-all": "full batch, B = N"}


def draw_worked_example(run: Run) -> Figure:
    """Draw each iteration's loss, as the range and the mean of every twelfth of an epoch, and each epoch's accuracy."""
    per_epoch, epochs = run.plan.batches_per_epoch, run.plan.full_epochs
    bins = run.history.losses[: epochs * per_epoch].reshape(12 * epochs, -1)
    places = (np.arange(len(bins)) + 0.5) / 12
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8))
    left.fill_between(places, bins.min(1), bins.max(1), color="#93c5fd", label="range of 50 iterations", linewidth=0)
    left.plot(places, bins.mean(1), color="#1e3a8a", linewidth=1, label="their mean")
    left.set_yscale("log")
    left.set_ylabel("training loss of a batch")
    left.legend(frameon=False, fontsize=8)
    right.plot(*np.transpose([(row.epoch, 100 * row.test_accuracy) for row in run.history.epochs]), color="#c2410c")
    right.set_ylabel("test accuracy after each epoch, %")
    for axis in (left, right):
        axis.set_xlim(0, epochs)
        axis.set_xlabel(f"epochs ({per_epoch:,} iterations each)")
        _also_in_iterations(axis, per_epoch)
    _tidy(left, right)
    return figure


def _also_in_iterations(axis: Axes, per_epoch: int) -> None:
    above = axis.secondary_xaxis("top", functions=(lambda x: x * per_epoch, lambda x: x / per_epoch))
    above.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    above.set_xlabel("iterations = updates of the weights", fontsize=9)
    above.tick_params(labelsize=8)


def draw_three_ways(landscape: dict[str, Any]) -> Figure:
    """Draw the loss around the ways, and the ways: whole on the left, and on the right where the slowest one is."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.8), width_ratios=(3, 2))
    surface = np.array(landscape["loss"], dtype=float)
    levels = np.geomspace(np.nanmin(surface), np.nanmax(surface), 30)
    greys = ListedColormap(plt.get_cmap("Greys")(np.linspace(0, 0.6, 256)))
    start = next(iter(landscape["paths"].values()))[0]
    for axis in axes:
        filled = axis.contourf(landscape["x"], landscape["y"], surface, levels, cmap=greys, norm="log")
        for name, dots in landscape["paths"].items():
            colour, marker = WAYS[name]
            axis.plot(*_places(dots), color=colour, linewidth=1)
            axis.plot(*_places(_epoch_ends(dots)), marker, color=colour, markersize=3.5, label=NAMES[name])
        axis.plot(start["x"], start["y"], "*", color="black", markersize=11, label="the same beginning")
        axis.set_xticks([])
        axis.set_yticks([])
    axes[0].legend(fontsize=8, loc="best")
    axes[0].set_title("one dot for each epoch", fontsize=9, loc="left")
    slowest = min(landscape["paths"].values(), key=lambda dots: np.ptp(_places(dots), axis=1).max())
    _close_in(axes[1], slowest)
    axes[1].set_title("around the slowest way", fontsize=9, loc="left")
    figure.colorbar(filled, ax=axes[1], format=lambda value, _: f"{value:.2g}", label="training loss")
    shares = " + ".join(f"{100 * share:.0f} %" for share in landscape["explained"])
    figure.text(
        0.01, 0.01, f"plane of the ways' two principal directions: {shares} of their variance; "
        f"loss over {landscape['samples']:,} of {landscape['of']:,} training samples", fontsize=8,
    )  # fmt: skip
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    return figure


def _places(dots: list[dict[str, Any]]) -> tuple[list[float], list[float]]:
    return [dot["x"] for dot in dots], [dot["y"] for dot in dots]


def _close_in(axis: Axes, dots: list[dict[str, Any]]) -> None:
    """Show what lies around these dots, as wide as high."""
    places = np.array(_places(dots))
    middle, reach = (places.min(1) + places.max(1)) / 2, 0.8 * np.ptp(places, axis=1).max()
    axis.set_xlim(middle[0] - reach, middle[0] + reach)
    axis.set_ylim(middle[1] - reach, middle[1] + reach)


def _epoch_ends(dots: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [dot for dot in dots if dot["epoch"] == int(dot["epoch"]) and dot["iteration"]]


def _tidy(*axes: Axes) -> None:
    for axis in axes:
        axis.spines["right"].set_visible(False)
        axis.tick_params(labelsize=8)
        axis.figure.tight_layout()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(__file__).resolve().parent.parent / "docs" / "pictures")
    parser.add_argument("--epochs", type=int, default=50, help="of the worked example")
    options = parser.parse_args()
    plt.switch_backend("svg")
    plt.rcParams.update({"svg.hashsalt": "epochal", "font.size": 9, "savefig.facecolor": "white"})
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        run = train("mnist", model="mlp", batch_size=BATCH_SIZE, epochs=options.epochs, run=f"{folder}/worked-example")
        study = compare(
            "mnist", models="mlp", batch_sizes=[1, BATCH_SIZE, "all"], epochs=20, run=f"{folder}/three-ways"
        )
        landscape = landscape_of(study).to_dict()
        figures = {"worked-example": draw_worked_example(run), "three-ways": draw_three_ways(landscape)}
    for name, figure in figures.items():
        figure.savefig(options.folder / f"{name}.svg", metadata={"Date": None})
        print(options.folder / f"{name}.svg")


if __name__ == "__main__":
    main()
