"""Tells the expectation horse about the arrival of a stage."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from jaxtyping import Array, Bool

from stagecraft.horses.problems import ExpectationProblem
from stagecraft.whisperers.bound import States, all_hold, scope_of

if TYPE_CHECKING:
    from heptapod import NumericProblem


def expectation_problem(num: "NumericProblem", scope: Mapping[str, Array]) -> ExpectationProblem:
    """The record of a stage's arrival in one period.

    **Arguments:** `num`: the stage's pointwise functions; `scope`: the values that its equations see.
    """
    values, weights = num.nodes(scope)
    given = {s.given: s.nodes(scope)[0][s.dimensions[0]] for s in num.shocks if s.given is not None}
    return ExpectationProblem(scope, values, weights, num.to_decision, num.integrands, num.aggregator, given, num.plain_arrival)


def open_on_arrival(num: "NumericProblem", scope: Mapping[str, Array], states: States) -> Bool[Array, "..."] | None:
    """Whether the conditions hold that no draw and no choice moves, at arrival states; `None` where there is none."""
    if not num.conditions_on_arrival:
        return None
    return all_hold(num.conditions_on_arrival, scope_of(scope, num.known_on_arrival(scope, states)))
