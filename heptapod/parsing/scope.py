"""The names an equation may use, and the reason why any other name may not."""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import sympy

from heptapod.errors import ANY, POISON, did_you_mean
from heptapod.formulas.builtins import BUILTINS
from heptapod.formulas.equation import TAGS
from heptapod.parsing.arithmetic import Refusal

_EMPTY: Mapping = MappingProxyType({})
_CONSTANTS = {"pi": sympy.pi, "inf": sympy.oo}
_OLDER = {"vlu_cntn": "V[>]", "V_cntn": "V[>]", "vlu_dcsn": "V", "v_e": "V[>]"}


@dataclass(frozen=True)
class Helper:
    """A function of the model file, e.g. `u(c): c^(1-gamma)/(1-gamma)`.

    **Attributes:**

    - `parameters`: the names of its arguments.
    - `body`: the text of its value, a number, or a Python function.
    - `symbols`: what the body sees beside its arguments, where that is not what its caller's helpers see.
    """

    parameters: tuple[str, ...]
    body: str | float | Callable
    symbols: Mapping[str, sympy.Basic] | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Scope:
    """What an equation may see.

    **Attributes:**

    - `symbols`: spelled name, or tagged name `m@arvl`, `m@dcsn`, `m@cntn`, to its expression.
    - `functions`: the helpers.
    - `where`: the place in words, e.g. `g_av of stage CONS (arrival -> decision)`.
    - `elsewhere`: name to help text that says why it is not visible here.
    - `ambiguous`: name to help text that says which tag to add.
    - `hint`: help for an unknown name that resembles nothing.
    - `expect`: whether `E[...]` may be used.
    - `tags`: whether perch tags may be used.
    - `helper_symbols`: what the bodies of helpers see beside their arguments: the parameters.
    - `used`: collects every name that was looked up and found, so that an unused one can be told.
    - `poison`: names in error, helpers as `u()`, and `ANY`; an expression that touches one of them is in error, too.
    """

    symbols: Mapping[str, sympy.Basic]
    functions: Mapping[str, Helper] = field(default_factory=lambda: _EMPTY)
    where: str = "this expression"
    elsewhere: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    ambiguous: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    hint: str | None = None
    expect: bool = False
    tags: bool = True
    helper_symbols: Mapping[str, sympy.Basic] = field(default_factory=lambda: _EMPTY)
    used: set[str] = field(default_factory=set, compare=False)
    poison: set[str] = field(default_factory=set, compare=False)

    def poisoned(self, name: str, known: Container[str] = ()) -> bool:
        """Whether a name is in error itself, or not among those `known` where any other may be."""
        return name in self.poison or (name not in known and ANY in self.poison)


def lookup(scope: Scope, name: str, perch: str | None = None) -> sympy.Basic:
    """What a name stands for, or a `Refusal` that says why it stands for nothing here.

    **Arguments:**

    - `scope`: the declared names.
    - `name`, `perch`: `m` and `None`, or `m` and `cntn` for `m[>]`.
    """
    key, shown = (f"{name}@{perch}", name + TAGS[perch]) if perch else (name, name)
    if key in scope.symbols:
        scope.used.add(name)
        return scope.symbols[key]
    if key in scope.ambiguous:
        raise Refusal("ambiguous", f"`{name}` is on two perches of {scope.where}", scope.ambiguous[key])
    if key in _CONSTANTS:
        return _CONSTANTS[key]
    if scope.poisoned(name):
        raise Refusal(POISON, f"`{name}` is in error itself")
    if key in scope.elsewhere or name in scope.elsewhere:
        help = scope.elsewhere.get(key) or scope.elsewhere.get(name)
        raise Refusal("scope", f"`{shown}` is not visible in {scope.where}", help, name)
    if name in _OLDER:
        raise Refusal("unknown-symbol", f"`{name}` is an older spelling", f"write `{_OLDER[name]}`", name)
    if name in scope.functions or name in BUILTINS:
        raise Refusal("function-as-value", f"`{name}` is a function", f"write `{name}(...)`")
    raise Refusal("unknown-symbol", f"`{shown}` is not declared in {scope.where}", _advice(scope, name), name)


def _advice(scope: Scope, name: str) -> str | None:
    tagged = [key.split("@") for key in scope.symbols if "@" in key]
    same = sorted(base + TAGS.get(perch, "") for base, perch in tagged if base == name)
    same += [name] if name in scope.symbols else []
    if same:
        return f"visible here: {', '.join(f'`{spelling}`' for spelling in same)}"
    pool = {key.split("@")[0] for key in scope.symbols} | set(scope.functions) | set(scope.elsewhere)
    strange = None if name.isascii() else f"`{name}` has letters that are not ASCII"
    return did_you_mean(name, pool) or scope.hint or strange


def inside(scope: Scope, name: str, helper: Helper, arguments: Mapping[str, sympy.Basic]) -> Scope:
    """The scope of a helper's body: its own arguments and the parameters, nothing else."""
    seen = scope.helper_symbols if helper.symbols is None else helper.symbols
    visible = {**seen, **arguments}
    why = "a helper sees its arguments and the parameters; add `{0}` to the arguments of `{1}`"
    hidden = {key.split("@")[0] for key in scope.symbols} | set(scope.ambiguous)
    return Scope(
        symbols=visible,
        functions=scope.functions,
        where=f"helper {name}({', '.join(helper.parameters)})",
        elsewhere={**scope.elsewhere, **{base: why.format(base, name) for base in hidden if base not in visible}},
        hint=scope.hint,
        tags=scope.tags,
        helper_symbols=seen,
        used=scope.used,
        poison=scope.poison,
    )
