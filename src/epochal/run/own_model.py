"""A model of the user's own in a file: ``file.py:function``, called with the options that were given for it."""

from __future__ import annotations

import hashlib
import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import jax

from epochal.config.train_config import TrainConfig
from epochal.data import Dataset
from epochal.engine.optimizer import option_names
from epochal.errors import EpochalError, ModelError, OptionError, unknown_name

_FORM = re.compile(r"(?P<file>.+\.py):(?P<function>[A-Za-z_]\w*)")


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A function or class in a file that makes a model.

    Attributes:
        file: absolute.
        function: its name there.
        sha256: of the file's content.
    """

    file: Path
    function: str
    content: bytes
    sha256: str

    @classmethod
    def is_one(cls, text: str) -> bool:
        """Return whether a model's name has the form ``file.py:function``, or is a file without a function."""
        return bool(_FORM.fullmatch(text)) or text.endswith(".py")

    @classmethod
    def read(cls, text: str) -> ModelSource:
        """Read the file, without running anything. Raises `ModelError` where it is not there."""
        match = _FORM.fullmatch(text)
        if match is None:
            raise ModelError(f"say which function of {text} makes the model: {text}:build")
        file = Path(os.path.abspath(os.path.expanduser(match["file"])))
        try:
            content = file.read_bytes()
        except OSError as error:
            raise ModelError(f"cannot read {match['file']}, which the model is in: {error.strerror}") from error
        return cls(file, match["function"], content, hashlib.sha256(content).hexdigest())

    @property
    def text(self) -> str:
        """What names it on a command line."""
        return f"{self.file}:{self.function}"

    def build(self, config: TrainConfig, data: Dataset) -> Any:
        """Run the file, and return what the function makes.

        It is called with the options that were given for the model (``hidden``, ``dropout``, and those of ``--set``
        that no optimizer knows), and with ``sample_shape``, ``outputs``, ``seed``, ``key`` (of JAX) or ``rngs`` (of
        Flax) where it has parameters of these names. Raises `ModelError` for what goes wrong in the file, with its
        line, and `OptionError` for an option that the function does not have.
        """
        function = self._function()
        given = {**_settings(config), **config.model_options}
        offered = _offered(config, data)
        parameters = _parameters(function)
        takes_all = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
        for name in given:
            if name not in parameters and not takes_all:
                raise OptionError(unknown_name(f"option of {self.file.name}:{self.function}", name, parameters))
        others = {name: make() for name, make in offered.items() if name in parameters and name not in given}
        with self._told():
            return function(**given, **others)

    def _function(self) -> Callable[..., Any]:
        module = ModuleType(self.file.stem)
        module.__file__ = str(self.file)
        with self._told(), _importing_beside(module):
            exec(compile(self.content, str(self.file), "exec"), module.__dict__)
        if not hasattr(module, self.function):
            public = [name for name, one in vars(module).items() if callable(one) and not name.startswith("_")]
            raise ModelError(unknown_name(f"function of {self.file.name}", self.function, public))
        function: Callable[..., Any] = getattr(module, self.function)
        if not callable(function):
            raise ModelError(f"{self.function} in {self.file.name} is nothing that can be called: {function!r:.40}")
        return function

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what goes wrong in the user's file into a `ModelError` that names the line."""
        try:
            yield
        except EpochalError:
            raise
        except SyntaxError as error:
            raise ModelError(f"{self.file}, line {error.lineno}: {error.msg}") from error
        except Exception as error:
            frames = [one for one in traceback.extract_tb(error.__traceback__) if one.filename == str(self.file)]
            line = f", line {frames[-1].lineno}" if frames else ""
            raise ModelError(f"{self.file}{line}: {type(error).__name__}: {' '.join(str(error).split())}") from error


def own_model(model: Any) -> Any:
    """Return a model that was given in place of a name, with the file read where it names one; ``None`` for a name."""
    if not isinstance(model, (str, os.PathLike)):
        return model
    text = os.fspath(model)
    return ModelSource.read(text) if ModelSource.is_one(text) else None


@contextmanager
def _importing_beside(module: ModuleType) -> Iterator[None]:
    """Let a file import others from its folder, as if it were run, and its own classes find their module."""
    folder = str(Path(str(module.__file__)).parent)
    sys.path.insert(0, folder)
    sys.modules.setdefault(module.__name__, module)
    try:
        yield
    finally:
        sys.path.remove(folder)


def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return a function's parameters; of a class those of its ``__init__``, which a metaclass may hide."""
    initialise: Any = getattr(function, "__init__", None)
    if not isinstance(function, type) or initialise is object.__init__:
        return dict(inspect.signature(function).parameters)
    _, *parameters = inspect.signature(initialise).parameters.items()  # without self
    return dict(parameters)


def _settings(config: TrainConfig) -> dict[str, Any]:
    """Return the settings that are the model's and not an optimizer's."""
    settings: Mapping[str, Any] = config.settings or {}
    return {name: value for name, value in settings.items() if name not in option_names()}


def _offered(config: TrainConfig, data: Dataset) -> dict[str, Callable[[], Any]]:
    """Return what a function gets where it has a parameter of that name."""

    def rngs() -> Any:
        from flax import nnx  # the function that asks for them has imported it

        return nnx.Rngs(config.seed)

    return {
        "sample_shape": lambda: data.sample_shape,
        "outputs": lambda: data.outputs,
        "seed": lambda: config.seed,
        "key": lambda: jax.random.key(config.seed),
        "rngs": rngs,
    }
