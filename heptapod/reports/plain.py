"""Expressions as the model would write them."""

import sympy as sp
from sympy.printing.str import StrPrinter

from heptapod.formulas.equation import VALUE, name_of, perch_of, real

# Names that only the derivation has, as they are read.
_SHOWN = {"dV[>]": "lambda", "u()": "u"}


class _PlainPrinter(StrPrinter):
    """Conditionals as `a if q else b`, and functions under the names that a model gives them."""

    def _print_Piecewise(self, e):
        text = self._print(e.args[-1][0]) if e.args[-1][1] == sp.true else "nan"
        for value, condition in reversed(e.args[:-1] if e.args[-1][1] == sp.true else e.args):
            text = f"{self._print(value)} if {self._print(condition)} else {text}"
        return f"({text})"

    def _print_Relational(self, e):
        return f"{self._print(e.lhs)} {e.rel_op} {self._print(e.rhs)}"

    def _print_Not(self, e):
        return f"not ({self._print(e.args[0])})"

    def _print_And(self, e):
        return " and ".join(f"({self._print(a)})" if isinstance(a, sp.Or) else self._print(a) for a in e.args)

    def _print_Or(self, e):
        return " or ".join(self._print(a) for a in e.args)

    def _print_Heaviside(self, e):
        return f"({self._print(e.args[0])} > 0)"

    def _print_Min(self, e):
        return f"min({', '.join(map(self._print, e.args))})"

    def _print_Max(self, e):
        return f"max({', '.join(map(self._print, e.args))})"

    def _print_Abs(self, e):
        return f"abs({self._print(e.args[0])})"

    def _print_AppliedUndef(self, e):
        return f"E[{self._print(e.args[0])}]"


def written(expression: sp.Basic) -> str:
    """An expression with perch tags dropped where a name stands on one perch only, and powers as `^`."""
    names = {str(s): s for s in expression.free_symbols}
    bare = [name_of(n) for n in names]
    plain = {}
    for name, symbol in names.items():
        if name in _SHOWN:
            plain[symbol] = sp.Symbol(_SHOWN[name])
        elif perch_of(name) and bare.count(name_of(name)) == 1 and name != VALUE:
            plain[symbol] = real(name_of(name))
    return _PlainPrinter().doprint(replaced(expression, plain)).replace("**", "^")


def replaced(expression: sp.Basic, others: dict) -> sp.Basic:
    """An expression with other symbols or numbers, for reading; one that holds no real number is left as it was written."""
    try:
        return expression.xreplace(others)
    except TypeError:  # Sympy weighs comparisons anew, and refuses those of what is not real.
        with sp.evaluate(False):
            return expression.xreplace(others)
