"""The edge of the feasible post-states: where a continuation that cannot be had begins to be one that can."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stagecraft.arrays import room_above, where
from stagecraft.horses.solution import Answer
from stagecraft.operators.pruned import pruned

States = dict[str, Float[Array, "..."]]
_HALVINGS = 54


def from_edge(
    post: str, points: States, feasible: Callable[[States], Bool[Array, "..."]], beside: bool = False, apart: tuple = ()
) -> States:
    r"""The same points, with every infeasible one below the feasible ones moved up to the edge, the implied borrowing limit.

    The first two stand at the edge, the others above it in its cell, at about the sixth power of their old places: next to a
    state without anything values go like a logarithm or a power that no polynomial of a whole cell follows.

    The edge lies between the lowest post-state and the last knot, and is found by bisection without a gradient: what is
    feasible at one post-state is taken to be so at any higher one. A row that is infeasible throughout stays as it is, and so
    does one that is feasible from its lowest post-state on, or from just above it: an open end.

    **Arguments:** `post`: the active post-state, increasing along the last axis of `points`; `feasible`: of the continuation;
    `beside`: whether an open end is moved `just_above` itself, where the continuation is a number; `apart`: as in
    `at_moved`, which needs those of a row in one place where rows share what is asked.
    """
    x = points[post]
    shape = jnp.broadcast_shapes(*[v.shape[:-1] for v in points.values()])
    bottom, top = (jax.lax.stop_gradient(jnp.broadcast_to(end, (*shape, 1))) for end in (x[..., :1], x[..., -1:]))
    others = jax.lax.stop_gradient({name: v for name, v in points.items() if name != post})
    feasible = pruned(feasible, {**others, post: bottom})

    def halve(state):
        low, high, searching, step = state
        # The lowest post-state first, then the top: most rows are done after the first look.
        asked = where(step == 0, bottom, where(step == 1, top, 0.5 * (low + high)))
        good = jnp.broadcast_to(feasible({**others, post: asked}), asked.shape)
        goes_on = searching & where(step == 0, ~good, where(step == 1, good, True))
        bisect = goes_on & (step > 1)
        high = where(goes_on, where(bisect & good, asked, high), where(searching, bottom, high))
        return where(bisect & ~good, asked, low), high, goes_on, step + 1

    start = (bottom, top, jnp.ones(bottom.shape, bool), 0)
    _, edge, *_ = jax.lax.while_loop(lambda s: jnp.any(s[2]) & (s[3] < _HALVINGS), halve, start)
    # An open end at the lowest post-state is infeasible by itself, and no limit.
    limit = edge > just_above(bottom)
    low, place = limit & (x < edge), edge
    if not _shared(x.shape, edge.shape, apart):
        origin = jnp.maximum(bottom, x[..., 1:2])
        share = jnp.maximum(x - origin, 0.0) / where(limit & (edge > origin), edge - origin, 1.0)
        width = jnp.min(where(low, jnp.inf, x), axis=-1, keepdims=True) - edge
        place = edge + jax.lax.stop_gradient(width * share**6)
    if beside:
        x = where((edge > bottom) & ~limit & (x <= bottom), just_above(bottom), x)
    return {**points, post: where(low, place, x)}


def just_above(bottom: Float[Array, "..."]) -> Float[Array, "..."]:
    """A post-state so near to an open end that its value stands for the limit there."""
    return bottom + 1e3 * room_above(bottom)


def _shared(one, whole, apart) -> list[int]:
    """The axes along which rows have the same points, and edges of their own."""
    return [i for i in apart if i < len(one) - 1 and one[i] == 1 < whole[i]]


def at_moved(ask: Callable[[States], Answer], post: str, points: States, moved: Float[Array, "..."], apart: tuple) -> Answer:
    """The answers at points of which some were moved: those of a row to one place, the lowest that it has left.

    Where all rows have the same points, and their edges alone differ, the points are asked once for all rows beside the edges
    of all rows, so that rows that differ only in the law of a Markov state do not spread what is the same for them.

    **Arguments:** `ask`: the answer at post-states; `points`, and the active ones after they were `moved`; `apart`: the axes
    of the points along which rows may share what is asked.
    """
    x = points[post]
    shared = _shared(x.shape, moved.shape, apart)
    if not shared:
        return ask({**points, post: moved})
    n, sizes = x.shape[-1], [moved.shape[i] for i in shared]
    count = math.prod(sizes)
    edges = jnp.moveaxis(moved[..., 0], shared, range(-len(shared), 0))
    base = [1 if i in shared else size for i, size in enumerate(moved.shape[:-1])]
    edges = edges.reshape(*base, count)
    states = {**points, post: jnp.concatenate([jnp.broadcast_to(x, (*base, n)), edges], axis=-1)}
    answer = ask(states)
    whole = (*moved.shape[:-1], n + count)
    own = jnp.zeros((), jnp.int32)
    for i, size in zip(shared, sizes, strict=True):
        own = own * size + jnp.arange(size).reshape([size if j == i else 1 for j in range(x.ndim)])
    mine = own == jnp.arange(count)

    def pick(leaf):
        leaf = jnp.broadcast_to(leaf, whole)
        edge = jnp.sum(where(mine, leaf[..., n:], 0), axis=-1, keepdims=True).astype(leaf.dtype)
        return where(moved == x, leaf[..., :n], edge)

    return jax.tree.map(pick, answer)
