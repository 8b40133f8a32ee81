"""Measure how much `epochal report --watch`, open in a browser, slows the training that it follows.

    python bench/watching.py [--pairs 8] [--seconds 8]

One training of `mlp` (B = 100) runs on, and is followed for some seconds, then not, in turns. Needs Playwright and a
Chromium. The first seconds after the page is opened are left out: they are its opening, not its following.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

OPENING = 4.0  # seconds
_CHROMIUM = "/usr/bin/chromium"
_TRAIN = """
import sys, epochal
from epochal import load_data
from epochal.errors import EpochalError
from epochal.run.callbacks import Callback
try:
    data = load_data("mnist")
except EpochalError:
    data = load_data("digits-60k")
class Tell(Callback):
    def on_chunk(self, chunk):
        print(chunk.position.iteration, flush=True)
epochal.train(data, model="mlp", epochs=10**6, run=sys.argv[1], callbacks=Tell())
"""
_COMMAND = "import sys; from epochal.cli import main; sys.exit(main())"


class Training:
    """A training in a process of its own, and the iteration that it last told."""

    def __init__(self, run: Path) -> None:
        self.iteration = 0
        self.process = subprocess.Popen([sys.executable, "-c", _TRAIN, str(run)], stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.iteration = int(line)

    def rate(self, seconds: float) -> float:
        """Return the iterations per second of the next seconds."""
        first, started = self.iteration, time.perf_counter()
        time.sleep(seconds)
        return (self.iteration - first) / (time.perf_counter() - started)


def rate_while_watched(training: Training, run: Path, browser: Browser, seconds: float) -> float:
    """Open the page, follow for so long, and close it."""
    command = [sys.executable, "-c", _COMMAND, "report", str(run), "--watch"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = next(word for line in server.stdout for word in line.split() if word.startswith("http://"))
        page = browser.new_page()
        page.goto(address)
        page.wait_for_timeout(1000 * OPENING)
        rate = training.rate(seconds)
        page.close()
        server.terminate()
    return rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=8.0)
    options = parser.parse_args()
    shares = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        run = Path(folder) / "run"
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        training = Training(run)
        while not training.iteration:
            time.sleep(0.1)
        time.sleep(OPENING)
        before = training.rate(options.seconds)
        for _ in range(options.pairs):
            watched = rate_while_watched(training, run, browser, options.seconds)
            after = training.rate(options.seconds)
            shares.append(100 * (1 - 2 * watched / (before + after)))  # against the mean of the time before and after
            print(f"{before:,.0f} it/s, watched {watched:,.0f}, {after:,.0f}", flush=True)
            before = after
        training.process.kill()
        training.process.wait()
        browser.close()
    shares.sort()
    print(
        f"watched: {statistics.median(shares):.1f} % slower (median of {len(shares)}; {shares[0]:.1f} to "
        f"{shares[-1]:.1f} %)"
    )


if __name__ == "__main__":
    main()
