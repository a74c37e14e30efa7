"""How well a solution holds between its knots, told after a solve in NumPy from what is stored; nothing is compiled for it.

It is told of stages that are solved by plain EGM and lead to such a stage of the next period, with listed or normal shocks;
of the others `euler_errors` tells.
"""

import warnings

import numpy as np

from stagecraft.arrays import traced
from stagecraft.horses.solution import Rows

LARGE = 1e-2  # From this error on a warning says so.
_ROWS = 20  # Of a stage no more are looked at.


def warn_between_knots(solved) -> None:
    """Warn where Euler errors midway between knots are above a hundredth of consumption, at three periods."""
    if traced(solved):
        return
    horizon, worst = solved.structure.horizon, {}
    # Of types a solution is each one's own.
    for num in solved.structure.stages if solved.types is None else ():
        for t in (0,) if horizon is None else sorted({0, max(horizon - 2, 0) // 2, max(horizon - 2, 0)}):
            errors = midway(solved, num.name, t)
            if errors is not None and errors.size and errors.max() > max(LARGE, worst.get(num.name, (0.0,))[0]):
                worst[num.name] = errors.max(), errors.mean(), t
    for name, (most, mean, t) in worst.items():
        warnings.warn(
            f"stage {name}, period {t}: midway between knots Euler errors are up to {most:.2g} of the control, {mean:.2g} in "
            "the mean; give the grid of the post-state more points, or denser ones where the policy bends (`type: exp`)",
            stacklevel=4,
        )


def warn_of_bare_starts(solved) -> None:
    """Warn where nothing may be left at the first knot of a post-state, unlike at the calibration that was loaded."""
    if traced(solved):
        return
    suspects = [num.name for num in solved.structure.stages if _starts_with_nothing(solved, num)]
    found = solved.structure.bare_starts(solved.parameters, solved.settings) if suspects else ()
    for name in (n for n in suspects if n in found):
        post = solved.structure.stage(name).solution.post
        warnings.warn(
            f"stage {name}: at these parameters nothing may be left to those who choose the first knot of `{post}`, unlike at "
            "the calibration that was loaded: values within the first cell of the grid are wrong. Load the model with "
            "these parameters, or give a small floor of income",
            stacklevel=4,
        )


def _starts_with_nothing(solved, num) -> bool:
    """Whether the first choice of some row of a stage is nothing beside the second, and no knots stand close to the first."""
    own = num.solution
    if num.method not in ("egm", "nested") or own.bare:
        return False
    kept = [block[num.name] for block in solved.stored if num.name in block]
    firsts = [np.asarray(rows.control[..., :2]) for rows in kept if isinstance(rows, Rows)]
    return any(bool(np.any(np.abs(x[..., 0]) <= 1e-9 * np.abs(x[..., 1]))) for x in firsts)


def midway(solved, name: str, t: int) -> np.ndarray | None:
    r"""$|1 - \hat c/c|$ midway between the knots of a stage, $\hat c$ from next period's own policy at exactly the post-state.

    **Returns:** the unconstrained points within the grids, flat; `None` for a stage of another kind.
    """
    structure = solved.structure
    following = t + 1 if structure.horizon is not None else 0
    if structure.horizon is not None and following >= structure.horizon or name not in structure.block(t).stages:
        return None
    num, link = structure.stage(name), structure.block(t).following(name, "") if not structure.stage(name).branching else None
    if link is None or not link.crosses or not _egm(num):
        return None
    after = structure.stage(link.target)
    if link.target not in structure.block(following).stages or not _tells(after):
        return None
    kept = [solved.stored[structure.blocks.index(structure.block(k))][n.name] for k, n in ((t, num), (following, after))]
    if not all(isinstance(rows, Rows) for rows in kept):
        return None
    here, there = _Side(solved, num, t), _Side(solved, after, following)
    if here.axes is None or there.axes is None or there.nodes is None:
        return None
    return np.concatenate([_row(here, there, link, r) for r in range(min(len(here.state), _ROWS))])


def _egm(num) -> bool:
    own = num.solution
    plain = num.method == "egm" and not num.discrete and not own.upper_envelope and own.corner == "upper"
    return plain and own.foc_in_control and own.control_inverse is not None and all(grid.discrete for _, grid in own.passive)


def _tells(num) -> bool:
    """Whether the marginal value on arrival follows from the policy alone."""
    slope = num.solution.slope if _egm(num) else None
    single = len(num.integrands.formulas) == 1 and num.aggregator.formula.tree == ("sym", "E[0]")
    return slope is not None and "V[>]" not in slope.formula.names and single


class _Side:
    """A stage in one period in NumPy: the values that its equations see, its rows, and what it draws."""

    def __init__(self, solved, num, t):
        structure, self.num, self.own = solved.structure, num, num.solution
        self.scope = structure.numbers(num.name, solved.parameters, solved.settings, t)
        place = structure.blocks.index(structure.block(t))
        rows, at = solved.stored[place][num.name], t - structure.blocks[place].first
        pick = lambda x: np.asarray(x)[at if structure.horizon is not None else 0].reshape(-1, rows.state.shape[-1])
        self.state, self.control = pick(rows.state), pick(rows.control)
        self.beside = {control.name: pick(rows.inner[control.name]) for control in self.own.beside}
        one = lambda x: np.asarray(x)[at if structure.horizon is not None else 0].ravel()
        self.corner, self.least = one(rows.corner), one(rows.least)
        self.nodes = num.numbers(self.scope)
        self.axes = self._axes()

    def _axes(self) -> list[np.ndarray] | None:
        """The values of every axis of the rows; `None` where they are not listed."""
        found = [_listed(grid, self) for _, grid in self.own.passive]
        listed = [x for x in found if x is not None]
        return listed if len(listed) == len(found) else None

    def value(self, formula, **variables):
        """A formula at the parameters and these values of its variables, by key."""
        return self.num.value(formula, {**self.scope, **variables})


def _listed(grid, side: _Side) -> np.ndarray | None:
    """The values of a set, `None` where they are not listed."""
    if grid.vector is not None:
        return side.scope.get(grid.vector)
    return np.array([side.value(x) for x in grid.values]) if grid.values else None


def _row(here: _Side, there: _Side, link, r: int) -> np.ndarray:
    """The errors of one row."""
    own, m, c = here.own, *(0.5 * (x[r, 1:] + x[r, :-1]) for x in (here.state, here.control))
    places = np.unravel_index(r, [x.size for x in here.axes]) if here.axes else ()
    known = {f"{n}[~]": x[i] for (n, _), x, i in zip(own.passive, here.axes or (), places, strict=True)}
    at = {**known, f"{own.state}[~]": m, own.control: c}
    at |= {n: 0.5 * (x[r, 1:] + x[r, :-1]) for n, x in here.beside.items()}
    high, low = (here.value(side.formula, **at) for side in (own.upper, own.lower))
    free = (np.diff(here.state[r]) > 0) & (m >= here.corner[r]) & (c < high * (1 - 1e-6)) & (c > low)
    posts = {n: here.value(f, **at) * np.ones_like(m) for n, f in here.num.branches[0].to_continuation.equations}
    arriving = {to: posts[n] for n, to in link.mapping} | {to: here.value(f) + 0 * m for to, f in link.constants}
    moved = next((to for n, to in link.mapping if n == own.post), None)
    if moved is None:
        return np.zeros(0)
    slope = _marginal(there, arriving, moved)
    implied = here.value(own.control_inverse.formula, **at, **{"dV[>]": slope, f"{own.post}[>]": posts[own.post]})
    with np.errstate(all="ignore"):
        errors = np.abs(1 - implied / c)
    return errors[free & np.isfinite(errors)]


def _marginal(there: _Side, arriving: dict, moved: str) -> np.ndarray:
    """The marginal value on arrival, by the quadrature of the stage; NaN where it is asked beyond its last knot."""
    own, (nodes, weights) = there.own, there.nodes
    states = {f"{n}[<]": x[:, None] for n, x in arriving.items()}
    drawn = {n: x[None, :] for n, x in nodes.items()}
    whole = np.zeros((len(next(iter(arriving.values()))), weights.shape[-1]))
    for shock in there.num.shocks:
        if shock.given is not None:
            values = shock.values.numbers(there.scope)
            weights = weights[np.argmin(np.abs(arriving[shock.given][:, None] - values), axis=1)]
    decided = lambda s: {n: there.value(f, **s, **drawn) + whole for n, f in there.num.to_decision.equations}
    at, step = decided(states), 1e-6 * (1 + np.abs(states[f"{moved}[<]"]))
    ahead = decided({**states, f"{moved}[<]": states[f"{moved}[<]"] + step})
    rise = (ahead[own.state] - at[own.state]) / step
    row = np.zeros(whole.shape, int)
    for (n, _), values in zip(own.passive, there.axes or (), strict=True):
        row = row * len(values) + np.argmin(np.abs(at[n][..., None] - values), axis=-1)
    keys = {f"{n}[~]": x for n, x in at.items()}
    m = at[own.state]
    line, last = _policy(there, there.control, m, row), there.state[row, -1]
    keys |= {n: _policy(there, x, m, row) for n, x in there.beside.items()}
    bound = there.value(own.upper.formula, **keys) + whole
    binds = (m < there.corner[row]) & ((line >= bound) | np.isinf(there.corner[row]) | own.curved)
    c = np.where(binds, bound, np.minimum(line, bound))
    keys |= {own.control: c}
    post = there.value(dict(there.num.branches[0].to_continuation.equations)[own.post], **keys) + whole
    slope = there.value(own.slope.formula, **keys, **{f"{own.post}[>]": post})
    inside = lambda v: there.value(there.num.integrands.formulas[0], **states, **drawn, V=v)
    slope = np.where((m > there.least[row]) & (binds | (m <= last)), slope, np.nan)
    return np.sum(np.where(weights > 0, weights * (inside(1.0) - inside(0.0)) * slope * rise, 0.0), axis=1)


def _policy(there: _Side, policy, m, row):
    """A policy between knots, the first and the last line going on."""
    found = np.empty_like(m)
    for r in np.unique(row):
        here, knots = row == r, there.state[r]
        i = np.clip(np.searchsorted(knots, m[here]) - 1, 0, len(knots) - 2)
        width = knots[i + 1] - knots[i]
        share = (m[here] - knots[i]) / np.where(width > 0, width, 1.0)
        found[here] = policy[r, i] + (policy[r, i + 1] - policy[r, i]) * share
    return found
