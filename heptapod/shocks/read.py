"""The `shocks:` block of a stage."""

import math
from collections.abc import Mapping

import numpy as np

from heptapod._formula import Formula
from heptapod._numeric import number
from heptapod._parse import Scope
from heptapod._tree import Path, Reader
from heptapod.grids import read_size
from heptapod.shocks.base import AbstractShock
from heptapod.shocks.discrete import Discrete, Vector
from heptapod.shocks.normal import RULES, Normal

METHODS = ("normal", "lognormal", "discrete")
MOST_NODES = 100_000
_COMMON = ("dimensions", "shock_method", "description")
_KEYS = {
    "normal": ("mean", "std", "corr", "n_points", "nodes"),
    "lognormal": ("mean", "std", "corr", "n_points", "nodes"),
    "discrete": ("values", "probs"),
}


def read_shock(
    reader: Reader, path: Path, scope: Scope, integers: Mapping[str, int], vectors: Mapping[str, int]
) -> AbstractShock | None:
    """One shock; `None` after an error.

    **Arguments:** `vectors`: the length of every vector parameter in sight.
    """
    reader.mapping(path, None, "a shock")
    method = reader.word((*path, "shock_method"), METHODS, "`shock_method`", "")
    if reader.get((*path, "shock_method")) is None:
        reader.error("shock", f"`{path[-1]}` has no `shock_method`", path, f"one of {', '.join(METHODS)}", key=True)
    dimensions = reader.names((*path, "dimensions"), f"`{path[-1]}.dimensions`")
    if reader.get((*path, "dimensions")) is None:
        reader.error("shock", f"`{path[-1]}` has no `dimensions`", path, 'e.g. dimensions: ["y"]', key=True)
    if not method or not dimensions:
        return None
    reader.mapping(path, (*_COMMON, *_KEYS[method]), f"a {method} shock")
    if method == "discrete":
        return _read_discrete(reader, path, tuple(dimensions), scope, vectors)
    return _read_normal(reader, path, tuple(dimensions), scope, integers, method == "lognormal")


def _read_normal(reader, path, dimensions, scope, integers, log):
    d = len(dimensions)
    mean = _per_dimension(reader, (*path, "mean"), scope, d, 1.0 if log else 0.0)
    std = _per_dimension(reader, (*path, "std"), scope, d, None)
    points = _points(reader, (*path, "n_points"), scope, integers, d)
    rule = reader.word((*path, "nodes"), RULES, "`nodes`", "hermite")
    corr = _correlations(reader, (*path, "corr"), scope, d)
    if None in (mean, std, points, corr):
        return None
    if math.prod(points) > MOST_NODES:
        reader.error("shock", f"{math.prod(points)} quadrature nodes; at most {MOST_NODES} are computed", (*path, "n_points"))
        return None
    return Normal(dimensions, mean, std, corr, points, rule, log)


def _per_dimension(reader, path, scope, d, default):
    """One slot per dimension; a single slot serves one dimension only."""
    node = reader.get(path)
    if node is None and default is not None:
        return (Formula(("float", default)),) * d
    if node is None:
        reader.error("shock", f"`{path[-2]}` has no `{path[-1]}`", path[:-1], key=True)
        return None
    if isinstance(node, list) and not (len(node) == 1 and isinstance(node[0], str)):
        slots = tuple(reader.slot((*path, i), scope) for i in range(len(node)))
    else:
        slots = (reader.slot(path, scope),)
    if len(slots) != d:
        reader.error("shape", f"`{path[-1]}` has {len(slots)} entries for {d} dimensions", path, "one for each dimension")
        return None
    return None if None in slots else slots


def _points(reader, path, scope, integers, d):
    node = reader.get(path)
    if node is None:
        reader.error("shock", f"`{path[-2]}` has no `n_points`", path[:-1], "the number of quadrature nodes", key=True)
        return None
    several = isinstance(node, list) and not (len(node) == 1 and isinstance(node[0], str))
    paths = [(*path, i) for i in range(len(node))] if several else [path] * d
    sizes = tuple(read_size(reader, p, scope, integers) for p in paths)
    if len(sizes) != d:
        reader.error("shape", f"`n_points` has {len(sizes)} entries for {d} dimensions", path)
        return None
    return None if None in sizes else sizes


def _correlations(reader, path, scope, d):
    """The lower triangle without its diagonal, from one number (two dimensions) or a symmetric matrix."""
    node = reader.get(path)
    if node is None:
        return ()
    if d == 1:
        reader.error("shock", "one dimension has no correlation", path)
        return None
    if not isinstance(node, list) or len(node) == 1:
        slot = reader.slot(path, scope)
        return None if slot is None else (slot,) * (d * (d - 1) // 2)
    if len(node) != d or not all(isinstance(row, list) and len(row) == d for row in node):
        reader.error("shape", f"`corr` must be a number or a {d} x {d} matrix", path)
        return None
    slots = [[reader.slot((*path, i, j), scope) for j in range(d)] for i in range(d)]
    if any(s is None for row in slots for s in row):
        return None
    if any(slots[i][j] != slots[j][i] for i in range(d) for j in range(i)):
        reader.error("shape", "`corr` is not symmetric", path)
        return None
    return tuple(slots[i][j] for i in range(d) for j in range(i))


def _read_discrete(reader, path, dimensions, scope, vectors):
    probs = _vector(reader, (*path, "probs"), scope, vectors)
    node = reader.get((*path, "values"))
    rows = isinstance(node, list) and node and all(isinstance(x, list) for x in node)
    if rows and not (len(dimensions) > 1 and len(node) != len(dimensions)):
        values = tuple(_vector(reader, (*path, "values", i), scope, vectors) for i in range(len(node)))
    elif isinstance(node, list) and len(node) == len(dimensions) > 1 and all(isinstance(x, str) for x in node):
        values = tuple(_vector(reader, (*path, "values", i), scope, vectors) for i in range(len(node)))
    else:
        values = (_vector(reader, (*path, "values"), scope, vectors),)
    if probs is None or None in values:
        return None
    if len(values) != len(dimensions):
        reader.error("shape", f"{len(values)} rows of values for {len(dimensions)} dimensions", (*path, "values"))
        return None
    count = _length(probs, vectors)
    for i, row in enumerate(values):
        if _length(row, vectors) != count:
            reader.error("shape", f"{_length(row, vectors)} values of `{dimensions[i]}` but {count} probabilities",
                         (*path, "values"))  # fmt: skip
            return None
    return Discrete(dimensions, values, probs)


def _vector(reader, path, scope, vectors):
    node = reader.get(path)
    name = node[0] if isinstance(node, list) and len(node) == 1 and isinstance(node[0], str) else node
    if isinstance(name, str) and name in vectors:
        return Vector(name=str(name))
    if not isinstance(node, list) or not node:
        reader.error("shock", f"`{path[-1]}` must be a list, or the name of a vector parameter", path)
        return None
    slots = tuple(reader.slot((*path, i), scope) for i in range(len(node)))
    return None if None in slots else Vector(slots)


def _length(vector, vectors):
    return vectors[vector.name] if vector.name else len(vector.slots)


def check_shock(reader: Reader, path: Path, shock: AbstractShock, scope: Mapping) -> None:
    """At the calibration: standard deviations not negative, correlations inside (-1, 1), probabilities that sum to one."""
    if isinstance(shock, Normal):
        for name, std in zip(shock.dimensions, shock.std, strict=True):
            if np.any(number(std, scope) < 0):
                reader.error("domain", f"the standard deviation of `{name}` is negative", (*path, "std"))
        for name, mean in zip(shock.dimensions, shock.mean, strict=True):
            if shock.log and np.any(number(mean, scope) <= 0):
                reader.error("domain", f"the mean of the lognormal `{name}` is not positive", (*path, "mean"))
        for corr in shock.corr:
            if np.any(np.abs(number(corr, scope)) >= 1):
                reader.error("domain", "a correlation must lie inside (-1, 1)", (*path, "corr"))
        return
    if shock.probs.name:
        probs = np.asarray(scope[shock.probs.name])
    else:
        probs = np.stack(np.broadcast_arrays(*[number(s, scope) for s in shock.probs.slots]), axis=-1)
    total = probs.sum(axis=-1)
    if np.any(probs < 0):
        reader.error("stochastic", f"a probability of `{path[-1]}` is negative", (*path, "probs"))
    elif np.any(np.abs(total - 1) > 1e-8):
        wrong = float(np.ravel(total)[np.argmax(np.abs(np.ravel(total) - 1))])
        reader.error("stochastic", f"the probabilities of `{path[-1]}` sum to {wrong:.6g}, not 1",
                     (*path, "probs"))  # fmt: skip
