"""What users add from outside: a metric, a callback, an optimizer with an option; each in one place, as here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from epochal import Callback, Metric, Run, compare, rerun, resume, train
from epochal.cli import main
from epochal.engine.optimizer import OPTIMIZERS, register
from epochal.errors import OptionError
from epochal.run.callbacks import ChunkEnd, EpochEnd
from little import little_data
from small import three_clouds

__all__ = ["little_data"]


# --- the three additions --------------------------------------------------------------------------------------------


class Confidence(Metric):
    """The mean probability that the model gives to its own answer."""

    name = "confidence"
    kinds = ("classification",)
    empty = (0.0, 0)

    def of(self, outputs, targets):  # type: ignore[no-untyped-def]
        return jax.nn.softmax(outputs).max(axis=1).sum(), len(outputs)

    def compute(self, sums):  # type: ignore[no-untyped-def]
        return sums[0] / sums[1]


class Diary(Callback):
    """Writes down losses and results, as a logger would."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.results: list[dict[str, float]] = []

    def on_chunk(self, chunk: ChunkEnd) -> None:
        self.losses.extend(chunk.losses.tolist())

    def on_epoch(self, epoch: EpochEnd) -> None:
        self.results.append(dict(epoch.row.test))


@pytest.fixture
def clipped() -> Iterator[None]:
    """An optimizer with an option of its own."""

    @register("clipped-sgd", rate_at_100=0.1)
    def clipped_sgd(
        rate: optax.ScalarOrSchedule, *, clip: float = 1.0, at: object = ()
    ) -> optax.GradientTransformation:
        return optax.chain(optax.clip_by_global_norm(clip), optax.sgd(rate))

    yield
    del OPTIMIZERS["clipped-sgd"]


# --- where they appear ----------------------------------------------------------------------------------------------


def test_a_metric_appears_wherever_metrics_do(
    little_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run"
    run = train(little_data, model="linear", epochs=2, run=path, metrics=["accuracy", Confidence()], progress=True)
    expected = run.predict_proba(run.data.test.x).max(axis=1).mean()
    assert run.history.tests[-1].metrics["confidence"] == pytest.approx(float(expected), rel=1e-6)
    assert "confidence 0." in capsys.readouterr().out, "in the lines of progress"

    assert main(["show", str(path)]) == 0
    assert "confidence" in capsys.readouterr().out
    assert main(["show", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["epochs"][0]["test_confidence"] > 0
    assert main(["show", str(path), "--csv", "--table", "metrics"]) == 0
    assert ",test,confidence," in capsys.readouterr().out
    assert main(["report", str(path)]) == 0
    assert "confidence" in (path / "report.html").read_text(encoding="utf-8")


def test_a_metric_of_several_figures_may_have_any_numbers(little_data: Path, tmp_path: Path) -> None:
    class Several(Confidence):
        def compute(self, sums):  # type: ignore[no-untyped-def]
            return {"of/count": np.int64(sums[1]), "of/mean": np.float32(sums[0] / sums[1])}

    run = train(little_data, model="linear", epochs=1, metrics=Several(), run=tmp_path / "run")
    assert Run.open(run.path).history.evaluations[-1].metrics["of/count"] == 11


def test_metrics_are_named_as_on_the_command_line(little_data: Path) -> None:
    run = train(little_data, model="linear", epochs=1, metrics="accuracy, f1", run=False)
    assert {"accuracy", "f1"} <= run.history.evaluations[-1].metrics.keys()


def test_a_metric_appears_in_comparisons(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = {"batch_sizes": [10, "all"], "models": "linear", "epochs": 1}
    study = compare(three_clouds(), run=tmp_path / "s", metrics=["accuracy", Confidence()], **options)
    assert all("confidence" in run.history.tests[-1].metrics for run in study.runs.values())
    capsys.readouterr()
    assert main(["show", str(study.path)]) == 0
    assert "confidence" in capsys.readouterr().out
    assert "test_confidence" in study.to_dict()["runs"][0]


def test_a_resumed_run_measures_it_where_it_is_given_again(little_data: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    train(little_data, model="linear", epochs=1, run=path, metrics=["accuracy", Confidence()])
    with_it = resume(path, epochs=2, metrics=["accuracy", Confidence()])
    without = resume(path, epochs=3)
    assert [list(row.metrics) for row in without.history.tests] == [["loss", "accuracy", "confidence"]] * 2 + [
        ["loss", "accuracy"]
    ]
    assert with_it.history.tests == without.history.tests[:2]
    assert rerun(path, tmp_path / "again").is_same, "metrics change no weights"


def test_a_callback_is_told_everything(little_data: Path) -> None:
    diary = Diary()
    run = train(little_data, model="linear", epochs=3, run=False, callbacks=diary)
    assert np.array(diary.losses, np.float32).tobytes() == run.history.losses.tobytes()
    assert diary.results == [dict(row.test) for row in run.history.epochs]


@pytest.mark.usefixtures("clipped")
def test_an_optimizers_option_reaches_the_training_and_the_record(
    little_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"model": "linear", "epochs": 2, "lr": 0.1}
    tight = train(little_data, run=tmp_path / "a", optimizer="clipped-sgd", settings={"clip": 1e-6}, **options)
    loose = train(little_data, run=tmp_path / "b", optimizer="clipped-sgd", settings={"clip": 1e6}, **options)
    plain = train(little_data, run=False, **options)
    assert loose.weights_sha256 == plain.weights_sha256 != tight.weights_sha256
    assert Run.open(tight.path).config.settings == {"clip": 1e-6}
    assert rerun(tight.path, tmp_path / "again").is_same
    listed = train(little_data, run=tmp_path / "l", optimizer="clipped-sgd", settings={"at": (3, 4)}, **options)
    assert rerun(listed.path, tmp_path / "listed").is_same
    assert "--set clip=1e-06" in tight.config.command()

    command = ["train", str(little_data), "--model", "linear", "--epochs", "2", "--lr", "0.1"]
    assert main([*command, "--optimizer", "clipped-sgd", "--set", "clip=1e-6", "--run", str(tmp_path / "c")]) == 0
    assert Run.open(tmp_path / "c").weights_sha256 == tight.weights_sha256
    capsys.readouterr()
    assert main([*command, "--set", "clip=1"]) == 2
    assert "clip has no effect with sgd" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"kernal": 3}, "unknown option of cnn 'kernal': did you mean 'kernel'?"),
        ("kernel", "settings must be NAME=VALUE, such as kernel=3, got 'kernel'"),
    ],
)
def test_settings_that_nobody_has_are_refused(settings: object, says: str) -> None:
    with pytest.raises(OptionError) as caught:
        train("digits", model="cnn", settings=settings, run=False)
    assert says in str(caught.value)


def test_settings_reach_the_model() -> None:
    run = train("digits", model="cnn", settings=["channels=4,8", "kernel=3"], iterations=1, run=False)
    assert run.file.model.options["channels"] == [4, 8]
    assert run.file.model.options["kernel"] == 3
    assert jnp.shape(run.params["convolutions"][0]["kernel"]) == (3, 3, 1, 4)
