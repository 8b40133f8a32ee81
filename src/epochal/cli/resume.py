"""`epochal resume`: go on with a run where it was stopped or killed, or for longer, or in another way."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeCommand:
    """Go on with a run, to the same bits as if it had never been stopped; options change it from here on.

    Example: epochal resume runs/mnist-mlp-1 --epochs 60

    Attributes:
        folder: the folder of the run, or of a study (`epochal compare`), whose budget alone can change.
        epochs: new budget in passes over the training set, in all.
        iterations: new budget in weight updates, in all.
        budget: new budget with its unit: 50ep, 30000it or 3000000sa, in all.
        batch_size: samples an update from here on, 1 to N, or all.
        micro_batch: the most samples computed at once from here on.
        shards: equal parts of a batch, side by side, from here on.
        lr: learning rate from here on.
        evaluate_every: epochs between evaluations from here on.
        checkpoint_every: seconds between checkpoints from here on.
        on_nan: stop or continue when a loss is not finite.
        json: print the result as JSON, and nothing else.
    """

    folder: Positional[Annotated[Path, arg(metavar="RUN")]]
    epochs: Annotated[int | str | None, arg(metavar="N", help_behavior_hint="")] = None
    iterations: Annotated[int | str | None, arg(metavar="N", help_behavior_hint="")] = None
    budget: Annotated[str | None, arg(metavar="LENGTH", help_behavior_hint="")] = None
    batch_size: Annotated[int | str | None, arg(metavar="B", help_behavior_hint="")] = None
    micro_batch: Annotated[int | None, arg(metavar="N", help_behavior_hint="")] = None
    shards: Annotated[int | None, arg(metavar="N", help_behavior_hint="")] = None
    lr: Annotated[float | None, arg(metavar="RATE", help_behavior_hint="")] = None
    evaluate_every: Annotated[int | None, arg(metavar="N", help_behavior_hint="")] = None
    checkpoint_every: Annotated[float | None, arg(metavar="SECONDS", help_behavior_hint="")] = None
    on_nan: Annotated[Literal["stop", "continue"] | None, arg(metavar="WHAT", help_behavior_hint="")] = None
    json: bool = False

    def execute(self) -> int:
        """Train on; a first Ctrl-C stops after the iterations in hand and saves."""
        from epochal.cli.screen import open_console
        from epochal.cli.train import work_and_print
        from epochal.record.run_record import RunRecord
        from epochal.record.study_record import StudyRecord
        from epochal.run.api import resume

        console = open_console(quiet=self.json)
        if StudyRecord.is_at(self.folder):
            from epochal.cli.studies import finish_study

            return finish_study(self.folder, self._changes(), console)
        run = RunRecord.read(self.folder)
        before = run.position
        if run.status == "finished" and not self._changes():
            console.print(f"{run.path} is finished, at epoch {before.epoch:,} and iteration {before.iteration:,};")
            console.print(f"train it longer with: epochal resume {run.path} --epochs {2 * max(1, before.epoch)}\n")
        return work_and_print(
            console, lambda callbacks: resume(self.folder, callbacks=callbacks, progress=False, **self._changes())
        )

    def _changes(self) -> dict[str, Any]:
        given = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        return {name: value for name, value in given.items() if name not in ("folder", "json") and value is not None}
