"""Reading the equations of one stage: what each may see, and what it says, in sympy."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import sympy as sp

from heptapod._lower import freeze
from heptapod._parse import Bounds, Helper, Scope, parse_bounds
from heptapod._tree import Path
from heptapod.builtins import EXPECT
from heptapod.equation import VALUE, Aggregator, Equation, Integrands, key, mean_key
from heptapod.errors import ModelError, did_you_mean
from heptapod.perch_space import PerchSpace, read_state_space
from heptapod.shocks.base import AbstractShock
from heptapod.shocks.read import check_shock, read_shock

MATH_KEYS = ("functions", "controls", "shocks", "state_space")
SLOTS = ("g_av", "g_ve", "Q", "A")
_HELPER = re.compile(r"^\s*([^\W\d]\w*)\s*\(([^()]*)\)\s*$")


@dataclass(frozen=True)
class Equations:
    """The equations of a stage as written.

    **Attributes:** `spaces`, `shocks`, `controls`; `g_av`, `g_ve`: an expression per target; `objective`; `bounds`: of every
    control; `aggregator`, `integrands`: the value on arrival; `terminal`: the value after the last period, or `None`.
    """

    spaces: Mapping[str, PerchSpace]
    shocks: tuple[AbstractShock, ...]
    controls: tuple[str, ...]
    g_av: Mapping[str, sp.Expr]
    g_ve: Mapping[str, sp.Expr]
    objective: sp.Expr
    bounds: Mapping[str, Bounds]
    aggregator: Aggregator
    integrands: Integrands
    terminal: Equation | None


class StageReader:
    """The scopes of one stage while its equations are read."""

    def __init__(self, reader, path, name, time, model, own, inherit):
        self.reader, self.path, self.name, self.time = reader, path, name, time
        self.model, self.own, self.inherit = model, own, inherit
        self.math = (*path, "math")
        inherited = model.parameter_names if inherit else ()
        self.parameters = tuple(dict.fromkeys((*inherited, *own.parameter_names, *time.numbers)))
        self.settings = tuple(n for n in own.numbers if n not in self.parameters)
        symbol = lambda names: {n: sp.Symbol(n, real=True) for n in names}
        self.parameter_symbols = symbol(self.parameters)
        # A vector has no place in a pointwise equation; shocks name vectors on their own.
        vectors = {n for n, v in own.numbers.items() if self._shape(n)}
        self.parameter_symbols = {n: s for n, s in self.parameter_symbols.items() if n not in vectors}
        self.elsewhere = (
            {n: "a vector or matrix, for the values of shocks; an equation takes numbers" for n in vectors}
            | {
                n: f'a model parameter: add `{n}: ["{n}"]` to the parameters of {name}'
                for n in model.parameter_names
                if n not in self.parameters
            }
            | {n: "a setting, for grids and sizes; to use it in an equation make it a parameter" for n in self.settings}
        )
        self.slots = Scope({**self.parameter_symbols, **symbol(self.settings)}, where=f"stage {name}", elsewhere={}, tags=False)

    def read(self, terminal: Path | None) -> Equations | None:
        """All equations; `None` after an error that leaves one of them unknown."""
        reader = self.reader
        reader.mapping(self.math, MATH_KEYS, "`math`")
        space = (*self.math, "state_space")
        self.spaces = read_state_space(reader, space, self.slots, self.own.integers, self.own.numbers)
        self.shocks = self._shocks()
        self.helpers, self.functions = self._split_functions()
        if set(self.spaces) != {"arvl", "dcsn", "cntn"}:
            return None
        self._check_names()
        self.controls = tuple(reader.mapping((*self.math, "controls"), None, "`controls`"))
        g_av = self._transition("g_av", "arvl", "dcsn", self.drawn)
        g_ve = self._transition("g_ve", "dcsn", "cntn", list(self.controls))
        objective, bounds, arrival = self._objective(), self._bounds(), self._arrival_value()
        ending = self._terminal(terminal)
        if None in (g_av, g_ve, objective, bounds, arrival):
            return None
        return Equations(self.spaces, tuple(self.shocks), self.controls, g_av, g_ve, objective, bounds, *arrival, ending)

    def _shocks(self):
        path = (*self.math, "shocks")
        vectors = {n: self._shape(n)[0] for n in self.own.numbers if len(self._shape(n)) == 1}
        shocks = []
        # The dimensions of a shock that is itself in error are known all the same, lest one mistake be told many times.
        self.drawn = []
        for name, block in self.reader.mapping(path, None, "`shocks`").items():
            listed = block.get("dimensions") if isinstance(block, Mapping) else None
            self.drawn += [x for x in listed if isinstance(x, str)] if isinstance(listed, list) else []
            shock = read_shock(self.reader, (*path, name), self.slots, self.own.integers, vectors)
            if shock is not None:
                check_shock(self.reader, (*path, name), shock, self.own.numbers)
                shocks.append(shock)
        return shocks

    def _shape(self, name):
        """The shape of a parameter in one period: a by-age scalar has none, whatever its data."""
        tables = {**self.model.table.entries, **self.own.table.entries} if self.inherit else self.own.table.entries
        entry = tables.get(name)
        if entry is not None and entry.kind == "reference":
            entry = self.model.table.entries.get(entry.target)
        return entry.shape if entry is not None and entry.kind == "leaf" else ()

    def _split_functions(self):
        """Helpers `name(arguments)` apart from the four equations of a stage."""
        path, helpers, functions = (*self.math, "functions"), {}, []
        for k, body in self.reader.mapping(path, None, "`functions`").items():
            match = _HELPER.match(k)
            if not match and k in SLOTS:
                functions.append(k)
            elif not match:
                help = did_you_mean(k, SLOTS) or f"equations are {', '.join(SLOTS)}; helpers are written `name(arguments): ...`"
                self.reader.error("unknown-key", f"`{k}` is not an equation of a stage", (*path, k), help, key=True)
            else:
                name, arguments = match[1], tuple(a.strip() for a in match[2].split(",") if a.strip())
                if name in SLOTS or not all(a.isidentifier() for a in arguments) or len(set(arguments)) < len(arguments):
                    self.reader.error("name", f"`{k}` is not a helper: a name and distinct arguments", (*path, k), key=True)
                else:
                    helpers[name] = Helper(arguments, body)
        for name, helper in helpers.items():
            self._check_helper(name, helper, helpers)
        return helpers, functions

    def _check_helper(self, name, helper, helpers):
        """Read the body once by itself, so that an unused helper is checked, too."""
        text = next(
            k
            for k in self.reader.mapping((*self.math, "functions"), None, "")
            if _HELPER.match(k) and _HELPER.match(k)[1] == name
        )
        arguments = {a: sp.Symbol(a, real=True) for a in helper.parameters}
        others = {k: v for k, v in helpers.items()}
        scope = Scope({**self.parameter_symbols, **arguments}, functions=others, where=f"{name}() of stage {self.name}",
                      elsewhere=self.elsewhere, helper_symbols=self.parameter_symbols, tags=False,
                      hint=f"a helper sees its arguments ({', '.join(helper.parameters)}) and the parameters only")  # fmt: skip
        self.reader.expression((*self.math, "functions", text), scope)

    def _check_names(self):
        """One name, one meaning: a state, shock or control may not share its name with a parameter."""
        for perch, space in self.spaces.items():
            for name in space.dimensions:
                if name in self.parameter_symbols:
                    place = (*self.math, "state_space", perch)
                    message = f"`{name}` is a state on {perch} and a parameter"
                    self.reader.error("name", message, place, "rename one of them", key=True)
        for name in dict.fromkeys(self.drawn):
            if name in self.parameter_symbols or self.drawn.count(name) > 1 or name in self.spaces["arvl"].dimensions:
                self.reader.error("name", f"the shock `{name}` shares its name with a parameter, a state or another shock",
                                  (*self.math, "shocks"), "rename one of them", key=True)  # fmt: skip

    def _scope(self, perches, others, where, default=None, expect=False):
        """States of several perches with and without tags; a name on two perches needs one, unless `default` has it."""
        symbols, ambiguous = dict(self.parameter_symbols), {}
        for perch in perches:
            for name in self.spaces[perch].dimensions:
                symbols[f"{name}@{perch}"] = sp.Symbol(key(name, perch), real=True)
        for name in dict.fromkeys(n for p in perches for n in self.spaces[p].dimensions):
            homes = [p for p in perches if name in self.spaces[p].dimensions]
            if len(homes) == 1 or default in homes:
                symbols[name] = symbols[f"{name}@{default if default in homes else homes[0]}"]
            else:
                tags = " or ".join(f"`{key(name, p)}`" for p in homes)
                ambiguous[name] = f"write {tags}"
        symbols |= {n: sp.Symbol(n, real=True) for n in others}
        return Scope(symbols, functions=self.helpers, where=f"{where} of stage {self.name}", elsewhere=self.elsewhere,
                     ambiguous=ambiguous, helper_symbols=self.parameter_symbols, expect=expect)  # fmt: skip

    def _transition(self, slot, source, target, others):
        """Every dimension of the target perch: its equation, or the variable of the same name that carries over."""
        path = (*self.math, "functions", slot)
        arrow = "arrival -> decision" if slot == "g_av" else "decision -> continuation"
        scope = self._scope((source,), others, f"{slot} ({arrow})")
        dimensions = self.spaces[target].dimensions
        found = {}
        if slot in self.functions:
            for statement in self.reader.statements(path, scope):
                name, _, perch = (statement.target or "").partition("@")
                if not name:
                    self.reader.collector.error("equation", "a transition reads `target = expression`", statement.mark)
                elif name not in dimensions or perch not in ("", target):
                    self.reader.collector.error("target", f"`{name}` is not a dimension of {target} ({', '.join(dimensions)})",
                                                statement.mark, did_you_mean(name, dimensions))  # fmt: skip
                elif name in found:
                    self.reader.collector.error("duplicate-key", f"`{name}` has two equations", statement.mark)
                else:
                    found[name] = statement.expression
        missing = [n for n in dimensions if n not in found and n not in scope.symbols]
        if missing and not (slot in self.functions and not found):
            names = ", ".join(f"`{n}`" for n in missing)
            self.reader.error("missing-equation", f"{names} of {target}: no equation in {slot}, and no variable of that name "
                              f"to carry over", path, key=True)  # fmt: skip
        if missing:
            return None
        return {n: found.get(n, scope.symbols.get(n)) for n in dimensions}

    def _objective(self):
        path = (*self.math, "functions", "Q")
        if "Q" not in self.functions:
            self.reader.error("objective", f"stage {self.name} has no objective `Q`", (*self.math, "functions"),
                              "e.g. Q: u(c) + beta*V[>]", key=True)  # fmt: skip
            return None
        scope = self._scope(("dcsn", "cntn"), self.controls, "Q")
        scope.symbols["V@cntn"] = sp.Symbol(VALUE, real=True)
        objective = self.reader.expression(path, scope)
        if objective is not None and not objective.has(sp.Symbol(VALUE, real=True)):
            self.reader.error("objective", f"Q of stage {self.name} has no continuation value `V[>]`", path,
                              "e.g. Q: u(c) + beta*V[>]", key=True)  # fmt: skip
        return objective

    def _bounds(self):
        """The bounds of every control, in decision states and parameters."""
        out = {}
        for name in self.controls:
            path = (*self.math, "controls", name)
            if name in self.parameter_symbols or any(name in s.dimensions for p, s in self.spaces.items() if p != "cntn"):
                self.reader.error("name", f"the control `{name}` shares its name with a state or a parameter", path, key=True)
            text = self.reader.get(path)
            if not isinstance(text, str):
                self.reader.error("bounds", f"the control `{name}` needs its bounds", path, f"e.g. {name}: 0 < {name} <= m")
                return None
            try:
                out[name] = parse_bounds(
                    text, name, self._scope(("dcsn",), (name,), f"bounds of {name}"), self.reader.mark(path)
                )
            except ModelError as error:
                self.reader.collector.extend(error)
                return None
        return out

    def _arrival_value(self):
        """`A` as an aggregator of expectations and the integrands inside them; `E[V]` when it is not given."""
        value = sp.Symbol("V", real=True)
        expression = EXPECT(value)
        if "A" in self.functions:
            shocks = self.drawn
            scope = self._scope(("arvl",), shocks, "A", expect=True)
            scope.symbols["V"] = value
            path = (*self.math, "functions", "A")
            expression = self.reader.expression(path, scope)
            if expression is None:
                return None
            outside = expression.subs({e: 0 for e in expression.atoms(EXPECT)}, simultaneous=True)
            loose = [str(s) for s in outside.free_symbols if s == value or str(s) in shocks]
            if loose or not expression.has(EXPECT):
                what = f"`{loose[0]}` stands outside `E[...]`" if loose else "there is no `E[...]`"
                self.reader.error("objective", f"A of stage {self.name}: {what}", path, "e.g. A: E[V]", key=True)
                return None
        inside = sorted(expression.atoms(EXPECT), key=str)
        means = {e: sp.Symbol(mean_key(i), real=True) for i, e in enumerate(inside)}
        self.arrival_text = expression
        return Aggregator(freeze(expression.subs(means))), Integrands(tuple(freeze(e.args[0]) for e in inside))

    def _terminal(self, path):
        if path is None or self.reader.get(path) is None:
            return None
        scope = self._scope(("arvl",), (), "terminal")
        expression = self.reader.expression(path, scope)
        self.terminal_text = expression
        if expression is None:
            return None
        return Equation(freeze(expression), tuple(key(n, "arvl") for n in self.spaces["arvl"].dimensions))
