"""Solutions of other packages, kept as fixtures; the script that made each stands in `benchmarks/`."""

import json
from pathlib import Path

import numpy as np

import stagecraft as sc

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
