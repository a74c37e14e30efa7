"""How many gradients it takes from eight starts between the bounds, and where these end.

    python benchmarks/starts.py

Rust's buses (two parameters), workers by maximum likelihood (seven) and savers by simulated moments (five), the last two as of
`benchmarks/monte_carlo.py`, smaller than in `examples/estimation`. The table has of each the gradients of every start, their
median and largest number, exact second derivatives, and the different ends.
"""

import jax
import numpy as np
import pandas as pd
from monte_carlo import EXAMPLES, saving, surveyed

import stagecraft as sc
from dynx_runner import MLE

STARTS, KEY = 8, 17


def estimators() -> dict:
    """Of all three."""
    circuit = sc.load(EXAMPLES / "rust" / "rust.yml")
    data = pd.read_csv(EXAMPLES / "rust" / "decisions.csv")
    free = {"main.RC": (0.0, 50.0), "main.theta": (0.0, 20.0)}
    buses = MLE(circuit, free, data, {"BUS": ["s", "d"]})
    return {"buses": buses, "workers": surveyed()(0), "savers": saving(1_000, 1_000, (30, 7))(0)}


def row(estimator) -> dict:
    """What a fit from all starts took."""
    fit = estimator.fit(starts=STARTS, key=jax.random.key(KEY), check=False)
    gradients = [trace.evaluations for trace in fit.traces]
    return {"gradients": gradients, "median": float(np.median(gradients)), "most": max(gradients),
            "second derivatives": [trace.hessians for trace in fit.traces], "converged": fit.converged,
            "ends": list(zip(fit.basins["starts"], fit.basins["criterion"].round(6), strict=True))}  # fmt: skip


if __name__ == "__main__":
    sc.enable_x64()
    for name, estimator in estimators().items():
        print(name, row(estimator))
