"""Agents through one stage: shocks, choice, transition, and what is written down of it."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp


def pass_through(stage, decision, states, key):
    """Shocks, choice and transition of agents on arrival of one stage.

    **Returns:** what happened, by kind; for each branch who takes it; the post-states of each branch; who has a choice.
    """
    num, scope = stage.num, stage.arvl_to_dcsn.operator.parameters
    count = next(iter(states.values())).shape[0]
    given = {shock.given: states[shock.given] for shock in num.shocks if shock.given is not None}
    shocks = num.draws(scope, key, count, given)
    at = stage.arvl_to_dcsn.operator(states, shocks)
    answer = decision.at(at)
    names = tuple(b.name for b in num.branches)
    controls, taken = answer.policy, {name: jnp.ones(count, bool) for name in names}
    if answer.probability and len(answer.probability) > 1:
        place = _draw(answer.probability, decision.labels, jax.random.fold_in(key, 1_000_003))
        if num.branching:
            taken = {name: place == i for i, name in enumerate(names)}
        else:
            pick = lambda x: jnp.take_along_axis(jnp.broadcast_to(x, (x.shape[0], count)), place[None], axis=0)[0]
            controls = {name: pick(x) for name, x in decision.stack(at).policy.items()}
    pushes = stage.dcsn_to_cntn if stage.branching else {"": stage.dcsn_to_cntn}
    posts = {name: pushes[name].operator(at, controls) for name in names}
    return {"shocks": shocks, "dcsn": at, "controls": controls}, taken, posts, answer.feasible


def _draw(probability, labels, key):
    """The position of one alternative for each agent, by inverting the distribution function."""
    steps = jnp.cumsum(jnp.stack([probability[label] for label in labels]), axis=0)
    uniform = jax.random.uniform(key, steps.shape[1:], steps.dtype) * steps[-1]
    return jnp.sum(uniform[None] >= steps[:-1], axis=0)


def ends_of(posts, taken):
    """Post-states by kind; of a branching stage the branch that was taken, by position."""
    if set(posts) == {""}:
        return {"cntn": posts[""]}
    place = sum(jnp.where(goes, i, 0) for i, goes in enumerate(taken.values()))
    merged = {}
    for name, x in posts.items():
        for variable, values in x.items():
            other = merged.get(variable, jnp.full(values.shape, jnp.nan, values.dtype))
            merged[variable] = jnp.where(taken[name], values, other)
    return {"cntn": merged, "chosen": {"branch": place}}


def merged(here, **groups: Mapping) -> dict:
    """One dictionary; a name that stands on several perches is tagged with the later ones; agents elsewhere have NaN."""
    merged: dict = {}
    for place, variables in groups.items():
        for name, x in variables.items():
            x = x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.result_type(float))
            merged[name if name not in merged else f"{name}_{place}"] = jnp.where(here, x, jnp.nan)
    return merged
