"""Where nothing may be left to live on: after such a post-state a unit more is worth infinitely much."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np

from heptapod.formulas.in_numpy import number
from heptapod.problem.numeric_problem import NumericProblem
from heptapod.problem.solutions import AbstractConditions
from heptapod.spaces.grids import AbstractGrid, calibrated, ends

_DEEP = 3  # Stages without a continuous control that are looked through.
_MOST = 4096  # Combinations of passive states.
_NOTHING = 1e-9
_STEP = 1e-3  # Of the grid, at which a technology is looked at.


def bare_starts(structure, parameters: Mapping, settings: Mapping) -> tuple[str, ...]:
    """The stages whose first knot of the post-state may leave nothing to those who choose it.

    That is so where income may be zero and the grid begins at zero, or where a technology yields nothing from nothing and is
    not linear: what a cake is worth is known from two knots. It is found in the first, the middle and the last period of
    every kind; what cannot be told counts as no.

    **Arguments:** `structure`: a `Structure`; `parameters`, `settings`: `{scope: {name: array}}`.
    """
    look, found = _Look(structure, parameters, settings), []
    for num in structure.stages:
        times = {t for b in structure.blocks if num.name in b.stages for t in (b.first, (b.first + b.last) // 2, b.last)}
        if isinstance(num.solution, AbstractConditions) and any(look.bare(num, t) for t in sorted(times)):
            found.append(num.name)
    return tuple(found)


class _Left(NamedTuple):
    """What is left to those who come from somewhere, over all draws: whether it may be nothing, and the most that it may be."""

    nothing: bool
    most: float


@dataclass(frozen=True)
class _Look:
    structure: Any  # A `Structure`, which asks this file.
    parameters: Mapping
    settings: Mapping

    def bare(self, num: NumericProblem, t: int) -> bool:
        """Whether the first knot of a stage may lead to nothing."""
        own, scope = cast(AbstractConditions, num.solution), self._scope(num, t)
        grid = num.grid("cntn", own.post)
        reach = None if grid is None else ends(grid, scope)
        sets = _values({f"{name}[~]": grid for name, grid in own.passive}, scope)
        if reach is None or sets is None:
            return False
        rows = {name: x[:, None] for name, x in sets.items()}
        posts = _known({n: f for n, f in num.branches[0].to_continuation.equations if n != own.post}, {**scope, **rows})
        start = np.full((len(next(iter(sets.values()), [0])), 1), reach[0])
        after = lambda step: self._after(num, "", posts | {own.post: start + step}, t, _DEEP)
        first = after(0.0)
        if first is None or not first.nothing:
            return False
        if first.most > _NOTHING:
            return True
        near, far = (after(k * _STEP * (reach[1] - reach[0])) for k in (1, 2))
        return near is not None and far is not None and not np.isclose(far.most, 2 * near.most, rtol=1e-6)

    def _scope(self, num, t) -> dict:
        return self.structure.numbers(num.name, self.parameters, self.settings, t)

    def _after(self, num, branch, at, t, deep) -> _Left | None:
        """What is left behind one continuation whose post-states are known as far as they stand in `at`; `None` if unknown."""
        block, endless = self.structure.block(t), self.structure.horizon is None
        link = next((x for x in block.links if (x.source, x.branch) == (num.name, branch)), None)
        then = t if link is None or endless or not link.crosses else t + 1
        if link is None or (not endless and then >= self.structure.horizon):
            return None
        arriving = {there: at[here] for here, there in link.mapping if here in at}
        arriving |= _known(dict(link.constants), self._scope(num, t))
        return self._inside(self.structure.stage(link.target), arriving, then, deep)

    def _inside(self, num, arriving, t, deep) -> _Left | None:
        scope = self._scope(num, t)
        nodes, sets = num.numbers(scope), _values(dict(num.discrete), scope)
        if nodes is None or sets is None:
            return None
        drawn, arriving = np.max(np.atleast_2d(nodes[1]), axis=0) > 0, _column(arriving)
        known = {**scope, **{f"{n}[<]": x for n, x in arriving.items()}, **{n: x[drawn] for n, x in nodes[0].items()}}
        decided = {f"{n}[~]": x for n, x in _known(dict(num.to_decision.equations), known).items()}
        found = []
        for chosen in zip(*sets.values(), strict=True) if sets else [()]:
            here = {**scope, **decided, **dict(zip(sets, chosen, strict=True))}
            if num.controls:
                bounds = [_known({"low": low, "high": high}, here) for _, low, high in num.bounds if low and high]
                rooms = [b["high"] - b["low"] for b in bounds if len(b) == 2]
                # Beyond nothing the edge of what is feasible lies above the first knot.
                left = [_Left(bool(np.any(np.abs(room) <= _NOTHING)), float(np.max(room))) for room in rooms]
                found += [_Left(any(x.nothing for x in left), min(x.most for x in left))] if left else []
            elif deep:
                posts = [(b.name, _known(dict(b.to_continuation.equations), here)) for b in num.branches]
                found += [self._after(num, name, at, t, deep - 1) for name, at in posts]
        found = [left for left in found if left is not None]
        if not found:
            return None
        # Who chooses takes something.
        may = all if num.choice is not None and num.choice.by == "agent" else any
        return _Left(may(left.nothing for left in found), max(left.most for left in found))


def _column(arriving: Mapping) -> dict[str, np.ndarray]:
    """What arrives after earlier draws, each combination once and in a row of its own: this stage's draws are columns."""
    if not arriving:
        return {}
    rows = np.unique([np.ravel(x) for x in np.broadcast_arrays(*arriving.values())], axis=1)
    return dict(zip(arriving, rows[..., None], strict=True))


def _known(formulas: Mapping, scope: Mapping) -> dict[str, np.ndarray]:
    """The values of those formulas whose names are all known."""
    return {name: number(f, scope) for name, f in formulas.items() if f.names <= set(scope)}


def _values(grids: Mapping[str, AbstractGrid], scope: Mapping) -> dict[str, np.ndarray] | None:
    """Every combination of the values of sets, and of the ends of grids; `None` where they are unknown or too many."""
    found = []
    for grid in grids.values():
        if grid.vector is not None:
            own = scope.get(grid.vector)
        else:
            own = calibrated(grid, scope) if grid.values else ends(grid, scope)
        if own is None:
            return None
        found.append(np.ravel(own))
    if np.prod([len(x) for x in found]) > _MOST:
        return None
    return dict(zip(grids, np.array(list(itertools.product(*found))).T.reshape(len(found), -1), strict=True)) if found else {}
