"""Trackio: a training as one of its runs, in its local database. It is imported when it is used."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from epochal.errors import OptionError
from epochal.loggers.logger import Done, StepLogger
from epochal.record.run_toml import RunFile
from epochal.run.callbacks import Start


class Trackio(StepLogger):
    """Writes a training into Trackio: ``train(…, callbacks=Trackio("digits"))``.

    A run that is resumed goes on in the same Trackio run, from what its database holds.

    Args:
        project: Trackio's project.
        share: of the training's time that writing may take while it runs; a call of Trackio takes about 20 µs.
        options: of ``trackio.init``, such as ``name``, ``group``, ``space_id``.
    """

    def __init__(self, project: str = "epochal", *, share: float = 0.005, **options: Any) -> None:
        super().__init__(share)
        self._project, self._options = project, options
        self._run_name = ""

    def begin(self, start: Start, notes: Mapping[str, Any]) -> Done:
        """Begin Trackio's run, or continue it."""
        try:
            import trackio
            from trackio.sqlite_storage import SQLiteStorage
        except ImportError:
            raise OptionError(
                "Trackio needs the package trackio, which is not installed: pip install trackio"
            ) from None

        # Trackio finds a run again by its name alone
        stem = "run" if start.folder is None else start.folder.name
        new_name = self._options.get("name", f"{stem}-{secrets.token_hex(3)}")
        self._run_name = notes.get("name", new_name)
        self._run = trackio.init(
            self._project,
            **{"embed": False, **self._options, "name": self._run_name},
            config=start.file.to_dict(),
            resume="allow" if notes else "never",
        )

        # a killed process may not have written all that was handed to it
        held = SQLiteStorage.get_logs(self._project, self._run_name) if notes else []
        steps = ([row["step"] for row in held if name in row] for name in ("loss", "epoch"))
        return Done(*(max(found, default=0) for found in steps))

    def notes(self) -> dict[str, Any]:
        """Return Trackio's name of the run."""
        return {"name": self._run_name}

    def configure(self, file: RunFile, iteration: int) -> None:
        """Leave it: Trackio takes a configuration when a run begins."""

    def finish(self, iteration: int, status: str) -> None:
        """Write the status, and wait until everything is written."""
        self._run.log({"status": status}, step=iteration)
        self._run.finish()
