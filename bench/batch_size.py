"""What is claimed of batch sizes, noise scales and the lessons: fourteen checks, and the curve of a cnn, one command.

    python bench/batch_size.py                   # all of them, one after another: about 25 minutes on two processors
    python bench/batch_size.py --only 1,13       # these
    python bench/batch_size.py --table           # trains nothing, and prints what was seen before
    python bench/batch_size.py --write           # the same, into docs/batch-size-checks.md and its Chinese edition

Each check prints its numbers, the range that each must lie in, and whether it does; the exit status says the same. What
was seen is kept in bench/batch_size.json; a study that was killed goes on from `--folder`. Counts of updates do not
depend on the machine's load; where a time counts, it is processor time, but for the fastest batch size.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any, TypeAlias

from size_checks import CHECKS, Check, Language

RESULTS = Path(__file__).with_name("batch_size.json")
DOCS = Path(__file__).resolve().parents[1] / "docs"
BEGIN, END = "<!-- checks: python bench/batch_size.py --write -->", "<!-- end of the checks -->"
HEADINGS: dict[Language, tuple[str, ...]] = {
    "en": ("check", "seen (wanted)", "holds", "yes", "**no**"),
    "zh": ("检查", "所见（应为）", "成立", "是", "**否**"),
}
PAGES: dict[Language, str] = {"en": "batch-size-checks.md", "zh": "batch-size-checks.zh-CN.md"}

Kept: TypeAlias = dict[str, list[dict[str, Any]]]


def holds(seen: dict[str, Any]) -> bool:
    """Return whether a number lies where it must; NaN lies nowhere."""
    is_below = seen["high"] is None or seen["value"] <= seen["high"]
    return bool(math.isfinite(seen["value"]) and seen["low"] <= seen["value"] and is_below)


def read() -> Kept:
    """Return what was seen before."""
    kept: Kept = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    return kept


def measure(check: Check, folder: Path) -> list[dict[str, Any]]:
    """Make a check, and print each of its numbers as soon as it is known."""
    print(f"{check.number}. {check.titles['en']}", flush=True)
    found = []
    for seen in check.make(folder):
        high = seen.high if seen.high < math.inf else None
        found.append({"name": seen.name, "value": float(seen.value), "low": seen.low, "high": high})
        print(f"   {'ok  ' if holds(found[-1]) else 'MISS'} {written(found[-1])}", flush=True)
    return found


def written(seen: dict[str, Any]) -> str:
    """Write a number and its range.

    >>> written({"name": "S(64)", "value": 1442.0, "low": 1080.0, "high": 1800.0})
    'S(64) = 1,442 (1,080 to 1,800)'
    """
    low, high = seen["low"], seen["high"]
    limits = f"≥ {number(low)}" if high is None else number(low)
    if high is not None and high > low:
        limits = f"{number(low)} to {number(high)}"
    return f"{seen['name']} = {number(seen['value'])} ({limits})"


def number(value: float) -> str:
    """Write a number with four digits at most behind its first.

    >>> number(76543.2), number(0.0191), number(1.0)
    ('76,543', '0.0191', '1')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def table(kept: Kept, language: Language) -> str:
    """Return the table of all checks in Markdown, those that were not made yet included."""
    check, seen, verdict, yes, no = HEADINGS[language]
    lines = [f"| | {check} | {seen} | {verdict} |", "| --- | --- | --- | --- |"]
    for one in CHECKS:
        rows = kept.get(str(one.number), [])
        texts = "<br>".join(written(row) if holds(row) else f"**{written(row)}**" for row in rows) or "–"
        answer = "–" if not rows else yes if all(map(holds, rows)) else no
        lines.append(f"| {one.number} | {one.titles[language]} | {texts} | {answer} |")
    return "\n".join(lines)


def write_pages(kept: Kept) -> None:
    """Put the table between its marks in both pages."""
    for language, name in PAGES.items():
        page = DOCS / name
        before, _, rest = page.read_text("utf-8").partition(BEGIN)
        _, _, after = rest.partition(END)
        page.write_text(f"{before}{BEGIN}\n\n{table(kept, language)}\n\n{END}{after}", "utf-8")


def main() -> int:
    """Make the checks, or show what was seen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="numbers of checks, such as 1,13")
    parser.add_argument("--table", action="store_true", help="make none, and print what was seen")
    parser.add_argument("--write", action="store_true", help="make none, and write what was seen into the documents")
    parser.add_argument("--folder", type=Path, default=Path("runs/batch-size-checks"), help="where the studies lie")
    given = parser.parse_args()
    kept = read()

    wanted = {int(one) for one in given.only.split(",") if one} or {one.number for one in CHECKS}
    made = [] if given.table or given.write else [one for one in CHECKS if one.number in wanted]
    for check in made:
        found = measure(check, given.folder)
        kept = {**read(), str(check.number): found}  # another process may have made another one meanwhile
        ordered = dict(sorted(kept.items(), key=lambda pair: int(pair[0])))
        RESULTS.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n", "utf-8")

    if given.table:
        print(table(kept, "en"))
    if given.write:
        write_pages(kept)
    shown = [one for one in CHECKS if one.number in wanted]
    return 0 if all(holds(row) for one in shown for row in kept.get(str(one.number), [])) else 1


if __name__ == "__main__":
    sys.exit(main())
