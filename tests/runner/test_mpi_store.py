"""Sweeps that are cut off, by real signals in real jobs: what is resumed is what an undisturbed sweep would have been."""

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import time

import numpy as np
import pandas as pd
import pytest

# Draws that take a while, of which some are told to raise, to be no number, or to kill their process.
SCRIPT = """
import os, signal, sys, time
import numpy as np
from dynx_runner import CircuitRunner, ResultStore, mpi_map, prepare_mpi

rank = prepare_mpi()
open(f"pid.{os.environ.get('PMI_RANK', 0)}.{os.getpid()}", "w").close()
poison, draws = POISON, DRAWS

def solver(i):
    time.sleep(float(os.environ["SECONDS"]))  # The environment is no part of what a solver is.
    if i in poison:
        os.kill(os.getpid(), signal.SIGKILL)
    if i == 7:
        raise ZeroDivisionError("boom")
    return np.nan if i == 9 else np.sin(i) ** 2

runner = CircuitRunner(
    {"main": {"beta": 0.5}}, {}, {}, {"main.beta": (0.0, 1e4)}, lambda e, s, c: e["main"]["beta"], solver,
    {"square": lambda m: m, "profile": lambda m: np.array([m, 1 / 3]), "negative": lambda m: -m}, cache=False,
)
xs = np.arange(float(draws))[:, None]
df = mpi_map(runner, xs, store=ResultStore("store"))
if rank == 0:
    df.to_pickle("df.pkl")
"""

# The same in compiled batches, each draw of which takes some milliseconds; nothing in them may raise.
BATCHED = """
import os, signal, sys, time
import numpy as np
from dynx_runner import CircuitRunner, ResultStore, mpi_map, prepare_mpi

rank = prepare_mpi()
open(f"pid.{os.environ.get('PMI_RANK', 0)}.{os.getpid()}", "w").close()
import jax, jax.numpy as jnp
jax.config.update("jax_enable_x64", True)

def solver(i):
    long = jax.lax.fori_loop(0, 300_000, lambda k, v: jnp.sin(v + 1e-3 * k), i)
    return jnp.where(i == 9, jnp.nan, long)

metrics = {"square": lambda m: m**2, "profile": lambda m: jnp.array([m, 1 / 3]), "negative": lambda m: -m}
factory = lambda e, s, c: e["main"]["beta"]
runner = CircuitRunner({"main": {"beta": 0.5}}, {}, {}, {"main.beta": (0.0, 1e4)}, factory, solver, metrics, cache=False, batches=True)
df = mpi_map(runner, np.arange(float(DRAWS))[:, None], store=ResultStore("store"))
if rank == 0:
    df.to_pickle("df.pkl")
"""


def script(poison=(), seconds=0.0, draws=31, batched=False):
    if batched:
        return BATCHED.replace("DRAWS", repr(draws))
    text = SCRIPT.replace("POISON", repr(set(poison))).replace("DRAWS", repr(draws))
    return text.replace("import numpy", f"os.environ['SECONDS'] = '{seconds}'\nimport numpy", 1)


def table(folder):
    return pd.read_pickle(folder / "df.pkl").drop(columns="seconds")


def alone(start, tmp_path, **options):
    """The table of one process, undisturbed; its store is moved out of the way."""
    job = start(script(**options), 0)
    assert job.returncode == 0, job.stderr
    (tmp_path / "store").rename(tmp_path / "alone")
    return table(tmp_path)


def keys_done(folder):
    """The key of every record of a finished draw, in all parts."""
    lines = [line for path in (folder / "store" / "parts").glob("*.jsonl") for line in path.read_text().splitlines()]
    records = [json.loads(line) for line in lines if line.endswith("}")]
    return [record["done"] for record in records if "done" in record and record["status"] != "quarantined"]


def kill(folder, rank, number):
    """Send a signal to a rank; whether there was one."""
    found = list(folder.glob(f"pid.{rank}.*"))
    for path in found:
        path.unlink()  # Its number may belong to another process soon.
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(path.name.rpartition(".")[2]), number)
    return bool(found)


def equal_bits(left, right):
    pd.testing.assert_frame_equal(left, right, check_exact=True)
    for metric in ("square", "negative"):
        assert left[metric].to_numpy().tobytes() == right[metric].to_numpy().tobytes()


@pytest.mark.parametrize(
    "ranks",
    [
        0,
        pytest.param(2, marks=pytest.mark.slow),
        pytest.param(1, marks=pytest.mark.slow),
        pytest.param(3, marks=pytest.mark.slow),
    ],
)
def test_any_number_of_ranks_stores_the_same_rows_and_resumes_with_none(start, tmp_path, ranks):
    expected = alone(start, tmp_path)
    for _ in range(2):
        job = start(script(), ranks)
        assert job.returncode == 0, job.stderr
        equal_bits(table(tmp_path), expected)
        assert len(keys_done(tmp_path)) == len(set(keys_done(tmp_path))) == 31
    assert expected["status"].tolist().count("failed") == 1 and np.isnan(expected["square"][9])


@pytest.mark.parametrize("ranks", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_draw_that_kills_its_rank_is_quarantined_and_nobody_else_is(start, tmp_path, ranks):
    """Two poisoned draws, one right after the other, so that ranks have both in flight."""
    expected = alone(start, tmp_path)
    codes = []
    for _ in range(12):
        codes.append(start(script(poison=(12, 13), seconds=0.01), ranks).returncode)
        if codes[-1] == 0:
            break
    assert codes[-1] == 0 and 0 not in codes[:-1] and len(codes) >= 4
    found = table(tmp_path)
    assert found.index[found["status"] == "quarantined"].tolist() == [12, 13]
    rest = found.drop(index=[12, 13]).reset_index(drop=True)
    equal_bits(rest, expected.drop(index=[12, 13]).reset_index(drop=True))
    assert len(keys_done(tmp_path)) == len(set(keys_done(tmp_path))) == 29


@pytest.mark.slow
@pytest.mark.parametrize(
    ("victim", "batched"),
    [(1, False), *(pytest.param(*case, marks=pytest.mark.slow) for case in ((0, False), (2, False), (0, True), (1, True)))],
)
def test_a_rank_may_be_killed_at_any_moment(start, begin, tmp_path, victim, batched):
    expected = alone(start, tmp_path, draws=120, batched=batched)
    moment = random.Random(victim)
    for turn in range(5):
        job = begin(script(seconds=0.02, draws=120, batched=batched), 3)
        if turn % 2:  # From before MPI has started, ...
            time.sleep(moment.random())
        else:  # ... to the middle of a draw. One that is hit twice in a row cannot be told from one that kills its rank.
            more = len(keys_done(tmp_path)) + moment.randint(8, 20)
            while len(keys_done(tmp_path)) < more and job.poll() is None:
                time.sleep(0.002)
        if kill(tmp_path, victim, signal.SIGKILL):
            assert job.wait(timeout=60) != 0
        else:
            job.kill()
            job.wait(timeout=60)
    # Chance may hit one draw twice, which then waits for somebody to say that it was not its fault.
    last = script(draws=120, batched=batched).replace('ResultStore("store"))', 'ResultStore("store"), retry_quarantined=True)')
    assert start(last, 3).returncode == 0
    equal_bits(table(tmp_path), expected)
    assert len(set(keys_done(tmp_path))) == len(keys_done(tmp_path)) == 120


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "batched"),
    [
        (signal.SIGTERM, False),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in ((signal.SIGINT, False), (signal.SIGTERM, True))),
    ],
)
def test_a_signal_to_mpirun_ends_the_job_and_blames_nobody(start, begin, tmp_path, number, batched):
    draws = 400 if batched else 40
    expected = alone(start, tmp_path, draws=draws, batched=batched)
    for _ in range(3):
        job = begin(script(seconds=0.2, draws=draws, batched=batched), 2)
        while not keys_done(tmp_path) and job.poll() is None:
            time.sleep(0.05)
        time.sleep(0.3)
        job.send_signal(number)
        assert job.wait(timeout=60) != 0
    assert start(script(draws=draws, batched=batched), 2).returncode == 0
    equal_bits(table(tmp_path), expected)
    assert len(set(keys_done(tmp_path))) == len(keys_done(tmp_path)) == draws


@pytest.mark.parametrize("ranks", [0, 2])
def test_a_terminated_process_writes_down_that_nobody_is_to_blame(begin, tmp_path, ranks):
    job = begin(script(seconds=60.0), ranks)
    while not list(tmp_path.glob("store/parts/*.jsonl")) or '{"start"' not in (
        "".join(path.read_text() for path in tmp_path.glob("store/parts/*.jsonl"))
    ):
        assert job.poll() is None, job.communicate()
        time.sleep(0.05)
    kill(tmp_path, 0, signal.SIGTERM)
    assert job.wait(timeout=30) != 0
    ended = [path.read_text().splitlines()[-1] for path in tmp_path.glob("store/parts/*.jsonl")]
    assert any(re.match(r'{"end":true,"crc":"\w{8}"}', line) for line in ended)


OUTSIDE = {
    "an exception after the sweep": "if rank == 1: raise ValueError('outside')\nmpi_map(runner, xs, store=ResultStore('store'))",
    "a lone exit": "if rank == 1: sys.exit(0)\nmpi_map(runner, xs, store=ResultStore('store'))",
    "another folder on one rank": "mpi_map(runner, xs, store=ResultStore(f'store{rank}'))",
    "another runner": "runner._metric_fns['square'] = abs\nmpi_map(runner, xs, store=ResultStore('store'))",
}


@pytest.mark.parametrize("case", [c if c == "a lone exit" else pytest.param(c, marks=pytest.mark.slow) for c in OUTSIDE])
def test_what_goes_wrong_outside_a_draw_ends_the_job_and_keeps_what_is_done(start, tmp_path, case):
    job = start(script() + OUTSIDE[case] + "\nprint('the sweep returned')\n", 2, timeout=60)
    assert job.returncode != 0 and "the sweep returned" not in job.stdout, job.stderr
    assert len(keys_done(tmp_path)) == 31
    assert start(script(), 2).returncode == 0 and len(keys_done(tmp_path)) == 31
    if "another" in case:
        assert "must agree" in job.stderr or "made by something else" in job.stderr


LONG = """
import os, time
import numpy as np
from dynx_runner import CircuitRunner, ResultStore, mpi_map, prepare_mpi

rank = prepare_mpi()
open(f"pid.{rank}.{os.getpid()}", "w").close()

def solver(i):
    time.sleep(0.05)
    return np.sin(i)

runner = CircuitRunner(
    {"main": {"beta": 0.5}}, {}, {}, {"main.beta": (0.0, 1e4)}, lambda e, s, c: e["main"]["beta"], solver, {"m": float}, cache=False
)
table = mpi_map(runner, np.arange(DRAWS)[:, None], store=ResultStore("store"))
if rank == 0:
    table.to_pickle("df.pkl")
"""


@pytest.mark.slow
def test_all_draws_are_done_though_a_rank_is_killed_every_few_seconds(begin, tmp_path):
    """As `python benchmarks/sweep.py --kills` has it, of 2,000 draws and every 20 seconds."""
    jobs = 0
    while True:
        job, jobs = begin(LONG.replace("DRAWS", "600.0"), 2), jobs + 1
        try:
            job.wait(timeout=6)
            break
        except subprocess.TimeoutExpired:
            kill(tmp_path, jobs % 2, signal.SIGKILL)
            assert job.wait(timeout=60) != 0
    assert job.returncode == 0 and 2 <= jobs <= 20
    found = table(tmp_path)
    assert (found["status"] == "ok").all() and found["m"].tolist() == np.sin(np.arange(600.0)).tolist()
    # Whatever was in flight is run again, and nothing else: what is done twice is no more than that.
    lines = [line for path in (tmp_path / "store" / "parts").glob("*.jsonl") for line in path.read_text().splitlines()]
    started = [key for line in lines if line.startswith('{"start"') for key in json.loads(line)["start"]]
    assert len(started) <= 600 + 2 * (jobs - 1) and len(keys_done(tmp_path)) == 600
