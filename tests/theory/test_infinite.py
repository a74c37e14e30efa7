"""The infinite horizon: closed forms, bounds that hold, and derivatives of the fixed point in both modes."""

import importlib
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stagecraft as sc
from stagecraft.results import Outcome, SolveError

_solve = importlib.import_module("stagecraft.backward.solve")._solve

sys.path.insert(0, str(Path(__file__).parent))
MODELS = Path(__file__).parents[1] / "models"

BUFFER = """
model:
  name: Buffer
  horizon: infinite
  parameters: {beta: 0.94, gamma: 2.0, R: 1.03, G: 1.0, sp: 0.1, st: 0.1}
  settings: {n: 80, top: 40.0, tolerance: 1e-8}
  defaults: {inherit: all}
  connections: {inter_period: [{source: CONS, target: CONS, mapping: {x: a}}]}
stage:
  name: CONS
  math:
    functions:
      u(c): c^(1-gamma)/(1-gamma)
      g_av: m = R/(G*psi)*a + y
      g_ve: x = m - c
      Q: u(c) + beta*V[>]
      A: E[(G*psi)^(1-gamma)*V]
    controls: {c: 0 < c <= m}
    shocks:
      permanent: {dimensions: [psi], shock_method: lognormal, mean: 1.0, std: sp, n_points: 3}
      transitory: {dimensions: [y], shock_method: lognormal, mean: 1.0, std: st, n_points: 3}
    state_space:
      arvl: {dimensions: [a]}
      dcsn: {dimensions: [m]}
      cntn: {grid: {x: {type: exp, min: 0.0, max: top, points: n}}}
"""
CASH = np.concatenate([np.linspace(0.05, 3, 40), np.linspace(3.1, 40, 40)])


@pytest.fixture(scope="module")
def buffer():
    return sc.load(BUFFER)


def functions(solved, stage="CONS"):
    sol = solved[0][stage].dcsn.sol
    return np.asarray(sol.policy["c"](m=CASH)), np.asarray(sol.value(m=CASH))


@pytest.mark.slow
@pytest.mark.parametrize("patience", [0.9, 0.99, 0.9999])
@pytest.mark.parametrize("growth", [1.0, 1.02])
def test_the_true_error_is_within_the_reported_bound(buffer, patience, growth):
    """At every tolerance, of policies and values alike, however near patience is to the interest.

    In a cell in which two rules of reading the value are equally good either may win, and both are fixed points; they are apart
    by the error of interpolation, 2e-7 at eighty knots.
    """
    circuit = buffer.with_parameters({"main.beta": patience / 1.03, "main.G": growth})
    exact = functions(sc.solve(circuit.with_settings({"main.tolerance": 1e-12})))
    for tolerance in (1e-3, 1e-4, 1e-6, 1e-8, 1e-11):
        solved = sc.solve(circuit.with_settings({"main.tolerance": tolerance}))
        bound = float(solved.info.error_bound)
        assert 0 < bound <= max(tolerance, 3e-12) and int(solved.info.iterations) < 2_000
        (c, V), (c_true, V_true) = functions(solved), exact
        assert np.max(np.abs(c / c_true - 1)) <= bound
        assert np.max(np.abs(V / V_true - 1)) <= bound + 2e-7


@pytest.mark.slow
def test_a_long_life_is_nearly_an_endless_one(buffer):
    """What is solved for ever is the limit of finite horizons, by the same steps."""
    finite = sc.load(BUFFER.replace("horizon: infinite", "horizon: 400\n  terminal: 0"))
    for one, two in zip(functions(sc.solve(finite)), functions(sc.solve(buffer)), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-7)


@pytest.mark.slow
def test_the_first_guess_changes_nothing(buffer):
    guessed = sc.load(BUFFER.replace("horizon: infinite", "horizon: infinite\n  terminal: 5*u(1 + a)"))
    for one, two in zip(functions(sc.solve(guessed)), functions(sc.solve(buffer)), strict=True):
        np.testing.assert_allclose(one, two, rtol=2e-8)


@pytest.mark.slow
def test_derivatives_of_the_fixed_point(buffer):
    """Reverse equals forward, and differences; and an unrolled finite horizon of many periods."""

    def found(circuit, parameters):
        sol = sc.solve(circuit.with_parameters(parameters))[0]["CONS"].dcsn.sol
        m = jnp.array([0.8, 1.5, 6.0])
        return jnp.concatenate([sol.policy["c"](m=m), sol.value(m=m)])

    sharp = buffer.with_settings({"main.tolerance": 1e-11})
    solve = jax.jit(lambda p: found(sharp, p))
    reverse = jax.jit(jax.jacrev(lambda p: found(sharp, p)))(sharp.parameters)["main"]
    forward = jax.jit(jax.jacfwd(lambda p: found(sharp, p)))(sharp.parameters)["main"]
    long = sc.load(BUFFER.replace("horizon: infinite", "horizon: 400\n  terminal: 0"))
    unrolled = jax.jit(jax.jacfwd(lambda p: found(long, p)))(long.parameters)["main"]
    for name, value in sharp.parameters["main"].items():
        np.testing.assert_allclose(reverse[name], forward[name], rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(forward[name], unrolled[name], rtol=1e-6, atol=1e-8, err_msg=name)
        h = 1e-5 * float(value)
        up, down = (solve({"main": sharp.parameters["main"] | {name: value + s * h}}) for s in (1, -1))
        np.testing.assert_allclose(forward[name], (up - down) / (2 * h), rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.slow
def test_new_values_compile_nothing(buffer):
    sc.solve(buffer)
    before = _solve._cache_size()
    sc.solve(buffer.with_parameters({"main.beta": 0.9, "main.sp": 0.2}))
    assert _solve._cache_size() == before


def test_what_does_not_contract_is_said(buffer):
    """Growth that outpaces patience: no bound is reached, and what was computed is handed back when asked for."""
    impatient = buffer.with_parameters({"main.beta": 1.06})
    with pytest.raises(SolveError, match=r"no contraction .* counts 1\.0\d* times") as caught:
        sc.solve(impatient)
    assert caught.value.outcome == Outcome.not_converged
    assert int(sc.solve(impatient, throw=False).info.outcome) == Outcome.not_converged


BROCK = """
model:
  name: BrockMirman
  horizon: infinite
  parameters: {beta: 0.95, alpha: 0.36, rho: 0.8, s: 0.1}
  settings: {n: 200}
  defaults: {inherit: all}
  connections: {inter_period: [{source: GROW, target: GROW, mapping: {k_nxt: k, z: z_pre}}]}
stage:
  name: GROW
  math:
    functions: {g_av: y = z*k^alpha, g_ve: k_nxt = y - c, Q: "log(c) + beta*V[>]"}
    controls: {c: 0 < c <= y}
    shocks: {skill: {dimensions: [z], shock_method: rouwenhorst, log: true, rho: rho, std: s, n_points: 5, given: z_pre}}
    state_space:
      arvl: {dimensions: [k, z_pre], grid: {z_pre: {nodes_of: skill}}}
      dcsn: {dimensions: [y, z]}
      cntn: {dimensions: [k_nxt, z], grid: {k_nxt: {type: exp, min: 1e-4, max: 1.2, points: n}, z: {nodes_of: skill}}}
"""


@pytest.mark.slow
def test_brock_and_mirman():
    """c = (1 - alpha*beta)*y; the value is affine in log y, with the constant of every state of the technology."""
    solved = sc.solve(sc.load(BROCK))
    beta, alpha = 0.95, 0.36
    sol, stage = solved[0]["GROW"].dcsn.sol, solved[0]["GROW"]
    nodes, weights = stage.num.nodes(solved.scope("GROW", 0))
    z, law = np.asarray(nodes["z"]), np.asarray(weights)
    y = np.array([0.1, 0.2, 0.35, 0.6, 1.0])
    share = 1 - alpha * beta
    gains = np.log(share) + beta * alpha / share * np.log(alpha * beta) + beta / share * law @ np.log(z)
    constants = np.linalg.solve(np.eye(5) - beta * law, gains)
    for i in (0, 2, 4):
        np.testing.assert_allclose(sol.policy["c"](y=y, z=z[i]), share * y, rtol=1e-4)
        np.testing.assert_allclose(sol.value(y=y, z=z[i]), np.log(y) / share + constants[i], rtol=1e-5)


@pytest.mark.slow
def test_a_markov_household_in_simulation():
    """Budgets hold, and assets settle: the second half of a long panel has the mean of its last quarter."""
    text = (MODELS / "aiyagari.yml").read_text().replace("n_a: 300, n_z: 7", "n_a: 60, n_z: 3")
    solved = sc.solve(sc.load(text))
    stage = solved[0]["CONS"]
    values = np.asarray(stage.num.nodes(solved.scope("CONS", 0))[0]["z"])
    start = {"a": np.full(600, 2.0), "z_pre": np.tile(values, 200)}
    panel = sc.simulate(solved, start, periods=300, key=jax.random.key(0))
    np.testing.assert_allclose(panel["m"] - panel["c"], panel["a_nxt"], atol=1e-12)
    np.testing.assert_allclose(panel["a"][1:], panel["a_nxt"][:-1], atol=0)
    late = np.asarray(panel["a_nxt"]).mean(axis=1)
    assert abs(late[150:].mean() / late[225:].mean() - 1) < 0.1
    assert sc.euler_errors(solved, panel).mean < -3
