"""Functional objects made of others: an expectation, another's under other names, one of two."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stagecraft.functionals.functional import AbstractFunctional, States
from stagecraft.horses.arrival import arrive
from stagecraft.horses.problems import ExpectationProblem
from stagecraft.horses.solution import Answer


class Arrival(AbstractFunctional):
    """The solution on arrival: the expectation of a decision, composed where it is asked."""

    problem: ExpectationProblem
    decision: AbstractFunctional
    names: tuple[str, ...] = eqx.field(static=True)

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The names of the states."""
        return self.names

    def answer(self, states: States) -> Answer:
        """Value and marginal values at arrival states."""
        return arrive(self.problem, self.decision.at, states)


class Linked(AbstractFunctional):
    """A functional object under other names: a continuation is the next arrival with its states renamed.

    **Attributes:** `pairs`: (name here, name there); `constants`: states there that are set; `names`: all states here, those
    that end here included.
    """

    target: AbstractFunctional
    pairs: tuple[tuple[str, str], ...] = eqx.field(static=True)
    constants: dict[str, Float[Array, ""]] = eqx.field(default_factory=dict)
    names: tuple[str, ...] = eqx.field(static=True, default=())

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The names of the states on this side."""
        return self.names or tuple(here for here, _ in self.pairs)

    def answer(self, states: States) -> Answer:
        """The target's answer with its marginal values under the names of this side."""
        rank = next(iter(states.values())).ndim
        there = {name: jnp.reshape(x, (1,) * rank) for name, x in self.constants.items()}
        answer = self.target.at(there | {there: states[here] for here, there in self.pairs})
        marginal = {here: answer.marginal[there] for here, there in self.pairs if there in answer.marginal}
        return dataclasses.replace(answer.plain(), marginal=marginal)


class Either(AbstractFunctional):
    """One of two functional objects of the same states, as a flag says when it runs."""

    flag: Bool[Array, ""]
    first: AbstractFunctional
    second: AbstractFunctional

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The names of the states."""
        return self.first.dimensions

    def answer(self, states: States) -> Answer:
        """The first one's answer where the flag holds; only one of them is computed."""
        whole = jnp.broadcast_shapes(*[x.shape for x in states.values()])
        dtype = jnp.result_type(*states.values())

        def plain(functional, states):
            answer = functional.at(states).plain()
            full = lambda x: jnp.broadcast_to(x, whole)
            zero = jnp.zeros(whole, dtype)
            marginal = {name: full(answer.marginal.get(name, zero)) for name in self.dimensions}
            answer = jax.tree.map(full, dataclasses.replace(answer, marginal=marginal))
            return jax.tree.map(lambda x: x if x.dtype == bool else x.astype(dtype), answer)

        return jax.lax.cond(self.flag, lambda s: plain(self.first, s), lambda s: plain(self.second, s), states)
