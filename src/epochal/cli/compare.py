"""`epochal compare`: several trainings side by side, from the same weights on the same order of samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from epochal.cli.arguments import given, json_option
from epochal.config.options import FOLDER, SWITCH, count, option
from epochal.config.study_config import COMPARE
from epochal.errors import OptionError, RunError

if TYPE_CHECKING:
    from epochal.study.landscape_size import WantedLandscape


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareCommand:
    """Compare batch sizes (or models, optimizers, …): same weights, same order.

    Example: epochal compare mnist --batch-size 1,100,all --epochs 5

    With the --run FOLDER of a study it finishes what was stopped; options that are left out are then the study's.
    """

    given: Mapping[str, Any] = given({name: one for name, one in COMPARE.items() if name != "snapshots"})  # always kept
    repeat: int | None = option(
        None, "Train each so many times: seeds 0, 1, 2, … (from --seed on).", count(), text="1", part="comparison"
    )
    at_once: int | None = option(
        None, "Runs side by side, of those that differ in seed or learning rate alone; their bits stay the same.",
        count(), text="one for each processor, at most 8", part="comparison",
    )  # fmt: skip
    run: Path | None = option(
        None, "The study's folder.", FOLDER, text="runs/compare-DATA-1, or the next free number", part="run"
    )
    no_landscape: bool = option(
        False, "Leave out the landscape at its end: the loss around the runs' trajectories, on the plane of their "
        "first two principal components (PCA).", SWITCH, part="landscape",
    )  # fmt: skip
    landscape: bool = option(False, "Compute it again, and in full however long it takes.", SWITCH, part="landscape")
    random_landscape: bool = option(
        False, "Add the one on the plane of two filter-normalised random directions.", SWITCH, part="landscape"
    )
    grid: int | None = option(
        None, "Points along each axis; fewer where it would be long.", count(), text="41", part="landscape"
    )
    landscape_samples: int | None = option(
        None, "Training samples that each loss is the mean of; fewer where it would be long.", count(), text="10000",
        part="landscape",
    )  # fmt: skip
    json: bool = json_option()

    def execute(self) -> int:
        """Train what is to be trained; a first Ctrl-C stops after the current iterations and saves."""
        from epochal.cli.compared_landscape import LandscapeWork
        from epochal.cli.load import load_with_progress
        from epochal.cli.screen import open_console
        from epochal.cli.signals import stop_on_signal
        from epochal.cli.studies import StudyProgress, print_end
        from epochal.study.planning import plan_study
        from epochal.study.runner import Parts, work
        from epochal.study.study import Study

        if "data" not in self.given and self.run is not None and not Study.is_at(self.run):
            raise RunError(f"there is no study at {self.run}; to begin one there, name its data")

        landscapes = self._landscapes()
        console = open_console(quiet=self.json)
        config = plan_study({**self.given, "repeat": self.repeat}, self.run)
        shared = config.shared
        parts = Parts(load_with_progress(console, shared.data, **shared.loading))
        with stop_on_signal() as stop:
            study = work(config, parts, self.run, StudyProgress(console), stop.is_asked, self.at_once)
            # what is asked for later stops the landscape alone
            status = stop.exit_status
            LandscapeWork(study, console, stop.is_asked, parts).add(landscapes)

        print_end(study, console, offers_landscape=self.no_landscape)
        return status

    def _landscapes(self) -> list[WantedLandscape]:
        """Return the landscapes that are wanted. Raises `OptionError` for options of a landscape without one."""
        from epochal.study.landscape_size import WantedLandscape

        if self.landscape and self.no_landscape:
            raise OptionError("give --landscape or --no-landscape, not both")
        size = {"grid": self.grid, "samples": self.landscape_samples}
        wanted = []
        if not self.no_landscape:
            wanted.append(WantedLandscape(kind="pca", in_full=self.landscape, **size))
        if self.random_landscape:
            wanted.append(WantedLandscape(kind="random", in_full=self.landscape, **size))

        for one in wanted:
            _ = one.options  # which refuses what no landscape can have
        if not wanted and any(size.values()):
            raise OptionError("--grid and --landscape-samples are for a landscape; leave out --no-landscape")
        return wanted
