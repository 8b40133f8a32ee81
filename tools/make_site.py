"""Build the documentation site in both languages: English in build/site, Chinese in build/site/zh.

    python tools/make_site.py                    # needs pip install '.[site]'; then no network
    python tools/make_site.py --out FOLDER

The pages are the repository's own Markdown files (site/pages.toml lists them), the reference is made from docstrings
and options, and the lessons are exported by `epochal learn`. A warning, a link that leads nowhere or a request that
would leave the machine ends the build with status 1.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from site_lessons import lesson_page
from site_links import problems
from site_pages import LANGUAGES, ROOT, Page, Rewriter, Table, read_table
from site_reference import command_page, python_pages

THEME_LANGUAGES = {"en": "en", "zh": "zh"}
SEARCH = {
    "en": {"lang": "en"},
    "zh": {
        "lang": ["zh", "en"],
        "separator": r"[\s\u200b\-，。；：、（）《》“”/]+",
        "jieba_dict_user": str(ROOT / "site" / "terms.txt"),
    },
}
DESCRIPTIONS = {
    "en": "Train neural networks in exact epochs, batches and iterations.",
    "zh": "以精确的轮、批与迭代训练神经网络。",
}
HOME = "---\nhide: [navigation, toc]\n---\n\n"  # the tabs above are enough there
SCHEMES = {"en": ("Dark", "Light"), "zh": ("深色", "浅色")}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "site", help="where the site goes")
    parser.add_argument("--no-lessons", action="store_true", help="leave out the lessons, which take a training")
    options = parser.parse_args()
    begun = time.perf_counter()

    out = options.out.resolve()
    work = out.with_name(out.name + "-pages")
    for folder in (out, work):
        shutil.rmtree(folder, ignore_errors=True)
    table = read_table()
    for language in LANGUAGES:
        write_pages(table, language, work / language, with_lessons=not options.no_lessons)
        build(table, language, work, out)

    found = list(problems(out))
    print("\n".join(found), file=sys.stderr)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"{out}: {size / 1e6:.1f} MB in {time.perf_counter() - begun:.0f} s; open {out / 'index.html'}")
    return 1 if found else 0


def write_pages(table: Table, language: str, folder: Path, with_lessons: bool) -> None:
    """Write a language's Markdown, and beside it what the pages show."""
    folder.mkdir(parents=True)
    rewriter = Rewriter(table, language)
    for page in table:
        if page.file:
            head = HOME if page is table.home else ""
            (folder / page.place).write_text(head + rewriter.page(page), encoding="utf-8")
    made = {"commands.md": command_page(language), **python_pages(language)}
    made["lessons.md"] = lesson_page(language, folder, with_lessons)
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8")

    for source, place in rewriter.copied.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / source, folder / place)
    shutil.copytree(ROOT / "site" / "assets", folder / "assets")


def build(table: Table, language: str, work: Path, out: Path) -> None:
    """Let MkDocs build a language's site. Raises `SystemExit` with what it says where it warns."""
    config = work / f"{language}.yml"
    configured = configuration(table, language, work, out)
    config.write_text(yaml.safe_dump(configured, allow_unicode=True), encoding="utf-8")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--config-file", str(config)]
    path = os.pathsep.join([str(ROOT / "tools"), str(ROOT / "src")])
    environment = {**os.environ, "PYTHONPATH": path, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    mend_search(Path(configured["site_dir"]))


def mend_search(site: Path) -> None:
    """Let the theme's search see a Chinese word that is the whole query: it divides a query, and looks one short."""
    for path in site.glob("assets/javascripts/workers/search.*.min.js"):
        text = path.read_text(encoding="utf-8")
        mended = re.sub(r"(for\(let (\w)=(\w)\+1;\2)<((\w)\.length;\2\+\+\)\5\.slice\(\3,\2\)in )", r"\1<=\4", text)
        if mended == text:
            print("the theme's search has changed: see mend_search in tools/make_site.py", file=sys.stderr)
        path.write_text(mended, encoding="utf-8")


def configuration(table: Table, language: str, work: Path, out: Path) -> dict[str, Any]:
    """Return what a language adds to ``site/mkdocs.yml``."""
    dark, light = SCHEMES[language]
    return {
        "INHERIT": str(ROOT / "site" / "mkdocs.yml"),
        "site_description": DESCRIPTIONS[language],
        "docs_dir": str(work / language),
        "site_dir": str(out if language == "en" else out / language),
        "theme": {
            "language": THEME_LANGUAGES[language],
            "custom_dir": str(ROOT / "site" / "theme"),
            "palette": [
                palette("(prefers-color-scheme: light)", "default", "material/weather-night", dark),
                palette("(prefers-color-scheme: dark)", "slate", "material/weather-sunny", light),
            ],
        },
        "extra": {"language": language, "alternate": True},
        "plugins": {
            "search": SEARCH[language],
            "mkdocstrings": {"handlers": {"python": {"paths": [str(ROOT / "src")]}}},
        },
        "nav": navigation(table, language),
    }


def palette(media: str, scheme: str, icon: str, name: str) -> dict[str, Any]:
    """Return one of the two colour schemes, and the button that leads to the other."""
    return {"media": media, "scheme": scheme, "primary": "custom", "accent": "custom",
            "toggle": {"icon": icon, "name": name}}  # fmt: skip


def navigation(table: Table, language: str) -> list[dict[str, Any]]:
    """Return MkDocs' tree of pages."""

    def entry(page: Page) -> dict[str, Any]:
        if page.made == "python.md":
            return {page.titles[language]: list(python_pages(language))}
        return {page.titles[language]: page.place}

    sections = [{one.titles[language]: [entry(page) for page in one.pages]} for one in table.sections]
    return [entry(table.home), *sections]


if __name__ == "__main__":
    sys.exit(main())
