"""Where nothing may be left: incomes that may be zero and technologies that yield nothing from nothing, on grids from zero."""

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

import heptapod
import stagecraft as sc

sys.path.insert(0, str(Path(__file__).parent))

from test_calibrations import CHAIN, decision, text
from test_edges import GROWTH

BETA, R, LAW = 0.9, 1.03, np.array([[0.2, 0.8], [0.1, 0.9]])
NUMBERS = "beta: 0.9, R: 1.03, y: [{low}, 1.0], P: [[0.2, 0.8], [0.1, 0.9]]"
FUNCTIONS = 'g_av: "m = R*a + e", g_ve: b = m - c, Q: "{reward} + beta*V[>]"'
REWARDS = {
    "log(c)": (np.log, lambda c: 1 / c, lambda slope: 1 / slope),
    "-1/c": (lambda c: -1 / c, lambda c: c**-2, lambda slope: slope**-0.5),
    "2*sqrt(c)": (lambda c: 2 * np.sqrt(c), lambda c: c**-0.5, lambda slope: slope**-2.0),
}


def saver(reward, low=0.0, horizon="infinite", points=80):
    functions = FUNCTIONS.format(reward=reward)
    return text(NUMBERS.format(low=low), functions, "c: 0 < c <= m", points=points, shocks=CHAIN, horizon=horizon)


def by_endogenous_grids(reward, periods):
    """Value and consumption by income, in NumPy: shares of cash, on knots equidistant in logarithms."""
    u, slope, inverse = REWARDS[reward]
    savings, incomes = np.geomspace(1e-10, 30.0, 3000), np.array([0.0, 1.0])
    value, policy = [u] * 2, [lambda m: m] * 2
    for _ in range(periods - 1):
        cash = [R * savings + y for y in incomes]
        marginal = LAW @ np.stack([slope(c(m)) for c, m in zip(policy, cash, strict=True)])
        ahead = LAW @ np.stack([v(m) for v, m in zip(value, cash, strict=True)])
        value, policy = [], []
        for c, v in zip(inverse(BETA * R * marginal), ahead, strict=True):
            m, worth = np.log(savings + c), CubicSpline(np.log(savings + c), u(c) + BETA * v)
            policy.append(lambda x, m=m, share=c / (savings + c): np.interp(np.log(x), m, share) * x)
            value.append(lambda x, m=m, worth=worth: worth(np.clip(np.log(x), m[0], m[-1])))
    return value, policy


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reward", "horizon", "periods"),
    [("log(c)", "infinite", 250), ("2*sqrt(c)", "infinite", 250), ("-1/c", "6\n  terminal: 0", 6)],
)
def test_an_income_that_may_be_zero_leaves_values_right_down_to_the_last_crumb(reward, horizon, periods):
    """Within the first cell of the grid, which ends at cash of .06 to .1, they were once off by a half to three times."""
    sol = decision(saver(reward, horizon=horizon))
    value, policy = by_endogenous_grids(reward, periods)
    m = np.array([1e-3, 0.01, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0])
    for j in (0, 1):
        np.testing.assert_allclose(sol.value(m=m, e=float(j)), value[j](m), rtol=1e-3)
        np.testing.assert_allclose(sol.policy["c"](m=m, e=float(j)), policy[j](m), rtol=3e-3)


@pytest.mark.slow
def test_an_income_that_becomes_zero_with_other_parameters_is_warned_of():
    model = sc.load(saver("log(c)", low=0.2, horizon="3\n  terminal: 0", points=40))
    sc.solve(model)
    with pytest.warns(UserWarning, match="stage C: at these parameters nothing may be left .* first knot of `b`"):
        sc.solve(model.with_parameters({"main.y": [0.0, 1.0]}))


def growth_in_numpy(gamma):
    """Consumption and the value of capital, by time iteration on knots equidistant in logarithms."""
    alpha, beta, k = 0.36, 0.95, np.geomspace(1e-9, 3.0, 2000)
    cash, c = k**alpha, (1 - alpha * beta) * k**alpha
    for _ in range(60):
        after = np.exp(np.interp(np.log(k**alpha), np.log(cash), np.log(c)))
        c = (beta * alpha * k ** (alpha - 1) * after**-gamma) ** (-1 / gamma)
        cash = k + c
    utility = c ** (1 - gamma) / (1 - gamma)
    value = utility / (1 - beta)
    for _ in range(400):
        value = utility + beta * CubicSpline(np.log(cash), value)(alpha * np.log(k))
    at = lambda x: alpha * np.log(x)
    return lambda x: np.exp(np.interp(at(x), np.log(cash), np.log(c))), lambda x: CubicSpline(np.log(cash), value)(at(x))


@pytest.mark.slow
def test_growth_from_nothing_without_a_logarithm():
    """Consumption in the first cell was once off by 4 to 9 percent."""
    gamma = 2.0
    functions = "g_av: m = k^alpha, g_ve: k_nxt = m - c"
    model = GROWTH.format(horizon="infinite", functions=functions, most="m", state="m")
    sol = sc.solve(sc.load(model.replace("log(c)", f"c^(1-{gamma})/(1-{gamma})")))[0]["P"].dcsn.sol
    k = np.array([0.001, 0.005, 0.01, 0.03, 0.1, 0.3, 1.0])
    policy, value = growth_in_numpy(gamma)
    np.testing.assert_allclose(sol.policy["c"](m=k**0.36), policy(k), rtol=5e-3)
    np.testing.assert_allclose(sol.value(m=k**0.36), value(k), rtol=5e-4)


CAKE = 'g_av: m = R*a, g_ve: b = m - c, Q: "log(c) + beta*V[>]"'
RETIREMENT = Path(__file__).parents[2] / "examples" / "ret_choice" / "ret_choice.yml"


def bare(model):
    return {num.name: num.solution.bare for num in heptapod.load(model).structure.stages if hasattr(num.solution, "bare")}


def test_what_leaves_nothing_is_found_at_the_calibration():
    assert bare(saver("log(c)")) == {"C": True}
    assert bare(saver("log(c)", low=0.2)) == {"C": False}
    # What a cake is worth is known from two knots.
    assert bare(text("beta: 0.9, R: 1.03", CAKE, "c: 0 < c <= m", points=20)) == {"C": False}
    assert bare(GROWTH.format(horizon="infinite", functions="g_ve: k_nxt = k^alpha - c", most="k^alpha", state="k"))["P"]
    # Who may work is not left with nothing; who is sent home without a pension is.
    chosen = RETIREMENT.read_text()
    drawn = chosen.replace(
        "{by: agent, taste_shock: gumbel, scale: sigma_eps}", "{by: nature, probs: {work: 0.9, retire: 0.1}}"
    )
    assert drawn != chosen
    assert bare(chosen) == {"WORK": False, "RETD": False}
    assert bare(drawn) == {"WORK": True, "RETD": False}


DRAWN_BEFORE = """
model:
  name: Twice
  horizon: infinite
  parameters: {{beta: 0.9, y: {y}, k: {k}, p: {p}, q: {q}}}
  defaults: {{inherit: all}}
  connections: {{intra_period: [{{source: FIRST, target: C}}], inter_period: [{{source: C, target: FIRST, mapping: {{b: a}}}}]}}
stages:
  FIRST:
    math:
      shocks: {{luck: {{dimensions: ["z"], shock_method: discrete, values: k, probs: q}}}}
      state_space: {{arvl: {{dimensions: ["a"]}}, dcsn: {{dimensions: ["a", "z"]}}, cntn: {{dimensions: ["a", "z"]}}}}
  C:
    math:
      functions: {{g_av: m = a + e + 1 - z, g_ve: b = m - c, Q: "log(c) + beta*V[>]"}}
      controls: {{c: 0 < c <= m}}
      shocks: {{job: {{dimensions: ["e"], shock_method: discrete, values: y, probs: p}}}}
      state_space:
        arvl: {{dimensions: ["a", "z"], grid: {{z: {{nodes_of: FIRST.luck}}}}}}
        dcsn: {{dimensions: ["m"]}}
        cntn: {{grid: {{b: {{type: exp, min: 0.0, max: 9.0, points: 20}}}}}}
"""


@pytest.mark.parametrize(
    ("y", "k"),
    [([0.0, 1.0], [0.0, 1.0]), ([0.0, 1.0], [0.0, 0.5, 1.0]), ([0.5, 1.0, 2.0], [0.0, 1.0]), ([0.2, 1.0], [0.2, 1.0])],
)
def test_what_is_drawn_in_two_stages_is_every_pair_of_draws(y, k):
    """As many draws in both stages were once paired one by one, and different numbers of them could not be read at all."""
    even = lambda x: [1 / len(x)] * len(x)
    assert bare(DRAWN_BEFORE.format(y=y, k=k, p=even(y), q=even(k))) == {"C": min(y) + 1 - max(k) == 0}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reward", "terminal"), [("log(c)", "log(a + 0.3)"), ("2*sqrt(c)", "2*sqrt(a + 0.3)")], ids=["log", "root"]
)
def test_next_to_a_borrowing_limit_inside_the_grid_values_do_not_leave_their_cell(reward, terminal):
    """Where debts may not be more than the poorest can pay back; the cubic of the first cell was once 56 where -8 is right."""
    numbers = "beta: 0.9, R: 1.03, y: [0.2, 1.0], p: [0.3, 0.7]"
    drawn = '\n    shocks: {z: {dimensions: ["e"], shock_method: discrete, values: y, probs: p}}'
    model = text(numbers, FUNCTIONS.format(reward=reward), "c: 0 < c <= m + 3", points=200, kind="linspace",
                 horizon=f"6\n  terminal: {terminal}", shocks=drawn).replace("min: 0.0", "min: -3.0")  # fmt: skip
    sol, limit, chance, income = decision(model), -0.3, np.array([0.3, 0.7]), np.array([0.2, 1.0])
    u, marginal, inverse = REWARDS[reward]
    value, slope = lambda a: u(a + 0.3), lambda a: marginal(a + 0.3)
    for _ in range(6):
        a = limit + np.geomspace(1e-9, 14, 4000)
        c = inverse(BETA * slope(a))
        x, share = np.log(a + c - limit), c / (a + c - limit)
        worth, begin = CubicSpline(x, u(c) + BETA * value(a)), limit
        v = lambda m, x=x, worth=worth, begin=begin: worth(np.clip(np.log(m - begin), x[0], x[-1]))
        eaten = lambda m, x=x, share=share, begin=begin: np.interp(np.log(m - begin), x, share) * (m - begin)
        value = lambda a, v=v: sum(q * v(R * a + y) for q, y in zip(chance, income, strict=True))
        slope = lambda a, eaten=eaten: R * sum(q * marginal(eaten(R * a + y)) for q, y in zip(chance, income, strict=True))
        limit = (limit - 0.2) / R
    m = begin + np.array([0.003, 0.02, 0.06, 0.1, 0.2, 0.5, 1.0, 3.0])
    found = np.asarray(sol.value(m=m))
    assert np.all(np.diff(found) > 0)
    np.testing.assert_allclose(found, v(m), atol=0.005)
    np.testing.assert_allclose(found[-2:], v(m)[-2:], atol=0.003)
    np.testing.assert_allclose(sol.policy["c"](m=m), eaten(m), atol=0.008)
