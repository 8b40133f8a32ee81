"""Run the README's programs of "Your own model", each in an environment of its own with that library alone.

    python tools/try_examples.py [flax equinox keras dm-haiku torch]

Each environment is made in a temporary folder by pip, with Epochal from this checkout and the packages that the program
names in its first line, and removed afterwards.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def programs() -> list[tuple[list[str], str]]:
    """Return the programs with the packages that each needs."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("\n## Your own model\n", 1)[1].split("\n## ", 1)[0]
    found = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    return [(match[1].split(), one) for one in found if (match := re.search(r"# pip install (.+)", one))]


def attempt(packages: list[str], program: str) -> str:
    """Run a program in a fresh environment and return what it printed. Raises `CalledProcessError` where it fails."""
    with tempfile.TemporaryDirectory(prefix="epochal-example-") as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = Path(folder) / "bin" / "python"
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, str(ROOT), *packages], check=True)
        done = subprocess.run([python, "-c", program], capture_output=True, text=True, cwd=folder, check=False)
        if done.returncode:
            print(done.stderr[-2000:], file=sys.stderr)
            done.check_returncode()
        return done.stdout.strip()


def main() -> None:
    """Try every program, or those of the packages that are named."""
    wanted = sys.argv[1:]
    for packages, program in programs():
        if wanted and not any(package.split("==")[0] in wanted for package in packages):
            continue
        started = time.perf_counter()
        said = attempt(packages, program)
        print(f"{' '.join(packages)}  ({time.perf_counter() - started:.0f} s)\n{said}\n", flush=True)


if __name__ == "__main__":
    main()
