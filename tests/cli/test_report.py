"""`epochal report`, end to end on the command line."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from epochal.cli.main import main
from epochal.run import train

RUN = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from epochal.cli import main; raise SystemExit(main())"
)
"""The command, with a Ctrl-C as in a terminal; who runs these tests in the background may have it switched off."""

LONG = ("train", "digits", "--model", "linear", "--batch-size", "1", "--epochs", "100000", "--run", "live")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "trained"
    train("digits", model="linear", batch_size=100, epochs=2, run=path)
    return path


def report(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    status = main(["report", *map(str, arguments)])
    out, err = capsys.readouterr()
    return status, out, err


def test_a_run_gets_its_report_in_its_folder(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = report(capsys, trained)
    file = trained / "report.html"
    assert (status, err) == (0, "")
    assert out.startswith(f"report: {file} (0.")
    html = file.read_text(encoding="utf-8")
    assert html.startswith("<!doctype html>")
    assert "15 batches" in html
    file.unlink()


def test_elsewhere_and_in_chinese(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, _ = report(capsys, trained, "--out", "页.html", "--lang", "zh")
    assert status == 0
    assert '<html lang="zh"' in Path("页.html").read_text(encoding="utf-8")
    assert not (trained / "report.html").exists()


def test_several_runs_get_theirs_here(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(trained, "other")
    status, out, _ = report(capsys, trained, "other")
    assert (status, out.startswith("report: report.html")) == (0, True)
    assert 'id="compare"' in Path("report.html").read_text(encoding="utf-8")


def test_a_damaged_run_among_others_is_said_and_left_out(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(trained, "damaged")
    Path("damaged/history.db").write_bytes(b"x" * 5000)
    status, _, err = report(capsys, trained, "damaged")
    assert status == 0
    assert err.count("\n") == 1
    assert err.startswith("epochal: left out: damaged/history.db")
    assert "damaged" in Path("report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["gone"], "epochal: there is no run folder gone; `epochal runs` lists the runs here"),
        (["."], "epochal: . is neither a run nor a study: it has no run.toml and no study.toml"),
        ([], "epochal: "),
        (["gone", "--lang", "de"], "epochal: --lang must be one of en, zh, got 'de'"),
        (["gone", "--watch"], "epochal: there is no run folder gone; `epochal runs` lists the runs here"),
        (["gone", "--prot", "1"], "epochal: unknown option '--prot': did you mean '--port'?"),
    ],
)
def test_what_cannot_be_shown_is_a_line(arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = report(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith(line)
    assert err.count("\n") == 1


def test_a_place_that_cannot_be_written(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = report(capsys, trained, "--out", "no/such/folder/r.html")
    assert status == 2
    assert (
        err
        == "epochal: cannot write no/such/folder/r.html: No such file or directory; choose another place with --out\n"
    )


def test_a_report_is_replaced_as_a_whole(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("r.html").write_text("old", encoding="utf-8")
    report(capsys, trained, "--out", "r.html")
    assert Path("r.html").read_text(encoding="utf-8").startswith("<!doctype")
    assert [path.name for path in Path().iterdir() if path.name.endswith(".tmp")] == []


class TestWatch:
    """A training and a watcher as processes of their own, as a user has them."""

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", RUN, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, condition: str, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not Path(condition).exists():
            assert time.monotonic() < deadline, f"no {condition}"
            time.sleep(0.05)

    def watch(self, *arguments: str) -> tuple[subprocess.Popen[str], str]:
        process = self.start("report", *arguments, "--watch")
        assert process.stdout is not None
        address = r"watching on (http://127\.0\.0\.1:\d+/\?token=\S+) \(Ctrl-C ends it\)\n"
        found = re.fullmatch(address, process.stdout.readline())
        assert found is not None, process.communicate()[1]
        return process, found[1]

    def test_a_running_training_is_followed_and_ctrl_c_ends_it(self) -> None:
        training = self.start(*LONG)
        try:
            self.wait_for("live/history.db")
            watcher, url = self.watch("live")
            try:
                html = self.page_of_a_running_training(url)
                assert "connect-src 'self'" in html.replace("&#39;", "'")
                root, token = url.split("?")
                query = f"updates?{token}&run=live&bucket=1&epoch=0&tested=-1&version=1.0"
                first = self.iterations(f"{root}{query}&iterations=0")
                assert self.iterations(f"{root}{query}&iterations={first}", more_than=first) > first
                assert self.answer(f"{root}{query.replace('1.0', '9.9')}&iterations=0")["reload"] is True
                for asked, why in (("run=another", "400"), (f"run={'9' * 30}", "400")):
                    with pytest.raises(HTTPError, match=why):
                        urlopen(f"{root}updates?{token}&{asked}")
                with pytest.raises(HTTPError, match="403"):
                    urlopen(root)
            finally:
                watcher.send_signal(signal.SIGINT)
                out, err = watcher.communicate(timeout=30)
            assert (watcher.returncode, out, err) == (0, "", "")
        finally:
            training.send_signal(signal.SIGINT)
            training.communicate(timeout=60)

    def answer(self, url: str) -> dict[str, Any]:
        with urlopen(url, timeout=30) as answer:
            content: dict[str, Any] = json.load(answer)
        return content

    def page_of_a_running_training(self, url: str) -> str:
        """The page, as soon as the training is past its compilation."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with urlopen(url, timeout=30) as answer:
                html: str = answer.read().decode()
            if '"version":"1.0"' in html:
                return html
            time.sleep(0.2)
        raise AssertionError("the training does not begin")

    def iterations(self, url: str, more_than: int = 0) -> int:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            update = self.answer(url)["update"]
            if update and update["iterations"] > more_than:
                return int(update["iterations"])
            time.sleep(0.2)
        raise AssertionError("the training does not go on")

    def test_a_finished_run_is_served_whole(self, trained: Path) -> None:
        watcher, url = self.watch(str(trained))
        with urlopen(url, timeout=60) as answer:
            html = answer.read().decode()
        watcher.send_signal(signal.SIGINT)
        assert watcher.communicate(timeout=30) == ("", "")
        assert watcher.returncode == 0
        assert 'class="matrix"' in html

    def test_watching_imports_no_jax(self, trained: Path) -> None:
        code = (
            "import sys; from pathlib import Path; from epochal.report import read, render, updates;"
            f" render(read([{str(trained)!r}]), watch=True);"
            f" updates.read_update(Path({str(trained)!r}), updates.Known(0, 0, -1)); sys.exit('jax' in sys.modules)"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False, env={**os.environ}).returncode == 0
