"""Gradients through discrete choice, with risk and taste shocks and without: autodiff against central differences."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stagecraft as sc

MODEL = """
model:
  name: RiskyRetirement
  horizon: 5
  terminal: 0
  parameters: {beta: 0.96, r: 0.03, w: 20.0, delta: 0.8, sigma_eps: 0.1, gamma: 1.5}
  settings: {n: 80}
  connections:
    intra_period: [{source: LABR.work, target: WORK}, {source: LABR.retire, target: RETD}]
    inter_period: [{source: WORK, target: LABR, mapping: {b: a}}, {source: RETD, target: RETD, mapping: {b: a}}]
stages:
  LABR:
    kind: branching
    parameters: {delta: [delta], sigma_eps: [sigma_eps], gamma: [gamma]}
    math:
      branches:
        work:   {g_ve: a = a, Q: "V[>] - delta*20^(1-gamma)"}
        retire: {g_ve: a = a, Q: "V[>]"}
      choice: {by: agent, taste_shock: gumbel, scale: sigma_eps}
      state_space: {arvl: {dimensions: [a]}, cntn.work: {dimensions: [a]}, cntn.retire: {dimensions: [a]}}
  WORK: &consume
    parameters: {beta: [beta], r: [r], w: [w], gamma: [gamma], mean: 1.0, sigma_y: 0.3, a_max: 300.0}
    settings: {n: [n]}
    math: &math
      functions: {g_av: m = (1+r)*a + w*y, g_ve: b = m - c, Q: "c^(1-gamma)/(1-gamma) + beta*V[>]"}
      controls: {c: 0 < c <= m}
      shocks: {income: {dimensions: [y], shock_method: lognormal, mean: mean, std: sigma_y, n_points: 5}}
      state_space: &space
        arvl: {dimensions: [a]}
        dcsn: {dimensions: [m]}
        cntn: {grid: {b: {type: power, min: 0.0, max: a_max, points: n}}}
  RETD:
    parameters: {beta: [beta], r: [r], gamma: [gamma], a_max: 300.0}
    settings: {n: [n]}
    math:
      functions: {g_av: m = (1+r)*a, g_ve: b = m - c, Q: "c^(1-gamma)/(1-gamma) + beta*V[>]"}
      controls: {c: 0 < c <= m}
      state_space: *space
"""
pytestmark = pytest.mark.slow
# The scale of taste shocks, and the standard deviation of the logarithm of income.
CASES = [(0.0, 0.3), (0.01, 0.3), (0.05, 0.3), (0.3, 0.3), (0.0, 0.0), (0.05, 0.0)]
PATHS = [("main", name) for name in ("beta", "r", "w", "delta", "sigma_eps", "gamma")]
PATHS += [("WORK", name) for name in ("mean", "sigma_y", "a_max")] + [("RETD", "a_max")]
CASH = jnp.array([4.0, 13.0, 31.0, 57.0, 88.0, 140.0, 260.0])
ASSETS = jnp.array([1.0, 9.0, 23.0, 41.0, 66.0, 120.0, 230.0])


@pytest.fixture(scope="module")
def circuit():
    return sc.load(MODEL)


@pytest.fixture(scope="module")
def probe(circuit):
    """Values, policies and choice probabilities at two ages."""

    def probe(parameters):
        solved, found = sc.solve(circuit.with_parameters(parameters)), {}
        for t in (0, 3):
            labour = solved[t]["LABR"]
            worker = solved[t]["WORK"].dcsn.sol
            found[f"worker {t}"], found[f"eats {t}"] = worker.value(m=CASH), worker.policy["c"](m=CASH)
            found[f"retiree {t}"] = solved[t]["RETD"].dcsn.sol.value(m=CASH)
            found[f"arrival {t}"] = labour.arvl.sol.value(a=ASSETS)
            found[f"works {t}"] = labour.dcsn.sol.probability["work"](a=ASSETS)
        return found

    return probe


@pytest.fixture(scope="module")
def programs(probe):
    return jax.jit(probe), jax.jit(jax.jacrev(probe)), jax.jit(jax.jacfwd(probe))


@pytest.fixture(scope="module")
def derivatives(circuit, programs):
    """By case: the parameters, and the Jacobians in reverse and in forward mode."""
    value, reverse, forward = programs

    @functools.cache
    def at(scale, risk):
        parameters = circuit.with_parameters({"main.sigma_eps": scale, "WORK.sigma_y": risk}).parameters
        return parameters, reverse(parameters), forward(parameters)

    return at


def moved(parameters, path, h):
    scope, name = path
    return {**parameters, scope: {**parameters[scope], name: parameters[scope][name] + h}}


def gaps(programs, parameters, path, exact):
    """The worst relative gap of every output between a derivative and differences, at the best of three steps each."""
    value, size, best = programs[0], abs(float(parameters[path[0]][path[1]])), {}
    for step in (1e-4, 1e-5, 1e-6):
        h = step * max(size, 0.1)
        # The scale has no values below zero: from there the difference is one-sided.
        low = 0.0 if path[1] == "sigma_eps" and size == 0 else -h
        up, down = (value(moved(parameters, path, s)) for s in (h, low))
        for name in up:
            gap = np.abs((up[name] - down[name]) / (h - low) - exact[name][path[0]][path[1]])
            gap = gap / (1e-2 + np.abs(exact[name][path[0]][path[1]]))
            best[name] = np.minimum(best.get(name, np.inf), gap)
    return best


@pytest.mark.parametrize(("scale", "risk"), CASES)
def test_derivatives_are_finite_and_the_same_in_both_modes(derivatives, scale, risk):
    _, reverse, forward = derivatives(scale, risk)
    for one, two in zip(jax.tree.leaves(reverse), jax.tree.leaves(forward), strict=True):
        assert np.isfinite(one).all() and np.isfinite(two).all()
        np.testing.assert_allclose(one, two, rtol=1e-8, atol=1e-8 * (1 + np.abs(one).max()))


@pytest.mark.parametrize("path", PATHS, ids=".".join)
@pytest.mark.parametrize(("scale", "risk"), CASES)
def test_derivatives_are_the_central_differences(programs, derivatives, scale, risk, path):
    parameters, exact, _ = derivatives(scale, risk)
    for name, gap in gaps(programs, parameters, path, exact).items():
        assert gap.max() < (1e-3 if scale == 0 else 1e-5), (name, gap)
