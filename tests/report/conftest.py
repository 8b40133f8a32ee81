"""A real browser for the pages: Chromium, driven by Playwright, with no network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Open HTML from a file; at the end there may have been no error and no request but for the file itself."""
    contexts, problems = [], []

    def open_html(html: str, width: int = 1280, **options: Any) -> Any:
        file = tmp_path / f"page-{len(contexts)}.html"
        file.write_text(html, encoding="utf-8")
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: problems.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))
        page.on("request", lambda request: problems.append(request.url) if is_foreign(request.url, file) else None)
        page.goto(file.as_uri())
        page.wait_for_selector("html[data-ready]", state="attached")
        return page

    yield open_html
    for context in contexts:
        context.close()
    assert problems == []


def is_foreign(url: str, file: Path) -> bool:
    return not url.startswith("data:") and url.split("#")[0] != file.as_uri()
