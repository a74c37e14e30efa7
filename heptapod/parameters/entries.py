"""The entries of one block of parameters or settings: kinds, default values, an order of evaluation."""

import graphlib
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import sympy as sp

from heptapod.dialect import keys
from heptapod.errors import ANY, did_you_mean
from heptapod.formulas.equation import real
from heptapod.formulas.freeze import freeze
from heptapod.formulas.in_numpy import number
from heptapod.parameters.by_age import read_list, read_steps
from heptapod.parameters.calibration import Domain, Entry
from heptapod.parameters.declared import GROUPS, Declared, Time
from heptapod.parameters.numbers import array, short
from heptapod.parsing.kinds import bracketed, unfit
from heptapod.parsing.parse import Scope
from heptapod.parsing.reader import Path, Reader


class ParameterBlock:
    """The entries of one block, read in two passes: what stands for itself first, definitions after."""

    def __init__(self, reader: Reader, path: Path, group: str, time: Time, model: Declared | None, out: Declared):
        self.reader, self.path, self.group = reader, path, group
        self.time, self.model, self.out = time, model, out
        self.definitions: dict[str, tuple[Path, sp.Expr, bool, Domain | None]] = {}
        self.entries: dict[str, Entry] = {}

    def read(self) -> tuple[tuple[str, Entry], ...]:
        raw = self.reader.mapping(self.path, None, f"`{self.group}`")
        self.out.poison -= raw.keys()  # What is declared here hides what is inherited.
        for name in raw:
            if self._named(name, (*self.path, name)):
                self._entry(name, (*self.path, name), raw[name])
        block, defined = (*self.path[:-1], "definitions"), {}
        if self.group == "parameters":
            defined = self.reader.mapping(block, None, "`definitions`")
            self.out.poison -= defined.keys()
            for name in defined:
                if self._named(name, (*block, name)) and name not in raw:
                    self._expression(name, (*block, name), False)
        if self._unreadable(self.group) or (self.group == "parameters" and self._unreadable("definitions")):
            self.out.poison.add(ANY)
        self._order()
        for name in (*raw, *defined):
            if name not in self.entries:
                self._poison(name)
        # Of equal files in another order one compilation serves both; definitions keep the order that they need.
        first = sorted(((n, e) for n, e in self.entries.items() if e.kind != "definition"), key=lambda item: item[0])
        return (*first, *((n, e) for n, e in self.entries.items() if e.kind == "definition"))

    def _named(self, name, path):
        why = unfit(name)
        if why is not None:
            self.reader.error("name", f"`{name}` {why}; choose another", path, key=True)
        return why is None

    def _entry(self, name, path, node):
        if isinstance(node, Mapping):
            self._block(name, path, self.reader.block(path, "a parameter"))
        elif bracketed(node):
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
                return self.reader.error("domain", str(error), (*path, "in"), "an interval such as (0, inf) or [0, 1]")
        by = block.get("by") is not None and self.reader.word((*path, "by"), keys.words("a parameter", "by"), "`by`", "")
        if by == "":
            return None
        if by == "age" and self.time.age is None:
            if not self.time.poison:
                self.reader.error("by-age", f"`{name}` goes by age, but the model has no `age:`", (*path, "by"),
                                  "write `age: {start: 25, step: 1}` in the model, or `by: t`")  # fmt: skip
            return None
        given = [k for k in ("value", "steps", "expr", "values") if k in block]
        if len(given) != 1:
            what = "nothing" if not given else " and ".join(f"`{k}`" for k in given)
            message = f"`{name}` gives {what}; one of `value`, `steps`, `expr`, `values` is needed"
            self.reader.missing("parameter", message, path)
        elif by and given == ["value"]:
            self.reader.error("parameter", f"`{name}` gives one `value` and goes by {by}", (*path, "by"),
                              "`steps`, `values` or `expr` go by age", key=True)  # fmt: skip
        elif self.group == "settings" and (by or given == ["steps"]):
            self.reader.error("parameter", f"the setting `{name}` goes by {by or 'age'}", (*path, "by" if by else "steps"),
                              "what moves with age is a parameter", key=True)  # fmt: skip
        else:
            self._given(given[0], name, path, block[given[0]], by, domain)
        return None

    def _given(self, key, name, path, node, by, domain):
        """The one key of a block that gives its value."""
        if key == "expr" or (key == "value" and isinstance(node, str)):
            self._expression(name, (*path, key), bool(by), domain)
        elif key == "steps":
            self._leaf(name, (*path, key), read_steps(self.reader, path, name, by, self.time), domain, by_age=True)
        elif key == "values" and by:
            self._leaf(name, (*path, key), read_list(self.reader, path, name, self.time), domain, by_age=True)
        else:
            self._leaf(name, (*path, key), node, domain)

    def _leaf(self, name, path, node, domain, by_age=False):
        """A number or a list of numbers: integers among the settings are static, all else is an array."""
        if node is None:
            if by_age is False:
                self.reader.error("parameter", f"`{name}` has no value", path, "a number, an expression or a list", key=True)
            return
        if self.group == "settings" and isinstance(node, int) and not isinstance(node, bool):
            self._check_domain(name, path, domain, np.float64(node))
            self.entries[name] = Entry("integer", value=node)
            self.out.integers[name] = node
            self.out.numbers[name], self.out.shapes[name] = np.float64(node), ()
            return
        value = array(node)
        if value is None:
            self.reader.error("parameter", f"`{name}` must be a finite number, a list or matrix of them, or an expression",
                              path)  # fmt: skip
            return
        if self.group == "settings" and value.ndim:
            self.reader.error("parameter", f"the setting `{name}` must be one number", path, "lists are parameters")
            return
        self._check_domain(name, path, domain, value)
        self.out.integers.pop(name, None)  # An inherited integer of that name is hidden.
        shape = value.shape[1:] if by_age else value.shape
        self.entries[name], self.out.shapes[name] = Entry("leaf", by_age, shape, domain), shape
        self.out.numbers[name] = value
        (self.out.defaults if self.group == "parameters" else self.out.setting_defaults)[name] = value

    def _poison(self, name):
        """A name in error: it is declared, and nothing else is known of it."""
        self.out.poison.add(name)
        self.entries[name], self.out.numbers[name], self.out.shapes[name] = Entry("leaf"), np.float64(np.nan), ()

    def _unreadable(self, group):
        """Whether a block of the scope is no block."""
        path = (*self.path[:-1], group)
        return self.reader.get(path) is not None and self.reader.poisoned(path)

    def _check_domain(self, name, path, domain, value):
        if domain is not None and not np.all(domain.holds(value)):
            self.reader.error("domain", f"`{name}` = {short(value)} lies outside its domain {domain}", path)

    def _reference(self, name, path, target):
        model = self.model
        own = [] if model is None else [n for n, _ in getattr(model.table, self.group)]
        if model is not None and model.inherits:
            own += [n for n in model.numbers if n not in self.time.numbers and n not in model.table.entries]
        if model is None or target not in own:
            if model is None or not {target, ANY} & model.poison:
                where = "has no scope above it" if model is None else f"names no {self.group[:-1]} of {model.above}"
                other = model is not None and target in model.table.entries
                help = f"there it is a {'setting' if self.group == 'parameters' else 'parameter'}" if other else None
                self.reader.error("reference", f'["{target}"] {where}', path, help or did_you_mean(target, own),
                                  about=None if other else target)  # fmt: skip
            return
        if target in model.poison:
            self.out.poison.add(name)
        self.out.integers.pop(name, None)
        self.entries[name] = Entry("reference", target=target)
        self.out.shapes[name] = model.shapes.get(target, ())
        self.out.numbers[name] = model.numbers[target] if target in model.numbers else np.float64(1.0)
        if target in model.integers:
            self.out.integers[name] = model.integers[target]

    def _expression(self, name, path, by_age, domain=None):
        groups = ("parameters", "definitions", "settings") if self.group == "parameters" else ("settings",)
        blocks = [self.reader.get((*self.path[:-1], group)) for group in groups]
        known = {n for block in blocks if isinstance(block, Mapping) for n in block} | set(self.out.numbers)
        symbols = {n: real(n) for n in known}
        scope = Scope(symbols, where=f"`{name}`", tags=False, poison=self._poison_in_sight(), elsewhere=self._elsewhere(known))
        expression = self.reader.expression(path, scope)
        if expression is not None and not isinstance(expression, sp.Expr):
            self.reader.error("type", "expected a number, found a condition", path)
        elif expression is not None:
            self.definitions[name] = (path, expression, by_age, domain)

    def _poison_in_sight(self):
        self.out.poison |= {"age"} if self.time.poison else set()
        unreadable = any(self._unreadable(group) for group in GROUPS)
        return self.out.poison | {ANY} if unreadable else self.out.poison

    def _elsewhere(self, known):
        """Why a name of the scope above is not seen here, or one of the other block."""
        above = () if self.model is None else self.model.table.entries
        whose = "" if self.model is None else self.model.above
        found = {n: f'of {whose}: add `{n}: ["{n}"]` to `{self.group}`' for n in above if n not in known}
        if self.group == "settings":
            other = self.reader.mapping((*self.path[:-1], "parameters"), None, "`parameters`")
            found |= {n: "a parameter: settings do not depend on parameters" for n in other if n not in known}
        return found

    def _order(self):
        """Definitions in an order in which each finds what it names; what names no parameter is a leaf."""
        waits = {
            n: sorted({str(s) for s in e.free_symbols} & self.definitions.keys()) for n, (_, e, *_) in self.definitions.items()
        }
        sorter = graphlib.TopologicalSorter(waits)
        try:
            sorter.prepare()
        except graphlib.CycleError as error:
            ring = error.args[1][::-1]  # Each is defined through the next.
            path = self.definitions[ring[0]][0]
            self.reader.error("circular", f"`{ring[0]}` is defined through itself: {' -> '.join(ring)}", path)
        while sorter.is_active():
            ready = sorted(sorter.get_ready())
            for n in ready:
                self._definition(n, *self.definitions[n])
            sorter.done(*ready)

    def _definition(self, name, path, expression, by_age, domain):
        free = {str(s) for s in expression.free_symbols}
        if any(n in self.out.poison or n not in self.out.numbers for n in free):
            return self._poison(name)
        vectors = sorted(n for n in free if self.out.shapes.get(n))
        if vectors:
            self.reader.error("shape", f"`{name}` is arithmetic with `{vectors[0]}`, a vector or matrix", path,
                              "definitions are numbers; list the entries one by one")  # fmt: skip
            return None
        return self._defined(name, path, expression, free, by_age, domain)

    def _defined(self, name, path, expression, free, by_age, domain):
        formula = freeze(expression)
        value = number(formula, self.out.numbers)
        if not np.all(np.isfinite(value)):
            wrong = short(value[~np.isfinite(value)])
            self.reader.error("parameter", f"`{name}` is not finite at the calibration: {wrong}", path)
        elif self.group == "settings" and value.ndim == 0 and free <= set(self.out.integers) and value == int(value):
            self._leaf(name, path, int(value), domain)
            self.entries[name] = replace(self.entries[name], sources=tuple(sorted(free)))
        elif not free - set(self.time.numbers) and (by_age or not free):
            self._leaf(name, path, np.broadcast_to(value, (self.time.periods,)) if by_age else value, domain, by_age)
        else:
            self._check_domain(name, path, domain, value)
            self.out.integers.pop(name, None)
            self.entries[name] = Entry("definition", by_age, (), domain, formula=formula)
            self.out.numbers[name], self.out.shapes[name] = value, ()
