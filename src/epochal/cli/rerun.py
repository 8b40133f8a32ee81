"""`epochal rerun`: repeat a run from its `run.toml`, and compare the bits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg


@dataclass(frozen=True, slots=True, kw_only=True)
class RerunCommand:
    """Repeat a run from its run.toml, up to where it stands, and report whether the weights have the same bits.

    Example: epochal rerun runs/mnist-mlp-1

    Exit status: 0 for the same bits, 1 for others.

    Attributes:
        folder: the run to repeat.
        run: the new run's folder; runs/NAME-rerun-1, or the next free number, where not given.
        json: print the result as JSON, and nothing else.
    """

    folder: Positional[Annotated[Path, arg(metavar="RUN")]]
    run: Annotated[Path | None, arg(metavar="FOLDER", help_behavior_hint="")] = None
    json: bool = False

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
            result = rerun(self.folder, self.run, callbacks=callbacks, progress=False)
        if stop.is_asked():
            console.print(f"stopped before the end; {result.repeated.path} is the part that was repeated")
            return stop.exit_status
        hashes = {"original": result.original.weights_sha256, "repeated": result.repeated.weights_sha256}
        if self.json:
            print_json({"run": str(result.repeated.path), "same_bits": result.is_same, **hashes})
        else:
            console.print("the same bits" if result.is_same else "OTHER bits")
            for name, value in hashes.items():
                console.print(f"  {name}  {value}", soft_wrap=True)
            for name, version in result.original.file.versions.items():
                if result.repeated.file.versions[name] != version:
                    console.print(f"  {name} was {version}, now {result.repeated.file.versions[name]}")
        return 0 if result.is_same else 1
