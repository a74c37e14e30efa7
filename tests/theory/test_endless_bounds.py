"""The bound of an endless horizon covers the true error, whatever the tolerance: against closed forms and long iterations."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import stagecraft as sc

CASES = Path(__file__).parents[1] / "cases"
TOLERANCES = (1e-3, 1e-6, 1e-8)

HOUSEHOLD = """
model:
  name: Household
  horizon: infinite
  parameters: {beta: 0.96, r: 0.02, w: 1.0, rho: 0.9, sigma: 0.2}
  settings: {n: 50, tolerance: 1e-8}
  defaults: {inherit: all}
  connections: {inter_period: [{source: CONS, target: CONS, mapping: {a_nxt: a, e: e_pre}}]}
stage:
  name: CONS
  methods: {interp: linear}
  math:
    functions: {g_av: m = (1 + r)*a + w*e, g_ve: a_nxt = m - c, Q: "log(c) + beta*V[>]"}
    controls: {c: 0 < c <= m}
    shocks: {skill: {dimensions: [e], shock_method: rouwenhorst, log: true, rho: rho, std: sigma, n_points: 3, given: e_pre}}
    state_space:
      arvl: {dimensions: [a, e_pre], grid: {e_pre: {nodes_of: skill}}}
      dcsn: {dimensions: [m, e]}
      cntn: {dimensions: [a_nxt, e], grid: {a_nxt: {type: exp, min: 0.0, max: 60.0, points: n}, e: {nodes_of: skill}}}
"""


def on_line(x, knots, values):
    """Linear between knots and on the last line beyond them."""
    last = values[-1] + (x - knots[-1]) * (values[-1] - values[-2]) / (knots[-1] - knots[-2])
    return np.where(x > knots[-1], last, np.interp(x, knots, values))


def household(a, e, law, steps):
    """Carroll's method by hand: endogenous knots, what is consumed and what that is worth there, and at the corner."""
    beta, r = 0.96, 0.02
    m, c, v, low = [a + 0.1] * 3, [a + 0.1] * 3, [np.zeros(a.size)] * 3, np.zeros(3)
    cash = [(1 + r) * a + z for z in e]
    for _ in range(steps):
        bound = [x < m[j][0] for j, x in enumerate(cash)]
        eats = np.stack([np.where(bound[j], x, on_line(x, m[j], c[j])) for j, x in enumerate(cash)])
        gets = np.stack([np.where(bound[j], np.log(x) + beta * low[j], on_line(x, m[j], v[j])) for j, x in enumerate(cash)])
        c = 1 / (beta * (1 + r) * law @ (1 / eats))
        after = law @ gets
        m, v, low = a + c, np.log(c) + beta * after, after[:, 0]
    return m, c, v, low


@pytest.mark.slow
def test_of_a_household_against_a_long_iteration():
    circuit = sc.load(HOUSEHOLD)
    stage = circuit[0]["CONS"]
    nodes, weights = stage.num.nodes(circuit.scope("CONS", 0))
    e, law = np.asarray(nodes["e"]), np.asarray(weights)
    a = np.asarray(stage.cntn_to_dcsn.operator.problem.knots)
    m, c, v, _ = household(a, e, law, 1500)
    for tolerance in TOLERANCES:
        solved = sc.solve(circuit.with_settings({"main.tolerance": tolerance}))
        bound, sol = float(solved.info.error_bound), solved[0]["CONS"].dcsn.sol
        assert 0 < bound <= tolerance
        for j, z in enumerate(e):  # All knots but the last, beyond which one is told of it.
            assert np.max(np.abs(sol.policy["c"](m=m[j][:-1], e=z) / c[j][:-1] - 1)) <= bound + 1e-12
            assert np.max(np.abs(sol.value(m=m[j][:-1], e=z) / v[j][:-1] - 1)) <= bound + 1e-12


GROWING = """
model:
  name: Growing
  horizon: infinite
  parameters: {beta: 0.97, alpha: 0.36, rho: 0.9, s: 0.05, G: 1.02}
  settings: {n: 60, tolerance: 1e-8}
  defaults: {inherit: all}
  connections: {inter_period: [{source: GROW, target: GROW, mapping: {k_nxt: k, z: z_pre}}]}
stage:
  name: GROW
  math:
    functions: {g_av: y = z*k^alpha, g_ve: k_nxt = (y - c)/G, Q: "log(c) + beta*V[>]"}
    controls: {c: 0 < c <= y}
    shocks: {skill: {dimensions: [z], shock_method: rouwenhorst, log: true, rho: rho, std: s, n_points: 3, given: z_pre}}
    state_space:
      arvl: {dimensions: [k, z_pre], grid: {z_pre: {nodes_of: skill}}}
      dcsn: {dimensions: [y, z]}
      cntn: {dimensions: [k_nxt, z], grid: {k_nxt: {type: exp, min: 1e-4, max: 1.2, points: n}, z: {nodes_of: skill}}}
"""


@pytest.mark.slow
def test_of_brock_and_mirman_with_growth():
    """c = (1 - alpha*beta)*y is a line, which is kept without an error of its own; values are those of a sharp solve."""
    circuit, y = sc.load(GROWING), jnp.geomspace(0.1, 1.0, 30)
    z = np.asarray(circuit[0]["GROW"].num.nodes(circuit.scope("GROW", 0))[0]["z"])
    told = lambda solved, x: solved[0]["GROW"].dcsn.sol.value(y=y, z=x)
    sharp = sc.solve(circuit.with_settings({"main.tolerance": 1e-12}))
    for tolerance in TOLERANCES:
        solved = sc.solve(circuit.with_settings({"main.tolerance": tolerance}))
        bound = float(solved.info.error_bound)
        assert 0 < bound <= tolerance
        for x in z:
            c = solved[0]["GROW"].dcsn.sol.policy["c"](y=y, z=x)
            assert np.max(np.abs(c / ((1 - 0.36 * 0.97) * y) - 1)) <= bound + 1e-12
            assert np.max(np.abs(told(solved, x) / told(sharp, x) - 1)) <= bound + 1e-12


@pytest.mark.slow
def test_of_a_firm_in_closed_form():
    """Investment is one number, and the value is affine in capital: both are kept without an error of their own."""
    text = (CASES / "01-bound-meets-grid-top.yml").read_text().replace("{n: 60}", "{n: 60, tolerance: 1e-8}")
    circuit, k = sc.load(text), np.linspace(0.1, 9.5, 40)
    r, d, z, phi = 0.05, 0.1, 0.2, 1.0
    q = z / (1 - (1 - d) / (1 + r))
    i = (q / (1 + r) - 1) / phi
    value = (-i - phi / 2 * i**2 + q * i / (1 + r)) * (1 + r) / r + q * k
    for tolerance in TOLERANCES:
        solved = sc.solve(circuit.with_settings({"main.tolerance": tolerance}))
        bound, sol = float(solved.info.error_bound), solved[0]["F"].dcsn.sol
        assert 0 < bound <= tolerance
        assert np.max(np.abs(sol.policy["i"](k=k) / i - 1)) <= bound + 1e-12
        assert np.max(np.abs(sol.value(k=k) / value - 1)) <= bound + 1e-12
