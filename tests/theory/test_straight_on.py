"""Stages that lead straight on to the next period: no stage between stores a value, so that arrivals do, on grids they find."""

import jax
import numpy as np
import pytest

import heptapod
import stagecraft as sc
from stagecraft.backward import fixed_point

HORIZONS = {"finite": ("7\n  terminal: 0", 7), "for ever": ("infinite", 4000)}

TREE = """
dialect: 1
model:
  name: Tree
  horizon: {horizon}
  parameters: {{beta: 0.95, gamma: 3.0, rho: 0.9, sigma: 0.05}}
  settings: {{n: {n}}}
  defaults: {{inherit: all}}
  connections: {{inter_period: [{{source: C, target: C, mapping: {{z: zp}}}}]}}
stage:
  name: C
  math:
    functions: {{Q: "z^(1 - gamma) + beta*V[>]"}}
    shocks: {{div: {{dimensions: ["z"], shock_method: rouwenhorst, log: true, rho: rho, std: sigma, n_points: n, given: zp}}}}
    state_space:
      arvl: {{dimensions: ["zp"]{grid}}}
      dcsn: {{dimensions: ["z"]}}
"""

# A firm that is in the market or out of it, and pays for every step between the two.
ENTRY = """
dialect: 1
model:
  name: Entry
  horizon: {horizon}
  start: [OUT, IN]
  parameters: {{beta: 0.9, cost: 1.1, enter: 2.0, scrap: 0.5, rho: 0.8, sigma: 0.3, s: 0.2}}
  defaults: {{inherit: all}}
  connections:
    inter_period:
      - {{source: OUT.enter, target: IN, mapping: {{z: z_pre}}}}
      - {{source: OUT.wait, target: OUT, mapping: {{z: z_pre}}}}
      - {{source: IN.stay, target: IN, mapping: {{z: z_pre}}}}
      - {{source: IN.leave, target: OUT, mapping: {{z: z_pre}}}}
stages:
  OUT:
    kind: branching
    math:
      shocks: {{d: {{dimensions: ["z"], shock_method: rouwenhorst, log: true, rho: rho, std: sigma, n_points: 5, given: z_pre}}}}
      branches: {{enter: {{Q: "beta*V[>] - enter"}}, wait: {{Q: "beta*V[>]"}}}}
      choice: {choice}
      state_space: {{arvl: {{dimensions: ["z_pre"]}}, dcsn: {{dimensions: ["z"]}}}}
  IN:
    kind: branching
    math:
      shocks: {{d: {{dimensions: ["z"], shock_method: rouwenhorst, log: true, rho: rho, std: sigma, n_points: 5, given: z_pre}}}}
      branches: {{stay: {{Q: "z - cost + beta*V[>]"}}, leave: {{Q: "z - cost + scrap + beta*V[>]"}}}}
      choice: {choice}
      state_space: {{arvl: {{dimensions: ["z_pre"]}}, dcsn: {{dimensions: ["z"]}}}}
"""

# A firm whose investment costs a share of its capital, whatever it is; its grid is that of the capital that it leaves.
FIRM = """
dialect: 1
model:
  name: Firm
  horizon: {horizon}
  defaults: {{inherit: all}}
  parameters: {{beta: 0.9, alpha: 0.5, delta: 0.1, phi: 2.0, F: 0.03, zv: [0.8, 1.2], Pz: [[0.8, 0.2], [0.3, 0.7]]}}
  connections:
    intra_period: [{{source: FIRM.adjust, target: INVEST}}]
    inter_period:
      - {{source: FIRM.wait, target: FIRM, mapping: {{k_nxt: k, z: z_pre}}}}
      - {{source: INVEST, target: FIRM, mapping: {{k_nxt: k, z: z_pre}}}}
stages:
  FIRM:
    kind: branching
    math:
      shocks: {{prod: {{dimensions: ["z"], shock_method: markov, values: zv, transition_matrix: Pz, given: z_pre}}}}
      branches:
        adjust: {{Q: "V[>] - F*k"}}
        wait: {{g_ve: k_nxt = (1 - delta)*k, Q: "z*k^alpha + beta*V[>]"}}
      choice: {{by: agent}}
      state_space:
        arvl: {{dimensions: ["k", "z_pre"]}}
        dcsn: {{dimensions: ["k", "z"]}}
        cntn.adjust: {{dimensions: ["k", "z"]}}
        cntn.wait: {{dimensions: ["k_nxt", "z"]}}
  INVEST:
    parameters: {{k_min: 0.2, k_max: 30.0}}
    settings: {{n: 60}}
    math:
      functions:
        g_ve: k_nxt = (1 - delta)*k + i
        Q: z*k^alpha - i - phi/2*(i/k)^2*k + beta*V[>]
      controls: {{i: i > -(1 - delta)*k}}
      state_space:
        arvl: {{dimensions: ["k", "z"]}}
        dcsn: {{dimensions: ["k", "z"], grid: {{z: {{nodes_of: FIRM.prod}}}}}}
        cntn: {{dimensions: ["k_nxt", "z"], grid: {{k_nxt: {{type: geomspace, min: k_min, max: k_max, points: n}}}}}}
"""


def law(circuit, stage):
    """Values and transition matrix of the one shock of a stage."""
    values, matrix = circuit.structure.stage(stage).nodes(circuit.scope(stage, 0))
    return np.asarray(next(iter(values.values()))), np.asarray(matrix)


@pytest.mark.parametrize("grid", [", grid: {zp: {nodes_of: div}}, tabulate: true", ""], ids=["asked for", "found"])
@pytest.mark.parametrize("n", [9])
def test_a_claim_on_a_chain_of_dividends_has_its_price(n, grid):
    solved = sc.solve(sc.load(TREE.format(horizon="infinite", n=n, grid=grid)))
    z, P = law(solved, "C")
    price = P @ np.linalg.solve(np.eye(n) - 0.95 * P, z**-2.0)
    np.testing.assert_allclose(solved[0]["C"].arvl.sol.value(zp=z), price, rtol=1e-9)


@pytest.mark.parametrize("scale", [0.0, 0.2])
@pytest.mark.parametrize("horizon", HORIZONS)
def test_entry_and_exit_are_those_of_value_iteration(horizon, scale):
    words, periods = HORIZONS[horizon]
    choice = "{by: agent}" if scale == 0 else "{by: agent, taste_shock: gumbel, scale: s}"
    solved = sc.solve(sc.load(ENTRY.format(horizon=words, choice=choice)))
    z, P = law(solved, "IN")
    out, into = np.zeros(5), np.zeros(5)
    best = (lambda a, b: np.maximum(a, b)) if scale == 0 else (lambda a, b: scale * np.logaddexp(a / scale, b / scale))
    for _ in range(min(periods, 400)):
        out, into = P @ best(0.9 * into - 2.0, 0.9 * out), P @ (z - 1.1 + best(0.9 * into, 0.5 + 0.9 * out))
    np.testing.assert_allclose(solved[0]["OUT"].arvl.sol.value(z_pre=z), out, rtol=1e-8)
    np.testing.assert_allclose(solved[0]["IN"].arvl.sol.value(z_pre=z), into, rtol=1e-8)


@pytest.mark.slow
def test_where_policies_do_not_settle_values_do(monkeypatch):
    """Two policies may each improve on the other between knots; without a single Newton step the values are the same."""
    monkeypatch.setattr(fixed_point, "_NEWTON", 0)
    text = ENTRY.format(horizon="infinite", choice="{by: agent}").replace("n_points: 5", "n_points: 4")
    solved = sc.solve(sc.load(text))
    z, P = law(solved, "IN")
    out, into = np.zeros(4), np.zeros(4)
    for _ in range(400):
        best = np.maximum(0.9 * into - 2.0, 0.9 * out), np.maximum(0.9 * into, 0.5 + 0.9 * out)
        out, into = P @ best[0], P @ (z - 1.1 + best[1])
    np.testing.assert_allclose(solved[0]["OUT"].arvl.sol.value(z_pre=z), out, rtol=1e-6)
    np.testing.assert_allclose(solved[0]["IN"].arvl.sol.value(z_pre=z), into, rtol=1e-6)


def test_the_price_of_a_dividend_moves_with_patience_as_its_closed_form_does():
    circuit = sc.load(TREE.format(horizon="infinite", n=9, grid=""))
    z, P = law(circuit, "C")
    price = lambda beta: sc.solve(circuit.with_parameters({"main.beta": beta}))[0]["C"].arvl.sol.value(zp=z)
    _, moved = jax.jvp(price, (0.95,), (1.0,))
    inverse = np.linalg.inv(np.eye(9) - 0.95 * P)
    np.testing.assert_allclose(moved, inverse @ P @ inverse @ P @ z**-2.0, rtol=1e-8)


def firm_by_brute_force(periods, fixed=0.03):
    """Capital, and the value of the firm with a fixed cost at every decision, by search over capital next period."""
    k, z, P = np.geomspace(0.05, 45.0, 700), np.array([0.8, 1.2]), np.array([[0.8, 0.2], [0.3, 0.7]])
    invest = k[None] - 0.9 * k[:, None]
    cost, value = invest + invest**2 / k[:, None], np.zeros((700, 2))
    for _ in range(periods):
        after, flow = 0.9 * value @ P.T, z * np.sqrt(k)[:, None]
        acts = np.stack([np.max(after[None, :, j] - cost, axis=1) for j in range(2)], axis=1) - fixed * k[:, None]
        rests = np.stack([np.interp(0.9 * k, k, after[:, j]) for j in range(2)], axis=1)
        value = flow + np.maximum(acts, rests)
    return k, z, value


@pytest.mark.parametrize("horizon", [h if h == "finite" else pytest.param(h, marks=pytest.mark.slow) for h in HORIZONS])
def test_a_firm_with_a_fixed_cost_is_worth_what_brute_force_says(horizon):
    words, periods = HORIZONS[horizon]
    solved = sc.solve(sc.load(FIRM.format(horizon=words)))
    k, z, value = firm_by_brute_force(min(periods, 150))
    inside = (k > 0.4) & (k < 20.0)
    for j in range(2):
        found = solved[0]["FIRM"].dcsn.sol.value(k=k[inside], z=z[j])
        np.testing.assert_allclose(found, value[inside, j], rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("n", [30, 40])
def test_hard_choices_for_ever_settle(n):
    """At forty points the choice at a few knots changed for ever: slopes are held, and values settle."""
    solved = sc.solve(sc.load(FIRM.format(horizon="infinite").replace("n: 60", f"n: {n}")))
    k, z, value = firm_by_brute_force(150)
    inside = (k > 0.4) & (k < 20.0)
    for j in range(2):
        np.testing.assert_allclose(solved[0]["FIRM"].dcsn.sol.value(k=k[inside], z=z[j]), value[inside, j], rtol=1e-3)
    moved = jax.grad(lambda cost: sc.solve(solved.with_parameters({"main.F": cost}))[0]["FIRM"].dcsn.sol.value(k=3.0, z=1.2))(
        0.03
    )
    (k, _, more), (_, _, less) = (firm_by_brute_force(150, fixed) for fixed in (0.035, 0.025))
    np.testing.assert_allclose(moved, np.interp(3.0, k, (more - less)[:, 1] / 0.01), rtol=5e-2)


@pytest.mark.slow
def test_the_value_of_a_firm_for_ever_moves_with_its_fixed_cost():
    """Two stages that store, of which the later one's name comes before: what is judged of them keeps its order."""
    circuit, at = sc.load(FIRM.format(horizon="infinite")), np.array([1.0, 3.0, 8.0])
    worth = lambda cost: sc.solve(circuit.with_parameters({"main.F": cost}))[0]["FIRM"].dcsn.sol.value(k=at, z=1.2)
    _, moved = jax.jvp(worth, (0.03,), (1.0,))
    (k, _, more), (_, _, less) = (firm_by_brute_force(150, fixed) for fixed in (0.035, 0.025))
    np.testing.assert_allclose(moved, np.interp(at, k, (more - less)[:, 1] / 0.01), rtol=2e-2)


def test_a_state_without_a_grid_is_named_where_it_is_needed():
    text = FIRM.format(horizon="infinite").replace('["k", "z_pre"]', '["old", "z_pre"]').replace("k_nxt: k,", "k_nxt: old,")
    text = text.replace("      branches:\n", "      functions: {g_av: k = 0.9*old}\n      branches:\n")
    assert not errors(text)
    # Where INVEST leads to a capital that is set, no post-state with a grid has the value of `old`.
    link = "INVEST, target: FIRM, mapping: {"
    lost = text.replace(link + "k_nxt: old, z: z_pre}", link + "z: z_pre}, set: {old: 1.0}")
    (found,) = errors(lost)
    assert found.code == "grid" and all(word in found.message for word in ("FIRM", "arrival (arvl)", "`old`")), found


def errors(text):
    """What `check` refuses."""
    return [d for d in heptapod.check(text) if d.severity == "error"]
