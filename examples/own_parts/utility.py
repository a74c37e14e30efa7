"""A function that equations call: felicity that is neither a power nor a logarithm."""

import jax.numpy as jnp


def felicity(c):
    """log(c) + arctan(c): as curved as a logarithm when little is eaten, nearly flat when much is."""
    return jnp.log(c) + jnp.arctan(c)
