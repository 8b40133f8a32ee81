"""Each reader reads its seeds, and reads or refuses in a line what accidents and strangers make of them."""

from __future__ import annotations

import gzip
import io
import os
import sqlite3
import zlib
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from judging import BASE, Memory, digest_of, judge
from readers import TARGETS, Target

from epochal.errors import RunError
from fuzz import drawn

pytestmark = pytest.mark.usefixtures("unchecked")
DRAWN = 40
EACH = pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)


@pytest.fixture(scope="module")
def memory() -> Memory:
    """What this process takes."""
    return Memory()


@pytest.fixture(autouse=True)
def needed(request: pytest.FixtureRequest) -> None:
    """Skip readers of what is not installed."""
    target = request.node.callspec.params.get("target") if hasattr(request.node, "callspec") else None
    if target is not None and target.name in ("parquet", "feather"):
        pytest.importorskip("polars")
    if target is not None and target.name == "picture":
        pytest.importorskip("PIL")


@EACH
def test_seeds_are_read(target: Target, tmp_path: Path, memory: Memory) -> None:
    """The control of all that follows: a reader that refuses everything would pass it."""
    path = target.prepare(tmp_path / "at")
    verdicts = [judge(target.read, target.place(path, content), memory) for content in target.seeds()]
    assert [one.fault for one in verdicts] == [None] * len(verdicts)
    assert any(one.was_read for one in verdicts)


@EACH
def test_what_once_failed_and_its_like_are_read_or_refused(target: Target, tmp_path: Path, memory: Memory) -> None:
    path = target.prepare(tmp_path / "at")
    values = [judge(target.read, target.place(path, content), memory).value for content in target.seeds()]
    count = 2 if target.name == "form" else DRAWN  # each of which is tried by a process of its own
    inputs = [*((content, None) for content in target.found().values()), *islice(drawn(target.name, seed=1), count)]
    for number, (content, of) in enumerate(inputs):
        verdict = judge(target.read, target.place(path, content), memory)
        assert verdict.fault is None, (number, verdict.fault)
        if of is not None and verdict.was_read:
            assert verdict.value == values[int(of)], (number, "damaged, and read as something else")


@EACH
@pytest.mark.parametrize("what", ["pipe", "device", "folder"])
def test_what_is_no_file_is_refused_and_not_waited_for(
    target: Target, what: str, tmp_path: Path, memory: Memory
) -> None:
    path = target.prepare(tmp_path / "at")
    path = path if target.renamed is None else path.with_name(target.renamed(b""))
    path.unlink(missing_ok=True)
    if what == "pipe":
        os.mkfifo(path)
    elif what == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    if target.name in ("schema", "form"):
        pytest.skip("its content is handed over by another reader")
    verdict = judge(target.read, path, memory)
    assert not verdict.was_read
    assert verdict.fault is None


# --- bombs: kilobytes that say they are gigabytes ----------------------------------------------------------------

HUGE = 80 << 20


def _archive() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, x=np.zeros((HUGE // 2, 1), np.uint8), y=np.zeros(9, np.uint8))
    return file.getvalue()


def _parquet() -> bytes:
    polars = pytest.importorskip("polars")
    file = io.BytesIO()
    frame = polars.DataFrame({"x": np.zeros(HUGE // 8, np.int8), "y": np.zeros(HUGE // 8, np.int8)})
    frame.write_parquet(file, compression="zstd")
    return file.getvalue()


def _picture() -> bytes:
    head = b"\0\0\x1f\x40\0\0\x1f\x40\x08\0\0\0\0"  # 8,000 × 8,000, grey
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(8001))), (b"IEND", b"")]
    parts = [len(inner).to_bytes(4, "big") + name + inner + zlib.crc32(name + inner).to_bytes(4, "big")
             for name, inner in chunks]  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


BOMBS: dict[str, Any] = {
    "npz": _archive,
    "csv": lambda: gzip.compress(b"a,b\n" + b"1,2\n" * (HUGE // 4), 9),
    "idx": lambda: gzip.compress(b"\0\0\x08\x01" + HUGE.to_bytes(4, "big") + bytes(HUGE), 9),
    "parquet": _parquet,
    "picture": _picture,
    "pack": lambda: b"a" + b".a" * 20_000 + b" = 1",
    "batch-size-toml": lambda: b"a" + b".a" * 20_000 + b" = 1",
    "schema": lambda: b'{"format": 1, "a": ' + b"[" * 100_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_ends_in_a_line_and_little_memory(name: str, tmp_path: Path, memory: Memory) -> None:
    target = TARGETS[name]
    content = BOMBS[name]()
    verdict = judge(target.read, target.place(target.prepare(tmp_path / "at"), content), memory)
    assert verdict.fault is None
    assert not verdict.was_read


# --- the judge sees what it is there for ---------------------------------------------------------------------------


def raises(error: BaseException) -> Any:
    def read(path: Path) -> None:
        raise error

    return read


def swells(path: Path) -> int:
    return int(np.ones(BASE + (16 << 20), np.uint8).sum())


def lags(path: Path) -> int:
    total = 0
    for number in range(3_000_000):
        total += number % 7
    return total


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (raises(ValueError("x")), "traceback: ValueError"),
        (raises(RecursionError("x")), "traceback: RecursionError"),
        (raises(RunError("one\ntwo")), "more than a line"),
        (raises(RunError("x" * 3000)), "more than a line"),
        (swells, "memory"),
        (lags, "slow"),
    ],
)
def test_a_broken_rule_is_seen(
    read: Any, said: str, tmp_path: Path, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    if said == "memory" and not memory.can_tell:
        pytest.skip("this system does not say what a process took at most")
    if said == "slow":
        monkeypatch.setattr("judging.SECONDS", 0.02)
    path = tmp_path / "input"
    path.write_bytes(b"abc")
    fault = judge(read, path, memory).fault
    assert fault is not None
    assert said in fault


def test_other_values_have_another_hash() -> None:
    array = np.arange(6, dtype=np.int32)
    values = [array, array[::-1], array.reshape(2, 3), array.astype(np.int64), [array], {"a": 1}, {"b": 1}, (1, 2), 12]
    assert len({digest_of(one) for one in values}) == len(values)
    assert digest_of(array) == digest_of(array.copy())


@EACH
def test_inputs_are_drawn_from_their_number_alone(target: Target) -> None:
    """So one that a child died of is passed over by the next, and a count is a count of different draws."""
    first = list(islice(drawn(target.name, seed=0), 6))
    assert list(islice(drawn(target.name, seed=0, start=2), 4)) == first[2:]
    assert len({content for content, _ in first}) > 1


def test_a_damaged_row_of_a_history_is_not_left_out(tmp_path: Path, memory: Memory) -> None:
    """A bit of a row's iteration made that negative, and a row before the first iteration was not looked at."""
    roots = pages_of("epochs", "metrics")
    check_damage([4096 * root - back for root in roots for back in range(1, 270)], 0x80, tmp_path, memory)


def test_a_damaged_index_of_a_history_leaves_no_row_out(tmp_path: Path, memory: Memory) -> None:
    """Two bytes of the metrics' index exchanged left an evaluation out, and SQLite's quick check found nothing."""
    (root,) = pages_of("sqlite_autoindex_metrics_1")
    check_damage(range(4096 * root - 160, 4096 * root), 1, tmp_path, memory)


def pages_of(*names: str) -> list[int]:
    """Return the first page of tables and indexes in the seed of a history; SQLite counts them from 1."""
    (seed,) = TARGETS["history"].seeds()
    with sqlite3.connect(":memory:") as database:
        database.deserialize(seed)
        found = dict(database.execute("SELECT name, rootpage FROM sqlite_master"))
    database.close()
    return [found[name] for name in names]


def check_damage(places: Iterable[int], bits: int, tmp_path: Path, memory: Memory) -> None:
    """Turn bits of the seed of a history at each of these places: it is refused, or read as what it was."""
    target = TARGETS["history"]
    path, (seed,) = target.prepare(tmp_path / "at"), target.seeds()
    whole = judge(target.read, target.place(path, seed), memory)
    for place in places:
        damaged = bytearray(seed)
        damaged[place] ^= bits
        verdict = judge(target.read, target.place(path, bytes(damaged)), memory)
        assert verdict.fault is None
        assert not verdict.was_read or verdict.value == whole.value, place
