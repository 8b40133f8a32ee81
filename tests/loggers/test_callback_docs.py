"""Every Python example of docs/callbacks.md and docs/loaders.md runs as it stands."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
OPTIONAL = ("torch", "torchdata", "lightning", "transformers", "grain", "wandb", "mlflow", "trackio", "optuna")
SLOW = {"lightning", "transformers"}  # to import


def needs(code: str) -> list[str]:
    """Return the optional packages of an example."""
    loggers = {"WandB": "wandb", "MLflow": "mlflow", "Trackio": "trackio"}
    named = {package for name, package in loggers.items() if f"import {name}" in code}
    return [one for one in OPTIONAL if one in named or re.search(rf"^(import|from) {one}\b", code, re.MULTILINE)]


def examples() -> list[object]:
    found = []
    for page in ("callbacks.md", "loaders.md"):
        text = (DOCS / page).read_text(encoding="utf-8") if (DOCS / page).is_file() else ""
        for number, code in enumerate(re.findall(r"```python\n(.*?)```", text, re.DOTALL), 1):
            marks = [pytest.mark.slow] if SLOW & set(needs(code)) else []
            found.append(pytest.param(code, id=f"{page}-{number}", marks=marks))
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("code", examples())
def test_an_example_runs_as_it_stands(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in needs(code):
        pytest.importorskip(package, reason=f"needs {package}")
    for name, value in {"WANDB_SILENT": "true", "HF_HUB_OFFLINE": "1", "TRACKIO_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "example.py"
    path.write_text(code)
    runpy.run_path(str(path), run_name="__main__")


def test_there_are_examples() -> None:
    if not DOCS.is_dir():
        pytest.skip("needs the repository's docs")
    assert len(examples()) > 12
    assert needs("import torch\nfrom epochal.loggers import WandB\n") == ["torch", "wandb"]
