"""Real jobs of real processes: `mpirun -n N python script.py`, as a user starts them."""

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

# What every script starts with.
PRELUDE = """
import os, signal, sys, time
import numpy as np
from dynx_runner import CircuitRunner, mpi_map, prepare_mpi

def make_runner(solver, **metrics):
    model_factory = lambda epochs, stages, connections: epochs["main"]["beta"]
    return CircuitRunner({"main": {"beta": 0.5}}, {}, {}, {"main.beta": (0.0, 1.0)}, model_factory, solver, metrics)

runner = make_runner(lambda beta: 2 * beta, twice=lambda m: m, largest=lambda m: abs(m))
xs = np.linspace(0.0, 1.0, 31)[:, None]
"""

# Draws that are pure JAX, with lambdas everywhere, and some that fail.
JAX = (
    PRELUDE
    + """
import jax

jax.config.update("jax_enable_x64", True)

@jax.jit
def iterate(beta):
    step = lambda v, _: (jax.numpy.log1p(beta * v @ v.T / 40), None)
    return jax.lax.scan(step, beta + jax.numpy.eye(40), None, 50)[0]

def solver(beta):
    if beta > 0.9:
        raise ZeroDivisionError("boom")
    return iterate(beta)

runner = make_runner(solver, sum=lambda v: v.sum(), largest=lambda v: abs(v).max())
"""
)


def test_every_rank_has_the_same_table_whatever_the_number_of_ranks(start, tmp_path):
    script = JAX + (
        "rank = int(os.environ.get('PMI_RANK', 0))\n"
        # Only the draws of rank 0 count.
        "df = mpi_map(runner, xs if rank == 0 else 'not even an array', progress=True)\n"
        "df.to_pickle(f'{rank}.pkl')\n"
        "assert rank == prepare_mpi()\n"
    )
    tables = {}
    for ranks in (0, 2, 3):
        job = start(script, ranks)
        assert job.returncode == 0, job.stderr
        # The bar is shown once.
        assert job.stderr.count("| 0/31") == 1 and "31/31" in job.stderr
        ours = [pd.read_pickle(tmp_path / f"{rank}.pkl") for rank in range(max(ranks, 1))]
        for theirs in ours[1:]:
            assert theirs["seconds"].to_numpy().tobytes() == ours[0]["seconds"].to_numpy().tobytes()
            pd.testing.assert_frame_equal(theirs, ours[0], check_exact=True)
        tables[ranks] = ours[0].drop(columns="seconds")

    alone = tables[0]
    assert alone["main.beta"].tolist() == np.linspace(0.0, 1.0, 31).tolist()
    assert alone["status"].tolist() == ["ok"] * 28 + ["failed"] * 3
    assert alone["error"][30] == "ZeroDivisionError: boom (in solver)" and "in solver" in alone["traceback"][30]
    for ranks in (2, 3):
        for metric in ("sum", "largest"):
            assert tables[ranks][metric].to_numpy().tobytes() == alone[metric].to_numpy().tobytes()
        pd.testing.assert_frame_equal(tables[ranks], alone, check_exact=True)


OUTSIDE = {
    "before, on a rank that knows MPI": """
from mpi4py import MPI
if MPI.COMM_WORLD.rank == 1: raise ValueError("outside")
""",
    "before, where MPI has not started": "if os.environ['PMI_RANK'] == '1': raise ValueError('outside')",
    "rank 1 leaves before": "if prepare_mpi() == 1: sys.exit(0)",
    "rank 0 leaves before": "if prepare_mpi() == 0: sys.exit(2)",
    "interrupted in a draw": """
def interrupt(beta):
    if beta == 1.0: raise KeyboardInterrupt
runner = make_runner(interrupt)
""",
    "exit in a draw": """
def leave(beta):
    if beta == 1.0: sys.exit(0)
runner = make_runner(leave)
""",
    "killed in a draw": """
def die(beta):
    if beta == 1.0: os.kill(os.getpid(), signal.SIGKILL)
runner = make_runner(die)
""",
    "runners that differ": """
if os.environ["PMI_RANK"] == "1": runner = make_runner(lambda beta: beta, largest=abs, twice=abs)
""",
    "draws of another shape": "xs = xs[:, 0]",
}


@pytest.mark.parametrize("case", OUTSIDE)
def test_what_goes_wrong_outside_a_draw_ends_the_job(start, case):
    job = start(PRELUDE + OUTSIDE[case] + "\nmpi_map(runner, xs)\nprint('the sweep returned')\n", 2)
    assert job.returncode != 0 and "the sweep returned" not in job.stdout, job.stderr


@pytest.mark.parametrize("ranks", [2, 3])
def test_what_goes_wrong_after_a_sweep_ends_the_job(start, ranks):
    job = start(
        PRELUDE
        + """
mpi_map(runner, xs)
if prepare_mpi() == 1:
    raise ValueError("after the sweep")
mpi_map(runner, xs)
time.sleep(3600)
""",
        ranks,
    )
    assert job.returncode != 0 and "ValueError: after the sweep" in job.stderr


def test_ranks_that_end_at_different_times_end_well(start):
    script = PRELUDE + "mpi_map(runner, xs)\nmpi_map(runner, xs[:0])\nif prepare_mpi() == 0: time.sleep(1)\nprint('done')\n"
    job = start(script, 3)
    assert job.returncode == 0 and job.stdout.count("done") == 3 and job.stderr == ""


@pytest.mark.parametrize("variable", ["PMI_SIZE", "OMPI_COMM_WORLD_SIZE"])
def test_an_mpirun_of_another_library_is_an_error_rather_than_copies(start, variable):
    script = "import warnings; warnings.simplefilter('ignore')\n" + PRELUDE + "mpi_map(runner, xs)\nprint('a copy')\n"
    job = start(script, 0, **{variable: "2"})
    assert job.returncode != 0 and "a copy" not in job.stdout
    assert "RuntimeError: mpirun started 2 processes, but each of them is alone" in job.stderr


def test_mpirun_without_mpi4py_is_an_error_rather_than_copies(start):
    job = start("import sys; sys.modules['mpi4py'] = None\n" + PRELUDE + "mpi_map(runner, xs)\nprint('a copy')\n", 2)
    assert job.returncode != 0 and "a copy" not in job.stdout
    assert "RuntimeError: mpirun started 2 processes, but mpi4py cannot be used" in job.stderr


# A long draw ends once all others have: whoever waited for it would wait for ever.
BALANCE = (
    PRELUDE
    + """
from pathlib import Path

def solver(i):
    if i == {long}:
        while len(list(Path(".").glob("*.done"))) < 10:
            time.sleep(0.01)
    time.sleep(0.2)  # Too long to travel together with others.
    Path(f"{int(i)}.done").touch()
    return i

runner = CircuitRunner({"main": {"beta": 0.5}}, {}, {}, {"main.beta": (0.0, 50.0)}, lambda e, s, c: e["main"]["beta"], solver, {"i": float})
df = mpi_map(runner, np.arange(11.0)[:, None])
if prepare_mpi() == 0:
    print(df["i"].tolist() == list(range(11)))
"""
)


@pytest.mark.parametrize(
    ("ranks", "long"),
    [(2, 0), (2, 1), (3, 0)],
    ids=["rank 0 is long", "a later one is long", "rank 0 of three is long"],
)
def test_unequal_draws_keep_every_rank_busy(start, ranks, long):
    """While one rank is at a long draw, rank 0 included, the others do all the rest."""
    job = start(BALANCE.replace("{long}", str(long)), ranks)
    assert job.returncode == 0 and job.stdout.split() == ["True"], job.stderr


def test_where_mpi_has_no_threads_rank_zero_only_answers(start):
    job = start(
        PRELUDE + "df = mpi_map(runner, xs)\nassert (df['twice'] == 2 * xs[:, 0]).all()\n",
        2,
        MPI4PY_RC_THREAD_LEVEL="funneled",
    )
    assert job.returncode == 0 and job.stderr == ""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
@pytest.mark.skipif(len(getattr(os, "sched_getaffinity", lambda _: ())(0)) < 2, reason="one core cannot be shared")
@pytest.mark.parametrize("early", [pytest.param(True, marks=pytest.mark.slow), False])
def test_each_rank_has_its_own_cores_and_jax_no_more_threads(start, early):
    script = ("from dynx_runner import prepare_mpi\nprepare_mpi()\n" if early else "") + JAX
    script += """
iterate(0.5).block_until_ready()
mpi_map(runner, xs)
masks = {frozenset(os.sched_getaffinity(int(thread))) for thread in os.listdir("/proc/self/task")}
names = [open(f"/proc/self/task/{thread}/comm").read() for thread in os.listdir("/proc/self/task")]
from mpi4py import MPI
told = MPI.COMM_WORLD.allgather((masks, sum("XLAEigen" in name for name in names)))
if MPI.COMM_WORLD.rank == 0:
    (ours, pool), (theirs, _) = told
    print(len(ours), len(theirs), len(ours & theirs), pool, len(*ours))
"""
    job = start(script, 2)
    assert job.returncode == 0, job.stderr
    ours, theirs, shared, pool, cores = map(int, job.stdout.split())
    # All threads of a rank, those that ran before included, are on one set of cores, and the two sets differ.
    assert (ours, theirs, shared) == (1, 1, 0)
    assert pool == cores or not early


EXAMPLES = Path(__file__).parents[2] / "examples"


def table_of(job):
    """The rows that the example prints, without the time they took."""
    assert job.returncode == 0, job.stderr
    return [line.split()[:-1] for line in job.stdout.splitlines() if " ok " in line and ";" not in line]


@pytest.mark.slow
def test_the_example_prints_the_same_table_from_one_process_and_from_two(start, tmp_path):
    call = (
        "import runpy, sys; sys.argv += ['--draws', '4', '--store', {store!r}]; runpy.run_path({path!r}, run_name='__main__')"
    )
    path, extra = str(EXAMPLES / "sweep" / "main.py"), {"MPLBACKEND": "Agg", "PYTHONWARNINGS": "default"}
    stores = {ranks: str(tmp_path / str(ranks)) for ranks in (0, 2)}
    alone, together = (table_of(start(call.format(store=stores[n], path=path), n, timeout=240, **extra)) for n in (0, 2))
    assert len(alone) == 4 and alone == together


@pytest.mark.slow
def test_the_python_of_the_readme_runs_on_every_rank(start):
    text = (EXAMPLES.parent / "README.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", text, flags=re.M | re.S)
    told = "\nprint('\\ntold', draws.drop(columns='seconds').to_json())\n"
    script = f"import os\nos.chdir({str(EXAMPLES.parent)!r})\n" + "\n".join(blocks) + told
    job = start(script, 2, timeout=400, MPLBACKEND="Agg", PYTHONWARNINGS="default")
    assert job.returncode == 0, job.stderr
    tables = [line for line in job.stdout.splitlines() if line.startswith("told")]
    assert len(tables) == 2 and tables[0] == tables[1] and tables[0].count('"ok"') == 5
