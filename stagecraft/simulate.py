"""Simulating a solved circuit: shocks, choices and transitions, agent by agent, through the movers of every stage."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from stagecraft.model_circuit import ModelCircuit
from stagecraft.panel import Panel
from stagecraft.population import Sample
from stagecraft.stage import Stage


def simulate(solved: ModelCircuit | Stage, initial: Mapping, *, agents: int | None = None, key: PRNGKeyArray) -> Panel | Stage:
    """Follow agents from period 0 to the last; through one stage alone if a solved stage is given.

    Shocks are continuous draws through the same map as the quadrature nodes, so the panel is differentiable in every
    parameter of a normal or lognormal shock; the probabilities of a discrete one get no gradient from draws. What agent `i`
    meets depends on `(key, i)` alone.

    **Arguments:**

    - `initial`: for every arrival state a number, or an array with one entry per agent.
    - `agents`: how many; the length of the arrays in `initial` if left out, or 10,000.
    - `key`: from `jax.random.key(seed)`.

    **Returns:** a `Panel`; for a stage, the stage with a `Sample` as `dist` of every perch.

    **Raises:** `ValueError` for an unsolved circuit, wrong names or shapes, and for states at which no choice is feasible.
    """
    if not (isinstance(key, jax.Array) and (jnp.issubdtype(key.dtype, jax.dtypes.prng_key) or key.dtype == jnp.uint32)):
        raise ValueError(f"`key` must be a random key such as jax.random.key(0), found {key!r}")
    if isinstance(solved, Stage):
        return _through(solved, initial, agents, key)
    if getattr(solved, "rows", None) is None:
        raise ValueError("the circuit is not solved; call stagecraft.solve first")
    wanted = solved.structure.stages[0].dimensions("arvl")
    states = _initial(wanted, jax.tree.leaves(solved.rows)[0].dtype, initial, agents)
    panel, feasible = _simulate(solved, states, key)
    if not isinstance(feasible, jax.core.Tracer) and not bool(np.all(feasible)):
        t, i = np.argwhere(~np.asarray(feasible))[0]
        share = 1 - float(np.mean(feasible))
        raise ValueError(
            f"stage {solved.structure.stages[0].name}: no feasible choice for {share:.1%} of the agent-periods, first for "
            f"agent {i} in period {t}; give initial states from which the bounds of the control leave room"
        )
    return panel


def _through(stage: Stage, initial, agents, key) -> Stage:
    """Agents on arrival, at the decision and in the continuation of one solved stage."""
    if not stage.solved:
        raise ValueError(f"stage {stage.name} is not solved; call stagecraft.solve first")
    scope = stage.arvl_to_dcsn.operator.parameters
    states = _initial(stage.arvl.dimensions, stage.dcsn.sol.rows.state.dtype, initial, agents)
    shocks = stage.num.draws(scope, key, next(iter(states.values())).shape[0])
    at = stage.arvl_to_dcsn(states, shocks)
    answer = stage.dcsn.sol.at(at)
    samples = {"arvl": states | shocks, "dcsn": at | answer.policy, "cntn": stage.dcsn_to_cntn(at, answer.policy)}
    return dataclasses.replace(
        stage, **{name: dataclasses.replace(getattr(stage, name), dist=Sample(x)) for name, x in samples.items()}
    )


def _initial(wanted, dtype, initial, agents) -> dict[str, Float[Array, " agents"]]:
    """One array of a common length per arrival state."""
    if not isinstance(initial, Mapping) or set(initial) != set(wanted):
        given = ", ".join(initial) if isinstance(initial, Mapping) and initial else "nothing"
        raise ValueError(f"`initial` must give {', '.join(wanted)}; it gives {given}")
    arrays = {name: jnp.asarray(initial[name], dtype) for name in wanted}
    lengths = {x.shape[0] for x in arrays.values() if x.ndim == 1}
    if any(x.ndim > 1 for x in arrays.values()) or len(lengths) > 1:
        raise ValueError("`initial` takes numbers, or arrays of one axis and one length")
    if agents is not None and (isinstance(agents, bool) or not isinstance(agents, int) or agents < 1):
        raise ValueError(f"`agents` must be a positive integer, found {agents!r}")
    count = agents or (lengths.pop() if lengths else 10_000)
    if count < 1:
        raise ValueError("`initial` gives no agent")
    for name, x in arrays.items():
        if x.ndim == 1 and x.shape[0] != count:
            raise ValueError(f"`initial` gives {x.shape[0]} values of {name} for {count} agents")
        if not isinstance(x, jax.core.Tracer) and not np.all(np.isfinite(x)):
            raise ValueError(f"`initial` gives values of {name} that are not finite")
    return {name: jnp.broadcast_to(x, (count,)) for name, x in arrays.items()}


@jax.jit
def _simulate(solved: ModelCircuit, states, key):
    (num,) = solved.structure.stages
    (link,) = solved.structure.inter_period
    count = next(iter(states.values())).shape[0]

    def body(states, t):
        stage, decision = solved.build(num.name, t), solved.decision(num.name, t)
        shocks = num.draws(solved.scope(num.name, t), jax.random.fold_in(key, t), count)
        at = stage.arvl_to_dcsn(states, shocks)
        answer = decision.at(at)
        post = stage.dcsn_to_cntn(at, answer.policy)
        record = _merge(arvl=states, shocks=shocks, dcsn=at, controls=answer.policy, cntn=post)
        return {there: post[here] for here, there in link.mapping}, (record, answer.feasible)

    _, (records, feasible) = jax.lax.scan(body, states, jnp.arange(solved.structure.horizon))
    return Panel({num.name: records}, solved.structure.calibration.age), feasible


def _merge(**groups: Mapping) -> dict:
    """One dictionary; a name that stands on several perches is tagged with the later ones."""
    merged: dict = {}
    for place, variables in groups.items():
        for name, x in variables.items():
            merged[name if name not in merged else f"{name}_{place}"] = x
    return merged
