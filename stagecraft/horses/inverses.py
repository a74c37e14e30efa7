"""Controls and states that an equation fixes where it has no closed form, by Newton's method in a bracket."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagecraft.arrays import where
from stagecraft.operators.rootfind import bracketed_newton

Points = Float[Array, "..."]


def control_by_newton(foc: Callable, lower: Callable, parameters: Mapping, slope: Points, post: Points) -> Points:
    r"""The control at each marginal value and post-state, above its bound.

    **Arguments:** `foc`: $(p, c, \lambda, x')$, zero at the optimum; `lower`: $(p, x)$, a bound that the control stays above.
    """
    low = jnp.broadcast_to(lower(parameters, post), post.shape)
    low = where(jnp.isfinite(low), low, 0.0)
    return bracketed_newton(lambda c: foc(parameters, c, slope, post), low, low + 1.0)


def state_by_newton(transition: Callable, parameters: Mapping, post: Points, control: Points, slope: Points) -> Points:
    r"""The state that leads to each post-state under each control: above zero, or above the lowest that is tried.

    **Arguments:** `transition`: $(p, m, c) \mapsto x'$.
    """
    del slope  # The transition alone decides.
    reach = 1e6 * (1.0 + jnp.abs(post))
    gap = lambda m: transition(parameters, m, control) - post
    # A state above zero is sought there: a technology may have no other, and is steepest where they begin.
    low = jax.lax.stop_gradient(where(gap(jnp.zeros_like(post)) * gap(reach) > 0, -reach, 0.0))
    return bracketed_newton(gap, low, jnp.maximum(post, 1.0))


def state_at_bound(transition: Callable, bound: Callable, parameters: Mapping, post: Points, guess: Points) -> Points:
    r"""The state that leads to a post-state when the control is at a bound that moves with the state.

    It is sought within a thousand times the size of the guess.

    **Arguments:** `transition`: $(p, m, c) \mapsto x'$; `bound`: $(p, m)$.
    """
    gap = lambda m: transition(parameters, m, bound(parameters, m)) - post
    low = jax.lax.stop_gradient(guess - 1e3 * (1.0 + jnp.abs(guess)))
    return bracketed_newton(gap, low, guess)
