"""`epochal resume`: continue a run where it was stopped or killed, or for longer, or with other options."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from epochal.cli.arguments import given, json_option, run_option
from epochal.config import CHANGEABLE, TRAIN

if TYPE_CHECKING:
    from epochal.record.events import Listener
    from epochal.run.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeCommand:
    """Continue a run. The result is bit-identical to an uninterrupted run. Options apply from the current iteration on.

    Example: epochal resume runs/mnist-mlp-1 --epochs 60

    A budget is counted from the run's beginning. What is left out stays as it was.
    """

    folder: Path = run_option("The folder of a run, or of a study, whose budget alone can change.", "RUN|STUDY")
    changes: Mapping[str, Any] = given({name: TRAIN[name] for name in CHANGEABLE}, with_defaults=False)
    json: bool = json_option()

    def execute(self) -> int:
        """Train on; a first Ctrl-C stops after the current iterations and saves."""
        from epochal.cli.screen import open_console
        from epochal.cli.train import work_and_print
        from epochal.run.run import Run
        from epochal.run.session import resume
        from epochal.study.study import Study

        console = open_console(quiet=self.json)
        if Study.is_at(self.folder):
            from epochal.cli.studies import finish_study

            return finish_study(self.folder, self.changes, console)
        run = Run.open(self.folder)
        position = run.position
        if run.status == "finished" and not self.changes:
            longer = shlex.join(["epochal", "resume", str(run.path), "--epochs", str(2 * max(1, position.epoch))])
            console.print(f"{run.path} is finished, at epoch {position.epoch:,} and iteration {position.iteration:,};")
            console.print(f"train it longer with: {longer}\n", soft_wrap=True)

        def work(listener: Listener, should_stop: Callable[[], bool]) -> Run:
            return resume(self.folder, listener=listener, should_stop=should_stop, **self.changes)

        return work_and_print(console, work)
