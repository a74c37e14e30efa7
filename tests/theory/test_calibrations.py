"""Models of kinds that other tests hold, at calibrations of their own, against search and iteration in NumPy."""

import sys
from pathlib import Path

import numpy as np
import pytest

import heptapod
import stagecraft as sc

sys.path.insert(0, str(Path(__file__).parent))

from labour import text as labour

MODEL = """
dialect: 1
model:
  name: Calibrated
  horizon: {horizon}
  parameters: {{{parameters}}}
  settings: {{points: {points}}}
  defaults: {{inherit: all}}
  connections: {{inter_period: [{{source: C, target: C, mapping: {{b: a{given}}}}}]}}
stage:
  name: C
  math:
    functions: {{{functions}}}
    controls: {{{controls}}}{shocks}
    state_space:
      arvl: {{dimensions: [{arrival}]}}
      dcsn: {{dimensions: [{decision}]}}
      cntn: {{dimensions: [{after}], grid: {{b: {{type: {kind}, min: 0.0, max: {top}, points: points}}}}}}
"""
CHAIN = '\n    shocks: {z: {dimensions: ["e"], shock_method: markov, values: y, transition_matrix: P, given: e_pre}}'


def text(parameters, functions, controls, horizon="infinite", points=80, kind="exp", top=8.0, state="m", shocks=""):
    """A model of one stage; with `CHAIN` its income is a Markov chain."""
    e = ", e" if shocks == CHAIN else ""
    return MODEL.format(horizon=horizon, parameters=parameters, points=points, functions=functions, controls=controls, kind=kind,
                        shocks=shocks, arrival="a, e_pre" if e else "a", decision=state + e, after="b" + e, top=top,
                        given=", e: e_pre" if e else "")  # fmt: skip


def decision(model):
    return sc.solve(sc.load(model))[0]["C"].dcsn.sol


CAKES = {
    "log(c)": lambda m, b: (np.log((1 - b) * m) + b / (1 - b) * np.log(b)) / (1 - b),
    "-1/c": lambda m, b: -1 / m / (1 - b**0.5) ** 2,
}


@pytest.mark.slow
@pytest.mark.parametrize("reward", CAKES)
def test_a_cake_for_ever_whose_first_knot_is_nothing_is_worth_its_closed_form(reward):
    """The slope at the first knot is 1e13: as the slope of a cubic it once made values of 1e12 that reproduced themselves."""
    m = np.array([0.1, 0.5, 1.0, 3.0, 6.0])
    functions = f'g_av: m = a, g_ve: b = m - c, Q: "{reward} + beta*V[>]"'
    sol = decision(text("beta: 0.9", functions, "c: 0 < c <= m", points=20, kind="linspace"))
    np.testing.assert_allclose(sol.value(m=m), CAKES[reward](m, 0.9), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("top", [3.0, 5.0])
def test_a_firm_with_a_chain_of_prices_between_two_closed_bounds(top):
    """Neither bound leads to a corner, and rows of productivity are asked together."""
    parameters = "r: 0.04, d: 0.12, phi: 1.5, most: 3.0, y: [0.15, 0.3], P: [[0.7, 0.3], [0.2, 0.8]]"
    functions = 'g_ve: b = (1 - d)*a + i, Q: "3*e*sqrt(a) - i - phi/2*i^2 + V[>]/(1 + r)"'
    bounds = 'i: "-(1 - d)*a <= i <= most - (1 - d)*a"'
    sol = decision(text(parameters, functions, bounds, points=60, kind="linspace", top=top, state="a", shocks=CHAIN))
    price, law, k, after = (
        np.array([0.15, 0.3]),
        np.array([[0.7, 0.3], [0.2, 0.8]]),
        *map(np.linspace, (0, 0), (3, 3), (401, 2001)),
    )
    invest = after - 0.88 * k[:, None]
    cost, value = -invest - 0.75 * invest**2, np.zeros((2, 401))
    for _ in range(60):
        best = [(cost + w / 1.04).argmax(1) for w in law @ np.stack([np.interp(after, k, v) for v in value])]
        for _ in range(10):  # Steps with the policy held, which cost little.
            worth = law @ np.stack([np.interp(after, k, v) for v in value]) / 1.04
            chosen = [cost[np.arange(401), b] + w[b] for b, w in zip(best, worth, strict=True)]
            value = 3 * price[:, None] * np.sqrt(k) + np.stack(chosen)
    for y, right in zip(price, value, strict=True):
        np.testing.assert_allclose(sol.value(a=k[40:], e=np.full(361, y)), right[40:], rtol=1e-4)


@pytest.mark.slow
def test_a_floor_under_consumption_with_three_incomes():
    """The poor must bring savings for as many bad draws as may follow; five periods."""
    parameters = "beta: 0.9, R: 1.03, least: 0.45, y: [0.35, 0.8, 1.5], P: [[0.7, 0.3, 0], [0.2, 0.6, 0.2], [0.05, 0.25, 0.7]]"
    functions = 'g_av: "m = R*a + e", g_ve: b = m - c, Q: "-1/c + beta*V[>]"'
    sol = decision(
        text(parameters, functions, "c: least <= c <= m", horizon="5\n  terminal: 0", points=150, top=20.0, shocks=CHAIN)
    )
    y, law = np.array([0.35, 0.8, 1.5]), np.array([[0.7, 0.3, 0], [0.2, 0.6, 0.2], [0.05, 0.25, 0.7]])
    cash = value = None
    for _ in range(5):
        # The lowest savings with which every income that may come leaves a choice.
        edge = [0.0 if cash is None else max(0, *((cash[k][0] - y[k]) / 1.03 for k in range(3) if row[k])) for row in law]
        here, best = [0.45 + e + np.linspace(0, 1, 600) ** 2 * 7 for e in edge], []
        for j, m in enumerate(here):
            b = edge[j] + (m - 0.45 - edge[j])[:, None] * np.linspace(0, 1, 401) ** 1.3
            after = 0 if cash is None else sum(law[j, k] * np.interp(1.03 * b + y[k], cash[k], value[k]) for k in range(3))
            best.append((-1 / (m[:, None] - b) + 0.9 * after).max(1))
        cash, value = here, best
    for j in range(3):
        found = sol.at(m=cash[j], e=np.full(600, y[j]))
        np.testing.assert_allclose(found.value, value[j], atol=2e-4)
        assert found.feasible.all() and not sol.at(m=cash[j][0] - 1e-6, e=y[j]).feasible


@pytest.mark.slow
def test_a_cap_on_savings_under_lognormal_income():
    x, law = np.polynomial.hermite_e.hermegauss(5)
    law, y, m, b = law / law.sum(), np.exp(0.3 * x - 0.045), 0.2 + np.linspace(0, 1, 900) ** 2 * 6, np.linspace(0, 0.6, 901)
    functions = 'g_av: m = R*a + y, g_ve: b = m - c, Q: "-1/c + beta*V[>]"'
    shock = "\n    shocks: {inc: {dimensions: [y], shock_method: lognormal, mean: 1.0, std: 0.3, n_points: 5}}"
    bounds = 'c: "max(m - cap, 0) <= c <= m"'
    parameters = "beta: 0.97, R: 1.02, cap: 0.6"
    sol = decision(text(parameters, functions, bounds, horizon="4\n  terminal: 0", points=100, shocks=shock))
    after, value = 0.0, None
    for _ in range(4):
        after = 0.0 if value is None else np.interp(1.02 * b[:, None] + y, m, value) @ law
        c = m[:, None] - b
        worth = np.where(c > 0, -1 / np.where(c > 0, c, 1), -np.inf) + 0.97 * after
        value, chosen = worth.max(1), m - b[worth.argmax(1)]
    np.testing.assert_allclose(sol.value(m=m), value, atol=2e-4)
    np.testing.assert_allclose(sol.policy["c"](m=m), chosen, atol=2e-3)


BOUNDS = {"a floor": "least <= c <= m + pay(n)", "a cap": "max(m + pay(n) - 2, 0) < c <= m + pay(n)"}


@pytest.mark.parametrize("bound", BOUNDS.values(), ids=list(BOUNDS))
def test_a_bound_that_may_hold_consumption_beside_hours_is_refused_with_what_works(bound):
    """Whoever is held there works by another condition: an open bound holds just inside, as a closed one does."""
    model = labour("isoelastic").replace("0 < c <= m + pay(n)", bound).replace("parameters: {", "parameters: {least: 0.2, ")
    found = [d for d in heptapod.check(model) if d.severity == "error"]
    assert [d.code for d in found] == ["bounds"] and "may be held at its bound" in found[0].message
    assert "choose `n` in a stage of its own, before that of `c`" in found[0].help


BARE = """
model:
  name: Bare
  horizon: 3
  terminal: 0
  parameters: {beta: 0.95}
  connections: {inter_period: [{source: C, target: C, mapping: {b: a}}]}
  defaults: {inherit: all}
stage:
  name: C
  math:
    functions: {g_av: m = a, g_ve: b = m - c, Q: "REWARD + beta*V[>]"}
    controls: {c: c <= m}
    state_space:
      arvl: {dimensions: [a]}
      dcsn: {dimensions: [m]}
      cntn: {grid: {b: {type: linspace, min: 0.0, max: 9.0, points: 60}}}
"""


@pytest.mark.parametrize("reward", ["log(c)", "-1/c", "sqrt(c)"])
def test_a_reward_that_is_steep_at_zero_asks_for_a_bound_there(reward):
    found = [d for d in heptapod.check(BARE.replace("REWARD", reward)) if d.severity == "error"]
    assert [d.code for d in found] == ["bounds"] and "`c` has no lower bound" in found[0].message and "0 < c" in found[0].help


@pytest.mark.slow
def test_a_control_without_a_lower_bound_spends_all_in_the_last_period():
    """Of utility that has a value everywhere: of three equal cakes less is eaten later by what patience tells."""
    model, m = BARE.replace("REWARD", "-exp(-c)"), np.array([0.5, 2.0, 5.0])
    solved = sc.solve(sc.load(model))
    np.testing.assert_allclose(solved[2]["C"].dcsn.sol.policy["c"](m=m), m, atol=1e-9)
    later = -np.log(0.95)
    np.testing.assert_allclose(solved[0]["C"].dcsn.sol.policy["c"](m=m), m / 3 + later, atol=1e-9)
