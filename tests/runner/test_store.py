"""A store keeps every draw as soon as it is done, and gives back what it was given, or says why not."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import dynx_runner
from dynx_runner import CircuitRunner, ResultStore, StoreError, mpi_map
from dynx_runner.runner.record import Record
from dynx_runner.store.contents import Contents
from dynx_runner.store.lines import Damage, encode, lines_of
from dynx_runner.store.part import Part
from dynx_runner.store.strikes import suspicion
from dynx_runner.sweep.ledger import Ledger, Task

XS = np.linspace(0.0, 1.0, 9)[:, None]


def make_runner(solver=lambda beta: 2 * beta, **metrics):
    metrics = metrics or {"twice": lambda m: m, "profile": lambda m: np.array([m, 1.0, -m])}
    factory = lambda epochs, stages, connections: epochs["main"]["beta"]
    return CircuitRunner({"main": {"beta": 0.5}}, {}, {}, {"main.beta": (0.0, 1.0)}, factory, solver, metrics, cache=False)


def counting(**options):
    """A runner that remembers what it solved."""
    solved = []

    def solver(beta):
        solved.append(beta)
        if beta == 0.25:
            raise ZeroDivisionError("boom")
        return 2 * beta if beta < 0.9 else np.nan

    return make_runner(solver, **options), solved


def same(left, right):
    pd.testing.assert_frame_equal(left.drop(columns="seconds"), right.drop(columns="seconds"), check_exact=True)


def parts(folder):
    return sorted((folder / "parts").glob("*.jsonl"))


def test_a_sweep_with_a_store_is_the_sweep_without_and_is_not_run_again(tmp_path):
    runner, solved = counting()
    plain = mpi_map(runner, XS)
    stored = mpi_map(runner, XS, store=ResultStore(tmp_path))
    same(stored, plain)
    assert len(solved) == 18
    again = mpi_map(counting()[0], XS, store=ResultStore(tmp_path))
    assert len(solved) == 18
    pd.testing.assert_frame_equal(again, stored, check_exact=True)
    assert again["status"].tolist() == ["ok", "ok", "failed", *["ok"] * 6] and "boom" in again["traceback"][2]
    assert np.isnan(again["twice"][8]) and again["status"][8] == "ok"


def test_other_vectors_are_added_and_known_ones_are_not_run(tmp_path):
    runner, solved = counting()
    store = ResultStore(tmp_path)
    mpi_map(runner, XS[:4], store=store)
    whole = mpi_map(runner, np.vstack([XS[::-1], XS[:1]]), store=store)
    assert sorted(solved) == XS[:, 0].tolist() and len(store) == 9
    assert whole["main.beta"].tolist() == [*XS[::-1, 0], 0.0] and whole["twice"][9] == whole["twice"][8]


def test_the_table_of_the_store_is_that_of_the_sweep(tmp_path):
    store = ResultStore(tmp_path)
    assert len(store) == 0 and store.status().draws == 0 and store.manifest() == {}
    table = mpi_map(counting()[0], XS, store=store)
    pd.testing.assert_frame_equal(store.to_frame(), table, check_exact=True)
    assert store.status()[:6] == (9, 8, 1, 0, 0, 0) and "9 of 9 draws: 8 ok, 1 failed" in str(store.status())


def test_the_best_draws_are_those_with_the_smallest_metric(tmp_path):
    store = ResultStore(tmp_path)
    mpi_map(counting()[0], XS, store=store)
    assert store.best(2, by="twice")["main.beta"].tolist() == [0.0, 0.125]
    assert store.best(by="twice", largest=True)["main.beta"].tolist() == [0.875]
    assert len(store.best(100, by="twice")) == 7
    with pytest.raises(ValueError, match="no metric `twise`; did you mean `twice`"):
        store.best(by="twise")


@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, -np.inf, 1e-320, 0.1, -0.0, 1e308])
def test_numbers_come_back_to_the_last_bit(tmp_path, value):
    part = Part(tmp_path, "job")
    part.done([(0, "k", np.array([value]), Record({"m": value, "a": np.array([[value]])}))])
    part.close()
    store = ResultStore(tmp_path)
    draw = store._read()["k"]
    for found in (draw.x[0], draw.record.metrics["m"], draw.record.metrics["a"][0, 0]):
        assert np.float64(found).tobytes() == np.float64(value).tobytes()


@pytest.mark.parametrize("array", [np.arange(3), np.ones((2, 0), np.float32), np.array([True]), np.full((2, 3), np.nan)])
def test_arrays_come_back_with_their_shape_and_type(tmp_path, array):
    runner = make_runner(m=lambda m: array)
    first = mpi_map(runner, XS[:2], store=ResultStore(tmp_path))
    again = mpi_map(runner, XS[:2], store=ResultStore(tmp_path))
    for found in (*first["m"], *again["m"]):
        assert found.dtype == array.dtype and found.shape == array.shape and np.array_equal(found, array, equal_nan=True)


def test_a_table_is_compacted_to_one_file_that_other_programs_read(tmp_path):
    import pyarrow.parquet as pq

    store = ResultStore(tmp_path)
    table = mpi_map(counting()[0], XS, store=store)
    path = store.compact()
    assert path == tmp_path / "table.parquet" and pq.read_table(path).num_rows == 9
    # This process lives, so its closed part may not go; a part of a process that ended does.
    pd.testing.assert_frame_equal(ResultStore(tmp_path).to_frame(), table, check_exact=True)
    for part in parts(tmp_path):
        part.unlink()
    pd.testing.assert_frame_equal(ResultStore(tmp_path).to_frame(), table, check_exact=True)
    runner, solved = counting()
    mpi_map(runner, XS, store=ResultStore(tmp_path))
    assert solved == []
    ResultStore(tmp_path).compact()
    pd.testing.assert_frame_equal(ResultStore(tmp_path).to_frame(), table, check_exact=True)


def test_a_torn_last_line_is_no_line(tmp_path):
    runner, solved = counting()
    table = mpi_map(runner, XS, store=ResultStore(tmp_path))
    (path,) = parts(tmp_path)
    whole = path.read_bytes()
    body = whole[: whole.rindex(b'{"end"')]
    for cut in (1, 7, 150, len(body) // 2):
        path.write_bytes(body[:-cut] + (b"\0" * 100 if cut == 7 else b""))
        del solved[:]
        same(mpi_map(runner, XS, store=ResultStore(tmp_path)), table)
        assert 1 <= len(solved) < 9
        for other in set(parts(tmp_path)) - {path}:
            other.unlink()


def test_every_cut_of_a_part_leaves_whole_draws(tmp_path):
    lines = [encode({"done": f"{k:032x}", "x": [k / 3]}) for k in range(5)]
    path = tmp_path / "p.jsonl"
    text = b"".join(lines)
    for cut in range(len(text)):
        path.write_bytes(text[:cut])
        found = list(lines_of(path))
        assert len(found) == text[:cut].count(b"\n") and not any(isinstance(one, Damage) for one in found)


def test_a_line_altered_by_hand_is_named_and_may_be_left_out(tmp_path):
    runner, solved = counting()
    table = mpi_map(runner, XS, store=ResultStore(tmp_path))
    (path,) = parts(tmp_path)
    before = path.read_text()
    path.write_text(before.replace('"twice":1.5', '"twice":1.7'))
    with pytest.raises(StoreError, match=rf"1 lines .* {re.escape(str(path))}:\d+.*skip_damaged=True"):
        mpi_map(runner, XS, store=ResultStore(tmp_path))
    del solved[:]
    same(mpi_map(runner, XS, store=ResultStore(tmp_path, skip_damaged=True)), table)
    assert len(solved) == 1


def test_a_store_of_another_runner_is_named_with_the_difference(tmp_path):
    store = ResultStore(tmp_path)
    mpi_map(make_runner(twice=lambda m: m), XS, store=store)
    factor = 3
    others = {
        "metric twice": make_runner(twice=lambda m: m + 1),
        "metric thrice": make_runner(twice=lambda m: m, thrice=lambda m: 1.5 * m),
        "solver": make_runner(lambda beta: factor * beta, twice=lambda m: m),
    }
    for name, runner in others.items():
        with pytest.raises(StoreError, match=rf"made by something else.*\n.*{name}") as caught:
            mpi_map(runner, XS, store=store)
        if name == "metric twice":
            assert "-lambda m: m\n" in str(caught.value) and "+lambda m: m + 1" in str(caught.value)
    assert len(store) == 9


def test_bounds_and_the_spelling_of_paths_do_not_make_another_runner(tmp_path):
    configs = {"main": {"parameters": {"beta": 0.5}}}
    runners = [
        CircuitRunner(
            configs, {}, {}, {"main.parameters.beta": spec}, lambda e, s, c: e["main"]["parameters"]["beta"], abs, {"m": abs}
        )
        for spec in ((0.0, 1.0), (0.0, 2.0))
    ]
    tables = [mpi_map(runner, XS, store=ResultStore(tmp_path)) for runner in runners]
    pd.testing.assert_frame_equal(*tables, check_exact=True)


def test_what_cannot_be_compared_needs_a_version_to_resume(tmp_path):
    rng = np.random.default_rng(0)
    runner = make_runner(noise=lambda m: m + 0 * rng.uniform())
    mpi_map(runner, XS, store=ResultStore(tmp_path / "a"))
    with pytest.raises(StoreError, match=r"cannot be resumed: what metric noise: rng \(Generator\) holds.*version="):
        mpi_map(runner, XS, store=ResultStore(tmp_path / "a"))
    first = mpi_map(runner, XS, store=ResultStore(tmp_path / "b", version="1"))
    pd.testing.assert_frame_equal(mpi_map(runner, XS, store=ResultStore(tmp_path / "b", version="1")), first)
    with pytest.raises(StoreError, match="version"):
        mpi_map(runner, XS, store=ResultStore(tmp_path / "b", version="2"))


def ending(kind):
    """A runner whose fifth draw ends the process."""

    def solver(beta):
        if beta == 0.5:
            raise kind
        return 2 * beta

    return make_runner(solver)


def test_an_interrupted_sweep_keeps_what_is_done_and_blames_nobody(tmp_path):
    store = ResultStore(tmp_path)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            mpi_map(ending(KeyboardInterrupt), XS, store=store)
        assert store.status()[:6] == (9, 4, 0, 0, 0, 0)


def test_a_draw_that_leaves_twice_is_quarantined_until_it_is_asked_for(tmp_path):
    store = ResultStore(tmp_path)
    for _ in range(2):
        with pytest.raises(SystemExit):
            mpi_map(ending(SystemExit), XS, store=store)
        assert store.status().ok == 4
    table = mpi_map(ending(SystemExit), XS, store=store)
    assert table["status"].tolist() == ["ok"] * 4 + ["quarantined"] + ["ok"] * 4
    assert np.isnan(table["twice"][4]) and "2 processes ended in this draw; retry_quarantined=True" in table["error"][4]
    pd.testing.assert_frame_equal(store.to_frame(), table, check_exact=True)
    assert store.status()[:6] == (9, 8, 0, 1, 0, 0)
    with pytest.raises(SystemExit):
        mpi_map(ending(SystemExit), XS, store=store, retry_quarantined=True)
    pd.testing.assert_frame_equal(mpi_map(ending(SystemExit), XS, store=store), table, check_exact=True)
    with pytest.raises(SystemExit):
        mpi_map(ending(SystemExit), XS, store=ResultStore(tmp_path, retry_quarantined=True))


def crashed(tmp_path, *jobs):
    """A store in which jobs ended, each with the draws that its processes had in flight, and who is suspected."""
    for number, processes in enumerate(jobs):
        for flying in processes:
            part = Part(tmp_path, f"job {number}")
            part.start(list(flying))
            part.close(crashed=True)
    return suspicion(Contents(tmp_path))


@pytest.mark.parametrize(
    ("jobs", "suspects", "quiet", "crashes"),
    [
        ([["a"]], "a", "", ""),
        ([["a"], ["a"]], "", "", "a"),
        ([["ab"]], "ab", "", ""),
        ([["ab"], ["a"]], "ab", "", ""),
        ([["ab"], ["a"], ["a"]], "b", "", "a"),
        ([["a", "b"]], "ab", "", ""),
        ([["a", "b"], ["a", "c"]], "abc", "a", ""),
        ([["a", "b"], ["a", "c"], ["a"]], "bc", "", "a"),
        ([["a", "b"], ["b", "a"]], "ab", "ab", ""),
        ([["abc", "d"], ["a", "d"], ["d"]], "abc", "", "d"),
    ],
)
def test_blame_is_given_to_a_draw_that_was_in_flight_alone(tmp_path, jobs, suspects, quiet, crashes):
    found = crashed(tmp_path, *jobs)
    assert (found.suspects, found.quiet, set(found.crashes)) == (set(suspects), set(quiet), set(crashes))


def tasks(names):
    return [Task(k, name, np.zeros(1)) for k, name in enumerate(names)]


def taken(ledger):
    found = ledger.take(2)
    return None if found is None else "".join(task.key for task in found)


def test_suspects_run_one_at_a_time_while_there_are_others():
    ledger = Ledger(tasks("abcd"), lambda record: None, suspects=frozenset("bd"))
    assert [taken(ledger) for _ in range(3)] == ["b", "a", "c"]
    # Nothing else is left: waiting would help nobody.
    assert taken(ledger) == "d" and taken(ledger) == ""


def test_nothing_runs_beside_a_draw_that_is_suspected_twice():
    ledger = Ledger(tasks("abc"), lambda record: None, suspects=frozenset("abc"), quiet=frozenset("ab"))
    one, two, three = tasks("abc")
    assert taken(ledger) == "c" and taken(ledger) is None
    ledger.put(three, Record({}))
    assert taken(ledger) == "a" and taken(ledger) is None
    ledger.put(one, Record({}))
    assert taken(ledger) == "b" and taken(ledger) is None
    ledger.put(two, Record({}))
    assert taken(ledger) == ""


def test_a_read_only_folder_is_refused_and_still_read(tmp_path, monkeypatch):
    store = ResultStore(tmp_path / "s")
    mpi_map(make_runner(), XS[:3], store=store)

    def refuse(path, *arguments):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StoreError, match=r"cannot write to the store at .*/s: Read-only file system.*run again"):
        mpi_map(make_runner(), XS, store=store)
    monkeypatch.undo()
    assert len(store.to_frame()) == 3
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="is a file; a store is a folder"):
        ResultStore(tmp_path / "file")


FULL = """
import resource, signal, sys
import numpy as np
sys.path.insert(0, {here!r})
from test_store import XS, make_runner, mpi_map, ResultStore
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
mpi_map(make_runner(lambda beta: 2 * beta, twice=lambda m: m), np.linspace(0, 1, 101)[:, None], store=ResultStore({folder!r}))
"""


def test_a_full_disk_is_an_error_and_nothing_that_was_stored_is_lost(tmp_path):
    code = FULL.format(here=str(Path(__file__).parent), folder=str(tmp_path))
    environment = os.environ | {"PYTHONPATH": str(Path(dynx_runner.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0 and "StoreError: cannot write to the store" in done.stderr and "File too large" in done.stderr
    store = ResultStore(tmp_path)
    assert 5 < len(store) < 60 and all(path.read_bytes().endswith(b"\n") for path in parts(tmp_path))
    assert store.status().suspects <= 1


def test_a_table_of_another_version_is_refused_and_left_alone(tmp_path):
    import pyarrow.parquet as pq

    store = ResultStore(tmp_path)
    mpi_map(make_runner(), XS, store=store)
    path = store.compact()
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({**table.schema.metadata, b"dynx_store": b"7"}), path)
    before = path.read_bytes()
    for act in (store.status, store.compact, lambda: mpi_map(make_runner(), XS, store=store)):
        with pytest.raises(StoreError, match=r"a table of version 7, and this version of dynx reads version 1"):
            act()
    assert path.read_bytes() == before
    pq.write_table(table.replace_schema_metadata({}), path)
    with pytest.raises(StoreError, match="no store's table"):
        store.status()
    path.write_bytes(before[: len(before) // 2])
    with pytest.raises(StoreError, match="cannot be read"):
        store.status()


def test_a_manifest_of_another_layout_or_torn_is_refused(tmp_path):
    mpi_map(make_runner(), XS, store=ResultStore(tmp_path))
    path = tmp_path / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"store": 9}))
    with pytest.raises(StoreError, match="a store of layout 9, and this version of dynx reads layout 1"):
        mpi_map(make_runner(), XS, store=ResultStore(tmp_path))
    path.write_text("{")
    with pytest.raises(StoreError, match="cannot be read"):
        ResultStore(tmp_path).to_frame()


def test_the_manifest_says_with_what_a_store_was_made(tmp_path):
    runner = make_runner()
    mpi_map(runner, XS, store=ResultStore(tmp_path))
    manifest = ResultStore(tmp_path).manifest()
    assert manifest["parameters"] == ["main.beta"] and manifest["metrics"] == ["twice", "profile"]
    assert {"numpy", "jax"} <= set(manifest["versions"]) and manifest["python"].startswith("3.")
    assert manifest["identity"]["solver"]["function"] == "lambda beta: 2 * beta"


@pytest.mark.parametrize("store", ["folder", Path("folder"), 1, {}])
def test_a_store_that_is_none_is_refused(store):
    with pytest.raises(TypeError, match=r"store must be a ResultStore.*ResultStore\(folder\)"):
        mpi_map(make_runner(), XS, store=store)


def test_nothing_is_made_where_nothing_is_swept(tmp_path):
    store = ResultStore(tmp_path / "new")
    assert store.status().draws == 0 and not store.folder.exists()


MINE = """
model: {name: Mine, horizon: 2, terminal: 0, parameters: {beta: 0.9}, connections: {inter_period: [{source: EAT, target: EAT, mapping: {b: a}}]}}
stage:
  name: EAT
  parameters: {beta: [beta]}
  math:
    functions: {g_av: m = a + 1, g_ve: b = m - c, Q: "felicity(c) + beta*V[>]"}
    controls: {c: 0 < c <= m}
    state_space: {arvl: {dimensions: [a]}, dcsn: {dimensions: [m]}, cntn: {grid: {b: {min: 0.0, max: 9.0, points: 9}}}}
"""


def test_functions_that_a_model_calls_are_part_of_what_it_is():
    import jax.numpy as jnp

    import stagecraft as sc
    from dynx_runner.store.canonical import Canon

    def circuit(felicity):
        return sc.load(MINE, functions={"felicity": felicity})

    told = [Canon().of(circuit(f), "model") for f in (lambda c: jnp.log(c), lambda c: jnp.log(c), lambda c: jnp.sqrt(c))]
    canon = Canon()
    canon.of(circuit(lambda c: jnp.log(c)), "model")
    assert canon.unknown == [] and told[0] != told[2] and "jnp.sqrt" in str(told[2])
