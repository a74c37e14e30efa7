"""The nodes of all shocks of a model, as grids of any stage may name them."""

from collections.abc import Mapping
from typing import Any

from heptapod.errors import ANY
from heptapod.spaces.grids import nodes_key
from heptapod.stage.equations import StageReader


class Nodes:
    """The nodes of all shocks, as grids of any stage may name them."""

    def __init__(self, readings: Mapping[str, StageReader], poison: tuple[str, ...]):
        self.shocks = {(stage, name): shock for stage, r in readings.items() for name, shock in r.shocks.items()}
        self.poison = [(stage, name) for stage, r in readings.items() for name in r.draws.poison]
        self.poison += [(stage, ANY) for stage in poison]

    def seen_from(self, stage: str) -> dict:
        """By spelling: a shock of the stage itself, of the one other stage that has such a shock, or `STAGE.shock`."""
        # Of a shock in error nothing is said where a grid names it; under `ANY`, of any that is not known.
        seen: dict[str, Any] = {spelled: None for owner, name in self.poison for spelled in (f"{owner}.{name}", name)}
        for (owner, name), shock in self.shocks.items():
            entry = self._entry(owner, name, shock)
            seen[f"{owner}.{name}"] = entry
            owners = [o for o, n in self.shocks if n == name]
            if owner == stage or owners == [owner]:
                seen[name] = entry
            elif stage not in owners:
                seen[name] = f"several stages have a shock `{name}`: write {' or '.join(f'{o}.{name}' for o in owners)}"
        return seen

    def _entry(self, owner, name, shock):
        if len(shock.dimensions) != 1:
            return f"the nodes of `{name}` are joint in {len(shock.dimensions)} dimensions, and no grid of one state"
        if not shock.finite:
            return f"`{name}` is a continuous shock; its nodes are no set of values"
        return nodes_key(owner, name, shock.dimensions[0]), shock.count

    def borrowed(self):
        """(key, stage, position of the shock, dimension) of every finite one."""
        out, position = [], {}
        for (owner, name), shock in self.shocks.items():
            i = position[owner] = position.get(owner, -1) + 1
            if len(shock.dimensions) == 1 and shock.finite:
                out.append((nodes_key(owner, name, shock.dimensions[0]), owner, i, shock.dimensions[0]))
        return tuple(out)
