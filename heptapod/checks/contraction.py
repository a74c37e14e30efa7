"""A warning where an infinite horizon has no solution at the calibration: the future is worth as much as the present."""

import itertools
import math
from collections.abc import Mapping

import numpy as np
import sympy as sp

from heptapod.circuit.periods import Graph
from heptapod.derivation.certificate import value
from heptapod.derivation.euler_inputs import V
from heptapod.formulas.builtins import EXPECT
from heptapod.formulas.equation import real
from heptapod.parsing.reader import Reader
from heptapod.problem.functional_problem import FunctionalProblem

_MOST = 10_000


def warn_no_contraction(reader: Reader, graph: Graph, stages: Mapping[str, FunctionalProblem]) -> None:
    """Multiply the weights of the continuation around every cycle of stages; 1 or more is a warning.

    A weight that depends on states, shocks or on the value itself is not judged.
    """
    if graph.periods is not None:
        return
    arrivals = {name: _arrival(problem) for name, problem in stages.items()}
    import networkx as nx  # It is slow to import, and a finite horizon needs none of it.

    steps = nx.DiGraph()
    for link in graph.links:
        weight, survives = _weight(stages[link.source], link.branch), arrivals[link.target]
        if weight is not None and survives is not None:
            known = steps.get_edge_data(link.source, link.target, {"weight": 0.0})["weight"]
            steps.add_edge(link.source, link.target, weight=max(known, weight * survives))
    weigh = lambda ring: math.prod(steps[a][b]["weight"] for a, b in itertools.pairwise([*ring, ring[0]]))
    worst, ring = max(((weigh(r), r) for r in itertools.islice(nx.simple_cycles(steps), _MOST)), default=(0.0, []))
    if worst >= 1:
        message = (
            f"next period's value counts {worst:.6g} times in this period's of {', '.join(ring)}: "
            "an infinite horizon needs less than 1"
        )
        where = ", ".join(f"`Q` of {name}" for name in ring)
        reader.warning("contraction", message, ("model", "horizon"), f"a lower discount factor in {where}, or a finite horizon")


def _weight(problem, branch):
    """$Q_V$ of a continuation, a number or `None`."""
    found = next(b for b in problem.equations.branches if b.name == branch)
    return _number(problem, sp.diff(found.objective if found.recorded is None else found.recorded, V))


def _arrival(problem):
    """The derivative of the value on arrival in the decision's: $\\sum A_E\\,\\partial_V$ over every $E[\\cdot]$ in it."""
    arrival, inside = problem.equations.arrival, real("V")
    total = 0.0
    for i, mean in enumerate(sorted(arrival.atoms(EXPECT), key=str)):
        hidden = real(f"mean_{i}")
        outer = _number(problem, sp.diff(arrival.subs(mean, hidden), hidden))
        inner = _number(problem, sp.diff(mean.args[0], inside))
        if outer is None or inner is None:
            return None
        total += outer * inner
    return total


def _number(problem, expression):
    """The largest number of an expression in parameters alone."""
    if not {str(s) for s in expression.free_symbols} <= set(problem.parameters):
        return None
    found = value(expression, {n: v for n, v in problem.parameters.items() if np.ndim(v) == 0})
    return None if found is None or not np.all(np.isfinite(found)) else float(np.max(np.abs(found)))
