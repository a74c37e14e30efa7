"""What decides the metrics of a draw: the key of a draw, and what to say where a store was made by something else."""

import difflib
import hashlib
import json
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from dynx_runner.store.canonical import Canon


class Identity(NamedTuple):
    """All that decides the metrics of a draw, but for its vector.

    **Attributes:**

    - `parts`: by what one calls them, `model_factory`, `solver`, `metric LL`: plain data.
    - `unknown`: what could not be told by its contents.
    """

    parts: dict[str, Any]
    unknown: tuple[str, ...]

    def digest(self) -> bytes:
        """All of it in 16 bytes."""
        return hashlib.blake2b(json.dumps(self.parts, sort_keys=True).encode(), digest_size=16).digest()


def identity_of(runner: Any, version: str | None) -> Identity:
    """What decides the metrics of a runner.

    **Arguments:**

    - `runner`: says what it consists of by `runner.parts()`, or is told by its contents.
    - `version`: stands for what cannot be told by its contents, and is part of the identity.
    """
    canon = Canon()
    parts = {name: canon.of(part, name) for name, part in _parts(runner).items()}
    if version is not None:
        parts["version"] = version
    # Single and double precision give other numbers, whatever the model.
    if "jax" in sys.modules and sys.modules["jax"].config.jax_enable_x64:
        parts["precision"] = "double"
    return Identity(parts, tuple(dict.fromkeys(canon.unknown)) if version is None else ())


def key_of(digest: bytes, x: np.ndarray) -> str:
    """The name of a draw: the same wherever the same runner runs the same vector."""
    # Minus zero is zero.
    return hashlib.blake2b(digest + (x + 0.0).tobytes(), digest_size=16).hexdigest()


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What two identities differ in, line by line; empty where they do not."""
    told = []
    for name in (*before, *(name for name in now if name not in before)):
        if before.get(name) == now.get(name):
            continue
        if name not in now or name not in before:
            told.append(f"{name}: only {'the store' if name in before else 'this runner'} has it")
            continue
        pair = (_shown(before[name]), _shown(now[name]))
        lines = [line for line in difflib.unified_diff(*pair, n=0, lineterm="") if line[:2] not in ("--", "++", "@@")]
        told.append("\n    ".join([f"{name} (-: the store, +: this runner):", *lines[:12]]))
    return "\n  ".join(told)


def _parts(runner: Any) -> dict[str, Any]:
    return runner.parts() if hasattr(runner, "parts") else {"runner": runner}


def _shown(part: Any) -> list[str]:
    """Plain data as lines: texts as they are, since they are what one compares by eye."""
    if isinstance(part, str):
        return part.splitlines() or [""]
    if isinstance(part, Mapping):
        lines = [(key, _shown(value)) for key, value in part.items()]
        return [line if key in ("function", "model") else f"{key}: {line}" for key, inner in lines for line in inner]
    return [json.dumps(part)]
