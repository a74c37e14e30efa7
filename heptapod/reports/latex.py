r"""Names and expressions in LaTeX: `sigma_y` is $\sigma_{\mathrm{y}}$, `w[>]` is $w^{\succ}$ where `w` has several perches."""

from collections.abc import Iterable, Mapping

import sympy as sp
from sympy.printing.latex import LatexPrinter

from heptapod.formulas.equation import name_of, perch_of
from heptapod.reports.plain import replaced

_GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau phi chi psi omega "
    "Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega".split()
)
_PERCH = {"arvl": r"\prec", "dcsn": r"\sim", "cntn": r"\succ"}
_SHOWN = {"V[>]": r"V^{\succ}", "dV[>]": r"\lambda", "u()": "u", "V": "V"}


def roman(text: str) -> str:
    r"""Upright text in mathematics, with its underscores escaped: `\mathrm{LABR.work}`."""
    return rf"\mathrm{{{escaped(text)}}}"


def escaped(text: str) -> str:
    """Text whose special characters are printed and not obeyed."""
    return "".join(rf"\{c}" if c in "_&%$#{}" else r"\textasciicircum{}" if c == "^" else c for c in text.replace("\\", "/"))


def listed(parts: Iterable[str]) -> str:
    """Parts of a list, with a little room between them."""
    return ",\\, ".join(parts)


def plain(name: str) -> str:
    """A name in mathematics, without its perch; that of a mover's parameter says the mover."""
    mover, _, own = name.rpartition(".")
    head, _, tail = own.partition("_")
    if not head:
        head, tail = own, ""
    head = "\\" + head if head in _GREEK else head if len(head) == 1 else rf"\mathit{{{escaped(head)}}}"
    tail = ",".join(part for part in tail.split("_") if part)
    written = head + (rf"_{{\mathrm{{{tail}}}}}" if tail else "")
    return written + (rf"^{{{roman(mover)}}}" if mover else "")


class Names:
    """How the keys of one stage are written.

    **Arguments:** `told_apart`: the names of states that differ between the perches of the stage, hence show them.
    """

    def __init__(self, told_apart: Iterable[str] = ()):
        self.told_apart = frozenset(told_apart)

    def __call__(self, key: str) -> str:
        """The LaTeX of a key, `w[>]`, or of a plain name."""
        if key in _SHOWN:
            return _SHOWN[key]
        name, perch = name_of(key), perch_of(key)
        return plain(name) + (rf"^{{{_PERCH[perch]}}}" if perch and name in self.told_apart else "")

    def write(self, expression: sp.Basic, given: Mapping[str, str] | None = None) -> str:
        """The LaTeX of an expression; `given`: keys with another spelling."""
        symbols = {s: (given or {}).get(str(s)) or self(str(s)) for s in expression.free_symbols}
        whole = {f: sp.Integer(int(f)) for f in expression.atoms(sp.Float) if float(f).is_integer()}
        return _LatexPrinter({"symbol_names": symbols}).doprint(replaced(expression, whole))


class _LatexPrinter(LatexPrinter):
    """Built-in functions by the signs that a paper has for them."""

    def _print_Heaviside(self, e, exp=None):
        return self._powered(rf"\mathbf{{1}}\left[{self._print(e.args[0])} > 0\right]", exp)

    def _print_normcdf(self, e, exp=None):
        return self._powered(rf"\Phi\left({self._print(e.args[0])}\right)", exp)

    def _print_crra(self, e, exp=None):
        return self._called(r"u_{\mathrm{crra}}", e, exp)

    def _print_cara(self, e, exp=None):
        return self._called(r"u_{\mathrm{cara}}", e, exp)

    def _print_ces(self, e, exp=None):
        return self._called(r"\mathrm{ces}", e, exp)

    def _print_crra_inverse(self, e, exp=None):
        return self._called(r"u_{\mathrm{crra}}^{-1}", e, exp)

    def _print_cara_inverse(self, e, exp=None):
        return self._called(r"u_{\mathrm{cara}}^{-1}", e, exp)

    def _as_ordered_terms(self, expr, order=None):
        """What is subtracted comes last: $m - c$."""
        terms = LatexPrinter._as_ordered_terms(self, expr, order=order)
        return sorted(terms, key=lambda term: term.could_extract_minus_sign())

    def _print_AppliedUndef(self, e, exp=None):
        return self._powered(rf"\mathrm{{E}}\left[{self._print(e.args[0])}\right]", exp)

    def _called(self, name, e, exp):
        return self._powered(rf"{name}\left({', '.join(map(self._print, e.args))}\right)", exp)

    def _powered(self, text, exp):
        return text if exp is None else rf"\left({text}\right)^{{{exp}}}"
