"""How long a training takes to its first update, from the command: `python bench/start.py [--write] [--before COMMIT]`.

Each repetition makes a cache of compiled programs anew, starts a training with it (the first start), and starts it
again (the second one); with ``--before``, in turns with that commit. A process ends after its first chunk of updates.
Processor seconds are those of the user and the system, in all threads: what else runs on the machine affects them
less than the seconds that pass. Packages are imported from their bytecode, as after an installation. ``--write`` puts
the table into docs/performance.md and its Chinese edition.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
WORK = {"digits, mlp": ("digits",), "mnist, mlp": ("mnist",), "mnist, cnn": ("mnist", "--model", "cnn")}
_MARKS = "<!-- bench/start.py -->", "<!-- end of bench/start.py -->"

_CHILD = """
import importlib.abc, importlib.util, json, os, sys, time

class Watch(importlib.abc.MetaPathFinder):
    "Waits for the module whose callbacks hear of the first chunk; importing it here would change what is measured."

    def find_spec(self, name, path, target=None):
        if name != "epochal.run.callbacks":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module
        def exec_module(module):
            execute(module)
            module.Callbacks.chunk = seen
        spec.loader.exec_module = exec_module
        return spec

def seen(self, chunk):
    used = sum(os.times()[:2])
    print("SEEN " + json.dumps([time.time(), used]), flush=True)
    os._exit(0)

sys.meta_path.insert(0, Watch())
from epochal.cli import main
sys.exit(main())
"""


class Start(NamedTuple):
    """One start: seconds that passed, and the processor's."""

    wall: float
    cpu: float


def start(source: Path, words: tuple[str, ...], folder: Path) -> Start:
    """Start a training of the package in ``source``, and return its seconds to the first chunk's end."""
    shutil.rmtree(folder / "run", ignore_errors=True)
    given = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    given |= {"PYTHONPATH": str(source / "src"), "XDG_CACHE_HOME": str(folder / "cache")}
    given |= {"PYTHONPYCACHEPREFIX": str(folder.parent / "bytecode")}
    command = [sys.executable, "-c", _CHILD, "train", *words, "--run", str(folder / "run")]
    started = time.time()
    out = subprocess.run(command, env=given, stdout=subprocess.PIPE, text=True, check=True).stdout
    seen, used = json.loads(next(line for line in out.splitlines() if line.startswith("SEEN "))[5:])
    return Start(seen - started, used)


def measure(sources: dict[str, Path], words: tuple[str, ...], repetitions: int) -> dict[tuple[str, str], list[Start]]:
    """Return the starts of each package, first and second, in turns."""
    found: dict[tuple[str, str], list[Start]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, source in sources.items():  # bytecode, and files of libraries in the system's memory
            start(source, words, Path(folder) / name)
        for _ in range(repetitions):
            for name, source in sources.items():
                shutil.rmtree(Path(folder) / name / "cache", ignore_errors=True)
                for which in ("first", "second"):
                    found.setdefault((name, which), []).append(start(source, words, Path(folder) / name))
    return found


def table(results: dict[str, dict[tuple[str, str], list[Start]]]) -> str:
    """Return the Markdown table: medians with least and most."""
    lines = ["| training | start | of | processor s | passed s |", "| --- | --- | --- | --- | --- |"]
    for work, found in results.items():
        for (name, which), starts in sorted(found.items(), key=lambda one: one[0][1]):
            cells = (_spread([one.cpu for one in starts]), _spread([one.wall for one in starts]))
            lines.append(f"| {work} | {which} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _spread(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f} ({min(seconds):.2f} – {max(seconds):.2f})"


def write(text: str) -> None:
    """Put the table between its marks in both editions of the page."""
    for name in ("performance.md", "performance.zh-CN.md"):
        page = ROOT / "docs" / name
        before, _, rest = page.read_text(encoding="utf-8").partition(_MARKS[0])
        page.write_text(f"{before}{_MARKS[0]}\n\n{text}\n\n{_MARKS[1]}{rest.partition(_MARKS[1])[2]}", encoding="utf-8")


def main() -> None:
    """Measure, print, and write the table where that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--before", help="a commit to measure in turns with this one")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--only", choices=WORK, nargs="+", default=list(WORK))
    options = parser.parse_args()

    with ExitStack() as stack:
        sources = {"this": ROOT}
        if options.before:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "before"
            git = ["git", "-C", str(ROOT), "worktree"]
            subprocess.run([*git, "add", "-q", "--detach", str(folder), options.before], check=True)
            stack.callback(subprocess.run, [*git, "remove", "--force", str(folder)], check=True)
            sources = {options.before: folder, **sources}
        load = os.getloadavg()[0]
        text = table({work: measure(sources, WORK[work], options.repetitions) for work in options.only})
    text += f"\n\nMedians of {options.repetitions} (least – most); load average {load:.1f} before, "
    text += f"{os.getloadavg()[0]:.1f} after, on {os.cpu_count()} cores."
    print(text)
    if options.write:
        write(text)


if __name__ == "__main__":
    main()
