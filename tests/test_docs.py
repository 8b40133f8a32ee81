"""The documentation shows what its commands print, its links lead somewhere, and both languages show the same code."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
CHINESE = [page for page in PAGES if page.name.endswith(".zh-CN.md")]


@pytest.fixture(scope="module")
def pages() -> Iterator[Any]:
    """The tool that reads links and anchors of Markdown."""
    if not (ROOT / "tools").is_dir():
        pytest.skip("needs the repository's tools")
    sys.path.insert(0, str(ROOT / "tools"))
    yield import_module("site_pages")
    sys.path.remove(str(ROOT / "tools"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_with_steady_output_print_what_the_page_shows(page: Path) -> None:
    done = subprocess.run(
        [sys.executable, "tools/refresh_docs.py", "--check", str(page)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_command_of_a_page_failed_by_a_bug_or_for_want_of_its_run(page: Path) -> None:
    for block in re.findall(r"```console\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        assert not re.search(r"Traceback|no run folder|没有运行文件夹|No such file", block)


def test_a_page_with_other_output_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```console\n$ epochal plan --samples 10 --batch-size 5\n11 batches\n```\n")
    done = subprocess.run(
        [sys.executable, "tools/refresh_docs.py", "--check", str(page)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1


def test_a_chinese_page_shows_chinese_output(tmp_path: Path) -> None:
    for name, said in (("page.md", "每一轮"), ("page.zh-CN.md", "batches per epoch")):
        page = tmp_path / name
        page.write_text("```console\n$ epochal plan --samples 10 --batch-size 5\n```\n")
        command = [sys.executable, "tools/refresh_docs.py", str(page)]
        subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
        assert said not in page.read_text(encoding="utf-8")


def broken_links(pages: Any, page: Path) -> list[str]:
    """Return the links of a page that lead to no file, or to no heading of it."""
    broken = []
    for link in pages.links(page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in pages.anchors(target.read_text(encoding="utf-8"))):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_a_file_and_a_heading(page: Path, pages: Any) -> None:
    assert broken_links(pages, page) == []


def test_links_that_lead_nowhere_are_found(pages: Any, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    text = "# 轮 and `batch`\n\n[a](gone.md) [b](#轮-and-batch) [c](#gone) ![d](gone.svg) [![e](no.svg)](page.md)"
    page.write_text(text + " `[f](no.md)` [`h`](no_h.md)\n\n```\n[g](no.md)\n```\n", encoding="utf-8")
    assert broken_links(pages, page) == ["gone.md", "#gone", "gone.svg", "no.svg", "no_h.md"]


def programs(page: Path) -> list[list[str]]:
    """Return a page's Python as words, without comments and line ends."""
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    left_out = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    return [
        [word.string for word in tokenize.generate_tokens(io.StringIO(block).readline) if word.type not in left_out]
        for block in blocks
    ]


def ruled_out() -> set[str]:
    """Return the Chinese words that docs/vocabulary.md has no use for."""
    rows = [line.split(" | ") for line in (ROOT / "docs" / "vocabulary.md").read_text(encoding="utf-8").splitlines()]
    words = {word for row in rows if len(row) == 5 for word in re.findall(r"`([^`]+)`", row[2])}
    return {word for word in words if re.search("[\u4e00-\u9fff]", word)}


def wrong_words(text: str) -> list[str]:
    """Return the words of a Chinese document that are ruled out, but for code and quotations."""
    prose = re.sub(r"^```.*?^```|`[^`\n]+`|“[^”]*”", "", text, flags=re.DOTALL | re.MULTILINE)
    return sorted(word for word in ruled_out() if word in prose)


@pytest.mark.parametrize("page", CHINESE, ids=lambda page: page.name)
def test_chinese_documents_keep_to_the_vocabulary(page: Path) -> None:
    assert wrong_words(page.read_text(encoding="utf-8")) == []


def test_a_document_with_another_word_is_found() -> None:
    assert wrong_words("每批次的“一代”用`步长`，洗牌之后") == ["批次", "洗牌"]


@pytest.mark.parametrize("page", CHINESE, ids=lambda page: page.name)
def test_both_languages_show_the_same_programs(page: Path) -> None:
    assert programs(page) == programs(page.with_name(page.name.replace(".zh-CN", "")))


@pytest.mark.parametrize("page", CHINESE, ids=lambda page: page.name)
def test_both_languages_lead_to_each_other(page: Path, pages: Any) -> None:
    english = page.with_name(page.name.replace(".zh-CN", ""))
    assert english.name in pages.links(page.read_text(encoding="utf-8"))
    assert page.name in pages.links(english.read_text(encoding="utf-8"))
