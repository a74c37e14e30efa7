"""Edges of the domain: technologies that are infinitely productive at zero, marginal values too small for any state."""

import numpy as np
import pytest

import stagecraft as sc

HORIZONS = {"finite": ("3\n  terminal: 0", 3), "for ever": ("infinite", 150)}

GROWTH = """
dialect: 1
model:
  name: GrowthFromZero
  horizon: {horizon}
  parameters: {{beta: 0.95, alpha: 0.36}}
  settings: {{n: 60}}
  defaults: {{inherit: all}}
  connections: {{inter_period: [{{source: P, target: P, mapping: {{k_nxt: k}}}}]}}
stage:
  name: P
  math:
    functions: {{{functions}, Q: "log(c) + beta*V[>]"}}
    controls: {{c: 0 < c <= {most}}}
    state_space:
      arvl: {{dimensions: ["k"]}}
      dcsn: {{dimensions: ["{state}"]}}
      cntn: {{grid: {{k_nxt: {{type: exp, min: 0.0, max: 1.5, points: n}}}}}}
"""
# Where the technology stands: functions, the most that can be eaten, the decision's state, and how near a linear policy comes.
TECHNOLOGIES = {
    "on arrival": ("g_av: m = k^alpha, g_ve: k_nxt = m - c", "m", "m", 1e-9),
    "at the decision": ("g_ve: k_nxt = k^alpha - c", "k^alpha", "k", 4e-3),
}

FIRM = """
dialect: 1
model:
  name: Investment
  horizon: {horizon}
  defaults: {{inherit: all}}
  parameters: {{beta: 0.9, alpha: 0.5, delta: 0.1, phi: {phi}, zv: [0.8, 1.2], Pz: [[0.8, 0.2], [0.3, 0.7]]}}
  settings: {{n: 60, k_min: {low}, k_max: 30.0}}
  connections: {{inter_period: [{{source: INVEST, target: INVEST, mapping: {{k_nxt: k, z: z_pre}}}}]}}
stage:
  name: INVEST
  math:
    functions: {{g_ve: "k_nxt = (1 - delta)*k + i", Q: "z*k^alpha - i - {cost} + beta*V[>]"}}
    controls: {{i: i > -(1 - delta)*k}}
    shocks: {{prod: {{dimensions: ["z"], shock_method: markov, values: zv, transition_matrix: Pz, given: z_pre}}}}
    state_space:
      arvl: {{dimensions: ["k", "z_pre"]}}
      dcsn: {{dimensions: ["k", "z"]}}
      cntn: {{dimensions: ["k_nxt", "z"], grid: {{k_nxt: {{type: {type}, min: k_min, max: k_max, points: n}}}}}}
"""
# What investment costs beside its price, and a grid: of costs that fall with capital the inverse has a pole, where low marginal
# values make the first-order condition hold for negative capital only.
COSTS = {
    "mild, by capital": ("phi/2*(i/k)^2*k", 2.0, "geomspace", 0.1, lambda i, k: i**2 / k),
    "small, by capital": ("phi/2*(i/k)^2*k", 0.3, "geomspace", 0.1, lambda i, k: 0.15 * i**2 / k),
}


@pytest.mark.parametrize("horizon", ["finite", pytest.param("for ever", marks=pytest.mark.slow)])
@pytest.mark.parametrize("where", TECHNOLOGIES)
def test_growth_from_zero_has_its_closed_form(where, horizon):
    functions, most, state, near = TECHNOLOGIES[where]
    words, _ = HORIZONS[horizon]
    solved = sc.solve(sc.load(GROWTH.format(horizon=words, functions=functions, most=most, state=state)))
    ab = 0.36 * 0.95
    share = 1 - ab if horizon == "for ever" else 1 / (1 + ab + ab**2)
    k = np.array([0.05, 0.2, 0.6, 1.0])
    states = {state: k**0.36 if state == "m" else k}
    np.testing.assert_allclose(solved[0]["P"].dcsn.sol.policy["c"](**states), share * k**0.36, rtol=near)
    if horizon == "for ever":
        constant = (np.log(1 - ab) + 0.95 * 0.36 / (1 - ab) * np.log(ab)) / 0.05
        value = 0.36 / (1 - ab) * np.log(k) + constant
        np.testing.assert_allclose(solved[0]["P"].dcsn.sol.value(**states), value, rtol=1e-4)


def firm_by_brute_force(periods, cost, low):
    """Capital and the value of a firm, by search over capital next period."""
    k, z, P = np.geomspace(low, 45.0, 900), np.array([0.8, 1.2]), np.array([[0.8, 0.2], [0.3, 0.7]])
    invest = k[None] - 0.9 * k[:, None]
    costs, value = invest + cost(invest, k[:, None]), np.zeros((900, 2))
    if periods == 3:  # After the last period nothing is worth anything, and all capital is sold.
        value = z * np.sqrt(k)[:, None] + (0.9 * k - cost(-0.9 * k, k))[:, None]
        # Unless selling the last unit costs more than it brings.
        value = np.maximum(value, z * np.sqrt(k)[:, None] + np.max(-costs, axis=1)[:, None])
    for _ in range(periods - (periods == 3)):
        after = 0.9 * value @ P.T
        value = z * np.sqrt(k)[:, None] + np.stack([np.max(after[None, :, j] - costs, axis=1) for j in range(2)], axis=1)
    return k, z, value


@pytest.mark.parametrize("horizon", ["finite", pytest.param("for ever", marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", COSTS)
def test_a_firm_that_may_sell_its_capital_is_worth_what_brute_force_says(kind, horizon):
    words, phi, type, low, cost = COSTS[kind]
    text = FIRM.format(horizon=HORIZONS[horizon][0], phi=phi, type=type, low=low, cost=words)
    solved = sc.solve(sc.load(text))
    k, z, value = firm_by_brute_force(HORIZONS[horizon][1], cost, low / 2)
    inside = (k > 0.4) & (k < 20.0)
    for j in range(2):
        found = solved[0]["INVEST"].dcsn.sol.value(k=k[inside], z=z[j])
        np.testing.assert_allclose(found, value[inside, j], rtol=2e-3)
