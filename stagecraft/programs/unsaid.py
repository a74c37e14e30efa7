"""What verbs cannot say while they are traced, for a program that is to know whether they would have raised."""

import contextlib
import contextvars
from collections.abc import Callable, Iterator

import jax.numpy as jnp
from jaxtyping import Array, Bool

_asked: contextvars.ContextVar[list | None] = contextvars.ContextVar("asked", default=None)


@contextlib.contextmanager
def unsaid() -> Iterator[list[Bool[Array, ""]]]:
    """Inside a trace: for each verb called in here that raises where numbers are concrete, whether it would have raised.

    **Returns:** a list, filled while the block is traced, of traced truths.
    """
    found: list[Bool[Array, ""]] = []
    token = _asked.set(found)
    try:
        yield found
    finally:
        _asked.reset(token)


def leave_unsaid(wrong: Callable[[], Bool[Array, "..."]]) -> None:
    """Tell whoever asked whether a verb would raise; where nobody did, the program is none the longer."""
    found = _asked.get()
    if found is not None:
        found.append(jnp.any(wrong()))
