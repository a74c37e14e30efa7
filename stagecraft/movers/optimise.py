"""The mover that chooses a continuous control, given what comes after it."""

import dataclasses
import math
from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stagecraft.arrays import where
from stagecraft.functionals.axes import Axis, along
from stagecraft.functionals.decision import Decision
from stagecraft.functionals.functional import AbstractFunctional
from stagecraft.functionals.inner import InnerControl
from stagecraft.horses.bounds import inserted
from stagecraft.horses.edge import at_moved, from_edge, just_above
from stagecraft.horses.egm import egm
from stagecraft.horses.health import finite, unfolded
from stagecraft.horses.horse import AbstractHorse
from stagecraft.horses.knots import stored_knots
from stagecraft.horses.problems import ChoiceProblem, ContinuousProblem
from stagecraft.horses.solution import Answer, Lowest, Rows
from stagecraft.movers.corner_knots import with_corner_knot
from stagecraft.movers.kink_ends import with_kink_ends
from stagecraft.movers.switch_knots import with_switch_knots
from stagecraft.whisperers.choice import choice_problem
from stagecraft.whisperers.continuous import axes_of, continuous_problem, discrete_axes


def asked_from_edge(
    continuation: AbstractFunctional, post: str, points: dict, axes: tuple[Axis, ...], beside: bool = False
) -> tuple[dict, Answer]:
    """The points, moved up to the edge of what is feasible, and the continuation's answer there.

    A debt or a payment may be more than the next income covers; what leaves nothing to eat is no choice.

    **Arguments:** `axes`: of the points, but for the last; `beside`: whether an open end is asked just above itself.
    """
    frozen = jax.tree.map(jax.lax.stop_gradient, continuation)
    apart = tuple(i for i, axis in enumerate(axes) if axis.discrete)
    moved = from_edge(post, points, lambda states: frozen.at(states).feasible, beside, apart)
    return moved, at_moved(continuation.at, post, points, moved[post], apart)


class Optimise(AbstractHorse):
    """Backward from continuation to decision: the best continuous choice in every row, given what comes after it.

    **Attributes:** `problem`; `axes`: of passive states; `options`: of discrete controls, joined by `choice`;
    `inner`: the control that is chosen first, given the post-state.
    """

    problem: ContinuousProblem
    state: str = eqx.field(static=True)
    control: str = eqx.field(static=True)
    axes: tuple[Axis, ...] = ()
    options: tuple[Axis, ...] = ()
    choice: ChoiceProblem | None = None
    inner: InnerControl | None = None

    @property
    def knots(self) -> Float[Array, " cntn"]:
        """The grid of the post-state."""
        return self.problem.knots

    @property
    def post(self) -> str:
        """The name of the post-state."""
        return self.problem.post

    @property
    def others(self) -> tuple[str, ...]:
        """The passive post-states, where a passive state has a marginal value that depends on theirs."""
        return tuple(name for name, _ in self.problem.others or ()) if self.problem.passive else ()

    def placeholder(self) -> Rows:
        """Rows of the right shapes and of no meaning."""
        sizes = tuple(axis.values.shape[0] for axis in (*self.axes, *self.options))
        rows = () if not sizes else (math.prod(sizes),)
        dtype = self.problem.knots.dtype
        count = stored_knots(self.problem)
        ramp = jnp.broadcast_to(jnp.arange(count, dtype=dtype), (*rows, count))
        one, no = jnp.ones(rows, dtype), jnp.zeros(rows, bool)
        others = {name: ramp for name in self.problem.passive}
        lowest = {name: one for name in self.others}
        inner = () if self.inner is None else (self.inner.control,)
        first = Lowest(value=one, weight=one, others=lowest, inner=dict.fromkeys(inner, one))
        inner += () if self.problem.beside is None else tuple(c.name for c in self.problem.beside.controls)
        return Rows(state=ramp, control=ramp, value=ramp, marginal=ramp, weight=ramp, others=others, level=ramp,
                    level_slope=ramp, straight=ramp >= 0, lowest=first, corner=one, least=one, maximal=no, reachable=no,
                    switches=jnp.zeros(rows, jnp.int32), overflow=no, inner=dict.fromkeys(inner, ramp))  # fmt: skip

    def passive(self, rank: int = 0) -> dict[str, Float[Array, "..."]]:
        """The passive states and discrete controls under their keys, each along its own axis, before `rank` others."""
        axes = (*self.axes, *self.options)
        return {axis.key: x for axis, x in zip(axes, along(axes, rank), strict=True)}

    @property
    def points(self) -> dict[str, Float[Array, "..."]]:
        """Where the continuation is asked: for each row the lowest post-state first, then the knots."""
        problem = self.problem.given(**self.passive(1))
        lowest = problem.lowest(problem.parameters).astype(problem.knots.dtype)
        single = lambda x: jnp.broadcast_to(x, (*x.shape[:-1], 1)) if x.ndim else x[None]
        lowest, knots = single(lowest), problem.knots
        more = [single(x.astype(knots.dtype)) for x in inserted(problem)]
        if more:
            rows = jnp.broadcast_shapes(*[x.shape[:-1] for x in more])
            full = [jnp.broadcast_to(x, (*rows, x.shape[-1])) for x in (knots, *more)]
            knots = jnp.sort(jnp.concatenate(full, axis=-1))
        rows = jnp.broadcast_shapes(lowest.shape[:-1], knots.shape[:-1])
        knots = jnp.concatenate([jnp.broadcast_to(x, (*rows, x.shape[-1])) for x in (lowest, knots)], axis=-1)
        active = {self.post: where(knots <= lowest, just_above(lowest), knots) if problem.open_end else knots}
        if problem.others is None:
            return active
        rank = len(self.axes) + len(self.options) + 1
        full = lambda x: jnp.reshape(x, (1,) * (rank - jnp.ndim(x)) + jnp.shape(x))
        return {name: full(x) for name, x in (active | problem.other_posts(problem.parameters)).items()}

    @classmethod
    def of(cls, num, scope: Mapping[str, Array]) -> "Optimise":
        """The horse of a stage whose first-order condition is inverted."""
        own, options = num.solution, discrete_axes(num, scope)
        choice = choice_problem(num, scope, ()) if options else None
        inner = own.inner
        first = None if inner is None else InnerControl(dict(scope), *inner)
        return cls(problem=continuous_problem(num, scope), state=own.state, control=own.control, axes=axes_of(num, scope),
                   options=options, choice=choice, inner=first)  # fmt: skip

    def solve(self, points: dict, answer: Answer) -> Rows:
        """The rows, given the continuation's answer at `points`."""
        sizes = tuple(axis.values.shape[0] for axis in (*self.axes, *self.options))
        n = points[self.post].shape[-1]
        flat = lambda x: jnp.broadcast_to(x, (*sizes, n)).reshape(-1, n)
        marginal = {name: answer.marginal.get(name, jnp.zeros_like(answer.value)) for name in self.others}
        marginal[self.post] = answer.marginal[self.post]
        answer = jax.tree.map(flat, dataclasses.replace(answer, marginal=marginal))
        # A knot that was moved to the edge of the feasible post-states bounds the states, as an infeasible one does.
        first = jnp.broadcast_to(self.points[self.post][..., 1], sizes).ravel()
        moved = flat(points[self.post])[:, 1] > first
        feasible = answer.feasible.at[:, 1].set(answer.feasible[:, 1] & ~moved)
        rows = (dataclasses.replace(answer, feasible=feasible), flat(points[self.post]))
        (continuation, knots), (lowest, _) = (jax.tree.map(part, rows) for part in (lambda x: x[:, 1:], lambda x: x[:, 0]))
        passive = {k: jnp.broadcast_to(x, sizes).ravel() for k, x in self.passive().items()}

        def row(passive, knots, continuation, lowest):
            return egm(dataclasses.replace(self.problem.given(**passive), knots=knots), continuation, lowest)

        first = lambda tree: jax.tree.map(lambda x: x[0], tree)
        line = (knots, continuation, lowest)
        return jax.vmap(row)(passive, *line) if sizes else row({}, *first(line))

    def decide(self, stored: Rows) -> Decision:
        """The functional object of given rows."""
        joined = {"axes": self.axes, "options": self.options, "choice": self.choice}
        return Decision(problem=self.problem, rows=stored, state=self.state, control=self.control, **joined)

    def ask(self, continuation: AbstractFunctional) -> tuple[dict, Answer]:
        """The points at which the continuation decides, moved to the edge of what is feasible, and its answer there."""
        continuation = continuation if self.inner is None else self.inner.over(continuation, self.post)
        # A control that is chosen first looks along the post-states of its own row.
        axes, points = () if self.inner else (*self.axes, *self.options), self.points
        if self.problem.kink_ends:
            points = with_kink_ends(continuation, self.post, points)
        points, answer = asked_from_edge(continuation, self.post, points, axes)
        if self.problem.corner_knot:
            points = with_corner_knot(continuation, self.post, points)
            answer = continuation.at(points)
        if not self.problem.switch_knots:
            return points, answer
        points = with_switch_knots(continuation, self.post, points, self.problem.switch_knots)
        return points, continuation.at(points)

    def health(self, stored: Rows) -> dict[str, Bool[Array, ""]]:
        """What can be said of rows."""
        return {
            "grid": jnp.all(jnp.diff(self.knots) > 0),
            "decision": finite((stored.state, stored.control, stored.value, stored.marginal, stored.level)),
            "unfolded": jnp.asarray(True) if self.problem.envelope else unfolded(stored.state),
            "maximal": jnp.all(stored.maximal | ~stored.reachable),
            "found": jnp.any(stored.reachable),
            "room": ~jnp.any(stored.overflow & stored.reachable),
        }
