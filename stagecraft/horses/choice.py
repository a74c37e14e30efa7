"""The choice horse: one of finitely many alternatives, taken by an agent or by nature."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stagecraft.arrays import where
from stagecraft.horses.arrival import carried_by, with_derivatives
from stagecraft.horses.problems import Alternative, ChoiceProblem
from stagecraft.horses.solution import Answer
from stagecraft.operators.logsum import logsum, nature

States = dict[str, Float[Array, "..."]]


def weigh(problem: ChoiceProblem, alternative: Alternative, continuation: Callable[[States], Answer], states: States) -> Answer:
    r"""What each combination of controls is worth, on a leading axis: $Q(x_v, k, x_e, V(x_e))$ and its derivative in $x_v$.

    **Arguments:** `problem`; `alternative`: one branch, or the values of discrete controls; `continuation`: answers at
    post-states; `states`: decision states of shapes that broadcast.

    **Returns:** an `Answer` with the combinations of controls on its first axis.
    """
    p, rank = problem.parameters, next(iter(states.values())).ndim
    states = {name: x[None] for name, x in states.items()}
    controls = {name: x.reshape(x.shape + (1,) * rank) for name, x in alternative.controls.items()}
    ones = jnp.ones((1,) * (rank + 1))
    posts = lambda s: {name: x * ones for name, x in alternative.transition(p, s, controls).items()}
    answer = continuation(posts(states))
    whole = jnp.broadcast_shapes(*[x.shape for x in (*states.values(), *controls.values(), answer.value)])
    feasible = jnp.broadcast_to(answer.feasible, whole)
    if alternative.allowed is not None:
        feasible &= alternative.allowed(p, states, controls, posts(states))
    full = lambda x: jnp.broadcast_to(x, whole)
    policy, outside = {name: full(x) for name, x in controls.items()}, full(answer.outside)
    if alternative.plain:
        marginal = {name: full(carried_by(answer, posts, states, name)) for name in states}
        value, weight = full(answer.value), full(answer.weight)
        return Answer(value=value, marginal=marginal, weight=weight, feasible=feasible, outside=outside, policy=policy)
    total = lambda s, v: alternative.objective(p, s, controls, posts(s), v) * jnp.ones(whole)
    value, marginal, weight = with_derivatives(total, states, answer, posts)
    return Answer(value=value, marginal=marginal, weight=weight, feasible=feasible, outside=outside, policy=policy)


def options(problem: ChoiceProblem, continuations: tuple[Callable, ...], states: States) -> Answer:
    """All alternatives of a `problem` on one leading axis, as `weigh` tells each; `continuations`: one for each of them, which
    answer at post-states; `states`: decision states of shapes that broadcast.

    **Returns:** an `Answer`, the alternatives in their order.
    """
    pairs = zip(problem.alternatives, continuations, strict=True)
    found = [weigh(problem, alternative, continuation, states) for alternative, continuation in pairs]
    if len(found) == 1:
        return found[0]
    whole = jnp.broadcast_shapes(*[answer.value.shape for answer in found])
    stack = lambda *xs: jnp.concatenate([jnp.broadcast_to(x, whole) for x in xs])
    return jax.tree.map(stack, *found)


def join(problem: ChoiceProblem, states: States, stack: Answer, labels: tuple[str, ...]) -> Answer:
    r"""The value of the choice, its probabilities, and the marginal values weighted by them.

    $V = \sigma\log\sum_k e^{Q_k/\sigma}$ without Euler's constant, the maximum at $\sigma = 0$; $\sum_k p_k Q_k$ for nature.
    Where nothing is feasible the answer is not either, and the best of what is not stands for a value.

    **Arguments:** `problem`: who chooses, and by which rule; `states`: the decision states; `stack`: what `options` returns;
    `labels`: names of the alternatives.

    **Returns:** an `Answer` in the shape of the states, with a probability for each label.
    """
    if stack.value.shape[0] == 1 and problem.probs is None:
        first = jax.tree.map(lambda x: x[0], stack)
        probability = {labels[0]: jnp.ones_like(first.value)}
        return dataclasses.replace(first, probability=probability)
    value, probability, feasible = _joined(problem, states, stack)
    fallback = jnp.max(jax.lax.stop_gradient(stack.value), axis=0)
    value = where(feasible, value, where(jnp.isfinite(fallback), fallback, 0.0))
    mean = lambda x: jnp.sum(where(probability > 0, probability * x, 0.0), axis=0)
    best = jnp.argmax(probability, axis=0)
    policy = {n: jnp.take_along_axis(x, best[None], axis=0)[0] for n, x in stack.policy.items()}
    marginal = {name: mean(x) for name, x in stack.marginal.items()}
    if problem.probs is not None:
        # Moving a state moves nature's odds as well as what each branch is worth.
        shifted = _odds_shifted(problem, states, stack)
        marginal = {name: x + shifted[name] for name, x in marginal.items()}
    shown = dict(zip(labels, probability, strict=True))
    return Answer(value=value, marginal=marginal, weight=mean(stack.weight), feasible=feasible, outside=mean(stack.outside),
                  policy=policy, probability=shown)  # fmt: skip


def _joined(problem, states, stack) -> tuple[Array, Array, Bool[Array, "..."]]:
    if problem.probs is not None:
        probs = _odds(problem, states, stack)
        value, feasible = nature(stack.value, stack.feasible, probs)
        return value, probs, feasible
    value, probability = logsum(stack.value, stack.feasible, problem.scale)
    return value, probability, jnp.any(stack.feasible, axis=0)


def _odds(problem, states, stack) -> Float[Array, "..."]:
    """Nature's probabilities in the shape of the values, whether states move them or not."""
    probs = problem.probs(problem.parameters, states)
    return probs.reshape(probs.shape + (1,) * (stack.value.ndim - probs.ndim)) * jnp.ones_like(stack.value)


def _odds_shifted(problem, states, stack) -> dict[str, Float[Array, "..."]]:
    r"""$\sum_b V_b\,\partial\pi_b/\partial x_v$ by state."""
    _, derivative = jax.linearize(lambda s: _odds(problem, s, stack), states)
    still, worth = jax.tree.map(jnp.zeros_like, states), where(stack.feasible, stack.value, 0.0)
    along = lambda name: derivative({**still, name: jnp.ones_like(states[name])})
    return {name: jnp.sum(along(name) * worth, axis=0) for name in states}
