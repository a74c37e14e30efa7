"""The `shocks:` block of a stage: which methods there are, which keys each takes, and who reads it."""

from collections.abc import Mapping
from types import MappingProxyType

from heptapod.errors import did_you_mean
from heptapod.parsing.fields import read_fields
from heptapod.parsing.parse import Scope
from heptapod.parsing.reader import Path, Reader
from heptapod.shocks.autoregressive import Autoregressive
from heptapod.shocks.base import AbstractShock
from heptapod.shocks.discrete import Discrete
from heptapod.shocks.markov import Markov
from heptapod.shocks.normal import Normal
from heptapod.shocks.read_chains import (
    check_autoregressive,
    check_discrete,
    check_markov,
    read_autoregressive,
    read_discrete,
    read_markov,
)
from heptapod.shocks.read_continuous import check_normal, check_uniform, read_normal, read_uniform
from heptapod.shocks.uniform import Uniform

_COMMON = {
    "dimensions": 'bracketed names: `["y"]`; several for a joint shock',
    "shock_method": "the law, or how a process becomes a chain",
    "description": "kept with the text",
}
_MASS = {"point_mass": "`{value: 0.3, prob: 0.05}`: one more value; all else has the remaining probability"}
_NORMAL = {
    "std": "standard deviation of the variable; required",
    "corr": "of the underlying normals: one for all pairs, a symmetric matrix, or a matrix parameter; default: independent",
    "n_points": "quadrature nodes for each dimension; required",
    "nodes": "`hermite` (default), `legendre` on the quantiles, `equiprobable`",
    **_MASS,
}
_GIVEN = {"given": "the state that holds last period's value; required"}
_PROCESS = {
    "rho": "persistence, inside (-1, 1); required",
    "std": "standard deviation of the innovation; required",
    "mean": "of the variable in the long run; default 0, or 1 with `log`",
    "log": "`true`: the exponential of the process, in the long run with mean `mean`; default `false`",
    "n_points": "nodes; required",
    **_GIVEN,
}
# Method -> key -> meaning: what is read, what the documentation says, and what an editor completes.
SHOCK_KEYS: Mapping[str, Mapping[str, str]] = {
    "normal": {**_COMMON, "mean": "of the variable; default 0", **_NORMAL},
    "lognormal": {
        **_COMMON,
        "mean": "of the level; default 1",
        **_NORMAL,
        "std": "standard deviation of the logarithm; required",
    },
    "uniform": {
        **_COMMON,
        "min": "lower bound; with `max`",
        "max": "upper bound; with `min`",
        "mean": "in place of bounds; with `std`",
        "std": "standard deviation, in place of bounds; with `mean`",
        "n_points": "quadrature nodes for each dimension; required",
        "nodes": "`legendre` (default), `equiprobable`",
        **_MASS,
    },
    "discrete": {
        **_COMMON,
        "values": "a list, or a vector parameter; for a joint shock one of them for each dimension; required",
        "probs": "probabilities, which sum to one; required",
    },
    "markov": {
        **_COMMON,
        "values": "a list, or a vector parameter; required",
        "transition_matrix": "rows that sum to one, each the law after one value, or a matrix parameter; required",
        **_GIVEN,
    },
    "rouwenhorst": {**_COMMON, **_PROCESS},
    "tauchen": {**_COMMON, **_PROCESS, "m": "half the width of the grid, in unconditional standard deviations; default 3"},
}
METHODS = tuple(SHOCK_KEYS)
# Name -> class of every law; `heptapod.SHOCKS | {"mine": Mine}` adds one.
SHOCKS: Mapping[str, type[AbstractShock]] = MappingProxyType(
    {
        "normal": Normal,
        "lognormal": Normal,
        "uniform": Uniform,
        "discrete": Discrete,
        "markov": Markov,
        "rouwenhorst": Autoregressive,
        "tauchen": Autoregressive,
    }
)
_CHECKS = {
    Normal: check_normal,
    Uniform: check_uniform,
    Discrete: check_discrete,
    Markov: check_markov,
    Autoregressive: check_autoregressive,
}


def read_shock(
    reader: Reader, path: Path, scope: Scope, integers: Mapping[str, int], shapes: Mapping[str, tuple[int, ...]]
) -> AbstractShock | None:
    """One shock; `None` after an error.

    **Arguments:** `scope`: the names a numeric slot may use; `integers`: the integer settings; `shapes`: the shape in one
    period of every parameter in sight, `()` for a number.
    """
    block = reader.mapping(path, None, "a shock")
    users = reader.parts.shocks
    method = reader.word((*path, "shock_method"), (*METHODS, *users), "`shock_method`", "")
    if reader.get((*path, "shock_method")) is None:
        reader.error("shock", f"`{path[-1]}` has no `shock_method`", path, f"one of {', '.join(METHODS)}", key=True)
    dimensions = tuple(reader.names((*path, "dimensions"), f"`{path[-1]}.dimensions`"))
    if reader.get((*path, "dimensions")) is None:
        reader.error("shock", f"`{path[-1]}` has no `dimensions`", path, 'e.g. dimensions: ["y"]', key=True)
    if not method or not dimensions:
        return None
    if method in users:
        return _read_users(reader, path, users[method], dimensions, scope, integers)
    _check_keys(reader, path, method, block)
    if method in ("normal", "lognormal"):
        return read_normal(reader, path, dimensions, scope, integers, shapes, method == "lognormal")
    if method == "uniform":
        return read_uniform(reader, path, dimensions, scope, integers)
    if method == "discrete":
        return read_discrete(reader, path, dimensions, scope, shapes)
    if method == "markov":
        return read_markov(reader, path, dimensions, scope, shapes)
    return read_autoregressive(reader, path, dimensions, scope, integers, method)


def _read_users(reader, path, law, dimensions, scope, integers):
    """A shock of a user's own law: its fields are its keys."""
    what, known = f"a {law.__name__} shock", {*_COMMON, "given"}
    values = read_fields(reader, path, what, law, known, scope, integers)
    given = reader.get((*path, "given"))
    if values is None:
        return None
    return law(dimensions=dimensions, **values, **({} if given is None else {"given": str(given)}))


def _check_keys(reader, path, method, block):
    """An error for every key that the method does not take, with the methods that do."""
    for key in block:
        if key in SHOCK_KEYS[method]:
            continue
        reader.poison.add(path)
        others = [m for m in METHODS if key in SHOCK_KEYS[m]]
        help = f"`{key}` is a key of {', '.join(others)}" if others else did_you_mean(str(key), SHOCK_KEYS[method])
        help = help or f"the keys are {', '.join(SHOCK_KEYS[method])}"
        reader.error("unknown-key", f"`{key}` is not a key of a {method} shock", (*path, key), help, key=True)


def check_shock(reader: Reader, path: Path, shock: AbstractShock, scope: Mapping) -> None:
    """An error for every number of a shock, at the calibration, that its law does not allow.

    **Arguments:** `scope`: a number, or an array over the periods, for every name in sight; no backend is started.
    """
    if type(shock) in _CHECKS:
        _CHECKS[type(shock)](reader, path, shock, scope)
