"""The record of a method, from what was derived in sympy: formulas, names and flags."""

from typing import Any

import sympy as sp

from heptapod.derivation.derive import Derived
from heptapod.derivation.euler_inputs import UTIL, real
from heptapod.formulas.equation import SLOPE, VALUE, Equation, key, name_of
from heptapod.formulas.freeze import freeze
from heptapod.problem.chosen import ChosenMethod
from heptapod.problem.search import Direct
from heptapod.problem.solutions import HORSES, AbstractSolution, BesideControl, Egm, Nested, Search


def record_of(chosen: ChosenMethod) -> AbstractSolution:
    """The record of the method, from what was derived in sympy."""
    if chosen.direct is not None:
        return _searched(chosen, chosen.direct)
    if chosen.method in ("egm", "nested"):
        return _conditions(chosen)
    return HORSES[chosen.method](reason=chosen.reason)


def _searched(chosen: ChosenMethod, direct: Direct) -> Search:
    return Search(
        reason=chosen.reason,
        state=direct.state,
        post=direct.post,
        control=direct.control,
        passive=chosen.passive,
        strict=tuple(name for name, bound in direct.limits if bound.lower_strict or bound.upper_strict),
        state_grid=direct.grid,
        post_grids=direct.posts,
        base=_equation(direct.base, key(direct.post, "cntn")),
        utility=_equation(direct.utility, str(direct.control)),
        utility_inverse=_equation(direct.utility_inverse, UTIL.name),
    )


def _conditions(chosen: ChosenMethod) -> Egm | Nested:
    derived, bound, control = chosen.derived, chosen.bound, str(chosen.control)
    state, post = derived.state, derived.post
    other, strict = (bound.lower, bound.lower_strict) if derived.corner == "upper" else (bound.upper, bound.upper_strict)
    cornerless = derived.lowest is not None and derived.lowest.has(real(state))
    # In the form where the control is saved, consumption is what the open upper bound leaves, and it never binds.
    moves = other is not None and other.has(real(state)) and not (strict and derived.corner == "lower")
    inner = chosen.inner
    first = {} if inner is None else {"inner": (inner.control, inner.post, freeze(inner.lower), freeze(inner.upper))}
    first |= _beside(chosen, str(state), str(post))
    method: Any = Egm if inner is None else Nested
    return method(
        reason=chosen.reason,
        state=name_of(state),
        post=name_of(post),
        control=control,
        passive=chosen.passive,
        objective=_equation(derived.objective, state, control, post, VALUE),
        lower=_equation(-sp.oo if bound.lower is None else bound.lower, state),
        upper=_equation(sp.oo if bound.upper is None else bound.upper, state),
        foc=_equation(derived.foc, control, SLOPE, post),
        control_inverse=_equation(derived.control_inverse, SLOPE, post),
        state_inverse=_equation(derived.state_inverse, post, control, SLOPE),
        utility=_equation(derived.utility, control),
        utility_inverse=_equation(derived.utility_inverse, UTIL.name),
        trade_off=_equation(derived.trade_off, state, control),
        slope=_equation(derived.slope, state, control, post, VALUE),
        by_value=_equation(derived.discount, state, post),
        lowest=None if cornerless else side(derived.lowest),
        kinks=tuple(freeze(kink) for kink in derived.kinks),
        upper_envelope=derived.has_kinks,
        corner=derived.corner,
        floored=cornerless or (other is not None and (not strict or moves or chosen.held)),
        cornerless=cornerless,
        bound_moves=moves,
        discounted_by_state=derived.discount.has(real(state)),
        domain=_has_domain(derived.reward, real(state)),
        turns=_turns(derived, real(control)),
        open_end=bound.upper_strict if derived.corner == "upper" else bound.lower_strict,
        **first,
    )


def _beside(chosen: ChosenMethod, state: str, post: str) -> dict[str, Any]:
    """The controls that enter reward and budget only; nothing where there is none."""
    found, control = chosen.beside, str(chosen.control)
    if not found.controls:
        return {}
    told, slope = (state, control), (SLOPE, post, control)
    names = {c.name for c in found.controls}
    corner = chosen.bound.upper if chosen.derived.corner == "upper" else chosen.bound.lower
    controls = tuple(
        BesideControl(
            name=c.name,
            condition=_equation(c.condition, *told),
            at_knot=_equation(c.at_knot, *slope),
            inverse=_equation(c.inverse, *told),
            knot_inverse=_equation(c.knot_inverse, *slope),
            lower=_equation(c.bound.lower, *told),
            upper=_equation(c.bound.upper, *told),
            needs=c.needs,
            knot_needs=c.knot_needs,
        )
        for c in found.controls
    )
    curved = corner is not None and bool({str(s) for s in corner.free_symbols} & names)
    return dict(beside=controls, knot_order=found.knot_order, before=found.before, joint=found.joint, curved=curved)


def _has_domain(reward, state) -> bool:
    """Whether a power or a logarithm of the state stands in the reward, which has no value where the state is negative."""
    parts = reward.atoms(sp.Pow, sp.log)
    return any(p.args[0].has(state) and not (p.is_Pow and p.exp.is_Integer and p.exp > 0) for p in parts)


def _turns(derived: Derived, control) -> bool:
    """Whether the state that leads to a post-state may rise or fall in it, as the marginal value says."""
    if derived.control_inverse is None or derived.state_inverse is None:
        return False
    change = sp.diff(derived.state_inverse.subs(control, derived.control_inverse), real(derived.post))
    return change.has(real(SLOPE))


def side(expression) -> Any:
    """A formula, `None` where there is no expression."""
    return None if expression is None else freeze(expression)


def _equation(expression: sp.Basic | None, *arguments: str) -> Any:
    """A formula of named arguments, `None` where there is no expression."""
    return None if expression is None else Equation(freeze(expression), arguments)
