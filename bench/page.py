"""Render the numbers of a measurement as docs/benchmarks.md, its Chinese summary, and docs/benchmarks.svg.

python bench/page.py docs/benchmarks.json docs
"""

from __future__ import annotations

import json
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np

from contenders import FLOORS, LOADER, OURS
from page_beside import estimators_section, modules_section, table
from page_zh import chinese_page
from work import TARGETS, Work

plt.switch_backend("svg")
TOLERANCES = {"linear": 0.03, "mlp": 0.04, "cnn": 0.08, "rnn": 0.12}
_WIDER_AT_N = 0.08
REPEATS = """While other programs use over 10 % of the
processors, a repetition is measured again, once at most; "others' load" is the largest share left. """
CPU_CLOCK = """**This machine was never quiet, so times are processor seconds of one thread, which other programs' work
disturbs little; the whole processes below were measured once, and their passing seconds suffer from it. The numbers to
reach are for two processors and passing seconds: read the ratios as an estimate. With one thread, matrix products take
all contenders nearly the same time, so at B = 100 and B = N ratios are probably smaller than with two.**

"""
_MLP_FLOPS = 2 * (784 * 128 + 128 * 10) * 2 + 2 * 128 * 10  # a sample: forward, both weights' gradients, one input's
_MLP_BYTES = 4 * (784 * 128 + 128 + 128 * 10 + 10)


class Ratio(NamedTuple):
    """Times to Epochal's: the median over the repetitions, and the middle half of them."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f}× ({self.low:.2f} – {self.high:.2f})"


@dataclass(frozen=True, slots=True)
class Result:
    """One work's rows, those that count first told apart by their accuracy."""

    work: Work
    rows: tuple[dict[str, Any], ...]
    when: str

    @property
    def usual_accuracy(self) -> float:
        """The median accuracy of those who can do the work."""
        return statistics.median(row["accuracy"] for row in self.rows if row["accuracy"] is not None)

    @property
    def tolerance(self) -> float:
        """How far from the usual accuracy a row may be: the draw of weights and order decides as much."""
        return _WIDER_AT_N if self.work.batch_size == "N" else TOLERANCES[self.work.model]

    def counts(self, row: dict[str, Any]) -> bool:
        """Say whether the row was measured and came to the same accuracy."""
        return bool(row["times"]) and abs(row["accuracy"] - self.usual_accuracy) <= self.tolerance

    def times(self) -> dict[str, float]:
        """Return the median seconds an iteration of each row that counts."""
        return {row["contender"]: statistics.median(row["times"]) for row in self.rows if self.counts(row)}

    def ratio(self, name: str) -> Ratio | None:
        """Return a contender's time to Epochal's in the same repetition, so that a slow minute weighs on both."""
        rows = {row["contender"]: row["times"] for row in self.rows if self.counts(row)}
        if name not in rows or OURS not in rows:
            return None
        pairs = [theirs / ours for theirs, ours in zip(rows[name], rows[OURS], strict=False)]
        return Ratio(statistics.median(pairs), *np.quantile(pairs, (0.25, 0.75)).tolist())

    def ratios(self) -> dict[str, Ratio | None]:
        """Return others' time to Epochal's: DataLoader, best peer, and hand-written loop."""
        floor = min((name for name in self.times() if name in FLOORS), key=self.times().__getitem__, default="–")
        return {"loader": self.ratio(LOADER), "best_peer": self.ratio(self.best_peer), "floor": self.ratio(floor)}

    @property
    def best_peer(self) -> str:
        times = {name: time for name, time in self.times().items() if name != OURS and name not in FLOORS}
        return min(times, key=times.__getitem__, default="–")


def results_of(numbers: dict[str, Any]) -> list[Result]:
    return [Result(Work(**one["work"]), tuple(one["rows"]), one["when"]) for one in numbers["results"]]


def microseconds(seconds: float) -> str:
    """Return microseconds with three digits: 12.3, 1,230."""
    value = seconds * 1e6
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def ratio_table(results: list[Result]) -> str:
    """Return the issue's table: target, measured, met or missed."""
    rows = []
    for result in results:
        target = TARGETS.get(result.work)
        if target is None:
            continue
        cells = [result.work.name]
        for name, ratio in result.ratios().items():
            goal = getattr(target, name)
            mark = "–" if ratio is None else f"**{ratio.median:.2f}×** {'met' if ratio.median >= goal else 'missed'}"
            cells.append(f"≥ {goal}× | {mark}")
        rows.append([*cells, result.best_peer])
    head = ["work", "target", "against DataLoader", "target", "against the best peer", "target", "against the floor"]
    return table([*head, "best peer"], rows)


def work_section(result: Result) -> str:
    """Return one work's table, fastest first, and why others are missing."""
    rows = []
    for row in sorted((r for r in result.rows if r["times"]), key=lambda r: statistics.median(r["times"])):
        median, low, high = statistics.median(row["times"]), min(row["times"]), max(row["times"])
        ratio = str(result.ratio(row["contender"]) or "does not count") if row["contender"] != OURS else "1"
        spread = f"{microseconds(low)} – {microseconds(high)}"
        name = f"**{row['contender']}**" if row["contender"] == OURS else row["contender"]
        cells = [
            name,
            microseconds(median),
            spread,
            ratio,
            f"{100 * row['accuracy']:.1f} %",
            f"{100 * row['others']:.0f} %",
        ]
        rows.append(cells)
    work = result.work
    text = f"\n### {work.name}\n\nMeasured at {result.when}. Learning rate {work.lr:g}; accuracy after "
    usual, tolerance = f"{100 * result.usual_accuracy:.1f} %", f"{100 * result.tolerance:.0f} points"
    text += f"{work.updates:,} updates, usual {usual}, tolerance ± {tolerance}.\n\n"
    text += table(["contender", "µs an iteration", "min – max", "to Epochal", "accuracy", "others' load"], rows)
    missing = [f"{row['contender']}: {row['cannot']}" for row in result.rows if row["cannot"]]
    return text + (f"\nNot in this table: {'; '.join(missing)}.\n" if missing else "")


def limits_section(numbers: dict[str, Any], results: list[Result]) -> str:
    """Return the machine's rates and the share of them that `mlp` reaches."""
    limits = numbers["limits"]
    text = f"""
## Limits of the machine

Matrix products: {limits["matrix_flops"] / 1e9:,.0f} GFLOP/s (2048×2048, float32, the faster of NumPy and JAX).
Memory, read and written: {limits["memory_bytes"] / 1e9:.1f} GB/s; for 512 KiB, about what the weights of `mlp` take,
{limits["cache_bytes"] / 1e9:.1f} GB/s.

"""
    rows = []
    for result in results:
        if result.work.model != "mlp" or result.work.optimizer != "sgd":
            continue
        batch = result.work.batch(60_000)
        for name, seconds in sorted(result.times().items(), key=lambda item: item[1]):
            if name not in (OURS, *FLOORS, LOADER, result.best_peer):
                continue
            flops = _MLP_FLOPS * batch / seconds / limits["matrix_flops"]
            traffic = 2 * _MLP_BYTES / seconds / limits["cache_bytes"]
            rows.append([result.work.name, name, f"{100 * flops:.0f} %", f"{100 * traffic:.0f} %"])
    head = [
        "work",
        "contender",
        "share of the matrix-product rate",
        "share of the cache's rate (weights read and written once)",
    ]
    return text + table(head, rows)


def whole_section(numbers: dict[str, Any]) -> str:
    runs = max((form.get("runs", 0) for one in numbers.get("whole", ()) for form in one["forms"]), default=0)
    text = f"""
## Whole processes

From starting Python, with MNIST's files on disk and B = 100; both evaluate the test set after each epoch and stop at
the goal. The first start compiles; a second one finds its programs in the cache (`EPOCHAL_COMPILE_CACHE=0` turns that
off). Medians of {runs}, each with another seed; the quick measurement, and `cnn`, which takes minutes, once.

"""
    rows = []
    for one in numbers.get("whole", ()):
        goal = f"{one['model']}, {one['optimizer']}, to {100 * one['goal']:.0f} %"
        for form in one["forms"]:
            if form.get("failed"):
                rows.append([goal, form["form"], "–", "not reached", *["–"] * 5])
                continue
            low, high = form["spread"]
            cells = [
                f"{form['first_update']:.1f}",
                f"{form['goal']:.1f}",
                f"{low:.1f} – {high:.1f}",
                f"{form['exit']:.1f}",
                f"{form['cpu']:.1f}",
            ]
            rows.append([goal, form["form"], *cells, f"{form['epochs']:.0f}", f"{form['peak_mib']:,.0f}"])
    head = [
        "work",
        "",
        "first update, s",
        "goal, s",
        "min – max",
        "exit, s",
        "processor s",
        "epochs",
        "peak memory, MiB",
    ]
    return text + table(head, rows)


def scaling_section(numbers: dict[str, Any]) -> str:
    scaling = numbers.get("scaling")
    if scaling is None:
        return "\n## Scaling\n\nNot measured this time.\n"
    text = "\n## Scaling\n\nTime per sample (mlp 16-32-2 on generated samples, B = 100):\n\n"
    rows = [[f"{o['samples']:,}", f"{o['us_per_sample']:.3f}", f"{o['peak_mib']:,.0f}"] for o in scaling["samples"]]
    text += table(["N", "µs a sample", "peak memory, MiB"], rows)
    text += "\nPeak memory of a whole process, mlp on MNIST:\n\n"
    rows = [[f"{o['batch_size']:,}", f"{o['micro_batch']:,}", f"{o['peak_mib']:,.0f}"] for o in scaling["memory"]]
    text += table(["B", "micro-batch", "MiB"], rows)
    text += "\nFinding 100 indices of an epoch's order, which is what a resume costs:\n\n"
    rows = [[f"{o['samples']:,}", f"{o['start']:,}", f"{o['microseconds']:.0f}"] for o in scaling["order"]]
    return text + table(["samples in the order", "from position", "µs"], rows)


def short_name(name: str) -> str:
    return name.replace("PyTorch, ", "PyTorch ").replace("JAX loop by hand", "JAX by hand")


def draw(results: list[Result], path: Path) -> None:
    """Draw iterations a second of every contender, for the works that have a target."""
    shown = [result for result in results if result.work in TARGETS and result.times()]
    columns = 2
    height = -(-len(shown) // columns)
    figure, axes = plt.subplots(height, columns, figsize=(11, 2.6 * height), squeeze=False)
    for axis, result in zip(axes.flat, shown, strict=False):
        times = dict(sorted(result.times().items(), key=lambda item: -item[1]))
        colours = ["#c2410c" if n == OURS else "#a8a29e" if n in FLOORS else "#1d4ed8" for n in times]
        axis.barh([short_name(name) for name in times], [1 / time for time in times.values()], color=colours)
        axis.set_title(f"{result.work.name}: iterations a second", fontsize=9, loc="left")
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes.flat[len(shown) :]:
        axis.set_visible(False)
    figure.tight_layout()
    plt.rcParams["svg.hashsalt"] = "epochal"
    figure.savefig(path, metadata={"Date": None})


def head(numbers: dict[str, Any]) -> str:
    machine = numbers["machine"]
    kind = "make bench QUICK=1" if numbers["quick"] else "make bench"
    if machine.get("clock") == "cpu":
        kind = "python bench/suite.py --clock cpu" + " --quick" * numbers["quick"]
    parts = ", in parts" if "in_parts" in numbers else ""
    clock, repeats = (CPU_CLOCK, "") if machine.get("clock") == "cpu" else ("", REPEATS)
    repetitions = sorted({len(row["times"]) for result in numbers["results"] for row in result["rows"] if row["times"]})
    when = sorted(result["when"] for result in numbers["results"])
    return f"""# Benchmarks

[中文](benchmarks.zh-CN.md)

Written by `{kind}`{parts}, in {numbers["seconds"] / 60:.1f} minutes, its first row from {when[0]} on and its last from
{when[-1]}; do not edit it by hand.
The raw numbers are in [benchmarks.json](benchmarks.json), the reasons in [performance.md](performance.md).

{machine["processor"]}, {machine["threads"]} of {machine["processors"]} processors, Python {machine["python"]};
{machine["versions"]}.
Load average {numbers["load_before"]:.2f} before, {numbers["load_after"]:.2f} after.

{clock}Everyone gets the same data, model, kind of initial weights (scikit-learn draws its own), optimizer, learning
rate and batch size, and {machine["threads"]} thread(s). Contenders live in processes of their own and are measured in
turns, one at a time; a figure is the median of {repetitions[0]} to {repetitions[-1]} repetitions. {repeats}A row
counts if its contender came to the same accuracy in a short training from fresh weights. Epochal is measured as
`epochal.train`: with its audit, its record of every loss, its history on disk and its checkpoints; the "JAX loop by
hand" has none of them and is the floor. Each contender's code is a file in [bench/contenders](../bench/contenders).

![Iterations a second](benchmarks.svg)

## Targets

Others' time to Epochal's in the same repetition: the median of these ratios; more is better. The floor is the faster
hand-written JAX loop. The best peer is the fastest of those that were measured and count; the tables below say who was
left out. In brackets, there and below, the middle half of the ratios.

"""


def shortfalls(results: list[Result]) -> str:
    """Name each number that was missed; why is in docs/performance.md, by hand."""
    words = {"loader": "the DataLoader", "best_peer": "the best peer", "floor": "the floor"}
    missed = [
        f"- {result.work.name} against {words[name]}: {ratio} of {getattr(TARGETS[result.work], name)}×"
        for result in results
        if result.work in TARGETS
        for name, ratio in result.ratios().items()
        if ratio is not None and ratio.median < getattr(TARGETS[result.work], name)
    ]
    if not missed:
        return "\nEvery number that was measured is reached.\n"
    why = "\n\nTheir causes are in [performance.md](performance.md#what-falls-short).\n"
    return "\nWhat falls short:\n\n" + "\n".join(missed) + why


def gpu_section(gpu: dict[str, Any] | None) -> str:
    """Return the GPU's table, or that there was none."""
    if gpu is None:
        return "\n## GPU\n\nNo GPU was at hand. `python bench/gpu.py --out docs/benchmarks-gpu.json` measures on one.\n"
    results = results_of(gpu)
    rows = [
        [result.work.name, name, microseconds(seconds)]
        for result in results
        for name, seconds in sorted(result.times().items(), key=lambda item: item[1])
    ]
    return f"\n## GPU: {gpu['device']}\n\n" + table(["work", "contender", "µs an iteration"], rows)


def page(numbers: dict[str, Any], gpu: dict[str, Any] | None) -> str:
    results = results_of(numbers)
    text = head(numbers) + ratio_table(results)
    unmeasured = [work.name for work in TARGETS if work not in {result.work for result in results}]
    if unmeasured:
        text += f"\nThe measurement was cut short; not measured: {', '.join(unmeasured)}.\n"
    text += shortfalls(results)
    text += limits_section(numbers, results) + whole_section(numbers) + scaling_section(numbers)
    text += modules_section(numbers.get("modules")) + estimators_section(numbers.get("estimators")) + gpu_section(gpu)
    return text + "\n## Every row\n" + "".join(work_section(result) for result in results)


def main() -> None:
    source, folder = Path(sys.argv[1]), Path(sys.argv[2])
    numbers = json.loads(source.read_text())
    on_gpu = folder / "benchmarks-gpu.json"
    gpu = json.loads(on_gpu.read_text()) if on_gpu.exists() else None
    results = results_of(numbers)
    (folder / "benchmarks.md").write_text(page(numbers, gpu))
    (folder / "benchmarks.zh-CN.md").write_text(
        chinese_page(
            numbers,
            {
                "targets": ratio_table(results),
                "limits": limits_section(numbers, results),
                "whole": whole_section(numbers),
                "scaling": scaling_section(numbers),
                "modules": modules_section(numbers.get("modules")),
                "estimators": estimators_section(numbers.get("estimators")),
            },
        ),
        encoding="utf-8",
    )
    draw(results, folder / "benchmarks.svg")


if __name__ == "__main__":
    main()
