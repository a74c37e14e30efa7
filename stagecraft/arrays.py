"""Arrays of a circuit: their float type, whether JAX traces them, a choice between them, and how they are shown."""

import html
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Float


def floating(x) -> bool:
    """Whether an array holds floating-point numbers."""
    return jnp.issubdtype(x.dtype, jnp.floating)


def dtype_of(*trees: Any) -> jnp.dtype:
    """The type of the first floating-point leaf: all of a circuit, and of what is solved of it, have the same."""
    # A circuit without a parameter has what it would be given.
    return next((x.dtype for x in jax.tree.leaves(trees) if floating(x)), jnp.result_type(float))


def traced(*trees) -> bool:
    """Whether anything in these is inside a transformation, and may be asked for a derivative."""
    return any(isinstance(x, Tracer) for x in jax.tree.leaves(trees))


def where(condition, x, y) -> Array:
    """`jnp.where(condition, x, y)`: element by element `x` where the condition holds and `y` elsewhere.

    JAX's own is a compiled program, so that a trace holds a call for each use, and a derivative looks into each by itself.
    A model has hundreds of them; this one is an equation, beside those that spread numbers over a shape.

    **Returns:** an array of the type and shape that `jnp.where` gives, weak types included. **Raises:** `ValueError` where
    the shapes do not fit each other.
    """
    condition = condition if hasattr(condition, "dtype") else jnp.asarray(condition)
    dtype, shape = jnp.result_type(x, y), jnp.broadcast_shapes(*map(jnp.shape, (condition, x, y)))
    strong = [z.dtype for z in (x, y) if hasattr(z, "dtype") and not getattr(z, "weak_type", False)]
    if dtype not in strong or condition.dtype != bool:  # What is weak stays so.
        return jnp.where(condition, x, y)
    taken = condition if condition.ndim == 0 else _spread(condition, bool, shape)
    return lax.select(taken, _spread(x, dtype, shape), _spread(y, dtype, shape))


def _spread(x, dtype, shape):
    """An array of this type and shape, by as few equations as can be."""
    if not hasattr(x, "dtype"):
        return lax.full(shape, x, dtype)
    return jnp.broadcast_to(x if x.dtype == dtype else lax.convert_element_type(x, dtype), shape)


def room_above(bound: Float[Array, "..."]) -> Float[Array, "..."]:
    """The distance kept from an open bound: small beside any choice, large beside rounding."""
    tiny = 1e-14 if jnp.finfo(bound.dtype).bits == 64 else 1e-6
    return tiny * (1.0 + jnp.abs(where(jnp.isfinite(bound), bound, 0.0)))


def dataset(data, coords) -> Any:
    """An xarray Dataset; `ModuleNotFoundError` without the extra `xarray`."""
    try:
        import xarray
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError('to_xarray needs xarray: pip install "dynx[xarray]"') from error
    return xarray.Dataset(data, coords=coords)


def shown(x) -> str:
    """An array in a few characters: a number, or a shape and a range."""
    if not hasattr(x, "__array__") or type(x).__name__.endswith("Tracer"):
        return f"{getattr(x, 'dtype', type(x).__name__)}{list(getattr(x, 'shape', []))}"
    array = np.asarray(x)
    if array.ndim == 0:
        return f"{array:.6g}"
    there = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    span = f"[{there.min():.6g}, {there.max():.6g}]" if there.size else "[]"
    return f"{'x'.join(map(str, array.shape))} in {span}" if array.size else "empty"


def listed(title: str, rows: Iterable[tuple[str, str]], limit: int = 10) -> str:
    """A title and aligned rows; no more than fit a screen."""
    rows = list(rows)
    shown = rows[:limit]
    width = max((len(k) for k, _ in shown), default=0)
    lines = [title, *[f"  {k:<{width}}  {v}"[:118] for k, v in shown]]
    return "\n".join(lines + ([f"  ... and {len(rows) - limit} more"] if len(rows) > limit else []))


def page(text: str) -> str:
    """What `listed` wrote, for a notebook."""
    title, *lines = text.split("\n")
    rows = [line.strip().partition("  ") for line in lines]
    return table(title, [(name, words.strip()) for name, _, words in rows])


def table(title: str, rows: Iterable[tuple[str, str]], above: str = "") -> str:
    """A title and rows for a notebook, with a picture between them."""
    cells = "".join(
        f"<tr><td style='text-align:left'><code>{html.escape(name)}</code></td>"
        f"<td style='text-align:left'>{html.escape(words)}</td></tr>"
        for name, words in rows
    )
    return f"<div><b>{html.escape(title)}</b>{above}{f'<table>{cells}</table>' if cells else ''}</div>"
