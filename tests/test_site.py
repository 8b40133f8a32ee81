"""The documentation site: both languages from the repository's pages, strict, without a request elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from epochal.cli.main import COMMANDS
from epochal.config.train_config import TRAIN

ROOT = Path(__file__).parent.parent
NEEDS = ("jieba", "material", "mkdocstrings_handlers.python")
WITHOUT_CHINESE = {"CHANGELOG.md"}
LOOKED_AT = ("index", "first-training", "commands", "python-epochal", "benchmarks")


@pytest.fixture(scope="module")
def tools() -> Iterator[Callable[[str], Any]]:
    """Import one of the repository's tools by its name."""
    if not (ROOT / "tools").is_dir():
        pytest.skip("needs the repository's tools")
    sys.path.insert(0, str(ROOT / "tools"))
    yield import_module
    sys.path.remove(str(ROOT / "tools"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole site, built as `make site` does, but for the lessons."""
    for name in NEEDS:
        pytest.importorskip(name, reason="needs the extra site: pip install '.[site]'")
    folder = tmp_path_factory.mktemp("site") / "built"
    command = [sys.executable, "tools/make_site.py", "--no-lessons", "--out", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def folder_of(site: Path, language: str) -> Path:
    return site if language == "en" else site / language


def test_every_page_is_in_both_languages(tools: Callable[[str], Any]) -> None:
    pages = list(tools("site_pages").read_table())
    assert {page.file for page in pages if not page.is_in("zh")} == WITHOUT_CHINESE


def test_every_document_is_a_page(tools: Callable[[str], Any]) -> None:
    pages = {page.file for page in tools("site_pages").read_table()}
    documents = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/*.md")}
    assert {name for name in documents if not name.endswith(".zh-CN.md")} <= pages


def test_every_page_was_built_in_both_languages(site: Path, tools: Callable[[str], Any]) -> None:
    for language in ("en", "zh"):
        for page in tools("site_pages").read_table():
            if page.made != "python.md":
                assert (folder_of(site, language) / page.place.replace(".md", ".html")).is_file()


def test_links_lead_somewhere_and_nothing_is_loaded_from_elsewhere(site: Path, tools: Callable[[str], Any]) -> None:
    assert list(tools("site_links").problems(site)) == []


@pytest.mark.parametrize(
    ("html", "said"),
    [
        ('<a href="gone.html">x</a>', "leads to no file"),
        ('<a href="#gone">x</a>', "leads to no place"),
        ('<a href="../outside.html">x</a>', "leads to no file"),
        ('<img src="gone.png">', "leads to no file"),
        ('<script src="https://example.org/x.js"></script>', "loads https"),
        ('<link rel="stylesheet" href="//example.org/x.css">', "loads //example"),
    ],
)
def test_a_page_with_a_wrong_link_is_found(html: str, said: str, tools: Callable[[str], Any], tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(f'<h1 id="here">x</h1><a href="#here">x</a>{html}')
    (problem,) = tools("site_links").problems(tmp_path)
    assert said in problem


def test_a_stylesheet_that_loads_a_font_is_found(tools: Callable[[str], Any], tmp_path: Path) -> None:
    (tmp_path / "page.css").write_text("@font-face { src: url('https://example.org/font.woff2') }")
    (problem,) = tools("site_links").problems(tmp_path)
    assert "font.woff2" in problem


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_reference_has_every_public_name(site: Path, language: str, tools: Callable[[str], Any]) -> None:
    reference = tools("site_reference")
    for package in reference.packages():
        page = folder_of(site, language) / f"python-{package.replace('.', '-')}.html"
        text = page.read_text(encoding="utf-8")
        for name in reference.public_names(package):
            assert f'id="{package}.{name}"' in text or f'.{name}"' in text, (package, name)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_reference_has_every_command_and_option(site: Path, language: str) -> None:
    text = (folder_of(site, language) / "commands.html").read_text(encoding="utf-8")
    assert all(f'id="epochal-{name}"' in text for name in COMMANDS)
    flags = [f"--{(one.flag or name).replace('_', '-')}" for name, one in TRAIN.items() if not one.positional]
    assert [flag for flag in flags if not re.search(rf"<code>(-\w, )?{flag}\b", text)] == []


def test_links_of_a_source_become_links_between_pages(tools: Callable[[str], Any]) -> None:
    pages = tools("site_pages")
    rewriter = pages.Rewriter(pages.read_table(), "zh")
    link = pages._LINK

    def rewritten(text: str, file: str) -> str:
        return str(link.sub(lambda one: rewriter._link(one, file), text))

    assert rewritten("[a](../README.md)", "docs/index.md") == "[a](on-one-page.md)"
    assert rewritten("[a](own-tables.zh-CN.md#x)", "docs/index.zh-CN.md") == "[a](own-tables.md#x)"
    assert rewritten("[a](own-tables.md)", "docs/index.zh-CN.md") == '<a href="../own-tables.html">a</a>'
    assert rewritten("[a](../src)", "docs/index.md") == "a"
    with pytest.raises(FileNotFoundError, match=r"gone\.md, which is not there"):
        rewritten("[a](gone.md)", "docs/index.md")


@pytest.mark.parametrize(
    ("text", "joined"),
    [
        ("一轮有\n600 次", "一轮有\n600 次"),
        ("每一轮\n都用", "每一轮都用"),
        ("一轮，\n  600 次", "一轮，600 次"),
        ("到 B\n（小批量）", "到 B（小批量）"),
        ("如下：\n1. 一\n2. 二", "如下：\n1. 一\n2. 二"),
        ("如下：\n\n- 一。\n- 二", "如下：\n\n- 一。\n- 二"),
        ("| 一。 |\n| 二 |", "| 一。 |\n| 二 |"),
    ],
)
def test_lines_of_chinese_join_without_a_space(text: str, joined: str, tools: Callable[[str], Any]) -> None:
    assert tools("site_pages").without_line_ends(text) == joined


# --- in a browser ---------------------------------------------------------------------------------------------------


@pytest.fixture
def open_page(browser: Any, site: Path) -> Iterator[Callable[..., Any]]:
    """Open a page from its file; at the end there may have been no error and no request but for files."""
    contexts, problems = [], []

    def open_it(name: str, language: str, width: int = 1280, scheme: str = "light") -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: problems.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))
        page.on("request", lambda request: problems.append(request.url) if "http" in request.url[:5] else None)
        page.goto((folder_of(site, language) / f"{name}.html").as_uri())
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert problems == []


@pytest.mark.parametrize("name", LOOKED_AT)
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_page_opens_from_its_file(
    name: str, language: str, width: int, scheme: str, open_page: Callable[..., Any]
) -> None:
    page = open_page(name, language, width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("h1").first.is_visible()
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor").removeprefix("rgb(").split(",")
    assert (int(paper[0]) < 128) == (scheme == "dark")


@pytest.mark.parametrize(("language", "words"), [("en", "landscape"), ("zh", "谷底"), ("zh", "批大小")])
def test_the_search_finds_words_without_a_server(language: str, words: str, open_page: Callable[..., Any]) -> None:
    page = open_page("index", language)
    query = page.locator("[data-md-component=search-query]")
    query.fill(words)
    query.press("End")  # the theme searches when a key is let go
    page.wait_for_selector(".md-search-result__link mark", timeout=30_000)
    found = page.locator(".md-search-result__link", has=page.locator("mark")).first.inner_text()
    assert words in found.replace("\u200b", "").lower()


def test_the_switch_leads_to_the_same_page_in_the_other_language(open_page: Callable[..., Any]) -> None:
    page = open_page("first-training", "en")
    page.locator("[data-other-language]").click()
    page.wait_for_url("**/zh/first-training.html")
    assert page.evaluate("document.documentElement.lang").startswith("zh")
    page.locator("[data-other-language]").click()
    page.wait_for_url("**/built/first-training.html")
