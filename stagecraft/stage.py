"""The stage: arrival, decision and continuation, tied by two movers backward and two forward."""

from collections.abc import Mapping

import equinox as eqx

from stagecraft.mover import Expect, Mover, Optimise, Push
from stagecraft.perch import Perch
from stagecraft.whisperers.continuous import continuous_problem
from stagecraft.whisperers.expectation import expectation_problem


class Stage(eqx.Module):
    r"""The smallest independent piece of a recursive problem, $V(x_v) = \max_c Q(x_v, c, E(x_e))$.

    **Attributes:**

    - `name`; `num`: its pointwise functions, static and compared by value.
    - `arvl`, `dcsn`, `cntn`: its perches.
    - `cntn_to_dcsn`, `dcsn_to_arvl`: backward movers; `arvl_to_dcsn`, `dcsn_to_cntn`: forward movers.
    - `source`: what was read, for `explain`; `None` for a stage that was built from functions.
    """

    name: str = eqx.field(static=True)
    num: object = eqx.field(static=True)
    arvl: Perch
    dcsn: Perch
    cntn: Perch
    cntn_to_dcsn: Mover
    dcsn_to_arvl: Mover
    arvl_to_dcsn: Mover
    dcsn_to_cntn: Mover
    source: object = eqx.field(static=True, default=None)


def build_stage(num, scope: Mapping) -> Stage:
    """A stage in one period, its solution still empty.

    **Arguments:**

    - `num`: pointwise functions and spaces, as `heptapod.FunctionalProblem.num` offers them.
    - `scope`: the values that its equations see, by name; `t` among them.

    **Raises:** `ValueError` where no method can solve the stage, with the reason.
    """
    scope = dict(scope)
    arvl, dcsn, cntn = (Perch(p, num.dimensions(p)) for p in ("arvl", "dcsn", "cntn"))
    optimise = Optimise(continuous_problem(num, scope), num.state, num.control, num.post)
    expect = Expect(expectation_problem(num, scope), num.dimensions("arvl"))
    return Stage(
        num.name,
        num,
        arvl,
        dcsn,
        cntn,
        Mover("cntn", "dcsn", optimise, num.method),
        Mover("dcsn", "arvl", expect, "expectation"),
        Mover("arvl", "dcsn", Push(scope, num.to_decision), "transition"),
        Mover("dcsn", "cntn", Push(scope, num.to_continuation), "transition"),
    )
