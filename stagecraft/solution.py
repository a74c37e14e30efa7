"""What a solve stores, and what a functional object answers: arrays only, so that both cross every transformation."""

import equinox as eqx
from jaxtyping import Array, Bool, Float


class Answer(eqx.Module):
    r"""What a functional object says at given states, all of one shape.

    **Attributes:**

    - `value`: $V$.
    - `marginal`: $\partial V/\partial x$ for every continuous state $x$ of the perch.
    - `weight`: the value of the constant reward 1 through the same movers; $V$ divided by it is a mean of rewards.
    - `feasible`: false where no admissible choice exists; the numbers beside it are finite all the same.
    - `policy`: the controls, on a decision perch.
    """

    value: Float[Array, "..."]
    marginal: dict[str, Float[Array, "..."]]
    weight: Float[Array, "..."]
    feasible: Bool[Array, "..."]
    policy: dict[str, Float[Array, "..."]] = eqx.field(default_factory=dict)


class Continuation(eqx.Module):
    """A continuation on the knots of the post-state, and at the lowest post-state that the control's bound allows."""

    value: Float[Array, " cntn"]
    marginal: Float[Array, " cntn"]
    weight: Float[Array, " cntn"]
    feasible: Bool[Array, " cntn"]
    lowest_value: Float[Array, ""]
    lowest_weight: Float[Array, ""]


class Rows(eqx.Module):
    r"""A decision on its own endogenous knots: what EGM leaves, and all that evaluating it anywhere needs.

    **Attributes:**

    - `state`: the endogenous knots of the decision state, increasing.
    - `control`, `value`, `marginal`, `weight`: at the knots.
    - `level`, `level_slope`: $w = u^{-1}(V/B)$ and $\partial w/\partial m$ at the knots, where `smooth` holds.
    - `smooth`: whether $w$ exists at a knot; where it does not, the value itself is interpolated.
    - `lowest_value`, `lowest_weight`: the continuation at the lowest post-state, for the constrained branch.
    - `maximal`: whether the conditions of the second order hold at every knot.
    - `idle`: whether saving is worth nothing at any knot, so that the bound holds everywhere.
    """

    state: Float[Array, " cntn"]
    control: Float[Array, " cntn"]
    value: Float[Array, " cntn"]
    marginal: Float[Array, " cntn"]
    weight: Float[Array, " cntn"]
    level: Float[Array, " cntn"]
    level_slope: Float[Array, " cntn"]
    smooth: Bool[Array, " cntn"]
    lowest_value: Float[Array, ""]
    lowest_weight: Float[Array, ""]
    idle: Bool[Array, ""]
    maximal: Bool[Array, ""]
