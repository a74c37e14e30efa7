"""Recursive preferences: risk aversion moves saving at a given willingness to substitute over time, unlike power utility.

Solves `epstein_zin.yml` for several gamma at two psi (compiled once), checks it against power utility where gamma = 1/psi and
against the closed form of whoever has no wage, simulates a life for each gamma, prints them, and saves a figure.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pandas as pd

import stagecraft as sc

HERE = Path(__file__).parent
MODEL = HERE / "epstein_zin.yml"
FIGURE = HERE / "output" / "epstein_zin.png"
AGENTS, GAMMAS, PSIS = 2_000, (2.0, 5.0, 10.0), (1.5, 0.5)


def power_utility() -> sc.ModelCircuit:
    """The same household with power utility, by EGM; psi is 1/gamma and is not named."""
    text, swaps = MODEL.read_text(), {
        "(1-beta)^(1/(1-1/psi))*(a + wage)": "(a + wage)^(1-gamma)/(1-gamma)",
        "((1-beta)*c^(1-1/psi) + beta*V[>]^(1-1/psi))^(1/(1-1/psi))": "c^(1-gamma)/(1-gamma) + beta*V[>]",
        "      A:    E[V^(1-gamma)]^(1/(1-gamma)) ": "      #",
        "    psi: ": "    # psi: ",
    }  # fmt: skip
    for old, new in swaps.items():
        text = text.replace(old, new)
    return sc.load(text)


def eaten_alone(parameters: dict, periods: int) -> np.ndarray:
    """Consumption per unit of cash without a wage: 1/k = 1 + beta^psi Q^(psi-1)/k', Q the return's certainty equivalent."""
    beta, gamma, psi, mean, std = (float(parameters[name]) for name in ("beta", "gamma", "psi", "mean", "sigma_r"))
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    returns = mean * np.exp(std * nodes - std**2 / 2)
    worth = (weights / weights.sum() @ returns ** (1 - gamma)) ** (1 / (1 - gamma))
    found = [1 / (1 + beta**psi)]
    for _ in range(periods - 1):
        found.append(1 / (1 + beta**psi * worth ** (psi - 1) / found[-1]))
    return np.array(found[::-1])


def checks(circuit: sc.ModelCircuit, solved: dict) -> dict:
    """By how much solutions miss power utility, the closed form, and what risk aversion does; of each the worst."""
    found, m = {}, np.linspace(0.5, 20.0, 60)
    worst = lambda gaps: float(np.nanmax(np.abs(gaps)))
    for gamma in (0.5, 3.0):
        one = sc.solve(power_utility().with_parameters({"CONS.gamma": gamma}))
        two = sc.solve(circuit.with_parameters({"CONS.gamma": gamma, "CONS.psi": 1 / gamma}))
        for t in (0, 12, 24):
            c, sol = (x[t]["CONS"].dcsn.sol for x in (one, two))
            found[f"power utility {gamma}, policy at {t}"] = worst(sol.policy["c"](m=m) / c.policy["c"](m=m) - 1)
            value = ((1 - 0.95) * (1 - gamma) * c.value(m=m)) ** (1 / (1 - gamma))
            found[f"power utility {gamma}, value at {t}"] = worst(sol.value(m=m) / value - 1)
    for gamma in GAMMAS:
        alone = sc.solve(circuit.with_parameters({"CONS.gamma": gamma, "CONS.wage": 0.0}))
        share = eaten_alone(alone.parameters["CONS"], len(alone))
        policy = np.array([alone[t]["CONS"].dcsn.sol.policy["c"](m=m) / m for t in range(len(alone))])
        found[f"eaten without a wage, gamma {gamma:g}"] = worst(policy / share[:, None] - 1)
    # Who dislikes risk more is worth less to himself in a certain sum, at every wealth and age.
    for psi in PSIS:
        values = np.array([[solved[g, psi][t]["CONS"].dcsn.sol.value(m=m) for t in range(24)] for g in GAMMAS])
        found[f"values that rise in gamma, psi {psi:g}"] = float(np.maximum(np.diff(values, axis=0), 0).max())
    return found


def lives(solved: dict) -> pd.DataFrame:
    """Mean savings by gamma and psi, from the same shocks."""
    table = {"period": np.arange(25)}
    for (gamma, psi), circuit in solved.items():
        panel = sc.simulate(circuit, {"a": jnp.full(AGENTS, 1.0)}, key=jax.random.key(0))
        table[f"gamma {gamma:g}, psi {psi:g}"] = np.asarray(panel["a_nxt"].mean(axis=1))
    return pd.DataFrame(table)


def draw_figure(solved: dict, table: pd.DataFrame, path: Path) -> None:
    """Policies at the start for several gamma, at each psi; mean savings over life."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(14, 4.2), layout="constrained")
    m = np.linspace(0.2, 15.0, 300)
    for axis, psi in zip(axes, PSIS, strict=False):
        for gamma in GAMMAS:
            axis.plot(m, solved[gamma, psi][0]["CONS"].dcsn.sol.policy["c"](m=m), label=rf"$\gamma$ = {gamma:g}")
        axis.set(xlabel="cash on hand $m$", title=rf"Consumption in period 0, $\psi$ = {psi:g}")
    for name in table.columns[1:]:
        axes[2].plot(table["period"], table[name], ls="--" if name.endswith("0.5") else "-", label=name)
    axes[2].set(xlabel="period", title=f"Mean savings of {AGENTS:,} households")
    for ax in axes:
        ax.legend(frameon=False)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> dict:
    """Run everything; returns solutions by (gamma, psi), the table and the checks."""
    sc.enable_x64()
    circuit = sc.load(MODEL)
    print(sc.explain(circuit), "\n")
    pairs = [(gamma, psi) for psi in PSIS for gamma in GAMMAS]
    solved = {(g, s): sc.solve(circuit.with_parameters({"CONS.gamma": g, "CONS.psi": s})) for g, s in pairs}
    table, found = lives(solved), checks(circuit, solved)
    print(table.iloc[::4].to_string(index=False, float_format="%.4g"), "\n")
    for name, gap in found.items():
        print(f"{name:40}{gap:9.1e}")
    draw_figure(solved, table, FIGURE)
    print(f"\nfigure: {FIGURE}")
    return {"solved": solved, "table": table, "checks": found}


if __name__ == "__main__":
    main()
