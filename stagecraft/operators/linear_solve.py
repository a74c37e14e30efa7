"""Linear systems $x - Jx = b$ with a Jacobian that is only applied; they are transposable, for both modes of derivative."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int

from stagecraft.arrays import where

_STEPS = 3_000


def solve_near_identity(linear: Callable, rhs: tuple, scales: tuple, tolerance: float | Float[Array, ""] = 1e-12) -> tuple:
    """Solve by BiCGStab; NaN where that does not get within a thousand times the tolerance.

    **Arguments:** `linear`: $x \\mapsto Jx$ on tuples of arrays; `rhs`: $b$; `scales`: numbers by which both are divided;
    `tolerance`: of the residual, relative to $b$.
    """
    flat, unflatten = ravel_pytree(rhs)
    size = jax.lax.stop_gradient(ravel_pytree(scales)[0])

    def apply(u: Float[Array, " n"]) -> Float[Array, " n"]:
        return u - ravel_pytree(linear(unflatten(size * u)))[0] / size

    solve = lambda matvec, b: _bicgstab(matvec, b, tolerance)
    return unflatten(size * jax.lax.custom_linear_solve(apply, flat / size, solve, transpose_solve=solve))


class _Krylov(NamedTuple):
    """The variables of the method, under their usual names; `x` is the best that was found."""

    x: Float[Array, " n"]
    y: Float[Array, " n"]
    r: Float[Array, " n"]
    shadow: Float[Array, " n"]
    p: Float[Array, " n"]
    v: Float[Array, " n"]
    s: Float[Array, " n"]
    rho: Float[Array, ""]
    alpha: Float[Array, ""]
    best: Float[Array, ""]
    second: Bool[Array, ""]
    steps: Int[Array, ""]


def _bicgstab(matvec, b, tolerance):
    """Van der Vorst (1992), from zero. Both halves of a step share one product with the matrix, which is compiled once."""
    length = jnp.linalg.norm(b)
    b = b / where(length > 0, length, 1.0)
    over = lambda a, c: a / where(c == 0, 1.0, c)

    def first(z, product):
        alpha = over(z.rho, z.shadow @ product)
        return z._replace(v=product, alpha=alpha, s=z.r - alpha * product, second=~z.second)

    def second(z, product):
        omega = over(product @ z.s, product @ product)
        y, r = z.y + z.alpha * z.p + omega * z.s, z.s - omega * product
        rho = z.shadow @ r
        p = r + over(rho, z.rho) * over(z.alpha, omega) * (z.p - omega * z.v)
        size = jnp.linalg.norm(r)
        # Where the shadow has turned away, begin again from here.
        lost = jnp.abs(rho) < 1e-12 * size * jnp.linalg.norm(z.shadow)
        shadow, p, rho = where(lost, r, z.shadow), where(lost, r, p), where(lost, r @ r, rho)
        x, best = where(size < z.best, y, z.x), jnp.minimum(size, z.best)
        return z._replace(x=x, y=y, r=r, shadow=shadow, p=p, rho=rho, best=best, second=~z.second)

    def step(z):
        product = matvec(where(z.second, z.s, z.p))
        return jax.lax.cond(z.second, second, first, z, product)._replace(steps=z.steps + 1)

    zero, one = jnp.zeros_like(b), jnp.ones((), b.dtype)
    start = _Krylov(zero, zero, b, b, b, zero, zero, b @ b, one, one, jnp.asarray(False), jnp.int32(0))
    go = lambda z: (z.best > tolerance) & (z.steps < _STEPS) & jnp.isfinite(z.rho) & (length > 0)
    ended = jax.lax.while_loop(go, step, start)
    good = (ended.best <= 1e3 * tolerance) | (length == 0)
    return length * where(good, ended.x, jnp.nan)
