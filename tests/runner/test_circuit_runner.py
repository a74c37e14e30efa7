"""A runner maps parameters to metrics, and leaves what it was given alone."""

import copy

import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest

from dynx_runner import CircuitRunner

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pandas as pd


class Model:
    """A model whose log-likelihood is known in closed form."""

    def __init__(self, epochs, stages, connections):
        self.beta, self.r = epochs["main"]["parameters"]["beta"], stages["OWNH"]["parameters"]["r"]
        self.wealth = None

    def log_likelihood(self):
        return -((self.wealth - 0.95 * 1.03) ** 2)

    def euler_error_max(self):
        return jnp.log10(jnp.abs(self.wealth - 1.0))


def solve_in_place(model):
    model.wealth = model.beta * (1 + model.r)


def solve_a_copy(model):
    solved = copy.copy(model)
    solve_in_place(solved)
    return solved


CONFIGS = ({"main": {"parameters": {"beta": 0.95}}}, {"OWNH": {"parameters": {"r": 0.03}}}, {})
SPECS = {"main.parameters.beta": (0.8, 0.99), "OWNH.parameters.r": (0.01, 0.05)}
METRICS = {"LL": lambda m: -m.log_likelihood(), "EulerError": lambda m: m.euler_error_max()}


def make_runner(configs=CONFIGS, specs=SPECS, factory=Model, solver=solve_in_place, metrics=METRICS, **options):
    return CircuitRunner(*configs, specs, factory, solver, metrics, **options)


# As the README of the seed has it, to the letter.
SEEDS_EXAMPLE = """
from dynx_runner import CircuitRunner, plot_bars
runner = CircuitRunner(
    epochs_cfgs={"main": {"parameters": {"beta": 0.95}}}, stage_cfgs={"OWNH": {"parameters": {"r": 0.03}}}, conn_cfg={},
    param_specs={"main.parameters.beta": (0.8, 0.99, lambda n: np.random.uniform(0.8, 0.99, n)),
                 "OWNH.parameters.r": (0.01, 0.05, lambda n: np.random.uniform(0.01, 0.05, n))},
    model_factory=model_factory,            # (epochs_cfgs, stage_cfgs, conn_cfg) -> model
    solver=solver,                          # solves the model
    metric_fns={"LL": lambda m: -m.log_likelihood(), "EulerError": lambda m: m.euler_error_max()})
xs = runner.sample_prior(10)
results = []
for x in xs:
    metrics = runner.run(x)
    params = runner.unpack(x)
    results.append({**params, **metrics})
df = pd.DataFrame(results)
fig, ax = plt.subplots(figsize=(10, 6)); plot_bars(df, "LL", ax=ax)
from dynx_runner import mpi_map
df = mpi_map(runner, xs)
"""


@pytest.mark.parametrize("solver", [solve_in_place, solve_a_copy])
def test_the_seeds_example_runs_as_written(solver):
    names = {"np": np, "pd": pd, "plt": plt, "model_factory": Model, "solver": solver}
    exec(SEEDS_EXAMPLE, names)
    plt.close(names["fig"])
    xs, swept, df = names["xs"], names["df"], pd.DataFrame(names["results"])

    assert len(names["ax"].patches) == 10
    assert xs.shape == (10, 2)
    wealth = df["main.parameters.beta"] * (1 + df["OWNH.parameters.r"])
    np.testing.assert_allclose(df["LL"], (wealth - 0.95 * 1.03) ** 2, rtol=1e-12, atol=0)
    np.testing.assert_allclose(df["EulerError"], np.log10(abs(wealth - 1)), rtol=1e-6)
    assert (swept["status"] == "ok").all()
    pd.testing.assert_frame_equal(swept[df.columns], df, check_exact=True)


def test_metrics_are_python_floats_also_from_jax_scalars():
    metrics = make_runner().run([0.9, 0.02])
    assert list(metrics) == ["LL", "EulerError"] and all(type(value) is float for value in metrics.values())


def count_solves(**options):
    solved = []

    def solver(model):
        solved.append(model.beta)
        solve_in_place(model)

    return make_runner(solver=solver, **options), solved


def test_the_same_x_is_not_solved_twice():
    runner, solved = count_solves()
    first = runner.run([0.9, 0.02])
    first["LL"] = "changed by the reader"
    second = runner.run(np.array([0.9, 0.02]))
    _, model = runner.run(jnp.array([0.9, 0.02]), return_model=True)
    assert second["LL"] != first["LL"] and model.wealth == 0.9 * 1.02
    assert solved == [0.9]
    runner.run([0.91, 0.02])
    assert runner.run([0.9, 0.02]) == second
    assert solved == [0.9, 0.91]


def test_without_the_cache_every_run_solves():
    runner, solved = count_solves(cache=False)
    assert runner.run([0.9, 0.02]) == runner.run([0.9, 0.02])
    assert solved == [0.9, 0.9]


def test_configurations_are_never_changed_even_by_a_factory_that_writes_into_them():
    configs = copy.deepcopy(CONFIGS)

    def factory(epochs, stages, connections):
        model = Model(epochs, stages, connections)
        epochs["main"]["parameters"].clear()
        connections["touched"] = True
        return model

    runner = make_runner(configs, factory=factory)
    assert runner.run([0.9, 0.02]) == make_runner().run([0.9, 0.02])
    runner.run([0.91, 0.02])
    assert configs == CONFIGS
    configs[0]["main"]["parameters"]["beta"] = "changed after the runner was made"
    runner.run([0.92, 0.02])


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("main.parameters.bata", r"`main\.parameters` has no `bata`; did you mean `beta`\?"),
        ("mian.parameters.beta", r"no epoch or stage is called `mian`; did you mean `main`\?"),
        ("conn_cfg.r", r"`conn_cfg` has no `r`"),
        ("OWNH.xyz", r"`OWNH` has no `xyz`; there is `parameters`"),
        ("main.parameters.beta.value", r"`main\.parameters\.beta` is not a section"),
        ("main.parameters", "holds a section"),
        ("conn_cfg.shift", "`conn_cfg` has no `shift`; there is nothing"),
        ("conn_cfg", "holds a section"),
        ("", "no epoch or stage is called ``"),
    ],
)
def test_a_path_that_is_not_there_is_refused(path, message):
    with pytest.raises(ValueError, match=message):
        make_runner(specs={path: (0.0, 1.0)})


def test_the_section_of_parameters_need_not_be_written():
    runner = make_runner(specs={"main.beta": (0.8, 0.99), "OWNH.parameters.r": (0.01, 0.05)})
    assert runner.run([0.9, 0.02]) == make_runner().run([0.9, 0.02])
    x = runner.pack({"OWNH.r": 0.02, "main.parameters.beta": 0.9})
    assert x.tolist() == [0.9, 0.02] and tuple(runner.unpack(x)) == ("main.beta", "OWNH.parameters.r")
    with pytest.raises(ValueError, match="`main.beta` is given twice"):
        runner.pack({"main.parameters.beta": 0.9, "main.beta": 0.9, "OWNH.r": 0.02})
    with pytest.raises(ValueError, match="are the same parameter"):
        make_runner(specs={"main.beta": (0.8, 0.99), "main.parameters.beta": (0.8, 0.99)})
    # What stands there to the letter comes first.
    configs = ({"main": {"beta": 0.5, "parameters": {"beta": 0.6}}}, {}, {})
    nearer = CircuitRunner(*configs, {"main.beta": (0, 1)}, lambda e, s, c: e["main"], lambda m: m, {"b": lambda m: m["beta"]})
    assert nearer.run([0.25]) == {"b": 0.25}


def test_configurations_may_be_left_out_and_nothing_else():
    factory = lambda epochs, stages, connections: 2.0
    runner = CircuitRunner(param_specs={}, model_factory=factory, solver=lambda m: m, metric_fns={"m": float})
    assert runner.run([]) == {"m": 2.0}
    with pytest.raises(TypeError, match="needs solver, metric_fns; only the configurations may be left out"):
        CircuitRunner(param_specs={}, model_factory=factory)


@pytest.mark.parametrize("leaf", ["egm", [1.0, 2.0], np.ones(3), True, {"value": 1.0}])
def test_a_place_that_holds_no_number_is_refused(leaf):
    with pytest.raises(ValueError, match="one number"):
        make_runner(({"main": {"beta": leaf}}, {}, {}), {"main.beta": (0.0, 1.0)})


@pytest.mark.parametrize("leaf", [1, 0.5, None, np.float32(1.0), np.array(1.0), jnp.asarray(1.0)])
def test_a_place_that_holds_any_number_is_taken(leaf):
    runner = make_runner(
        ({}, {}, {"a": {"b": leaf}}), {"conn_cfg.a.b": (0, 1)}, lambda e, s, c: c["a"]["b"], lambda m: m, {"b": float}
    )
    assert runner.run([0.25]) == {"b": 0.25}


def test_a_name_that_is_both_an_epoch_and_a_stage_is_refused():
    with pytest.raises(ValueError, match="both an epoch and a stage"):
        make_runner(({"main": {"a": 1}}, {"main": {"a": 1}}, {}), {"main.a": (0, 1)})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (0.9, "expected .low, high, sampler."),
        ((0.9,), "expected .low, high, sampler."),
        ((0.9, 0.8), "must be below"),
        ((np.nan, 0.8), "must be below"),
        ((0.0, np.inf), "needs a sampler"),
        ((0.0, 1.0, 7), "must be a function"),
    ],
)
def test_a_prior_that_makes_no_sense_is_refused(spec, message):
    with pytest.raises(ValueError, match=f"`main.parameters.beta`.*{message}"):
        make_runner(specs={"main.parameters.beta": spec})


@pytest.mark.parametrize("spec", [(0.8, 0.99), (0.8, 0.99, None), [0.8, 0.99]])
def test_without_a_sampler_draws_are_uniform_between_the_bounds(spec):
    draws = make_runner(specs={"main.parameters.beta": spec}).sample_prior(4000, seed=0)
    assert draws.shape == (4000, 1) and draws.min() >= 0.8 and draws.max() <= 0.99
    assert abs(draws.mean() - 0.895) < 4 * 0.19 / np.sqrt(12 * 4000)


def test_a_draw_out_of_its_bounds_is_refused_by_name_and_number():
    specs = {"main.parameters.beta": (0.8, 0.99, lambda n: np.linspace(0.9, 1.1, n))}
    with pytest.raises(ValueError, match=r"`main\.parameters\.beta`: draw 2 is 1\.0, outside \[0\.8, 0\.99\] \(3 of 5"):
        make_runner(specs=specs).sample_prior(5)


def test_a_sampler_of_another_length_is_refused():
    specs = {"main.parameters.beta": (0.8, 0.99, lambda n: 0.9)}
    with pytest.raises(ValueError, match=r"returned shape \(\), expected \(5,\)"):
        make_runner(specs=specs).sample_prior(5)


def test_a_seed_repeats_the_draws_and_leaves_numpys_state_alone():
    specs = {"main.parameters.beta": (0.8, 0.99, lambda n: np.random.uniform(0.8, 0.99, n)), **SPECS}  # noqa: NPY002
    runner = make_runner(specs=specs)
    np.random.seed(1)  # noqa: NPY002
    expected = np.random.uniform()  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002
    first, second = runner.sample_prior(5, seed=7), runner.sample_prior(5, seed=7)
    assert np.random.uniform() == expected  # noqa: NPY002
    np.testing.assert_array_equal(first, second)
    assert (runner.sample_prior(5, seed=8) != first).all()
    alone = make_runner(specs={"main.parameters.beta": (0.8, 0.99)}).sample_prior(5, seed=7)
    np.testing.assert_array_equal(alone[:, 0], first[:, 0])


def test_what_fails_keeps_its_type_and_says_where_and_at_what_parameters():
    def fails(*_):
        raise ZeroDivisionError("boom")

    cases = {
        "in model_factory": {"factory": fails},
        "in solver": {"solver": fails},
        "in metric `LL`": {"metrics": {"LL": fails}},
    }
    for place, options in cases.items():
        with pytest.raises(ZeroDivisionError, match="boom") as caught:
            make_runner(**options).run([0.9, 0.02])
        assert caught.value.__notes__ == [f"{place}, at main.parameters.beta = 0.9, OWNH.parameters.r = 0.02"]


@pytest.mark.parametrize("value", [None, "high", 1j, {}])
def test_a_metric_that_is_no_number_is_refused(value):
    with pytest.raises(TypeError, match="expected one real number"):
        make_runner(metrics={"LL": lambda m: value}).run([0.9, 0.02])


@pytest.mark.parametrize("value", [np.ones(3), [1, 2], jnp.zeros((2, 2)), np.ones((0, 4))])
def test_a_metric_may_have_any_shape(value):
    found = make_runner(metrics={"LL": lambda m: value}).run([0.9, 0.02])["LL"]
    assert isinstance(found, np.ndarray) and np.array_equal(found, np.asarray(value))


def test_a_failed_metric_does_not_solve_again():
    failures = [ValueError("first")]

    def metric(model):
        if failures:
            raise failures.pop()
        return 1.0

    runner, solved = count_solves(metrics={"LL": metric})
    with pytest.raises(ValueError, match="first"):
        runner.run([0.9, 0.02])
    assert runner.run([0.9, 0.02]) == {"LL": 1.0} and solved == [0.9]
