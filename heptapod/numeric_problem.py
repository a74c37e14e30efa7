"""A stage as numbers need it: formulas and names, compared by value, with no default, text or place in it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from heptapod._formula import Formula
from heptapod._numeric import singular
from heptapod.equation import SLOPE, Aggregator, Equation, Integrands, Transition
from heptapod.grids import Grid
from heptapod.perch_space import PerchSpace
from heptapod.shocks.base import AbstractShock


@dataclass(frozen=True, eq=False)
class NumericProblem:
    """What a stage computes, pointwise. Two stages of the same text are equal, whatever their default values.

    **Attributes:**

    - `spaces`: the three perches; `controls`, `shocks`.
    - `to_decision`: arrival states and shocks to decision states; `to_continuation`: decision states and controls to
      post-states.
    - `objective` $(p, m, c, x', V)$, `lower`, `upper` $(p, m)$: of the continuous control.
    - `integrands`, `aggregator`: the value on arrival.
    - `terminal` $(p, x_a, \\dots)$: the value on arrival after the last period, or `None`.
    - `method`: `"egm"`, or `None` where no method is known; then `reason` says why.
    - `state`, `post`, `control`: the names of the endogenous state, the active post-state and the control.
    - `foc`, `control_inverse`, `state_inverse`, `utility`, `utility_inverse`, `trade_off`, `lowest`: derived,
      `None` without closed form.
    """

    name: str
    spaces: tuple[tuple[str, PerchSpace], ...]
    controls: tuple[str, ...]
    shocks: tuple[AbstractShock, ...]
    to_decision: Transition
    to_continuation: Transition
    integrands: Integrands
    aggregator: Aggregator
    terminal: Equation | None = None
    method: str | None = None
    reason: str = ""
    state: str | None = None
    post: str | None = None
    control: str | None = None
    objective: Equation | None = None
    lower: Equation | None = None
    upper: Equation | None = None
    foc: Equation | None = None
    control_inverse: Equation | None = None
    state_inverse: Equation | None = None
    utility: Equation | None = None
    utility_inverse: Equation | None = None
    trade_off: Equation | None = None
    lowest: Formula | None = None
    corner: str = "upper"
    floored: bool = False
    bound_moves: bool = False
    discounted_by_state: bool = False
    interp: str = "auto"

    def __post_init__(self):
        values = tuple(getattr(self, f.name) for f in fields(self) if f.name != "reason")
        object.__setattr__(self, "_values", values)
        object.__setattr__(self, "_hash", hash(values))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other) -> bool:
        if self is other:
            return True
        return isinstance(other, NumericProblem) and self._hash == other._hash and self._values == other._values

    @property
    def foc_in_control(self) -> bool:
        """Whether the first-order condition gives the control; otherwise the post-state does, and it gives the state."""
        return self.control_inverse is None or SLOPE in self.control_inverse.formula.names

    def suspects(self, scope: Mapping) -> list[str]:
        """Parameters whose values make a formula of the stage divide by zero or leave its domain, in words."""
        formulas = [f for _, f in (*self.to_decision.equations, *self.to_continuation.equations)]
        formulas += [self.aggregator.formula, *self.integrands.formulas]
        equations = (self.objective, self.control_inverse, self.state_inverse, self.foc, self.terminal)
        formulas += [e.formula for e in equations if e is not None]
        return singular([f.tree for f in formulas], scope)

    def dimensions(self, perch: str) -> tuple[str, ...]:
        """The dimensions of a perch in the order of the file."""
        return dict(self.spaces)[perch].dimensions

    def grid(self, perch: str, dimension: str) -> Grid | None:
        """The declared grid of a dimension."""
        return dict(self.spaces)[perch].grid(dimension)

    def nodes(self, scope: Mapping) -> tuple[dict[str, Float[Array, " nodes"]], Float[Array, " nodes"]]:
        """Nodes and weights of all shocks together: the product of independent ones; one node of no name if there is none."""
        values, weights = {}, jnp.ones(1, jnp.asarray(scope["t"]).dtype)
        for shock in self.shocks:
            own, w = shock.nodes(scope)
            count, k = weights.shape[0], w.shape[0]
            values = {n: jnp.repeat(v, k) for n, v in values.items()} | {n: jnp.tile(v, count) for n, v in own.items()}
            weights = jnp.repeat(weights, k) * jnp.tile(w, count)
        return values, weights

    def draws(self, scope: Mapping, key: PRNGKeyArray, count: int) -> dict[str, Float[Array, " count"]]:
        """Draws of all shocks; element `i` depends on `(key, i)` alone."""
        drawn = {}
        for i, shock in enumerate(self.shocks):
            drawn |= shock.draws(scope, jax.random.fold_in(key, i), count)
        return drawn
