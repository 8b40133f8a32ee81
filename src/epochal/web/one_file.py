"""A page in one file: its style, its script and its numbers inside, and a policy that lets nothing else run."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from epochal.errors import OptionError, unknown_name
from epochal.words.language import LANGUAGES
from epochal.words.plain_text import plain_text

_ESCAPED = re.compile(r"\\(?:u[0-9a-f]{4}|.)")


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a page's style and script come from: files of its own package, and those that all pages share.

    Attributes:
        package: the page's package; its folder ``assets`` is looked in first. Its ``dark.css`` adds to the shared one.
        styles: stylesheets in order, without ``.css``; the shared ``base`` comes before them.
        scripts: scripts in order, without ``.js``; one of them defines ``start``, which is called at the end.
    """

    package: str
    styles: Sequence[str]
    scripts: Sequence[str]

    def script(self) -> Markup:
        """Return the page's script: its parts in one function of their own, so that no name leaks."""
        parts = "\n".join(_asset(self.package, f"{name}.js") for name in self.scripts)
        return Markup(f'"use strict";\n(() => {{\n{parts}\nstart();\n}})();\n')

    def style(self) -> Markup:
        """Return the stylesheet; the dark colours are for dark systems, for who asks for them, and for pictures."""
        dark = _dark(self.package)
        by_system = f'@media screen and (prefers-color-scheme: dark) {{ :root:not([data-theme="light"]) {{ {dark} }} }}'
        by_choice = f'.night {{ {dark} }} @media screen {{ :root[data-theme="dark"] {{ {dark} }} }}'
        sheets = [_asset(self.package, f"{name}.css") for name in ("base", *self.styles)]
        return Markup("\n".join([*sheets, by_system, by_choice]))


def templates_of(package: str) -> Environment:
    """Return a page's templates: texts are escaped, and a name that nobody filled in is an error."""
    return Environment(
        loader=PackageLoader(package),
        autoescape=True,
        finalize=shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render_in_one(template: Template, sources: Sources, lang: str, payload: Mapping[str, Any], **values: Any) -> str:
    """Return a page with its style, its script and what that reads inside, so that it needs no other file.

    Raises `OptionError` for an unknown language.
    """
    if lang not in LANGUAGES:
        raise OptionError(unknown_name("language", lang, LANGUAGES))
    script = sources.script()
    return template.render(
        lang=lang,
        payload=embedded_json(payload),
        style=sources.style(),
        script=script,
        script_hash=policy_hash(script),
        **values,
    )


def shown(value: Any) -> Any:
    """Return a value as a page shows it: a text, not yet escaped, without what would turn the page's writing."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else plain_text(value)


def policy_hash(script: str) -> str:
    """Return what a content security policy names this script by, and so allows no other."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")


def embedded_json(value: Mapping[str, Any]) -> Markup:
    """Return JSON that cannot end the element that it stands in."""
    text = page_json(value)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def page_json(value: Mapping[str, Any]) -> str:
    r"""Return JSON whose texts a page can show as they are. Raises `ValueError` for a number that is none.

    >>> page_json({"a\x1b": "\x7f\n"})
    '{"a␛":"␡\\n"}'
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return plain_text(_ESCAPED.sub(_plain_escape, text))


def _plain_escape(found: re.Match[str]) -> str:
    letter: str = json.loads(f'"{found[0]}"')
    plain = plain_text(letter)
    return found[0] if plain == letter else plain


def _dark(package: str) -> str:
    packages = dict.fromkeys(["epochal.web", package])
    files = (resources.files(one).joinpath("assets", "dark.css") for one in packages)
    return "\n".join(file.read_text(encoding="utf-8") for file in files if file.is_file())


@cache
def _asset(package: str, name: str) -> str:
    own = resources.files(package).joinpath("assets", name)
    file = own if own.is_file() else resources.files("epochal.web").joinpath("assets", name)
    return file.read_text(encoding="utf-8")
