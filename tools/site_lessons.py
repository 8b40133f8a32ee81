"""The lessons' page: `epochal learn` exports what its page does as one HTML file, which is shown in a frame."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from site_pages import ROOT

from epochal.cli.main import COMMANDS

WORDS = {
    "en": ("# The lessons", "The page of `epochal learn`, recorded: it plays here without a server.", "The lessons",
           "on a page of its own", "They are made by `epochal learn`, which this build leaves out."),
    "zh": ("# 课程", "`epochal learn` 页面的录像，无需服务器即可在此操作。", "课程",
           "在单独的页面中打开", "课程由 `epochal learn` 生成，这次构建没有包含。"),
}  # fmt: skip


def lesson_page(language: str, folder: Path, wanted: bool) -> str:
    """Return the page, having written ``lesson.html`` into the folder; a line that says so where there is none.

    The lessons take half a minute and speak both languages, so they are recorded once, beside the folder.
    """
    title, about, name, alone, missing = WORDS[language]
    if not wanted or "learn" not in COMMANDS:
        return f"{title}\n\n{missing}\n"
    recorded = folder.with_name("lesson.html")
    if not recorded.is_file():
        command = [sys.executable, "-m", "epochal", "learn", "--export", str(recorded), "--lesson", "all"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "EPOCHAL_LANG": "en"}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    html = recorded.read_text(encoding="utf-8").replace('<html lang="en"', f'<html lang="{language}"', 1)
    (folder / "lesson.html").write_text(html, encoding="utf-8")

    frame = f'<iframe class="lesson" src="lesson.html" title="{name}" loading="lazy"></iframe>'
    return f"---\nhide: [navigation, toc]\n---\n\n{title}\n\n{about} [{alone}](lesson.html)\n\n{frame}\n"
