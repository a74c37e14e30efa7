"""The state space of a stage: the dimensions of its three perches and the grids on them."""

from collections.abc import Mapping
from dataclasses import dataclass

from heptapod._parse import Scope
from heptapod._tree import Path, Reader
from heptapod.errors import did_you_mean
from heptapod.grids import Grid, check_grid, read_grid

PERCHES = ("arvl", "dcsn", "cntn")


@dataclass(frozen=True)
class PerchSpace:
    """The dimensions of one perch in order, and the grids of some of them."""

    dimensions: tuple[str, ...]
    grids: tuple[tuple[str, Grid], ...] = ()

    def grid(self, dimension: str) -> Grid | None:
        """The grid of a dimension, if it has one."""
        return dict(self.grids).get(dimension)


def read_state_space(
    reader: Reader, path: Path, scope: Scope, integers: Mapping[str, int], numbers: Mapping
) -> dict[str, PerchSpace]:
    """The perches of a stage; one left out has its neighbour's dimensions.

    **Arguments:** `scope`: the names of a numeric slot; `numbers`: their values at the calibration.
    """
    raw = reader.mapping(path, PERCHES, "`state_space`")
    if not raw:
        reader.error("state-space", "the stage has no `state_space`", path[:-1], "declare `arvl`, `dcsn` and `cntn`")
    spaces = {p: _read_perch(reader, (*path, p), scope, integers, numbers) for p in PERCHES if p in raw}
    bare = lambda p: PerchSpace(spaces[p].dimensions)
    if "arvl" not in spaces and "dcsn" in spaces:
        spaces["arvl"] = bare("dcsn")
    if "dcsn" not in spaces and "arvl" in spaces:
        spaces["dcsn"] = bare("arvl")
    if "cntn" not in spaces and "dcsn" in spaces:
        spaces["cntn"] = bare("dcsn")
    return {p: spaces[p] for p in PERCHES if p in spaces}


def _read_perch(reader, path, scope, integers, numbers):
    block = reader.mapping(path, ("dimensions", "grid"), f"perch `{path[-1]}`")
    named = reader.names((*path, "dimensions"), f"`{path[-1]}.dimensions`")
    gridded = reader.mapping((*path, "grid"), None, "`grid`")
    if "dimensions" in block:
        for name in gridded:
            if name not in named:
                reader.error("grid", f"a grid for `{name}`, which is not a dimension of {path[-1]}", (*path, "grid", name),
                             did_you_mean(name, named), key=True)  # fmt: skip
    dimensions = tuple(named or gridded)
    if not dimensions:
        reader.error("state-space", f"perch `{path[-1]}` has no dimension", path, key=True)
    grids = []
    for name in gridded:
        grid = read_grid(reader, (*path, "grid", name), scope, integers)
        if grid is not None:
            check_grid(reader, (*path, "grid", name), grid, numbers)
            grids.append((name, grid))
    return PerchSpace(dimensions, tuple(grids))
