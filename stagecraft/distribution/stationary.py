r"""Invariant distributions: the fixed point $\mu = P\mu$ of one period's push, and its derivative.

$P$ keeps mass, so that with any distribution $\nu$ the system $(I - P + \nu 1')\mu = \nu$ has the invariant distribution of
mass one as its only solution, and that same matrix, without the unit eigenvalue, gives derivatives.
"""

import dataclasses
import functools
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from stagecraft.arrays import dtype_of, traced, where
from stagecraft.circuit.model_circuit import ModelCircuit, check_solved
from stagecraft.distribution.checks import check, check_feasible, watched
from stagecraft.distribution.push_forward import landings, next_period, push_forward
from stagecraft.distribution.recurrence import AWAY, recurrence, told_apart
from stagecraft.forward.mass import Pushed
from stagecraft.households.cells import cells, spread
from stagecraft.operators.linear_solve import solve_near_identity
from stagecraft.programs.counts import compiling
from stagecraft.programs.unsaid import leave_unsaid
from stagecraft.results import TOLERANCE

_PLAIN = 100  # Powers of P before the system is solved: what is transient on a small scale is gone.
_ROUNDS = 12


def stationary(solved: ModelCircuit, initial: Any = None, *, refine: int = 1, tolerance: float | None = None) -> ModelCircuit:
    r"""The invariant distribution of a circuit, on the grids of its arrivals.

    For an infinite horizon, where the chain of states has one recurrent class; for overlapping generations (a finite horizon)
    the cross-section of all ages, of mass one, when every generation begins as `initial` and is as large as the one before.

    Stops by a bound: the size (in the sum of absolute values) of a correction $(I - P + \nu 1')^{-1}(P\mu - \mu)$. Safe under
    `jax.grad` and `jvp`: derivatives are those of the fixed point, through policies, shocks and grids.

    **Arguments:** `solved`; `initial`: of a generation, as `push_forward` takes it; `refine`: into how many parts the cells of
    the grids are cut; `tolerance`: of the bound, 1e-8 if left out.

    **Returns:** the circuit with `dists`: `steady[0]["CONS"].cntn.dist.mean("a_nxt")`; `steady.dists.error_bound` is the bound.

    **Raises:** `ValueError` for an unsolved circuit, where mass is lost on the way (`survival:` without births), where some has
    no feasible choice, where classes of states never meet (inside a transformation masses are NaN then), and where no fixed
    point was found.
    """
    check_solved(solved)
    if solved.structure.horizon is not None:
        return _generations(solved, initial, refine)
    if initial is not None:
        raise ValueError("the invariant distribution of an infinite horizon does not depend on `initial`; leave it out")
    bare = dataclasses.replace(solved, info=None, dists=None)
    how = (refine, False, traced(bare), float(TOLERANCE if tolerance is None else tolerance))
    with compiling("stationary", solved):
        if solved.types is None:
            dists, kinds = _invariant(bare, how)
        else:
            dists, kinds = solved.types.each(lambda k: _invariant(bare.of_type(k), how))
            dists = dists.scaled(solved.types.weights)
    _check_invariant(solved, dists, kinds, how[-1])
    return dataclasses.replace(solved, dists=watched(dists))


def _generations(solved, initial, refine):
    """All ages side by side."""
    if initial is None:
        raise ValueError("give `initial`, the households of a generation in its first period; the horizon is finite")
    pushed = push_forward(solved, initial, refine=refine)
    dists = cast(Pushed, pushed.dists)
    total = jnp.stack([jnp.sum(x.weights, axis=-1) for x in dists.start.values()]).sum(0)
    for masses in dists.masses:
        total = total + sum(jnp.sum(x, axis=tuple(range(total.ndim, x.ndim))) for x in masses.values())
    return dataclasses.replace(pushed, dists=dists.scaled(1.0 / total))


@functools.partial(jax.jit, static_argnames="how")
def _invariant(solved: ModelCircuit, how) -> tuple[Pushed, dict[str, Float[Array, "..."]]]:
    """The invariant distribution with all that is said of it; of every cell whether it meets the others."""
    masses, bound, kinds = _fixed(how, solved)
    alone = jnp.all(jnp.stack([jnp.all(x != AWAY) for x in kinds.values()]))
    # Inside a transformation nobody can be told, but by numbers that are none.
    masses = jax.tree.map(lambda x: x * where(alone, 1.0, jnp.nan), masses) if traced(solved) else masses
    t, names = jnp.asarray(0), tuple(masses)
    start = {n: spread(cells(solved, n, t, how[0]), x) for n, x in masses.items()}
    _, (outside, infeasible, jumps) = next_period(solved, 0, how[:3], t, start, names)
    lead = lambda tree: jax.tree.map(lambda x: x[None], tree)
    return Pushed(start, (lead(masses),), lead(outside), lead(infeasible), how[0], lead(jumps), bound), kinds


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _fixed(how, solved):
    """Mass on the cells, by entry, the bound on its error, and what `recurrence` says of every cell."""
    refine, *_, tolerance = how
    names = landings(solved.structure, solved.structure.blocks[0])
    shapes = {n: tuple(axis.values.shape[0] for axis in cells(solved, n, jnp.asarray(0), refine)) for n in names}
    count = sum(int(np.prod(shape)) for shape in shapes.values())
    dtype = dtype_of(solved.parameters)
    uniform = tuple(jnp.full(shapes[n], 1.0 / count, dtype) for n in names)
    # Linear in mass: policies and lotteries are computed once.
    _, push = jax.linearize(lambda x: _advance(how, solved, names, x), uniform)
    mu = jax.lax.fori_loop(0, _PLAIN, lambda _, x: push(x), uniform)
    lost = jnp.abs(_mass_of(mu) - 1)
    ones = tuple(jnp.ones_like(x) for x in mu)
    inside = _without_unit(push, uniform)

    def body(state):
        mu, _, k = state
        gap = tuple(v * (1 - _mass_of(mu)) + p - m for v, p, m in zip(uniform, push(mu), mu, strict=True))
        # As exactly as the next round needs it, if a correction is a hundred times its gap; the last one but roughly.
        share = jnp.clip(1e-3 * tolerance / jnp.maximum(_size_of(gap), tolerance * 1e-6), 1e-10, 1e-4)
        move = solve_near_identity(inside, gap, ones, share)
        good = jnp.isfinite(_mass_of(move))
        # Where the solver breaks down the chain itself goes on.
        further = jax.lax.cond(good, lambda: mu, lambda: jax.lax.fori_loop(0, _PLAIN, lambda _, x: push(x), mu))
        mu = tuple(a + where(good, b, 0.0) for a, b in zip(further, move, strict=True))
        return mu, where(good, _size_of(move), jnp.inf), k + 1

    go = lambda s: ~(s[1] <= tolerance) & (s[2] < _ROUNDS)
    mu, bound, _ = jax.lax.while_loop(go, body, (mu, jnp.asarray(jnp.inf, dtype), 0))
    bound = where(lost > 1e-9, jnp.nan, jnp.maximum(bound, 1e3 * jnp.finfo(dtype).eps))
    # Where nobody is, rounding leaves either sign.
    mu = tuple(jnp.maximum(x, 0.0) for x in mu)
    named = lambda xs: dict(zip(names, xs, strict=True))
    return named(tuple(x / _mass_of(mu) for x in mu)), bound, named(recurrence(push, mu))


@_fixed.defjvp
def _fixed_jvp(how, primals, tangents):
    r"""$\dot\mu = (I - P + \nu 1')^{-1}\,\dot P\mu$, whose mass is zero."""
    (solved,), (moved,) = primals, tangents
    masses, bound, kinds = _fixed(how, solved)
    names, mu = tuple(masses), tuple(masses.values())
    _, change = jax.jvp(lambda c: _advance(how, c, names, mu), (solved,), (moved,))
    _, push = jax.linearize(lambda x: _advance((how[0], how[1], False, how[3]), solved, names, x), mu)
    found = solve_near_identity(_without_unit(push, mu), change, tuple(jnp.ones_like(x) for x in mu), 1e-11)
    still = jax.tree.map(jnp.zeros_like, (bound, kinds))
    return (masses, bound, kinds), (dict(zip(names, found, strict=True)), *still)


def _without_unit(push, nu):
    r"""The map $P - \nu 1'$, which has not the unit eigenvalue of $P$."""
    return lambda x: tuple(p - v * _mass_of(x) for p, v in zip(push(x), nu, strict=True))


def _advance(how, solved, names, masses):
    """One period of mass on the cells."""
    t = jnp.asarray(0)
    entering = {n: spread(cells(solved, n, t, how[0]), x) for n, x in zip(names, masses, strict=True)}
    after, _ = next_period(solved, 0, how[:3], t, entering, names)
    return tuple(after[n] for n in names)


def _mass_of(masses):
    return sum(jnp.sum(x) for x in masses)


def _size_of(masses):
    return sum(jnp.sum(jnp.abs(x)) for x in masses)


def _check_invariant(solved, dists, kinds, tolerance):
    """Speak of mass that is lost, of a chain without one limit, and of what `push_forward` speaks of."""
    if traced(dists, kinds):
        leave_unsaid(lambda: ~(dists.error_bound <= max(tolerance, 1e-11)))
        for x in kinds.values():
            leave_unsaid(lambda x=x: x == AWAY)
        return check(solved, dists)
    bound = float(np.max(np.asarray(dists.error_bound)))
    if np.isnan(bound):
        raise ValueError(
            "mass is lost from period to period, and the only invariant distribution is zero: a `survival:` without births, "
            "or a state that leaves its set; look at connections and transitions"
        )
    _check_classes(solved, dists, kinds)
    if bound > max(tolerance, 1e-11):
        raise ValueError(
            f"no invariant distribution was found: the last correction was {bound:.2g} of the mass, more than {tolerance:g}; "
            "perhaps states fall into several classes that never meet, or assets grow without end (beta*(1+r) of one or more)"
        )
    check(solved, dists)


def _check_classes(solved, dists, kinds):
    """Speak of households who never meet, and of whom there may be any share."""
    for k in (None,) if solved.types is None else range(len(solved.types)):
        one = solved if k is None else solved.of_type(k)
        own = {name: np.asarray(x if k is None else x[k]) for name, x in kinds.items()}
        if not any(np.any(x == AWAY) for x in own.values()):
            continue
        check_feasible(solved, dists)
        axes = {name: cells(one, name, jnp.asarray(0), dists.refine) for name in own}
        grids = {name: jnp.meshgrid(*[axis.values for axis in xs], indexing="ij") for name, xs in axes.items()}
        places = {name: {axis.name: np.ravel(x) for axis, x in zip(axes[name], grids[name], strict=True)} for name in own}
        of = "" if k is None else f"type {k}, "
        raise ValueError(
            f"{of}{told_apart(places, own)}: the chain has several classes, each with an invariant distribution of its own, "
            "and any mixture of these is invariant; declare what is permanent as `types:`, or say who there is: "
            "push_forward(solved, initial, periods=...) keeps the part of every class and comes to its mixture"
        )
