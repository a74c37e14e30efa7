"""Functional objects: values, marginal values and policies that answer at any state, called by the state's name.

Every one of them, whether stored on knots, composed, or closed, answers `at(states)`; solving, simulating and the user call
the same method.
"""

import abc
import dataclasses
import warnings
import weakref
from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from stagecraft.arrays import floating, listed, page, shown, traced, where
from stagecraft.horses.solution import Answer

States = dict[str, Float[Array, "..."]]


class AbstractFunctional(eqx.Module):
    """A function of the states of one perch."""

    @property
    @abc.abstractmethod
    def dimensions(self) -> tuple[str, ...]:
        """The names of the states."""

    @abc.abstractmethod
    def answer(self, states: States) -> Answer:
        """Value, marginal values and policies at states of one shape; infeasible ones have finite numbers and are marked."""

    def at(self, states: States | None = None, /, **named) -> Answer:
        """All that is known at some states: `value`, `policy`, `marginal`, `outside`, `feasible`.

        **Arguments:** the states by name, `sol.at(m=ms)`, of broadcastable shapes; or, for methods that solve and follow,
        a dictionary of arrays of one shape.

        **Returns:** an `Answer`. Asked by name it is NaN where no choice is feasible, and `outside` counts the grids of passive
        states, too; asked by a dictionary its numbers are finite everywhere.
        """
        if states is not None and not named:
            return self.answer(states)
        return _ask(self, prepared(self, () if states is None else (states,), named))

    @property
    def decided(self) -> tuple[str, ...]:
        """The names of what is chosen, none away from a decision."""
        return ()

    def __repr__(self) -> str:
        of = ", ".join(self.dimensions)
        rows = [("policy", ", ".join(self.policy.keys()))] if len(self.policy) else []
        rows += [("at", f"sol.at({', '.join(f'{name}=...' for name in self.dimensions)})")]
        return listed(f"{type(self).__name__}: value and marginal values of {of}", [*rows, *self.grids])

    def _repr_html_(self) -> str:
        return page(repr(self))

    @property
    def grids(self) -> list[tuple[str, str]]:
        """In words, the knots along every axis of what is stored."""
        return [(axis.name, shown(axis.values)) for axis in getattr(self, "axes", ())]

    @property
    def gridded(self) -> tuple:
        """The grids of continuous passive states, beyond which one may be asked; none where nothing is stored by them."""
        return tuple(axis for axis in getattr(self, "axes", ()) if not axis.discrete)

    @property
    def last_knots(self) -> dict[str, float]:
        """The last knot along every state with knots of its own, the largest of all rows."""
        return {axis.name: float(axis.values[-1]) for axis in self.gridded}

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

    def __call__(self, *unnamed, **states) -> Float[Array, "..."]:
        """Evaluate, vectorised over states of broadcastable shapes; NaN where no choice is feasible.

        **Raises:** `ValueError` on a wrong name, or a state without one. Warns once of states beyond the grid.
        """
        given = prepared(self.functional, unnamed, states)
        found, outside = _pick(self, given)
        if not traced(found, outside, given):
            _warn_of_outside(self, given, np.asarray(outside))
        return found

    def of(self, answer: Answer) -> Float[Array, "..."]:
        """This number in an answer of the functional object, or of one like it."""
        found = getattr(answer, self.kind)
        return found if self.name is None else found[self.name]

    def __repr__(self) -> str:
        return f"{self} of {', '.join(self.functional.dimensions)}, on {type(self.functional).__name__}"

    def __str__(self) -> str:
        return self.kind if self.name is None else f'{self.kind}["{self.name}"]'


@jax.jit
def _ask(functional: AbstractFunctional, states: States) -> Answer:
    """What users are told: of one shape, without numbers where there is no choice, and beyond passive grids marked."""
    answer = functional.answer(states)
    full = lambda x: jnp.broadcast_to(x, answer.value.shape)
    answer = jax.tree.map(full, answer)
    beyond = jnp.zeros((), bool)
    for axis in functional.gridded:
        x, room = states[axis.name], 1e-9 * (1.0 + jnp.max(jnp.abs(axis.values)))
        beyond |= (x < axis.values[0] - room) | (x > axis.values[-1] + room)
    outside = jax.lax.stop_gradient(full(where(beyond, 1.0, answer.outside)))
    clean = lambda x: where(answer.feasible, x, jnp.nan) if floating(x) else x
    marked = jax.tree.map(clean, answer)
    return dataclasses.replace(marked, weight=answer.weight, outside=outside)


@jax.jit
def _pick(named: Named, states: States):
    answer = _ask(named.functional, states)
    return named.of(answer), answer.outside


def prepared(functional: AbstractFunctional, unnamed: tuple, states: Mapping) -> States:
    """Arrays of one shape and the solution's type, under the names that the functional object expects."""
    wanted = functional.dimensions
    if unnamed or set(states) != set(wanted):
        call = ", ".join(f"{name}=..." for name in wanted)
        given = "a state without its name" if unnamed else ", ".join(sorted(states)) or "nothing"
        raise ValueError(f"this function is called with {', '.join(wanted)}; {given} given; write ({call})")
    floats = (x.dtype for x in jax.tree.leaves(functional) if floating(x))
    dtype = next(floats, jnp.result_type(float))
    arrays = [jnp.asarray(states[name], dtype) for name in wanted]
    return dict(zip(wanted, jnp.broadcast_arrays(*arrays), strict=True))


_warned: dict[int, set[str]] = {}


def _warn_of_outside(named: Named, states: States, outside) -> None:
    """Say once of each function that it was asked beyond the grid: where, of how many states, and how far."""
    functional, off = named.functional, outside > 0
    if off.any() and id(functional) not in _warned:
        _warned[id(functional)] = set()
        weakref.finalize(functional, _warned.pop, id(functional), None)
    if not off.any() or str(named) in _warned[id(functional)]:
        return
    _warned[id(functional)].add(str(named))
    last, spans, share = functional.last_knots, [], f"at {off.mean():.1%} of the states"
    first = {axis.name: float(axis.values[0]) for axis in functional.gridded}
    own = not set(states) <= set(last)  # What has no knots of its own is not known to lie inside.
    for name, x in states.items():
        x = np.broadcast_to(np.asarray(x), off.shape)[off]
        own |= x.max() > last.get(name, np.inf) or x.min() < first.get(name, -np.inf)
        spans.append(f"{name} up to {x.max():.4g}" + (f", where the last knot is {last[name]:.4g}" if name in last else ""))
    if own:
        what, raised = f"was asked beyond the grid {share} ({'; '.join(spans)}), and is extrapolated there", "the grid, or"
    else:
        what = f"leads beyond the grid of the post-states {share}, though these lie inside their own ({'; '.join(spans)})"
        raised = "theirs, or take more knots where a constraint binds, which a line between knots may break;"
    warnings.warn(f"{named} {what}; raise the `max` of {raised} ask `sol.at(...).outside` where", stacklevel=3)


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

    def __repr__(self) -> str:
        call = ", ".join(f"{name}=..." for name in self.functional.dimensions)
        return f"{self.kind} of {', '.join(self.names) or 'nothing'}: {self.kind}[name]({call})"

    def __iter__(self):
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)
