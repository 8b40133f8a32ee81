"""JAX's settings and processes: what trains anyway, what is refused in a line, and what is recorded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from epochal import rerun, resume, train
from epochal.engine import present_settings
from epochal.engine.runtime import check_jax
from epochal.errors import OptionError
from epochal.record.run_toml import read_run_toml
from little import StopAfter, Warnings, little_data

__all__ = ["little_data"]


def in_process(code: str, **environment: str) -> str:
    """Run code in a process of its own and return what it printed; the test fails where it hangs or raises."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


TRAIN = "from epochal.cli.main import main; main(['train', 'digits', '--iterations', '2', '--json', '--run', 'run'])"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("JAX_ENABLE_X64", "1", "JAX is set to JAX_ENABLE_X64=True, but Epochal counts and trains in 32 bits"),
        ("JAX_PLATFORMS", "cuda", "JAX cannot start with JAX_PLATFORMS=cuda"),
        ("JAX_PLATFORMS", "gpuu", "JAX cannot start with JAX_PLATFORMS=gpuu"),
        ("JAX_NUMPY_RANK_PROMOTION", "raise", "JAX is set to JAX_NUMPY_RANK_PROMOTION=raise, but models add a bias"),
        ("JAX_DISABLE_JIT", "1", "JAX is set to JAX_DISABLE_JIT=True"),
    ],
)
def test_what_cannot_train_is_refused_in_a_line(name: str, value: str, says: str) -> None:
    output = in_process(TRAIN, **{name: value})
    assert output.strip().splitlines()[-1].startswith(f"epochal: {says}")
    assert not Path("run").exists()


def test_what_a_context_sets_counts() -> None:
    with jax.enable_x64(True), pytest.raises(OptionError, match="JAX_ENABLE_X64"):
        check_jax()
    check_jax()


FORK = """
import os, sys, numpy, epochal
x, y = numpy.random.default_rng(0).normal(size=(40, 3)).astype('float32'), numpy.arange(40) % 2
def work():
    return epochal.train((x, y), batch_size=8, epochs=1, run=False)
{before}
sys.stdout.flush()
child = os.fork()
if not child:
    try:
        {within}
    except epochal.EpochalError as error:
        print(type(error).__name__, error)
    sys.stdout.flush()
    os._exit(0)
os.waitpid(child, 0)
print('parent', work().status)
"""
REFUSED = "RunError this process was forked from one that had used JAX"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(
    ("before", "within", "says"),
    [
        ("run = work()", "work()", REFUSED),
        ("run = work()", "run.evaluate((x, y))", REFUSED),
        ("run = work()", "run.predict(x)", REFUSED),
        ("import jax; jax.numpy.ones(3).block_until_ready()", "work()", REFUSED),
        ("import jax", "print(work().status)", "finished"),
        ("", "print(work().status)", "finished"),
    ],
    ids=["train", "evaluate", "predict", "JAX alone", "JAX was only imported", "nothing before"],
)
def test_a_child_forked_after_jax_was_used_is_refused_and_does_not_hang(before: str, within: str, says: str) -> None:
    first, last = in_process(FORK.format(before=before, within=within)).strip().splitlines()
    assert first.startswith(says)
    assert last == "parent finished"


def test_settings_that_decide_bits_are_recorded_where_they_are_not_the_default(
    little_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    plain = train(little_data, model="linear", epochs=1, run=tmp_path / "plain")
    assert "settings" not in plain.file.to_dict()

    told = Warnings()
    with jax.default_matmul_precision("float32"):
        assert present_settings() == {"jax_default_matmul_precision": "float32"}
        path = train(
            little_data, model="linear", batch_size=4, epochs=2, run=tmp_path / "run", callbacks=StopAfter(1)
        ).path
        assert read_run_toml(path / "run.toml").settings == {"jax_default_matmul_precision": "float32"}
        resume(path, callbacks=[told, StopAfter(1)])
        assert told.messages == []

    resume(path, callbacks=told)
    assert len(told.messages) == 1
    assert "jax_default_matmul_precision float32 → the default" in told.messages[0]
    assert rerun(path, tmp_path / "again").repeated.file.settings == {}


def test_flags_of_xla_are_recorded_but_for_the_number_of_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2 --xla_cpu_enable_fast_math=true")
    assert present_settings() == {"XLA_FLAGS": "--xla_cpu_enable_fast_math=true"}
