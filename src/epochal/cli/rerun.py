"""`epochal rerun`: repeat a run from its `run.toml`, and compare the weights bit by bit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from epochal.cli.arguments import json_option, model_option, run_option
from epochal.config.options import FOLDER, option, text
from epochal.words.catalogue import tell

if TYPE_CHECKING:
    from rich.console import Console

    from epochal.engine.cluster import Cluster
    from epochal.run.api import Rerun


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
        from epochal.cli.screen import libraries_silenced
        from epochal.engine.joining import is_launched
        from epochal.run.together import as_one

        with libraries_silenced(when=is_launched()), as_one() as cluster:
            return self._execute(cluster)

    def _execute(self, cluster: Cluster) -> int:
        from epochal.cli.screen import open_console
        from epochal.cli.signals import stop_on_signal
        from epochal.run.api import rerun
        from epochal.run.callbacks import StopWhen
        from epochal.run.progress import ProgressBar

        prints = cluster.owns_folder
        console = open_console(quiet=self.json or not prints)
        with stop_on_signal() as stop, ProgressBar(console) as progress:
            stopping = StopWhen(stop.is_asked, lambda: stop.exit_status, stop.note)
            callbacks = (progress, stopping) if prints else (stopping,)
            result = rerun(self.folder, self.run, data=self.data, model=self.model, callbacks=callbacks, progress=False)
        if stop.is_asked():
            if prints:
                console.print(tell("result.part_repeated", path=result.repeated.path), soft_wrap=True)
            return stop.exit_status

        if prints:
            self._print(result, console)
        return 0 if result.is_same else 1

    def _print(self, result: Rerun, console: Console) -> None:
        """Print both hashes, and which versions are others."""
        from epochal.cli.screen import print_json

        hashes = {"original": result.original.weights_sha256, "repeated": result.repeated.weights_sha256}
        if self.json:
            print_json({"run": str(result.repeated.path), "same_bits": result.is_same, **hashes})
            return

        console.print(tell("result.same_bits" if result.is_same else "result.other_bits"))
        console.print(f"  {tell('result.original')}  {hashes['original']}", soft_wrap=True)
        console.print(f"  {tell('result.repeated')}  {hashes['repeated']}", soft_wrap=True)
        for name, version in result.original.file.versions.items():
            now = result.repeated.file.versions[name]
            if now != version:
                console.print(f"  {tell('result.other_version', name=name, version=version, now=now)}")
