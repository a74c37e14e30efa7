"""A continuation kept on a grid: computed once at every post-state, and interpolated wherever a search asks."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagecraft.arrays import room_above, where
from stagecraft.functionals.axes import Axis, CellCorners, States, row_of
from stagecraft.functionals.functional import AbstractFunctional
from stagecraft.functionals.kinked import Kinks, at_kink, kinks_of
from stagecraft.horses.levels import bend, levels, marginal_utility, secant_where
from stagecraft.horses.problems import Scale
from stagecraft.horses.solution import Answer, PostTable
from stagecraft.operators.interpolate import Segment, tamed


def post_table(scale: Scale, post: str, knots: Float[Array, "rows cntn"], moved, answer: Answer) -> PostTable:
    """What a continuation answered on the grid of the post-states, ready to be interpolated along the active one.

    **Arguments:** `moved`: rows whose knots were moved up to the edge of what is feasible; `answer`: in rows, as the knots.
    """

    # A terminal value is no sum of rewards, and its weight is zero.
    divisor = where(answer.weight > 0, answer.weight, 1.0)

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
    others = {name: x for name, x in answer.marginal.items() if name != post} if scale.by_level else {}
    others = {name: x / (divisor * marginal_utility(scale, level)) for name, x in others.items()}
    return PostTable(knots=knots, answer=answer, divisor=divisor, level=level, level_slope=level_slope, straight=straight,
                     edge=moved, level_others=others)  # fmt: skip


class TabulatedContinuation(AbstractFunctional):
    """A continuation between the knots on which it was computed once.

    Along the active post-state it is a cubic with the slopes that the continuation has at the knots, of $u^{-1}(V/B)$ where
    the stage has such a scale and that is straighter, else of the value itself, `tamed`; along other continuous ones a
    `tamed` cubic; discrete ones are matched exactly.

    **Attributes:** `table`; `scale`; `post`: the active post-state; `axes`: the others.
    """

    table: PostTable
    scale: Scale
    post: str = eqx.field(static=True)
    axes: tuple[Axis, ...] = ()
    kinks: Kinks | None = None

    @classmethod
    def of(cls, table: PostTable, scale: Scale, post: str, axes: tuple[Axis, ...], switches: bool) -> "TabulatedContinuation":
        """That of a table; `switches`: whether a choice that follows does, so that the value kinks."""
        stored, kinks = table.answer, None
        if switches and scale.interp != "linear" and table.knots.shape[-1] > 3:
            kinks = kinks_of(table.knots, stored.value, stored.marginal[post], stored.feasible)
        return cls(table, scale, post, axes, kinks)

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The names of the post-states."""
        return (self.post, *[axis.name for axis in self.axes])

    def answer(self, states: States) -> Answer:
        """Value and marginal values at post-states."""
        between = CellCorners([axis for axis in self.axes if not axis.discrete], states)
        row = row_of(self.axes, between, states)
        x = between.lead(states[self.post])
        shape = jnp.broadcast_shapes(x.shape, jnp.shape(row))
        x, row = jnp.broadcast_to(x, shape), jnp.broadcast_to(jnp.asarray(row, jnp.int32), shape)
        segment = Segment(self.table.knots, x, row)
        value, slope = jax.jvp(lambda q: self._value(segment.at(q)), (x,), (jnp.ones_like(x),))
        own, table = segment.own, self.table
        stored = table.answer
        marginal = self._others(segment) | {self.post: slope}
        low, high = segment.ends(stored.feasible)
        near = 1e2 * jnp.finfo(x.dtype).eps
        share = jax.lax.stop_gradient(segment.share)
        # An open end is infeasible by itself, and all above it are not.
        first = segment.index == row * table.knots.shape[-1]
        open_end = first & ~low & high & (share > 0)
        feasible = (low & high) | (low & (share <= near)) | (high & (share >= 1 - near)) | open_end
        below = x < own(table.knots[:, 0]) - 1e2 * room_above(own(table.knots[:, 0]))
        feasible &= ~(jax.lax.stop_gradient(below) & own(table.edge))
        beyond = where((share > 1 + near) | (share < -near), 1.0, 0.0)
        weight, outside = segment.linear(stored.weight), beyond * jnp.ones_like(value)
        answer = Answer(value=value, marginal=marginal, weight=weight, feasible=feasible, outside=outside)
        if self.kinks is not None:
            ends = (
                segment.ends(stored.value),
                {n: segment.ends(x) for n, x in stored.marginal.items()},
                segment.ends(stored.weight),
            )
            answer = at_kink(ends, jax.tree.map(segment.here, self.kinks), answer, segment, self.post)
        return between.blend(answer, self.scale.interp)

    def _value(self, segment):
        """The value in its cell."""
        table, stored = self.table, self.table.answer
        if self.scale.interp == "linear":
            return segment.linear(stored.value)
        low, high = segment.ends(stored.value)
        secant = (high - low) / segment.width
        left, right = segment.ends(stored.marginal[self.post])
        d0, d1 = tamed(left, right, secant)
        plain = segment.cubic(low, high, d0, d1)
        if not self.scale.by_level:
            return plain
        smooth, level = self._level(segment)
        weight = segment.linear(table.divisor)
        return where(smooth, weight * self.scale.worth(level), plain)

    def _level(self, segment):
        """Whether the level is what is interpolated in the cell, and the level there, or one that is safe."""
        table = self.table
        straight = segment.here(table.straight)
        w0, w1 = segment.ends(table.level)
        found = segment.cubic(w0, w1, *segment.ends(table.level_slope))
        safe = jax.lax.stop_gradient(where(straight, jnp.minimum(w0, w1), 1.0))
        still = jax.lax.stop_gradient(where(straight, found, 1.0))
        smooth = straight & (still > 0) & jnp.isfinite(self.scale.worth(still))
        return smooth, where(smooth, found, safe)

    def _others(self, segment):
        """The marginal values of the other post-states: of the level, linear, where it is interpolated, else by themselves."""
        plain = {n: segment.linear(x) for n, x in self.table.answer.marginal.items() if n != self.post}
        if not self.table.level_others:
            return plain
        smooth, level = self._level(segment)
        by_level = segment.linear(self.table.divisor) * marginal_utility(self.scale, level)
        return {n: where(smooth, by_level * segment.linear(self.table.level_others[n]), x) for n, x in plain.items()}
