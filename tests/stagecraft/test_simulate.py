"""Panels: the laws that simulated households obey, and gradients through them."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stagecraft as sc

sys.path.insert(0, str(Path(__file__).parent))
from models import BUFFER


@pytest.fixture(scope="module")
def solved():
    return sc.solve(sc.load(BUFFER))


@pytest.fixture(scope="module")
def panel(solved):
    return sc.simulate(solved, {"a": jnp.linspace(0, 3, 4_000)}, key=jax.random.key(3))


def test_every_agent_keeps_the_budget(panel):
    cons = panel["CONS"]
    floor, growth = 0.3, np.where(np.arange(12) < 6, 1.02, 1.0)[:, None]
    np.testing.assert_allclose(cons["m"], 1.03 / growth * cons["a"] + floor + (1 - floor) * cons["y"], rtol=1e-12)
    np.testing.assert_allclose(cons["a_nxt"], cons["m"] - cons["c"], rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(cons["a"][1:], cons["a_nxt"][:-1])
    assert np.all(cons["a_nxt"] >= 0)


def test_shocks_have_the_moments_of_their_law(panel):
    y = np.asarray(panel["y"])
    assert abs(y.mean() - 1.0) < 4 * y.std() / np.sqrt(y.size)
    assert abs(np.log(y).std() / 0.15 - 1) < 4 / np.sqrt(2 * y.size)


def test_an_agent_does_not_notice_how_many_others_there_are(solved, panel):
    few = sc.simulate(solved, {"a": jnp.linspace(0, 3, 4_000)[:7]}, key=jax.random.key(3))
    np.testing.assert_array_equal(few["c"], panel["c"][:, :7])


def test_the_policy_of_the_panel_is_the_policy_of_the_solution(solved, panel):
    for t in (0, 7, 11):
        c = solved[t]["CONS"].dcsn.sol.policy["c"](m=panel["m"][t])
        np.testing.assert_allclose(panel["c"][t], c, rtol=1e-12)


def test_a_long_frame_has_one_row_per_agent_and_period(panel):
    frame = panel.to_pandas()
    assert list(frame.columns[:4]) == ["period", "age", "agent", "stage"]
    assert len(frame) == 12 * 4_000 and frame["age"].min() == 30 and frame["age"].max() == 41
    row = frame[(frame.period == 5) & (frame.agent == 17)].iloc[0]
    assert row["c"] == float(panel["c"][5, 17])


@pytest.mark.slow
def test_gradients_pass_through_the_simulation(solved):
    circuit = sc.load(BUFFER)

    @jax.jit
    def wealth(parameters):
        panel = sc.simulate(
            sc.solve(circuit.with_parameters(parameters)), {"a": jnp.linspace(0, 2, 3_000)}, key=jax.random.key(1)
        )
        return panel["a"][8].mean()

    gradient = jax.jit(jax.grad(wealth))(circuit.parameters)
    for scope, name in [
        ("main", "beta"),
        ("main", "R"),
        ("CONS", "gamma"),
        ("CONS", "sigma_y"),
        ("CONS", "G"),
        ("CONS", "floor"),
    ]:
        value, h = circuit.parameters[scope][name], 1e-6
        up, down = (wealth({**circuit.parameters, scope: {**circuit.parameters[scope], name: value + s * h}}) for s in (1, -1))
        difference = (float(up) - float(down)) / (2 * h)
        np.testing.assert_allclose(float(jnp.sum(gradient[scope][name])), difference, rtol=1e-5)


@pytest.mark.slow
def test_euler_errors_fall_with_the_grid():
    means = []
    for n in (40, 160):
        solved = sc.solve(sc.load(BUFFER.replace("n: 40", f"n: {n}")))
        errors = sc.euler_errors(solved, agents=500)
        means.append(errors.mean)
        assert errors.max > errors.mean
    # The policy is linear between knots, so that four times the knots bring about 2 log10(4) = 1.2.
    assert means[0] - means[1] > 0.9
    np.testing.assert_allclose(np.nanmean(errors), errors.mean)
    np.testing.assert_array_equal(errors["CONS"], np.asarray(errors))
    frame = errors.to_pandas()
    assert len(frame) == 12 and frame["constrained"].between(0, 1).all()


@pytest.mark.slow
def test_euler_errors_say_what_a_panel_has_not_kept(solved, panel):
    initial, key = {"a": jnp.zeros(50)}, jax.random.key(1)
    with pytest.raises(ValueError, match=r"the panel has no CONS.m, CONS.a_nxt; simulate it with keep=\['CONS.m', 'CONS.c'"):
        sc.euler_errors(solved, sc.simulate(solved, initial, key=key, keep=["CONS.c"]))
    few = sc.simulate(solved, initial, key=key, keep=["CONS.m", "CONS.c", "CONS.a_nxt"])
    assert sc.euler_errors(solved, few).mean == sc.euler_errors(solved, sc.simulate(solved, initial, key=key)).mean


def test_a_post_state_may_have_the_name_of_the_arrival():
    """Euler errors read assets at the end of the period, not at its beginning, whatever they are called."""
    errors = []
    for model in (BUFFER, BUFFER.replace("a_nxt", "a")):
        circuit = sc.solve(sc.load(model))
        errors.append(sc.euler_errors(circuit, sc.simulate(circuit, {"a": jnp.ones(20)}, key=jax.random.key(0))))
    np.testing.assert_allclose(np.asarray(errors[0]), np.asarray(errors[1]), equal_nan=True)


def test_euler_errors_of_the_example_are_small():
    path = Path(__file__).parents[2] / "examples" / "cons_indshock" / "cons_indshock.yml"
    solved = sc.solve(sc.load(path))
    panel = sc.simulate(solved, {"a": 0.0}, agents=1_000, key=jax.random.key(0))
    assert sc.euler_errors(solved, panel).mean <= -4
