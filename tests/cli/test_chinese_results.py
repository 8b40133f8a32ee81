"""What commands print of trained runs, in Chinese: nothing is left in English but names."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from epochal.cli.main import main
from epochal.data.registry import DATA_SETS
from epochal.words.catalogue import messages
from epochal.words.language import speaking
from epochal.words.layout import cells

STUDY, RUN, TABLE = "研究 一", "运行 一", "房价 表.csv"

COMMANDS = {
    "compare": (
        "compare", "digits", "--model", "linear", "--batch-size", "100,all", "--seed", "0,1", "--tune-lr",
        "--epochs", "2", "--random-landscape", "--grid", "3", "--run", STUDY,
    ),
    "compare again": ("compare", "--run", STUDY),
    "show a study": ("show", STUDY),
    "show a run": ("show", f"{STUDY}/batch-100-seed-0"),
    "another budget": (
        "compare", "digits", "--model", "linear", "--batch-size", "700,all", "--seconds", "0.01", "--run", "s",
    ),
    "without a landscape": (
        "compare", "digits", "--model", "linear", "--batch-size", "all", "--iterations", "1", "--run", "t",
    ),
    "diverged": (
        "compare", "digits", "--model", "linear", "--batch-size", "all", "--lr", "1e38", "--epochs", "3", "--run", "u",
    ),
    "two models": (
        "compare", "digits", "--model", "linear,mlp", "--batch-size", "100", "--epochs", "2",
        "--grid", "3", "--landscape-samples", "9", "--run", "v",
    ),
    "folds": ("train", "digits", "--model", "linear", "--folds", "2", "--epochs", "1", "--run", "折"),
    "train": ("train", TABLE, "--validation", "0.2", "--patience", "1ep", "--epochs", "2", "--run", RUN),
    "runs": ("runs", "."),
    "no runs": ("runs", "空"),
    "evaluate": ("evaluate", RUN),
    "evaluate elsewhere": ("evaluate", RUN, "--split", "validation", "--weights", "last"),
    "predict": ("predict", RUN, TABLE),
    "predict into a file": ("predict", RUN, TABLE, "--out", "预测.csv"),
    "export": ("export", f"{STUDY}/batch-all-seed-0", "--to", "numpy"),
    "report": ("report", STUDY),
    "data": ("data",),
    "data by name": ("data", "digits"),
    "data in a file": ("data", TABLE),
}  # fmt: skip

NAMES = {
    *("digits", "linear", "mlp", "batch", "all", "seed", "SGD", "BGD", "MBGD", "sgd", "bgd", "mbgd", "adamw"),
    *("uint", "float", "EPOCHAL", "DATA", "MNIST", "mnist", "kmnist", "fashion", "numpy", "MB", "price", "fold"),
    *("CC", "BY", "epochal", "NaN"),
}
"""What is called the same in every language: data sets, models, methods, types, columns."""

_COMMAND, _FILE = re.compile(r"^ +epochal .*", re.MULTILINE), re.compile(r"[\w /.-]+\.(csv|html|py|npz|json)\b")
_ELSEWHERE = re.compile(r"^(来源|数据指纹|警告).*|--[a-z-]+", re.MULTILINE)


def words_in_english(text: str) -> list[str]:
    """The words of at least two letters that are no names, and stand in no command, option, file's name or citation.

    Warnings are tested with the phrases.
    """
    for what in (_COMMAND, _FILE, _ELSEWHERE):
        text = what.sub("", text)
    return [word for word in re.findall(r"[A-Za-z]{2,}", text) if word not in NAMES]


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What each command printed in Chinese, one after another in one folder."""
    with pytest.MonkeyPatch.context() as patch, speaking("zh"):
        patch.chdir(tmp_path_factory.mktemp("chinese"))
        Path("空").mkdir()
        rows = (
            f"{i * 3 % 50 + 20},{'北京' if i % 3 else '上海'},2024-0{i % 9 + 1}-11,{1.5 * i + 3}" for i in range(80)
        )
        Path(TABLE).write_text("\n".join(["面积,城市,日期,price", *rows, ",北京,,3", "3,北京,,"]), encoding="utf-8")
        printed = {}
        for name, words in COMMANDS.items():
            with redirect_stdout(io.StringIO()) as out:
                assert main(list(words)) == 0, name
            printed[name] = out.getvalue()
        yield printed


@pytest.mark.parametrize("command", COMMANDS)
def test_no_english_is_left(command: str, said: dict[str, str]) -> None:
    assert said[command].strip()
    assert words_in_english(said[command]) == []


def test_english_would_be_found(capsys: pytest.CaptureFixture[str]) -> None:
    """The control."""
    with speaking("en"):
        assert main(["data"]) == 0
    assert words_in_english(capsys.readouterr().out)[:3] == ["name", "training", "test"]


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("compare", "4 次运行，每次的训练预算：2 轮"),
        ("compare", "← 最佳"),
        ("compare", "损失地形（主成分平面）：3 × 3 个损失，各取全部 1,437 个训练样本的平均"),
        ("compare", "损失地形（随机平面）"),
        ("compare", "一页报告，含曲线与损失地形"),
        ("another budget", "2 次运行，每次的训练预算：训练 0.01 秒"),
        ("without a landscape", "没有损失地形：保存过权重的 2 个点"),
        ("diverged", "没有损失地形：所有运行都发散了"),
        ("two models", "不含 mlp-batch-100：它的模型"),
        ("folds", "平均 ± 标准差"),
        ("runs", "均方根误差"),
        ("runs", "已完成"),
        ("no runs", "空 中没有运行"),
        ("evaluate", "用的是在验证样本上最好的权重"),
        ("data", "已内置"),
        ("data in a file", "目标：回归，"),
    ],
)
def test_what_is_said(command: str, sentence: str, said: dict[str, str]) -> None:
    assert sentence in said[command]


def test_tables_stand_straight(said: dict[str, str]) -> None:
    """The last column of a table ends in one place, or else begins in one."""
    for name in ("show a study", "runs", "data", "show a run"):
        lines = said[name].splitlines()
        rules = [number for number, line in enumerate(lines) if set(line.strip()) == {"─"}]
        assert rules, name
        for rule in rules:
            table = [*itertools.takewhile(str.strip, lines[rule + 1 :])]
            assert max(map(cells, table)) <= cells(lines[rule]), name
            # behind one blank, or behind two where a value has blanks within
            starts = (max(cells(line[: line.rfind(gap) + len(gap)]) for line in table) for gap in (" ", "  "))
            straight = any(
                all(begins(line, last) or cells(line) < last for line in table)  # a folded value goes on alone
                for last in starts
            )
            assert straight or len(set(map(cells, table))) == 1, name


def begins(line: str, place: int) -> bool:
    """Return whether a word begins behind so many cells."""
    return any(cells(line[:at]) == place and line[at - 1 : at + 1].split(" ")[0] == "" for at in range(1, len(line)))


def test_the_data_sets_titles_are_the_catalogues() -> None:
    english = messages("en")
    for name, about in DATA_SETS.items():
        assert english[f"dataset.about_{name.replace('-', '_')}"] == about.title
