"""Tells the choice horse about branches and discrete controls: names become a record, nothing is computed."""

from collections.abc import Mapping
from dataclasses import dataclass

import jax.numpy as jnp

from stagecraft.functionals.axes import Axis, combinations
from stagecraft.horses.problems import Alternative, ChoiceProblem


@dataclass(frozen=True)
class Move:
    """The transition of a branch: decision states and discrete controls to post-states."""

    branch: object

    def __call__(self, parameters, states, controls):
        """Post-states by name."""
        return self.branch.to_continuation(parameters, states, controls)


@dataclass(frozen=True)
class Worth:
    """The objective of a branch as a function of states, controls, post-states and the continuation value.

    **Attributes:** `slot`: `"objective"`, or `"recorded"`: what the stages before are told.
    """

    branch: object
    slot: str = "objective"

    def __call__(self, parameters, states, controls, posts, value):
        """Q, or V."""
        return getattr(self.branch, self.slot)({**_scope(parameters, states, controls, posts), "V[>]": value})


@dataclass(frozen=True)
class Allowed:
    """Whether a branch, or a value of a control, may be chosen: every condition of it holds."""

    branch: object

    def __call__(self, parameters, states, controls, posts):
        """The conditions together."""
        scope = _scope(parameters, states, controls, posts)
        found = [formula(scope) for _, formula in self.branch.conditions]
        good = found[0]
        for other in found[1:]:
            good = good & other
        return good


@dataclass(frozen=True)
class Probs:
    """Nature's probabilities of the branches, in order."""

    choice: object

    def __call__(self, parameters, states):
        """One for each branch, on a leading axis."""
        scope = {**parameters, **{f"{name}[~]": x for name, x in states.items()}}
        return jnp.stack(jnp.broadcast_arrays(*[formula(scope) for _, formula in self.choice.probs]))


def _scope(parameters, states, controls, posts):
    tagged = {f"{name}[~]": x for name, x in states.items()} | {f"{name}[>]": x for name, x in posts.items()}
    return {**parameters, **tagged, **controls}


def choice_problem(num, scope: Mapping, axes: tuple[Axis, ...]) -> ChoiceProblem:
    """The record of a stage that chooses, in one period.

    **Arguments:** `num`: the stage's pointwise functions; `scope`: the values that its equations see; `axes`: the sets of its
    discrete controls.
    """
    controls = {name: value for name, (_, value) in combinations(axes, 0).items()}
    alternatives = tuple(
        Alternative(controls, Move(b), Worth(b), Allowed(b) if b.conditions else None, b.plain) for b in num.branches
    )
    choice = num.choice
    if choice is None:
        return ChoiceProblem(scope, alternatives)
    if choice.by == "nature":
        return ChoiceProblem(scope, alternatives, probs=Probs(choice))
    dtype = jnp.asarray(scope["t"]).dtype
    scale = jnp.zeros((), dtype) if choice.scale is None else choice.scale(scope).astype(dtype)
    return ChoiceProblem(scope, alternatives, scale)
