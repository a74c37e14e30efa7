"""Horses on functions of one's own: no stage, no model file."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagecraft.horses.arrival import arrive
from stagecraft.horses.choice import join, options
from stagecraft.horses.egm import egm
from stagecraft.horses.evaluate import evaluate
from stagecraft.horses.policy import follow_policy
from stagecraft.horses.problems import Alternative, ChoiceProblem, ContinuousProblem, ExpectationProblem, MaximumProblem
from stagecraft.horses.solution import Answer
from stagecraft.horses.vfi import vfi

BETA = 0.96


def saver(envelope):
    """log c + beta V(m - c), told to the horse in lambdas."""
    return ContinuousProblem(
        parameters={},
        knots=jnp.linspace(0.0, 12.0, 400),
        lowest=lambda p: jnp.asarray(0.0),
        objective=lambda p, m, c, x, v: jnp.log(c) + BETA * v,
        transition=lambda p, m, c: m - c,
        control_inverse=lambda p, slope, x: 1.0 / (BETA * slope),
        state_inverse=lambda p, x, c, slope: x + c,
        lower=lambda p, m: jnp.zeros_like(m),
        upper=lambda p, m: m,
        envelope=envelope,
    )


def continuation(value, knots):
    """What a function of the post-state answers to the horse, on the knots and at the lowest one."""

    def answer(x):
        ones, slope = jnp.ones_like(x), jnp.vectorize(jax.grad(value))(x)
        return Answer(value=value(x), marginal={"post": slope}, weight=ones, feasible=ones > 0, outside=0 * ones)

    return answer(knots), answer(jnp.asarray(0.0))


def brute(value, m):
    c = m * np.linspace(1e-6, 1.0, 400_001)
    return float(np.max(np.log(c) + BETA * np.asarray(value(jnp.asarray(m - c)))))


def test_egm_solves_a_concave_problem_of_lambdas():
    value = lambda x: 5.0 * jnp.log(x + 1.0)
    problem = saver(False)
    rows = egm(problem, *continuation(value, problem.knots))
    m = jnp.array([0.5, 2.0, 7.3])
    answer = evaluate(problem, rows, m)
    np.testing.assert_allclose(answer.value, [brute(value, float(x)) for x in m], atol=1e-6)
    np.testing.assert_allclose(answer.marginal["state"], 1.0 / answer.policy["control"], rtol=1e-12)


@pytest.mark.slow
def test_egm_takes_the_envelope_of_a_problem_that_is_not_concave():
    value = lambda x: jnp.maximum(4.0 * jnp.log(x + 1.0), 9.0 * jnp.log(x + 1.0) - 8.0)
    problem = saver(True)
    rows = egm(problem, *continuation(value, problem.knots))
    assert int(rows.switches) == 1 and not bool(rows.overflow)
    m = np.array([0.6, 2.0, 4.0, 5.0, 9.0])
    np.testing.assert_allclose(evaluate(problem, rows, jnp.asarray(m)).value, [brute(value, x) for x in m], atol=2e-4)


def closed(states):
    x = states["x"]
    value = jnp.log(x)
    return Answer(value, {"x": 1.0 / x}, jnp.ones_like(value), x > 0, jnp.zeros_like(value))


def test_the_choice_horse_joins_alternatives_of_lambdas():
    stay = Alternative({}, lambda p, s, k: {"x": s["a"]}, lambda p, s, k, x, v: v - 0.3)
    move = Alternative({}, lambda p, s, k: {"x": s["a"] - 0.5}, lambda p, s, k, x, v: v, allowed=lambda p, s, k, x: x["x"] > 0)
    a = jnp.array([0.4, 1.0, 3.0])
    for scale in (0.0, 0.7):
        problem = ChoiceProblem({}, (stay, move), jnp.asarray(scale))
        answer = join(problem, {"a": a}, options(problem, (closed, closed), {"a": a}), ("stay", "move"))
        worth = np.stack([np.log(a) - 0.3, np.where(a > 0.5, np.log(np.maximum(a - 0.5, 1e-9)), -np.inf)])
        expected = worth.max(axis=0) if scale == 0 else scale * np.log(np.exp(worth / scale).sum(axis=0))
        np.testing.assert_allclose(answer.value, expected, rtol=1e-12)
        odds = answer.probability
        np.testing.assert_allclose(odds["stay"] + odds["move"], 1.0)
        slope = odds["stay"] / a + odds["move"] / np.where(a > 0.5, a - 0.5, 1.0)
        np.testing.assert_allclose(answer.marginal["a"], slope, rtol=1e-12)


def test_the_expectation_horse_follows_the_row_of_a_markov_law():
    law = jnp.array([[0.9, 0.1], [0.4, 0.6]])
    problem = ExpectationProblem(
        {}, {"z": jnp.array([1.0, 2.0])}, law, lambda p, s, w: {"x": s["a"] + w["z"]},
        lambda p, s, w, v: (v,), lambda p, s, e: e[0], {"z_pre": jnp.array([1.0, 2.0])}, plain=True,
    )  # fmt: skip
    states = {"a": jnp.array([[0.5], [2.0]]), "z_pre": jnp.array([[1.0, 2.0]])}
    answer = arrive(problem, closed, states)
    a = np.array([0.5, 2.0])
    expected = np.stack([np.log(a + 1), np.log(a + 2)], axis=1) @ np.asarray(law).T
    np.testing.assert_allclose(answer.value, expected, rtol=1e-12)


def chooser(rate):
    """log c + b log(1 - l) + V(m + l - c), two controls told in lambdas; V(x) = rate log(x + 1)."""
    problem = MaximumProblem(
        parameters={"b": jnp.asarray(0.5)},
        controls=("c", "l"),
        transition=lambda p, s, c: {"x": s["m"] + c["l"] - c["c"]},
        objective=lambda p, s, c, x, v: jnp.log(c["c"]) + p["b"] * jnp.log(1.0 - c["l"]) + v,
        limits=lambda p, s: {"c": (jnp.zeros_like(s["m"]), s["m"] + 1.0), "l": (jnp.asarray(0.0), jnp.asarray(1.0))},
    )

    def after(states):
        x = states["x"]
        inside = jnp.where(x > -0.9, x, 0.0)
        value = rate * jnp.log(inside + 1.0)
        return Answer(value, {"x": rate / (inside + 1.0)}, jnp.ones_like(x), x > -0.9, jnp.zeros_like(x))

    return problem, after


@pytest.mark.slow
def test_a_direct_search_finds_two_controls_at_once_with_their_derivatives():
    m = jnp.array([0.1, 0.4, 0.9])

    def chosen(rate):
        problem, after = chooser(rate)
        return vfi(problem, after, {"m": m}).controls

    # Inside: 1/c = b/(1 - l) = rate/(x + 1), so that c, 1 - l and x + 1 share m + 2 in proportion 1 : b : rate.
    shares = lambda rate: {"c": (m + 2) / (1.5 + rate), "l": 1.0 - 0.5 * (m + 2) / (1.5 + rate)}
    found, slope = jax.jvp(chosen, (0.9,), (1.0,))
    expected, change = jax.jvp(shares, (0.9,), (1.0,))
    for name in ("c", "l"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-9)
        np.testing.assert_allclose(slope[name], change[name], rtol=1e-7)
    problem, after = chooser(0.9)
    answer = follow_policy(problem, after, {"m": m}, lambda s: jax.tree.map(lambda x: x + 1e-5, expected), ("m",))
    np.testing.assert_allclose(answer.marginal["m"], 1.0 / expected["c"], rtol=1e-4)
