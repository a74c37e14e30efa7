"""A sweep on two ranks beside one, start-up aside: 200 draws of `cons_indshock` by `mpirun -n 2`.

What two cores are worth is measured beside it, as those of a shared machine may be worth less: each rank does half of the draws
by itself, without a word to the other. `python benchmarks/sweep_ranks.py` starts the ranks and prints one table.
"""

import shutil
import subprocess
import sys
from pathlib import Path

MODEL = Path(__file__).parents[1] / "examples" / "cons_indshock" / "cons_indshock.yml"
SCRIPT = f"""
import time
import stagecraft as sc
from dynx_runner import CircuitRunner, circuit_factory, mpi_map, prepare_mpi

rank = prepare_mpi()
sc.enable_x64()
runner = CircuitRunner(
    {{}}, {{}}, {{}}, {{"CONS.beta": (0.90, 0.99), "CONS.gamma": (1.5, 4.0)}},
    circuit_factory({str(MODEL)!r}), sc.solve,
    {{"c": lambda solved: solved[20]["CONS"].dcsn.sol.policy["c"](m=2.0)}}, cache=False,
)
xs = runner.sample_prior(200, seed=0)
runner.run(xs[0])
try:
    from mpi4py import MPI
    meet = MPI.COMM_WORLD.Barrier
except ImportError:
    meet = lambda: None
sweeps, halves = [], []
for _ in range(8):
    meet()
    begin = time.perf_counter()
    mpi_map(runner, xs)
    sweeps.append(time.perf_counter() - begin)
    meet()
    begin = time.perf_counter()
    for x in xs[rank::2]:
        runner.run(x)
    meet()
    halves.append(time.perf_counter() - begin)
if rank == 0:
    print(min(sweeps), min(halves))
"""


def seconds(ranks: int) -> tuple[float, float]:
    """The best sweep of all draws, and the best run of half of them by itself."""
    beside = Path(sys.executable).parent / "mpirun"
    mpirun = str(beside) if beside.exists() else shutil.which("mpirun")
    launcher = [mpirun, "-n", str(ranks)] if ranks > 1 else []
    done = subprocess.run([*launcher, sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True)
    sweep, half = map(float, done.stdout.split())
    return sweep, half


if __name__ == "__main__":
    alone, _ = seconds(1)
    together, half = seconds(2)
    print("| 200 draws | seconds | of one rank |\n|---|---|---|")
    for name, value in (("one rank", alone), ("two ranks", together), ("two halves side by side", half)):
        print(f"| {name} | {value:.2f} | {value / alone:.2f} |")
