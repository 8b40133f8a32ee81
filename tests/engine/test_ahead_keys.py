"""Names of kept programs: never one name for two programs, whatever a training can differ in.

All programs of many trainings are traced and lowered here, not compiled, and their texts compared with their names.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from ahead_grid import BASE, LONG, SHORT, WITHOUT_A_PROGRAM, data_named

from epochal.clock import Position
from epochal.config.train_config import TRAIN, TrainConfig
from epochal.engine import ahead, described, measure_large_gradient
from epochal.engine.ahead import Kept
from epochal.engine.compile import Program, Programs
from epochal.engine.kept_programs import KeptPrograms
from epochal.run.setup import set_up

Named = dict[str | None, set[str]]
"""Of each name, the programs that had it; of ``None``, those that are not kept."""


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, unchecked: None) -> Named:
    """What the engine's programs are, by the names under which they would be kept; none is compiled."""
    found: Named = {}

    def note(function: Any, arguments: Any, donate: Any, options: Any, place: Kept | None) -> Program:
        lowered = jax.jit(function, donate_argnums=donate).lower(*arguments)
        text = f"{lowered.as_text()} {options}"
        found.setdefault(None if place is None else place.name, set()).add(hashlib.sha256(text.encode()).hexdigest())
        ones = jax.tree.map(lambda leaf: jnp.ones(leaf.shape, leaf.dtype), lowered.out_info)
        return Program(lambda *_: ones, 0)

    monkeypatch.setattr("jax._src.compilation_cache._cache", KeptPrograms(tmp_path))
    monkeypatch.setattr("jax._src.compilation_cache._cache_initialized", True)
    monkeypatch.setattr(import_module("epochal.engine.compile"), "_compile", note)
    return found


def work(grid: Iterable[dict[str, Any]]) -> None:
    """Do all that compiles in each of these trainings."""
    for options in grid:
        some = {**BASE, **options}
        engine = set_up(TrainConfig(**some), data_named(some.get("data", "classes"))).engine
        engine.programs = Programs()
        with engine.programs.kept_whole():
            batch_size = min(len(engine.data.train), 60 if some["batch_size"] == "all" else some["batch_size"])
            state, _ = engine.run(engine.begin(), Position(), batch_size, 1)
            engine.evaluate(state, engine.data.test)
            if engine.noise_every is not None:
                measure_large_gradient(engine, state, Position(), most=40)


def shared(named: Named) -> list[str]:
    """Return the names that several programs have."""
    return [name for name, programs in named.items() if name is not None and len(programs) > 1]


def test_no_two_programs_have_one_name(named: Named) -> None:
    work(SHORT.values())
    assert shared(named) == []
    assert None not in named, "all of them are kept"
    assert len(named) > len(SHORT)


def test_every_source_of_a_program_is_part_of_its_name(named: Named, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the package's own: where a function of another folder is compiled, that folder is to be added."""
    package, places = Path(ahead.__file__).parents[1], set()
    as_text = jax.stages.Lowered.as_text

    def note(lowered: jax.stages.Lowered) -> str:
        text = as_text(lowered, debug_info=True)
        places.update(re.findall(r'"(/[^"]+[.]py)"', text))
        return text

    monkeypatch.setattr(jax.stages.Lowered, "as_text", note)
    work([{**SHORT["noise"], **SHORT["metrics"], **LONG["cosine"]}, LONG["blocks"]])
    own = {file.relative_to(package) for file in map(Path, places) if file.is_relative_to(package)}
    assert {Path("order.py"), Path("audit.py"), Path("engine/step.py"), Path("models/mlp.py")} <= own, "the control"
    assert {file.parent for file in own} <= {Path(folder) for folder in ahead._SOURCES}


@pytest.mark.slow
def test_no_two_programs_of_many_trainings_have_one_name(named: Named) -> None:
    work([*SHORT.values(), *LONG.values()])
    assert shared(named) == []
    assert len(named) > len(SHORT | LONG)


@pytest.mark.parametrize("forgotten", ["micro_batch", "smoothing"])
def test_a_name_that_forgets_something_is_found(named: Named, monkeypatch: pytest.MonkeyPatch, forgotten: str) -> None:
    """The control: a field that the text leaves out, as one left out by hand was."""
    forgetful = SimpleNamespace(
        is_dataclass=dataclasses.is_dataclass,
        fields=lambda part: [one for one in dataclasses.fields(part) if one.name != forgotten],
    )
    monkeypatch.setattr(described, "dataclasses", forgetful)
    work({"micro_batch": [{}, {"micro_batch": 3}], "smoothing": [SHORT["smoothed"], SHORT["smoothed more"]]}[forgotten])
    assert len(shared(named)) == 1


def test_every_option_is_varied_or_cannot_matter() -> None:
    """An option that is added is to be varied here too, or to have a reason not to be."""
    varied = {option for options in (*SHORT.values(), *LONG.values(), BASE) for option in options}
    assert varied | WITHOUT_A_PROGRAM.keys() == set(TRAIN)
    assert not varied & WITHOUT_A_PROGRAM.keys()
