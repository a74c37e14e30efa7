"""What a solve stores, and what a functional object answers: arrays only, so that both cross every transformation.

Of whatever is stored one may ask which of its arrays are `policies`, `values`, and `weights`.
"""

import dataclasses

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from stagecraft.arrays import listed, page, shown, traced
from stagecraft.horses.stored import AbstractStored


class Answer(eqx.Module):
    r"""What a functional object says at given states; shapes broadcast to that of the value.

    **Attributes:**

    - `value`: $V$.
    - `marginal`: $\partial V/\partial x$ for every continuous state $x$ of the perch.
    - `weight`: the value of the constant reward 1 through the same movers; $V$ divided by it is a mean of rewards.
    - `feasible`: false where no admissible choice exists; the numbers beside it are finite all the same.
    - `outside`: the probability that what comes next is asked beyond the last knot of its grid, and extrapolated.
    - `policy`: the controls, on a decision perch; a discrete one has its most probable value.
    - `probability`: of every branch, or of every value of the discrete controls, on a decision perch.
    """

    value: Float[Array, "..."]
    marginal: dict[str, Float[Array, "..."]]
    weight: Float[Array, "..."]
    feasible: Bool[Array, "..."]
    outside: Float[Array, "..."]
    policy: dict[str, Float[Array, "..."]] = eqx.field(default_factory=dict)
    probability: dict[str, Float[Array, "..."]] = eqx.field(default_factory=dict)

    def __repr__(self) -> str:
        rows = [("value", shown(self.value))]
        for kind in ("policy", "marginal", "probability"):
            rows += [(f'{kind}["{name}"]', shown(x)) for name, x in getattr(self, kind).items()]
        if traced(self.feasible, self.outside):
            return listed("Answer", rows)
        feasible, outside = np.asarray(self.feasible), np.asarray(self.outside)
        share = [("feasible", f"at {feasible.mean():.1%}"), ("outside", f"at {np.mean(outside > 0):.1%}")]
        return listed("Answer", [rows[0], *share, *rows[1:]])

    def _repr_html_(self) -> str:
        return page(repr(self))

    def plain(self) -> "Answer":
        """The same without policy and probability."""
        return dataclasses.replace(self, policy={}, probability={})


class Lowest(eqx.Module):
    """A continuation at the lowest post-state that the control's bound allows, for the constrained branch.

    **Attributes:** `others`: marginal values of the passive post-states; `inner`: the controls that were chosen first.
    """

    value: Float[Array, "*rows"]
    weight: Float[Array, "*rows"]
    others: dict[str, Float[Array, "*rows"]]
    inner: dict[str, Float[Array, "*rows"]] = eqx.field(default_factory=dict)


class Row(eqx.Module):
    """A choice at every knot of one row, in the order of the post-state: what `Rows` keeps of it.

    Value, weight and marginal values are first those of the continuation behind the choice, then those of the decision.

    **Attributes:** as of `Rows`; `edge`: whether a knot is the edge of the feasible set, where marginal values are infinite.
    """

    state: Float[Array, " n"]
    control: Float[Array, " n"]
    value: Float[Array, " n"]
    marginal: Float[Array, " n"]
    weight: Float[Array, " n"]
    others: dict[str, Float[Array, " n"]]
    inner: dict[str, Float[Array, " n"]]
    edge: Bool[Array, " n"]


class Rows(AbstractStored):
    r"""A decision on its own endogenous knots: what EGM leaves, and all that evaluating it anywhere needs.

    Passive states and discrete controls give every array a leading axis, one row for each of their combinations.

    **Attributes:**

    - `state`: the endogenous knots of the decision state, increasing; two of them are equal where the policy jumps.
    - `control`, `value`, `marginal`, `weight`: at the knots; `others`: marginal values of continuous passive states.
    - `level`, `level_slope`: $w = u^{-1}(V/B)$ and $\partial w/\partial m$ at the knots, where they exist.
    - `straight`: whether $w$ is interpolated in the cell that a knot begins, or the value itself.
    - `lowest`: the continuation at the lowest post-state, for the constrained branch.
    - `corner`: the state up to which the bound may hold, infinite where saving is worth nothing at any knot; `least`: states
      up to it are infeasible.
    - `maximal`: whether the conditions of the second order hold at every knot.
    - `reachable`: whether any post-state of the row is feasible.
    - `inner`: the controls that were chosen first, at the knots.
    - `switches`: how many times the policy jumps; `overflow`: whether there was no room for all of the jumps.
    """

    state: Float[Array, "*rows dcsn"]
    control: Float[Array, "*rows dcsn"]
    value: Float[Array, "*rows dcsn"]
    marginal: Float[Array, "*rows dcsn"]
    weight: Float[Array, "*rows dcsn"]
    others: dict[str, Float[Array, "*rows dcsn"]]
    level: Float[Array, "*rows dcsn"]
    level_slope: Float[Array, "*rows dcsn"]
    straight: Bool[Array, "*rows dcsn"]
    lowest: Lowest
    corner: Float[Array, "*rows"]
    least: Float[Array, "*rows"]
    maximal: Bool[Array, "*rows"]
    reachable: Bool[Array, "*rows"]
    switches: Int[Array, "*rows"]
    overflow: Bool[Array, "*rows"]
    inner: dict[str, Float[Array, "*rows dcsn"]] = eqx.field(default_factory=dict)

    @property
    def policies(self) -> tuple:
        """The controls."""
        return (self.control,)

    @property
    def values(self) -> tuple:
        """What the solution is worth."""
        return (self.value,)

    @property
    def weights(self) -> tuple:
        """What the constant reward 1 is worth."""
        return (self.weight,)


class Table(AbstractStored):
    """Answers stored on the grid of an arrival, an axis a state in the order of the stage's rows."""

    answer: Answer

    @property
    def policies(self) -> tuple:
        """The controls."""
        return ()

    @property
    def values(self) -> tuple:
        """What the solution is worth."""
        return (self.answer.value,)

    @property
    def weights(self) -> tuple:
        """What the constant reward 1 is worth."""
        return (self.answer.weight,)


class PostTable(eqx.Module):
    r"""A continuation on the grids of all post-states, the active one last, a row for each combination of the others.

    **Attributes:** `knots`: of the active post-state, increasing; two are equal below the edge of what is feasible; `answer`:
    there; `divisor`: $B$ of `level`, positive; `level`, `level_slope`, `straight`: as in `Rows`; `level_others`:
    $\partial w/\partial y$ of the other continuous post-states; `edge`: whether posts below the first knot are infeasible.
    """

    knots: Float[Array, "rows cntn"]
    answer: Answer
    divisor: Float[Array, "rows cntn"]
    level: Float[Array, "rows cntn"]
    level_slope: Float[Array, "rows cntn"]
    straight: Bool[Array, "rows cntn"]
    edge: Bool[Array, " rows"]
    level_others: dict[str, Float[Array, "rows cntn"]] = eqx.field(default_factory=dict)


class Policies(AbstractStored):
    """A decision found by search: controls on the decision's grid, and the continuation that they were found for.

    **Attributes:** `state`: knots of the state that comes last, in every row; `controls`, `held` (whether at a bound),
    `feasible`, `bounded` (whether the maximum was found at a finite choice): at the knots; `after`: the continuation on the
    grid of the post-states.
    """

    state: Float[Array, "rows dcsn"]
    controls: dict[str, Float[Array, "rows dcsn"]]
    held: dict[str, Bool[Array, "rows dcsn"]]
    feasible: Bool[Array, "rows dcsn"]
    bounded: Bool[Array, "rows dcsn"]
    after: PostTable

    @property
    def policies(self) -> tuple:
        """The controls."""
        return tuple(self.controls.values())

    @property
    def values(self) -> tuple:
        """What the solution is worth."""
        return (self.after.answer.value,)

    @property
    def weights(self) -> tuple:
        """What the constant reward 1 is worth."""
        return (self.after.answer.weight,)


class Lines(AbstractStored):
    """Policies and values on the knots of one state, as a method of a user's own may keep them.

    **Attributes:** `knots`: increasing; `controls`: by name; `value`.
    """

    knots: Float[Array, " knots"]
    controls: dict[str, Float[Array, " knots"]]
    value: Float[Array, " knots"]

    @property
    def policies(self) -> tuple:
        """The controls."""
        return tuple(self.controls.values())

    @property
    def values(self) -> tuple:
        """What the solution is worth."""
        return (self.value,)

    @property
    def weights(self) -> tuple:
        """Not kept: one."""
        return (jnp.ones_like(self.value),)
