"""Work or retire: the saw-tooth consumption of a hard choice, and what taste shocks make of it.

Solves `ret_choice.yml` for several scales of the taste shocks (compiled once), simulates 10,000 households with and without
them, checks the panel against budget, closed forms and thresholds, prints the life cycle, and saves a figure.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pandas as pd

import stagecraft as sc

HERE = Path(__file__).parent
MODEL = HERE / "ret_choice.yml"
FIGURE = HERE / "output" / "ret_choice.png"
AGENTS, SCALES = 10_000, (0.0, 0.01, 0.05, 0.1)
RICHEST = 350.0


def thresholds(hard: sc.ModelCircuit) -> np.ndarray:
    """For each period the assets from which on households retire, by bisection of the hard choice."""
    found = []
    for t in range(len(hard)):
        works = hard[t]["LABR"].dcsn.sol.probability["work"]
        low, high = 1e-6, 500.0
        for _ in range(40):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if works(a=middle) > 0.5 else (low, middle)
        found.append(low)
    return np.array(found)


def life_cycle(hard: sc.ModelCircuit, panels: dict) -> pd.DataFrame:
    """Thresholds, jumps of the worker's policy, and shares and means with and without taste shocks."""
    table = {"period": np.arange(len(hard)), "retire from": thresholds(hard)}
    table["jumps of c(m)"] = [int(hard[t]["WORK"].dcsn.sol.rows.switches) for t in range(len(hard))]
    for label, panel in panels.items():
        table[f"work, {label}"] = np.asarray(panel.inside("WORK")).mean(axis=1)
        table[f"mean c, {label}"] = np.nanmean(consumption(panel), axis=1)
    return pd.DataFrame(table)


def consumption(panel: sc.Panel) -> np.ndarray:
    """Consumption of workers and retirees together."""
    return np.where(panel.inside("WORK"), panel["WORK"]["c"], panel["RETD"]["c"])


def checks(circuit: sc.ModelCircuit, solved: dict, panels: dict, table: pd.DataFrame) -> dict:
    """By how much the panels and solutions miss what economics says; of each the worst."""
    beta, r, w, delta = (float(circuit.parameters["main"][name]) for name in ("beta", "r", "w", "delta"))
    periods, found = len(circuit), {}
    worst = lambda gaps: float(np.nanmax(np.abs(gaps)))
    for label, panel in panels.items():
        work, retired, choice = panel["WORK"], panel["RETD"], panel["LABR"]
        budget = [
            work["m"] - ((1 + r) * work["a"] + w),
            retired["m"] - (1 + r) * retired["a"],
            *[x["b"] - (x["m"] - x["c"]) for x in (work, retired)],
            (choice["a"][1:] - work["b"][:-1]),
            np.where(panel.inside("RETD")[:-1], retired["a"][1:] - retired["b"][:-1], np.nan),
        ]
        found[f"budget, {label}"] = max(map(worst, budget))
        # Every household works or is retired, and nobody comes back.
        at_work, at_rest = np.asarray(panel.inside("WORK")), np.asarray(panel.inside("RETD"))
        found[f"whereabouts, {label}"] = float(np.sum(at_work == at_rest) + np.sum(at_work[1:] & at_rest[:-1]))
        found[f"left at the end, {label}"] = max(worst(x["b"][-1]) for x in (work, retired))
        found[f"debt, {label}"] = float(max(np.nanmax(-x["b"]) for x in (work, retired)))
        # A retiree eats a share of what there is, 1/(1 + beta + ... + beta^(T-1-t)): log utility and no income.
        share = 1 / np.cumsum(beta ** np.arange(periods))[::-1]
        found[f"share eaten by retirees, {label}"] = worst(retired["c"] / retired["m"] - share[:, None])
    # In the last period a wage is worth delta from a = w/((1+r)(exp(delta) - 1)) on.
    found["last threshold"] = float(table["retire from"].iloc[-1]) - w / ((1 + r) * np.expm1(delta))
    chose = np.asarray(panels["hard"]["LABR"]["a"]) < table["retire from"].to_numpy()[:, None]
    found["work off the threshold"] = float(np.sum(chose != panels["hard"].inside("WORK"), where=panels["hard"].inside("LABR")))
    a = np.linspace(1.0, 60.0, 400)
    for sigma in SCALES[1:]:
        gain = np.log((1 + r) * a + w) - delta - np.log((1 + r) * a)
        chance = solved[sigma][periods - 1]["LABR"].dcsn.sol.probability["work"](a=a)
        found[f"last probability of work, scale {sigma}"] = worst(chance - 1 / (1 + np.exp(-gain / sigma)))
    return found


def draw_figure(solved: dict, path: Path) -> None:
    """Hard policies by period; policies and probabilities of work halfway, by the scale of the taste shocks."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(14, 4.2), layout="constrained")
    points = np.linspace(10.0, 300.0, 2_000)
    for t in (18, 15, 10, 0):
        axes[0].plot(points, solved[0.0][t]["WORK"].dcsn.sol.policy["c"](m=points), lw=1.2, label=f"period {t}")
    axes[0].set(xlabel="cash on hand $m$", ylabel="consumption $c(m)$ of a worker", title="The hard choice", ylim=(0, 60))
    for sigma, circuit in solved.items():
        label = "hard" if sigma == 0 else rf"$\sigma_\epsilon$ = {sigma}"
        axes[1].plot(points, circuit[15]["WORK"].dcsn.sol.policy["c"](m=points), lw=1.2, label=label)
        axes[2].plot(points, circuit[15]["LABR"].dcsn.sol.probability["work"](a=points), lw=1.2, label=label)
    axes[1].set(xlabel="cash on hand $m$", title="Taste shocks, period 15", xlim=(10, 130), ylim=(10, 40))
    axes[2].set(xlabel="assets on arrival $a$", title="Probability of work, period 15", xlim=(40, 130))
    for ax in axes:
        ax.legend(frameon=False)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> dict:
    """Run everything; returns solutions by scale, panels, the table and the checks."""
    sc.enable_x64()
    circuit = sc.load(MODEL)
    print(sc.explain(circuit), "\n")

    solved = {sigma: sc.solve(circuit.with_parameters({"main.sigma_eps": sigma})) for sigma in SCALES}
    initial = {"a": jnp.linspace(0.0, RICHEST, AGENTS)}
    labels = {"hard": 0.0, "smooth": 0.05}
    panels = {label: sc.simulate(solved[sigma], initial, key=jax.random.key(0)) for label, sigma in labels.items()}

    table = life_cycle(solved[0.0], panels)
    print(table.to_string(index=False, float_format="%.4g"), "\n")
    found = checks(circuit, solved, panels, table)
    for name, gap in found.items():
        print(f"{name:40}{gap:9.1e}")

    draw_figure(solved, FIGURE)
    print(f"\nfigure: {FIGURE}")
    return {"solved": solved, "panels": panels, "table": table, "checks": found}


if __name__ == "__main__":
    main()
