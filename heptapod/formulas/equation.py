"""Pointwise functions of a model: a formula and the names of its arguments, compared by value, free of defaults."""

from collections.abc import Mapping
from dataclasses import dataclass

import sympy as sp

from heptapod.formulas.formula import Formula

TAGS = {"arvl": "[<]", "dcsn": "[~]", "cntn": "[>]"}


def key(name: str, perch: str) -> str:
    """The unambiguous name of a variable: `a[<]` on arrival, `m[~]` at the decision, `a_nxt[>]` in the continuation."""
    return name + TAGS[perch]


def name_of(key: str) -> str:
    """The name in a key; a name without a tag is itself."""
    return key[:-3] if perch_of(key) else key


def perch_of(key: str) -> str:
    """The perch in a key, `""` for a name without a tag."""
    return next((perch for perch, tag in TAGS.items() if key.endswith(tag)), "")


def mean_key(i: int) -> str:
    """The name of the i-th expectation in the formula of an arrival value; no model can spell it."""
    return f"E[{i}]"


def real(name: str) -> sp.Symbol:
    """The symbol of a name or a key."""
    return sp.Symbol(name, real=True)


VALUE = "V[>]"
SLOPE = "dV[>]"


@dataclass(frozen=True)
class Equation:
    """A formula as a function of the parameters and of named arguments in order: `equation(p, m, c)`."""

    formula: Formula
    arguments: tuple[str, ...]

    def __call__(self, parameters: Mapping, *values):
        """Evaluate elementwise; a formula that names no argument gives a scalar."""
        return self.formula({**parameters, **dict(zip(self.arguments, values, strict=True))})


@dataclass(frozen=True)
class Transition:
    """Simultaneous equations from the variables of one perch (and shocks or controls) to those of another.

    **Attributes:** `equations`: (name of the target, formula) in order; `sources`: (key in the formulas, name) pairs.
    """

    equations: tuple[tuple[str, Formula], ...]
    sources: tuple[tuple[str, str], ...]

    def __call__(self, parameters: Mapping, *variables: Mapping) -> dict:
        """Targets by name; `variables` are dictionaries whose union names every source."""
        given = {name: value for group in variables for name, value in group.items()}
        scope = {**parameters, **{key: given[name] for key, name in self.sources if name in given}}
        return {name: formula(scope) for name, formula in self.equations}


@dataclass(frozen=True)
class Integrands:
    """What stands inside `E[...]` in the arrival value: functions of arrival states, shocks and the decision's value."""

    formulas: tuple[Formula, ...]

    def __call__(self, parameters: Mapping, states: Mapping, shocks: Mapping, value) -> tuple:
        """One array per `E[...]` in the order of the formula."""
        arrival = {key(name, "arvl"): x for name, x in states.items()}
        scope = {**parameters, **arrival, **shocks, "V": value}
        return tuple(formula(scope) for formula in self.formulas)


@dataclass(frozen=True)
class Aggregator:
    """The arrival value as a function of arrival states and of the expectations named in it."""

    formula: Formula

    def __call__(self, parameters: Mapping, states: Mapping, means: tuple):
        """Elementwise in states and means."""
        arrival = {key(name, "arvl"): x for name, x in states.items()}
        return self.formula({**parameters, **arrival, **{mean_key(i): m for i, m in enumerate(means)}})
