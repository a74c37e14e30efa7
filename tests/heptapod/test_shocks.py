"""Shocks: nodes and draws have the moments of their law, pass through one map, and carry gradients."""

import functools
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy as sp
from jax.flatten_util import ravel_pytree
from scipy.special import ndtr, ndtri

import heptapod
from heptapod.parsing.parse import Scope
from heptapod.parsing.reader import Reader
from heptapod.shocks.autoregressive import Autoregressive
from heptapod.shocks.chain import stationary
from heptapod.shocks.discrete import Discrete
from heptapod.shocks.markov import Markov
from heptapod.shocks.normal import Normal, standard_nodes
from heptapod.shocks.read import SHOCK_KEYS, check_shock, read_shock
from heptapod.shocks.standard_normal import standard_normal
from heptapod.shocks.uniform import Uniform
from heptapod.text.yaml import read

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


# What follows reads one block by itself, with these numbers in sight.
NUMBERS = {
    "mu": 1.2, "sigma": 0.3, "tau": 0.2, "rho": 0.4, "p": 0.25, "q": 0.1, "v": 0.35, "low": -0.5, "width": 2.5, "n": 7,
    "vals": [0.4, 1.2, 2.0], "pr": [0.2, 0.5, 0.3], "P": [[0.8, 0.15, 0.05], [0.1, 0.8, 0.1], [0.0, 0.3, 0.7]],
}  # fmt: skip
INDEPENDENT = {
    "normal": "{dimensions: [y], shock_method: normal, mean: mu, std: sigma, n_points: n}",
    "lognormal": "{dimensions: [y], shock_method: lognormal, mean: mu, std: sigma, n_points: 2*n}",
    "joint": "{dimensions: [y, z], shock_method: normal, mean: [mu, v], std: [sigma, tau], corr: rho, n_points: [4, 3]}",
    "three": "{dimensions: [y, z, w], shock_method: lognormal, std: [sigma, tau, 0.1], corr: [[1, rho, p], [rho, 1, q], [p, q, 1]], n_points: 8}",
    "uniform": "{dimensions: [y], shock_method: uniform, min: low, max: mu, n_points: 3}",
    "uniforms": "{dimensions: [y, z], shock_method: uniform, mean: [mu, v], std: [sigma, tau], n_points: [2, 3]}",
    "unemployment": "{dimensions: [y], shock_method: lognormal, mean: mu, std: sigma, n_points: 14, point_mass: {value: v, prob: p}}",
    "disaster": "{dimensions: [y, z], shock_method: normal, mean: [mu, 0], std: [sigma, tau], corr: rho, n_points: 3, point_mass: {value: [v, -2*v], prob: q}}",
    "jump": "{dimensions: [y], shock_method: uniform, min: low, max: mu, n_points: 3, point_mass: {value: 2, prob: p/2}}",
    "discrete": "{dimensions: [y], shock_method: discrete, values: [0.4, 1 + mu/2, 2], probs: [p, 0.5, 0.5 - p]}",
    "pair": "{dimensions: [y, z], shock_method: discrete, values: [vals, [q, v, mu]], probs: pr}",
}  # fmt: skip
MARKOV = {
    "markov": "{dimensions: [y], shock_method: markov, given: y0, values: [v, 1, mu], transition_matrix: [[1 - p, p, 0], [q, 1 - q - p, p], [0, 0.1, 0.9]]}",
    "matrix": '{dimensions: [y], shock_method: markov, given: ["y0"], values: vals, transition_matrix: P}',
    "rouwenhorst": "{dimensions: [y], shock_method: rouwenhorst, given: y0, rho: rho, std: sigma, mean: mu, n_points: n}",
    "rouwenhorst levels": "{dimensions: [y], shock_method: rouwenhorst, given: y0, rho: rho, std: sigma, mean: mu, log: true, n_points: 5}",
    "tauchen": "{dimensions: [y], shock_method: tauchen, given: y0, rho: rho, std: sigma, mean: mu, n_points: n, m: width}",
    "tauchen levels": "{dimensions: [y], shock_method: tauchen, given: y0, rho: rho, std: sigma, log: true, n_points: 6}",
}  # fmt: skip
LAWS = INDEPENDENT | MARKOV


def read_law(text, numbers=None):
    """The shock, unless there is an error, and the errors; checked at the numbers, of which lists may go by age."""
    numbers = NUMBERS if numbers is None else numbers
    reader = Reader(read("job: " + text + "\n"))
    shapes = {k: np.shape(x) for k, x in NUMBERS.items()}
    scope = Scope({k: sp.Symbol(k, real=True) for k, shape in shapes.items() if not shape}, tags=False)
    law = read_shock(reader, ("job",), scope, {"n": 7}, shapes)
    if law is not None:
        check_shock(reader, ("job",), law, {k: np.asarray(x, float) for k, x in numbers.items()})
    return law, reader.collector.errors


def law_of(name):
    law, errors = read_law(LAWS[name])
    assert not errors
    return law


def scope_of(numbers=NUMBERS, dtype=float):
    return {k: jnp.asarray(x, dtype) for k, x in {**numbers, "t": 0.0}.items()}


@functools.cache
def told(name):
    """Nodes, weights and moments at the numbers."""
    law = law_of(name)
    return jax.jit(lambda scope: (*law.nodes(scope), law.moments(scope)))(scope_of())


def long_run(transition):
    """The stationary distribution, by patience."""
    return np.linalg.matrix_power(np.asarray(transition), 2**14)[0]


def moments_of_nodes(name):
    """(mean, std, corr, persistence) from values and weights alone."""
    values, weights, _ = told(name)
    # A compiled function returns its dictionaries sorted.
    x, weights = np.stack([values[d] for d in law_of(name).dimensions]), np.asarray(weights)
    chain = weights.ndim == 2
    pi = long_run(weights) if chain else weights
    deviation = x - (x @ pi)[:, None]
    covariance = (deviation * pi) @ deviation.T
    std = np.sqrt(np.diagonal(covariance))
    persistence = (deviation[0] * pi) @ weights @ deviation[0] / covariance[0, 0] if chain else None
    return x @ pi, std, covariance / np.outer(std, std), persistence


@pytest.mark.parametrize("name", LAWS)
def test_moments_are_those_of_the_nodes(name):
    law, found, (mean, std, corr, persistence) = law_of(name), told(name)[2], moments_of_nodes(name)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-9)
    np.testing.assert_allclose(found.std, std, rtol=1e-7)
    assert (found.corr is None) == (len(law.dimensions) == 1)
    if found.corr is not None:
        np.testing.assert_allclose(found.corr, corr, atol=1e-7)
    assert (found.persistence is None) == (law.given is None)
    if found.persistence is not None:
        assert float(found.persistence) == pytest.approx(persistence, abs=1e-10)


@pytest.mark.parametrize("name", LAWS)
def test_nodes_are_counted_without_numbers_and_their_weights_are_probabilities(name):
    law = law_of(name)
    values, weights, _ = told(name)
    assert weights.shape == ((law.count,) if law.given is None else (law.count, law.count))
    assert {d: v.shape for d, v in values.items()} == {d: (law.count,) for d in law.dimensions}
    assert float(weights.min()) >= 0
    np.testing.assert_allclose(weights.sum(axis=-1), 1.0, rtol=1e-13)


@pytest.mark.parametrize("name", INDEPENDENT)
def test_draws_have_the_moments_that_are_told(name):
    law, scope, count = law_of(name), scope_of(), 40_000
    x = np.stack([law.draws(scope, jax.random.key(3), count)[d] for d in law.dimensions])
    moments = told(name)[2]
    np.testing.assert_allclose(x.mean(axis=1), moments.mean, atol=4.5 * float(moments.std.max()) / count**0.5)
    np.testing.assert_allclose(x.std(axis=1), moments.std, rtol=0.03)
    if moments.corr is not None:
        np.testing.assert_allclose(np.corrcoef(x), moments.corr, atol=0.025)


@pytest.mark.parametrize("name", MARKOV)
def test_steps_from_the_long_run_stay_there_and_persist(name):
    law, scope, count = law_of(name), scope_of(), 40_000
    values, transition, moments = told(name)
    before = np.random.default_rng(1).choice(np.asarray(values["y"]), count, p=long_run(transition))
    # Values are matched to the nearest node, so a little noise changes nothing.
    noisy = before + 1e-3 * np.sin(np.arange(count))
    after = np.asarray(law.draws(scope, jax.random.key(3), count, jnp.asarray(noisy))["y"])
    assert np.abs(after[:, None] - np.asarray(values["y"])).min(axis=1).max() < 1e-12
    assert abs(after.mean() - float(moments.mean[0])) < 4.5 * float(moments.std[0]) / count**0.5
    assert after.std() == pytest.approx(float(moments.std[0]), rel=0.03)
    assert np.corrcoef(before, after)[0, 1] == pytest.approx(float(moments.persistence), abs=0.02)


@pytest.mark.parametrize("name", LAWS)
def test_a_draw_depends_on_the_key_its_number_and_what_is_given(name):
    law, scope = law_of(name), scope_of()
    given = jnp.linspace(0.0, 2.0, 50)
    many = law.draws(scope, jax.random.key(7), 50, given)
    few = law.draws(scope, jax.random.key(7), 11, given[:11])
    for dimension in law.dimensions:
        np.testing.assert_array_equal(few[dimension], many[dimension][:11])


def test_a_markov_draw_without_a_past_is_refused():
    with pytest.raises(ValueError, match="given"):
        law_of("markov").draws(scope_of(), jax.random.key(0), 3)


def test_a_share_of_draws_are_the_point_mass_in_all_dimensions_together():
    drawn = law_of("disaster").draws(scope_of(), jax.random.key(1), 40_000)
    hit = np.asarray(drawn["y"]) == NUMBERS["v"]
    np.testing.assert_array_equal(hit, np.asarray(drawn["z"]) == -2 * NUMBERS["v"])
    assert hit.mean() == pytest.approx(NUMBERS["q"], abs=0.006)


def everything(law, flat, unravel):
    """Moments and an expectation, from the parameters in one vector."""
    scope = unravel(flat) | {"n": jnp.asarray(7.0), "t": jnp.asarray(0.0)}
    values, weights = law.nodes(scope)
    curved = jnp.sin(sum(values.values()) + 0.3)
    mean = curved @ weights if law.given is None else weights @ curved
    leaves = [x.ravel() for x in (*law.moments(scope), mean) if x is not None]
    return jnp.concatenate(leaves)


@functools.cache
def compiled(text):
    """What a law says as a function of all parameters, and its Jacobian."""
    law, errors = read_law(text)
    assert not errors
    _, unravel = ravel_pytree(traced(NUMBERS))
    f = lambda x: everything(law, x, unravel)
    return tuple(jax.jit(g) for g in (jax.vmap(f), jax.jacrev(f)))


def traced(numbers):
    return {k: jnp.asarray(x, float) for k, x in numbers.items() if k != "n"}


def derivatives(text, numbers):
    """The Jacobian in all parameters by autodiff, and by central differences."""
    f, jacobian = compiled(text)
    flat, _ = ravel_pytree(traced(numbers))
    h = 1e-5
    steps = h * jnp.eye(len(flat))
    return jacobian(flat), (f(flat + steps) - f(flat - steps)).T / (2 * h)


@pytest.mark.parametrize("name", LAWS)
def test_moments_and_expectations_are_differentiable_in_every_parameter(name):
    exact, differences = derivatives(LAWS[name], NUMBERS)
    np.testing.assert_allclose(exact, differences, atol=2e-8, rtol=1e-7)


@pytest.mark.parametrize("name", [n for n in LAWS if "sigma" in LAWS[n]])
@pytest.mark.parametrize("zero", ["sigma", "rho"])
def test_derivatives_pass_through_zero_risk_and_zero_persistence(name, zero):
    exact, differences = derivatives(LAWS[name], NUMBERS | {zero: 0.0})
    np.testing.assert_allclose(exact, differences, atol=2e-8, rtol=1e-7)


@pytest.mark.parametrize("name", ["markov", "discrete", "pair"])
def test_derivatives_are_finite_where_nothing_varies(name):
    same = NUMBERS | {"v": 1.0, "mu": 1.0, "q": 1.0, "vals": [1.0, 1.0, 1.0]}
    text = {"discrete": "{dimensions: [y], shock_method: discrete, values: [v, mu], probs: [p, 1 - p]}"}
    exact, _ = derivatives(text.get(name, LAWS[name]), same)
    assert np.isfinite(exact).all()


def test_closed_forms_of_a_lognormal_with_unemployment():
    moments = law_of("unemployment").moments(scope_of())
    mean, second = 0.75 * 1.2 + 0.25 * 0.35, 0.75 * 1.44 * np.exp(0.09) + 0.25 * 0.35**2
    assert float(moments.mean[0]) == pytest.approx(mean, rel=1e-14)
    assert float(moments.std[0]) == pytest.approx(np.sqrt(second - mean**2), rel=1e-13)


def test_closed_forms_of_a_uniform():
    moments = law_of("uniform").moments(scope_of())
    assert float(moments.mean[0]) == pytest.approx(0.35, rel=1e-14)
    assert float(moments.std[0]) == pytest.approx(1.7 / np.sqrt(12), rel=1e-14)
    midpoints, _ = read_law(LAWS["uniform"].replace("3}", "4, nodes: equiprobable}"))
    np.testing.assert_allclose(midpoints.nodes(scope_of())[0]["y"], -0.5 + 1.7 * np.array([0.125, 0.375, 0.625, 0.875]))


@pytest.mark.parametrize("points", [2, 3, 5, 12, 51, 200])
def test_rouwenhorst_has_exactly_the_persistence_and_the_variance_of_the_process(points):
    law, _ = read_law(LAWS["rouwenhorst"].replace("n_points: n", f"n_points: {points}"))
    nodes, moments = jax.jit(law.nodes), jax.jit(law.moments)
    pi = np.array([math.comb(points - 1, k) / 2 ** (points - 1) for k in range(points)])
    for rho in (-0.9, -0.3, 0.0, 0.2, 0.9, 0.99, 0.9999):
        scope = scope_of(NUMBERS | {"rho": rho})
        values, transition = nodes(scope)
        np.testing.assert_allclose(pi @ transition, pi, atol=1e-14)
        assert float(transition.min()) >= 0
        x = np.asarray(values["y"]) - 1.2
        variance = 0.09 / (1 - rho**2)
        np.testing.assert_allclose(pi @ x**2, variance, rtol=1e-12)
        np.testing.assert_allclose(transition @ x, rho * x, atol=1e-12 * np.abs(x).max())
        found = moments(scope)
        assert float(found.persistence) == pytest.approx(rho, abs=1e-12)
        assert float(found.std[0]) == pytest.approx(variance**0.5, rel=1e-12)


ORACLE = json.loads((Path(__file__).parent / "fixtures" / "quantecon.json").read_text())


@pytest.mark.parametrize("case", ORACLE, ids=lambda c: "-".join(str(c[k]) for k in ("method", "rho", "std", "n_points", "m")))
def test_chains_agree_with_quantecon(case):
    keys = ", ".join(f"{k}: {case[k]}" for k in ("rho", "std", "mean", "n_points") + ("m",) * (case["method"] == "tauchen"))
    law, errors = read_law(f"{{dimensions: [y], given: x, shock_method: {case['method']}, {keys}}}")
    # Theirs may be so far apart that no step is ever taken; ours is refused.
    assert [e.code for e in errors] == ["domain"] * np.allclose(case["transition"], np.eye(case["n_points"]), atol=1e-10)
    values, transition = jax.jit(law.nodes)(scope_of())
    np.testing.assert_allclose(values["y"], case["values"], atol=1e-14)
    np.testing.assert_allclose(transition, case["transition"], atol=1e-14)


@pytest.mark.parametrize("name", ["rouwenhorst levels", "tauchen levels"])
@pytest.mark.parametrize("rho", [0.0, 0.9, 0.97])
def test_levels_have_mean_one_times_the_mean(name, rho):
    law, scope = law_of(name), scope_of(NUMBERS | {"rho": rho})
    values, transition = law.nodes(scope)
    mean = 1.2 if "mean" in LAWS[name] else 1.0
    assert long_run(transition) @ values["y"] == pytest.approx(mean, rel=1e-12)
    assert float(law.moments(scope).mean[0]) == pytest.approx(mean, rel=1e-13)
    plain, _ = read_law(LAWS[name].replace("log: true, ", ""))
    steps = np.diff(np.asarray(plain.nodes(scope)[0]["y"]))
    np.testing.assert_allclose(np.diff(np.log(values["y"])), steps, rtol=1e-10)


def test_the_long_run_of_a_chain_that_hardly_moves_is_symmetric():
    """A step of five nodes has probability 1e-7; differences of a distribution function near one would lose it."""
    law, _ = read_law(LAWS["tauchen levels"].replace("log: true, n_points: 6", "n_points: 5"))
    scope = scope_of(NUMBERS | {"rho": 0.99})
    _, transition = law.nodes(scope)
    np.testing.assert_allclose(transition, transition[::-1, ::-1], rtol=1e-12)
    pi = np.asarray(stationary(transition))
    np.testing.assert_allclose(pi, pi[::-1], rtol=1e-9)
    np.testing.assert_allclose(pi @ transition, pi, rtol=1e-10)


def test_the_long_run_of_a_trap_is_the_trap():
    np.testing.assert_allclose(stationary(jnp.array([[1.0, 0.0], [0.02, 0.98]])), [1.0, 0.0], atol=1e-15)


@pytest.mark.parametrize("name", [n for n in MARKOV if "rho" in LAWS[n]])
def test_one_node_is_a_constant(name):
    law, errors = read_law(re.sub("n_points: [n56]", "n_points: 1", LAWS[name]))
    values, transition = law.nodes(scope_of())
    assert not errors and law.count == 1
    assert float(values["y"][0]) == pytest.approx(1.2 if "mean" in LAWS[name] else 1.0, rel=1e-15)
    np.testing.assert_array_equal(transition, [[1.0]])
    moments = law.moments(scope_of())
    assert float(moments.std[0]) == 0 and float(moments.persistence) == 0


@pytest.mark.parametrize("name", LAWS)
def test_shocks_are_of_the_type_of_the_model(name):
    law, scope = law_of(name), scope_of(dtype=jnp.float32)
    draws = lambda s: law.draws(s, jax.random.key(0), 4, jnp.zeros(4, jnp.float32))
    for read_off in (law.nodes, law.moments, draws):
        found = jax.tree.leaves(jax.eval_shape(read_off, scope))
        assert {x.dtype for x in found} == {jnp.dtype("float32")}


@pytest.mark.parametrize("name", LAWS)
def test_shocks_of_the_same_text_are_equal_whatever_the_numbers(name):
    first, again = law_of(name), read_law(LAWS[name], NUMBERS | {"mu": 1.3})[0]
    assert first == again and hash(first) == hash(again)
    assert all(first != law_of(other) for other in LAWS if other != name)


def test_rows_by_age_are_checked_in_every_period():
    """In the scope stands one period's slice; at the calibration stand all of them."""
    rows = [NUMBERS["P"], [[0.5, 0.5, 0.0], [0.1, 0.8, 0.1], [0.0, 0.3, 0.69]]]
    _, (error,) = read_law(LAWS["matrix"], NUMBERS | {"P": rows})
    assert error.code == "stochastic" and "row 3" in error.message and "0.99" in error.message and "period 1" in error.message
    law, errors = read_law(LAWS["pair"], NUMBERS | {"pr": [[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]]})
    assert law is not None and not errors


def test_shocks_are_read_and_checked_without_a_backend():
    code = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('laws', {str(Path(__file__))!r})\n"
        "laws = importlib.util.module_from_spec(spec); spec.loader.exec_module(laws)\n"
        "assert all(laws.law_of(name) for name in laws.LAWS)\n"
        "from jax._src import xla_bridge\n"
        "assert not xla_bridge.backends_are_initialized()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "JAX_PLATFORMS": "cpu"})


AR = "{dimensions: [y], shock_method: rouwenhorst, given: x, rho: 0.9, std: 0.1, n_points: 3}"
CHAIN = "{dimensions: [y], shock_method: markov, given: x, values: [0, 1], transition_matrix: [[0.9, 0.1], [0.2, 0.8]]}"
FLAT = "{dimensions: [y], shock_method: uniform, min: 0, max: 1, n_points: 3}"
BELL = "{dimensions: [y, z], shock_method: normal, mean: [0, 1], std: [0.1, 0.2], corr: 0.3, n_points: 3}"
CUBE = LAWS["three"]
MASS = "point_mass: {value: 0.3, prob: 0.05}"
WRONG = [  # block, what stands in it, what replaces it, code, text under the caret, a word of the message
    (AR, "given: x, ", "", "markov", "job", "given"),
    (AR, "given: x", "given: 3", "markov", "3", "state"),
    (CHAIN, "given: x, ", "", "markov", "job", "given"),
    (AR, "rho: 0.9", "rho: 1", "domain", "1", "(-1, 1)"),
    (AR, "rho: 0.9", "rho: -mu", "domain", "-mu", "-1.2"),
    (AR, "std: 0.1", "std: -0.1", "domain", "-0.1", "negative"),
    (AR, "rho: 0.9, ", "", "shock", "job", "rho"),
    (AR, "std: 0.1, ", "", "shock", "job", "std"),
    (AR, "n_points: 3", "n_points: 2000", "shock", "2000", "1000"),
    (AR, "n_points: 3", "n_points: 0", "type", "0", "size"),
    (AR, "n_points: 3", "n_points: 3, log: yes", "type", "yes", "true"),
    (AR, "n_points: 3", "n_points: 3, log: 1", "type", "1", "true"),
    (AR, "n_points: 3", "n_points: 3, log: true, mean: 0", "domain", "0", "positive"),
    (AR, "n_points: 3", "n_points: 3, m: 2", "unknown-key", "m", "tauchen"),
    (AR, "n_points: 3", "n_points: 3, probs: [1]", "unknown-key", "probs", "discrete"),
    (AR, "n_points: 3", "n_points: 3, men: 2", "unknown-key", "men", "did you mean `mean`"),
    (AR, "[y]", "[y, z]", "shape", "[", "one dimension"),
    (AR, "rouwenhorst", "rouwenhorts", "value", "rouwenhorts", "rouwenhorst"),
    (AR, "rouwenhorst, ", "tauchen, m: 0, ", "domain", "0", "width"),
    (AR, "rouwenhorst, given: x, rho: 0.9", "tauchen, given: x, rho: 0.999", "domain", "3", "more n_points"),
    (CHAIN, "[0.2, 0.8]", "[0.2, 0.7]", "stochastic", "[", "row 2 of `transition_matrix` sum to 0.9,"),
    (CHAIN, "[0.2, 0.8]", "[-0.2, 1.2]", "stochastic", "[", "-0.2"),
    (CHAIN, "[[0.9, 0.1], [0.2, 0.8]]", "[[0.9, 0.1], [0.2]]", "shape", "[", "row 2 has 1"),
    (CHAIN, "[[0.9, 0.1], [0.2, 0.8]]", "P", "shape", "P", "2 values but a 3x3"),
    (CHAIN, "[[0.9, 0.1], [0.2, 0.8]]", "vals", "shape", "vals", "square matrix"),
    (CHAIN, "[[0.9, 0.1], [0.2, 0.8]]", "mu", "shock", "mu", "matrix parameter"),
    (CHAIN, "[[0.9, 0.1], [0.2, 0.8]]", "[[0.9, oops], [0.2, 0.8]]", "unknown-symbol", "oops", "oops"),
    (CHAIN, "values: [0, 1]", "values: P", "shape", "P", "takes a vector"),
    (CHAIN, "values: [0, 1]", "values: [1, 1]", "markov", "[", "tell them apart"),
    (CHAIN, "values: [0, 1], ", "", "shock", "{", "values"),
    (FLAT, "min: 0, max: 1", "min: 0, std: 1", "shock", "job", "either"),
    (FLAT, "min: 0, max: 1", "min: 0, max: 1, mean: 0", "shock", "job", "either"),
    (FLAT, "min: 0", "min: 2", "domain", "2", "above max"),
    (FLAT, "min: 0, max: 1", "mean: 0, std: -1", "domain", "-1", "negative"),
    (FLAT, "n_points: 3", "n_points: 3, nodes: hermite", "value", "hermite", "normal density"),
    (FLAT, "n_points: 3", "n_points: 3, corr: 0.1", "unknown-key", "corr", "normal, lognormal"),
    (FLAT, "n_points: 3", "n_points: 3, given: x", "unknown-key", "given", "markov, rouwenhorst, tauchen"),
    (FLAT, "n_points: 3", f"n_points: 3, {MASS}".replace("0.05", "1"), "domain", "1", "[0, 1)"),
    (FLAT, "n_points: 3", f"n_points: 3, {MASS}".replace("prob", "probs"), "unknown-key", "probs", "prob"),
    (FLAT, "n_points: 3", "n_points: 3, point_mass: 0.3", "type", "0.3", "mapping"),
    (FLAT, "n_points: 3", "n_points: 3, point_mass: {value: 0.3}", "shock", "point_mass", "prob"),
    (BELL, "n_points: 3", f"n_points: 3, {MASS}", "shape", "0.3", "2 dimensions"),
    (BELL, "0.2]", "-0.2]", "domain", "-0.2", "`z`"),
    (BELL, "n_points: 3", "n_points: [3, 0]", "type", "0", "size"),
    (BELL, "corr: 0.3", "corr: 1", "domain", "1", "(-1, 1)"),
    (BELL, "corr: 0.3", "corr: [[1, 0.3], [0.2, 1]]", "shape", "[", "symmetric"),
    (BELL, "corr: 0.3", "corr: [[1, 0.3], [0.3, 0.9]]", "domain", "0.9", "diagonal"),
    (BELL, "corr: 0.3", "corr: [[1, mu], [mu, 1]]", "domain", "mu", "1.2"),
    (CUBE, "[[1, rho, p], [rho, 1, q], [p, q, 1]]", "-0.6", "domain", "-0.6", "positive definite"),
]  # fmt: skip


@pytest.mark.parametrize(("block", "old", "new", "code", "caret", "word"), WRONG)
def test_a_wrong_shock_is_refused_where_it_is_wrong(block, old, new, code, caret, word):
    assert old in block and not read_law(block)[1]
    _, errors = read_law(block.replace(old, new))
    found = [e for e in errors if e.code == code and word in f"{e.message} {e.help}"]
    assert found, [str(e) for e in errors]
    assert found[0].mark.text[found[0].mark.column - 1 :].startswith(caret), str(found[0])


def test_every_method_has_its_keys_with_their_meaning():
    assert {law_of(name).__class__ for name in LAWS} == {Normal, Uniform, Discrete, Markov, Autoregressive}
    for method, keys in SHOCK_KEYS.items():
        _, errors = read_law(f"{{dimensions: [y], shock_method: {method}, qqqqqq: 1}}")
        (error,) = [e for e in errors if e.code == "unknown-key"]
        assert error.help == f"the keys are {', '.join(keys)}"
        assert all(keys.values())


def test_equiprobable_levels_keep_their_mean_and_have_derivatives():
    """HARK's nodes of a mean-one lognormal with seven cells."""
    law = "{dimensions: [y], shock_method: lognormal, mean: 1.0, std: sigma, n_points: 7, nodes: equiprobable}"
    (shock, _), scope = read_law(law), scope_of()
    nodes, weights = shock.nodes({**scope, "sigma": jnp.asarray(0.1)})
    known = [0.85043016, 0.91862319, 0.95908471, 0.99506599, 1.03241349, 1.0779763, 1.16640616]
    np.testing.assert_allclose(nodes["y"], known, atol=1e-8)
    np.testing.assert_allclose(nodes["y"] @ weights, 1.0, atol=1e-14)
    slope = jax.jacfwd(lambda s: shock.nodes({**scope, "sigma": s})[0]["y"])(0.1)
    up, down = (shock.nodes({**scope, "sigma": jnp.asarray(0.1 + h)})[0]["y"] for h in (1e-6, -1e-6))
    np.testing.assert_allclose(slope, (up - down) / 2e-6, atol=1e-8)


def test_the_normal_quantile_is_exact_to_the_last_digits_far_into_both_tails():
    """Beside SciPy's."""
    u = np.concatenate([np.geomspace(1e-300, 0.5, 20_000), 1 - np.geomspace(2.0**-53, 0.5, 20_000)])
    np.testing.assert_allclose(jax.scipy.special.ndtri(jnp.asarray(u)), ndtri(u), rtol=3e-15, atol=1e-16)
    single = u[(u > 1e-30) & (u < 1 - 1e-7)].astype(np.float32)
    np.testing.assert_allclose(jax.scipy.special.ndtri(jnp.asarray(single)), ndtri(single.astype(float)), rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_standard_normal_draws_are_finite_and_follow_their_law(dtype):
    """Kolmogorov's distance to the law, whose square root of n times is above 2.2 once in ten thousand."""
    z = np.sort(standard_normal(jax.random.key(0), 100_000, dtype))
    assert np.isfinite(z).all() and z.dtype == dtype
    assert np.abs(ndtr(z.astype(float)) - (np.arange(z.size) + 0.5) / z.size).max() < 2.2 / np.sqrt(z.size)


@pytest.mark.parametrize(
    ("matrix", "told"),
    [
        ("[[1.0, 0.5], [0.4, 1.0]]", "not symmetric"),
        ("[[1.1, 0.5], [0.5, 1.0]]", "diagonal"),
        ("[[1.0, 1.0], [1.0, 1.0]]", "not positive definite"),
        ("[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]", "3x3"),
        ("[0.1, 0.2]", "a square matrix"),
    ],
)
def test_a_matrix_of_correlations_that_is_none_is_refused(matrix, told):
    text = (Path(__file__).parents[1] / "models" / "portfolio.yml").read_text()
    with pytest.raises(heptapod.ModelError, match=told):
        heptapod.load(text.replace("corr: 0.15", f"corr: {matrix}"))
