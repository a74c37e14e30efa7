"""Elementary functions whose derivatives stay finite: right at their limits, zero where they are singular.

`jnp.where(ok, f(x), other)` alone gives NaN gradients, since the untaken branch contributes 0 * inf. So every singular
argument is replaced by a harmless one first (the double where), and what stands outside carries no gradient.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero


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


def rule(function: Callable, *slopes: Callable) -> Callable:
    """A function with derivatives in closed form: of the arguments and the value, one for each argument.

    A derivative is written down only where its argument moves, so that no program holds what nobody asks for. Slopes are made
    of functions that have such derivatives themselves: those of every order follow. A slope of zero ends the chain, also
    before something infinite.
    """
    ruled = jax.custom_jvp(function)

    def jvp(primals, tangents):
        value = ruled(*primals)
        pairs = zip(slopes, tangents, strict=True)
        moved = [_carried(slope(*primals, value), tangent) for slope, tangent in pairs if type(tangent) is not SymbolicZero]
        return value, jnp.broadcast_to(sum(moved[1:], moved[0]), value.shape).astype(value.dtype)

    ruled.defjvp(jvp, symbolic_zeros=True)
    return ruled


@jax.custom_jvp
def _carried(slope, tangent):
    """Their product, zero where the slope is; what the slope moves by counts there too, where both derivatives go forward."""
    return slope * jnp.where(slope == 0, 0.0, tangent)


def _carried_jvp(primals, tangents):
    (slope, tangent), (bend, further) = primals, tangents
    value = _carried(slope, tangent)
    parts = [] if type(bend) is SymbolicZero else [jnp.where(jnp.isfinite(tangent), tangent, 0.0) * bend]
    parts += [] if type(further) is SymbolicZero else [_carried(slope, further)]
    return value, jnp.broadcast_to(sum(parts[1:], parts[0]), value.shape).astype(value.dtype)


_carried.defjvp(_carried_jvp, symbolic_zeros=True)


def both(x, y):
    """Two arrays of one type; weak types stay weak."""
    x, y = real(x), real(y)
    dtype = jnp.result_type(x, y)
    return [z if z.dtype == dtype else z.astype(dtype) for z in (x, y)]


def _where_finite(x, y, slope):
    return jnp.where(jnp.isfinite(x) & jnp.isfinite(y), slope, 0.0)


def _kept_log(x):
    """The logarithm, finite at the ends of its domain, so that nothing times it is nothing."""
    far = float(jnp.finfo(x.dtype).max) / 16
    return lax.clamp(jnp.asarray(-far, x.dtype), jnp.log(x), jnp.asarray(far, x.dtype))


inverse = rule(lambda x: jnp.where(x == 0, 0.0, 1.0 / x), lambda x, r: -r * r)
_log = rule(jnp.log, lambda x, y: jnp.where(x > 0, inverse(x), 0.0))
_exp = rule(jnp.exp, lambda x, y: jnp.where(y < jnp.inf, y, 0.0))
_sqrt = rule(jnp.sqrt, lambda x, y: jnp.where(x > 0, 0.5 * inverse(y), 0.0))
_reciprocal = rule(lambda x: jnp.where(x == 0, jnp.inf, 1.0 / x), lambda x, r: -(inverse(x) ** 2))
_times = rule(jnp.multiply, lambda x, y, z: _where_finite(x, y, y), lambda x, y, z: _where_finite(x, y, x))
_power = rule(
    lambda b, p: jnp.exp(p * _kept_log(b)),
    lambda b, p, y: jnp.where((b > 0) & (y < jnp.inf), y, 0.0) * p * inverse(b),
    lambda b, p, y: jnp.where((b > 0) & (y < jnp.inf), y, 0.0) * _log(jnp.where((b > 0) & (b < jnp.inf), b, 1.0)),
)
_plain_power = rule(
    lambda b, p: jnp.exp(p * _kept_log(b)),
    lambda b, p, y: jnp.where(b > 0, y, 0.0) * p * inverse(b),
    lambda b, p, y: jnp.where(b > 0, y, 0.0) * _log(jnp.where(b > 0, b, 1.0)),
)


def log(x):
    return _log(real(x))


def exp(x):
    return _exp(real(x))


def sqrt(x):
    return _sqrt(real(x))


def reciprocal(x):
    return _reciprocal(real(x))


def times(x, y):
    """The product, with a zero derivative wherever a factor is infinite or NaN."""
    return _times(*both(x, y))


def integer_power(x, n: int):
    x = real(x)
    return lax.integer_pow(x, n) if n >= 0 else reciprocal(x if n == -1 else lax.integer_pow(x, -n))


def power(b, p):
    """$b^p$ for $b \\ge 0$, as $e^{p \\log b}$, which is faster than `pow`.

    A negative base gives NaN, also where a traced exponent happens to be a whole number.
    """
    return _power(*both(b, p))


def plain_power(b, p):
    """As `power`, with an infinite derivative where the value overflows; for formulas without an untaken branch."""
    return _plain_power(*both(b, p))


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
