"""Draws in compiled batches: what a batch says of a draw is what the draw says alone, whoever is beside it."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import stagecraft as sc
from dynx_runner import CategoricalPrior, CircuitRunner, ResultStore, circuit_factory, mpi_map
from dynx_runner.store.part import Part
from dynx_runner.sweep import traceable
from dynx_runner.sweep.batches import Batches, batches_of
from dynx_runner.sweep.ledger import Task
from dynx_runner.sweep.local import Worker
from dynx_runner.sweep.traceable import objection

MODEL = Path(__file__).with_name("cake.yml").read_text()


def eaten(solved):
    return solved[0]["EAT"].dcsn.sol.policy["c"](m=2.0)


def profile(solved):
    return solved[0]["EAT"].dcsn.sol.policy["c"](m=jnp.linspace(0.5, 3.0, 4))


def impatient(solved):
    """No number for those who are patient."""
    return jnp.where(solved.parameters["main"]["beta"] > 0.95, jnp.nan, eaten(solved))


@pytest.fixture(scope="module")
def factory(tmp_path_factory):
    path = tmp_path_factory.mktemp("cake") / "cake.yml"
    path.write_text(MODEL)
    return circuit_factory(path)


def make_runner(factory, specs=None, **more):
    specs = specs or {"main.beta": (0.5, 1.0), "main.gamma": (-1.0, 4.0)}
    metrics = {"eaten": eaten, "profile": profile, "impatient": impatient}
    more = {"cache": False} | more
    return CircuitRunner(param_specs=specs, model_factory=factory, solver=sc.solve, metric_fns=metrics, **more)


# The third draw is out of the domain of gamma, which its program knows as an outcome.
XS = np.array([[0.90, 2.0], [0.97, 2.0], [0.90, -0.5], [0.80, 1.5], [0.85, 3.0], [0.70, 1.2], [np.nan, 2.0]])


def same(left, right):
    left, right = (table.drop(columns="seconds") for table in (left, right))
    pd.testing.assert_frame_equal(left, right, check_exact=True)
    assert left["eaten"].to_numpy().tobytes() == right["eaten"].to_numpy().tobytes()


def test_rows_of_a_batch_are_those_of_any_other_batch_and_of_python(factory, tmp_path):
    runner = make_runner(factory, batches=True)
    whole = mpi_map(runner, XS)
    assert whole["status"].tolist() == ["ok", "ok", "failed", "ok", "ok", "ok", "failed"]
    assert "parameter `main.gamma` = -0.5 lies outside its domain (0, inf) (in model_factory)" in whole["error"][2]
    assert "`main.beta` is nan" in whole["error"][6]
    assert np.isnan(whole["impatient"][1]) and whole["impatient"][0] == whole["eaten"][0]
    assert whole["profile"][0].shape == (4,) and whole["profile"][0].dtype == np.float64
    by_hand = mpi_map(make_runner(factory, batches=False), XS)
    np.testing.assert_allclose(whole["eaten"], by_hand["eaten"], rtol=1e-12)
    assert whole["error"].tolist() == by_hand["error"].tolist()
    # One at a time, all at once through the engine, and what a store does not have yet.
    alone = pd.concat([mpi_map(runner, XS[k : k + 1]) for k in range(7)], ignore_index=True)
    same(alone, whole)
    store = ResultStore(tmp_path)
    mpi_map(runner, XS[[1, 3, 6]], store=store)
    same(mpi_map(runner, XS, store=store), whole)
    tasks = [Task(i, str(i), x) for i, x in enumerate(XS[[0, 1, 3, 4, 5]])]
    batches = batches_of(runner, tasks)
    rows = Worker(runner, None, batches).run(tasks)
    assert [record.metrics["eaten"] for _, record in rows] == whole["eaten"][[0, 1, 3, 4, 5]].tolist()
    assert len({record.seconds for _, record in rows}) == 1  # They were one program's.


def test_a_runner_that_remembers_solves_no_draw_of_a_sweep_again(factory, monkeypatch):
    runner = make_runner(factory, cache=True)
    first = mpi_map(runner, XS[:2])
    solved = []
    before = Batches._solved
    monkeypatch.setattr(Batches, "_solved", lambda self, name, xs: solved.extend(xs) or before(self, name, xs))
    same(mpi_map(runner, XS[:4]).head(2), first)
    assert len(solved) == 2  # The other two; the one that failed is no result to remember.
    mpi_map(runner, XS[:4])
    assert len(solved) == 3


def test_a_store_knows_all_draws_of_a_batch_as_in_flight_until_they_are_done(factory, tmp_path):
    runner = make_runner(factory)
    tasks = [Task(i, str(i), x) for i, x in enumerate(XS[:4])]
    part = Part(tmp_path, "job")
    Worker(runner, part, batches_of(runner, tasks)).run(tasks)
    lines = part.path.read_text().splitlines()
    kinds = [line.partition(":")[0] + line.partition(":")[2][:8] for line in lines[1:]]
    assert kinds[0].startswith('{"start"["0","1') and [kind[:7] for kind in kinds[1:4]] == ['{"done"'] * 3
    # Whoever went wrong is run once more, alone, where Python knows what to say.
    assert kinds[4].startswith('{"start"["2"]') and "lies outside its domain" in lines[6] and len(lines) == 7


@pytest.mark.slow
def test_what_a_choice_makes_of_the_model_has_a_program_of_its_own(factory):
    specs = {"main.beta": (0.5, 1.0), "EAT.settings.n": CategoricalPrior([40, 50])}
    runner = make_runner(factory, specs, batches=True)
    xs = runner.sample_prior(4, method="grid")
    table = mpi_map(runner, xs[::-1])[::-1].reset_index(drop=True)
    same(table, mpi_map(runner, xs))
    by_hand = mpi_map(make_runner(factory, specs, batches=False), xs)
    np.testing.assert_allclose(table["eaten"], by_hand["eaten"], rtol=1e-12)
    assert table["EAT.settings.n"].tolist() == [40, 50, 40, 50] and table["eaten"][0] != table["eaten"][1]


def by_hand(solver, metric=lambda m: m, **more):
    factory = lambda epochs, stages, connections: epochs["main"]["x"]
    return CircuitRunner({"main": {"x": 0.5}}, {}, {}, {"main.x": (0.0, 4.0)}, factory, solver, {"m": metric}, **more)


def test_functions_of_jax_without_a_model_file_are_batched_too():
    runner = by_hand(lambda x: jax.lax.fori_loop(0, 5, lambda _, v: jnp.cos(v * x), x))
    xs = np.linspace(0.0, 3.0, 100)[:, None]
    assert batches_of(runner, [Task(0, "", xs[0])]).programs
    expected = xs[:, 0]
    for _ in range(5):
        expected = np.cos(expected * xs[:, 0])
    np.testing.assert_allclose(mpi_map(runner, xs)["m"], expected, rtol=1e-10, atol=1e-12)


counted = []


def counting(x):
    counted.append(x)
    return jnp.sin(x)


def branching(x):
    return jnp.sin(x) if x > 1 else jnp.cos(x)


def calling_back(x):
    return jax.pure_callback(np.sin, jax.ShapeDtypeStruct((), jnp.float64), x)


def drawing(x):
    return jnp.sin(x) + np.random.uniform()  # noqa: NPY002


ONE_BY_ONE = {
    "it writes down": (counting, "it writes into `counted`"),
    "it prints": (lambda x: print(x) or jnp.sin(x), "it calls `print`"),
    "it looks at a number": (branching, "it cannot be traced: TracerBoolConversionError"),
    "it is NumPy's": (np.sin, "it cannot be traced: TracerArrayConversionError"),
    "it calls Python": (calling_back, "would call functions of this process"),
    "it is plain arithmetic": (lambda x: 2 * x**2 + abs(x) // 3, "it needs no compiler"),
    "it draws random numbers": (drawing, "random numbers are drawn in it"),
    "it is unrolled": (lambda x: sum(jnp.sin(x * k) for k in range(60)), "its program has 1[0-9]+ operations"),
}


@pytest.mark.parametrize("case", ONE_BY_ONE)
def test_what_cannot_be_traced_is_run_one_by_one_and_why_can_be_asked(case, monkeypatch):
    monkeypatch.setattr(traceable, "_LONGEST", 100)
    solver, reason = ONE_BY_ONE[case]
    tasks = [Task(0, "", np.array([2.0]))]
    assert batches_of(by_hand(solver), tasks).programs == {}
    with pytest.raises(ValueError, match=f"mpi_map: the draws cannot be run in batches: .*{reason}"):
        mpi_map(by_hand(solver, batches=True), [[2.0]])
    if case not in ("it draws random numbers", "it is unrolled"):
        found = mpi_map(by_hand(solver), [[2.0]])["m"][0]
        assert found == pytest.approx(8.0 if "plain" in case else np.sin(2.0), rel=1e-12)


def test_a_recorder_a_generator_and_a_refusal_are_reasons_to_run_one_by_one():
    rng = np.random.default_rng(0)
    assert "recorder" in objection(by_hand(lambda x, recorder: jnp.sin(x)))
    assert "what metric m: rng (Generator) holds may change" == objection(by_hand(jnp.sin, lambda m: m + rng.uniform()))
    assert "batches=False" in objection(by_hand(jnp.sin, batches=False))
    assert objection(by_hand(jnp.sin)) == ""


def test_a_solve_that_fails_inside_another_function_fails_its_draw(factory):
    """Its outcome is no part of what the solver returns, and is heard all the same."""
    circuit = factory.circuit

    def value(x):
        return sc.solve(circuit.with_parameters({"main.gamma": x}))[0]["EAT"].dcsn.sol.value(m=1.0)

    runner = by_hand(value, batches=True)
    table = mpi_map(runner, [[2.0], [-1.0]])
    assert table["status"].tolist() == ["ok", "failed"] and "lies outside its domain" in table["error"][1]
    assert table["m"][0] == pytest.approx(float(value(2.0)), rel=1e-12)
