"""Tells the choice horse about branches and discrete controls: names become a record, nothing is computed."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import jax.numpy as jnp
from jaxtyping import Array, Float

from stagecraft.functionals.axes import Axis, combinations
from stagecraft.horses.problems import Alternative, ChoiceProblem
from stagecraft.whisperers.bound import Bound, States, all_hold, scope_of

if TYPE_CHECKING:
    from heptapod import Branch, NumericProblem


def move(branch: "Branch", parameters: Mapping, states: States, controls: States) -> dict[str, Float[Array, "..."]]:
    """The post-states of a branch by name, from decision states and controls."""
    return branch.to_continuation(parameters, states, controls)


def worth_of(branch: "Branch", slot: str, parameters: Mapping, states: States, controls: States, posts: States, value):
    r"""The objective of a branch, $Q(x_v, c, x_e, V)$.

    **Arguments:** `slot`: `"objective"`, or `"recorded"`: what the stages before are told.
    """
    return getattr(branch, slot)({**scope_of(parameters, states, controls, posts), "V[>]": value})


def _branch_allowed(branch, parameters, states, controls, posts):
    """Whether a branch, or a value of a control, may be chosen."""
    return all_hold([formula for _, formula in branch.conditions], scope_of(parameters, states, controls, posts))


def _probs(choice, parameters, states):
    """Nature's probabilities of the branches, in order, on a leading axis."""
    scope = scope_of(parameters, states)
    return jnp.stack(jnp.broadcast_arrays(*[formula(scope) for _, formula in choice.probs]))


def choice_problem(num: "NumericProblem", scope: Mapping[str, Array], axes: tuple[Axis, ...]) -> ChoiceProblem:
    """The record of a stage that chooses, in one period.

    **Arguments:** `num`: the stage's pointwise functions; `scope`: the values that its equations see; `axes`: the sets of its
    discrete controls.
    """
    controls = {name: value for name, (_, value) in combinations(axes, 0).items()}
    alternatives = tuple(_alternative(branch, controls) for branch in num.branches)
    choice = num.choice
    if choice is None:
        return ChoiceProblem(scope, alternatives)
    if choice.by == "nature":
        return ChoiceProblem(scope, alternatives, probs=Bound(_probs, (choice,)))
    dtype = jnp.asarray(scope["t"]).dtype
    scale = jnp.zeros((), dtype) if choice.scale is None else choice.scale(scope).astype(dtype)
    return ChoiceProblem(scope, alternatives, scale)


def _alternative(branch, controls) -> Alternative:
    allowed = Bound(_branch_allowed, (branch,)) if branch.conditions else None
    return Alternative(controls, Bound(move, (branch,)), Bound(worth_of, (branch, "objective")), allowed, branch.plain)
