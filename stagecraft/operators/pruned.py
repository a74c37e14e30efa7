"""What a function really reads: dependencies between its inputs and outputs, and the function without what nobody asks for."""

from collections.abc import Callable, Iterable
from typing import Any

import jax
from jax.extend.core import jaxpr_as_fun
from jax.interpreters import partial_eval


def dependencies(step: Callable, example: Any) -> list[set[int]]:
    """For each leaf of what an iteration returns, the leaves of its argument that it is computed from.

    **Arguments:** `step`: maps a pytree to one of the same structure; `example`: one.
    """
    leaves, tree = jax.tree.flatten(example)
    shapes = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in leaves]
    closed = jax.make_jaxpr(lambda *xs: jax.tree.leaves(step(jax.tree.unflatten(tree, xs))))(*shapes)
    found = []
    for i in range(len(leaves)):
        _, used = partial_eval.dce_jaxpr(closed.jaxpr, [i == j for j in range(len(leaves))])
        found.append({j for j, needed in enumerate(used) if needed})
    return found


def closure(reads: list[set[int]], wanted: Iterable[int]) -> set[int]:
    """Some leaves, and all that they are computed from in however many steps."""
    found, new = set(), set(wanted)
    while new:
        found |= new
        new = set().union(*[reads[i] for i in new]) - found
    return found


def pruned(function: Callable, *examples: Any) -> Callable:
    """The same function without equations that its result does not depend on, so that a loop around it reads less."""
    closed, shape = jax.make_jaxpr(function, return_shape=True)(*examples)
    jaxpr, _ = partial_eval.dce_jaxpr(closed.jaxpr, [True] * len(closed.out_avals), instantiate=True)
    run = jaxpr_as_fun(closed.replace(jaxpr=jaxpr))
    tree = jax.tree.structure(shape)
    return lambda *arguments: jax.tree.unflatten(tree, run(*jax.tree.leaves(arguments)))
