"""Euler errors midway between knots: right where they are told, warned of where they are large, and nothing is compiled."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stagecraft as sc
from stagecraft.backward.midpoints import midway

MODEL = """
dialect: 1
model:
  name: Midway
  horizon: HORIZON
  terminal: log(a + 1)
  defaults: {inherit: all}
  parameters: {beta: 0.95, R: 1.02, gamma: 2.0, G: 1.01}
  definitions: {growth: G^(1-gamma)}
  connections: {inter_period: [{source: C, target: C, mapping: {b: a, z: z_pre}}]}
stage:
  name: C
  math:
    functions: {g_av: m = R/G*a + y*z, g_ve: b = m - c, Q: "c^(1-gamma)/(1-gamma) + beta*V[>]", A: "E[growth*V]"}
    controls: {c: 0 < c <= m}
    shocks:
      income: {dimensions: ["y"], shock_method: lognormal, std: 0.2, n_points: 3}
      state: {dimensions: ["z"], shock_method: markov, values: [0.5, 1.5], transition_matrix: [[0.8, 0.2], [0.3, 0.7]], given: z_pre}
    state_space:
      arvl: {dimensions: ["a", "z_pre"], grid: {z_pre: {nodes_of: state}}}
      dcsn: {dimensions: ["m", "z"]}
      cntn: {dimensions: ["b", "z"], grid: {b: {type: exp, min: 0.0, max: 20.0, points: POINTS}}}
"""


def solved(points, horizon="4"):
    return sc.solve(sc.load(MODEL.replace("HORIZON", horizon).replace("POINTS", str(points))))


def expected(circuit, t):
    """By the continuation as JAX evaluates it, at the same points."""
    stage, found = circuit[t]["C"], []
    for r, z in enumerate((0.5, 1.5)):
        rows = stage.dcsn.sol.rows
        m, c = (0.5 * (x[r, 1:] + x[r, :-1]) for x in map(np.asarray, (rows.state, rows.control)))
        answer = stage.cntn.sol.at({"b": jnp.asarray(m - c), "z": jnp.full(m.shape, z)})
        implied = (0.95 * np.asarray(answer.marginal["b"])) ** -0.5
        free = (m >= np.asarray(rows.corner)[r]) & (c < m * (1 - 1e-6)) & (np.asarray(answer.outside) == 0)
        found.append(np.abs(1 - implied / c)[free])
    return np.concatenate(found)


@pytest.mark.parametrize(
    ("horizon", "t"),
    [("4", 0), pytest.param("4", 2, marks=pytest.mark.slow), pytest.param("infinite", 0, marks=pytest.mark.slow)],
)
def test_errors_midway_are_those_of_the_continuation_itself(horizon, t, caplog):
    circuit = solved(40, horizon)
    jax.clear_caches()
    with jax.log_compiles(), caplog.at_level(logging.DEBUG, logger="jax"):
        found = midway(circuit, "C", t)
    assert not [r for r in caplog.records if "ompiling" in r.getMessage()]
    np.testing.assert_allclose(found, expected(circuit, t), rtol=1e-5, atol=1e-9)
    assert found.size > 60 and found.max() < 1e-2


def test_three_points_are_too_few_and_the_solve_says_so():
    with pytest.warns(UserWarning, match=r"stage C, period \d: midway between knots Euler errors are up to .* more points"):
        solved(3)
