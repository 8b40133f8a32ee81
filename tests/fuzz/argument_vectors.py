"""Command lines that nobody means, made of the real commands and options, and of values of every odd kind.

Each runs in this process, in a folder of its own, up to where a model would be computed: that, other processes, servers
and downloads stand still. It has to end with a status that Epochal has, in words of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

from readers import BESIDE, SEEDS

from epochal.errors import EpochalError

STATUSES = (0, 1, 2, 130, 143)
"""What a command may end with: done; another result; what the user can fix; Ctrl-C; a termination."""
SECONDS = 10.0

_ODD = (
    "", " ", "0", "1", "-1", "-0", "00", "1e400", "nan", "inf", "-inf", "1_000", "１２", "0x10", "1.5", "-1.5",
    "1e-320", "9" * 5000, "9223372036854775808", "18446744073709551616", "a" * 300, "x" * 70_000, "é", "数据",
    "\u202e\u2066", "\x1b[31mred", "a\nb", "a\tb", "\r", "\x7f", "\udcff", "🤖" * 50, "-", "--", "-x", "---",
    "=", "a=b", "a=", "=b", ",", ",,", "1,", "1,2,all", "all", "auto", "1ep", "0ep", "-1ep", "1.5ep", "1e9ep",
    "100it", "10sa", "2m", "3s", "99999999h", "1,2@3ep", "1@", "@1ep", "1,2@3ep,4@2ep", "exact", "blocks",
    "blocks:0", "blocks:9999999999M", "true", "False", "None", "null", "[]", "{}", "*", "?", "~", "~/x",
    "~nobody/x", "$HOME", ".", "..", "../none", "./", "/proc", "/proc/self/mem", "/dev/null", "/dev/zero",
    "/dev/full", "/dev/stdin", "table.csv", "table.csv/x", "data.npz", "new.npy", "picture.png", "run", "run/",
    "run/run.toml", "study", "sizes", "pack", "fifo", "fifo.csv", "fifo.npz", "fifo.png", "folder.csv", "broken",
    "loop", "loop/x", "empty.csv", "empty.npz", "notes", "digits", "mnist", "digits-60k", "linear", "mlp", "cnn",
    "rnn", "sgd", "adam", "accuracy", "price", "colour", "en", "zh", "json", "stablehlo", "numpy",
    "model.py:build", "none.py:build", ":", "a:b:c", "size,colour", "kernel=3", "kernel=[[[", "lr=" + "[" * 5000,
)  # fmt: skip
_HUGE = ("1000000007", "2147483648", "99999999999", "9223372036854775807", "18446744073709551616", "1e300", "0", "-1")
_NUMBERS = ("1", "2", "3", "10", "0.1", "0.5", "1e-3", "20", "1ep", "all")
_FITTING = {
    "RUN": ("run", "run", "run", "study", "sizes", "out"),
    "STUDY": ("study", "sizes"),
    "PACK": ("pack",),
    "DATA": ("digits", "table.csv", "data.npz", "pack"),
    "SOURCE": ("digits", "table.csv", "data.npz", "pack"),
    "FOLDER": ("out", "out/deep", "run", "study", "pack"),
    "FILE": ("new.npy", "data.npz", "table.csv", "picture.png", "out.html"),
    "COLUMN": ("size", "colour", "when", "price", "size,colour"),
    "NAME": ("linear", "mlp", "sgd", "adam", "accuracy", "kernel=3", "utf-8", "gbk"),
}  # by what stands for a value in a command's help
_FLAGS = ("--", "---", "-", "--no-such", "-z", "--epochs=", "--=1", "-b", "-b=", "--batch_size", "--help", "-h", "-V",
          "--lang", "--lang=zh", "--lang=xx", "--json", "--seed=1", "--run=out")  # fmt: skip


class StoppedHereError(EpochalError):
    """In place of what would be computed, started or fetched."""


def _stops(*_: Any, **__: Any) -> Any:
    raise StoppedHereError("here a model would be computed")


def draw_vector(random: Random) -> list[str]:
    """Return a command line: a command, some of its options, and values for them that may or may not fit."""
    from epochal.cli.arguments import options_by_name, written_flags
    from epochal.cli.main import COMMANDS, SUBCOMMANDS, find_command

    name = random.choice([*COMMANDS, *SUBCOMMANDS, *(("", "no-such", "data  pack") if random.random() < 0.1 else ())])
    words = name.split(" ") if random.random() < 0.98 else [name]
    if name not in COMMANDS and name not in SUBCOMMANDS:
        return [*words, *random.choices(_ODD, k=random.randrange(3))]

    options = options_by_name(find_command(name))
    oddness = random.choice((0.03, 0.03, 0.2, 0.6))
    places = [one for one in options.values() if one.positional]
    for one in places[: random.choice((0, 1, 1, 1, 2))]:
        words.append(_value(one, oddness, random))
    named = [(key, one) for key, one in options.items() if not one.positional]
    for key, one in random.choices(named, k=random.choice((0, 0, 1, 1, 2, 3, 6))) if named else ():
        words += _written(random.choice(written_flags(key, one)), one, oddness, random)
    if random.random() < oddness:
        words.insert(random.randrange(len(words) + 1), random.choice((*_FLAGS, *_ODD)))
    return [word.replace("\0", "") for word in words]


def _written(flag: str, one: Any, oddness: float, random: Random) -> list[str]:
    """Return an option with its value, mostly where it belongs."""
    if one.kind.words == "none":
        return [flag] if random.random() > oddness / 3 else [f"{flag}={_value(one, oddness, random)}"]
    if random.random() < oddness / 10:
        return [flag]
    count = random.choice((1, 1, 3)) if one.kind.words == "many" else 1
    values = [_value(one, oddness, random) for _ in range(count)]
    return [f"{flag}={values[0]}", *values[1:]] if random.random() < 0.3 else [flag, *values]


def _value(one: Any, oddness: float, random: Random) -> str:
    """Return a value: one that may fit, or any."""
    fitting = next((values for word, values in _FITTING.items() if word in one.kind.metavar), _NUMBERS)
    if random.random() < oddness:
        value = random.choice(_HUGE if fitting is _NUMBERS and random.random() < 0.4 else _ODD)
        return value if random.random() < 0.9 else value + random.choice(_ODD)[:50]
    if one.kind.known and random.random() < 0.8:
        return str(random.choice(one.kind.known))
    if one.default and "," not in one.default and random.random() < 0.3:
        return str(one.default)
    return random.choice(fitting)


# --- a folder of its own ----------------------------------------------------------------------------------------


_FURNITURE = (
    ("history", "history", "run/history.db"), ("study-toml", "study", "study/study.toml"),
    ("batch-size-toml", "sizes", "sizes/batch-size.toml"), ("csv", "commas", "table.csv"),
    ("npz", "plain", "data.npz"), ("npy", "bytes", "new.npy"), ("picture", "grey.png", "picture.png"),
)  # fmt: skip


def furnish(folder: Path) -> None:
    """Fill a folder with a run, a study, data of each kind, and what only looks like any of these."""
    folder.mkdir(parents=True)
    shutil.copytree(BESIDE / "run", folder / "run")
    for target, seed, name in _FURNITURE:
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(SEEDS / target / seed, folder / name)
    shutil.copytree(BESIDE / "pack", folder / "pack")
    for name in ("empty.csv", "empty.npz", "notes"):
        (folder / name).touch()
    for name in ("fifo", "fifo.csv", "fifo.npz", "fifo.png"):
        os.mkfifo(folder / name)
    (folder / "folder.csv").mkdir()
    (folder / "broken").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")


def _state_of(folder: Path) -> list[tuple[str, int, int]]:
    """Return what says that nothing in a folder was changed."""
    found = []
    for place, _, names in os.walk(folder):
        for name in names:
            about = os.lstat(f"{place}/{name}")
            found.append((f"{place}/{name}", about.st_size, about.st_mtime_ns))
        found.append((place, 0, os.lstat(place).st_mtime_ns))
    return found


class Workplace:
    """A furnished folder, which is furnished anew once a command has changed it."""

    def __init__(self, above: Path) -> None:
        self.above, self.folder = above, above / "work"
        self._anew()

    def make_fresh(self) -> None:
        """Have the folder as it was."""
        if _state_of(self.above) != self._state:
            self._anew()

    def _anew(self) -> None:
        os.chdir("/")
        shutil.rmtree(self.above, ignore_errors=True)
        furnish(self.folder)
        os.chdir(self.folder)
        self._state = _state_of(self.above)


@contextmanager
def standing_still() -> Iterator[None]:
    """Let no model be computed, nothing be served, fetched, drawn at length or started."""
    names = (
        "epochal.engine.compile._compile", "epochal.engine.engine.Engine.initial_state",
        "epochal.study.lessons.reshuffling._distances", "epochal.cli.supervisor.subprocess.Popen",
        "epochal.data.download.download", "epochal.data.digits.make_digits_60k",
    )  # fmt: skip
    with mock.patch("webbrowser.open"), mock.patch("epochal.web.server.PageServer.run", _close):
        patches = [mock.patch(name, _stops) for name in names]
        for one in patches:
            one.start()
        try:
            yield
        finally:
            for one in patches:
                one.stop()


def _close(server: Any, ending: Callable[[], object] = lambda: None) -> None:
    ending()
    server.server.server_close()


# --- judging ----------------------------------------------------------------------------------------------------


class Judge:
    """Runs command lines one after another, with their output in a file."""

    def __init__(self, folder: Path) -> None:
        self.output = folder / "output"

    def judge(self, words: list[str]) -> tuple[int | None, str | None]:
        """Return a command line's status, and which rule it broke."""
        from epochal.cli import main

        began = time.process_time()
        status, fault = None, None
        before = sys.stdin, sys.stdout, sys.stderr
        with self.output.open("w+", encoding="utf-8", errors="replace") as output, open(os.devnull) as nothing:
            sys.stdin, sys.stdout, sys.stderr = nothing, output, output
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    status = main(words)
            except SystemExit as ended:
                status = ended.code if isinstance(ended.code, int) else 1
            except BaseException as error:
                frames = [one for one in traceback.extract_tb(error.__traceback__) if "epochal" in one.filename]
                where = frames[-1] if frames else None
                place = f"{Path(where.filename).name}:{where.name}" if where else "?"
                fault = f"traceback: {type(error).__name__} at {place}: {str(error)[:120]}"
            finally:
                sys.stdin, sys.stdout, sys.stderr = before
            with suppress(ValueError):
                output.flush()

        if fault is None:
            fault = self._fault_of(status, time.process_time() - began)
        return status, fault

    def _fault_of(self, status: int | None, seconds: float) -> str | None:
        said = self.output.read_bytes()[-20_000:]
        if status not in STATUSES:
            return f"status {status}"
        if b"Traceback (most" in said:
            return f"traceback printed: {said[-200:]!r}"
        return f"slow: {seconds:.0f} s" if seconds > SECONDS else None


def feed_vectors(options: argparse.Namespace) -> int:
    """Draw and judge command lines, as a child of `fuzz.py`."""
    from fuzz import COMMAND_LINE, KEPT, Counts

    counts, seen = Counts(options.folder), set()
    at = options.folder / "at" / "vector.json"
    at.parent.mkdir()
    end = None if options.minutes is None else time.monotonic() + 60 * options.minutes
    place, judge = Workplace(options.folder / "place"), Judge(options.folder)
    out = os.fdopen(os.dup(1), "w")  # a command may close its own

    with standing_still():
        for number in range(options.start, options.start + options.inputs):
            if end is not None and time.monotonic() > end:
                break
            words = draw_vector(Random(f"{options.seed} {number}"))
            at.write_text(json.dumps(words))
            status, fault = judge.judge(words)
            counts.add(was_read=status in (0, 1))
            place.make_fresh()
            if fault is None:
                continue
            out.write(json.dumps({"faults": [fault[:160]], "finished": False}) + "\n")
            out.flush()
            if fault[:60] not in seen:
                seen.add(fault[:60])
                (KEPT / COMMAND_LINE).mkdir(parents=True, exist_ok=True)
                name = hashlib.sha256(repr(words).encode()).hexdigest()[:16]
                (KEPT / COMMAND_LINE / f"{name}.json").write_text(json.dumps(words))
    out.write(json.dumps({"faults": [], "finished": True}) + "\n")
    out.flush()
    return 0
