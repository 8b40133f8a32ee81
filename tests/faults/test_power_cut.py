"""A loss of power after each call that changes the disk: the old checkpoint or the new one, and never a mixture."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest
from disk import Disk, Kind, Snapshot, fingerprint, read_journal, write_snapshot
from outcome import Outcome
from preloaded import OPTIONS, OTHER_RATE
from shim import Shim

from epochal import resume, train
from epochal.errors import EpochalError
from epochal.record.checkpoint_file import checkpoint_files
from epochal.record.run_record import RunRecord

Examined: TypeAlias = Callable[..., Iterator[str]]


@dataclass(frozen=True, slots=True)
class Moment:
    """What a disk holds after a loss of power, and what it owes.

    Attributes:
        call: how many calls came before.
        loss: what was lost.
        saved: the iteration of the last checkpoint whose saving was over, if any.
        saving: the iteration of one that was being saved, if any.
        finished: whether the training had returned.
    """

    call: int
    loss: str
    saved: int | None
    saving: int | None
    finished: bool
    disk: Snapshot


def moments(disk: Disk, journal: Path, saved: int | None = None) -> Iterator[Moment]:
    """Return every disk that differs from the ones before it or owes more."""
    seen, saving, finished = set(), None, False
    for number, call in enumerate(read_journal(journal)):
        disk.apply(call)
        if call.kind is Kind.MARK:
            what, _, iteration = call.path.partition(" ")
            saved, saving = (int(iteration), None) if what == "saved" else (saved, saving)
            saving = int(iteration) if what == "saving" else saving
            finished = finished or what == "finished"
        for loss, snapshot in disk.after_power_cut((0, 1)):
            key = (fingerprint(snapshot), saved, finished)
            if key not in seen:
                seen.add(key)
                yield Moment(number, loss, saved, saving, finished, snapshot)


@dataclass(frozen=True, slots=True)
class Examiner:
    """Puts disks together again and goes on with what is on them.

    Attributes:
        folder: where the journal's run lay under ``disk/run``.
        wholes: the outcomes of runs that were never disturbed, by how many changes they went through.
        every: go on with every so many of the disks, and only look at the others.
    """

    folder: Path
    wholes: tuple[Outcome, ...]
    every: int

    def problems(self, disk: Disk, saved: int | None = None) -> Iterator[str]:
        """Check every moment; yield what is wrong."""
        count = 0
        for count, moment in enumerate(moments(disk, self.folder / "journal", saved), 1):
            problem = self._problem(moment, count % self.every == 0)
            if problem:
                yield f"call {moment.call}, {moment.loss}: {problem}"
        assert count > 100, f"only {count} disks: the calls were not seen"
        (self.folder / "times").write_text(str(count))

    def _problem(self, moment: Moment, goes_on: bool) -> str | None:
        now = self.folder / "now"
        write_snapshot(moment.disk, self.folder / "disk" / "run", now)
        try:
            problem = restored(moment, now)
            if problem is None and goes_on and (now / "run.toml").exists():
                run = resume(now)
                problem = "; ".join(Outcome.of(now).differences(self.wholes[len(run.file.changes)])) or None
        except EpochalError as error:
            problem = str(error)
        finally:
            shutil.rmtree(now, ignore_errors=True)
        return problem


def restored(moment: Moment, now: Path) -> str | None:
    """Return what is wrong with the checkpoint that would be restored."""
    if not (now / "run.toml").exists():
        return None if moment.saved is None else "the run is gone"
    run = RunRecord.read(now, check=True)
    is_saved = bool(checkpoint_files(now / "checkpoints"))
    iteration = (run.standing().checkpoint.position.iteration or None) if is_saved else None
    if iteration not in (moment.saved, moment.saving):
        return f"iteration {iteration} is restored; {moment.saved} was saved, {moment.saving} was being saved"
    if iteration is not None and run.history.iterations < iteration:
        return f"the history ends at {run.history.iterations}, before the checkpoint of {iteration}"
    if moment.finished and run.status != "finished":
        return f"it had finished, and is {run.status}"
    return None


def problems_of_training(
    shim: Shim, data: Path, folder: Path, how: str, *, every: int, sabotage: str = ""
) -> Iterator[str]:
    """Examine a run from its first call to its last."""
    (folder / "disk").mkdir()
    shim.run("journal", data, folder / "disk", folder / "journal", how, *([sabotage] if sabotage else []))
    whole = Outcome.of(train(data, run=folder / "whole", **OPTIONS).path)
    yield from Examiner(folder, (whole,), every).problems(Disk())


def problems_of_resuming(shim: Shim, data: Path, folder: Path, how: str, *, every: int) -> Iterator[str]:
    """Examine how a killed run is gone on with under another learning rate; its history is ahead of its checkpoint."""
    before = folder / "before"
    (before / "disk").mkdir(parents=True)
    shim.run("journal", data, before / "disk", before / "journal", "waiting")
    killed = next(moment for moment in moments(Disk(), before / "journal") if moment.saving == 4)
    write_snapshot(killed.disk, before / "disk", folder / "disk")
    shutil.copytree(folder / "disk" / "run", folder / "changed")
    disk = Disk.of(folder / "disk")
    shim.run("journal-resume", data, folder / "disk", folder / "journal", how)
    resume(folder / "changed", lr=OTHER_RATE)
    wholes = Outcome.of(before / "disk" / "run"), Outcome.of(folder / "changed")
    assert wholes[0].differences(wholes[1])
    yield from Examiner(folder, wholes, every).problems(disk, killed.saved)


@pytest.mark.parametrize(
    ("examined", "how"), [(problems_of_training, "waiting"), (problems_of_resuming, "working")], ids=["train", "resume"]
)
def test_the_old_or_the_new(
    examined: Examined,
    how: str,
    shim: Shim,
    little_data: Path,
    quick_path: Path,
    counted: Callable[[str, object], None],
) -> None:
    assert list(examined(shim, little_data, quick_path, how, every=15)) == []
    counted("times", (quick_path / "times").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("examined", [problems_of_training, problems_of_resuming])
@pytest.mark.parametrize("how", ["waiting", "working"])
def test_every_one_of_them_is_gone_on_with(
    examined: Examined,
    how: str,
    shim: Shim,
    little_data: Path,
    quick_path: Path,
    counted: Callable[[str, object], None],
) -> None:
    assert list(examined(shim, little_data, quick_path, how, every=1)) == []
    counted("times", (quick_path / "times").read_text())


@pytest.mark.parametrize(
    "broken",
    [
        "rename_before_content_is_synced",
        "folder_is_not_synced",
        "written_in_place",
        "history_is_not_synced",
        "checkpoint_before_history",
        "old_ones_deleted_first",
    ],
)
def test_that_a_broken_save_is_caught(broken: str, shim: Shim, little_data: Path, quick_path: Path) -> None:
    assert next(problems_of_training(shim, little_data, quick_path, "waiting", every=15, sabotage=broken), None)
