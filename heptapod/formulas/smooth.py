"""Elementary functions whose derivatives stay finite: right at their limits, zero where they are singular.

`jnp.where(ok, f(x), other)` alone gives NaN gradients, since the untaken branch contributes 0 * inf. So every singular
argument is replaced by a harmless one first (the double where), and what stands outside carries no gradient.
"""

import functools
from collections.abc import Callable

import jax.numpy as jnp
from jax import lax


def real(x):
    """An array of floats; truth values become 0 and 1, and weak types stay weak."""
    x = jnp.asarray(x)
    if x.dtype == jnp.bool_:
        return jnp.where(x, 1.0, 0.0)
    return x if jnp.issubdtype(x.dtype, jnp.floating) else x * 1.0


def shielded(function: Callable) -> Callable:
    """The same values, with a zero derivative wherever an argument is infinite or NaN."""

    @functools.wraps(function)
    def shield(*args):
        finite = functools.reduce(jnp.logical_and, [jnp.isfinite(x) for x in args])
        value = function(*[jnp.where(finite, x, 1.0) for x in args])
        return jnp.where(finite, value, lax.stop_gradient(function(*args)))

    return shield


def log(x):
    x = real(x)
    ok = x > 0
    return jnp.where(ok, jnp.log(jnp.where(ok, x, 1.0)), jnp.where(x == 0, -jnp.inf, jnp.nan))


def exp(x):
    x = real(x)
    # Beyond this the value is inf in this precision, and so would be the derivative.
    ok = x < jnp.log(jnp.finfo(x.dtype).max).astype(x.dtype)
    return jnp.where(ok, jnp.exp(jnp.where(ok, x, 0.0)), jnp.where(jnp.isnan(x), jnp.nan, jnp.inf))


def sqrt(x):
    x = real(x)
    ok = (x > 0) & (x < jnp.inf)
    edge = jnp.where(x == 0, 0.0, jnp.where(x > 0, jnp.inf, jnp.nan))
    return jnp.where(ok, jnp.sqrt(jnp.where(ok, x, 1.0)), edge)


def reciprocal(x):
    x = real(x)
    ok = x != 0
    return jnp.where(ok, 1.0 / jnp.where(ok, x, 1.0), jnp.inf)


def integer_power(x, n: int):
    x = real(x)
    return lax.integer_pow(x, n) if n >= 0 else reciprocal(x if n == -1 else lax.integer_pow(x, -n))


def power(b, p):
    """$b^p$ for $b \\ge 0$, as $e^{p \\log b}$, which is faster than `pow`.

    A negative base gives NaN, also where a traced exponent happens to be a whole number.
    """
    b = real(b)
    ok = (b > 0) & (b < jnp.inf)
    inside = exp(p * jnp.log(jnp.where(ok, b, 1.0)))
    rising = jnp.where(b == 0, 0.0, jnp.inf)
    falling = jnp.where(b == 0, jnp.inf, 0.0)
    edge = jnp.where(p == 0, 1.0, jnp.where(p > 0, rising, falling))
    return jnp.where(ok, inside, jnp.where(b >= 0, edge, jnp.nan))


def plain_power(b, p):
    """As `power`, with an infinite derivative where the value overflows; for formulas without an untaken branch."""
    b = real(b)
    ok = b > 0
    edge = jnp.where(b == 0, jnp.where(p > 0, 0.0, jnp.where(p == 0, 1.0, jnp.inf)), jnp.nan)
    return jnp.where(ok, jnp.exp(p * jnp.log(jnp.where(ok, b, 1.0))), edge)


def heaviside(x):
    return jnp.where(real(x) > 0, 1.0, 0.0)


def normcdf(x):
    # erfc keeps its relative accuracy in the left tail, where 1 + erf has none.
    return 0.5 * lax.erfc(-real(x) * 0.7071067811865476)


def expm1_ratio(x):
    r"""$(e^x - 1)/x$ with all its derivatives, also at 0."""
    x = real(x)
    near, far = jnp.abs(x) < 0.5, jnp.abs(x) >= 0.5
    # Differentiating the quotient near 0 subtracts equal numbers, so there the series stands: 0.5^15/16! < 1e-17.
    small, series = jnp.where(near, x, 0.0), 1.0
    for k in range(16, 1, -1):
        series = 1.0 + small / k * series
    finite = far & (x < jnp.log(jnp.finfo(x.dtype).max).astype(x.dtype))
    safe = jnp.where(finite, x, 1.0)
    quotient = jnp.where(finite, jnp.expm1(safe) / safe, jnp.where(jnp.isnan(x), jnp.nan, jnp.inf))
    return jnp.where(near, series, quotient)


def log1p_ratio(w):
    r"""$\log(1 + w)/w$ with all its derivatives, also at 0, for $w > -1$."""
    near = jnp.abs(w) < 0.25
    small = jnp.where(near, w, 0.0)
    # log(1 + w) = 2 atanh(w/(2 + w)), whose series converges like 0.02^k.
    square, series = (small / (2.0 + small)) ** 2, 0.0
    for k in range(21, 0, -2):
        series = series * square + 1.0 / k
    return jnp.where(near, 2.0 / (2.0 + small) * series, log(1.0 + w) * reciprocal(jnp.where(near, 1.0, w)))


def crra(c, gamma):
    r"""$(c^{1-\gamma} - 1)/(1 - \gamma)$, as $\log c \cdot (e^x - 1)/x$ with $x = (1 - \gamma) \log c$."""
    c, gamma = real(c), real(gamma)
    ok = (c > 0) & (c < jnp.inf)
    logarithm = jnp.log(jnp.where(ok, c, 1.0))
    inside = shielded(jnp.multiply)(logarithm, expm1_ratio((1.0 - gamma) * logarithm))
    bound = -reciprocal(1.0 - gamma)
    edge = jnp.where(c == 0, jnp.where(gamma < 1, bound, -jnp.inf), jnp.where(gamma > 1, bound, jnp.inf))
    return jnp.where(ok, inside, jnp.where(c >= 0, edge, jnp.nan))


def cara(c, a):
    r"""$(1 - e^{-ac})/a$, which is $c$ at $a = 0$."""
    c, a, times = real(c), real(a), shielded(jnp.multiply)
    return times(c, expm1_ratio(-times(a, c)))


def crra_inverse(u, gamma):
    r"""$(1 + (1-\gamma)u)^{1/(1-\gamma)}$, as $e^{u \log(1 + w)/w}$ with $w = (1-\gamma)u$."""
    u, gamma = real(u), real(gamma)
    return exp(cara_inverse(u, gamma - 1.0))


def cara_inverse(u, a):
    r"""$-\log(1 - au)/a$, as $u \log(1 + w)/w$ with $w = -au$, which is $u$ at $a = 0$."""
    u, a, times = real(u), real(a), shielded(jnp.multiply)
    w = -times(a, u)
    ok = (w > -1) & (w < jnp.inf)
    inside = times(u, log1p_ratio(jnp.where(ok, w, 0.0)))
    far = jnp.where(a > 0, jnp.inf, -jnp.inf)
    return jnp.where(ok, inside, jnp.where(w == -1, far, jnp.where(w == jnp.inf, -far, jnp.nan)))


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
