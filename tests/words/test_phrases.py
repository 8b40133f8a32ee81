"""Whatever an error, a warning or a note of the package says exists in Chinese, and comes out whole."""

from __future__ import annotations

import errno
import os
import re
import sys
import tomllib
from collections import defaultdict
from importlib import resources
from pathlib import Path
from typing import Final

import pytest
from english_texts import GAP, English, Reader, is_word

from epochal.words.phrases import read_phrases, translate

PACKAGE: Final = Path(str(resources.files("epochal")))
SECTIONS: Final = tomllib.loads((PACKAGE / "words/messages/zh/phrases.toml").read_text("utf-8"))
CHINESE: Final = {key: text for section in SECTIONS.values() for key, text in section.items()}
PARTS: Final = ("structure", "words", "system", "libraries")
FROM_CODE: Final = [key for name, section in SECTIONS.items() if name not in PARTS for key in section]
"""Sentences that stand in the code; the others are what sentences are put together from."""

FROM_ELSEWHERE: Final = {
    # a reason that was kept in a list, a mapping or a record
    "the lesson cannot be recorded: {}": {0},
    "no mirror gave {} ({})": {1},
    "{} ({}) and {} more": {1},
    ("{}: no {} picture of the class '{}' can be read; the first is {} ({}); replace them, or remove that subfolder"): {
        1,
        4,
    },
    "{}: holds no pictures{}; {}": {1},
    "left out: {}": {0},
    "{} has {} samples of its own; leave out {}={}": {1},
    "model '{}': {}": {1},
    "none of the checkpoints in {} can be used: {}": {1},
    "{} is damaged: {}; {}": {1},
    "there is no trajectory to show for {}: {}": {1},
    "cannot serve on port {}: {}; choose another with --port": {1},
    "{} is damaged or no history: {}": {1},
    "cannot use {}: {}; is the disk full, or the folder read-only?": {1},
    "{}: damaged, or no plain arrays ({}); get it again": {1},
    # what to do about a damaged pack
    "{} is of another pack: its rows are sound, but not this pack's; {}": {1},
    "{} is not the file that the manifest names: its SHA-256 differs; {}": {1},
    "{}: cannot be opened ({}); {}": {2},
    "{} is no file; {}": {1},
    "{} has {} bytes, and {} rows of {} are {}: it is truncated or of another pack; {}": {5},
    "{}: row {} cannot be read: {}; {}": {3},
    "{} cannot be read: {}; {}": {2},
    "{} has {} bytes, and its values are {}: it is truncated or of another pack; {}": {3},
    "{}: the values of row {} (sample {}) do not fit their checksum: their bytes have changed; {}": {3},
    "{}: row {} (sample {}) {}; {}": {4},
    # one of a few words
    "{} has {} samples but {}y has {}; each needs one target": {0},
    "column '{}': dates such as {} can be {} or {}; write them as 2024-12-31, or leave the column out (--drop)": {2, 3},
    "{}: {} would both be the {} set; keep one of them": {2},
    "{}: {}, column '{}': '{}' is no {}, which the column was in training": {4},
    "metric '{}' does not fit a {}; take one of: {}": {1},
    "{} is {}, not {}": {2},
    "{}, or else {}": {0, 1},
    "{}, or nothing": {0},
}
"""Gaps that texts fill by ways that the reader of the sources does not follow."""

NAMED: Final = {"{}: {}": {0}}
"""Gaps where a sentence can stand, but where mostly a file's name does, which could be a word of ours."""


@pytest.fixture(scope="module")
def english() -> list[English]:
    """All texts of the code."""
    return list(Reader(PACKAGE).texts())


def gaps(text: str) -> dict[int, bool]:
    """Return the gaps of a translation, and whether what fills them is translated."""
    return {int(number): bool(spoken) for number, spoken in re.findall(r"\{(\d+)(!t)?\}", text)}


def filled(text: str, values: list[str]) -> str:
    return re.sub(r"\{(\d+)(!t)?\}", lambda gap: values[int(gap[1])], text)


def numbered(key: str) -> str:
    """Return a text with its gaps by number."""
    first, *rest = key.split(GAP)
    return first + "".join(f"{{{number}}}{part}" for number, part in enumerate(rest))


def missing(texts: list[English], known: set[str]) -> list[str]:
    """Return the texts that nobody has translated, by place; a single word may be a name."""
    return sorted({f"{one.place}: {one.key}" for one in texts if one.key not in known and not is_word(one.key)})


def test_every_text_of_the_code_has_a_translation(english: list[English]) -> None:
    assert len(english) > 700
    assert missing(english, set(read_phrases("zh"))) == []


def test_every_translation_is_of_a_text_of_the_code(english: list[English]) -> None:
    assert sorted(set(FROM_CODE) - {one.key for one in english}) == []


def test_words_stand_in_the_code() -> None:
    code = "\n".join(path.read_text("utf-8") for path in PACKAGE.rglob("*.py"))
    assert [word for word in SECTIONS["words"] if f'"{word}"' not in code and f"'{word}'" not in code] == []


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other texts")
def test_texts_of_the_system_are_the_systems() -> None:
    assert set(SECTIONS["system"]) - {os.strerror(number) for number in errno.errorcode} == set()


@pytest.mark.parametrize(
    ("content", "encoding"), [(b"\xff", "utf-8"), (b"\x81", "gbk"), (b"\xe4\xb8", "utf-8"), (b"a\xff", "ascii")]
)
def test_texts_of_the_encodings_are_theirs(content: bytes, encoding: str) -> None:
    with pytest.raises(UnicodeDecodeError) as caught:
        content.decode(encoding)
    assert caught.value.reason in SECTIONS["libraries"]


def test_a_translation_has_the_gaps_of_its_text() -> None:
    assert {key: sorted(gaps(text)) for key, text in CHINESE.items()} == {
        key: list(range(key.count(GAP))) for key in CHINESE
    }


def test_a_translation_is_chinese() -> None:
    speaking = [text for name, section in SECTIONS.items() if name != "structure" for text in section.values()]
    assert [text for text in speaking if not re.search(r"[\u4e00-\u9fff]", text)] == []


def test_texts_within_texts_are_translated_and_names_are_not(english: list[English]) -> None:
    must: dict[str, set[int]] = defaultdict(set)
    may: dict[str, set[int]] = defaultdict(set)
    for one in english:
        must[one.key] |= one.spoken
        may[one.key] |= one.may_be_spoken
    spoken = {key: {number for number, is_spoken in gaps(CHINESE[key]).items() if is_spoken} for key in FROM_CODE}
    silent = {key: must[key] - spoken[key] - NAMED.get(key, set()) for key in FROM_CODE}
    loud = {key: spoken[key] - may[key] - FROM_ELSEWHERE.get(key, set()) for key in FROM_CODE}
    assert {key: numbers for key, numbers in silent.items() if numbers} == {}
    assert {key: numbers for key, numbers in loud.items() if numbers} == {}


def test_what_fills_a_text_is_there_in_the_translation() -> None:
    """And no other text is taken for it."""
    wrong = {}
    for key in FROM_CODE:
        values = [f"v{number}" for number in range(key.count(GAP))]
        said = translate(filled(numbered(key), values), "zh")
        if said.replace(" ", "") != filled(CHINESE[key], values).replace(" ", ""):
            wrong[key] = said
    assert wrong == {}


def test_a_text_in_a_text_is_translated() -> None:
    said = translate("cannot read checkpoint a, b: No such file or directory; passed over for the one before", "zh")
    assert said == "无法读取检查点 a, b：没有这个文件或文件夹；已改用前一个"


def test_a_name_that_is_a_word_of_ours_stays_a_name() -> None:
    assert translate("test: holds no pictures", "zh") == "test：其中没有图像"
    assert translate("unknown model 'command'. Known: command", "zh") == "没有名为“command”的模型。可用：command"


def test_the_reading_that_understands_most_counts() -> None:
    """The inner sentence has more letters than the outer one, and begins and ends with gaps."""
    unknown = "unknown option that a run can change 'sede': did you mean 'seed'? Known: lr, seed"
    assert (
        translate(f"{unknown}; start a new run", "zh")
        == "没有名为“sede”的运行中可更改的选项。是否要用“seed”？可用：lr, seed；请开始新的运行"
    )


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("unknown option of cnn 'kernal'. Known: kernel", "没有名为“kernal”的 cnn 选项。可用：kernel"),
        ("1 file left out, no pictures by their names: a.txt", "略去 1 个文件（从文件名看不是图像）：a.txt"),
        ("unknown encoding 'klingon'; known are utf-8, utf-16, gbk, latin-1 …",
         "没有名为“klingon”的编码；可用的有 utf-8、utf-16、gbk、latin-1 ……"),
        ("r was stopped; model and loss", "r was stopped；模型和损失函数"),
    ],
    ids=["other letters", "digits", "quotation marks", "Chinese"],
)  # fmt: skip
def test_a_space_stands_between_chinese_and_other_letters_alone(english: str, chinese: str) -> None:
    assert translate(english, "zh") == chinese


def test_a_sentence_of_others_stays_as_it_is() -> None:
    """It may have an "and" and brackets; what is ours around it is translated."""
    others = "matmul needs dims (3,) and (4,), unable to go on, as in line 3"
    assert translate(others, "zh") == others
    assert translate(f"model 'm' does not fit samples of shape (3,): {others}", "zh").endswith(f"的样本：{others}")


def test_a_list_of_reasons_is_translated() -> None:
    some = "a.png (truncated), b.png (empty), c d.png (truncated) and 2 more"
    said = translate(f"3 pictures could not be read: {some}", "zh")
    assert said == "3 张图像无法读取：a.png（文件不完整）、b.png（空文件）、c d.png（文件不完整），另有 2 个"


def test_a_long_list_does_not_take_long() -> None:
    names = ", ".join(f"column {number} and more: so; on" for number in range(500))
    assert names in translate(f"table.csv: its columns are {names}; features and a target are needed", "zh")


# --- the reader itself ------------------------------------------------------------------------------------------------

MADE_UP = """
class DataError(Exception): ...
class RunError(DataError): ...
class PlanError(RunError): ...

ADVICE = "take a larger one"

def load(path, size, is_small):
    if size < 0:
        raise DataError("a plain text")
    if size == 0:
        raise DataError(f"{path}: a text with " "two parts")
    if size == 1:
        raise RunError(f"{path} is {'small' if is_small else 'very large'}; go on")
    if size == 2:
        raise PlanError("a sum of " + str(size) + " and more")
    try:
        read(path)
    except OSError as error:
        raise RunError(f"no reading of {path}: {error.strerror}") from error
    except DataError as error:
        raise RunError(f"{error}; {ADVICE}, or {_help(size)}") from error
    warn(f"{size} is odd")
    print("not for users in another language")
    raise KeyError("nor this")

def _help(size) -> str:
    return f"leave out {size} of them"
"""


def test_a_made_up_text_is_found_missing(tmp_path: Path) -> None:
    (tmp_path / "made_up.py").write_text(MADE_UP)
    texts = list(Reader(tmp_path).texts())
    assert {(one.key, tuple(sorted(one.spoken))) for one in texts} == {
        ("a plain text", ()),
        ("{}: a text with two parts", ()),
        ("{} is small; go on", ()),
        ("{} is very large; go on", ()),
        ("a sum of {} and more", ()),
        ("no reading of {}: {}", (1,)),
        ("{}; {}, or {}", (0, 1, 2)),
        ("take a larger one", ()),
        ("leave out {} of them", ()),
        ("{} is odd", ()),
    }
    assert "made_up.py:10: a plain text" in missing(texts, set(read_phrases("zh")))
    assert not any("take a larger one" in one for one in missing(texts, set(read_phrases("zh"))))


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("run.toml is damaged: data.train is -3, not a whole number of at least 0",
         "run.toml 已损坏：data.train 是 -3，而应是不小于 0 的整数"),
        ("run.toml is damaged: lr is 'x', not a finite number of at least 0, or nothing",
         "run.toml 已损坏：lr 是 'x'，而应是不小于 0 的有限数，或空缺"),
        ("run.toml is damaged: model.source is 5, not one of these: a, b, or else a text of at most 1,000 characters",
         "run.toml 已损坏：model.source 是 5，而应是以下之一：a, b，或至多 1,000 个字符的文本"),
    ],
    ids=["a number", "or nothing", "either"],
)  # fmt: skip
def test_what_a_value_has_to_be_is_said_in_chinese(english: str, chinese: str) -> None:
    assert translate(english, "zh") == chinese
