"""Comparative statics: derivatives of anything are central differences, tables are labelled, welfare has its closed form."""

import sys
from pathlib import Path

import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest

import stagecraft as sc

matplotlib.use("Agg")
sys.path.insert(0, str(Path(__file__).parent))
from models import BUFFER

CAKE = """
model:
  name: Cake
  horizon: 6
  terminal: log(w)
  parameters: {beta: 0.9}
  connections: {inter_period: [{source: EAT, target: EAT, mapping: {w_nxt: w}}]}
stage:
  name: EAT
  parameters: {beta: ["beta"], growth: 1.0}
  settings: {n: 200}
  math:
    functions: {g_av: x = growth*w, g_ve: w_nxt = x - c, Q: "log(c) + beta*V[>]"}
    controls: {c: 0 < c <= x}
    state_space:
      arvl: {dimensions: ["w"]}
      dcsn: {dimensions: ["x"]}
      cntn: {grid: {w_nxt: {type: exp, min: 0.0, max: 20.0, points: n}}}
"""


def moments(solved):
    pushed = sc.push_forward(solved, {"a": 1.0})
    return {
        "wealth": pushed[7]["CONS"].cntn.dist.mean("a_nxt"),
        "c": solved[0]["CONS"].dcsn.sol.policy["c"](m=jnp.array([1.0, 3.0])),
    }


@pytest.fixture(scope="module")
def statics():
    return sc.comparative_statics(moments, sc.load(BUFFER), "main.beta", "CONS.gamma", step=1e-4)


@pytest.mark.slow
def test_derivatives_are_central_differences(statics):
    circuit = sc.load(BUFFER)
    for path, value in (("main.beta", 0.95), ("CONS.gamma", 2.0)):
        up, down = (moments(sc.solve(circuit.with_parameters({path: value + s * 1e-5}))) for s in (1, -1))
        for name in ("wealth", "c"):
            np.testing.assert_allclose(statics[path][name], (up[name] - down[name]) / 2e-5, rtol=1e-5)


@pytest.mark.slow
def test_the_table_is_labelled_and_small_changes_are_as_predicted(statics):
    table = statics.to_pandas()
    assert list(table.loc["main.beta"].index) == ["c[0]", "c[1]", "wealth"]
    row = table.loc[("CONS.gamma", "wealth")]
    np.testing.assert_allclose(row["elasticity"], row["derivative"] * 2.0 / row["value"])
    np.testing.assert_allclose(row["change"], row["predicted"], rtol=1e-2)
    np.testing.assert_allclose(row["to"], 2.0001)
    assert "wealth" in repr(statics) and len(statics.plot("derivative").patches) == 6


def test_a_wrong_parameter_or_change_is_named():
    circuit = sc.load(BUFFER)
    with pytest.raises(ValueError, match="beta"):
        sc.comparative_statics(moments, circuit, "main.betta")
    with pytest.raises(ValueError, match="not both"):
        sc.comparative_statics(moments, circuit, "main.beta", to=0.9, step=0.1)
    with pytest.raises(ValueError, match="gamma"):
        sc.comparative_statics(moments, circuit, "CONS.gamma", to=-1.0)
    with pytest.raises(ValueError, match="not among main.beta"):
        sc.comparative_statics(moments, circuit, "main.beta", to={"CONS.gamma": 3.0})
    with pytest.raises(KeyError, match="there are main.beta"):
        sc.comparative_statics(lambda s: s[0]["CONS"].arvl.sol.value(a=1.0), circuit, "main.beta")["main.R"]


@pytest.mark.slow
def test_a_cake_that_grows_has_the_closed_form_of_its_consumption_equivalent():
    """Every bite is as many times the growth factor larger as there were periods, and so is what is left."""
    still, grown = (sc.solve(sc.load(CAKE, parameters={"EAT.growth": g})) for g in (1.0, 1.05))
    beta, t = 0.9, np.arange(6)
    weight = np.sum(beta**t)
    rises = np.sum(beta**t * (t + 1)) + 6 * beta**6
    gain = sc.consumption_equivalent(still, grown, "EAT", w=jnp.array([1.0, 2.0]))
    np.testing.assert_allclose(gain, np.exp(rises * np.log(1.05) / weight) - 1, rtol=1e-5)
    np.testing.assert_allclose(sc.consumption_equivalent(still, still, "EAT", w=2.0), 0.0, atol=1e-14)
