"""Lookup, interpolation, roots and expectations against numpy, closed forms and central differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagecraft.operators.expectation import expect
from stagecraft.operators.interpolate import Segment, lookup, place, tamed
from stagecraft.operators.rootfind import bracketed_newton, golden_section, newton_within

# XLA flushes subnormal numbers to zero.
floats = st.floats(-1e3, 1e3, allow_nan=False, allow_subnormal=False)


@settings(deadline=None, max_examples=40)
@given(st.lists(floats, min_size=2, max_size=33, unique=True), st.lists(floats, min_size=1, max_size=20))
def test_the_segment_of_a_query_is_the_one_that_holds_it(knots, queries):
    knots, queries = np.sort(knots), np.array(queries)
    expected = np.clip(np.searchsorted(knots, queries, side="right") - 1, 0, len(knots) - 2)
    np.testing.assert_array_equal(lookup(jnp.asarray(knots), jnp.asarray(queries)), expected)


def test_of_a_repeated_knot_the_last_is_found():
    knots = jnp.array([0.0, 1.0, 1.0, 1.0, 2.0])
    np.testing.assert_array_equal(lookup(knots, jnp.array([0.5, 1.0, 1.5, 9.0, -1.0])), [0, 3, 3, 3, 0])


def test_linear_interpolation_reproduces_lines_beyond_the_ends():
    knots = jnp.array([0.0, 0.3, 1.1, 4.0])
    q = jnp.array([-2.0, 0.0, 0.2, 1.1, 3.0, 4.0, 9.0])
    np.testing.assert_allclose(Segment(knots, q).linear(2 - 3 * knots), 2 - 3 * q, atol=1e-14)


def test_hermite_reproduces_cubics_between_knots_and_is_of_fourth_order():
    f, d = lambda x: x**3 - 2 * x + 1, lambda x: 3 * x**2 - 2
    knots = jnp.array([0.0, 0.7, 1.5, 2.0])
    q = jnp.linspace(0.0, 2.0, 17)
    np.testing.assert_allclose(Segment(knots, q).hermite(f(knots), d(knots)), f(q), atol=1e-13)
    errors = []
    for n in (9, 17, 33):
        knots = jnp.linspace(0.0, 3.0, n)
        q = jnp.linspace(0.01, 2.99, 301)
        errors.append(float(jnp.max(jnp.abs(Segment(knots, q).hermite(jnp.sin(knots), jnp.cos(knots)) - jnp.sin(q)))))
    assert errors[0] / errors[1] > 14 and errors[1] / errors[2] > 14


def test_tamed_slopes_keep_a_cell_monotone_or_let_it_bend_once():
    """Where the slopes at both ends say so there is a peak inside, that of a parabola at its place; nothing overshoots elsewhere."""
    q = jnp.linspace(0.0, 1.0, 201)
    cell = jax.jit(jax.vmap(lambda rise, d0, d1: Segment(jnp.array([0.0, 1.0]), q).cubic(0.0, rise, *tamed(d0, d1, rise))))
    parabola = cell(jnp.array([-0.4]), jnp.array([0.6]), jnp.array([-1.4]))[0]
    np.testing.assert_allclose(parabola, 0.6 * q - q**2, atol=1e-15)
    rise, d0, d1 = np.random.default_rng(0).normal(size=(3, 400)) * [[1.0], [8.0], [8.0]]
    found = np.asarray(cell(*[jnp.asarray(x) for x in (rise, d0, d1)]))
    peak, trough = (
        (d0 > np.maximum(rise, 0)) & (d1 < np.minimum(rise, 0)),
        (d0 < np.minimum(rise, 0)) & (d1 > np.maximum(rise, 0)),
    )
    assert (np.diff(found, 2)[peak] < 1e-12).all() and (np.diff(found, 2)[trough] > -1e-12).all()
    elsewhere = ~peak & ~trough
    assert (np.diff(found)[elsewhere] * np.sign(rise)[elsewhere, None] > -1e-12).all() and elsewhere.mean() < 0.9


def test_interpolation_is_differentiable_in_knots_values_and_queries():
    knots, values, q = jnp.array([0.0, 0.4, 1.0, 2.5]), jnp.array([1.0, 0.2, 3.0, 3.5]), jnp.array([0.1, 0.77, 2.0, 3.0])
    f = lambda k, v, x: jnp.sum(jnp.sin(Segment(k, x).linear(v)) + Segment(k, x).hermite(v, v**2))
    gradient = jax.grad(f, (0, 1, 2))(knots, values, q)
    h = 1e-6
    for i, at in enumerate((knots, values, q)):
        for j in range(at.shape[0]):
            moved = [[knots, values, q] for _ in range(2)]
            for m, s in zip(moved, (1, -1), strict=True):
                m[i] = at.at[j].add(s * h)
            difference = (f(*moved[0]) - f(*moved[1])) / (2 * h)
            np.testing.assert_allclose(gradient[i][j], difference, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("start", [1e-3, 1.0, 1e4])
def test_the_root_of_a_decreasing_condition_is_found_from_anywhere(start):
    slope = jnp.array([1e-6, 0.1, 1.0, 50.0, 1e8])
    root = bracketed_newton(lambda c: c**-2.0 - slope, jnp.zeros(5), jnp.full(5, start))
    np.testing.assert_allclose(root, slope**-0.5, rtol=1e-12)


def test_an_increasing_condition_and_another_lower_end():
    y = jnp.array([0.0, 2.0, 30.0])
    root = bracketed_newton(lambda x: jnp.exp(x) - 1 + x - y, jnp.full(3, -10.0), jnp.full(3, -9.0))
    np.testing.assert_allclose(jnp.exp(root) - 1 + root, y, atol=1e-12)


def test_the_derivative_of_a_root_is_that_of_the_implicit_function_theorem():
    f = lambda a: jnp.sum(bracketed_newton(lambda c: c**-a - 3.0, jnp.zeros(1), jnp.ones(1)))
    exact = jax.grad(lambda a: 3.0 ** (-1 / a))
    np.testing.assert_allclose(jax.grad(f)(2.3), exact(2.3), rtol=1e-12)
    _, forward = jax.jvp(f, (2.3,), (1.0,))
    np.testing.assert_allclose(forward, exact(2.3), rtol=1e-12)


def test_without_a_sign_change_there_is_no_root():
    assert bool(jnp.isnan(bracketed_newton(lambda c: c**2 + 1, jnp.zeros(1), jnp.ones(1)))[0])


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(
    ("shape", "root"),
    [
        (lambda x: 0.3 - x, 0.3),
        (lambda x: jnp.arctan(20.0 * (0.9 - x)), 0.9),  # From the middle Newton's step leaves the bracket.
        (lambda x: jnp.where(x < 0.25, 0.25 - x, 40.0 * (0.25 - x)), 0.25),  # A kink at the root.
        (lambda x: 1e-3 - x**9, 1e-3 ** (1 / 9)),
    ],
    ids=["line", "steep", "kink", "flat"],
)
def test_a_root_in_a_bracket_is_found_whichever_way_the_function_goes(shape, root, sign):
    function = lambda x: sign * shape(x)
    look = lambda x: (*jax.jvp(function, (x,), (jnp.ones_like(x),)), 0.0)
    low, high = jnp.array([0.0, 0.2]), jnp.array([1.0, 1.0])
    found = newton_within(look, low, high, 0.5 * (low + high), sign, 1e-15)
    np.testing.assert_allclose(found, root, rtol=1e-14)


def test_newton_steps_in_a_bracket_carry_no_gradient():
    look = lambda a: lambda x: (a - x, -jnp.ones_like(x), 0.0)
    f = lambda a: newton_within(look(a), jnp.zeros(1), jnp.ones(1), jnp.full(1, 0.5), 1.0, 1e-15)[0]
    assert jax.grad(f)(0.3) == 0.0


def test_golden_section_finds_every_peak_and_the_end_to_which_a_rise_leads():
    peak = jnp.array([-0.7, 0.0, 0.4321, 1.0])
    (left, at_left), (right, at_right) = golden_section(lambda x: -(jnp.abs(x - peak) ** 1.5), -jnp.ones(4), jnp.ones(4), 60)
    np.testing.assert_allclose(jnp.where(at_left > at_right, left, right), peak, atol=1e-11)


def test_the_expectation_of_a_constant_is_that_constant_and_null_nodes_do_no_harm():
    weights = jnp.array([0.5, 0.5, 0.0])
    np.testing.assert_allclose(expect(weights, jnp.full((3, 4), 7.0)), jnp.full(4, 7.0))
    assert float(expect(weights, jnp.array([1.0, 3.0, -jnp.inf]))) == 2.0


@pytest.mark.parametrize("ends", [(0.0, 1.0), (-3.0, 7.0), (0.1, 0.7), (1e6, 1e6 + 3)])
def test_equidistant_knots_are_found_by_arithmetic(ends):
    """As by bisection: at the knots themselves, beside them, beyond both ends, and for a NaN."""
    knots = jnp.linspace(*ends, 53)
    queries = jnp.concatenate([
        knots, jnp.nextafter(knots, -jnp.inf), jnp.nextafter(knots, jnp.inf), 0.5 * (knots[1:] + knots[:-1]),
        jnp.array([ends[0] - 5, ends[1] + 5, jnp.nan, jnp.inf, -jnp.inf]),
    ])  # fmt: skip
    np.testing.assert_array_equal(place(knots, queries[:-2]), lookup(knots, queries[:-2]))
    assert set(np.asarray(place(knots, queries[-2:])).tolist()) <= set(range(52))
