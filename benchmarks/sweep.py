"""What a sweep costs beside its draws: `python benchmarks/sweep.py [--draws 1000] [--kills]` prints one table.

- a stored draw: its start and its record, flushed;
- a store of 100,000 draws: how long it takes to open;
- 1,000 draws of `cons_indshock` in compiled batches on two ranks with a store, beside two independent halves side by side in
  the same job, which tell what two cores are worth on this machine; and the same one by one, as where nothing can be traced;
- CPU seconds until rank 1, which loads the exported program, has its first row; it has been compiled before;
- with `--kills`: 2,000 draws of 50 ms on two ranks of which one is killed every 20 s, and resumed by a loop. What is run beside
  what is needed is counted, not timed.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from dynx_runner import ResultStore
from dynx_runner.runner.record import Record
from dynx_runner.store.manifest import create
from dynx_runner.store.part import Part

MODEL = Path(__file__).parents[1] / "examples" / "cons_indshock" / "cons_indshock.yml"
SHARED = """
import time
import stagecraft as sc
from dynx_runner import CircuitRunner, ResultStore, circuit_factory, mpi_map, prepare_mpi

rank = prepare_mpi()
sc.enable_x64()
runner = CircuitRunner(
    param_specs={{"CONS.beta": (0.90, 0.99), "CONS.gamma": (1.5, 4.0)}},
    model_factory=circuit_factory({model!r}), solver=sc.solve,
    metric_fns={{"c": lambda solved: solved[20]["CONS"].dcsn.sol.policy["c"](m=2.0)}}, cache=False, batches={batches},
)
xs = runner.sample_prior({draws}, seed=0)
mpi_map(runner, xs[:2], store=ResultStore({folder!r} + "/first"))
first = time.process_time()
from mpi4py import MPI
from dynx_runner.sweep.batches import batches_of
from dynx_runner.sweep.ledger import Task
from dynx_runner.sweep.local import Worker
meet = MPI.COMM_WORLD.Barrier
tasks = [Task(i, str(i), x) for i, x in enumerate(xs)][rank::2]
alone = Worker(runner, None, batches_of(runner, tasks))
alone.run(tasks[:1])
sweeps, halves = [], []
for turn in range({turns}):
    meet()
    begin = time.perf_counter()
    mpi_map(runner, xs, store=ResultStore({folder!r} + f"/{{turn}}"))
    sweeps.append(time.perf_counter() - begin)
    meet()
    begin = time.perf_counter()
    for start in range(0, len(tasks), 16):
        alone.run(tasks[start : start + 16])
    meet()
    halves.append(time.perf_counter() - begin)
told = MPI.COMM_WORLD.gather(first)
if rank == 0:
    print(min(sweeps), min(halves), *told)
"""
KILLED = """
import os, time
import numpy as np
from dynx_runner import CircuitRunner, ResultStore, mpi_map, prepare_mpi

rank = prepare_mpi()
open(f"pid.{{rank}}.{{os.getpid()}}", "w").close()

def solver(i):
    time.sleep(0.05)
    return np.sin(i)

made, told = lambda e, s, c: e["main"]["x"], {{"main": {{"x": 0.5}}}}
runner = CircuitRunner(told, {{}}, {{}}, {{"main.x": (0.0, 1e6)}}, made, solver, {{"m": float}}, cache=False)
mpi_map(runner, np.arange({draws}.0)[:, None], store=ResultStore("store"))
"""


def mpirun() -> str:
    """That of pip's MPICH beside this Python, or whichever there is."""
    beside = Path(sys.executable).parent / "mpirun"
    return str(beside) if beside.exists() else str(shutil.which("mpirun"))


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


def shared(folder: Path, draws: int, batches: bool, turns: int) -> list[float]:
    """Seconds of a sweep on two ranks, of two halves side by side, and CPU seconds to the first row of each rank."""
    script = SHARED.format(model=str(MODEL), draws=draws, folder=str(folder), batches=batches or None, turns=turns)
    script = script if batches else script.replace("batches=None", "batches=False")
    for _ in range(2):  # The first one compiles.
        shutil.rmtree(folder, ignore_errors=True)
        done = subprocess.run([mpirun(), "-n", "2", sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return [float(word) for word in done.stdout.split()[-4:]]


def killed(folder: Path, draws: int = 2000, every: float = 20.0) -> tuple[int, int, int]:
    """How many jobs it took though a rank of each is killed, how many draws were begun, and how many done twice."""
    jobs = 0
    folder.mkdir()
    (folder / "script.py").write_text(KILLED.format(draws=draws))
    while True:
        job, jobs = (
            subprocess.Popen([mpirun(), "-n", "2", sys.executable, "script.py"], cwd=folder, stdout=-3, stderr=-3),
            jobs + 1,
        )
        try:
            job.wait(timeout=every)
            break
        except subprocess.TimeoutExpired:
            for path in folder.glob(f"pid.{jobs % 2}.*"):
                path.unlink()
                try:
                    os.kill(int(path.name.rpartition(".")[2]), signal.SIGKILL)
                except ProcessLookupError:
                    continue
            job.wait()
    assert job.returncode == 0 and len(ResultStore(folder / "store")) == draws
    lines = [json.loads(line) for path in folder.glob("store/parts/*.jsonl") for line in path.read_text().splitlines()]
    begun = sum(len(line.get("start", ())) for line in lines)
    return jobs, begun, sum(count - 1 for count in Counter(line["done"] for line in lines if "done" in line).values())


def table(draws: int, kills: bool, turns: int) -> list[tuple[str, float, str]]:
    """What was found, and what it is to be."""
    with tempfile.TemporaryDirectory() as home:
        rows = [("a stored draw, microseconds", 1e6 * stored_draw(Path(home) / "one"), "50")]
        rows.append(("opening 100,000 draws, s", opened(Path(home) / "many"), "2"))
        for name, batches in (("in batches", True), ("one by one", False)):
            together, halves, leading, following = shared(Path(home) / name, draws, batches, turns)
            rows.append((f"{draws} draws on two ranks, {name}, s", together, ""))
            rows.append(("two halves side by side, s", halves, ""))
            rows.append(("efficiency", halves / together, "at least 0.9"))
            if batches:
                rows.append(("CPU seconds to a first row, on rank 0, which traces", leading, ""))
                rows.append(("on rank 1, with the exported program", following, "4"))
        if kills:
            jobs, begun, twice = killed(Path(home) / "killed")
            rows.append(("jobs for 2,000 draws of 50 ms, a rank killed every 20 s", jobs, ""))
            rows.append(
                ("draws begun beside those needed and those in flight when a rank died", begun - 2000 - 2 * (jobs - 1), "0")
            )
            rows.append(("draws done twice", twice, "0"))
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--turns", type=int, default=3, help="of each sweep, of which the best counts")
    parser.add_argument("--kills", action="store_true", help="also the sweep whose ranks are killed, which takes minutes")
    given = parser.parse_args()
    print("| what | found | to be |\n|---|---|---|")
    for name, value, bound in table(given.draws, given.kills, given.turns):
        print(f"| {name} | {value:.3g} | {bound} |")
