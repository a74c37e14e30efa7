"""Every test runs in double precision, and with the shapes in the numerical rooms' signatures checked at run time.

The library itself never touches JAX's configuration, nor checks shapes.
"""

import hypothesis
import jax
import pytest
from jaxtyping import install_import_hook

jax.config.update("jax_enable_x64", True)
install_import_hook(["stagecraft.operators", "stagecraft.horses", "stagecraft.solution"], "beartype.beartype")

# The same cases on every machine: a run that fails must fail again.
hypothesis.settings.register_profile("dynx", derandomize=True, deadline=None)
hypothesis.settings.load_profile("dynx")


@pytest.fixture(autouse=True, scope="module")
def compiled_programs():
    """Those of a module go with it: a process may hold so many pieces of memory, and every program takes several."""
    yield
    jax.clear_caches()
