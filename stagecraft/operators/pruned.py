"""What a function really reads: dependencies between its inputs and outputs, and the function without what nobody asks for."""

from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import jaxpr_as_fun
from jax.interpreters import partial_eval


def dependencies(step: Callable, example: Any, wanted: list[bool]) -> list[bool]:
    """Which leaves some leaves of an iteration depend on, in however many steps.

    **Arguments:** `step`: maps a pytree to one of the same structure; `example`: one; `wanted`: a flag a leaf.
    """
    leaves, tree = jax.tree.flatten(example)
    shapes = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in leaves]
    closed = jax.make_jaxpr(lambda *xs: jax.tree.leaves(step(jax.tree.unflatten(tree, xs))))(*shapes)
    needed = list(wanted)
    while True:
        _, used = partial_eval.dce_jaxpr(closed.jaxpr, needed)
        more = [a or b for a, b in zip(needed, used, strict=True)]
        if more == needed:
            return needed
        needed = more


def pruned(function: Callable, *examples: Any) -> Callable:
    """The same function without equations that its result does not depend on, so that a loop around it reads less."""
    closed, shape = jax.make_jaxpr(function, return_shape=True)(*examples)
    jaxpr, _ = partial_eval.dce_jaxpr(closed.jaxpr, [True] * len(closed.out_avals), instantiate=True)
    run = jaxpr_as_fun(closed.replace(jaxpr=jaxpr))
    tree = jax.tree.structure(shape)
    return lambda *arguments: jax.tree.unflatten(tree, run(*jax.tree.leaves(arguments)))
