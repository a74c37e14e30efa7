"""Households through one period: shocks by their nodes, choices by their probabilities, mass at weighted points."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from stagecraft.arrays import listed, page, shown, where
from stagecraft.forward.density import with_density
from stagecraft.forward.jumps import REPORT, jump_points
from stagecraft.forward.walk import arrivals_of, survival_of, walk
from stagecraft.horses.arrival import weights_of
from stagecraft.households.cells import cells, settle, spread
from stagecraft.households.population import Population, together
from stagecraft.movers.optimise import Optimise


class Pushed(eqx.Module):
    """What a push leaves on a circuit: the mass on arrival of every period; other perches are composed from it when asked.

    **Attributes:**

    - `start`: the households of period 0, weighted points by stage.
    - `masses`: for each kind of period, by entry, mass on the cells with a leading axis over its periods (period 0 is empty).
    - `outside`: by entry, the mass that lay above and below its grid in each period, `(periods, axes, 2)`.
    - `infeasible`: by stage and period, the mass that has no feasible choice.
    - `refine`: into how many parts the cells of the grids are cut.
    - `jumps`: by stage and period, where it was looked for, what is said of policies that jump: the columns of `REPORT`.
    - `error_bound`: of an invariant distribution, in the sum of absolute values; `None` otherwise.
    """

    start: dict[str, Population]
    masses: tuple[dict[str, Float[Array, "periods ..."]], ...]
    outside: dict[str, Float[Array, "periods axes 2"]]
    infeasible: dict[str, Float[Array, " periods"]]
    refine: int = eqx.field(static=True, default=1)
    jumps: dict[str, Float[Array, "periods report"]] = eqx.field(default_factory=dict)
    error_bound: Float[Array, ""] | None = None

    def __repr__(self) -> str:
        rows = [("begins at", ", ".join(self.start)), ("cells cut into", str(self.refine))]
        rows += [(f"beyond {name}'s grid", shown(x)) for name, x in self.outside.items()]
        rows += [("error bound", shown(self.error_bound))] if self.error_bound is not None else []
        return listed(f"Pushed: households in {self.periods} periods", rows)

    def _repr_html_(self) -> str:
        return page(repr(self))

    def jumps_to_pandas(self):
        """A row for each stage and period that meets jumps: the columns of `REPORT`; empty where nobody looked for them."""
        import pandas as pd

        rows = []
        for name, report in self.jumps.items():
            report = np.asarray(report).reshape(-1, *report.shape[-2:])
            for t in np.flatnonzero(report.any(axis=(0, 2))):
                best = dict(zip(REPORT, report[:, t].max(axis=0), strict=True))
                rows.append({"stage": name, "period": t, **best, "most": int(best["most"])})
        return pd.DataFrame(rows, columns=["stage", "period", *REPORT])

    @property
    def periods(self) -> int:
        """How many there are."""
        return next(iter(self.infeasible.values())).shape[-1]

    def scaled(self, share: Float[Array, "..."]) -> "Pushed":
        """The same with all masses times `share`, one number or one for each type."""

        def times(x):
            return x * jnp.reshape(share, (*jnp.shape(share), *[1] * (x.ndim - jnp.ndim(share))))

        start = {name: Population(x.states, times(x.weights), x.sizes) for name, x in self.start.items()}
        counted = np.array([column not in ("most", "rough") for column in REPORT])
        jumps = {name: where(counted, times(x), x) for name, x in self.jumps.items()}
        masses, outside, infeasible = jax.tree.map(times, (self.masses, self.outside, self.infeasible))
        return Pushed(start, masses, outside, infeasible, self.refine, jumps, self.error_bound)

    def entering(self, circuit, here: int, t, first: bool) -> dict[str, Population]:
        """Who is on arrival of the entries of period `t`; `first` for period 0."""
        if first:
            return self.start
        block = circuit.structure.blocks[here]
        masses = {name: x[t - block.first] for name, x in self.masses[here].items() if name in block.stages}
        return {name: spread(cells(circuit, name, clock(circuit, t), self.refine), x) for name, x in masses.items()}


def clock(circuit, t):
    """The period of the model in which period `t` of a push lies: of an infinite horizon the only one."""
    return t if circuit.structure.horizon is not None else jnp.zeros_like(t)


def advance(
    period, entering: dict[str, Population], refine: int = 1, jumps: bool = False
) -> tuple[dict[str, tuple], dict[str, Population]]:
    """One period forward.

    Within the period mass stays at its points, nodes times cells, and nothing is rounded; an arrival inside that declares a
    grid for all its states collects them there.

    **Arguments:** `period`: a `Composer`; `entering`: by entry; `jumps`: whether derivatives see policies jump.

    **Returns:** what `through` gives, by stage; those who come to the entries of the next period.
    """

    def visit(name, people):
        space = dict(period.circuit.structure.stage(name).spaces)["arvl"]
        if name not in entering and len(space.grids) == len(space.dimensions):
            axes = cells(period.circuit, name, period.t, refine)
            people = spread(axes, settle(axes, people).mass)
        stage, decision = period.stage(name), period.decision(name)
        mover = stage.cntn_to_dcsn.operator if jumps and stage.num.solution.upper_envelope and not stage.branching else None
        if isinstance(mover, Optimise):
            decision = with_density(mover, decision, period.continuation(name, ""))
        passed = through(stage, decision, people, jumps)
        ends = [(period.block.following(name, branch), perch.dist) for branch, perch in passed[0].ends.items()]
        return passed, [(link, arriving(link, passed[0].dcsn.dist.states, people)) for link, people in ends]

    def arriving(link, decided, people):
        states = arrivals_of(period.circuit, link, people.states, period.t)
        survival = survival_of(period.circuit, link, decided, people.states, period.t)
        return Population(states, people.weights if survival is None else people.weights * survival)

    return walk(period.block, entering, visit, together)


def drawn(stage, states):
    """Those who arrive at `states`, once for every node of the shocks, flat.

    **Returns:** what is drawn; the decision states that this leads to; the probability of every point.
    """
    problem = stage.dcsn_to_arvl.operator.problem
    law = weights_of(problem, states)
    shape = (law.shape[0], next(iter(states.values())).shape[0])
    full = lambda x: jnp.broadcast_to(x, shape).ravel()
    shocks = {name: full(node[:, None]) for name, node in problem.nodes.items()}
    return shocks, stage.arvl_to_dcsn.operator({name: full(x) for name, x in states.items()}, shocks), full(law)


def _at_decision(stage, arriving: Population):
    """Shocks, decision states and mass of those who arrive; who differs in the past alone is one point from here on."""
    problem, sizes = stage.dcsn_to_arvl.operator.problem, arriving.sizes
    past = [i for i, (name, _) in enumerate(sizes) if name in stage.num.given_alone]
    if not past or not set(problem.given) <= {sizes[i][0] for i in past}:
        shocks, at, odds = drawn(stage, arriving.states)
        return shocks, at, odds * jnp.tile(arriving.weights, odds.size // arriving.weights.size)
    whole = tuple(size for _, size in sizes)

    def first(x, axes):
        return x.reshape(whole)[tuple(0 if i in axes else slice(None) for i in range(len(whole)))]

    rest = [i for i in range(len(whole)) if i not in past]
    before = {name: first(x, rest) for name, x in arriving.states.items()}
    law = jnp.broadcast_to(weights_of(problem, before), (problem.weights.shape[-1], *(whole[i] for i in past)))
    mass = jnp.tensordot(law, arriving.weights.reshape(whole), (tuple(range(1, law.ndim)), tuple(past)))
    shocks, at, _ = drawn(stage, {name: jnp.ravel(first(x, past)) for name, x in arriving.states.items()})
    return shocks, at, mass.ravel()


def through(stage, decision, arriving: Population, jumps: bool = False) -> tuple:
    """Shocks, choice and transition of one stage.

    **Arguments:** `decision`: its functional object; `arriving`: weighted points; `jumps`: whether derivatives see jumps.

    **Returns:** the stage with households on its perches; the mass without a choice; a `REPORT`, `None` without `jumps`.
    """
    shocks, at, weights = _at_decision(stage, arriving)
    dcsn, cntn, infeasible = from_decision(stage, decision, at, shocks, weights)
    more, report = jump_points(decision, at, shocks, weights) if jumps else (None, None)
    if more is not None:
        beside, ends, _ = from_decision(stage, decision, *more)
        dcsn, cntn = together(dcsn, beside), {name: together(x, ends[name]) for name, x in cntn.items()}
    return stage.holding("dist", arriving, dcsn, cntn), infeasible, report


def from_decision(stage, decision, at, shocks, weights) -> tuple[Population, dict[str, Population], Float[Array, ""]]:
    """Choice and transition of points at the decision.

    **Arguments:** `at`: their states; `shocks`: what was drawn on the way there, by name; `weights`: of the points.

    **Returns:** who is at the decision, with controls, and in every continuation; the mass that has no choice.
    """
    answer = decision.at(at)
    infeasible = jax.lax.stop_gradient(jnp.sum(where(answer.feasible, 0.0, weights)))
    ends = _of_branches if stage.branching else _of_options if len(answer.probability) > 1 else _of_one
    dcsn, cntn = ends(stage, decision, answer, {**shocks, **at}, at, weights)
    return dcsn, cntn, infeasible


def _of_one(stage, decision, answer, seen, at, weights):
    """One continuation, and one value of the controls at every point."""
    del decision
    posts = stage.dcsn_to_cntn.operator(at, answer.policy)
    return Population({**answer.policy, **seen}, weights), {"": Population(posts, weights)}


def _of_branches(stage, decision, answer, seen, at, weights):
    """Several continuations; each gets its probability's part of every point."""
    several = len(answer.probability) > 1
    feasible = decision.stack(at).feasible if several else answer.feasible[None]
    cntn = {}
    for i, branch in enumerate(stage.num.branches):
        part = weights * answer.probability[branch.name] if several else weights
        posts = stage.dcsn_to_cntn[branch.name].operator(at, answer.policy)
        cntn[branch.name] = Population(_possible(posts, feasible[i], part), part)
    return Population({**answer.policy, **seen}, weights), cntn


def _of_options(stage, decision, answer, seen, at, weights):
    """One continuation, and a point for every value of the discrete controls."""
    stack = decision.stack(at)
    probability = jnp.stack([answer.probability[label] for label in decision.labels])
    whole = probability.shape
    full = lambda x: jnp.broadcast_to(x, whole).ravel()
    at, seen, controls = ({name: full(x) for name, x in group.items()} for group in (at, seen, stack.policy))
    weights, feasible = full(weights * probability), full(stack.feasible)
    controls = _possible(controls, feasible, weights)
    posts = _possible(stage.dcsn_to_cntn.operator(at, controls), feasible, weights)
    return Population({**controls, **seen}, weights), {"": Population(posts, weights)}


def _possible(states, feasible, weights):
    """States of alternatives that nobody can take replaced by those of one that somebody takes, so that none is strange."""
    likely = jnp.argmax(jax.lax.stop_gradient(where(feasible, weights, -1.0)))
    return {name: where(feasible, x, jax.lax.stop_gradient(x[likely])) for name, x in states.items()}
