"""The language of what is printed: by option, variable or the system's locale; errors are translated where shown."""

from __future__ import annotations

import os
import traceback

import pytest

from epochal.cli import main
from epochal.errors import OptionError, unknown_name
from epochal.words.language import present_language, speaking
from epochal.words.phrases import read_phrases, translate


def test_the_language_is_chosen_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    with speaking("zh"):
        assert present_language() == "zh"
        assert os.environ["EPOCHAL_LANG"] == "zh"  # child processes speak it too
    assert present_language() == "en"

    monkeypatch.delenv("EPOCHAL_LANG")
    with speaking("zh"):
        pass
    assert "EPOCHAL_LANG" not in os.environ


@pytest.mark.parametrize("words", [["trani", "--lang", "zh"], ["--lang=zh", "trani"]])
def test_an_error_is_printed_in_the_language_asked_for(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main(words) == 2
    assert "没有名为“trani”的命令。是否要用“train”？" in capsys.readouterr().err
    assert present_language() == "en"


@pytest.mark.parametrize("words", [["train", "--lang", "xx"], ["train", "--lang"]])
def test_an_unknown_language_is_refused(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main(words) == 2
    assert "--lang must be one of en, zh" in capsys.readouterr().err


def test_a_traceback_has_the_translation_as_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EPOCHAL_LANG", "zh")
    error = OptionError(unknown_name("model", "cmn", ["cnn"]))
    assert str(error).startswith("unknown model 'cmn'")
    assert "没有名为“cmn”的模型" in "".join(traceback.format_exception(error))


def test_gaps_keep_what_fills_them() -> None:
    """A name that is a phrase by itself stays a name."""
    assert "command" in read_phrases("zh")
    assert translate("unknown model 'command'. Known: command", "zh") == "没有名为“command”的模型。可用：command"
