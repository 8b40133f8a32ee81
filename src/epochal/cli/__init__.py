"""The command line: one dataclass a command. `epochal --help` imports neither JAX nor NumPy."""

from epochal.cli.main import main

__all__ = ["main"]
