"""What a direct search for the maximum needs of a stage: its controls, its states, and the grids of what it keeps."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy as sp

from heptapod.derivation import certificate
from heptapod.derivation.conditions import Derivation, writable
from heptapod.derivation.derive import Derived, without_continuation
from heptapod.derivation.euler_inputs import UTIL, EulerInputs, V, real
from heptapod.derivation.invert import invert
from heptapod.derivation.steps import noting, step
from heptapod.formulas.equation import key, perch_of
from heptapod.formulas.freeze import freeze
from heptapod.formulas.in_numpy import number
from heptapod.parsing.parse import Bounds
from heptapod.problem.refusal import apart
from heptapod.spaces.grids import AbstractGrid, ends
from heptapod.stage.homes import post_grid

# A search over the product of more candidates than this many controls have is not worth waiting for.
MOST = 3


@dataclass(frozen=True)
class Direct:
    """What a direct search for the maximum stands on.

    **Attributes:** `limits`: (control, bounds) pairs; `state`: the decision state along which policies are interpolated last,
    and its `grid`, `None` where its knots follow from those of the post-state; `passive`: (other decision state, grid) pairs;
    `post`: the post-state along which the continuation is interpolated last; `posts`: (post-state, grid) pairs of all of
    them; `base`: the state that leads to a post-state while every control takes as little as it may, or `None`; `utility`,
    `utility_inverse` (of `u`): the reward in one control alone, `control`, or `None`; `left_out`: as of `Derived`.
    """

    limits: tuple[tuple[str, Bounds], ...]
    state: str
    grid: AbstractGrid | None
    passive: tuple[tuple[str, AbstractGrid], ...]
    post: str
    posts: tuple[tuple[str, AbstractGrid], ...]
    base: sp.Expr | None = None
    control: str | None = None
    utility: sp.Expr | None = None
    utility_inverse: sp.Expr | None = None
    left_out: tuple[str, ...] = ()


def read_direct(
    reading, equations, derived: Derived, grids: Mapping[str, AbstractGrid | None], numbers: Mapping
) -> Direct | None:
    """What the search stands on; `None` after an error, which names the grid that is missing.

    **Arguments:** `grids`: of every decision state, its own or the one that stands in for it; `numbers`: parameters at the
    calibration.
    """
    (branch,), controls = equations.branches, equations.controls
    if len(controls) > MOST:
        message = f"stage {reading.name} has {len(controls)} continuous controls; at most {MOST} are searched together"
        return reading.reader.error("method", message, (*reading.math, "controls"), "split the stage in two", key=True)
    if _names_controls(reading, equations, derived):
        return None
    posts = _posts(reading, equations, branch, derived, grids, numbers)
    if posts is None:
        return None
    post = _active(reading, equations, branch, derived, posts)
    state = None if post is None else _state(reading, equations, branch, derived, post, grids)
    if post is None or state is None:
        return None
    rows = tuple(
        sorted(((n, g) for n, g in grids.items() if n != state and g is not None), key=lambda row: not row[1].discrete)
    )
    limits = tuple((c, equations.bounds[c]) for c in controls)
    found = Direct(limits=limits, state=state, grid=grids[state], passive=rows, post=post, posts=posts)
    with noting() as left:
        base = None if grids[state] is not None else _base(found, branch, numbers)
        control, utility, inverse = _level(found, branch, equations, numbers) or (None, None, None)
    return replace(found, base=base, control=control, utility=utility, utility_inverse=inverse, left_out=tuple(left))


def _names_controls(reading, equations, derived) -> bool:
    """Whether a bound names another control, which is told as an error: a search looks over an interval of each."""
    for name, bound in equations.bounds.items():
        sides = [side for side in (bound.lower, bound.upper) if side is not None]
        others = [c for c in equations.controls if any(side.has(real(c)) for side in sides)]
        if not others:
            continue
        why = derived.problem or "another method was asked for"
        can = f"`egm` takes it where {others[0]} enters reward and budget only, and here {why}"
        message = f"the bound of `{name}` names the control `{others[0]}`, which a search (vfi) cannot take; {can}"
        help = (
            f"choose `{others[0]}` in a stage of its own, before that of `{name}`, whose bounds then name states alone; or "
            f"bounds of `{name}` in states and parameters, and the rest as `constraints: {{budget: ...}}`"
        )
        reading.reader.error("bounds", message, (*reading.math, "controls", name), help)
        return True
    return False


def _because(derived) -> str:
    """Why a stage is searched, as far as it was not asked for."""
    return "" if derived.problem is None else f"; it is searched, since {derived.problem}"


def _posts(reading, equations, branch, derived, grids, numbers):
    """The grid of every post-state: of its owner, of a namesake, or of the decision state that it follows from."""
    found = []
    for name in equations.spaces["cntn"].dimensions:
        grid = post_grid(equations, reading.name, branch.name, name) or grids.get(name) or equations.spaces["arvl"].grid(name)
        grid = grid or _followed(branch.g_ve[name], grids, set(equations.controls), numbers)
        if grid is None:
            kept = "on which a direct search keeps what the continuation is worth"
            message = f"the post-state `{name}` has no grid, {kept}{_because(derived)}"
            help = f"cntn: {{grid: {{{name}: {{min: 0, max: 50, points: 100}}}}}}{apart(equations)}"
            reading.reader.error("grid", message, (*reading.math, "state_space", "cntn"), help, key=True)
            return None
        found.append((name, grid))
    return tuple(found)


def _followed(transition, grids, controls, numbers) -> AbstractGrid | None:
    """The grid of the one continuous decision state that a post-state follows from, where it does not leave that grid."""
    names = {str(s): s for s in transition.free_symbols}
    moved = {n: grid for n, grid in grids.items() if key(n, "dcsn") in names}
    smooth = [n for n, grid in moved.items() if grid is None or not grid.discrete]
    if controls & names.keys() or len(smooth) != 1 or moved[smooth[0]] is None:
        return None
    known = {key(n, "dcsn"): ends(grid, numbers) for n, grid in moved.items()}
    spans = {n: span for n, span in known.items() if span is not None}
    if len(spans) < len(known) or not names.keys() <= spans.keys() | numbers.keys():
        return moved[smooth[0]]
    low, high = spans[key(smooth[0], "dcsn")]
    corners = [dict(zip(spans, corner, strict=True)) for corner in itertools.product(*spans.values())]
    reached = np.array([number(freeze(transition), {**numbers, **corner}) for corner in corners])
    return moved[smooth[0]] if np.all(np.abs(reached - (low + high) / 2) <= 0.6 * (high - low)) else None


def _active(reading, equations, branch, derived, posts):
    """The continuous post-state that moves with a control and a state; where there are several, the first."""
    smooth = [name for name, grid in posts if not grid.discrete]
    if not smooth:
        message = "every post-state is a discrete set; a direct search interpolates the continuation along a continuous one"
        place = (*reading.math, "state_space", "cntn")
        return reading.reader.error("grid", message, place, "a continuous grid: {type: list, values: [...]}", key=True)
    moved = lambda n: any(branch.g_ve[n].has(real(c)) for c in equations.controls)
    stands = lambda n: any(perch_of(str(s)) == "dcsn" for s in branch.g_ve[n].free_symbols)
    rank = lambda n: (derived.post != key(n, "cntn"), not (moved(n) and stands(n)), not moved(n))
    return min(smooth, key=rank)


def _state(reading, equations, branch, derived, post, grids):
    """The decision state along which policies are interpolated last: the one without a grid, else one that moves the post."""
    bare, smooth = [n for n, g in grids.items() if g is None], [n for n, g in grids.items() if g is None or not g.discrete]
    inside = [n for n in smooth if branch.g_ve[post].has(real(key(n, "dcsn")))]
    place = (*reading.math, "state_space", "dcsn")
    if not smooth:
        message = "every decision state is a discrete set; a direct search interpolates policies along a continuous one"
        return reading.reader.error("grid", message, place, "a continuous grid: {type: list, values: [...]}", key=True)
    known = [n for n in smooth if derived.state == key(n, "dcsn")]
    order = [*known, *[n for n in inside if n in bare], *bare, *inside, *smooth]
    missing = [n for n in bare if n != order[0]]
    if missing:
        message = (
            f"the decision state `{missing[0]}` has no grid, on which a direct search keeps its policies{_because(derived)}"
        )
        help = f"dcsn: {{dimensions: [...], grid: {{{missing[0]}: {{min: 0, max: 50, points: 20}}}}}}{apart(equations)}"
        return reading.reader.error("grid", message, place, help, key=True)
    return order[0]


def _leaving_most(g, control, bound, scalars):
    """A transition with one control at the bound that leaves most of the post-state."""
    slope = sp.diff(g, control).subs(scalars)
    up = slope.is_positive or (slope.is_number and slope > 0)
    at = [bound.upper, bound.lower] if up else [bound.lower, bound.upper]
    return g.subs(control, next((b for b in at if b is not None), sp.Integer(0)))


def _base(found: Direct, branch, numbers):
    """The state from which a post-state is reached while every control is at the bound that leaves most."""
    g = branch.g_ve[found.post]
    scalars: dict[Any, float] = {real(n): float(np.ravel(v)[0]) for n, v in numbers.items() if np.ndim(v) == 0}
    for control, bound in found.limits:
        g = step("a control at its bound", lambda g, at=(real(control), bound): _leaving_most(g, *at, scalars), g)
        if g is None:
            return None
    state, post = real(key(found.state, "dcsn")), real(key(found.post, "cntn"))
    inverse = invert(post - g, state) if g.has(state) else None
    return inverse if inverse is not None and writable(inverse) else None


def _level(found: Direct, branch, equations, numbers):
    """(control, reward in it alone, inverse), where the objective is linear in the continuation and has such a part."""
    objective = branch.objective if branch.recorded is None else branch.recorded
    discount = sp.diff(objective, V)
    if discount.has(V) or discount == 0:
        return None
    reward = without_continuation(objective)
    scalars = tuple((n, float(np.ravel(v)[0])) for n, v in numbers.items() if np.ndim(v) <= 1 and np.size(v))
    for control, bound in found.limits:
        stage = EulerInputs(objective, (), control, bound.lower, bound.upper, (), scalars)
        m, x = (real(key(n, perch)) for n, perch in ((found.state, "dcsn"), (found.post, "cntn")))
        part, inverse = Derivation(stage, reward, discount, sp.Integer(0), real(control), m, x).utility()
        if part is None or not {str(s) for s in part.free_symbols} <= {control, *stage.parameters}:
            continue
        if _confirmed(part, inverse, control, dict(scalars)):
            return control, part, inverse
    return None


def _confirmed(part, inverse, control, scope):
    """Whether the inverse gives back the control at some numbers of it."""
    points = np.linspace(0.2, 3.0, certificate.POINTS)
    with np.errstate(all="ignore"):
        u = number(freeze(part), {**scope, control: points})
        back = number(freeze(inverse), {**scope, UTIL.name: u})
    return bool(np.all(np.abs(back - points) <= 1e-7 * (1 + points)))
