"""Solutions against brute force: value iteration on a fine grid with a fine choice set, in numpy, knowing no Euler equation."""

import numpy as np
import pytest

import heptapod
import stagecraft as sc

FRAME = """
model:
  name: Brute
  horizon: 4
  terminal: {terminal}
  connections: {{inter_period: [{{source: S, target: S, mapping: {{x: a}}}}]}}
stage:
  name: S
  parameters: {{beta: 0.94, R: 1.04, gamma: 2.5, sigma: 0.25, b: 0.6, cmin: 0.2}}
  settings: {{n: 300}}
  math:
    functions: {{g_av: m = R*a + y, g_ve: x = {g_ve}, Q: "{Q}"}}
    controls: {{{control}}}
    shocks: {{s: {{dimensions: [y], shock_method: lognormal, mean: 1.0, std: sigma, n_points: 5}}}}
    state_space:
      arvl: {{dimensions: [a]}}
      dcsn: {{dimensions: [m]}}
      cntn: {{grid: {{x: {{type: exp, min: {low}, max: 25, points: n}}}}}}
"""
CRRA = "c^(1-gamma)/(1-gamma)"
P = dict(beta=0.94, R=1.04, gamma=2.5, sigma=0.25, b=0.6, cmin=0.2)
crra = lambda c: c ** (1 - 2.5) / (1 - 2.5)
save = lambda m, share: (m * share, m - m * share)

# name: pieces of text; reward(choice, m); (choice, post) from a share in (0, 1); terminal value; lowest post
MODELS = {
    "crra": (dict(), lambda c, m: crra(c), save, lambda a: np.zeros_like(a), 0.0),
    "log with a bequest": (
        dict(Q="log(c) + beta*V[>]", terminal="log(a + 1)"),
        lambda c, m: np.log(c), save, lambda a: np.log(a + 1), 0.0,
    ),
    "no closed inverse": (
        dict(Q="log(c) + 0.3*c^0.5 + beta*V[>]", terminal="log(a + 2)"),
        lambda c, m: np.log(c) + 0.3 * np.sqrt(c), save, lambda a: np.log(a + 2), 0.0,
    ),
    "saving is the control": (
        dict(Q="(m - s)^(1-gamma)/(1-gamma) + beta*V[>]", g_ve="s", control="s: 0 <= s < m", terminal="-1/(a + 1)"),
        lambda c, m: crra(c), save, lambda a: -1 / (a + 1), 0.0,
    ),
    "borrowing": (
        dict(control="c: 0 < c <= m + b", low="-b", terminal="-1/(a + 1)"),
        lambda c, m: crra(c), lambda m, share: ((m + 0.6) * share, m - (m + 0.6) * share), lambda a: -1 / (a + 1), -0.6,
    ),
    "a least consumption": (
        dict(control="c: cmin <= c <= m", Q="(c + 1)^(1-gamma)/(1-gamma) + beta*V[>]", terminal="5*log(a + 0.5)"),
        lambda c, m: crra(c + 1), lambda m, share: (0.2 + (m - 0.2) * share, m - 0.2 - (m - 0.2) * share),
        lambda a: 5 * np.log(a + 0.5), 0.0,
    ),
    "a curved technology": (
        dict(g_ve="(m - c)^0.7", Q="log(c) + beta*V[>]", terminal="log(a + 0.5)"),
        lambda c, m: np.log(c), lambda m, share: (m * share, (m - m * share) ** 0.7), lambda a: np.log(a + 0.5), 0.0,
    ),
    "quadratic": (
        dict(Q="-(c - 8)^2 + beta*V[>]", terminal="-(a - 9)^2"),
        lambda c, m: -((c - 8) ** 2), save, lambda a: -((a - 9) ** 2), 0.0,
    ),
    "exponential": (
        dict(Q="-exp(-1.5*c) + beta*V[>]", terminal="-exp(-a)"),
        lambda c, m: -np.exp(-1.5 * c), save, lambda a: -np.exp(-a), 0.0,
    ),
}  # fmt: skip


def brute_force(reward, choices, terminal, low, points):
    """Values and choices of period 0 at `points`, by value iteration over 3,001 shares, refined once around the best."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    weights = weights / weights.sum()
    y = np.exp(0.25 * nodes - 0.25**2 / 2)
    grid = low + (30.0 - low) * np.linspace(0, 1, 3_000) ** 3
    after = terminal(grid)
    for t in range(3, -1, -1):
        m = points if t == 0 else (1.04 * grid[:, None] + y[None, :]).ravel()
        best, choice = search(m, reward, choices, grid, after)
        if t > 0:
            after = best.reshape(len(grid), 5) @ weights
    return best, choice


def search(m, reward, choices, grid, after):
    best, found = np.full(m.shape, -np.inf), np.zeros(m.shape)
    low, high = np.zeros(m.shape), np.ones(m.shape)
    for _ in range(9):
        shares = low[:, None] + (high - low)[:, None] * np.linspace(0, 1, 13)[None, 1 if _ == 0 else 0 :]
        c, post = choices(m[:, None], shares)
        with np.errstate(all="ignore"):
            value = reward(c, m[:, None]) + 0.94 * np.interp(post, grid, after)
        value = np.where(np.isfinite(value), value, -np.inf)
        k = np.argmax(value, axis=1)
        rows = np.arange(m.size)
        best, found = value[rows, k], c[rows, k]
        width = (high - low) / 12
        low, high = np.maximum(shares[rows, k] - width, 0), np.minimum(shares[rows, k] + width, 1)
    return best, found


@pytest.mark.parametrize("name", MODELS)
def test_egm_agrees_with_brute_force(name):
    pieces, reward, choices, terminal, low = MODELS[name]
    given = dict(terminal=0, g_ve="m - c", Q=f"{CRRA} + beta*V[>]", control="c: 0 < c <= m", low=0.0) | pieces
    circuit = sc.load(FRAME.format(**given))
    sol = sc.solve(circuit)[0]["S"].dcsn.sol
    m = np.array([0.35, 0.8, 1.3, 2.2, 4.7, 9.1])
    value, choice = brute_force(reward, choices, terminal, low, m)
    policy = np.asarray(next(iter(sol.policy[n] for n in sol.policy))(m=m))
    consumed = m - policy if name == "saving is the control" else policy
    np.testing.assert_allclose(sol.value(m=m), value, rtol=2e-4, atol=2e-4)
    np.testing.assert_allclose(consumed, choice, rtol=6e-3, atol=6e-3)


def test_what_has_no_closed_form_is_said_and_what_has_one_is_derived():
    of = lambda name: heptapod.load(
        FRAME.format(
            **(dict(terminal=0, g_ve="m - c", Q=f"{CRRA} + beta*V[>]", control="c: 0 < c <= m", low=0.0) | MODELS[name][0])
        )
    )
    assert of("no closed inverse").num.solution.control_inverse is None
    assert "bracketed Newton" in heptapod.explain(of("no closed inverse"), width=None)
    for name in ("crra", "saving is the control", "borrowing", "quadratic", "exponential", "a curved technology"):
        assert of(name).num.solution.control_inverse is not None and of(name).num.solution.state_inverse is not None, name


BOUND = """
model: {{name: B, horizon: {T}, terminal: "{terminal}", connections: {{inter_period: [{{source: S, target: S, mapping: {{x: a}}}}]}}}}
stage:
  name: S
  parameters: {{beta: 0.95, R: 1.03}}
  math:
    functions: {{g_av: m = R*a, g_ve: x = {g_ve}, Q: "{Q}"}}
    controls: {{{control}}}
    state_space:
      arvl: {{dimensions: [a]}}
      dcsn: {{dimensions: [m]}}
      cntn: {{grid: {{x: {{type: exp, min: 0, max: 30, points: 400}}}}}}
"""


def test_a_least_share_that_binds():
    """c >= 0.8 m with two periods left: V = log(0.8 m) + beta log(1.03*0.2 m + 1) where the bound binds."""
    text = BOUND.format(T=1, terminal="log(1.03*a + 1)", g_ve="m - c", Q="log(c) + beta*V[>]", control="c: 0.8*m <= c <= m")
    sol = sc.solve(sc.load(text))[0]["S"].dcsn.sol
    m = np.array([9.0, 12.0, 20.0])
    np.testing.assert_allclose(sol.policy["c"](m=m), 0.8 * m, rtol=1e-9)
    np.testing.assert_allclose(sol.value(m=m), np.log(0.8 * m) + 0.95 * np.log(1.03 * 0.2 * m + 1), rtol=1e-6)
    np.testing.assert_allclose(sol.marginal["m"](m=m), 1 / m + 0.95 * 1.03 * 0.2 / (1.03 * 0.2 * m + 1), rtol=1e-3)


def test_a_greatest_saving_that_binds():
    text = BOUND.format(T=1, terminal="9*log(a + 1)", g_ve="s", Q="log(m - s) + beta*V[>]", control="s: 0 <= s <= 0.2*m")
    sol = sc.solve(sc.load(text))[0]["S"].dcsn.sol
    m = np.array([3.0, 8.0, 20.0])
    np.testing.assert_allclose(sol.policy["s"](m=m), 0.2 * m, rtol=1e-9)
    np.testing.assert_allclose(sol.value(m=m), np.log(0.8 * m) + 0.95 * 9 * np.log(0.2 * m + 1), rtol=1e-6)


# Who has more than the last knot is satiated, too.
@pytest.mark.filterwarnings("ignore:.*beyond the grid")
def test_whoever_is_satiated_saves_no_more():
    text = BOUND.format(T=1, terminal="min(a, 2)", g_ve="m - c", Q="log(c) + beta*V[>]", control="c: 0 < c <= m")
    sol = sc.solve(sc.load(text))[0]["S"].dcsn.sol
    m = np.array([0.5, 6.0, 12.0, 50.0])
    exact = np.array([0.5, 4.0, 10.0, 48.0])
    np.testing.assert_allclose(sol.policy["c"](m=m), exact, rtol=2e-2)
    np.testing.assert_allclose(sol.value(m=m), np.log(exact) + 0.95 * np.minimum(m - exact, 2), rtol=1e-2)


def test_patience_may_be_nothing():
    text = BOUND.format(T=3, terminal="log(a + 1)", g_ve="m - c", Q="log(c) + beta*V[>]", control="c: 0 < c <= m")
    sol = sc.solve(sc.load(text, parameters={"S.beta": 0.0}))[0]["S"].dcsn.sol
    m = np.array([0.1, 2.0, 40.0])
    np.testing.assert_allclose(sol.policy["c"](m=m), m, rtol=1e-12)


def test_a_technology_whose_exponent_is_a_parameter():
    text = BOUND.format(T=2, terminal="log(a + 1)", g_ve="(m - c)^alpha", Q="log(c) + beta*V[>]", control="c: 0 < c <= m")
    given, number = text.replace("beta: 0.95,", "beta: 0.95, alpha: 0.5,"), text.replace("alpha", "0.5")
    m = np.array([0.3, 2.0, 9.0])
    values = [sc.solve(sc.load(t))[0]["S"].dcsn.sol.value(m=m) for t in (given, number)]
    np.testing.assert_allclose(*values, rtol=1e-9)


@pytest.mark.parametrize("terminal", ["0.3*a", "log(a + 1)", "5"])
def test_a_bequest_outside_the_range_of_utility_costs_no_accuracy(terminal):
    """There u^-1(V/B) has a pole; the value itself is interpolated in those cells."""
    text = BOUND.replace("points: 400", "points: {n}")
    sols = []
    for n in (100, 3_200):
        model = text.format(T=6, terminal=terminal, g_ve="m - c", Q="-1/c + beta*V[>]", control="c: 0 < c <= m", n=n)
        sols.append(sc.solve(sc.load(model))[0]["S"].dcsn.sol)
    m = np.linspace(0.5, 14, 60)
    np.testing.assert_allclose(sols[0].value(m=m), sols[1].value(m=m), atol=5e-4)
