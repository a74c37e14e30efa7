"""Functional objects of a direct search: the continuation kept on a grid, and the decision that follows a stored policy."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from stagecraft.axes import Axis, Between, States
from stagecraft.decision import Optimum
from stagecraft.functional import AbstractFunctional
from stagecraft.horses.egm import bend, levels, secant_where
from stagecraft.horses.evaluate import room_above
from stagecraft.horses.policy import bounded, follow, worth
from stagecraft.horses.problems import ChoiceProblem, MaximumProblem, Scale
from stagecraft.operators.interpolate import Segment, nearest, take
from stagecraft.solution import Answer, Policies, PostTable


def post_table(scale: Scale, post: str, knots: Float[Array, "rows cntn"], moved, answer: Answer) -> PostTable:
    """What a continuation answered on the grid of the post-states, ready to be interpolated along the active one.

    **Arguments:** `moved`: rows whose knots were moved up to the edge of what is feasible; `answer`: in rows, as the knots.
    """

    # A terminal value is no sum of rewards, and its weight is zero.
    divisor = jnp.where(answer.weight > 0, answer.weight, 1.0)

    def row(knots, value, slope, weight, feasible):
        level, level_slope, smooth = levels(scale, value, slope, weight)
        # Where what comes after is not feasible its slope may have no end.
        level_slope = secant_where(~feasible, knots, level, level_slope)
        slope = secant_where(~feasible, knots, value, slope)
        width = jnp.diff(knots)
        straighter = bend(width, level, level_slope) <= bend(width, value, slope)
        straight = jnp.append(jax.lax.stop_gradient(straighter) & smooth[:-1] & smooth[1:], False)
        return level, level_slope, straight, slope

    of = (knots, answer.value, answer.marginal[post], divisor, answer.feasible)
    level, level_slope, straight, slope = jax.vmap(row)(*of)
    answer = dataclasses.replace(answer, marginal={**answer.marginal, post: slope})
    return PostTable(knots, answer, divisor, level, level_slope, straight, moved)


class Afterwards(AbstractFunctional):
    """A continuation between the knots on which it was computed once.

    Along the active post-state it is a cubic with the slopes that the continuation has at the knots, of $u^{-1}(V/B)$ where
    the stage has such a scale and that is straighter, else of the value itself, held monotone; along other continuous ones a
    monotone cubic; discrete ones are matched exactly.

    **Attributes:** `table`; `scale`; `post`: the active post-state; `axes`: the others.
    """

    table: PostTable
    scale: Scale
    post: str = eqx.field(static=True)
    axes: tuple[Axis, ...] = ()

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The names of the post-states."""
        return (self.post, *[axis.name for axis in self.axes])

    def at(self, states: States) -> Answer:
        """Value and marginal values at post-states."""
        between = Between([axis for axis in self.axes if not axis.discrete], states)
        row = _row_of(self.axes, between, states)
        x = between.lead(states[self.post])
        shape = jnp.broadcast_shapes(x.shape, jnp.shape(row))
        x, row = jnp.broadcast_to(x, shape), jnp.broadcast_to(jnp.asarray(row, jnp.int32), shape)
        segment = Segment(self.table.knots, x, row)
        value, slope = jax.jvp(lambda q: self._value(segment.at(q)), (x,), (jnp.ones_like(x),))
        own, table = segment.own, self.table
        stored = table.answer
        marginal = {n: segment.linear(m) for n, m in stored.marginal.items()} | {self.post: slope}
        low, high = segment.ends(stored.feasible)
        near = 1e2 * jnp.finfo(x.dtype).eps
        share = jax.lax.stop_gradient(segment.share)
        # An open end is infeasible by itself, and all above it are not.
        first = segment.index == row * table.knots.shape[-1]
        open_end = first & ~low & high & (share > 0)
        feasible = (low & high) | (low & (share <= near)) | (high & (share >= 1 - near)) | open_end
        below = x < own(table.knots[:, 0]) - 1e2 * room_above(own(table.knots[:, 0]))
        feasible &= ~(jax.lax.stop_gradient(below) & own(table.edge))
        beyond = jnp.where((share > 1 + near) | (share < -near), 1.0, 0.0)
        answer = Answer(value, marginal, segment.linear(stored.weight), feasible, beyond * jnp.ones_like(value))
        return between.blend(answer, self.scale.interp)

    def _value(self, segment):
        """The value in its cell."""
        table, stored = self.table, self.table.answer
        if self.scale.interp == "linear":
            return segment.linear(stored.value)
        low, high = segment.ends(stored.value)
        secant = (high - low) / segment.width
        d0, d1 = (_tame(d, secant) for d in segment.ends(stored.marginal[self.post]))
        plain = segment.cubic(low, high, d0, d1)
        if self.scale.utility is None:
            return plain
        straight = segment.here(table.straight)
        w0, w1 = segment.ends(table.level)
        found = segment.cubic(w0, w1, *segment.ends(table.level_slope))
        safe = jax.lax.stop_gradient(jnp.where(straight, jnp.minimum(w0, w1), 1.0))
        still = jax.lax.stop_gradient(jnp.where(straight, found, 1.0))
        smooth = straight & (still > 0) & jnp.isfinite(self.scale.utility(self.scale.parameters, still))
        level = jnp.where(smooth, found, safe)
        weight = segment.linear(table.divisor)
        return jnp.where(smooth, weight * self.scale.utility(self.scale.parameters, level), plain)


def _tame(slope, secant):
    """A slope that keeps the cubic of its cell monotone (Fritsch and Carlson 1980)."""
    rising = slope * secant > 0
    least = jnp.where(secant < 0, -3.0 * jnp.abs(secant), 3.0 * jnp.abs(secant))
    return jnp.where(rising, jnp.where(jnp.abs(slope) <= 3.0 * jnp.abs(secant), slope, least), 0.0)


def _row_of(axes, between: Between, states) -> Int[Array, "..."] | int:
    """The row of the nearest values of discrete states, and of all corners around continuous ones."""
    row = 0
    for axis in axes:
        index = between.index[axis.name] if not axis.discrete else between.lead(nearest(axis.values, states[axis.name]))
        row = row * axis.values.shape[0] + index
    return row


class Searched(Optimum):
    """A decision whose maximum was sought: a policy on its grid, followed at any state.

    **Attributes:** `problem`, `policies`, `after`: what the post-states are worth; `state`: the decision state that comes
    last; `axes`: of the others; `options`: of discrete controls, which `choice` joins.
    """

    problem: MaximumProblem
    policies: Policies
    after: Afterwards
    state: str = eqx.field(static=True)
    axes: tuple[Axis, ...] = ()
    options: tuple[Axis, ...] = ()
    choice: ChoiceProblem | None = None

    @property
    def stored(self) -> Policies:
        """The policies."""
        return self.policies

    @property
    def controls(self) -> tuple[str, ...]:
        """Those that were sought."""
        return self.problem.controls

    def given(self, states: States, chosen: dict) -> Answer:
        """What the stored policy is worth where it is followed."""
        shape = jnp.broadcast_shapes(*[x.shape for x in (*states.values(), *[x for _, x in chosen.values()])])
        states = {n: jnp.broadcast_to(x, shape) for n, x in states.items()}
        problem = self.problem.given(**{axis.key: jnp.broadcast_to(chosen[axis.name][1], shape) for axis in self.options})
        index = {name: i for name, (i, _) in chosen.items()}
        smooth = (self.state, *[axis.name for axis in self.axes if not axis.discrete])
        lines = lambda s: self._lines(s, index)[0]
        if self.problem.jumps:
            side = self._best_line(problem, states, lines(states))
            policy = lambda s: {n: jnp.take_along_axis(x, side, axis=0)[0] for n, x in lines(s).items()}
        else:
            policy = lambda s: {n: x[0] for n, x in lines(s).items()}
        answer = follow(problem, self.after.at, states, policy, smooth)
        return dataclasses.replace(answer, feasible=answer.feasible & self._lines(states, index)[1])

    def _best_line(self, problem, states, lines):
        """The position of the continuation of the policy that is worth most: where it jumps, the one from its own side."""
        kept = jax.lax.stop_gradient(bounded(problem, states, lines))
        found = worth(problem, self.after.at, {n: x[None] for n, x in states.items()}, kept)
        # On a tie, up to rounding, the line between the two knots.
        tiny = 1e3 * jnp.finfo(found.dtype).eps * jnp.abs(found[0])
        return jnp.argmax(found.at[0].add(jnp.where(jnp.isfinite(tiny), tiny, 0.0)), axis=0)[None]

    def _lines(self, states, index):
        """Controls by linear interpolation, the cell's own line and those of its neighbours on a leading axis; feasibility."""
        between = Between([axis for axis in self.axes if not axis.discrete], states)
        own = {axis.name: between.lead(index[axis.name]) for axis in self.options}
        row = _row_of(self.axes, between, states)
        for axis in self.options:
            row = row * axis.values.shape[0] + own[axis.name]
        x = between.lead(states[self.state])
        shape = jnp.broadcast_shapes(x.shape, jnp.shape(row))
        x, row = jnp.broadcast_to(x, shape), jnp.broadcast_to(jnp.asarray(row, jnp.int32), shape)
        segment = Segment(self.policies.state, x, row)
        sides = (0, -1, 1) if self.problem.jumps else (0,)
        stack = lambda n: jnp.stack([_line(self.policies, segment, x, row, n, side) for side in sides])
        lines = {n: stack(n) for n in self.problem.controls}
        low, high = segment.ends(self.policies.feasible)
        good = low | high
        for i in reversed(range(len(between.names))):
            share = between.segments[i].share
            lines = {n: _mixed(c, share, i + 1) for n, c in lines.items()}
            good = jnp.any(good, axis=i)
        return lines, good


def _mixed(x, share, axis):
    """A mean of the two corners on an axis."""
    low, high = jnp.take(x, 0, axis=axis), jnp.take(x, 1, axis=axis)
    return low + (high - low) * share


def _line(policies, segment, x, row, name, side):
    """The straight line through the cell beside the query's own, at the query.

    A cell in which a bound begins or ceases to bind has a kink inside; there the line of the free side goes on until it meets
    the bound, which keeps the control within itself.
    """
    controls, size = policies.controls[name], policies.state.shape[-1]
    left_held, right_held = segment.ends(policies.held[name])
    shift = left_held.astype(jnp.int32) - right_held.astype(jnp.int32)
    own = segment.index + shift
    # Beside the free knot there must be another one, or the cell's own line is all there is.
    inside = (own >= row * size) & (own <= row * size + size - 2)
    own = jnp.where(inside, own, segment.index)
    index = own if side == 0 else jnp.clip(segment.index + side, row * size, row * size + size - 2)
    knots, flat = policies.state.ravel(), controls.ravel()
    left, right, c0, c1 = take(knots, index), take(knots, index + 1), take(flat, index), take(flat, index + 1)
    width = jnp.where(right == left, 1.0, right - left)
    return c0 + (c1 - c0) * (x - left) / width
