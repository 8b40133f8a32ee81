"""`--processes` and `--restarts`: one training by several processes of this machine, which goes on when one is lost."""

from __future__ import annotations

import os
import shlex
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from typing import Any

from epochal.cli.screen import command_line, open_console, print_notes
from epochal.cli.supervised import LOST
from epochal.cli.supervisor import Ending, Job, supervising
from epochal.config.command_words import option_words
from epochal.config.train_config import TRAIN, TrainConfig
from epochal.errors import OptionError
from epochal.model_names import read_model_name
from epochal.record.folder import RunFolder, create_run_folder
from epochal.record.run_toml import read_run_toml
from epochal.record.study_record import StudyRecord
from epochal.words.language import present_language
from epochal.words.phrases import translate
from epochal.words.plain_text import print_plain

_LAUNCHERS = ("JAX_COORDINATOR_ADDRESS", "OMPI_COMM_WORLD_RANK", "SLURM_STEP_ID")
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0


@dataclass(frozen=True, slots=True)
class Together:
    """How a training is worked on.

    Attributes:
        processes: of this machine.
        restarts: how often it goes on once one of them is lost.
        quiet: whether the result is JSON.
    """

    processes: int
    restarts: int
    quiet: bool

    @property
    def common_words(self) -> list[str]:
        """What is said to every process."""
        return [*(["--json"] if self.quiet else []), "--lang", present_language()]


def train_together(config: TrainConfig, path: Path | None, folds: int | None, together: Together) -> int:
    """Train in several processes, in a new run folder, and return the exit status."""
    if folds is not None:
        raise OptionError("--folds trains one model after the other in this process; leave out --processes, --restarts")
    _check(together)
    folder = create_run_folder(path, f"{Path(config.data).stem}-{_word_for(config.model)}").path

    first = [*shlex.split(config.command())[1:], "--run", str(folder), *together.common_words]
    again = ["resume", str(folder), *_own(config.model, None), *together.common_words]
    try:
        return _work(together, folder, lambda: again if RunFolder(folder).run_toml.exists() else first)
    finally:
        with suppress(OSError):  # it is empty where the training was refused
            folder.rmdir()


def resume_together(
    folder: Path, data: str | None, model: str | None, changes: Mapping[str, Any], together: Together
) -> int:
    """Continue a run in several processes, and return the exit status."""
    if StudyRecord.is_at(folder):
        raise OptionError(f"{folder} is a study, which is finished in this process; leave out --processes, --restarts")
    _check(together)
    known = len(read_run_toml(RunFolder(folder).run_toml).changes)
    own = [*_own(model, data), *together.common_words]

    def words() -> list[str]:
        """Return the command; a change that is in `run.toml` already is not made again, at a later iteration."""
        is_made = len(read_run_toml(RunFolder(folder).run_toml).changes) > known
        return ["resume", str(folder), *([] if is_made else option_words(changes, TRAIN)), *own]

    return _work(together, folder, words)


def _check(together: Together) -> None:
    """Refuse processes in processes, and say what is slow."""
    started = next((name for name in _LAUNCHERS if name in os.environ), None)
    if started is not None and together.processes > 1:
        raise OptionError(
            f"--processes starts processes, but {started} says that a launcher (srun, mpirun, …) has started this one "
            f"already; leave out --processes, or {started}"
        )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if together.processes > cores:
        note = f"{together.processes} processes share {cores} CPU cores: that is slower than {cores} processes"
        print_notes([note], open_console(quiet=together.quiet))


def _word_for(model: str) -> str:
    """Return what stands for a model in a folder's name: a function of the user's own, or the name without sizes."""
    return model.rpartition(":")[2] if ".py:" in model else read_model_name(model).base


def _own(model: str | None, data: str | None) -> list[str]:
    """Return the words that name a run's own code and data, which a resume does not take from `run.toml` unasked."""
    own_model = ["--model", model] if model is not None and ".py:" in model else []
    return [*own_model, *(["--data", data] if data is not None else [])]


def _work(together: Together, folder: Path, words: Callable[[], Sequence[str]]) -> int:
    """Run the command in all processes, again and again while one is lost and restarts are left."""
    sys.stdout.flush()  # before the others write
    with supervising() as supervisor:
        for left in range(together.restarts, -1, -1):
            command = [sys.executable, "-P", "-m", "epochal", *words()]
            ending = supervisor.run(Job(command, _environments(together.processes)))
            if ending.status != LOST:
                _repeat_refusal(ending)
                return ending.status

            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (together.restarts - left))
            _tell_loss(ending, folder, together, pause if left else None)
            if left and (number := supervisor.pause(pause)) is not None:
                return 128 + number
    return LOST


def _environments(processes: int) -> list[dict[str, str]]:
    """Return what the environment of each process has of its own: where they meet, and how many devices are its part.

    All keep all cores: on a CPU their number decides how products are split, so last bits.
    """
    if processes == 1:
        return [{}]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    shared = {
        "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}",
        "JAX_COORDINATOR_BIND_ADDRESS": f"127.0.0.1:{port}",
        "JAX_NUM_PROCESSES": str(processes),
    }
    if "device_count" not in os.environ.get("XLA_FLAGS", ""):
        shared["JAX_NUM_CPU_DEVICES"] = os.environ.get("JAX_NUM_CPU_DEVICES", str(max(1, cores // processes)))
    return [{**shared, "JAX_PROCESS_ID": str(rank)} for rank in range(processes)]


def _repeat_refusal(ending: Ending) -> None:
    """Print what a process other than 0 had to say, where that one alone was refused."""
    if ending.guilty:
        print_plain(ending.said[ending.guilty], is_error=True)


def _tell_loss(ending: Ending, folder: Path, together: Together, pause: float | None) -> None:
    """Say which process was lost, and how it goes on: by itself after a pause, or by which command."""
    said, status = ending.said[ending.first], ending.statuses[ending.first]
    for line in said.splitlines():
        print_plain(f"[{ending.first}] {line}", is_error=True)
    how = f"was ended by {Signals(status - 128).name}" if status > 128 else f"ended with status {status}"
    which = f"process {ending.first} of {together.processes} {how}"
    if pause is not None:
        message = f"{which}; going on from the last checkpoint in {pause:.0f} s"
    elif not RunFolder(folder).run_toml.exists():
        message = f"{which} before the training began; try again"
    else:
        message = f"{which}; go on with: {command_line('resume', folder, '--processes', together.processes)}"
    print_plain(f"epochal: {translate(message)}", is_error=True)
