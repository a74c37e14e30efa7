"""The state space of a stage: the dimensions of its perches and the grids on them."""

from collections.abc import Mapping
from dataclasses import dataclass

from heptapod.dialect import keys
from heptapod.errors import did_you_mean
from heptapod.parsing.kinds import NAME_RULE, unfit
from heptapod.parsing.parse import Scope
from heptapod.parsing.reader import Path, Reader
from heptapod.spaces.grids import AbstractGrid
from heptapod.spaces.read_grid import check_grid, read_grid

PERCHES = keys.of("`state_space`")


@dataclass(frozen=True)
class PerchSpace:
    """The dimensions of one perch in order, the grids of some of them, and whether values are stored there."""

    dimensions: tuple[str, ...]
    grids: tuple[tuple[str, AbstractGrid], ...] = ()
    tabulate: bool = False

    def grid(self, dimension: str) -> AbstractGrid | None:
        """The grid of a dimension, if it has one."""
        return dict(self.grids).get(dimension)


@dataclass(frozen=True)
class GridScope:
    """What a grid block may name.

    **Attributes:** `slots`: of numeric slots; `integers`; `shapes`: of every parameter; `nodes`: of every shock (see
    `grids.read_grid`); `numbers`: the values at the calibration.
    """

    slots: Scope
    integers: Mapping[str, int]
    shapes: Mapping[str, tuple[int, ...]]
    nodes: Mapping
    numbers: Mapping

    def read(self, reader: Reader, path: Path) -> AbstractGrid | None:
        """One grid block, checked at the calibration; `None` after an error, of its own or of a name in it."""
        grid = read_grid(reader, path, self.slots, self.integers, self.shapes, self.nodes)
        if grid is not None:
            check_grid(reader, path, grid, self.numbers)
        return grid


def continuation(branch: str) -> str:
    """The perch of a branch; the one continuation of a sequential stage has no branch name."""
    return f"cntn.{branch}" if branch else "cntn"


def read_state_space(
    reader: Reader, path: Path, scope: GridScope, branches: tuple[str, ...], lost_branches: bool = False
) -> tuple[dict[str, PerchSpace], set[str]]:
    """The perches of a stage, and those of them whose dimensions are in error; one left out has its neighbour's dimensions.

    **Arguments:** `branches`: of a branching stage, each with a perch `cntn.NAME`; `cntn` holds for those without one;
    `lost_branches`: whether their names are in error.
    """
    ends = tuple(continuation(branch) for branch in branches) or ("cntn",)
    others = [k for k in reader.mapping(path, None, "`state_space`") if k.startswith("cntn.")] if lost_branches else []
    raw = reader.mapping(path, (*PERCHES, *ends, *others), "`state_space`", "branch" if branches else None)
    perches = ("arvl", "dcsn", *ends)
    if not raw:
        if not reader.poisoned(path):
            reader.missing("state-space", "the stage has no `state_space`", path[:-1], "declare `arvl`, `dcsn` and `cntn`")
        return {p: PerchSpace(()) for p in perches}, set(perches)
    read = {p: _read_perch(reader, (*path, p), scope) for p in dict.fromkeys((*PERCHES, *ends)) if p in raw}
    spaces = {p: space for p, (space, _) in read.items()}
    unsure = {p for p, (_, good) in read.items() if not good}
    # A key that is not known may have been meant for a perch that is missed.
    lost = {p for p in perches if p not in spaces} if path in reader.poison else set()
    _fill(spaces, unsure, "arvl", "dcsn")
    _fill(spaces, unsure, "dcsn", "arvl")
    if "dcsn" not in spaces:  # The continuation alone is given: nothing changes in the stage.
        _fill(spaces, unsure, "dcsn", ends[0] if ends[0] in spaces else "cntn")
        _fill(spaces, unsure, "arvl", "dcsn")
    for end in ends:
        _fill(spaces, unsure, end, "cntn" if "cntn" in spaces else "dcsn")
    return {p: spaces.get(p, PerchSpace(())) for p in perches}, unsure | lost | {p for p in perches if p not in spaces}


def _fill(spaces, unsure, perch, neighbour):
    """Give a perch that is left out its neighbour's dimensions."""
    if perch in spaces or neighbour not in spaces:
        return
    spaces[perch] = spaces[neighbour] if neighbour == "cntn" != perch else PerchSpace(spaces[neighbour].dimensions)
    unsure |= {perch} if neighbour in unsure else set()


def _read_perch(reader, path, scope):
    """The space of one perch, and whether its dimensions are known."""
    before = reader.collector.count
    block = reader.block(path, "a perch", f"perch `{path[-1]}`")
    named = reader.names((*path, "dimensions"), f"`{path[-1]}.dimensions`")
    gridded = reader.mapping((*path, "grid"), None, "`grid`")
    if not block.get("dimensions"):
        named = [n for n in gridded if _fits(reader, (*path, "grid", n), n)]
        if not named and reader.collector.count == before:
            reader.missing("state-space", f"perch `{path[-1]}` has no dimension", path, f'{path[-1]}: {{dimensions: ["a"]}}')
    for name in gridded if reader.collector.count == before else ():
        if name not in named:
            reader.error("grid", f"a grid for `{name}`, which is not a dimension of {path[-1]}", (*path, "grid", name),
                         did_you_mean(name, named), key=True)  # fmt: skip
    good = reader.collector.count == before
    read = {name: scope.read(reader, (*path, "grid", name)) for name in gridded if name in named}
    grids = tuple((n, g) for n, g in read.items() if g is not None)
    return PerchSpace(tuple(named), grids, _tabulated(reader, path, named, gridded)), good


def _fits(reader, path, name):
    why = unfit(name)
    if why is not None:
        reader.error("name", f"`{name}` {why}", path, NAME_RULE, key=True)
    return why is None


def _tabulated(reader, path, dimensions, gridded):
    wanted = reader.flag((*path, "tabulate"), "`tabulate`")
    bare = [n for n in dimensions if n not in gridded]
    if wanted and (path[-1] != "arvl" or bare):
        why = f"`{bare[0]}` has no grid" if bare else "values are stored on arrival"
        reader.error("grid", f"`tabulate` on {path[-1]}: {why}", (*path, "tabulate"), "grids for all dimensions of `arvl`")
    return wanted
