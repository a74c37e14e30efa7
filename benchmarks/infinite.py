"""The infinite horizon beside its peers: HARK's buffer stock, and the Krusell-Smith household of sequence-jacobian.

Run with econ-ark, sequence-jacobian and this package installed, in an environment of its own:
python benchmarks/infinite.py [tests/theory/fixtures/infinite.json]     (with a path it also writes the peers' solutions there)
"""

import json
import sys
from pathlib import Path

import jax
import numpy as np
import pandas as pd
from timing import best, seconds

import stagecraft as sc

MODELS = Path(__file__).parents[1] / "tests" / "theory" / "fixtures"
CASH = np.concatenate([np.geomspace(0.05, 1.0, 40), np.linspace(1.05, 20.0, 80)])
AGENTS, PERIODS = 10_000, 500


def buffer_stock() -> tuple[dict, dict]:
    """HARK's fine solution with 1,000 points and a tolerance of 1e-10, and its simulation, beside ours."""
    from HARK.ConsumptionSaving.ConsIndShockModel import IndShockConsumerType

    agent = IndShockConsumerType(
        cycles=0, CRRA=2.0, DiscFac=0.96, Rfree=[1.03], PermGroFac=[1.01], LivPrb=[1.0], PermShkStd=[0.1], TranShkStd=[0.1],
        PermShkCount=7, TranShkCount=7, UnempPrb=0.0, IncUnemp=0.0, BoroCnstArt=0.0, aXtraMin=1e-5, aXtraMax=40.0,
        aXtraCount=1000, aXtraNestFac=2, CubicBool=False, vFuncBool=False, tolerance=1e-10, AgentCount=AGENTS, T_sim=PERIODS,
    )  # fmt: skip
    theirs = best(agent.solve, 1)
    agent.track_vars = ["cNrm", "aNrm"]

    def simulate():
        agent.initialize_sim()
        return agent.simulate() and 0

    circuit = sc.load(MODELS / "buffer_stock.yml")
    cold = best(lambda: sc.solve(circuit).stored, 1)
    ours = best(lambda: sc.solve(circuit).stored)
    solved = sc.solve(circuit)
    begin, key = {"a": np.zeros(AGENTS)}, jax.random.key(0)
    follow = lambda keep=None: sc.simulate(solved, begin, periods=PERIODS, keep=keep, key=key).data
    # HARK tracks two variables; beside it the same two are kept, then all six.
    works = [lambda: follow(["c", "x"]), follow, simulate]
    seconds(*works)
    two, six, simulation = seconds(*works, repeat=5)
    c = agent.solution[0].cFunc(CASH)
    gap = np.max(np.abs(np.asarray(solved[0]["CONS"].dcsn.sol.policy["c"](m=CASH)) / c - 1))
    table = {
        "solve, cold [s]": (cold, theirs), "solve [s]": (ours, theirs),
        f"simulate {AGENTS:,} x {PERIODS}, two kept [s]": (two, simulation), "all six kept [s]": (six, simulation),
        "policy apart": (gap, np.nan), "error bound": (float(solved.info.error_bound), np.nan),
    }  # fmt: skip
    return table, {"m": CASH.tolist(), "c": np.asarray(c).tolist()}


def household() -> tuple[dict, dict]:
    """Seven states and 500 points, r = 1 %, beta = 0.98: backward, the distribution, aggregate assets and their derivative."""
    from sequence_jacobian import grids, hetblocks

    e, _, law = grids.markov_rouwenhorst(rho=0.966, sigma=0.5, N=7)
    given = {"Pi": law, "a_grid": grids.agrid(amax=200, n=500), "y": 0.89 * e, "r": 0.01, "beta": 0.98, "eis": 1.0}
    block = hetblocks.hh_sim.hh
    begin = {**given, "Va": hetblocks.hh_sim.hh_init(given["a_grid"], given["y"], given["r"], 1.0)}
    policy = block.backward_steady_state(begin, tol=1e-8)
    exact = block.steady_state(given, backward_tol=1e-12, forward_tol=1e-14)
    steady_of = lambda r: block.steady_state({**given, "r": r}, backward_tol=1e-11, forward_tol=1e-13)["A"]
    slope = (steady_of(0.01 + 1e-5) - steady_of(0.01 - 1e-5)) / 2e-5
    circuit = sc.load(MODELS / "krusell_smith.yml", parameters={"CONS.knots": given["a_grid"]})
    cold = best(lambda: sc.solve(circuit).stored, 1)
    solved = sc.solve(circuit)
    push = lambda: sc.stationary(solved, tolerance=1e-10).dists
    best(push, 1)
    assets = jax.jit(
        lambda r: sc.stationary(sc.solve(circuit.with_parameters({"main.r": r})))[0]["CONS"].cntn.dist.mean("a_nxt")
    )
    rise = jax.jit(jax.grad(lambda r: assets(r)))
    rise(0.01)
    backward, forward = (
        lambda: block.backward_steady_state(begin, tol=1e-8) and 0,
        lambda: block.forward_steady_state({**policy}) and 0,
    )
    total = float(assets(0.01))
    table = {
        "household, cold [s]": (cold, np.nan),
        "household [s]": (best(lambda: sc.solve(circuit).stored), best(backward)),
        "distribution [s]": (best(push), best(forward)),
        "assets": (total, float(exact["A"])),
        "d assets/dr": (float(rise(0.01)), slope),
        "gradient of assets [s]": (best(lambda: rise(0.01)), np.nan),
    }
    return table, {
        "a": exact.internals["hh"]["a"][:, ::25].tolist(),
        "knots": given["a_grid"].tolist(),
        "assets": table["assets"][1],
        "slope": slope,
    }


if __name__ == "__main__":
    sc.enable_x64()
    fixture = {}
    for name, part in (("buffer stock", buffer_stock), ("household", household)):
        table, fixture[name] = part()
        frame = pd.DataFrame(table, index=["ours", "theirs"]).T
        frame["ratio"] = frame["ours"] / frame["theirs"]
        print(frame.to_string(float_format="{:.4g}".format), "\n", flush=True)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps(fixture) + "\n")
