"""The checks of `bench/batch_size.py`: what each one trains, and the range that each of its numbers must lie in.

They were stated, with their tolerances, before what they check was built, from prototypes and from the literature
(McCandlish et al. 2018, Shallue et al. 2019, Smith et al. 2018, Malladi et al. 2022, Mishchenko et al. 2020).
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

import noise
from epochal import batch_sizes, load_data
from epochal.data import Dataset
from epochal.study import lesson
from epochal.study.batch_size.answer import Answer
from epochal.study.batch_size.request import Judge
from epochal.study.batch_size.work import BatchSizesCallback
from epochal.study.target import Trial

ROOT = Path(__file__).resolve().parents[1]
SMALL, TARGET = 10_000, 0.94
SIZES = (1, 4, 16, 64, 256, 1024)
_MOST = math.inf

Language: TypeAlias = Literal["en", "zh"]


@dataclass(frozen=True, slots=True)
class Seen:
    """A number, and where it must lie."""

    name: str
    value: float
    low: float
    high: float


def near(name: str, value: float, wanted: float, share: float) -> Seen:
    """Return a number that may differ from the one wanted by a share of it."""
    return Seen(name, value, wanted * (1 - share), wanted * (1 + share))


@dataclass(frozen=True, slots=True)
class Check:
    """A check: its number, what it is about in both languages, and what makes it."""

    number: int
    titles: Mapping[Language, str]
    make: Callable[[Path], Iterator[Seen]]


# --- the studies ------------------------------------------------------------------------------------------------------


class Watch(BatchSizesCallback):
    """Prints each trial."""

    def on_trial(self, trial: Trial) -> None:
        print(
            f"     B={trial.batch_size:<6} lr={trial.lr:<8g} seed {trial.seed}: {trial.steps} {trial.why}", flush=True
        )


def first(samples: int) -> Dataset:
    """Return MNIST's first training samples, and all of its test samples."""
    data = load_data("mnist")
    return dataclasses.replace(data, train=data.train.take(np.arange(samples)))


def small(folder: Path, optimizer: str, seed: int = 0, **more: Any) -> Answer:
    """Study 10,000 images to 94 % of the test set, as the prototypes did."""
    given: dict[str, Any] = {"target_accuracy": TARGET, "batch_sizes": [*SIZES, "all"], "judge": "test", "seeds": 6}
    path = folder / f"small-{optimizer}-{seed}"
    return batch_sizes(first(SMALL), optimizer=optimizer, seed=seed, run=path, callback=Watch(), **{**given, **more})


def command(*words: str) -> tuple[dict[str, Any], float, float]:
    """Return what a command printed as JSON, its seconds, and the processor seconds of it and its children."""
    before, began = os.times(), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "epochal", *words, "--json"], capture_output=True, text=True, check=True
    )
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    found: dict[str, Any] = json.loads(done.stdout)
    return found, time.perf_counter() - began, used


def tested(name: str, *nodes: str) -> Seen:
    """Return how many of these tests failed or did not run."""
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "slow or not slow", *nodes]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout[-2_000:])
    return Seen(name, done.returncode, 0, 0)


def steps(rows: Any, size: int) -> float:
    """Return the updates of a size in the rows of a study's JSON; NaN where it has none."""
    found = [row["steps"] for row in rows if row["batch_size"] == size and row["steps"] is not None]
    return float(found[0]) if found else math.nan


def rate(rows: Any, size: int) -> float:
    """Return the best rate of a size in the rows of a study's JSON; NaN where it has none."""
    found = [row["lr"] for row in rows if row["batch_size"] == size and row["lr"] is not None]
    return float(found[0]) if found else math.nan


def rows_of(answer: Answer) -> Any:
    """Return the rows of an answer as in its JSON."""
    return answer.to_dict()["rows"]


def critical(answer: Answer) -> float:
    """Return the critical size; NaN where none is shown."""
    return math.nan if answer.critical is None else answer.critical[0]


# --- the checks -------------------------------------------------------------------------------------------------------


def whole(folder: Path) -> Iterator[Seen]:
    """Train on MNIST to 97 % of its test set, and digits to 95 %, by the command."""
    found, _, used = command(
        "batch-size", "mnist", "--model", "mlp", "--optimizer", "sgd", "--target-accuracy", "0.97", "--judge", "test",
        "--batch-size", ",".join(map(str, SIZES)), "--seeds", "2", "--run", str(folder / "mnist"),
    )  # fmt: skip
    yield near("S(1)", steps(found["rows"], 1), 77_000, 0.25)
    yield near("S(64)", steps(found["rows"], 64), 1_440, 0.25)
    yield near("S(1,024)", steps(found["rows"], 1024), 650, 0.2)
    yield Seen("B_crit", found["critical"]["value"], 90, 210)
    yield Seen("B_fast", found["best"], 16, 256)
    yield Seen("processor s", used, 0, 480)

    found, _, used = command(
        "batch-size", "digits", "--target-accuracy", "0.95", "--run", str(folder / f"digits-{time.time_ns()}")
    )
    yield Seen("digits: B_crit", found["critical"]["value"], 20, 50)
    yield Seen("digits: B_fast", found["best"], 4, 64)
    yield Seen("digits: processor s", used, 0, 15)


def optimizers(folder: Path) -> Iterator[Seen]:
    """Compare with momentum, which extends perfect scaling."""
    sgd, momentum = (small(folder, name) for name in ("sgd", "momentum"))
    yield Seen("B_crit(momentum)/B_crit(sgd)", critical(momentum) / critical(sgd), 2.5, _MOST)
    for name, answer in (("sgd", sgd), ("momentum", momentum)):
        rows = rows_of(answer)
        yield near(f"{name}: S(1)/S(64)", steps(rows, 1) / steps(rows, 64), 64, 0.25)
    yield Seen("sgd: S(256)/S(N)", steps(rows_of(sgd), 256) / steps(rows_of(sgd), SMALL), 0, 1.4)
    rows = rows_of(momentum)
    yield Seen("momentum: S(64)/S(1,024)", steps(rows, 64) / steps(rows, 1024), 3, _MOST)


def noise_check(*checks: Callable[..., None]) -> Callable[[Path], Iterator[Seen]]:
    """Return what makes checks of `bench/noise.py`."""

    def make(folder: Path) -> Iterator[Seen]:
        verdict, data = noise.Verdict(), load_data("mnist")
        for check in checks:
            check(verdict, data, len(data.train))
        yield from (Seen(*one) for one in verdict.seen)

    return make


def controls(folder: Path) -> Iterator[Seen]:
    """See what is wrong: a half compared with itself, and draws with replacement."""
    yield tested(
        "half 2 as half 1: failed",
        "tests/engine/test_noise_scale.py::test_a_half_compared_with_itself_would_be_seen",
        "tests/test_gradient_noise.py::test_half_two_that_is_half_one_has_no_noise",
    )
    verdict = noise.Verdict()
    noise.order(verdict, load_data("mnist"), SMALL, replaced=True)
    wrong = next(value for name, value, _, _ in verdict.seen if "1,000" in name)
    yield Seen("with replacement: Var/(S(1/B − 1/N)), B = 1,000", wrong, 1.05, _MOST)


def growing_rates(folder: Path) -> Iterator[Seen]:
    """Compare rates: they follow B for plain descent, and √B for Adam."""
    sgd, adam = rows_of(small(folder, "sgd")), rows_of(small(folder, "adam", batch_sizes=SIZES, seeds=2))
    yield Seen("sgd: lr(64)/lr(1)", rate(sgd, 64) / rate(sgd, 1), 16, _MOST)
    yield Seen("sgd: lr(N)/lr(256)", rate(sgd, SMALL) / rate(sgd, 256), 0, 2)
    yield Seen("adam: lr(256)/lr(1)", rate(adam, 256) / rate(adam, 1), 8, 32)


def reshuffling(folder: Path) -> Iterator[Seen]:
    """Compare each sample exactly once with draws with replacement."""
    result = lesson("reshuffling")
    distance = {row["way"]: np.mean(row["distance_1"]) for row in result.tables[0].to_list()}
    reshuffled, once = (next(far for way, far in distance.items() if word in way) for word in ("each epoch", "once"))
    yield Seen("r(replacement)/r(reshuffled)", result.numbers["times_nearer"], 10, _MOST)
    yield Seen("r(once)/r(reshuffled)", once / reshuffled, 1, result.numbers["times_nearer"])
    yield Seen("reshuffled: r(2 lr)/r(lr)", result.numbers["halving_reshuffled"], 3, 5)
    yield Seen("replacement: r(2 lr)/r(lr)", result.numbers["halving_replacement"], 1.5, 2.5)


def growth(folder: Path) -> Iterator[Seen]:
    """Let a batch grow in place of a rate that falls."""
    numbers = lesson("growth").numbers
    yield Seen("‖L(B↑)/L(lr↓) − 1‖", numbers["apart"], 0, 0.03)
    yield Seen("n(B↑)", numbers["updates_growth"], 4_722, 4_722)
    yield Seen("n(lr↓)", numbers["updates_decay"], 10_800, 10_800)


def gap(folder: Path) -> Iterator[Seen]:
    """Compare small and large batches, and the cure of the gap; accuracies in points."""
    numbers = lesson("gap").numbers
    small, root, longer = (100 * numbers[f"accuracy_{name}"] for name in ("small", "root", "longer"))
    yield Seen("small − √", small - root, 1, _MOST)
    yield Seen("10 × n − small", longer - small, -0.2, _MOST)
    yield Seen("lr ∝ B: ✗", float(math.isnan(numbers["accuracy_linear"])), 1, 1)


def killed(folder: Path) -> Iterator[Seen]:
    """Kill a study anywhere and repeat it: the same table. Keep to a time."""
    yield tested("kill −9: failed", "tests/study/batch_size/test_batch_size_killed.py")
    found, seconds, _ = command(
        "batch-size", "mnist", "--within", "60s", "--run", str(folder / f"60s-{time.time_ns()}")
    )
    yield Seen("--within 60s: s", seconds, 0, 75)
    yield Seen("B", len(found["rows"]), 1, _MOST)
    print("     left out:", ", ".join(f"{one['batch_size']} ({one['why']})" for one in found["left_out"]) or "none")


def stable(folder: Path) -> Iterator[Seen]:
    """Repeat the whole study with three seeds: digits, and 10,000 images of MNIST.

    With a seed change the samples of digits that are held out, 239, and how hard it is to get 95 % of them right; those
    of the test set stay the same.
    """
    seeds = (0, 10, 20)

    def digits(judge: Judge) -> list[Answer]:
        path, asked = folder / f"digits-{judge}", {"target_accuracy": 0.95, "judge": judge}
        return [batch_sizes("digits", **asked, seed=seed, run=path / str(seed)) for seed in seeds]

    on_mnist = [small(folder / "stable", "sgd", seed, batch_sizes=SIZES, seeds=2) for seed in seeds]
    for name, answers in (("digits", digits("held-out")), ("digits, same judge", digits("test")), ("mnist", on_mnist)):
        fastest, knees = [answer.best or math.nan for answer in answers], [critical(answer) for answer in answers]
        print(f"     {name}: fastest {fastest}, critical {[round(one) for one in knees]}")
        yield Seen(f"{name}: max B_fast/min B_fast", max(fastest) / min(fastest), 1, 4)
        yield Seen(f"{name}: max B_crit/min B_crit", max(knees) / min(knees), 1, 1.6)


def cnn(folder: Path) -> Iterator[Seen]:
    """Show the three regimes of a cnn, on digits: steep, then less so, then level."""
    found, _, _ = command(
        "batch-size", "digits", "--model", "cnn", "--optimizer", "sgd", "--target-accuracy", "0.95", "--seeds", "2",
        "--batch-size", "1,4,16,64,256,all", "--run", str(folder / "cnn"),
    )  # fmt: skip
    rows = found["rows"]
    print(f"     {[(row['batch_size'], round(row['steps'] or 0), row['mark']) for row in rows]}")
    yield Seen("S(1)/S(4)", steps(rows, 1) / steps(rows, 4), 2.5, 6.5)
    yield Seen("S(16)/S(64)", steps(rows, 16) / steps(rows, 64), 1.1, 2.5)
    yield Seen("S(256)/S(N)", steps(rows, 256) / steps(rows, rows[-1]["batch_size"]), 0, 1.5)
    yield Seen("B_crit", found["critical"]["value"], 4, 256)


TITLES: Mapping[int, tuple[str, str]] = {
    1: ("MNIST to 97 %, sgd; digits to 95 %", "MNIST 到 97 %，sgd；digits 到 95 %"),
    2: ("Momentum scales further, N = 10,000", "动量使批大小可以更大，N = 10,000"),
    3: ("Noise scale at the start, and its average over a run", "开始时的噪声尺度，及全程平均"),
    4: ("S beside training; a bound where nothing can be told", "训练中测得的 S；分辨不出时给出下限"),
    5: ("What is wrong is seen: failed tests; a wrong order", "错误会被看见：失败的测试；错误的顺序"),
    6: ("An epoch's batches vary as draws without replacement", "一轮中各批的方差，与不放回抽取的相同"),
    7: ("What measuring costs; the same bits", "测量的代价；结果逐位相同"),
    8: ("Sharpness-weighted scale on the way to 94 %", "到 94 % 途中按曲率加权的噪声尺度"),
    9: ("The best rate follows B, or √B with Adam", "最佳学习率与 B 成正比；Adam 与 √B 成正比"),
    10: ("Reshuffling against replacement", "重新打乱与有放回抽取"),
    11: ("A growing batch against a falling rate", "增大批与降低学习率"),
    12: ("The gap of large batches and its cure, in points", "大批的差距与补救，以百分点计"),
    13: ("Killed and repeated; `--within 60s`", "中断后重复；`--within 60s`"),
    14: ("Three seeds of the whole study", "整项研究换三个随机种子"),
    15: ("The three regimes of a cnn, on digits to 95 %", "cnn 的三个阶段，digits 到 95 %"),
}

MAKE: Mapping[int, Callable[[Path], Iterator[Seen]]] = {
    1: whole,
    2: optimizers,
    3: noise_check(noise.start, noise.average),
    4: noise_check(noise.traces),
    5: controls,
    6: noise_check(noise.order),
    7: noise_check(noise.cost, noise.bits),
    8: noise_check(noise.sharpness),
    9: growing_rates,
    10: reshuffling,
    11: growth,
    12: gap,
    13: killed,
    14: stable,
    15: cnn,
}

CHECKS = tuple(Check(number, {"en": en, "zh": zh}, MAKE[number]) for number, (en, zh) in TITLES.items())
