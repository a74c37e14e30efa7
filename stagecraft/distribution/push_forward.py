"""Pushing a distribution forward through a solved circuit: histograms on grids, moved by lotteries."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagecraft.arrays import traced
from stagecraft.circuit.composer import period_at
from stagecraft.circuit.model_circuit import ModelCircuit, check_solved, periods_of
from stagecraft.distribution.checks import check, refinable, watched
from stagecraft.forward.jumps import REPORT
from stagecraft.forward.mass import Pushed, advance, clock
from stagecraft.households.cells import cells, empty, settle, spread
from stagecraft.households.initial import population_of
from stagecraft.operators.interpolate import FOUND
from stagecraft.programs.counts import compiling

_FINEST = 64


def push_forward(solved: ModelCircuit, initial: Any, *, periods: int | None = None, refine: int | str = 1) -> ModelCircuit:
    r"""Move a distribution through every mover of every stage, from period 0 to the last.

    $\mu_v = \mu_a \circ g_{av}^{-1}$ over the quadrature nodes, $\mu_e = \mu_v \circ g_{ve}(\cdot, \pi)^{-1}$ with the
    probabilities of choices, and from period to period a lottery between neighbouring knots, the transpose of linear
    interpolation (Young 2010). Between two periods mass lives on the grid of the arrival, or where it has none on that of
    the continuation before; within a period it stays at its points. No random number is drawn.

    Safe under `jax.jit`, `grad`, `jvp` and `vmap` with respect to `circuit.parameters`. Derivatives pass through policies,
    shock nodes and their probabilities, choice probabilities and grids. Where a hard choice makes a policy jump, households
    near the jump change sides as it moves; that is seen, too, by the density between neighbouring cells, for masses, means,
    variances and `expect`, whether the stage itself chooses or its policy inherits the jumps of later choices. Where it is not
    seen (policies found by search, taste shocks small beside a cell, densities that differ from cell to cell) a derivative is
    not to be trusted, and when one is taken a warning says so and why.

    **Arguments:**

    - `solved`: a solved circuit.
    - `initial`: for every state on arrival of the stage where households begin a number (an atom, exact until the first
      lottery) or an array (a sample, put on the grid: read as a density on the cells); a pandas frame with a column for each
      state, and perhaps `weight`; the `dist` of another perch; or `{STAGE: ...}`, of several stages where these are all `dist`.
      `type` may be given beside the states, from 0; every type has its weight's part of all where it is not.
    - `periods`: how many periods of an infinite horizon; a finite one is pushed to its end.
    - `refine`: into how many parts every cell of a continuous grid is cut, for the distribution alone; `"auto"` for the fewest
      (a power of two up to 64) at which no cell holds two jumps and derivatives are to be trusted. The number is
      `pushed.dists.refine`, to be given where derivatives are taken; `pushed.dists.jumps_to_pandas()` is the table behind it.

    **Returns:** the circuit with `dists`: `pushed[t]["CONS"].cntn.dist.mean("a_nxt")`, `.dcsn.dist.quantile("c", 0.5)`; of
    an infinite horizon it has the `periods` that were pushed.

    **Raises:** `ValueError` for an unsolved circuit, missing `periods`, wrong, missing or NaN states, states off the grid,
    and where mass has no feasible choice, naming stage and period.
    """
    check_solved(solved)
    periods = periods_of(solved, periods)
    if refine == "auto":
        return _refined(solved, initial, periods)
    if isinstance(refine, bool) or not isinstance(refine, int) or refine < 1:
        raise ValueError(f'`refine` must be a positive integer or "auto", found {refine!r}')
    return _pushed(solved, initial, refine, periods, False)


def _refined(solved, initial, periods):
    """The coarsest distribution of which derivatives are to be trusted, as far as finer cells help."""
    if traced(solved, initial):
        raise ValueError(
            'inside a transformation `refine` must be a number; push once outside with refine="auto" and give `.dists.refine`'
        )
    refine = 1
    while True:
        pushed = _pushed(solved, initial, refine, periods, True)
        if refine >= _FINEST or not refinable(pushed.dists.jumps):
            return pushed
        refine *= 2


def _pushed(solved, initial, refine, periods, look):
    """One push; `look` for jumps even where no derivative can be asked for."""
    kinds = (None,) if solved.types is None else range(len(solved.types))
    start = [population_of(solved, initial, refine, kind) for kind in kinds]
    bare = dataclasses.replace(solved, info=None, dists=None)
    # Cells in which nobody can live are looked for where there may be some; that costs one more look at every decision.
    push = functools.partial(_of_all, bare, start, refine, periods)
    jumps = traced(bare, start)
    dists = push(edge=jumps, jumps=jumps or look)
    if not traced(dists) and any(np.any(x > 0) for x in dists.infeasible.values()):
        dists = push(edge=True, jumps=look)
    check(solved, dists)
    return dataclasses.replace(solved, dists=watched(dists) if jumps else dists)


def _of_all(solved, start, refine, periods, edge, jumps):
    """One push, or that of every type, side by side."""
    with compiling("push_forward", solved):
        if solved.types is None:
            return _push(solved, start[0], refine, periods, edge, jumps)
        return solved.types.each(lambda k: _push(solved.of_type(k), start[k], refine, periods, edge, jumps))


@functools.partial(jax.jit, static_argnames=("refine", "periods", "edge", "jumps"))
def _push(solved: ModelCircuit, start, refine: int, periods: int | None, edge: bool, jumps: bool) -> Pushed:
    """One scan for each kind of period; period 0 comes before, since its households need not be on a grid."""
    structure, carry, parts = solved.structure, {}, []
    for position, block in enumerate(structure.blocks):
        body = _period(solved, position, (refine, edge, jumps))
        last = block.last if periods is None else periods - 1
        names = landings(structure, block)
        carry = {n: carry[n] if n in carry else empty(cells(solved, n, jnp.asarray(block.first), refine)) for n in names}
        if position:
            carry, found = jax.lax.scan(_remembering(body), carry, jnp.arange(block.first, last + 1))
        else:
            nobody = carry
            carry, report = next_period(solved, 0, (refine, edge, jumps), jnp.asarray(0), start, names)
            found = jax.tree.map(lambda x: x[None], (nobody, *report))
            if last > 0:
                carry, rest = jax.lax.scan(_remembering(body), carry, jnp.arange(1, last + 1))
                found = jax.tree.map(lambda x, y: jnp.concatenate([x, y]), found, rest)
        parts.append(found)
    return _assembled(solved, start, parts, refine, periods)


def landings(structure, block) -> tuple[str, ...]:
    """Entries that somebody may come to from the period before, of this kind of period and of the next."""
    targets = {link.target for link in structure.links if link.crosses}
    onward = {link.target for link in block.links if link.crosses}
    return tuple(num.name for num in structure.stages if num.name in targets & {*block.entries, *onward})


def _remembering(body):
    """Going back through a period computes it again, but for what its searches found: a few integers, a seventh of the time."""
    return jax.checkpoint(body, policy=jax.checkpoint_policies.save_only_these_names(FOUND))


def _period(solved, position, how):
    """One period of a scan: from mass on the cells to mass on the cells of the next.

    A plain function: JAX writes the text of what it scans, and that of a partial holds the whole circuit.
    """

    def period(carry, t):
        now, block = clock(solved, t), solved.structure.blocks[position]
        entering = {n: spread(cells(solved, n, now, how[0]), mass) for n, mass in carry.items() if n in block.stages}
        after, report = next_period(solved, position, how, now, entering, tuple(carry))
        return after, (carry, *report)

    return period


def next_period(solved, position, how, t, entering, names):
    """One period forward from weighted points: the mass on the cells of the next period, and what is to be reported.

    A function of mass alone once `t` is fixed, of which a stationary distribution is the fixed point.
    """
    period, (refine, edge, jumps) = period_at(solved, position, t), how
    passed, leaving = advance(period, entering, refine, jumps)
    after, outside = {}, {}
    for name in names:
        axes = cells(solved, name, t + 1, refine)
        if name not in leaving:
            after[name], outside[name] = empty(axes), jnp.zeros((len(axes), 2), axes[0].values.dtype)
            continue
        landed = settle(axes, leaving[name], _open(axes, period.onward(name)) if edge else None)
        after[name] = landed.mass
        outside[name] = jax.lax.stop_gradient(jnp.stack([landed.above, landed.below], axis=1))
    none = jnp.zeros((), next(iter(after.values())).dtype if after else jnp.result_type(float))
    nothing = None, none, jnp.zeros(len(REPORT), none.dtype)
    found = {name: passed.get(name, nothing) for name in period.block.stages}
    infeasible = {name: mass for name, (_, mass, _) in found.items()}
    return after, (outside, infeasible, {name: report for name, (*_, report) in found.items()} if jumps else {})


def _open(axes, arrival):
    """The cells in which one can live."""
    shape = tuple(axis.values.shape[0] for axis in axes)
    places = jax.tree.map(jax.lax.stop_gradient, spread(axes, jnp.zeros(shape)).states)
    frozen = jax.tree.map(jax.lax.stop_gradient, arrival)
    first = next((i for i, axis in enumerate(axes) if not axis.discrete), len(axes) - 1)
    found = frozen.at(places).feasible
    return jnp.moveaxis(found.reshape(*shape[:first], *shape[first + 1 :], shape[first]), -1, first)


def _assembled(solved, start, parts, refine, periods) -> Pushed:
    """Reports of all kinds of period in one array for each stage."""
    structure = solved.structure
    spans = [periods or block.last - block.first + 1 for block in structure.blocks]

    def whole(place, name):
        some = next(part[place][name] for part in parts if name in part[place])
        blank = lambda span: jnp.zeros((span, *some.shape[1:]), some.dtype)
        return jnp.concatenate([part[place].get(name, blank(s)) for part, s in zip(parts, spans, strict=True)])

    names = lambda place: [num.name for num in structure.stages if any(num.name in part[place] for part in parts)]
    outside = {name: whole(1, name) for name in names(1)}
    # What leaves period t lands in t + 1.
    outside = {name: jnp.concatenate([jnp.zeros_like(x[:1]), x[:-1]]) for name, x in outside.items()}
    infeasible, jumps = ({name: whole(i, name) for name in names(i)} for i in (2, 3))
    return Pushed(start, tuple(part[0] for part in parts), outside, infeasible, refine, jumps)
