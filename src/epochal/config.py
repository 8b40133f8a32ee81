"""What to train, each option declared once: the Python call, `run.toml` and the command line are made from it."""

from __future__ import annotations

import dataclasses
import itertools
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias, get_args

from epochal.clock import Last, Plan, Span
from epochal.command_words import as_argument, option_words
from epochal.errors import OptionError, unknown_name
from epochal.files import as_file_name
from epochal.model_names import MODEL_NAMES
from epochal.options import (
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
DEFAULT_TARGET = 0.95

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
        "evaluations; the weights have the same bits.", choice(*get_args(Measure)), text="nothing", resume=True)
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


def _each(name: str, default: tuple[Any, ...], **more: Any) -> Any:
    """Declare a list of a comparison: of values that an option of `TrainConfig` may have."""
    one = TRAIN[name]
    more = {"help": one.help, "part": one.part, "flag": name, "short": one.short, **more}
    return option(default, kind=several(one.kind), **more)


@dataclass(frozen=True, slots=True)
class Member:
    """One run of a comparison: its name, which is its folder's too, and what it trains."""

    name: str
    config: TrainConfig

    @property
    def group(self) -> tuple[Any, ...]:
        """What it shares with the runs that differ from it in the seed alone."""
        config = self.config
        return (config.model, config.optimizer, config.batch_size, config.lr)


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class StudyConfig:
    """A comparison: every combination of the lists, trained from the same weights on the same order of samples.

    >>> config = StudyConfig(shared=TrainConfig(data="mnist", epochs=5), batch_sizes=(1, 100, "all"))
    >>> [member.name for member in config.members()]
    ['batch-1', 'batch-100', 'batch-all']

    ``shared`` is what all runs share; what a list varies is taken from the list. A list may be a single value, or text
    with commas. Runs of the same seed start from the same weights and visit the samples in the same order.
    """

    # fmt: off
    shared: TrainConfig
    batch_sizes: tuple[BatchSize, ...] = _each("batch_size", (1, 100, "all"))
    models: tuple[str, ...] = _each("model", ("mlp",))
    optimizers: tuple[str, ...] = _each("optimizer", (), text="each model's own: sgd (adam for rnn)")
    lrs: tuple[float, ...] = _each(
        "lr", (), help="Learning rates: one for all, or one for each batch size.",
        text="chosen by optimizer and batch size")
    seeds: tuple[int, ...] = _each("seed", (0,), part="comparison")
    seconds: float | None = _plan(
        None, "Budget of each run in seconds of training.", number("SECONDS", "above 0", lambda seconds: seconds > 0))
    tune_lr: bool = _optimizer(False, "Search each learning rate first, on held-out training samples.", SWITCH)
    target_accuracy: float = option(
        DEFAULT_TARGET, "The test accuracy to which updates and seconds are counted.",
        number("SHARE", "above 0 and at most 1 (0.95 for 95 %)", lambda share: 0 < share <= 1), part="comparison")
    # fmt: on

    def __post_init__(self) -> None:
        check_options(self)
        for name in VARIED:
            _refuse_repeats(name, getattr(self, name), may_repeat=name == "lrs" and not self._compares_rates)

        if len(self.lrs) > 1 and len(self.batch_sizes) not in (1, len(self.lrs)):
            raise OptionError(
                f"{len(self.lrs)} learning rates for {len(self.batch_sizes)} batch sizes: "
                "give one for all, or one for each"
            )
        if self.tune_lr and self.lrs:
            raise OptionError("give learning rates or search them (tune_lr), not both")
        self._check_seconds()

    def _check_seconds(self) -> None:
        if self.seconds is None:
            return
        if any(getattr(self.shared, name) is not None for name in BUDGETS):
            raise OptionError("give one budget: seconds, or epochs, iterations or a budget")

    @property
    def _compares_rates(self) -> bool:
        return len(self.batch_sizes) == 1

    def members(self, tuned: Mapping[tuple[str, str, BatchSize], float] | None = None) -> tuple[Member, ...]:
        """Return the runs: models × optimizers × batch sizes (and their learning rates) × seeds, the last fastest.

        ``tuned`` gives the learning rate that was found for (model, optimizer, batch size). A run whose optimizer is
        the model's own has none in its configuration.
        """
        members = []
        for model, optimizer, (batch_size, lr), seed in itertools.product(
            self.models, self.optimizers or (None,), self._batch_sizes_and_rates(), self.seeds
        ):
            values: dict[str, Any] = {
                "model": model,
                "optimizer": optimizer,
                "batch_size": batch_size,
                "lr": lr,
                "seed": seed,
            }

            name = self._name(values)

            # the name comes first: a searched rate does not change it
            for (of_model, of_optimizer, of_batch_size), rate in (tuned or {}).items():
                if of_model == model and of_batch_size == batch_size and optimizer in (of_optimizer, None):
                    values["lr"] = rate
            if self.seconds is not None:
                values["budget"] = str(Span.seconds(self.seconds))
            elif all(getattr(self.shared, name) is None for name in BUDGETS):
                values["epochs"] = DEFAULT_EPOCHS  # the same for all batch sizes, whatever the data
            members.append(Member(name, dataclasses.replace(self.shared, **values, **self._left_out(optimizer))))
        return tuple(members)

    def _left_out(self, optimizer: str | None) -> dict[str, Any]:
        """Return the shared options that this optimizer does not read, but another of the comparison does."""
        readers = {name: one.optimizers for name, one in TRAIN.items() if one.optimizers}
        return {
            name: None
            for name, read_by in readers.items()
            if optimizer not in read_by and set(read_by) & set(self.optimizers)
        }

    def _batch_sizes_and_rates(self) -> Iterator[tuple[BatchSize, float | None]]:
        if self._compares_rates and self.lrs:
            yield from ((self.batch_sizes[0], lr) for lr in self.lrs)
        elif len(self.lrs) > 1:
            yield from zip(self.batch_sizes, self.lrs, strict=True)
        else:
            lr = self.lrs[0] if self.lrs else None
            yield from ((batch_size, lr) for batch_size in self.batch_sizes)

    def _name(self, values: Mapping[str, Any]) -> str:
        """Name a run after what varies, and always after its batch size."""
        parts = [str(values[name]) for name in ("model", "optimizer") if len(getattr(self, f"{name}s")) > 1]
        parts.append(f"batch-{values['batch_size']}")
        if self._compares_rates and len(self.lrs) > 1:
            parts.append(f"lr-{values['lr']}")
        if len(self.seeds) > 1:
            parts.append(f"seed-{values['seed']}")
        return as_file_name("-".join(parts))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a TOML file; an empty list is left out."""
        shared = {name: value for name, value in self.shared.to_dict().items() if name not in VARIED.values()}
        own = written({name: getattr(self, name) for name in STUDY})
        return {**{name: value for name, value in own.items() if value != []}, "shared": shared}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> StudyConfig:
        """Read `to_dict`'s result. Raises `OptionError` for an unknown name."""
        own = {name: value for name, value in values.items() if name != "shared"}
        return cls(shared=TrainConfig.from_dict(values["shared"]), **read_options(STUDY, own, "option of a study"))


STUDY = options_of(StudyConfig)
"""The options of a comparison beside those that its runs share, by name."""

VARIED = {name: one.flag for name, one in STUDY.items() if one.flag}
"""The lists of a comparison, and the option of a run that each of them varies."""

COMPARE = {**STUDY, **{name: one for name, one in TRAIN.items() if name not in VARIED.values()}}
"""Every option of a comparison, by name."""


def _refuse_repeats(name: str, values: tuple[Any, ...], *, may_repeat: bool) -> None:
    if not values and name not in ("lrs", "optimizers"):
        raise OptionError(f"{name.replace('_', ' ')}: the list is empty")
    repeated = [value for value, times in Counter(values).items() if times > 1]
    if repeated and not may_repeat:
        raise OptionError(f"{name.replace('_', ' ')}: {repeated[0]} is listed twice")
