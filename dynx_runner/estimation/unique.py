"""Whether draws can be told from states: only if no two of them lead to the same."""

import jax
import jax.numpy as jnp
import numpy as np

from dynx_runner.estimation import adapter
from dynx_runner.estimation.densities import spread_of
from dynx_runner.estimation.law import moved_states, nodes_of

_WIDE = 4.0  # Standard deviations to either side.
_POINTS = {1: 41, 2: 9}  # Along each draw; five where there are more.
_FEW = 5  # Values of everything else.


def check_unique(circuit, plan) -> None:
    r"""Refuse draws that their states do not tell.

    The determinant of $\partial\,$states$/\partial\,$draws must have one sign wherever draws are likely, at some states on
    arrival and all values of other shocks; of one draw and one state that is what it takes, of more it is necessary.

    **Raises:** `ValueError` naming the draws, the states, and where.
    """
    for seen, (draws, states) in zip(plan.stages, plan.inverted, strict=True):
        if draws:
            _check(circuit, seen.name, draws, states)


def _check(circuit, stage: str, draws, states) -> None:
    num = circuit.structure.stage(stage)
    line = np.linspace(-_WIDE, _WIDE, _POINTS.get(len(draws), 5))
    z = np.stack(np.meshgrid(*[line] * len(draws), indexing="ij"), -1).reshape(-1, len(draws))

    def all_slopes(circuit, others):
        scope = circuit.scope(stage, 0)
        among = spread_of(num.shocks, scope, draws)
        y = jnp.where(np.array(among.log), among.middle * jnp.exp(among.width * z), among.middle + among.width * z)

        def slope(known, y):
            move = lambda y: moved_states(num, scope, {**known, **dict(zip(draws, y, strict=True))}, states)
            return jnp.linalg.det(jax.jacfwd(move)(y))

        def given(other):
            nodes, odds = nodes_of(num, scope, other)
            of_node = lambda node: jax.vmap(lambda y: slope({**other, **node}, y))(y)
            return jax.vmap(of_node, axis_size=odds.shape[0])(nodes), odds > -jnp.inf

        return jax.vmap(given)(others)

    others = _others(circuit, stage, num, draws)
    found, there = (np.asarray(x) for x in jax.jit(all_slopes)(circuit, others))
    flat = 1e-12 * np.max(np.abs(found), axis=-1, keepdims=True)
    told = np.all(found > flat, axis=-1) | np.all(found < -flat, axis=-1) | ~there
    if told.all():
        return
    worst = int(np.argmin(told.all(axis=1)))
    at = ", ".join(f"{name} = {float(x[worst]):g}" for name, x in others.items() if name in num.dimensions("arvl"))
    raise ValueError(
        f"observe: of stage {stage} {', '.join(states)} does not tell the draw{'s' if len(draws) > 1 else ''} "
        f"{', '.join(draws)}: {f'at {at} ' if at else ''}several draws lead to the same; observe {', '.join(draws)} in its "
        "place, or set transitions=False"
    )


def _others(circuit, stage, num, draws) -> dict:
    """Values of the states on arrival and of other continuous shocks, all combinations of a few of each."""
    values: dict[str, np.ndarray] = {}
    for name in num.dimensions("arvl"):
        listed, ends = adapter.set_of(circuit, stage, name, 0), adapter.ends_of(circuit, stage, name, 0)
        here = np.linspace(*ends, _FEW) if ends is not None else np.array([0.5, 1.0, 2.0]) if listed is None else listed
        values[name] = np.asarray(here)[np.linspace(0, len(here) - 1, min(len(here), _FEW)).astype(int)]
    for shock in num.shocks:
        if not adapter.listed(shock) and not set(shock.dimensions) & set(draws):
            law = shock.moments(circuit.scope(stage, 0))
            values |= {n: np.asarray(law.mean[i] + law.std[i] * np.array([-1.0, 0, 1])) for i, n in enumerate(shock.dimensions)}
    whole = np.meshgrid(*values.values(), indexing="ij")
    return {name: jnp.asarray(x.ravel()) for name, x in zip(values, whole, strict=True)}
