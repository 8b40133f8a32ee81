"""Prints how many inputs each reader was fed, and puts the table into the pages on reliability.

python tests/fuzz/fuzz.py --inputs 100000 --table tests/fuzz/counts.json
python tests/fuzz/counts.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs"
COUNTS = HERE / "counts.json"

NAMES = {
    "idx": ("IDX, plain and gzip", "IDX，普通和 gzip"),
    "npy": ("NumPy's `.npy`", "NumPy 的 `.npy`"),
    "npz": ("NumPy's `.npz`", "NumPy 的 `.npz`"),
    "csv": ("tables in text, plain and gzip", "文本表格，普通和 gzip"),
    "parquet": ("Parquet", "Parquet"),
    "feather": ("Arrow (Feather)", "Arrow（Feather）"),
    "picture": ("PNG, JPEG, GIF, WebP, BMP, TIFF", "PNG、JPEG、GIF、WebP、BMP、TIFF"),
    "run-toml": ("`run.toml`", "`run.toml`"),
    "study-toml": ("`study.toml`", "`study.toml`"),
    "batch-size-toml": ("`batch-size.toml`", "`batch-size.toml`"),
    "history": ("`history.db` (SQLite)", "`history.db`（SQLite）"),
    "run-history": ("a whole run, its history altered", "整个运行，其历史记录被改动"),
    "checkpoint": ("checkpoints (safetensors)", "检查点（safetensors）"),
    "landscape": ("a landscape's JSON", "损失地形的 JSON"),
    "schema": ("`preprocessing.json`", "`preprocessing.json`"),
    "pack": ("a pack's `data.toml`", "数据包的 `data.toml`"),
    "pack-rows": ("a pack's files of rows", "数据包的行文件"),
    "tar": ("tar archives", "tar 归档"),
    "array-record": ("ArrayRecord files", "ArrayRecord 文件"),
    "packing-log": ("`packing.jsonl` of an unfinished pack", "未完成的打包的 `packing.jsonl`"),
    "form": ("`model.stablehlo`", "`model.stablehlo`"),
    "command-line": ("command lines", "命令行"),
}
HEADINGS = {
    "en": ("what is read", "inputs", "of them guided", "read", "refused in a line", "faults found"),
    "zh": ("读什么", "输入", "其中有引导", "读入", "用一行拒绝", "发现的错误"),
}
PAGES = {"en": DOCS / "reliability.md", "zh": DOCS / "reliability.zh-CN.md"}


def table(counts: dict[str, Any], language: str) -> list[str]:
    """Return the lines of the table."""
    headings = HEADINGS[language]
    lines = [f"| {' | '.join(headings)} |", f"| --- |{' ---: |' * (len(headings) - 1)}"]
    for name, texts in NAMES.items():
        if name in counts:
            about = counts[name]
            numbers = (about["read"] + about["refused"], about["guided"], about["read"], about["refused"],
                       sum(about["faults"].values()))  # fmt: skip
            lines.append(f"| {texts[language == 'zh']} | {' | '.join(f'{one:,}' for one in numbers)} |")
    return lines


def with_table(page: str, lines: list[str]) -> str:
    """Return a page in which these lines stand in place of the table of the same heading."""
    before = page.splitlines()
    start = before.index(lines[0])
    end = next(at for at in range(start, len(before) + 1) if at == len(before) or not before[at].startswith("|"))
    return "\n".join([*before[:start], *lines, *before[end:]]) + "\n"


def main() -> None:
    counts = json.loads(COUNTS.read_text())
    print("\n".join(table(counts, "en")))
    for language, path in PAGES.items():
        page = path.read_text(encoding="utf-8")
        path.write_text(with_table(page, table(counts, language)), encoding="utf-8")


if __name__ == "__main__":
    main()
