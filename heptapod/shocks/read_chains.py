"""Reading and checking discrete, Markov and autoregressive shocks."""

from collections.abc import Mapping

import numpy as np
from scipy.special import ndtr

from heptapod.formulas.formula import Formula
from heptapod.formulas.in_numpy import number
from heptapod.parsing.kinds import bracketed
from heptapod.parsing.parse import Scope
from heptapod.parsing.reader import Path, Reader, complete
from heptapod.shocks.autoregressive import Autoregressive
from heptapod.shocks.discrete import Discrete
from heptapod.shocks.markov import Markov
from heptapod.shocks.slots import check_stochastic, per_dimension, read_matrix, read_points, read_vector, refuse

MOST_STATES = 1_000
# A chain that moves more rarely than this has no long run that a computer could tell.
RARELY = 1e-10


def read_discrete(
    reader: Reader, path: Path, dimensions: tuple[str, ...], scope: Scope, shapes: Mapping[str, tuple[int, ...]]
) -> Discrete | None:
    """A discrete shock; `None` after an error. Several dimensions take one row of values each; one takes a row, too."""
    probs = read_vector(reader, (*path, "probs"), scope, shapes)
    node, d = reader.get((*path, "values")), len(dimensions)
    rows = isinstance(node, list) and node and not bracketed(node)
    rows = rows and (len(node) == d > 1 or all(isinstance(x, list) for x in node))
    paths = [(*path, "values", i) for i in range(len(node))] if rows else [(*path, "values")]
    values = complete(read_vector(reader, p, scope, shapes) for p in paths)
    if probs is None or values is None:
        return None
    if len(values) != d:
        reader.error("shape", f"{len(values)} rows of values for {d} dimensions", (*path, "values"))
        return None
    for name, row in zip(dimensions, values, strict=True):
        if row.size != probs.size:
            reader.error("shape", f"{row.size} values of `{name}` but {probs.size} probabilities", (*path, "values"))
            return None
    return Discrete(dimensions, values, probs)


def read_markov(
    reader: Reader, path: Path, dimensions: tuple[str, ...], scope: Scope, shapes: Mapping[str, tuple[int, ...]]
) -> Markov | None:
    """A Markov shock; `None` after an error."""
    given = _given(reader, path, dimensions)
    values = read_vector(reader, (*path, "values"), scope, shapes)
    transition = read_matrix(reader, (*path, "transition_matrix"), scope, shapes)
    if given is None or values is None or transition is None:
        return None
    if values.size != transition.size:
        message = f"{values.size} values but a {transition.size}x{transition.size} transition matrix"
        reader.error("shape", message, (*path, "transition_matrix"))
        return None
    return Markov(dimensions, values, transition, given=given)


def read_autoregressive(
    reader: Reader, path: Path, dimensions: tuple[str, ...], scope: Scope, integers: Mapping[str, int], method: str
) -> Autoregressive | None:
    """A shock by Rouwenhorst's or Tauchen's method; `None` after an error."""
    given = _given(reader, path, dimensions)
    log = reader.get((*path, "log"))
    if log is not None and not isinstance(log, bool):
        reader.error("type", f"`log` is true or false, found `{log}`", (*path, "log"))
        return None
    rho, std = (per_dimension(reader, (*path, k), scope, 1) for k in ("rho", "std"))
    mean = per_dimension(reader, (*path, "mean"), scope, 1, 1.0 if log else 0.0)
    width = per_dimension(reader, (*path, "m"), scope, 1, 3.0) if method == "tauchen" else (Formula(("float", 3.0)),)
    points = read_points(reader, (*path, "n_points"), scope, integers, 1, MOST_STATES)
    if given is None or rho is None or std is None or mean is None or width is None or points is None:
        return None
    return Autoregressive(dimensions, rho[0], std[0], mean[0], points[0], method, width[0], bool(log), given=given)


def _given(reader, path, dimensions):
    """The state that holds last period's value."""
    if len(dimensions) > 1:
        reader.error("shape", f"a Markov shock has one dimension, found {len(dimensions)}", (*path, "dimensions"))
        return None
    node = reader.get((*path, "given"))
    node = node[0] if isinstance(node, list) and len(node) == 1 else node
    if node is None:
        help = f"the state that holds last period's value, e.g. given: {dimensions[0]}_last"
        return reader.missing("markov", f"the Markov shock `{path[-1]}` has no `given`", path, help)
    if not isinstance(node, str) or not node.isidentifier():
        reader.error("markov", "`given` must be the name of a state", (*path, "given"))
        return None
    return str(node)


def check_discrete(reader: Reader, path: Path, shock: Discrete, scope: Mapping) -> None:
    """Probabilities that sum to one."""
    check_stochastic(reader, (*path, "probs"), shock.probs.numbers(scope), f"`{path[-1]}`")


def check_markov(reader: Reader, path: Path, shock: Markov, scope: Mapping) -> None:
    """Rows that sum to one, and values that tell the nodes apart."""
    place = (*path, "transition_matrix")
    matrix = shock.transition.numbers(scope)
    for i in range(shock.count):
        row = place if shock.transition.name is not None else (*place, i)
        check_stochastic(reader, row, matrix[..., i, :], f"row {i + 1} of `transition_matrix`")
    values = np.sort(shock.values.numbers(scope), axis=-1)
    if np.any(np.diff(values, axis=-1) == 0):
        reader.error("markov", f"two values of `{shock.dimensions[0]}` are equal, so `{shock.given}` cannot tell them apart",
                     (*path, "values"))  # fmt: skip


def check_autoregressive(reader: Reader, path: Path, shock: Autoregressive, scope: Mapping) -> None:
    """A stationary process, and nodes that it moves between."""
    name = shock.dimensions[0]
    before = len(reader.collector.diagnostics)
    checks = [
        ("rho", shock.rho, lambda x: np.abs(x) >= 1, f"the persistence of `{name}` must lie inside (-1, 1), found {{value}}"),
        ("std", shock.std, lambda x: x < 0, f"the standard deviation of `{name}` is negative: {{value}}"),
        ("m", shock.width, lambda x: x <= 0, "the width of Tauchen's grid must be positive, found {value}"),
    ]
    if shock.log:
        checks.append(("mean", shock.mean, lambda x: x <= 0, f"the mean of the level `{name}` is not positive: {{value}}"))
    for key, formula, wrong, message in checks:
        refuse(reader, "domain", (*path, key), formula, scope, wrong, message)
    if shock.method == "tauchen" and shock.points > 1 and len(reader.collector.diagnostics) == before:
        _check_moves(reader, path, shock, scope)


def _check_moves(reader, path, shock, scope):
    """Tauchen's nodes may lie so far apart that a persistent process never leaves one."""
    rho, width = (x[..., None] for x in np.broadcast_arrays(number(shock.rho, scope), number(shock.width, scope)))
    half = width / (shock.points - 1)
    drift = (1 - rho) * np.linspace(-1.0, 1.0, shock.points) * width
    leaves = ndtr(-(half + drift) / np.sqrt(1 - rho**2)) + ndtr(-(half - drift) / np.sqrt(1 - rho**2))
    if np.any(leaves < RARELY):
        message = f"{shock.points} nodes lie too far apart: the process leaves one with probability {leaves.min():.0e}"
        reader.error("domain", message, (*path, "n_points"), "more n_points, or shock_method: rouwenhorst")
