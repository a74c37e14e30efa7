"""A direct search from a grid that begins at nothing: whoever has nothing left cannot live, and next to it closed forms hold."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stagecraft as sc

sys.path.insert(0, str(Path(__file__).parent))

from small import circuit, stage

EXAMPLE = Path(__file__).parents[2] / "examples" / "epstein_zin" / "epstein_zin.yml"
T, BETA, R = 6, 0.95, 1.03
CASH = np.array([1e-6, 1e-4, 1e-3, 0.012, 0.05, 0.3, 1.0, 6.0, 14.0])
SPACES = dict(
    arvl="{dimensions: [a]}",
    dcsn="{dimensions: [m]}",
    cntn="{grid: {a_nxt: {type: power, min: 0, max: 15, points: 40}}}",
)


def cake(utility, gamma=""):
    """Nothing is earned, nothing is left at the end."""
    text = stage("S", f'g_av: m = R*a, g_ve: a_nxt = m - c, Q: "{utility} + beta*V[>]"', "c: 0 < c <= m", **SPACES)
    text = text.replace("  S:\n", "  S:\n    methods: {solution: vfi}\n")
    inter = "{source: S, target: S, mapping: {a_nxt: a}}"
    return circuit(text, T=T, terminal="0", parameters=f"beta: 0.95, R: 1.03{gamma}", inter=inter)


@pytest.fixture(scope="module")
def power():
    return cake("c^(1-gamma)/(1-gamma)", ", gamma: 2.0")


def shares(gamma, beta=BETA):
    """Of cash, by period: 1/k = 1 + (beta R^(1-gamma))^(1/gamma)/k'."""
    found = [1.0]
    for _ in range(T - 1):
        found.append(1 / (1 + (beta * R ** (1 - gamma)) ** (1 / gamma) / found[-1]))
    return found[::-1]


def worth(gamma, t, m):
    """What it is worth to eat so from period t on."""
    utility = np.log if gamma == 1 else lambda c: c ** (1 - gamma) / (1 - gamma)
    total = 0.0
    for ahead, share in enumerate(shares(gamma)[t:]):
        total, m = total + BETA**ahead * utility(share * m), R * (1 - share) * m
    return total


@pytest.mark.parametrize("gamma", [0.5, pytest.param(1.0, marks=pytest.mark.slow), 2.0, 8.0])
def test_a_cake_is_eaten_in_its_shares_down_to_the_last_crumb(power, gamma):
    solved = sc.solve(cake("log(c)") if gamma == 1 else power.with_parameters({"main.gamma": gamma}))
    for t, share in enumerate(shares(gamma)):
        sol = solved[t]["S"].dcsn.sol
        np.testing.assert_allclose(sol.policy["c"](m=CASH), share * CASH, rtol=1e-7)
        np.testing.assert_allclose(sol.value(m=CASH), worth(gamma, t, CASH), rtol=2e-4)
        np.testing.assert_allclose(sol.marginal["m"](m=CASH), (share * CASH) ** -gamma, rtol=2e-4)


@pytest.mark.slow
def test_patience_moves_the_last_crumbs_as_the_closed_form_says(power):
    def eaten(beta):
        sol = sc.solve(power.with_parameters({"main.beta": beta}), throw=False)[0]["S"].dcsn.sol
        return sol.policy["c"](m=jnp.asarray(CASH)) / CASH

    found, h = jax.jit(jax.jacfwd(eaten))(BETA), 1e-6
    expected = (shares(2.0, BETA + h)[0] - shares(2.0, BETA - h)[0]) / (2 * h)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.slow
def test_recursive_preferences_without_a_wage_have_their_shares_from_nothing_on():
    """Value and consumption are proportional to cash; at nothing powers of the value are no numbers."""
    text = EXAMPLE.read_text()
    for old, new in (("horizon: 25", f"horizon: {T}"), ("n_a: 120, n_r: 5, n_y: 5", "n_a: 40, n_r: 3, n_y: 2")):
        assert old in text
        text = text.replace(old, new)
    alone = sc.load(text).with_parameters({"CONS.wage": 0.0})
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    returns = 1.04 * np.exp(0.15 * nodes - 0.15**2 / 2)
    for gamma, psi in ((5.0, 1.5), (0.5, 1.5), (10.0, 0.5)):
        solved = sc.solve(alone.with_parameters({"CONS.gamma": gamma, "CONS.psi": psi}))
        sure = (weights / weights.sum() @ returns ** (1 - gamma)) ** (1 / (1 - gamma))
        share = 1 / (1 + BETA**psi)
        for t in reversed(range(T)):
            sol = solved[t]["CONS"].dcsn.sol
            np.testing.assert_allclose(sol.policy["c"](m=CASH), share * CASH, rtol=1e-6)
            value = (1 - BETA) ** (psi / (psi - 1)) * share ** (1 / (1 - psi)) * CASH
            np.testing.assert_allclose(sol.value(m=CASH), value, rtol=1e-4)
            share = 1 / (1 + BETA**psi * sure ** (psi - 1) / share)


FIRM = """
model:
  name: Firm
  horizon: 3
  terminal: 0.9*k
  parameters: {beta: 0.95, alpha: 0.4, delta: 0.1, phi: 0.5}
  defaults: {inherit: all}
  connections: {inter_period: [{source: F, target: F, mapping: {k_nxt: k}}]}
stage:
  name: F
  math:
    functions: {g_ve: "k_nxt = (1-delta)*k + i", Q: "k^alpha - i - phi/2*i^2 + beta*V[>]"}
    controls: {i: "i > -(1-delta)*k"}
    state_space: {arvl: {dimensions: ["k"]}, dcsn: {dimensions: ["k"]}, cntn: {grid: {k_nxt: {type: exp, min: 0.0, max: 12.0, points: 120}}}}
"""


@pytest.mark.slow
def test_a_firm_whose_cost_of_adjustment_knows_no_size_invests_from_nothing_on():
    """States that lead to the lowest post-states would be negative; a search in NumPy invests the same.

    At nothing capital is infinitely productive, and it is built all the same.
    """
    sol = sc.solve(sc.load(FIRM))[0]["F"].dcsn.sol
    grid, value = np.linspace(0, 1, 400) ** 2 * 14, lambda k: 0.9 * k
    for _ in range(3):
        after = 0.95 * value(grid)
        smooth = lambda k, after=after: np.interp(k, grid, after)
        fine = np.linspace(0.0, 14.0, 40_001)
        i = fine[None, :] - 0.9 * grid[:, None]
        worth = grid[:, None] ** 0.4 - i - 0.25 * i**2 + smooth(fine)[None, :]
        best, chosen = worth.max(1), i[np.arange(len(grid)), worth.argmax(1)]
        value = lambda k, best=best: np.interp(k, grid, best)
    at = grid[(grid > 0.05) & (grid < 8.0)][::12]
    np.testing.assert_allclose(sol.policy["i"](k=at), np.interp(at, grid, chosen), atol=4e-2)
    np.testing.assert_allclose(sol.value(k=at), value(at), rtol=2e-3)
