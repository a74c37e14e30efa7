"""A first estimation: patience, risk aversion and income risk from the life cycle of assets and consumption.

Twelve moments of `push_forward`, without sampling error, are matched by minimum distance: Levenberg-Marquardt with exact
Jacobians from four starts at once, and Adam on a schedule beside it. First the data are the moments at the true values, which
must be found again; then those of a panel of 10,000 households, with standard errors and a test of the nine overidentifying
restrictions. The residual is a plain function of `circuit.parameters`.
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import optax
import optimistix as optx
import pandas as pd
from scipy.stats import chi2

import stagecraft as sc

HERE = Path(__file__).parent
MODEL = HERE.parent / "cons_indshock" / "cons_indshock.yml"
FIGURE = HERE / "output" / "estimation_first.png"
# The parameters, between bounds that a logit keeps; four points to start from.
BOUNDS = {"CONS.beta": (0.85, 0.999), "CONS.gamma": (0.5, 10.0), "CONS.sigma_y": (0.01, 0.6)}
STARTS = jnp.array([[0.90, 1.2, 0.20], [0.98, 5.0, 0.05], [0.93, 4.0, 0.30], [0.97, 1.0, 0.15]])
AGES = (30, 40, 50, 60, 70, 80)
INITIAL = {"a": 0.0}


def profiles(circuit: sc.ModelCircuit, parameters: dict, ages=AGES) -> jax.Array:
    """Mean assets and the variance of consumption by age, (2, ages), as a function of every parameter."""
    pushed = sc.push_forward(sc.solve(circuit.with_parameters(parameters)), INITIAL)
    stages = [pushed[age - 25]["CONS"] for age in ages]
    return jnp.array([[s.cntn.dist.mean("a_nxt") for s in stages], [s.dcsn.dist.variance("c") for s in stages]])


def observed(panel: sc.Panel, ages=AGES) -> tuple[np.ndarray, np.ndarray]:
    """The same moments of a panel, and their covariance: that of each household's part in them (its influence function)."""
    a, c = (np.asarray(panel["CONS"][name])[np.array(ages) - 25] for name in ("a_nxt", "c"))
    parts = np.concatenate([a, (c - c.mean(axis=1, keepdims=True)) ** 2])
    return parts.mean(axis=1).reshape(2, -1), np.cov(parts) / parts.shape[1]


def free(theta: jax.Array) -> jax.Array:
    """Parameters between their bounds to the real line."""
    low, high = jnp.array(list(BOUNDS.values())).T
    return jax.scipy.special.logit((theta - low) / (high - low))


def bound(x: jax.Array) -> jax.Array:
    """And back."""
    low, high = jnp.array(list(BOUNDS.values())).T
    return low + (high - low) * jax.nn.sigmoid(x)


def distance(circuit: sc.ModelCircuit, covariance: np.ndarray):
    """The residual $L^{-1}(m(\\theta) - \\hat m)$ with $LL'$ the moments' covariance: independent, of variance one at the truth."""
    root = jnp.linalg.cholesky(jnp.asarray(covariance))

    def residual(parameters: dict, data: jax.Array) -> jax.Array:
        return jax.scipy.linalg.solve_triangular(root, (profiles(circuit, parameters) - data).ravel(), lower=True)

    return lambda theta, data: residual(dict(zip(BOUNDS, theta, strict=True)), data)


def levenberg_marquardt(residual, data, starts, steps: int = 100) -> dict:
    """All starts at once; with three parameters a Jacobian is three directions forward."""
    solver = optx.LevenbergMarquardt(rtol=1e-10, atol=1e-10)

    def one(start):
        fn = lambda x, data: residual(bound(x), data)
        found = optx.least_squares(fn, solver, free(start), data, options={"jac": "fwd"}, max_steps=steps, throw=False)
        return bound(found.value), jnp.sum(residual(bound(found.value), data) ** 2), found.stats["num_steps"]

    theta, loss, count = jax.jit(jax.vmap(one))(starts)
    return {"theta": theta, "loss": loss, "steps": count}


def adam(residual, data, starts, steps: int = 300) -> dict:
    """Adam, whose steps fall to nothing along a cosine; the gradient is $2J'r$."""
    optimiser = optax.adam(optax.cosine_decay_schedule(0.1, steps))

    def slope(x):
        r, forward = jax.linearize(lambda x: residual(bound(x), data), x)
        return r, 2 * jax.vmap(forward)(jnp.eye(3)) @ r

    def step(carry, _):
        x, state = carry
        r, gradient = slope(x)
        moves, state = optimiser.update(gradient, state)
        return (optax.apply_updates(x, moves), state), jnp.sum(r**2)

    def one(start):
        (x, _), path = jax.lax.scan(step, (free(start), optimiser.init(free(start))), length=steps)
        return bound(x), jnp.sum(residual(bound(x), data) ** 2), path

    theta, loss, path = jax.jit(jax.vmap(one))(starts)
    return {"theta": theta, "loss": loss, "path": path}


def inference(residual, data, theta) -> tuple[pd.DataFrame, np.ndarray]:
    r"""Estimates with standard errors from $(J'J)^{-1}$, efficient since residuals are of unit variance, and $J$'s singular
    values, of columns in units of the parameters themselves."""
    jacobian = np.asarray(jax.jit(jax.jacfwd(residual))(theta, data))
    errors = np.sqrt(np.diag(np.linalg.inv(jacobian.T @ jacobian)))
    table = pd.DataFrame({"estimate": theta, "standard error": errors}, index=list(BOUNDS))
    return table, np.linalg.svd(jacobian * np.asarray(theta), compute_uv=False)


def draw_figure(circuit, data, covariance, fits: dict, descent, path: Path) -> None:
    """Profiles at the starts and at the estimate beside the data with two standard errors; how the distance falls."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(14, 4.2), layout="constrained")
    ages, errors = np.arange(26, 90), 2 * np.sqrt(np.diag(covariance)).reshape(2, -1)
    lines = jax.jit(lambda theta: profiles(circuit, dict(zip(BOUNDS, theta, strict=True)), ages))
    for label, theta in fits.items():
        style = {"lw": 0.9, "ls": ":", "color": "grey"} if label.startswith("start") else {"lw": 1.4}
        for ax, line in zip(axes, lines(theta), strict=False):
            ax.plot(ages, line, label=None if label.startswith("start ") and label != "start 1" else label, **style)
    for ax, x, e, title in zip(axes, data, errors, ("Mean assets", "Variance of consumption"), strict=False):
        ax.errorbar(AGES, x, e, fmt="o", color="black", capsize=3, label="data")
        ax.set(xlabel="age", title=title, ylim=(0, 2.2 * np.max(x)))
        ax.legend(frameon=False)
    axes[2].semilogy(np.asarray(descent["path"]).T, lw=1)
    axes[2].set(xlabel="step of Adam", title="Squared distance from four starts")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(points: int = 200, agents: int = 10_000, steps: int = 300) -> dict:
    """Run everything; `points` of the grid of assets, households of the panel, steps of Adam."""
    sc.enable_x64()
    circuit = sc.load(MODEL.read_text().replace("n_a: 200", f"n_a: {points}"))
    truth = jnp.array([circuit.parameters["CONS"][path.removeprefix("CONS.")] for path in BOUNDS])
    panel = sc.simulate(sc.solve(circuit), INITIAL, agents=agents, key=jax.random.key(2026))
    sampled, covariance = observed(panel)
    residual = distance(circuit, covariance)

    found = {}
    for label, data in (("moments at the truth", profiles(circuit, circuit.parameters)), ("a panel", jnp.asarray(sampled))):
        fit = levenberg_marquardt(residual, data, STARTS)
        best = fit["theta"][jnp.argmin(fit["loss"])]
        table, singular = inference(residual, data, best)
        table["truth"] = truth
        found[label] = {**fit, "best": best, "table": table, "singular": singular, "data": data}
        print(f"{label}: squared distance {np.asarray(fit['loss'])} after {np.asarray(fit['steps'])} steps")
        print(f"{table}\nsingular values of the Jacobian: {singular.round(2)}\n")
    last = found["a panel"]
    overidentified = float(chi2.sf(last["loss"].min(), covariance.shape[0] - len(BOUNDS)))
    print(f"the model is as far from the data with probability {overidentified:.2f}")

    descent = adam(residual, last["data"], STARTS, steps)
    print(f"Adam, {steps} steps: squared distance {np.asarray(descent['loss'])}\n{np.asarray(descent['theta'])}")
    starts = {f"start {i + 1}": theta for i, theta in enumerate(STARTS)}
    draw_figure(circuit, last["data"], covariance, {**starts, "fitted": last["best"]}, descent, FIGURE)
    print(f"figure: {FIGURE}")
    return {"found": found, "adam": descent, "p": overidentified, "truth": truth}


if __name__ == "__main__":
    main()
