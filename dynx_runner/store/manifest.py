"""What a store was made by, and with what: one small file, written once and never in halves."""

import contextlib
import importlib.metadata
import json
import os
import platform
import sys
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dynx_runner.store.identity import Identity, difference
from dynx_runner.store.lines import StoreError

_LAYOUT = 1
_PACKAGES = ("dynx", "jax", "jaxlib", "numpy", "scipy", "equinox", "sympy", "mpi4py")


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a store, `None` where there is none; `StoreError` for one that cannot be read."""
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read ({error}); the parts beside it are as they were") from error
    if manifest.get("store") != _LAYOUT:
        raise StoreError(
            f"{path}: this is a store of layout {manifest.get('store')!r}, and this version of dynx reads layout {_LAYOUT}"
        )
    return manifest


def claim(folder: Path, identity: Identity, told: Mapping[str, Any]) -> None:
    """Make the store that of a runner, or check that it is.

    **Arguments:**

    - `folder`: where the store is.
    - `identity`: what decides the metrics of the runner.
    - `told`: what else the manifest is to say.

    Raises `StoreError` where the store was made by another runner, with the difference; or where something of the runner
    cannot be told by its contents, and there are draws.
    """
    mine = {"store": _LAYOUT, "identity": identity.parts, "unknown": list(identity.unknown), **told}
    manifest = read_manifest(folder)
    if manifest is None:
        create(folder / "manifest.json", lambda path: path.write_text(json.dumps(mine, indent=1)))
        # Another job may have been first.
        manifest = read_manifest(folder) or mine
    found = difference(manifest["identity"], json.loads(json.dumps(identity.parts)))
    if found:
        raise StoreError(f"the store at {folder} was made by something else; give this runner another folder:\n  {found}")
    if identity.unknown and any((folder / "parts").glob("*.jsonl")):
        raise StoreError(
            f"the store at {folder} cannot be resumed: what {', '.join(identity.unknown)} holds cannot be compared with what it"
            ' held before. Pass ResultStore(folder, version="1"), and another version whenever it changes'
        )


def create(path: Path, write: Callable[[Path], Any], *, replace: bool = False) -> None:
    """Let a file appear at once and whole, whoever reads and whatever dies.

    **Arguments:**

    - `path`: the file.
    - `write`: writes it at the path that it is given.
    - `replace`: whether a file that is there already gives way.

    Raises `StoreError` where nothing can be written.
    """
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(draft)
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        if replace:
            os.replace(draft, path)
            return
        # A link is refused where the file is there, on network file systems, too.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()


def surroundings(size: int = 1) -> dict[str, Any]:
    """What a run depends on beside the runner: versions, device, threads and MPI.

    **Arguments:** `size`: how many processes there are.
    """
    told: dict[str, Any] = {"python": platform.python_version(), "machine": platform.platform(), "processes": size}
    told["versions"] = versions()
    # Asking for devices starts JAX, which a model without it does not need.
    if "jax" in sys.modules:
        told["devices"] = [str(device) for device in sys.modules["jax"].local_devices()]
    if hasattr(os, "sched_getaffinity"):
        told["cores"] = len(os.sched_getaffinity(0))
    if "mpi4py.MPI" in sys.modules:
        told["mpi"] = sys.modules["mpi4py.MPI"].Get_library_version().splitlines()[0].strip("\0 ")
    return told


def versions() -> dict[str, str]:
    """Of dynx and what it stands on."""
    found = {}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
