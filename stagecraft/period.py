"""The period: the stages that an agent passes between two ticks of the clock."""

import equinox as eqx
from jaxtyping import Array, Int

from stagecraft import _show
from stagecraft.circuit_board import CircuitBoard
from stagecraft.stage import Stage


class Period(eqx.Module):
    """One period of a circuit.

    **Attributes:** `stages`: by name, in the order of the file; `t`: its index.
    """

    stages: dict[str, Stage]
    t: Int[Array, ""]

    def __getitem__(self, name: str) -> Stage:
        """A stage by name; `KeyError` says which there are."""
        if name not in self.stages:
            raise KeyError(f"no stage `{name}`; there are {', '.join(self.stages)}")
        return self.stages[name]

    @property
    def board(self) -> CircuitBoard:
        """The perches of all stages, `CONS.arvl` and so on, with the movers inside each stage."""
        return boards(self.stages, ())

    def __repr__(self) -> str:
        return _show.text("Period", self._rows())

    def _repr_html_(self) -> str:
        return _show.page("Period", self._rows(), self.board)

    def _rows(self) -> list[tuple[str, str]]:
        rows = [(name, "solved" if stage.solved else "not solved") for name, stage in self.stages.items()]
        return [("t", _show.value(self.t)), *rows]


def boards(names, links) -> CircuitBoard:
    """A board from the structure alone, so that drawing it computes nothing; `links` lead to the next period."""
    perches, groups, forward = [], {}, []
    for name in names:
        own = [f"{name}.{p}" for p in ("arvl", "dcsn", "cntn")]
        perches += own
        groups |= dict.fromkeys(own, name)
        forward += [(own[0], own[1]), (own[1], own[2])]
    forward += [(f"{link.source}.cntn", f"{link.target}.arvl") for link in links]
    backward = [(target, source) for source, target in forward]
    return CircuitBoard(perches, forward=forward, backward=backward, groups=groups)
