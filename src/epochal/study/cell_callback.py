"""What a study shows below a notebook's cell while it is worked on: one output, with a line for each run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from markupsafe import Markup

from epochal.config.train_config import TrainConfig
from epochal.run.callbacks import Callback
from epochal.run.cell_progress import CellProgress
from epochal.run.surroundings import CellOutput, cell_output
from epochal.study.runner import RunStart, StudyCallback
from epochal.web.fragment import Fragment


class StudyInCell(StudyCallback):
    """Shows a study's searches and runs as they happen."""

    def __init__(self, output: CellOutput) -> None:
        self._output, self._write = output, Fragment.here()
        self._lines = Markup("")
        self._parts: list[_Part] = []

    def on_tuning(self, config: TrainConfig) -> None:
        """Say which learning rate is searched."""
        words = self._write.say("cell.searching", model=config.model, batch_size=config.batch_size)
        self._show(self._lines + self._write.line(words, "soft"))

    @contextmanager
    def follow(self, run: RunStart) -> Iterator[Sequence[Callback]]:
        """Show a run while it trains, and then its last line."""
        name = self._write.say("cell.run_of", number=run.number, count=run.count, name=run.name)
        part = _Part(self)
        self._parts.append(part)
        with CellProgress(part, self._write.line(name)) as progress:
            yield (progress,)
        self._parts.remove(part)
        self._lines += self._write.line(Markup("<b>{}</b> · {}").format(run.name, progress.words())) + "\n"
        self.show_parts()

    def show_parts(self) -> None:
        """Show the lines of what is done, and below them each run that is not."""
        html = self._write.whole(self._lines) + "".join(part.html for part in self._parts)
        texts = [self._lines.striptags(), *(part.text for part in self._parts)]
        self._output.show(html, " ".join(text for text in texts if text))

    def _show(self, lines: Markup) -> None:
        self._output.show(self._write.whole(lines), lines.striptags())


class _Part(CellOutput):
    """A run's place in the output, which several at once share."""

    def __init__(self, study: StudyInCell) -> None:
        self._study = study
        self.html = self.text = ""

    def show(self, html: str, text: str) -> None:
        """Replace what stands in its place."""
        self.html, self.text = html, text
        self._study.show_parts()


def cell_callback() -> StudyCallback | None:
    """Return what shows a study below the cell that is running; ``None`` outside notebooks."""
    output = cell_output()
    return None if output is None else StudyInCell(output)
