"""Which vectors are tried: priors by their quantiles, and designs by what they balance."""

import math
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import stats

import stagecraft as sc
from dynx_runner import (
    BetaPrior,
    CategoricalPrior,
    CircuitRunner,
    DiscretePrior,
    LogNormalPrior,
    NormalPrior,
    ResultStore,
    TruncatedPrior,
    UniformPrior,
    circuit_factory,
    mpi_map,
)
from dynx_runner.design.sampling import METHODS

MODEL = Path(__file__).parents[2] / "examples" / "cons_indshock" / "cons_indshock.yml"
U = np.linspace(0.001, 0.999, 99)
LAWS = {
    "uniform": (UniformPrior(1.0, 3.0), stats.uniform(1.0, 2.0)),
    "normal": (NormalPrior(2.0, 0.5), stats.norm(2.0, 0.5)),
    "cut normal": (NormalPrior(2.0, 0.5, low=1.8, high=2.1), stats.truncnorm(-0.4, 0.2, 2.0, 0.5)),
    "lognormal": (LogNormalPrior(2.0, 0.5), stats.lognorm(0.5, scale=2.0)),
    "beta": (BetaPrior(2.0, 3.0, low=0.9, high=1.0), stats.beta(2.0, 3.0, loc=0.9, scale=0.1)),
    "truncated": (TruncatedPrior(stats.expon(), high=math.log(2.0)), None),
    "discrete": (DiscretePrior([3.0, 1.0], weights=[1, 3]), None),
    "categorical": (CategoricalPrior(["a", "b", "c"]), None),
}


def runner_of(**specs):
    configs = {"main": {"parameters": {name: None for name in specs}}}
    specs = {f"main.{name}": spec for name, spec in specs.items()}
    return CircuitRunner(configs, {}, {}, specs, lambda e, s, c: e["main"]["parameters"], lambda m: m, {"m": lambda m: 0.0})


@pytest.mark.parametrize("law", [name for name, (_, peer) in LAWS.items() if peer is not None])
def test_quantiles_are_those_of_the_law(law):
    prior, peer = LAWS[law]
    np.testing.assert_allclose(prior.quantile(U), peer.ppf(U), rtol=1e-10)


def test_a_truncated_law_is_the_law_given_its_bounds():
    prior = LAWS["truncated"][0]  # Half of the mass of the exponential law.
    np.testing.assert_allclose(prior.quantile(np.array([0.0, 0.5, 1.0])), [0.0, math.log(4 / 3), math.log(2)], atol=1e-15)


def test_few_values_come_as_often_as_their_weights_say():
    assert LAWS["discrete"][0].quantile(np.array([0.0, 0.24, 0.26, 0.9, 1.0])).tolist() == [3.0, 3.0, 1.0, 1.0, 1.0]
    assert LAWS["categorical"][0].quantile(np.array([0.0, 0.4, 0.7])).tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("law", LAWS)
def test_every_design_keeps_to_the_bounds_and_repeats_by_its_seed(law, method):
    prior = LAWS[law][0]
    runner, n = runner_of(p=prior), {"discrete": 2, "categorical": 3}.get(law, 16) if method == "grid" else 16
    draws = runner.sample_prior(n, method=method, seed=1)
    assert draws.shape == (n, 1) and (prior.low <= draws).all() and (draws <= prior.high).all()
    np.testing.assert_array_equal(draws, runner.sample_prior(n, method=method, seed=1))
    assert runner.design == {"method": method, "n": n, "seed": 1}


@pytest.mark.parametrize("law", [name for name, (_, peer) in LAWS.items() if peer is not None])
def test_independent_draws_follow_the_law(law):
    prior, peer = LAWS[law]
    draws = runner_of(p=prior).sample_prior(2000, seed=3)[:, 0]
    assert stats.kstest(draws, peer.cdf).pvalue > 1e-3


def test_a_latin_hypercube_has_one_draw_in_every_row_and_column():
    draws = runner_of(p=(0.0, 1.0), q=(2.0, 4.0)).sample_prior(20, method="lhs", seed=0)
    for column, low, width in ((0, 0.0, 1.0), (1, 2.0, 2.0)):
        assert sorted(np.floor((draws[:, column] - low) / width * 20)) == list(range(20))


@pytest.mark.parametrize("n", [1, 8, 11])
def test_a_sobol_sequence_fills_every_half_and_quarter(n):
    runner = runner_of(p=(0.0, 1.0), q=(0.0, 1.0))
    draws = runner.sample_prior(n, method="sobol", seed=0)
    np.testing.assert_array_equal(draws[:8], runner.sample_prior(16, method="sobol", seed=0)[: min(n, 8)])
    if n >= 8:
        cells = np.floor(draws[:8] * [4, 2]) @ [2, 1]
        assert sorted(cells) == list(range(8))


def test_a_sampler_has_the_quantiles_of_its_draws():
    runner = runner_of(p=(0.0, 1.0, lambda n: np.random.beta(2, 3, n)), q=(0.0, 1.0))  # noqa: NPY002
    draws = runner.sample_prior(256, method="sobol", seed=0)[:, 0]
    assert stats.kstest(draws, stats.beta(2, 3).cdf).statistic < 0.02


def test_a_grid_crosses_numbers_with_choices_and_reaches_the_bounds():
    runner = runner_of(p=(0.0, 1.0), kind=CategoricalPrior(["egm", "vfi"]), q=NormalPrior(0.0, 1.0), n=DiscretePrior([5, 7]))
    draws = runner.sample_prior(2 * 2 * 9, method="grid")
    rows = [tuple(runner.unpack(x).values()) for x in draws]
    assert len(set(rows)) == 36 and {row[1] for row in rows} == {"egm", "vfi"} and {row[3] for row in rows} == {5.0, 7.0}
    assert sorted({row[0] for row in rows}) == [0.0, 0.5, 1.0]
    np.testing.assert_allclose(sorted({row[2] for row in rows}), stats.norm.ppf([1 / 6, 1 / 2, 5 / 6]), atol=1e-12)
    with pytest.raises(
        ValueError, match=r"no grid of 2 parameters with a range and 4 combinations of the others has 30 points; 16, 36, 64"
    ):
        runner.sample_prior(30, method="grid")


def test_a_choice_is_packed_by_its_name_and_shown_by_it(tmp_path):
    runner = runner_of(kind=CategoricalPrior(["egm", "vfi"]), p=(0.0, 1.0))
    x = runner.pack({"main.kind": "vfi", "main.p": 0.5})
    assert x.tolist() == [1.0, 0.5] and runner.unpack(x) == {"main.kind": "vfi", "main.p": 0.5}
    table = mpi_map(runner, runner.sample_prior(4, method="grid"), store=ResultStore(tmp_path))
    assert table["main.kind"].tolist() == ["egm", "egm", "vfi", "vfi"] and (table["status"] == "ok").all()
    assert ResultStore(tmp_path).to_frame().equals(table)
    with pytest.raises(ValueError, match=r"`main.kind` has no choice 'efi'; did you mean `vfi`"):
        runner.pack({"main.kind": "efi", "main.p": 0.5})
    with pytest.raises(ValueError, match=r"`main.kind` is 0.5; expected a position"):
        runner.run([0.5, 0.5])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: UniformPrior(1.0, 1.0), "must be below"),
        (lambda: UniformPrior(0.0, np.inf), "infinite bound"),
        (lambda: NormalPrior(0.0, -1.0), "sd must be positive"),
        (lambda: NormalPrior(0.0, 1.0, low=2, high=1), "must be below"),
        (lambda: LogNormalPrior(0.0, 1.0), "median must be positive"),
        (lambda: BetaPrior(1.0, np.nan), "b must be positive"),
        (lambda: TruncatedPrior(3.0), "needs `cdf` and `ppf`"),
        (lambda: TruncatedPrior(stats.uniform(), low=2.0), "no mass"),
        (lambda: DiscretePrior([]), "different values"),
        (lambda: DiscretePrior([1, 1]), "different values"),
        (lambda: DiscretePrior([1, np.inf]), "finite"),
        (lambda: DiscretePrior([1, 2], weights=[1]), "2 weights"),
        (lambda: CategoricalPrior(["a", "b"], weights=[1, -1]), "2 weights"),
        (lambda: CategoricalPrior([None, "b"]), "a text, a number or a switch"),
        (lambda: runner_of(p=(0.0, 1.0, 3)), "function of n, or a prior"),
        (lambda: runner_of(p=(0.0, 1.0)).sample_prior(3, method="soboll"), "no method `soboll`; did you mean `sobol`"),
        (lambda: runner_of(p=(0.0, 1.0)).sample_prior(-1), "number of draws"),
        (lambda: runner_of(p=(0.0, 1.0)).sample_prior(2.5), "number of draws"),
        (lambda: runner_of(p=(0.0, 1.0, NormalPrior(5.0, 0.1))).sample_prior(3, method="lhs"), "outside"),
        (lambda: runner_of(p=(0.0, 1.0, lambda n: np.ones(n - 1))).sample_prior(3, method="sobol"), "returned shape"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.fixture(scope="module")
def factory():
    return circuit_factory(MODEL)


def asset(solved):
    return solved[0]["CONS"].arvl.sol.value(a=1.0)


def circuit_runner(factory, specs):
    return CircuitRunner(param_specs=specs, model_factory=factory, solver=sc.solve, metric_fns={"value": asset})


@pytest.mark.slow
def test_settings_and_sizes_of_a_model_are_crossed_with_its_parameters(factory):
    specs = {"CONS.beta": (0.9, 0.96), "CONS.settings.n_a": CategoricalPrior([30, 40]), "CONS.a_max": DiscretePrior([50.0])}
    table = mpi_map(runner := circuit_runner(factory, specs), runner.sample_prior(4, method="grid"))
    assert (table["status"] == "ok").all() and table["CONS.settings.n_a"].tolist() == [30, 40, 30, 40]
    for row in (0, 3):
        tree = yaml.safe_load(MODEL.read_text())
        tree["stage"]["settings"] |= {"n_a": table["CONS.settings.n_a"][row], "a_max": 50.0}
        tree["stage"]["parameters"]["beta"] = float(table["CONS.beta"][row])
        np.testing.assert_allclose(table["value"][row], asset(sc.solve(sc.load(tree))), rtol=1e-12)


@pytest.mark.parametrize(
    ("path", "prior", "message"),
    [
        ("CONS.settings.n_aa", CategoricalPrior([30]), "`CONS` has no setting `n_aa`; did you mean `n_a`"),
        ("CONS.settings.bata", (0.0, 1.0), "has no setting `bata`"),
        ("CONS.methods.solution", (0.0, 1.0), "a method is a name"),
        ("NONE.settings.n", CategoricalPrior([30]), "has no setting"),
    ],
)
def test_a_setting_that_is_not_there_is_refused(factory, path, prior, message):
    with pytest.raises(ValueError, match=message):
        circuit_runner(factory, {path: prior})


def test_a_size_that_is_no_whole_number_is_a_failed_draw(factory):
    table = mpi_map(circuit_runner(factory, {"CONS.n_a": (20.0, 40.0)}), [[30.5]])
    assert "`CONS.n_a` is a size; 30.5 is no whole number" in table["error"][0]


def test_a_setting_that_is_inherited_is_drawn_where_it_is_declared():
    factory = circuit_factory(MODEL.parents[1] / "ret_choice" / "ret_choice.yml")
    with pytest.raises(ValueError, match=r"it is inherited: draw `main\.settings\.n`"):
        circuit_runner(factory, {"WORK.settings.n": CategoricalPrior([100])})
