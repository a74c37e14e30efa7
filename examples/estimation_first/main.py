"""A first estimation: patience, risk aversion and income risk from the life cycle of assets and consumption.

Twelve moments of `push_forward`, without sampling error, are matched by minimum distance: Levenberg-Marquardt with exact
Jacobians from four starts at once, and Adam on a schedule beside it. First the data are the moments at the true values, which
must be found again; then those of a panel of 10,000 households, with standard errors and a test of the nine overidentifying
restrictions. The residual is a plain function of `circuit.parameters`. A panel of this size tells a moment from one that is
computed with the file's seven nodes of income, so that there are more here.
"""

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
STARTS = jnp.array([[0.90, 1.2, 0.20], [0.98, 5.0, 0.05], [0.93, 4.0, 0.30], [0.97, 1.2, 0.15]])
AGES = (30, 40, 50, 60, 70, 80)
INITIAL = {"a": 0.0}


def profiles(solved: sc.ModelCircuit, ages=AGES) -> jax.Array:
    """Mean assets and the variance of consumption by age, (2, ages)."""
    pushed = sc.push_forward(solved, INITIAL, refine=2)
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
    r"""The residual $L^{-1}(m(\theta) - \hat m)$ with $LL'$ the covariance of moments: of unit variance at the truth."""
    root = jnp.linalg.cholesky(jnp.asarray(covariance))

    def residual(parameters: dict, data: jax.Array) -> jax.Array:
        moments = profiles(sc.solve(circuit.with_parameters(parameters)))
        return jax.scipy.linalg.solve_triangular(root, (moments - data).ravel(), lower=True)

    return lambda theta, data: residual(dict(zip(BOUNDS, theta, strict=True)), data)


def levenberg_marquardt(residual, steps: int = 100):
    """Data and starts to estimates, compiled once; with three parameters a Jacobian is three directions forward."""
    solver = optx.LevenbergMarquardt(rtol=1e-10, atol=1e-10)

    def one(data, start):
        fn = lambda x, data: residual(bound(x), data)
        found = optx.least_squares(fn, solver, free(start), data, options={"jac": "fwd"}, max_steps=steps, throw=False)
        return {"theta": bound(found.value), "loss": 2 * found.state.f_info.as_min(), "steps": found.stats["num_steps"]}

    return jax.jit(lambda data, starts: jax.lax.map(lambda start: one(data, start), starts))


def adam(residual, steps: int):
    """The same by Adam, whose steps fall to nothing along a cosine; the gradient is $2J'r$."""
    optimiser = optax.adam(optax.cosine_decay_schedule(0.1, steps))

    def step(data, carry):
        x, state = carry
        r, forward = jax.linearize(lambda x: residual(bound(x), data), x)
        moves, state = optimiser.update(2 * jax.vmap(forward)(jnp.eye(len(BOUNDS))) @ r, state)
        return (optax.apply_updates(x, moves), state), jnp.sum(r**2)

    def one(data, start):
        begin = free(start), optimiser.init(free(start))
        (x, _), path = jax.lax.scan(lambda carry, _: step(data, carry), begin, length=steps)
        return {"theta": bound(x), "path": path}

    return jax.jit(lambda data, starts: jax.lax.map(lambda start: one(data, start), starts))


def inference(jacobian: np.ndarray, theta: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
    r"""Standard errors from $(J'J)^{-1}$, to which the sandwich comes down as residuals are of unit variance; and singular
    values of $J$ per unit of relative change, of which the least is a direction in which little is known."""
    errors = np.sqrt(np.diag(np.linalg.inv(jacobian.T @ jacobian)))
    table = pd.DataFrame({"estimate": theta, "standard error": errors}, index=list(BOUNDS))
    return table, np.linalg.svd(jacobian * theta, compute_uv=False)


def draw_figure(circuit, data, covariance, fits: list, descent, path: Path) -> None:
    """Profiles at the starts and at the estimate, the last of `fits`; data with two standard errors; Adam's descent."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(14, 4.2), layout="constrained")
    ages, errors = np.arange(26, 90), 2 * np.sqrt(np.diag(covariance)).reshape(2, -1)
    styles = [{"lw": 0.9, "ls": ":", "color": "grey"}] * (len(fits) - 1) + [{"label": "fitted"}]
    styles[0] = styles[0] | {"label": "starts"}
    for theta, style in zip(fits, styles, strict=True):
        lines = profiles(sc.solve(circuit.with_parameters(dict(zip(BOUNDS, theta, strict=True)))), ages)
        for ax, line in zip(axes, lines, strict=False):
            ax.plot(ages, line, **style)
    for ax, x, e, title in zip(axes, data, errors, ("Mean assets", "Variance of consumption"), strict=False):
        ax.errorbar(AGES, x, e, fmt="o", color="black", capsize=3, label="data")
        ax.set(xlabel="age", title=title, ylim=(0, 2.2 * np.max(x)))
        ax.legend(frameon=False)
    axes[2].semilogy(np.asarray(descent["path"]).T, lw=1)
    axes[2].set(xlabel="step of Adam", title="Squared distance from four starts")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(points: int = 100, nodes: int = 15, agents: int = 10_000, steps: int = 200) -> dict:
    """Run everything; `points` of the grid of assets, `nodes` of income, households of the panel, steps of Adam."""
    sc.enable_x64()
    circuit = sc.load(MODEL.read_text().replace("n_a: 200", f"n_a: {points}").replace("n_y: 7", f"n_y: {nodes}"))
    solved = sc.solve(circuit)
    truth = np.array([circuit.parameters["CONS"][path.removeprefix("CONS.")] for path in BOUNDS])
    sampled, covariance = observed(sc.simulate(solved, INITIAL, agents=agents, key=jax.random.key(2026)))
    residual = distance(circuit, covariance)
    fit, slopes = levenberg_marquardt(residual), jax.jit(jax.jacfwd(residual))

    found = {}
    for label, data in (("moments at the truth", profiles(solved)), ("a panel", jnp.asarray(sampled))):
        ends = jax.device_get(fit(data, STARTS))
        best = ends["theta"][np.argmin(ends["loss"])]
        table, singular = inference(np.asarray(slopes(best, data)), best)
        found[label] = {**ends, "best": best, "table": table.assign(truth=truth), "singular": singular}
        print(f"{label}: squared distance {ends['loss']} after {ends['steps']} steps\n{found[label]['table']}")
        print(f"singular values of the Jacobian: {singular.round(2)}\n")
    last = found["a panel"]
    last["p"] = float(chi2.sf(last["loss"].min(), covariance.shape[0] - len(BOUNDS)))
    print(f"the data of this model are that far from it with probability {last['p']:.2f}\n")

    descent = jax.device_get(adam(residual, steps)(jnp.asarray(sampled), STARTS))
    print(f"Adam, {steps} steps: squared distance {descent['path'][:, -1]}\n{descent['theta']}")
    draw_figure(circuit, sampled, covariance, [*STARTS, last["best"]], descent, FIGURE)
    print(f"\nfigure: {FIGURE}")
    return {"found": found, "adam": descent, "truth": truth}


if __name__ == "__main__":
    main()
