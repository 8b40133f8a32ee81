"""What `docs/export.md` shows runs as it stands, in processes that cannot import Epochal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from exporting import in_a_process_without_epochal

import epochal

PAGE = Path(__file__).parents[2] / "docs" / "export.md"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the page's run lies, exported to each format."""
    folder = tmp_path_factory.mktemp("page")
    run = epochal.train("digits", model="mlp", epochs=3, run=folder / "runs" / "digits", progress=False)
    for to in ("stablehlo", "safetensors", "numpy"):
        run.export(to)
    return folder


@pytest.mark.parametrize("title", ["StableHLO", "ONNX", "NumPy", "safetensors"])
def test_a_pages_lines_load_the_export(exported: Path, title: str) -> None:
    section = PAGE.read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len([line for line in code.splitlines() if line]) <= 6  # five lines, and what they import
    if title == "ONNX":
        pytest.importorskip("onnx", reason="ONNX is written with the package onnx")
        pytest.importorskip("onnxruntime", reason="ONNX is loaded with onnxruntime")
        epochal.Run.open(exported / "runs" / "digits").export("onnx")

    assert in_a_process_without_epochal(code + "\nprint(1)", cwd=exported) == 1
