"""Refinancing under a stochastic rate: who does it, and what a rate cut does to consumption.

Solves `mortgage_mon.yml` with and without taste shocks (compiled once), simulates 5,000 households that begin with the same
contract, checks the panel against every budget and the contract, prints the years, and saves a figure.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pandas as pd

import stagecraft as sc

HERE = Path(__file__).parent
MODEL = HERE / "mortgage_mon.yml"
FIGURE = HERE / "output" / "mortgage_mon.png"
AGENTS, DEBT, CASH = 5_000, 3.2, 1.3
YEARS = (0, 10, 20, 25)


def rates(circuit: sc.ModelCircuit) -> np.ndarray:
    """The five nodes of the market rate (Rouwenhorst): the mean, and two long-run standard deviations either way."""
    p = {name: float(circuit.parameters["main"][name]) for name in ("r_bar", "sigma_r", "rho_r")}
    return p["r_bar"] + 2 * p["sigma_r"] / np.sqrt(1 - p["rho_r"] ** 2) * np.linspace(-1, 1, 5)


def scheduled(t: int) -> float:
    """What is owed at the beginning of year `t` by who pays 4 % on 3.2 for 30 years."""
    return DEBT * (1.04**30 - 1.04**t) / (1.04**30 - 1)


def refinancing(solved: sc.ModelCircuit) -> tuple[np.ndarray, dict]:
    """The probability of refinancing at the mean rate by what the contract pays above the market, on schedule, by year."""
    r = rates(solved)
    found = {t: np.asarray(solved[t]["REFI"].dcsn.sol.probability["refi"](m=CASH, b=scheduled(t), i=r, r=r[2])) for t in YEARS}
    return r - r[2], found


def pass_through(solved: sc.ModelCircuit, t: int, m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The response of mean consumption to a cut by two nodes from the mean rate, which the contract pays, by cash on hand.

    **Returns:** the response, and what it would be were the contract kept.
    """
    r = rates(solved)
    chance, consume = solved[t]["REFI"].dcsn.sol.probability["refi"], solved[t]["CONS"].dcsn.sol.policy["c"]
    fee, term = float(solved.parameters["main"]["f"]), 30 - t

    def consumption(contract, market, cash):
        paid = scheduled(t) * contract / (1 - (1 + contract) ** -term)
        return np.asarray(consume(x=cash - paid, b=scheduled(t), i=contract, r=market))

    def kept_and_mean(market):
        share = np.asarray(chance(m=m, b=scheduled(t), i=r[2], r=market))
        kept = consumption(r[2], market, m)
        # Who cannot pay the fee does not; any number may stand there.
        return kept, (1 - share) * kept + share * consumption(market, market, np.maximum(m - fee, 0.3))

    before, after = kept_and_mean(r[2]), kept_and_mean(r[0])
    return after[1] - before[1], after[0] - before[0]


def years_table(panel: sc.Panel) -> pd.DataFrame:
    """Rates, refinancing and means, by year."""
    refi, cons = panel["REFI"], panel["CONS"]
    gap = np.asarray(refi["i"] - refi["r"])
    share = np.asarray(refi["branch"])
    return pd.DataFrame({
        "year": np.arange(len(share)),
        "market rate": np.asarray(refi["r"]).mean(axis=1),
        "rate paid": np.asarray(cons["i"]).mean(axis=1),
        "refinance": share.mean(axis=1),
        "where i > r": [row[g > 1e-9].mean() if (g > 1e-9).any() else np.nan for row, g in zip(share, gap, strict=True)],
        "debt": np.asarray(cons["b"]).mean(axis=1),
        "assets": np.asarray(refi["a"]).mean(axis=1),
        "consumption": np.asarray(cons["c"]).mean(axis=1),
    })  # fmt: skip


def checks(circuit: sc.ModelCircuit, solved: dict, panels: dict) -> dict:
    """By how much panels and solutions miss what economics says; of each the worst."""
    p, found = {name: float(x) for name, x in circuit.parameters["main"].items()}, {}
    worst = lambda *gaps: float(max(np.nanmax(np.abs(gap)) for gap in gaps))
    for label, panel in panels.items():
        refi, cons = ({name: np.asarray(x) for name, x in panel[stage].items()} for stage in ("REFI", "CONS"))
        left, refinanced = p["T_m"] - np.arange(len(circuit))[:, None], refi["branch"] == 1
        paid = cons["b"] * cons["i"] / (1 - (1 + cons["i"]) ** -left)
        found |= {
            f"cash, {label}": worst(
                refi["m"] - (p["R"] * refi["a"] + refi["y"]), cons["m"] - (refi["m"] - p["f"] * refinanced)
            ),
            f"contract, {label}": worst(cons["i"] - np.where(refinanced, refi["r"], refi["i"])),
            f"payment, {label}": worst(cons["x"] - (cons["m"] - paid), cons["a_nxt"] - (cons["x"] - cons["c"])),
            f"debt, {label}": worst(cons["b_nxt"] - ((1 + cons["i"]) * cons["b"] - paid), refi["b"][1:] - cons["b_nxt"][:-1]),
            f"assets on arrival, {label}": worst(refi["a"][1:] - cons["a_nxt"][:-1]),
            f"owed at the end, {label}": worst(cons["b_nxt"][-1]),
            f"borrowed, {label}": float(-cons["a_nxt"].min()),
            # An annuity is the same every year, as long as the rate is.
            f"annuity, {label}": worst(np.where(refinanced[1:], np.nan, paid[1:] - paid[:-1])),
        }
    gap = np.asarray(panels["hard"]["REFI"]["i"] - panels["hard"]["REFI"]["r"])
    found["refinanced for nothing"] = float(np.sum(np.asarray(panels["hard"]["REFI"]["branch"])[gap <= 1e-9]))
    # With taste shocks the odds are those of the values of the two branches.
    r, m, t = rates(circuit), np.linspace(0.6, 4.0, 200), 10
    stage, debt = solved["smooth"][t]["REFI"], scheduled(t)
    keep = stage.cntn["keep"].sol.value(m=m, b=debt, i=r[3], r=r[2])
    refinance = stage.cntn["refi"].sol.value(m=m - p["f"], b=debt, i=r[2], r=r[2])
    chance = stage.dcsn.sol.probability["refi"](m=m, b=debt, i=r[3], r=r[2])
    found["odds"] = worst(chance - 1 / (1 + np.exp((keep - refinance) / p["sigma_v"])))
    for label, circuit in solved.items():
        found[f"falls with the gap, {label}"] = float(max(0.0, *(-np.diff(x).min() for x in refinancing(circuit)[1].values())))
        value = circuit[t]["REFI"].dcsn.sol.value
        values = (
            np.array([value(m=m, b=debt, i=i, r=r[2]) for i in r]),
            np.array([value(m=m, b=b, i=r[2], r=r[2]) for b in (1.0, 2.0, 3.0)]),
        )
        found[f"values that rise with what is owed, {label}"] = float(sum(np.sum(np.diff(x, axis=0) > 1e-9) for x in values))
        found[f"values that fall with cash, {label}"] = float(sum(np.sum(np.diff(x, axis=1) <= 0) for x in values))
        found[f"asked beyond the grid, {label}"] = float(max(x.max() for x in circuit.info.outside.values()))
    return found


def draw_figure(solved: dict, panel: sc.Panel, path: Path) -> None:
    """Refinancing by the gap between the rates, the years, and the pass-through of a cut."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(14, 4.2), layout="constrained")
    gap, chances = refinancing(solved["smooth"])
    for t, chance in chances.items():
        left.plot(100 * gap, chance, "o-", label=f"year {t}, {scheduled(t):.1f} owed")
    left.set(
        xlabel="contract above market $i - r$, percentage points", ylabel="probability", title="Refinancing, by the rate gap"
    )
    left.legend(frameon=False)
    refi, cons = panel["REFI"], panel["CONS"]
    market, paid = (100 * np.asarray(x).mean(axis=1) for x in (refi["r"], cons["i"]))
    middle.plot(market, color="0.5", label="market rate, mean")
    middle.plot(paid, label="rate paid, mean")
    middle.set(xlabel="year", ylabel="percent", title="Rates paid only fall", ylim=(0, 5))
    share = middle.twinx()
    share.bar(np.arange(len(paid)), np.asarray(refi["branch"]).mean(axis=1), color="C1", alpha=0.4)
    share.set(ylabel="share that refinances (bars)", ylim=(0, 1))
    middle.legend(frameon=False, loc="lower left", bbox_to_anchor=(0.0, 0.18))
    m = np.linspace(0.35, 4.0, 400)
    for t in YEARS[:3]:
        mean, kept = pass_through(solved["smooth"], t, m)
        (line,) = right.plot(m, mean, label=f"year {t}")
        right.plot(m, kept, ":", color=line.get_color())
    right.set(xlabel="cash on hand $m$", ylabel="response of consumption", title="A cut of 3 points (dotted: contract kept)")
    right.legend(frameon=False)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> dict:
    """Run everything; returns solutions, panels, the table and the checks."""
    sc.enable_x64()
    circuit = sc.load(MODEL)
    hard = circuit.with_parameters({"main.sigma_v": 0.0})
    solved = {"smooth": sc.solve(circuit), "hard": sc.solve(hard)}
    initial = {"a": jnp.linspace(0.0, 1.0, AGENTS), "b": DEBT, "i": 0.04, "r_pre": 0.04}
    panels = {label: sc.simulate(x, initial, key=jax.random.key(0)) for label, x in solved.items()}

    table = years_table(panels["smooth"])
    print(table.to_string(index=False, float_format="%.4f"), "\n")
    found = checks(circuit, solved, panels)
    for name, gap in found.items():
        print(f"{name:45}{gap:9.1e}")

    draw_figure(solved, panels["smooth"], FIGURE)
    print(f"\nfigure: {FIGURE}")
    return {"solved": solved, "panels": panels, "table": table, "checks": found}


if __name__ == "__main__":
    main()
