"""A day at batch size 1, its iterations played: 432,000 chunks grow nothing but the history, by what they record."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

CHUNKS_A_DAY = 432_000  # of a fifth of a second
MOST_BYTES_OF_A_CHUNK = 250  # 23 losses of 4 bytes, and the rows of a block and of an epoch with their checksums
MOST_GROWTH = 20 << 20
MOST_LOG = 12 << 20  # SQLite puts its log into the file after every 1,000 pages

PLAYED = """
import json, os, sys, threading
from pathlib import Path
import numpy as np
from epochal import Callback, train
from epochal.audit import ExpectedAudit
from epochal.engine import ChunkResult, Engine
from epochal.record.run_record import RunRecord

data, run, chunks = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
expected = {}

def play(self, state, position, batch_size, count):
    # the sums of a real chunk, without its work: an epoch is one chunk
    audit = expected.setdefault("audit", ExpectedAudit(self.order))
    first, last = (audit.after(position.epoch, position.offset + more) for more in (0, count))
    return state, ChunkResult(np.full(count, position.epoch % 7, np.float32), last - first, 0.02)

Engine.run = play

class Watch(Callback):
    def __init__(self):
        self.chunks, self.log, self.first = 0, 0, None

    def on_chunk(self, chunk):
        self.chunks += 1
        self.should_stop = self.chunks == chunks
        if self.chunks % 1000 == 0:
            self.log = max(self.log, (run / "history.db-wal").stat().st_size)
        if self.chunks == chunks // 5:
            self.first = seen()
        if self.chunks == chunks:
            self.last = seen()

def seen():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return len(os.listdir("/proc/self/fd")), threading.active_count(), pages * os.sysconf("SC_PAGE_SIZE")

watch = Watch()
options = dict(model="linear", batch_size=1, epochs=10**9, evaluate_every=10**9, progress=False)
done = train(data, run=run, callbacks=watch, **options)
grown = [after - before for before, after in zip(watch.first, watch.last)]
record = RunRecord.read(run, check=True)
print(json.dumps({
    "handles": grown[0], "threads": grown[1], "memory": grown[2], "log": watch.log,
    "history": (run / "history.db").stat().st_size, "status": record.status, "problems": list(record.problems),
    "iterations": record.history.iterations, "position": record.position.iteration,
    "exact": sum(row.is_exact for row in record.history.epochs if row.complete),
    "epochs": record.position.epoch, "checkpoints": len(list((run / "checkpoints").iterdir())),
}))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="counts what Linux lists")
@pytest.mark.parametrize("chunks", [2_000, pytest.param(CHUNKS_A_DAY, marks=pytest.mark.slow, id="a day")])
def test_nothing_grows_but_the_history(chunks: int, little_data: Path, tmp_path: Path) -> None:
    """In a process of its own: in that of the tests, those of earlier ones end while these are counted."""
    words = [sys.executable, "-c", PLAYED, str(little_data), str(tmp_path / "run"), str(chunks)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["handles"] == 0
    assert seen["threads"] <= 1  # the one that saves, where time for a first checkpoint came late
    assert seen["memory"] < MOST_GROWTH
    assert seen["log"] < MOST_LOG
    assert seen["history"] < MOST_BYTES_OF_A_CHUNK * chunks + 1_000_000
    assert (seen["status"], seen["problems"]) == ("stopped", [])
    assert seen["iterations"] == seen["position"] > 22 * (chunks - 10)
    assert seen["exact"] == seen["epochs"] > chunks - 10
    assert seen["checkpoints"] <= 4
