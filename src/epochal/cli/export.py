"""`epochal export`: a run's model for other programs."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from epochal.cli.arguments import json_option, run_option
from epochal.config.options import FILE, SWITCH, choice, option
from epochal.export import FORMATS


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportCommand:
    """Write a run's model so that programs without Epochal use it, or its history for TensorBoard.

    Example: epochal export runs/mnist-mlp-1 --to onnx

    stablehlo, onnx and numpy hold the whole prediction: preprocessing, weights, and the targets' own units. safetensors
    holds the weights alone. onnx is for linear, mlp, cnn, lenet and rnn, numpy for linear and mlp.
    """

    run: Path = run_option()
    to: str = option(
        MISSING, f"The format: {', '.join(FORMATS[:-1])} or {FORMATS[-1]}.", replace(choice(*FORMATS), metavar="FORMAT")
    )
    out: Path | None = option(
        None, "The file to write, or the folder.", FILE, text="a file of the run's name, in RUN/export/"
    )
    weights: Literal["last", "best"] | None = option(
        None, "Which weights.", choice("last", "best"), text="the best on validation samples, if there were any"
    )
    force: bool = option(False, "Replace files that are there.", SWITCH)
    json: bool = json_option()

    def execute(self) -> int:
        """Write the files and print their names."""
        from epochal.cli.screen import open_console, print_json
        from epochal.cli.text_lines import print_whole
        from epochal.export import export_run
        from epochal.run.run import Run
        from epochal.words.catalogue import tell

        run = Run.open(self.run).with_weights(self.weights)
        files = export_run(run, self.to, self.out, force=self.force)
        if self.json:
            print_json(self._facts(run, files))
            return 0

        console = open_console()
        for path in files:
            print_whole(console, tell("exports.file", format=self.to, path=path, bytes=f"{_size(path):,}"))
        return 0

    def _facts(self, run: Any, files: tuple[Path, ...]) -> dict[str, Any]:
        sizes = [{"path": str(path), "bytes": _size(path)} for path in files]
        return {"run": str(run.path), "to": self.to, "weights": run.weights, "files": sizes}


def _size(path: Path) -> int:
    """Return the bytes of a file, or of all files of a folder."""
    if path.is_dir():
        return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
    return path.stat().st_size
