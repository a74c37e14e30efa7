"""Kinks that hold people: where the slope of what follows falls, the post-state stays at the kink for a range of states."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stagecraft as sc

CASE = Path(__file__).parents[1] / "cases" / "02-kinked-rate-no-atom.yml"
MODEL = """
dialect: 1
model:
  name: Kinks
  {horizon}
  parameters: {{beta: 0.93, Rb: 1.12, Rs: 1.02, free: 0.7, tax: 0.3, debt: 0.5, y: [0.6, 1.3], P: [[0.8, 0.2], [0.3, 0.7]]}}
  settings: {{n: {n}}}
  defaults: {{inherit: all}}
  connections: {{inter_period: [{{source: C, target: C, mapping: {{b: a, e: e_pre}}}}]}}
stage:
  name: C
  math:
    functions: {{g_av: "m = {arrival} + e", g_ve: b = m - c, Q: "-1/c + beta*V[>]"}}
    controls: {{c: 0 < c <= m + debt}}
    shocks: {{z: {{dimensions: ["e"], shock_method: markov, values: y, transition_matrix: P, given: e_pre}}}}
    state_space:
      arvl: {{dimensions: ["a", "e_pre"], grid: {{e_pre: {{nodes_of: z}}}}}}
      dcsn: {{dimensions: ["m", "e"]}}
      cntn: {{dimensions: ["b", "e"], grid: {{b: {{type: power, min: -debt, max: 8.0, points: n}}}}}}
"""
# The arrival as written, the same by hand, and its kink.
ARRIVALS = {
    "rates": ("where(a < 0, Rb, Rs)*a", lambda a: np.where(a < 0, 1.12, 1.02) * a, 0.0),
    "tax": ("Rs*a - tax*max(Rs*a - free, 0)/5", lambda a: 1.02 * a - 0.06 * np.maximum(1.02 * a - 0.7, 0), 0.7 / 1.02),
}
INCOME, LAW = np.array([0.6, 1.3]), np.array([[0.8, 0.2], [0.3, 0.7]])


def by_hand(arrive, periods, points=1_600):
    """(cash, consumption by income) of the first of many periods, by search over what is left, the kink among it."""
    m = np.linspace(-0.49, 9.0, points)
    b = np.concatenate([-0.5 + 8.5 * np.linspace(0, 1, 1_000) ** 1.5, [0.0, 0.7 / 1.02]])
    b.sort()
    value = np.zeros((2, points))
    for _ in range(periods):
        after = np.stack([np.interp(arrive(b) + y, m, v) for y, v in zip(INCOME, value, strict=True)])
        worth = lambda after: -1 / np.maximum(m[:, None] - b, 1e-6) + 0.93 * after
        best = [worth(LAW[i] @ after).argmax(1) for i in range(2)]
        value = np.stack([worth(LAW[i] @ after)[np.arange(points), best[i]] for i in range(2)])
    return m, np.stack([m - b[i] for i in best])


def by_knots(points=4_000):
    """(cash, consumption by income) between two rates for ever: endogenous knots in NumPy, two of them at zero."""
    b = np.concatenate([np.linspace(-0.5, 0, 900), np.linspace(0, 1, points) ** 2 * 30])
    rate = np.where(np.arange(b.size) < 900, 1.12, 1.02)
    m, c, change = np.tile(np.append(-0.5, b + 1), (2, 1)), np.tile(np.append(0, b + 1.5), (2, 1)), 1.0
    while change > 1e-10:
        after = np.stack([np.interp(rate * b + y, m[j], c[j]) ** -2 for j, y in enumerate(INCOME)])
        eaten = (0.93 * rate * (LAW @ after)) ** -0.5
        new = np.hstack([np.zeros((2, 1)), eaten])
        m, c, change = np.hstack([np.full((2, 1), -0.5), b + eaten]), new, np.abs(new - c).max()
    return m, c


@pytest.mark.slow
def test_between_two_rates_people_neither_borrow_nor_save():
    solved = sc.solve(sc.load(CASE))
    sol = solved[19]["CONS"].dcsn.sol
    low, high = 1 / np.sqrt(0.96 * 1.15), 1 / np.sqrt(0.96 * 1.02)
    m = jnp.linspace(low + 1e-7, high - 1e-7, 50)
    np.testing.assert_allclose(sol.policy["c"](m=m), m, atol=1e-12)
    beside = jnp.concatenate([jnp.linspace(0.3, low, 40), jnp.linspace(high, 6.0, 40)])
    rate = jnp.where(beside <= low, 1.15, 1.02)
    share = (0.96 * rate) ** -0.5
    np.testing.assert_allclose(sol.policy["c"](m=beside), (rate * beside + 1) * share / (1 + rate * share), atol=1e-6)
    panel = sc.simulate(solved, {"a": jnp.zeros(4_000)}, key=jax.random.key(0))
    a, cash = np.asarray(panel["a_nxt"]), np.asarray(panel["m"])
    np.testing.assert_array_equal(np.abs(a[19]) < 1e-9, (cash[19] > low) & (cash[19] < high))
    assert ((np.abs(a) < 1e-9).mean(axis=1) > 0.01).all()


@pytest.mark.parametrize("for_ever", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", [k if k == "rates" else pytest.param(k, marks=pytest.mark.slow) for k in ARRIVALS])
def test_policies_at_kinks_are_those_of_a_search_by_hand(kind, for_ever):
    arrival, arrive, place = ARRIVALS[kind]
    text = MODEL.format(horizon="horizon: infinite" if for_ever else "horizon: 4\n  terminal: 0", arrival=arrival, n=150)
    sol = sc.solve(sc.load(text))[0]["C"].dcsn.sol
    m, right = by_hand(arrive, 70 if for_ever else 4)
    at = jnp.linspace(-0.1, 4.0, 2_001)
    for i, income in enumerate(INCOME):
        found = np.asarray(sol.policy["c"](m=at, e=jnp.full(at.shape, income)))
        assert np.abs(found - np.interp(at, m, right[i])).max() < 8e-3
        # How wide the range of cash is that leaves nothing but the kink.
        wide = (np.abs(np.asarray(at) - found - place) < 1e-9).sum() * 4.1 / 2_000
        by_search = (np.abs(m - right[i] - place) < 1e-9).sum() * (m[1] - m[0])
        assert wide > 0.01 and wide == pytest.approx(by_search, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Rb", "Rs", "beta"])
def test_the_ends_of_the_flat_piece_move_as_central_differences_say(name):
    circuit = sc.load(MODEL.format(horizon="horizon: 3\n  terminal: 0", arrival=ARRIVALS["rates"][0], n=60))
    m, e = jnp.linspace(0.3, 2.0, 60), jnp.full(60, 0.6)
    chosen = lambda x: sc.solve(circuit.with_parameters({f"main.{name}": x}))[0]["C"].dcsn.sol.policy["c"](m=m, e=e)
    x = circuit.parameters["main"][name]
    slope = jax.jvp(chosen, (x,), (jnp.ones_like(x),))[1]
    np.testing.assert_allclose(slope, (chosen(x + 1e-6) - chosen(x - 1e-6)) / 2e-6, atol=1e-6)


@pytest.mark.slow
def test_for_ever_policies_are_exact_and_as_many_stand_at_a_kink_as_in_a_long_panel():
    solved = sc.solve(sc.load(MODEL.format(horizon="horizon: infinite", arrival=ARRIVALS["rates"][0], n=150)))
    at, (m, c) = np.linspace(-0.1, 4.0, 2_001), by_knots()
    for j, income in enumerate(INCOME):
        found = solved[0]["C"].dcsn.sol.policy["c"](m=at, e=np.full(at.shape, income))
        assert np.abs(found - np.interp(at, m[j], c[j])).max() < 2.5e-3
    dist = sc.stationary(solved)[0]["C"].cntn.dist
    begin = {"a": jnp.zeros(10_000), "e_pre": jnp.full(10_000, 0.6)}
    panel = np.asarray(sc.simulate(solved, begin, key=jax.random.key(0), periods=150)["b"])[75:]
    share = np.asarray(dist.weights)[np.abs(np.asarray(dist.states["b"])) < 1e-9].sum()
    assert share > 0.01 and share == pytest.approx((np.abs(panel) < 1e-9).mean(), abs=0.006)
