"""Functional objects: values, marginal values and policies that answer at any state, called by the state's name.

Every one of them, whether stored on knots, composed, or closed, answers `at(states)`; solving, simulating and the user call
the same method.
"""

import abc
from collections.abc import Callable
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagecraft.arrays import floating, room_above
from stagecraft.horses.solution import Answer

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
    def decided(self) -> tuple[str, ...]:
        """The names of what is chosen, none away from a decision."""
        return ()

    @property
    def policy(self) -> "Choices":
        """The policies as functions: `sol.policy["c"](m=ms)`."""
        return Choices(self, "policy", self.decided)

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
        none = jnp.zeros_like(value)
        return Answer(value=value, marginal=marginal, weight=none, feasible=good, outside=none)


@dataclass(frozen=True)
class ByName:
    """A user's function of named states, as `Closed` calls one; two of the same function are equal."""

    function: Callable
    names: tuple[str, ...]

    def __call__(self, parameters, *states):
        """The function at states in the order of `names`; it has no parameters."""
        del parameters
        return self.function(**dict(zip(self.names, states, strict=True)))
