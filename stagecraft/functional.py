"""Functional objects: values, marginal values and policies that answer at any state, called by the state's name.

Every one of them, whether stored on knots, composed, or closed, answers `at(states)`; solving, simulating and the user call
the same method.
"""

import abc
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stagecraft._dtype import floating
from stagecraft.horses.arrival import arrive
from stagecraft.horses.evaluate import room_above
from stagecraft.horses.problems import ExpectationProblem
from stagecraft.solution import Answer

States = dict[str, Float[Array, "..."]]


class AbstractFunctional(eqx.Module):
    """A function of the states of one perch."""

    @property
    @abc.abstractmethod
    def dimensions(self) -> tuple[str, ...]:
        """The names of the states."""

    @abc.abstractmethod
    def at(self, states: States) -> Answer:
        """Value, marginal values and policies at states of one shape."""

    @property
    def value(self) -> "Named":
        """The value as a function: `sol.value(m=ms)`."""
        return Named(self, "value")

    @property
    def marginal(self) -> "Choices":
        """The marginal values as functions: `sol.marginal["m"](m=ms)`."""
        return Choices(self, "marginal", self.dimensions)


class Named(eqx.Module):
    """One number of an answer as a function: `sol.policy["c"](m=ms)`."""

    functional: AbstractFunctional
    kind: str = eqx.field(static=True)
    name: str | None = eqx.field(static=True, default=None)

    def __call__(self, **states) -> Float[Array, "..."]:
        """Evaluate, vectorised over states of broadcastable shapes; `ValueError` on a wrong name."""
        return _pick(self, _prepare(self.functional, states))


@jax.jit
def _pick(named: Named, states: States):
    answer = named.functional.at(states)
    found = getattr(answer, named.kind)
    return found if named.name is None else found[named.name]


def _prepare(functional, states) -> States:
    """Arrays of one shape and the solution's type, under the names that the functional object expects."""
    wanted = functional.dimensions
    if set(states) != set(wanted):
        given = ", ".join(sorted(states)) or "nothing"
        raise ValueError(f"this function is called with {', '.join(wanted)}; {given} given")
    floats = (x.dtype for x in jax.tree.leaves(functional) if floating(x))
    dtype = next(floats, jnp.result_type(float))
    arrays = [jnp.asarray(states[name], dtype) for name in wanted]
    return dict(zip(wanted, jnp.broadcast_arrays(*arrays), strict=True))


class Choices(eqx.Module):
    """The functions of one kind, by name."""

    functional: AbstractFunctional
    kind: str = eqx.field(static=True)
    names: tuple[str, ...] = eqx.field(static=True)

    def __getitem__(self, name: str) -> Named:
        """The function of that name; `KeyError` says which there are."""
        if name not in self.names:
            raise KeyError(f"no {self.kind} of `{name}`; there are {', '.join(self.names)}")
        return Named(self.functional, self.kind, name)

    def keys(self) -> tuple[str, ...]:
        """The names."""
        return self.names

    def __iter__(self):
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


class Arrival(AbstractFunctional):
    """The solution on arrival: the expectation of a decision, composed where it is asked."""

    problem: ExpectationProblem
    decision: AbstractFunctional
    names: tuple[str, ...] = eqx.field(static=True)

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The names of the states."""
        return self.names

    def at(self, states: States) -> Answer:
        """Value and marginal values at arrival states."""
        return arrive(self.problem, self.decision.at, states)


class Closed(AbstractFunctional):
    """A value given in closed form, as the terminal value is; its derivatives come from JAX.

    Where it is not finite (no wealth left, say) it is not feasible, and the number beside is the one just above.

    **Attributes:** `parameters`: first argument of `function`; `function`: elementwise in the states after it.
    """

    parameters: dict[str, Array]
    function: Callable = eqx.field(static=True)
    names: tuple[str, ...] = eqx.field(static=True)

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The names of the states."""
        return self.names

    def at(self, states: States) -> Answer:
        """Value and marginal values at states of one shape."""
        given = tuple(jnp.broadcast_arrays(*[states[name] for name in self.names]))
        total = lambda *xs: self.function(self.parameters, *xs) * jnp.ones_like(xs[0])
        slopes = jax.grad(lambda *xs: jnp.sum(total(*xs)), tuple(range(len(given))))
        still = jax.lax.stop_gradient(given)
        good = jnp.isfinite(total(*still) + sum(slopes(*still)))
        near = tuple(jnp.where(good, x, x + room_above(x)) for x in given)
        marginal = dict(zip(self.names, slopes(*near), strict=True))
        value = total(*near)
        return Answer(value, marginal, jnp.zeros_like(value), good, jnp.zeros_like(value))


@dataclass(frozen=True)
class ByName:
    """A user's function of named states, as `Closed` calls one; two of the same function are equal."""

    function: Callable
    names: tuple[str, ...]

    def __call__(self, parameters, *states):
        """The function at states in the order of `names`; it has no parameters."""
        del parameters
        return self.function(**dict(zip(self.names, states, strict=True)))


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

    def at(self, states: States) -> Answer:
        """The target's answer with its marginal values under the names of this side."""
        rank = next(iter(states.values())).ndim
        there = {name: jnp.reshape(x, (1,) * rank) for name, x in self.constants.items()}
        answer = self.target.at(there | {there: states[here] for here, there in self.pairs})
        marginal = {here: answer.marginal[there] for here, there in self.pairs if there in answer.marginal}
        return Answer(answer.value, marginal, answer.weight, answer.feasible, answer.outside)


class Either(AbstractFunctional):
    """One of two functional objects of the same states, as a flag says when it runs."""

    flag: Bool[Array, ""]
    first: AbstractFunctional
    second: AbstractFunctional

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The names of the states."""
        return self.first.dimensions

    def at(self, states: States) -> Answer:
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
