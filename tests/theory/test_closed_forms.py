"""Solutions known in closed form, on and off the knots, and the rate at which errors fall."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stagecraft as sc

CAKE = """
model:
  name: Cake
  horizon: {T}
  terminal: {terminal}
  connections: {{inter_period: [{{source: EAT, target: EAT, mapping: {{w_nxt: w}}}}]}}
stage:
  name: EAT
  parameters: {{beta: {beta}, R: {R}, gamma: {gamma}, y: {y}}}
  settings: {{n: {n}, top: 40.0}}
  math:
    functions:
      u(c): {u}
      g_av: m = R*w + y
      g_ve: w_nxt = m - c
      Q: u(c) + beta*V[>]
    controls: {{c: 0 < c <= m}}
    state_space:
      arvl: {{dimensions: ["w"]}}
      dcsn: {{dimensions: ["m"]}}
      cntn: {{grid: {{w_nxt: {{type: exp, min: {low}, max: top, points: n}}}}}}
"""
CRRA = "c^(1-gamma)/(1-gamma)"


def solved(**changes):
    given = dict(T=10, terminal=0, beta=0.95, R=1.04, gamma=2.0, y=0.0, n=60, u=CRRA, low=0.0) | changes
    return sc.solve(sc.load(CAKE.format(**given)))


def perfect_foresight(m, periods, beta, R, gamma, y):
    """Value and consumption of a constrained consumer who knows his constant income: the best date to run out of assets."""
    utility = (lambda c: np.log(c)) if gamma == 1 else (lambda c: c ** (1 - gamma) / (1 - gamma))
    best, choice = -np.inf, np.nan
    growth = (beta * R) ** (1 / gamma)
    for n in range(1 if y > 0 else periods, periods + 1):
        discount = R ** -np.arange(n)
        first = (m + y * discount[1:].sum()) / (growth ** np.arange(n) * discount).sum()
        path = first * growth ** np.arange(n)
        assets, feasible = m, True
        for k in range(n):
            assets -= path[k]
            feasible &= assets >= -1e-12
            assets = R * assets + y
        rest = utility(y) * beta ** np.arange(n, periods) if n < periods else np.zeros(1)
        if feasible:
            value = (utility(path) * beta ** np.arange(n)).sum() + rest.sum()
            if value > best:
                best, choice = value, first
    return best, choice


# Far beyond the last knot the policy is as straight as it is inside.
@pytest.mark.filterwarnings("ignore:.*beyond the grid")
@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_a_cake_without_income_is_eaten_in_fixed_shares(gamma):
    """Policy and value are exact everywhere, from a crumb to beyond the grid."""
    u = "log(c)" if gamma == 1 else CRRA
    circuit = solved(gamma=gamma, u=u)
    m = np.array([1e-3, 0.1, 1.7, 9.0, 35.0, 60.0])
    for t in (0, 5, 9):
        exact = [perfect_foresight(x, 10 - t, 0.95, 1.04, gamma, 0.0) for x in m]
        sol = circuit[t]["EAT"].dcsn.sol
        np.testing.assert_allclose(sol.policy["c"](m=m), [c for _, c in exact], rtol=1e-9, atol=1e-13)
        np.testing.assert_allclose(sol.value(m=m), [v for v, _ in exact], rtol=1e-8)


@pytest.mark.parametrize("low", [0.0, 1e-6, 0.05])
def test_the_cake_does_not_depend_on_where_the_grid_begins(low):
    circuit = solved(low=low)
    m = np.array([0.01, 0.3, 2.0])
    exact = np.array([perfect_foresight(x, 10, 0.95, 1.04, 2.0, 0.0) for x in m])
    np.testing.assert_allclose(circuit[0]["EAT"].dcsn.sol.policy["c"](m=m), exact[:, 1], rtol=1e-9)


@pytest.mark.parametrize("gamma", [0.7, pytest.param(1.0, marks=pytest.mark.slow), 3.0])
@pytest.mark.parametrize("beta", [0.90, 0.96])
def test_perfect_foresight_with_a_borrowing_constraint(gamma, beta):
    u = "log(c)" if gamma == 1 else CRRA
    m = np.linspace(0.5, 20.0, 41)
    exact = np.array([perfect_foresight(x, 15, beta, 1.03, gamma, 1.0) for x in m])
    worst = []
    for n in (50, 200, 800):
        sol = solved(T=15, beta=beta, R=1.03, gamma=gamma, y=1.0, u=u, n=n)[0]["EAT"].dcsn.sol
        policy = np.max(np.abs(sol.policy["c"](m=m) / exact[:, 1] - 1))
        value = np.max(np.abs(sol.value(m=m) / exact[:, 0] - 1))
        worst.append((policy, value))
    policy, value = np.array(worst).T
    assert policy[2] < 2e-4 and value[2] < 1e-6
    # The policy is piecewise linear with kinks between knots: first order there; the value is smooth: second order.
    assert policy[2] < policy[0] / 8 and value[2] < value[0] / 64


@pytest.mark.parametrize("gamma", [0.5, 2.0, 6.0])
def test_a_two_period_saver_with_income_later(gamma):
    """Income y arrives in both periods; c = (R m + y)/(R + (beta R)^(1/gamma)) while the constraint is slack."""
    beta, R, y = 0.97, 1.05, 0.8
    sol = solved(T=2, beta=beta, R=R, gamma=gamma, y=y, n=30)[0]["EAT"].dcsn.sol
    m = np.array([0.2, 0.9, 1.5, 4.0, 30.0])
    growth = (beta * R) ** (1 / gamma)
    free = (R * m + y) / (R + growth)
    np.testing.assert_allclose(sol.policy["c"](m=m), np.minimum(free, m), rtol=1e-9)
    slope = np.minimum(free, m) ** -gamma
    np.testing.assert_allclose(sol.marginal["m"](m=m), slope, rtol=1e-8)


def test_nothing_is_saved_in_the_last_period():
    sol = solved()[9]["EAT"].dcsn.sol
    m = jnp.array([1e-6, 0.3, 7.0, 500.0])
    np.testing.assert_allclose(sol.policy["c"](m=m), m, rtol=1e-12)


@pytest.mark.slow
def test_the_value_error_of_log_utility_falls_at_least_with_the_square_of_the_spacing():
    m = np.linspace(0.4, 12.0, 97)
    exact = np.array([perfect_foresight(x, 8, 0.93, 1.02, 1.0, 0.7)[0] for x in m])
    error = [np.max(np.abs(solved(T=8, beta=0.93, R=1.02, y=0.7, u="log(c)", n=n)[0]["EAT"].dcsn.sol.value(m=m) - exact))
             for n in (40, 160, 640)]  # fmt: skip
    assert error[1] < error[0] / 12 and error[2] < error[1] / 12


def test_values_are_consistent_across_the_perches():
    """The continuation of t is the arrival of t+1, and the decision attains its objective."""
    circuit = solved(y=0.5)
    now, after = circuit[3]["EAT"], circuit[4]["EAT"]
    w = jnp.array([0.0, 0.4, 11.0])
    np.testing.assert_allclose(now.cntn.sol.value(w_nxt=w), after.arvl.sol.value(w=w), rtol=1e-14)
    m = jnp.array([0.6, 2.0, 15.0])
    c = now.dcsn.sol.policy["c"](m=m)
    attained = c ** (1 - 2.0) / (1 - 2.0) + 0.95 * now.cntn.sol.value(w_nxt=m - c)
    np.testing.assert_allclose(attained, now.dcsn.sol.value(m=m), rtol=2e-6)


def test_the_marginal_value_is_the_derivative_of_the_value():
    sol = solved(y=0.5, n=400)[2]["EAT"].dcsn.sol
    m = np.array([0.3, 1.1, 4.0])
    slope = jax.vmap(jax.grad(lambda x: sol.value(m=x)))(jnp.asarray(m))
    np.testing.assert_allclose(sol.marginal["m"](m=m), slope, rtol=1e-3)


GRADIENTS = {
    "cake": dict(gamma=2.0),
    "patient cake": dict(gamma=0.5, beta=0.99),
    "log": dict(gamma=1.0, u="log(c)", y=0.6),
    "steep": dict(gamma=8.0, y=0.6),
    "bequest": dict(gamma=2.0, y=0.6, terminal="log(w + 1)"),
    "from above zero": dict(gamma=3.0, low=0.05),
}


SLOW = {"cake", "patient cake", "bequest", "steep", "from above zero"}


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in GRADIENTS])
def test_gradients_are_finite_and_right_at_the_edge_of_the_feasible_set(name):
    """Where marginal values are infinite at the lowest post-state, nothing of it reaches a derivative."""
    given = dict(T=5, terminal=0, beta=0.95, R=1.04, gamma=2.0, y=0.0, n=40, u=CRRA, low=0.0) | GRADIENTS[name]
    circuit = sc.load(CAKE.format(**given))

    @jax.jit
    def probe(parameters):
        solved = sc.solve(circuit.with_parameters(parameters))
        sol = solved[1]["EAT"].dcsn.sol
        return sol.value(m=2.0) + sol.policy["c"](m=0.02) + sol.policy["c"](m=7.0) + sol.value(m=0.3)

    gradient = jax.jit(jax.grad(probe))(circuit.parameters)["EAT"]
    for parameter, value in circuit.parameters["EAT"].items():
        if given["u"] == "log(c)" and parameter == "gamma":
            assert gradient[parameter] == 0
            continue
        gaps = []
        for h in (1e-5, 1e-6):
            up, down = (probe({"main": {}, "EAT": {**circuit.parameters["EAT"], parameter: value + s * h}}) for s in (1, -1))
            gaps.append(abs(float(up - down) / (2 * h) - float(gradient[parameter])))
        assert np.isfinite(gradient[parameter])
        if given["y"] > 0 or parameter != "y":  # Income of nothing is an edge of its own: below it none is feasible.
            assert min(gaps) < 2e-6 * (1 + abs(float(gradient[parameter]))), parameter
