"""Feeds the readers what accidents and strangers make of their files, and the command line what nobody means.

python tests/fuzz/fuzz.py --minutes 10             # all readers in turn, then the command line
python tests/fuzz/fuzz.py csv history --inputs 100000 --table build/fuzz.json

Half of a reader's inputs are drawn from its seeds and their mutations; the other half is guided by what code they
reach, with atheris where it is installed. Each runs in a process of its own, which may hang, swell or crash. What
breaks a rule is kept in build/fuzz/NAME; once repaired, it belongs in tests/fuzz/found/NAME, which tests feed again.
"""

from __future__ import annotations

import argparse
import atexit
import hashlib
import json
import mmap
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from random import Random

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
KEPT = ROOT / "build" / "fuzz"
COMMAND_LINE = "command-line"

_PATIENCE, _BEFORE_THE_FIRST = 30, 300  # seconds for an input, and for all that is imported before
_MOST_MEMORY = 12 << 30  # bytes of addresses, of which JAX reserves several billions
_COUNTS = struct.Struct("<3q")
_MOST_FAULTS = 40  # of one kind of target, after which it is no news
_ENVIRONMENT = {"JAX_PLATFORMS": "cpu", "EPOCHAL_LANG": "en", "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1",
                "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}  # fmt: skip


@dataclass(slots=True)
class Tally:
    """What became of the inputs of a target.

    Attributes:
        read, refused: how many of them.
        guided: how many of all were guided by the code that they reached.
        faults: each kind of broken rule, with how often it was seen.
    """

    target: str
    read: int = 0
    refused: int = 0
    guided: int = 0
    seconds: float = 0.0
    faults: dict[str, int] = field(default_factory=dict)

    @property
    def inputs(self) -> int:
        """How many there were."""
        return self.read + self.refused

    def add(self, counts: Sequence[int]) -> None:
        """Add what a child counted."""
        self.read, self.refused, self.guided = map(
            sum, zip((self.read, self.refused, self.guided), counts, strict=True)
        )

    def add_fault(self, kind: str) -> None:
        """Count a broken rule."""
        self.faults[kind] = self.faults.get(kind, 0) + 1

    def line(self) -> str:
        """Return it for people."""
        text = f"{self.target:16} {self.inputs:9,} inputs in {self.seconds:5.0f} s: {self.read:,} read, "
        text += f"{self.refused:,} refused, {self.guided:,} guided; {sum(self.faults.values())} faults"
        return "\n    ".join([text, *(f"{count} × {kind}" for kind, count in self.faults.items())])


def main() -> int:
    from readers import TARGETS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of {', '.join([*TARGETS, COMMAND_LINE])}; default: all")
    parser.add_argument("--minutes", type=float, help="for all of them together; default: 10")
    parser.add_argument("--inputs", type=int, help="of each, in place of a time")
    parser.add_argument("--seed", type=int, default=0, help="of the mutations")
    parser.add_argument("--table", type=Path, help="a JSON file, in which the counts of these targets are put")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--start", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--guided", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return _as_child(options)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    names = options.names or [*TARGETS, COMMAND_LINE]
    unknown = set(names) - {*TARGETS, COMMAND_LINE}
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join([*TARGETS, COMMAND_LINE])}")
    if find_spec("atheris") is None:
        print("atheris is not installed (pip install 'epochal[fuzz]'): plain mutations alone, not guided", flush=True)

    seconds = None if options.inputs else 60 * (options.minutes or 10) / len(names)
    tallies = []
    for name in names:
        tallies.append(_fuzz(name, options.inputs, seconds, options.seed))
        if options.table:
            _write_table(options.table, tallies[-1])
    return int(any(tally.faults for tally in tallies))


def _write_table(path: Path, tally: Tally) -> None:
    """Put the counts of a target into a file beside those of others."""
    known = json.loads(path.read_text()) if path.exists() else {}
    known[tally.target] = {name: one for name, one in asdict(tally).items() if name != "target"}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(known, indent=1) + "\n")


# --- the parent -------------------------------------------------------------------------------------------------


def _fuzz(name: str, inputs: int | None, seconds: float | None, seed: int) -> Tally:
    """Feed one target, half of the inputs or of the time guided, where that can be."""
    is_guided = name != COMMAND_LINE and find_spec("atheris") is not None
    parts = 2 if is_guided else 1
    tally, began = Tally(name), time.monotonic()
    for guided in (False, True)[:parts]:
        wanted = None if inputs is None else inputs // parts
        _feed(tally, wanted, None if seconds is None else seconds / parts, seed, guided=guided)
    tally.seconds = time.monotonic() - began
    print(tally.line(), flush=True)
    return tally


def _feed(tally: Tally, inputs: int | None, seconds: float | None, seed: int, *, guided: bool) -> None:
    """Run children until there were enough inputs; one that dies is followed by another, from the next input on."""
    done, end = 0, None if seconds is None else time.monotonic() + seconds
    while (inputs is None or done < inputs) and (end is None or time.monotonic() < end):
        if len(tally.faults) >= _MOST_FAULTS:
            return
        left = 10**9 if inputs is None else inputs - done
        with tempfile.TemporaryDirectory(prefix="epochal-fuzz-", dir=_quick_place()) as folder:
            command = [sys.executable, str(HERE / "fuzz.py"), "--child", tally.target, "--folder", folder]
            command += ["--inputs", str(left), "--seed", str(seed), "--start", str(done)]
            command += ["--guided"] if guided else []
            if end is not None:
                command += ["--minutes", str((end - time.monotonic()) / 60)]
            counted, how = _follow(command, tally, Path(folder))
            done += counted + (how is not None)  # the one that it died of, too
            if how is not None:
                _keep(tally, how, Path(folder))


def _quick_place() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _follow(command: list[str], tally: Tally, folder: Path) -> tuple[int, str | None]:
    """Run a child to its end; return how many inputs it judged, and how it died if it did."""
    own = {"XDG_CACHE_HOME": f"{folder}/cache", "XDG_STATE_HOME": f"{folder}/state", "HOME": f"{folder}/home"}
    environment = {**os.environ, **_ENVIRONMENT, **own}
    log, words = folder / "log", folder / "words"
    with log.open("wb") as errors, words.open("wb") as output:
        child = subprocess.Popen(command, stdout=output, stderr=errors, env=environment)
    atexit.register(child.kill)  # however this process ends

    counts, last, finished, place = (0, 0, 0), time.monotonic(), False, 0
    while True:
        is_over = child.poll() is not None
        if (now := _counts_in(folder)) != counts:
            counts, last = now, time.monotonic()
        said_now = words.read_bytes()[place:]
        said_now = said_now[: said_now.rfind(b"\n") + 1]
        place += len(said_now)
        for said in map(json.loads, said_now.splitlines()):
            finished = finished or said["finished"]
            for kind in said["faults"]:
                tally.add_fault(kind)
        if is_over or time.monotonic() - last > (_PATIENCE if any(counts) else _BEFORE_THE_FIRST):
            break
        time.sleep(0.05)

    tally.add(counts)
    counted = counts[0] + counts[1]
    if child.poll() is None:
        child.kill()
        child.wait()
        return counted, f"hang: no answer in {_PATIENCE} s"
    if finished:
        return counted, None
    return counted, f"died: status {child.returncode}: {log.read_text(errors='replace').strip()[-600:]}"


def _counts_in(folder: Path) -> tuple[int, ...]:
    """Return what a child has counted so far: read, refused, guided."""
    path = folder / "counts"
    content = path.read_bytes() if path.exists() else b""
    return _COUNTS.unpack(content) if len(content) == _COUNTS.size else (0, 0, 0)


def _keep(tally: Tally, how: str, folder: Path) -> None:
    """Keep the input that a child died of: the file that it had just written."""
    tally.add_fault(how)
    kept = KEPT / tally.target
    kept.mkdir(parents=True, exist_ok=True)
    for path in (folder / "at").rglob("*"):
        if path.is_file():
            shutil.copy(path, kept / f"died-{len(list(kept.iterdir()))}-{path.name}")


# --- the child --------------------------------------------------------------------------------------------------


class Counts:
    """What became of the inputs so far, where the parent finds it however this process ends."""

    def __init__(self, folder: Path) -> None:
        with (folder / "counts").open("w+b") as file:
            file.write(_COUNTS.pack(0, 0, 0))
            file.flush()
            self._memory = mmap.mmap(file.fileno(), _COUNTS.size)

    def add(self, *, was_read: bool, guided: bool = False) -> None:
        """Count an input."""
        read, refused, of_them = _COUNTS.unpack(self._memory)
        self._memory[:] = _COUNTS.pack(read + was_read, refused + (not was_read), of_them + guided)


class Feeder:
    """Judges the inputs of a target, tells the parent what became of them, and keeps those that break a rule."""

    def __init__(self, name: str, folder: Path) -> None:
        from judging import Memory
        from readers import TARGETS

        self.target, self.memory = TARGETS[name], Memory()
        self.path = self.target.prepare(folder / "at")
        self.counts = Counts(folder)
        self.faults: list[str] = []
        self.seen: set[str] = set()
        self.said = 0.0

    def feed(self, content: bytes, *, guided: bool = False, wanted: str | None = None) -> None:
        """Judge an input; ``wanted`` is the only value that it may be read as."""
        from judging import judge

        path = self.target.place(self.path, content)
        verdict = judge(self.target.read, path, self.memory)
        if path != self.path:
            path.unlink(missing_ok=True)
        fault = verdict.fault
        if fault is None and wanted is not None and verdict.was_read and verdict.value != wanted:
            fault = "damage: read as something else"
        self.counts.add(was_read=verdict.was_read, guided=guided)

        if fault is not None:
            kind = fault.split(" for ")[0].split(": MiB")[0][:160]
            self.faults.append(kind)
            if kind not in self.seen:
                self.seen.add(kind)
                kept = KEPT / self.target.name
                kept.mkdir(parents=True, exist_ok=True)
                (kept / hashlib.sha256(content).hexdigest()[:16]).write_bytes(content)
        if time.monotonic() - self.said > 1:
            self.say()

    def say(self, *, finished: bool = False) -> None:
        """Tell the parent."""
        print(json.dumps({"faults": self.faults, "finished": finished}), flush=True)
        self.said, self.faults = time.monotonic(), []


def drawn(name: str, seed: int, start: int = 0) -> Iterator[tuple[bytes, str | None]]:
    """Yield inputs of a target without end, each from its own number; and which seed's, where damage alone was done."""
    import mutations
    from readers import TARGETS

    target = TARGETS[name]
    seeds = [*target.seeds(), *target.found().values()]
    good = len(target.seeds())
    number = start
    while True:
        random = Random(f"{name} {seed} {number}")
        at = random.randrange(len(seeds))
        draw = random.random()
        if target.has_checksums and at < good and draw < 0.35:
            yield mutations.damaged(seeds[at], random), str(at)
        elif target.shaped is not None and at < good and draw < 0.7:
            yield target.shaped(seeds[at], random)[: mutations.LONGEST * 4], None
        else:
            yield mutations.altered(seeds[at], random, target.tokens, seeds), None
        number += 1


def _as_child(options: argparse.Namespace) -> int:
    import faulthandler
    import resource

    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))  # what swells must not take the machine along
    if options.child == COMMAND_LINE:
        from argument_vectors import feed_vectors

        return feed_vectors(options)
    feeder = Feeder(options.child, options.folder)
    if options.guided:
        return _guided(feeder, options)

    end = None if options.minutes is None else time.monotonic() + 60 * options.minutes
    wanted = [_value_of(feeder, content) for content in feeder.target.seeds()]
    for number, (content, of) in enumerate(drawn(options.child, options.seed, options.start)):
        if number >= options.inputs or (end is not None and time.monotonic() > end):
            break
        feeder.feed(content, wanted=None if of is None else wanted[int(of)])
    feeder.say(finished=True)
    return 0


def _value_of(feeder: Feeder, content: bytes) -> str:
    from judging import judge

    return judge(feeder.target.read, feeder.target.place(feeder.path, content), feeder.memory).value


def _guided(feeder: Feeder, options: argparse.Namespace) -> int:
    """Let atheris choose the inputs by the code that they reach."""
    import atheris

    with atheris.instrument_imports(include=["epochal"], enable_loader_override=False):
        for module in _modules_of(feeder):
            __import__(module)
    import mutations

    corpus = options.folder / "corpus"
    corpus.mkdir(exist_ok=True)
    seeds = [*feeder.target.seeds(), *feeder.target.found().values()]
    for number, content in enumerate(seeds):
        (corpus / str(number)).write_bytes(content)

    def change(content: bytes, most: int, seed: int) -> bytes:
        random = Random(seed)
        draw = random.random()
        if draw < 0.3 and feeder.target.shaped is not None:
            try:
                return feeder.target.shaped(content, random)[:most]
            except Exception:  # no longer of that form
                pass
        if draw < 0.7:
            return mutations.altered(content, random, feeder.target.tokens, seeds)[:most]
        return atheris.Mutate(content, most)

    left = [options.inputs]

    def one(content: bytes) -> None:
        if left[0] <= 0:
            return
        left[0] -= 1
        feeder.feed(content, guided=True)
        if left[0] == 0:
            feeder.say(finished=True)

    command = [sys.argv[0], f"-runs={options.inputs}", f"-seed={options.seed + options.start + 1}", "-rss_limit_mb=0"]
    command += [f"-max_len={mutations.LONGEST}", f"-artifact_prefix={options.folder}/", "-timeout=120"]
    if options.minutes is not None:
        command.append(f"-max_total_time={max(1, round(60 * options.minutes))}")
    atexit.register(lambda: left[0] > 0 and feeder.say(finished=True))
    atheris.Setup([*command, str(corpus)], one, custom_mutator=change)
    atheris.Fuzz()
    return 0


def _modules_of(feeder: Feeder) -> Sequence[str]:
    """Return the modules that a reader imports when it is first used: they are imported again, to be watched."""
    for content in feeder.target.seeds()[:1]:
        _value_of(feeder, content)
    return [name for name in sys.modules if name.startswith("epochal.") and name.count(".") > 1]


if __name__ == "__main__":
    sys.exit(main())
