"""Compiled programs are kept on disk, private to the user, so that a second start need not compile again."""

from __future__ import annotations

import os
import warnings

import jax
import platformdirs


def keep_compiled_programs() -> None:
    """Let JAX keep what it compiles in the user's cache, unless JAX was told where to, or EPOCHAL_COMPILE_CACHE is 0.

    The folder is readable by its owner alone, since what it holds is executed. A folder that cannot be made, or that
    belongs to somebody else, is not used; a program that cannot be kept, as on a full disk, is compiled again.
    """
    if os.environ.get("EPOCHAL_COMPILE_CACHE") == "0" or jax.config.values["jax_compilation_cache_dir"]:
        return
    folder = platformdirs.user_cache_path("epochal") / "compiled"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = folder.stat()
    except OSError:
        return
    if about.st_uid != os.getuid() or about.st_mode & 0o022:
        return
    warnings.filterwarnings("ignore", message="Error (reading|writing) persistent compilation cache")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
