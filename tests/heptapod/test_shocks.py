"""Shocks: nodes and draws have the moments of their law, pass through one map, and carry gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import heptapod
from heptapod.shocks.normal import standard_nodes

FRAME = """
model: {{name: M, horizon: 3, terminal: 0, connections: {{inter_period: [{{source: S, target: S, mapping: {{b: a}}}}]}}}}
stage:
  name: S
  parameters: {{mu: 1.2, sigma: 0.3, rho: 0.4, p: 0.25, vals: [0.4, 1.2, 2.0], pr: [0.2, 0.5, 0.3]}}
  settings: {{n: 7}}
  math:
    functions: {{g_av: m = a + {use}, g_ve: b = m - c, Q: "log(c) + 0.9*V[>]"}}
    controls: {{c: 0 < c <= m}}
    shocks: {{{shock}}}
    state_space:
      arvl: {{dimensions: [a]}}
      dcsn: {{dimensions: [m]}}
      cntn: {{grid: {{b: {{min: 0, max: 9, points: 5}}}}}}
"""
SHOCKS = {
    "normal": ('x: {dimensions: ["y"], shock_method: normal, mean: mu, std: sigma, n_points: n}', "y"),
    "lognormal": ('x: {dimensions: ["y"], shock_method: lognormal, mean: mu, std: sigma, n_points: n}', "y"),
    "legendre": ('x: {dimensions: ["y"], shock_method: normal, mean: mu, std: sigma, n_points: 60, nodes: legendre}', "y"),
    "equiprobable": ('x: {dimensions: ["y"], shock_method: normal, mean: mu, std: sigma, n_points: 400, nodes: equiprobable}', "y"),
    "discrete": ('x: {dimensions: ["y"], shock_method: discrete, values: [0.4, 1 + mu/2, 2], probs: [p, 0.5, 0.5 - p]}', "y"),
    "vectors": ('x: {dimensions: ["y"], shock_method: discrete, values: vals, probs: pr}', "y"),
    "joint": ('x: {dimensions: ["y", "z"], shock_method: lognormal, mean: [mu, 1.0], std: [sigma, 0.2], corr: rho, n_points: [7, 6]}', "y*z"),
    "two": ('x: {dimensions: ["y"], shock_method: normal, mean: mu, std: sigma, n_points: 5}, '
            'w: {dimensions: ["z"], shock_method: discrete, values: [0, 1], probs: [p, 1 - p]}', "y*z"),
}  # fmt: skip


def problem(name):
    shock, use = SHOCKS[name]
    spec = heptapod.load(FRAME.format(shock=shock, use=use))
    scope = {k: jnp.asarray(v) for k, v in {**spec.stages["S"].parameters, **spec.stages["S"].settings}.items()}
    return spec.stages["S"].num, {**scope, "t": jnp.asarray(0.0)}


EXACT = {  # mean and variance of y at mu = 1.2, sigma = 0.3
    "normal": (1.2, 0.09),
    "lognormal": (1.2, 1.2**2 * np.expm1(0.09)),
    "legendre": (1.2, 0.09),
    "equiprobable": (1.2, 0.09),
    "discrete": (0.25 * 0.4 + 0.5 * 1.6 + 0.25 * 2, 0.25 * 0.16 + 0.5 * 2.56 + 0.25 * 4 - 1.4**2),
    "vectors": (0.2 * 0.4 + 0.5 * 1.2 + 0.3 * 2, 0.2 * 0.16 + 0.5 * 1.44 + 0.3 * 4 - 1.28**2),
    "joint": (1.2, 1.2**2 * np.expm1(0.09)),
    "two": (1.2, 0.09),
}


@pytest.mark.parametrize("name", SHOCKS)
def test_nodes_have_the_moments_of_the_law(name):
    num, scope = problem(name)
    nodes, weights = num.nodes(scope)
    mean, variance = EXACT[name]
    loose = {"legendre": 2e-3, "equiprobable": 2e-3}.get(name, 1e-7)
    weights, nodes = np.asarray(weights), {k: np.asarray(v) for k, v in nodes.items()}
    assert weights.sum() == pytest.approx(1.0, abs=1e-14)
    assert weights @ nodes["y"] == pytest.approx(mean, rel=loose)
    assert weights @ nodes["y"] ** 2 - (weights @ nodes["y"]) ** 2 == pytest.approx(variance, rel=10 * loose)


@pytest.mark.parametrize("name", SHOCKS)
def test_draws_have_the_moments_of_the_law_and_depend_on_their_number_alone(name):
    num, scope = problem(name)
    count = 40_000
    drawn = num.draws(scope, jax.random.key(5), count)
    mean, variance = EXACT[name]
    assert abs(float(drawn["y"].mean()) - mean) < 4.5 * np.sqrt(variance / count)
    fewer = num.draws(scope, jax.random.key(5), 11)
    for dimension in drawn:
        np.testing.assert_array_equal(fewer[dimension], drawn[dimension][:11])


def test_a_joint_shock_has_its_correlation():
    num, scope = problem("joint")
    nodes, weights = num.nodes(scope)
    weights, y, z = np.asarray(weights), np.log(nodes["y"]), np.log(nodes["z"])
    centred = (y - weights @ y, z - weights @ z)
    assert weights @ (centred[0] * centred[1]) == pytest.approx(0.4 * 0.3 * 0.2, rel=1e-10)
    drawn = num.draws(scope, jax.random.key(0), 60_000)
    assert np.corrcoef(np.log(drawn["y"]), np.log(drawn["z"]))[0, 1] == pytest.approx(0.4, abs=0.02)


@pytest.mark.parametrize(("name", "parameter"), [("lognormal", "sigma"), ("normal", "mu"), ("joint", "rho"), ("discrete", "p")])
def test_expectations_are_differentiable_in_the_law(name, parameter):
    num, scope = problem(name)

    def moment(x):
        nodes, weights = num.nodes({**scope, parameter: x})
        return weights @ jnp.sin(nodes["y"] * nodes.get("z", 1.0))

    x, h = scope[parameter], 1e-6
    exact = float(jax.grad(moment)(x))
    assert exact == pytest.approx(float(moment(x + h) - moment(x - h)) / (2 * h), rel=1e-6)
    assert exact != 0


def test_hermite_nodes_integrate_polynomials_exactly():
    nodes, weights = standard_nodes("hermite", 5)
    for power, exact in {0: 1, 2: 1, 4: 3, 6: 15, 8: 105}.items():
        assert weights @ nodes**power == pytest.approx(exact, rel=1e-12)
