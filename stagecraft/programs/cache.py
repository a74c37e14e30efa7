"""JAX's cache of compiled programs on disk: turned on by the first verb that compiles, never by an import."""

import contextlib
import functools
import hashlib
import os
import platform
import tempfile
import warnings
from pathlib import Path

import jax
import jaxlib.version
from jax.experimental.compilation_cache.compilation_cache import reset_cache

_MOST = 2**31  # Bytes kept in all.
_ROOM = 2**26  # Bytes that a disk must have left.


def compilation_cache(folder: str | Path | None) -> None:
    """Keep compiled programs in a folder, so that the next process loads what this one compiles; `None` keeps none.

    Without a call the first verb that compiles keeps them in the user's own cache directory, unless a place was set in JAX
    (`jax_compilation_cache_dir`) or the environment says `DYNX_CACHE=off`, or names another folder. What is kept is machine
    code, which runs as soon as it is loaded: a folder that is another user's, or that others may write into, is refused.

    **Arguments:** `folder`: made, with mode 0700, where it is not there; each jaxlib and each kind of processor has a part of
    it to itself. What has not been used for longest goes once there are more than 2 GiB, whenever something new is kept.

    **Warns** where programs cannot be kept there, says why, and goes on without.
    """
    jax.config.update("jax_enable_compilation_cache", folder is not None)
    if folder is not None:
        _keep(Path(folder))
    # JAX decides once in a process, at the first program that it compiles.
    reset_cache()


def begin() -> None:
    """Turn the cache on, where nobody has decided yet."""
    told = jax.config
    if told.jax_enable_compilation_cache and not told.jax_compilation_cache_dir:  # pyright: ignore[reportAttributeAccessIssue]
        said = os.environ.get("DYNX_CACHE", "")
        compilation_cache(None if said == "off" else said or _home())


def bound() -> None:
    """Keep the folder to its size, where it is one of ours."""
    place = Path(jax.config.jax_compilation_cache_dir or "")  # pyright: ignore[reportAttributeAccessIssue]
    if place.name == _machine():
        _trim(place.parent)


def _home() -> Path:
    """The user's own folder, as XDG names it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "dynx" / "programs"


def _keep(folder: Path) -> None:
    with contextlib.suppress(RuntimeError):  # Where nobody knows the home it stays, and is refused.
        folder = folder.expanduser()
    place = folder / _machine()
    wrong = _objection(folder, place)
    if wrong:
        warnings.warn(
            f"compiled programs are not kept in {folder}: {wrong}. Name another folder, with "
            "stagecraft.compilation_cache(folder) or DYNX_CACHE=folder, or none, with DYNX_CACHE=off; all else works "
            "as before, and compiles anew in every process",
            stacklevel=2,
        )
        jax.config.update("jax_enable_compilation_cache", False)
    else:
        _trim(folder)
        jax.config.update("jax_compilation_cache_dir", str(place))
        # JAX keeps what takes a second; a first solve is also many programs of a tenth.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)


@functools.cache
def _machine() -> str:
    """What machine code depends on, in a few letters."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    able = next((line for line in lines if line.startswith(("flags", "Features"))), platform.processor())
    return f"{jaxlib.version.__version__}-{hashlib.sha256(f'{platform.machine()} {able}'.encode()).hexdigest()[:12]}"


def _objection(folder: Path, place: Path) -> str | None:
    """Why programs cannot be kept in a place, `None` where they can."""
    if folder.parts[:1] and folder.parts[0].startswith("~"):
        return f"nobody knows where {folder.parts[0]} is"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for inside in (folder, place):
            inside.mkdir(mode=0o700, exist_ok=True)
            seen = inside.stat()
            if hasattr(os, "getuid") and seen.st_uid != os.getuid():
                return "it belongs to another user, whose machine code would run here"
            if os.name == "posix" and seen.st_mode & 0o022:
                return "others may write into it, and their machine code would run here (chmod 700)"
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(bytes(4096))
        return _no_room(place)
    except OSError as error:
        return error.strerror or str(error)


def _no_room(place: Path) -> str | None:
    if not hasattr(os, "statvfs"):
        return None
    disk = os.statvfs(place)
    left = disk.f_bavail * disk.f_frsize
    return f"its disk has {left / 2**20:.0f} MB left" if left < _ROOM else None


def _trim(folder: Path) -> None:
    """Leave no more than there may be, the latest used first. Another process may do the same; nothing fails of it."""
    found = []
    for path in folder.glob("*/*-cache"):
        with contextlib.suppress(OSError):
            seen = path.stat()
            found.append((max(seen.st_atime, seen.st_mtime), seen.st_size, path))
    total = 0
    for _, size, path in sorted(found, reverse=True):
        total += size
        if total > _MOST:
            with contextlib.suppress(OSError):
                path.unlink()
