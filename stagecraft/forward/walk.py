"""The walk of one period, stage by stage along the connections, whoever walks: mass, or single agents."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float


def walk(block, entering: Mapping[str, Any], visit: Callable, meet: Callable) -> tuple[dict[str, Any], dict[str, Any]]:
    """Everybody through the stages of one period.

    **Arguments:**

    - `block`: the kind of period; `entering`: who is on arrival of its entries.
    - `visit(name, people)`: takes those on arrival through a stage. It returns what is kept of them, and pairs of a
      connection and those who arrive at its target.
    - `meet(*parts)`: those who come together on one arrival.

    **Returns:** what is kept, by stage; who is on arrival of the entries of the next period.
    """
    inside, leaving, kept = {name: [people] for name, people in entering.items()}, {}, {}
    for name in block.stages:
        if name not in inside:
            continue
        kept[name], ends = visit(name, meet(*inside[name]))
        for link, people in ends:
            (leaving if link.crosses else inside).setdefault(link.target, []).append(people)
    return kept, {name: meet(*parts) for name, parts in leaving.items()}


def arrivals_of(
    circuit, link, posts: Mapping[str, Float[Array, " points"]], t
) -> tuple[dict[str, Float[Array, " points"]], Float[Array, ""] | None]:
    """Post-states along a connection: under the names of its target, with the constants that it sets.

    **Returns:** the states on arrival; the share that lives on, `None` where all do.
    """
    states = {there: posts[here] for here, there in link.mapping}
    if not link.constants and link.survival is None:
        return states, None
    scope, shape = circuit.scope(link.source, t), next(iter(posts.values())).shape
    states |= {name: jnp.full(shape, formula(scope), scope["t"].dtype) for name, formula in link.constants}
    return states, None if link.survival is None else jnp.asarray(link.survival(scope))
