"""The period: the stages that an agent passes between two ticks of the clock."""

import equinox as eqx
from jaxtyping import Array, Int

from stagecraft.board import show
from stagecraft.board.circuit_board import CircuitBoard
from stagecraft.circuit.stage import Stage
from stagecraft.functionals.axes import continuation_of
from stagecraft.pictures.profiles import clock_of

_KINDS = 6  # That a picture shows side by side.


class Period(eqx.Module):
    """One period of a circuit.

    **Attributes:** `stages`: by name, in forward order; `t`: its index; `links`: the connections that hold.
    """

    stages: dict[str, Stage]
    t: Int[Array, ""]
    links: tuple = eqx.field(static=True, default=())

    def __getitem__(self, name: str) -> Stage:
        """The stage `name`; `KeyError` says which there are."""
        if name not in self.stages:
            raise KeyError(f"no stage `{name}`; there are {', '.join(self.stages)}")
        return self.stages[name]

    @property
    def board(self) -> CircuitBoard:
        """The perches of all stages, `CONS.arvl` and so on, with the movers inside each stage and the connections between."""
        return boards([stage.num for stage in self.stages.values()], [link for link in self.links if not link.crosses])

    def __repr__(self) -> str:
        return show.text("Period", self._lines())

    def _repr_html_(self) -> str:
        return show.page("Period", self._lines(), self.board)

    def _lines(self) -> list[tuple[str, str]]:
        rows = [(name, "solved" if stage.solved else "not solved") for name, stage in self.stages.items()]
        return [("t", show.value(self.t)), *rows]


def folded(structure) -> CircuitBoard:
    """The kinds of period in order, each with its stages and those connections that hold in it; one kind is drawn as it is.

    More than `_KINDS` of them are laid on top of each other, since nobody could read the picture.
    """
    blocks = structure.blocks
    if not 1 < len(blocks) <= _KINDS:
        return boards(structure.stages, structure.links)
    names = {(k, name): f"{name}, {_when(structure, block)}" for k, block in enumerate(blocks) for name in block.stages}
    perches, groups, forward = [], {}, []
    for k, block in enumerate(blocks):
        for name in block.stages:
            ends = [continuation_of(branch.name) for branch in structure.stage(name).branches]
            own = [f"{names[k, name]}.{perch}" for perch in ("arvl", "dcsn", *ends)]
            perches += own
            groups |= dict.fromkeys(own, names[k, name])
            forward += [(own[0], own[1]), *[(own[1], end) for end in own[2:]]]
        for link in block.links:
            onward = [k] * (not link.crosses or block.last > block.first) + [k + 1] * link.crosses
            targets = [names[j, link.target] for j in onward if (j, link.target) in names]
            source = f"{names[k, link.source]}.{continuation_of(link.branch)}"
            forward += [(source, f"{target}.arvl") for target in targets]
    return CircuitBoard(perches, forward=forward, backward=[(b, a) for a, b in forward], groups=groups)


def _when(structure, block) -> str:
    """The ages, or else the periods, of a kind of period."""
    word, when = clock_of(structure.calibration.age, (block.first, block.last))
    ends = [f"{x:g}" for x in when]
    many = ends[0] != ends[1]
    return f"{word}{'s' * many} {' to '.join(ends) if many else ends[0]}"


def boards(stages, links) -> CircuitBoard:
    """A board from the structure alone, so that drawing it computes nothing.

    **Arguments:** `stages`: their pointwise functions, which know their branches; `links`: connections between stages.
    """
    perches, groups, forward = [], {}, []
    for num in stages:
        ends = [f"{num.name}.{continuation_of(b.name)}" for b in num.branches]
        own = [f"{num.name}.arvl", f"{num.name}.dcsn", *ends]
        perches += own
        groups |= dict.fromkeys(own, num.name)
        forward += [(own[0], own[1]), *[(own[1], end) for end in ends]]
    forward += [(f"{link.source}.{continuation_of(link.branch)}", f"{link.target}.arvl") for link in links]
    forward = list(dict.fromkeys(forward))
    return CircuitBoard(perches, forward=forward, backward=[(b, a) for a, b in forward], groups=groups)
