"""Reading `parameters:`, `settings:` and `definitions:`: kinds of entry, default values, an order of evaluation."""

import keyword
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import sympy as sp

from heptapod._lower import freeze
from heptapod._numeric import number
from heptapod._parse import Scope
from heptapod._tree import Path, Reader
from heptapod.builtins import BUILTINS
from heptapod.calibration import Domain, Entry, ScopeTable
from heptapod.errors import did_you_mean

_KEYS = ("value", "in", "by", "steps", "expr", "values", "unit", "latex", "description")
RESERVED = ("t", "age", "E", "V", "pi", "inf")


@dataclass
class Declared:
    """One scope as read: its static table, its default values, and the numbers of every name in sight at the calibration.

    **Attributes:** `defaults`, `setting_defaults`: arrays of the leaves; `numbers`: by-age names hold an array over the
    periods; `integers`: the integer settings in sight.
    """

    table: ScopeTable
    defaults: dict[str, np.ndarray] = field(default_factory=dict)
    setting_defaults: dict[str, np.ndarray] = field(default_factory=dict)
    numbers: dict[str, np.ndarray] = field(default_factory=dict)
    integers: dict[str, int] = field(default_factory=dict)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names that the equations of the scope may use, besides those it inherits wholesale."""
        return tuple(n for n, _ in self.table.parameters)


@dataclass(frozen=True)
class Time:
    """The periods of the model and the names that count them.

    **Attributes:** `periods`: their number (1 stands for an infinite horizon); `age`: (start, step) or `None`.
    """

    periods: int
    age: tuple[float, float] | None

    @property
    def numbers(self) -> dict[str, np.ndarray]:
        """`t`, and `age` where it is defined, over the periods."""
        t = np.arange(self.periods, dtype=float)
        return {"t": t} if self.age is None else {"t": t, "age": self.age[0] + self.age[1] * t}


def read_scope(reader: Reader, path: Path, name: str, time: Time, model: Declared | None, inherit_all: bool) -> Declared:
    """Read the parameters and settings below `path`.

    **Arguments:** `model`: the model's own scope, which brackets refer to; `None` when reading that scope itself.
    """
    out = Declared(ScopeTable(name))
    out.numbers.update(time.numbers)
    if model is not None and inherit_all:
        out.numbers |= {k: v for k, v in model.numbers.items() if k not in time.numbers}
        out.integers |= model.integers
    groups = {}
    for group in ("settings", "parameters"):
        reading = _Group(reader, (*path, group), group, time, model, out)
        groups[group] = reading.read()
    for k in set(dict(groups["settings"])) & set(dict(groups["parameters"])):
        reader.error("duplicate-key", f"`{k}` is a parameter and a setting", (*path, "settings", k), key=True)
    out.table = ScopeTable(name, groups["parameters"], groups["settings"])
    return out


class _Group:
    """The entries of one block, read in two passes: what stands for itself first, definitions after."""

    def __init__(self, reader, path, group, time, model, out):
        self.reader, self.path, self.group = reader, path, group
        self.time, self.model, self.out = time, model, out
        self.definitions: dict[str, tuple[Path, sp.Expr, bool]] = {}
        self.entries: dict[str, Entry] = {}

    def read(self) -> tuple[tuple[str, Entry], ...]:
        raw = self.reader.mapping(self.path, None, f"`{self.group}`")
        for name in raw:
            path = (*self.path, name)
            taken = name in RESERVED or name in BUILTINS or keyword.iskeyword(name)
            if taken or not name.isidentifier() or not name.isascii() or name.startswith("_"):
                reason = "has a meaning of its own" if taken else "is not a name of plain letters, digits and _"
                self.reader.error("name", f"`{name}` {reason}; choose another", path, key=True)
            else:
                self._entry(name, path, raw[name])
        if self.group == "parameters":
            block = (*self.path[:-1], "definitions")
            for name in self.reader.mapping(block, None, "`definitions`"):
                self._expression(name, (*block, name), False)
        self._order()
        for name in raw:  # A name in error is known all the same, lest one mistake be told many times.
            if name not in self.entries:
                self.entries[name] = Entry("leaf")
                self.out.numbers.setdefault(name, np.float64(np.nan))
        # Of equal files in another order one compilation serves both; definitions keep the order that they need.
        first = sorted(((n, e) for n, e in self.entries.items() if e.kind != "definition"), key=lambda item: item[0])
        return (*first, *((n, e) for n, e in self.entries.items() if e.kind == "definition"))

    def _entry(self, name, path, node):
        if isinstance(node, Mapping):
            self._block(name, path, self.reader.mapping(path, _KEYS, "a parameter"))
        elif isinstance(node, list) and len(node) == 1 and isinstance(node[0], str):
            self._reference(name, (*path, 0), str(node[0]))
        elif isinstance(node, str):
            self._expression(name, path, False)
        else:
            self._leaf(name, path, node, None)

    def _block(self, name, path, block):
        domain = None
        if "in" in block:
            try:
                domain = Domain.read(str(block["in"]))
            except ValueError as error:
                self.reader.error("domain", str(error), (*path, "in"), "an interval such as (0, inf) or [0, 1]")
        by = "by" in block and self.reader.word((*path, "by"), ("age", "t"), "`by`", "age")
        if by == "age" and self.time.age is None:
            self.reader.error("by-age", f"`{name}` goes by age, but the model has no `age:`", (*path, "by"),
                              "write `age: {start: 25, step: 1}` in the model, or `by: t`")  # fmt: skip
            return
        given = [k for k in ("value", "steps", "expr", "values") if k in block]
        if by and "value" in block:
            self.reader.error("parameter", f"`{name}` gives one `value` and goes by {by}", (*path, "by"),
                              "`steps`, `values` or `expr` go by age", key=True)  # fmt: skip
            return
        if len(given) != 1:
            what = "nothing" if not given else " and ".join(f"`{k}`" for k in given)
            self.reader.error("parameter", f"`{name}` gives {what}; one of `value`, `steps`, `expr`, `values` is needed",
                              path, key=True)  # fmt: skip
        elif given[0] == "expr":
            self._expression(name, (*path, "expr"), bool(by), domain)
        elif given[0] == "steps":
            self._leaf(name, (*path, "steps"), self._steps(name, path, block["steps"], by), domain, by_age=True)
        elif given[0] == "values" and by:
            self._leaf(name, (*path, "values"), self._by_age_values(name, path, block["values"]), domain, by_age=True)
        else:
            self._leaf(name, (*path, given[0]), block[given[0]], domain)

    def _steps(self, name, path, steps, by):
        """A table that holds each value until the next age named."""
        path = (*path, "steps")
        if not by or not isinstance(steps, Mapping) or not steps:
            self.reader.error("by-age", f"`{name}`: `steps` is a table {{age: value}} beside `by: age`", path)
            return None
        try:
            if any(isinstance(v, bool) for v in steps.values()):
                raise TypeError
            table = sorted((float(k), float(v)) for k, v in steps.items())
        except (TypeError, ValueError):
            self.reader.error("by-age", f"`{name}`: ages and values in `steps` must be numbers", path)
            return None
        clock = self.time.numbers[by]
        if table[0][0] > clock[0]:
            self.reader.error("by-age", f"the first step of `{name}` is at {table[0][0]:g}, after the first period's "
                              f"{by} {clock[0]:g}", path, f"begin with {clock[0]:g}: ...")  # fmt: skip
            return None
        index = np.searchsorted([k for k, _ in table], clock, side="right") - 1
        return [table[i][1] for i in index]

    def _by_age_values(self, name, path, values):
        if not isinstance(values, list) or len(values) < self.time.periods:
            count = len(values) if isinstance(values, list) else 0
            self.reader.error("by-age", f"`{name}` has {count} values for {self.time.periods} periods", (*path, "values"))
            return None
        return values[: self.time.periods]

    def _leaf(self, name, path, node, domain, by_age=False):
        """A number or a list of numbers: integers among the settings are static, all else is an array."""
        if node is None:
            if by_age is False:
                self.reader.error("parameter", f"`{name}` has no value", path, key=True)
            return
        if self.group == "settings" and isinstance(node, int) and not isinstance(node, bool):
            self.entries[name] = Entry("integer", value=node)
            self.out.integers[name] = node
            self.out.numbers[name] = np.float64(node)
            return
        try:
            value = np.asarray(node, dtype=float)
            if isinstance(node, bool) or not np.all(np.isfinite(value)):
                raise ValueError
        except (TypeError, ValueError):
            self.reader.error("parameter", f"`{name}` must be a finite number, a list or matrix of them, or an expression",
                              path)  # fmt: skip
            return
        if self.group == "settings" and value.ndim:
            self.reader.error("parameter", f"the setting `{name}` must be one number", path, "lists are parameters")
            return
        if domain is not None and not np.all(domain.holds(value)):
            self.reader.error("domain", f"`{name}` = {_short(value)} lies outside its domain {domain}", path)
        shape = value.shape[1:] if by_age else value.shape
        self.entries[name] = Entry("leaf", by_age, shape, domain)
        self.out.numbers[name] = value
        (self.out.defaults if self.group == "parameters" else self.out.setting_defaults)[name] = value

    def _reference(self, name, path, target):
        model = self.model
        pool = [] if model is None else [n for n, _ in (*model.table.parameters, *model.table.settings)]
        if target not in pool:
            where = "has no scope above it" if model is None else f"names no {self.group[:-1]} of the model"
            self.reader.error("reference", f'["{target}"] {where}', path, did_you_mean(target, pool))
            return
        self.entries[name] = Entry("reference", target=target)
        self.out.numbers[name] = model.numbers[target] if target in model.numbers else np.float64(1.0)
        if target in model.integers:
            self.out.integers[name] = model.integers[target]

    def _expression(self, name, path, by_age, domain=None):
        raw = self.reader.get(self.path) or {}
        block = self.reader.get((*self.path[:-1], "definitions")) or {}
        above = self.reader.get((*self.path[:-1], "settings")) if self.group == "parameters" else {}
        known = {*raw, *block, *(above or {}), *self.out.numbers}
        scope = Scope({n: sp.Symbol(n, real=True) for n in known}, where=f"`{name}`", tags=False)
        expression = self.reader.expression(path, scope)
        if expression is not None:
            self.definitions[name] = (path, expression, by_age, domain)

    def _order(self):
        """Definitions in an order in which each finds what it names; what names no parameter is a leaf."""
        waiting = dict(self.definitions)
        while waiting:
            ready = [
                n
                for n, (_, e, *_) in sorted(waiting.items(), key=lambda item: item[0])
                if not {str(s) for s in e.free_symbols} & set(waiting)
            ]
            if not ready:
                ring = _ring(waiting)
                path = self.definitions[ring[0]][0]
                self.reader.error("circular", f"`{ring[0]}` is defined through itself: {' -> '.join(ring)}", path)
                return
            for n in ready:
                self._definition(n, *waiting.pop(n))

    def _definition(self, name, path, expression, by_age, domain):
        free = {str(s) for s in expression.free_symbols}
        if any(n not in self.out.numbers for n in free):
            return  # Its own error has been recorded.
        formula = freeze(expression)
        value = number(formula, self.out.numbers)
        if self.group == "settings" and value.ndim == 0 and free <= set(self.out.integers) and value == int(value):
            self._leaf(name, path, int(value), None)
        elif not free - set(self.time.numbers) and (by_age or not free):
            self._leaf(name, path, np.broadcast_to(value, (self.time.periods,)) if by_age else value, domain, by_age)
        else:
            if domain is not None and not np.all(domain.holds(value)):
                self.reader.error("domain", f"`{name}` = {_short(value)} lies outside its domain {domain}", path)
            self.entries[name] = Entry("definition", by_age, (), domain, formula=formula)
            self.out.numbers[name] = value


def _ring(waiting) -> list[str]:
    """One cycle among the definitions that wait for each other."""
    walk = [next(iter(waiting))]
    while True:
        step = sorted({str(s) for s in waiting[walk[-1]][1].free_symbols} & set(waiting))[0]
        if step in walk:
            return [*walk[walk.index(step) :], step]
        walk.append(step)


def _short(value) -> str:
    flat = np.ravel(value)
    return f"{flat[0]:g}" if flat.size == 1 else f"[{', '.join(f'{v:g}' for v in flat[:3])}{', ...' if flat.size > 3 else ''}]"
