"""What a whisperer hands to a horse: functions with their first arguments, compared by value."""

import functools
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jaxtyping import Array, Bool, Float

States = Mapping[str, Float[Array, "..."]]


@dataclass(frozen=True)
class Bound:
    """A function of a module whose first arguments are given: two are equal where these are, and share one compilation."""

    function: Callable
    given: tuple

    def __call__(self, *others: Any) -> Any:
        """What the function makes of all its arguments."""
        return self.function(*self.given, *others)


def scope_of(parameters: Mapping, states: States, controls: States | None = None, posts: States | None = None) -> dict:
    """The names that the formulas of a stage read, `m[~]` at the decision, `a_nxt[>]` after it, and their values."""
    tagged = {f"{name}[~]": x for name, x in states.items()} | {f"{name}[>]": x for name, x in (posts or {}).items()}
    return {**parameters, **tagged, **(controls or {})}


def all_hold(formulas: Iterable[Callable], scope: Mapping) -> Bool[Array, "..."]:
    """Whether every one of some conditions does."""
    return functools.reduce(operator.and_, [formula(scope) for formula in formulas])
