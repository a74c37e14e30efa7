"""Whether standard errors are those of estimates: samples drawn from known parameters, each estimated by the same programs.

    python benchmarks/monte_carlo.py rust 400
    python benchmarks/monte_carlo.py workers 200
    python benchmarks/monte_carlo.py savers 200

Seeds are 0 to R - 1. The table has, for each parameter, the truth, the mean of the estimates with its standard error, their
spread, the mean standard error over the spread (chance explains 3/sqrt(2R) of it), the share of intervals of 95 % that hold the
truth (three binomial standard errors beside it), and how many samples did not converge. `rust` is engine replacement with 50
buses of 120 months and 175 bins of mileage (RC 11.7257, theta 2.4569); `workers` and `savers` are those of
`examples/estimation`, smaller.
"""

import importlib.util
import sys
from pathlib import Path

import jax
import numpy as np
import pandas as pd

import stagecraft as sc
from dynx_runner import MLE, Moments

EXAMPLES = Path(__file__).parents[1] / "examples"
# Monthly increments of the buses, in bins of 2,571 miles (Rust 1987, table V, group 4).
ODDS = "[0.0937, 0.4475, 0.4459, 0.0127, 0.0002]"


def estimation():
    """The example whose models these are."""
    spec = importlib.util.spec_from_file_location("estimation", EXAMPLES / "estimation" / "main.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rust(seeds, buses: int = 50, months: int = 120, states: int = 175):
    """Fits of replacement, the laws of mileage known."""
    text = (EXAMPLES / "rust" / "rust.yml").read_text().replace("89", str(states - 1))
    text = text.replace("values: [0, 1, 2], probs: [p0, p1, 1 - p0 - p1]", f"values: [0, 1, 2, 3, 4], probs: {ODDS}")
    circuit = sc.load(text).with_parameters({"main.RC": 11.7257, "main.theta": 2.4569})
    solved, free, estimator = sc.solve(circuit), {"main.RC": (0.0, 60.0), "main.theta": (0.0, 30.0)}, None
    for seed in seeds:
        panel = sc.simulate(solved, {"s_pre": 0.0}, agents=buses, periods=months, keep=["s", "d"], key=jax.random.key(seed))
        seen = {"observe": {"BUS": ["s", "d"]}, "transitions": False}
        estimator = MLE(circuit, free, panel, **seen) if estimator is None else estimator.with_data(panel)
        yield estimator.fit(check=False)


def surveyed(count: int = 300, points: tuple = (60, 3), horizon: int = 10):
    """An estimator of seven parameters of workers, and of what it is a sample by a seed.

    Tastes differ by .4 here. With the .15 of the example consumption still jumps where a later retirement comes into view,
    and so does the likelihood in its parameters, for which the errors of smooth likelihoods are not meant.
    """
    example = estimation()
    text = (EXAMPLES / "estimation" / "retirement.yml").read_text().replace("horizon: 20", f"horizon: {horizon}")
    circuit = sc.load(text.replace("n: 150", f"n: {points[0]}").replace("n_w: 5", f"n_w: {points[1]}"))
    circuit = circuit.with_parameters({"main.sigma_eps": 0.4})
    observe = {"LABR": ["a", "branch"], "WORK": ["a", "m"], "RETD": ["a"]}
    errors = {stage: ("log", "main.sigma_c") for stage in ("WORK.c", "RETD.c")}
    # As many rows as there can be: everybody at every stage in every year. What samples have less of is filled up.
    places = pd.MultiIndex.from_product([range(count), range(horizon), observe], names=["agent", "period", "stage"])
    room = places.to_frame(index=False).assign(a=10.0, m=30.0, c=10.0, branch=0)
    estimator = MLE(circuit, example.WORKERS, room, observe, errors=errors)
    return lambda seed: estimator.with_data(example.survey(circuit, count, jax.random.key(seed)))


def workers(seeds, **sizes):
    """Fits of seven parameters of workers, by one set of programs."""
    sample = surveyed(**sizes)
    for seed in seeds:
        yield sample(seed).fit(check=False)


def saving(households: int = 3_000, agents: int = 3_000, points: tuple = (60, 11)):
    """Of what an estimator of five parameters of savers by simulated moments is by a seed, data and simulation drawn anew."""
    example = estimation()
    text = example.SAVER.replace("n_a: 200", f"n_a: {points[0]}").replace("n_y: 7", f"n_y: {points[1]}")
    circuit = sc.load(text)
    solved, profiles = sc.solve(circuit), Moments.read(example.PROFILES, {"a": 0.0}, agents=agents)

    def sample(seed):
        key = jax.random.key(seed)
        panel = sc.simulate(solved, {"a": 0.0}, agents=households, keep=["a_nxt", "c"], key=jax.random.fold_in(key, 1))
        data, covariance = profiles.of_data(panel.to_pandas())
        return example.SMM(circuit, example.LIFE, profiles, data, weights="diagonal", covariance=covariance, key=key)

    return sample


def savers(seeds, **sizes):
    """Fits of five parameters of savers."""
    sample = saving(**sizes)
    for seed in seeds:
        yield sample(seed).fit(check=False)


def table(fits) -> pd.DataFrame:
    """What the estimates of many samples say of the truth, that of the circuit itself."""
    z, errors, done = [], [], []
    for fit in fits:
        z.append(fit.z)
        errors.append(np.sqrt(np.diag(fit.covariance())))
        done.append(fit.converged)
        truth, names = fit.task.own, fit.names
    z, errors, done = np.stack(z), np.stack(errors), np.array(done)
    count, spread = done.sum(), z[done].std(axis=0, ddof=1)
    inside = (np.abs(z - truth) <= 1.96 * errors)[done].mean(axis=0)
    return pd.DataFrame({
        "truth": truth, "mean": z[done].mean(axis=0), "its s.e.": spread / np.sqrt(count), "spread": spread,
        "s.e./spread": errors[done].mean(axis=0) / spread, "by chance": 3 / np.sqrt(2 * count), "coverage": inside,
        "+-": 3 * np.sqrt(0.95 * 0.05 / count), "failed": int((~done).sum()),
    }, index=list(names))  # fmt: skip


if __name__ == "__main__":
    sc.enable_x64()
    which, samples = sys.argv[1], int(sys.argv[2])
    fits = {"rust": rust, "workers": workers, "savers": savers}[which](range(samples))
    print(f"{which}, {samples} samples\n{table(fits).round(4).to_string()}")
