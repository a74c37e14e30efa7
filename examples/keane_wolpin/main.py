"""Careers (Keane and Wolpin 1994): their three parametrisations, published tables beside ours.

Young men choose for forty years between two occupations, school and home, knowing this year's offers and not those to come.
There are four shocks a year and 35,200 combinations of schooling, experience and last year's school, so that the expected
maximum is taken block by block; states that nobody can have reached by a year are passed over. The shares of choices by year
stand beside tables 2.1 to 2.3 of the working paper (Federal Reserve Bank of Minneapolis, staff report 181), which are
averages over 1,000 of their draws (`shares.csv`), and the effects of a college subsidy beside those of table 6.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pandas as pd
from scipy.special import ndtri
from scipy.stats import qmc

import stagecraft as sc

HERE = Path(__file__).parent
FIGURE = HERE / "output" / "keane_wolpin.png"
MODEL = (HERE / "keane_wolpin.yml").read_text()
CHOICES = ("one", "two", "school", "home")
BEGIN = {"s": 10.0, "x1": 0.0, "x2": 0.0, "enrolled": 1.0}
# Table 1 of the paper; what is left out is that of the first.
PARAMETERS = {
    1: {},
    2: {"one_s": 0.04, "two0": 8.2, "two_s": 0.08, "school": 5000, "college": -5000, "back": -15000, "home": 14500,
        "sd_one": 0.4, "sd_two": 0.5, "sd_school": 6000, "sd_home": 6000},
    3: {"one0": 8.0, "one_s": 0.07, "one_own": 0.055, "one_own2": 0, "two0": 7.9, "two_own": 0.06, "two_own2": 0,
        "two_other": 0.055, "two_other2": 0, "school": 5000, "college": -5000, "back": -20000, "home": 21500, "sd_one": 1.0,
        "sd_two": 1.0, "sd_school": 7000, "sd_home": 8500, "rho_wages": 0.5, "rho_tastes": -0.5},
}  # fmt: skip
# Table 6: a year of college is cheaper by so much, and means of schooling and experience move by (effect, its deviation).
SUBSIDIES = {1: 500.0, 2: 1000.0, 3: 2000.0}
EFFECTS = {
    1: {"s": (1.44, 0.18), "x1": (-3.43, 0.94), "x2": (2.19, 0.89)},
    2: {"s": (1.12, 0.22), "x1": (-2.71, 0.53), "x2": (2.08, 0.43)},
    3: {"s": (1.67, 0.20), "x1": (-1.27, 0.18), "x2": (-0.236, 0.10)},
}


def load(k: int, nodes: tuple = (9, 3), horizon: int = 40) -> sc.ModelCircuit:
    """The circuit of parametrisation `k`, with so many nodes for each of both wages and each of both tastes."""
    text = MODEL.replace("horizon: 40", f"horizon: {horizon}").replace("most: 39", f"most: {horizon - 1}")
    text = text.replace("n_wages: 9, n_tastes: 3", f"n_wages: {nodes[0]}, n_tastes: {nodes[1]}")
    return sc.load(text).with_parameters({f"main.{name}": x for name, x in PARAMETERS[k].items()})


def live(circuit: sc.ModelCircuit, agents: int) -> pd.DataFrame:
    """Lives of agents from the age of sixteen."""
    keep = ["s", "x1", "x2", "enrolled", "branch", "s_cntn", "x1_cntn", "x2_cntn"]
    return sc.simulate(circuit, BEGIN, agents=agents, keep=keep, key=jax.random.key(1994)).to_pandas()


def shares(lives: pd.DataFrame) -> pd.DataFrame:
    """How many choose what, by year."""
    counts = lives.groupby(["period", "branch"]).size().unstack(fill_value=0).reindex(columns=range(4), fill_value=0)
    counts.columns = CHOICES
    return counts / counts.sum(axis=1).iloc[0]


def effect(k: int, circuit: sc.ModelCircuit, lives: pd.DataFrame, agents: int) -> dict[str, float]:
    """What the subsidy does to schooling and experience at the end, with the same draws."""
    cheaper = circuit.with_parameters({"main.college": circuit.parameters["main"]["college"] + SUBSIDIES[k]})
    last = [frame[frame["period"] == len(circuit) - 1] for frame in (live(sc.solve(cheaper), agents), lives)]
    return {name: float(last[0][f"{name}_cntn"].mean() - last[1][f"{name}_cntn"].mean()) for name in EFFECTS[k]}


def offers(circuit: sc.ModelCircuit, s, x1, x2, enrolled, seed: int) -> dict[str, np.ndarray]:
    """131,072 offers of a year by hand: scrambled points of Sobol, whose mean is nearer than that of independent draws."""
    p = {name: float(x) for name, x in circuit.parameters["main"].items()}
    z = ndtri(qmc.Sobol(4, seed=seed).random_base2(17))
    for i, rho in ((1, p["rho_wages"]), (3, p["rho_tastes"])):
        z[:, i] = rho * z[:, i - 1] + np.sqrt(1 - rho**2) * z[:, i]
    wage = lambda job, own, other: (
        p[f"{job}0"] + p[f"{job}_s"] * s + p[f"{job}_own"] * own + p[f"{job}_own2"] * own**2
        + p[f"{job}_other"] * other + p[f"{job}_other2"] * other**2
    )  # fmt: skip
    return {
        "w1": np.exp(wage("one", x1, x2) + p["sd_one"] * z[:, 0]),
        "w2": np.exp(wage("two", x2, x1) + p["sd_two"] * z[:, 1]),
        "r3": p["school"] + p["college"] * (s >= 12) + p["back"] * (1 - enrolled) + p["sd_school"] * z[:, 2],
        "r4": p["home"] + p["sd_home"] * z[:, 3],
    }


def expected_maximum(solved: sc.ModelCircuit, lives: pd.DataFrame, states: int) -> pd.DataFrame:
    """The expected maximum by nodes, and by draws, at states where some agents are; half of them in the last year."""
    late = lives[lives["period"] == len(solved) - 1]
    some = pd.concat([f.sample(states // 2, random_state=1994) for f in (lives, late)])
    rows = []
    for i, at in enumerate(some.itertuples(index=False)):
        career = solved[int(at.period)]["CAREER"]
        state = {"s": float(at.s), "x1": float(at.x1), "x2": float(at.x2)}
        drawn = offers(solved, **state, enrolled=float(at.enrolled), seed=i)
        by_draws = career.dcsn.sol.value(**state, **{name: jnp.asarray(x) for name, x in drawn.items()})
        by_nodes = career.arvl.sol.value(**state, enrolled=float(at.enrolled))
        rows.append((at.period, float(by_nodes), float(jnp.mean(by_draws))))
    table = pd.DataFrame(rows, columns=["period", "by nodes", "by draws"])
    return table.assign(error=table["by nodes"] / table["by draws"] - 1)


def draw_figure(found: dict, published: pd.DataFrame, path: Path) -> None:
    """Shares of choices by age, published ones as points."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(found), figsize=(5 * len(found), 4), layout="constrained", squeeze=False)
    for ax, (k, ours) in zip(axes[0], found.items(), strict=True):
        for i, name in enumerate(CHOICES):
            ax.plot(16 + ours.index, ours[name], f"C{i}", label=name)
            ax.plot(16 + ours.index, published.loc[k, name].iloc[: len(ours)], f"C{i}.", markersize=4)
        ax.set(xlabel="age", ylabel="share", title=f"parametrisation {k}")
    axes[0, 0].legend(frameon=False)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(which: tuple = (1, 2, 3), nodes: tuple = (9, 3), agents: int = 10_000, states: int = 40) -> dict:
    """Everything, of some of the parametrisations; `states` at which the expected maximum is drawn."""
    sc.enable_x64()
    published = pd.read_csv(HERE / "shares.csv").set_index(["parametrisation", "period"])
    found, errors, effects, checks = {}, {}, {}, {}
    for k in which:
        circuit = sc.solve(load(k, nodes))
        lives = live(circuit, agents)
        found[k] = shares(lives)
        gap = np.abs(found[k].to_numpy() - published.loc[k].to_numpy())
        errors[k] = expected_maximum(circuit, lives, states)
        effects[k] = pd.DataFrame(EFFECTS[k], index=["published", "deviation"]).T.assign(ours=effect(k, circuit, lives, agents))
        print(f"parametrisation {k}\n\n{_beside(found[k], published.loc[k])}\n")
        print(f"shares: mean difference {gap.mean():.4f}, largest {gap.max():.4f}")
        print(f"expected maximum by {(nodes[0] * nodes[1]) ** 2} nodes against 131,072 draws at {states} states: errors up to "
              f"{errors[k]['error'].abs().max():.2%}, {errors[k]['error'].abs().mean():.3%} in the mean\n")  # fmt: skip
        print(f"a subsidy of ${SUBSIDIES[k]:.0f} a year at college:\n{effects[k].round(3)}\n")
        checks |= {f"mean share {k}": gap.mean(), f"largest share {k}": gap.max(),
                   f"expected maximum {k}": errors[k]["error"].abs().max()}  # fmt: skip
        far = (effects[k]["ours"] - effects[k]["published"]).abs() / effects[k]["deviation"]
        checks |= {f"effect on {name} {k}": x for name, x in far.items()}
    draw_figure(found, published, FIGURE)
    print(f"figure: {FIGURE}")
    return {"shares": found, "errors": errors, "effects": effects, "checks": checks}


def _beside(ours: pd.DataFrame, published: pd.DataFrame) -> str:
    """Every fifth year, ours before the published one."""
    years, columns = [*range(0, len(ours), 5), len(ours) - 1], {}
    for name in CHOICES:
        columns[name], columns[f"{name}, published"] = (x[name].to_numpy()[years] for x in (ours, published))
    return pd.DataFrame(columns, index=[16 + t for t in years]).round(3).rename_axis("age").to_string()


if __name__ == "__main__":
    main()
