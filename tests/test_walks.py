"""Two walks of a newcomer: models that are in no example, by what README and the pages show, held against NumPy."""

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest

import stagecraft as sc
from dynx_runner import MLE

matplotlib.use("Agg")
pytestmark = pytest.mark.slow

FISH = """
model:
  name: Fishery
  horizon: 6
  age: {start: 2020, step: 1}
  terminal: 0
  connections: {inter_period: [{source: CATCH, target: CATCH, mapping: {left: b}}]}
stage:
  name: CATCH
  parameters: {beta: 0.9, growth: 0.8, room: 2.0, effort: 0.3, good: 1.2, bad: 0.7}
  math:
    functions:
      g_av: x = b*exp(growth*(1 - b/room))*z      # what a stock becomes in a year (Ricker), good or bad
      g_ve: left = x - h
      Q: log(h) - effort*h/x + beta*V[>]
    controls: {h: 0 < h <= x}
    shocks: {sea: {dimensions: [z], shock_method: discrete, values: [bad, good], probs: [0.4, 0.6]}}
    state_space:
      arvl: {dimensions: [b]}
      dcsn: {dimensions: [x]}
      cntn: {grid: {left: {type: power, min: 0.0, max: 3.0, points: 150}}}
"""


def by_search(stock: np.ndarray, years: int) -> np.ndarray:
    """The catch in the first of some years, by the best of many shares of the stock; values are read linearly in logarithms."""
    grid, shares = np.geomspace(0.02, 6.0, 600), np.linspace(1e-3, 1.0, 4001)
    value = lambda x: np.log(x) - 0.3  # The last year: all is caught.
    for _ in range(years - 1):

        def total(x, value=value):
            left = x[:, None] * (1 - shares)
            ahead = np.full(left.shape, -np.inf)
            some = left > 0
            grown = left[some] * np.exp(0.8 * (1 - left[some] / 2.0))
            ahead[some] = 0.4 * value(0.7 * grown) + 0.6 * value(1.2 * grown)
            return np.log(x[:, None] * shares) - 0.3 * shares + 0.9 * ahead

        best = total(grid).max(axis=1)
        last, value = total, lambda x, best=best: np.interp(np.log(x), np.log(grid), best)
    return stock * shares[last(stock).argmax(axis=1)]


def test_a_fishery_is_written_solved_simulated_and_drawn():
    circuit = sc.load(FISH)
    told = sc.explain(circuit)
    assert "stage CATCH" in told and "because" in told
    solved = sc.solve(circuit)
    stock = np.array([0.4, 0.9, 1.5, 2.5])
    catch = np.asarray(solved[0]["CATCH"].dcsn.sol.policy["h"](x=stock))
    np.testing.assert_allclose(catch, by_search(stock, 6), rtol=4e-3)
    np.testing.assert_allclose(solved[5]["CATCH"].dcsn.sol.policy["h"](x=stock), stock, rtol=1e-6)

    panel = sc.simulate(solved, {"b": jnp.full(500, 0.8)}, key=jax.random.key(0))
    frame = panel.to_pandas()
    assert set(frame["age"]) == set(range(2020, 2026)) and (frame["h"] > 0).all()
    np.testing.assert_allclose(frame["left"], frame["x"] - frame["h"], atol=1e-12)
    assert panel.plot("h").get_xlabel() == "age" and solved.plot("CATCH.h", at={"x": 1.0}) is not None


SMOKE = """
model:
  name: Smoking
  horizon: 8
  terminal: 0
  connections: {inter_period: [{source: YEAR, target: YEAR, mapping: {s_nxt: s}}]}
stage:
  name: YEAR
  parameters: {beta: 0.9, joy: 1.0, harm: 0.25, craving: 0.6}
  math:
    functions:
      g_ve: s_nxt = min(max(s + 2*d - 1, 0), 4)     # the habit grows with every year of smoking, and fades
      Q: joy*d - harm*s - craving*s*(1 - d) + beta*V[>]
    controls: {d: {in: [0, 1]}}
    choice: {taste_shock: gumbel, scale: 1.0}
    state_space:
      arvl: {grid: {s: {values: [0, 1, 2, 3, 4]}}}
      cntn: {grid: {s_nxt: {values: [0, 1, 2, 3, 4]}}}
"""


def chances(craving: float) -> np.ndarray:
    """The probability to smoke by year and habit, backward in NumPy."""
    habit, value, found = np.arange(5), np.zeros(5), []
    for _ in range(8):
        quits = -0.25 * habit - craving * habit + 0.9 * value[np.maximum(habit - 1, 0)]
        smokes = 1.0 - 0.25 * habit + 0.9 * value[np.minimum(habit + 1, 4)]
        value = np.logaddexp(quits, smokes)
        found.append(1 / (1 + np.exp(quits - smokes)))
    return np.array(found[::-1])


def test_a_habit_is_written_solved_simulated_drawn_and_estimated():
    circuit = sc.load(SMOKE)
    solved = sc.solve(circuit)
    for t in (0, 4, 7):
        here = solved[t]["YEAR"].dcsn.sol.probability["d[1]"](s=np.arange(5.0))
        np.testing.assert_allclose(here, chances(0.6)[t], rtol=1e-9)
    assert solved[0]["YEAR"].plot(x={"s": np.arange(5.0)}) is not None

    frame = sc.simulate(solved, {"s": np.zeros(1_500)}, key=jax.random.key(3)).to_pandas()
    free = {"YEAR.craving": (0.0, 3.0), "YEAR.joy": (-2.0, 4.0)}
    estimate = MLE(circuit, free, frame, observe={"YEAR": ["s", "d"]}, transitions=False)
    seen = chances(0.6)[frame["period"], frame["s"].astype(int)]
    by_hand = np.log(np.where(frame["d"] == 1, seen, 1 - seen)).sum()
    np.testing.assert_allclose(estimate.loglik({}), by_hand, rtol=1e-9)
    fit = estimate.fit({"YEAR.craving": 0.3, "YEAR.joy": 0.5})
    assert fit.converged
    for name, truth in (("YEAR.craving", 0.6), ("YEAR.joy", 1.0)):
        assert abs(fit.parameters[name] - truth) < 3.5 * fit.se()[name] < 0.5
