"""Compiled programs, kept for the whole process: trainings of equal shape share them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax

from epochal.engine.ahead import Kept, place_of
from epochal.engine.runtime import kept_programs, setting

_MOST = 64
_QUICKLY = {"xla_backend_optimization_level": 1}


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled function, and the bytes that one device needs for its intermediate values."""

    run: Callable[..., Any]
    temporary_bytes: int


class Programs:
    """A cache of compiled programs, by everything that decides them; the one used longest ago is dropped first.

    Threads may share it. ``compilations`` counts what was compiled so far.
    """

    def __init__(self, most: int = _MOST) -> None:
        self.compilations = 0
        self._keeps_whole = 0
        self._most = most
        self._known: OrderedDict[Hashable, Program] = OrderedDict()
        self._lock = threading.RLock()
        self._in_work: dict[Hashable, threading.RLock] = {}

    def get(
        self,
        what: Hashable,
        build: Callable[[], Callable[..., Any]],
        *arguments: Any,
        donate: tuple[int, ...] = (),
        runs_once: bool = False,
    ) -> Program:
        """Return the program that ``build`` makes a function for, compiled for arguments of these shapes and types.

        ``what`` must be equal for equal functions and different for different ones: their values that are compiled in.
        ``donate`` are the numbers of arguments whose memory the program may reuse. What ``runs_once`` is compiled in
        less than half of the time, for a program that is slower.
        """
        key = (what, _shapes(arguments), donate, runs_once, _settings())
        with self._lock:
            if key in self._known:
                return self._latest(key)
            in_work = self._in_work.setdefault(key, threading.RLock())

        # whoever needs this program waits for it, and nobody else does
        with in_work:
            with self._lock:
                if key in self._known:
                    return self._latest(key)
            try:
                place = place_of(kept_programs(), key) if self._keeps_whole else None
                program = _kept(place) or _compile(build(), arguments, donate, _QUICKLY if runs_once else None, place)
                with self._lock:
                    self._add(key, program)
            finally:
                with self._lock:
                    self._in_work.pop(key, None)
        return program

    @contextmanager
    def kept_whole(self) -> Iterator[None]:
        """Keep programs of the package's own parts on the disk as a whole, for the block (`epochal.engine.ahead`)."""
        self._keeps_whole += 1
        try:
            yield
        finally:
            self._keeps_whole -= 1

    def _latest(self, key: Hashable) -> Program:
        self._known.move_to_end(key)
        return self._known[key]

    def _add(self, key: Hashable, program: Program) -> None:
        self._known[key] = program
        self.compilations += 1
        while len(self._known) > self._most:
            self._known.popitem(last=False)


PROGRAMS = Programs()
"""What this process has compiled."""


@dataclass(frozen=True, slots=True, eq=False)
class Same:
    """A key that equals only a key for the very same object: for objects that cannot be compared or hashed."""

    it: object

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.it is other.it

    def __hash__(self) -> int:
        return id(self.it)


def key_of(part: object) -> Hashable:
    """Return an object as a part of a key: itself where it can be hashed."""
    try:
        hash(part)
    except TypeError:
        return Same(part)
    return part


def _kept(place: Kept | None) -> Program | None:
    compiled = None if place is None else place.load()
    return None if compiled is None else _program(compiled)


def _compile(
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    donate: tuple[int, ...],
    options: dict[str, Any] | None,
    place: Kept | None,
) -> Program:
    lowered = jax.jit(function, donate_argnums=donate).lower(*arguments)
    return _program(lowered.compile(options) if place is None else place.compile(lowered, options))


def _program(compiled: jax.stages.Compiled) -> Program:
    memory = compiled.memory_analysis()
    return Program(compiled, 0 if memory is None else int(memory.temp_size_in_bytes))


def _shapes(arguments: Any) -> Hashable:
    leaves, structure = jax.tree.flatten(arguments)
    return structure, tuple((leaf.shape, leaf.dtype, getattr(leaf, "weak_type", False)) for leaf in leaves)


def _settings() -> Hashable:
    """Return JAX's own settings that change what is compiled."""
    names = (
        "jax_enable_x64",
        "jax_default_matmul_precision",
        "jax_default_prng_impl",
        "jax_debug_nans",
        "jax_threefry_partitionable",
        "jax_numpy_dtype_promotion",
        "jax_random_seed_offset",
        "jax_softmax_custom_jvp",
    )
    return tuple(setting(name) for name in names)
