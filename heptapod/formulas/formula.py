"""Frozen formulas: plain nested tuples, compared by value, that evaluate to arrays.

A formula is a tuple with a head: `("num", p, q)`, `("float", x)`, `("sym", name)`, `("add", ...)`, `("mul", ...)`,
`("pow", b, e)`, `("min", ...)`, `("max", ...)`, `("where", condition, a, b)`, a comparison (`lt le gt ge eq ne`),
`("and", ...)`, `("or", ...)`, `("not", a)`, `("true",)`, `("false",)`, or `("call", name, ...)`, where a `Foreign` function may
stand in place of a name.
"""

import functools
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

import jax.numpy as jnp

from heptapod.formulas import preferences, smooth
from heptapod.formulas.foreign import Foreign


class Functions(NamedTuple):
    """What formulas are computed with, in JAX or in NumPy.

    **Attributes:** by name, `heads`: of truth values and of numbers that are added and compared; `tame`: bounded with a bounded
    derivative on finite arguments, so that they never make an infinity out of finite numbers; `wild`: the others; `power`:
    (base, exponent, whether it stands among branches, whether the base is finite); `times`, and `shielded`: without the
    derivative of what is infinite; `real`: a value as an array of floats; `array`: of what it is.
    """

    heads: Mapping[str, Callable]
    tame: Mapping[str, Callable]
    wild: Mapping[str, Callable]
    power: Callable
    times: Callable
    shielded: Callable
    real: Callable
    array: Callable


def _power(base, exponent, guarded: bool, tame: bool):
    """$b^p$, where the exponent is a number, exact, or traced."""
    power = smooth.power if guarded else smooth.plain_power
    if not isinstance(exponent, Fraction):
        return power(base, exponent)
    if exponent.denominator == 1:
        raised = functools.partial(smooth.integer_power, n=exponent.numerator)
        return raised(base) if tame or exponent < 0 else smooth.shielded(raised)(base)
    if abs(exponent) == Fraction(1, 2):
        root = smooth.sqrt(base)
        return root if exponent > 0 else smooth.reciprocal(root)
    return power(base, float(exponent))


_RELATIONS = {"lt": jnp.less, "le": jnp.less_equal, "gt": jnp.greater, "ge": jnp.greater_equal, "eq": jnp.equal}
IN_JAX = Functions(
    heads=_RELATIONS
    | {"ne": jnp.not_equal, "and": jnp.logical_and, "or": jnp.logical_or, "not": jnp.logical_not, "where": jnp.where}
    | {"add": operator.add, "min": jnp.minimum, "max": jnp.maximum},
    tame={"abs": jnp.abs, "sign": jnp.sign, "tanh": jnp.tanh, "normcdf": smooth.normcdf, "heaviside": smooth.heaviside},
    wild={"log": smooth.log, "exp": smooth.exp, "sqrt": smooth.sqrt}
    | {name: getattr(preferences, name) for name in ("crra", "cara", "crra_inverse", "cara_inverse", "ces")},
    power=_power,
    times=smooth.times,
    shielded=smooth.shielded,
    real=smooth.real,
    array=jnp.asarray,
)
# They take truth values as they are, and give truth values.
_LOGIC = ("lt", "le", "gt", "ge", "eq", "ne", "and", "or", "not")


class _Node(NamedTuple):
    """A value, whether it is finite wherever the symbols are, and whether it is a plain number."""

    value: Any
    tame: bool
    constant: bool = False


def evaluate(formula: tuple, env: Mapping[str, Any], functions: Functions = IN_JAX):
    """The value of a formula, elementwise with broadcasting; shared parts are computed once.

    Values are the plain mathematical ones: log 0 is -inf, log of a negative number is NaN, 1/0 is inf. Derivatives are
    zero at such points, and an untaken branch never turns them into NaN. A negative base under a *traced* exponent is
    NaN, even where the exponent is a whole number.

    **Arguments:**

    - `formula`: the nested tuple.
    - `env`: an array for each symbol.
    - `functions`: of JAX, or of NumPy (`in_numpy.number`).
    """
    parts = list(bottom_up(formula))
    # Only a formula with branches can leave one untaken; any other is spared the guards, and so the compiler is.
    guarded = functions is IN_JAX and any(part[0] in ("where", "min", "max") for part in parts)
    done: dict[int, _Node] = {}
    for part in parts:
        done[id(part)] = _node(part, [done[id(child)] for child in _children(part)], env, functions, guarded)
    return functions.array(done[id(formula)].value)


def names(formula: tuple) -> frozenset[str]:
    """The symbols that occur in a formula."""
    return frozenset(part[1] for part in bottom_up(formula) if part[0] == "sym")


@dataclass(frozen=True)
class Formula:
    """A formula as a value: hashable, callable on an environment, equal to any other with the same tree.

    **Attributes:**

    - `tree`: the nested tuple.
    """

    tree: tuple
    # Hashing walks the tree, and a formula is looked up as a static argument at every call.
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self):
        object.__setattr__(self, "_hash", hash(self.tree))

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self):
        # The hash of a string differs from process to process.
        return Formula, (self.tree,)

    def __call__(self, env: Mapping[str, Any]):
        return evaluate(self.tree, env)

    @functools.cached_property
    def names(self) -> frozenset[str]:
        return names(self.tree)

    def __repr__(self) -> str:
        size = sum(1 for _ in bottom_up(self.tree))
        return f"Formula({self.tree[0]}, {size} parts, of {', '.join(sorted(self.names)) or 'nothing'})"


def _children(formula: tuple) -> tuple:
    head = formula[0]
    if head in ("num", "float", "sym"):
        return ()
    if head == "pow" and formula[2][0] == "num":
        return formula[1:2]
    return formula[2:] if head == "call" else formula[1:]


def bottom_up(formula: tuple) -> Iterator[tuple]:
    """Every distinct part after its children; a loop, since the recursion limit is not ours."""
    seen: set[int] = set()
    stack = [(formula, False)]
    while stack:
        part, ready = stack.pop()
        if ready:
            yield part
        elif id(part) not in seen:
            seen.add(id(part))
            stack.append((part, True))
            stack.extend((child, False) for child in reversed(_children(part)))


def _node(formula: tuple, args: list[_Node], env: Mapping[str, Any], functions: Functions, guarded: bool) -> _Node:
    head = formula[0]
    values = [arg.value for arg in args]
    tame = not guarded or all(arg.tame for arg in args)
    if head in ("num", "float"):
        # Python numbers, so that single precision stays single.
        number = formula[1] / formula[2] if head == "num" else float(formula[1])
        return _Node(number, abs(number) < float("inf"), True)
    if head == "sym":
        if formula[1] not in env:
            raise ValueError(f"no value is given for `{formula[1]}`")
        return _Node(env[formula[1]], True)
    if head in ("true", "false"):
        return _Node(functions.array(head == "true"), True)
    if head in _LOGIC:
        one = functions.heads[head]
        return _Node(one(*values) if len(values) == 1 else functools.reduce(one, values), True)
    numbers = [_number(value, functions) for value in values]
    if head == "where":
        return _Node(functions.heads[head](values[0], *numbers[1:]), tame)
    if head in functions.heads:
        return _Node(functools.reduce(functions.heads[head], numbers), tame)
    if head == "mul":
        return _product(args, numbers, tame, functions)
    if head == "pow":
        exponent = Fraction(*formula[2][1:]) if formula[2][0] == "num" else numbers[1]
        whole = isinstance(exponent, Fraction) and exponent.denominator == 1 and exponent >= 0
        return _Node(functions.power(numbers[0], exponent, guarded, tame), tame and whole)
    if head == "call":
        return _call(formula[1], numbers, tame, functions)
    raise ValueError(f"`{head}` is not the head of a formula")


def _product(args: list[_Node], values: list, tame: bool, functions: Functions) -> _Node:
    constants = [value for value, arg in zip(values, args, strict=True) if arg.constant]
    factors = [value for value, arg in zip(values, args, strict=True) if not arg.constant]
    # The derivative of x*y is y, so an infinite y would poison x, even in a branch that is not taken.
    times = operator.mul if tame else functions.times
    return _Node(functools.reduce(operator.mul, constants + ([functools.reduce(times, factors)] if factors else [])), tame)


def _call(name: str | Foreign, values: list, tame: bool, functions: Functions) -> _Node:
    if isinstance(name, Foreign):
        # Nothing is known of it: in a branch that is not taken its infinities have no derivative.
        return _Node(functions.shielded(name)(*map(functions.real, values)) if values else name(), False)
    if name in functions.tame:
        one = functions.tame[name]
        return _Node((one if tame else functions.shielded(one))(*map(functions.real, values)), tame)
    if name in functions.wild:
        return _Node(functions.wild[name](*values), False)
    if name == "E_":
        raise ValueError("an expectation has no value at a point; contract it over the shocks first")
    raise ValueError(f"`{name}` is not a function that formulas know")


def _number(value, functions: Functions):
    truth = isinstance(value, bool) or getattr(value, "dtype", None) == jnp.bool_
    return functions.real(value) if truth else value
