"""Tells the expectation horse about the arrival of a stage."""

from collections.abc import Mapping

from stagecraft.horses.problems import ExpectationProblem


def expectation_problem(num, scope: Mapping) -> ExpectationProblem:
    """The record of a stage's arrival in one period.

    **Arguments:** `num`: the stage's pointwise functions; `scope`: the values that its equations see.
    """
    nodes, weights = num.nodes(scope)
    return ExpectationProblem(scope, nodes, weights, num.to_decision, num.integrands, num.aggregator)
