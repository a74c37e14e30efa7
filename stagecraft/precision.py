"""The switch that is the user's to throw: JAX's double precision."""

import jax


def enable_x64() -> None:
    """Compute in double precision from here on; call it before loading a circuit."""
    jax.config.update("jax_enable_x64", True)
