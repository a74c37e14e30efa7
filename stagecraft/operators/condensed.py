"""The same function as a shorter program: nothing is computed twice, and a number that fills an array is written once.

What is written as pointwise equations repeats itself: a power in a condition and again in its derivative, a one or a zero
spread over the same grid at every guard. A compiler finds that out, but only after all of it was traced and lowered.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.core import Tracer
from jax.custom_derivatives import SymbolicZero
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Primitive, jaxpr_as_fun
from jax.extend.core import primitives as p
from jax.interpreters import partial_eval

# They are computed entry by entry, and take a number for an array of it.
_BY_ENTRY = {p.mul_p, p.add_p, p.sub_p, p.div_p, p.max_p, p.min_p, p.eq_p, p.ne_p, p.lt_p, p.le_p, p.gt_p, p.ge_p, p.and_p,
             p.or_p, p.pow_p, p.atan2_p, p.rem_p}  # fmt: skip
_COMMUTE = {p.mul_p, p.add_p, p.max_p, p.min_p, p.eq_p, p.ne_p, p.and_p, p.or_p}
_SHAPING = {p.convert_element_type_p, p.reshape_p, p.broadcast_in_dim_p}


def condensed(function: Callable) -> Callable:
    """The same function of pytrees of arrays, and the same derivatives of every order, each as a program without repetition.

    The derivative is that of the function as it is written, its rules (`custom_jvp`) included, and is condensed after it was
    taken. Where nothing is differentiated such rules stand open, so that what they share with others is shared.
    """

    def run(*arguments):
        leaves, tree = jax.tree.flatten(arguments)
        flat = lambda *xs: function(*jax.tree.unflatten(tree, xs))
        closed, shape = jax.make_jaxpr(flat, return_shape=True)(*leaves)
        if closed.effects:
            return function(*arguments)
        return jax.tree.unflatten(jax.tree.structure(shape), _ruled(closed.jaxpr)(*closed.consts, *leaves))

    return run


def _ruled(jaxpr: Jaxpr) -> Callable:
    """A program, its constants the first arguments, as a function with a derivative of its own."""
    count = len(jaxpr.constvars)

    @jax.custom_jvp
    def function(*xs):
        return _walk(_Once(), _needed(jaxpr), xs[:count], xs[count:])

    def jvp(xs, tangents):
        moving = [i for i, tangent in enumerate(tangents) if type(tangent) is not SymbolicZero]
        moved = [tangents[i] for i in moving]

        def linear(*xs):
            def partly(*some):
                whole = dict(enumerate(xs)) | dict(zip(moving, some, strict=True))
                whole = [whole[i] for i in range(len(xs))]
                return jaxpr_as_fun(ClosedJaxpr(jaxpr, whole[:count]))(*whole[count:])

            return jax.linearize(partly, *[xs[i] for i in moving])

        # Values and what slopes are made of have derivatives of their own, apart from what is linear in tangents.
        parts, shape = jax.make_jaxpr(linear, return_shape=True)(*xs)
        found = _ruled(parts.jaxpr)(*parts.consts, *xs)
        values, found, tree = found[: len(shape[0])], found[len(shape[0]) :], jax.tree.structure(shape[1])
        push = jax.make_jaxpr(lambda found, moved: jax.tree.unflatten(tree, found)(*moved))(found, moved)
        slopes = _walk(_Once(linear=True), _needed(push.jaxpr), push.consts, [*found, *moved])
        return values, _with_zeros(push.jaxpr, len(moved), slopes)

    function.defjvp(jvp, symbolic_zeros=True)
    return function


def _needed(jaxpr: Jaxpr) -> Jaxpr:
    """Without equations whose results nobody asks for."""
    return partial_eval.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars), instantiate=True)[0]


def _with_zeros(jaxpr: Jaxpr, moved: int, slopes: list) -> list:
    """The results of a program that is linear in its last arguments, marked as zero where they depend on none of them."""
    moving = set(jaxpr.invars[len(jaxpr.invars) - moved :])
    for eqn in jaxpr.eqns:
        if any(v in moving for v in eqn.invars if not isinstance(v, Literal)):
            moving.update(eqn.outvars)
    still = [isinstance(v, Literal) or v not in moving for v in jaxpr.outvars]
    return [SymbolicZero(jax.typeof(x)) if zero else x for zero, x in zip(still, slopes, strict=True)]


class _Once:
    """What was computed already, by what it was computed from.

    **Arguments:** `linear`: whether a program is linear in tangents and will be transposed; `fill`: whether numbers are spread
    over arrays by themselves, to be shared.
    """

    def __init__(self, linear: bool = False, fill: bool = True):
        self.linear, self.fill = linear, fill
        self.taken: Any = None  # Whether the branch is taken in which an equation stands, where its index is not known.
        self._done: dict[Any, list] = {}
        self._held: list = []  # An array is known by its address, which nothing else may take.
        self._numbers: dict[int, Any] = {}

    def bind(self, primitive: Primitive, args: Sequence, params: dict) -> list:
        """The results of an equation, found or computed."""
        keys = [self._key(x) for x in args]
        if primitive in _COMMUTE:
            keys.sort(key=repr)
        key = (primitive, *keys, *sorted(params.items()))
        try:
            known = self._done.get(key)
        except TypeError:  # A parameter without a hash.
            return bound(primitive, args, params)
        if known is None:
            known = self._done[key] = bound(primitive, args, params)
        return known

    def full(self, x, shape: tuple[int, ...]):
        """A number, everywhere in an array."""
        params = {"shape": shape, "broadcast_dimensions": (), "sharding": None}
        (found,) = self.bind(p.broadcast_in_dim_p, [x], params)
        if not isinstance(x, Tracer):
            self._numbers[id(found)] = np.asarray(x)
        return found

    def is_one(self, x) -> bool:
        """Whether an array is known to be one everywhere."""
        number = self._numbers.get(id(x)) if isinstance(x, Tracer) else np.asarray(x)
        return number is not None and number.ndim == 0 and bool(number == 1)

    def _key(self, x):
        if isinstance(x, Tracer) or np.ndim(x):
            self._held.append(x)
            return id(x)
        return jax.typeof(x), np.asarray(x).tobytes()


def bound(primitive: Primitive, args: Sequence, params: dict) -> list:
    """The results of an equation."""
    found = primitive.bind(*args, **primitive.get_bind_params(params))
    return list(found) if primitive.multiple_results else [found]


def _walk(once: _Once, jaxpr: Jaxpr, consts: Sequence, arguments: Sequence) -> list:
    """The results of a program, equation by equation."""
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *arguments], strict=True))
    read = lambda v: v.val if isinstance(v, Literal) else values[v]
    for eqn in jaxpr.eqns:
        found = _equation(once, eqn, [read(v) for v in eqn.invars])
        values.update(zip(eqn.outvars, found, strict=True))
    return [read(v) for v in jaxpr.outvars]


def _equation(once: _Once, eqn: JaxprEqn, args: list) -> list:
    primitive, params = eqn.primitive, eqn.params
    inside = lambda closed: _walk(once, closed.jaxpr, closed.consts, args)
    if primitive is p.jit_p and _unplaced(params):
        return inside(params["jaxpr"])
    if primitive is p.custom_jvp_call_p and not once.linear:
        return inside(params["call_jaxpr"])
    if primitive is p.stop_gradient_p and not once.linear:
        return args
    if primitive is p.cond_p and once.linear and _is_short(params["branches"]):
        return _all_branches(once, params["branches"], *args)
    if primitive in (p.scan_p, p.while_p, p.cond_p):
        return bound(primitive, args, {name: _within(value, once.linear) for name, value in params.items()})
    if primitive.multiple_results:
        return bound(primitive, args, params)
    return _entries(once, eqn, args)


def _entries(once: _Once, eqn: JaxprEqn, args: list) -> list:
    """An equation that holds no program: left out where it changes nothing, else computed once."""
    primitive, out = eqn.primitive, eqn.outvars[0].aval
    shape, same = getattr(out, "shape", ()), lambda x: jax.typeof(x) == out
    if primitive in _SHAPING and len(args) == 1 and same(args[0]):
        return args
    if primitive in (p.mul_p, p.div_p) and same(args[0]) and once.is_one(args[1]):
        return args[:1]
    if primitive is p.mul_p and same(args[1]) and once.is_one(args[0]):
        return args[1:]
    if primitive is p.select_n_p and all(x is args[1] for x in args[2:]):
        return args[1:2]
    if primitive is p.div_p and once.taken is not None and not isinstance(eqn.invars[1], Literal):
        args = [args[0], jax.lax.select(once.taken, args[1], jax.numpy.ones_like(args[1]))]
    if once.fill and primitive in _BY_ENTRY and shape:
        args = [x if np.ndim(x) else once.full(x, shape) for x in args]
    if once.fill and primitive is p.broadcast_in_dim_p and len(args) == 1 and not np.ndim(args[0]):
        return [once.full(args[0], shape)]
    return once.bind(primitive, args, eqn.params)


def _all_branches(once: _Once, branches: Sequence[ClosedJaxpr], index, *args) -> list:
    """What the branch of an index gives, and the others too: what they are made of is zero, and only a division may mind."""
    before, found = once.taken, []
    for k, branch in enumerate(branches):
        (once.taken,) = once.bind(p.eq_p, [index, np.asarray(k, index.dtype)], {})
        found.append(_walk(once, branch.jaxpr, branch.consts, args))
    once.taken = before
    return [jax.lax.select_n(index, *xs) for xs in zip(*found, strict=True)]


def _is_short(branches: Sequence[ClosedJaxpr]) -> bool:
    """Whether all branches but one are together so short that they cost less than the choice among them."""
    sizes = sorted(len(branch.jaxpr.eqns) for branch in branches)
    return 2 * sum(sizes[:-1]) <= sizes[-1]


def _unplaced(params: dict) -> bool:
    """Whether a jitted function inside says nothing of where its arrays are."""
    placed = [*params["in_shardings"], *params["out_shardings"]]
    return all(x is None or type(x).__name__ == "UnspecifiedValue" for x in placed)


def _within(value: Any, linear: bool) -> Any:
    """A parameter of an equation, condensed where it is a program itself."""
    if isinstance(value, tuple) and value and all(isinstance(x, ClosedJaxpr) for x in value):
        return tuple(_within(x, linear) for x in value)
    if not isinstance(value, ClosedJaxpr):
        return value
    # A constant inside what will be transposed would be handed to it from outside.
    flat = lambda *xs: _walk(_Once(linear, fill=not linear), _needed(value.jaxpr), value.consts, xs)
    return jax.make_jaxpr(flat)(*value.in_avals)
