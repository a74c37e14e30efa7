"""One stage against value iteration in numpy: kinks, a discrete control beside the continuous one, Markov states, passive states."""

import sys
from pathlib import Path

import numpy as np
import pytest

import stagecraft as sc

sys.path.insert(0, str(Path(__file__).parent))

from referee import agree, between, fine, lognormal, logsum, rouwenhorst, search_all
from small import GRID, LOG, circuit, stage


@pytest.mark.slow
def test_a_premium_on_borrowing_kinks_the_budget():
    """Rates differ for savers and borrowers; income is a Rouwenhorst chain."""
    borrower = stage(
        "S",
        f'g_av: m = a + z, g_ve: "a_nxt = where(m - c > 0, R_s, R_b)*(m - c)", {LOG}',
        "c: 0 < c <= m + b",
        arvl='{dimensions: ["a", "z_pre"], grid: {z_pre: {nodes_of: income}}}',
        dcsn='{dimensions: ["m", "z"], grid: {z: {nodes_of: income}}}',
        cntn=f'{{dimensions: ["a_nxt", "z"], grid: {{a_nxt: {GRID(low="-R_b*b", high=20)}}}}}',
        more="      shocks: {income: {dimensions: [z], shock_method: rouwenhorst, mean: 1.0, rho: 0.7, std: 0.2,"
        " n_points: 3, given: z_pre}}\n",
    )
    parameters = "beta: 0.94, R_s: 1.01, R_b: 1.15, b: 0.5"
    inter = "{source: S, target: S, mapping: {a_nxt: a, z: z_pre}}"
    solved = sc.solve(circuit(borrower, T=4, terminal="log(a + 2)", parameters=parameters, inter=inter))

    z, matrix = rouwenhorst(1.0, 0.7, 0.2, 3)
    grid = fine(-0.575, 25)
    kinked = lambda s: np.where(s > 0, 1.01, 1.15) * s
    m = np.array([-0.2, 0.3, 0.9, 1.0, 1.1, 1.4, 2.0, 3.3, 7.7])
    after = np.stack([np.log(grid + 2)] * 3)
    for t in (3, 2, 1, 0):
        cash = m[:, None] + 0 * z if t == 0 else grid[:, None] + z
        best, choice = np.empty(cash.shape), np.empty(cash.shape)
        for k in range(3):
            V = between(grid, after[k])
            x = cash[:, k]
            objective = lambda c, x=x, V=V: np.log(c) + 0.94 * V(kinked(x[:, None] - c))
            best[:, k], choice[:, k] = search_all(objective, 0 * x, x + 0.5)
        after = matrix @ best.T
    sol = solved[0]["S"].dcsn.sol
    agree(sol.value(m=m[:, None], z=z), best, atol=1e-4)
    agree(sol.policy["c"](m=m[:, None], z=z), choice, atol=1e-2)


@pytest.mark.slow
def test_a_floor_on_cash_makes_the_continuation_convex():
    """Whoever has little is given the floor; income is a Markov chain times a transitory shock."""
    poor = stage(
        "S",
        f'g_av: "m = max(R*a + z*e, floor)", g_ve: a_nxt = m - c, {LOG}',
        "c: 0 < c <= m",
        arvl='{dimensions: ["a", "z_pre"], grid: {z_pre: {values: z_vals}}}',
        dcsn='{dimensions: ["m", "z"], grid: {z: {values: z_vals}}}',
        cntn=f'{{dimensions: ["a_nxt", "z"], grid: {{a_nxt: {GRID(low=0, high=20)}}}}}',
        more="      shocks:\n"
        "        skill: {dimensions: [z], shock_method: markov, values: z_vals, transition_matrix: Pi, given: z_pre}\n"
        "        luck: {dimensions: [e], shock_method: lognormal, mean: 1.0, std: 0.3, n_points: 4}\n",
    )
    parameters = "beta: 0.95, R: 1.03, floor: 0.7, z_vals: [0.4, 1.3], Pi: [[0.8, 0.2], [0.1, 0.9]]"
    inter = "{source: S, target: S, mapping: {a_nxt: a, z: z_pre}}"
    solved = sc.solve(circuit(poor, T=4, terminal="log(a + 0.2)", parameters=parameters, inter=inter))

    z, matrix, (e, w) = np.array([0.4, 1.3]), np.array([[0.8, 0.2], [0.1, 0.9]]), lognormal(1.0, 0.3, 4)
    grid = fine(0, 25, 1_500)
    m = np.array([0.7, 0.8, 0.95, 1.1, 1.3, 1.5, 1.8, 2.2, 3.1, 5.0, 9.0])
    after = np.stack([np.log(grid + 0.2)] * 2)
    for t in (3, 2, 1, 0):
        cash = np.maximum(1.03 * grid[:, None, None] + z[:, None] * e, 0.7) if t else np.stack([m, m], 1)[..., None]
        found = []
        for k in range(2):
            x, V = cash[:, k], between(grid, after[k])
            objective = lambda c, x=x, V=V: np.log(c) + 0.95 * V(x.reshape(-1, 1) - c)
            found.append(search_all(objective, 0 * x, x))
        if t:
            after = matrix @ np.stack([best @ w for best, _ in found])
    sol = solved[0]["S"].dcsn.sol
    for k in range(2):
        best, choice = (x[:, 0] for x in found[k])
        agree(sol.value(m=m, z=z[k]), best, atol=1e-4)
        agree(sol.policy["c"](m=m, z=z[k]), choice, atol=1.5e-2)


@pytest.fixture(scope="module")
def workers():
    """Hours and consumption are chosen at once."""
    worker = stage(
        "S",
        'g_av: m = R*a + 0.3*e, g_ve: a_nxt = m + w*h - c, Q: "log(c) - phi*h + beta*V[>]"',
        "c: 0 < c <= m + w*h, h: {in: [0, 0.5, 1]}",
        arvl="{dimensions: [a]}",
        dcsn="{dimensions: [m]}",
        cntn=f"{{dimensions: [a_nxt], grid: {{a_nxt: {GRID(low=0, high=20)}}}}}",
        more="      choice: {by: agent, taste_shock: gumbel, scale: sigma}\n"
        "      shocks: {luck: {dimensions: [e], shock_method: lognormal, mean: 1.0, std: 0.2, n_points: 3}}\n",
    )
    parameters = "beta: 0.96, R: 1.02, phi: 0.7, w: 1.1, sigma: 0.0"
    return circuit(
        worker, T=4, terminal="log(a + 0.5)", parameters=parameters, inter="{source: S, target: S, mapping: {a_nxt: a}}"
    )


@pytest.mark.slow
@pytest.mark.parametrize("sigma", [0.0, 0.15])
def test_hours_and_consumption_are_chosen_together(workers, sigma):
    solved = sc.solve(workers.with_parameters({"main.sigma": sigma}))
    e, w = lognormal(1.0, 0.2, 3)
    grid, h = fine(0, 25), np.array([0, 0.5, 1])[:, None, None]
    m = np.array([0.05, 0.2, 0.5, 0.75, 1.0, 1.5, 2.2, 3.0, 4.1, 6.0, 9.5])
    after = np.log(grid + 0.5)
    for t in (3, 2, 1, 0):
        cash = 1.02 * grid[:, None] + 0.3 * e if t else m[:, None]
        V, x = between(grid, after), cash + 1.1 * h
        flat = x.reshape(-1, 1)
        best, choice = search_all(lambda c, V=V, flat=flat: np.log(c) + 0.96 * V(flat - c), 0 * x, x)
        value, p = logsum(best - 0.7 * h, sigma)
        after = value @ w if t else value
    sol, near = solved[0]["S"].dcsn.sol, np.sort(best - 0.7 * h, axis=0)
    near = (near[-1] - near[-2])[:, 0] < 2e-3
    agree(sol.value(m=m), value[:, 0], atol=1e-4)
    for k in range(3):
        agree(sol.probability[f"h[{k}]"](m=m), p[k, :, 0], atol=1e-3, near=near & (sigma == 0))
    pick = p.argmax(axis=0)[:, 0]
    agree(sol.policy["h"](m=m), h[pick, 0, 0], atol=0, near=near)
    agree(sol.policy["c"](m=m), choice[pick, np.arange(len(m)), 0], atol=2e-2, near=near)


@pytest.mark.slow
def test_two_passive_states_move_by_themselves():
    """Skill and a stock of durables, both off their knots; their paths are known, so the referee has one state."""
    owner = stage(
        "S",
        'g_av: m = R*a + h, g_ve: "a_nxt = m - c; h_nxt = 0.9*h + 0.1; k_nxt = 0.8*k", Q: "log(c) + 0.4*log(k + 0.1*h) + beta*V[>]"',
        "c: 0 < c <= m",
        arvl="{dimensions: [a, h, k]}",
        dcsn="{dimensions: [m, h, k], grid: {h: {type: linspace, min: 0.4, max: 2.0, points: 9}, k: {type: linspace, min: 0.1, max: 2.0, points: 11}}}",
        cntn=f"{{dimensions: [a_nxt, h_nxt, k_nxt], grid: {{a_nxt: {GRID(low=0, high=20)}}}}}",
    )
    inter = "{source: S, target: S, mapping: {a_nxt: a, h_nxt: h, k_nxt: k}}"
    solved = sc.solve(circuit(owner, T=3, terminal="log(a + h + 0.1*k)", parameters="beta: 0.96, R: 1.02", inter=inter))
    grid, path = fine(0, 25), [(0.87, 1.43)]
    for _ in range(3):
        path.append((0.9 * path[-1][0] + 0.1, 0.8 * path[-1][1]))
    m = np.array([0.2, 0.5, 1.1, 2.2, 5.0])
    after = np.log(grid + path[3][0] + 0.1 * path[3][1])
    for t in (2, 1, 0):
        h, k = path[t]
        x, V = 1.02 * grid + h if t else m, between(grid, after)
        after, choice = search_all(lambda c, x=x, V=V: np.log(c) + 0.96 * V(x[:, None] - c), 0 * x, x)
        after = after + 0.4 * np.log(k + 0.1 * h)
    sol = solved[0]["S"].dcsn.sol
    agree(sol.value(m=m, h=0.87, k=1.43), after, atol=5e-4)
    agree(sol.policy["c"](m=m, h=0.87, k=1.43), choice, atol=1e-2)
