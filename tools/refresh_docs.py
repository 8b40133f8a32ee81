"""Run the commands in the documentation's ```console blocks and put their real output there.

    python tools/refresh_docs.py README.md docs/epoch-batch-iteration.md
    python tools/refresh_docs.py --steady docs/*.md    # only commands that always print the same, which train nothing
    python tools/refresh_docs.py --check README.md     # the same, and only compare

The blocks of a file run in one folder with a copy of examples/, in order, so that a later one can use an earlier one's
run. Lines that begin with "$ " are commands; everything else in the block is output and is replaced. `epochal` is this
checkout's, and speaks Chinese in NAME.zh-CN.md, English elsewhere.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_EXAMPLES = Path(__file__).parent.parent / "examples"
_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
_STEADY = re.compile(r"^\$ epochal (plan|--help|\w+ --help)")


def run(command: str, folder: str, language: str) -> str:
    bin_folder = Path(sys.executable).parent
    path = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "COLUMNS": "80", "EPOCHAL_LANG": language}
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return "\n".join(line.rstrip() for line in done.stdout.strip("\n").splitlines())


def refreshed(text: str, only_steady: bool, language: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(_EXAMPLES, folder, dirs_exist_ok=True)

        def replace(match: re.Match[str]) -> str:
            commands = [line for line in match[1].splitlines() if line.startswith("$ ")]
            if only_steady and not all(_STEADY.match(command) for command in commands):
                return match[0]
            parts = []
            for command in commands:
                print(command, file=sys.stderr, flush=True)
                parts.append(f"{command}\n{run(command[2:], folder, language)}".rstrip())
            return "```console\n" + "\n".join(parts) + "\n```"

        return _BLOCK.sub(replace, text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--steady", action="store_true", help="run only commands that always print the same")
    parser.add_argument("--check", action="store_true", help="change nothing; fail where a steady block is out of date")
    options = parser.parse_args()
    status = 0
    for path in options.files:
        before = path.read_text(encoding="utf-8")
        language = "zh" if path.name.endswith(".zh-CN.md") else "en"
        after = refreshed(before, only_steady=options.check or options.steady, language=language)
        if options.check and after != before:
            print(f"{path} shows other output than its commands print; run: python {sys.argv[0]} {path}")
            status = 1
        elif not options.check:
            path.write_text(after, encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main())
