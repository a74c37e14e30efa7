"""Python functions inside formulas: opaque to sympy, elementwise to JAX, differentiated by it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import jax
import jax.numpy as jnp
import sympy

from heptapod.formulas.builtins import operands


@dataclass(frozen=True)
class Foreign:
    """A user's elementwise JAX function, or one entry of the dictionary that it returns, or a derivative of either.

    Two of the same function are equal, so a function defined once compiles once.

    **Attributes:** `function`; `entry`: the key of its result, `None` for the result itself; `orders`: of the derivative in
    each argument.
    """

    function: Callable
    entry: str | None
    orders: tuple[int, ...]

    def __call__(self, *arguments):
        """The value at arrays of shapes that broadcast."""
        arrays = jnp.broadcast_arrays(*[jnp.asarray(x, jnp.result_type(x, float)) for x in arguments]) if arguments else ()
        return self._at(self.orders, arrays)

    def __lt__(self, other) -> bool:
        """Some order, in which sympy sorts its arguments."""
        return self._rank < other._rank

    def __gt__(self, other) -> bool:
        return self._rank > other._rank

    @property
    def _rank(self):
        return self.name, id(self.function), self.entry or "", self.orders

    def _at(self, orders, arrays):
        i = next((i for i, order in enumerate(orders) if order), None)
        if i is None:
            found = self.function(*arrays)
            found = found if self.entry is None else found[self.entry]
            return jnp.broadcast_to(jnp.asarray(found), arrays[0].shape) if arrays else jnp.asarray(found)
        lower = (*orders[:i], orders[i] - 1, *orders[i + 1 :])
        return jax.grad(lambda x: jnp.sum(self._at(lower, (*arrays[:i], x, *arrays[i + 1 :]))))(arrays[i])

    def derivative(self, i: int) -> "Foreign":
        """The derivative in argument `i`."""
        return Foreign(self.function, self.entry, (*self.orders[:i], self.orders[i] + 1, *self.orders[i + 1 :]))

    @property
    def name(self) -> str:
        """As it is printed, a prime for each derivative."""
        name = getattr(self.function, "__name__", "function").replace("<lambda>", "f")
        return (name if self.entry is None else f"{name}.{self.entry}") + "'" * sum(self.orders)


class Handle(sympy.AtomicExpr):
    """A Python object in a sympy expression."""

    is_commutative = True
    is_extended_real = True
    foreign: Foreign

    def __new__(cls, foreign: Foreign):
        handle = super().__new__(cls)
        handle.foreign = foreign
        return handle

    def _hashable_content(self):
        return (self.foreign,)

    def _eval_derivative(self, s):
        return sympy.S.Zero

    def sort_key(self, order=None):
        return self.class_key(), (1, (self.foreign.name, str(id(self.foreign.function)))), sympy.S.One.sort_key(), sympy.S.One

    def _sympystr(self, printer):
        return self.foreign.name

    def _latex(self, printer):
        return rf"\mathrm{{{self.foreign.name}}}"


class Opaque(sympy.Function):
    """A foreign function of sympy expressions; the first argument is its handle."""

    @classmethod
    def eval(cls, *args):
        return None

    def fdiff(self, argindex=1):
        handle, *rest = operands(self)
        return applied(handle.foreign.derivative(argindex - 2), *rest)

    def _eval_is_extended_real(self):
        return True

    def _eval_evalf(self, prec):
        return None

    def _sympystr(self, printer):
        return f"{operands(self)[0].foreign.name}({', '.join(printer._print(x) for x in self.args[1:])})"

    def _latex(self, printer, exp=None):
        shown = (
            rf"\mathrm{{{operands(self)[0].foreign.name}}}\left({', '.join(printer._print(x) for x in self.args[1:])}\right)"
        )
        return shown if exp is None else rf"{shown}^{{{exp}}}"


def applied(foreign: Foreign, *arguments: sympy.Basic) -> sympy.Expr:
    """A foreign function of expressions."""
    return cast(Any, Opaque)(Handle(foreign), *arguments)
