"""`epochal train`: the plan, live progress, and what was planned beside what was counted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from epochal.cli.arguments import given, json_option, processes_option, restarts_option
from epochal.cli.early import imported_beside, may_be_launched, nothing_collected
from epochal.config.options import FOLDER, count, option
from epochal.config.train_config import TRAIN, TrainConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.console import Console

    from epochal.data import Dataset
    from epochal.run.callbacks import Callback
    from epochal.run.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainCommand:
    """Train a model, count every epoch, batch and iteration, and keep the run in a folder.

    Example: epochal train mnist --model mlp --batch-size 100 --iterations 30000
    """

    given: Mapping[str, Any] = given(TRAIN)
    run: Path | None = option(
        None, "The run's folder.", FOLDER, text="runs/DATA-MODEL-1, or the next free number", part="run"
    )
    folds: int | None = option(
        None, "Cross-validate: train once for each of so many folds, and print the mean over their test samples.",
        count(at_least=2), part="run", text="none",
    )  # fmt: skip
    processes: int | None = processes_option()
    restarts: int | None = restarts_option()
    json: bool = json_option()

    def execute(self) -> int:
        """Train; a first Ctrl-C stops after the current iterations and saves."""
        if self.processes is not None or self.restarts is not None:
            from epochal.cli.processes import Together, train_together

            together = Together(self.processes or 1, self.restarts or 0, quiet=self.json)
            return train_together(TrainConfig(**self.given), self.run, self.folds, together)
        if self.folds is not None:
            from epochal.cli.fold_tables import work_on_folds

            return work_on_folds(TrainConfig(**self.given), self.folds, self.run, quiet=self.json)

        config = TrainConfig(**self.given)
        if self.run is not None and not may_be_launched():  # of several processes, another may have begun to fill it
            from epochal.record.folder import check_free

            check_free(self.run)
        with nothing_collected():
            early = self._data_read_early(config)

            from epochal.cli.before_training import print_setup
            from epochal.cli.load import load_with_progress
            from epochal.cli.screen import libraries_silenced, open_console
            from epochal.engine.joining import is_launched
            from epochal.run.api import start
            from epochal.run.custom import Custom
            from epochal.run.own_model import own_model
            from epochal.run.setup import set_up
            from epochal.run.together import as_one

        with libraries_silenced(when=is_launched()), as_one() as cluster:
            console = open_console(quiet=self.json or not cluster.owns_folder)
            custom = Custom(model=own_model(config.model))
            loading = {**config.loading, "as_given": custom.model is not None}
            data = early or load_with_progress(console, config.data, **loading)
            setup = set_up(config, data, custom)
            print_setup(setup, console)
            return work_and_print(
                console, lambda callbacks: start(setup, self.run, callbacks), prints=cluster.owns_folder
            )

    def _data_read_early(self, config: TrainConfig) -> Dataset | None:
        """Return the data, read while JAX is imported; ``None`` where processes or a file's model come first."""
        if may_be_launched() or ".py" in config.model:
            return None
        from epochal.cli.load import load_with_progress
        from epochal.cli.screen import open_console

        with imported_beside():
            return load_with_progress(open_console(quiet=self.json), config.data, **config.loading, as_given=False)


def work_and_print(console: Console, work: Callable[[Sequence[Callback]], Run], *, prints: bool = True) -> int:
    """Let a run be worked on with progress and signals, print its result if asked to, and return the exit status.

    A quiet console stands for JSON.
    """
    from epochal.cli.results import print_result
    from epochal.cli.screen import print_json
    from epochal.cli.signals import stop_on_signal
    from epochal.engine.compile import PROGRAMS
    from epochal.run.callbacks import StopWhen
    from epochal.run.progress import ProgressBar

    with stop_on_signal() as stop, PROGRAMS.kept_whole(), ProgressBar(console) as progress:
        stopping = StopWhen(stop.is_asked, lambda: stop.exit_status, stop.note)
        run = work((progress, stopping) if prints else (stopping,))
    if not prints:
        return stop.exit_status
    if console.quiet:
        print_json(run.record.to_dict())
    else:
        print_result(run.record, console)
    return stop.exit_status
