"""A referee for any stage with continuous controls: the best of a lattice of choices, given what its own solution says comes next."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

_LOOKS, _ZOOMS = {1: 161, 2: 31}, 3


def by_hand(solved, num, t: int, states: dict[str, jax.Array]) -> tuple[np.ndarray, np.ndarray]:
    """The value of the best choice at each state, and whether there is one.

    No method is used, no condition and no knot of the decision: choices are looked at all over their range, and then closer.

    **Arguments:** `solved`: a circuit; `num`: the stage under `vfi`, whose bounds are written out; `states`: of one shape.
    """
    stage, scope = solved[t][num.name], dict(solved.scope(num.name, t))
    tagged = {**scope, **{f"{n}[~]": x for n, x in states.items()}}
    like = next(iter(states.values()))
    ranges = {n: (low(tagged) + 0 * like, high(tagged) + 0 * like) for n, low, high in num.bounds}
    value = _search(num.branches[0], stage.cntn.sol, scope, states, ranges)
    return np.asarray(value), np.isfinite(value)


@partial(jax.jit, static_argnames="branch")
def _search(branch, continuation, scope, states, ranges):
    looks, count = _LOOKS[len(ranges)], len(ranges)
    lattice = np.stack(np.meshgrid(*[np.linspace(-1, 1, looks)] * count, indexing="ij")).reshape(count, -1)
    best, value, width = [0.5] * count, -jnp.inf, 0.5
    for _ in range(1 + _ZOOMS):
        shares = [jnp.clip(b + width * lattice[i][:, None], 1e-7, 1 - 1e-12) for i, b in enumerate(best)]
        controls = {n: low + s * (high - low) for s, (n, (low, high)) in zip(shares, ranges.items(), strict=True)}
        worth = _worth(branch, continuation, scope, states, controls)
        top = jnp.argmax(worth, axis=0)[None]
        best = [jnp.take_along_axis(jnp.broadcast_to(s, worth.shape), top, axis=0)[0] for s in shares]
        value, width = jnp.maximum(value, jnp.max(worth, axis=0)), 3 * width / looks
    return value


def _worth(branch, continuation, scope, states, controls):
    """The objective at every choice, minus infinity where the continuation is infeasible."""
    lead = {n: x[None] for n, x in states.items()}
    full = jnp.broadcast_shapes(*[x.shape for x in controls.values()])
    posts = {n: jnp.broadcast_to(x, full) for n, x in branch.to_continuation(scope, lead, controls).items()}
    answer = continuation.at(posts)
    tagged = {f"{n}[~]": x for n, x in lead.items()} | {f"{n}[>]": x for n, x in posts.items()}
    worth = branch.objective({**scope, **tagged, **controls, "V[>]": answer.value})
    return jnp.where(answer.feasible & jnp.isfinite(worth), worth, -jnp.inf)
