"""A function without repetition: the same numbers, the same derivatives of every order, fewer equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from heptapod.formulas import smooth
from stagecraft.operators.condensed import condensed

XS = jnp.linspace(0.5, 3.0, 4)


def repeats(x, p):
    """The same power, ratio and guards over and over, a jump that has no derivative among them."""
    guard = lambda y: jnp.where(jnp.isfinite(y), y, 0.0) * jnp.ones_like(y)
    parts = [guard(smooth.power(x, p)) * smooth.reciprocal(guard(smooth.power(x, p)) + 1.0) for _ in range(4)]
    return {"sum": sum(parts), "held": jax.lax.stop_gradient(jnp.maximum(x, 1.0)), "many": jnp.sum(x > 1.0, dtype=jnp.int32)}


def chooses(x, p):
    """A choice of programs, a loop inside one of them, and what is searched for without a derivative."""
    loop = lambda y: jax.lax.fori_loop(0, 3, lambda _, z: z * p * 0.5 + y * 2.0, y)
    first = jax.lax.cond(p > 2.0, lambda y: loop(y) + y * 2.0, lambda y: y * 2.0, x)
    _, last = jax.lax.scan(lambda c, y: (c * 0.5 + y * 2.0, c + y * 2.0), p, first)
    return {"sum": last * jax.nn.softplus(x), "place": jnp.searchsorted(XS, jax.lax.stop_gradient(x))}


def lines(function, *arguments):
    return jax.jit(function).lower(*arguments).as_text().count("\n")


@pytest.mark.slow
@pytest.mark.parametrize("function", [repeats, chooses])
def test_values_and_derivatives_are_those_of_the_function(function):
    def told(function, x, p):
        total = lambda q: jnp.sum(jnp.cos(function(x, q)["sum"]))
        grad = jax.grad(lambda x, q: jnp.sum(jnp.cos(function(x, q)["sum"])), (0, 1))
        return function(x, p), grad(x, p), jax.jvp(total, (p,), (1.0,)), jax.hessian(total)(p), jax.grad(jax.grad(total))(p)

    short, plain = (jax.jit(lambda x, p, f=f: told(f, x, p)) for f in (condensed(function), function))
    for p in (1.7, 2.5):
        (value, *found), (expected, *derivatives) = short(XS, p), plain(XS, p)
        jax.tree.map(np.testing.assert_array_equal, value, expected)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13), found, derivatives)
    rows = jnp.stack([XS, 2 * XS])
    many = [jax.jit(jax.vmap(f, (0, None)))(rows, 1.7) for f in (condensed(function), function)]
    jax.tree.map(np.testing.assert_array_equal, *many)


def test_what_is_repeated_is_written_once():
    assert lines(condensed(repeats), XS, 1.7) < 0.6 * lines(repeats, XS, 1.7)
    total = lambda f: jax.grad(lambda x, p: jnp.sum(f(x, p)["sum"]), (0, 1))
    assert lines(total(condensed(repeats)), XS, 1.7) < 0.7 * lines(total(repeats), XS, 1.7)


def test_what_stands_still_is_not_carried_with_a_tangent():
    body = condensed(lambda c, x: (c[0] * x, jax.lax.stop_gradient(c[0]) + c[1]))
    run = lambda p: jax.lax.scan(lambda c, x: (body(c, x), None), (p, 0.0), XS)[0]
    jaxpr = jax.make_jaxpr(lambda p: jax.jvp(run, (p,), (1.0,)))(2.0)
    (loop,) = (eqn for eqn in jaxpr.eqns if eqn.primitive.name == "scan")
    assert loop.params["num_carry"] == 3


def test_a_value_that_cannot_be_had_leaves_derivatives_finite():
    """The branch that is not taken has an infinite derivative at zero."""
    f = condensed(lambda x, p: jax.lax.cond(p > 0, lambda y: y * 3.0, lambda y: jnp.sqrt(y) / p, x))
    np.testing.assert_array_equal(jax.jit(jax.grad(lambda x: jnp.sum(f(x, 1.0))))(jnp.zeros(3)), 3 * jnp.ones(3))


def test_what_is_printed_is_still_printed(capsys):
    def speaks(x):
        jax.debug.print("x is {x}", x=x)
        return x + 1.0

    assert jax.jit(condensed(speaks))(1.0) == 2.0
    jax.effects_barrier()
    assert capsys.readouterr().out == "x is 1.0\n"
