"""What cannot be estimated is refused in words that name it: parameters, moments, rows, columns."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import stagecraft as sc
from dynx_runner import MLE, SMM, MinimumDistance, Moments, load_fit
from dynx_runner.estimation.transforms import POSITIVE, Correlation, Interval, Ordered, Pieces, Simplex

RUST = Path(__file__).parents[2] / "examples" / "rust"
FREE = {"main.RC": (0.0, 50.0), "main.theta": (0.0, 20.0)}
OBSERVE = {"BUS": ["s", "d"]}


@pytest.fixture(scope="module")
def rust():
    return sc.load(RUST / "rust.yml").with_parameters({"main.beta": 0.9})


@pytest.fixture(scope="module")
def data():
    return pd.read_csv(RUST / "decisions.csv")


def test_columns_that_are_missing_or_misnamed(rust, data):
    with pytest.raises(ValueError, match=r"no column `d`, which stage BUS is observed by.*weight"):
        MLE(rust, FREE, data.drop(columns="d"), OBSERVE)
    with pytest.raises(ValueError, match=r"no column `s`, which stage BUS is observed by.*there are miles, d"):
        MLE(rust, FREE, data.rename(columns={"s": "miles"}), OBSERVE)
    with pytest.raises(ValueError, match=r"stage BUS has no `mileage`"):
        MLE(rust, FREE, data, {"BUS": ["mileage"]})
    with pytest.raises(ValueError, match=r"no stage `BUSS`; did you mean `BUS`"):
        MLE(rust, FREE, data, {"BUSS": ["s"]})
    with pytest.raises(ValueError, match=r'observe is {"STAGE"'):
        MLE(rust, FREE, data, {"BUS": "s"})
    with pytest.raises(ValueError, match="frame has no rows"):
        MLE(rust, FREE, data.iloc[:0], OBSERVE)
    with pytest.raises(ValueError, match="holds something that is no number"):
        MLE(rust, FREE, data.assign(d=["keep"] * len(data)), OBSERVE)


def test_data_outside_the_state_space_name_their_rows(rust, data):
    with pytest.raises(ValueError, match=r"rows 3, 5 have s = 90, 120 at stage BUS, outside the set 0, 1, 2"):
        MLE(rust, FREE, data.assign(s=data["s"].where(data.index != 3, 90).where(data.index != 5, 120)), OBSERVE)
    with pytest.raises(ValueError, match=r"row 7 have d = 2 at stage BUS, outside the set 0, 1"):
        MLE(rust, FREE, data.assign(d=data["d"].where(data.index != 7, 2)), OBSERVE)
    with pytest.raises(ValueError, match=r"row 1 are in no period"):
        MLE(rust, FREE, data.assign(period=np.where(data.index == 1, -1, 0)), OBSERVE)
    with pytest.raises(ValueError, match=r"row 2 have weights"):
        MLE(rust, FREE, data.assign(weight=np.where(data.index == 2, -1.0, 1.0)), OBSERVE)
    with pytest.raises(ValueError, match="`weight` must be the same in all rows of an id; row 0 differ"):
        MLE(rust, FREE, pd.DataFrame({"id": [1, 1], "period": [0, 1], "s": 0, "d": 0, "weight": [1.0, 2.0]}), OBSERVE)


def test_rows_that_say_nothing_or_say_it_twice_or_of_nobody(rust, data):
    months = pd.DataFrame({"id": [1, 1, 2, 2], "period": [0, 1, 0, 1], "s": 0.0, "d": 0.0})
    with pytest.raises(ValueError, match=r"rows 1, 4 tell of one `id` in one period at stage BUS more than once"):
        MLE(rust, FREE, pd.concat([months, months.iloc[1:2]]), OBSERVE)
    with pytest.raises(ValueError, match=r"row 2 have no `id`"):
        MLE(rust, FREE, months.assign(id=[1, 1, np.nan, 2]), OBSERVE)
    with pytest.raises(ValueError, match=r"row 3 have an infinite `s` at stage BUS; NaN where nothing is seen"):
        MLE(rust, FREE, months.assign(s=[0, 1, 2, np.inf]), OBSERVE)
    with pytest.raises(ValueError, match=r"nothing is seen of stage BUS, NaN in all its rows: s, d"):
        MLE(rust, FREE, months.assign(s=np.nan, d=np.nan), OBSERVE)
    with pytest.raises(ValueError, match="all weights are zero"):
        MLE(rust, FREE, data.assign(weight=0.0), OBSERVE)


def test_free_parameters_that_are_not_there_and_bounds_that_are_none(rust, data):
    with pytest.raises(ValueError, match=r"no parameter `main.Rc`; did you mean `main.RC`"):
        MLE(rust, {"main.Rc": (0, 1)}, data, OBSERVE)
    with pytest.raises(ValueError, match=r"low below high"):
        MLE(rust, {"main.RC": (2, 1)}, data, OBSERVE)
    with pytest.raises(ValueError, match=r"takes \(low, high\), a transform, or None"):
        MLE(rust, {"main.RC": 3.0}, data, OBSERVE)
    with pytest.raises(ValueError, match=r"no parameter by age"):
        MLE(rust, {"main.RC": Pieces((0, 1))}, data, OBSERVE)
    with pytest.raises(ValueError, match=r"a simplex needs two entries"):
        MLE(rust, {"main.RC": Simplex()}, data, OBSERVE)


def test_starts_outside_their_bounds_and_of_what_is_not_free(rust, data):
    est = MLE(rust, FREE, data, OBSERVE)
    with pytest.raises(ValueError, match=r"start: `main.RC` = 60 is not inside \(0, 50\)"):
        est.fit({"main.RC": 60.0})
    with pytest.raises(ValueError, match=r"start: main.beta is not free; free are main.RC, main.theta"):
        est.fit({"main.beta": 0.9})
    with pytest.raises(ValueError, match=r"start: `main.RC` is a number, found \[1.0, 2.0\]"):
        est.fit({"main.RC": [1.0, 2.0]})
    with pytest.raises(ValueError, match=r"start: `main.RC` is a number, found 'high'"):
        est.fit({"main.RC": "high"})
    with pytest.raises(ValueError, match="more than one start is drawn by a `key`"):
        est.fit(starts=3)
    with pytest.raises(ValueError, match="method: 'newton' is none of damped"):
        est.fit(method="newton")


@pytest.mark.slow
def test_data_and_moments_that_depend_on_no_parameter(rust, data):
    with pytest.raises(ValueError, match=r"nothing that is observed depends on main.p0; the data cannot tell"):
        MLE(rust, {"main.p0": (0, 1)}, pd.read_csv(RUST / "increments.csv").assign(s=0), {"BUS": ["s"]}).fit()
    level = lambda solved: {"p": solved[0]["BUS"].dcsn.sol.probability["d[1]"](s=40.0), "one": jnp.ones(())}
    with pytest.raises(ValueError, match=r"moments: one depends on no free parameter at the start \(main.RC = 10"):
        MinimumDistance(rust, {"main.RC": (0, 50)}, level, {"p": 0.1, "one": 1.0}).fit()


@pytest.mark.slow
def test_observations_of_probability_zero_are_named_with_the_parameters(rust, data):
    jump = pd.DataFrame({"id": [1, 1, 2, 2], "period": [0, 1, 0, 1], "s": [3, 4, 3, 8], "d": 0})
    est = MLE(rust, FREE, jump, OBSERVE)
    assert np.isneginf(est.loglik({}))
    with pytest.raises(
        ValueError, match=r"at the start \(main.RC = 10, main.theta = 2\).*probability zero for 1 of 2 ids, first 2 \(rows 2, 3"
    ):
        est.fit()
    never = MLE(
        rust.with_parameters({"main.p0": 0.0, "main.p1": 1.0}),
        {"main.p0": (-1, 1)},
        pd.DataFrame({"dx": [1, 0]}),
        {"BUS": ["dx"]},
    )
    with pytest.raises(ValueError, match=r"probability zero for row 1 of the data"):
        never.fit()


def test_a_likelihood_that_is_not_a_number_at_the_start(rust, data):
    est = MLE(rust, {"main.beta": (0.5, 2.0)}, data, OBSERVE)
    assert np.isnan(est.task.value(np.array([1.5])))
    with pytest.raises(sc.SolveError, match="fixed point was not reached|solution is not finite"):
        est.fit({"main.beta": 1.5})


@pytest.mark.slow
def test_parameters_that_cannot_be_told_apart(rust, data):
    # Only the product of the two is the cost of a mile.
    est = MLE(rust, {"main.theta": (0.0, 20.0), "main.scale": (1e-5, 1.0)}, data, OBSERVE)
    fit = est.fit({"main.theta": 3.0}, check=False)
    assert not fit.converged and "not identified" in fit.outcome
    with pytest.raises(ValueError, match=r"`main.theta`, `main.scale` cannot be told apart|`main.scale`, `main.theta` cannot"):
        fit.se()
    table = fit.identification()
    assert table["note"].iloc[-1] == "not identified" and "main.scale" in table["direction"].iloc[-1]
    assert "NOT CONVERGED" in fit.summary() and "No standard errors" in fit.summary()


@pytest.mark.slow
def test_a_parameter_at_its_bound_has_no_standard_error(rust, data):
    fit = MLE(rust, {"main.RC": (0.0, 7.0), "main.theta": (0.0, 99.0)}, data, OBSERVE).fit({"main.RC": 6.0}, check=False)
    with pytest.warns(UserWarning, match="`main.RC` stands at a bound, and has no standard error"):
        errors = fit.se()
    assert np.isnan(errors["main.RC"]) and errors["main.theta"] > 0
    assert fit.identification()["note"].iloc[-1] == "at a bound" and "At a bound: main.RC" in fit.summary()


def test_more_parameters_than_moments_and_moments_that_are_no_data(rust):
    odds = lambda solved: solved[0]["BUS"].dcsn.sol.probability["d[1]"](s=40.0)
    with pytest.raises(ValueError, match=r"2 parameters \(main.RC, main.theta\) and 1 moments: some of them cannot be told"):
        MinimumDistance(rust, FREE, odds, 0.1)
    with pytest.raises(ValueError, match="the function returns 1 numbers, and the data are 2"):
        MinimumDistance(rust, {"main.RC": (0, 50)}, odds, {"a": 0.1, "b": 0.2})
    with pytest.raises(ValueError, match="data: a is no finite number"):
        MinimumDistance(rust, {"main.RC": (0, 50)}, odds, {"a": np.nan})
    with pytest.raises(ValueError, match="a function of a solved circuit is needed"):
        MinimumDistance(rust, {"main.RC": (0, 50)}, 3.0, {"a": 0.1})
    with pytest.raises(ValueError, match="moments that simulate need a `key`"):
        SMM(rust, {"main.RC": (0, 50)}, lambda solved, key: jnp.ones(1), {"a": 0.1})


def two(solved):
    return {str(s): solved[0]["BUS"].dcsn.sol.probability["d[1]"](s=float(s)) for s in (40, 60)}


def test_weights_of_deficient_rank_are_named(rust):
    build = lambda **more: MinimumDistance(rust, {"main.RC": (0, 50)}, two, {"40": 0.01, "60": 0.02}, **more)
    with pytest.raises(
        ValueError, match="weights: of deficient rank, along `40`, `60`|weights: of deficient rank, along `60`, `40`"
    ):
        build(weights=np.ones((2, 2)))
    with pytest.raises(ValueError, match="covariance: nothing is said of 60"):
        build(weights="optimal", covariance=np.diag([1.0, 0.0]))
    with pytest.raises(ValueError, match='weights="optimal" needs the `covariance`'):
        build(weights="optimal")
    with pytest.raises(ValueError, match="weights: 'best' is none of identity"):
        build(weights="best")
    with pytest.raises(ValueError, match="2 moments need a symmetric"):
        build(weights=np.eye(3))
    with pytest.raises(ValueError, match="need the `covariance`"):
        build().fit(check=False).se()


@pytest.fixture(scope="module")
def confused(rust):
    """Only the product of the two is the cost of a mile."""
    three = lambda solved: {str(s): solved[0]["BUS"].dcsn.sol.probability["d[1]"](s=float(s)) for s in (20, 40, 60)}
    data = {name: float(x) for name, x in three(sc.solve(rust)).items()}
    free = {"main.theta": (0.0, None), "main.scale": (1e-5, 1.0)}
    est = MinimumDistance(rust, free, three, data, weights="identity", covariance=1e-4 * np.eye(3))
    return est.fit({"main.theta": 2.1}, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("ask", ["se", "j_test", "sensitivity", "of beta"])
def test_whoever_asks_of_parameters_that_cannot_be_told_apart_hears_their_names(confused, ask):
    assert not confused.converged
    with pytest.raises(ValueError, match=r"`main.(theta|scale)`, `main.(theta|scale)` cannot be told apart"):
        confused.sensitivity(["main.beta"]) if ask == "of beta" else getattr(confused, ask)()
    assert "No standard errors" in confused.summary() and "J-test" not in confused.summary()


@pytest.mark.slow
def test_starts_are_drawn_of_parameters_without_two_bounds(confused):
    again = confused.estimator.fit(starts=3, key=jax.random.key(0), check=False, steps=2)
    assert len(again.traces) == 3


def test_moments_that_are_not_finite_at_the_start(rust):
    broken = lambda solved: {"a": jnp.log(-solved[0]["BUS"].dcsn.sol.probability["d[1]"](s=40.0))}
    with pytest.raises(ValueError, match=r"moments: a is not finite at the start \(main.RC = 10\)"):
        MinimumDistance(rust, {"main.RC": (0, 50)}, broken, {"a": 0.1}).fit()


def test_what_has_no_density_is_asked_for():
    text = (Path(__file__).parents[2] / "examples" / "cons_indshock" / "cons_indshock.yml").read_text()
    circuit = sc.load(text.replace("n_a: 200", "n_a: 30").replace("n_y: 7", "n_y: 3").replace("horizon: 65", "horizon: 12"))
    frame = pd.DataFrame({"m": [1.0, 2.0], "c": [0.5, 0.9], "a": [0.0, 1.0], "period": 0})
    with pytest.raises(ValueError, match=r"`c` of stage CONS follows from the state without a doubt.*errors="):
        MLE(circuit, {"CONS.beta": (0.8, 1)}, frame, {"CONS": ["m", "c"]})
    with pytest.raises(ValueError, match=r"`m` of stage CONS is not observed, and takes no listed values"):
        MLE(circuit, {"CONS.beta": (0.8, 1)}, frame, {"CONS": ["a"]}, errors={"c": "CONS.sigma_y"})
    with pytest.raises(ValueError, match=r"`CONS.sigma` is no number of the circuit"):
        MLE(circuit, {"CONS.beta": (0.8, 1)}, frame, {"CONS": ["m"]}, errors={"c": "CONS.sigma"})
    with pytest.raises(ValueError, match=r'takes "main.sigma" \(normal, additive\) or \("log"'):
        MLE(circuit, {"CONS.beta": (0.8, 1)}, frame, {"CONS": ["m"]}, errors={"c": ("cauchy", "CONS.sigma_y")})
    with pytest.raises(ValueError, match=r"a column `period` is needed, of 12 periods from 0"):
        MLE(circuit, {"CONS.beta": (0.8, 1)}, frame.drop(columns="period"), {"CONS": ["m"]}, errors={"c": "CONS.sigma_y"})
    with pytest.raises(ValueError, match=r"`m` of stage CONS is missing in some rows"):
        MLE(circuit, {"CONS.beta": (0.8, 1)}, frame.assign(m=[1.0, np.nan]), {"CONS": ["m"]}, errors={"c": "CONS.sigma_y"})


def test_declared_moments_say_what_they_lack():
    with pytest.raises(ValueError, match="entry 0 needs `of`"):
        Moments.read([{"kind": "mean"}], {"a": 0.0})
    with pytest.raises(ValueError, match="entry 0 has `age`; did you mean `ages`"):
        Moments.read([{"of": "CONS.c", "age": 3}], {"a": 0.0})
    with pytest.raises(ValueError, match=r"entry 1 \(CONS.c\) needs a `kind` among mean"):
        Moments.read([{"of": "CONS.c"}, {"of": "CONS.c", "kind": "mode"}], {"a": 0.0})
    with pytest.raises(ValueError, match="is there twice"):
        Moments.read([{"of": "CONS.c"}, {"of": "CONS.c"}], {"a": 0.0})
    found = Moments.read("- {of: CONS.c, kind: mean, ages: [30, 39]}\n- {of: CONS.c, kind: share, low: 1}\n", {"a": 0.0})
    assert [m.label for m in found.items] == ["mean(CONS.c) 30-39", "share(CONS.c, 1..inf)"]
    with pytest.raises(ValueError, match="the data have no column `c`; there are age, x"):
        found.of_data(pd.DataFrame({"age": [30], "x": [1.0]}))
    with pytest.raises(ValueError, match=r"mean\(CONS.c\) 30-39: no row of the data has it"):
        found.of_data(pd.DataFrame({"age": [50], "c": [1.0]}))


def test_a_file_that_is_no_fit(tmp_path):
    (tmp_path / "fit.json").write_text('{"format": 7}')
    with pytest.raises(ValueError, match="is no fit that fit.save wrote"):
        load_fit(tmp_path / "fit.json")


def test_of_types_that_are_not_there(rust, data):
    est = MLE(rust, FREE, data, OBSERVE)
    with pytest.raises(ValueError, match="the circuit has no types"):
        est.posterior({})
    with pytest.raises(ValueError, match="no hidden states"):
        est.filtered({})
    with pytest.raises(ValueError, match="no column `bus`"):
        est.covariance(est.task.own, "cluster", np.ones(2, bool), by="bus")
    with pytest.raises(ValueError, match="say by which column"):
        est.covariance(est.task.own, "cluster", np.ones(2, bool))
    with pytest.raises(ValueError, match="kind: 'robust' is none of hessian"):
        est.covariance(est.task.own, "robust", np.ones(2, bool))


def test_transforms_lead_there_and_back():
    matrix = np.array([[1.0, 0.3, -0.2], [0.3, 1.0, 0.5], [-0.2, 0.5, 1.0]])
    cases = {
        Interval(0.0, 2.0): np.array([0.3, 1.9]),
        Interval(1.0): np.array([1.5]),
        Interval(high=1.0): np.array([-4.0]),
        Interval(): np.array([-4.0, 7.0]),
        POSITIVE: np.array([0.01, 5.0]),
        Simplex(3): np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]]),
        Ordered(): np.array([-1.0, 0.0, 4.0]),
        Correlation(): matrix,
        Pieces((0, 2, 4), groups=(0, 0, 1, 1, -1)): np.array([1.0, 1.0, 2.0, 2.0, 9.0]),
    }
    for transform, value in cases.items():
        z = transform.read(value)
        np.testing.assert_allclose(transform.inside(transform.real(z)), z, atol=1e-12)
        np.testing.assert_allclose(transform.fill(z, value), value, atol=1e-12)
        far = transform.fill(transform.inside(transform.real(z) + 1.0), value)
        assert np.isfinite(far).all() and not np.allclose(far, value)
    assert np.linalg.eigvalsh(Correlation().fill(Correlation().inside(jnp.array([3.0, -3.0, 3.0])), matrix)).min() > 0
    assert (np.diff(Ordered().inside(jnp.array([0.0, -9.0, 2.0]))) > 0).all()
