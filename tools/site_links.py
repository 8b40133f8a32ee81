"""Checks of a built site: each link leads to a file and a place in it, and nothing is loaded from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADING = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "link": "href",
    "source": "src",
    "video": "src",
    "object": "data",
}
_IN_STYLE = re.compile(r"(?:url\(\s*['\"]?|@import\s+['\"])((?:https?:)?//[^'\")\s]+)")
_SAID_ONLY = ("canonical", "alternate", "prev", "next", "edit")  # relations of a link that load nothing


class _Reader(HTMLParser):
    """Collects what a page has: names of places, links, and what it loads."""

    def __init__(self) -> None:
        super().__init__()
        self.places: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.places.update(values[name] for name in ("id", "name") if values.get(name))
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag in LOADING and values.get(LOADING[tag]) and values.get("rel", "") not in _SAID_ONLY:
            self.loads.append(values[LOADING[tag]])


@cache
def _read(path: Path) -> _Reader:
    reader = _Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader


def problems(folder: Path) -> Iterator[str]:
    """Yield a line for each link that leads nowhere, and each request that would leave the machine."""
    for path in sorted(folder.rglob("*.html")):
        page = path.relative_to(folder)
        # 404.html is served anywhere, so its links begin at the root
        if page.name == "404.html":
            continue
        for url in (*_read(path).links, *_read(path).loads):
            if problem := _problem(url, path, folder):
                yield f"{page}: {url} {problem}"
        yield from (f"{page}: loads {url}" for url in _read(path).loads if is_foreign(url))
    for path in sorted(folder.rglob("*.css")):
        found = _IN_STYLE.findall(path.read_text(encoding="utf-8"))
        yield from (f"{path.relative_to(folder)}: loads {url}" for url in found)


def is_foreign(url: str) -> bool:
    """Return whether a URL leaves the machine."""
    return urlsplit(url).scheme in ("http", "https") or url.startswith("//")


def _problem(url: str, path: Path, folder: Path) -> str:
    parts = urlsplit(url)
    if parts.scheme or url.startswith("//"):
        return ""
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir():
        target /= "index.html"
    if not target.is_relative_to(folder.resolve()) or not target.is_file():
        return "leads to no file"
    anchor = unquote(parts.fragment)
    if anchor and target.suffix == ".html" and anchor not in _read(target).places and not anchor.startswith("__"):
        return "leads to no place in the page"
    return ""
