"""What to train, each option declared once: the Python call, `run.toml` and the command line are made from it."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias, get_args

from epochal.clock import Last, Plan
from epochal.config.command_words import as_argument, option_words
from epochal.config.options import (
    BATCH_SIZE,
    COLUMNS,
    LENGTH,
    NAME_OR_NAMES,
    ORDER,
    PART,
    SEED,
    SETTINGS,
    SIZES,
    SWITCH,
    WARMUP,
    check_options,
    choice,
    count,
    documented,
    number,
    option,
    options_of,
    read_options,
    several,
    text,
    written,
)
from epochal.errors import OptionError, unknown_name
from epochal.model_names import MODEL_NAMES
from epochal.size_schedule import Adaptive, read_adaptive

Task: TypeAlias = Literal["classification", "regression"]
Measure: TypeAlias = Literal["noise"]
OnNan: TypeAlias = Literal["stop", "continue"]
Precision: TypeAlias = Literal["float32", "bfloat16"]
ClassWeight: TypeAlias = Literal["balanced"]
BatchSize: TypeAlias = int | str

BUDGETS = frozenset({"epochs", "iterations", "budget"})
OPTIMIZER_NAMES = ("sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop", "adagrad", "lion", "adafactor")
METRIC_NAMES = (
    "accuracy", "top-5-accuracy", "balanced-accuracy", "precision", "recall", "f1", "roc-auc", "log-loss", "mae", "mse",
    "rmse", "r2",
)  # fmt: skip
DEFAULT_EPOCHS = 10

_SHARE = number("SHARE", "of at least 0 and below 1", lambda share: 0 <= share < 1)
_data, _model, _plan, _optimizer, _run = (
    partial(option, part=part) for part in ("data", "model", "batches and budget", "optimizer", "run")
)


def default_batch_size(samples: int) -> int:
    """Return the batch size of a training set of this size where none is given."""
    return min(100, samples)


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """What to train, on what, for how long, and how. `epochal.train` takes these as keyword arguments.

    Every value is checked and kept as a plain one: ``TrainConfig(lr="0.1", hidden=64)`` has ``lr == 0.1`` and
    ``hidden == (64,)``. Raises `OptionError` or `PlanError` for any other.
    """

    # fmt: off
    data: str = _data(
        "digits", "A data set's name, or your own file or folder.", text("a name or a path", "DATA"), positional=True)
    target: str | None = _data(
        None, "The target column of your own table; several with commas.", NAME_OR_NAMES, text="the last")
    features: tuple[str, ...] | None = _data(
        None, "Columns of your own table to use.", COLUMNS, text="all others")
    drop: tuple[str, ...] | None = _data(None, "Columns of your own table to leave out.", COLUMNS)
    categorical: tuple[str, ...] | None = _data(
        None, "Columns of your own table whose values are categories, even if they are numbers.", COLUMNS)
    no_header: bool = _data(False, "Your own table has no line of column names.", SWITCH)
    encoding: str | None = _data(
        None, "Encoding of your own table's text, such as gbk or latin-1.", text("an encoding", "NAME"),
        text="UTF-8, or what its first bytes say")
    image_size: tuple[int, ...] | None = _data(
        None, "Size that your own pictures are made: one number, or height and width.", SIZES,
        text="their own if it is one and small, else 64")
    grey: bool = _data(False, "Make your own pictures grey.", SWITCH)
    test: str | None = _data(
        None, "A file with the test samples of your own data, or their share.", PART,
        text="what the data bring, else 0.2")
    validation: str | None = _data(
        None, "A file with validation samples, or their share of the training samples; the best weights are chosen by "
        "them.", PART, text="none")
    fold: str | None = _data(
        None, "Of a cross-validation: which part of how many is the test set, such as 2/5.", text("a part", "K/N"),
        text="none")
    task: Task | None = _data(
        None, "What the targets of your own data are.", choice(*get_args(Task)), text="what they look like")

    model: str = _model(
        "mlp", "linear, mlp, cnn, lenet or rnn; mlp and rnn with their hidden sizes, such as mlp:300-100. Or "
        "file.py:function, which makes your own with the options of --set.",
        text("a model's name", "NAME|FILE:FUNCTION", known=MODEL_NAMES), short="m")
    hidden: tuple[int, ...] | None = _model(
        None, "Sizes of the hidden layers; of the recurrent state for rnn.", SIZES, text="128 (256 for cnn)")
    dropout: float | None = _model(
        None, "Share of hidden values dropped while training, 0 to below 1; for mlp and cnn.",
        _SHARE, text="0")

    precision: Precision | None = _model(
        None, "What the model computes in: float32 or bfloat16; its weights are float32 in both.",
        choice(*get_args(Precision)), text="float32")
    settings: dict[str, Any] | None = _model(
        None, "Other options of the model or the optimizer by name, such as kernel=3 for cnn.", SETTINGS, flag="set")

    batch_size: BatchSize | None = _plan(
        None, "Samples per update: 1 to N, or 'all'. Or several and where each begins, such as "
        "100,200@10ep,400@5000it; the learning rate stays. Or adaptive:100-3200, which doubles by the gradients' "
        "noise.", BATCH_SIZE,
        text="100, 32 for a small table, or N, if smaller", resume=True, short="b")
    epochs: int | None = _plan(
        None, "Budget in passes over the training set.", count(),
        text="10, more for a small table, if no budget is given", resume=True, short="e")
    iterations: int | None = _plan(None, "Budget in weight updates.", count(), resume=True, short="i")
    budget: str | None = _plan(None, "Budget with its unit: 50ep, 30000it, 3000000sa or 90s.", LENGTH, resume=True)
    last: Last = _plan("keep", "Keep or drop an epoch's smaller last batch.", choice(*get_args(Last)))

    optimizer: str | None = _optimizer(
        None, "sgd, momentum, nesterov, adam, adamw, rmsprop, adagrad, lion or adafactor.",
        text("an optimizer's name", known=OPTIMIZER_NAMES),
        text="sgd; adam for rnn, adamw for tables")
    lr: float | None = _optimizer(
        None, "Learning rate.", number("RATE", "above 0", lambda rate: rate > 0),
        text="chosen by optimizer and batch size; 0.4 for sgd at 100", resume=True, short="l")
    schedule: str = _optimizer(
        "constant", "constant, cosine, linear or one-cycle, over the plan's updates.",
        text("a schedule's name", known=("constant", "cosine", "linear", "one-cycle")))
    warmup: str | None = _optimizer(
        None, "Linear warm-up before the schedule: 1ep, 500it or 50000sa.", WARMUP, text="none")
    momentum: float | None = _optimizer(
        None, "For momentum and nesterov, 0 to below 1.", _SHARE,
        text="0.9", optimizers=("momentum", "nesterov"))
    weight_decay: float | None = _optimizer(
        None, "Share of the weights that each update takes off, times the learning rate; at least 0.",
        number("RATE", "of at least 0", lambda rate: rate >= 0), text="0 (0.0001 for adamw)")
    clip_norm: float | None = _optimizer(
        None, "The largest norm of a batch's gradient; a longer one is shortened to it.",
        number("NORM", "above 0", lambda norm: norm > 0), text="none")
    loss: str | None = _optimizer(
        None, "cross-entropy or mean-squared-error.",
        text("a loss's name", known=("cross-entropy", "mean-squared-error")),
        text="cross-entropy for classification, mean-squared-error for regression")
    label_smoothing: float | None = _optimizer(
        None, "Share of a target that all classes divide, for cross-entropy; evaluations keep the plain loss.",
        _SHARE, text="0")

    class_weight: ClassWeight | None = _optimizer(
        None, "Weigh each class's samples alike in training, however many there are: balanced.",
        choice(*get_args(ClassWeight)), text="every sample alike")

    patience: str | None = _run(
        None, "Stop once the validation has not become better for so long: 5ep, 500it or 50000sa.", WARMUP,
        text="none", resume=True)
    seed: int = _run(0, "Decides initial weights, every epoch's order and all noise: 0 to 2**64 - 1.", SEED)
    order: str | None = _run(
        None, "How an epoch visits its samples: exact, shuffled as a whole, or blocks, for a pack on a slow disk: "
        "shuffled blocks of 256 KiB, and the samples of 64 of them at a time.", ORDER, text="exact")
    metrics: tuple[str, ...] | None = _run(
        None, "Metrics to record at evaluations.",
        several(text("a metric's name", known=METRIC_NAMES), "NAME …", "many"),
        text="accuracy for classification, rmse, mae and r2 for regression")
    measure: Measure | None = _run(
        None, "What to measure beside: noise, the scale of the gradients' noise, at every 20th iteration and at "
        "evaluations; the weights have the same bits.", choice(*get_args(Measure)), text="none", resume=True)
    evaluate_every: int = _run(
        1, "Epochs between evaluations of the test set; the end is always evaluated.", count("EPOCHS"), resume=True)
    checkpoint_every: float | None = _run(
        None, "Seconds between checkpoints.", number("SECONDS", "of at least 0", lambda seconds: seconds >= 0),
        text="as often as costs at most 2 % of the time", resume=True)
    snapshots: bool = _run(
        False, "Keep the weights of every epoch (of fewer after the 128th), and of iterations 1, 2, 4, 8 … within the "
        "first.", SWITCH)
    on_nan: OnNan = _run("stop", "What to do when a loss is not finite.", choice(*get_args(OnNan)), resume=True)
    micro_batch: int | None = _run(
        None, "The most samples computed at once.", count(), text="chosen from memory and cache", resume=True)
    shards: int | None = _run(
        None, "Equal parts of a batch, computed side by side on CPU cores or devices.", count(),
        text="1 (2 for rnn on a CPU)", resume=True)
    # fmt: on

    def __post_init__(self) -> None:
        check_options(self)

    def plan(self, samples: int) -> Plan:
        """Return the plan for a training set of this size. Raises `PlanError` where there is none."""
        unlimited = self.epochs is None and self.iterations is None and self.budget is None
        adaptive = self.adaptive(samples)
        usual = default_batch_size(samples) if self.batch_size is None else self.batch_size
        return Plan(
            samples,
            usual if adaptive is None else adaptive.low,
            epochs=DEFAULT_EPOCHS if unlimited else self.epochs,
            iterations=self.iterations,
            budget=self.budget,
            last=self.last,
        )

    def adaptive(self, samples: int) -> Adaptive | None:
        """Return where a batch size begins and ends that adapts to the training; ``None`` for any other."""
        return read_adaptive(self.batch_size, default_batch_size(samples))

    @property
    def loading(self) -> dict[str, Any]:
        """What was given of how the data are to be taken, for `epochal.data.load_data`."""
        names = [name for name, one in TRAIN.items() if one.part == "data" and name != "data"]
        return {name: value for name in names if (value := getattr(self, name)) not in (None, False)}

    @property
    def model_options(self) -> dict[str, Any]:
        """The options that were given for the model."""
        options = {"hidden": self.hidden, "dropout": self.dropout}
        return {name: value for name, value in options.items() if value is not None}

    def changed(self, change: Mapping[str, Any]) -> TrainConfig:
        """Return the configuration after a change; a new budget replaces the old one. Raises `OptionError`."""
        for name in change:
            if name not in CHANGEABLE:
                raise OptionError(f"{unknown_name('option that a run can change', name, CHANGEABLE)}; start a new run")
        if BUDGETS & change.keys():
            change = {**dict.fromkeys(BUDGETS), **change}
        return dataclasses.replace(self, **change)

    def command(self) -> str:
        """Return the command that trains this configuration, without what is the default anyway.

        >>> TrainConfig(data="mnist", batch_size=100, budget="30000it", hidden=(64, 32), lr=0.1).command()
        'epochal train mnist --hidden 64,32 --batch-size 100 --budget 30000it --lr 0.1'
        """
        given = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        changed = {field.name for field in dataclasses.fields(self) if given[field.name] != field.default}
        options = option_words(
            {name: given[name] for name in given if name in changed and name != "data"}, options_of(type(self))
        )
        return shlex.join(["epochal", "train", as_argument(self.data), *options])

    def to_dict(self) -> dict[str, Any]:
        """Return what was given, for a TOML file, which has no ``None``."""
        return written(dataclasses.asdict(self))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainConfig:
        """Read `to_dict`'s result. Raises `OptionError` for an unknown name."""
        return cls(**read_options(options_of(cls), values))


TRAIN = options_of(TrainConfig)
"""The options of a training, by name."""

CHANGEABLE = tuple(name for name, one in TRAIN.items() if one.resume)
"""What a run may change at any position and still be one run."""


_READ_IN_FORMAT_1 = {"momentum": {"momentum", "nesterov"}, "weight_decay": {"adamw"}}


def migrate_config(values: Mapping[str, Any], optimizers: Iterable[str] | None = None) -> dict[str, Any]:
    """Return a configuration as format 1 recorded it, without the options that its optimizer never read.

    Format 1 always held ``momentum`` and ``weight_decay``. ``optimizers`` are those of a comparison; else the
    configuration names one.
    """
    used = {values.get("optimizer")} if optimizers is None else set(optimizers)
    kept = {
        name: value for name, value in values.items() if name not in _READ_IN_FORMAT_1 or used & _READ_IN_FORMAT_1[name]
    }

    # beside others, which would read it now, adamw can do with its default
    if used != {"adamw"} and kept.get("weight_decay") == 1e-4:
        del kept["weight_decay"]
    return kept
