"""One model file, from text to figure, gradient and sweep.

Loads `cons_indshock.yml`, prints what was derived from it, solves it, simulates 10,000 households, saves a figure, prints the
gradient of mean wealth at 65 beside central differences, and sweeps 20 draws from a prior.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pandas as pd

import stagecraft as sc
from dynx_runner import CircuitRunner, circuit_factory, mpi_map

HERE = Path(__file__).parent
MODEL = HERE / "cons_indshock.yml"
FIGURE = HERE / "output" / "cons_indshock.png"
AGENTS, RETIREMENT = 10_000, 65 - 25
STEP = 1e-6


def initial_assets(agents: int = AGENTS) -> dict:
    """Households begin with little, spread evenly between nothing and half a year's income."""
    return {"a": jnp.linspace(0.0, 0.5, agents)}


def mean_wealth(circuit: sc.ModelCircuit, parameters: dict) -> jax.Array:
    """Mean assets on arrival at 65 as a function of every parameter: solve, simulate, average."""
    solved = sc.solve(circuit.with_parameters(parameters))
    panel = sc.simulate(solved, initial_assets(), key=jax.random.key(2026))
    return panel["CONS"]["a"][RETIREMENT].mean()


def gradient_table(circuit: sc.ModelCircuit) -> pd.DataFrame:
    """The exact gradient beside central differences; a by-age parameter is moved at all ages at once."""
    wealth = jax.jit(lambda p: mean_wealth(circuit, p))
    gradient = jax.jit(jax.grad(lambda p: mean_wealth(circuit, p)))(circuit.parameters)
    rows = []
    for scope, names in circuit.parameters.items():
        for name, value in names.items():
            moved = lambda h, s=scope, n=name, v=value: {s: {n: v + h * jnp.ones_like(v)}}
            up, down = (wealth({**circuit.parameters, scope: {**names, **moved(h)[scope]}}) for h in (STEP, -STEP))
            exact, difference = float(gradient[scope][name].sum()), float(up - down) / (2 * STEP)
            rows.append({"parameter": f"{scope}.{name}", "gradient": exact, "central difference": difference})
    table = pd.DataFrame(rows)
    table["relative gap"] = (table["gradient"] / table["central difference"] - 1).abs()
    return table


def draw_figure(solved: sc.ModelCircuit, panel: sc.Panel, path: Path) -> None:
    """Consumption policies by age, and the mean life cycle of assets and consumption between the 10th and 90th percentile."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    m = np.linspace(0.05, 10, 400)
    for age in (25, 45, 64, 75, 89):
        left.plot(m, solved[age - 25]["CONS"].dcsn.sol.policy["c"](m=m), label=f"age {age}")
    left.set(xlabel="cash on hand $m$", ylabel="consumption $c(m)$", title="Policies by age")
    left.legend(frameon=False)
    ages = 25 + np.arange(len(solved))
    for name, label in (("a", "assets"), ("c", "consumption")):
        data = np.asarray(panel["CONS"][name])
        (line,) = right.plot(ages, data.mean(axis=1), label=f"mean {label}")
        low, high = np.percentile(data, [10, 90], axis=1)
        right.fill_between(ages, low, high, alpha=0.2, color=line.get_color())
    right.set(xlabel="age", ylabel="in units of permanent income", title="Life cycle (10th to 90th percentile)")
    right.legend(frameon=False)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def sweep(draws: int = 20) -> pd.DataFrame:
    """Draw patience and risk aversion from a prior, and solve and simulate each draw."""
    rng = np.random.default_rng(0)
    uniform = lambda low, high: (low, high, lambda n: rng.uniform(low, high, n))

    def wealth_at_65(solved):
        panel = sc.simulate(solved, initial_assets(2_000), key=jax.random.key(1))
        return panel["CONS"]["a"][RETIREMENT].mean()

    runner = CircuitRunner(
        epochs_cfgs={},
        stage_cfgs={},
        conn_cfg={},
        param_specs={"CONS.parameters.beta": uniform(0.92, 0.98), "CONS.parameters.gamma": uniform(1.5, 4.0)},
        model_factory=circuit_factory(MODEL),
        solver=sc.solve,
        metric_fns={"wealth_at_65": wealth_at_65, "euler_error": lambda s: sc.euler_errors(s, agents=500).mean},
    )
    return mpi_map(runner, runner.sample_prior(draws), progress=True)


def main() -> dict:
    """Run everything; returns the tables and the solution."""
    sc.enable_x64()
    circuit = sc.load(MODEL)
    print(sc.explain(circuit), "\n")

    solved = sc.solve(circuit)
    panel = sc.simulate(solved, initial_assets(), key=jax.random.key(2026))
    print(panel.to_pandas().head(), "\n")
    print(sc.euler_errors(solved, panel), "\n")

    draw_figure(solved, panel, FIGURE)
    print(f"figure: {FIGURE}\n")

    gradients = gradient_table(circuit)
    print("d(mean wealth at 65)/d(parameter)")
    print(gradients.to_string(index=False), "\n")

    draws = sweep()
    print(draws.drop(columns=["error", "traceback"], errors="ignore").to_string(index=False))
    return {"solved": solved, "panel": panel, "gradients": gradients, "draws": draws}


if __name__ == "__main__":
    main()
