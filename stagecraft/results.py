"""How a solve can end: an outcome for every ending, its message, and the one error that carries it."""

import enum

TOLERANCE = 1e-8  # Of a fixed point, where the model sets none.


class Outcome(enum.IntEnum):
    """The ending of a solve; `solved.info.outcome` holds one as an integer array, so that it survives `jit`."""

    success = 0
    domain = 1
    grid = 2
    nonfinite = 3
    folded = 4
    convex = 5
    infeasible = 6
    crowded = 7
    not_converged = 8

    @property
    def message(self) -> str:
        """What happened and what to do, without the place."""
        return _MESSAGES[self]


_MESSAGES = {
    Outcome.success: "solved",
    Outcome.domain: "a parameter lies outside its declared domain; change its value, or the domain after `in:`",
    Outcome.grid: "a grid is not increasing; raise its `max`, or lower its `min`",
    Outcome.nonfinite: "the solution is not finite; look for a division by zero or a value outside a function's domain",
    Outcome.folded: "the endogenous grid folds back: the continuation value is not concave here, and plain EGM would "
    "return a wrong policy; the stage needs an upper envelope",
    Outcome.convex: "the first-order condition is not that of a maximum: the objective is not concave in the control, or the "
    "continuation is worth nothing below posts where it is worth something, and EGM cannot solve such a stage; or the maximum "
    "lies at infinity, on a side of a control that has no bound: give it one",
    Outcome.infeasible: "no post-state on the grid is feasible: whatever is chosen, no choice is left afterwards; look at "
    "constraints, `when:` and bounds downstream, and at the reach of the grid",
    Outcome.crowded: "the upper envelope has more kinks than there is room for beside the knots; give the grid of the "
    "post-state more points",
    Outcome.not_converged: "the fixed point was not reached to its tolerance: the period may be no contraction at these values "
    "(a discount factor, with growth, of one or more), or the grid may be too coarse; lower the discount factor, refine the "
    "grid, or raise the setting `tolerance`",
}


class SolveError(ValueError):
    """A solve that failed at the values given; says stage, perch, period and parameter.

    **Attributes:** `outcome`: the `Outcome`.
    """

    def __init__(self, outcome: Outcome, message: str):
        self.outcome = outcome
        super().__init__(outcome, message)

    def __str__(self) -> str:
        return self.args[1]
