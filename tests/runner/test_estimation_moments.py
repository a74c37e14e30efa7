"""Estimates from moments: truths are found again, and what is said of them is what refits say."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib import pyplot as plt

import stagecraft as sc
from dynx_runner import SMM, MinimumDistance, Moments, load_fit
from dynx_runner.estimation.engines import METHODS

TEXT = (Path(__file__).parents[2] / "examples" / "cons_indshock" / "cons_indshock.yml").read_text()
FREE = {"CONS.beta": (0.85, 0.999), "CONS.sigma_y": (0.01, 0.6)}
TRUTH = {"CONS.beta": 0.96, "CONS.sigma_y": 0.1}
INITIAL = {"a": 0.0}
PERIODS = (3, 6, 9)


@pytest.fixture(scope="module")
def circuit():
    return sc.load(TEXT.replace("horizon: 65", "horizon: 12").replace("n_a: 200", "n_a: 40").replace("n_y: 7", "n_y: 3"))


def profiles(solved):
    """Mean assets and the variance of consumption at three dates."""
    pushed = sc.push_forward(solved, INITIAL, refine=2)
    stages = [pushed[t]["CONS"] for t in PERIODS]
    means = jnp.stack([s.cntn.dist.mean("a_nxt") for s in stages])
    return {"assets": means, "spread": jnp.stack([s.dcsn.dist.variance("c") for s in stages])}


@pytest.fixture(scope="module")
def data(circuit):
    return jax.device_get(jax.jit(lambda c: profiles(sc.solve(c)))(circuit))


def covariance_of(data):
    return np.diag((0.02 * np.concatenate([data["assets"], data["spread"]])) ** 2)


@pytest.fixture(scope="module")
def estimator(circuit, data):
    return MinimumDistance(circuit, FREE, profiles, data, weights="optimal", covariance=covariance_of(data))


@pytest.fixture(scope="module")
def fit(estimator):
    return estimator.fit({"CONS.beta": 0.9, "CONS.sigma_y": 0.2}, starts=4, key=jax.random.key(1))


def off(data, shift):
    """The data with its first moment moved in relation to itself."""
    return {**data, "assets": data["assets"] * np.array([1 + shift, 1.0, 1.0])}


def test_the_truth_is_found_again_from_every_start(fit):
    assert fit.converged and fit.parameters == pytest.approx(TRUTH, rel=1e-6)
    assert len(fit.basins) == 1 and fit.basins["starts"][0] == 4
    evaluations = [trace.evaluations for trace in fit.traces]
    assert np.median(evaluations) <= 15 and max(evaluations) <= 40
    assert fit.check["agrees"].all(), fit.check
    assert fit.j_test() == {"J": pytest.approx(0.0, abs=1e-8), "df": 4, "p": pytest.approx(1.0)}
    assert fit.estimator.moments(fit.parameters) == pytest.approx(
        dict(zip(fit.estimator.names, fit.estimator.data, strict=True))
    )


@pytest.mark.parametrize("method", [m for m in METHODS if m not in ("damped", "adam")])
def test_engines_agree(estimator, method):
    found = estimator.fit({"CONS.beta": 0.95, "CONS.sigma_y": 0.15}, method=method, check=False)
    assert found.converged and found.parameters == pytest.approx(TRUTH, rel=1e-3)


def test_adam_comes_near_and_is_not_called_converged_where_it_is_not(estimator):
    found = estimator.fit({"CONS.beta": 0.95, "CONS.sigma_y": 0.15}, method="adam", steps=30, check=False)
    assert found.traces[0].values[-1] < found.traces[0].values[0]
    short = estimator.fit({"CONS.beta": 0.9, "CONS.sigma_y": 0.4}, steps=1, check=False)
    assert not short.converged or short.criterion < 1e-6
    assert not short.converged and "stopped after 1 steps" in short.outcome


@pytest.mark.slow
def test_estimates_move_with_data_as_they_are_said_to(circuit, data):
    """Where the moments do not fit, too: the second derivative of the distance is exact."""
    build = lambda d: MinimumDistance(circuit, FREE, profiles, d, weights="diagonal", covariance=covariance_of(data))
    here = build(off(data, 0.1)).fit(check=False)
    assert here.converged and here.criterion > 1.0
    step = 1e-3
    up, down = (build(off(data, 0.1 + s)).fit(check=False).z for s in (step, -step))
    moved = (up - down) / (2 * step * data["assets"][0])
    np.testing.assert_allclose(here.sensitivity()["assets[0]"], moved, rtol=1e-2)


@pytest.mark.slow
def test_estimates_move_with_calibrations_as_they_are_said_to(circuit, data):
    build = lambda c: MinimumDistance(c, FREE, profiles, off(data, 0.1), weights="diagonal", covariance=covariance_of(data))
    here, step = build(circuit).fit(check=False), 1e-4
    up, down = (build(circuit.with_parameters({"CONS.R": 1.03 + s})).fit(check=False).z for s in (step, -step))
    np.testing.assert_allclose(here.sensitivity(["CONS.R"])["CONS.R"], (up - down) / (2 * step), rtol=1e-2)
    with pytest.raises(ValueError, match="`CONS.beta` is no calibrated number"):
        here.sensitivity(["CONS.beta"])


@pytest.mark.slow
def test_efficient_errors_are_no_larger_than_others_and_equal_with_optimal_weights(circuit, data, fit):
    sandwich, efficient = fit.covariance(), fit.covariance("efficient")
    np.testing.assert_allclose(sandwich, efficient, rtol=1e-6)
    other = MinimumDistance(circuit, FREE, profiles, data, weights="identity", covariance=covariance_of(data)).fit(check=False)
    assert np.linalg.eigvalsh(other.covariance() - efficient).min() > -1e-10 * np.abs(efficient).max()
    # The bootstrap of moments with that covariance has the same errors.
    rng = np.random.default_rng(0)
    draws = rng.multivariate_normal(fit.estimator.data, covariance_of(data), size=150)
    boot = fit.se("bootstrap", samples=draws)
    assert [boot[k] / fit.se()[k] for k in FREE] == pytest.approx([1.0, 1.0], abs=0.2)


def test_the_test_of_overidentification_has_its_law(circuit, data, fit):
    """Five draws of data: J less what a projection of the draw by hand says."""
    rng = np.random.default_rng(1)
    root = np.linalg.cholesky(covariance_of(data))
    for row in rng.multivariate_normal(fit.estimator.data, covariance_of(data) * 1e-4, size=5):
        drawn = {"assets": row[:3], "spread": row[3:]}
        est = MinimumDistance(circuit, FREE, profiles, drawn, weights="optimal", covariance=covariance_of(data) * 1e-4)
        found = est.fit(check=False).j_test()
        slopes = np.linalg.solve(root * 1e-2, fit.estimator.slopes(fit.z))
        gap = np.linalg.solve(root * 1e-2, row - fit.estimator.data)
        rest = gap - slopes @ np.linalg.lstsq(slopes, gap, rcond=None)[0]
        assert found["J"] == pytest.approx(rest @ rest, rel=1e-2) and found["df"] == 4


def test_delta_method_and_identification(fit):
    policy = lambda solved: solved[2]["CONS"].dcsn.sol.policy["c"](m=jnp.array([1.0, 3.0]))
    value, error = fit.delta(policy)
    step = 1e-5
    at = lambda z: np.asarray(policy(sc.solve(fit.task.free.put(jnp.asarray(z), fit.task.circuit))))
    slopes = np.stack([(at(fit.z + step * e) - at(fit.z - step * e)) / (2 * step) for e in np.eye(2)], axis=1)
    by_hand = np.sqrt(np.einsum("ij,jk,ik->i", slopes, fit.covariance(), slopes))
    np.testing.assert_allclose(error, by_hand, rtol=1e-4)
    assert value.shape == (2,)
    table = fit.identification()
    assert list(table["note"]) == ["", ""] and (table["singular value"] > 1).all()


def test_reports_say_the_same_in_three_styles_and_come_back_from_disk(fit, tmp_path):
    text, page, latex = (fit.summary(style) for style in ("text", "html", "latex"))
    for told in (text, page, latex):
        assert "0.96" in told and "CONS" in told and "J-test" in told
    assert r"CONS.sigma\_y" in latex and r"\begin{tabular}{lrrrr}" in latex and "<table>" in page
    fit.save(tmp_path / "fit.json")
    back = load_fit(tmp_path / "fit.json")
    assert back.parameters == fit.parameters and back.se() == pytest.approx(fit.se()) and back.summary() == text
    np.testing.assert_array_equal(back.covariance(), fit.covariance())
    assert back.converged and back.loglik is None
    with pytest.raises(ValueError, match="style: 'word' is none of text, html, latex"):
        fit.summary("word")
    with pytest.raises(AttributeError, match="has no likelihood"):
        _ = fit.loglik


@pytest.mark.slow
def test_pictures_show_what_was_found(fit):
    m = np.linspace(0.5, 5.0, 7)
    band = fit.plot_band(lambda solved: solved[2]["CONS"].dcsn.sol.policy["c"](m=m), m)
    assert len(fit.plot_trace().lines) == 4 and len(fit.plot_starts().lines[0].get_xdata()) == 4
    assert len(fit.plot_moments().lines[0].get_xdata()) == 6
    assert fit.plot_sensitivity(["CONS.R"]).images[0].get_array().shape == (2, 1)
    assert band.lines[0].get_xdata() is not None
    profile = fit.plot_profile("CONS.beta").lines[0].get_ydata()
    assert np.argmin(profile) == 4 and profile[0] > 1
    plt.close("all")


@pytest.mark.slow
def test_simulated_moments_have_noise_that_is_counted(circuit):
    items = [{"of": "CONS.a_nxt", "kind": "mean", "ages": [28, 31]}, {"of": "CONS.a_nxt", "kind": "mean", "ages": [32, 36]},
             {"of": "CONS.c", "kind": "variance", "ages": [30, 36]}, {"of": "CONS.c", "kind": "autocovariance", "lag": 1}]  # fmt: skip
    drawn = Moments.read(items, INITIAL, agents=2_000)
    panel = sc.simulate(sc.solve(circuit), INITIAL, agents=1_500, key=jax.random.key(9))
    data, covariance = drawn.of_data(panel.to_pandas())
    assert list(data) == [m.label for m in drawn.items]
    est = SMM(circuit, FREE, drawn, data, weights="optimal", covariance=covariance, key=jax.random.key(4))
    fit = est.fit()
    assert fit.converged and fit.check["agrees"].all(), fit.check
    errors = fit.se()
    assert all(abs(fit.parameters[k] - TRUTH[k]) < 4 * errors[k] for k in FREE)
    assert fit.j_test()["df"] == 2 and fit.j_test()["p"] > 1e-3
    # The noise of simulation is that of a panel of so many agents: 1,500 to 2,000 of the data's.
    share = np.diag(est.noise(fit.z)) / np.diag(est.covariance_of_data)
    assert share == pytest.approx(0.75, abs=0.4)
    # The same draws at all parameters: the criterion is a function.
    assert est.task.value(fit.z) == est.task.value(fit.z)


@pytest.mark.slow
def test_declared_moments_agree_between_distributions_panels_and_frames(circuit):
    items = [{"of": "CONS.c"}, {"of": "CONS.c", "kind": "variance", "ages": [28, 33]}, {"of": "CONS.c", "kind": "quantile", "q": 0.25},
             {"of": "CONS.c", "kind": "covariance", "beside": "CONS.m"}, {"of": "CONS.c", "kind": "share", "low": 1.0},
             {"of": "CONS.c", "kind": "mean", "log": True, "ages": [30, 30]}]  # fmt: skip
    solved = sc.solve(circuit)
    pushed = Moments.read(items, INITIAL, refine=4)(solved)
    drawn = Moments.read(items, INITIAL, agents=20_000)(solved, jax.random.key(0))
    frame = sc.simulate(solved, INITIAL, agents=20_000, key=jax.random.key(0)).to_pandas()
    seen, covariance = Moments.read(items, INITIAL).of_data(frame)
    error = np.sqrt(np.diag(covariance))
    for (name, x), one, e in zip(seen.items(), error, np.asarray(list(pushed.values())), strict=True):
        assert float(drawn[name]) == pytest.approx(x, rel=2e-3), name
        # Three nodes of income are enough for moments, and too few for who is below a number.
        if "share" not in name and "quantile" not in name:
            assert float(e) == pytest.approx(x, abs=6 * one + 0.03 * abs(x)), name
    people = [sc.push_forward(solved, INITIAL, refine=4)[t]["CONS"].dcsn.dist for t in range(12)]
    above = sum(float(p.weights[p.states["c"] >= 1.0].sum()) for p in people) / sum(float(p.mass) for p in people)
    assert float(pushed["share(CONS.c, 1..inf)"]) == pytest.approx(above, abs=1e-12)
    middle = [float(p.quantile("c", 0.25)) for p in people]
    assert min(middle) < float(pushed["quantile(CONS.c, 0.25)"]) < max(middle)
    with pytest.raises(ValueError, match="does not know who is who"):
        Moments.read([{"of": "CONS.c", "kind": "autocovariance"}], INITIAL)(solved)
    with pytest.raises(ValueError, match="no period lies there"):
        Moments.read([{"of": "CONS.c", "ages": [80, 90]}], INITIAL)(solved)


@pytest.mark.slow
def test_weights_in_two_steps_and_updated_at_every_parameter(circuit, data):
    """With a covariance that the model tells, both end at the truth where the data are the model's own."""
    told = lambda solved: jnp.diag((0.02 * jnp.concatenate(list(profiles(solved).values()))) ** 2)
    for weights in ("two-step", "continuous"):
        est = MinimumDistance(circuit, FREE, profiles, data, weights=weights, covariance=told)
        found = est.fit({"CONS.beta": 0.95, "CONS.sigma_y": 0.13}, check=False)
        assert found.converged and found.parameters == pytest.approx(TRUTH, rel=1e-5)
        np.testing.assert_allclose(found.covariance(), found.covariance("efficient"), rtol=1e-5)
