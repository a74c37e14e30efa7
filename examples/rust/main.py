"""Engine replacement (Rust 1987, group 4 of his buses): the published estimates from counts, in a second.

The counts are those of `rust_group4`, Rust's data of 37 buses of 1975 as ruspy distributes them: how often a bus was kept or
replaced at each mileage, and by how many bins of 5,000 miles it moved in a month, for the 4,292 months in which that is known.
Costs of maintenance are linear, by the square root, or hyperbolic. First the increments alone, then the decisions given them,
as Rust does it.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pandas as pd

import stagecraft as sc
from dynx_runner import MLE

HERE = Path(__file__).parent
FIGURE = HERE / "output" / "rust.png"
MODEL = (HERE / "rust.yml").read_text()
# The cost of a kept engine at mileage s, and the bounds between which its parameter is sought.
COSTS = {
    "linear": ("scale*theta*{s}", 20.0),
    "square root": ("10*scale*theta*sqrt({s})", 50.0),
    "hyperbolic": ("100*scale*theta/(91 - {s})", 500.0),
}
# Minus the log-likelihood, published (Rust 1987; ruspy), and the estimates of the linear cost.
PUBLISHED = {"linear": 163.584, "square root": 163.390, "hyperbolic": 165.114}
ESTIMATES = {"main.RC": 10.0749422, "main.theta": 2.29309298}


def estimate(cost: str, usage: dict, decisions: pd.DataFrame, starts: int = 1):
    """The estimate of one cost, with the increments given."""
    formula, most = COSTS[cost]
    # A new engine has mileage zero, and the cost of that.
    text = MODEL.replace("scale*theta*s*(1 - d)", formula.format(s="s*(1 - d)"))
    circuit = sc.load(text).with_parameters(usage)
    free = {"main.RC": (0.0, 50.0), "main.theta": (0.0, most)}
    return MLE(circuit, free, decisions, {"BUS": ["s", "d"]}).fit(starts=starts, key=jax.random.key(1987))


def draw_figure(fit, decisions: pd.DataFrame, path: Path) -> None:
    """Shares of buses that were replaced, and the probability with its band of 95 %."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    s = jnp.arange(90.0)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    fit.plot_band(lambda solved: solved[0]["BUS"].dcsn.sol.probability["d[1]"](s=s), s, left)
    bins = decisions.assign(bin=decisions["s"] // 10 * 10 + 5)
    counts = bins.groupby(["bin", "d"])["weight"].sum().unstack(fill_value=0)
    left.plot(counts.index, counts[1] / counts.sum(axis=1), "ko", label="share, ten bins together")
    left.set(xlabel="mileage, 5,000 miles", ylabel="probability of replacement", ylim=(0, 0.2))
    left.legend(frameon=False)
    fit.plot_profile("main.RC", right)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(starts: int = 8) -> dict:
    """Everything; `starts` of the linear cost."""
    sc.enable_x64()
    increments, decisions = (pd.read_csv(HERE / f"{name}.csv") for name in ("increments", "decisions"))
    law = MLE(sc.load(MODEL), {"main.p0": (0.0, 1.0), "main.p1": (0.0, 1.0)}, increments, {"BUS": ["dx"]}).fit()
    print(law, "\n")
    fits = {cost: estimate(cost, law.parameters, decisions, starts if cost == "linear" else 1) for cost in COSTS}
    linear = fits["linear"]
    print(linear, "\n")
    table = pd.DataFrame({"minus log-likelihood": {c: -f.loglik for c, f in fits.items()}, "published": PUBLISHED})
    table["RC"], table["theta"] = ([f.parameters[p] for f in fits.values()] for p in ESTIMATES)
    print(table.round(5).to_string(), "\n")
    print("gradient evaluations of every start:", [t.evaluations for t in linear.traces])
    print(linear.basins.to_string(index=False), "\n")
    print("d estimate / d beta, with the full second derivative:\n", linear.sensitivity(["main.beta"]), "\n")
    print(linear.identification().to_string(index=False))
    draw_figure(linear, decisions, FIGURE)
    print(f"\nfigure: {FIGURE}")
    checks = {f"published {cost}": abs(-f.loglik - PUBLISHED[cost]) for cost, f in fits.items()}
    checks |= {f"estimate {p}": abs(linear.parameters[p] - x) for p, x in ESTIMATES.items()}
    checks["derivatives"] = float(np.max([f.check["gap"].max() for f in fits.values()]))
    return {"law": law, "fits": fits, "table": table, "checks": checks}


if __name__ == "__main__":
    main()
