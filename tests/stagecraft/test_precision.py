"""Single precision: solved with one warning, close to double, and refused after the switch."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import warnings, sys
sys.path.insert(0, {folder!r})
from models import BUFFER
import numpy as np, jax, jax.numpy as jnp
import stagecraft as sc

m = np.array([0.4, 1.0, 3.0, 9.0])
circuit = sc.load(BUFFER)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    single = sc.solve(circuit)
    sc.solve(circuit.with_parameters({{"main.beta": 0.94}}))
assert [str(w.message)[:27] for w in caught] == ["solving in single precision"], caught
policy = single[2]["CONS"].dcsn.sol.policy["c"](m=m)
panel = sc.simulate(single, {{"a": 0.0}}, agents=100, key=jax.random.key(0))
assert policy.dtype == panel["c"].dtype == jnp.float32
sc.enable_x64()
try:
    sc.solve(circuit)
except ValueError as error:
    assert "load it again" in str(error)
else:
    raise AssertionError("a circuit of the other precision was solved")
double = sc.solve(sc.load(BUFFER))[2]["CONS"].dcsn.sol.policy["c"](m=m)
assert double.dtype == jnp.float64
np.testing.assert_allclose(policy, double, rtol=2e-5)
"""


@pytest.mark.slow
def test_single_precision_is_the_users_choice():
    script = SCRIPT.format(folder=str(Path(__file__).parent))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
