"""Give lessons, and put what they print into their pages and their pictures beside them, in both languages at once.

    python tools/refresh_lessons.py               # all: minutes each
    python tools/refresh_lessons.py gap growth

A lesson's page is docs/lesson-NAME.md, its block begins with `$ epochal lesson NAME`, and its picture is
docs/pictures/lesson-NAME.svg; the Chinese ones end in .zh-CN.md and .zh-CN.svg. Each lesson is given once.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
from pathlib import Path

from rich.console import Console

from epochal.cli.lesson import NAMES, print_lesson
from epochal.study import lesson
from epochal.study.lessons.lesson_result import LessonResult
from epochal.words.language import speaking

_DOCS = Path(__file__).parent.parent / "docs"
_ENDINGS = {"en": "", "zh": ".zh-CN"}


def printed(result: LessonResult) -> str:
    """Return what the command prints of a lesson, 80 columns wide."""
    stream = io.StringIO()
    console = Console(file=stream, width=80, highlight=False, markup=False)
    print_lesson(result, console, offers_picture=True)
    return "\n".join(line.rstrip() for line in stream.getvalue().strip("\n").splitlines())


def refresh(name: str) -> None:
    os.environ["COLUMNS"] = "80"
    result = lesson(name)
    for language, ending in _ENDINGS.items():
        with speaking(language):
            result.picture(_DOCS / "pictures" / f"lesson-{name}{ending}.svg")
            text = printed(result)
        page = _DOCS / f"lesson-{name}{ending}.md"
        block = re.compile(rf"```console\n\$ epochal lesson {name}\n.*?```", re.DOTALL)
        content, count = block.subn(
            lambda _, text=text: f"```console\n$ epochal lesson {name}\n{text}\n```",
            page.read_text(encoding="utf-8"),
        )
        if not count:
            print(f"{page} has no block of `epochal lesson {name}`", file=sys.stderr)
        page.write_text(content, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="lessons; all without any")
    for name in parser.parse_args().names or NAMES:  # an unknown one is refused by `lesson`
        print(name, file=sys.stderr, flush=True)
        refresh(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
