"""A run's outputs on its test set and its training samples, for a report: what needs the live model and the data."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from epochal.data import Dataset
from epochal.data.registry import available
from epochal.data.trees import is_several
from epochal.errors import DataError
from epochal.record.outputs_record import OutputsRecord, SamplesRecord
from epochal.run.run import Run


@dataclass(slots=True)
class OutputsReader:
    """Computes outputs of run folders; runs of one study load their data once.

    Attributes:
        shelf: data sets by their fingerprint.
    """

    shelf: dict[str, Dataset] = field(default_factory=dict)

    def __call__(self, path: Path) -> OutputsRecord:
        """Return the newest checkpoint's outputs on the whole test set.

        Raises `EpochalError` where weights or data cannot be read; it never downloads any.
        """
        run = self._with_data(Run.open(path))
        test = run.data.test.whole()
        return OutputsRecord(
            run.position.iteration, run.predict(test.x), test.x, test.y, tuple(run.data.class_names or ())
        )

    def samples(self, path: Path) -> SamplesRecord:
        """Return the training samples that the run's epochs visit.

        Raises `EpochalError` where the data cannot be read; it never downloads any.
        """
        run = Run.open(path)
        data = self.shelf.get(run.file.data.fingerprint) or self._with_data(run).data
        train = data.train.whole()
        x = None if is_several(train.x) else train.x
        return SamplesRecord(x, train.y, tuple(data.class_names or ()))

    def _with_data(self, run: Run) -> Run:
        """Return the run with its data: from the shelf where an earlier run had the same, else loaded."""
        fingerprint = run.file.data.fingerprint
        if fingerprint not in self.shelf:
            _refuse_download(run.config.data)

        loaded = Run(run.record, run.rebuild(data=self.shelf.get(fingerprint)))
        self.shelf[fingerprint] = loaded.data
        return loaded


def _refuse_download(name: str) -> None:
    """Raise `DataError` for a data set that would have to be downloaded: a report does not do that."""
    if any(one.description.name == name and one.state == "needs download" for one in available()):
        raise DataError(f"the data set '{name}' is not on this machine; fetch it: epochal data {name}")
