"""When do people retire, if their taste for leisure, patience and wage are not known? 1,000 draws that survive what kills them.

python examples/sweep/main.py                      in one process
mpirun -n 2 python examples/sweep/main.py          on two, with the same table
mpirun -n 2 python examples/sweep/main.py --die    one of the two is killed on the way; say it again without --die

Every draw is in `output/store` as soon as it is done, so the same command goes on where the last one ended.
"""

import argparse
import os
import signal
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import stagecraft as sc
from dynx_runner import (
    BetaPrior,
    CircuitRunner,
    LogNormalPrior,
    ResultStore,
    circuit_factory,
    mpi_map,
    plot_bars,
    plot_heat,
    plot_load,
    plot_scatter,
    prepare_mpi,
)

HERE = Path(__file__).parent
MODEL = HERE.parent / "ret_choice" / "ret_choice.yml"


def years_of_work(solved):
    """How many of 20 years a household with assets of 100 would still be at work, if its assets stayed there."""
    return 2 * sum(solved[t]["LABR"].dcsn.sol.probability["work"](a=100.0) for t in range(0, len(solved), 2))


def eaten(solved):
    """The share of cash on hand of 50 that a worker eats in the first year."""
    return solved[0]["WORK"].dcsn.sol.policy["c"](m=50.0) / 50.0


def make_runner():
    """The model file, what is not known of it, and what is asked of each draw."""
    return CircuitRunner(
        param_specs={
            "main.beta": BetaPrior(8, 2, low=0.90, high=1.0),
            "main.delta": LogNormalPrior(1.0, 0.4, low=0.3, high=3.0),
            "main.w": (10.0, 30.0),
        },
        model_factory=circuit_factory(MODEL, fixed={"main.sigma_eps": 0.05}),
        solver=sc.solve,
        metric_fns={"years of work": years_of_work, "share eaten": eaten},
    )


def pictures(df, store, figure):
    """The sweep in four pictures."""
    fig, axes = plt.subplots(2, 2, figsize=(13, 9), layout="constrained")
    plot_bars(df.head(40), "years of work", ax=axes[0, 0])
    plot_scatter(df, "main.delta", "years of work", ax=axes[0, 1], color="main.w", s=10)
    plot_heat(df, "main.delta", "main.w", "share eaten", ax=axes[1, 0])
    plot_load(store, ax=axes[1, 1])
    figure.parent.mkdir(exist_ok=True)
    fig.savefig(figure, dpi=150)


def main():
    """Draw, solve what is missing, print the table, save the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--store", type=Path, default=HERE / "output" / "store")
    parser.add_argument("--die", action="store_true", help="the last rank kills itself on the way")
    given = parser.parse_args()

    # Before anything of JAX: under mpirun each rank takes its share of the cores, and none waits for one that failed.
    rank = prepare_mpi()
    sc.enable_x64()
    runner, store = make_runner(), ResultStore(given.store)
    if given.die and rank > 0:
        signal.signal(signal.SIGALRM, lambda *_: len(store) > given.draws / 3 and os.kill(os.getpid(), signal.SIGKILL))
        signal.setitimer(signal.ITIMER_REAL, 1, 1)
    df = mpi_map(runner, runner.sample_prior(given.draws, method="sobol", seed=0), store=store, progress=True)

    # Every rank has the same table; one of them tells.
    if rank == 0:
        print(df.drop(columns=["error", "traceback"]).head(10).to_string(float_format="{:.4f}".format))
        print(store.status())
        print(f"years of work: {np.mean(df['years of work']):.2f} on average over the prior")
        pictures(df, store, HERE / "output" / "sweep.png")
        print(f"figure: {HERE / 'output' / 'sweep.png'}")


if __name__ == "__main__":
    main()
