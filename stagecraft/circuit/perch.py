"""Perches: the places of a stage where functions live."""

import equinox as eqx

from stagecraft.functionals.functional import AbstractFunctional


class Perch(eqx.Module):
    """One information set of a stage.

    **Attributes:**

    - `name`: `arvl`, `dcsn`, `cntn`, or `cntn.BRANCH`; `dimensions`: the names of its states.
    - `sol`: the functional object that a solve leaves here, `None` before.
    - `dist`: the population that a simulation or a push leaves here, `None` before.
    """

    name: str = eqx.field(static=True)
    dimensions: tuple[str, ...] = eqx.field(static=True)
    sol: AbstractFunctional | None = None
    dist: eqx.Module | None = None
