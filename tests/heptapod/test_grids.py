"""Grids: ends, order, and gradients in their bounds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from heptapod.spaces.grids import place


@pytest.mark.parametrize("kind", ["linspace", "geomspace", "exp", "power", "chebyshev"])
def test_a_grid_begins_and_ends_where_it_says_and_increases(kind):
    knots = np.asarray(place(kind, 0.5, 12.0, 31))
    assert knots[0] == 0.5 and knots[-1] == 12.0 and knots.shape == (31,)
    assert (np.diff(knots) > 0).all()


def test_each_kind_spaces_its_knots_as_defined():
    np.testing.assert_allclose(place("linspace", 1, 3, 5), [1, 1.5, 2, 2.5, 3])
    np.testing.assert_allclose(place("geomspace", 1, 16, 5), [1, 2, 4, 8, 16], rtol=1e-14)
    np.testing.assert_allclose(place("power", 1, 3, 5, 3.0), 1 + 2 * np.linspace(0, 1, 5) ** 3)
    nested = np.asarray(place("exp", 0.0, 50.0, 9, 2.0))
    np.testing.assert_allclose(np.diff(np.log1p(np.log1p(nested))), np.log1p(np.log1p(50.0)) / 8, rtol=1e-10)


@pytest.mark.parametrize("kind", ["linspace", "geomspace", "exp", "power", "chebyshev"])
def test_the_bounds_of_a_grid_have_gradients(kind):
    total = lambda high: jnp.sum(jnp.sin(place(kind, 0.5, high, 12)))
    h = 1e-6
    assert float(jax.grad(total)(9.0)) == pytest.approx(float(total(9.0 + h) - total(9.0 - h)) / (2 * h), rel=1e-6)
