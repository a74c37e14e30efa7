"""Reading the controls of a stage: bounds of the continuous ones, sets of the others; one name, one meaning."""

import re
from collections.abc import Mapping, Sequence

from heptapod.errors import ANY, ModelError, did_you_mean
from heptapod.parsing.kinds import NAME_RULE, kind, unfit
from heptapod.parsing.parse import Bounds, parse_bounds
from heptapod.parsing.reader import Path
from heptapod.spaces.grids import AbstractGrid, calibrated
from heptapod.spaces.perch_space import GridScope
from heptapod.spaces.read_grid import read_set
from heptapod.stage.scope import StageScope


def read_controls(
    scope: StageScope, math: Path, grids: GridScope, branching: bool
) -> tuple[tuple[str, ...], dict[str, AbstractGrid | None]]:
    """The names of the continuous controls, and the sets of the discrete ones, `None` for one in error."""
    reader, path = scope.reader, (*math, "controls")
    written = reader.mapping(path, None, "`controls`")
    if reader.poisoned(path):
        scope.poison.add(ANY)
    if branching and written:
        message = f"the branching stage {scope.name} chooses among its branches, and has no control"
        reader.error("structure", message, path, "put the control into a stage of its own", key=True)
        scope.poison.update(written)
        return (), {}
    continuous, discrete = (), {}
    for name, node in written.items():
        if (why := unfit(name)) is not None:
            scope.poison.add(name)
            reader.error("name", f"`{name}` {why}", (*path, name), NAME_RULE, key=True)
        elif isinstance(node, Mapping):
            discrete[name] = _set(scope, name, (*path, name), grids)
        else:
            continuous += (name,)
    return continuous, discrete


def _set(scope, name, path, grids):
    reader = scope.reader
    block = reader.block(path, "a control", f"the control `{name}`")
    if block.get("in") is None:
        help = f"a set, `{name}: {{in: [0, 1]}}`, or bounds, `{name}: 0 < {name} <= m`"
        reader.missing("bounds", f"the control `{name}` has no set", path, help)
        return None
    grid = read_set(reader, (*path, "in"), grids.slots, grids.integers, grids.shapes, grids.nodes)
    values = None if grid is None else calibrated(grid, grids.numbers)
    columns = () if values is None else values.reshape(len(values), -1).T
    if grid is not None and any(len(set(column)) < len(column) for column in columns):
        reader.error("grid", f"the set of `{name}` names a value twice", (*path, "in"), "a set holds each value once",
                     about=grid.vector)  # fmt: skip
    return grid


def read_bounds(scope: StageScope, math: Path, controls: tuple[str, ...], sets: Sequence[str] = ()) -> dict[str, Bounds] | None:
    """The bounds of every continuous control, in states, the other controls and parameters; `None` after an error."""
    reader, out, good = scope.reader, {}, True
    for name in controls:
        path = (*math, "controls", name)
        text, help = reader.get(path), f"bounds, `{name}: 0 < {name} <= m`, or a set, `{name}: {{in: [0, 1]}}`"
        if not isinstance(text, str):
            good = reader.error("bounds", f"the control `{name}` needs its bounds, found {kind(text)}", path, help)
            continue
        seen = scope.perches(("dcsn",), (*controls, *sets), None, f"bounds of {name}")
        try:
            out[name] = parse_bounds(text, name, seen, reader.mark(path))
        except ModelError as error:
            good = reader.take(error, seen)
            scope.poison.update(re.findall(r"\w+", text))
    return out if good else None


def _kind(scope: StageScope, name: str) -> str:
    return "setting" if name in scope.settings else "parameter"


def check_names(scope: StageScope, math: Path, shocks: Mapping, drawn: tuple[str, ...], controls: Sequence[str]) -> None:
    """One name, one meaning: no state, shock or control shares its name with a parameter or another of them."""
    reader, own = scope.reader, {*scope.parameters, *scope.settings}
    for perch, space in scope.spaces.items():
        for name in space.dimensions:
            block = (*math, "state_space", perch)
            if name in own and reader.get(block) is not None:
                message = f"`{name}` is a state on {perch} and a {_kind(scope, name)}"
                reader.error("name", message, block, "rename one of them", key=True)
    spaces = {perch: () if scope.perch_poisoned(perch) else space.dimensions for perch, space in scope.spaces.items()}
    arrival = spaces["arvl"]
    for name in dict.fromkeys(drawn):
        if name in own or drawn.count(name) > 1 or name in arrival:
            place = next((s for s, shock in shocks.items() if name in shock.dimensions), None)
            path = (*math, "shocks") if place is None else (*math, "shocks", place, "dimensions")
            scope.poison.add(ANY)  # What was meant for the name that it has is not known.
            other = _kind(scope, name) if name in own else "state" if name in arrival else "draw of another shock"
            message = f"the shock `{name}` shares its name with a {other}"
            reader.error("name", message, path, "rename one of them")
    before = {n for p in ("arvl", "dcsn") for n in spaces[p]}
    for name in controls:
        if name in own or name in before or name in drawn:
            other = _kind(scope, name) if name in own else "state" if name in before else "shock"
            message = f"the control `{name}` shares its name with a {other}"
            reader.error("name", message, (*math, "controls", name), "rename one of them", key=True)
    for shock_name, shock in shocks.items():
        if shock.given is not None and shock.given not in arrival and not scope.perch_poisoned("arvl"):
            scope.poison.add(shock.given)
            reader.error("markov", f"`given: {shock.given}` is not a state on arrival ({', '.join(arrival)})",
                         (*math, "shocks", shock_name, "given"), did_you_mean(shock.given, arrival))  # fmt: skip
