"""Tells the expectation horse about the arrival of a stage."""

from collections.abc import Mapping

import jax.numpy as jnp

from stagecraft.horses.problems import ExpectationProblem


def expectation_problem(num, scope: Mapping) -> ExpectationProblem:
    """The record of a stage's arrival in one period: the product of its shocks, each given the state that it follows.

    **Arguments:** `num`: the stage's pointwise functions; `scope`: the values that its equations see.
    """
    dtype = jnp.asarray(scope["t"]).dtype
    values, weights, given = {}, jnp.ones(1, dtype), {}
    for shock in num.shocks:
        own, law = shock.nodes(scope)
        count, k = weights.shape[-1], law.shape[-1]
        values = {n: jnp.repeat(v, k) for n, v in values.items()} | {n: jnp.tile(v, count) for n, v in own.items()}
        if shock.given is None:
            weights = (weights[..., :, None] * law).reshape(*weights.shape[:-1], -1)
        else:
            # A new axis, of last period's value, stands before that of the nodes.
            weights = (weights[..., None, :, None] * law[:, None, :]).reshape(*weights.shape[:-1], law.shape[0], -1)
            given[shock.given] = own[shock.dimensions[0]]
    return ExpectationProblem(scope, values, weights, num.to_decision, num.integrands, num.aggregator, given, num.plain_arrival)
