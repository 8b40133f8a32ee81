"""Where Python runs: in a notebook, at a prompt, or in a script. No library is imported to find out."""

from __future__ import annotations

import sys
import uuid
from dataclasses import dataclass, field
from typing import Any


class CellOutput:
    """A place below a notebook's cell that can be written again and again; this one forgets what it is told."""

    def show(self, html: str, text: str) -> None:
        """Replace what stands there; ``text`` is for readers without HTML."""


@dataclass
class JupyterOutput(CellOutput):
    """One output of a cell in Jupyter, Colab, VS Code and whatever else speaks its messages."""

    display: Any
    _id: str = field(default_factory=lambda: uuid.uuid4().hex)
    _is_shown: bool = False

    def show(self, html: str, text: str) -> None:
        """Show it, or replace what was shown."""
        bundle = {"text/html": html, "text/plain": text}
        self.display.publish(bundle, {}, transient={"display_id": self._id}, update=self._is_shown)
        self._is_shown = True


@dataclass
class MarimoOutput(CellOutput):
    """The output of the cell of marimo that is running."""

    marimo: Any

    def show(self, html: str, text: str) -> None:
        """Replace the cell's output."""
        self.marimo.output.replace(self.marimo.Html(html))


def cell_output() -> CellOutput | None:
    """Return a new output of the cell that is running; ``None`` outside notebooks."""
    if is_marimo():
        return MarimoOutput(sys.modules["marimo"])
    shell = _ipython()
    return JupyterOutput(shell.display_pub) if shell is not None and hasattr(shell, "kernel") else None


def is_interactive() -> bool:
    """Return whether a person gives one command after the other: in a notebook, or at a prompt."""
    return hasattr(sys, "ps1") or bool(sys.flags.interactive) or is_marimo() or _ipython() is not None


def is_marimo() -> bool:
    """Return whether a cell of marimo is running."""
    marimo = sys.modules.get("marimo")
    try:
        return marimo is not None and bool(marimo.running_in_notebook())
    except AttributeError:  # half imported, or an early version
        return False


def _ipython() -> Any:
    """Return the shell of IPython, where Python runs inside of one."""
    ipython = sys.modules.get("IPython")
    return None if ipython is None else getattr(ipython, "get_ipython", lambda: None)()
