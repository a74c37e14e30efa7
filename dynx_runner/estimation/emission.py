"""What is seen of a decision: the probability of the alternative, and densities of what is measured with an error."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dynx_runner.estimation import adapter
from dynx_runner.estimation.arrays import Plan, StageArrays
from dynx_runner.estimation.densities import log_normal, log_positive, log_sum
from dynx_runner.estimation.plan import Seen, state_column

_NEAR = 1e-6


def combinations(circuit, seen: Seen, t) -> tuple[dict[str, Float[Array, " hidden"]], int]:
    """The values of the hidden states in every combination, and how many there are."""
    sets = [jnp.asarray(adapter.set_of(circuit, seen.name, name, t)) for name in seen.hidden]
    grids = jnp.meshgrid(*sets, indexing="ij")
    count = int(np.prod([x.shape[0] for x in sets])) if sets else 1
    return {name: x.ravel() for name, x in zip(seen.hidden, grids, strict=True)}, count


def same(x, y):
    """Whether two numbers agree to rounding."""
    return jnp.abs(x - y) <= _NEAR * (1.0 + jnp.abs(y))


def agrees(seen, value):
    """Whether a value is what was seen, or nothing was."""
    return jnp.isnan(seen) | same(value, jnp.nan_to_num(seen))


def states_of(circuit, seen: Seen, t, values) -> dict[str, Float[Array, "rows hidden"]]:
    """The decision states of rows in one period, for every combination of what is hidden."""
    combos, count = combinations(circuit, seen, t)
    some = next(iter(values.values()))
    full = lambda x: jnp.broadcast_to(x, (*some.shape, count))
    num, at = circuit.structure.stage(seen.name), {}
    given = {name: jnp.nan_to_num(values[name]) for name in seen.of("arrival", "shock")}
    moved = {}
    if seen.computed:
        zero = jnp.zeros_like(some)
        known = {name: given.get(name, zero) for name in (*num.dimensions("arvl"), *_drawn(num))}
        moved = num.to_decision(circuit.scope(seen.name, t), known)
    for name in num.dimensions("dcsn"):
        if name in seen.hidden:
            at[name] = full(combos[name])
        elif name in seen.computed:
            at[name] = full((moved[name] * jnp.ones_like(some))[..., None])
        else:
            at[name] = full(values[state_column(circuit, seen.name, name)][..., None])
    return at


def _drawn(num):
    return [name for shock in num.shocks for name in shock.dimensions]


def decided(circuit, seen: Seen, like: int, t, values, spread: dict, chains):
    """Of rows in one period the logarithm of the likelihood of what is seen of the decision, and where it leads.

    **Arguments:** `like`: a period of the same kind; `spread`: the standard deviations of errors by variable; `chains`: the
    connections along which other rows follow.

    **Returns:** (rows, hidden); of each chain the arrival states that it leads to, (rows, hidden).
    """
    stage = circuit.within(like, t)[seen.name]
    at = states_of(circuit, seen, t, values)
    shape = next(iter(at.values())).shape
    flat = {name: x.ravel() for name, x in at.items()}
    answer, problem = adapter.alternatives(stage.dcsn.sol, flat)
    stack = lambda x: jnp.reshape(jnp.broadcast_to(x, (*jnp.shape(x)[:-1], shape[0] * shape[1])), (-1, *shape))
    policy = {name: stack(x) for name, x in answer.policy.items()}
    feasible = stack(answer.feasible)
    log_odds = (
        jnp.where(feasible, 0.0, -jnp.inf) if problem is None else _log_odds(problem, flat, stack(answer.value), feasible)
    )
    there = _possible(seen, log_odds.shape, policy, values)
    found = log_odds + _measured(seen, spread, at, policy, values)
    seen_hidden = jnp.ones(shape, bool)
    for name in seen.hidden:
        column = state_column(circuit, seen.name, name)
        seen_hidden &= agrees(values[column][:, None], at[name]) if column in values else True
    emission = jnp.where(seen_hidden, log_sum(found, there), -jnp.inf)
    return emission, [_onward(circuit, stage, chain, t, at, policy, there) for chain in chains]


def _log_odds(problem, flat, value, feasible):
    """Logarithms of the probabilities of the alternatives: a logit, a maximum, or nature's."""
    if problem.probs is not None:
        odds = problem.probs(problem.parameters, flat)
        odds = jnp.reshape(jnp.broadcast_to(odds.reshape(odds.shape[0], -1), (odds.shape[0], value[0].size)), value.shape)
        return log_positive(odds)
    smooth = problem.scale > 0
    scaled = value / jnp.where(smooth, problem.scale, 1.0)
    logit = scaled - log_sum(scaled, feasible)
    best = jnp.argmax(jnp.where(feasible, value, -jnp.inf), axis=0)
    hard = jnp.where(jnp.arange(value.shape[0])[:, None, None] == best, 0.0, -jnp.inf)
    return jnp.where(feasible, jnp.where(smooth, logit, hard), -jnp.inf)


def _possible(seen: Seen, shape, policy, values):
    """Which alternatives agree with the choice that is seen."""
    there = jnp.ones(shape, bool)
    if seen.branch_seen:
        there &= agrees(values["branch"][:, None], jnp.arange(shape[0], dtype=values["branch"].dtype)[:, None, None])
    for name in seen.of("option"):
        there &= agrees(values[name][:, None], policy[name])
    return there


def _measured(seen: Seen, spread, at, policy, values):
    """Logarithms of the densities of what is measured with an error, for each alternative."""
    total = 0.0
    for name, kind, _ in seen.errors:
        true = at[name.removesuffix("_dcsn")][None] if dict(seen.columns)[name] == "state" else policy[name]
        x = values[name][:, None]
        known = ~jnp.isnan(x)
        x = jnp.where(known, x, true)
        if kind == "log":
            good = (x > 0) & (true > 0)
            x, true = jnp.where(good, x, 1.0), jnp.where(good, true, 1.0)
            density = jnp.where(good, log_normal(jnp.log(x), jnp.log(true), spread[name]) - jnp.log(x), -jnp.inf)
        else:
            density = log_normal(x, true, spread[name])
        total = total + jnp.where(known, density, 0.0)
    return total


def _onward(circuit, stage, chain, t, at, policy, there):
    """The arrival states that rows lead to along a connection, at the alternative that was taken."""
    taken = jnp.argmax(there, axis=0)
    pick = lambda x: jnp.take_along_axis(x, taken[None], axis=0)[0]
    # The alternatives of a branching stage have no controls of their own.
    controls = {name: pick(x) for name, x in policy.items()}
    move = stage.dcsn_to_cntn[chain.link.branch] if chain.link.branch else stage.dcsn_to_cntn
    posts = move.operator(at, controls)
    arriving = {there_name: posts[here] for here, there_name in chain.link.mapping}
    scope = circuit.scope(chain.link.source, t) if chain.link.constants else {}
    some = next(iter(at.values()))
    return arriving | {name: jnp.broadcast_to(formula(scope), some.shape) for name, formula in chain.link.constants}


def emissions(circuit, plan: Plan, position: int, rows: StageArrays, spread: dict, chains) -> Any:
    """Of all rows of a stage what `decided` returns, period by period of each kind.

    **Returns:** (rows, hidden), zero where nothing is decided; the arrivals of `chains`.
    """
    seen, count = plan.stages[position], rows.t.shape[0]
    hidden = combinations(circuit, seen, 0)[1]
    dtype = next(iter(rows.values.values())).dtype
    if not seen.decides:
        return jnp.zeros((count, hidden), dtype), []
    whole = None
    for like, (periods, table) in zip(plan.groups[position], rows.tables, strict=True):

        def period(now, like=like):
            t, places = now
            values = {name: x[jnp.minimum(places, count - 1)] for name, x in rows.values.items()}
            return decided(circuit, seen, like, t, values, spread, chains)

        found = jax.tree.map(lambda x: x[None], period((periods[0], table[0]))) if periods.shape[0] == 1 else jax.lax.map(
            period, (periods, table))  # fmt: skip
        put = lambda old, x, table=table: old.at[table.ravel()].set(x.reshape(-1, x.shape[-1]), mode="drop")
        whole = jax.tree.map(lambda x: jnp.zeros((count, x.shape[-1]), x.dtype), found) if whole is None else whole
        whole = jax.tree.map(put, whole, found)
    return whole
