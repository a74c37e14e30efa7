"""A panel made a number of agents at a time, so that no more than what is kept is ever held."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from stagecraft._push import traced


def in_chunks(run: Callable[[int, int], Any], agents: int, chunk: int | None, progress: bool) -> Any:
    """What `run(first, count)` finds of all agents; arrays have the agents on their last axis.

    The last chunk goes back so far that it is as large as the others, and compiles nothing new: an agent is the same wherever
    a chunk begins.

    **Returns:** all at once what `run` returns; of several chunks NumPy arrays, in the memory of the host.
    """
    with tqdm(total=agents, desc="agents", unit="agent", disable=not progress) as bar:
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
