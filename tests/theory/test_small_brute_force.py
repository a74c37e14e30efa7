"""Small models against value iteration in numpy: kinks, discrete controls, Markov states, nature, unequal periods."""

import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import stagecraft as sc

sys.path.insert(0, str(Path(__file__).parent))

from referee import agree, between, fine, logsum, lognormal, rouwenhorst, search_all  # noqa: E402

FRAME = """
model:
  name: Small
  horizon: {T}
  terminal: {terminal}
  parameters: {{{parameters}}}
  settings: {{n: 250}}
  defaults: {{inherit: all}}
  connections:
    intra_period: [{intra}]
    inter_period: [{inter}]
stages:
{stages}
"""


def stage(name, functions, controls="", *, arvl, dcsn="", cntn, more=""):
    """The text of one stage."""
    spaces = f"arvl: {arvl}, " + (f"dcsn: {dcsn}, " if dcsn else "") + f"cntn: {cntn}"
    chosen = f"      controls: {{{controls}}}\n" if controls else ""
    return f"  {name}:\n    math:\n      functions: {{{functions}}}\n{chosen}{more}      state_space: {{{spaces}}}\n"


def circuit(*stages, T, terminal, parameters, inter, intra=""):
    """A circuit of a few stages."""
    return sc.load(
        FRAME.format(T=T, terminal=terminal, parameters=parameters, inter=inter, intra=intra, stages="".join(stages))
    )


GRID = "{{type: power, min: {low}, max: {high}, points: n}}".format
LOG = 'Q: "log(c) + beta*V[>]"'


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


def test_life_in_unequal_parts():
    """Two periods of work, then retirement on a pension that the last connection sets, more of it where t is larger."""
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
    solved = sc.solve(
        circuit(work, retired, T=5, terminal="0", parameters="beta: 0.96, R: 1.02", inter=inter)
    )
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


def test_a_constraint_on_a_passive_state_limits_the_loans_before_it():
    """Who owes more than the cap has no choice left, so loans that lead there are not taken, now or later."""
    loan = stage(
        "LOAN", 'g_av: m = R*a + 0.6, g_ve: "x = m + d; b = b + d", Q: "V[>]"', "d: {in: [0, 0.4, 0.8]}",
        arvl="{dimensions: [a, b]}", dcsn="{dimensions: [m, b]}", cntn="{dimensions: [x, b]}",
    )  # fmt: skip
    cons = stage(
        "CONS",
        'g_ve: "a_nxt = x - c; b_nxt = 1.05*b", Q: "log(c) + beta*V[>]"',
        "c: 0 < c <= x",
        more="      constraints: {sound: b <= cap}\n",
        arvl="{dimensions: [x, b]}",
        dcsn="{dimensions: [x, b], grid: {b: {type: linspace, min: 0, max: 2.4, points: 25}}}",
        cntn=f"{{dimensions: [a_nxt, b_nxt], grid: {{a_nxt: {GRID(low=0, high=20)}}}}}",
    )
    inter = "{source: CONS, target: LOAN, mapping: {a_nxt: a, b_nxt: b}}"
    solved = sc.solve(
        circuit(
            loan, cons, T=3, terminal="log(a + 3 - b)", parameters="beta: 0.96, R: 1.02, cap: 1.5",
            intra="{source: LOAN, target: CONS}", inter=inter,
        )
    )  # fmt: skip
    grid, loans = fine(0, 25, 700), (0.0, 0.4, 0.8)

    def arrive(t, a, b):
        """Value, best loan and what each is worth, on arrival with assets a and debt b."""
        if t == 3:
            return np.log(a + 3 - b), None, None
        values = np.stack([consume(t, 1.02 * a + 0.6 + d, b + d)[0] for d in loans])
        return values.max(axis=0), values.argmax(axis=0), np.sort(values, axis=0)

    def consume(t, x, b):
        if b > 1.5 + 1e-9:
            return np.full(x.shape, -np.inf), np.full(x.shape, np.nan)
        V = between(grid, arrive(t + 1, grid, 1.05 * b)[0])
        return search_all(lambda c: np.log(c) + 0.96 * V(x[:, None] - c), 0 * x, x)

    a = np.array([0.1, 0.4, 0.9, 2.0, 5.0])
    stages = solved[0]
    for b in (0.0, 0.82, 1.21):
        value, pick, ranked = arrive(0, a, b)
        # Whether a loan is possible later changes between rows of debt, a kink that the rows round.
        agree(stages["LOAN"].arvl.sol.value(a=a, b=b), value, atol=5e-4)
        near = ranked[-1] - ranked[-2] < 2e-3
        agree(stages["LOAN"].dcsn.sol.policy["d"](m=1.02 * a + 0.6, b=b), np.array(loans)[pick], atol=0, near=near)
        x = np.array([0.5, 0.9, 1.4])
        agree(stages["CONS"].dcsn.sol.policy["c"](x=x, b=b), consume(0, x, b)[1], atol=2e-2)
    # 1.05*1.44 is above the cap: there is no way to be sound next period, whatever is borrowed now.
    sol, states = stages["LOAN"].arvl.sol, dict(zip("ab", jnp.meshgrid(a, jnp.array([1.42, 1.44, 1.6])), strict=True))
    answer = sol.at(states)
    np.testing.assert_array_equal(answer.feasible, states["b"] * 1.05 <= 1.5 * (states["b"] < 1.43))
    assert np.isfinite(answer.value).all()
