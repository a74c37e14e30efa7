"""Own or rent: five stages a year, three income states, six sizes of house.

Solves `housing.yml`, simulates 9,500 households that begin with little and no house, checks the panel against every budget of
the period and its last year against a search by hand, prints tenure by period, and saves a figure.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pandas as pd

import stagecraft as sc

HERE = Path(__file__).parent
MODEL = HERE / "housing.yml"
FIGURE = HERE / "output" / "housing.png"
AGENTS = 9_500


def beginners(circuit: sc.ModelCircuit) -> dict:
    """No house, up to half a unit of assets, and incomes in the long-run shares of `Pi`: 9, 9 and 1 in 19."""
    low, middle, high = np.asarray(circuit.parameters["main"]["z_vals"])
    income = np.resize([low] * 9 + [middle] * 9 + [high], AGENTS)
    return {"a": jnp.linspace(0.0, 0.5, AGENTS), "H": 0.0, "y_pre": income}


def tenure_table(panel: sc.Panel) -> pd.DataFrame:
    """Who owns, what is owned and rented, and means, by period."""
    mean = lambda x: np.nanmean(np.asarray(x), axis=1)
    owned, rented = panel["OWNH"]["H_new"], panel["RNTH"]["S"]
    spent = np.where(panel.inside("OWNC"), panel["OWNC"]["c"], panel["RNTC"]["c"])
    columns = {
        "own": np.asarray(panel.inside("OWNH")).mean(axis=1),
        "house owned": mean(owned),
        "house rented": mean(rented),
        "buy": (np.nan_to_num(owned) > np.asarray(panel["TENU"]["H"])).mean(axis=1),
        "assets": mean(panel["TENU"]["a"]),
        "income": mean(panel["TENU"]["z"]),
        "consumption": spent.mean(axis=1),
    }
    return pd.DataFrame({"period": np.arange(len(owned))} | columns)


def by_hand(p: dict, a, home, y) -> tuple:
    """The last year by search over tenure and size; what is consumed has a closed form.

    **Returns:** value, whether to own, the size owned or rented, consumption.
    """
    cash, sizes = (1 + p["r"]) * a + y, np.concatenate([p["H_vals"], p["S_vals"]])
    owns = np.arange(sizes.size) < p["H_vals"].size
    values, choices = [], []
    for size, own in zip(sizes, owns, strict=True):
        w = cash + home - ((1 + p["phi"] * (size != home)) * size if own else p["P_r"] * size)
        left = size * own + 0.01
        c = np.minimum(w, ((1 + p["r"]) * w + left) / ((1 + p["r"]) * (1 + p["beta"])))
        with np.errstate(invalid="ignore", divide="ignore"):
            ahead = np.log((1 + p["r"]) * (w - c) + left)
            value = p["alpha"] * (np.log(c) + p["beta"] * ahead) + (1 - p["alpha"]) * np.log(p["kappa"] * (size + p["iota"]))
        values.append(np.where(w > 0, value, -np.inf))
        choices.append(c)
    best = np.argmax(values, axis=0)
    pick = lambda x: np.take_along_axis(np.array(x), best[None], axis=0)[0]
    return pick(values), owns[best], sizes[best], pick(choices)


def checks(circuit: sc.ModelCircuit, solved: sc.ModelCircuit, panel: sc.Panel) -> dict:
    """By how much panel and solution miss what economics says; of each the worst."""
    p = {name: np.asarray(x) for name, x in circuit.parameters["main"].items()}
    tenu, ownh, ownc, rnth, rntc = (
        {k: np.asarray(x) for k, x in panel[s].items()} for s in ("TENU", "OWNH", "OWNC", "RNTH", "RNTC")
    )
    worst = lambda *gaps: float(max(np.nanmax(np.abs(gap)) for gap in gaps))
    at_home, at_rent = np.asarray(panel.inside("OWNH")), np.asarray(panel.inside("RNTH"))
    cash = (1 + p["r"]) * tenu["a"] + tenu["z"] + tenu["H"]
    price = (1 + p["phi"] * (ownh["H_new"] != tenu["H"])) * ownh["H_new"]
    saved = np.where(at_home, ownc["a_nxt"], rntc["a_nxt"])
    kept = np.where(at_home, ownh["H_new"], 0.0)
    income = np.searchsorted(p["z_vals"], tenu["z"] - 1e-9)
    moves = np.array([[np.mean(income[1:][income[:-1] == i] == j) for j in range(3)] for i in range(3)])
    visits = np.array([np.sum(income[:-1] == i) for i in range(3)])[:, None]
    a = np.linspace(0.0, 20.0, 300)
    values = np.array([
        [solved[0]["TENU"].arvl.sol.value(a=a, H=home, y_pre=y) for home in p["H_vals"]] for y in p["z_vals"]
    ])  # fmt: skip
    own = np.where(at_home, ownh["H_new"], rnth["S"])
    value, owns, size, spent = by_hand(p, tenu["a"][-1], tenu["H"][-1], tenu["z"][-1])
    found_value = solved[len(circuit) - 1]["TENU"].dcsn.sol.value(a=tenu["a"][-1], H=tenu["H"][-1], y=tenu["z"][-1])
    consumed = np.where(at_home, ownc["c"], rntc["c"])
    return {
        "cash of owners": worst(ownh["w"] - (cash - price)),
        "cash of renters": worst(rnth["w"] - cash, rnth["w_cntn"] - (cash - p["P_r"] * rnth["S"])),
        "savings": worst(ownc["a_nxt"] - (ownh["w"] - ownc["c"]), rntc["a_nxt"] - (rnth["w_cntn"] - rntc["c"])),
        "assets on arrival": worst(tenu["a"][1:] - saved[:-1]),
        "houses on arrival": worst(tenu["H"][1:] - kept[:-1]),
        "whereabouts": float(np.sum(at_home == at_rent)),
        "debt": float(-saved.min()),
        "owners of nothing": float(np.mean(ownh["H_new"] == 0)),
        "income moves, in standard errors": worst((moves - p["Pi"]) / np.sqrt((p["Pi"] * (1 - p["Pi"]) + 1e-12) / visits)),
        "values that fall with assets": float(np.sum(np.diff(values, axis=2) <= 0)),
        "values that fall with the house": float(np.sum(np.diff(values, axis=1) <= 0)),
        "values that fall with income": float(np.sum(np.diff(values, axis=0) <= 0)),
        "last year, value": worst(found_value - value),
        "last year, tenure": float(np.sum(at_home[-1] != owns)),
        "last year, size": worst(own[-1] - size),
        "last year, consumption": worst(consumed[-1] - spent),
        "asked beyond the grid": max(float(x.max()) for x in solved.info.outside.values()),
    }  # fmt: skip


def draw_figure(solved: sc.ModelCircuit, panel: sc.Panel, path: Path) -> None:
    """Tenure shares by size of house, mean sizes, and who buys a first house."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(14, 4.2), layout="constrained")
    owned, rented = np.asarray(panel["OWNH"]["H_new"]), np.asarray(panel["RNTH"]["S"])
    periods, main = np.arange(len(owned)), solved.parameters["main"]
    sizes, colours = np.asarray(main["H_vals"])[1:], plt.cm.viridis(np.linspace(0.15, 0.9, len(main["H_vals"]) - 1))
    shares = [np.isfinite(rented).mean(axis=1), *[(owned == size).mean(axis=1) for size in sizes]]
    left.stackplot(periods, shares, colors=["0.85", *colours], labels=["rent", *[f"own {size:g}" for size in sizes]])
    left.set(xlabel="period", ylabel="share of households", title="Tenure", xlim=(0, periods[-1]), ylim=(0, 1))
    left.legend(loc="lower center", ncols=3, frameon=False, fontsize=9)
    for label, house in (("owned", owned), ("rented", rented)):
        middle.plot(periods, np.nanmean(house, axis=1), label=f"house {label}, of those who do")
    middle.plot(periods, np.asarray(panel["TENU"]["a"]).mean(axis=1), ":", color="0.4", label="assets on arrival, of all")
    middle.set(xlabel="period", ylabel="mean", title="Housing and assets", ylim=(0, None))
    middle.legend(frameon=False)
    a, stage = np.linspace(0.0, 6.0, 600), solved[5]["TENU"]
    chooses, buys = stage.dcsn.sol.probability["own"], solved[5]["OWNH"].dcsn.sol.policy["H_new"]
    for y in np.asarray(main["z_vals"]):
        right.plot(a, chooses(a=a, H=0.0, y=y) * buys(a=a, H=0.0, y=y), label=f"income {y:g}")
    right.set(xlabel="assets on arrival $a$", ylabel="house bought", title="The first house, period 5")
    right.legend(frameon=False)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> dict:
    """Run everything; returns the solution, the panel, the table and the checks."""
    sc.enable_x64()
    circuit = sc.load(MODEL)
    solved = sc.solve(circuit)
    panel = sc.simulate(solved, beginners(circuit), key=jax.random.key(0))

    table = tenure_table(panel)
    print(table.to_string(index=False, float_format="%.3f"), "\n")
    found = checks(circuit, solved, panel)
    for name, gap in found.items():
        print(f"{name:40}{gap:9.1e}")

    draw_figure(solved, panel, FIGURE)
    print(f"\nfigure: {FIGURE}")
    return {"solved": solved, "panel": panel, "table": table, "checks": found}


if __name__ == "__main__":
    main()
