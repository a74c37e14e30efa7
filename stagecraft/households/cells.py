"""Where mass, and values that are stored, live between periods: the grid of every arrival state, its own or a namesake's."""

import jax
import jax.numpy as jnp

from stagecraft.arrays import where
from stagecraft.functionals.axes import Axis
from stagecraft.households.population import Population
from stagecraft.operators.lottery import Landed, lottery


def cells(circuit, stage: str, t, refine: int = 1) -> tuple[Axis, ...]:
    """The grids of a stage's arrival in period `t`, one for each state in order.

    **Arguments:** `refine`: into how many parts the cells of continuous grids are cut.

    **Raises:** `ValueError` for a state without a grid, with the line to add.
    """
    found, axes = circuit.structure.homes[stage], []
    for name in circuit.structure.stage(stage).dimensions("arvl"):
        if found[name] is None:
            raise ValueError(
                f"stage {stage}, arrival: no grid for `{name}`, here or on a perch that has the same state, so that mass has "
                f"nowhere to live; add state_space: {{arvl: {{grid: {{{name}: ...}}}}}}"
            )
        owner, perch, grid = found[name]
        # A continuation's grid was built one period before.
        scope = circuit.scope(owner, jnp.maximum(t - 1, 0) if perch.startswith("cntn") else t)
        knots = grid.build(scope)
        kinks = _kinks(circuit.structure.stage(owner), grid, scope)
        axes.append(Axis(name, name, knots if grid.discrete else _through(_finer(knots, refine), kinks), grid.discrete))
    return tuple(axes)


def _kinks(num, grid, scope):
    """Where people stay because the slope of what follows falls there, on the grid of the post-state that a stage chooses."""
    kinks, post = getattr(num.solution, "kinks", ()), getattr(num.solution, "post", None)
    mine = bool(kinks) and num.grid("cntn", post) == grid
    return [kink(scope) for kink in kinks if set(kink.names) <= set(scope)] if mine else []


def _through(knots, places):
    """The knots, the nearest inner one moved to each place, so that those who stay there are not spread over two cells."""
    for place in places:
        inside = (place > knots[0]) & (place < knots[-1])
        nearest = 1 + jnp.argmin(jnp.abs(jax.lax.stop_gradient(knots[1:-1] - place)))
        knots = knots.at[nearest].set(where(inside, place, knots[nearest]))
    return knots


def _finer(knots, refine):
    if refine == 1 or knots.shape[0] < 2:
        return knots
    steps = jnp.arange(refine, dtype=knots.dtype) / refine
    inner = knots[:-1, None] + (knots[1:] - knots[:-1])[:, None] * steps
    return jnp.append(inner.ravel(), knots[-1])


def spread(axes: tuple[Axis, ...], mass) -> Population:
    """The cells of a grid as weighted points, neighbours along the first continuous axis next to each other."""
    first = next((i for i, axis in enumerate(axes) if not axis.discrete), len(axes) - 1)
    flat = lambda x: jnp.moveaxis(x, first, -1).ravel()
    grids = jnp.meshgrid(*[axis.values for axis in axes], indexing="ij")
    order = (*axes[:first], *axes[first + 1 :], axes[first])
    sizes = tuple((axis.name, axis.values.shape[0]) for axis in order)
    return Population({axis.name: flat(x) for axis, x in zip(axes, grids, strict=True)}, flat(mass), sizes)


def settle(axes: tuple[Axis, ...], people: Population, open=None) -> Landed:
    """Points put onto a grid by lottery, on the cells that are `open` where those are given."""
    positions = tuple(people.states[axis.name] for axis in axes)
    return lottery(positions, people.weights, tuple(axis.values for axis in axes), tuple(axis.discrete for axis in axes), open)


def empty(axes: tuple[Axis, ...]) -> jax.Array:
    """A grid at which nobody is."""
    return jnp.zeros(tuple(axis.values.shape[0] for axis in axes), axes[0].values.dtype)
