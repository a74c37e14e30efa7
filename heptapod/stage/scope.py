"""What the equations of one stage may see: its parameters, those of a mover, and the variables of its perches."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import sympy as sp

from heptapod.dialect.keys import MOVER_OF
from heptapod.dialect.parts import arguments_of
from heptapod.errors import ANY, did_you_mean
from heptapod.formulas.equation import key, real
from heptapod.parameters.declared import Declared, Time
from heptapod.parsing.kinds import NAME_RULE, bracketed, unfit
from heptapod.parsing.parse import Helper, Scope
from heptapod.parsing.reader import Path, Reader
from heptapod.parsing.scope import inside
from heptapod.spaces.perch_space import GridScope, PerchSpace
from heptapod.text.shared import HELPER

SLOTS = tuple(MOVER_OF)
_CALLABLE = re.compile(r"^(\w+)_func$")


class StageScope:
    """The names of one stage.

    **Attributes:** `used`: every name that some equation or slot of the stage looked up; `mover_used`: the same for the
    parameters of each mover; `spaces`: set once they are read; `poison`: names in error, as of
    `parsing.Scope`, with `*@arvl` for all of a perch.
    """

    def __init__(self, reader: Reader, path: Path, name: str, time: Time, model: Declared, own: Declared,
                 movers: Mapping[str, Declared], inherit: bool):  # fmt: skip
        self.reader, self.path, self.name, self.time = reader, path, name, time
        self.model, self.own, self.movers, self.inherit = model, own, movers, inherit
        reader.block((*path, "math"), "`math`")
        self.used: set[str] = set()
        self.mover_used: dict[str, set[str]] = {m: set() for m in movers}
        self.spaces: dict[str, PerchSpace] = {}
        self.poison = own.poison
        self.poison |= {"age"} if time.poison else set()
        inherited = model.parameter_names if inherit else ()
        self.parameters = tuple(dict.fromkeys((*inherited, *own.parameter_names, *time.numbers)))
        self.settings = tuple(n for n in own.numbers if n not in self.parameters)
        self.shapes = {n: own.shapes.get(n, ()) for n in own.numbers}
        # A vector has no place in a pointwise equation; shocks, grids and sets name vectors on their own.
        vectors = {n for n in own.numbers if self.shapes[n]}
        self.parameter_symbols = {n: real(n) for n in self.parameters if n not in vectors | self.poison}
        self.elsewhere = self._elsewhere(vectors)
        symbols = self.parameter_symbols | {n: real(n) for n in self.settings if n not in self.poison}
        self.slots = Scope(symbols, where=f"stage {name}", tags=False, used=self.used, poison=self.poison,
                           elsewhere=self._missed(symbols))  # fmt: skip
        self.users = {name: Helper(arguments_of(name, f), f) for name, f in reader.parts.functions.items()}
        self.mover_helpers: dict[str, dict[str, Helper]] = {m: {} for m in movers}
        self.helpers: dict[str, Helper] = {}
        helpers, self.places = self._functions((*path, "math", "functions"), None)
        self.helpers = self.users | helpers
        for mover in movers:
            self._mover_functions(mover)
        why = "a helper is called by equations; a numeric slot is arithmetic over parameters"
        self.slots = replace(self.slots, elsewhere={**self.slots.elsewhere, **{f"{name}()": why for name in self.helpers}})

    def _elsewhere(self, vectors):
        """Why a name that is declared somewhere cannot stand in an equation of the stage."""
        missed = [n for n in self.model.parameter_names if n not in self.parameters]
        return (
            {n: "a vector or matrix, for the values of shocks and grids; an equation takes numbers" for n in vectors}
            | {n: f'a model parameter: add `{n}: ["{n}"]` to the parameters of {self.name}' for n in missed}
            | {n: "a setting, for grids and sizes; to use it in an equation make it a parameter" for n in self.settings}
        )

    def _missed(self, symbols):
        """The same for a numeric slot, which sees settings, too."""
        add = 'a model setting: add `{0}: ["{0}"]` to the settings of {1}'
        missed = {n: add.format(n, self.name) for n, _ in self.model.table.settings}
        return {n: why for n, why in (missed | self.elsewhere).items() if n not in symbols}

    def grid_scope(self, nodes: Mapping) -> GridScope:
        """What the grids of the stage may name; `nodes`: of the shocks of all stages."""
        return GridScope(self.slots, self.own.integers, self.shapes, nodes, self.own.numbers)

    @property
    def movers_poisoned(self) -> bool:
        """Whether an equation may stand at a mover, under a key that is not known."""
        blocks = [(*self.path, "movers"), *[(*self.path, "movers", m, "functions") for m in self.movers]]
        return any(self.reader.poisoned((*block, ANY)) for block in blocks)

    def perch_poisoned(self, perch: str) -> bool:
        """Whether the dimensions of a perch are in error."""
        return f"{ANY}@{perch}" in self.poison

    def place(self, slot: str) -> Path | None:
        """Where an equation stands, at the stage or at its mover; `None` where it is not written."""
        return self.places.get(slot)

    @property
    def called(self) -> set[str]:
        """The helpers that some equation calls."""
        return {name.removesuffix("()") for name in self.used if name.endswith("()")}

    def helper_places(self):
        """(path of a `functions:` block, (text, name) pairs of its helpers)."""
        blocks = [(*self.path, "math", "functions"), *[(*self.path, "movers", m, "functions") for m in self.movers]]
        for path in blocks:
            written = self.reader.get(path)
            pairs = [(text, match[1]) for text in written or () if (match := HELPER.match(text))]
            yield path, [(text, name) for text, name in pairs if name not in SLOTS]

    def perches(self, perches: tuple[str, ...], others: Iterable[str], place: Path | None, where: str, *,
                posts: PerchSpace | None = None, carried: Mapping[str, sp.Expr] | None = None, default: str = "",
                expect: bool = False, poisoned: bool = False) -> Scope:  # fmt: skip
        """States of several perches with and without tags, and parameters; a name on two perches needs a tag.

        **Arguments:** `others`: controls or shocks; `place`: of the equation, which decides whose parameters are seen: an
        equation of a mover sees the mover's; `posts`: the continuation that `cntn` stands for; `carried`: posts that have the
        value of the decision's variable of their name; `default`: the perch that an untagged name means where it is on
        several; `poisoned`: whether more names may be in error.
        """
        mover = self._mover_at(place)
        parameters, helpers, used = self._parameters(mover)
        poison = self._poison_at(mover)
        if poisoned or any(map(self.perch_poisoned, perches)):
            poison = poison | {ANY}
        symbols: dict[str, sp.Basic] = dict(parameters)
        ambiguous, carried = {}, carried or {}
        spaces = {p: posts if p == "cntn" and posts is not None else self.spaces[p] for p in perches}
        for perch, space in spaces.items():
            symbols |= {f"{name}@{perch}": real(key(name, perch)) for name in space.dimensions}
        for name in dict.fromkeys(n for space in spaces.values() for n in space.dimensions):
            homes = [p for p, space in spaces.items() if name in space.dimensions]
            if len(homes) == 1 or default in homes:
                symbols[name] = symbols[f"{name}@{default if default in homes else homes[0]}"]
            elif carried.get(name) == real(key(name, "dcsn")):
                symbols[name] = carried[name]  # The same value on both perches.
            elif ANY not in poison:
                ambiguous[name] = f"write {' or '.join(f'`{key(name, p)}`' for p in homes)}"
        others = tuple(others)
        symbols |= {n: real(n) for n in others}
        seen = ", ".join(dict.fromkeys((*(n for space in spaces.values() for n in space.dimensions), *others)))
        hint = f"variables here: {seen}" if seen else None
        return Scope(symbols, functions=helpers, where=f"{where} of stage {self.name}", elsewhere=self.elsewhere, hint=hint,
                     ambiguous=ambiguous, helper_symbols=parameters, expect=expect, used=used, poison=poison)  # fmt: skip

    def _mover_at(self, place):
        """The mover at which an equation is written, `None` for one of the stage."""
        n = len(self.path)
        return place[n + 1] if place is not None and place[:n] == self.path and place[n : n + 1] == ("movers",) else None

    def _poison_at(self, mover):
        """The names in error, the mover's among them."""
        more = set() if mover is None else self.movers[mover].poison
        return self.poison | more if more else self.poison

    def _parameters(self, mover):
        """Parameters by spelled name, helpers, and who keeps count: of the stage, or of a mover with what it inherits."""
        if mover is None:
            return self.parameter_symbols, self.helpers, self.used
        declared = self.movers[mover]
        scalars = [n for n in declared.parameter_names if not declared.shapes.get(n)]
        own = {n: real(f"{mover}.{n}") for n in scalars}
        seen, helpers = _Both(self.used, self.mover_used[mover], set(own)), self.mover_helpers[mover]
        if not declared.inherits:
            return self._clock() | own, helpers, seen
        return self.parameter_symbols | own, self.helpers | helpers, seen

    def _clock(self):
        return {n: s for n, s in self.parameter_symbols.items() if n in self.time.numbers}

    def _mover_functions(self, mover):
        helpers, places = self._functions((*self.path, "movers", mover, "functions"), mover)
        for slot, place in places.items():
            if slot in self.places:
                message = f"{slot} is written at the stage and at its mover {mover}"
                self.reader.error("duplicate-key", message, place, "one of them", key=True)
        self.places |= places
        self.mover_helpers[mover] = self.users | helpers

    def _functions(self, path, mover):
        """Helpers `name(arguments)` apart from the equations of a stage."""
        legal = SLOTS if mover is None else tuple(s for s, m in MOVER_OF.items() if m == mover)
        symbols = self._parameters(mover)[0]
        helpers, places = {}, {}
        for written, body in self.reader.mapping(path, None, "`functions`").items():
            match = HELPER.match(written)
            if match:
                helper = self._helper(match[1], match[2], body, (*path, written), symbols)
                helpers |= {} if helper is None else {match[1]: helper}
            elif written in legal:
                places[written] = (*path, written)
            else:
                whose = "a stage" if mover is None else f"the mover {mover}"
                self.reader.poison.add(path)
                self._poison_helper(written)
                self.reader.error("unknown-key", f"`{written}` is not an equation of {whose}", (*path, written),
                                  _advice(written, legal, mover), key=True)  # fmt: skip
        if self.reader.poisoned((*path, ANY)):
            self.poison.add(f"{ANY}()")
        return helpers, places

    def _poison_helper(self, written):
        """A helper that is in error, by what may be its name."""
        self.poison.update({f"{name}()" for name in re.findall(r"^\s*(\w+?)(?:_func)?\b", written)} | {f"{ANY}()"})

    def _helper(self, name, listed, body: Any, path, symbols):
        """One helper; `None` after an error."""
        arguments = tuple(a.strip() for a in listed.split(",")) if listed.strip() else ()
        for each in (name, *arguments):
            why = "has a meaning of its own" if each in SLOTS else unfit(each)
            if why is not None:
                self._poison_helper(path[-1])
                return self.reader.error("name", f"`{each}` {why}", path, NAME_RULE, key=True)
        if len(set(arguments)) < len(arguments) or name in symbols:
            what = "is a parameter, too" if name in symbols else "takes an argument twice"
            self._poison_helper(path[-1])
            return self.reader.error("name", f"the helper `{name}` {what}", path, "rename one of them", key=True)
        for each in arguments:
            if each in symbols:
                message = f"the argument `{each}` shadows the parameter of that name"
                self.reader.warning("shadowed", message, path, "rename the argument", key=True)
        body = body["expr"] if isinstance(body, Mapping) and list(body) == ["expr"] else body
        return Helper(arguments, body[0] if bracketed(body) else body, symbols)

    def check_helpers(self, hidden: Iterable[str]) -> None:
        """Read every body once by itself, so that an unused helper is checked, too.

        **Arguments:** `hidden`: states, shocks and controls, which a helper sees as its arguments only.
        """
        for mover, helpers in ((None, self.helpers), *self.mover_helpers.items()):
            path = (*self.path, "math", "functions") if mover is None else (*self.path, "movers", mover, "functions")
            parameters, visible, used = self._parameters(mover)
            scope = Scope(parameters, functions=visible, elsewhere=self.elsewhere, helper_symbols=parameters, tags=False,
                          ambiguous=dict.fromkeys(hidden, ""), used=used, poison=self._poison_at(mover))  # fmt: skip
            for written in self.reader.mapping(path, None, "`functions`"):
                match = HELPER.match(written)
                if match and match[1] in helpers:
                    self._check_helper(match[1], helpers[match[1]], (*path, written), scope)

    def _check_helper(self, name, helper, path, scope):
        arguments = {a: real(a) for a in helper.parameters}
        hint = f"a helper sees its arguments ({', '.join(helper.parameters)}) and the parameters only"
        seen = replace(inside(scope, name, helper, arguments), hint=hint)
        expression = self.reader.expression(path, seen)
        if expression is None:
            self.poison.add(f"{name}()")
            return
        idle = [a for a, symbol in arguments.items() if symbol not in expression.free_symbols]
        if idle:
            message = f"the argument `{idle[0]}` of {name} is used nowhere in it"
            self.reader.warning("unused", message, path, "drop the argument, or use it", key=True)


class _Both(set):
    """Sorts what was looked up into the stage's names and the mover's own."""

    def __init__(self, stage: set, mover: set, own: set):
        super().__init__()
        self.stage, self.mover, self.own = stage, mover, own

    def add(self, name):
        (self.mover if name in self.own else self.stage).add(name)


def _advice(written, legal, mover):
    older = _CALLABLE.match(written)
    if older:
        return f"older spelling; a helper is written `{older[1]}(arguments): ...`"
    if mover is not None and written in SLOTS:
        return f"it belongs to the mover {MOVER_OF[written]}"
    return did_you_mean(written, legal) or f"equations are {', '.join(legal)}; helpers are written `name(arguments): ...`"
