"""Replacing values in `{scope: {name: array}}`: strict about names, shapes and domains."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from stagecraft.arrays import traced


def replace(what: str, old: Mapping, new: Mapping, leaves: Mapping, calibration) -> dict:
    """`old` with the values of `new` cast to its types.

    **Arguments:** `what`: parameter or setting; `new`: flat paths or nested; `leaves`: the entries with their domains.

    **Raises:** `ValueError` naming the path.
    """
    result = {scope: dict(names) for scope, names in old.items()}
    for path, value in _flat(new).items():
        scope, _, name = path.rpartition(".")
        if name not in result.get(scope, {}):
            raise ValueError(f"no {what} `{path}`; {_advice(path, old, calibration)}")
        entry = leaves.get(path)
        result[scope][name] = _cast(what, path, value, result[scope][name], entry is not None and entry.by_age)
        if entry is not None and entry.domain is not None:
            _check_domain(path, result[scope][name], entry, calibration)
    return result


def _flat(new: Mapping) -> dict:
    if not isinstance(new, Mapping):
        raise ValueError(f'expected {{"scope.name": value}}, found {new!r}')
    flat = {}
    for scope, value in new.items():
        if isinstance(value, Mapping):
            flat |= {f"{scope}.{name}": x for name, x in value.items()}
        else:
            flat[str(scope)] = value
    return flat


def _advice(path: str, old: Mapping, calibration) -> str:
    """What the caller may have meant: an owner further up, a definition, a size, a name close by."""
    from heptapod.errors import did_you_mean

    scope, _, name = path.rpartition(".")
    tables = {table.name: table.entries for table in calibration.scopes}
    entry = tables.get(scope, {}).get(name)
    if entry is not None and entry.kind == "reference":
        return f"it is inherited: set `main.{entry.target}`"
    if entry is not None and entry.kind == "definition":
        return "it is a definition, computed from parameters: set those"
    if entry is not None and entry.kind == "integer":
        return "it is a size and static: change it in the model"
    paths = [f"{s}.{n}" for s, names in old.items() for n in names]
    same = [p for p in paths if p.rpartition(".")[2] == (name or path)]
    if same:
        return f"did you mean {' or '.join(f'`{p}`' for p in same)}?"
    return did_you_mean(path, paths) or f"there are {', '.join(paths) or 'none'}"


def _cast(what, path, value, old, by_age):
    """An array of the shape and type of the old one; what is the same at every age may be given once."""
    if isinstance(value, str) or value is None:
        raise ValueError(f"{what} `{path}` must be a number or an array, found {value!r}")
    try:
        value = jnp.asarray(value, old.dtype)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what} `{path}` must be a number or an array: {error}") from None
    if by_age and value.shape == old.shape[1:]:
        value = jnp.broadcast_to(value, old.shape)
    if value.shape != old.shape:
        raise ValueError(f"{what} `{path}` has shape {old.shape}; {value.shape} given")
    return value


def _check_domain(path, value, entry, calibration):
    if traced(value):
        return  # The solve checks again and carries the outcome.
    holds = np.asarray(entry.domain.holds(np.asarray(value)))
    if holds.all():
        return
    place, wrong = "", np.asarray(value)
    if entry.by_age:
        t = int(np.argmin(holds.reshape(holds.shape[0], -1).all(axis=1)))
        age = "" if calibration.age is None else f" (age {calibration.age[0] + calibration.age[1] * t:g})"
        place, wrong = f" in period {t}{age}", wrong[t]
    raise ValueError(f"parameter `{path}` = {np.ravel(wrong)[0]:g}{place} lies outside its domain {entry.domain}")
