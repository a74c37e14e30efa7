"""Open MPI, where it is installed, beside the MPICH of the `mpi` extra: the wheels of mpi4py know both."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

# Debian calls it so; elsewhere its `mpirun` may be named here.
MPIRUN = os.environ.get("DYNX_OPENMPI") or shutil.which("mpirun.openmpi")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not MPIRUN, reason="Open MPI is not installed (Debian: openmpi-bin)")]
# A container has one user, and a laptop fewer cores than ranks.
EXTRA = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1"}
SCRIPT = """
import os, signal, sys
import numpy as np
from dynx_runner import CircuitRunner, ResultStore, mpi_map, prepare_mpi

rank = prepare_mpi()
poison = POISON

def solver(i):
    if i in poison:
        os.kill(os.getpid(), signal.SIGKILL)
    return np.nan if i == 9 else np.sin(i) ** 2

runner = CircuitRunner({"main": {"x": 0.5}}, {}, {}, {"main.x": (0.0, 1e4)}, lambda e, s, c: e["main"]["x"], solver, {"square": lambda m: m}, cache=False)
table = mpi_map(runner, np.arange(31.0)[:, None], store=ResultStore("store"))
if rank == 0:
    table.to_pickle("df.pkl")
MORE
"""


@pytest.fixture
def run(tmp_path, jobs):
    def run(ranks, poison=(), more="", **extra):
        (tmp_path / "script.py").write_text(SCRIPT.replace("POISON", repr(set(poison))).replace("MORE", more))
        command = [str(MPIRUN), "-n", str(ranks), sys.executable, "script.py"]
        environment = jobs.environment(**EXTRA, PYTHONWARNINGS="default", **extra)
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)

    return run


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_any_number_of_ranks_has_the_table(run, tmp_path, ranks):
    job = run(ranks, more="print(rank, len(table), table['square'].sum())")
    assert job.returncode == 0, job.stderr
    assert len(job.stdout.splitlines()) == ranks and len(set(line[1:] for line in job.stdout.splitlines())) == 1
    i = np.arange(31.0)
    expected = np.where(i == 9, np.nan, np.sin(i) ** 2)
    assert pd.read_pickle(tmp_path / "df.pkl")["square"].to_numpy().tobytes() == expected.tobytes()


def test_a_draw_that_kills_its_rank_is_quarantined(run, tmp_path):
    codes = []
    while 0 not in codes and len(codes) < 8:
        codes.append(run(2, (12,)).returncode)
    assert codes[-1] == 0 and len(codes) >= 3
    table = pd.read_pickle(tmp_path / "df.pkl")
    assert table.index[table["status"] != "ok"].tolist() == [12] and table["status"][12] == "quarantined"


@pytest.mark.parametrize("more", ["if rank == 1: raise ValueError('outside')", "if rank == 1: sys.exit(0)"])
def test_what_goes_wrong_outside_a_draw_ends_the_job(run, more):
    job = run(2, more=f"{more}\nmpi_map(runner, np.arange(3.0)[:, None])\nprint('the sweep returned')")
    assert job.returncode != 0 and "the sweep returned" not in job.stdout


def test_ranks_that_would_be_alone_are_an_error_and_no_copies(run):
    """As with an mpi4py that was told to take the other library."""
    mpich = Path(sys.prefix) / "lib" / "libmpi.so.12"
    assert mpich.exists(), 'no MPICH: pip install "dynx[test]" brings one'
    job = run(2, more="print('a copy')", MPI4PY_LIBMPI=str(mpich))
    assert job.returncode != 0 and "a copy" not in job.stdout
    assert f"each of them is alone in mpi4py's MPI (MPI4PY_LIBMPI is {mpich})" in job.stderr and "prepare_mpi()" in job.stderr


def test_a_library_that_was_loaded_before_is_an_error_and_no_copies(run, tmp_path):
    """Without `prepare_mpi()` first, mpi4py loads pip's MPICH, which Open MPI's launcher leaves alone or ends."""
    (tmp_path / "sitecustomize.py").write_text("import mpi4py.MPI\n")
    job = run(
        2, more="print('a copy')", PYTHONPATH=os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    )
    assert job.returncode != 0 and "a copy" not in job.stdout


def test_the_doctor_knows_that_mpi4py_will_take_this_library(jobs, tmp_path):
    (tmp_path / "mpirun").symlink_to(str(MPIRUN))
    code = "from dynx_runner import doctor; print(doctor())"
    environment = jobs.environment(PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    job = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert "(Open MPI), under which mpi4py takes Open MPI" in job.stdout and "PROBLEM" not in job.stdout, job.stderr
