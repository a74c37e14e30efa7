"""Two estimations with exact gradients: workers by maximum likelihood, the life cycle by simulated moments.

The first finds seven parameters of `retirement.yml` from 2,000 workers over 20 years: who works, the wage that cash on hand
tells, and consumption, measured with an error. The second finds five of `cons_indshock`, two of them growth of income over a
range of ages, from profiles of 10,000 households, and counts the noise of its own simulation. Both know the truth, which drew
the data. The second goes from many starts, which `mpirun -n 4 python examples/estimation/main.py` shares among its processes.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pandas as pd

import stagecraft as sc
from dynx_runner import MLE, SMM, CircuitRunner, Moments, mpi_map
from dynx_runner.estimation.transforms import Pieces

HERE = Path(__file__).parent
FIGURE = HERE / "output" / "estimation.png"
SAVER = (HERE.parent / "cons_indshock" / "cons_indshock.yml").read_text()

WORKERS = {"main.beta": (0.8, 1.0), "main.w": (5.0, 50.0), "main.sigma_w": (0.01, 1.0), "main.delta": (0.0, 3.0),
           "main.toil": (-0.1, 0.3), "main.sigma_eps": (0.02, 1.0), "main.sigma_c": (0.02, 1.0)}  # fmt: skip
BEGIN = {"main.beta": 0.95, "main.w": 16.0, "main.sigma_w": 0.25, "main.delta": 1.1, "main.toil": 0.0, "main.sigma_eps": 0.3}
LIFE = {
    "CONS.beta": (0.85, 0.999),
    "CONS.gamma": (0.5, 10.0),
    "CONS.sigma_y": (0.01, 0.6),
    "CONS.G": Pieces((25, 45, 65), 0.9, 1.15),
}
PROFILES = "\n".join(
    f"- {{of: {name}, kind: {kind}, ages: [{age}, {age + 4}]}}"
    for name, kind in (("CONS.a_nxt", "mean"), ("CONS.c", "mean"), ("CONS.c", "variance"))
    for age in (28, 36, 44, 52, 60, 70)
)


def survey(circuit: sc.ModelCircuit, workers: int, key) -> pd.DataFrame:
    """What is known of workers: assets, cash, decisions, and consumption with an error of its logarithm."""
    draw, first, noise = jax.random.split(key, 3)
    initial = {"LABR": {"a": jax.random.uniform(first, (workers,), maxval=80.0)}}
    frame = sc.simulate(sc.solve(circuit), initial, key=draw).to_pandas()
    error = circuit.parameters["main"]["sigma_c"] * jax.random.normal(noise, (len(frame),))
    return frame.assign(c=frame["c"] * np.exp(np.asarray(error)))


def of_workers(workers: int, text: str):
    """The estimate of seven parameters."""
    circuit = sc.load(text)
    observe = {"LABR": ["a", "branch"], "WORK": ["a", "m"], "RETD": ["a"]}
    errors = {stage: ("log", "main.sigma_c") for stage in ("WORK.c", "RETD.c")}
    return MLE(circuit, WORKERS, survey(circuit, workers, jax.random.key(2026)), observe, errors=errors).fit(BEGIN)


def of_life(text: str, households: int, agents: int) -> tuple[SMM, dict]:
    """The estimator of five parameters, and the truth."""
    circuit = sc.load(text)
    panel = sc.simulate(sc.solve(circuit), {"a": 0.0}, agents=households, keep=["a_nxt", "c"], key=jax.random.key(25))
    profiles = Moments.read(PROFILES, {"a": 0.0}, agents=agents)
    data, covariance = profiles.of_data(panel.to_pandas())
    estimator = SMM(circuit, LIFE, profiles, data, weights="diagonal", covariance=covariance, key=jax.random.key(7))
    return estimator, {"CONS.beta": 0.96, "CONS.gamma": 2.0, "CONS.sigma_y": 0.1, "CONS.G[25..45]": 1.03, "CONS.G[45..65]": 1.0}


def many_starts(estimator: SMM, starts: int):
    """Estimates from starts between the bounds, shared among the processes of `mpirun`; the best of them first."""
    low, high = estimator.task.free.bounds()
    names = [f"start.{i}" for i in range(3)]

    def begin(configs, stages, connections):
        del stages, connections
        return dict(zip(list(LIFE)[:3], configs["start"].values(), strict=True))

    runner = CircuitRunner(
        {"start": {str(i): float(z) for i, z in enumerate(estimator.task.own[:3])}}, {}, {},
        param_specs={n: (low[i] + 0.1 * (high[i] - low[i]), high[i] - 0.1 * (high[i] - low[i])) for i, n in enumerate(names)},
        model_factory=begin,
        solver=lambda start: estimator.fit(start, check=False),
        metric_fns={"distance": lambda fit: fit.criterion, "converged": lambda fit: float(fit.converged),
                    "evaluations": lambda fit: float(fit.traces[0].evaluations)}
        | {name: lambda fit, i=i: float(fit.z[i]) for i, name in enumerate(estimator.task.free.names)},
    )  # fmt: skip
    return mpi_map(runner, runner.sample_prior(starts, seed=1)).sort_values("distance")


def against(fit, truth: dict, **kind) -> pd.DataFrame:
    """Estimates, their errors, the truth, and how many errors lie between."""
    errors = np.sqrt(np.diag(fit.covariance(**kind)))
    table = pd.DataFrame({"estimate": fit.z, "s.e.": errors, "truth": list(truth.values())}, index=list(fit.names))
    return table.assign(distance=(table["estimate"] - table["truth"]) / table["s.e."])


def draw_figure(workers, life, path: Path) -> None:
    """Who works, with the band of the estimate; moments of the life cycle beside the data's; what estimates rest on."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(16, 5), layout="constrained")
    a = jnp.linspace(0.0, 150.0, 100)
    workers.plot_band(lambda s: s[8]["LABR"].dcsn.sol.probability["work"](a=a), a, axes[0])
    axes[0].set(xlabel="assets", ylabel="probability of work in year 8")
    life.plot_moments(axes[1])
    life.plot_starts(axes[2])
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(
    workers: int = 2_000, households: int = 10_000, agents: int = 10_000, starts: int = 4, points: tuple = (150, 100)
) -> dict:
    """Everything; `points` of the grids of both models, `starts` of the second estimation."""
    sc.enable_x64()
    text = (HERE / "retirement.yml").read_text().replace("n: 150", f"n: {points[0]}")
    first = of_workers(workers, text)
    truth = {path: float(first.task.circuit.parameters["main"][path.removeprefix("main.")]) for path in WORKERS}
    print(first, "\n\n", against(first, truth), "\n")

    estimator, truth_of_life = of_life(
        SAVER.replace("n_a: 200", f"n_a: {points[1]}").replace("n_y: 7", "n_y: 15"), households, agents
    )
    ends = many_starts(estimator, starts)
    print(ends.drop(columns=["error", "traceback", "status", "seconds"], errors="ignore").to_string(index=False), "\n")
    best = {path: float(ends[path].iloc[0]) for path in list(LIFE)[:3]}
    second = estimator.fit(best, starts=2, key=jax.random.key(3))
    print(second, "\n\n", against(second, truth_of_life), "\n")
    print(second.check.to_string(index=False), "\n")
    print(second.identification().to_string(index=False))
    draw_figure(first, second, FIGURE)
    print(f"\nfigure: {FIGURE}")
    tables = {"workers": against(first, truth), "life": against(second, truth_of_life)}
    return {"workers": first, "life": second, "tables": tables, "ends": ends}


if __name__ == "__main__":
    main()
