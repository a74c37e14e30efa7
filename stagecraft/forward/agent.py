"""Agents through one stage: shocks, choice, transition, and what is written down of it."""

from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stagecraft.arrays import where
from stagecraft.horses.solution import Answer


class AgentStep(eqx.Module):
    """What happens to agents in one stage.

    **Attributes:** `arvl`, `shocks`, `dcsn`, `controls`: by name; `answer`: of the solution at the decision; `taken`: who
    takes each branch; `posts`: the post-states of each branch; `feasible`: who has a choice; `chance`: the probability of
    the alternative that was drawn, `None` where there is one only.
    """

    arvl: dict[str, Float[Array, " agents"]]
    shocks: dict[str, Float[Array, " agents"]]
    dcsn: dict[str, Float[Array, " agents"]]
    controls: dict[str, Float[Array, " agents"]]
    answer: Answer
    taken: dict[str, Bool[Array, " agents"]]
    posts: dict[str, dict[str, Float[Array, " agents"]]]
    feasible: Bool[Array, " agents"]
    chance: Float[Array, " agents"] | None = None


def pass_through(stage, decision, states, key) -> AgentStep:
    """Shocks, choice and transition of agents on arrival of one stage.

    **Arguments:** `stage`: its shocks, transitions and nature's odds are those that agents meet; `decision`: the functional
    object that they choose by.
    """
    num, scope = stage.num, stage.arvl_to_dcsn.operator.parameters
    count = next(iter(states.values())).shape[0]
    shocks = num.draws(scope, key, count, _conditions_of(num, states))
    return from_decision(stage, decision, (states, shocks, stage.arvl_to_dcsn.operator(states, shocks)), key)


def from_decision(stage, decision, before, key) -> AgentStep:
    """Choice and transition of agents at the decision.

    **Arguments:** `before`: by name, their states on arrival, what was drawn since, and their states at the decision.
    """
    num, (states, shocks, at) = stage.num, before
    answer, count = decision.at(at), next(iter(at.values())).shape[0]
    names = tuple(b.name for b in num.branches)
    controls, taken, chance = answer.policy, {name: jnp.ones(count, bool) for name in names}, None
    feasible = answer.feasible
    if len(answer.probability) > 1:
        odds, feasible = _alternatives(stage, decision, at, answer)
        place, chance = _draw(odds, jax.random.fold_in(key, 1_000_003))
        if num.branching:
            taken = {name: place == i for i, name in enumerate(names)}
        else:
            controls = {name: _take_at(x, place) for name, x in decision.stack(at).policy.items()}
    pushes = stage.dcsn_to_cntn if stage.branching else {"": stage.dcsn_to_cntn}
    posts = {name: pushes[name].operator(at, controls) for name in names}
    return AgentStep(states, shocks, at, controls, answer, taken, posts, feasible, chance)


def _conditions_of(num, states):
    return {shock.given: states[shock.given] for shock in num.shocks if shock.given is not None}


def _alternatives(stage, decision, at, answer):
    """The probability of every alternative, on a leading axis, and who has any; nature's odds are those of the stage."""
    if stage.num.choice is not None and stage.num.choice.by == "nature":
        problem, count = stage.cntn_to_dcsn.operator.problem, answer.value.shape[0]
        odds = problem.probs(problem.parameters, at)
        odds = jnp.broadcast_to(odds.reshape(odds.shape[0], -1), (odds.shape[0], count))
        return odds, jnp.all(decision.stack(at).feasible | (odds == 0), axis=0)
    return jnp.stack([answer.probability[label] for label in decision.labels]), answer.feasible


def _draw(odds, key):
    """The position of one alternative for each agent, by inverting the distribution function, and its probability."""
    steps = jnp.cumsum(odds, axis=0)
    uniform = jax.random.uniform(key, steps.shape[1:], steps.dtype) * steps[-1]
    place = jnp.sum(uniform[None] >= steps[:-1], axis=0)
    return place, _take_at(odds, place)


def _take_at(x, place):
    return jnp.take_along_axis(jnp.broadcast_to(x, (x.shape[0], place.shape[0])), place[None], axis=0)[0]


def log_odds(stage, step: AgentStep) -> Float[Array, " agents"]:
    """The logarithm of the probability of what was drawn in a stage: shocks with listed probabilities, and the choice."""
    num, scope = stage.num, stage.arvl_to_dcsn.operator.parameters
    found = log_chance(num.odds(scope, step.shocks, _conditions_of(num, step.arvl)))
    found = jnp.broadcast_to(found, step.feasible.shape)
    return found if step.chance is None else found + log_chance(step.chance)


def log_chance(probability):
    """Its logarithm; zero, without a derivative, where it is not positive, which nobody meets."""
    likely = probability > 0
    return where(likely, jnp.log(where(likely, probability, 1.0)), 0.0)


def record(step: AgentStep, active, values: bool) -> dict[str, Float[Array, " agents"]]:
    """All that is written down of agents in a stage, by name.

    **Arguments:** `active`: who passes it; `values`: whether `value`, the solution's at the decision, is among them.
    """
    sol = {"sol": {"value": step.answer.value}} if values else {}
    groups = {"shocks": step.shocks, "dcsn": step.dcsn, "controls": step.controls}
    return _one_record(active, arvl=step.arvl, **groups, **_posts(step), **sol)


def _posts(step):
    """Post-states by kind; of a branching stage the branch that was taken, by position."""
    posts, taken = step.posts, step.taken
    if set(posts) == {""}:
        return {"cntn": posts[""]}
    place = sum(where(goes, i, 0) for i, goes in enumerate(taken.values()))
    merged = {}
    for name, x in posts.items():
        for variable, values in x.items():
            other = merged.get(variable, jnp.full(values.shape, jnp.nan, values.dtype))
            merged[variable] = where(taken[name], values, other)
    return {"cntn": merged, "chosen": {"branch": place}}


def _one_record(active, **groups: Mapping) -> dict:
    """One dictionary; a name that stands on several perches is tagged with the later ones; agents elsewhere have NaN."""
    merged: dict = {}
    for place, variables in groups.items():
        for name, x in variables.items():
            x = x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.result_type(float))
            merged[name if name not in merged else f"{name}_{place}"] = where(active, x, jnp.nan)
    return merged
