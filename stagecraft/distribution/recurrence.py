"""Whether households of a chain all meet in the end: its recurrent classes, found by where mass can go and come from."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float

from stagecraft.arrays import where

# A cell that is entered with less probability than this in a period, or than rounding tells, is not entered.
_LEAST = 1e-10

AWAY, COMING, HOME = 0, 1, 2


def recurrence(push: Callable, masses: tuple) -> tuple:
    """For every cell `HOME` in one recurrent class, `COMING` where one may come to it, `AWAY` from where one never does.

    Another recurrent class is among the cells that are away. There is none if no cell is, and the class is not looked for.

    **Arguments:** `push`: one period of a chain, linear on tuples of arrays; `masses`: such a tuple, most where the class is to
    be sought.

    **Returns:** numbers of the same form.
    """
    flat, unflatten = ravel_pytree(masses)
    forward = lambda x: ravel_pytree(push(unflatten(x)))[0]
    backward = lambda x: jax.linear_transpose(forward, flat)(x)[0]

    nowhere = jnp.zeros(flat.shape, bool)

    def look(state):
        """Seek from one cell; where one may go and never come back, that cell is transient, and the search goes on there."""
        one = jnp.arange(flat.size) == state[0]
        comes = _closure(backward, one, flat.dtype)
        goes = jax.lax.cond(jnp.all(comes), lambda: nowhere, lambda: _closure(forward, one, flat.dtype))
        lost = goes & ~comes
        return jnp.argmax(where(lost, flat, -1.0)), jnp.any(lost), comes, goes

    _, _, comes, goes = jax.lax.while_loop(lambda s: s[1], look, (jnp.argmax(flat), jnp.asarray(True), nowhere, nowhere))
    return unflatten(where(goes, HOME, where(comes, COMING, AWAY)).astype(flat.dtype))


def _closure(step: Callable, start: Bool[Array, " cells"], dtype) -> Bool[Array, " cells"]:
    """All cells that some number of steps from `start` leads to."""
    least = max(_LEAST, 10 * float(jnp.finfo(dtype).eps))

    def body(state):
        old, _ = state
        new = old | (step(old.astype(dtype)) > least)
        return new, jnp.any(new != old)

    return jax.lax.while_loop(lambda s: s[1], body, (start, jnp.asarray(True)))[0]


def told_apart(places: dict, kinds: Mapping[str, Float[Array, "..."] | np.ndarray]) -> str:
    """In words, by which state the class and the cells that never come to it differ.

    **Arguments:** `places`: by entry and state, its value in every cell; `kinds`: by entry, what `recurrence` found.
    """
    for entry, states in places.items():
        kind = np.ravel(kinds[entry])
        for name, x in states.items():
            away, home = (np.unique(np.asarray(x)[kind == k]) for k in (AWAY, HOME))
            if away.size and home.size and not np.intersect1d(away, home).size:
                return f"stage {entry}: whoever arrives with {name} {_range(away)} never comes to {name} {_range(home)}"
    at = lambda k: " or ".join(entry for entry, kind in kinds.items() if np.any(np.asarray(kind) == k))
    return f"some who arrive at {at(AWAY)} never come to where most of those at {at(HOME)} are"


def _range(values) -> str:
    return f"= {', '.join(f'{v:g}' for v in values)}" if values.size <= 4 else f"from {values[0]:g} to {values[-1]:g}"
