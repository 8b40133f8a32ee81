"""Text of anybody's that is shown: nothing in it acts on a terminal or a page, and no other way leads there."""

from __future__ import annotations

import ast
import io
import json
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from rich.live import Live
from rich.table import Table
from rich.text import Text

import epochal
from epochal.errors import DataError
from epochal.web.fragment import Fragment
from epochal.web.one_file import embedded_json, shown, templates_of
from epochal.words.catalogue import tell
from epochal.words.console import PlainConsole
from epochal.words.plain_text import one_line, plain_json, plain_text, print_plain

SOURCES = Path(epochal.__file__).parent
ATTACKS = {
    "title": "\x1b]0;X\x07",
    "colour": "\x1b[31mred",
    "c1": "\x9b31mred",
    "overwritten": "good\rbad",
    "erased": "good\b\b\b\bbad",
    "turned": "\u202egnp.exe",
    "isolated": "\u2066a\u2069",
    "marked": "a\u200eb\u200fc\u061cd",
    "unseen": "a\u200bb\u2060c\ufeffd\xade\u3164f",
    "tagged": "a\U000e0041\U000e0062",
    "file_name": "r\udcff",
    "markup": "x[/red]y[bold]z",
    "emoji": "a:smile:b",
}


def acts(text: str) -> bool:
    """Whether something in a text is no letter: written from Unicode's categories, and not from the code's list."""
    return any(
        unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp")
        or unicodedata.bidirectional(one) in DIRECTIONS
        or is_unseen(one)
        for one in text
        if one not in "\n\t"
    )


def is_unseen(letter: str) -> bool:
    """Whether a letter takes no room: what formats, but for joiners, which shape letters, and signs with a form."""
    name = unicodedata.name(letter, "")
    if letter in "\u200c\u200d" or name.startswith(("SYRIAC", "KAITHI", "EGYPTIAN")):
        return False
    if name.startswith("ARABIC"):
        return name == "ARABIC LETTER MARK"
    return unicodedata.category(letter) == "Cf" or name.endswith("HANGUL FILLER")


DIRECTIONS = ("LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI")


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_nothing_acts_and_nothing_is_lost(attack: str) -> None:
    said = plain_text(f"名 {attack} é")
    assert not acts(said)
    assert len(said) == len(f"名 {attack} é"), "one for one: columns stay where they are"
    assert plain_text(said) == said


def test_all_of_unicode_is_harmless_and_what_is_harmless_stays() -> None:
    everything = "".join(map(chr, range(0x30000)))
    said = plain_text(everything)
    assert not acts(said)
    assert [one for one, now in zip(everything, said, strict=True) if one != now and not acts(one)] == []


def test_the_check_of_these_tests_sees_what_acts() -> None:
    assert [name for name, attack in ATTACKS.items() if not acts(attack)] == ["markup", "emoji"]


def test_a_name_is_in_one_line() -> None:
    assert one_line("r\nepochal: finished") == "r␊epochal: finished"
    assert plain_text("two\nlines") == "two\nlines"


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_json_keeps_its_value(attack: str) -> None:
    text = plain_json(json.dumps({attack: [attack, 1.5]}, ensure_ascii=False))
    assert not acts(text)
    assert json.loads(text) == {attack: [attack, 1.5]}


@pytest.fixture
def console() -> PlainConsole:
    console = PlainConsole(width=60)
    console.file = io.StringIO()
    return console


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_a_console_prints_names_as_they_are(attack: str, console: PlainConsole) -> None:
    table = Table(title=attack)
    table.add_column(attack)
    table.add_row(Text(attack))
    for one in (attack, Text(attack), table):
        console.print(one)
    written = console.file.getvalue()  # type: ignore[attr-defined]
    assert not acts(written)
    if attack in (ATTACKS["markup"], ATTACKS["emoji"]):
        assert written.count(plain_text(attack)) == 5


def test_a_live_display_is_plain_too_and_still_moves() -> None:
    console = PlainConsole(width=60)
    console.file = io.StringIO()
    console._force_terminal = True  # as in a terminal
    with Live(Text("name \x1b]0;X\x07"), console=console, auto_refresh=False) as live:
        live.update(Text("other \x9b31m"), refresh=True)
    written = console.file.getvalue()
    assert "\x1b]0" not in written
    assert "\x9b" not in written
    assert "\x1b[?25l" in written, "what rich itself writes remains"


def test_sentences_take_names_as_text() -> None:
    assert tell("learning.at", url="\x1b[2J") == tell("learning.at", url="␛[2J")
    assert tell("learning.at", url=Path("a\nb")) == tell("learning.at", url="a␊b")


def test_an_errors_text_is_plain() -> None:
    assert str(DataError("no such column: \x1b[2Jx")) == "no such column: ␛[2Jx"


def test_what_is_printed_without_a_console_is_plain(capsys: pytest.CaptureFixture[str]) -> None:
    print_plain("a\x1bb")
    print_plain("c\x9bd", is_error=True)
    assert tuple(capsys.readouterr()) == ("a␛b\n", "c�d\n")


HTML = "</script><img src=x onerror=alert(1)>\u202e\x1b"


def test_pages_escape_what_they_show() -> None:
    template = templates_of("epochal.report").from_string('<p title="{{ name }}">{{ name }}</p>')
    for page in (template.render(name=HTML), Fragment().line(HTML), Fragment().table([HTML], [[HTML]])):
        assert "<img" not in page
        assert not acts(str(page))


def test_numbers_of_a_page_cannot_end_their_element() -> None:
    text = embedded_json({HTML: [HTML]})
    assert not set("<>&") & set(text)
    assert json.loads(text) == {plain_text(HTML): [plain_text(HTML)]}
    assert shown(3) == 3


# what leads to a terminal or a page beside these


@cache
def all_calls() -> tuple[tuple[str, ast.Call], ...]:
    """All calls of the package, with their files."""
    files = {path.relative_to(SOURCES).as_posix(): path.read_text(encoding="utf-8") for path in SOURCES.rglob("*.py")}
    return tuple(
        (file, node) for file, text in files.items() for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)
    )


def calls(name: str) -> Iterator[tuple[str, ast.Call]]:
    """All calls of a function or method of this name, with their files."""
    return ((file, one) for file, one in all_calls() if name == getattr(one.func, "id", getattr(one.func, "attr", "")))


PLAIN = {"tell", "plain_text", "plain_json", "welcome", "explain", "commands_help"}
"""Functions whose texts are plain: sentences with gaps, and help, which holds no name of anybody's."""


def test_every_print_is_of_plain_text() -> None:
    found = []
    for file, call in calls("print"):
        if isinstance(call.func, ast.Attribute):
            continue  # a console's
        parts = [part for one in call.args for part in (one.body, one.orelse)] if is_choice(call) else call.args
        found += [
            f"{file}:{call.lineno}" for one in parts if not is_plain(one) and file != "cli/completion.py"
        ]  # which prints a script of its own
    assert found == []


def is_choice(call: ast.Call) -> bool:
    return bool(call.args) and isinstance(call.args[0], ast.IfExp)


def is_plain(value: ast.expr) -> bool:
    if isinstance(value, ast.JoinedStr):
        return all(is_plain(one.value) for one in value.values if isinstance(one, ast.FormattedValue))
    if isinstance(value, ast.Call):
        return getattr(value.func, "id", None) in PLAIN
    return isinstance(value, ast.Constant) or getattr(value, "id", None) == "__version__"


def test_there_is_one_console() -> None:
    assert [file for file, _ in calls("Console")] == []
    assert {file for file, _ in calls("PlainConsole")} == {"cli/screen.py", "run/progress.py"}


def test_nothing_is_read_as_markup() -> None:
    assert [*calls("from_markup"), *calls("set_text_as_markup")] == []
    columns = [*calls("TextColumn")]
    assert columns
    assert all(any(one.arg == "markup" for one in call.keywords) for _, call in columns)


def test_templates_and_scripts_show_text_as_text() -> None:
    templates = {path: path.read_text(encoding="utf-8") for path in SOURCES.rglob("*.j2")}
    assert templates
    assert [path.name for path, text in templates.items() if "autoescape" in text or "|safe" in text] == []
    scripts = {path.name: path.read_text(encoding="utf-8") for path in SOURCES.rglob("*.js")}
    raw = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function")
    assert {name for name, text in scripts.items() if any(word in text for word in raw)} == {"print.js", "chart.js"}


def test_csv_is_written_in_one_place() -> None:
    assert {file for file, _ in [*calls("writer"), *calls("DictWriter")]} == {"csv_cells.py"}
