"""The units of variables and parameters, which pictures write beside their names."""

from collections.abc import Iterable, Mapping

from heptapod.errors import did_you_mean
from heptapod.parsing.kinds import kind
from heptapod.parsing.reader import Path, Reader


def read_units(reader: Reader, scopes: Mapping[str, Path], variables: Iterable[str]) -> dict[str, str]:
    """Those that the model says: `{"m": "1000 euros", "CONS.R": "a year"}`.

    **Arguments:** `scopes`: where parameters of each scope are declared; `variables`: of all stages.

    A unit of something that is no variable is an error.
    """
    known, found = list(dict.fromkeys([*variables, "age"])), {}
    for name, unit in reader.mapping(("model", "units"), None, "`units`").items():
        if name not in known:
            help = did_you_mean(str(name), known) or f"the variables are {', '.join(known)}"
            reader.error("reference", f"no variable `{name}` that has a unit", ("model", "units", name), help, key=True)
        elif isinstance(unit, Mapping | list | bool):
            reader.error("type", f"a unit is text, found {kind(unit)}", ("model", "units", name), f"{name}: years")
        elif unit is not None:
            found[name] = str(unit)
    for scope, path in scopes.items():
        for name, entry in reader.mapping((*path, "parameters")).items():
            if isinstance(entry, Mapping) and entry.get("unit") is not None:
                found[f"{scope}.{name}"] = str(entry["unit"])
    return found
