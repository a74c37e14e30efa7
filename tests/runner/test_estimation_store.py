"""An estimation begins at the best draws of a sweep, and goes on where it was cut off."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import stagecraft as sc
from dynx_runner import MLE, CircuitRunner, MinimumDistance, ResultStore, StoreError, circuit_factory, mpi_map
from dynx_runner.estimation import journal

RUST = Path(__file__).parents[2] / "examples" / "rust"
FREE = {"main.RC": (0.0, 50.0), "main.theta": (0.0, 20.0)}
TRUTH = {"main.RC": 10.0749422, "main.theta": 2.29309298}
USAGE = {"main.p0": 1682 / 4292, "main.p1": 2555 / 4292}


@pytest.fixture(scope="module")
def choices():
    circuit = sc.load(RUST / "rust.yml").with_parameters({**TRUTH, **USAGE})
    return MLE(circuit, FREE, pd.read_csv(RUST / "decisions.csv"), {"BUS": ["s", "d"]})


@pytest.fixture
def computed(monkeypatch):
    """How many evaluations were computed so far; after `computed.limit` the process is killed, in a manner of speaking."""

    class Count(list):
        limit = 10**6

    found = Count()
    before = journal.Journal._ask

    def ask(self, what, x, compute):
        def counted():
            if len(found) >= found.limit:
                raise KeyboardInterrupt
            found.append(what)
            return compute()

        return before(self, what, x, counted)

    monkeypatch.setattr(journal.Journal, "_ask", ask)
    return found


SLOW = [pytest.param(method, marks=pytest.mark.slow) for method in ("damped", "l-bfgs-b", "nelder-mead")]


@pytest.mark.parametrize("method", SLOW)
def test_an_estimation_that_is_cut_off_goes_on_and_ends_where_it_would_have_ended(choices, computed, tmp_path, method):
    begin, how = {"main.RC": 5.0, "main.theta": 1.0}, {"check": False, "method": method}
    plain = choices.fit(begin, **how)
    whole = choices.fit(begin, store=ResultStore(tmp_path / "whole"), **how)
    assert whole.z.tobytes() == plain.z.tobytes() and whole.traces[0].values == plain.traces[0].values
    total, store = len(computed), ResultStore(tmp_path / "cut")
    del computed[:]
    computed.limit = total // 2
    with pytest.raises(KeyboardInterrupt):
        choices.fit(begin, store=store, **how)
    assert len(store) == total // 2
    computed.limit = total
    fit = choices.fit(begin, store=ResultStore(tmp_path / "cut"), **how)
    assert len(computed) == total == len(store)
    assert fit.z.tobytes() == plain.z.tobytes() and fit.traces[0].values == plain.traces[0].values
    choices.fit(begin, store=store, **how)
    assert len(computed) == total
    # The store is a table of what was tried.
    best = store.best(by="criterion")
    assert best["criterion"].iloc[0] == pytest.approx(-plain.loglik, abs=1e-6)
    assert best["main.RC"].iloc[0] == pytest.approx(plain.parameters["main.RC"], rel=1e-3)


@pytest.mark.slow
def test_a_store_of_another_estimation_is_refused_with_the_difference(choices, tmp_path):
    store = ResultStore(tmp_path)
    choices.fit(TRUTH, store=store, check=False, steps=1)
    other = choices.with_data(pd.read_csv(RUST / "decisions.csv").head(60))
    with pytest.raises(StoreError, match="made by something else"):
        other.fit(TRUTH, store=store, check=False, steps=1)
    with pytest.raises(TypeError, match=r"ResultStore\(folder\)"):
        choices.fit(TRUTH, store=str(tmp_path), check=False)


@pytest.mark.slow
def test_the_best_draws_of_a_sweep_begin_an_estimation(choices, tmp_path):
    runner = CircuitRunner(
        param_specs={"main.parameters.RC": (2.0, 20.0), "main.parameters.theta": (0.5, 5.0)},
        model_factory=circuit_factory(RUST / "rust.yml", fixed=USAGE),
        solver=lambda circuit: circuit,
        metric_fns={"loglik": lambda circuit: choices.loglik({path: circuit.parameters["main"][path[5:]] for path in FREE})},
    )
    store = ResultStore(tmp_path, version="the likelihood of Rust's buses")
    mpi_map(runner, runner.sample_prior(32, method="sobol", seed=0), store=store)
    best = store.best(2, by="loglik", largest=True)
    fit = choices.fit(best, check=False)
    assert len(fit.traces) == 2 and fit.converged and fit.parameters == pytest.approx(TRUTH, abs=1e-4)
    assert -fit.traces[0].values[0] == pytest.approx(best["loglik"].iloc[0], rel=1e-10)
    for frame in (best[["loglik"]], best.head(0)):
        with pytest.raises(ValueError, match="start: the frame has"):
            choices.fit(frame)


@pytest.mark.slow
def test_moments_keep_their_evaluations_too(tmp_path):
    circuit = sc.load(RUST / "rust.yml").with_parameters({**TRUTH, **USAGE})

    def moments(solved):
        return solved[0]["BUS"].dcsn.sol.probability["d[1]"](s=np.array([20.0, 50.0, 80.0]))

    data = moments(sc.solve(circuit)) * np.array([1.0, 1.01, 0.99])
    estimator = MinimumDistance(circuit, FREE, moments, data, weights="identity")
    begin = {"main.RC": 9.0, "main.theta": 2.0}
    for method in ("damped", "trf"):
        plain = estimator.fit(begin, method=method, check=False)
        for _ in range(2):
            kept = estimator.fit(begin, method=method, check=False, store=ResultStore(tmp_path))
            assert kept.z.tobytes() == plain.z.tobytes()
