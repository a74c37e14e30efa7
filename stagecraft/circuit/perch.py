"""Perches: the places of a stage where functions live."""

import dataclasses
from typing import Any

import equinox as eqx

from stagecraft.arrays import listed, page
from stagecraft.functionals.functional import AbstractFunctional


class NotYet(eqx.Module):
    """What stands where nothing has been found yet: it is false, and says what fills its place, whatever is asked of it.

    **Attributes:** `words`: what is missing, and the verb that makes it.
    """

    words: str = eqx.field(static=True)

    def __bool__(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{self.words} (asked for `{name}`)")

    def __repr__(self) -> str:
        return self.words


NOT_SOLVED = NotYet("not solved: sc.solve(circuit)")
NOT_PUSHED = NotYet("no households yet: sc.push_forward(solved, initial), or sc.simulate")
_MISSING = {"sol": NOT_SOLVED, "dist": NOT_PUSHED}


class Perch(eqx.Module):
    """One information set of a stage.

    **Attributes:**

    - `name`: `arvl`, `dcsn`, `cntn`, or `cntn.BRANCH`; `dimensions`: the names of its states.
    - `sol`: the functional object that a solve leaves here.
    - `dist`: the population that a simulation or a push leaves here.

    What is not there yet is false, and says which verb makes it.
    """

    name: str = eqx.field(static=True)
    dimensions: tuple[str, ...] = eqx.field(static=True)
    sol: AbstractFunctional | NotYet = NOT_SOLVED
    dist: eqx.Module | NotYet = NOT_PUSHED

    def holding(self, what: str, thing) -> "Perch":
        """The same perch with another `what`, `"sol"` or `"dist"`; a `thing` of `None` takes it away."""
        return dataclasses.replace(self, **{what: _MISSING[what] if thing is None else thing})

    def __repr__(self) -> str:
        rows = [(what, repr(getattr(self, what)).split("\n")[0]) for what in _MISSING]
        return listed(f"Perch {self.name} of {', '.join(self.dimensions)}", rows)

    def _repr_html_(self) -> str:
        return page(repr(self))
