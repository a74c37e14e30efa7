"""What is drawn on the way to a decision: the law of shocks that are seen, or told from the states that they lead to."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dynx_runner.estimation import adapter
from dynx_runner.estimation.densities import inverted, log_density, log_positive, log_sum, spread_of
from dynx_runner.estimation.emission import agrees, combinations, same
from dynx_runner.estimation.plan import Seen, state_column


def nodes_of(num, scope, arrival):
    """All combinations of the shocks with listed values: their values, and the logarithms of their probabilities."""
    values, odds = {}, jnp.ones(1, jnp.asarray(scope["t"]).dtype)
    for shock in num.shocks:
        if not adapter.listed(shock):
            continue
        own, law = shock.nodes(scope)
        if shock.given is not None:
            row = jnp.argmin(jnp.abs(own[shock.dimensions[0]] - arrival[shock.given]))
            law = law[row]
        count, k = odds.shape[0], law.shape[0]
        values = {n: jnp.repeat(v, k) for n, v in values.items()} | {n: jnp.tile(v, count) for n, v in own.items()}
        odds = (odds[:, None] * law).ravel()
    return values, log_positive(odds)


def log_law(circuit, seen: Seen, told, t, arrival: dict, values: dict, combos: dict) -> Float[Array, " hidden"]:
    """Of one row the logarithm of the likelihood of what is drawn, for every combination of what is hidden.

    **Arguments:** `told`: the draws that are told from states, and these; `arrival`: states, where they are known; `values`:
    what is seen; `combos`: the values of hidden states in every combination.
    """
    num, scope = circuit.structure.stage(seen.name), circuit.scope(seen.name, t)
    nodes, odds = nodes_of(num, scope, arrival)
    there = odds > -jnp.inf
    watched = seen.of("shock")
    for name in (name for name in watched if name in nodes):
        there &= agrees(values[name], nodes[name])
    draws, states = told
    seen_draws = {name: jnp.nan_to_num(values[name]) for name in watched if name not in nodes}
    columns = {name: values[state_column(circuit, seen.name, name)] for name in states}
    target = jnp.stack([columns[name] for name in states]) if states else None

    def at_node(listed, log_odds):
        """Where one node leads, and its likelihood with that of the continuous draws."""
        known = {**arrival, **listed, **seen_draws}
        found = log_odds
        if draws and target is not None:
            move = lambda y: moved_states(num, scope, {**known, **dict(zip(draws, y, strict=True))}, states)
            y, log_slope = inverted(move, target, spread_of(num.shocks, scope, draws))
            known, found = {**known, **dict(zip(draws, y, strict=True))}, found - log_slope
        for shock in num.shocks:
            if not adapter.listed(shock) and all(name in known for name in shock.dimensions):
                seen_one = all(name in watched for name in shock.dimensions)
                density = _mixed(shock, scope, known)
                missing = sum(jnp.isnan(values[n]) for n in shock.dimensions) > 0 if seen_one else False
                found = found + jnp.where(missing, 0.0, density)
        unknown = {name: jnp.zeros(()) for name in _undrawn(num, known)}
        return found, num.to_decision(scope, {**unknown, **known})

    found, moved = jax.vmap(at_node)(nodes, odds)
    count = next(iter(combos.values())).shape[0] if combos else 1
    match = jnp.broadcast_to(there[:, None], (odds.shape[0], count))
    for name in num.dimensions("dcsn") if seen.decides or seen.of("state") else ():
        deps = adapter.depends_on(circuit, seen.name, name)
        if not deps <= {*arrival, *nodes, *draws, *seen_draws}:
            continue
        value = jnp.broadcast_to(moved[name], odds.shape)[:, None]
        if name in combos:
            match &= same(value, combos[name][None, :])
        elif (
            state_column(circuit, seen.name, name) in seen.of("state")
            and adapter.set_of(circuit, seen.name, name, t) is not None
        ):
            match &= agrees(values[state_column(circuit, seen.name, name)], value)
    return log_sum(jnp.broadcast_to(found[:, None], match.shape), match)


def moved_states(num, scope, known, states) -> Float[Array, " states"]:
    """The decision states that arrival states and draws lead to."""
    moved = num.to_decision(scope, {**{name: jnp.zeros(()) for name in _undrawn(num, known)}, **known})
    return jnp.stack([moved[name] * 1.0 for name in states])


def _undrawn(num, known):
    """What is not known, of which nothing that is asked for depends."""
    names = (*num.dimensions("arvl"), *[n for shock in num.shocks for n in shock.dimensions])
    return [name for name in names if name not in known]


def _mixed(shock, scope, known) -> Array:
    """The density of a continuous shock; beside a point mass that of the law times its probability, or the mass."""
    drawn = {name: known[name] for name in shock.dimensions}
    density = log_density(shock, scope, drawn)
    if getattr(shock, "point_mass", None) is None:
        return density
    q, hit = jnp.asarray(shock.point_mass.prob(scope)), True
    for formula, name in zip(shock.point_mass.value, shock.dimensions, strict=True):
        hit &= same(drawn[name], jnp.asarray(formula(scope)))
    return jnp.where(hit, log_positive(q), log_positive(1 - q) + density)


def laws(circuit, seen: Seen, told, rows, arrivals: list[dict]) -> Float[Array, "rows before hidden"]:
    """Of all rows of a stage the law of what is drawn, given every combination of what was hidden before.

    **Arguments:** `arrivals`: for each chain the arrival states of every row that follows by it, (rows, before).
    """
    combos, count = combinations(circuit, seen, 0)
    own = {name: rows.values[name] for name in seen.of("arrival")}

    def one(t, arrival, values):
        return log_law(circuit, seen, told, t, arrival, values, combos)

    if not arrivals:
        found = jax.vmap(one)(rows.t, own, rows.values)
        free = seen.arrives or not _needs_arrival(circuit, seen)
        return found[:, None, :] if free else jnp.zeros_like(found)[:, None, :]
    width = max(x.shape[1] for chain in arrivals for x in chain.values())
    wide = lambda x: jnp.broadcast_to(x, (x.shape[0], width))
    each = jax.vmap(jax.vmap(one, (None, 0, None)), (0, 0, 0))
    total = jnp.zeros((rows.t.shape[0], width, count), next(iter(rows.values.values())).dtype)
    for c, chain in enumerate(arrivals):
        found = each(rows.t, {name: wide(x) for name, x in chain.items()}, rows.values)
        total = jnp.where((rows.via == c)[:, None, None], found, total)
    return total


def _needs_arrival(circuit, seen: Seen) -> bool:
    """Whether the law cannot be told without the state on arrival."""
    num = circuit.structure.stage(seen.name)
    given = {shock.given for shock in num.shocks if shock.given is not None}
    return bool(given) or bool(seen.of("state")) or bool(seen.hidden)
