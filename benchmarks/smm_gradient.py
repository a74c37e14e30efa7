"""What the gradient of simulated moments costs: ours exact, HARK's by differences, in one run; and ours backward.

    python benchmarks/smm_gradient.py

Five parameters of a life cycle of 65 years, 100 points of assets, 15 nodes of income, 10,000 agents, and 18 moments of their
profiles, as in `examples/estimation`. HARK (econ-ark, in the environment that runs this) solves and simulates a life cycle of
the same size; a gradient by differences to one side takes six such evaluations, and one by central differences ten.
"""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from timing import seconds

import stagecraft as sc

EXAMPLES = Path(__file__).parents[1] / "examples"
YEARS, POINTS, NODES, AGENTS = 65, 100, 15, 10_000
AGES = (28, 36, 44, 52, 60, 70)


def estimator():
    """That of the example."""
    spec = importlib.util.spec_from_file_location("estimation", EXAMPLES / "estimation" / "main.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    circuit = sc.load(example.SAVER.replace("n_a: 200", f"n_a: {POINTS}").replace("n_y: 7", f"n_y: {NODES}"))
    profiles = example.Moments.read(example.PROFILES, {"a": 0.0}, agents=AGENTS)
    panel = sc.simulate(sc.solve(circuit), {"a": 0.0}, agents=AGENTS, keep=["a_nxt", "c"], key=jax.random.key(25))
    data, covariance = profiles.of_data(panel.to_pandas())
    how = {"weights": "diagonal", "covariance": covariance, "key": jax.random.key(7)}
    return example.SMM(circuit, example.LIFE, profiles, data, **how)


def hark():
    """HARK's life cycle as a function of five parameters to 18 moments."""
    from HARK.ConsumptionSaving.ConsIndShockModel import IndShockConsumerType, init_idiosyncratic_shocks

    def moments(beta, gamma, sigma, early, late):
        given = dict(init_idiosyncratic_shocks)
        given.update(cycles=1, T_cycle=YEARS, T_sim=YEARS, AgentCount=AGENTS, CRRA=gamma, DiscFac=beta, vFuncBool=False)
        given.update(Rfree=[1.03] * YEARS, LivPrb=[1.0] * YEARS, PermGroFac=[early] * 20 + [late] * (YEARS - 20))
        given.update(PermShkStd=[0.0] * YEARS, PermShkCount=1, TranShkStd=[sigma] * YEARS, TranShkCount=NODES, UnempPrb=0.0)
        given.update(aXtraMin=0.001, aXtraMax=60.0, aXtraCount=POINTS, aXtraNestFac=2, BoroCnstArt=0.0, CubicBool=False)
        agent = IndShockConsumerType(**given)
        agent.track_vars = ["aNrm", "cNrm"]
        agent.solve()
        agent.initialize_sim()
        agent.simulate()
        a, c = agent.history["aNrm"], agent.history["cNrm"]
        rows = [slice(age - 25, age - 20) for age in AGES]
        return np.array([f(x[r]) for f, x in ((np.mean, a), (np.mean, c), (np.var, c)) for r in rows])

    return moments


def main() -> None:
    """The table."""
    sc.enable_x64()
    est = estimator()
    task, z = est.task, est.task.own
    terms = jax.jit(lambda z: task.terms(task.free.put(z, task.circuit), task.inputs))
    backward = jax.jit(jax.value_and_grad(lambda z: jnp.sum(terms(z) ** 2)))
    shift = lambda i: z * (1 + 1e-7 * i)

    def forget():
        task.memory.clear()
        return task.both(shift(1))

    peer, at = hark(), (0.96, 2.0, 0.1, 1.03, 1.0)
    by_differences = lambda: [peer(*[x * (1 + 1e-6 * (i == k)) for k, x in enumerate(at)]) for i in range(6)]
    works = (lambda: terms(shift(2)), forget, lambda: backward(shift(3)), lambda: peer(*at), by_differences)
    for work in works[:4]:
        work()
    once, jacobian, reverse, theirs, gradient = seconds(*works, repeat=2)
    rows = [("moments, ours", once), ("moments and their five derivatives, ours", jacobian),
            ("distance and its gradient, ours backward", reverse), ("moments, HARK", theirs),
            ("gradient by six evaluations, HARK", gradient)]  # fmt: skip
    print("| what | seconds | of HARK's gradient |\n|---|---|---|")
    print("\n".join(f"| {name} | {x:.3f} | {x / gradient:.3f} |" for name, x in rows))
    print(f"\nOurs forward costs {jacobian / once:.2f}, ours backward {reverse / once:.2f} times what the moments cost.")


if __name__ == "__main__":
    main()
