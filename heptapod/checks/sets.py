"""Discrete states along a connection: both sides declare the same set, and a constant lies on it."""

from collections.abc import Iterable, Mapping

import numpy as np

from heptapod.circuit.connections import Link
from heptapod.circuit.link_parts import End
from heptapod.formulas.in_numpy import number
from heptapod.parsing.reader import Path, Reader
from heptapod.spaces.grids import AbstractGrid, calibrated
from heptapod.spaces.perch_space import continuation
from heptapod.stage.homes import arrival_grid, post_grid


def check_sets(reader: Reader, ends: Mapping[str, End | None], links: Iterable[tuple[Link, Path]]) -> None:
    """An error where the two ends of a connection disagree on a set.

    **Arguments:** `ends`: by stage; `links`: each with its place.
    """
    told: set[tuple] = set()
    for link, path in links:
        source, target = ends[link.source], ends[link.target]
        if source is not None and target is not None:
            _check_link(reader, source, target, link, path, told)


def _check_link(reader, source: End, target: End, link: Link, path, told):
    for here, there in link.mapping:
        sets = _left(source, link.branch, here), _entered(target, there)
        values = [_values(end, grid) for end, grid in zip((source, target), sets, strict=True)]
        if any(v is None for v in values) or _same(*values):
            continue
        pair = tuple(sorted(map(_shown, values)))
        if pair in told:
            continue  # The same two sets meet elsewhere.
        told.add(pair)
        message = f"`{here}` of {link.end} and `{there}` of {link.target} are two different sets: {_shown(values[0])} and " \
                  f"{_shown(values[1])}"  # fmt: skip
        reader.error("set", message, path, "declare one set for both, e.g. a vector parameter of the model")
    for name, formula in link.constants:
        grid = _entered(target, name)
        values = _values(target, grid)
        if values is None or not formula.names <= set(source.scope.own.numbers):
            continue
        value = number(formula, source.scope.own.numbers)
        if not np.all(np.any(np.isclose(_rows(values), np.ravel(value)), axis=0)):
            place = next(p for k in ("set", "mapping") if reader.get(p := (*path, k, name)) is not None)
            message = f"`{name}` is set to {np.ravel(value)[0]:g}, which is not in its set ({_shown(values)})"
            reader.error("set", message, place, "one of its values")


def _left(end: End, branch: str, name: str) -> AbstractGrid | None:
    """The set of a post-state."""
    own = end.scope.spaces[continuation(branch)].grid(name)
    return _discrete(own if end.equations is None else post_grid(end.equations, end.scope.name, branch, name))


def _entered(end: End, name: str) -> AbstractGrid | None:
    """The set of an arrival state."""
    own = end.scope.spaces["arvl"].grid(name)
    return _discrete(own if end.equations is None else arrival_grid(end.equations, name))


def _values(end: End, grid: AbstractGrid | None) -> np.ndarray | None:
    """The values of a set at the calibration; `None` where they are not known, or are told of elsewhere."""
    values = None if grid is None else calibrated(grid, end.scope.own.numbers)
    return None if values is None or np.any(np.diff(_rows(values), axis=0) <= 0) else values


def _discrete(grid: AbstractGrid | None) -> AbstractGrid | None:
    return grid if grid is not None and grid.discrete else None


def _same(one, other) -> bool:
    return len(one) == len(other) and np.allclose(_rows(one), _rows(other))


def _rows(values):
    """One row for each value, one column for each period or for all of them."""
    return np.asarray(values).reshape(len(values), -1)


def _shown(values) -> str:
    flat = _rows(values)[:, 0]
    return ", ".join(f"{v:g}" for v in flat[:6]) + (", ..." if len(flat) > 6 else "")
