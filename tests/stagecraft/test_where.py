"""The choice between arrays is that of JAX's NumPy: numbers, types, weak types and shapes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagecraft.arrays import where

VALUES = [1.0, 2, True, np.nan, np.float32(1), np.ones(3), np.ones((2, 1), np.float32), jnp.ones(3, jnp.float32),
          jnp.asarray(2.0), jnp.arange(3), jnp.asarray(1, jnp.int32), jnp.ones(3, bool)]  # fmt: skip
CONDITIONS = [True, np.array(True), np.array([True, False, True]), np.array([[True], [False]]), np.arange(3)]


@pytest.mark.parametrize("condition", CONDITIONS, ids=str)
def test_it_is_that_of_numpy(condition):
    pairs = [(x, y) for x in VALUES for y in VALUES]
    both = lambda choose, c: [choose(c, x, y) for x, y in pairs]
    # Eagerly, and of traced conditions.
    for theirs, ours in (
        (both(jnp.where, condition), both(where, condition)),
        (jax.jit(lambda c: both(jnp.where, c))(condition), jax.jit(lambda c: both(where, c))(condition)),
    ):
        for a, b in zip(theirs, ours, strict=True):
            assert (a.dtype, a.shape, a.weak_type) == (b.dtype, b.shape, b.weak_type)
            np.testing.assert_array_equal(a, b)


def test_it_is_one_equation_beside_what_spreads_its_sides():
    chosen = jax.make_jaxpr(lambda c, x, y: where(c, x, y))(np.ones(3, bool), np.ones(3), np.zeros(3))
    assert [equation.primitive.name for equation in chosen.eqns] == ["select_n"]
    slope = jax.grad(lambda x: jnp.sum(where(np.array([True, False]), x, 0.0 * x) * 3.0))(2.0)
    assert slope == 3.0


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="broadcast"):
        where(np.ones(3, bool), np.ones(2), 0.0)
