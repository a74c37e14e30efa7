"""What a push through the life cycle costs beside a loop in Numba over the same policies, and its gradient beside it.

python benchmarks/distributions.py     (the Numba row needs numba, in an environment of its own)
"""

from pathlib import Path

import equinox as eqx
import jax
import numpy as np
import pandas as pd
from timing import seconds

import stagecraft as sc

EXAMPLE = Path(__file__).parents[1] / "examples" / "cons_indshock" / "cons_indshock.yml"


def lottery_loop(state, control, returns, nodes, odds, grid, mass):
    """Every period: each cell and node asks the stored policy, and splits its mass between the two knots around it."""
    periods, knots = state.shape
    after = np.zeros((periods + 1, grid.size))
    after[0] = mass
    for t in range(periods):
        for i in range(grid.size):
            if after[t, i] == 0.0:
                continue
            for k in range(nodes.size):
                m = returns[t] * grid[i] + nodes[k]
                j = min(max(np.searchsorted(state[t], m, side="right") - 1, 0), knots - 2)
                share = (m - state[t, j]) / (state[t, j + 1] - state[t, j])
                c = m if m <= state[t, 0] else control[t, j] + share * (control[t, j + 1] - control[t, j])
                a = min(max(m - c, grid[0]), grid[-1])
                j = min(max(np.searchsorted(grid, a, side="right") - 1, 0), grid.size - 2)
                share = (a - grid[j]) / (grid[j + 1] - grid[j])
                part = after[t, i] * odds[k]
                after[t + 1, j] += part * (1.0 - share)
                after[t + 1, j + 1] += part * share
    return after


def measure(points: int) -> dict:
    """One row of the table."""
    text = EXAMPLE.read_text()
    assert "n_a: 200" in text
    solved = sc.solve(sc.load(text.replace("n_a: 200", f"n_a: {points}")))
    # From the knots to the knots, so that both sides begin with the same mass.
    grid = np.asarray(solved[0]["CONS"].cntn_to_dcsn.operator.problem.knots)
    sample = {"a": grid[grid < 5.0]}

    @jax.jit
    def ours(circuit):
        return sc.push_forward(circuit, sample).dists

    @eqx.filter_jit
    def slope(circuit):
        return eqx.filter_grad(lambda x: sc.push_forward(x, sample)[50]["CONS"].cntn.dist.mean("a_nxt"))(circuit)

    @jax.jit
    def forward(circuit):
        return sc.push_forward(circuit, sample)[50]["CONS"].cntn.dist.mean("a_nxt")

    row = {"points": points}
    works = [lambda: ours(solved).masses, lambda: forward(solved), lambda: slope(solved)]
    names = ["push", "push and mean", "gradient"]
    try:
        from numba import njit
    except ImportError:
        loop = None
    else:
        rows, stages = solved.stored[0]["CONS"], [solved[t]["CONS"] for t in range(len(solved))]
        problem = stages[0].dcsn_to_arvl.operator.problem
        scopes = [solved.scope("CONS", t) for t in range(len(solved))]
        returns = np.array([float(s["R"] / s["G"]) for s in scopes])
        mass = np.where(grid < 5.0, 1.0, 0.0)
        args = (*map(np.asarray, (rows.state, rows.control)), returns, np.asarray(problem.nodes["y"]),
                np.asarray(problem.weights), grid, mass / mass.sum())  # fmt: skip
        loop = njit(lottery_loop)
        works.append(lambda: loop(*args))
        names.append("numba")
    for work in works:
        work()
    row |= dict(zip(names, seconds(*works, repeat=15), strict=True))
    row["gradient / push"] = row["gradient"] / row["push and mean"]
    if loop is not None:
        theirs = loop(*args)
        mine = np.concatenate([np.asarray(x["CONS"]) for x in ours(solved).masses])
        row |= {"push / numba": row["push"] / row["numba"], "apart": np.abs(mine[1:] - theirs[1:-1]).max()}
    return row


if __name__ == "__main__":
    sc.enable_x64()
    print(pd.DataFrame([measure(n) for n in (200, 1_000)]).to_string(index=False, float_format="{:.3g}".format))
