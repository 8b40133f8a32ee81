"""Memory that is spent ends a command in a line that says what to change."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import jax
import pytest

from epochal.errors import spent_memory
from epochal.words.language import speaking
from epochal.words.phrases import translate

LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
from epochal.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_model_that_memory_does_not_hold_ends_in_a_line(tmp_path: Path) -> None:
    words = ["train", "digits", "--hidden", "3000000", "--iterations", "1", "--run", str(tmp_path / "run")]
    done = subprocess.run([sys.executable, "-c", LIMITED, *words], capture_output=True, text=True, check=False)
    *_, last = done.stderr.splitlines()
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert last.startswith("epochal: there is not enough memory: ")
    assert " GB or more of what is needed could not be had; take a smaller model" in last


@pytest.mark.parametrize(
    ("error", "more"),
    [
        (jax.errors.JaxRuntimeError("INTERNAL: Out of memory allocating 2544000964 bytes."), "2.54 GB or more"),
        (jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: no more"), "a part"),
        (MemoryError(), "a part"),
    ],
    ids=["of JAX", "of JAX, without a size", "of Python"],
)
def test_what_says_that_memory_is_spent(error: Exception, more: str) -> None:
    said = str(spent_memory(error))
    assert said.startswith(f"there is not enough memory: {more} of what is needed")
    with speaking("zh"):
        assert translate(said).startswith("内存不够")


@pytest.mark.parametrize("error", [RuntimeError("the layer is out of range"), ValueError("out of memory")])
def test_other_errors_are_what_they_are(error: Exception) -> None:
    assert spent_memory(error) is None
