"""Densities of continuous shocks, errors of measurement, and sums of likelihoods that never lose their derivative."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

_LOG_2PI = math.log(2 * math.pi)


def log_normal(x: Float[Array, "..."], mean, std) -> Float[Array, "..."]:
    """The logarithm of a normal density."""
    return -0.5 * ((x - mean) / std) ** 2 - jnp.log(std) - 0.5 * _LOG_2PI


def log_sum(x: Float[Array, "..."], there: Bool[Array, "..."], axis: int = 0) -> Float[Array, "..."]:
    r"""$\log\sum e^x$ over the entries that are there; $-\infty$ where none is, without a derivative."""
    there = there & (x > -jnp.inf)
    safe = jnp.where(there, x, 0.0)
    top = jnp.max(jnp.where(there, jax.lax.stop_gradient(x), -jnp.inf), axis=axis, keepdims=True)
    top = jnp.where(jnp.isfinite(top), top, 0.0)
    total = jnp.sum(jnp.where(there, jnp.exp(safe - top), 0.0), axis=axis)
    some = total > 0
    return jnp.where(some, jnp.log(jnp.where(some, total, 1.0)) + jnp.squeeze(top, axis), -jnp.inf)


def log_positive(p: Float[Array, "..."]) -> Float[Array, "..."]:
    """A logarithm that is minus infinity at zero, and has no derivative there."""
    return jnp.where(p > 0, jnp.log(jnp.where(p > 0, p, 1.0)), -jnp.inf)


def log_density(shock, scope, drawn: dict[str, Float[Array, ""]]) -> Float[Array, ""]:
    """The logarithm of the density of one draw of a normal, lognormal or uniform shock, apart from a point mass."""
    y = jnp.stack([drawn[name] for name in shock.dimensions])
    plain = shock if shock.point_mass is None else _bare(shock)
    law = plain.moments(scope)
    if not hasattr(shock, "log"):
        half = math.sqrt(3) * law.std
        inside = (y >= law.mean - half) & (y <= law.mean + half)
        return jnp.sum(jnp.where(inside, -jnp.log(2 * half), -jnp.inf))
    corr = jnp.eye(y.shape[0], dtype=y.dtype) if law.corr is None else law.corr
    if not shock.log:
        return _joint(y - law.mean, law.std, corr)
    std = jnp.sqrt(jnp.log1p((law.std / law.mean) ** 2))
    levels = law.std / law.mean
    rho = jnp.log1p(corr * levels[:, None] * levels) / (std[:, None] * std)
    good = jnp.all(y > 0)
    safe = jnp.where(good, y, 1.0)
    found = _joint(jnp.log(safe) - jnp.log(law.mean) + 0.5 * std**2, std, rho) - jnp.sum(jnp.log(safe))
    return jnp.where(good, found, -jnp.inf)


def _bare(shock):
    """A shock without its point mass."""
    import dataclasses

    return dataclasses.replace(shock, point_mass=None)


def _joint(gap, std, corr):
    """The logarithm of a joint normal density at a distance from the mean."""
    if gap.shape[0] == 1:
        return log_normal(gap[0], 0.0, std[0])
    root = jnp.linalg.cholesky(corr * std[:, None] * std)
    z = jax.scipy.linalg.solve_triangular(root, gap, lower=True)
    return -0.5 * z @ z - jnp.sum(jnp.log(jnp.diagonal(root))) - 0.5 * gap.shape[0] * _LOG_2PI


def inverted(move, target: Float[Array, " k"], start: Float[Array, " k"], steps: int = 30):
    r"""The draw $y$ with $g(y) = $ `target`, and $\log|\det g'(y)|$, by Newton steps from `start`.

    The last two steps are differentiated, which gives the first and second derivatives of the root exactly.
    """
    still = lambda tree: jax.tree.map(jax.lax.stop_gradient, tree)
    frozen = lambda y: still(move(y))

    def newton(function, y, goal):
        slope = jax.jacfwd(function)(y)
        return y - _solved(slope, function(y) - goal)

    begin = still(start)
    slope_of = lambda y: still(jax.jacfwd(move)(y))
    walk = lambda _, y: y - _solved(slope_of(y), frozen(y) - still(target))
    y = jax.lax.stop_gradient(jax.lax.fori_loop(0, steps, walk, begin))
    y = newton(move, newton(move, y, target), target)
    slope = jax.jacfwd(move)(y)
    return y, jnp.log(jnp.abs(slope[0, 0])) if y.shape[0] == 1 else jnp.linalg.slogdet(slope)[1]


def _solved(slope, gap):
    return gap / slope[0] if gap.shape[0] == 1 else jnp.linalg.solve(slope, gap)
