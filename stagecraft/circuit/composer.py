"""The functional objects of one period: stored where rows are, composed where they are asked for."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from stagecraft.circuit.stage import Stage
from stagecraft.functionals.axes import continuation_of
from stagecraft.functionals.composed import Arrival, Either, Linked
from stagecraft.functionals.decision import Tabulated
from stagecraft.functionals.functional import AbstractFunctional
from stagecraft.functionals.kinked import table_kinks
from stagecraft.horses.solution import Table
from stagecraft.horses.stored import AbstractStored
from stagecraft.households.cells import cells


class Composer:
    """One period of a circuit, while it is solved or looked at.

    **Arguments:** `circuit`; `block`: its kind; `t`: the period; `stored`: what its stages store; `onward`: the functional
    object on arrival of a stage of the next period, by name; `stages`: those that are built already.
    """

    def __init__(
        self,
        circuit,
        block,
        t,
        stored: Mapping[str, AbstractStored],
        onward: Callable[[str], AbstractFunctional],
        stages: Mapping[str, Stage] | None = None,
    ):
        self.circuit, self.block, self.t, self.stored, self.onward = circuit, block, t, dict(stored), onward
        self._stages: dict[str, Stage] = dict(stages or {})
        self._arrivals: dict[str, AbstractFunctional] = {}
        self._decisions: dict[str, AbstractFunctional] = {}

    def stage(self, name: str) -> Stage:
        """A stage of this period, its solution still empty."""
        if name not in self._stages:
            self._stages[name] = self.circuit.build(name, self.t)
        return self._stages[name]

    def arrival(self, name: str) -> AbstractFunctional:
        """The solution of a stage on arrival."""
        if name not in self._arrivals:
            num = self.circuit.structure.stage(name)
            stored = self.stored.get(name)
            if isinstance(stored, Table):
                axes = cells(self.circuit, name, self.t)
                kinks = table_kinks(axes, stored.answer) if num.interp != "linear" and chooses_hard(self.circuit) else None
                self._arrivals[name] = Tabulated(stored, axes, num.interp, kinks)
            else:
                self._arrivals[name] = self.composed(name)
        return self._arrivals[name]

    def composed(self, name: str) -> Arrival:
        """The expectation of the decision, whatever is stored on arrival."""
        return self.stage(name).dcsn_to_arvl.operator(self.decision(name))

    def decision(self, name: str) -> AbstractFunctional:
        """The solution of a stage at its decision: its rows, or the choice among what follows."""
        if name not in self._decisions:
            operator, stored = self.stage(name).cntn_to_dcsn.operator, self.stored.get(name)
            if stored is not None and not isinstance(stored, Table):
                self._decisions[name] = operator.decide(stored)
            else:
                self._decisions[name] = operator(*self.continuations(name))
        return self._decisions[name]

    def continuations(self, name: str) -> tuple[AbstractFunctional, ...]:
        """What follows each branch of a stage, under the names of its post-states."""
        return tuple(self.continuation(name, branch.name) for branch in self.circuit.structure.stage(name).branches)

    def continuation(self, name: str, branch: str) -> AbstractFunctional:
        """What follows one branch."""
        link = self.block.following(name, branch)
        target = self.onward(link.target) if link.crosses else self.arrival(link.target)
        return linked(self.circuit, link, target, self.t)


def chooses_hard(circuit) -> bool:
    """Whether a stage takes the best of finitely many alternatives without taste shocks, which round every switch off."""
    choices = [num.choice for block in circuit.structure.blocks for num in map(circuit.structure.stage, block.stages)]
    return any(choice is not None and choice.by == "agent" and choice.scale is None for choice in choices)


def period_at(circuit, kind: int, t, last: bool | None = None) -> Composer:
    """Period `t` of a solved circuit, and what follows it.

    **Arguments:** `kind`: the position of its block; `last`: whether it is the last of that kind, `None` where this is not
    known before the program runs.
    """
    block = circuit.structure.blocks[kind]
    return Composer(circuit, block, t, _stored(circuit, kind, t - block.first), _onward(circuit, kind, t, last))


def _onward(circuit, kind, t, last):
    """The arrivals of the period after `t`: of the same kind, of the next, or the terminal values."""
    block = circuit.structure.blocks[kind]
    finite = circuit.structure.horizon is not None
    if last is None and finite and block.first < block.last:
        changes, stays = (_onward(circuit, kind, t, x) for x in (True, False))
        return lambda name: Either(t == block.last, changes(name), stays(name))
    kind += finite if last is None else last
    if kind == len(circuit.structure.blocks):
        return lambda name: circuit.terminal(name, t + 1)
    block = circuit.structure.blocks[kind]
    stored = _stored(circuit, kind, jnp.clip(t + 1 - block.first, 0, block.last - block.first))
    return Composer(circuit, block, t + 1, stored, lambda name: circuit.terminal(name, t + 2)).arrival


def _stored(circuit, kind, i):
    """What the stages store in the `i`-th period of a kind."""
    return jax.tree.map(lambda x: x[i], circuit.stored[kind])


def linked(circuit, link, target: AbstractFunctional, t) -> Linked:
    """The functional object of a target under the names of a connection's source."""
    scope = circuit.scope(link.source, t) if link.constants else {}
    constants = {name: jnp.asarray(formula(scope), scope["t"].dtype) for name, formula in link.constants}
    states = circuit.structure.stage(link.source).dimensions(continuation_of(link.branch))
    return Linked(target, link.mapping, constants, states)
