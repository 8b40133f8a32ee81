"""`epochal learn` as a user starts and ends it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from learner import ask

from epochal.cli import main


@pytest.mark.skipif(os.name == "nt", reason="needs a signal")
def test_it_prints_its_address_serves_the_page_and_ends_by_ctrl_c() -> None:
    command = [sys.executable, "-m", "epochal", "learn", "line", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(3)]
        address = said[1].strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{20,}", address)
        with urlopen(address, timeout=30) as answer:
            assert "<html" in answer.read().decode()
        with pytest.raises(HTTPError, match="403") as refused:
            urlopen(address.partition("?")[0], timeout=30)
        refused.value.close()
        for batch_size in (3, 7):  # whose landscapes are computed meanwhile
            assert ask(address, "/api/start", {"batch_size": batch_size})["ok"]

        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--lesson", "epoch"], "--lesson is for --export"),
        (["--export", "x.html", "--port", "1"], "--export writes a file and serves nothing"),
        (["nothing", "--no-browser"], "unknown data set 'nothing'"),
        (["--export", "x.html", "--lesson", "epochs"], "unknown lesson 'epochs': did you mean 'epoch'?"),
        (["--port", "70000", "--no-browser"], "cannot serve on port 70000"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_served(
    capsys: pytest.CaptureFixture[str], workplace: Path, words: list[str], text: str
) -> None:
    assert main(["learn", *words]) == 2
    assert text in capsys.readouterr().err
    assert not (workplace / "x.html").exists()


def test_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["learn", "--help"]) == 0
    assert "--no-browser" in capsys.readouterr().out
