"""Reading and checking normal, lognormal and uniform shocks."""

from collections.abc import Mapping

import numpy as np

from heptapod.formulas.in_numpy import number
from heptapod.parsing.parse import Scope
from heptapod.parsing.reader import Path, Reader
from heptapod.shocks import normal, uniform
from heptapod.shocks.normal import Normal
from heptapod.shocks.point_mass import PointMass
from heptapod.shocks.slots import bracketed, entry, per_dimension, read_matrix, read_points, refuse
from heptapod.shocks.uniform import Uniform
from heptapod.shocks.vector import Matrix

MOST_NODES = 100_000


def read_normal(
    reader: Reader,
    path: Path,
    dimensions: tuple[str, ...],
    scope: Scope,
    integers: Mapping[str, int],
    shapes: Mapping,
    log: bool,
) -> Normal | None:
    """A normal or lognormal shock; `None` after an error."""
    d = len(dimensions)
    mean = per_dimension(reader, (*path, "mean"), scope, d, 1.0 if log else 0.0)
    std = per_dimension(reader, (*path, "std"), scope, d)
    points = read_points(reader, (*path, "n_points"), scope, integers, d, MOST_NODES)
    rule = reader.word((*path, "nodes"), normal.RULES, "`nodes`", "hermite")
    corr = _correlations(reader, (*path, "corr"), scope, shapes, d)
    mass, fine = _point_mass(reader, (*path, "point_mass"), scope, d)
    if mean is None or std is None or points is None or corr is None or not fine:
        return None
    return Normal(dimensions, mean, std, corr, points, rule, log, mass)


def read_uniform(
    reader: Reader, path: Path, dimensions: tuple[str, ...], scope: Scope, integers: Mapping[str, int]
) -> Uniform | None:
    """A uniform shock; `None` after an error."""
    d = len(dimensions)
    given = [k for k in ("min", "max", "mean", "std") if reader.get((*path, k)) is not None]
    first = second = None
    if given in (["min", "max"], ["mean", "std"]):
        first, second = (per_dimension(reader, (*path, k), scope, d) for k in given)
    else:
        what = " and ".join(f"`{k}`" for k in given) or "no bounds"
        reader.missing("shock", f"a uniform shock with {what}", path, "either `min` and `max`, or `mean` and `std`")
    points = read_points(reader, (*path, "n_points"), scope, integers, d, MOST_NODES)
    nodes = reader.get((*path, "nodes"))
    rule = "legendre"
    if isinstance(nodes, str) and nodes.lower() == "hermite":
        message = "Gauss-Hermite nodes belong to the normal density, which a uniform shock has not"
        reader.error("value", message, (*path, "nodes"), "legendre, which is exact for polynomials of degree 2n - 1")
    else:
        rule = reader.word((*path, "nodes"), uniform.RULES, "`nodes`", rule)
    mass, fine = _point_mass(reader, (*path, "point_mass"), scope, d)
    if first is None or second is None or points is None or not fine:
        return None
    return Uniform(dimensions, first, second, points, given[0] == "mean", rule, mass)


def _point_mass(reader, path, scope, d):
    """The point mass, `None` if there is none, and whether it was read without an error."""
    if reader.get(path) is None:
        return None, True
    block = reader.mapping(path, ("value", "prob"), "`point_mass`")
    if not block:
        reader.error("shock", "`point_mass` needs `value` and `prob`", path, "e.g. point_mass: {value: 0.3, prob: 0.05}")
        return None, False
    value = per_dimension(reader, (*path, "value"), scope, d)
    prob = per_dimension(reader, (*path, "prob"), scope, 1)
    if value is None or prob is None:
        return None, False
    return PointMass(value, prob[0]), True


def _correlations(reader, path, scope, shapes, d):
    """The lower triangle without its diagonal, from one number for all pairs or a symmetric matrix; or a matrix parameter."""
    node = reader.get(path)
    if node is None:
        return ()
    if d == 1:
        reader.error("shock", "one dimension has no correlation", path)
        return None
    if isinstance(node, str) and len(shapes.get(node, ())) > 0:
        matrix = read_matrix(reader, path, scope, shapes)
        if matrix is None or matrix.size == d:
            return matrix
        reader.error("shape", f"`{node}` is {matrix.size}x{matrix.size}, and there are {d} dimensions", path)
        return None
    if not isinstance(node, list) or bracketed(node):
        slot = reader.slot(path, scope)
        return None if slot is None else (slot,) * (d * (d - 1) // 2)
    if len(node) != d or not all(isinstance(row, list) and len(row) == d for row in node):
        reader.error("shape", f"`corr` must be a number or a {d} x {d} matrix", path)
        return None
    slots = [[reader.slot((*path, i, j), scope) for j in range(d)] for i in range(d)]
    if any(s is None for row in slots for s in row):
        return None
    for i in range(d):
        if slots[i][i].names or number(slots[i][i], {}) != 1:
            reader.error("domain", "the diagonal of `corr` must be 1", (*path, i, i))
            return None
    if any(slots[i][j] != slots[j][i] for i in range(d) for j in range(i)):
        reader.error("shape", "`corr` is not symmetric", path)
        return None
    return tuple(slots[i][j] for i in range(d) for j in range(i))


def check_normal(reader: Reader, path: Path, shock: Normal, scope: Mapping) -> None:
    """Standard deviations not negative, means of lognormals positive, correlations those of some random vector."""
    _check_std(reader, (*path, "std"), shock.dimensions, shock.std, scope)
    for i, (name, mean) in enumerate(zip(shock.dimensions, shock.mean, strict=True)):
        if shock.log:
            message = f"the mean of the lognormal `{name}` is not positive: {{value}}"
            refuse(reader, "domain", entry(reader, (*path, "mean"), i), mean, scope, lambda x: x <= 0, message)
    _check_correlations(reader, (*path, "corr"), shock, scope)
    _check_mass(reader, path, shock.point_mass, scope)


def check_uniform(reader: Reader, path: Path, shock: Uniform, scope: Mapping) -> None:
    """Bounds in order, or standard deviations not negative."""
    if shock.by_moments:
        _check_std(reader, (*path, "std"), shock.dimensions, shock.second, scope)
    else:
        for i, (name, low, high) in enumerate(zip(shock.dimensions, shock.first, shock.second, strict=True)):
            low, high = np.broadcast_arrays(number(low, scope), number(high, scope))
            if np.any(low > high):
                worst = np.argmax(np.ravel(low - high))
                message = f"min = {np.ravel(low)[worst]:g} of `{name}` is above max = {np.ravel(high)[worst]:g}"
                reader.error("domain", message, entry(reader, (*path, "min"), i))
    _check_mass(reader, path, shock.point_mass, scope)


def _check_std(reader, path, dimensions, formulas, scope):
    for i, (name, std) in enumerate(zip(dimensions, formulas, strict=True)):
        message = f"the standard deviation of `{name}` is negative: {{value}}"
        refuse(reader, "domain", entry(reader, path, i), std, scope, lambda x: x < 0, message)


def _check_mass(reader, path, mass, scope):
    if mass is not None:
        message = "the probability of a point mass must lie in [0, 1), found {value}"
        refuse(reader, "domain", (*path, "point_mass", "prob"), mass.prob, scope, lambda x: (x < 0) | (x >= 1), message)


def _check_correlations(reader, path, shock, scope):
    d = len(shock.dimensions)
    pairs = list(zip(*np.tril_indices(d, -1), strict=True))
    before = len(reader.collector.diagnostics)
    if isinstance(shock.corr, Matrix):
        _check_related(reader, path, shock.corr.numbers(scope))
        return
    matrix = isinstance(reader.get(path), list) and not bracketed(reader.get(path))
    # One number for all pairs is wrong once.
    for (i, j), corr in zip(pairs if matrix else pairs[:1], shock.corr, strict=False):
        place = (*path, int(i), int(j)) if matrix else path
        message = "a correlation must lie inside (-1, 1), found {value}"
        refuse(reader, "domain", place, corr, scope, lambda x: np.abs(x) >= 1, message)
    if d < 3 or not shock.corr or len(reader.collector.diagnostics) > before:
        return
    numbers = np.broadcast_arrays(*[number(c, scope) for c in shock.corr])
    full = np.zeros((*numbers[0].shape, d, d)) + np.eye(d)
    for (i, j), x in zip(pairs, numbers, strict=True):
        full[..., i, j] = full[..., j, i] = x
    _check_related(reader, path, full)


def _check_related(reader, path, full):
    """Symmetric, with ones on the diagonal, and positive definite, in every period."""
    if not np.all(np.isfinite(full)):
        return
    if not np.allclose(full, np.swapaxes(full, -1, -2), rtol=0, atol=1e-8):
        reader.error("shape", "`corr` is not symmetric", path)
    elif not np.allclose(np.diagonal(full, axis1=-2, axis2=-1), 1.0, rtol=0, atol=1e-8):
        reader.error("domain", "the diagonal of `corr` must be 1", path)
    elif np.any(np.linalg.eigvalsh(full) <= 0):
        reader.error("domain", "no random vector has these correlations: the matrix is not positive definite", path)
