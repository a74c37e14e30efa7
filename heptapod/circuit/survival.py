"""Who lives on along a connection: a formula in what its source knows, held against what its objective says of death."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import sympy as sp

from heptapod.circuit.link_parts import End
from heptapod.derivation.euler_inputs import V
from heptapod.derivation.steps import step
from heptapod.formulas.equation import TAGS, key, name_of, real
from heptapod.formulas.formula import Formula
from heptapod.formulas.freeze import freeze, thaw
from heptapod.formulas.in_numpy import number
from heptapod.parsing.reader import Path, Reader
from heptapod.parsing.scope import Scope
from heptapod.spaces.grids import calibrated
from heptapod.spaces.perch_space import continuation
from heptapod.stage.equations import Equations

_TOLERANCE = 1e-9
_DRAWS = 3


def read_survival(reader: Reader, end: End, branch: str, path: Path, crosses: bool) -> Formula | None:
    """The share that lives on, a formula in parameters, decision states, controls and post-states; `None` where all do."""
    if reader.get(path) is None:
        return None
    if not crosses:
        return reader.error("structure", "households survive from period to period, not within one", path,
                            "write it on the inter_period connection", key=True)  # fmt: skip
    share = reader.slot(path, _seen(end, branch))
    numbers = end.scope.own.numbers
    if share is not None and share.names <= set(numbers):
        value = number(share, numbers)
        if np.any((value < 0) | (value > 1)):
            wrong = np.ravel(value)[np.argmax(np.abs(np.ravel(value) - 0.5))]
            reader.error("domain", f"the share that survives must lie in [0, 1], found {wrong:g}", path)
    return share


def _seen(end: End, branch: str) -> Scope:
    """What a survival may name: what the objective of its branch may, and real settings."""
    scope, equations, perch = end.scope, end.equations, continuation(branch)
    whole = {"dcsn", perch} <= set(scope.spaces)
    own = None if equations is None else next((b for b in equations.branches if b.name == branch), None)
    controls = () if equations is None else (*equations.controls, *[name for name, _ in equations.discrete])
    if not whole:
        return scope.slots
    seen = scope.perches(("dcsn", "cntn"), controls, None, "survival", posts=scope.spaces[perch],
                         carried=None if own is None else own.g_ve, poisoned=own is None)  # fmt: skip
    symbols = {**scope.slots.symbols, **seen.symbols}
    return replace(seen, symbols=symbols, elsewhere={n: why for n, why in seen.elsewhere.items() if n not in symbols})


def warn_other_death(reader: Reader, links, problems) -> None:
    r"""A warning where $(\partial Q/\partial V) / s$ still depends on a state or control that the survival $s$ depends on.

    Then households die in another way than those who decide count on.

    **Arguments:** `links`: (connection, its place) pairs; `problems`: by stage.
    """
    for link, path in links:
        if link.survival is None:
            continue
        problem, branch = problems[link.source], _branch(link, problems)
        objective = branch.objective if branch.recorded is None else branch.recorded
        survival, weight = (_reached(branch, e) for e in (thaw(link.survival), sp.diff(objective, V)))
        if survival is None or weight is None:  # A constant that is no real number, and no household's.
            continue
        sets = _sets(problem.equations, {**problem.parameters, **problem.settings})
        own = set(problem.equations.spaces["dcsn"].dimensions)
        chosen = {*problem.num.controls, *[name for name, _ in problem.num.discrete]}
        moving = {real(key(n, "dcsn")) for n in own} | {real(n) for n in chosen}
        names = [s for s in sorted(survival.free_symbols & moving, key=str) if _depends(weight, survival, s, sets)]
        if names:
            shown = ", ".join(f"`{str(s).removesuffix(TAGS['dcsn'])}`" for s in names)
            message = f"who survives depends on {shown}, and Q of stage {link.source} counts on another survival"
            help = f"in Q let V[>] be weighed by {reader.get((*path, 'survival'))}, and what death is worth by the rest"
            reader.warning("survival", f"{message}: dQ/dV[>] divided by it still depends on {shown}", (*path, "survival"), help)


def check_shares(reader: Reader, links, problems, clock: Mapping) -> None:
    """An error where a survival that depends on finite sets and on age is no share at some of their values.

    **Arguments:** `links`: (connection, its place) pairs; `problems`: by stage; `clock`: the period and the age, by period.
    """
    for link, path in links:
        if link.survival is None:
            continue
        problem, share = problems[link.source], _reached(_branch(link, problems), thaw(link.survival))
        numbers = {**problem.parameters, **problem.settings, **clock}
        sets = _sets(problem.equations, numbers)
        if share is None:  # A constant that is no real number.
            continue
        names = {str(s) for s in share.free_symbols}
        own = [name for name in sorted(names) if name in sets]
        if not own or not names <= sets.keys() | numbers.keys() or any(np.ndim(numbers[n]) > 1 for n in names - set(own)):
            continue
        # A row for each period from which the connection leads on, a column for each combination of the sets.
        periods = max((np.size(numbers[n]) for n in names - set(own)), default=1)
        leads = [t for t in range(max(periods - 1, 1)) if link.holds(t)]
        rows = {n: np.broadcast_to(numbers[n], periods)[leads, None] for n in names - set(own)}
        rows |= dict(zip(own, (x.ravel()[None] for x in np.meshgrid(*[sets[n] for n in own])), strict=True))
        value = number(freeze(share), rows)
        bad = (value < -_TOLERANCE) | (value > 1 + _TOLERANCE)
        if np.any(bad):
            at = lambda x, bad=bad: np.broadcast_to(x, bad.shape)[bad][0]
            where = ", ".join(f"{name_of(n)} = {at(rows[n]):g}" for n in (*own, *clock) if n in rows)
            reader.error(
                "domain", f"the share that survives must lie in [0, 1], found {at(value):g} at {where}", (*path, "survival")
            )


def _branch(link, problems):
    """The branch that a connection leaves by."""
    return next(b for b in problems[link.source].equations.branches if b.name == link.branch)


def _reached(branch, expression):
    """An expression of post-states at those that a branch leads to; `None` where it is no real number there."""
    posts = {real(key(name, "cntn")): e for name, e in branch.g_ve.items()}
    return step("survival after a transition", lambda e: e.xreplace(posts), expression)


def _sets(equations: Equations, numbers: Mapping) -> dict[str, np.ndarray]:
    """The values that discrete decision states and controls may have, by key, where they are listed."""
    drawn, found = {}, {}
    for _, shock in equations.shocks:
        listed = getattr(shock, "values", ())
        vectors = listed if isinstance(listed, tuple) else (listed,)
        drawn |= {d: np.unique(v.numbers(numbers)) for d, v in zip(shock.dimensions, vectors, strict=False)}
    grids = {
        name: equations.spaces[perch].grid(name) for perch in ("arvl", "dcsn") for name in equations.spaces[perch].dimensions
    }
    for name, expression in equations.g_av.items():
        source, grid = str(expression), grids.get(name)
        if source in drawn:
            found[key(name, "dcsn")] = drawn[source]
        elif grid is not None and grid.discrete and source in (key(name, "arvl"), key(name, "dcsn")):
            found[key(name, "dcsn")] = calibrated(grid, numbers)
    found |= {name: calibrated(grid, numbers) for name, grid in equations.discrete}
    return {name: np.unique(x) for name, x in found.items() if x is not None}


def _depends(weight: sp.Basic, survival: sp.Expr, symbol: sp.Symbol, sets: Mapping[str, np.ndarray]) -> bool:
    """Whether the ratio differs between values of a symbol, all others held, at generic points."""
    others = sorted((weight.free_symbols | survival.free_symbols) - {symbol}, key=str)
    rng, tree = np.random.default_rng(0), (freeze(weight), freeze(survival))
    values = sets.get(str(symbol), _telling(weight, survival, symbol))
    for _ in range(_DRAWS):
        anything = lambda s: np.concatenate([_telling(weight, survival, s), rng.uniform(0.3, 0.9, 3)])
        scope = {str(s): rng.choice(sets[str(s)] if str(s) in sets else anything(s)) for s in others}
        scope[str(symbol)] = values
        found, share = (np.broadcast_to(number(f, scope), values.shape) for f in tree)
        sound = np.isfinite(found) & np.isfinite(share)
        # Without dividing, since a share may be zero.
        gap = np.abs(found[:, None] * share - found * share[:, None])[sound][:, sound]
        if np.any(gap > _TOLERANCE * (1 + np.max(np.abs(found[sound]), initial=0.0))):
            return True
    return False


def _telling(weight, survival, symbol) -> np.ndarray:
    """Values of a symbol on both sides of all that it is compared with, and some others."""
    relations = [r for e in (weight, survival) for r in e.atoms(sp.core.relational.Relational) if symbol in r.free_symbols]
    compared = {float(x) for r in relations for x in r.args if x.is_Number}
    around = [x + step for x in compared for step in (-1.0, 0.0, 1.0)]
    return np.array([*dict.fromkeys([*around, 0.35, 0.7])])
