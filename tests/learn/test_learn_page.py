from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

import pytest

from epochal.errors import OptionError
from epochal.learn.learn_page import render_page
from epochal.learn.lessons import lessons_for_page
from epochal.words.language import LANGUAGES

TOKEN = "its-token"


@pytest.fixture(scope="module")
def html() -> str:
    return render_page(TOKEN, lang="zh", lessons=lessons_for_page())


def payload(html: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="numbers">(.*?)</script>', html, re.DOTALL)
    assert found
    numbers: dict[str, Any] = json.loads(found[1])
    return numbers


def policy(html: str) -> dict[str, str]:
    found = re.search(r'http-equiv="Content-Security-Policy" content="(.*?)"', html)
    assert found
    rules = (rule.strip().partition(" ") for rule in found[1].split(";"))
    return {name: sources for name, _, sources in rules}


def test_its_one_script_is_named_by_its_hash(html: str) -> None:
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy(html)["script-src"] == f"'sha256-{digest}'"
    assert policy(html)["default-src"] == "'none'"


def test_it_asks_its_own_server_and_a_recording_asks_nobody(html: str) -> None:
    assert policy(html)["connect-src"] == "'self'"
    recorded = render_page(None, lang="en", recording={"answers": {}})
    assert "connect-src" not in policy(recorded)
    assert payload(recorded)["token"] is None


def test_nothing_in_it_is_fetched(html: str) -> None:
    assert re.findall(r'(?:src|href)="(?!#|data:)([^"]+)"', html) == []
    assert re.findall(r"url\((?!data:)|@import|https?://", html) == []


def test_the_token_stands_in_it_once(html: str) -> None:
    assert html.count(TOKEN) == 1
    assert payload(html)["token"] == TOKEN


def test_it_opens_in_the_language_asked_for_and_holds_both(html: str) -> None:
    assert '<html lang="zh"' in html
    assert payload(html)["words"].keys() == set(LANGUAGES)
    with pytest.raises(OptionError, match=r"language"):
        render_page(None, lang="xx")


def test_a_button_for_each_lesson(html: str) -> None:
    keys = [lesson["key"] for lesson in lessons_for_page()]
    assert re.findall(r'<button type="button" data-lesson="(\w+)"', html) == keys
    assert [lesson["key"] for lesson in payload(html)["lessons"]] == keys


def test_an_answer_cannot_end_the_script_element() -> None:
    recorded = render_page(None, lang="en", recording={"answers": {"/api/start {}": "</script><b>"}})
    assert "</script><b>" not in recorded
    assert payload(recorded)["recording"]["answers"] == {"/api/start {}": "</script><b>"}
