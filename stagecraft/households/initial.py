"""Where households begin: numbers, arrays, frames or distributions, checked, and as weighted points."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from stagecraft.arrays import dtype_of, traced, where
from stagecraft.households.cells import cells, settle, spread
from stagecraft.households.population import Population
from stagecraft.households.types import HouseholdTypes


class Initial(NamedTuple):
    """What `initial` says.

    **Attributes:** `states`: numbers, or arrays of one length; `weights`: of their entries, `None` where each is one agent;
    `kinds`: the type of each entry, `None` where it is not said.
    """

    states: dict[str, Float[Array, ""] | Float[Array, " points"]]
    weights: Float[Array, " points"] | None = None
    kinds: Int[Array, " points"] | None = None

    @property
    def count(self) -> int | None:
        """How many entries there are; `None` for numbers."""
        return next((x.shape[0] for x in (*self.states.values(), self.kinds) if x is not None and x.ndim), None)


def start_of(solved, initial):
    """The stage where households begin, and the values there."""
    names, starts = [num.name for num in solved.structure.stages], solved.structure.starts
    inside = next(iter(initial.values())) if isinstance(initial, Mapping) and len(initial) == 1 else None
    if isinstance(inside, (Mapping, Population)) or hasattr(inside, "columns"):
        (start,) = initial
        if start not in solved.structure.blocks[0].stages:
            raise ValueError(f"no stage `{start}` in period 0 to start from; there are {', '.join(names)}")
        return start, inside
    if len(starts) != 1:
        raise ValueError(f"households may begin in {' or '.join(starts)}; give `initial` as {{STAGE: {{...}}}}")
    return starts[0], initial


def beginnings(solved, initial) -> dict[str, Initial]:
    """What `initial` says, by the stage where households begin: of several if it gives the distribution in each."""
    found, parts = {}, [initial]
    if isinstance(initial, Mapping) and len(initial) > 1 and all(isinstance(x, Population) for x in initial.values()):
        somebody = lambda x: traced(x) or np.any(np.asarray(x.weights) > 0)
        parts = [{stage: x} for stage, x in initial.items() if somebody(x)] or [initial]
    for part in parts:
        start, inside = start_of(solved, part)
        found[start] = read_initial(
            inside, solved.structure.stage(start).dimensions("arvl"), dtype_of(solved.stored), ("type",)
        )
        check_kinds(found[start].kinds, solved.types)
    return found


def read_initial(initial, wanted, dtype, also: tuple[str, ...] = ()) -> Initial:
    """Arrays by name; weights of a distribution, or of a frame that has them, whose sum is then one.

    **Arguments:** `wanted`: the states on arrival; `also`: `("type",)` where the types of households may be given.
    """
    weights, frame = None, hasattr(initial, "columns")
    if isinstance(initial, Population):
        initial, weights = initial.states, initial.weights
    elif frame:
        initial, weights = _frame_columns(initial, wanted, also)
    also = tuple(name for name in also if name not in wanted)
    given = set(initial) if isinstance(initial, Mapping) else set()
    if not isinstance(initial, Mapping) or not set(wanted) <= given or (weights is None and given - set(wanted) - set(also)):
        hint = "; rename it: dist.rename({...})" if weights is not None else ""
        raise ValueError(f"`initial` must give {', '.join(wanted)}; it gives {_given(initial, wanted)}{hint}")
    arrays = {name: _array_of(name, initial[name], dtype) for name in (*wanted, *[n for n in also if n in initial])}
    if weights is not None:
        weights = _weights(_array_of("weight", weights, dtype))
        weights = weights / jnp.sum(weights) if frame else weights
    lengths = {x.shape[0] for x in (*arrays.values(), *([] if weights is None else [weights])) if x.ndim == 1}
    if any(x.ndim > 1 for x in arrays.values()) or len(lengths) > 1 or lengths == {0}:
        shapes = ", ".join(f"{name} of shape {x.shape}" for name, x in arrays.items() if x.ndim)
        raise ValueError(
            f"`initial` takes numbers, or arrays of one axis and one length, at least one entry long; it gives {shapes}"
        )
    kinds = arrays.pop("type", None) if "type" in also else None
    for name, x in arrays.items():
        _check_finite(name, x, weights)
    if weights is not None:
        # Where nobody is a state may be anything, and is that of somebody.
        kept, some = lambda x: (weights > 0) | jnp.isfinite(x), jnp.argmax(weights)
        arrays = {name: where(kept(x), x, x[some]) if x.ndim else x for name, x in arrays.items()}
    return Initial(arrays, weights, kinds)


def _given(initial, wanted) -> str:
    """What `initial` gives where it does not give what is wanted, in words."""
    if isinstance(initial, Mapping):
        return ", ".join(map(str, initial)) or "nothing"
    call = ", ".join(f'"{name}": ...' for name in wanted)
    kind = f"an array of shape {np.shape(initial)}" if hasattr(initial, "shape") else repr(initial)
    return f"{kind} without names: write {{{call}}}, a number or an array of one axis for each"


def _frame_columns(frame, wanted, also):
    """The columns of a frame that say something here, and its weights, if it has any."""
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        raise ValueError(f"`initial` has no column {', '.join(missing)}; it has {', '.join(map(str, frame.columns))}")
    weighted = "weight" in frame.columns and "weight" not in wanted
    found = {name: np.asarray(frame[name]) for name in (*wanted, *also) if name in frame.columns}
    return found, np.asarray(frame["weight"]) if weighted else None


def _array_of(name, x, dtype):
    try:
        return jnp.asarray(x, dtype)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`initial` gives {name} that is no number or array of numbers: {error}") from None


def _weights(weights):
    """Weights of which some are positive, and none negative."""
    # A concrete array inside a transformation stays one in NumPy's hands alone.
    if not traced(weights) and not (np.all(np.asarray(weights) >= 0) and np.any(np.asarray(weights) > 0)):
        raise ValueError("the weights of `initial` must be numbers of zero or more, some of them positive")
    return weights


def _check_finite(name, x, weights):
    """A number for everybody."""
    if traced(x, weights):
        return
    bad = ~np.isfinite(x) if weights is None else ~np.isfinite(x) & (np.asarray(weights) > 0)
    if np.any(bad):
        where = f", first in entry {np.argmax(bad)}" if x.ndim else ""
        raise ValueError(f"`initial` gives values of {name} that are not finite{where}")


def check_kinds(kinds, types: HouseholdTypes | None) -> None:
    """Types are whole numbers from 0."""
    if kinds is None:
        return
    if types is None:
        raise ValueError("`initial` gives type, but the circuit has no types; leave it out")
    if not traced(kinds) and not np.all(np.isin(kinds, np.arange(len(types)))):
        wrong = np.atleast_1d(kinds)[np.argmin(np.isin(np.atleast_1d(kinds), np.arange(len(types))))]
        raise ValueError(f"`initial` gives type = {wrong:g}; types are whole numbers from 0 to {len(types) - 1}")


def check_sets(solved, start, states, weights=None):
    """Discrete states begin on their sets."""
    space = dict(solved.structure.stage(start).spaces)["arvl"]
    for name, x in states.items():
        grid = space.grid(name)
        if grid is None or not grid.discrete or traced(x, weights):
            continue
        values = _first_knots(solved, start, grid)
        if traced(values):
            continue
        x, values, gap = np.atleast_1d(x), np.asarray(values), np.inf
        for value in values:
            gap = np.minimum(gap, np.abs(x - value))
        gap = gap if weights is None else np.where(np.asarray(weights) > 0, gap, 0.0)
        if np.any(gap > 1e-6 * (1 + np.abs(values).max())):
            shown = ", ".join(f"{v:g}" for v in values[:8])
            raise ValueError(f"`initial` gives {name} = {x[np.argmax(gap)]:g}, which is not in its set ({shown})")


def beyond(solved, start, arrays, weights=None):
    """In words, for every state of which values lie off the grid of its arrival; nothing where they are not yet known."""
    found = solved.structure.homes[start]
    for name, x in arrays.items():
        if found[name] is None or found[name][2].discrete or traced(x, weights):
            continue
        owner, perch, grid = found[name]
        knots = _first_knots(solved, owner, grid)
        if traced(knots):
            continue
        x, low, high = np.atleast_1d(x), float(knots[0]), float(knots[-1])
        room = 1e-9 * (1.0 + max(abs(low), abs(high)))
        off = (x < low - room) | (x > high + room)
        off = off if weights is None else off & (np.broadcast_to(weights, x.shape) > 0)
        if np.any(off):
            yield (
                f"`initial` gives {name} = {x[np.argmax(off)]:g}, off the grid of stage {start}'s arrival, which runs from "
                f"{low:g} to {high:g} (declared at {owner}.{perch}); {np.mean(off):.1%} of the values are off it"
            )


def _first_knots(circuit, stage, grid):
    """A grid of a stage in the first period."""
    return _built(dataclasses.replace(circuit, stored=None, info=None, dists=None, types=None), stage, grid)


@functools.partial(jax.jit, static_argnames=("stage", "grid"))
def _built(circuit, stage, grid):
    return grid.build(circuit.scope(stage, 0))


def population_of(solved, initial, refine: int, kind: int | None = None) -> dict[str, Population]:
    """Weighted points on arrival of the stages where households begin.

    Numbers stay what they are; arrays are put on the grids of their states by lottery.

    **Arguments:** `kind`: a type, if there are any; it has those who are said to be of it, or its weight's part of all.
    """
    one = solved if kind is None else solved.of_type(kind)
    share = 1.0 if kind is None else solved.types.weights[kind]
    return {
        start: _on_grids(one, start, x, _masses(x, kind, share), refine) for start, x in beginnings(solved, initial).items()
    }


def _masses(beginning: Initial, kind, share):
    """Of every entry; of a sample one in all."""
    count, some = beginning.count or 1, next(iter(beginning.states.values()))
    weights = jnp.full(count, 1.0 / count, some.dtype) if beginning.weights is None else beginning.weights
    return weights * share if beginning.kinds is None else where(beginning.kinds == kind, weights, 0.0)


def _on_grids(solved, start, beginning: Initial, weights, refine) -> Population:
    """Numbers as they are, arrays on the grids of their states."""
    arrays = beginning.states
    check_sets(solved, start, arrays, weights)
    for wrong in beyond(solved, start, arrays, weights):
        raise ValueError(wrong)
    many = tuple(name for name, x in arrays.items() if x.ndim)
    if not many:
        return Population({name: x[None] for name, x in arrays.items()}, jnp.sum(weights)[None])
    axes = tuple(axis for axis in cells(solved, start, jnp.asarray(0), refine) if axis.name in many)
    mass = settle(axes, Population({name: arrays[name] for name in many}, weights)).mass
    people = spread(axes, mass)
    states = people.states | {name: jnp.broadcast_to(x, mass.size) for name, x in arrays.items() if not x.ndim}
    return Population({name: states[name] for name in arrays}, people.weights)
