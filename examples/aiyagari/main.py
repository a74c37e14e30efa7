"""Saving against a run of bad luck: the stationary household of Aiyagari (1994), and what it supplies at each interest rate.

Solves `aiyagari.yml`, an infinite horizon, at several interest rates (compiled once), checks policies, simulates households
until their assets have settled, prints the capital that they supply beside what a firm demands, and saves a figure.
"""

from pathlib import Path

import jax
import matplotlib
import numpy as np
import pandas as pd

import stagecraft as sc

HERE = Path(__file__).parent
MODEL = HERE / "aiyagari.yml"
FIGURE = HERE / "output" / "aiyagari.png"
AGENTS, PERIODS, SETTLED = 1_000, 600, 300
RATES = (0.0, 0.01, 0.02, 0.03)


def chain(solved: sc.ModelCircuit) -> tuple[np.ndarray, np.ndarray]:
    """Values of labour, and the law that it has in the long run: that of Rouwenhorst's chain is binomial."""
    values = np.asarray(solved[0]["CONS"].num.nodes(solved.scope("CONS", 0))[0]["z"])
    weights = np.array([1.0])
    for _ in range(len(values) - 1):
        weights = np.convolve(weights, [0.5, 0.5])
    return values, weights


def live(solved: sc.ModelCircuit) -> sc.Panel:
    """Households that start with five, and with labour as in the long run."""
    values, weights = chain(solved)
    start = {"a": np.full(AGENTS, 5.0), "z_pre": np.random.default_rng(0).choice(values, AGENTS, p=weights)}
    return sc.simulate(solved, start, periods=PERIODS, key=jax.random.key(0))


def firm(solved: sc.ModelCircuit, r: float) -> tuple[float, float]:
    """Capital that a firm demands per unit of labour, and the wage it pays."""
    alpha, delta = (float(solved.parameters["main"][name]) for name in ("alpha", "delta"))
    capital = (alpha / (r + delta)) ** (1 / (1 - alpha))
    return capital, (1 - alpha) * capital**alpha


def supply(panels: dict, solved: dict) -> pd.DataFrame:
    """By interest rate: mean assets once they have settled, their drift since, the share without any, and the firm's demand."""
    rows = []
    for r, panel in panels.items():
        late = np.asarray(panel["a_nxt"])[SETTLED:]
        half = len(late) // 2
        rows.append({"r": r, "supply": late.mean(), "drift": late[half:].mean() / late[:half].mean() - 1,
                     "without assets": (late < 1e-9).mean(), "demand": firm(solved[r], r)[0]})  # fmt: skip
    return pd.DataFrame(rows)


def checks(solved: dict, panels: dict) -> dict:
    """By how much solutions and panels miss what economics says; of each the worst."""
    found = {}
    worst = lambda gaps: float(np.nanmax(np.abs(gaps)))
    for r, circuit in solved.items():
        p, panel, sol = circuit.parameters["main"], panels[r], circuit[0]["CONS"].dcsn.sol
        beta, gamma = float(p["beta"]), float(p["gamma"])
        values, weights = chain(circuit)
        wage = firm(circuit, r)[1]
        found[f"mean labour, r {r}"] = float(weights @ values) - 1
        found[f"cash, r {r}"] = worst(panel["m"] - ((1 + r) * panel["a"] + wage * panel["z"]))
        found[f"savings, r {r}"] = worst(panel["a_nxt"] - (panel["m"] - panel["c"]))
        found[f"debt, r {r}"] = float(max(-np.min(panel["a_nxt"]), 0.0))
        # Without risk one more unit raises consumption by 1 - (beta R)^(1/gamma)/R; risk adds to it, less and less in wealth.
        rich = sol.policy["c"](m=np.array([[150.0], [180.0]]), z=values)
        limit = 1 - (beta * (1 + r)) ** (1 / gamma) / (1 + r)
        found[f"appetite below that without risk, r {r}"] = float(np.maximum(limit - np.diff(rich, axis=0) / 30, 0).max())
        if r == RATES[-1]:
            found["appetite of the rich"] = worst(np.diff(rich, axis=0) / 30 / limit - 1)
        m = np.linspace(0.2, 100.0, 500)
        slopes = np.diff(sol.policy["c"](m=m[:, None], z=values), axis=0) / np.diff(m)[:, None]
        found[f"appetite that rises, r {r}"] = float(np.maximum(np.diff(slopes, axis=0), 0).max())
        found[f"Euler errors, r {r}"] = float(10 ** sc.euler_errors(circuit, panel).mean)
        found[f"bound of the solver, r {r}"] = float(circuit.info.error_bound)
    return found


def draw_figure(solved: dict, panels: dict, table: pd.DataFrame, path: Path) -> None:
    """Policies by labour; the distribution of assets; supply and demand of capital."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(14, 4.2), layout="constrained")
    last, m = solved[RATES[-1]], np.linspace(0.1, 25.0, 400)
    for z in chain(last)[0]:
        axes[0].plot(m, last[0]["CONS"].dcsn.sol.policy["c"](m=m, z=z), label=f"z = {z:.2f}")
    axes[0].set(xlabel="cash on hand $m$", title=f"Consumption, r = {RATES[-1]}")
    for r in (RATES[0], RATES[-1]):
        late = np.asarray(panels[r]["a_nxt"])[SETTLED:].ravel()
        axes[1].hist(late, bins=np.linspace(0, 30, 61), density=True, histtype="step", label=f"r = {r}")
    axes[1].set(xlabel="assets", title="Households in the long run")
    axes[2].plot(table["supply"], table["r"], "o-", label="households supply")
    axes[2].plot(table["demand"], table["r"], "o-", label="a firm demands")
    axes[2].set(xlabel="capital", ylabel="$r$", title="The market")
    for ax in axes:
        ax.legend(frameon=False)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> dict:
    """Run everything; returns solutions and panels by interest rate, the table and the checks."""
    sc.enable_x64()
    circuit = sc.load(MODEL)
    print(sc.explain(circuit), "\n")
    solved = {r: sc.solve(circuit.with_parameters({"main.r": r})) for r in RATES}
    panels = {r: live(s) for r, s in solved.items()}
    table, found = supply(panels, solved), checks(solved, panels)
    print(table.to_string(index=False, float_format="%.4g"), "\n")
    for name, gap in found.items():
        print(f"{name:40}{gap:9.1e}")
    draw_figure(solved, panels, table, FIGURE)
    print(f"\nfigure: {FIGURE}")
    return {"solved": solved, "panels": panels, "table": table, "checks": found}


if __name__ == "__main__":
    main()
