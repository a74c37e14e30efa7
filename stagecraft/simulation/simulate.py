"""Simulating a solved circuit: shocks, choices and transitions, agent by agent, through the movers of every stage."""

import dataclasses
import warnings
from collections.abc import Collection
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from stagecraft.arrays import dtype_of, traced
from stagecraft.circuit.model_circuit import ModelCircuit, check_solved, periods_of
from stagecraft.circuit.stage import Stage
from stagecraft.forward.agent import pass_through
from stagecraft.households.initial import Initial, beginnings, beyond, check_sets, read_initial
from stagecraft.households.panel import Panel
from stagecraft.households.population import equal
from stagecraft.programs.counts import compiling
from stagecraft.programs.unsaid import leave_unsaid
from stagecraft.simulation.agent_keys import agent_key
from stagecraft.simulation.agents import agents_of, check_count, in_chunks, number_of
from stagecraft.simulation.follow import History, Request, follow
from stagecraft.simulation.truth import check_truth


def simulate(
    solved: ModelCircuit | Stage,
    initial: Any,
    *,
    agents: int | None = None,
    periods: int | None = None,
    keep: Collection[str] | None = None,
    chunk: int | None = None,
    antithetic: bool = False,
    values: bool = False,
    weights: bool = False,
    truth: ModelCircuit | None = None,
    progress: bool | None = None,
    key: PRNGKeyArray,
) -> Panel | Stage:
    r"""Follow agents from period 0 to the last; through one stage alone if a solved stage is given.

    Shocks are continuous draws through the same map as the quadrature nodes, so the panel is differentiable in every
    parameter of a normal or lognormal shock. Choices, discrete shocks, survival and types are drawn by inverting their
    distribution function, and a draw has no derivative: `weights` carry that of its probability. What agent `i` meets depends
    on `(key, i)` alone, whatever the number of agents, chunks and devices. Where a connection has `survival:`, who does not
    live on is nowhere from then on, with NaN in the panel.

    **Arguments:**

    - `initial`: for every state on arrival of the stage where households begin a number, or an array with one entry per
      agent; a pandas frame with a column for each state; or a distribution, from which agents are drawn: the `dist` of a
      perch, or a frame with a column `weight`. `type` may be given beside the states, from 0. Or `{STAGE: ...}`.
    - `agents`: how many; the length of the arrays in `initial` if left out, or 10,000.
    - `periods`: how many periods of an infinite horizon; a finite one is followed to its end.
    - `keep`: names of what is kept: variables `"c"`, `"CONS.c"`, or whole stages `"CONS"`; everything if left out.
    - `chunk`: how many agents at a time. Memory is that of a chunk and of what is kept, which NumPy arrays then hold.
    - `antithetic`: whether agents $2i$ and $2i + 1$ share their draws, $u$ for the one and $1 - u$ for the other.
    - `values`: whether `value`, the solution's at the decision, is among the variables.
    - `weights`: whether the panel has `weights`, $\exp(\ell - \bar\ell)$ with $\ell$ the log-probability of what an agent has
      drawn until then, and $\bar\ell$ the same without a derivative. They are 1; through them means have the derivatives of the
      expectation, `panel.mean("c")` (a likelihood ratio, Glynn 1990). A hard choice has none.
    - `truth`: a circuit whose parameters, transitions, shocks, nature's odds and survival agents meet, while they choose as
      `solved` says; with the same stages, states, controls and connections. It need not be solved.
    - `progress`: whether a bar counts the agents, chunk by chunk; if left out it comes after two seconds, in a terminal.
    - `key`: from `jax.random.key(seed)`.

    **Returns:** a `Panel`; for a stage, the stage with a `Population` as `dist` of every perch.

    **Raises:** `ValueError` for an unsolved circuit, wrong names or shapes, states that are not finite or not in their sets,
    and for those at which no choice is feasible, with stage, period and agent. Warns of initial states off the grid.
    """
    _check_key(key)
    for name, number in (("agents", agents), ("chunk", chunk)):
        check_count(name, number)
    if isinstance(solved, Stage):
        if any(x is not None for x in (periods, keep, chunk, truth)) or values or weights or progress:
            raise ValueError(f"stage {solved.name} alone takes `initial`, `agents`, `antithetic` and `key`, and nothing else")
        return _one_stage(solved, initial, agents, agent_key(key, antithetic=antithetic))
    check_solved(solved)
    if truth is not None:
        check_truth(solved, truth)
    start, beginning = _beginning(solved, initial)
    request = Request(start, periods_of(solved, periods), _kept_names(keep), bool(values))
    types = solved.types if truth is None or truth.types is None else truth.types

    def run(first, count):
        own = agent_key(key, first, antithetic=antithetic)
        people, log_prob = agents_of(beginning, types, own, first, count)
        with compiling("simulate", solved):
            found = _follow_all(solved, truth, people, log_prob if weights else None, own, request)
        _check_feasible(found.infeasible, solved.structure.blocks, first)
        return dataclasses.replace(found, infeasible={}), people.kinds

    found, kinds = in_chunks(run, number_of(beginning, agents), chunk, progress)
    for wrong in beyond(solved, start, beginning.states, beginning.weights):
        warnings.warn(f"{wrong}, where policies are extrapolated", stacklevel=2)
    units = tuple(sorted(solved.source.units.items()))
    return Panel(found.ordered, solved.structure.calibration.age, kinds, found.weights, units)


def _check_key(key):
    if not (isinstance(key, jax.Array) and (jnp.issubdtype(key.dtype, jax.dtypes.prng_key) or key.dtype == jnp.uint32)):
        raise ValueError(f"`key` must be a random key such as jax.random.key(0), found {key!r}")


def _kept_names(keep) -> tuple[str, ...] | None:
    """The names of what is kept."""
    if keep is None:
        return None
    if isinstance(keep, str) or not isinstance(keep, Collection) or not keep or not all(isinstance(n, str) for n in keep):
        raise ValueError(f'`keep` is a list of names, ["c"], ["CONS.c"] or ["CONS"]; found {keep!r}')
    return tuple(keep)


def _beginning(solved, initial):
    """The stage where agents begin, and what is said of them there."""
    found = beginnings(solved, initial)
    if len(found) > 1:
        raise ValueError(f"agents begin in one stage, and `initial` gives {', '.join(found)}; simulate those of each alone")
    ((start, beginning),) = found.items()
    check_sets(solved, start, beginning.states, beginning.weights)
    return start, beginning


def _follow_all(solved, truth, people: Initial, log_prob, key, request) -> History:
    """Agents of all types, each in the circuit of its own; the same draws for all, so that a type changes nothing else."""
    if people.kinds is None:
        everybody = jnp.ones(people.count, bool)
        return follow(_bare(solved), _bare(truth), people.states, everybody, log_prob, key, request=request)

    def of_type(k):
        other = truth if truth is None or truth.types is None else truth.of_type(k)
        own, active = _bare(solved.of_type(k)), people.kinds == k
        return follow(own, _bare(other), people.states, active, log_prob, key, request=request)

    whole = of_type(0)
    for k in range(1, len(solved.types)):
        whole = whole.meet(of_type(k), people.kinds == k)
    return whole


def _bare(circuit):
    """A circuit without what agents do not read, so that it decides no compilation."""
    return None if circuit is None else dataclasses.replace(circuit, info=None, dists=None, types=None)


def _check_feasible(infeasible, blocks, first_agent: int):
    """Speak of the stage where somebody was first left without a choice."""
    if traced(infeasible):
        for bad, *_ in infeasible.values():
            leave_unsaid(lambda bad=bad: bad > 0)
        return
    found = []
    for name, counts in infeasible.items():
        bad, inside, first = (np.asarray(x) for x in counts)
        if bad.any():
            t = int(np.argmax(bad > 0))
            rank = next(b.stages.index(name) for b in blocks if len(blocks) == 1 or b.first <= t <= b.last)
            found.append((t, rank, name, first_agent + first[t], bad.sum() / inside.sum()))
    if found:
        t, _, name, i, share = min(found)
        raise ValueError(
            f"stage {name}: no feasible choice for {share:.1%} of the agent-periods, first for agent {i} in period {t}; "
            "give initial states from which bounds, constraints and `when:` leave room"
        )


def _one_stage(stage: Stage, initial, agents, key) -> Stage:
    """Agents on arrival, at the decision and in the continuations of one solved stage."""
    if not stage.solved:
        raise ValueError(f"stage {stage.name} is not solved; call stagecraft.solve first")
    beginning = read_initial(initial, stage.arvl.dimensions, dtype_of(stage.dcsn.sol))
    people, _ = agents_of(beginning, None, key, 0, number_of(beginning, agents))
    step = pass_through(stage, stage.dcsn.sol, people.states, key)
    ends = {n: equal(posts | ({"taken": step.taken[n]} if n else {})) for n, posts in step.posts.items()}
    return stage.holding("dist", equal(step.arvl | step.shocks), equal(step.dcsn | step.controls), ends)
