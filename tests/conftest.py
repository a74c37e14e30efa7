"""Every test runs in double precision; the library itself never touches JAX's configuration."""

import jax

jax.config.update("jax_enable_x64", True)
