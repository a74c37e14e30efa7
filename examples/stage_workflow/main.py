"""One stage by itself: built, inspected, solved from a given continuation, simulated.

The continuation is a plain JAX function, V(a') = 8 log(a' + 1), so the policy of this one stage has to satisfy
u'(c) = beta*8/(m - c + 1) wherever saving is positive; the table checks it.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib
import pandas as pd

import stagecraft as sc

HERE = Path(__file__).parent
MODEL = HERE / "saver.yml"
FIGURE = HERE / "output" / "stage.png"


def continuation(a_nxt):
    """What comes after the stage."""
    return 8.0 * jnp.log(a_nxt + 1.0)


def status(stage: sc.Stage) -> dict:
    """The five status properties of a stage."""
    return {word: getattr(stage, word) for word in ("initialised", "compiled", "solvable", "solved", "simulated")}


def check(stage: sc.Stage, beta: float) -> pd.DataFrame:
    """The first-order condition at cash on hand off the knots."""
    m = jnp.array([0.05, 0.5, 1.0, 2.0, 4.0, 8.0])
    c = stage.dcsn.sol.policy["c"](m=m)
    gap = 1.0 / c - beta * 8.0 / (m - c + 1.0)
    return pd.DataFrame({"m": m, "c": c, "saving": m - c, "condition": jnp.where(m - c > 1e-9, gap, jnp.nan)})


def draw_figure(stage: sc.Stage, path: Path) -> None:
    """The three perches with their movers, and the policy."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    sc.draw(stage, ax=left)
    m = jnp.linspace(0.0, 6.0, 300)
    right.plot(m, stage.dcsn.sol.policy["c"](m=m))
    right.plot(m, m, ":", color="0.6")
    right.set(xlabel="cash on hand $m$", ylabel="consumption $c(m)$", ylim=(0, 2.5))
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> dict:
    """Run everything; returns the stage at each step and the table."""
    sc.enable_x64()
    circuit = sc.load(MODEL)
    stage = circuit[0]["SAVE"]
    print(stage, "\n")
    print(sc.explain(stage), "\n")
    steps = {"built": status(stage)}

    stage = stage.with_continuation(continuation)
    steps["with a continuation"] = status(stage)
    stage = sc.solve(stage)
    steps["solved"] = status(stage)
    stage = sc.simulate(stage, {"a": jnp.linspace(0.0, 3.0, 5_000)}, key=jax.random.key(0))
    steps["simulated"] = status(stage)
    print(pd.DataFrame(steps).T, "\n")

    print(f"mean assets: {stage.arvl.dist.mean('a'):.4f} on arrival, {stage.cntn.dist.mean('a_nxt'):.4f} after the choice\n")
    table = check(stage, beta=float(circuit.parameters["SAVE"]["beta"]))
    draw_figure(stage, FIGURE)
    print(f"figure: {FIGURE}\n")
    print(table.to_string(index=False))
    return {"stage": stage, "steps": steps, "table": table}


if __name__ == "__main__":
    main()
