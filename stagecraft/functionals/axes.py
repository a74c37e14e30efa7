"""Axes of passive states and discrete controls: positions on them, and means between knots of continuous ones."""

import dataclasses
import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from stagecraft.horses.solution import Answer
from stagecraft.operators.interpolate import Segment, nearest, tamed

States = dict[str, Float[Array, "..."]]


class Axis(eqx.Module):
    """One axis of the rows of a decision: a passive state, or a discrete control.

    **Attributes:** `name`; `key`: its name in formulas; `values`: increasing for a state; `discrete`: matched exactly; `even`:
    equidistant.
    """

    name: str = eqx.field(static=True)
    key: str = eqx.field(static=True)
    values: Float[Array, " values"]
    discrete: bool = eqx.field(static=True)
    even: bool = eqx.field(static=True, default=False)


def along(axes: tuple[Axis, ...], rank: int = 0) -> list[Float[Array, "..."]]:
    """The values of every axis, each along its own dimension, before `rank` others."""
    shape = lambda i: (1,) * i + (-1,) + (1,) * (len(axes) - i - 1 + rank)
    return [axis.values.reshape(shape(i)) for i, axis in enumerate(axes)]


def labels_of(axes: tuple[Axis, ...]) -> tuple[str, ...]:
    """`h[0]`, `h[1]`: combinations of discrete controls by the positions of their values."""
    places = itertools.product(*[range(axis.values.shape[0]) for axis in axes])
    return tuple(" ".join(f"{axis.name}[{i}]" for axis, i in zip(axes, at, strict=True)) for at in places)


def combinations(axes: tuple[Axis, ...], rank: int) -> dict:
    """(position, value) of every axis over all combinations, a leading axis before `rank` others."""
    grids = np.meshgrid(*[np.arange(axis.values.shape[0]) for axis in axes], indexing="ij")
    shape = lambda x: jnp.reshape(x, (-1,) + (1,) * rank)
    return {
        axis.name: (shape(jnp.asarray(i.ravel())), shape(axis.values[i.ravel()])) for axis, i in zip(axes, grids, strict=True)
    }


class CellCorners:
    """Where states lie between the knots of continuous axes: all corners around them on leading axes, asked at once."""

    def __init__(self, axes: list[Axis], states: States):
        self.names = [axis.name for axis in axes]
        self.segments = [Segment(axis.values, states[axis.name], even=axis.even) for axis in axes]
        self.index = {name: self._corners(i) for i, name in enumerate(self.names)}

    def _corners(self, i):
        """The index of the knot below and of the one above, along the i-th leading axis."""
        index = self.segments[i].index
        sides = jnp.arange(2, dtype=index.dtype).reshape((1,) * i + (2,) + (1,) * (len(self.names) - i - 1 + index.ndim))
        return self.lead(index) + sides

    def lead(self, x):
        """An array with an axis of one before it for every continuous state."""
        return x.reshape((1,) * len(self.names) + x.shape)

    def blend(self, answer: Answer, interp: str) -> Answer:
        """The answers at all corners joined, the last axis first."""
        corners = (2,) * len(self.names)
        if corners:
            answer = jax.tree.map(lambda x: jnp.broadcast_to(x, corners + x.shape[len(corners) :]), answer)
        for i in reversed(range(len(corners))):
            low, high = (jax.tree.map(lambda x, side=side, i=i: jnp.take(x, side, axis=i), answer) for side in (0, 1))
            answer = blend(low, high, self.segments[i], self.names[i], interp)
        return answer


def row_of(axes: tuple[Axis, ...], between: CellCorners, states: States) -> Any:
    """The row of the nearest values of discrete states, and of all corners around continuous ones."""
    row = 0
    for axis in axes:
        index = between.index[axis.name] if not axis.discrete else between.lead(nearest(axis.values, states[axis.name]))
        row = row * axis.values.shape[0] + index
    return row


def blend(low: Answer, high: Answer, segment: Segment, name: str, interp: str) -> Answer:
    """Between two rows of a continuous passive state: policies linear, the value a `tamed` cubic."""
    share, width = segment.share, segment.width
    mix = lambda a, b: a + (b - a) * share
    answer = jax.tree.map(lambda a, b: a if a.dtype == bool else mix(a, b), low, high)
    # On a knot, up to rounding, the other one does not matter.
    near = 1e2 * jnp.finfo(share.dtype).eps
    feasible = (low.feasible | (share >= 1 - near)) & (high.feasible | (share <= near))
    secant = (high.value - low.value) / width
    marginal = {**answer.marginal, name: secant}
    if interp == "linear" or name not in low.marginal:
        return dataclasses.replace(answer, feasible=feasible, marginal=marginal)
    d0, d1 = tamed(low.marginal[name], high.marginal[name], secant)
    s = jnp.clip(share, 0.0, 1.0)
    bend = s * (1 - s) * width * ((d0 - secant) * (1 - s) - (d1 - secant) * s)
    slope = secant + (1 - 2 * s) * ((d0 - secant) * (1 - s) - (d1 - secant) * s) - s * (1 - s) * (d0 + d1 - 2 * secant)
    marginal = {**answer.marginal, name: slope}
    return dataclasses.replace(answer, value=answer.value + bend, feasible=feasible, marginal=marginal)


def continuation_of(branch: str) -> str:
    """The perch of a branch, `cntn.work`; that of a sequential stage is `cntn`."""
    return f"cntn.{branch}" if branch else "cntn"
