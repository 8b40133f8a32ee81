"""TensorBoard's event files: what is encoded in one stroke is what one call a scalar would encode."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from reading_events import event_paths, fields, read_events, records

from epochal.held_folder import HeldFolder
from epochal.loggers.event_file import EventFile, crc32c, scalar_records


def event_file(folder: Path, purge_from: int | None = None) -> EventFile:
    with HeldFolder.open(folder) as held:
        return EventFile(held, purge_from)


@pytest.mark.parametrize("first", [0, 1, 120, 16_380, 2**31, 2**40])
@pytest.mark.parametrize("tag", ["loss", "recall/a very long class name, and ü"])
def test_scalars_are_read_as_they_were_given(first: int, tag: str, tmp_path: Path) -> None:
    values = np.random.default_rng(first).normal(size=300).astype(np.float32)
    values[7:10] = np.nan, np.inf, 0
    file = event_file(tmp_path)
    file.add_scalars(tag, first, values, 12.5)
    file.close()
    shown = read_events(tmp_path)  # compares the checksums
    steps, read = zip(*shown.scalars[tag], strict=True)
    assert steps == tuple(range(first, first + 300))
    assert np.array_equal(np.float32(read), values, equal_nan=True)
    assert set(shown.walls) == {12.5}


def test_a_flipped_bit_is_found() -> None:
    content = bytearray(scalar_records("loss", 1, np.float32([0.5, 0.25]), 1.0))
    assert len(list(records(bytes(content)))) == 2
    content[-6] ^= 1
    with pytest.raises(ValueError, match="checksum"):
        list(records(bytes(content)))


def test_it_is_what_tensorboardx_reads(tmp_path: Path) -> None:
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2", reason="needs tensorboardX")
    file = event_file(tmp_path, purge_from=3)
    file.add_scalars("loss", 3, np.float32([0.5, 0.25]), 1.0)
    file.add_text("status", 4, "finished *é*", 1.0)
    file.close()
    (path,) = event_paths(tmp_path)
    events = [event_pb2.Event.FromString(message) for message in records(path.read_bytes())]
    assert events[0].file_version == "brain.Event:2"
    assert (events[1].step, events[1].session_log.status) == (3, 1)
    assert [(e.step, e.summary.value[0].tag, e.summary.value[0].simple_value) for e in events[2:4]] == [
        (3, "loss", 0.5),
        (4, "loss", 0.25),
    ]
    text = events[4].summary.value[0]
    assert text.metadata.plugin_data.plugin_name == "text"
    assert text.tensor.string_val[0].decode() == "finished *é*"


def test_later_files_are_read_later_and_supersede(tmp_path: Path) -> None:
    for first in (1, 6, 3):
        file = event_file(tmp_path, purge_from=first)
        file.add_scalars("loss", first, np.full(5, first, np.float32), time.time())
        file.close()
    assert len(event_paths(tmp_path)) == 3
    assert read_events(tmp_path).scalars["loss"] == [(1, 1.0), (2, 1.0), *((step, 3.0) for step in range(3, 8))]
    assert len(read_events(tmp_path, purge=False).scalars["loss"]) == 15


def test_the_checksum_is_castagnolis() -> None:
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4
    assert crc32c(bytes(range(32))) == 0x46DD794E


def test_a_number_of_fixed_length_is_an_ordinary_one() -> None:
    (message,) = records(scalar_records("loss", 300, np.float32([1]), 1.0))
    assert dict(fields(message))[2] == 300
