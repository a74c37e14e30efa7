"""Small circuits against value iteration in numpy: nature's draws, search for a job, lives in unequal parts."""

import sys
from pathlib import Path

import numpy as np
import pytest

import stagecraft as sc

sys.path.insert(0, str(Path(__file__).parent))

from referee import agree, between, fine, lognormal, search_all
from small import GRID, LOG, circuit, stage


@pytest.mark.slow
def test_nature_may_draw_by_the_state_and_illness_lasts():
    """The rich are ill less often; who is ill stays so. What saving does to the odds is part of its return."""
    luck = """  LUCK:
    kind: branching
    math:
      branches: {ill: {g_ve: a = a, Q: "V[>] - 0.2"}, well: {g_ve: a = a, Q: "V[>]"}}
      choice: {by: nature, probs: {ill: p/(1 + a), well: 1 - p/(1 + a)}}
      state_space: {arvl: {dimensions: [a]}, cntn.ill: {dimensions: [a]}, cntn.well: {dimensions: [a]}}
"""
    cons = lambda name, y: stage(
        name,
        f"g_av: m = R*a + {y}, g_ve: b = m - c, {LOG}",
        "c: 0 < c <= m",
        arvl="{dimensions: [a]}",
        dcsn="{dimensions: [m]}",
        cntn=f"{{grid: {{b: {GRID(low=0, high=20)}}}}}",
    )
    solved = sc.solve(
        circuit(
            luck, cons("WELL", 1.0), cons("SICK", 0.4),
            T=4, terminal="log(a + 0.5)", parameters="beta: 0.96, R: 1.02, p: 0.6",
            intra="{source: LUCK.ill, target: SICK}, {source: LUCK.well, target: WELL}",
            inter="{source: WELL, target: LUCK, mapping: {b: a}}, {source: SICK, target: SICK, mapping: {b: a}}",
        )
    )  # fmt: skip
    grid = fine(0, 25)
    m = np.array([0.3, 0.7, 1.2, 1.9, 3.3, 6.1])
    luck, sick = np.log(grid + 0.5), np.log(grid + 0.5)
    for t in (3, 2, 1, 0):
        at = lambda y, t=t: 1.02 * grid + y if t else m
        x, V, W = (at(1.0), between(grid, luck), between(grid, sick))
        well = search_all(lambda c, x=x, V=V: np.log(c) + 0.96 * V(x[:, None] - c), 0 * x, x)
        y = at(0.4)
        ill = search_all(lambda c, y=y, W=W: np.log(c) + 0.96 * W(y[:, None] - c), 0 * y, y)
        if t:
            p = 0.6 / (1 + grid)
            luck, sick = p * (ill[0] - 0.2) + (1 - p) * well[0], ill[0]
    for name, (value, choice) in (("WELL", well), ("SICK", ill)):
        sol = solved[0][name].dcsn.sol
        agree(sol.value(m=m), value, atol=1e-4)
        agree(sol.policy["c"](m=m), choice, atol=1e-2)
    arrival = solved[1]["LUCK"].arvl.sol
    a = np.array([0.2, 1.1, 3.0])
    agree(arrival.value(a=a), np.interp(a, grid, luck), atol=1e-4)
    slope = (np.interp(a + 0.05, grid, luck) - np.interp(a - 0.05, grid, luck)) / 0.1
    agree(arrival.marginal["a"](a=a), slope, atol=1e-2)


def test_a_searcher_takes_the_wages_above_the_reservation_wage():
    """McCall (1970), offers drawn each period from a chain; nothing continuous, so backward induction is exact."""
    text = """
model:
  name: McCall
  horizon: 5
  terminal: 0
  start: SRCH
  parameters: {beta: 0.95, b: 0.45, w_vals: [0.2, 0.5, 0.8, 1.1], Pi: [[0.4, 0.3, 0.2, 0.1], [0.2, 0.4, 0.3, 0.1], [0.1, 0.3, 0.4, 0.2], [0.1, 0.2, 0.3, 0.4]], lose: 0.1}
  defaults: {inherit: all}
  connections:
    intra_period: [{source: SRCH.accept, target: JOB}]
    inter_period: [{source: SRCH.reject, target: SRCH, mapping: {w: w_pre}}, {source: JOB.keep, target: JOB}, {source: JOB.lose, target: SRCH, mapping: {w: w_pre}}]
stages:
  SRCH:
    kind: branching
    math:
      functions: {g_av: w = w_new}
      shocks: {offer: {dimensions: [w_new], shock_method: markov, values: w_vals, transition_matrix: Pi, given: w_pre}}
      branches: {accept: {g_ve: w = w, Q: "V[>]"}, reject: {g_ve: w = w, Q: "b + beta*V[>]"}}
      choice: {by: agent}
      state_space:
        arvl: {grid: {w_pre: {values: w_vals}}, tabulate: true}
        dcsn: {dimensions: [w]}
        cntn.accept: {dimensions: [w]}
        cntn.reject: {dimensions: [w]}
  JOB:
    kind: branching
    math:
      branches: {keep: {g_ve: w = w, Q: "w + beta*V[>]"}, lose: {g_ve: w = w, Q: "w + beta*V[>]"}}
      choice: {by: nature, probs: {lose: lose, keep: 1 - lose}}
      state_space:
        arvl: {grid: {w: {values: w_vals}}, tabulate: true}
        cntn.keep: {dimensions: [w]}
        cntn.lose: {dimensions: [w]}
"""
    solved = sc.solve(sc.load(text))
    w = np.array([0.2, 0.5, 0.8, 1.1])
    Pi = np.array([[4, 3, 2, 1], [2, 4, 3, 1], [1, 3, 4, 2], [1, 2, 3, 4]]) / 10
    job, search = np.zeros(4), np.zeros(4)
    for t in (4, 3, 2, 1, 0):
        job, reject = w + 0.95 * (0.9 * job + 0.1 * search), 0.45 + 0.95 * search
        search = Pi @ np.maximum(job, reject)
        agree(solved[t]["SRCH"].arvl.sol.value(w_pre=w), search, atol=1e-12)
        agree(solved[t]["JOB"].arvl.sol.value(w=w), job, atol=1e-12)
        agree(solved[t]["SRCH"].dcsn.sol.probability["accept"](w=w), job >= reject, atol=1e-12)


@pytest.mark.slow
def test_life_in_unequal_parts():
    """Two periods of work, then three of retirement, on a pension that the connection between them sets."""
    work = stage(
        "WORK", f"g_av: m = R*a + y, g_ve: b = m - c, {LOG}", "c: 0 < c <= m", arvl="{dimensions: [a]}",
        dcsn="{dimensions: [m]}", cntn=f"{{grid: {{b: {GRID(low=0, high=20)}}}}}",
        more="      shocks: {luck: {dimensions: [y], shock_method: lognormal, mean: 1.0, std: 0.3, n_points: 3}}\n",
    )  # fmt: skip
    retired = stage(
        "RETD", f"g_av: m = R*a + p, g_ve: b = m - c, {LOG}", "c: 0 < c <= m",
        arvl="{dimensions: [a, p], grid: {p: {values: [0.2, 0.5]}}}",
        dcsn="{dimensions: [m, p], grid: {p: {values: [0.2, 0.5]}}}",
        cntn=f"{{dimensions: [b, p], grid: {{b: {GRID(low=0, high=20)}}}}}",
    )  # fmt: skip
    inter = (
        "{source: WORK, target: WORK, mapping: {b: a}, periods: 0..0}, "
        "{source: WORK, target: RETD, mapping: {b: a}, set: {p: 0.5}, periods: 1}, "
        "{source: RETD, target: RETD, mapping: {b: a}, periods: 2..}"
    )
    solved = sc.solve(circuit(work, retired, T=5, terminal="0", parameters="beta: 0.96, R: 1.02", inter=inter))
    y, w = lognormal(1.0, 0.3, 3)
    grid = fine(0, 25)
    after = np.zeros(grid.size)
    m = np.array([0.3, 0.8, 1.5, 2.7, 6.0])
    for t in (4, 3, 2, 1, 0):
        V = between(grid, after)
        solve = lambda x, V=V: search_all(lambda c: np.log(c) + 0.96 * V(x.reshape(-1, 1) - c), 0 * x, x)
        value, choice = solve(m)
        if t < 2:
            sol = solved[t]["WORK"].dcsn.sol
            agree(sol.value(m=m), value, atol=1e-4)
            agree(sol.policy["c"](m=m), choice, atol=1e-2)
            after = solve(1.02 * grid[:, None] + y)[0] @ w
        else:
            agree(solved[t]["RETD"].dcsn.sol.value(m=m, p=0.5), value, atol=1e-4)
            after = solve(1.02 * grid + 0.5)[0]
