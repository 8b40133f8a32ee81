"""`epochal rerun`: repeat a run from its `run.toml`, and compare the weights bit by bit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from epochal.cli.arguments import json_option, model_option, run_option
from epochal.options import FOLDER, option, text
from epochal.words.catalogue import tell


@dataclass(frozen=True, slots=True, kw_only=True)
class RerunCommand:
    """Repeat a run from its run.toml, up to where it stands, and check that the weights are bit-identical.

    Example: epochal rerun runs/mnist-mlp-1

    Exit status: 0 if they are, 1 if not.
    """

    folder: Path = run_option("The run to repeat.")
    run: Path | None = option(None, "The new run's folder.", FOLDER, text="runs/NAME-rerun-1, or the next free number")
    data: str | None = option(None, "Where the run's own data are now.", text("a path", "FILE"))
    model: str | None = model_option()
    json: bool = json_option()

    def execute(self) -> int:
        """Train anew and compare."""
        from epochal.cli.screen import open_console, print_json
        from epochal.cli.signals import stop_on_signal
        from epochal.run.api import rerun
        from epochal.run.callbacks import StopWhen
        from epochal.run.progress import ProgressBar

        console = open_console(quiet=self.json)
        with stop_on_signal() as stop, ProgressBar(console) as progress:
            callbacks = (progress, StopWhen(stop.is_asked))
            result = rerun(self.folder, self.run, data=self.data, model=self.model, callbacks=callbacks, progress=False)
        if stop.is_asked():
            console.print(tell("result.part_repeated", path=result.repeated.path), soft_wrap=True)
            return stop.exit_status

        hashes = {"original": result.original.weights_sha256, "repeated": result.repeated.weights_sha256}
        if self.json:
            print_json({"run": str(result.repeated.path), "same_bits": result.is_same, **hashes})
            return 0 if result.is_same else 1

        console.print(tell("result.same_bits" if result.is_same else "result.other_bits"))
        console.print(f"  {tell('result.original')}  {hashes['original']}", soft_wrap=True)
        console.print(f"  {tell('result.repeated')}  {hashes['repeated']}", soft_wrap=True)
        for name, version in result.original.file.versions.items():
            now = result.repeated.file.versions[name]
            if now != version:
                console.print(f"  {tell('result.other_version', name=name, version=version, now=now)}")
        return 0 if result.is_same else 1
