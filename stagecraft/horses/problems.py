"""The records between whisperers and horses: static pointwise functions, and the arrays that they read.

Every function takes the parameters first (a dictionary of arrays, or whatever pytree the caller likes) and is elementwise in
the rest, so that a record is a pytree whose only leaves are arrays, and two records of one model share a compilation.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, cast

import equinox as eqx
from jaxtyping import Array, Float

from stagecraft.horses.intratemporal import Intratemporal

# Places where those who come next begin or cease to stay at a kink, at most.
KINK_ENDS = 16

Pointwise = Callable[..., Float[Array, "..."]]


class ContinuousProblem(eqx.Module):
    r"""One continuous control and one post-state: $\max_c Q(m, c, x', V(x'))$ with $x' = g(m, c)$ and $l(m) \le c \le h(m)$.

    **Attributes:**

    - `parameters`: first argument of every function below.
    - `knots`: the exogenous grid of the post-state $x'$, increasing; `post`: the name under which a continuation's marginal
      values hold that of $x'$.
    - `lowest`: $p \mapsto$ the lowest $x'$ that the bound allows; the corner.
    - `objective`: $(p, m, c, x', V) \mapsto Q$, linear in $V$.
    - `transition`: $(p, m, c) \mapsto x'$.
    - `control_inverse`: $(p, \lambda, x') \mapsto c$, the first-order condition solved for the control.
    - `state_inverse`: $(p, x', c, \lambda) \mapsto m$, the transition (or the first-order condition) solved for the state.
    - `foc`: $(p, c, \lambda, x') \mapsto$ the condition itself, falling in $c$ at a maximum; `None` leaves that unchecked.
    - `state_at_bound`: $(p, x', m) \mapsto m$, the state that leads to $x'$ at the bound that is not the corner, near a first
      guess; `None` where that bound does not move with the state.
    - `lower`, `upper`: $(p, m) \mapsto$ bound.
    - `utility`, `utility_inverse`: the part of the reward that depends on $c$ alone, and its inverse; or `None`.
    - `trade_off`: $(p, m, c) \mapsto g_m/g_c$ simplified, for where both are infinite; `None` has JAX divide them.
    - `slope`: $(p, m, c, x', V) \mapsto dV/dm$ by the envelope condition, `by_value`: $(p, m, x') \mapsto Q_V$; `None` has JAX
      derive them.
    - `kinks`: $p \mapsto x'$, where the slope of the problem, or of what follows it, jumps: there two knots stand.
    - `corner`: which bound leads to the lowest post-state, `"upper"` or `"lower"`.
    - `floored`: whether the other bound can bind; `cornerless`: whether either can, and neither leads to a corner: the control
      adds to what the state brings along, and `lowest` is the first knot.
    - `discounted_by_state`: whether $Q_V$ depends on $m$, so that $Q_m$ needs the continuation value.
    - `turns`: whether the state found for a post-state falls in it where the marginal value is small: no maximum.
    - `open_end`: whether the continuation is asked just above the lowest post-state, since no choice leads there, or an extra
      unit there is worth infinitely much.
    - `interp`: `"auto"` (values accurate between knots) or `"linear"`.
    - `envelope`: whether the endogenous knots may fold, so that their upper envelope is taken; `switch_knots`: for how many
      switches of what follows it is asked on both sides, beside the knots.
    - `corner_knot`: whether one knot more stands where the constraint of the stage that follows at once begins to bind.
    - `domain`: whether the reward has no value at some states, so that solutions may stand where nobody can be.
    - `endless`: whether values are a fixed point, to which Newton's steps come from values that have no level.
    - `kink_ends`: whether the continuation is asked where those who come next begin to stay at a kink.
    - `flat`: whether post-states may be worth nothing at the margin below others that are worth something.
    - `allowed`: $(p, m) \mapsto$ whether there is a choice at all, beside the bounds; `None` always.
    - `beside`: the controls that enter reward and budget only, and how they are solved; the functions above then read them
      among the parameters, a dictionary, or solve for them.
    - `passive`: the keys in `parameters` (a dictionary then) of passive continuous states; `others`: the passive post-states,
      which follow from them, pairs of a name and $p \mapsto x'$.
    """

    parameters: Any
    knots: Float[Array, " cntn"]
    lowest: Callable = eqx.field(static=True)
    objective: Pointwise = eqx.field(static=True)
    transition: Pointwise = eqx.field(static=True)
    control_inverse: Pointwise = eqx.field(static=True)
    state_inverse: Pointwise = eqx.field(static=True)
    lower: Pointwise = eqx.field(static=True)
    upper: Pointwise = eqx.field(static=True)
    utility: Pointwise | None = eqx.field(static=True, default=None)
    utility_inverse: Pointwise | None = eqx.field(static=True, default=None)
    foc: Pointwise | None = eqx.field(static=True, default=None)
    state_at_bound: Pointwise | None = eqx.field(static=True, default=None)
    trade_off: Pointwise | None = eqx.field(static=True, default=None)
    slope: Pointwise | None = eqx.field(static=True, default=None)
    by_value: Pointwise | None = eqx.field(static=True, default=None)
    kinks: tuple[Callable, ...] = eqx.field(static=True, default=())
    corner: str = eqx.field(static=True, default="upper")
    floored: bool = eqx.field(static=True, default=False)
    cornerless: bool = eqx.field(static=True, default=False)
    discounted_by_state: bool = eqx.field(static=True, default=True)
    turns: bool = eqx.field(static=True, default=False)
    open_end: bool = eqx.field(static=True, default=False)
    interp: str = eqx.field(static=True, default="auto")
    envelope: bool = eqx.field(static=True, default=False)
    switch_knots: int = eqx.field(static=True, default=0)
    corner_knot: bool = eqx.field(static=True, default=False)
    flat: bool = eqx.field(static=True, default=False)
    domain: bool = eqx.field(static=True, default=False)
    endless: bool = eqx.field(static=True, default=False)
    kink_ends: bool = eqx.field(static=True, default=False)
    allowed: Callable | None = eqx.field(static=True, default=None)
    post: str = eqx.field(static=True, default="post")
    beside: Intratemporal | None = eqx.field(static=True, default=None)
    passive: tuple[str, ...] = eqx.field(static=True, default=())
    others: tuple[tuple[str, Pointwise], ...] | None = eqx.field(static=True, default=None)

    @property
    def holds(self) -> bool:
        """Whether the other bound is closed and moves with the state, so that it may decide over the post-state."""
        return self.floored and self.state_at_bound is not None

    @property
    def branched(self) -> bool:
        """Whether the constrained branch has knots of its own."""
        return (self.envelope or self.floored or self.curved) and not self.cornerless

    @property
    def curved(self) -> bool:
        """Whether the constrained branch is a curve: controls beside move along it."""
        return self.beside is not None and self.beside.curved

    def chosen(self, inner: dict[str, Float[Array, "..."]]) -> "ContinuousProblem":
        """The problem with the values of the controls beside among its parameters, as far as they are known."""
        names = () if self.beside is None else [control.name for control in self.beside.controls]
        return self.given(**{name: inner[name] for name in names if name in inner})

    def given(self, **values) -> "ContinuousProblem":
        """The problem of one row: with the values of passive states among its parameters."""
        return dataclasses.replace(self, parameters={**self.parameters, **values}) if values else self

    def other_posts(self, parameters) -> dict[str, Float[Array, "..."]]:
        """The passive post-states by name."""
        return {name: function(parameters) for name, function in self.others or ()}


class Alternative(eqx.Module):
    r"""One thing to choose: $Q(x_v, k, x_e, V(x_e))$ with $x_e = g(x_v, k)$, $k$ the values of discrete controls.

    **Attributes:**

    - `transition`: $(p, x_v, k) \mapsto$ post-states, dictionaries in and out.
    - `objective`: $(p, x_v, k, x_e, V) \mapsto Q$.
    - `allowed`: $(p, x_v, k, x_e) \mapsto$ whether it may be chosen; `None` always.
    - `controls`: the values of the discrete controls, a leading axis over their combinations; empty for a branch.
    - `plain`: whether $Q$ is $V(x_e)$ and nothing else.
    """

    controls: dict[str, Float[Array, " values"]]
    transition: Callable = eqx.field(static=True)
    objective: Callable = eqx.field(static=True)
    allowed: Callable | None = eqx.field(static=True, default=None)
    plain: bool = eqx.field(static=True, default=False)


class ChoiceProblem(eqx.Module):
    r"""A choice among finitely many things: branches, or values of discrete controls.

    **Attributes:**

    - `parameters`: first argument of every function of the alternatives.
    - `alternatives`: one for each branch, or a single one whose controls have several values.
    - `scale`: of the Gumbel taste shocks, zero for the hard maximum; `None` where nobody chooses.
    - `probs`: $(p, x_v) \mapsto$ nature's probabilities, one for each alternative; `None` where an agent chooses.
    """

    parameters: Any
    alternatives: tuple[Alternative, ...]
    scale: Float[Array, ""] | None = None
    probs: Callable | None = eqx.field(static=True, default=None)


class ExpectationProblem(eqx.Module):
    r"""Value on arrival: $A(x_a, E_w f_1, E_w f_2, \dots)$ with $f_i(x_a, w, V(g(x_a, w)))$.

    **Attributes:**

    - `parameters`: first argument of every function below.
    - `nodes`: the shocks at the quadrature nodes, each of shape (nodes,).
    - `weights`: the probabilities of the nodes; with Markov shocks an axis before it for every state that one is given.
    - `given`: those states, each with the values that it takes, in the order of the axes.
    - `plain`: whether $A$ is $E[V]$ and nothing else.
    - `to_state`: $(p, x_a, w) \mapsto$ the decision states, dictionaries in and out.
    - `integrands`: $(p, x_a, w, V) \mapsto (f_1, f_2, \dots)$.
    - `aggregator`: $(p, x_a, (E_1, E_2, \dots)) \mapsto A$.
    """

    parameters: Any
    nodes: dict[str, Float[Array, " nodes"]]
    weights: Float[Array, "*given nodes"]
    to_state: Callable = eqx.field(static=True)
    integrands: Callable = eqx.field(static=True)
    aggregator: Callable = eqx.field(static=True)
    given: dict[str, Float[Array, " values"]] = eqx.field(default_factory=dict)
    plain: bool = eqx.field(static=True, default=False)


class MaximumProblem(eqx.Module):
    r"""A few continuous controls, whatever the objective: $\max_c Q(x_v, c, x_e, V(x_e))$ with $x_e = g(x_v, c)$.

    **Attributes:**

    - `parameters`: first argument of every function below; values of discrete controls may stand among them.
    - `controls`: the names of the controls.
    - `transition`: $(p, x_v, c) \mapsto$ post-states, dictionaries in and out.
    - `objective`: $(p, x_v, c, x_e, V) \mapsto Q$.
    - `recorded`: what the choice is worth to the stages before, as `objective`; `None` where it is the same.
    - `limits`: $(p, x_v) \mapsto$ (lower, upper) by control, infinite where a side is open.
    - `strict`: the controls with a strict bound: where their bounds meet there is no choice.
    - `allowed`: $(p, x_v, c, x_e) \mapsto$ whether a choice is admissible beside the bounds; `None` always.
    - `admitted`: $(p, x_v) \mapsto$ whether there is a choice at all; `None` always.
    - `jumps`: whether the continuation need not be concave, so that the objective may have several peaks and policies jump.
    - `switches`: whether a choice without taste shocks lies downstream, so that the continuation kinks between its knots.
    - `varying`: the keys of those parameters that have a value for each state, discrete controls.
    """

    parameters: Any
    controls: tuple[str, ...] = eqx.field(static=True)
    transition: Callable = eqx.field(static=True)
    objective: Callable = eqx.field(static=True)
    limits: Callable = eqx.field(static=True)
    strict: tuple[str, ...] = eqx.field(static=True, default=())
    allowed: Callable | None = eqx.field(static=True, default=None)
    admitted: Callable | None = eqx.field(static=True, default=None)
    jumps: bool = eqx.field(static=True, default=False)
    switches: bool = eqx.field(static=True, default=False)
    varying: tuple[str, ...] = eqx.field(static=True, default=())
    recorded: Pointwise | None = eqx.field(static=True, default=None)

    def given(self, **values) -> "MaximumProblem":
        """The same with the values of discrete controls among its parameters."""
        parameters = {**self.parameters, **values} if values else self.parameters
        return dataclasses.replace(self, parameters=parameters, varying=tuple(values))


class Scale(eqx.Module):
    r"""How values are read between knots: as the consumption that is worth as much, $u^{-1}(V/B)$, where there is a $u$.

    **Attributes:** `utility`, `utility_inverse`: $(p, c)$ and its inverse, or `None`; `interp`: `"auto"` or `"linear"`.
    """

    parameters: Any
    utility: Pointwise | None = eqx.field(static=True, default=None)
    utility_inverse: Pointwise | None = eqx.field(static=True, default=None)
    interp: str = eqx.field(static=True, default="auto")

    @property
    def by_level(self) -> bool:
        """Whether values are read so where they can be."""
        return self.utility is not None and self.interp != "linear"

    def worth(self, level: Float[Array, "..."]) -> Float[Array, "..."]:
        """The utility of a level."""
        return cast(Pointwise, self.utility)(self.parameters, level)
