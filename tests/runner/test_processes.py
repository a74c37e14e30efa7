"""Sweeps in processes that they start: one that dies costs what it was at, and the table is that of one process."""

import os
import re
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dynx_runner import CircuitRunner, ResultStore, mpi_map
from dynx_runner.launch import device_for
from dynx_runner.sweep.ledger import Ledger, Task

# Lambdas and closures everywhere; some draws are told to raise, to be no number, or to kill their process.
SCRIPT = """
import os, signal, sys, time
import numpy as np
from dynx_runner import CircuitRunner, ResultStore, mpi_map

def made(poison, seconds=0.0):
    def solver(i):
        open(f"pid.{os.getpid()}", "w").close()
        time.sleep(seconds)
        if i in poison:
            os.kill(os.getpid(), signal.SIGKILL)
        if i == 5:
            sys.exit(0)
        if i == 7:
            raise ZeroDivisionError("boom")
        return np.nan if i == 9 else np.sin(i) ** 2

    metrics = {"square": lambda m: m, "profile": lambda m: np.array([m, 1 / 3]), "pid": lambda m: len(poison)}
    return CircuitRunner({"main": {"beta": 0.5}}, {}, {}, {"main.beta": (0.0, 1e4)}, lambda e, s, c: e["main"]["beta"], solver, metrics)

xs = np.arange(31.0)[:, None]
"""


def expected(poison=(12, 13)):
    i = np.arange(31.0)
    bad = np.isin(i, [5, *poison])
    status = np.where(bad, "quarantined", np.where(i == 7, "failed", "ok"))
    return status.tolist(), np.where(bad | (i == 7) | (i == 9), np.nan, np.sin(i) ** 2)


def check(table, poison=(12, 13)):
    status, square = expected(poison)
    assert table["status"].tolist() == status
    assert np.asarray(table["square"]).tobytes() == square.tobytes()


def starts(folder):
    """The keys of each line that says what is in flight."""
    lines = [line for path in folder.glob("parts/*.jsonl") for line in path.read_text().splitlines()]
    return [re.findall(r'"(\w{32})"', line) for line in lines if line.startswith('{"start"')]


@pytest.mark.parametrize("stored", [False, True])
def test_a_draw_that_kills_its_process_costs_two_processes_and_nobody_else_anything(start, tmp_path, stored):
    where = "store=ResultStore('store'), " if stored else ""
    job = start(SCRIPT + f"mpi_map(made((12, 13)), xs, {where}backend='processes', workers=2).to_pickle('df.pkl')", 0)
    assert job.returncode == 0 and job.stderr == "", job.stderr
    table = pd.read_pickle(tmp_path / "df.pkl")
    check(table)
    assert "2 processes ended in this draw" in table["error"][12] and "in solver" in table["error"][7]
    if stored:
        store = ResultStore(tmp_path / "store")
        pd.testing.assert_frame_equal(store.to_frame(), table, check_exact=True)
        # Whoever shared a process with a draw that killed it is run again, and who did not is run once.
        counts = pd.Series([key for keys in starts(tmp_path / "store") for key in keys]).value_counts()
        assert len(counts) == 31 and (counts > 1).sum() <= 3 + 2 * 3
        # What is done is not run again: not even a process is started.
        for pid in tmp_path.glob("pid.*"):
            pid.unlink()
        again = start(
            SCRIPT + "mpi_map(made((12, 13)), xs, store=ResultStore('store'), backend='processes').to_pickle('again.pkl')", 0
        )
        assert again.returncode == 0 and not list(tmp_path.glob("pid.*")), again.stderr
        pd.testing.assert_frame_equal(pd.read_pickle(tmp_path / "again.pkl"), table, check_exact=True)


def test_processes_may_be_killed_at_any_moment_and_the_sweep_goes_on(begin, tmp_path):
    job = begin(
        SCRIPT.replace("i == 5", "i == -1")
        + "mpi_map(made((), 0.1), xs, store=ResultStore('store'), backend='processes', workers=2).to_pickle('df.pkl')",
        0,
    )
    store, killed = ResultStore(tmp_path / "store"), 0
    for number in (4, 9, 14, 19):
        while len(store) < number and job.poll() is None:
            time.sleep(0.01)
        # Whoever works now; one that is hit in the same draw twice could not be told from one that kills its process.
        for path in list(tmp_path.glob("pid.*"))[-1:]:
            path.unlink()
            os.kill(int(path.name[4:]), signal.SIGKILL)
            killed += 1
    _, err = job.communicate(timeout=120)
    assert job.returncode == 0 and err == "" and killed >= 3
    table = pd.read_pickle(tmp_path / "df.pkl")
    assert table["status"].tolist() == ["failed" if i == 7 else "ok" for i in range(31)]
    assert len(store) == 31 and store.status().quarantined == 0


def test_an_interruption_ends_all_processes_and_keeps_what_is_done(begin, tmp_path):
    # Whoever runs the tests in the background hands on a signal that is ignored.
    heard = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    sweep = "mpi_map(made((), 0.5), xs[10:], store=ResultStore('store'), backend='processes', workers=2)"
    job = begin(SCRIPT + heard + sweep, 0)
    store = ResultStore(tmp_path / "store")
    while len(store) < 3 and job.poll() is None:
        time.sleep(0.02)
    job.send_signal(signal.SIGINT)
    _, err = job.communicate(timeout=60)
    assert job.returncode != 0 and err.rstrip().endswith("KeyboardInterrupt")
    for path in tmp_path.glob("pid.*"):
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.name[4:]), 0)
    status = store.status()
    assert status.ok >= 3 and status.running == status.suspects == 0  # Nobody is blamed.


def test_processes_end_by_themselves_when_the_one_that_started_them_is_killed(start, begin, tmp_path):
    script = SCRIPT + "mpi_map(made((), 0.1), xs[10:], store=ResultStore('store'), backend=BACKEND).to_pickle('df.pkl')"
    job = begin(script.replace("BACKEND", "'processes', workers=2"), 0)
    store = ResultStore(tmp_path / "store")
    while len(store) < 3 and job.poll() is None:
        time.sleep(0.02)
    job.kill()
    job.wait(timeout=30)
    # What they were at is done, and written down.
    while store.status().running or any(
        gone.exists() for gone in (Path(f"/proc/{p.name[4:]}") for p in tmp_path.glob("pid.*"))
    ):
        time.sleep(0.05)
    before = starts(tmp_path / "store")
    assert len(store) == sum(map(len, before)) >= 3 and store.status().suspects == 0
    job = start(script.replace("BACKEND", "'serial'"), 0)
    assert job.returncode == 0, job.stderr
    i = np.arange(10.0, 31.0)
    table = pd.read_pickle(tmp_path / "df.pkl")
    assert table["square"].to_numpy().tobytes() == (np.sin(i) ** 2).tobytes()
    assert sum(map(len, starts(tmp_path / "store"))) == 21  # Nothing twice.


def test_what_goes_wrong_outside_a_draw_ends_the_sweep(start, tmp_path):
    script = SCRIPT + "store = ResultStore('store')\n"
    # The parts of processes cannot be written, whoever runs the test.
    script += "mpi_map(made(()), xs[:1], store=store)\nimport shutil; shutil.rmtree('store/parts'); open('store/parts', 'w').close()\n"
    job = start(script + "mpi_map(made(()), xs[10:], store=store, backend='processes', workers=2)", 0)
    assert job.returncode != 0 and "cannot write to the store" in job.stderr
    stillborn = "import sys; sys.executable = '/bin/false'\nmpi_map(made(()), xs, backend='processes', workers=1)"
    job = start(SCRIPT + stillborn, 0)
    assert "RuntimeError: 3 processes in a row ended before their first draw, the last one with exit code 1" in job.stderr
    unsendable = "import threading\nlock = threading.Lock()\nrunner = made(())\nrunner._solver = lambda i: lock\n"
    job = start(SCRIPT + unsendable + "mpi_map(runner, xs, backend='processes', workers=1)", 0)
    assert "RuntimeError: the runner cannot be sent to another process: TypeError" in job.stderr


THREADS = """
import os, time
from pathlib import Path
import numpy as np
from dynx_runner import CircuitRunner, mpi_map

def solver(beta):
    import jax
    open(f"{beta}", "w").close()
    while not os.path.exists(f"{1 - beta}"):  # Each waits for the other, so that both have a process.
        time.sleep(0.01)
    jax.jit(lambda x: x @ x)(np.eye(64)).block_until_ready()
    threads = [Path(place) for place in Path("/proc/self/task").iterdir()]
    names = [(thread / "comm").read_text() for thread in threads]
    masks = {frozenset(os.sched_getaffinity(int(thread.name))) for thread in threads}
    (mask,) = masks
    return np.array([len(mask), min(mask), sum("XLAEigen" in name for name in names)])

runner = CircuitRunner({"main": {"beta": 0.5}}, {}, {}, {"main.beta": (0.0, 1.0)}, lambda e, s, c: e["main"]["beta"], solver, {"m": lambda m: m})
table = mpi_map(runner, [[0.0], [1.0]], backend="processes", workers=2)
print(*table["m"][0], *table["m"][1])
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
@pytest.mark.skipif(len(getattr(os, "sched_getaffinity", lambda _: ())(0)) < 2, reason="one core cannot be shared")
def test_each_process_has_its_own_cores_and_jax_no_more_threads(start):
    job = start(THREADS, 0)
    assert job.returncode == 0, job.stderr
    many, first, pool, others, second, theirs = map(int, job.stdout.split())
    assert first != second and pool == many and theirs == others


BATCHES = """
import math, os, resource, sys
import jax, jax.numpy as jnp, numpy as np
from dynx_runner import CircuitRunner, ResultStore, mpi_map, prepare_mpi

rank = prepare_mpi()
jax.config.update("jax_enable_x64", True)

def never_ends(poison):
    def solver(x):
        bound = jnp.where(x == poison, jnp.inf, 40.0)
        return jax.lax.while_loop(lambda v: v < bound, lambda v: v + 1, 0 * x) + jnp.where(x == 9, jnp.nan, jnp.sin(x))
    return solver

metrics = {"m": lambda m: m, "twice": lambda m: 2 * m}
runner = CircuitRunner({"main": {"x": 0.5}}, {}, {}, {"main.x": (0.0, 1e4)}, lambda e, s, c: e["main"]["x"], never_ends(POISON), metrics, batches=True)
jax.jit(jnp.sin)(1.0).block_until_ready()
# The system kills a process whose draw does not end.
limit = math.ceil(sum(os.times()[:2])) + 4
resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
table = mpi_map(runner, np.arange(40.0)[:, None], STORE)
if rank == 0:
    table.to_pickle("df.pkl")
"""


def batched(poison=-1.0, where="store=ResultStore('store')"):
    return BATCHES.replace("POISON", repr(poison)).replace("STORE", where)


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [0, 2, "processes"])
def test_a_draw_of_a_batch_that_ends_its_process_is_quarantined_and_the_rest_of_its_batch_is_not(start, tmp_path, ranks):
    """Its process is killed by the system, in the middle of a compiled program."""
    job = start(batched(where=""), 0)
    assert job.returncode == 0, job.stderr
    alone = pd.read_pickle(tmp_path / "df.pkl")
    where = "store=ResultStore('store')" + (", backend='processes', workers=2" if ranks == "processes" else "")
    codes = []
    while 0 not in codes and len(codes) < 8:
        codes.append(start(batched(12.0, where), 0 if ranks == "processes" else ranks).returncode)
    assert codes[-1] == 0 and len(codes) == (1 if ranks == "processes" else len(codes)) and 0 not in codes[:-1]
    table = pd.read_pickle(tmp_path / "df.pkl")
    assert table.index[table["status"] != "ok"].tolist() == [12] and table["status"][12] == "quarantined"
    for metric in ("m", "twice"):
        assert table[metric].drop(12).to_numpy().tobytes() == alone[metric].drop(12).to_numpy().tobytes()
    found = starts(tmp_path / "store")
    assert max(map(len, found)) > 4  # There were batches, and the one that died was run one at a time.
    counts = pd.Series([key for keys in found for key in keys]).value_counts()
    assert counts.max() >= (2 if ranks == 2 else 3) and len(counts) == 40


def test_batches_are_the_same_whatever_runs_them(start, tmp_path):
    tables = []
    for where, ranks in (("", 0), ("store=ResultStore('two')", 2), ("backend='processes', workers=2", 0)):
        job = start(batched(where=where), ranks)
        assert job.returncode == 0, job.stderr
        tables.append(pd.read_pickle(tmp_path / "df.pkl").drop(columns="seconds"))
    for other in tables[1:]:
        pd.testing.assert_frame_equal(other, tables[0], check_exact=True)
        assert other["m"].to_numpy().tobytes() == tables[0]["m"].to_numpy().tobytes()
    x = np.arange(40.0)
    np.testing.assert_allclose(tables[0]["m"], np.where(x == 9, np.nan, 40 + np.sin(x)), rtol=1e-14)
    assert max(map(len, starts(tmp_path / "two"))) > 4


def test_each_process_of_a_machine_sees_one_device_in_turn(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert [device_for(k)["CUDA_VISIBLE_DEVICES"] for k in range(3)] == ["3", "5", "3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert device_for(1) == {}


def test_who_is_lost_twice_alone_is_to_blame_and_who_was_lost_beside_others_is_not():
    tasks = [Task(i, str(i), np.zeros(1)) for i in range(5)]
    ledger = Ledger(tasks, lambda record: None, strikes={"4": 1})
    assert ledger.take(1) == tasks[:1] and ledger.lost(tasks[1:3]) == []
    assert ledger.lost(tasks[:1]) == [] and ledger.lost(tasks[:1]) == [(tasks[0], 2)]
    assert ledger.lost(tasks[4:]) == [(tasks[4], 2)]


def test_a_backend_that_is_not_there_or_not_what_started_the_process_is_refused():
    runner = CircuitRunner({"main": {"beta": 0.5}}, {}, {}, {"main.beta": (0, 1)}, lambda e, s, c: 0.0, abs, {"m": abs})
    for given, error, message in (
        ({"backend": "threads"}, ValueError, "no backend `threads`; there are auto, serial, processes, mpi"),
        ({"backend": "mpi"}, RuntimeError, "the backend is `mpi`, but the sweep was started in one process"),
        ({"workers": 2}, ValueError, 'workers = 2; it is how many processes backend="processes" starts'),
        ({"backend": "processes", "workers": 0}, ValueError, "workers = 0"),
    ):
        with pytest.raises(error, match=re.escape(message)):
            mpi_map(runner, [[0.5]], **given)
