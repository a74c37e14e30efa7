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


def arrivals_of(circuit, link, posts: Mapping[str, Float[Array, " points"]], t) -> dict[str, Float[Array, " points"]]:
    """Post-states along a connection: under the names of its target, with the constants that it sets."""
    states = {there: posts[here] for here, there in link.mapping}
    if not link.constants:
        return states
    scope, shape = circuit.scope(link.source, t), next(iter(posts.values())).shape
    return states | {name: jnp.full(shape, formula(scope), scope["t"].dtype) for name, formula in link.constants}


def survival_of(circuit, link, decided: Mapping, posts: Mapping, t) -> Float[Array, "..."] | None:
    """The share of those on a connection that lives on, one number or one for each; `None` where all do.

    **Arguments:** `decided`: decision states and controls by name; `posts`: post-states by name.
    """
    if link.survival is None:
        return None
    tags = circuit.structure.stage(link.source).branch(link.branch).to_continuation.sources
    variables = {tagged: decided[name] for tagged, name in tags if name in decided}
    variables |= {f"{name}[>]": x for name, x in posts.items()}
    return jnp.asarray(link.survival({**circuit.scope(link.source, t), **variables}))
