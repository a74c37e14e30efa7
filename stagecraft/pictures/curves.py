"""Curves of what a solved stage knows: policies, the value, marginal values and probabilities, along any state."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from stagecraft.arrays import traced
from stagecraft.functionals.functional import AbstractFunctional, Choices, Named
from stagecraft.pictures.canvas import canvas, legend, number, worded
from stagecraft.pictures.spans import Span, declared, spans

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def functions_of(sol: AbstractFunctional) -> dict[str, Named]:
    """All that a functional object answers, by the name that a picture calls it: `c`, `value`, `marginal[m]`, `work`."""
    chosen: dict[str, Named] = {name: sol.policy[name] for name in sol.policy}
    odds = getattr(sol, "probability", ())
    chosen |= {name: odds[name] for name in odds} if isinstance(odds, Choices) else {}
    slopes = {f"marginal[{name}]": sol.marginal[name] for name in sol.marginal}
    return chosen | {"value": sol.value, "marginal": sol.marginal[sol.dimensions[0]]} | slopes


def asked(sol: AbstractFunctional, what: str | Iterable[str] | None, where: str) -> dict[str, Named]:
    """Those functions that were asked for by name; without one the policies, else the probabilities, else the value.

    **Raises:** `ValueError` where nothing is solved yet, or for a name that is not there.
    """
    if not sol:
        raise ValueError(f"{where} is not solved; call stagecraft.solve first, and draw what it returns")
    if traced(sol):
        raise ValueError(f"{where} is being traced, so it has no numbers to draw; draw outside of jit, vmap and grad")
    known = functions_of(sol)
    names = [what] if isinstance(what, str) else list(what or [*sol.policy] or [*getattr(sol, "probability", ())] or ["value"])
    for name in names:
        if name not in known:
            raise ValueError(f"{where} has no `{name}` to draw; there are {', '.join(known)}")
    return {name: known[name] for name in names}


def fixed(sol: AbstractFunctional, at: Mapping[str, Any] | None, where: str) -> dict[str, Any]:
    """The states that were given values; `ValueError` for one that is not there."""
    for name in at or {}:
        if name not in sol.dimensions:
            raise ValueError(f"{where} has no state `{name}` to hold still; it has {', '.join(sol.dimensions)}")
    return dict(at or {})


def among(known: Mapping[str, Span], name: str, points: Any, where: str) -> None:
    """Speak of points of a discrete state that are none of its values; `ValueError`."""
    if name not in known or not known[name].discrete:
        return
    knots, points = known[name].knots, np.atleast_1d(np.asarray(points, float))
    strange = points[np.abs(points[:, None] - knots).min(axis=1) > 1e-6 * (1 + np.abs(points))]
    if strange.size:
        values = ", ".join(number(x) for x in knots[:8]) + (", ..." if knots.size > 8 else "")
        raise ValueError(f"`{name}` of {where} is discrete: it is one of {values}; found {number(strange[0])}")


def along(
    sol: AbstractFunctional,
    x: str | Mapping[str, Any] | None,
    held: Mapping[str, Any],
    known: Mapping[str, Span],
    where: str,
) -> tuple[str, Any]:
    """The state along which is drawn, and its points: the first that is not held, between the ends of its knots."""
    if isinstance(x, Mapping):
        if len(x) != 1:
            raise ValueError(f"x is one state with its points, x={{'{sol.dimensions[0]}': points}}, found {list(x)}")
        ((name, points),) = x.items()
        points = np.atleast_1d(np.asarray(points, float))
    else:
        free = [name for name in sol.dimensions if name not in held]
        if x is None and not free:
            raise ValueError(f"every state of {where} is held still; leave one out of `at`, and it becomes the axis")
        name, points = free[0] if x is None else x, None
    if name not in sol.dimensions:
        raise ValueError(f"{where} has no state `{name}`; it has {', '.join(sol.dimensions)}")
    if points is None:
        span = known.get(name)
        if span is None:
            raise ValueError(
                f"{where} has no knots along `{name}`; say where to draw, x={{'{name}': jnp.linspace(0, 10, 100)}}"
            )
        points = span.points()
    return name, points


def others(
    sol: AbstractFunctional, x: str, held: Mapping[str, Any], known: Mapping[str, Span], where: str
) -> list[dict[str, Any]]:
    """What the states beside `x` are in each curve: as held, and of one that is not a few of its values."""
    rest = [name for name in sol.dimensions if name != x and name not in held]
    for name in rest:
        if name not in known:
            raise ValueError(f"{where} has no knots along `{name}`; hold it still, at={{'{name}': 1.0}}")
    held = {name: value for name, value in held.items() if name != x}
    if not rest:
        return [held]
    middle = {name: known[name].knots[len(known[name].knots) // 2] for name in rest[1:]}
    return [{**held, **middle, rest[0]: value} for value in known[rest[0]].some()]


def plot_functions(
    sol: Any,
    what: str | Iterable[str] | None = None,
    x: str | Mapping[str, Any] | None = None,
    at: Mapping[str, Any] | None = None,
    ax: "Axes | None" = None,
    where: str = "this",
    label: str = "",
    spaces: tuple[Any, Mapping[str, Any]] | None = None,
    units: Mapping[str, str] = MappingProxyType({}),
    **style: Any,
) -> "Axes":
    """Curves of functions of states along one of them; arguments as of `Stage.plot`, `where` for messages.

    **Arguments:** `spaces`: the pointwise functions of the stage and its values, which know the grids that its file declares;
    `units`: of variables, for the axes.
    """
    functions, held = asked(sol, what, where), fixed(sol, at, where)
    known = spans(sol)
    if spaces is not None:
        known |= {name: span for name, span in declared(*spaces).items() if span.discrete or name not in known}
    name, points = along(sol, x, held, known, where)
    for state, values in {**held, name: points}.items():
        among(known, state, values, where)
    several = others(sol, name, held, known, where)
    ax = canvas(ax, xlabel=worded([name], units), ylabel=worded(functions, units))
    discrete = name in known and known[name].discrete
    for kind, function in functions.items():
        for held in several:
            states = {key: jnp.asarray(value) for key, value in {**held, name: points}.items()}
            free = [key for key in held if key not in (at or {})]
            words = [label, kind if len(functions) > 1 else "", *[f"{key} = {number(held[key])}" for key in free[-1:]]]
            # Beyond the grid, too, without a warning: a picture shows where it is.
            values = np.asarray(function.of(sol.at(**states)))
            marks: dict[str, Any] = {"marker": "o"} if discrete else {}
            ax.plot(points, values, label=", ".join(w for w in words if w) or kind, **{**marks, **style})
    return legend(ax)
