"""`epochal batch-size`: which batch size to use, with evidence: trainings to one target, each at its best rate."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from epochal.cli.arguments import given, json_option
from epochal.config.options import FOLDER, option
from epochal.errors import RunError
from epochal.study.batch_size.request import OPTIONS

if TYPE_CHECKING:
    from rich.console import Console

    from epochal.study.batch_size.kept import BatchSizeRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSizeCommand:
    """Say which batch size to use: train to one target with several, each at its own best learning rate.

    Example: epochal batch-size mnist --target-accuracy 0.97 --within 4m

    With the --run FOLDER of such a study it finishes what was stopped; options that are left out are then the study's.
    """

    given: Mapping[str, Any] = given(OPTIONS)
    run: Path | None = option(
        None, "The study's folder.", FOLDER, text="runs/batch-size-DATA-1, or the next free number", part="run"
    )
    json: bool = json_option()

    def execute(self) -> int:
        """Do the trials that are to be done; a first Ctrl-C stops after the current iterations."""
        started = time.perf_counter()
        from epochal.cli.load import load_with_progress
        from epochal.cli.screen import open_console
        from epochal.cli.signals import stop_on_signal
        from epochal.cli.size_progress import SizeProgress
        from epochal.study.batch_size.ask import prepare_all
        from epochal.study.batch_size.kept import BatchSizeRecord
        from epochal.study.batch_size.work import plan_request, work

        is_new = not {"data", "branch"}.isdisjoint(self.given)
        if self.run is not None and not is_new and not BatchSizeRecord.is_at(self.run):
            raise RunError(f"there is no study of batch sizes at {self.run}; to begin one there, name its data")

        console = open_console(quiet=self.json)
        request = plan_request(dict(self.given), self.run)
        prepared = prepare_all(request, load=lambda source, **more: load_with_progress(console, source, **more))
        with stop_on_signal() as stop:
            record = work(prepared, self.run, SizeProgress(console), stop.is_asked, started=started)
        print_sizes(record, console)
        return stop.exit_status


def print_sizes(record: BatchSizeRecord, console: Console) -> None:
    """Print what a study of batch sizes says: the answer, or on a quiet console JSON."""
    from epochal.cli.batch_size_tables import print_answer
    from epochal.cli.screen import command_line, print_json
    from epochal.cli.text_lines import print_whole
    from epochal.study.batch_size.answer import Answer
    from epochal.words.catalogue import tell

    if console.quiet:
        finished = {"study_folder": str(record.path), "finished": record.is_finished}
        answer = {} if record.study is None else Answer.of(record.study).to_dict()
        print_json({**finished, **answer})
        return
    if record.study is not None and record.study.rows:
        print_answer(Answer.of(record.study), console, record.path, record.request.within)
    if not record.is_finished:
        command = command_line("batch-size", "--run", record.path)
        print_whole(console, tell("size_progress.unfinished", command=command))
