r"""The law of a shock in LaTeX, one row or more for each kind."""

import sympy as sp

from heptapod.formulas.freeze import thaw
from heptapod.reports.latex import Names, listed, plain
from heptapod.shocks.autoregressive import Autoregressive
from heptapod.shocks.base import AbstractShock
from heptapod.shocks.discrete import Discrete
from heptapod.shocks.markov import Markov
from heptapod.shocks.normal import Normal
from heptapod.shocks.uniform import Uniform
from heptapod.shocks.vector import Matrix


def law(shock: AbstractShock, names: Names) -> list[str]:
    """The distribution of every dimension with its parameters; a kind of the user's own has its dimensions named."""
    known = {Normal: _normal, Uniform: _uniform, Discrete: _discrete, Markov: _markov, Autoregressive: _autoregressive}
    write = lambda part: names.write(part if isinstance(part, sp.Basic) else thaw(part))
    if type(shock) not in known:
        return [rf"{listed(map(plain, shock.dimensions))} &\sim \mathrm{{{type(shock).__name__}}}"]
    rows = known[type(shock)](shock, write)
    mass = getattr(shock, "point_mass", None)
    if mass is not None:
        values = [rf"{plain(n)} = {write(v)}" for n, v in zip(shock.dimensions, mass.value, strict=True)]
        rows.append(rf"\Pr\left({listed(values)}\right) &= {write(mass.prob)}")
    return rows


def _normal(shock, write):
    rows = []
    for name, mean, std in zip(shock.dimensions, shock.mean, shock.std, strict=True):
        mean, variance = thaw(mean), thaw(std) ** 2
        centre = sp.log(mean) - variance / 2 if shock.log else mean
        left = rf"\log {plain(name)}" if shock.log else plain(name)
        rows.append(rf"{left} &\sim \mathcal{{N}}\left({write(centre)},\; {write(variance)}\right)")
    pairs = [(i, j) for i in range(len(shock.dimensions)) for j in range(i)]
    sign = r"\log " if shock.log else ""
    if isinstance(shock.corr, Matrix):
        each = listed([rf"{sign}{plain(name)}" for name in shock.dimensions])
        return [*rows, rf"\mathrm{{corr}}\left({each}\right) &= {plain(str(shock.corr.name))}"]
    for (i, j), formula in zip(pairs, shock.corr, strict=False):
        both = f"{sign}{plain(shock.dimensions[i])},\\; {sign}{plain(shock.dimensions[j])}"
        rows.append(rf"\mathrm{{corr}}\left({both}\right) &= {write(formula)}")
    return rows


def _uniform(shock, write):
    rows = []
    for name, first, second in zip(shock.dimensions, shock.first, shock.second, strict=True):
        low, high = write(first), write(second)
        if shock.by_moments:
            low, high = (rf"{write(first)} {sign} \sqrt{{3}}\, {write(second)}" for sign in "-+")
        rows.append(rf"{plain(name)} &\sim \mathcal{{U}}\left[{low},\; {high}\right]")
    return rows


def _discrete(shock, write):
    i = "i" if "i" not in shock.dimensions else "k"
    pairs = [rf"{plain(n)} = {_entry(v, i, write)}" for n, v in zip(shock.dimensions, shock.values, strict=True)]
    return [rf"\Pr\left({listed(pairs)}\right) &= {_entry(shock.probs, i, write)}"]


def _markov(shock, write):
    name, given = plain(shock.dimensions[0]), plain(shock.given)
    matrix = plain(shock.transition.name) if shock.transition.name else "P"
    rows = [rf"\Pr\left({name} = z_j \mid {given} = z_i\right) &= {matrix}(i, j)", rf"z &= {_entry(shock.values, None, write)}"]
    if not shock.transition.name:
        inside = r" \\ ".join(" & ".join(map(write, row.slots)) if row.name is None else plain(row.name)
                              for row in shock.transition.rows)  # fmt: skip
        rows.append(rf"P &= \begin{{pmatrix}} {inside} \end{{pmatrix}}")
    return rows


def _autoregressive(shock, write):
    z, before = plain(shock.dimensions[0]), plain(shock.given)
    mean, rho = thaw(shock.mean), write(shock.rho)
    noise = rf"\varepsilon \sim \mathcal{{N}}\left(0,\; {write(thaw(shock.std) ** 2)}\right)"
    if shock.log:
        return [
            rf"\log {z} &= {rho} \log {before} + \varepsilon, \quad {noise},\; \mathrm{{E}}\left[{z}\right] = {write(mean)}"
        ]
    if mean.is_zero:
        return [rf"{z} &= {rho}\, {before} + \varepsilon, \quad {noise}"]
    mean = write(mean)
    return [rf"{z} &= {mean} + {rho} \left({before} - {mean}\right) + \varepsilon, \quad {noise}"]


def _entry(vector, index, write):
    """One entry of a vector by its index, or all of them."""
    if vector.name is not None:
        return plain(vector.name) if index is None else rf"\left({plain(vector.name)}\right)_{{{index}}}"
    values = listed(map(write, vector.slots))
    return rf"\left({values}\right)" + ("" if index is None else f"_{{{index}}}")
