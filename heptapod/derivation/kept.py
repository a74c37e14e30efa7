"""Formulas that were derived before, kept on disk for the next process: words and numbers in JSON, nothing that is executed.

A formula is what `freeze` makes of an expression, and comes back by `thaw`, which knows its own words and no others. What is
kept follows from the text of a stage alone; certificates and checks of domains, which look at numbers, run at every load.
"""

import contextlib
import functools
import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import sympy as sp

from heptapod.formulas.freeze import freeze, thaw

Found = TypeVar("Found")
_MOST = 4096  # Files that are kept.


def kept(inputs: Any, derive: Callable[[Any], Found], kind: type[Found]) -> Found:
    """What `derive` makes of `inputs`, read where it was derived before and written where it was not.

    The folder is `formulas` in that of `DYNX_CACHE`, else `$XDG_CACHE_HOME/dynx` or `~/.cache/dynx`; there is none with
    `DYNX_CACHE=off`, and none is used that is another user's or that others may write into. A file that is cut short, was
    altered or is of another version counts for nothing, and what cannot be written is derived again next time.

    **Arguments:** `inputs`, `kind`: dataclasses of expressions, words, flags and tuples of these.
    """
    try:
        asked = json.dumps([_version(), _written(inputs)])
    except (TypeError, ValueError):  # A function of the user's own, or an expression that has no formula.
        return derive(inputs)
    folder = _folder()
    if folder is None:
        return derive(inputs)
    place = folder / f"{hashlib.sha256(asked.encode()).hexdigest()}.json"
    found = _read(place, kind)
    if found is None:
        found = derive(inputs)
        with contextlib.suppress(OSError):
            _write(place, found, kind)
    return found


@functools.cache
def _version() -> str:
    """Of sympy, and of the code that derives: other code may derive other formulas."""
    here = Path(__file__).parents[1]
    code = [path.read_bytes() for wing in ("derivation", "formulas") for path in sorted((here / wing).glob("*.py"))]
    return f"{sp.__version__} {hashlib.sha256(b''.join(code)).hexdigest()}"


def _folder() -> Path | None:
    said = os.environ.get("DYNX_CACHE", "")
    if said == "off":
        return None
    base = Path(said) if said else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "dynx"
    try:
        folder = base.expanduser() / "formulas"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        seen = folder.stat()
    except (OSError, RuntimeError):  # Nobody knows where the home is.
        return None
    mine = not hasattr(os, "getuid") or seen.st_uid == os.getuid()
    return folder if mine and not (os.name == "posix" and seen.st_mode & 0o022) else None


def _read(place: Path, kind: type[Found]) -> Found | None:
    """What a file holds, `None` where that is nothing that was written here."""
    try:
        told = json.loads(place.read_text())
        if told["sum"] != _sum(told["found"]):
            return None
        return kind(**{name: _thawed(x) for name, x in told["found"].items()})
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None


def _write(place: Path, found: Any, kind: type) -> None:
    try:
        told = _written(found)
        again = kind(**{name: _thawed(x) for name, x in json.loads(json.dumps(told)).items()})
    except (TypeError, ValueError, RecursionError):
        return
    if again != found:  # A form that sympy does not keep.
        return
    if len(os.listdir(place.parent)) >= _MOST:
        oldest = sorted(place.parent.iterdir(), key=lambda path: path.stat().st_mtime)
        for path in oldest[: _MOST // 4]:
            path.unlink(missing_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=place.parent, delete=False) as file:
        json.dump({"found": told, "sum": _sum(told)}, file)
    os.replace(file.name, place)


def _sum(told) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _written(x: Any) -> Any:
    """Expressions by what they are, everything else by itself."""
    if isinstance(x, sp.Basic):
        return {"formula": freeze(x).tree}
    if isinstance(x, tuple):
        return [_written(part) for part in x]
    if x is None or isinstance(x, (str, bool, float)):
        return x
    return {field.name: _written(getattr(x, field.name)) for field in fields(x)}


def _thawed(x: Any) -> Any:
    if isinstance(x, dict):
        return thaw(_tree(x["formula"]))
    return tuple(map(_thawed, x)) if isinstance(x, list) else x


def _tree(x: Any) -> Any:
    return tuple(map(_tree, x)) if isinstance(x, list) else x
