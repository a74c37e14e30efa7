"""The expectation horse: values and marginal values on arrival, from those at the decision."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagecraft.horses.problems import ExpectationProblem
from stagecraft.operators.expectation import expect
from stagecraft.solution import Answer


def arrive(
    problem: ExpectationProblem,
    decision: Callable[[dict[str, Float[Array, "..."]]], Answer],
    states: dict[str, Float[Array, "..."]],
) -> Answer:
    r"""$A(x_a) = A(x_a, E_w f(x_a, w, V(g(x_a, w))))$ and its derivative in every arrival state.

    The derivative holds the decision's own marginal value: $dA/dx_a = A_x + \sum_i A_{E_i} E_w[f_x + f_V V_m\,g_x]$, so that
    the interpolation of $V$ is never differentiated.

    **Arguments:**

    - `decision`: answers at decision states, given and returned with the nodes as leading axis.
    - `states`: the arrival states, all of one shape.
    """
    p = problem.parameters
    some = next(iter(states.values()))
    nodes = {name: node.reshape(node.shape + (1,) * some.ndim) for name, node in problem.nodes.items()}
    shape = (problem.weights.shape[0], *some.shape)
    full = lambda x: jnp.broadcast_to(x, shape)
    lead = lambda s: {name: x[None] for name, x in s.items()}
    to_state = lambda s: {k: full(v) for k, v in problem.to_state(p, lead(s), nodes).items()}
    answer = decision(to_state(states))

    def total(states, value):
        integrands = problem.integrands(p, lead(states), nodes, value)
        means = tuple(expect(problem.weights, full(f)) for f in integrands)
        return problem.aggregator(p, states, means) * jnp.ones_like(some)

    still = jax.tree.map(jnp.zeros_like, states)
    value, derivative = jax.linearize(total, states, answer.value)
    marginal = {}
    for name in states:
        along = {**still, name: jnp.ones_like(some)}
        _, moved = jax.jvp(to_state, (states,), (along,))
        change = sum(answer.marginal[k] * moved[k] for k in answer.marginal)
        marginal[name] = derivative(along, change)
    weight = derivative(still, answer.weight)
    column = problem.weights.reshape((-1,) + (1,) * some.ndim)
    feasible = jnp.all(answer.feasible | (column == 0), axis=0)
    return Answer(value, marginal, weight, feasible)
