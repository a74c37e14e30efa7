"""Solutions of other packages, kept as fixtures; the script that made each stands in `benchmarks/`."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

import stagecraft as sc

FIXTURES = Path(__file__).parent / "fixtures"
INFINITE = json.loads((FIXTURES / "infinite.json").read_text())

MODEL = """
model:
  name: PermanentTransitory
  horizon: 21
  terminal: 0
  connections: {{inter_period: [{{source: C, target: C, mapping: {{a_nxt: a}}}}]}}
stage:
  name: C
  parameters:
    beta: 0.95
    s: 0.99
    gamma: 2.5
    R: 1.03
    G: {{by: t, values: {growth}}}
    psi: {permanent}
    theta: {transitory}
    weights: {weights}
  math:
    functions:
      g_av: m = R/(G*p)*a + y
      g_ve: a_nxt = m - c
      Q: c^(1-gamma)/(1-gamma) + beta*s*V[>]
      A: E[(G*p)^(1-gamma)*V]
    controls: {{c: 0 < c <= m}}
    shocks: {{income: {{dimensions: [p, y], shock_method: discrete, values: [psi, theta], probs: weights}}}}
    state_space:
      arvl: {{dimensions: [a]}}
      dcsn: {{dimensions: [m]}}
      cntn: {{grid: {{a_nxt: {{type: exp, nest: 3, min: 0.0, max: 60, points: 1000}}}}}}
"""


def test_a_life_cycle_with_permanent_and_transitory_shocks_agrees_with_hark():
    """HARK 0.17.2, IndShockConsumerType, 1,000 points: same nodes, same growth, unemployment, mortality."""
    hark = json.loads((Path(__file__).parent / "fixtures" / "hark.json").read_text())
    text = MODEL.format(
        growth=[1.0] + [1.02] * 10 + [0.98] * 10, **{k: hark[k] for k in ("permanent", "transitory", "weights")}
    )
    solved = sc.solve(sc.load(text))
    for t, consumption in hark["c"].items():
        ours = solved[int(t)]["C"].dcsn.sol.policy["c"](m=np.array(hark["m"]))
        np.testing.assert_allclose(ours, consumption, rtol=5e-6)


@pytest.mark.slow
def test_the_endless_buffer_stock_of_hark():
    """HARK's solution with 1,000 points and a tolerance of 1e-10, for cash from 0.05 to 20."""
    solved = sc.solve(sc.load(FIXTURES / "buffer_stock.yml"))
    theirs = INFINITE["buffer stock"]
    np.testing.assert_allclose(solved[0]["CONS"].dcsn.sol.policy["c"](m=np.array(theirs["m"])), theirs["c"], rtol=1e-4)


@pytest.mark.slow
def test_the_krusell_smith_household_of_sequence_jacobian():
    """Policy, aggregate assets, and their derivative in the interest rate, seven states and 500 knots."""
    circuit, theirs = sc.load(FIXTURES / "krusell_smith.yml"), INFINITE["household"]
    solved = sc.solve(circuit)
    stage = solved[0]["CONS"]
    e = np.asarray(stage.num.nodes(solved.scope("CONS", 0))[0]["e"])[:, None]
    m = 1.01 * np.array(theirs["knots"])[::25] + 0.89 * e
    saved = m - np.asarray(stage.dcsn.sol.policy["c"](m=m, e=np.broadcast_to(e, m.shape)))
    np.testing.assert_allclose(saved, theirs["a"], atol=1e-5)

    def assets(r):
        steady = sc.stationary(sc.solve(circuit.with_parameters({"main.r": r})), tolerance=1e-10)
        return steady[0]["CONS"].cntn.dist.mean("a_nxt")

    total, slope = jax.jit(lambda r: jax.jvp(assets, (r,), (1.0,)))(0.01)
    np.testing.assert_allclose(total, theirs["assets"], rtol=1e-5)
    np.testing.assert_allclose(slope, theirs["slope"], rtol=1e-3)
