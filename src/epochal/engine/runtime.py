"""What Epochal sets for the whole process: the devices that JAX sees, and where compiled programs are kept on disk."""

from __future__ import annotations

import os
import warnings

import jax
import platformdirs

_MOST_DEVICES = 8


def available_cores() -> int:
    """Return how many CPU cores this process may use: on a CPU they decide how products are split, so last bits."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def offer_cores() -> None:
    """Let CPU cores, up to 8 of them, be devices, unless JAX was told how many or has started already."""
    if jax.config.values["jax_num_cpu_devices"] > 0 or "device_count" in os.environ.get("XLA_FLAGS", ""):
        return
    try:
        jax.config.update("jax_num_cpu_devices", min(available_cores(), _MOST_DEVICES))
    except RuntimeError:
        return


def keep_compiled_programs() -> None:
    """Let JAX keep what it compiles in the user's cache, unless JAX was told where to, or EPOCHAL_COMPILE_CACHE is 0.

    The folder is readable by its owner alone, since what it holds is executed. A folder that cannot be made, or that
    belongs to somebody else, is not used; a program that cannot be kept, as on a full disk, is compiled again. On
    Windows, a user's folder is private without modes.
    """
    if os.environ.get("EPOCHAL_COMPILE_CACHE") == "0" or jax.config.values["jax_compilation_cache_dir"]:
        return

    folder = platformdirs.user_cache_path("epochal") / "compiled"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = folder.stat()
    except OSError:
        return
    if hasattr(os, "getuid") and (about.st_uid != os.getuid() or about.st_mode & 0o022):
        return

    warnings.filterwarnings("ignore", message="Error (reading|writing) persistent compilation cache")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
