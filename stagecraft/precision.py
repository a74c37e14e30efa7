"""Switches that are the user's to throw: JAX's double precision and its compilation cache on disk."""

from pathlib import Path

import jax


def enable_x64() -> None:
    """Compute in double precision from here on; call it before loading a circuit."""
    jax.config.update("jax_enable_x64", True)


def enable_compilation_cache(folder: str | Path) -> None:
    """Keep compiled programs in a folder, so that the next process does not compile them again."""
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
