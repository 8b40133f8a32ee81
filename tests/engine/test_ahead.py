"""Programs kept as a whole: a second start traces nothing, and a program is never taken for another one."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import pytest
from workbench import labelled

from epochal.clock import Position
from epochal.config.train_config import TrainConfig
from epochal.data import from_arrays
from epochal.engine import Engine, Optimizer, ahead, named_leaves
from epochal.engine.compile import Programs
from epochal.engine.described import UnknownPartError
from epochal.engine.kept_programs import KeptPrograms
from epochal.engine.metrics import METRICS, Mean
from epochal.models import Model, build_model
from epochal.run.setup import set_up


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> KeptPrograms:
    """A place of this test's own, in which JAX keeps programs too, as in a user's process."""
    place = KeptPrograms(tmp_path)
    monkeypatch.setattr("jax._src.compilation_cache._cache", place)
    monkeypatch.setattr("jax._src.compilation_cache._cache_initialized", True)
    return place


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is traced and lowered by the engine."""
    names: list[str] = []
    compile_module = import_module("epochal.engine.compile")
    compile_as_ever = compile_module._compile

    def note(function: Callable[..., Any], *rest: Any) -> Any:
        names.append(function.__name__)
        return compile_as_ever(function, *rest)

    monkeypatch.setattr(compile_module, "_compile", note)
    return names


def engine_of(**options: Any) -> Engine:
    config = TrainConfig(**{"model": "mlp:5", "optimizer": "sgd", "batch_size": 7, "iterations": 3, **options})
    engine = set_up(config, labelled(60)).engine
    engine.programs = Programs()  # as in a process that has just begun
    return engine


def worked_on(engine: Engine) -> dict[str, bytes]:
    """Begin, train, evaluate; return the weights' bytes."""
    with engine.programs.kept_whole():
        state, _ = engine.run(engine.begin(), Position(), 7, 3)
        engine.evaluate(state, engine.data.test)
    return {name: leaf.tobytes() for name, leaf in named_leaves(state).items()}


def test_a_second_start_traces_nothing_and_has_the_same_bits(kept: KeptPrograms, traced: list[str]) -> None:
    first = worked_on(engine_of())
    assert len(traced) == 3, "the first state, the chunk, the evaluation"
    traced.clear()
    assert worked_on(engine_of()) == first
    assert worked_on(engine_of(seed=1, lr=0.3)) != first
    assert traced == []


@pytest.mark.parametrize(
    "options",
    [{"optimizer": "adam"}, {"label_smoothing": 0.1}, {"clip_norm": 1.0}, {"dropout": 0.5}, {"micro_batch": 3}],
)
def test_another_training_is_another_program(kept: KeptPrograms, traced: list[str], options: dict[str, Any]) -> None:
    place, other = (chunk_name(kept, engine_of(**some)) for some in ({}, options))
    assert None not in (place, other)
    assert place != other
    assert chunk_name(kept, engine_of()) == place, "the control"


@pytest.mark.parametrize("name", ["linear", "mlp", "cnn", "lenet", "rnn"])
def test_the_sizes_of_a_model_are_part_of_the_name(kept: KeptPrograms, name: str) -> None:
    """The first weights are made from a seed alone: its program's arguments do not show how many there are."""
    device = jax.devices()[0]
    models = [build_model(name, shape, outputs) for shape, outputs in (((28, 28), 10), ((32, 32), 10), ((28, 28), 3))]
    names = [name_of(kept, ("begin", one, device)) for one in models]
    assert None not in names
    assert len(set(names)) == 3
    assert name_of(kept, ("begin", build_model(name, (28, 28), 10), device)) == names[0], "the control"


def test_a_program_that_calls_functions_outside_of_it_is_not_kept(kept: KeptPrograms) -> None:
    matrix = jax.numpy.ones((3, 3))
    for function, is_kept in ((jax.numpy.linalg.qr, False), (jax.numpy.tanh, True)):
        place = ahead.Kept(kept, f"ahead {is_kept}", jax.devices()[0])
        place.compile(jax.jit(function).lower(matrix), None)
        assert (place.load() is not None) == is_kept


def test_other_data_begin_with_other_weights(kept: KeptPrograms) -> None:
    config = TrainConfig(model="mlp:5", optimizer="sgd", batch_size=7, iterations=3)
    for columns in (4, 9):
        x = np.random.default_rng(columns).normal(size=(60, columns)).astype(np.float32)
        engine = set_up(config, from_arrays(x, np.arange(60) % 3, test=(x[:9], np.arange(9) % 3))).engine
        engine.programs = Programs()
        weights = worked_on(engine)
        assert columns * 5 * 4 in map(len, weights.values())


def chunk_name(kept: KeptPrograms, engine: Engine) -> str | None:
    """Return the name under which an engine's chunk would be kept, without compiling it."""
    config: list[Any] = []

    def note(what: Any, *rest: Any, **more: Any) -> Any:
        config.append(what)
        raise InterruptedError

    engine.programs.get = note  # type: ignore[method-assign]
    with pytest.raises(InterruptedError):
        engine.prepare(engine.initial_state(), 7)
    place = ahead.place_of(kept, config[0])
    return None if place is None else place.name


def test_sources_versions_and_settings_are_part_of_the_name(kept: KeptPrograms, monkeypatch: Any) -> None:
    device = jax.devices()[0]
    name = name_of(kept, device)
    assert name == name_of(kept, device)
    for change in ("_sources", "_compiler", "_target"):
        with monkeypatch.context() as patch:
            patch.setattr(ahead, change, lambda *_: "other")
            assert name_of(kept, device) != name
    for version in ("jax.__version__", "optax.__version__", "numpy.__version__", "epochal.engine.ahead.__version__"):
        with monkeypatch.context() as patch:
            patch.setattr(version, "0.0")
            assert name_of(kept, device) != name


@pytest.mark.parametrize(
    "variable", ["XLA_FLAGS", "NPROC", "JAX_PLATFORMS", "TF_CPP_MIN_LOG_LEVEL", "ONEDNN_MAX_CPU_ISA"]
)
def test_what_compilers_read_of_the_environment_is_part_of_the_name(
    kept: KeptPrograms, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    device = jax.devices()[0]
    name = name_of(kept, device)
    monkeypatch.setenv("HOME_OF_ANOTHER", "1")
    assert name_of(kept, device) == name, "the control"
    monkeypatch.setenv(variable, "--xla_cpu_enable_fast_math=true")
    assert name_of(kept, device) != name


def test_flags_in_a_file_are_part_of_the_name(
    kept: KeptPrograms, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """XLA reads them from there where XLA_FLAGS names a file: what it says, and not its name, decides a program."""
    device, file = jax.devices()[0], tmp_path / "flags"
    monkeypatch.setenv("XLA_FLAGS", str(file))
    assert ahead.place_of(kept, device) is None, "nobody knows what it will say"
    names = []
    for flags in ("--xla_cpu_enable_fast_math=true", "--xla_cpu_enable_fast_math=none"):
        file.write_text(flags)
        names.append(name_of(kept, device))
    assert len(set(names)) == 2


def test_what_cannot_be_read_is_no_reason_to_fail(kept: KeptPrograms, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(ahead, "_sources", refuse)
    assert ahead.place_of(kept, jax.devices()[0]) is None


def test_what_the_sources_say_is_part_of_the_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not only their size and time, which are the same for all files of some system images."""
    monkeypatch.setattr(ahead, "__file__", str(tmp_path / "epochal" / "engine" / "ahead.py"))
    with pytest.raises(UnknownPartError):
        ahead._sources.__wrapped__()

    texts = []
    for text in ("momentum = 0.9", "momentum = 0.8"):
        for file in ("order.py", "models/kernels/tiles.py"):
            (tmp_path / "epochal" / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "epochal" / file).write_text(text)
            os.utime(tmp_path / "epochal" / file, (0, 0))
            texts.append(ahead._sources.__wrapped__())
    assert len(set(texts)) == 4


def name_of(kept: KeptPrograms, parts: Any) -> str:
    place = ahead.place_of(kept, parts)
    assert place is not None
    return place.name


def own_losses(outputs: Any, targets: Any) -> Any:
    return (outputs[:, 0] - targets) ** 2


OF_THEIR_OWN = {
    "model": Model("mlp", lambda key: ((), ()), lambda *_: ((), ())),
    "loss": own_losses,
    "metric": Mean("accuracy", own_losses),
    "a metric with a function that has no name": Mean("accuracy", lambda outputs, targets: outputs[:, 0]),
    "optimizer": Optimizer(own=optax.stateless(own_losses)),
    "object": object(),
}


@pytest.mark.parametrize("part", OF_THEIR_OWN.values(), ids=OF_THEIR_OWN)
def test_what_has_a_part_of_the_users_own_is_not_kept(kept: KeptPrograms, part: Any) -> None:
    device = jax.devices()[0]
    assert ahead.place_of(kept, (device, METRICS["accuracy"])) is not None, "the control"
    assert ahead.place_of(kept, (device, part)) is None


def test_a_file_that_is_of_no_use_is_compiled_again(kept: KeptPrograms, traced: list[str]) -> None:
    first = worked_on(engine_of())
    for file in kept.folder.glob("*.program"):
        file.write_bytes(file.read_bytes()[:-1])
    traced.clear()
    assert worked_on(engine_of()) == first
    assert len(traced) == 3


def test_whole_programs_are_kept_within_the_block_alone(kept: KeptPrograms, traced: list[str]) -> None:
    engine = engine_of()
    engine.evaluate(engine.run(engine.begin(), Position(), 7, 3)[0], engine.data.test)
    traced.clear()
    worked_on(engine_of())
    assert len(traced) == 3
