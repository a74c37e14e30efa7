"""The expectation horse: values and marginal values on arrival, from those at the decision."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagecraft.horses.problems import ExpectationProblem
from stagecraft.horses.solution import Answer
from stagecraft.operators.expectation import certain, expect
from stagecraft.operators.interpolate import nearest, take


def arrive(
    problem: ExpectationProblem,
    decision: Callable[[dict[str, Float[Array, "..."]]], Answer],
    states: dict[str, Float[Array, "..."]],
) -> Answer:
    r"""$A(x_a) = A(x_a, E_w f(x_a, w, V(g(x_a, w))))$ and its derivative in every arrival state.

    The derivative holds the decision's own marginal value: $dA/dx_a = A_x + \sum_i A_{E_i} E_w[f_x + f_V V_m\,g_x]$, so that
    the interpolation of $V$ is never differentiated.

    **Arguments:**

    - `problem`: the transition, the nodes and weights of what is drawn, and how it is aggregated.
    - `decision`: answers at decision states, given and returned with the nodes as leading axis.
    - `states`: the arrival states, of shapes that broadcast and one number of axes. A state that only the law of a Markov
      shock depends on leaves the decision's states smaller than the whole, and the decision is asked once for each node.

    **Returns:** an `Answer` in the shape of the states: the value on arrival, and its derivatives.
    """
    p, rank = problem.parameters, next(iter(states.values())).ndim
    whole = jnp.broadcast_shapes(*[x.shape for x in states.values()])
    nodes = {name: node.reshape(node.shape + (1,) * rank) for name, node in problem.nodes.items()}
    weights = weights_of(problem, states)
    lead = lambda s: {name: x[None] for name, x in s.items()}
    to_state = lambda s: {k: x * jnp.ones((1,) * (rank + 1)) for k, x in problem.to_state(p, lead(s), nodes).items()}
    answer = decision(to_state(states))
    count = (problem.weights.shape[-1],)
    # Where nothing drawn moves the decision its answer is the same at every node.
    full = lambda x: jnp.broadcast_to(x, count + jnp.broadcast_shapes(x.shape[1:], (1,) * rank))

    feasible = certain(weights, full(answer.feasible))
    outside = jax.lax.stop_gradient(expect(weights, full(answer.outside)))
    if problem.plain:
        mean = lambda x: jnp.broadcast_to(expect(weights, full(x)), whole)
        marginal = {name: mean(carried_by(answer, to_state, states, name)) for name in states}
        value, weight = mean(answer.value), mean(answer.weight)
        return Answer(value=value, marginal=marginal, weight=weight, feasible=feasible, outside=outside)

    def total(states, value):
        integrands = problem.integrands(p, lead(states), nodes, value)
        means = tuple(expect(weights, full(f)) for f in integrands)
        return problem.aggregator(p, states, means) * jnp.ones(whole)

    value, marginal, weight = with_derivatives(total, states, answer, to_state)
    return Answer(value=value, marginal=marginal, weight=weight, feasible=feasible, outside=outside)


def with_derivatives(total: Callable, states: dict[str, Float[Array, "..."]], answer: Answer, move: Callable) -> tuple:
    """A value that stands on another one, what one more unit of each state adds to it, and its weight.

    **Arguments:** `total`: of the states and of the other value; `answer`: that value, asked at `move(states)`.
    """
    still, marginal = jax.tree.map(jnp.zeros_like, states), {}
    value, derivative = jax.linearize(total, states, answer.value)
    like = lambda x: jnp.broadcast_to(x, answer.value.shape)
    for name in states:
        along = {**still, name: jnp.ones_like(states[name])}
        marginal[name] = derivative(along, like(carried_by(answer, move, states, name)))
    return value, marginal, derivative(still, like(answer.weight))


def carried_by(answer: Answer, move: Callable, states: dict[str, Float[Array, "..."]], name: str) -> Float[Array, "..."]:
    """What one more unit of the state `name` adds to the value that is asked at `move(states)`."""
    along = {n: jnp.ones_like(x) if n == name else jnp.zeros_like(x) for n, x in states.items()}
    _, moved = jax.jvp(move, (states,), (along,))
    return sum((answer.marginal[k] * moved[k] for k in answer.marginal), jnp.zeros_like(answer.value))


def weights_of(problem: ExpectationProblem, states: dict[str, Float[Array, "..."]]) -> Float[Array, "..."]:
    """The probability of every node, on a leading axis; of a Markov shock given the state at its value."""
    if not problem.given:
        rank = next(iter(states.values())).ndim
        return problem.weights.reshape((-1,) + (1,) * rank)
    *sizes, count = problem.weights.shape
    index: Any = 0
    for (name, values), size in zip(problem.given.items(), sizes, strict=True):
        index = index * size + nearest(values, states[name])
    table = problem.weights.reshape(-1, count)
    return jnp.stack([take(table[:, k], index) for k in range(count)]) if count <= 8 else jnp.moveaxis(table[index], -1, 0)
