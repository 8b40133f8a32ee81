"""The house in numbers: `python tools/house.py` counts lines, and the paragraphs of long functions.

A function of 15 lines or more, its docstring left out, has a blank line or a comment for every ten lines.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "epochal"
LONG, SHARE = 15, 0.10


@dataclass(frozen=True, slots=True)
class Function:
    """A function's body without its docstring: its lines, and how many of them are blank or a comment."""

    path: Path
    name: str
    line: int
    lines: int
    breaks: int

    @property
    def share(self) -> float:
        """The share of blank and comment lines."""
        return self.breaks / self.lines


def functions(path: Path) -> Iterator[Function]:
    """Yield a file's functions, those inside others included."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            if body:
                start = node.body[0].end_lineno if body is not node.body else body[0].lineno - 1
                inside = [line.strip() for line in lines[start : body[-1].end_lineno]]
                breaks = sum(not line or line.startswith("#") for line in inside)
                yield Function(path, node.name, node.lineno, len(inside), breaks)


def long_functions() -> list[Function]:
    """Return the package's functions of 15 lines or more."""
    return [one for path in sorted(SOURCE.rglob("*.py")) for one in functions(path) if one.lines >= LONG]


def count_lines() -> int:
    """Return the lines of all of the package's Python files."""
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCE.rglob("*.py"))


def main() -> None:
    long = long_functions()
    lines, breaks = sum(one.lines for one in long), sum(one.breaks for one in long)
    without = [one for one in long if one.share < SHARE]
    print(f"{count_lines():,} lines of Python in {len(list(SOURCE.rglob('*.py')))} files")
    print(f"{len(long)} functions of {LONG} lines or more: {100 * breaks / lines:.1f} % blank or comment lines")
    for one in without:
        print(f"  {one.path.relative_to(SOURCE)}:{one.line} {one.name}: {one.breaks} of {one.lines}")
    print(f"{len(without)} of them have less than {SHARE:.0%}")


if __name__ == "__main__":
    main()
