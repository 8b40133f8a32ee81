"""Weights & Biases: a training as one of its runs, on its server or offline. It is imported when it is used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from epochal.errors import OptionError
from epochal.loggers.logger import Done, StepLogger
from epochal.loggers.wandb_file import last_step
from epochal.record.run_toml import RunFile
from epochal.run.callbacks import Start


class WandB(StepLogger):
    """Writes a training into Weights & Biases: ``train(…, callbacks=WandB(project="digits"))``.

    A run that is resumed goes on in the same W&B run, which cannot take anything back: what a killed process had
    written after the last checkpoint stays, and is not written again.

    Args:
        share: of the training's time that writing may take while it runs; a call of W&B takes about 0.2 ms.
        options: of ``wandb.init``, such as ``project``, ``name``, ``tags``, ``mode="offline"``.
    """

    def __init__(self, *, share: float = 0.005, **options: Any) -> None:
        super().__init__(share)
        self._options = options
        self._is_closed = False

    def begin(self, start: Start, notes: Mapping[str, Any]) -> Done:
        """Begin W&B's run, or continue it."""
        try:
            import wandb
        except ImportError:
            raise OptionError("WandB needs the package wandb, which is not installed: pip install wandb") from None

        known = notes.get("id", self._options.get("id"))
        given = {"reinit": "create_new", "resume": "allow", **self._options, "id": known}
        if start.folder is not None:
            given.setdefault("name", start.folder.name)
        self._run = wandb.init(**given)

        self._is_closed = False
        return self._held(notes)

    def _held(self, notes: Mapping[str, Any]) -> Done:
        """Return what W&B holds: of a process that was killed, not all that was handed to it."""
        if not notes or notes["closed"]:
            return Done.noted(notes)
        step = self._run.starting_step - 1  # what the server holds
        if self._run.offline and Path(notes["file"]).is_file():
            step = last_step(Path(notes["file"]))
        return Done(max(0, step), max(0, step))

    def notes(self) -> dict[str, Any]:
        """Return W&B's name of the run, its present file, and whether that is complete."""
        return {"id": self._run.id, "file": str(self._run.settings.sync_file), "closed": self._is_closed}

    def configure(self, file: RunFile, iteration: int) -> None:
        """Write the configuration."""
        self._run.config.update(file.to_dict(), allow_val_change=True)

    def finish(self, iteration: int, status: str) -> None:
        """Write the status, and wait until everything is written."""
        self._run.summary["status"] = status
        self._is_closed = True
        self._run.finish(exit_code=0 if status in ("finished", "stopped") else 1)
