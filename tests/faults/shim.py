"""Compiles `shim.c` and runs Python with it between the process and the disk."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

FAULTS = Path(__file__).parent
TESTS = str(FAULTS.parent)


@dataclass(frozen=True, slots=True)
class Shim:
    """The compiled library, and a folder to work in."""

    library: Path

    @classmethod
    def compile(cls, folder: Path) -> Shim:
        """Compile it; skip the test where that cannot be done."""
        compiler = shutil.which("cc")
        if not sys.platform.startswith("linux") or compiler is None:
            pytest.skip("intercepting system calls needs Linux and a C compiler")
        library = folder / "shim.so"
        flags = ["-O1", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]
        subprocess.run([compiler, *flags, "-o", library, FAULTS / "shim.c", "-ldl", "-lpthread"], check=True)
        return cls(library)

    def run(self, *arguments: object) -> list[str]:
        """Run `preloaded.py` under the library; return the problems that it printed as JSON, if any."""
        path = [item for item in [os.environ.get("PYTHONPATH")] if item]
        done = subprocess.run(
            [sys.executable, FAULTS / "preloaded.py", *map(str, arguments)],
            env={**os.environ, "LD_PRELOAD": str(self.library), "PYTHONPATH": os.pathsep.join([*path, TESTS])},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        problems: list[str] = json.loads(done.stdout or "[]")
        return problems
