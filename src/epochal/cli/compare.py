"""`epochal compare`: several trainings side by side, from the same weights on the same order of samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from epochal.cli.arguments import given, json_option
from epochal.config import COMPARE
from epochal.errors import OptionError, RunError
from epochal.options import FOLDER, SWITCH, count, option

if TYPE_CHECKING:
    from epochal.landscape import LandscapeOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareCommand:
    """Compare batch sizes (or models, optimizers, …): same weights, same order.

    Example: epochal compare mnist --batch-size 1,100,all --epochs 5

    With the --run FOLDER of a study it finishes what was stopped; options that are left out are then the study's.
    """

    given: Mapping[str, Any] = given({name: one for name, one in COMPARE.items() if name != "snapshots"})  # always kept
    run: Path | None = option(
        None, "The study's folder.", FOLDER, text="runs/compare-DATA-1, or the next free number", part="run"
    )
    landscape: bool = option(
        False, "Then compute the loss around the runs' trajectories, on the plane of their first two principal "
        "components (PCA).", SWITCH, part="landscape",
    )  # fmt: skip
    random_landscape: bool = option(
        False, "The same on the plane of two filter-normalised random directions.", SWITCH, part="landscape"
    )
    grid: int | None = option(None, "Points along each axis.", count(), text="41", part="landscape")
    landscape_samples: int | None = option(
        None, "Training samples that each loss is the mean of.", count(), text="10000", part="landscape"
    )
    json: bool = json_option()

    def execute(self) -> int:
        """Train what is to be trained; a first Ctrl-C stops after the current iterations and saves."""
        from epochal.cli.load import load_with_progress
        from epochal.cli.screen import open_console, print_json
        from epochal.cli.signals import stop_on_signal
        from epochal.cli.studies import StudyProgress, show_landscape
        from epochal.cli.study_tables import print_study
        from epochal.study.planning import plan_study
        from epochal.study.runner import Parts, work
        from epochal.study.study import Study

        if "data" not in self.given and self.run is not None and not Study.is_at(self.run):
            raise RunError(f"there is no study at {self.run}; to begin one there, name its data")

        landscapes = self._landscapes()
        console = open_console(quiet=self.json)
        config = plan_study(self.given, self.run)
        shared = config.shared
        parts = Parts(load_with_progress(console, shared.data, **shared.loading))
        with stop_on_signal() as stop:
            study = work(config, parts, self.run, StudyProgress(console), stop.is_asked)
            for options in landscapes:
                show_landscape(study, options, parts, console, stop.is_asked)

        if self.json:
            print_json(study.to_dict())
        else:
            print_study(study, console)
        return stop.exit_status

    def _landscapes(self) -> list[LandscapeOptions]:
        """Return the landscapes that are wanted. Raises `OptionError` for options of a landscape without one."""
        from epochal.landscape import LandscapeOptions

        given = {"grid": self.grid, "samples": self.landscape_samples}
        options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        pca, random = LandscapeOptions(kind="pca", **options), LandscapeOptions(kind="random", **options)
        landscapes = [pca] * self.landscape + [random] * self.random_landscape
        if options and not landscapes:
            raise OptionError("--grid and --landscape-samples are for a landscape; add --landscape")
        return landscapes
