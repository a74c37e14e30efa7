"""Densities of continuous shocks, errors of measurement, and sums of likelihoods that never lose their derivative."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

_LOG_2PI = math.log(2 * math.pi)
_REACHED = 1e-8


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
    """The logarithm of the density of one draw of a normal, lognormal or uniform shock, apart from a point mass, or of a law
    of a user's own that has a `log_density`.
    """
    if hasattr(shock, "log_density"):
        return shock.log_density(scope, drawn)
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


class Spread(NamedTuple):
    """Where draws are sought.

    **Attributes:** `middle`: their means; `width`: their standard deviations, of lognormal draws those of the logarithm;
    `log`: which they are, static.
    """

    middle: Float[Array, " k"]
    width: Float[Array, " k"]
    log: tuple[bool, ...]


def spread_of(shocks, scope, draws) -> Spread:
    """Where the draws of some shocks are sought, in this order."""
    found = {}
    for shock in shocks:
        if set(shock.dimensions) & set(draws):
            law, log = shock.moments(scope), bool(getattr(shock, "log", False))
            width = jnp.sqrt(jnp.log1p((law.std / law.mean) ** 2)) if log else law.std
            found |= {name: (law.mean[i], width[i], log) for i, name in enumerate(shock.dimensions)}
    middle, width, log = zip(*[found[name] for name in draws], strict=True)
    return Spread(jnp.stack(middle), jnp.stack(width), log)


def inverted(move, target: Float[Array, " k"], among: Spread, steps: int = 40):
    r"""The draw $y$ with $g(y) = $ `target`, and $\log|\det g'(y)|$, by Newton steps from the middle.

    Steps are of logarithms for lognormal draws, and none is longer than three standard deviations. The last two, which are
    differentiated, give the first and second derivatives of the root exactly; what leads to no draw is minus infinity as
    the logarithm of a density, so that $-\log|\det g'|$ stands for it.
    """
    still = lambda tree: jax.tree.map(jax.lax.stop_gradient, tree)
    log, begin, width, goal = np.array(among.log), still(among.middle), still(among.width), still(target)

    def newton(function, y, goal):
        slope = jax.jacfwd(function)(y)
        return y - _solved(slope, function(y) - goal)

    level = lambda u: jnp.where(log, jnp.exp(u), u) if log.any() else u
    at = lambda u: still(move(level(u)))
    slope_of = lambda u: still(jax.jacfwd(lambda u: move(level(u)))(u))
    walk = lambda _, u: u - jnp.clip(_solved(slope_of(u), at(u) - goal), -3 * width, 3 * width)
    first = jnp.where(log, jnp.log(jnp.where(log, begin, 1.0)), begin) if log.any() else begin
    y = still(level(jax.lax.fori_loop(0, steps, walk, first)))
    y = newton(move, newton(move, y, target), target)
    slope = jax.jacfwd(move)(y)
    reached = jnp.all(jnp.abs(still(move(y)) - goal) <= _REACHED * (1 + jnp.abs(goal)))
    size = jnp.log(jnp.abs(slope[0, 0])) if y.shape[0] == 1 else jnp.linalg.slogdet(slope)[1]
    return y, jnp.where(reached, size, jnp.inf)


def _solved(slope, gap):
    return gap / slope[0] if gap.shape[0] == 1 else jnp.linalg.solve(slope, gap)
