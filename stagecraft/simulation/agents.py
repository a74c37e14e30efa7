"""Who the agents of a simulation are, and how a panel is made of a number of them at a time."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray
from tqdm import tqdm

from stagecraft.arrays import traced
from stagecraft.forward.agent import log_chance
from stagecraft.households.initial import Initial
from stagecraft.households.types import HouseholdTypes

_MANY = 10_000


def number_of(beginning: Initial, agents: int | None) -> int:
    """How many agents there are; `ValueError` where `initial` has another number of them."""
    given = None if beginning.weights is not None else beginning.count
    if agents is not None and given not in (None, agents):
        name = next(name for name, x in (*beginning.states.items(), ("type", beginning.kinds)) if x is not None and x.ndim)
        raise ValueError(
            f"`initial` gives {given} values of {name} for {agents} agents; leave `agents` out, or give a distribution, "
            "from which agents are drawn (a frame with a column `weight`, or the `dist` of a perch)"
        )
    return agents or given or _MANY


def agents_of(
    beginning: Initial, types: HouseholdTypes | None, key: PRNGKeyArray, first: int, count: int
) -> tuple[Initial, Float[Array, " agents"]]:
    """Agents `first`, `first + 1`, …, as they are listed or drawn.

    **Arguments:** `key`: of these agents.

    **Returns:** one entry for each; the log-probability of what was drawn of each so far.
    """
    given = beginning.states if beginning.kinds is None else {**beginning.states, "type": beginning.kinds}
    log_prob = jnp.zeros(count, next(iter(beginning.states.values())).dtype)
    if beginning.weights is None:
        place = slice(first, first + count)
    else:
        place, chance = _drawn(beginning.weights, jax.random.fold_in(key, 7_000_013), count)
        log_prob = log_prob + log_chance(chance)
    given = {name: jnp.broadcast_to(x[place] if x.ndim else x, (count,)) for name, x in given.items()}
    if types is None:
        return Initial(given), log_prob
    if beginning.kinds is not None:
        kinds = given.pop("type").astype(int)
        return Initial(given, None, kinds), log_prob
    kinds, chance = _drawn(types.weights, jax.random.fold_in(key, 7_000_003), count)
    return Initial(given, None, kinds), log_prob + log_chance(chance)


def _drawn(weights, key, count):
    """One entry for each agent, by inverting the distribution function, and the probability of it."""
    steps = jnp.cumsum(weights)
    uniform = jax.random.uniform(key, (count,), steps.dtype) * steps[-1]
    place = jnp.minimum(jnp.searchsorted(steps, uniform, side="right"), weights.shape[0] - 1)
    return place, weights[place] / steps[-1]


def in_chunks(run: Callable[[int, int], Any], agents: int, chunk: int | None, progress: bool | None) -> Any:
    """What `run(first, count)` finds of all agents; arrays have the agents on their last axis.

    The last chunk goes back so far that it is as large as the others, and compiles nothing new: an agent is the same wherever
    a chunk begins.

    **Returns:** all at once what `run` returns; of several chunks NumPy arrays, in the memory of the host.
    """
    # Not asked for, a bar comes after two seconds, and to a terminal alone.
    how: dict[str, Any] = {"disable": None, "delay": 2} if progress is None else {"disable": not progress}
    with tqdm(total=agents, desc="agents", unit="agent", **how) as bar:
        if chunk is None or chunk >= agents:
            found = jax.block_until_ready(run(0, agents)) if progress else run(0, agents)
            bar.update(agents)
            return found
        whole, parts = None, []
        for start in range(0, agents, chunk):
            first = min(start, agents - chunk)
            part = run(first, chunk)
            if traced(part):
                parts.append(jax.tree.map(lambda x, new=start - first: x[..., new:], part))
            else:
                whole = jax.tree.map(lambda x: np.empty((*x.shape[:-1], agents), x.dtype), part) if whole is None else whole
                jax.tree.map(lambda x, new, at=first: _write(x, new, at), whole, part)
            bar.update(min(chunk, agents - start))
    return whole if not parts else jax.tree.map(lambda *xs: jnp.concatenate(xs, axis=-1), *parts)


def _write(whole, part, first):
    whole[..., first : first + part.shape[-1]] = part


def check_count(name: str, number) -> None:
    """Speak of what is no positive integer."""
    if number is not None and (isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < 1):
        raise ValueError(f"`{name}` must be a positive integer, found {number!r}")
