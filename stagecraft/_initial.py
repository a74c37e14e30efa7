"""Where agents begin: the values that a user gives, checked and brought to one length."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def start_of(solved, initial):
    """The stage where households begin, and the values there."""
    names, starts = [num.name for num in solved.structure.stages], solved.structure.starts
    if isinstance(initial, Mapping) and len(initial) == 1 and isinstance(next(iter(initial.values())), Mapping):
        ((start, values),) = initial.items()
        if start not in solved.structure.blocks[0].stages:
            raise ValueError(f"no stage `{start}` in period 0 to start from; there are {', '.join(names)}")
        return start, values
    if len(starts) != 1:
        raise ValueError(f"households may begin in {' or '.join(starts)}; give `initial` as {{STAGE: {{...}}}}")
    return starts[0], initial


def check_sets(solved, start, states):
    """Discrete states begin on their sets."""
    num, scope = solved.structure.stage(start), solved.scope(start, 0)
    space = dict(num.spaces)["arvl"]
    for name, x in states.items():
        grid = space.grid(name)
        if grid is None or not grid.discrete or isinstance(x, jax.core.Tracer):
            continue
        values = np.asarray(grid.build(scope))
        gap = np.min(np.abs(np.asarray(x)[:, None] - values[None]), axis=1)
        if np.any(gap > 1e-6 * (1 + np.abs(values).max())):
            shown = ", ".join(f"{v:g}" for v in values[:8])
            wrong = np.asarray(x)[np.argmax(gap)]
            raise ValueError(f"`initial` gives {name} = {wrong:g}, which is not in its set ({shown})")


def initial_states(wanted, dtype, initial, agents) -> dict[str, Float[Array, " agents"]]:
    """One array of a common length per arrival state."""
    if not isinstance(initial, Mapping) or set(initial) != set(wanted):
        given = ", ".join(initial) if isinstance(initial, Mapping) and initial else "nothing"
        raise ValueError(f"`initial` must give {', '.join(wanted)}; it gives {given}")
    arrays = {name: jnp.asarray(initial[name], dtype) for name in wanted}
    lengths = {x.shape[0] for x in arrays.values() if x.ndim == 1}
    if any(x.ndim > 1 for x in arrays.values()) or len(lengths) > 1:
        raise ValueError("`initial` takes numbers, or arrays of one axis and one length")
    if agents is not None and (isinstance(agents, bool) or not isinstance(agents, int) or agents < 1):
        raise ValueError(f"`agents` must be a positive integer, found {agents!r}")
    count = agents or (lengths.pop() if lengths else 10_000)
    if count < 1:
        raise ValueError("`initial` gives no agent")
    for name, x in arrays.items():
        if x.ndim == 1 and x.shape[0] != count:
            raise ValueError(f"`initial` gives {x.shape[0]} values of {name} for {count} agents")
        if not isinstance(x, jax.core.Tracer) and not np.all(np.isfinite(x)):
            raise ValueError(f"`initial` gives values of {name} that are not finite")
    return {name: jnp.broadcast_to(x, (count,)) for name, x in arrays.items()}
