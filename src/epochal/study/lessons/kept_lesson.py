"""A lesson's folder: what its trainings came to, so that one that was stopped or killed goes on where it was."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from epochal.errors import EpochalError, RunError, brief
from epochal.files import atomic_write, is_own, read_own
from epochal.record.fields import plain, plain_table, real, table, whole
from epochal.version import __version__

FILE, FORMAT = "lesson.json", 1
_LONGEST = 64_000_000  # bytes
_FORMAT = table({"format": whole(1)})
_LESSON = table({"about": plain_table(), "done": table({}, others=plain()), "seconds": real(least=0.0, most=1e12)})

T = TypeVar("T")


@dataclass(slots=True)
class KeptLesson:
    """What is known of a lesson's trainings, by what was trained; kept in a folder, or nowhere.

    Attributes:
        about: what is asked: the lesson's name and form, its data, seeds, and this version.
        done: what each training came to.
        seconds: that went into them.
    """

    path: Path | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    done: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    clock: Callable[[], float] = time.perf_counter
    _since: float = field(default=0.0, init=False)
    _turn: threading.RLock = field(default_factory=threading.RLock, init=False)

    def __post_init__(self) -> None:
        self._since = self.clock()

    @staticmethod
    def is_at(path: Path) -> bool:
        """Return whether the folder is a lesson's."""
        return is_own(path / FILE)

    @classmethod
    def read(cls, path: Path) -> KeptLesson:
        """Read a lesson's folder. Raises `RunError` where it is none, or is damaged."""
        file = path / FILE
        try:
            content = json.loads(read_own(file, _LONGEST))
            _FORMAT.require("", content)
            if content["format"] > FORMAT:
                raise RunError(f"{file} has format {content['format']}; this Epochal reads up to {FORMAT}: update it")
            _LESSON.require("", content)
            return cls(path, dict(content["about"]), dict(content["done"]), content["seconds"])
        except FileNotFoundError:
            raise RunError(f"{path} is no lesson: it has no {FILE}; `epochal lesson NAME` makes one") from None
        except OSError as error:
            raise RunError(f"cannot read {file}: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise RunError(f"{file} is damaged: {brief(error)}") from error

    @classmethod
    def begin(cls, path: Path, about: Mapping[str, Any]) -> KeptLesson:
        """Return the lesson in this folder, new where there is none. Raises `RunError` for one of something else."""
        about = {**about, "version": __version__}
        if not cls.is_at(path):
            new = cls(path, about)
            new._write(path)
            return new
        found = cls.read(path)
        for name, value in about.items():
            if found.about.get(name) != value:
                raise RunError(
                    f"{path} holds a lesson of another {name}: {found.about.get(name)}, and not {value}; choose "
                    "another folder"
                )
        return found

    def get(self, key: str, make: Callable[[], Any], read: Callable[[Any], T]) -> T:
        """Return what a training came to, read from plain values: those of the folder, or made now and kept there.

        Raises `RunError` where the folder's cannot be read.
        """
        with self._turn:
            is_known = key in self.done
        if not is_known:
            self.keep(key, make())
        try:
            return read(self.done[key])
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, EpochalError) as error:
            raise RunError(f"{self.path} is damaged: a training that it holds cannot be read") from error

    def keep(self, key: str, values: Any) -> None:
        """Keep what a training came to."""
        with self._turn:
            now = self.clock()
            self.seconds, self._since = self.seconds + now - self._since, now
            self.done[key] = values
            if self.path is not None:
                self._write(self.path)

    def _write(self, path: Path) -> None:
        content = {"format": FORMAT, "about": dict(self.about), "seconds": round(self.seconds, 3), "done": self.done}
        try:
            atomic_write(path / FILE, json.dumps(content).encode())
        except OSError as error:
            raise RunError(f"cannot write {path / FILE}: {error.strerror}") from error
