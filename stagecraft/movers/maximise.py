"""The mover that seeks a maximum: from a continuation kept on the grid of the post-states to policies on the decision's."""

import dataclasses
import math
from collections.abc import Callable, Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stagecraft.arrays import where
from stagecraft.functionals.axes import Axis, along
from stagecraft.functionals.functional import AbstractFunctional
from stagecraft.functionals.searched import SearchedDecision
from stagecraft.functionals.tabulated import TabulatedContinuation, post_table
from stagecraft.horses.edge import just_above
from stagecraft.horses.health import finite
from stagecraft.horses.horse import AbstractHorse
from stagecraft.horses.knots import decision_knots, filled
from stagecraft.horses.problems import ChoiceProblem, MaximumProblem, Scale
from stagecraft.horses.solution import Answer, Policies, PostTable
from stagecraft.horses.vfi import vfi
from stagecraft.movers.optimise import asked_from_edge
from stagecraft.whisperers.choice import choice_problem
from stagecraft.whisperers.continuous import axes_of, discrete_axes
from stagecraft.whisperers.search import maximum_problem, most_of, post_axes, scale_of


class Maximise(AbstractHorse):
    """Backward from continuation to decision: the best of a few continuous controls, sought at every knot of the decision.

    **Attributes:** `problem`; `scale`: how values are read between knots; `knots`: of the active post-state `post`, and
    `post_axes` of the others; `state`: the decision state that comes last, with its `grid`, or `base`, $(p, x') \\mapsto$ its
    knots, and `most`, the highest of it that arrivals reach; `axes`: of the other decision states; `options`: of discrete
    controls, joined by `choice`.
    """

    problem: MaximumProblem
    scale: Scale
    knots: Float[Array, " cntn"]
    state: str = eqx.field(static=True)
    post: str = eqx.field(static=True)
    most: Float[Array, ""]
    post_axes: tuple[Axis, ...] = ()
    grid: Float[Array, " dcsn"] | None = None
    base: Callable | None = eqx.field(static=True, default=None)
    axes: tuple[Axis, ...] = ()
    options: tuple[Axis, ...] = ()
    choice: ChoiceProblem | None = None

    @property
    def points(self) -> dict[str, Float[Array, "..."]]:
        """Where the continuation is asked: the product of the grids of all post-states, the active one last."""
        others = zip(self.post_axes, along(self.post_axes, 1), strict=True)
        rank = len(self.post_axes)
        return {axis.name: x for axis, x in others} | {self.post: self.knots.reshape((1,) * rank + (-1,))}

    @property
    def smooth(self) -> tuple[str, ...]:
        """The continuous post-states."""
        return (self.post, *[axis.name for axis in self.post_axes if not axis.discrete])

    def ask(self, continuation: AbstractFunctional) -> tuple[dict, Answer]:
        """The points at which the continuation is kept, moved to the edge of what is feasible, and its answer there."""
        return asked_from_edge(continuation, self.post, self.points, self.post_axes, beside=True)

    @classmethod
    def of(cls, num, scope: Mapping[str, Array]) -> "Maximise":
        """The horse of a stage whose maximum is sought."""
        own, options = num.solution, discrete_axes(num, scope)
        choice = choice_problem(num, scope, ()) if options else None
        knots, grid = dict(own.post_grids)[own.post].build(scope), own.state_grid
        return cls(problem=maximum_problem(num, scope), scale=scale_of(num, scope), knots=knots, state=own.state, post=own.post,
                   most=most_of(num, scope), post_axes=post_axes(num, scope), grid=None if grid is None else grid.build(scope),
                   base=own.base, axes=axes_of(num, scope), options=options, choice=choice)  # fmt: skip

    def solve(self, points: dict, answer: Answer) -> Policies:
        """Search, given the continuation's answer at `points`."""
        table = self._table(points, answer)
        after = self._after(table)
        states, chosen = self._states()
        problem = self.problem.given(**chosen)
        found = vfi(problem, after.at, states)
        shape = states[self.state].shape
        low_high = problem.limits(problem.parameters, states)
        empty = {n: jnp.broadcast_to(high <= low, shape) for n, (low, high) in low_high.items()}
        fill = lambda n, x: filled(states[self.state], jnp.broadcast_to(x, shape), found.feasible, empty[n])
        controls = {n: fill(n, x) for n, x in found.controls.items()}
        return Policies(state=states[self.state], controls=controls, held=found.held, feasible=found.feasible,
                        bounded=found.bounded, after=table)  # fmt: skip

    def decide(self, stored: Policies) -> SearchedDecision:
        """The functional object of given policies."""
        after = self._after(stored.after)
        joined = {"axes": self.axes, "options": self.options, "choice": self.choice}
        return SearchedDecision(problem=self.problem, policies=stored, after=after, state=self.state, **joined)

    def placeholder(self) -> Policies:
        """Policies of the right shapes and of no meaning."""
        states, _ = self._states()
        rows, count = math.prod(axis.values.shape[0] for axis in self.post_axes), self.knots.shape[0]
        blank = jnp.broadcast_to(jnp.arange(count, dtype=self.knots.dtype), (rows, count))
        slopes = dict.fromkeys(self.smooth, blank)
        answer = Answer(value=blank, marginal=slopes, weight=blank, feasible=blank < 0, outside=blank)
        others = dict.fromkeys(self.smooth[1:], blank) if self.scale.by_level else {}
        table = PostTable(knots=blank, answer=answer, divisor=blank, level=blank, level_slope=blank, straight=blank < 0,
                          edge=blank[:, 0] < 0, level_others=others)  # fmt: skip
        own = states[self.state]
        controls, held = ({name: x for name in self.problem.controls} for x in (own, own < own))
        return Policies(state=own, controls=controls, held=held, feasible=own < own, bounded=own < own, after=table)

    def health(self, stored: Policies) -> dict[str, Bool[Array, ""]]:
        """What can be said of policies that were sought; they neither fold nor need room."""
        return {
            "grid": jnp.all(jnp.diff(self.knots) > 0) & jnp.all(jnp.diff(stored.state) > 0),
            "decision": finite((stored.state, stored.controls, stored.after.level, stored.after.answer)),
            "maximal": jnp.all(stored.bounded),
            "found": jnp.any(stored.feasible),
        }

    def _after(self, table: PostTable) -> TabulatedContinuation:
        return TabulatedContinuation.of(table, self.scale, self.post, self.post_axes, self.problem.switches)

    def _table(self, points, answer) -> PostTable:
        """The answer in rows, one for each combination of the other post-states."""
        sizes, n = tuple(axis.values.shape[0] for axis in self.post_axes), self.knots.shape[0]
        flat = lambda x: jnp.broadcast_to(x, (*sizes, n)).reshape(-1, n)
        marginal = {name: answer.marginal.get(name, jnp.zeros_like(answer.value)) for name in self.smooth}
        answer = jax.tree.map(flat, dataclasses.replace(answer.plain(), marginal=marginal))
        knots, bottom = flat(points[self.post]), self.knots[0]
        # An open end was asked just above itself; it is no choice, and what was found there is its limit.
        opened = (knots > bottom) & (knots <= just_above(bottom))
        answer = dataclasses.replace(answer, feasible=answer.feasible & ~opened)
        knots = where(opened, bottom, knots)
        return post_table(self.scale, self.post, knots, knots[:, 0] > bottom, answer)

    def _states(self):
        """The decision states in rows, one for each combination of the axes, and the discrete controls of every row."""
        axes = (*self.axes, *self.options)
        columns = jnp.meshgrid(*[axis.values for axis in axes], indexing="ij") if axes else []
        rows = {axis: column.reshape(-1, 1) for axis, column in zip([a.key for a in axes], columns, strict=True)}
        count = math.prod(axis.values.shape[0] for axis in axes)
        if self.grid is not None:
            own = jnp.broadcast_to(self.grid, (count, self.grid.shape[0]))
        else:
            shape = (count, self.knots.shape[0])
            base = self.knots if self.base is None else self.base({**self.problem.parameters, **rows}, self.knots)
            own = decision_knots(jnp.broadcast_to(base, shape), self.knots, self.most)
        states = {self.state: own} | {axis.name: rows[axis.key] for axis in self.axes}
        return states, {axis.key: rows[axis.key] for axis in self.options}
