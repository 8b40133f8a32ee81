"""The pages of the documentation site: which there are, and how a repository's Markdown becomes a page of one language.

A page's source stays readable on a code host: its links lead to files of the repository. Here they become links between
pages of the same language, links to the other language's site, or copies of pictures and notebooks; a link to what the
site does not have (source code) becomes its text.
"""

from __future__ import annotations

import posixpath
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LANGUAGES = ("en", "zh")
COPIED = (".svg", ".png", ".jpg", ".ipynb", ".json", ".csv")
NAMES = {"README.md": "on-one-page.md", "CHANGELOG.md": "changelog.md"}
ENGLISH_ONLY = '!!! note ""\n    本页只有英文。\n\n'

_CODE = re.compile(r"(^```.*?^```|^    .*?$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|!\[[^\]]*\]\([^)]*\))*)\]\(([^()\s]+)\)")
_WIDE = r"\u3000-\u303f\uff00-\uffef”’…"  # full-width marks, around which stands no space
_LINE_END = re.compile(
    rf"(?<=[{_WIDE}])\n *(?=[\w\[`“\0]|\*\*)(?!\d+\. )"
    rf"|(?<=[\u4e00-\u9fff])\n *(?=[\u4e00-\u9fff{_WIDE}])|(?<=\w)\n *(?=[（《“])"
)
_OTHER_LANGUAGE = re.compile(r"^\[(?:中文|English)\]\([^)]+\)\n+", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the site: a file of the repository, or one that a program writes (``made``).

    A file that is ``both`` is written in both languages side by side.
    """

    titles: dict[str, str]
    file: str = ""
    made: str = ""
    both: bool = False

    @property
    def place(self) -> str:
        """Where it stands in a language's folder: all pages stand side by side."""
        return self.made or NAMES.get(self.file, posixpath.basename(self.file))

    def source(self, language: str) -> Path:
        """Return its file in a language, or the English one where there is no other."""
        own = edition(self.file, language)
        return ROOT / (own if (ROOT / own).is_file() else self.file)

    def is_in(self, language: str) -> bool:
        """Return whether it is written in a language."""
        return bool(self.made) or self.both or (ROOT / edition(self.file, language)).is_file()


@dataclass(frozen=True, slots=True)
class Section:
    """A group of pages."""

    titles: dict[str, str]
    pages: tuple[Page, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """All pages, as ``site/pages.toml`` lists them."""

    home: Page
    sections: tuple[Section, ...]

    def __iter__(self) -> Iterator[Page]:
        yield self.home
        for section in self.sections:
            yield from section.pages

    def page_of(self, file: str) -> Page | None:
        """Return the page that shows a file of the repository, or a translation of one."""
        english = file.replace(".zh-CN.md", ".md")
        return next((page for page in self if page.file == english and page.file), None)


@dataclass(slots=True)
class Rewriter:
    """Turns a source's links into those of one language's site, and remembers which files are to be copied."""

    table: Table
    language: str
    copied: dict[str, str] = field(default_factory=dict)

    def page(self, page: Page) -> str:
        """Return a page's Markdown."""
        path = page.source(self.language)
        file = path.relative_to(ROOT).as_posix()
        text = _OTHER_LANGUAGE.sub("", path.read_text(encoding="utf-8"))
        text = outside_code(text, lambda part: _LINK.sub(lambda link: self._link(link, file), part))
        if not page.is_in(self.language):
            return ENGLISH_ONLY + text
        return text if self.language == "en" else without_line_ends(text)

    def _link(self, link: re.Match[str], file: str) -> str:
        mark, text, target = link.groups()
        if re.match(r"[a-z]+:|#", target):
            return link[0]
        path, _, anchor = target.partition("#")
        anchor = f"#{anchor}" if anchor else ""
        wanted = posixpath.normpath(posixpath.join(posixpath.dirname(file), path))
        page = self.table.page_of(wanted)
        text = _LINK.sub(lambda inner: self._link(inner, file), text)

        if page is not None:
            return self._to_page(page, wanted, file, text, anchor)
        if wanted.endswith(COPIED) and (ROOT / wanted).is_file():
            self.copied[wanted] = re.sub(r"^(docs|examples)/", "", wanted)
            return f"{mark}[{text}]({self.copied[wanted]})"
        if not (ROOT / wanted).exists():
            raise FileNotFoundError(f"{file} links to {target}, which is not there")
        return text

    def _to_page(self, page: Page, wanted: str, file: str, text: str, anchor: str) -> str:
        said = language_of(wanted)
        # an English page in the Chinese site leads on to Chinese ones, unless it means a section of an English one
        own = said == self.language or not page.is_in(self.language)
        if own or (language_of(file) != self.language and not anchor):
            return f"[{text}]({page.place}{anchor})"
        folder = "zh/" if said == "zh" else "../"
        return f'<a href="{folder}{page.place.removesuffix(".md")}.html{anchor}">{text}</a>'


def read_table(path: Path = ROOT / "site" / "pages.toml") -> Table:
    """Read the list of pages."""
    listed = tomllib.loads(path.read_text(encoding="utf-8"))

    def page(entry: dict[str, Any]) -> Page:
        return Page(titles(entry), entry.get("file", ""), entry.get("made", ""), entry.get("both", False))

    def titles(entry: dict[str, Any]) -> dict[str, str]:
        return {language: entry[language] for language in LANGUAGES}

    def there(entry: dict[str, str]) -> bool:
        return "made" in entry or (ROOT / entry["file"]).is_file()

    sections = (
        Section(titles(one), tuple(page(entry) for entry in one["pages"] if there(entry))) for one in listed["section"]
    )
    return Table(page(listed["home"]), tuple(sections))


def edition(file: str, language: str) -> str:
    """Return the name of a document's edition in a language."""
    return file if language == "en" else file.replace(".md", ".zh-CN.md")


def language_of(file: str) -> str:
    """Return the language that a document's name says it is in."""
    return "zh" if file.endswith(".zh-CN.md") else "en"


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """Change what is not code in Markdown, neither a block nor a span; code is two NULs and its number meanwhile."""
    code: list[str] = []

    def hide(match: re.Match[str]) -> str:
        code.append(match[0])
        return f"\0{len(code) - 1}\0"

    changed = change(_CODE.sub(hide, text))
    return re.sub(r"\0(\d+)\0", lambda match: code[int(match[1])], changed)


def without_line_ends(text: str) -> str:
    """Return Chinese Markdown without the ends of lines that a browser would show as a space."""
    return outside_code(text, lambda part: _LINE_END.sub("", part))


def links(text: str) -> list[str]:
    """Return the targets of all links in Markdown, pictures included."""
    found: list[str] = []

    def collect(part: str) -> str:
        for match in _LINK.finditer(part):
            found.append(match[3])
            found.extend(inner[3] for inner in _LINK.finditer(match[2]))
        return part

    outside_code(text, collect)
    return found


def anchors(text: str) -> set[str]:
    """Return the names that a code host and the site give to a document's headings."""
    without_code = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#{1,6} +(.+?)\s*$", without_code, re.MULTILINE)
    return {slug(heading) for heading in headings}


def slug(heading: str) -> str:
    """Return a heading's name in a link.

    >>> slug("What `helps`: 轮 and 批")
    'what-helps-轮-and-批'
    """
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", plain.lower()).strip().replace(" ", "-")
