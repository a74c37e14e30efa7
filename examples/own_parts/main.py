"""A saver with an income law, a grid, a felicity and a method that are the user's own, beside ours."""

from pathlib import Path

import jax.numpy as jnp
from grid import Quadratic
from horse import BestShare
from law import Triangular
from utility import felicity

import heptapod
import stagecraft as sc

MODEL = Path(__file__).with_name("model.yaml")


def load(method: str = "auto") -> sc.ModelCircuit:
    """The model with everything that it asks for, solved by our method or by the user's."""
    text = MODEL.read_text()
    if method != "auto":
        text = text.replace("  name: SAVE\n", f"  name: SAVE\n  methods: {{solution: {method}}}\n")
    return sc.load(
        text,
        horses=sc.HORSES | {"shares": BestShare},
        shocks=heptapod.SHOCKS | {"triangular": Triangular},
        grids=heptapod.GRIDS | {"quadratic": Quadratic},
        functions={"felicity": felicity},
    )


def main():
    """Consumption by both methods, and what heptapod says of them."""
    sc.enable_x64()
    m = jnp.array([0.5, 1.0, 2.0, 5.0])
    for method in ("auto", "shares"):
        solved = sc.solve(load(method))
        print(f"{solved[0]['SAVE'].cntn_to_dcsn.method:>8}", solved[0]["SAVE"].dcsn.sol.policy["c"](m=m).round(3))


if __name__ == "__main__":
    main()
