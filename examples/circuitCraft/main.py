"""A circuit built by hand: income arrives, a part of the cash is saved, and the saver works on or retires.

Five perches, no model file. Values are pulled backward (expectation, Euler equation, log-sum over the two branches), a
distribution is pushed forward through the policies found, and both runs are differentiated.

    python examples/circuitCraft/main.py
"""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

from stagecraft.board.circuit_board import CircuitBoard, pull, push, validate
from stagecraft.board.draw import draw

jax.config.update("jax_enable_x64", True)

PERCHES = ("arrival", "cash", "saved", "work", "retire")
R, PENSION = 1.03, 0.5
ASSETS, CASH, SAVINGS = jnp.linspace(0.0, 5.0, 60), jnp.linspace(0.05, 9.0, 400), jnp.linspace(0.0, 7.0, 200)
PARAMETERS = {"beta": 0.95, "disutility": 0.6, "wage": 1.0, "sigma": 0.3}
DRAWS, WEIGHTS = jnp.array([-1.2247, 0.0, 1.2247]), jnp.array([1 / 3, 1 / 3, 1 / 3])


def cash_after(wage):
    """Cash on hand by assets and income, m = R a + y."""
    return R * ASSETS[:, None] + wage * jnp.exp(0.2 * DRAWS)


def spread(mass, points, knots):
    """Mass off the knots goes to the two neighbours, so that means are kept: the transpose of `jnp.interp`."""
    left = jnp.clip(jnp.searchsorted(knots, points) - 1, 0, knots.size - 2)
    share = jnp.clip((points - knots[left]) / (knots[left + 1] - knots[left]), 0.0, 1.0)
    return jnp.zeros(knots.size).at[left].add(mass * (1 - share)).at[left + 1].add(mass * share)


# Backward: an operator turns the sol of the perch where it starts into that of the perch where it ends.
def expect(wage, sol):
    return {"value": jnp.interp(cash_after(wage), CASH, sol["value"]) @ WEIGHTS}


def save(beta, sol):
    """The Euler equation 1/c = beta V'(b) on the grid of savings, then cash on its own grid."""
    saving = jnp.interp(CASH, SAVINGS + 1 / (beta * sol["marginal"]), SAVINGS)
    value = jnp.log(CASH - saving) + beta * jnp.interp(saving, SAVINGS, sol["value"])
    return {"value": value, "saving": saving}


def work(disutility, sol):
    return {"value": sol["value"] - disutility, "marginal": sol["marginal"]}


def retire(sol):
    return sol


def log_sum(sigma, work, retire):
    """Taste shocks of scale sigma: the expected best, and the probability of the first branch."""
    p = jax.nn.sigmoid((work["value"] - retire["value"]) / sigma)
    value = sigma * jnp.logaddexp(work["value"] / sigma, retire["value"] / sigma)
    return {"value": value, "marginal": p * work["marginal"] + (1 - p) * retire["marginal"], "work": p}


# Forward: the same movers the other way, reading the policy where they start.
def receive(wage, dist, sol):
    del sol  # Income is not chosen.
    return spread(dist[:, None] * WEIGHTS, cash_after(wage), CASH)


def put_aside(dist, sol):
    return spread(dist, sol["saving"], SAVINGS)


def go_to_work(dist, sol):
    return dist * sol["work"]


def go_home(dist, sol):
    return dist * (1 - sol["work"])


def build(p):
    """The board; arguments of `partial` are its parameters."""
    return CircuitBoard(
        PERCHES,
        forward=[
            ("arrival", "cash", partial(receive, p["wage"])),
            ("cash", "saved", put_aside),
            ("saved", "work", go_to_work),
            ("saved", "retire", go_home),
        ],
        backward=[
            ("work", "saved", partial(work, p["disutility"])),
            ("retire", "saved", retire),
            ("saved", "cash", partial(save, p["beta"])),
            ("cash", "arrival", partial(expect, p["wage"])),
        ],
        joins={"saved": partial(log_sum, p["sigma"])},
    )


def run(p):
    """Pull from the two ends, where all is eaten, then push poor arrivals forward."""
    ends = {"work": R * SAVINGS + p["wage"], "retire": R * SAVINGS + PENSION}
    solved = pull(build(p), {name: {"value": jnp.log(eaten), "marginal": R / eaten} for name, eaten in ends.items()})
    return push(solved, {"arrival": jax.nn.softmax(-ASSETS)})


@jax.jit
def share_retired(p):
    return run(p).dist["retire"].sum()


def duality(board):
    """The mean of any f over where people end, summed there, and pulled back to where they start."""
    f = {"work": jnp.sqrt(SAVINGS), "retire": jnp.cos(SAVINGS)}
    p, saving, cash = board.sol["saved"]["work"], board.sol["cash"]["saving"], cash_after(PARAMETERS["wage"])
    given_policies = CircuitBoard(
        PERCHES,
        backward=[
            ("work", "saved", lambda f: p * f),
            ("retire", "saved", lambda f: (1 - p) * f),
            ("saved", "cash", lambda f: jnp.interp(saving, SAVINGS, f)),
            ("cash", "arrival", lambda f: jnp.interp(cash, CASH, f) @ WEIGHTS),
        ],
        joins={"saved": jnp.add},
    )
    pulled = pull(given_policies, f)
    return pulled.sol["arrival"] @ board.dist["arrival"], sum(f[end] @ board.dist[end] for end in f)


def picture(board, path):
    figure, axes = plt.subplot_mosaic([["circuit", "circuit"], ["policy", "share"]], figsize=(9, 6), layout="constrained")
    draw(board, axes["circuit"])
    axes["policy"].plot(CASH, board.sol["cash"]["saving"], label="saved, by cash")
    axes["policy"].plot(SAVINGS, board.sol["saved"]["work"], label="probability of work, by savings")
    axes["policy"].set(xlabel="cash, savings")
    axes["policy"].legend(frameon=False)
    costs = jnp.linspace(0.0, 1.5, 40)
    axes["share"].plot(costs, jax.vmap(lambda cost: share_retired(PARAMETERS | {"disutility": cost}))(costs))
    axes["share"].set(xlabel="disutility of work", ylabel="share retired", ylim=(0, 1))
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main():
    """Solve, push, differentiate, draw; returns what is printed."""
    board = validate(jax.jit(run)(PARAMETERS))
    print(board, "\n")
    gradient, h = jax.grad(share_retired)(PARAMETERS), 1e-5
    up, down = ({k: share_retired(PARAMETERS | {k: v + s * h}) for k, v in PARAMETERS.items()} for s in (1, -1))
    difference = {k: (up[k] - down[k]) / (2 * h) for k in PARAMETERS}
    pulled, pushed = duality(board)
    picture(board, Path(__file__).parent / "output" / "circuit.png")

    print("d share retired / d      jax.grad  central difference")
    for name in PARAMETERS:
        print(f"  {name:<18}{gradient[name]:>14.8f}{difference[name]:>20.8f}")
    print(f"\n<pull f, mu> = {pulled:.15f}\n<f, push mu> = {pushed:.15f}")
    print(f"share retired  {board.dist['retire'].sum():.4f}    Eulerian  {board.is_eulerian}")
    return {"board": board, "gradient": gradient, "difference": difference, "duality": (pulled, pushed)}


if __name__ == "__main__":
    main()
