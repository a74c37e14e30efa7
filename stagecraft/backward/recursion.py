"""A period that leads to itself, as a map of what its stages store; and that map with as much of it as is asked for."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from stagecraft.backward.sweep import nothing, placeholders, step
from stagecraft.backward.watch import policies_of, values_of, worth_of
from stagecraft.circuit.composer import Composer
from stagecraft.functionals.composed import Either
from stagecraft.operators.pruned import dependencies, pruned


class Recursion:
    """One period backward, from what the next one stores to what this one does.

    Stages are built once, so that no loop over it makes grids and nodes again.
    """

    def __init__(self, circuit):
        self.circuit, self.block, self.t = circuit, circuit.structure.blocks[0], jnp.asarray(0)
        self.stages = {name: circuit.build(name, self.t) for name in self.block.stages}
        self.start = placeholders(circuit, self.block)
        self.leaves, self.tree = jax.tree.flatten(self.start)

    def step(self, rows: dict, first: Bool[Array, ""] | None = None):
        """What is stored, its health, and what continuations were worth.

        **Arguments:** `first`: whether the terminal value stands in for the next period, zero where none is given.
        """
        own = Composer(self.circuit, self.block, self.t, rows, nothing, self.stages)
        terminal = lambda name: self.circuit.terminal(name, self.t)
        onward = own.arrival if first is None else lambda name: Either(first, terminal(name), own.arrival(name))
        return step(self.circuit, self.block, self.t, onward, self.stages)

    def parts(self) -> list["Part"]:
        """What is solved for one after the other: policies, then values; or policies and all where these depend on values."""
        apply, count = lambda rows: self.step(rows)[0], len(self.leaves)
        places = lambda judged: judged(jax.tree.unflatten(self.tree, range(count)))
        needed = lambda found: dependencies(apply, self.start, [i in found for i in range(count)])
        first = needed(places(policies_of) or places(values_of))
        if any(first[i] for i in places(values_of)):
            return [Part(self, first), Part(self, [True] * count)]
        worth = needed(places(worth_of))
        return [Part(self, first), Part(self, [w and not f for w, f in zip(worth, first, strict=True)])]


class Part:
    """Some leaves of what is stored, the others held where they are."""

    def __init__(self, recursion: Recursion, part: list[bool]):
        self.recursion, self.part = recursion, part

    @property
    def whole(self) -> bool:
        """Whether these are all."""
        return all(self.part)

    def of(self, rows: dict) -> list:
        """The leaves of this part."""
        return [x for x, own in zip(jax.tree.leaves(rows), self.part, strict=True) if own]

    def within(self, rows: dict, kept: list) -> dict:
        """What is stored, with this part's leaves put in place."""
        given = iter(kept)
        leaves = [next(given) if own else x for x, own in zip(jax.tree.leaves(rows), self.part, strict=True)]
        return jax.tree.unflatten(self.recursion.tree, leaves)

    def image(self, held: dict, *more) -> Callable:
        """The map from these leaves, and `more` that a step takes, to the next ones, without what they do not depend on."""
        function = lambda kept, *more: self.of(self.recursion.step(self.within(held, kept), *more)[0])
        return pruned(function, self.of(held), *more)
