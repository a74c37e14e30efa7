"""What a model says of the whole economy: types of households, aggregates, and the markets that clear."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import sympy as sp

from heptapod.errors import ANY, did_you_mean
from heptapod.formulas.builtins import EXPECT
from heptapod.formulas.equation import real
from heptapod.formulas.freeze import freeze, thaw
from heptapod.parameters.calibration import MAIN, Domain
from heptapod.parameters.declared import Declared
from heptapod.parsing.kinds import kind, unfit
from heptapod.parsing.parse import Scope
from heptapod.parsing.reader import Reader


@dataclass(frozen=True)
class Equilibrium:
    """Unknowns and the conditions that determine them.

    **Attributes:** `unknowns`: {parameter path: (start, domain or `None`)}; `clear`: {name: formula in aggregates and
    parameters, zero where the market clears}.
    """

    unknowns: Mapping[str, tuple[float, Domain | None]]
    clear: Mapping[str, object]


def read_aggregates(
    reader: Reader, main: Declared, variables: frozenset[str], used: set[str], poisoned: bool
) -> dict[str, object]:
    """`aggregates:`, formulas with `E[...]` over the stationary distribution; `None` for one in error.

    **Arguments:** `variables`: every state, control and post-state of every stage; `poisoned`: whether some are not known.
    """
    path, found = ("model", "aggregates"), {}
    parameters = _symbols(n for n in main.parameter_names if not main.shapes.get(n))
    vectors = dict.fromkeys((n for n, shape in main.shapes.items() if shape), "a vector; an aggregate takes numbers")
    for name in reader.mapping(path, None, "`aggregates`"):
        found[name] = None
        taken = name in parameters or name in variables or name in main.numbers
        if unfit(name) is not None or taken:
            why = "is a parameter or a variable of a stage" if taken else unfit(name)
            reader.error("name", f"the aggregate `{name}` {why}", (*path, name), "choose another name", key=True)
            continue
        scope = Scope(parameters | _symbols(variables), where=f"aggregate `{name}`", expect=True, tags=False, used=used,
                      hint=f"variables of the stages: {', '.join(sorted(variables))}", elsewhere=vectors,
                      poison=main.poison | {ANY} if poisoned else main.poison)  # fmt: skip
        expression = reader.expression((*path, name), scope)
        if expression is None:
            continue
        outside = expression.subs({e: 0 for e in expression.atoms(EXPECT)}, simultaneous=True)
        loose = sorted(str(s) for s in outside.free_symbols if str(s) in variables)
        if loose or not expression.has(EXPECT):
            what = f"`{loose[0]}` stands outside `E[...]`" if loose else "there is no `E[...]`"
            reader.error("aggregate", f"aggregate `{name}`: {what}", (*path, name), f'e.g. {name}: "E[a_nxt]"')
            continue
        found[name] = freeze(expression)
    return found


def read_equilibrium(reader: Reader, main: Declared, aggregates: Mapping, used: set[str]) -> Equilibrium | None:
    """`equilibrium: {unknowns: {r: {start, in}}, clear: {capital: A - K_dem}}`."""
    path, before = ("model", "equilibrium"), reader.collector.count
    block = reader.block(path, "`equilibrium`")
    if not block:
        return None
    unknowns, clear = {}, {}
    for name in reader.mapping((*path, "unknowns"), None, "`unknowns`"):
        place = (*path, "unknowns", name)
        entry = main.table.entries.get(name)
        if name in main.poison or (name not in main.defaults and ANY in main.poison):
            continue
        if entry is None or name not in main.defaults or entry.by_age or entry.shape:
            reader.error("equilibrium", f"the unknown `{name}` is not a parameter of the model with one number", place,
                         did_you_mean(name, main.defaults), key=True)  # fmt: skip
            continue
        unknowns[f"{MAIN}.{name}"] = _unknown(reader, place, main.defaults[name], entry.domain)
        used.add(name)
    for name in reader.mapping((*path, "clear"), None, "`clear`"):
        clear[name] = _market(reader, (*path, "clear", name), main, aggregates, used)
    if reader.collector.count > before or None in clear.values():
        return None
    if len(unknowns) != len(clear):
        what = f"{len(unknowns)} unknown{'s' * (len(unknowns) != 1)} for {len(clear)} market{'s' * (len(clear) != 1)}"
        reader.missing("equilibrium", what, path, "one condition for each unknown")
    return Equilibrium(unknowns, clear)


def _market(reader, path, main, aggregates, used):
    """One condition, zero where the market clears; `None` after an error, of its own or of what it names."""
    poison = main.poison | {n for n, a in aggregates.items() if a is None}
    poison |= {ANY} if reader.poisoned(("model", "aggregates")) else set()
    known = [n for n in main.parameter_names if not main.shapes.get(n)] + [n for n, a in aggregates.items() if a is not None]
    vectors = dict.fromkeys((n for n, shape in main.shapes.items() if shape), "a vector; a market takes numbers")
    scope = Scope(_symbols(known), where=f"market `{path[-1]}`", tags=False, used=used, poison=poison, elsewhere=vectors)
    expression = reader.expression(path, scope)
    if expression is None:
        return None
    if not isinstance(expression, sp.Expr):
        message = "a market is written as a number that is zero where it clears"
        return reader.error("type", message, path, "A - K_dem, without `==`")
    if not any(s in {str(x) for x in expression.free_symbols} for s in aggregates):
        return reader.error("equilibrium", f"market `{path[-1]}` names no aggregate", path, f"one of {', '.join(aggregates)}")
    return freeze(expression)


def _unknown(reader, path, default, own):
    """Where the search for an unknown starts, and the interval that it keeps to."""
    block = reader.block(path, "an unknown")
    start, domain = block.get("start"), own
    start = float(default) if start is None else start
    if isinstance(start, bool) or not isinstance(start, (int, float)) or not np.isfinite(start):
        return reader.error("type", f"`start` must be a finite number, found {kind(start)}", (*path, "start"))
    if block.get("in") is not None:
        try:
            domain = Domain.read(str(block["in"]))
        except ValueError as error:
            return reader.error("domain", str(error), (*path, "in"), "an interval such as (0, inf) or [0, 1]")
    if domain is not None and not domain.holds(start):
        reader.error("domain", f"`start` = {start:g} lies outside {domain}", (*path, "start"))
    return float(start), domain


def _symbols(names):
    return {n: real(n) for n in names}


def written(formula) -> str:
    """A formula of this room as text."""
    return sp.sstr(thaw(formula)).replace("**", "^").replace("E_(", "E(")
