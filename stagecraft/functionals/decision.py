"""Solutions at the decision and on arrival that are stored, or chosen among alternatives."""

import abc
import dataclasses
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp

from stagecraft.arrays import shown
from stagecraft.functionals.axes import Axis, CellCorners, States, combinations, labels_of, row_of
from stagecraft.functionals.functional import AbstractFunctional, Choices
from stagecraft.functionals.kinked import Kinks, at_kink
from stagecraft.horses.choice import join, options
from stagecraft.horses.evaluate import evaluate
from stagecraft.horses.problems import ChoiceProblem, ContinuousProblem
from stagecraft.horses.solution import Answer, Policies, Rows, Table
from stagecraft.operators.interpolate import nearest, take


class Optimum(AbstractFunctional):
    """The stored solution at the decision of a stage with continuous controls; discrete ones beside them are joined.

    **Attributes:** `state`: the decision state that comes last; `axes`: of the others; `options`: of discrete controls, which
    `choice` joins.
    """

    state: eqx.AbstractVar[str]
    axes: eqx.AbstractVar[tuple[Axis, ...]]
    options: eqx.AbstractVar[tuple[Axis, ...]]
    choice: eqx.AbstractVar[ChoiceProblem | None]

    @property
    @abc.abstractmethod
    def stored(self) -> Rows | Policies:
        """What a solve keeps."""

    @property
    @abc.abstractmethod
    def controls(self) -> tuple[str, ...]:
        """The names of the continuous controls."""

    @abc.abstractmethod
    def given(self, states: States, chosen: dict) -> Answer:
        """The answer at given discrete controls, (position, value) by name."""

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The names of the states."""
        return (self.state, *[axis.name for axis in self.axes])

    @property
    def labels(self) -> tuple[str, ...]:
        """The combinations of the discrete controls, by position."""
        return labels_of(self.options)

    def answer(self, states: States) -> Answer:
        """Value, marginal values and policy at decision states."""
        if not self.options:
            return self.given(states, {})
        return join(cast(ChoiceProblem, self.choice), states, self.stack(states), self.labels)

    def stack(self, states: States) -> Answer:
        """The answers of all combinations of discrete controls, on a leading axis."""
        rank = next(iter(states.values())).ndim
        lead = {name: x[None] for name, x in states.items()}
        chosen = combinations(self.options, rank)
        answer = self.given(lead, chosen)
        like = lambda x: jnp.broadcast_to(x, answer.value.shape)
        policy = answer.policy | {axis.name: like(chosen[axis.name][1]) for axis in self.options}
        return jax.tree.map(like, dataclasses.replace(answer, policy=policy))

    @property
    def grids(self) -> list[tuple[str, str]]:
        """In words, the knots along every axis of what is stored, and the policies there."""
        own = [(self.state, f"knots {shown(self.stored.state)}")]
        values = dict(zip(self.controls, self.stored.policies, strict=False))
        axes = [(axis.name, shown(axis.values)) for axis in (*self.axes, *self.options)]
        return own + axes + [(f'policy["{name}"]', shown(x)) for name, x in values.items()]

    @property
    def last_knots(self) -> dict[str, float]:
        """The last knot along every continuous state, of the endogenous one the largest of all rows."""
        ends = {self.state: float(jnp.max(self.stored.state[..., -1]))}
        return ends | {axis.name: float(axis.values[-1]) for axis in self.gridded}

    @property
    def policy(self) -> Choices:
        """`policy["c"](m=...)`."""
        return Choices(self, "policy", (*self.controls, *[axis.name for axis in self.options]))

    @property
    def probability(self) -> Choices:
        """The probability of each combination of discrete controls, as functions by position."""
        return Choices(self, "probability", self.labels if self.options else ())


class Decision(Optimum):
    """A decision on its own endogenous knots, in one row for each combination of the axes.

    **Attributes:** `problem`, `rows`; `state`, `control`: their names; `axes`: of passive states; `options`: of discrete
    controls, which `choice` joins.
    """

    problem: ContinuousProblem
    rows: Rows
    state: str = eqx.field(static=True)
    control: str = eqx.field(static=True)
    axes: tuple[Axis, ...] = ()
    options: tuple[Axis, ...] = ()
    choice: ChoiceProblem | None = None

    @property
    def stored(self) -> Rows:
        """The rows."""
        return self.rows

    @property
    def controls(self) -> tuple[str, ...]:
        """The control, and those that were chosen before it."""
        return (self.control, *self.rows.inner)

    def given(self, states: States, chosen: dict) -> Answer:
        """From the row of discrete states, and a mean over rows of continuous ones."""
        return _row(self, states, chosen)


def place_of(decision: Decision, states: States, chosen: dict) -> tuple[CellCorners, dict, Any]:
    """Where states lie between the rows: along continuous axes, the position on every axis, and the row, all corners first."""
    index = {name: i for name, (i, _) in chosen.items()}
    for axis in decision.axes:
        if axis.discrete:
            index[axis.name] = nearest(axis.values, states[axis.name])
    between = CellCorners([axis for axis in decision.axes if not axis.discrete], states)
    index = {name: between.lead(i) for name, i in index.items()} | between.index
    row = 0
    for axis in (*decision.axes, *decision.options):
        row = row * axis.values.shape[0] + index[axis.name]
    return between, index, row


def _row(decision: Decision, states: States, chosen: dict) -> Answer:
    """The answer at given discrete controls: the row of discrete states, and a mean over rows of continuous ones."""
    axes = (*decision.axes, *decision.options)
    between, index, row = place_of(decision, states, chosen)
    values = {axis.key: take(axis.values, index[axis.name]) for axis in axes}
    problem = decision.problem.given(**values)
    answer = evaluate(problem, decision.rows, between.lead(states[decision.state]), row if axes else None)
    keys = {axis.key: axis.name for axis in axes}
    marginal = {decision.state if k == "state" else keys[k]: x for k, x in answer.marginal.items()}
    policy = {decision.control if k == "control" else k: x for k, x in answer.policy.items()}
    answer = dataclasses.replace(answer, marginal=marginal, policy=policy)
    return between.blend(answer, decision.problem.interp)


class ChosenAlternative(AbstractFunctional):
    """The solution at the decision of a stage that chooses among branches, or values of discrete controls; composed.

    **Attributes:** `problem`; `continuations`: one for each alternative; `names`: of the states; `controls`; `labels`.
    """

    problem: ChoiceProblem
    continuations: tuple[AbstractFunctional, ...]
    names: tuple[str, ...] = eqx.field(static=True)
    controls: tuple[str, ...] = eqx.field(static=True)
    labels: tuple[str, ...] = eqx.field(static=True)

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The names of the states."""
        return self.names

    def answer(self, states: States) -> Answer:
        """Value, marginal values, policy and probabilities at decision states."""
        return join(self.problem, states, self.stack(states), self.labels)

    def stack(self, states: States) -> Answer:
        """The answers of all alternatives, on a leading axis."""
        return options(self.problem, tuple(c.at for c in self.continuations), states)

    @property
    def policy(self) -> Choices:
        """The most probable value of each discrete control."""
        return Choices(self, "policy", self.controls)

    @property
    def probability(self) -> Choices:
        """`probability["work"](a=...)`: by branch, or by the positions of the controls' values."""
        return Choices(self, "probability", self.labels)


class Tabulated(AbstractFunctional):
    """An arrival whose answers are stored on its grid.

    **Attributes:** `table`; `axes`: of all states; `kinks`: along the continuous one, where a choice may switch.
    """

    table: Table
    axes: tuple[Axis, ...]
    interp: str = eqx.field(static=True, default="auto")
    kinks: Kinks | None = None

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The names of the states."""
        return tuple(axis.name for axis in self.axes)

    def answer(self, states: States) -> Answer:
        """The stored answers at the nearest values of discrete states, and between knots of continuous ones."""
        between = CellCorners([axis for axis in self.axes if not axis.discrete], states)
        row = row_of(self.axes, between, states)
        corners = jax.tree.map(lambda x: take(x.ravel(), row), self.table.answer)
        answer = between.blend(corners, self.interp)
        if self.kinks is None:
            return answer
        pair = lambda x: (x[0], x[1])
        ends = pair(corners.value), {n: pair(x) for n, x in corners.marginal.items()}, pair(corners.weight)
        kinks = jax.tree.map(lambda x: take(x.ravel(), row[0]), self.kinks)
        return at_kink(ends, kinks, answer, between.segments[0], between.names[0])
