"""How much of savings to hold in stocks, by age and wealth: consumption and the share, two controls in one stage.

Solves `portfolio.yml` with and without a wage (compiled once), checks the second against Merton and Samuelson, simulates 5,000
households of the first, prints their life cycle, and saves a figure.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pandas as pd

import stagecraft as sc

HERE = Path(__file__).parent
MODEL = HERE / "portfolio.yml"
FIGURE = HERE / "output" / "portfolio.png"
AGENTS = 5_000


def samuelson(parameters: dict) -> tuple[float, np.ndarray]:
    """Share and consumption per unit of cash, by period, of whoever has no wage: E[R_p^-gamma (R_r - R_f)] = 0."""
    beta, gamma, safe, premium, std = (float(parameters[name]) for name in ("beta", "gamma", "R_f", "premium", "sigma_r"))
    nodes, weights = np.polynomial.hermite_e.hermegauss(7)
    excess, weights = (safe + premium) * np.exp(std * nodes - std**2 / 2) - safe, weights / weights.sum()
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        gain = weights @ ((safe + middle * excess) ** -gamma * excess)
        low, high = (middle, high) if gain > 0 else (low, middle)
    growth = (beta * (weights @ (safe + low * excess) ** (1 - gamma))) ** (1 / gamma)
    # After the last period what is left is eaten with the safe return.
    eaten = [1 / (1 + (beta * safe ** (1 - gamma)) ** (1 / gamma))]
    for _ in range(59):
        eaten.append(1 / (1 + growth / eaten[-1]))
    return low, np.array(eaten[::-1])


def checks(solved: sc.ModelCircuit, alone: sc.ModelCircuit, panel: sc.Panel) -> dict:
    """By how much solutions and panel miss what economics says; of each the worst."""
    p = solved.parameters["PORT"]
    share, eaten = samuelson(p)
    m, found = np.array([0.5, 2.0, 10.0, 40.0]), {}
    worst = lambda gaps: float(np.nanmax(np.abs(gaps)))
    policies = [alone[t]["PORT"].dcsn.sol.policy for t in range(60)]
    found["share without a wage"] = worst([policies[t]["share"](m=m) - share for t in range(59)])
    found["eaten without a wage"] = worst([policies[t]["c"](m=m) / (eaten[t] * m) - 1 for t in range(60)])
    # A wage is a bond, mostly: the share falls in wealth, and is that of whoever has no wage in the end.
    m = np.linspace(1.0, 60.0, 200)
    shares = np.array([solved[t]["PORT"].dcsn.sol.policy["share"](m=m) for t in range(59)])
    found["share that rises in wealth"] = float(np.maximum(np.diff(shares, axis=1), 0).max())
    # 84 is the last year, in which the share of what is left is of no meaning; at 83 a year's wage is still to come.
    found["share of the rich at 83"] = float(shares[58, -1] - share)
    growth = np.asarray(p["G"])[:, None]
    back = (p["R_f"] + (panel["R_r"] - p["R_f"]) * panel["share_pre"]) * panel["a"] / growth + panel["y"]
    found["cash"] = worst(panel["m"] - back)
    found["savings"] = worst(panel["a_nxt"] - (panel["m"] - panel["c"]))
    found["share carried"] = worst(panel["share_pre"][1:] - panel["share"][:-1])
    found["share out of bounds"] = float(np.maximum(np.abs(panel["share"] - 0.5) - 0.5, 0).max())
    return found


def life_cycle(panel: sc.Panel) -> pd.DataFrame:
    """Means by age; the share is weighted by savings."""
    saved = np.asarray(panel["a_nxt"])
    table = {"age": 25 + np.arange(60), "c": panel["c"].mean(axis=1), "a_nxt": saved.mean(axis=1)}
    table["share"] = (panel["share"] * saved).sum(axis=1) / saved.sum(axis=1)
    table["at share 1"] = (panel["share"] > 0.999).mean(axis=1)
    return pd.DataFrame({name: np.asarray(column) for name, column in table.items()})


def draw_figure(solved: sc.ModelCircuit, table: pd.DataFrame, path: Path) -> None:
    """The share by cash at several ages; shares and savings over the life cycle."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(14, 4.2), layout="constrained")
    m = np.linspace(0.3, 40.0, 500)
    for age in (30, 45, 60, 75):
        sol = solved[age - 25]["PORT"].dcsn.sol
        axes[0].plot(m, sol.policy["share"](m=m), label=f"age {age}")
        axes[1].plot(m[:200], sol.policy["c"](m=m[:200]), label=f"age {age}")
    axes[0].axhline(samuelson(solved.parameters["PORT"])[0], color="black", lw=0.8, ls="--", label="no wage")
    axes[0].set(xlabel="cash on hand $m$", title="Share in the risky asset", ylim=(0, 1.05))
    axes[1].set(xlabel="cash on hand $m$", title="Consumption")
    axes[2].plot(table["age"].iloc[:-1], table["share"].iloc[:-1], label="share of all savings at risk")
    axes[2].plot(table["age"], table["a_nxt"] / table["a_nxt"].max(), label="savings per permanent income, of their peak")
    axes[2].set(xlabel="age", title=f"{AGENTS:,} households", ylim=(0, 1.05))
    for ax in axes:
        ax.legend(frameon=False)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> dict:
    """Run everything; returns solution, panel, table and checks."""
    sc.enable_x64()
    circuit = sc.load(MODEL)
    print(sc.explain(circuit), "\n")
    solved, alone = (sc.solve(circuit.with_parameters({"PORT.wage": wage})) for wage in (1.0, 0.0))
    initial = {"a": jnp.linspace(1e-6, 0.5, AGENTS), "share_pre": 0.5}
    panel = sc.simulate(solved, initial, key=jax.random.key(0))
    table, found = life_cycle(panel), checks(solved, alone, panel)
    print(table.iloc[::5].to_string(index=False, float_format="%.4g"), "\n")
    for name, gap in found.items():
        print(f"{name:40}{gap:9.1e}")
    draw_figure(solved, table, FIGURE)
    print(f"\nfigure: {FIGURE}")
    return {"solved": solved, "alone": alone, "panel": panel, "table": table, "checks": found}


if __name__ == "__main__":
    main()
