"""How likely a draw was: what a simulation needs to differentiate what it drew."""

from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array, Float

from heptapod.shocks.base import AbstractShock
from heptapod.shocks.point_mass import PointMass


def odds(
    shock: AbstractShock,
    scope: Mapping,
    drawn: Mapping[str, Float[Array, " count"]],
    given: Float[Array, " count"] | None = None,
) -> Float[Array, " count"]:
    r"""The probability of each draw, differentiable in the probabilities of a discrete shock.

    A continuous law has 1, since its draws themselves carry the derivative; beside a point mass $1 - q$ or, where the fixed
    value was drawn, $q$.

    **Arguments:** `drawn`: what `shock.draws` returned at the same `scope` and `given`.
    """
    values = [drawn[name] for name in shock.dimensions]
    if not shock.finite:
        mass = getattr(shock, "point_mass", None)
        return jnp.ones_like(values[0]) if mass is None else _mixed(mass, scope, values)
    nodes, law = shock.nodes(scope)
    apart = sum(jnp.abs(x[:, None] - nodes[n][None, :]) for n, x in zip(shock.dimensions, values, strict=True))
    # Nodes may be equal: what was drawn is the value.
    here = apart == jnp.min(apart, axis=1, keepdims=True)
    if given is not None and shock.given is not None:
        before = jnp.abs(given[:, None] - nodes[shock.dimensions[0]][None, :])
        law = law[jnp.argmin(before, axis=1)]
    return jnp.sum(jnp.where(here, law, 0.0), axis=1)


def _mixed(mass: PointMass, scope, values):
    """The fixed value in all dimensions together, or anything else."""
    q, hit = mass.prob(scope), True
    for formula, x in zip(mass.value, values, strict=True):
        hit = hit & (x == jnp.asarray(formula(scope), x.dtype))
    return jnp.where(hit, q, 1.0 - q)
