"""Real jobs of real processes: `mpirun -n N python script.py`, as a user starts them."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pytest

import dynx_runner


def mpirun():
    beside = Path(sys.executable).parent / "mpirun"
    found = str(beside) if beside.exists() else shutil.which("mpirun")
    assert found, 'no mpirun: pip install "dynx[test]" brings one'
    return found


def environment(**extra):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PMI", "OMPI", "MPI", "HYD"))}
    package = os.pathsep.join(filter(None, [str(Path(dynx_runner.__file__).parent.parent), os.environ.get("DYNX_TESTS_PATH")]))
    return {**inherited, "PYTHONPATH": package, "PYTHONWARNINGS": "error", **extra}


def command(folder, script, ranks):
    """What runs a script on some ranks (0: without mpirun), once it is written."""
    path = folder / "script.py"
    path.write_text(textwrap.dedent(script))
    return [*([mpirun(), "-n", str(ranks)] if ranks else []), sys.executable, str(path)]


@pytest.fixture
def begin(tmp_path):
    """Begin a script on some ranks, and give it back while it runs; it does not outlive the test."""
    jobs = []

    def run(script, ranks, **extra):
        pipe = subprocess.PIPE
        job = subprocess.Popen(
            command(tmp_path, script, ranks), cwd=tmp_path, env=environment(**extra), stdout=pipe, stderr=pipe, text=True
        )
        jobs.append(job)
        return job

    yield run
    for job in jobs:
        job.kill()
        job.communicate(timeout=60)


@pytest.fixture
def start(tmp_path):
    """Run a script on some ranks (0: without mpirun), in an empty directory."""

    def run(script, ranks, *, timeout=120, **extra):
        return subprocess.run(
            command(tmp_path, script, ranks),
            cwd=tmp_path,
            env=environment(**extra),
            timeout=timeout,
            capture_output=True,
            text=True,
        )

    return run


@pytest.fixture
def jobs():
    """How to start a job by hand: `jobs.environment(**extra)` and `jobs.mpirun()`."""
    return SimpleNamespace(environment=environment, mpirun=mpirun)
