"""Euler errors: how far the policy is from the one that its own continuation implies, in units of consumption."""

import dataclasses
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from stagecraft.arrays import where
from stagecraft.circuit.composer import period_at
from stagecraft.circuit.model_circuit import ModelCircuit, check_solved
from stagecraft.horses.policy import implied
from stagecraft.households.panel import Panel
from stagecraft.movers.maximise import Maximise
from stagecraft.programs.counts import compiling
from stagecraft.simulation.simulate import simulate

# Methods that choose something continuous.
_METHODS = ("egm", "nested", "vfi")


class EulerErrors(eqx.Module):
    r"""$\log_{10}|1 - \hat c/c|$ at the unconstrained points of a panel; NaN where the constraint binds.

    **Attributes:** `log10`: `{stage: array (periods, agents)}`; `inside`: who passes the stage; `beyond`: whose post-state
    lies beyond the last knot of its grid, so that the policy was extrapolated; `age`: of the model's clock.
    """

    log10: dict[str, Float[Array, "periods agents"]]
    inside: dict[str, Bool[Array, "periods agents"]]
    beyond: dict[str, Bool[Array, "periods agents"]]
    age: tuple[float, float] | None = eqx.field(static=True, default=None)

    def __getitem__(self, stage: str) -> Float[Array, "periods agents"]:
        """The errors of `stage`, (periods, agents): log10 of the relative error of consumption, without a unit."""
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
        """Mean and maximum by stage and period, with the shares of constrained and of extrapolated points."""
        import pandas as pd

        rows = []
        for stage, errors in self.log10.items():
            for t, row in enumerate(np.asarray(errors)):
                here = np.asarray(self.inside[stage])[t]
                row, beyond = row[here], np.asarray(self.beyond[stage])[t][here]
                if not row.size:
                    continue
                free = row[np.isfinite(row)]
                age = {} if self.age is None else {"age": self.age[0] + self.age[1] * t}
                mean, top = (free.mean(), free.max()) if free.size else (np.nan, np.nan)
                shares = {"constrained": 1 - free.size / row.size, "extrapolated": beyond.mean()}
                rows.append({"stage": stage, "period": t, **age, "mean": mean, "max": top, **shares})
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

    - `solved`: a solved circuit.
    - `panel`: where to look; simulated if left out, from `initial`, else with agents spread evenly over the knots of the
      continuation grid, `agents` of them (1,000 if left out), with `key` (seed 0 if left out).

    **Returns:** an `EulerErrors`: powers of ten, -4 being an error of one part in ten thousand of the control, by stage,
    period and agent; NaN where a bound holds.

    **Raises:** `ValueError` for an unsolved circuit, and for a panel that has not kept what is needed, with its names.
    """
    check_solved(solved)
    if panel is None:
        key = jax.random.key(0) if key is None else key
        given = _over_knots(solved, agents or 1_000) if initial is None else initial
        periods = 1 if solved.structure.horizon is None else None
        panel = cast(Panel, simulate(solved, given, agents=agents, periods=periods, key=key))
    _check_panel(solved, panel)
    with compiling("euler_errors", solved):
        errors, beyond = _errors(dataclasses.replace(solved, dists=None), panel.data)
    return EulerErrors(errors, {name: panel.inside(name) for name in errors}, beyond, panel.age)


def _over_knots(solved, agents):
    """Every agent starts at a knot of the grid on which the continuation of period 0 was solved, discrete states by turns."""
    name = solved.structure.starts[0]
    num, block = solved.structure.stage(name), solved.structure.blocks[0]
    first = next(solved.structure.stage(n) for n in block.stages if solved.structure.stage(n).method in _METHODS)
    knots = solved.build(first.name, 0).cntn_to_dcsn.operator.knots
    index, given, repeat = np.linspace(1, knots.shape[0] - 1, agents).astype(int), {}, 1
    for state in num.dimensions("arvl"):
        grid = dict(num.spaces)["arvl"].grid(state)
        if grid is not None and grid.discrete:
            values = grid.build(solved.scope(name, 0))
            given[state] = values[(np.arange(agents) // repeat) % values.shape[0]]
            repeat *= values.shape[0]
        else:
            given[state] = knots[index]
    return given


def _judged(num) -> bool:
    """Whether a stage has a first-order condition whose error can be told."""
    return num.method in _METHODS and not num.discrete


def _check_panel(solved, panel):
    """Speak of variables that a panel made with `keep` lacks."""
    lacking, keep = [], []
    for num in filter(_judged, solved.structure.stages):
        states, ends = [_tagged(num, n) for n in num.dimensions("dcsn")], [_end(num, n) for n in num.dimensions("cntn")]
        wanted = [f"{num.name}.{n}" for n in dict.fromkeys((*states, *num.controls, *ends))]
        lacking += [name for name in wanted if name.rpartition(".")[2] not in panel.data.get(num.name, {})]
        keep += wanted
    if lacking:
        raise ValueError(f"the panel has no {', '.join(lacking)}; simulate it with keep={keep}, or without `keep`")


@jax.jit
def _errors(solved: ModelCircuit, data):
    """The errors by stage, and who is beyond the last knot."""
    structure, found = solved.structure, {}
    for num in structure.stages:
        if not _judged(num):
            continue
        parts = []
        for position, block in enumerate(structure.blocks):
            ts, variables = jnp.arange(block.first, block.last + 1), data[num.name]
            if num.name not in block.stages:
                shape = (len(ts), *next(iter(variables.values())).shape[1:])
                parts.append((jnp.full(shape, jnp.nan), jnp.zeros(shape, bool)))
                continue

            def at(t, last, num=num, position=position, variables=variables, clock=None):
                period = period_at(solved, position, t, last)
                optimise = period.stage(num.name).cntn_to_dcsn.operator
                now = t if clock is None else clock
                return _period_errors(
                    optimise, period.continuation(num.name, ""), num, {k: v[now] for k, v in variables.items()}
                )

            if structure.horizon is None:
                count = next(iter(variables.values())).shape[0]
                parts.append(jax.lax.map(lambda k, at=at: at(jnp.asarray(0), False, clock=k), jnp.arange(count)))
                continue
            if len(ts) > 1:
                parts.append(jax.lax.map(lambda t, at=at: at(t, False), ts[:-1]))
            parts.append(jax.tree.map(lambda x: x[None], at(ts[-1], True)))
        found[num.name] = jax.tree.map(lambda *xs: jnp.concatenate(xs), *parts)
    return {name: x for name, (x, _) in found.items()}, {name: x for name, (_, x) in found.items()}


def _period_errors(optimise, continuation, num, variables):
    knots = optimise.knots
    post = variables[_end(num, num.solution.post)]
    errors = (_searched_errors if isinstance(optimise, Maximise) else _euler_errors)(optimise, continuation, num, variables)
    return errors, post > knots[-1] + 1e-9 * (1.0 + jnp.abs(knots[-1]))


def _euler_errors(optimise, continuation, num, variables):
    ends = {n: variables[_end(num, n)] for n in num.dimensions("cntn")}
    passive = {axis.key: variables[_tagged(num, axis.name)] for axis in optimise.axes}
    problem = optimise.problem.given(**passive)
    p = problem.parameters
    own = num.solution
    state, control, post = variables[_tagged(num, own.state)], variables[own.control], ends[own.post]
    slope = continuation.at(ends).marginal[own.post]
    implied = problem.control_inverse(p, slope, post)
    # Where the post-state fixes the control, the condition is solved for the state instead.
    given, found = (control, implied) if own.foc_in_control else (state, problem.state_inverse(p, post, control, slope))
    bound = (problem.upper if problem.corner == "upper" else problem.lower)(p, state) * jnp.ones_like(state)
    room = 1e-9 * (1.0 + jnp.abs(bound))
    free = jnp.abs(control - bound) > room
    if problem.floored:
        free &= jnp.abs(control - (problem.lower if problem.corner == "upper" else problem.upper)(p, state)) > room
    error = jnp.log10(jnp.maximum(jnp.abs(1.0 - found / given), 1e-17))
    return where(free & jnp.isfinite(found), error, jnp.nan)


def _searched_errors(maximise, continuation, num, variables):
    """The largest error of all controls that are free."""
    ends = {n: variables[_end(num, n)] for n in num.dimensions("cntn")}
    states = {n: variables[_tagged(num, n)] for n in num.dimensions("dcsn")}
    problem, controls = maximise.problem, {n: variables[n] for n in num.controls}
    found, errors = implied(problem, states, controls, continuation.at(ends)), []
    for name, (low, high) in problem.limits(problem.parameters, states).items():
        room = lambda bound: 1e-9 * (1.0 + jnp.abs(where(jnp.isfinite(bound), bound, 0.0)))
        free = (controls[name] > low + room(low)) & (controls[name] < high - room(high)) & jnp.isfinite(found[name])
        error = jnp.log10(jnp.maximum(jnp.abs(1.0 - found[name] / controls[name]), 1e-17))
        errors.append(where(free, error, -jnp.inf))
    worst = jnp.max(jnp.stack(errors), axis=0)
    return where(jnp.isfinite(worst), worst, jnp.nan)


def _tagged(num, name):
    """The name of a decision state in a panel: tagged where it stands on arrival, or among the shocks, too."""
    return f"{name}_dcsn" if name in _on_arrival(num) else name


def _end(num, name):
    """The name of a post-state in a panel: tagged where it stands anywhere before, too."""
    return f"{name}_cntn" if name in (*_on_arrival(num), *num.dimensions("dcsn"), *num.controls) else name


def _on_arrival(num):
    """What stands first in a panel: the states on arrival, and the shocks."""
    return (*num.dimensions("arvl"), *[d for shock in num.shocks for d in shock.dimensions])
