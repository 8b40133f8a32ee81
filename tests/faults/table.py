"""Writes the table of faults into docs/reliability.md, from what the fault tests counted.

    pytest tests/faults -m "slow or not slow" -o junit_family=xunit1 --junitxml build/faults.xml
    python tests/faults/table.py build/faults.xml

Results may come in several files, as from parts; of a test that ran again, the last one counts. Without any, the table
is written from what was seen before.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROWS, SEEN = HERE / "table.toml", HERE / "seen.json"
DOCS = HERE.parent.parent / "docs"
PAGES = {"en": DOCS / "reliability.md", "zh": DOCS / "reliability.zh-CN.md"}
BEGIN, END = "<!-- faults: tests/faults/table.py -->", "<!-- end of faults -->"
HEADS = {"en": ("fault", "how it is made", "what follows", "times seen", "date"),
         "zh": ("故障", "怎样制造", "结果", "看到的次数", "日期")}  # fmt: skip
NOT_YET = {"en": "not yet", "zh": "尚未"}


@dataclass(frozen=True, slots=True)
class Case:
    """One test that ran: its file and name, whether it failed or was left out, and what it counted."""

    name: str
    failed: bool
    skipped: bool
    times: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of one fault: how often, the longest seconds that were measured, and on which day and machine."""

    times: int
    seconds: float
    day: str
    machine: str


def read_cases(path: Path) -> list[Case]:
    """Read pytest's results."""
    cases = []
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        counted = {one.get("name"): one.get("value") for one in case.iter("property")}
        kinds = {child.tag for child in case}
        file = (case.get("file") or "").removeprefix("tests/")
        cases.append(
            Case(
                f"{file}::{case.get('name')}",
                bool(kinds & {"failure", "error"}),
                "skipped" in kinds,
                int(counted.get("times") or 1),
                float(counted.get("seconds") or 0),
            )
        )
    return cases


def read_rows() -> list[dict[str, Any]]:
    """Read what the table's rows say."""
    rows: list[dict[str, Any]] = tomllib.loads(ROWS.read_text("utf-8"))["fault"]
    return rows


def key(row: Mapping[str, Any]) -> str:
    """Return what a row is called in the file of what was seen."""
    name: str = row["fault"]["en"]
    return name


def merged(before: Mapping[str, Seen], cases: Iterable[Case], day: str, machine: str) -> dict[str, Seen]:
    """Return what was seen by now: a row's new results take the place of old ones, unless they are of fewer times."""
    found, cases = dict(before), [case for case in cases if not case.skipped]
    for row in read_rows():
        own = [case for case in cases if case.name.startswith(tuple(row["tests"]))]
        if not own:
            continue
        now = Seen(sum(case.times for case in own), max(case.seconds for case in own), day, machine)
        if key(row) not in found or now.times >= found[key(row)].times:
            found[key(row)] = now
    return found


def machine_words() -> str:
    """Say on what it ran, without names."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{platform.system()}, {os.cpu_count()} {platform.machine()} cores, {memory:.0f} GB"


def table(language: str, seen: Mapping[str, Seen]) -> str:
    """Return the table in a language."""
    lines = [HEADS[language], ("---", "---", "---", "---:", "---")]
    for row in read_rows():
        one = seen.get(key(row))
        times, day = (NOT_YET[language], "–") if one is None else (f"{one.times:,}", one.day)
        seconds = "–" if one is None else f"{one.seconds:g}"
        lines.append((row["fault"][language], row["made"][language],
                      row["seen"][language].format(seconds=seconds), times, day))  # fmt: skip
    machines = "; ".join(dict.fromkeys(one.machine for one in seen.values()))
    return "\n".join([*("| " + " | ".join(line) + " |" for line in lines), "", f"({machines})"])


def with_table(text: str, language: str, seen: Mapping[str, Seen]) -> str:
    """Return a page with the table as it is by now. Raises `ValueError` for one without its place."""
    before, found, rest = text.partition(BEGIN)
    _, ends, after = rest.partition(END)
    if not (found and ends):
        raise ValueError(f"the page has no place for the table: {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{table(language, seen)}\n{END}{after}"


def read_seen() -> dict[str, Seen]:
    """Read what was seen before."""
    return {name: Seen(**one) for name, one in json.loads(SEEN.read_text("utf-8")).items()} if SEEN.exists() else {}


def main(results: Sequence[str]) -> int:
    """Read results, if there are any, and write the table. Return 1 where a test failed: then nothing is written."""
    cases = list({case.name: case for name in results for case in read_cases(Path(name))}.values())
    if failed := [case.name for case in cases if case.failed]:
        print("these failed, so nothing was written:", *failed, sep="\n  ", file=sys.stderr)
        return 1
    seen = merged(read_seen(), cases, date.today().isoformat(), machine_words())
    SEEN.write_text(json.dumps({name: asdict(one) for name, one in seen.items()}, indent=1) + "\n", "utf-8")
    for language, page in PAGES.items():
        page.write_text(with_table(page.read_text("utf-8"), language, seen), "utf-8")
    print(f"{len(cases)} tests; {len(seen)} of {len(read_rows())} faults were seen")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
