"""A model file as the `model_factory` of a runner."""

from pathlib import Path

import numpy as np
import pytest

import heptapod
import stagecraft as sc
from dynx_runner import CircuitRunner, circuit_factory, mpi_map

MODEL = Path(__file__).parents[2] / "examples" / "cons_indshock" / "cons_indshock.yml"
METRICS = {"value": lambda solved: solved[0]["CONS"].arvl.sol.value(a=1.0)}


@pytest.fixture(scope="module")
def factory():
    return circuit_factory(MODEL)


def make_runner(factory, specs, configs=({}, {}, {})):
    return CircuitRunner(*configs, specs, factory, sc.solve, METRICS)


def directly(**parameters):
    circuit = sc.load(MODEL).with_parameters({f"CONS.{name}": value for name, value in parameters.items()})
    return float(METRICS["value"](sc.solve(circuit)))


def test_a_run_is_the_solve_of_the_circuit_at_its_parameters(factory):
    runner = make_runner(factory, {"CONS.parameters.beta": (0.9, 0.99), "CONS.sigma_y": (0.05, 0.2)})
    metrics, model = runner.run([0.93, 0.15], return_model=True)
    assert metrics["value"] == directly(beta=0.93, sigma_y=0.15)
    assert float(model.parameters["CONS"]["beta"]) == 0.93
    assert runner.param_names == ("CONS.parameters.beta", "CONS.sigma_y")


@pytest.mark.parametrize("place", [0, 1])
def test_numbers_in_the_configurations_replace_those_of_the_file(factory, place):
    configs = [{}, {}, {}]
    configs[place] = {"CONS": {"parameters": {"gamma": 3.0, "beta": 0.5}}}
    metrics = make_runner(factory, {"CONS.beta": (0.9, 0.99)}, configs).run([0.93])
    assert metrics["value"] == directly(beta=0.93, gamma=3.0)


def test_fixed_parameters_hold_in_every_draw():
    fixed = make_runner(circuit_factory(MODEL, fixed={"CONS.gamma": 3.0}), {"CONS.beta": (0.9, 0.99)})
    assert fixed.run([0.93])["value"] == directly(beta=0.93, gamma=3.0)
    with pytest.raises(ValueError, match=r"CONS\.gama.*did you mean .*CONS\.gamma"):
        circuit_factory(MODEL, fixed={"CONS.gama": 3.0})


@pytest.mark.parametrize("path", ["CONS.parameters.bata", "CONS.bata"])
def test_an_unknown_parameter_is_refused_with_the_nearest_one(factory, path):
    with pytest.raises(ValueError, match=rf"param_specs: `{path}`.*did you mean .*`CONS\.beta`"):
        make_runner(factory, {path: (0.9, 0.99)})


@pytest.mark.parametrize("path", ["main.beta", "beta", "conn_cfg.beta", "CONS.parameters.parameters.beta", ""])
def test_a_path_that_is_no_parameter_is_refused(factory, path):
    with pytest.raises(ValueError, match="param_specs"):
        make_runner(factory, {path: (0.9, 0.99)})


def test_a_parameter_by_age_is_not_one_number(factory):
    with pytest.raises(ValueError, match=r"`CONS\.G` has shape \(65,\)"):
        make_runner(factory, {"CONS.G": (0.9, 1.1)})


def test_two_names_of_one_parameter_are_refused(factory):
    with pytest.raises(ValueError, match="are the same parameter"):
        make_runner(factory, {"CONS.beta": (0.9, 0.99), "CONS.parameters.beta": (0.9, 0.99)})


def test_what_a_model_file_decides_cannot_be_configured(factory):
    specs = {"CONS.beta": (0.9, 0.99)}
    with pytest.raises(ValueError, match="`CONS` has `math`"):
        make_runner(factory, specs, ({}, {"CONS": {"math": {"n_a": 10}}}, {}))
    with pytest.raises(ValueError, match="conn_cfg has `inter_period`"):
        make_runner(factory, specs, ({}, {}, {"inter_period": []}))
    with pytest.raises(ValueError, match=r"CONS\.bata"):
        make_runner(factory, specs, ({}, {"CONS": {"parameters": {"bata": 0.9}}}, {}))


def test_a_file_that_cannot_be_read_is_refused_at_once(tmp_path):
    (tmp_path / "broken.yml").write_text("dialect: 1\nmodel: [\n")
    with pytest.raises(heptapod.ModelError, match="broken.yml:"):
        circuit_factory(tmp_path / "broken.yml")


def test_a_draw_out_of_the_domain_of_a_parameter_is_a_failed_row(factory):
    runner = make_runner(factory, {"CONS.gamma": (-2.0, 4.0)})
    df = mpi_map(runner, [[2.0], [-1.0], [3.0]])
    assert df["status"].tolist() == ["ok", "failed", "ok"]
    assert "gamma" in df["error"][1] and np.isfinite(df["value"][[0, 2]]).all()


def test_the_sweep_is_the_same_in_any_order(factory):
    runner = make_runner(factory, {"CONS.beta": (0.9, 0.99), "CONS.gamma": (1.5, 4.0)})
    xs = runner.sample_prior(6, seed=3)
    ahead, back = (
        mpi_map(runner, xs),
        mpi_map(make_runner(factory, {"CONS.beta": (0, 1), "CONS.gamma": (0, 9)}), xs[::-1]),
    )
    assert ahead["value"].to_numpy().tobytes() == back["value"].to_numpy()[::-1].tobytes()
    assert np.isfinite(ahead["value"]).all()
