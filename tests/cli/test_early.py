"""A command starts sooner: data are read while JAX is imported, and garbage is looked for less often."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref

import pytest

from epochal.cli.early import few_collections, may_be_launched, nothing_collected

_DATA_READ_FIRST = """
import sys
from epochal.cli import early, load
from epochal.cli.train import TrainCommand
from epochal.config.train_config import TrainConfig

def read(*_, **options):
    assert options["as_given"] is False
    print("epochal.engine" in sys.modules)
    return "data"

load.load_with_progress = read
command = TrainCommand(given={})
print(command._data_read_early(TrainConfig(model=sys.argv[1])), "jax.numpy" in sys.modules, "optax" in sys.modules)
"""


def read_early(model: str) -> list[str]:
    command = [sys.executable, "-c", _DATA_READ_FIRST, model]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def test_data_are_read_before_the_engine_is_there_and_jax_is_imported_beside() -> None:
    assert read_early("mlp") == ["False", "data", "True", "True"]


def test_a_models_file_comes_before_the_data() -> None:
    assert read_early("net.py:build") == ["None", "False", "False"]


@pytest.mark.parametrize("variable", ["JAX_NUM_PROCESSES", "SLURM_JOB_ID", "OMPI_COMM_WORLD_SIZE"])
def test_a_process_of_several_joins_the_others_before_it_reads(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    assert not may_be_launched()
    monkeypatch.setenv(variable, "2")
    assert may_be_launched()


def test_collections_are_few_in_the_block_alone_and_stay_off_where_they_are() -> None:
    before = gc.get_threshold()
    with few_collections():
        assert gc.get_threshold()[0] >= 50_000
    assert gc.get_threshold() == before

    gc.set_threshold(0)
    try:
        with few_collections():
            assert gc.get_threshold()[0] == 0
    finally:
        gc.set_threshold(*before)


class Knot:
    """An object that holds itself: garbage that only a search finds."""

    def __init__(self) -> None:
        self.itself = self


def collections_of(count: int) -> list[int]:
    """Make objects, and return which generations were looked through meanwhile."""
    found: list[int] = []
    gc.callbacks.append(note := lambda phase, about: found.append(about["generation"]) if phase == "start" else None)
    try:
        made = [[number] for number in range(count)]
    finally:
        gc.callbacks.remove(note)
    assert len(made) == count
    return found


def test_nothing_is_collected_in_the_block_nor_is_what_it_leaves_looked_through() -> None:
    assert collections_of(20_000), "the control"
    with nothing_collected():
        assert collections_of(20_000) == []
        left = [[number] for number in range(20_000)]
    assert gc.isenabled()
    assert gc.get_count()[0] < 1_000, "they are old ones now"
    assert left


def test_garbage_of_the_block_is_found_later_and_a_switch_that_is_off_stays_off() -> None:
    with nothing_collected():
        knot = weakref.ref(Knot())
    assert knot() is not None
    gc.collect()
    assert knot() is None, "frozen objects would never be"

    gc.disable()
    try:
        with nothing_collected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
