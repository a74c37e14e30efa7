"""Preferences and aggregators by name, exact at the limits of their parameters in value and derivatives.

The value is the formula itself, in JAX, and in NumPy for what reading needs; the derivative in the good is a power; only that
in the curvature comes from a series.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from heptapod.formulas.smooth import both, exp, expm1_ratio, inverse, log, log1p_ratio, power, real, reciprocal, rule, times


def _in_second(function):
    """The derivative in the second argument, by differentiating another formula."""
    return lambda x, g, y: jax.jvp(lambda g: function(x, g) * jnp.ones_like(y), (g,), (jnp.ones_like(g),))[1]


def crra_value(xp, c, gamma):
    rho, logarithm = 1.0 - gamma, xp.log(c)
    one = rho == 0
    return xp.where(one, logarithm, xp.expm1(rho * logarithm) / xp.where(one, 1.0, rho))


def _crra_by_series(c, gamma):
    r"""$\log c \cdot (e^x - 1)/x$ with $x = (1 - \gamma) \log c$, whose derivatives in $\gamma$ hold at 1."""
    ok = (c > 0) & (c < jnp.inf)
    logarithm = log(jnp.where(ok, c, 1.0))
    inside = times(logarithm, expm1_ratio((1.0 - gamma) * logarithm))
    bound = -reciprocal(1.0 - gamma)
    edge = jnp.where(c == 0, jnp.where(gamma < 1, bound, -jnp.inf), jnp.where(gamma > 1, bound, jnp.inf))
    return jnp.where(ok, inside, edge)


def _inside(x):
    """An argument inside its domain; elsewhere one at which all is finite."""
    ok = (x > 0) & (x < jnp.inf)
    return ok, jnp.where(ok, x, 1.0)


def _crra_slope(c, gamma, u):
    ok, inside = _inside(c)
    return jnp.where(ok, power(inside, -gamma), 0.0)


def crra_inverse_value(xp, u, gamma):
    rho = 1.0 - gamma
    one = rho == 0
    return xp.exp(xp.where(one, u, xp.log1p(rho * u) / xp.where(one, 1.0, rho)))


def _crra_inverse_slope(u, gamma, c):
    ok, inside = _inside(c)
    return jnp.where(ok, power(inside, gamma), 0.0)


def cara_value(xp, c, a):
    one = a == 0
    return xp.where(one, c, -xp.expm1(-a * c) / xp.where(one, 1.0, a))


def _cara_slope(c, a, u):
    slope = exp(-times(a, c))
    return jnp.where(jnp.isfinite(u) & (slope < jnp.inf), slope, 0.0)


def _cara_by_series(c, a):
    return times(c, expm1_ratio(-times(a, c)))


def cara_inverse_value(xp, u, a):
    one = a == 0
    return xp.where(one, u, -xp.log1p(-a * u) / xp.where(one, 1.0, a))


def _cara_inverse_slope(u, a, c):
    ok = jnp.isfinite(c)
    return jnp.where(ok, inverse(jnp.where(ok, 1.0 - times(a, u), 1.0)), 0.0)


def _cara_inverse_by_series(u, a):
    r"""$u \log(1 + w)/w$ with $w = -au$, whose derivatives in $a$ hold at 0."""
    w = -times(a, u)
    ok = (w > -1) & (w < jnp.inf)
    return jnp.where(ok, times(u, log1p_ratio(jnp.where(ok, w, 0.0))), lax.stop_gradient(cara_inverse_value(jnp, u, a)))


_crra = rule(partial(crra_value, jnp), _crra_slope, _in_second(_crra_by_series))
_crra_inverse = rule(
    partial(crra_inverse_value, jnp),
    _crra_inverse_slope,
    _in_second(lambda u, gamma: exp(_cara_inverse_by_series(u, gamma - 1.0))),
)
_cara = rule(partial(cara_value, jnp), _cara_slope, _in_second(_cara_by_series))
_cara_inverse = rule(partial(cara_inverse_value, jnp), _cara_inverse_slope, _in_second(_cara_inverse_by_series))


def crra(c, gamma):
    r"""$(c^{1-\gamma} - 1)/(1 - \gamma)$, and $\log c$ at $\gamma = 1$."""
    return _crra(*both(c, gamma))


def cara(c, a):
    r"""$(1 - e^{-ac})/a$, which is $c$ at $a = 0$."""
    return _cara(*both(c, a))


def crra_inverse(u, gamma):
    r"""$(1 + (1-\gamma)u)^{1/(1-\gamma)}$, and $e^u$ at $\gamma = 1$."""
    return _crra_inverse(*both(u, gamma))


def cara_inverse(u, a):
    r"""$-\log(1 - au)/a$, which is $u$ at $a = 0$."""
    return _cara_inverse(*both(u, a))


def ces(x, y, share, sigma):
    r"""$(s x^\rho + (1 - s) y^\rho)^{1/\rho}$ with $\rho = (\sigma - 1)/\sigma$: Cobb-Douglas at $\sigma = 1$.

    In logs it is $\log y + d \, \log(1 + s(e^{\rho d} - 1))/(\rho d)$ with $d = \log x - \log y$. The goods
    change places where $\rho d > 0$, so that nothing overflows.
    """
    x, y, share, sigma = real(x), real(y), real(share), real(sigma)
    ok = (x > 0) & (y > 0) & (x < jnp.inf) & (y < jnp.inf)
    rho = (sigma - 1.0) * reciprocal(sigma)
    log_x, log_y = jnp.log(jnp.where(ok, x, 1.0)), jnp.log(jnp.where(ok, y, 1.0))
    swap = rho * (log_x - log_y) > 0
    base, other = jnp.where(swap, log_x, log_y), jnp.where(swap, log_y, log_x)
    weight = jnp.where(swap, 1.0 - share, share)
    z = rho * (other - base)
    growth = expm1_ratio(z)
    mean = weight * growth * log1p_ratio(weight * z * growth)
    inside = exp(base + (other - base) * mean)
    # Without one of the goods the other stands alone, or nothing does where both are essential.
    alone = jnp.where(x == 0, power(1.0 - share, reciprocal(rho)) * y, power(share, reciprocal(rho)) * x)
    edge = jnp.where((x >= 0) & (y >= 0), jnp.where(sigma > 1, lax.stop_gradient(alone), 0.0), jnp.nan)
    return jnp.where(ok, inside, edge)
