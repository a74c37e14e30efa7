"""Types of households: parameters that differ between them, and how many there are of each."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from heptapod.errors import ANY, did_you_mean
from heptapod.parameters.calibration import MAIN
from heptapod.parameters.declared import Declared
from heptapod.parsing.reader import Reader, complete

_WEIGHTS = "weights"


@dataclass(frozen=True)
class HouseholdTypes:
    """Ex-ante kinds of household.

    **Attributes:** `paths`: of the parameters that differ; `values`: an array (types,) for each; `weights`: that sum to one.
    """

    paths: tuple[str, ...]
    values: tuple[np.ndarray, ...]
    weights: np.ndarray


def read_types(reader: Reader, scopes: Mapping[str, Declared]) -> HouseholdTypes | None:
    """`types: {beta: [...], weights: [...]}`."""
    path = ("model", "types")
    block = reader.mapping(path, None, "`types`")
    if not block:
        return None
    before = reader.collector.count
    names = [n for n in block if n != _WEIGHTS]
    weights = _numbers(reader, (*path, _WEIGHTS))
    if block.get(_WEIGHTS) is None:
        reader.missing("types", "`types` have no `weights`", path, "weights: [...], that sum to 1")
    elif not names:
        reader.missing("types", "`types` differ in no parameter", path, "types: {beta: [0.94, 0.96], weights: [0.5, 0.5]}")
    paths = [_owner(reader, scopes, (*path, name)) for name in names]
    values = [_numbers(reader, (*path, name)) for name in names]
    for name, owner, array in zip(names, paths, values, strict=True):
        if owner is not None and array is not None:
            _check_type(reader, scopes, (*path, name), owner, array, weights)
    if weights is not None and (np.any(weights < 0) or abs(weights.sum() - 1) > 1e-8):
        what = "one is negative" if np.any(weights < 0) else f"they sum to {weights.sum():.6g}, not 1"
        reader.error("stochastic", f"the weights of the types are no shares: {what}", (*path, _WEIGHTS), "shares that sum to 1")
    owners, arrays = complete(paths), complete(values)
    if reader.collector.count > before or weights is None or owners is None or arrays is None:
        return None
    return HouseholdTypes(owners, arrays, weights)


def _owner(reader, scopes, path):
    """The path `scope.name` of the parameter that a type changes; `None` after an error."""
    name, owners = path[-1], [f"{scope}.{n}" for scope, d in scopes.items() for n in d.defaults]
    found = [p for p in owners if p == name or p.rpartition(".")[2] == name]
    if f"{MAIN}.{name}" in found:
        return f"{MAIN}.{name}"
    if len(found) == 1:
        return found[0]
    if not found and any({name, ANY} & d.poison for d in scopes.values()):
        return None
    what = "is a parameter of several scopes" if found else "is not a parameter with a value of its own"
    help = f"one of {', '.join(found)}" if found else did_you_mean(name, [p.rpartition(".")[2] for p in owners])
    return reader.error("types", f"`{name}` {what}", path, help, key=True)


def _check_type(reader, scopes, path, owner, array, weights):
    """One number for each type, inside the domain of a parameter that is one number itself."""
    scope, _, name = owner.rpartition(".")
    entry = scopes[scope].table.entries[name]
    if entry.by_age or entry.shape:
        what = "goes by age" if entry.by_age else "is a vector"
        reader.error("types", f"`{name}` {what}; types differ in numbers", path, key=True)
    elif weights is not None and len(array) != len(weights):
        reader.error("shape", f"`{name}` has {len(array)} values for {len(weights)} types", path, "one for each weight")
    elif entry.domain is not None and not np.all(entry.domain.holds(array)):
        wrong = array[~entry.domain.holds(array)][0]
        reader.error("domain", f"`{name}` = {wrong:g} lies outside its domain {entry.domain}", path)


def _numbers(reader, path):
    node = reader.get(path)
    if node is None:
        return None
    good = isinstance(node, list) and node and all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in node)
    if not good or not np.all(np.isfinite(np.asarray(node, dtype=float))):
        reader.error("type", "expected a list of finite numbers, one for each type", path)
        return None
    return np.asarray(node, dtype=float)
