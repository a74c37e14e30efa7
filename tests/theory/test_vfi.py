"""A direct search is a one-word switch: the same answers as EGM where both apply, and those of brute force where it alone does."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import heptapod
import stagecraft as sc

sys.path.insert(0, str(Path(__file__).parent))

from referee import agree, between, fine, lognormal, search_all
from small import GRID, circuit, stage

EXAMPLES = Path(__file__).parents[2] / "examples"
SELF = "{source: S, target: S, mapping: {a_nxt: a}}"
LUCK = "      shocks: {luck: {dimensions: [e], shock_method: lognormal, mean: 1.0, std: 0.3, n_points: 4}}\n"


def searched(text, name="S"):
    """The text of a stage with the one word that makes it a direct search."""
    head, mark, rest = text.partition(f"  {name}:\n")
    return f"{head}{mark}    methods: {{solution: vfi}}\n{rest}"


@pytest.fixture(scope="module")
def buffer_stock():
    text = (EXAMPLES / "cons_indshock/cons_indshock.yml").read_text()
    text = text.replace("horizon: 65", "horizon: 12").replace("n_a: 200", "n_a: 100")
    direct = text.replace("  settings: {n_a", "  methods: {solution: vfi}\n  settings: {n_a")
    return sc.load(text), sc.load(direct)


@pytest.mark.slow
def test_the_buffer_stock_is_that_of_egm(buffer_stock):
    egm, vfi = (sc.solve(c) for c in buffer_stock)
    m = jnp.linspace(0.3, 40, 60)
    for t in (0, 6, 11):
        one, two = egm[t]["CONS"].dcsn.sol, vfi[t]["CONS"].dcsn.sol
        np.testing.assert_allclose(two.value(m=m), one.value(m=m), rtol=3e-5)
        np.testing.assert_allclose(two.policy["c"](m=m), one.policy["c"](m=m), rtol=3e-3)
        np.testing.assert_allclose(two.marginal["m"](m=m), one.marginal["m"](m=m), rtol=2e-3)
    a = jnp.linspace(0.0, 30, 20)
    one, two = egm[0]["CONS"].arvl.sol, vfi[0]["CONS"].arvl.sol
    np.testing.assert_allclose(two.value(a=a), one.value(a=a), rtol=3e-5)


@pytest.mark.slow
def test_agents_live_the_same_lives(buffer_stock):
    egm, vfi = (sc.solve(c) for c in buffer_stock)
    panels = [sc.simulate(s, {"a": jnp.linspace(0, 5, 50)}, key=jax.random.key(0)) for s in (egm, vfi)]
    one, two = (np.asarray(p.data["CONS"]["c"]) for p in panels)
    np.testing.assert_allclose(two, one, rtol=5e-3)
    errors = sc.euler_errors(vfi, panels[1])
    assert errors.mean < -3.0 and errors.max < -1.5


NAMES = ("beta", "gamma", "R", "sigma_y", "theta", "a_0")


@pytest.fixture(scope="module")
def probe(buffer_stock):
    """A value and a policy as functions of six parameters."""
    base = buffer_stock[1]

    def probe(x):
        given = {f"CONS.{name}": value for name, value in zip(NAMES, x, strict=True)}
        sol = sc.solve(base.with_parameters(given), throw=False)[3]["CONS"].dcsn.sol
        return jnp.stack([sol.value(m=2.0), sol.policy["c"](m=5.0)])

    return jax.jit(probe), jnp.stack([base.parameters["CONS"][name] for name in NAMES])


@pytest.mark.slow
def test_gradients_are_central_differences(probe):
    at, start = probe
    forward, reverse = jax.jit(jax.jacfwd(at))(start), jax.jit(jax.jacrev(at))(start)
    np.testing.assert_allclose(reverse, forward, rtol=1e-8)
    for i, h in enumerate(1e-5 * np.maximum(start, 0.1)):
        step = h * jnp.eye(len(NAMES))[i]
        value, policy = (at(start + step) - at(start - step)) / (2 * h)
        np.testing.assert_allclose(forward[0, i], value, rtol=1e-5)
        np.testing.assert_allclose(forward[1, i], policy, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("sigma", [0.0, 0.05])
def test_a_worker_who_may_retire_is_that_of_egm(sigma):
    text = (EXAMPLES / "ret_choice/ret_choice.yml").read_text()
    text = text.replace("horizon: 20", "horizon: 6").replace("n: 500, a_max: 500.0", "n: 200, a_max: 200.0")
    text = text.replace("sigma_eps: {value: 0.05", f"sigma_eps: {{value: {sigma}")
    work = '    settings: {n: ["n"], a_max: ["a_max"]}\n'
    egm, vfi = (sc.solve(sc.load(x)) for x in (text, text.replace(work, work + "    methods: {solution: vfi}\n", 1)))
    m = jnp.linspace(15.0, 120.0, 150)
    for t in (0, 3):
        one, two = egm[t]["WORK"].dcsn.sol, vfi[t]["WORK"].dcsn.sol
        np.testing.assert_allclose(two.value(m=m), one.value(m=m), atol=5e-4)
        gap = np.abs(np.asarray(two.policy["c"](m=m) - one.policy["c"](m=m)))
        assert np.quantile(gap, 0.9) < 0.05  # Policies jump, here and there not at the same point.


POOR = stage(
    "S",
    'g_av: "m = max(R*a + z*e, floor); z = z", g_ve: a_nxt = m - c, Q: "log(c) + beta*V[>]"',
    "c: 0 < c <= m",
    arvl="{dimensions: [a, z_pre]}",
    dcsn="{dimensions: [m, z]}",
    cntn=f'{{dimensions: ["a_nxt", "z"], grid: {{a_nxt: {GRID(low=0, high=20)}}}}}',
    more="      shocks:\n"
    "        skill: {dimensions: [z], shock_method: markov, values: z_vals, transition_matrix: Pi, given: z_pre}\n"
    "        luck: {dimensions: [e], shock_method: lognormal, mean: 1.0, std: 0.3, n_points: 4}\n",
)


@pytest.mark.slow
def test_a_markov_state_has_its_row():
    parameters = "beta: 0.95, R: 1.03, floor: 0.7, z_vals: [0.4, 1.3], Pi: [[0.8, 0.2], [0.1, 0.9]]"
    inter = "{source: S, target: S, mapping: {a_nxt: a, z: z_pre}}"
    both = (circuit(s, T=4, terminal="log(a + 0.2)", parameters=parameters, inter=inter) for s in (POOR, searched(POOR)))
    egm, vfi = (sc.solve(c) for c in both)
    m, z = jnp.linspace(0.75, 9.0, 30)[:, None], jnp.array([0.4, 1.3])
    one, two = egm[0]["S"].dcsn.sol, vfi[0]["S"].dcsn.sol
    np.testing.assert_allclose(two.value(m=m, z=z), one.value(m=m, z=z), atol=5e-5)
    np.testing.assert_allclose(two.policy["c"](m=m, z=z), one.policy["c"](m=m, z=z), atol=1.5e-2)  # Jumps at the floor.


@pytest.mark.slow
def test_hours_from_a_set_stand_beside_consumption():
    worker = stage(
        "S",
        'g_av: m = R*a + 0.3*e, g_ve: a_nxt = m + w*h - c, Q: "log(c) - phi*h + beta*V[>]"',
        "c: 0 < c <= m + w*h, h: {in: [0, 0.5, 1]}",
        arvl="{dimensions: [a]}",
        dcsn="{dimensions: [m]}",
        cntn=f"{{dimensions: [a_nxt], grid: {{a_nxt: {GRID(low=0, high=20)}}}}}",
        more="      choice: {by: agent, taste_shock: gumbel, scale: sigma}\n" + LUCK,
    )
    parameters = "beta: 0.96, R: 1.02, phi: 0.7, w: 1.1, sigma: 0.1"
    both = (circuit(s, T=4, terminal="log(a + 0.5)", parameters=parameters, inter=SELF) for s in (worker, searched(worker)))
    egm, vfi = (sc.solve(c) for c in both)
    m = jnp.linspace(0.1, 9.0, 40)
    one, two = egm[0]["S"].dcsn.sol, vfi[0]["S"].dcsn.sol
    np.testing.assert_allclose(two.value(m=m), one.value(m=m), atol=5e-5)
    for k in range(3):
        np.testing.assert_allclose(two.probability[f"h[{k}]"](m=m), one.probability[f"h[{k}]"](m=m), atol=5e-4)
    lived = sc.simulate(vfi, {"a": 1.0}, agents=50, key=jax.random.key(1))
    assert np.isfinite(np.asarray(lived.data["S"]["c"])).all()


@pytest.mark.slow
def test_growth_with_full_depreciation_has_its_closed_form():
    alpha, beta, T = 0.36, 0.95, 8
    growth = searched(stage("S", 'g_av: y = z*k^alpha, g_ve: k_nxt = y - c, Q: "log(c) + beta*V[>]"', "c: 0 < c <= y",
                            arvl="{dimensions: [k]}", dcsn="{dimensions: [y]}",
                            cntn=f"{{grid: {{k_nxt: {GRID(low=0.0, high=1.0)}}}}}",
                            more=LUCK.replace("[e]", "[z]").replace("0.3", "0.1")))  # fmt: skip
    inter = "{source: S, target: S, mapping: {k_nxt: k}}"
    solved = sc.solve(circuit(growth, T=T, terminal="0", parameters="alpha: 0.36, beta: 0.95", inter=inter))
    y = jnp.linspace(0.05, 0.9, 40)
    for t in (0, 4, 7):
        left = (alpha * beta) ** (T - t)
        np.testing.assert_allclose(solved[t]["S"].dcsn.sol.policy["c"](y=y), (1 - alpha * beta) / (1 - left) * y, rtol=2e-3)


EZ = stage(
    "S",
    "g_av: m = R*a + e, g_ve: a_nxt = m - c, "
    'A: "E[V^(1-gamma)]^(1/(1-gamma))", '
    'Q: "((1-beta)*c^(1-1/psi) + beta*V[>]^(1-1/psi))^(1/(1-1/psi))"',
    "c: 0 < c <= m",
    arvl="{dimensions: [a]}", dcsn="{dimensions: [m]}", cntn=f"{{grid: {{a_nxt: {GRID(low=0, high=15)}}}}}", more=LUCK,
)  # fmt: skip
EZ_NUMBERS = "beta: 0.95, R: 1.03, gamma: {gamma}, psi: {psi}".format


@pytest.mark.parametrize(("gamma", "psi"), [pytest.param(5.0, 1.5, marks=pytest.mark.slow), (4.0, 0.5)])
def test_recursive_preferences_against_brute_force(gamma, psi):
    ez = circuit(EZ, T=3, terminal="a + 0.5", parameters=EZ_NUMBERS(gamma=gamma, psi=psi), inter=SELF)
    assert ez[0]["S"].num.method == "vfi"
    solved = sc.solve(ez)
    e, w = lognormal(1.0, 0.3, 4)
    grid, m, r = fine(0, 20, 1_500), np.array([0.4, 0.8, 1.2, 1.7, 2.5, 4.0, 6.5, 9.0]), 1 - 1 / psi
    after = grid + 0.5
    for t in (2, 1, 0):
        cash = 1.03 * grid[:, None] + e if t else m[:, None]
        V, flat = between(grid, after), cash.reshape(-1, 1)
        worth = lambda c, V=V, flat=flat: (0.05 * c**r + 0.95 * np.maximum(V(flat - c), 0) ** r) ** (1 / r)
        best, choice = search_all(worth, 0 * cash, cash)
        after = (best ** (1 - gamma) @ w) ** (1 / (1 - gamma)) if t else best
    sol = solved[0]["S"].dcsn.sol
    agree(sol.value(m=m), best[:, 0], atol=2e-5)
    agree(sol.policy["c"](m=m), choice[:, 0], atol=5e-3)


@pytest.mark.slow
def test_recursive_preferences_of_one_number_are_crra():
    ez = circuit(EZ, T=6, terminal="a + 0.5", parameters=EZ_NUMBERS(gamma=3.0, psi=1 / 3), inter=SELF)
    plain = stage("S", 'g_av: m = R*a + e, g_ve: a_nxt = m - c, Q: "c^(1-gamma)/(1-gamma) + beta*V[>]"', "c: 0 < c <= m",
                  arvl="{dimensions: [a]}", dcsn="{dimensions: [m]}", cntn=f"{{grid: {{a_nxt: {GRID(low=0, high=15)}}}}}",
                  more=LUCK)  # fmt: skip
    crra = circuit(plain, T=6, terminal="(a + 0.5)^(1-gamma)/((1-gamma)*(1-beta))", parameters="beta: 0.95, R: 1.03, gamma: 3.0",
                   inter=SELF)  # fmt: skip
    one, two = (sc.solve(c)[0]["S"].dcsn.sol for c in (crra, ez))
    m = jnp.linspace(0.4, 9.0, 40)
    np.testing.assert_allclose(two.policy["c"](m=m), one.policy["c"](m=m), rtol=2e-3)
    value = ((1 - 3.0) * (1 - 0.95) * one.value(m=m)) ** (1 / (1 - 3.0))
    np.testing.assert_allclose(two.value(m=m), value, rtol=2e-5)


PORTFOLIO = searched(stage(
    "S", 'g_av: m = a*(1.02 + s_pre*(x - 1.02)) + 0.5, g_ve: a_nxt = m - c, Q: "c^(1-gamma)/(1-gamma) + beta*V[>]"',
    "c: 0 < c <= m, s: 0 <= s <= 1",
    arvl="{dimensions: [a, s_pre]}", dcsn="{dimensions: [m]}",
    cntn='{dimensions: [a_nxt, s], grid: {a_nxt: {type: power, min: 0.0, max: 12, points: 80}, s: {min: 0, max: 1, points: 15}}}',
    more="      shocks: {stock: {dimensions: [x], shock_method: lognormal, mean: 1.06, std: 0.3, n_points: 5}}\n",
))  # fmt: skip


@pytest.mark.slow
def test_consumption_and_a_share_against_brute_force():
    inter = "{source: S, target: S, mapping: {a_nxt: a, s: s_pre}}"
    text = circuit(PORTFOLIO, T=2, terminal="(a + 0.5)^(1-gamma)/(1-gamma)", parameters="beta: 0.95, gamma: 3.0", inter=inter)
    sol = sc.solve(text)[0]["S"].dcsn.sol
    u = lambda c: c ** (1 - 3.0) / (1 - 3.0)
    x, w = lognormal(1.06, 0.3, 5)
    grid, m = fine(0.4, 30, 1_500), np.array([0.6, 1.0, 1.6, 2.5, 4.0, 7.0])
    last = search_all(lambda c: u(c) + 0.95 * np.where(grid[:, None] >= c, u(np.maximum(grid[:, None] - c, 0) + 0.5), -np.inf),
                      0 * grid, grid)[0]  # fmt: skip
    V = between(grid, last)
    best, share, spent = np.full(len(m), -np.inf), np.zeros(len(m)), np.zeros(len(m))
    for s in np.linspace(0, 1, 101):
        worth = lambda c, s=s: u(c) + 0.95 * sum(
            p * V(np.maximum(m[:, None] - c, 0) * (1.02 + s * (k - 1.02)) + 0.5) for k, p in zip(x, w, strict=True))  # fmt: skip
        value, choice = search_all(worth, 0 * m, m)
        better = value > best
        best, share, spent = np.where(better, value, best), np.where(better, s, share), np.where(better, choice, spent)
    agree(sol.value(m=m), best, atol=2e-4)
    agree(sol.policy["c"](m=m), spent, atol=1e-2)
    saver = m - spent > 0.05
    agree(np.asarray(sol.policy["s"](m=m))[saver], share[saver], atol=3e-2)


@pytest.mark.slow
def test_consumption_and_hours_against_their_conditions():
    # log c + phi log(1 - l): c = w (1 - l)/phi inside; and the Euler equation from the closed terminal value.
    worker = searched(stage("S", 'g_av: m = 1.02*a, g_ve: a_nxt = m + w*l - c, Q: "log(c) + phi*log(1 - l) + beta*V[>]"',
                   "c: 0 < c <= m + w, l: 0 <= l < 1", arvl="{dimensions: [a]}", dcsn="{dimensions: [m]}",
                   cntn=f"{{grid: {{a_nxt: {GRID(low=0, high=15)}}}}}",
                   more='      constraints: {afford: "a_nxt >= 0"}\n'))  # fmt: skip
    small = circuit(worker, T=1, terminal="log(a)", parameters="beta: 0.95, w: 1.2, phi: 0.6", inter=SELF)
    assert small[0]["S"].num.method == "vfi"
    sol = sc.solve(small)[0]["S"].dcsn.sol
    m = np.array([0.1, 0.4, 0.9, 1.5, 2.2])
    # c = (m + w l)/(1 + beta), w/c = phi/(1 - l); idle where wealth is high.
    l = np.clip((1.2 - 0.6 * m / 1.95) / (1.2 + 0.6 * 1.2 / 1.95), 0, 1)
    np.testing.assert_allclose(sol.policy["l"](m=m), l, atol=2e-3)
    np.testing.assert_allclose(sol.policy["c"](m=m), (m + 1.2 * l) / 1.95, atol=2e-3)


@pytest.mark.slow
def test_three_states_against_brute_force():
    habit = stage(
        "S", 'g_av: "m = R*a + z; h = h; z = z", g_ve: "a_nxt = m - c; h = 0.8*h[~] + 0.2*c; z = z", '
        'Q: "log(c) - kappa*(c - h[~])^2 + beta*V[>]"', "c: 0 < c <= m",
        arvl="{dimensions: [a, h, z_pre]}",
        dcsn="{dimensions: [m, h, z], grid: {h: {min: 0, max: 3, points: 25}}}",
        cntn="{dimensions: [a_nxt, h, z], grid: {a_nxt: {type: power, min: 0, max: 12, points: 80}, h: {min: 0, max: 3, points: 25}}}",
        more="      shocks: {skill: {dimensions: [z], shock_method: markov, values: [0.5, 1.2], "
        "transition_matrix: [[0.8, 0.2], [0.3, 0.7]], given: z_pre}}\n",
    )  # fmt: skip
    inter = "{source: S, target: S, mapping: {a_nxt: a, h: h, z: z_pre}}"
    model = circuit(habit, T=2, terminal="log(a + 0.5) + 0.1*h", parameters="beta: 0.95, R: 1.03, kappa: 0.2", inter=inter)
    assert model[0]["S"].num.method == "vfi"
    sol = sc.solve(model)[0]["S"].dcsn.sol
    z, Pi = np.array([0.5, 1.2]), np.array([[0.8, 0.2], [0.3, 0.7]])
    reward = lambda c, h: np.log(c) - 0.2 * (c - h) ** 2
    end = lambda a, h: np.where(a >= 0, np.log(np.maximum(a, 0) + 0.5) + 0.1 * h, -np.inf)

    def last(m, h):
        m, h = (x.reshape(-1, 1) for x in np.broadcast_arrays(m, h))
        worth = lambda c: reward(c, h) + 0.95 * end(m - c, 0.8 * h + 0.2 * c)
        return search_all(worth, 0 * m[:, 0], m[:, 0], looks=40, zooms=5, starts=1)[0]

    m, h = np.array([0.8, 1.4, 2.2, 3.5, 6.0]), np.array([0.3, 0.9, 1.7, 2.4, 1.1])
    for k in range(2):

        def worth(c, k=k):
            a, habit = np.maximum(m[:, None] - c, 0.0), 0.8 * h[:, None] + 0.2 * c
            after = sum(Pi[k, j] * last(1.03 * a + z[j], habit).reshape(c.shape) for j in range(2))
            return reward(c, h[:, None]) + 0.95 * after

        best, choice = search_all(worth, 0 * m, m, looks=40, zooms=5, starts=1)
        agree(sol.value(m=m, h=h, z=z[k]), best, atol=5e-4)
        agree(sol.policy["c"](m=m, h=h, z=z[k]), choice, atol=1e-2)
        up, down = (sol.value(m=m, h=h + d, z=z[k]) for d in (1e-4, -1e-4))
        agree(sol.marginal["h"](m=m, h=h, z=z[k]), (up - down) / 2e-4, atol=1e-4)


@pytest.mark.slow
def test_a_constraint_that_moves_with_the_choice_is_obeyed():
    thrift = stage("S", 'g_av: m = R*a + 1, g_ve: a_nxt = m - c, Q: "log(c) + beta*V[>]"', "c: 0 < c <= m",
                   arvl="{dimensions: [a]}", dcsn="{dimensions: [m]}", cntn=f"{{grid: {{a_nxt: {GRID(low=0, high=15)}}}}}",
                   more='      constraints: {thrift: "c <= 0.5*m"}\n')  # fmt: skip
    model = circuit(thrift, T=3, terminal="log(a + 0.1)", parameters="beta: 0.5, R: 1.0", inter=SELF)
    assert model[0]["S"].num.method == "vfi"
    sol, m = sc.solve(model)[0]["S"].dcsn.sol, jnp.linspace(1.0, 9.0, 30)
    np.testing.assert_allclose(sol.policy["c"](m=m), 0.5 * m, rtol=1e-6)


@pytest.mark.parametrize(
    ("spaces", "words"),
    [
        ("cntn: {dimensions: [a_nxt, x], grid: {a_nxt: {min: 0, max: 9, points: n}}}", ("post-state `x` has no grid", "cntn")),
        ("dcsn: {dimensions: [m, k]}, cntn: {grid: {a_nxt: {min: 0, max: 9, points: n}}}", ("state `k` has no grid", "dcsn")),
    ],
)
def test_a_grid_that_is_missing_is_said(spaces, words):
    name = "x" if " x]" in spaces else "k"
    move = (
        'g_av: "m = R*a + 1; k = a + 1", g_ve: "a_nxt = m - c"'
        if name == "k"
        else 'g_av: m = R*a + 1, g_ve: "a_nxt = m - c; x = 0.3*c"'
    )
    text = f"""
model:
  horizon: 3
  terminal: log(a + 1)
  parameters: {{beta: 0.9, R: 1.0}}
  settings: {{n: 20}}
  defaults: {{inherit: all}}
  connections: {{inter_period: [{{source: S, target: S, mapping: {{a_nxt: a}}}}]}}
stages:
  S:
    methods: {{solution: vfi}}
    math:
      functions: {{{move}, Q: "log(c) + beta*V[>]"}}
      controls: {{c: 0 < c <= m}}
      state_space: {{arvl: {{dimensions: [a]}}, {"dcsn: {dimensions: [m]}, " if name == "x" else ""}{spaces}}}
"""
    with pytest.raises(heptapod.ModelError) as caught:
        heptapod.load(text)
    assert caught.value.code == "grid" and words[0] in str(caught.value) and words[1] in str(caught.value)
