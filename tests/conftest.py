"""Every test runs in double precision, and with the shapes in the numerical rooms' signatures checked at run time.

The library itself never touches JAX's configuration, nor checks shapes.
"""

import hypothesis
import jax
from jaxtyping import install_import_hook

jax.config.update("jax_enable_x64", True)
install_import_hook(["stagecraft.operators", "stagecraft.horses", "stagecraft.solution"], "beartype.beartype")

# The same cases on every machine: a run that fails must fail again.
hypothesis.settings.register_profile("dynx", derandomize=True, deadline=None)
hypothesis.settings.load_profile("dynx")
