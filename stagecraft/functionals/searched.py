"""The decision that follows a policy found by search."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp

from stagecraft.arrays import where
from stagecraft.functionals.axes import Axis, CellCorners, States, row_of
from stagecraft.functionals.decision import Optimum
from stagecraft.functionals.tabulated import TabulatedContinuation
from stagecraft.horses.policy import follow_policy, within_bounds, worth
from stagecraft.horses.problems import ChoiceProblem, MaximumProblem
from stagecraft.horses.solution import Answer, Policies
from stagecraft.operators.interpolate import Segment, take


class SearchedDecision(Optimum):
    """A decision whose maximum was sought: a policy on its grid, followed at any state.

    **Attributes:** `problem`, `policies`, `after`: what the post-states are worth; `state`: the decision state that comes
    last; `axes`: of the others; `options`: of discrete controls, which `choice` joins.
    """

    problem: MaximumProblem
    policies: Policies
    after: TabulatedContinuation
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
        answer = follow_policy(problem, self.after.at, states, policy, smooth)
        return dataclasses.replace(answer, feasible=answer.feasible & self._lines(states, index)[1])

    def _best_line(self, problem, states, lines):
        """The position of the continuation of the policy that is worth most: where it jumps, the one from its own side."""
        kept = jax.lax.stop_gradient(within_bounds(problem, states, lines))
        found = worth(problem, self.after.at, {n: x[None] for n, x in states.items()}, kept)
        # On a tie, up to rounding, the line between the two knots.
        tiny = 1e3 * jnp.finfo(found.dtype).eps * jnp.abs(found[0])
        return jnp.argmax(found.at[0].add(where(jnp.isfinite(tiny), tiny, 0.0)), axis=0)[None]

    def _lines(self, states, index):
        """Controls by linear interpolation, the cell's own line and those of its neighbours on a leading axis; feasibility."""
        between = CellCorners([axis for axis in self.axes if not axis.discrete], states)
        own = {axis.name: between.lead(index[axis.name]) for axis in self.options}
        row = row_of(self.axes, between, states)
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
    own = where(inside, own, segment.index)
    index = own if side == 0 else jnp.clip(segment.index + side, row * size, row * size + size - 2)
    knots, flat = policies.state.ravel(), controls.ravel()
    left, right, c0, c1 = take(knots, index), take(knots, index + 1), take(flat, index), take(flat, index + 1)
    width = where(right == left, 1.0, right - left)
    return c0 + (c1 - c0) * (x - left) / width
