"""Bad input gets one or two clear lines and status 2, and leaves nothing behind: a row each."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from terminal import EPOCHAL, Answer, environment, epochal

from epochal.cli import main

LIGHT: dict[str, tuple[str, ...]] = {
    # --- numbers that cannot be a plan
    "plan --samples 0": ("--samples must be at least 1, got 0",),
    "plan --samples -5": ("--samples must be at least 1, got -5",),
    "plan --samples 1.5": ("--samples must be a whole number, got '1.5'",),
    "plan --samples 6e4": ("--samples must be a whole number, got '6e4'",),
    "plan --samples 1,5": ("--samples must be a whole number, got '1,5'",),
    f"plan --samples {'9' * 5000}": ("--samples has 5,000 digits; at most 1,000 are read",),
    "plan --samples 60000 --batch-size 60001": ("batch size 60001 is above the 60000 training samples", "'all'"),
    "plan --samples 60000 --batch-size 0": ("--batch-size must be at least 1, got 0",),
    "plan --samples 99 --batch-size 100 --last drop": ("batch size 100 is above the 99 training samples",),
    "plan --samples 60000 --epochs 2 --iterations 5": ("give one budget, not 2: epochs and iterations",),
    "plan --samples 60000 --budget 5": ("--budget: '5' is no training length", "50ep"),
    "plan --samples 60000 --budget 5sa --batch-size 10": ("a budget of 5sa ends before the first batch of 10 samples",),
    "plan": ("give the training set's size (--samples 60000) or its name (--data mnist)",),
    "plan --samples 60000 --data mnist": ("one of them",),
    "plan --samples 60000 -b 0": ("-b must be at least 1, got 0",),
    "plan --samples 60000 -e -5": ("-e must be at least 1, got -5",),
    "plan --samples 60000 -b9 --batch-size 10": ("--batch-size is given twice",),
    "plan --samples 60000 -b": ("-b needs a value",),
    # --- names that do not exist
    "plan --samples 60000 -x 3": ("unknown option '-x'",),
    "plan --samples 60000 -epochs 3": ("unknown option '-epochs': did you mean '--epochs'?",),
    "help plann": ("unknown command 'plann': did you mean 'plan'?",),
    "completion tcsh": ("SHELL must be one of bash, zsh, fish, got 'tcsh'",),
    "completion": ("SHELL is missing",),
    "--verson": ("unknown option '--verson': did you mean '--version'?",),
    "-v": ("unknown option '-v'. Known: --help, --lang, --version",),
    "plann": ("unknown command 'plann': did you mean 'plan'?",),
    "plan --sampels 60000": ("unknown option '--sampels': did you mean '--samples'?",),
    "plan --data mnits": ("unknown data set 'mnits': did you mean 'mnist'?",),
    # --- words that are out of place
    "plan 60000": ("there is no place for '60000'; did you mean --samples 60000?", "epochal plan --help"),
    "plan mnist": ("there is no place for 'mnist'; did you mean --data mnist?",),
    "train digits 3": ("there is no place for '3'; see epochal train --help",),
    "train digits --run -x": ("--run needs a value; one that begins with '-' is written --run=-x",),
    "show -- -x": ("there is no run folder -x",),
    "show -- a -- b": ("there is no place for '--'",),
    "export x": ("--to FORMAT is missing",),
    "plan --samples": ("--samples needs a value",),
    "plan --samples --json": ("--samples needs a value",),
    "plan --samples=": ("--samples must be a whole number, got ''",),
    "plan --samples 9 --samples 10": ("--samples is given twice",),
    "plan --samples 9 --json=yes": ("--json takes no value",),
    "plan --samples 9 --batch_sise 3": ("unknown option '--batch-sise': did you mean '--batch-size'?",),
    "plan --samples 9 --last maybe": ("--last must be one of keep, drop, got 'maybe'",),
    "train --data mnist": ("DATA goes without '--data'", "epochal train --help"),
    "evaluate": ("RUN is missing", "epochal evaluate --help"),
    "train --task guess": ("--task must be one of classification, regression, got 'guess'",),
    # --- values out of range or of another kind
    "train --lr fast": ("--lr must be a finite number above 0, got 'fast'",),
    "train --seed -1": ("--seed must be 0 to 2**64 - 1, got -1",),
    "train --seed 1.5": ("--seed must be a whole number, got '1.5'",),
    "train --hidden 10 x": ("--hidden must be one or more whole numbers of at least 1, got '10 x'",),
    "train --on-nan ignore": ("--on-nan must be one of stop, continue, got 'ignore'",),
    "train --warmup 3": ("--warmup: '3' is no training length; write 50ep, 30000it, 3000000sa or 90s",),
    "train --momentum 1": ("--momentum must be a finite number of at least 0 and below 1, got '1'",),
    "report x --port 80": ("--port is for --watch",),
    "report x --watch --out page.html": ("--watch serves the page and writes no file; leave out --out",),
    "train --micro-batch 0": ("--micro-batch must be at least 1, got 0",),
    "train --evaluate-every 0": ("--evaluate-every must be at least 1, got 0",),
    # --- runs and places that are not there
    "runs nowhere": ("there is no folder nowhere",),
}
"""What is refused before JAX is imported."""

HEAVY: dict[str, tuple[str, ...]] = {
    # --- numbers that cannot be a plan
    "train --batch-size 100000": ("batch size 100000 is above the 1437 training samples", "'all'"),
    "train --batch-size half": (
        "--batch-size must be a whole number, got 'half'; write 'all' for the whole training set",
    ),
    "train --epochs 2.5": ("epochs must be a whole number, got '2.5'",),
    "train --iterations 0": ("iterations must be at least 1, got 0",),
    "train --epochs 2 --budget 2ep": ("give one budget, not 2: epochs and budget",),
    # --- names that do not exist
    "train digitz": ("unknown data set 'digitz': did you mean 'digits'?",),
    "train --model mpl": ("unknown model 'mpl': did you mean 'mlp'?",),
    "train --optimizer adma": ("unknown optimizer 'adma': did you mean 'adam'?",),
    "train --schedule cosin": ("unknown schedule 'cosin': did you mean 'cosine'?",),
    "train --loss cross-entrpy": ("unknown loss 'cross-entrpy': did you mean 'cross-entropy'?",),
    # --- values out of range or of another kind
    "train --lr nan": ("--lr must be a finite number above 0, got 'nan'",),
    "train --hidden 0": ("hidden must be",),
    "train --hidden 999999999999": ("parameters and needs 300,000 GB with its optimizer, more than the",),
    "train --dropout 1": ("--dropout must be a finite number of at least 0 and below 1, got '1'",),
    "train --model linear --hidden 10": ("linear has no option", "'hidden'"),
    "train --warmup 100ep": ("a warm-up of 100ep is 1,500 updates, more than the plan's 150",),
    # --- data that are damaged or do not fit
    "train nowhere.csv": ("no such file or folder: nowhere.csv",),
    "train a-file": ("a-file: cannot tell what it is",),
    "train inf.csv": ("inf.csv: line 9, column 'b': inf is not finite",),
    "train outside.npz": ("outside.npz: test y: row 3 (from 0) has the label 3, outside the classes 0, 1, 2",),
    "train wrong-magic": ("wrong-magic/train-images-idx3-ubyte",),
    "train short-idx": ("short-idx/train-images-idx3-ubyte",),
    "train table.csv --model cnn": ("cnn",),
    "train table.csv --target z": ("'z'",),
    # --- runs and places that are not there
    "train --run a-file": ("cannot make the run folder a-file: File exists",),
    "train --run a-file/inside": ("cannot make the run folder a-file/inside",),
    "train --run full": ("full is not empty",),
    "evaluate nowhere": ("there is no run folder nowhere",),
    "predict nowhere x.npy": ("there is no run folder nowhere",),
    "show full": ("full is no run folder: it has no run.toml",),
}
"""What is refused after it. A process for each would take most of a minute, so only some have one."""

PROCESSES = [*LIGHT, "train --lr nan", "train inf.csv", "train --run a-file", "train --hidden 999999999999"]


def fill(folder: Path) -> None:
    """Put everything there that the rows name."""
    (folder / "a-file").write_text("no folder, and no data")
    (folder / "full").mkdir()
    (folder / "full" / "something").write_text("of somebody's")
    rows = [f"{i},{'inf' if i == 7 else i},{i % 2}" for i in range(20)]
    (folder / "inf.csv").write_text("\n".join(["a,b,y", *rows]))
    (folder / "table.csv").write_text("\n".join(["a,b,y", *rows]).replace("inf", "7"))
    x = np.zeros((60, 8, 8), np.uint8)
    np.savez(folder / "outside.npz", x_train=x, y_train=np.arange(60) % 3, x_test=x, y_test=np.arange(60) % 4)
    for name, magic, missing in (("wrong-magic", 2049, 0), ("short-idx", 2051, 1)):
        (folder / name).mkdir()
        for stem, count in (("train", 6), ("t10k", 3)):
            images = struct.pack(">4i", magic, count, 8, 8) + bytes(count * 64 - missing)
            (folder / name / f"{stem}-images-idx3-ubyte").write_bytes(images)
            (folder / name / f"{stem}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 2049, count) + bytes(count))


def contents(folder: Path) -> set[Path]:
    """Return what lies in a folder, but for the cache of compiled programs."""
    return {path for path in folder.rglob("*") if path.relative_to(folder).parts[0] != "cache"}


def check_refusal(line: str, answer: Answer, left_behind: set[Path]) -> None:
    assert answer.status == 2
    assert answer.err.startswith("epochal: ")
    assert 1 <= len(answer.err.splitlines()) <= 2
    assert "Traceback" not in answer.err + answer.out
    for words in {**LIGHT, **HEAVY}[line]:
        assert words in answer.err
    assert left_behind == set()


@pytest.mark.parametrize("line", HEAVY)
def test_refused_in_a_line_or_two(line: str, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(workplace)
    before = contents(workplace)
    status = main(line.split(" "))
    out, err = capsys.readouterr()
    check_refusal(line, Answer(status, out, err), contents(workplace) ^ before)


@pytest.mark.parametrize("line", PROCESSES, ids=lambda line: line[:60])
def test_a_process_refuses_in_a_line_or_two(line: str, workplace: Path) -> None:
    fill(workplace)
    before = contents(workplace)
    check_refusal(line, epochal(*line.split(" ")), contents(workplace) ^ before)


def test_a_full_disk_is_said_in_a_line(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: writing fails here and there, wherever it is reached.

    Read-only folders cannot be tested by permissions, which do not bind root; above, a file stands in their place.
    """
    done = subprocess.run(
        ["bash", "-c", f'ulimit -f 40; exec "{EPOCHAL}" train --epochs 1 --run run'],
        cwd=tmp_path,
        env=environment(without=("JAX_COMPILATION", "JAX_PERSISTENT"), XDG_CACHE_HOME=str(tmp_path / "cache")),
        capture_output=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("epochal: cannot ")
    assert 1 <= len(done.stderr.splitlines()) <= 2
