"""A sweep in one process: one row a draw, whatever happens in it."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from dynx_runner import CircuitRunner, ResultStore, mpi_map, prepare_mpi


def make_runner(solver=lambda model: None, metrics=None):
    return CircuitRunner(
        {"main": {"beta": 0.9, "r": 0.03}},
        {},
        {},
        {"main.beta": (0.0, 1.0), "main.r": (0.0, 1.0)},
        lambda epochs, stages, connections: epochs["main"],
        solver,
        metrics or {"product": lambda m: m["beta"] * m["r"], "sum": lambda m: m["beta"] + m["r"]},
    )


def refuse_large(model):
    if model["beta"] > 0.5:
        raise ZeroDivisionError("boom\nin two lines")


def test_rows_are_in_the_order_of_the_draws():
    xs = make_runner().sample_prior(7, seed=0)
    df = mpi_map(make_runner(), xs)
    assert list(df) == ["main.beta", "main.r", "product", "sum", "status", "error", "traceback", "seconds"]
    np.testing.assert_array_equal(df[["main.beta", "main.r"]], xs)
    np.testing.assert_array_equal(df["product"], xs[:, 0] * xs[:, 1])
    assert (df["status"] == "ok").all() and (df["error"] == "").all() and (df["seconds"] > 0).all()


def test_an_exception_in_a_draw_is_a_row_with_its_traceback():
    df = mpi_map(make_runner(refuse_large), [[0.25, 1.0], [0.75, 1.0], [0.5, 1.0]])
    assert df["status"].tolist() == ["ok", "failed", "ok"]
    assert df["error"].tolist() == ["", "ZeroDivisionError: boom (in solver)", ""]
    assert "refuse_large" in df["traceback"][1] and "main.beta = 0.75" in df["traceback"][1]
    assert np.isnan(df["product"][1]) and df["sum"][2] == 1.5


def test_a_draw_that_is_not_finite_is_a_failed_row():
    df = mpi_map(make_runner(), [[np.nan, 1.0], [0.5, 1.0]])
    assert df["status"].tolist() == ["failed", "ok"] and "`main.beta` is nan" in df["error"][0]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_ends_a_process_is_not_swallowed_as_a_draw(kind):
    def solver(model):
        raise kind

    with pytest.raises(kind):
        mpi_map(make_runner(solver), [[0.5, 1.0]])


def test_no_draws_give_an_empty_table_with_all_columns():
    for xs in ([], np.empty((0, 2))):
        df = mpi_map(make_runner(), xs)
        assert len(df) == 0 and list(df) == list(mpi_map(make_runner(), [[0.5, 0.5]]))
        assert df["product"].dtype == np.float64


@pytest.mark.parametrize("xs", [[0.5, 0.5], np.zeros((2, 3)), 0.5, np.zeros((1, 1, 2))])
def test_draws_of_another_shape_are_refused(xs):
    with pytest.raises(ValueError, match=r"expected \(draws, 2\) for main.beta, main.r"):
        mpi_map(make_runner(), xs)


def test_a_metric_may_not_be_called_like_another_column():
    with pytest.raises(ValueError, match="two columns are called status"):
        mpi_map(make_runner(metrics={"status": lambda m: 0.0}), [[0.5, 0.5]])


def test_the_progress_bar_is_shown_only_if_asked_for(capsys):
    silent = mpi_map(make_runner(), [[0.5, 0.5]] * 3)
    assert capsys.readouterr().err == ""
    shown = mpi_map(make_runner(), [[0.5, 0.5]] * 3, progress=True)
    assert "3/3" in capsys.readouterr().err
    pd.testing.assert_frame_equal(silent.drop(columns="seconds"), shown.drop(columns="seconds"))


def test_a_process_that_is_alone_has_rank_zero_and_does_not_start_mpi():
    code = "import dynx_runner, sys; assert dynx_runner.prepare_mpi() == 0; assert 'mpi4py' not in sys.modules"
    assert prepare_mpi() == 0
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env=alone())


def alone():
    import os

    return {name: value for name, value in os.environ.items() if not name.startswith(("PMI", "OMPI", "MV2"))}


def test_what_a_recorder_is_told_becomes_columns(tmp_path):
    def factory(epochs, stages, connections, recorder):
        recorder.count("models")
        return epochs["main"]["beta"]

    def solver(beta, recorder):
        with recorder.phase("thinking"):
            recorder.count("steps", 3)
            recorder.count("steps", 4)
        if beta > 0.9:
            recorder.note("last words", 1)
            raise ZeroDivisionError("boom")

    metrics = {"beta": lambda beta: beta, "steps so far": lambda beta, recorder: recorder.notes["steps"]}
    runner = CircuitRunner({"main": {"beta": 0.5}}, {}, {}, {"main.beta": (0, 1)}, factory, solver, metrics)
    xs = [[0.5], [0.95]]
    table = mpi_map(runner, xs, store=ResultStore(tmp_path))
    assert table["models"].tolist() == [1, 1] and table["steps"].tolist() == [7, 7] and table["steps so far"][0] == 7
    assert np.isnan(table["last words"][0]) and table["last words"][1] == 1
    phases = ["seconds in model_factory", "seconds thinking", "seconds in solver", "seconds in metrics", "seconds compiling"]
    assert (table.loc[0, phases] >= 0).all() and table["seconds in solver"][0] >= table["seconds thinking"][0]
    pd.testing.assert_frame_equal(mpi_map(runner, xs, store=ResultStore(tmp_path)), table, check_exact=True)
    # By hand one need not care for it.
    assert runner.run([0.25]) == {"beta": 0.25, "steps so far": 7}


def test_a_recorder_tells_compiling_and_running_apart():
    import jax

    def solver(beta):
        return jax.jit(lambda x: jax.numpy.linalg.eigh(x * jax.numpy.eye(5))[0].sum() + 0.123)(beta)

    runner = CircuitRunner(
        {"main": {"beta": 0.5}},
        {},
        {},
        {"main.beta": (0, 1)},
        lambda e, s, c, recorder: e["main"]["beta"],
        solver,
        {"m": float},
    )
    table = mpi_map(runner, [[0.5]])
    assert table["seconds compiling"][0] > 0 and table["seconds in solver"][0] > 0


def test_a_recorder_refuses_the_name_of_a_column():
    metrics = {"m": lambda beta, recorder: recorder.note("status", 1.0)}
    runner = CircuitRunner({"main": {"beta": 0.5}}, {}, {}, {"main.beta": (0, 1)}, lambda e, s, c: 0.0, lambda m: m, metrics)
    assert "there is a column `status` already" in mpi_map(runner, [[0.5]])["error"][0]
