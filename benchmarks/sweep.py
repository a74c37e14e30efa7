"""What a store costs and how well ranks share the work: `python benchmarks/sweep.py [--draws 1000]` prints one table.

- a stored draw: its start and its record, flushed;
- a store of 100,000 draws: how long it takes to open;
- 1,000 draws of `cons_indshock` on two ranks with a store, beside two independent halves side by side in the same job;
- CPU seconds until a rank has its first row, where another process has compiled the program before.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from dynx_runner import ResultStore
from dynx_runner.runner.record import Record
from dynx_runner.store.manifest import create
from dynx_runner.store.part import Part

MODEL = Path(__file__).parents[1] / "examples" / "cons_indshock" / "cons_indshock.yml"
SCRIPT = """
import time
import stagecraft as sc
from dynx_runner import CircuitRunner, ResultStore, circuit_factory, mpi_map, prepare_mpi

rank = prepare_mpi()
sc.enable_x64()
runner = CircuitRunner(
    param_specs={{"CONS.beta": (0.90, 0.99), "CONS.gamma": (1.5, 4.0)}},
    model_factory=circuit_factory({model!r}), solver=sc.solve,
    metric_fns={{"c": lambda solved: solved[20]["CONS"].dcsn.sol.policy["c"](m=2.0)}}, cache=False,
)
xs = runner.sample_prior({draws}, seed=0)
runner.run(xs[0])
first = time.process_time()
from mpi4py import MPI
meet = MPI.COMM_WORLD.Barrier
sweeps, halves = [], []
for turn in range(3):
    meet()
    begin = time.perf_counter()
    mpi_map(runner, xs, store=ResultStore({folder!r} + f"/{{turn}}"))
    sweeps.append(time.perf_counter() - begin)
    meet()
    begin = time.perf_counter()
    for x in xs[rank::2]:
        runner.run(x)
    meet()
    halves.append(time.perf_counter() - begin)
if rank == 0:
    print(min(sweeps), min(halves), first)
"""


def stored_draw(folder: Path, draws: int = 20_000) -> float:
    """Seconds for each draw: start and record."""
    part, x, record = Part(folder, "job"), np.array([0.95, 2.0]), Record({"c": 1.234567, "value": -3.21}, seconds=0.0123)
    begin = time.perf_counter()
    for i in range(draws):
        key = f"{i:032x}"
        part.start([key])
        part.done([(i, key, x, record)])
    seconds = (time.perf_counter() - begin) / draws
    part.close()
    return seconds


def opened(folder: Path, draws: int = 100_000) -> float:
    """Seconds until a store of so many draws says how many it has."""
    stored_draw(folder, draws)
    create(folder / "manifest.json", lambda path: path.write_text('{"store": 1, "parameters": ["a", "b"], "metrics": ["c"]}'))
    begin = time.perf_counter()
    assert len(ResultStore(folder)) == draws
    return time.perf_counter() - begin


def shared(folder: Path, draws: int) -> tuple[float, float, float]:
    """Seconds of a sweep on two ranks, of two halves side by side, and CPU seconds to the first row."""
    beside = Path(sys.executable).parent / "mpirun"
    mpirun = str(beside) if beside.exists() else str(shutil.which("mpirun"))
    script = SCRIPT.format(model=str(MODEL), draws=draws, folder=str(folder))
    for _ in range(2):  # The first one compiles.
        shutil.rmtree(folder, ignore_errors=True)
        done = subprocess.run([mpirun, "-n", "2", sys.executable, "-c", script], check=True, capture_output=True, text=True)
    together, halves, first = map(float, done.stdout.split())
    return together, halves, first


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        rows = [("a stored draw, microseconds", 1e6 * stored_draw(Path(home) / "one"), "50")]
        rows.append(("opening 100,000 draws, s", opened(Path(home) / "many"), "2"))
        together, halves, first = shared(Path(home) / "ranks", given.draws)
    rows.append((f"{given.draws} draws on two ranks, s", together, ""))
    rows.append(("two halves side by side, s", halves, ""))
    rows.append(("efficiency", halves / together, "at least 0.9"))
    rows.append(("CPU seconds to a first row", first, "4"))
    print("| what | found | to be |\n|---|---|---|")
    for name, value, bound in rows:
        print(f"| {name} | {value:.3g} | {bound} |")
