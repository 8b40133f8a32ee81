"""Options: each declared once, read alike from Python, a file and the command line, and explained with its default."""

from __future__ import annotations

import dataclasses
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w

from epochal.cli.arguments import given, parse
from epochal.cli.compare import CompareCommand
from epochal.cli.help_text import explain
from epochal.cli.main import COMMANDS, find_command
from epochal.cli.resume import ResumeCommand
from epochal.cli.train import TrainCommand
from epochal.clock import Span
from epochal.config.options import number, option, options_of
from epochal.config.study_config import STUDY, StudyConfig
from epochal.config.train_config import CHANGEABLE, TRAIN, TrainConfig, migrate_config
from epochal.data import from_arrays
from epochal.engine.metrics import METRICS
from epochal.engine.optimizer import OPTIMIZERS, SCHEDULES, default_learning_rate
from epochal.errors import EpochalError, OptionError, PlanError
from epochal.models import build_model
from epochal.models.build import MODELS
from epochal.run import train
from epochal.run.setup import set_up
from epochal.study import compare

pytestmark = pytest.mark.usefixtures("unchecked")  # wrong types are what many of these are about

# --- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("seed", np.int64(3), 3),
        ("seed", np.uint64(2**64 - 1), 2**64 - 1),
        ("seed", "7", 7),
        ("lr", np.float32(0.1), 0.10000000149011612),
        ("lr", "0.1", 0.1),
        ("lr", 1, 1.0),
        ("lr", np.array(0.5), 0.5),
        ("evaluate_every", np.int64(2), 2),
        ("micro_batch", np.array(4), 4),
        ("checkpoint_every", np.float32(3), 3.0),
        ("hidden", 64, (64,)),
        ("hidden", [np.int64(16), "8"], (16, 8)),
        ("hidden", "64,32", (64, 32)),
        ("hidden", np.array([64, 32]), (64, 32)),
        ("batch_size", "all", "all"),
        ("batch_size", "1_000", 1_000),
        ("epochs", "9007199254740993", 9_007_199_254_740_993),
        ("budget", Span.epochs(5), "5ep"),
        ("budget", " 30_000it", "30000it"),
        ("budget", Span.seconds(1.5), "1.5s"),
        ("warmup", Span.iterations(3), "3it"),
        ("snapshots", np.bool_(True), True),
        ("metrics", "f1", ("f1",)),
        ("metrics", ["accuracy", "f1"], ("accuracy", "f1")),
    ],
)
def test_what_can_be_meant_is_kept_as_a_plain_value(name: str, value: Any, kept: Any) -> None:
    got = getattr(TrainConfig(**{name: value}), name)
    assert got == kept
    assert type(got) is type(kept)
    assert getattr(TrainConfig.from_dict({name: value}), name) == kept


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("seed", None, "seed must be a whole number, got None"),
        ("seed", -1, "seed must be 0 to 2**64 - 1, got -1"),
        ("seed", True, "seed must be a whole number, got True"),
        ("seed", np.arange(100), "seed must be a whole number, got a value of type ndarray"),
        ("lr", 0, "lr must be a finite number above 0, got 0"),
        ("lr", True, "lr must be a finite number above 0, got True"),
        ("lr", np.bool_(True), "lr must be a finite number above 0, got np.True_"),
        ("lr", np.array([0.1]), "lr must be a finite number above 0, got array([0.1])"),
        ("lr", float("inf"), "lr must be a finite number above 0, got inf"),
        ("lr", 10**400, "lr must be a finite number above 0, got a value of type int"),
        ("momentum", 1.0, "momentum must be a finite number of at least 0 and below 1, got 1.0"),
        ("warmup", 3, "warmup: '3' is no training length; write 50ep, 30000it, 3000000sa or 90s"),
        ("warmup", "3", "warmup: '3' is no training length; write 50ep, 30000it, 3000000sa or 90s"),
        ("warmup", "90s", "warmup must be epochs, iterations or samples, got 90s; write 1ep, 500it or 50000sa"),
        ("on_nan", "ignore", "on_nan must be one of stop, continue, got 'ignore'"),
        ("on_nan", ["stop"], "on_nan must be one of stop, continue, got ['stop']"),
        ("task", "multilabel", "task must be one of classification, regression, got 'multilabel'"),
        ("snapshots", "no", "snapshots must be True or False, got 'no'"),
        ("model", lambda params, x: x, "model must be a model's name, got a value of type function"),
        ("optimizer", print, "optimizer must be an optimizer's name, got a value of type builtin_function_or_method"),
        ("hidden", 0, "hidden must be one or more whole numbers of at least 1, got 0"),
        ("hidden", (), "hidden must be one or more whole numbers of at least 1, got ()"),
        ("hidden", 1.5, "hidden must be one or more whole numbers of at least 1, got 1.5"),
        ("batch_size", 0, "batch_size must be at least 1, got 0"),
        ("batch_size", 1.5, "batch_size must be a whole number, got 1.5"),
        ("data", "", "data must be a name or a path, got ''"),
        ("metrics", [3], "metrics must be a metric's name, got 3"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(name: str, value: Any, says: str) -> None:
    for make in (lambda: TrainConfig(**{name: value}), lambda: TrainConfig.from_dict({name: value})):
        with pytest.raises(EpochalError) as caught:
            make()
        assert str(caught.value).startswith(says)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [*TRAIN, *STUDY])
@pytest.mark.parametrize(
    "value", [object(), {"a": 1}, b"x", float("nan"), [[]]], ids=["object", "dict", "bytes", "nan", "lists"]
)
def test_no_option_takes_nonsense(name: str, value: Any) -> None:
    if name == "settings" and isinstance(value, dict):
        pytest.skip("settings are such a mapping")
    with pytest.raises((OptionError, PlanError)):
        {**TRAIN, **STUDY}[name].read(name, value)


# --- options beside others ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"epochs": 1, "iterations": 5}, "give one budget, not 2: epochs and iterations"),
        ({"schedule": "one-cycle", "warmup": "1it"}, "one-cycle has its own warm-up; leave out warmup"),
        ({"model": "linear", "dropout": 0.5}, "linear has no options, got 'dropout'"),
        ({"model": "linear", "hidden": 8}, "linear has no options, got 'hidden'"),
        ({"model": "rnn", "dropout": 0.5}, "unknown option of rnn 'dropout'"),
        ({"data": "digits", "target": "y"}, "digits has its own targets; target and task are for your own files"),
        (
            {"data": "digits", "task": "regression"},
            "digits has its own targets; target and task are for your own files",
        ),
        ({"batch_size": 10, "shards": 3}, "a batch of 10 cannot be cut into 3 equal shards"),
    ],
)
def test_a_training_refuses_an_option_that_another_leaves_without_effect(options: dict[str, Any], says: str) -> None:
    with pytest.raises(EpochalError) as caught:
        train(**{"data": "digits", "run": "run", **options})
    assert str(caught.value).startswith(says)
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"target_accuracy": 0.5}, "arrays is a regression, which has no accuracy; leave out target_accuracy"),
        ({"lrs": 0.1, "tune_lr": True}, "give learning rates or search them"),
        ({"seconds": 1, "epochs": 1}, "give one budget"),
        ({"model": "mlp"}, "a comparison takes models, one or several: write models='mlp'"),
        ({"loss": 3}, "loss must be a loss's name, got 3"),
        ({"models": print}, "model a value of type builtin_function_or_method is none that can be trained"),
    ],
)
def test_so_does_a_comparison(options: dict[str, Any], says: str) -> None:
    data = from_arrays(np.zeros((60, 4), np.float32), np.linspace(0, 1, 60))
    with pytest.raises(EpochalError) as caught:
        compare(data, run="study", **{"models": "linear", **options})
    assert str(caught.value).startswith(says)
    assert not Path("study").exists()


@pytest.mark.parametrize("what", [{"model": lambda params, x: x}, {"optimizer": print}])
def test_what_is_neither_a_name_nor_the_right_object_is_refused(what: dict[str, Any]) -> None:
    with pytest.raises(EpochalError, match=r"must be a name or a|is none that can be trained; give a name"):
        train("digits", run="run", **what)
    assert not Path("run").exists()


# --- forms ----------------------------------------------------------------------------------------------------------

CONFIGS = [
    TrainConfig(),
    TrainConfig(data="mnist", batch_size=100, budget="30000it", lr=0.1, loss="cross-entropy", snapshots=True),
    TrainConfig(data="my file; rm -rf ~.csv", target="a b", hidden=(64, 32), dropout=0.25, seed=2**64 - 1),
    TrainConfig(model="rnn", optimizer="adamw", weight_decay=1e-5, lr=1 / 3, last="drop", micro_batch=7),
    TrainConfig(metrics=("accuracy", "f1"), batch_size="all", epochs=3, on_nan="continue", momentum=0.5),
    TrainConfig(
        data="t.csv", features=("a", "b c"), drop=("d",), categorical=("城市", "e"), no_header=True, test="0.25"
    ),
    TrainConfig(data="pets", image_size=(32, 48), grey=True, validation="other", patience="5ep", fold="2/5"),
    TrainConfig(class_weight="balanced", encoding="gbk", label_smoothing=0.1, clip_norm=2.5),
]


@pytest.mark.parametrize("config", CONFIGS)
def test_the_command_line_reads_the_configuration_back(config: TrainConfig) -> None:
    words = shlex.split(config.command())
    assert words[:2] == ["epochal", "train"]
    assert TrainConfig(**parse(TrainCommand, "train", words[2:]).given) == config


@pytest.mark.parametrize("config", CONFIGS)
def test_a_file_reads_the_configuration_back(config: TrainConfig) -> None:
    text = tomli_w.dumps({**config.to_dict(), "seed": 7})
    assert TrainConfig.from_dict({**tomllib.loads(text), "seed": config.seed}) == config


def test_format_1_recorded_options_that_its_optimizer_never_read() -> None:
    values = {"data": "digits", "momentum": 0.9, "weight_decay": 1e-4}
    read_by = {"momentum": {"momentum"}, "nesterov": {"momentum"}, "adamw": {"weight_decay"}}
    for optimizer in OPTIMIZERS:
        kept = migrate_config({**values, "optimizer": optimizer}).keys() - {"data", "optimizer"}
        assert kept == read_by.get(optimizer, set())
    assert migrate_config(values) == {"data": "digits"}
    other = {**values, "weight_decay": 0.1, "optimizer": "adamw"}
    assert migrate_config(other)["weight_decay"] == 0.1


def test_an_option_stands_anywhere_and_in_any_form() -> None:
    written = [
        "--epochs 3 digits --lr=0.5 --json",
        "--lr 0.5 --json digits --epochs=3",
        "digits --json --epochs 3 --lr .5",
    ]
    first, *others = (parse(TrainCommand, "train", shlex.split(words)) for words in written)
    assert first.given == {"data": "digits", "epochs": 3, "lr": 0.5}
    assert first.json
    assert others == [first, first]


def test_resume_takes_what_a_run_may_change_and_compare_all_but_what_it_varies() -> None:
    words = ["run", "--batch-size", "all", "--lr", "0.5", "--budget", "3ep"]
    assert parse(ResumeCommand, "resume", words).changes == {"batch_size": "all", "lr": 0.5, "budget": "3ep"}
    for name in TRAIN.keys() - {*CHANGEABLE, "data", "model"}:  # of its own: where they are now
        with pytest.raises(OptionError, match=r"^unknown option"):
            parse(ResumeCommand, "resume", ["run", f"--{name.replace('_', '-')}", "1"])
    given = parse(CompareCommand, "compare", ["--batch-size", "1,all", "--seed", "3", "--hidden", "8"]).given
    assert given == {"batch_sizes": (1, "all"), "seeds": (3,), "hidden": (8,)}


def test_an_option_is_added_by_one_declaration() -> None:
    """Outside the package: its check, its file form, its help, its place on the command line and what repeats it."""

    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class Clipped(TrainConfig):
        clip: float | None = option(
            None, "The gradient's largest norm.", number("NORM", "above 0", lambda norm: norm > 0), text="none"
        )

    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class ClippedCommand:
        """Train with clipped gradients."""

        given: dict[str, Any] = given(options_of(Clipped))

    config = Clipped(clip="0.5", seed=3)
    assert config.command() == "epochal train digits --seed 3 --clip 0.5"
    assert Clipped.from_dict(config.to_dict()) == config
    assert parse(ClippedCommand, "train", shlex.split(config.command())[2:]).given == {
        "data": "digits",
        "seed": 3,
        "clip": 0.5,
    }
    assert "--clip NORM" in explain(ClippedCommand, "train")
    with pytest.raises(OptionError, match="clip must be a finite number above 0, got -1"):
        Clipped(clip=-1)


# --- explanations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("width", [40, 60, 80])
def test_help_fits_its_width(command: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lines = explain(find_command(command), command).splitlines()
    longest = max(len(word) for line in lines for word in line.split())
    assert max(map(len, lines)) <= max(width, 6 + longest)


def test_help_and_docstring_state_every_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = " ".join(explain(TrainCommand, "train").split())
    assert "Samples per update: 1 to N, or 'all'. Or several and where each begins, such as" in text
    assert "which doubles by the gradients' noise. Default: 100, 32 for a small table, or N, if smaller." in text
    for name, one in TRAIN.items():
        assert one.help.endswith(".")
        assert " ".join(one.text.split()) in text
        assert f"        {name}: {one.text}" in (TrainConfig.__doc__ or "")


def test_help_states_the_declared_defaults() -> None:
    """The control: an option whose default is chosen elsewhere has ``None``, and the next test is about those."""
    checked = 0
    for config, options in ((TrainConfig(), TRAIN), (StudyConfig(shared=TrainConfig()), STUDY)):
        for name, one in options.items():
            value = getattr(config, name)
            if value is not None and value != () and not isinstance(value, bool):
                assert one.default == (",".join(map(str, value)) if isinstance(value, tuple) else str(value))
                checked += 1
    assert checked == 11


def resolved(model: str = "mlp", *, classes: bool = True, **options: Any) -> TrainConfig:
    x = np.zeros((200, 8, 8), np.float32)
    y = np.arange(200) % 2 if classes else np.linspace(0, 1, 200)
    return set_up(TrainConfig(model=model, **options), from_arrays(x, y)).config


def test_the_defaults_that_are_chosen_are_those_that_the_help_states() -> None:
    """Each number and name in a "Default: …" that no declaration holds, against what is really chosen."""
    samples = 160  # of 200, a fifth is for testing
    assert TRAIN["batch_size"].default == "100, 32 for a small table, or N, if smaller"
    assert (TrainConfig().plan(samples).batch_size, TrainConfig().plan(99).batch_size) == (100, 99)
    assert TRAIN["epochs"].default.startswith(str(TrainConfig().plan(samples).full_epochs) + ",")
    assert TRAIN["optimizer"].default == "sgd; adam for rnn, adamw for tables"
    assert [resolved(model).optimizer for model in ("linear", "mlp", "cnn", "rnn")] == ["sgd", "sgd", "sgd", "adam"]
    assert TRAIN["lr"].default.endswith(f"{default_learning_rate('sgd', 100):g} for sgd at 100")
    assert (
        TRAIN["loss"].default == f"{resolved().loss} for classification, {resolved(classes=False).loss} for regression"
    )
    assert TRAIN["hidden"].default == "128 (256 for cnn)"
    hidden = {model: build_model(model, (8, 8), 2).options["hidden"] for model in ("mlp", "cnn", "rnn")}
    assert hidden == {"mlp": [128], "cnn": [256], "rnn": [128]}
    assert {build_model(model, (8, 8), 2).options["dropout"] for model in ("mlp", "cnn")} == {
        float(TRAIN["dropout"].default)
    }


def test_the_names_in_the_help_are_all_that_there_are() -> None:
    for name, known in (("model", MODELS), ("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
        listed = re.split(r", | or ", TRAIN[name].help.split(". Or")[0].split("; ")[0].split(", over")[0].rstrip("."))
        assert listed == list(known)
    assert {name for one in TRAIN.values() for name in one.optimizers} <= set(OPTIMIZERS)


def test_the_names_that_a_shell_completes_are_all_that_there_are() -> None:
    for name, known in (("model", MODELS), ("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("metrics", METRICS)):
        assert sorted(TRAIN[name].kind.known) == sorted(known)


@pytest.mark.parametrize("arguments", [["train", "--help"], ["compare", "--help"], ["resume", "--help"]])
def test_help_imports_neither_jax_nor_numpy(arguments: list[str]) -> None:
    code = f"import sys; from epochal.cli import main; main({arguments!r}); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert {"jax", "numpy", "rich"}.isdisjoint(done.stderr.split())


def test_a_file_whose_name_is_no_text_is_refused() -> None:
    with pytest.raises(OptionError, match=r"data: '.*' has bytes that are no UTF-8, which no record can keep"):
        TrainConfig(data="a\udcff.csv")
