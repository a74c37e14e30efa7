"""Tells the expectation horse about the arrival of a stage."""

from collections.abc import Mapping

from stagecraft.horses.problems import ExpectationProblem


def expectation_problem(num, scope: Mapping) -> ExpectationProblem:
    """The record of a stage's arrival in one period.

    **Arguments:** `num`: the stage's pointwise functions; `scope`: the values that its equations see.
    """
    values, weights = num.nodes(scope)
    given = {s.given: s.nodes(scope)[0][s.dimensions[0]] for s in num.shocks if s.given is not None}
    return ExpectationProblem(scope, values, weights, num.to_decision, num.integrands, num.aggregator, given, num.plain_arrival)
