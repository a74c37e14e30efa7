"""A period that leads to itself, as a map of what its stages store; and that map with as much of it as is asked for."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from stagecraft.backward.sweep import nothing, placeholders, step
from stagecraft.backward.watch import policies_of, values_of, worth_of
from stagecraft.circuit.composer import Composer
from stagecraft.functionals.composed import Either
from stagecraft.operators.pruned import closure, dependencies, pruned


class Recursion:
    """One period backward, from what the next one stores to what this one does.

    Stages are built once, so that no loop over it makes grids and nodes again.
    """

    def __init__(self, circuit):
        self.circuit, self.block, self.t = circuit, circuit.structure.blocks[0], jnp.asarray(0)
        self.stages = {name: circuit.build(name, self.t) for name in self.block.stages}
        self.start = placeholders(circuit, self.block)
        self.leaves, self.tree = jax.tree.flatten(self.start)

    def step(self, rows: dict, first: Bool[Array, ""] | None = None, hold: Callable | None = None):
        """What is stored, its health, and what continuations and tables were worth.

        **Arguments:** `first`: whether the terminal value stands in for the next period, zero where none is given; `hold`: as
        of `sweep.step`.
        """
        own = Composer(self.circuit, self.block, self.t, rows, nothing, self.stages)
        terminal = lambda name: self.circuit.terminal(name, self.t)
        onward = own.arrival if first is None else lambda name: Either(first, terminal(name), own.arrival(name))
        return step(self.circuit, self.block, self.t, onward, self.stages, hold)

    def parts(self) -> list["Part"]:
        """What is solved for one after the other: policies, then values; or policies and all where these depend on values.

        What policies alone decide in one step comes with them.
        """
        reads = dependencies(lambda rows: self.step(rows)[0], self.start)
        places = lambda judged: judged(jax.tree.unflatten(self.tree, range(len(self.leaves))))
        first = closure(reads, places(policies_of) or places(values_of))
        if first & set(places(values_of)):
            return [Part(self, first), Part(self, set(range(len(reads))))]
        decided = {i for i in range(len(reads)) if reads[i] <= first}
        return [Part(self, first, decided), Part(self, closure(reads, places(worth_of)) - first - decided)]


class Part:
    """Some leaves of what is stored, the others held where they are.

    **Arguments:** `places`: theirs among all leaves; `decided`: those of leaves that one step computes from them alone.
    """

    def __init__(self, recursion: Recursion, places: set[int], decided: set[int] | None = None):
        self.recursion, self.places, self.decided = recursion, sorted(places), sorted((decided or set()) - places)

    @property
    def whole(self) -> bool:
        """Whether these are all."""
        return len(self.places) == len(self.recursion.leaves)

    def of(self, rows: dict) -> list:
        """The leaves of this part."""
        return _picked(rows, self.places)

    def within(self, rows: dict, kept: list, told: Sequence = ()) -> dict:
        """What is stored, with this part's leaves put in place, and those that they decide."""
        leaves = jax.tree.leaves(rows)
        for place, leaf in zip([*self.places, *self.decided[: len(told)]], [*kept, *told], strict=True):
            leaves[place] = leaf
        return jax.tree.unflatten(self.recursion.tree, leaves)

    def image(self, held: dict, *more) -> Callable:
        """The map from these leaves, and `more` that a step takes, to the next ones and to those that they decide, without what
        neither depends on.
        """

        def function(kept, *more):
            new = self.recursion.step(self.within(held, kept), *more)[0]
            return self.of(new), _picked(new, self.decided)

        return pruned(function, self.of(held), *more)

    def full(self, held: dict) -> Callable:
        """The map from these leaves to the next ones, and to all that is stored and its health."""

        def function(kept):
            new, health, _ = self.recursion.step(self.within(held, kept))
            return self.of(new), (new, health)

        return function


def _picked(rows, places):
    leaves = jax.tree.leaves(rows)
    return [leaves[i] for i in places]
