"""What the life-cycle example costs, cold and warm, and how exact it is: one table.

python benchmarks/life_cycle.py
"""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import pandas as pd
from timing import best

import stagecraft as sc

TEXT = (Path(__file__).parents[1] / "examples" / "cons_indshock" / "cons_indshock.yml").read_text()
AGENTS = 10_000


def row(points: int) -> dict:
    """Load, solve and differentiate at one grid size."""
    jax.clear_caches()
    circuit = sc.load(re.sub(r"n_a: \d+", f"n_a: {points}", TEXT))
    solve = lambda: sc.solve(circuit).stored
    cold, warm = best(solve, 1), best(solve, 20)

    @jax.jit
    def gradient(parameters):
        value = lambda p: sc.solve(circuit.with_parameters(p))[0]["CONS"].dcsn.sol.value(m=1.0)
        return jax.grad(value)(parameters)

    cold_gradient = best(lambda: gradient(circuit.parameters), 1)
    warm_gradient = best(lambda: gradient(circuit.parameters), 10)
    solved = sc.solve(circuit)
    panel = sc.simulate(solved, {"a": jnp.zeros(AGENTS)}, key=jax.random.key(0))
    simulated = best(lambda: sc.simulate(solved, {"a": jnp.zeros(AGENTS)}, key=jax.random.key(0)).data, 5)
    errors = sc.euler_errors(solved, panel)
    return {
        "points": points,
        "solve cold [s]": cold,
        "solve warm [ms]": 1e3 * warm,
        "gradient cold [s]": cold_gradient,
        "gradient / solve": warm_gradient / warm,
        f"simulate {AGENTS} [ms]": 1e3 * simulated,
        "Euler mean": errors.mean,
        "Euler max": errors.max,
    }


if __name__ == "__main__":
    sc.enable_x64()
    print(pd.DataFrame([row(n) for n in (100, 200, 500, 1000)]).to_string(index=False, float_format="{:.3g}".format))
