"""Euler errors: how far the policy is from the one that its own continuation implies, in units of consumption."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from stagecraft.model_circuit import ModelCircuit
from stagecraft.panel import Panel
from stagecraft.simulate import simulate


class EulerErrors(eqx.Module):
    r"""$\log_{10}|1 - \hat c/c|$ at the unconstrained points of a panel; NaN where the constraint binds.

    **Attributes:** `log10`: `{stage: array (periods, agents)}`; `age`: of the model's clock.
    """

    log10: dict[str, Float[Array, "periods agents"]]
    age: tuple[float, float] | None = eqx.field(static=True, default=None)

    def __getitem__(self, stage: str) -> Float[Array, "periods agents"]:
        """The errors of a stage."""
        return self.log10[stage]

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        """Periods by agents, the stages side by side, so that `np.nanmean(errors)` is the mean."""
        del copy  # The stages are copied side by side anyway.
        return np.concatenate([np.asarray(x, dtype) for x in self.log10.values()], axis=1)

    def _all(self) -> np.ndarray:
        return np.concatenate([np.ravel(x) for x in self.log10.values()])

    @property
    def mean(self) -> float:
        """The mean over all unconstrained points; NaN if there is none."""
        values = self._all()
        return float(np.nanmean(values)) if np.any(np.isfinite(values)) else float("nan")

    @property
    def max(self) -> float:
        """The largest error."""
        values = self._all()
        return float(np.nanmax(values)) if np.any(np.isfinite(values)) else float("nan")

    def to_pandas(self) -> Any:
        """Mean and maximum by stage and period, with the share of constrained points."""
        import pandas as pd

        rows = []
        for stage, errors in self.log10.items():
            for t, row in enumerate(np.asarray(errors)):
                free = row[np.isfinite(row)]
                age = {} if self.age is None else {"age": self.age[0] + self.age[1] * t}
                mean, top = (free.mean(), free.max()) if free.size else (np.nan, np.nan)
                share = 1 - free.size / row.size
                rows.append({"stage": stage, "period": t, **age, "mean": mean, "max": top, "constrained": share})
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        return f"EulerErrors(mean={self.mean:.2f}, max={self.max:.2f})"


def euler_errors(
    solved: ModelCircuit,
    panel: Panel | None = None,
    *,
    initial: dict | None = None,
    agents: int | None = None,
    key: PRNGKeyArray | None = None,
) -> EulerErrors:
    r"""Unit-free Euler errors on a simulated panel (Judd 1992; Santos 2000).

    At every unconstrained point $(m, c, x')$ the marginal value $\lambda(x')$ is evaluated by the next period's own policy,
    parameters and quadrature at exactly that $x'$, not interpolated from the grid; $\hat c$ solves the first-order condition.

    **Arguments:**

    - `panel`: where to look; simulated if left out, from `initial`, else with agents spread evenly over the knots of the
      continuation grid, `agents` of them (1,000 if left out), with `key` (seed 0 if left out).

    **Raises:** `ValueError` for an unsolved circuit.
    """
    if getattr(solved, "rows", None) is None:
        raise ValueError("the circuit is not solved; call stagecraft.solve first")
    if panel is None:
        key = jax.random.key(0) if key is None else key
        given = _spread(solved, agents or 1_000) if initial is None else initial
        panel = simulate(solved, given, agents=agents, key=key)
    return EulerErrors(_errors(solved, panel.data), panel.age)


def _spread(solved, agents):
    """Every agent starts at a knot of the grid on which the continuation of period 0 was solved."""
    (num,), (link,) = solved.structure.stages, solved.structure.inter_period
    knots = solved.build(num.name, 0).cntn_to_dcsn.operator.problem.knots
    index = np.linspace(1, knots.shape[0] - 1, agents).astype(int)
    return {there: knots[index] for _, there in link.mapping}


@jax.jit
def _errors(solved: ModelCircuit, data):
    (num,) = solved.structure.stages
    horizon = solved.structure.horizon
    variables = data[num.name]

    def at(t, last):
        problem = solved.build(num.name, t).cntn_to_dcsn.operator.problem
        return _period_errors(problem, solved.continuation(num.name, t, last), num, {k: v[t] for k, v in variables.items()})

    head = jax.lax.map(lambda t: at(t, False), jnp.arange(horizon - 1))
    tail = at(jnp.asarray(horizon - 1), True)[None]
    return {num.name: jnp.concatenate([head, tail])}


def _period_errors(problem, continuation, num, variables):
    p = problem.parameters
    state, control, post = (variables[n] for n in (num.state, num.control, num.post))
    slope = continuation.at({num.post: post}).marginal[num.post]
    implied = problem.control_inverse(p, slope, post)
    # Where the post-state fixes the control, the condition is solved for the state instead.
    given, found = (control, implied) if num.foc_in_control else (state, problem.state_inverse(p, post, control, slope))
    bound = (problem.upper if problem.corner == "upper" else problem.lower)(p, state) * jnp.ones_like(state)
    room = 1e-9 * (1.0 + jnp.abs(bound))
    free = jnp.abs(control - bound) > room
    if problem.floored:
        free &= jnp.abs(control - (problem.lower if problem.corner == "upper" else problem.upper)(p, state)) > room
    error = jnp.log10(jnp.maximum(jnp.abs(1.0 - found / given), 1e-17))
    return jnp.where(free & jnp.isfinite(found), error, jnp.nan)
