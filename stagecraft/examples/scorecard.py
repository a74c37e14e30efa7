"""Models of the gallery beside what is known of them: closed forms, and searches that share no code with the engine."""

import json
from typing import Any

import jax.numpy as jnp
import numpy as np

from stagecraft.backward.solve import solve
from stagecraft.examples.files import folder
from stagecraft.load import load
from stagecraft.pictures.curves import functions_of


def scorecard(*names: str):
    """Solve models of the gallery and hold them beside numbers from elsewhere, each at the accuracy that is claimed for it.

    **Arguments:** `names`: of gallery files, `"growth"`; all that have such numbers if left out.

    **Returns:** a data frame, a row a number: `model`, `by` (where the number comes from), `period`, `function`, `states`,
    `expected`, `found`, `error` (relative to the larger of 1 and the number), `claimed`, `ok`.

    **Raises:** `ValueError` for a model without numbers.
    """
    import pandas as pd

    known = json.loads((folder() / "gallery" / "scores.json").read_text(encoding="utf-8"))
    for name in names:
        if name not in known:
            raise ValueError(f"no numbers are known of `{name}`; there are {', '.join(known)}")
    rows = []
    for name in names or known:
        by, claimed = known[name]["by"], known[name]["claimed"]
        solved = solve(load(folder() / "gallery" / f"{name}.yml"))
        for period, what, states, expected in known[name]["rows"]:
            found = float(_asked(solved, period, what, states))
            error = abs(found - expected) / max(1.0, abs(expected))
            at = ", ".join(f"{k} = {v:.4g}" for k, v in states.items())
            rows.append((name, by, period, what, at, expected, found, error, claimed, error <= claimed))
    columns = ["model", "by", "period", "function", "states", "expected", "found", "error", "claimed", "ok"]
    return pd.DataFrame(rows, columns=columns)


def _asked(solved, period: int, what: str, states: dict[str, float]) -> Any:
    """A number of a solution: `"GROW.c"` at states of the decision."""
    stage, _, function = what.partition(".")
    sol = solved[period][stage].dcsn.sol
    at = {name: jnp.asarray(value) for name, value in states.items()}
    return np.asarray(functions_of(sol)[function](**at))
