"""Consumption and a risky share without income: Merton and Samuelson's rules, for power utility and for recursive preferences."""

import numpy as np
import pytest

import stagecraft as sc

T, BETA, SAFE, MEAN, STD = 5, 0.94, 1.02, 1.06, 0.2

MERTON = f"""
model:
  name: Merton
  horizon: {T}
  terminal: {{terminal}}
  connections: {{{{inter_period: [{{{{source: PORT, target: PORT, mapping: {{{{a_nxt: a, share: share_pre}}}}}}}}]}}}}
stage:
  name: PORT
  parameters: {{{{beta: {BETA}, gamma: {{gamma}}, psi: {{psi}}, R_f: {SAFE}}}}}
  settings: {{{{n_a: {{n_a}}, n_share: 21}}}}
  methods: {{{{solution: {{method}}}}}}
  math:
    functions:
      g_av: m = (R_f + (R_r - R_f)*share_pre)*a
      g_ve: a_nxt = m - c
      {{objective}}
    controls: {{{{c: 0 < c <= m, share: 0 <= share <= 1}}}}
    shocks: {{{{risk: {{{{dimensions: [R_r], shock_method: lognormal, mean: {MEAN}, std: {STD}, n_points: 7}}}}}}}}
    state_space:
      arvl: {{{{dimensions: [a, share_pre]}}}}
      dcsn: {{{{dimensions: [m]}}}}
      cntn: {{{{grid: {{{{a_nxt: {{{{type: exp, min: 0.0, max: 30.0, points: n_a}}}}, share: {{{{min: 0.0, max: 1.0, points: n_share}}}}}}}}}}}}
"""
POWER = 'Q: "c^(1-gamma)/(1-gamma) + beta*V[>]"'
RECURSIVE = """Q: "((1-beta)*c^(1-1/psi) + beta*V[>]^(1-1/psi))^(1/(1-1/psi))"
      A: "E[V^(1-gamma)]^(1/(1-gamma))\""""
# A direct search keeps the continuation on a grid of shares, 0.05 apart.
NEAR = {"nested": 1e-10, "vfi": 2e-4}
CASH = np.array([1e-4, 0.01, 0.5, 1.0, 3.0, 8.0, 20.0])


def solved(method, objective, gamma, psi=1.0, n_a=60, terminal="0"):
    text = MERTON.format(method=method, objective=objective, gamma=gamma, psi=psi, n_a=n_a, terminal=terminal)
    if objective == POWER:
        text = text.replace(f", psi: {psi}", "")
    return sc.solve(sc.load(text))


def law():
    """Returns on the nodes of the model, and their weights."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(7)
    return MEAN * np.exp(STD * nodes - STD**2 / 2), weights / weights.sum()


def samuelson(gamma):
    """The share that solves E[(R_f + s(R - R_f))^-gamma (R - R_f)] = 0, and the certainty equivalent of its return."""
    returns, weights = law()
    slope = lambda s: weights @ ((SAFE + s * (returns - SAFE)) ** -gamma * (returns - SAFE))
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    worth = weights @ (SAFE + low * (returns - SAFE)) ** (1 - gamma)
    return low, worth ** (1 / (1 - gamma))


def shares_eaten(gamma, psi, last=1.0):
    """Of cash, by period: 1/k_t = 1 + beta^psi Q^(psi-1)/k_{t+1}, with Q the certainty equivalent of the return (Samuelson 1969)."""
    growth, found = BETA**psi * samuelson(gamma)[1] ** (psi - 1), [last]
    for _ in range(T - 1):
        found.append(1 / (1 + growth / found[-1]))
    return found[::-1]


@pytest.mark.parametrize("method", ["nested", pytest.param("vfi", marks=pytest.mark.slow)])
@pytest.mark.parametrize("gamma", [3.0, 6.0])
@pytest.mark.slow
def test_power_utility_has_merton_and_samuelsons_rules(method, gamma):
    """Interior shares, the same at every wealth and age; a share of cash is eaten."""
    circuit = solved(method, POWER, gamma)
    assert circuit[0]["PORT"].num.method == method
    share, eaten = samuelson(gamma)[0], shares_eaten(gamma, 1 / gamma)
    assert 0.1 < share < 0.9
    for t in range(T):
        sol = circuit[t]["PORT"].dcsn.sol
        np.testing.assert_allclose(sol.policy["c"](m=CASH), eaten[t] * CASH, rtol=2e-3, err_msg=f"{t}")
        np.testing.assert_allclose(sol.value(m=CASH), (CASH ** (1 - gamma) / (1 - gamma)) * eaten[t] ** -gamma, rtol=2e-3)
        # In the last period nothing is saved, and a share that changes nothing is its lower bound.
        np.testing.assert_allclose(sol.policy["share"](m=CASH), share * (t < T - 1), atol=NEAR[method], err_msg=f"{t}")


@pytest.mark.slow
@pytest.mark.parametrize(("gamma", "psi"), [(3.0, 1.5), (6.0, 1.5), (3.0, 0.5), (6.0, 0.5)])
def test_recursive_preferences_separate_risk_from_time(gamma, psi):
    """The share depends on gamma alone, and is that of power utility; what is eaten depends on psi, and on gamma by the return's worth.

    V = ((1-beta)^psi/k)^(1/(psi-1)) m (Epstein and Zin 1989). After the last period what is left is eaten, as it is.
    """
    circuit = solved("vfi", RECURSIVE, gamma, psi, terminal="(1-beta)^(1/(1-1/psi))*a")
    share, eaten = samuelson(gamma)[0], shares_eaten(gamma, psi, 1 / (1 + BETA**psi))
    for t in range(T):
        sol = circuit[t]["PORT"].dcsn.sol
        np.testing.assert_allclose(sol.policy["c"](m=CASH), eaten[t] * CASH, rtol=2e-3, err_msg=f"{t}")
        np.testing.assert_allclose(sol.value(m=CASH), ((1 - BETA) ** psi / eaten[t]) ** (1 / (psi - 1)) * CASH, rtol=1e-3)
        if t < T - 1:
            np.testing.assert_allclose(sol.policy["share"](m=CASH), share, atol=NEAR["vfi"], err_msg=f"{t}")
