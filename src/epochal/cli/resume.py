"""`epochal resume`: continue a run where it was stopped or killed, or for longer, or with other options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from epochal.cli.arguments import (
    given,
    json_option,
    model_option,
    processes_option,
    restarts_option,
    run_option,
)
from epochal.config.command_words import shell_word
from epochal.config.options import option, text
from epochal.config.train_config import CHANGEABLE, TRAIN
from epochal.errors import OptionError
from epochal.words.catalogue import tell

if TYPE_CHECKING:
    from rich.console import Console

    from epochal.engine.cluster import Cluster
    from epochal.run.callbacks import Callback
    from epochal.run.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeCommand:
    """Continue a run. The result is bit-identical to an uninterrupted run. Options apply from the current iteration on.

    Example: epochal resume runs/mnist-mlp-1 --epochs 60

    A budget is counted from the run's beginning. What is left out stays as it was.
    """

    folder: Path = run_option("The folder of a run, or of a study, whose budget alone can change.", "RUN|STUDY")
    data: str | None = option(None, "Where the run's own data are now.", text("a path", "FILE"))
    model: str | None = model_option()
    changes: Mapping[str, Any] = given({name: TRAIN[name] for name in CHANGEABLE}, with_defaults=False)
    processes: int | None = processes_option()
    restarts: int | None = restarts_option()
    json: bool = json_option()

    def execute(self) -> int:
        """Train on; a first Ctrl-C stops after the current iterations and saves."""
        if self.processes is not None or self.restarts is not None:
            from epochal.cli.processes import Together, resume_together

            together = Together(self.processes or 1, self.restarts or 0, quiet=self.json)
            return resume_together(self.folder, self.data, self.model, self.changes, together)
        from epochal.cli.screen import libraries_silenced
        from epochal.engine.joining import is_launched
        from epochal.run.together import as_one

        with libraries_silenced(when=is_launched()), as_one() as cluster:
            return self._execute(cluster)

    def _execute(self, cluster: Cluster) -> int:
        from epochal.cli.screen import command_line, open_console
        from epochal.cli.train import work_and_print
        from epochal.record.run_record import RunRecord
        from epochal.record.study_record import StudyRecord
        from epochal.study.batch_size.kept import BatchSizeRecord

        console = open_console(quiet=self.json or not cluster.owns_folder)
        if not cluster.owns_folder:
            return work_and_print(console, self._work, prints=False)
        if StudyRecord.is_at(self.folder):
            from epochal.cli.studies import finish_study

            return finish_study(self.folder, self.changes, console)
        if BatchSizeRecord.is_at(self.folder):
            return self._go_on_with_sizes(console)
        run = RunRecord.read(self.folder)
        position = run.position
        if run.status == "finished" and not self.changes:
            longer = command_line("resume", run.path, "--epochs", 2 * max(1, position.epoch))
            place = {"epoch": f"{position.epoch:,}", "iteration": f"{position.iteration:,}"}
            console.print(tell("result.finished", path=run.path, **place), soft_wrap=True)
            console.print(f"{tell('result.longer')}\n  {longer}\n", soft_wrap=True)

        return work_and_print(console, self._work)

    def _go_on_with_sizes(self, console: Console) -> int:
        """Finish a study of batch sizes. Raises `OptionError` for options, of which it takes none."""
        from epochal.cli.batch_size import BatchSizeCommand

        if self.changes:
            name = next(iter(self.changes)).replace("_", "-")
            raise OptionError(
                f"a study of batch sizes goes on as it is, without --{name}; more time: epochal batch-size --run "
                f"{shell_word(self.folder)} --within 10m"
            )
        return BatchSizeCommand(run=self.folder, json=console.quiet).execute()

    def _work(self, callbacks: Sequence[Callback]) -> Run:
        from epochal.run.api import resume

        return resume(
            self.folder, data=self.data, model=self.model, callbacks=callbacks, progress=False, **self.changes
        )
