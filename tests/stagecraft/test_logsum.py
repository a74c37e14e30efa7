"""The value of a discrete choice against closed forms, limits, invariances and central differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagecraft.operators.logsum import logsum, nature

ALL = jnp.ones(3, bool)
numbers = st.lists(st.floats(-50, 50, allow_subnormal=False), min_size=3, max_size=3)


def test_two_alternatives_are_chosen_by_the_logistic_of_their_difference():
    value, p = logsum(jnp.array([1.0, 1.7]), jnp.ones(2, bool), 0.5)
    np.testing.assert_allclose(p, jax.nn.sigmoid(jnp.array([-1.4, 1.4])), rtol=1e-15)
    np.testing.assert_allclose(value, 0.5 * np.log(np.exp(2.0) + np.exp(3.4)), rtol=1e-15)


@given(numbers, st.floats(1e-3, 1e3))
def test_equal_alternatives_gain_the_log_of_their_number(values, scale):
    value, p = logsum(jnp.full(3, values[0]), ALL, scale)
    np.testing.assert_allclose(value, values[0] + scale * np.log(3), rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(p, 1 / 3)


@given(numbers, st.floats(-1e3, 1e3), st.floats(1e-3, 1e2))
def test_a_common_shift_moves_the_value_and_no_choice(values, shift, scale):
    value, p = logsum(jnp.array(values), ALL, scale)
    moved, same = logsum(jnp.array(values) + shift, ALL, scale)
    np.testing.assert_allclose(moved, value + shift, rtol=1e-12, atol=1e-11)
    np.testing.assert_allclose(same, p, rtol=1e-12 * 1e3 / scale, atol=1e-300)
    np.testing.assert_allclose(p.sum(), 1.0, rtol=1e-14)


@given(numbers, st.floats(1e-3, 1e2))
def test_the_value_is_mean_utility_plus_scaled_entropy(values, scale):
    value, p = logsum(jnp.array(values), ALL, scale)
    entropy = -jnp.sum(jnp.where(p > 0, p * jnp.log(jnp.where(p > 0, p, 1.0)), 0.0))
    np.testing.assert_allclose(value, p @ jnp.array(values) + scale * entropy, rtol=1e-12, atol=1e-11)


@given(numbers)
def test_small_scales_lead_to_the_hard_maximum(values):
    values = jnp.array(values)
    hard, certain = logsum(values, ALL, 0.0)
    assert hard == values.max() and certain[jnp.argmax(values)] == 1 and certain.sum() == 1
    for scale in (1e-3, 1e-9, 1e-100, 1e-200, 5e-324):
        value, p = logsum(values, ALL, scale)
        assert 0 <= value - hard <= scale * np.log(3) * (1 + 1e-12) + 1e-14 and np.isfinite(p).all()


def test_of_equal_alternatives_without_taste_shocks_the_first_is_taken():
    value, p = logsum(jnp.array([1.0, 2.0, 2.0]), ALL, 0.0)
    assert value == 2 and p.tolist() == [0, 1, 0]


def test_one_program_serves_every_scale():
    f = jax.jit(logsum)
    for scale in (0.0, 1e-3, 1.0):
        f(jnp.array([1.0, 2.0, 2.0]), ALL, jnp.asarray(scale))
    assert f._cache_size() == 1


@pytest.mark.parametrize("junk", [7.0, -jnp.inf, jnp.inf, jnp.nan])
@pytest.mark.parametrize("scale", [0.0, 0.3])
def test_the_infeasible_is_never_chosen_and_never_poisons(junk, scale):
    feasible = jnp.array([True, False, True])
    f = lambda v, s: logsum(jnp.stack([v[0], junk + v[1], v[2]]), feasible, s)
    v = jnp.array([1.0, 0.0, 1.5])
    value, p = f(v, scale)
    alone, q = logsum(v[::2], jnp.ones(2, bool), scale)
    assert value == alone and p[1] == 0 and p[::2].tolist() == q.tolist()
    of_value, of_scale = jax.grad(lambda v, s: f(v, s)[0], (0, 1))(v, scale)
    np.testing.assert_allclose(of_value, p, rtol=1e-14)
    assert jnp.isfinite(of_scale)
    assert jnp.isfinite(jax.jacobian(lambda s: f(v, s)[1])(scale)).all()


@pytest.mark.parametrize("scale", [0.0, 0.3])
def test_where_nothing_is_feasible_everything_is_zero_and_finite(scale):
    f = lambda v, s: logsum(v, jnp.zeros(3, bool), s)
    v = jnp.array([1.0, jnp.nan, -jnp.inf])
    value, p = f(v, scale)
    assert value == 0 and p.tolist() == [0, 0, 0]
    for g in jax.grad(lambda v, s: sum(map(jnp.sum, f(v, s))), (0, 1))(v, scale):
        assert jnp.all(g == 0)


@pytest.mark.parametrize("scale", [0.05, 1.0, 40.0])
def test_derivatives_are_probabilities_and_entropy_and_central_differences(scale):
    rng = np.random.default_rng(0)
    v = jnp.asarray(rng.normal(size=(3, 5)))
    feasible = jnp.asarray(rng.uniform(size=(3, 5)) > 0.2).at[0].set(True)
    value = lambda v, s: jnp.sum(logsum(v, feasible, s)[0])
    of_values, of_scale = jax.grad(value, (0, 1))(v, scale)
    p = logsum(v, feasible, scale)[1]
    np.testing.assert_allclose(of_values, p, rtol=1e-12)
    np.testing.assert_allclose(
        of_scale, -jnp.sum(jnp.where(p > 0, p * jnp.log(jnp.where(p > 0, p, 1)), 0)), rtol=1e-9, atol=1e-12
    )
    direction, h = jnp.asarray(rng.normal(size=v.shape)), 1e-6 * scale
    f = lambda t: logsum(v + t * direction, feasible, scale * (1 + t / 3))
    _, tangents = jax.jvp(f, (0.0,), (1.0,))
    for tangent, above, below in zip(tangents, f(h), f(-h), strict=True):
        np.testing.assert_allclose(tangent, (above - below) / (2 * h), rtol=1e-6, atol=1e-6 * (1 + jnp.abs(tangent).max()))
    weights = jnp.asarray(rng.normal(size=v.shape))
    reverse = jax.grad(lambda t: jnp.sum(weights * f(t)[1]))(0.0)
    np.testing.assert_allclose(reverse, jnp.sum(weights * tangents[1]), rtol=1e-9, atol=1e-12)


def test_without_taste_shocks_the_gradient_is_that_of_the_chosen_alternative():
    of_values, of_scale = jax.grad(lambda v, s: logsum(v, ALL, s)[0], (0, 1))(jnp.array([1.0, 3.0, 3.0]), 0.0)
    assert of_values.tolist() == [0, 1, 0] and of_scale == 0
    _, (of_value, of_choice) = jax.jvp(lambda v: logsum(v, ALL, 0.0), (jnp.array([1.0, 3.0, 3.0]),), (jnp.ones(3),))
    assert of_value == 1 and of_choice.tolist() == [0, 0, 0]


@pytest.mark.parametrize("scale", [1e-150, 1e-3, 0.0])
def test_huge_differences_do_not_overflow(scale):
    f = lambda v, s: logsum(v, ALL, s)[0]
    v = jnp.array([-1e250, 1e6, 1e250])
    assert f(v, scale) == 1e250
    for g in jax.grad(f, (0, 1))(v, scale):
        assert jnp.isfinite(g).all()


def test_single_precision_has_the_same_limits():
    v = jnp.array([1.0, 2.0, 5.0], jnp.float32)
    for scale in (0.0, 1e-30, 1e-12, 0.1):
        value, p = logsum(v, ALL, scale)
        g = jax.grad(lambda v, s: logsum(v, ALL, s)[0], (0, 1))(v, scale)
        assert value.dtype == p.dtype == jnp.float32 and abs(value - 5) < 1e-5
        assert jnp.isfinite(g[0]).all() and jnp.isfinite(g[1])


def test_nature_takes_the_mean_and_minds_only_branches_that_may_happen():
    v = jnp.array([[1.0, 2.0, jnp.nan], [3.0, -jnp.inf, -jnp.inf]])
    feasible = jnp.array([[True, True, False], [True, False, False]])
    mean, exists = nature(v, feasible, jnp.array([0.25, 0.75]))
    assert exists.tolist() == [True, False, False] and mean[0] == 2.5 and jnp.isfinite(mean).all()
    mean, exists = nature(v, feasible, jnp.array([[0.25, 1.0, 0.0], [0.75, 0.0, 1.0]]))
    assert exists.tolist() == [True, True, False] and mean[:2].tolist() == [2.5, 2.0]


def test_the_mean_of_a_constant_is_that_constant_and_its_gradient_the_probabilities():
    probabilities = jnp.array([0.2, 0.8, 0.0])
    feasible = jnp.array([True, True, False])
    of_values, of_probabilities = jax.grad(lambda v, p: nature(v, feasible, p)[0], (0, 1))(
        jnp.array([7.0, 7.0, jnp.nan]), probabilities
    )
    np.testing.assert_allclose(of_values, probabilities)
    assert of_probabilities.tolist() == [7, 7, 0]
