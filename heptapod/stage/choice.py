"""How a stage chooses among its branches, or among the values of its discrete controls."""

from dataclasses import dataclass

import numpy as np
import sympy

from heptapod.dialect import keys
from heptapod.formulas.formula import Formula
from heptapod.formulas.freeze import freeze
from heptapod.formulas.in_numpy import number
from heptapod.parsing.reader import Path
from heptapod.stage.scope import StageScope


@dataclass(frozen=True)
class ChoiceRule:
    """Who chooses, and how.

    **Attributes:** `by`: `"agent"` or `"nature"`; `scale`: of the Gumbel taste shocks, a formula in parameters, `None` for a
    hard maximum; `probs`: for nature, (branch, formula in decision states) pairs.
    """

    by: str = "agent"
    scale: Formula | None = None
    probs: tuple[tuple[str, Formula], ...] = ()


def read_choice(scope: StageScope, path: Path, branches: tuple[str, ...], discrete: tuple[str, ...]) -> ChoiceRule | None:
    """The `choice:` block; the agent's hard maximum where it is left out, `None` where nothing is chosen."""
    reader = scope.reader
    block = reader.block(path, "`choice`")
    if not branches and not discrete:
        if reader.get(path) is not None:
            message = f"stage {scope.name} has no branches and no discrete control, hence no `choice`"
            reader.error("structure", message, path, key=True)
        return None
    if reader.poisoned((*path, "by")):
        return None
    by = reader.word((*path, "by"), keys.words("`choice`", "by"), "`choice.by`", "" if block.get("by") is not None else "agent")
    if by == "":
        return None
    default = "gumbel" if block.get("scale") is not None else "none"
    taste = reader.word((*path, "taste_shock"), keys.words("`choice`", "taste_shock"), "`taste_shock`", default)
    if by == "nature":
        return _nature(scope, path, block, branches)
    if "probs" in block:
        reader.error("structure", "an agent chooses, and has no `probs`", (*path, "probs"), "write `by: nature`", key=True)
    if (taste == "gumbel") != (block.get("scale") is not None):
        what = "Gumbel taste shocks have no `scale`" if taste == "gumbel" else "a `scale` without taste shocks"
        return reader.missing("structure", what, path, "taste_shock: gumbel, scale: sigma")
    scale = reader.slot((*path, "scale"), scope.slots) if taste == "gumbel" else None
    if scale is not None and np.any(number(scale, scope.own.numbers) < 0):
        reader.error("domain", "the scale of the taste shocks is negative", (*path, "scale"), "0 is the hard maximum")
    return ChoiceRule("agent", scale)


def _nature(scope, path, block, branches):
    reader, place = scope.reader, (*path, "probs")
    for key in ("taste_shock", "scale"):
        if key in block:
            reader.error("structure", f"nature has no `{key}`", (*path, key), "drop it, or write `by: agent`", key=True)
    if not branches:
        reader.error("structure", "nature draws branches, not controls", (*path, "by"), "a shock draws a number")
        return None
    given = reader.mapping(place, branches, "`probs`", "branch")
    missing = [name for name in branches if name not in given]
    if missing:
        message = f"`probs` has no probability of {', '.join(f'`{n}`' for n in missing)}"
        where = place if reader.get(place) is not None else path
        return reader.missing("stochastic", message, where, f"probs: {{{missing[0]}: ...}}")
    seen = scope.perches(("dcsn",), (), None, "probs")
    read = [(name, reader.expression((*place, name), seen)) for name in branches]
    if any(expression is None for _, expression in read):
        return None
    probs = tuple((name, freeze(expression)) for name, expression in read)
    _check_probs(scope, place, read, probs)
    return ChoiceRule("nature", None, probs)


def _check_probs(scope, place, read, probs):
    """Probabilities of parameters alone must be probabilities at the calibration; others must sum to one identically."""
    if all(f.names <= set(scope.own.numbers) for _, f in probs):
        values = np.stack(np.broadcast_arrays(*[number(f, scope.own.numbers) for _, f in probs]))
        total = values.sum(axis=0)
        if np.any(values < 0):
            scope.reader.error("stochastic", f"a probability is negative: {values.min():g}", place)
        elif np.any(np.abs(total - 1) > 1e-8):
            wrong = float(np.ravel(total)[np.argmax(np.abs(np.ravel(total) - 1))])
            scope.reader.error("stochastic", f"the probabilities sum to {wrong:.6g}, not 1", place)
        return
    if sympy.Add(-1, *[expression for _, expression in read]).expand() != 0:
        message = "the probabilities depend on states, and do not obviously sum to 1"
        scope.reader.warning("stochastic", message, place, "write the last one as 1 minus the others")
