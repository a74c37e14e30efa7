"""Values by the level of consumption that is worth as much: what is nearly a line where values themselves are steep."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagecraft.arrays import where
from stagecraft.operators.interpolate import tamed


def levels(problem, value, marginal, weight):
    r"""$w = u^{-1}(V/B)$ and its slope $V_m/(B\,u'(w))$ at the knots, and where they exist."""
    if problem.utility is None or problem.interp == "linear":
        return value, marginal, jnp.zeros(value.shape, bool)
    p, mean = problem.parameters, value / weight
    level_of = lambda v: problem.utility_inverse(p, v) * jnp.ones_like(v)
    trial = jax.lax.stop_gradient(level_of(jax.lax.stop_gradient(mean)))
    steep = jax.lax.stop_gradient(marginal_utility(problem, trial))
    smooth = jnp.isfinite(trial) & (trial > 0) & jnp.isfinite(steep) & (steep > 0) & jnp.isfinite(marginal / steep)
    # Any value that the inverse can take will do where the answer is not used.
    safe = jax.lax.stop_gradient(mean[jnp.argmax(smooth)])
    level = level_of(where(smooth, mean, safe))
    level = where(jnp.any(smooth), level, 1.0)
    slope = marginal / (weight * marginal_utility(problem, level))
    return level, where(smooth, slope, 0.0), smooth


def marginal_utility(scale, level: Float[Array, "..."]) -> Float[Array, "..."]:
    """$u'$ at each level of consumption, of a problem or a scale that has a `utility`."""
    return jax.grad(lambda w: jnp.sum(scale.utility(scale.parameters, w)))(level)


def secant_where(edge, state, level, slope):
    """At the edge of the feasible set marginal values are infinite; the slope of the cell stands in for them."""
    width = jnp.diff(state)
    secant = jnp.diff(level) / where(width == 0, 1.0, width)
    return slope.at[:-1].set(where(edge[:-1], secant, slope[:-1]))


def first_tamed(state, values, slopes):
    """The slopes, that of the first knot so small that a cubic does not leave its cell: it may be infinite at an open end."""
    width = state[1] - state[0]
    secant = (values[1] - values[0]) / where(width > 0, width, 1.0)
    first, _ = tamed(slopes[0], slopes[1], secant)
    return slopes.at[0].set(where(width > 0, first, slopes[0]))


def bend(width, values, slopes):
    """How far a cell is from a parabola: the error of the trapezoid rule on its slopes, relative to its rise."""
    rise = jnp.diff(values)
    return jnp.abs(rise - 0.5 * width * (slopes[1:] + slopes[:-1])) / where(rise == 0, 1.0, jnp.abs(rise))
