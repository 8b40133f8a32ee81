"""Standard error goes nowhere while a library reads, and is as it was afterwards, whichever thread ends last."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from epochal.data.quiet_errors import errors_silenced


def test_what_is_written_meanwhile_goes_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    os.write(2, b"before\n")
    with errors_silenced:
        os.write(2, b"meanwhile\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "before\nafter\n"


def test_threads_share_it(capfd: pytest.CaptureFixture[str]) -> None:
    inside, leave = threading.Barrier(3), threading.Event()

    def work() -> None:
        with errors_silenced:
            inside.wait(20)
            os.write(2, b"meanwhile\n")
            leave.wait(20)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    inside.wait(20)
    leave.set()
    for thread in threads:
        thread.join(20)
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_a_damaged_tiff_is_refused_and_writes_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    image = pytest.importorskip("PIL.Image")
    from epochal.data.pictures.file import read_picture
    from epochal.errors import DataError

    path = tmp_path / "damaged.tiff"
    image.new("L", (40, 40), 9).save(path, compression="tiff_lzw")
    content = bytearray(path.read_bytes())
    content[8:12] = b"\xff\xff\xff\xff"  # within the pixels
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot read the picture"):
        read_picture(path, grey=True)
    assert capfd.readouterr().err == ""
