"""What Epochal sets and needs for the whole process: JAX's devices and settings, and where it keeps programs."""

from __future__ import annotations

import os
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import jax
import platformdirs

from epochal.engine.kept_programs import KeptPrograms, make_private
from epochal.engine.machine import available_cores
from epochal.errors import OptionError, RunError

_MOST_DEVICES = 8
_NOT_THERE = object()
_SWITCH = "EPOCHAL_COMPILE_CACHE"

_DECIDING = {
    "jax_default_prng_impl": "threefry2x32",
    "jax_threefry_partitionable": True,
    "jax_threefry_gpu_kernel_lowering": False,
    "jax_random_seed_offset": 0,
    "jax_default_matmul_precision": None,
    "jax_numpy_dtype_promotion": "standard",
    "jax_softmax_custom_jvp": False,
    "jax_disable_most_optimizations": False,
    "jax_optimization_level": "UNKNOWN",
    "jax_exec_time_optimization_effort": 0.0,
}
"""JAX's settings that decide the bits of a result, and what they are where nobody changed them."""

_REFUSED = {
    "jax_enable_x64": (True, "Epochal counts and trains in 32 bits"),
    "jax_numpy_rank_promotion": ("raise", "models add a bias to each row"),
    "jax_disable_jit": (True, "Epochal compiles whole epochs"),
    "jax_transfer_guard": ("disallow", "Epochal copies data to the device"),
}
"""JAX's settings that nothing can be trained under, and why."""


def check_jax() -> None:
    """Refuse a process whose JAX cannot train: raises `OptionError`, or `RunError` in a forked child."""
    check_process()
    for name, (value, reason) in _REFUSED.items():
        if setting(name) == value:
            raise OptionError(f"JAX is set to {name.upper()}={value}, but {reason}; leave that out")

    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        wanted = jax.config.values["jax_platforms"]
        reason = str(error).strip().split("\n", 1)[0].split(" (set ", 1)[0] or "there is no such device"
        where = f"JAX cannot start with JAX_PLATFORMS={wanted}" if wanted else "JAX finds no device"
        raise OptionError(f"{where}: {reason}; leave it out, or write cpu") from None


def check_process() -> None:
    """Refuse a child that was forked after JAX was used, and would wait for ever: raises `RunError`."""
    if _is_orphan() or _process_of_jax() != os.getpid():
        raise RunError(
            "this process was forked from one that had used JAX, and has none of its threads; start it anew instead, "
            "as by multiprocessing.get_context('spawn')"
        )


@cache
def _process_of_jax() -> int:
    """Return the process that asked first: a forked child has the answer of its parent."""
    return os.getpid()


@cache
def _is_orphan() -> bool:
    """Return whether JAX has started, but none of its threads is here: before Epochal used it, in another process."""
    from jax._src import xla_bridge  # no public name tells it without starting JAX

    has_started = getattr(xla_bridge, "backends_are_initialized", lambda: False)()
    threads = Path("/proc/self/task")
    return bool(has_started and threads.is_dir() and len(list(threads.iterdir())) == 1)


def setting(name: str, default: Any = None) -> Any:
    """Return one of JAX's settings, also where a context such as ``with jax.enable_x64(False)`` has changed it."""
    present = getattr(jax.config, name, _NOT_THERE)
    return jax.config.values.get(name, default) if present is _NOT_THERE else present


def present_settings() -> dict[str, Any]:
    """Return what decides the bits of a result and was set: JAX's settings, and XLA's flags but for the devices."""
    present = {name: setting(name, default) for name, default in _DECIDING.items()}
    settings: dict[str, Any] = {
        name: value if type(value) in (bool, int, float, str) else str(getattr(value, "value", value))
        for name, value in present.items()
        if value != _DECIDING[name]
    }

    flags = [flag for flag in os.environ.get("XLA_FLAGS", "").split() if "device_count" not in flag]
    return settings | ({"XLA_FLAGS": " ".join(sorted(flags))} if flags else {})


def offer_cores() -> None:
    """Let CPU cores, up to 8 of them, be devices, unless JAX was told how many or has started already."""
    if jax.config.values["jax_num_cpu_devices"] > 0 or "device_count" in os.environ.get("XLA_FLAGS", ""):
        return
    try:
        jax.config.update("jax_num_cpu_devices", min(available_cores(), _MOST_DEVICES))
    except RuntimeError:
        return


def keep_compiled_programs() -> tuple[str, ...]:
    """Let JAX keep what it compiles in the user's cache, unless JAX was told where to, or EPOCHAL_COMPILE_CACHE is 0.

    Returns what the user should know: why a folder that others can write to, or own, is not used. A folder that cannot
    be made is not used either; a program that cannot be kept, as on a full disk, is compiled again.
    """
    if os.environ.get(_SWITCH) == "0" or jax.config.values["jax_compilation_cache_dir"]:
        return ()

    folder = platformdirs.user_cache_path("epochal") / "compiled"
    try:
        refusal = make_private(folder)
    except OSError:
        return ()
    if refusal is not None:
        os.environ[_SWITCH] = "0"  # once is enough, for the processes that this one starts, too
        return (f"compiled programs are not kept: {refusal}",)

    warnings.filterwarnings("ignore", message="Error (reading|writing) persistent compilation cache")
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
    _give_to_jax(KeptPrograms(folder))
    return ()


def kept_programs() -> KeptPrograms | None:
    """Return where compiled programs are kept, unless that is a place of JAX's own."""
    from jax._src import compilation_cache  # no public name gives it

    programs = getattr(compilation_cache, "_cache", None)
    return programs if isinstance(programs, KeptPrograms) else None


def _give_to_jax(programs: KeptPrograms) -> None:
    """Let JAX use this cache; a JAX that takes none has its own in the same folder, with the same bound."""
    from jax._src import compilation_cache  # no public name takes a cache

    if not (hasattr(compilation_cache, "_cache") and hasattr(compilation_cache, "_cache_initialized")):
        jax.config.update("jax_compilation_cache_dir", str(programs.folder / "jax"))
        jax.config.update("jax_compilation_cache_max_size", programs.most_bytes)
        return

    jax.config.update("jax_compilation_cache_dir", str(programs.folder))  # first, as it takes away what there was
    compilation_cache._cache = programs  # type: ignore[assignment]  # it has what JAX calls
    compilation_cache._cache_initialized = True
