"""Help in Chinese: every sentence of it is translated, and nothing is left in English but what is typed as it is."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib import resources
from typing import get_args

import pytest

from epochal.cli import main
from epochal.cli.arguments import COMMON, options_by_name, written_flags
from epochal.cli.help_text import VERSION_HELP, paragraphs
from epochal.cli.main import COMMANDS, SUBCOMMANDS, find_command
from epochal.config.options import Option, Part
from epochal.words.phrases import read_phrases, translate

CHINESE = re.compile("[\u4e00-\u9fff]")
NAMES = tuple(
    re.findall(
        r"\S+",
        "Epochal ArrayRecord webdataset tar HTML JSON CSV Parquet Polars TensorBoard adaptive StableHLO ONNX NumPy "
        "PCA CPU Matplotlib MNIST UTF-8 Tab Ctrl-C Bash Zsh Fish",
    )
)
"""Names of programs, formats and keys."""

TERMS = re.compile(r"（(epoch|batch|iteration|dropout)(，原文作“一代”)?）")
"""A term at its first use, with the word by which learners will meet it elsewhere."""

CODE = re.compile(
    r"""'\w+' | [\w.]+=\w+ | [\w/~.-]*/[\w/.-]+ | \.\w+ | \w+\.\w+(:\w+)? | \b\d+[a-z]+\b | gbk | latin-1 | \b[KN]\b
    | eval\ "[^"]+" | completion\ fish\ \|\ source | compinit | shell | 2\*\*64 | --set | --run\ FOLDER | --watch
    | --help | [\w-]+(?=（[\u4e00-\u9fff]+）)""",
    re.VERBOSE,
)
"""Values and lines that are typed as they are."""


def sentences() -> Iterator[tuple[str, str]]:
    """Every English sentence that help consists of, with where it stands."""
    yield from ((f"part {part}", part) for part in get_args(Part))
    yield "--version", VERSION_HELP
    for name, about in {**COMMANDS, **SUBCOMMANDS}.items():
        command = find_command(name)
        yield name, about
        yield from ((f"{name}: its help", one) for one in paragraphs(command))
        for option, one in {**options_by_name(command), **COMMON}.items():
            yield f"{name} --{option}: its help", one.help
            if one.default:
                yield f"{name} --{option}: its default", f"Default: {one.default}."


def is_said_in_chinese(text: str) -> bool:
    said = translate(text, "zh")
    return bool(CHINESE.search(said)) or (text.startswith("Default: ") and said != text)


def test_every_sentence_of_help_is_translated() -> None:
    missing = {text: where for where, text in sentences() if not is_said_in_chinese(text)}
    assert missing == {}, "add them to words/messages/zh/help.toml"


def typed_words(command: str | None) -> set[str]:
    """What is typed as it is: the command's options and what stands for their values, and all values that are known."""
    words = {"epochal", "COMMAND", "--version", *COMMANDS, *" ".join(SUBCOMMANDS).split()}
    for name in (*COMMANDS, *SUBCOMMANDS):
        for option, one in {**options_by_name(find_command(name)), **COMMON}.items():
            words |= {*one.kind.known, *one.default.split(",")}
            if command in (name, name.partition(" ")[0], None):
                words |= {*written_flags(option, one), *re.findall("[A-Z]+", one.kind.metavar)}
    return words


def left_in_english(shown: str, command: str | None) -> list[str]:
    """What is left of a Chinese help after all that is typed as it is."""
    text = re.sub(r"示例：.*|^  epochal .*", "", shown, flags=re.MULTILINE)
    text = CODE.sub("", TERMS.sub("", text))
    for word in sorted({*typed_words(command), *NAMES}, key=len, reverse=True):
        text = re.sub(rf"(?<![\w-]){re.escape(word)}(?![a-zA-Z0-9_-])", "", text, flags=re.ASCII)
    return re.findall("[A-Za-z]{2,}", text)


@pytest.mark.parametrize(
    "arguments", [[], ["--help"], *([*name.split(), "--help"] for name in (*COMMANDS, *SUBCOMMANDS))], ids=" ".join
)
def test_no_english_is_left_in_chinese_help(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert main([*arguments, "--lang", "zh"]) == 0
    shown = capsys.readouterr().out
    assert CHINESE.search(shown)
    assert left_in_english(shown, " ".join(arguments[:-1]) or None) == []


def test_english_that_is_left_would_be_found() -> None:
    """The control."""
    assert left_in_english("  --lr RATE  学习率。 Default: 0.1.", "train") == ["Default"]
    assert left_in_english("训练 a model，每批 100 samples", "plan") == ["model", "samples"]
    assert left_in_english("  --lr RATE  学习率。", "plan") == ["lr", "RATE"], "plan has no such option"
    assert not is_said_in_chinese("No such sentence.")


def test_a_default_that_is_no_sentence_stays() -> None:
    assert translate("Default: 0.1.", "zh") == "默认：0.1。"
    assert translate("Default: the last.", "zh") == "默认：最后一列。"


def test_every_translation_of_help_is_used() -> None:
    english = {text for _, text in sentences()}
    used = english | {text.removeprefix("Default: ").removesuffix(".") for text in english}
    text = resources.files("epochal.words").joinpath("messages/zh/help.toml").read_text(encoding="utf-8")
    keys = {key for section in tomllib.loads(text).values() for key in section}
    assert {key for key in keys - used if "{}" not in key} == set()


def test_options_of_all_commands_have_different_short_forms() -> None:
    for name in COMMANDS:
        options = {**options_by_name(find_command(name)), **COMMON}
        flags = [flag for key, one in options.items() for flag in written_flags(key, one)]
        assert len(flags) == len(set(flags))


def test_an_option_says_its_default_in_both_languages() -> None:
    one = Option(help="Learning rate.", kind=COMMON["lang"].kind, default="none")
    assert one.text == "Learning rate. Default: none."
    assert read_phrases("zh")["none"] == "无"
