"""The likelihood of observations: every unit's rows told by decisions and laws of a solved circuit, types, hidden states."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

import stagecraft as sc
from dynx_runner.estimation import adapter
from dynx_runner.estimation.arrays import Data, Plan
from dynx_runner.estimation.densities import log_positive, log_sum
from dynx_runner.estimation.emission import combinations, emissions
from dynx_runner.estimation.law import laws


@functools.partial(jax.jit, static_argnames="plan")
def contributions(plan: Plan, circuit, data: Data) -> Float[Array, " units"]:
    """The logarithm of the likelihood of each unit; NaN where the circuit could not be solved."""
    by_type, shares, failed = _by_type(plan, circuit, data)
    found = by_type[0] if not plan.types else log_sum(_joint(shares, by_type, data), jnp.ones(by_type.shape, bool))
    return jnp.where(failed, jnp.nan, found)


@functools.partial(jax.jit, static_argnames="plan")
def posterior(plan: Plan, circuit, data: Data) -> Float[Array, "units types"]:
    """How likely each unit is of each type, given all that is seen of it."""
    by_type, shares, _ = _by_type(plan, circuit, data)
    joint = _joint(shares, by_type, data)
    return jnp.exp(joint - log_sum(joint, jnp.ones(joint.shape, bool))).T


@functools.partial(jax.jit, static_argnames="plan")
def filtered(plan: Plan, circuit, data: Data) -> Float[Array, "units steps hidden"]:
    """How likely each combination of hidden states is at each observation of a unit, given all until then."""
    solved = sc.solve(circuit, throw=False)
    return _forward(*_rows(plan, solved, data), data.sequence)[1]


def _by_type(plan, circuit, data):
    """The logarithm of the likelihood of each unit by type, the shares of types, and whether a solve failed."""
    solved = sc.solve(circuit, throw=False)
    failed = jnp.any(solved.info.outcome != sc.Outcome.success)
    if not plan.types:
        return _units(plan, solved, data)[None], None, failed
    each = [_units(plan, solved.of_type(k), data) for k in range(plan.types)]
    return jnp.stack(each), solved.types.weights, failed


def _joint(shares, by_type, data):
    """Of each type with its share; the type is the one that is seen, where it is."""
    joint = log_positive(shares / jnp.sum(shares))[:, None] + by_type
    if data.kinds is None:
        return joint
    fits = (data.kinds == jnp.arange(joint.shape[0])[:, None]) | (data.kinds < 0)
    return jnp.where(fits, joint, -jnp.inf)


def _rows(plan: Plan, solved, data: Data):
    """Of all rows of each stage the likelihood of what is decided, and the law by what was hidden before."""
    values, outgoing = adapter.values(solved), [[] for _ in plan.stages]
    for target, chains in enumerate(plan.chains):
        for c, chain in enumerate(chains):
            outgoing[chain.source].append((target, c, chain))
    decided, arrivals = [], {}
    for i, (seen, rows) in enumerate(zip(plan.stages, data.stages, strict=True)):
        spread = {name: values[path] for name, _, path in seen.errors}
        emission, ends = emissions(solved, plan, i, rows, spread, [chain for *_, chain in outgoing[i]])
        decided.append(emission)
        arrivals |= {(target, c): end for (target, c, _), end in zip(outgoing[i], ends, strict=False)}
    drawn = []
    for i, (seen, rows) in enumerate(zip(plan.stages, data.stages, strict=True)):
        begin = _beginning(solved, seen)[None, None, :]
        if not seen.law:
            drawn.append(jnp.broadcast_to(begin, (rows.t.shape[0], 1, begin.shape[-1])))
            continue
        chains = [jax.tree.map(lambda x, rows=rows: x[rows.before], arrivals[i, c]) for c in range(len(plan.chains[i]))]
        law = laws(solved, seen, plan.inverted[i], rows, chains)
        follows = (rows.via >= 0)[:, None, None]
        drawn.append(jnp.where(follows, law, begin) if chains else law)
    return decided, drawn


def _units(plan: Plan, solved, data: Data) -> Float[Array, " units"]:
    """The logarithm of the likelihood of each unit of one type."""
    decided, drawn = _rows(plan, solved, data)
    if plan.long:
        return _forward(decided, drawn, data.sequence)[0]
    total = jnp.zeros_like(data.weights)
    for rows, emission, law in zip(data.stages, decided, drawn, strict=True):
        joint = law[:, 0, :] + emission
        found = joint[:, 0] if joint.shape[1] == 1 else log_sum(joint, jnp.ones(joint.shape, bool), axis=1)
        total = total.at[rows.unit].add(found)
    return total


def _forward(decided, drawn, sequence):
    r"""The filter $\alpha_t(h') = e_t(h')\sum_h \alpha_{t-1}(h)\,p_t(h, h')$ along each unit's rows, in logarithms."""
    most = max(x.shape[1] for x in decided)
    emission = jnp.concatenate([_padded(x, most) for x in decided])
    before = max(x.shape[1] for x in drawn)
    law = jnp.concatenate([_padded(jnp.broadcast_to(x, (x.shape[0], before, x.shape[2])), most) for x in drawn])
    law = (
        jnp.broadcast_to(law[:, :1], (law.shape[0], most, most))
        if before == 1
        else _padded(law.swapaxes(1, 2), most).swapaxes(1, 2)
    )
    start = jnp.full((sequence.shape[0], most), -jnp.inf, emission.dtype).at[:, 0].set(0.0)

    def step(alpha, place):
        row = jnp.maximum(place, 0)
        new = log_sum(alpha[:, :, None] + law[row], jnp.ones((1,), bool), axis=1) + emission[row]
        alpha = jnp.where((place >= 0)[:, None], new, alpha)
        return alpha, alpha

    last, path = jax.lax.scan(step, start, sequence.T)
    whole = log_sum(path, jnp.ones((1,), bool), axis=2)[..., None]
    return log_sum(last, jnp.ones((1,), bool), axis=1), jnp.exp(path - whole).swapaxes(0, 1)


def _padded(x, most):
    """With impossible combinations beside those that there are, along the last axis."""
    return jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, most - x.shape[-1])], constant_values=-jnp.inf)


def _beginning(solved, seen) -> Float[Array, " hidden"]:
    """The law of hidden states before anything is seen: of a chain in the long run, else every value alike."""
    if not seen.hidden:
        return jnp.zeros(1)
    num, total = solved.structure.stage(seen.name), jnp.zeros(())
    count = combinations(solved, seen, 0)[1]
    for name in seen.hidden:
        size = jnp.asarray(adapter.set_of(solved, seen.name, name, 0)).shape[0]
        own = jnp.full(size, -jnp.log(size))
        for shock in num.shocks:
            fits = adapter.listed(shock) and shock.dimensions == (name,) or _copied(solved, seen, name, shock)
            if fits and shock.count == size:
                law = shock.nodes(solved.scope(seen.name, 0))[1]
                own = log_positive(law if law.ndim == 1 else _long_run(law))
        total = jnp.add.outer(total, own)
    return jnp.reshape(total, (count,))


def _copied(solved, seen, name, shock) -> bool:
    """Whether a decision state holds what one shock with listed values drew."""
    return adapter.listed(shock) and adapter.depends_on(solved, seen.name, name) == set(shock.dimensions)


def _long_run(law):
    """The distribution that a transition matrix leaves as it is."""
    n = law.shape[0]
    balance = (jnp.eye(n, dtype=law.dtype) - law.T).at[-1].set(1.0)
    return jnp.linalg.solve(balance, jnp.zeros(n, law.dtype).at[-1].set(1.0))
