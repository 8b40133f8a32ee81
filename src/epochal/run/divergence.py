"""What ends a training whose loss or weights are no longer finite."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from epochal.config.command_words import shell_word
from epochal.errors import DivergedError
from epochal.record.checkpoint_file import checkpoint_files, iteration_of
from epochal.record.folder import RunFolder
from epochal.run.callbacks import Callback, ChunkEnd
from epochal.run.recorder import Recorder


@runtime_checkable
class Waits(Protocol):
    """What saves in the background, and can be waited for."""

    def wait(self) -> None:
        """Wait until everything so far is saved."""


class Divergence(Callback):
    """Ends the training where a loss is not finite, and says what helps.

    Args:
        recorder: records it.
        lr: the learning rate, for the advice; ``None`` where the optimizer has its own.
        folder: the run's, if it has one.
        saver: its checkpoints', if it has any.
    """

    def __init__(
        self, recorder: Recorder, lr: float | None, folder: RunFolder | None = None, saver: Waits | None = None
    ) -> None:
        self._recorder, self._lr, self._folder, self._saver = recorder, lr, folder, saver

    def on_chunk(self, chunk: ChunkEnd) -> None:
        """Look at every loss."""
        finite = np.isfinite(chunk.losses)
        if not finite.all():
            first = int(np.argmin(finite))
            raise self.error(f"the loss is {chunk.losses[first]}", chunk.first + first + 1)

    def error(self, what: str, iteration: int) -> DivergedError:
        """Record the divergence; return the error that says where the last good weights are and what helps."""
        if self._saver is not None:
            self._saver.wait()
        self._recorder.writer.add_event(iteration, "diverged", reason=what)

        text = f"{what} at iteration {iteration:,}"
        advice = f"A smaller learning rate usually helps{'' if self._lr is None else f' (it is {self._lr:g})'}"
        if self._folder is None:
            return DivergedError(f"{text}. {advice}, or a warm-up (warmup='1ep')")

        files = checkpoint_files(self._folder.checkpoints)
        good = f"the last good checkpoint is of iteration {iteration_of(files[0]):,}" if files else "no checkpoint yet"
        rate = "" if self._lr is None else f" --lr {self._lr / 3:.2g}"
        return DivergedError(
            f"{text}; {good}. {advice}:\n  epochal resume {shell_word(self._folder.path)}{rate}"
            "   (or train again with --warmup 1ep; --on-nan continue ignores it)"
        )
