"""Which launcher started this process, and what is said where it says half of what is needed."""

from __future__ import annotations

import os

import pytest

from epochal.engine import joining
from epochal.engine.joining import Launched, find_launcher, is_launched, join
from epochal.errors import OptionError, RunError

THREE = {"JAX_COORDINATOR_ADDRESS": "10.0.0.1:1234", "JAX_NUM_PROCESSES": "4", "JAX_PROCESS_ID": "2"}
SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_NTASKS": "2",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "0",
    "SLURM_STEP_NODELIST": "node[3-4]",
}


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process look as if nobody had launched it."""
    for name in [name for name in os.environ if name.startswith(("JAX_", "SLURM_", "OMPI_", "KUBERNETES_"))]:
        monkeypatch.delenv(name)


def given(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_without_a_launcher_a_process_is_alone() -> None:
    assert find_launcher() is None
    assert not is_launched()
    assert join().is_alone


def test_three_variables_say_who_a_process_is(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, THREE)
    assert find_launcher() == Launched("10.0.0.1:1234", 4, 2)
    assert is_launched()


def test_one_process_of_one_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, {**THREE, "JAX_NUM_PROCESSES": "1", "JAX_PROCESS_ID": "0"})
    assert join().is_alone
    assert not is_launched()


def test_slurm_is_known_by_its_own_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, SLURM)
    found = find_launcher()
    assert found is not None
    assert (found.processes, found.rank, found.address.partition(":")[0]) == (2, 1, "node3")


@pytest.mark.parametrize("missing", THREE)
def test_half_of_what_is_needed_is_refused(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    given(monkeypatch, {name: value for name, value in THREE.items() if name != missing})
    with pytest.raises(OptionError, match=f"but {missing} is not; set all three"):
        find_launcher()


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("JAX_COORDINATOR_ADDRESS", "10.0.0.1", "HOST:PORT"),
        ("JAX_NUM_PROCESSES", "four", "a number of processes"),
        ("JAX_PROCESS_ID", "4", "from 0 to below 4"),
    ],
)
def test_values_that_cannot_be_are_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str, why: str) -> None:
    given(monkeypatch, {**THREE, name: value})
    with pytest.raises(OptionError, match=f"{name} must be .*{why}"):
        find_launcher()


def test_an_mpi_that_jax_does_not_know_is_no_reason_to_train_several_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    with pytest.raises(OptionError, match="MPI started 2 processes, but JAX does not know this MPI"):
        find_launcher()


def test_a_host_that_calls_itself_127_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = {"10.0.0.1": "10.0.0.1", "node": "127.0.1.1"}
    monkeypatch.setattr(joining.socket, "gethostname", lambda: "node")
    monkeypatch.setattr(joining.socket, "gethostbyname", addresses.__getitem__)
    given(monkeypatch, THREE)
    with pytest.raises(RunError, match=r"own name, node, stands for 127\.0\.1\.1.* in /etc/hosts"):
        join()


def test_seconds_must_be_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, {**THREE, "EPOCHAL_JOIN_TIMEOUT": "soon"})
    with pytest.raises(OptionError, match="EPOCHAL_JOIN_TIMEOUT must be whole seconds, at least 1, got 'soon'"):
        join()
