"""How much is saved at 45, if patience, risk aversion and income risk are not known? A sweep of prior draws.

python examples/sweep/main.py                   in one process
mpirun -n 2 python examples/sweep/main.py       on two, with the same table
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt

import stagecraft as sc
from dynx_runner import CircuitRunner, circuit_factory, mpi_map, plot_bars, prepare_mpi

HERE = Path(__file__).parent
MODEL = HERE.parent / "cons_indshock" / "cons_indshock.yml"


def saving_rate(solved):
    """The share of cash on hand, here twice the mean income, that a household of 45 keeps."""
    cash = 2.0
    return 1 - solved[20]["CONS"].dcsn.sol.policy["c"](m=cash) / cash


def make_runner():
    """The model file, what is not known of it, and what is asked of each draw."""
    return CircuitRunner(
        epochs_cfgs={},
        stage_cfgs={},
        conn_cfg={},
        param_specs={
            "CONS.parameters.beta": (0.90, 0.99),
            "CONS.parameters.gamma": (1.5, 4.0),
            "CONS.parameters.sigma_y": (0.05, 0.30),
        },
        model_factory=circuit_factory(MODEL),
        solver=sc.solve,
        metric_fns={
            "saving rate at 45": saving_rate,
            "value at 25": lambda solved: solved[0]["CONS"].arvl.sol.value(a=0.0),
        },
    )


def main():
    """Draw, solve, print the table, save the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=20)
    draws = parser.parse_args().draws

    # Before anything of JAX: under mpirun each rank takes its share of the cores, and none waits for one that failed.
    rank = prepare_mpi()
    sc.enable_x64()
    runner = make_runner()
    df = mpi_map(runner, runner.sample_prior(draws, seed=0), progress=True)

    # Every rank has the same table; one of them tells.
    if rank == 0:
        print(df.drop(columns=["error", "traceback"]).to_string(float_format="{:.4f}".format))
        fig, ax = plt.subplots(figsize=(10, 6), layout="constrained")
        plot_bars(df, "saving rate at 45", ax=ax)
        ax.set_title(f"Saving at 45 with cash on hand of 2: {draws} draws from the prior")
        output = HERE / "output"
        output.mkdir(exist_ok=True)
        fig.savefig(output / "sweep.png", dpi=150)
        print(f"figure: {output / 'sweep.png'}")


if __name__ == "__main__":
    main()
