"""Draws are those of the posterior, which a grid and a closed form tell; what speaks against them is said."""

import sys
import warnings

import jax
import numpy as np
import pandas as pd
import pytest

import stagecraft as sc
from dynx_runner import MLE
from dynx_runner.design.laws import BetaPrior, DiscretePrior, LogNormalPrior, NormalPrior
from dynx_runner.estimation import diagnostics
from dynx_runner.estimation.posterior import Posterior

# An engine is kept or replaced twice, and driven by chance before.
ENGINE = """
model:
  name: Engine
  horizon: 2
  terminal: 0
  parameters: {beta: 0.9, RC: 2.0, theta: 0.3, p: 0.6}
  defaults: {inherit: all}
  connections: {inter_period: [{source: BUS, target: BUS, mapping: {s_nxt: s_pre}}]}
stage:
  name: BUS
  math:
    functions: {g_av: "s = min(s_pre + dx, 5)", g_ve: s_nxt = s*(1 - d), Q: "-RC*d - theta*s*(1 - d) + beta*V[>]"}
    controls: {d: {in: [0, 1]}}
    shocks: {usage: {dimensions: ["dx"], shock_method: discrete, values: [0, 1], probs: [1 - p, p]}}
    choice: {by: agent, taste_shock: gumbel, scale: 1.0}
    state_space:
      arvl: {grid: {s_pre: {type: int_range, min: 0, max: 5}}, tabulate: true}
      dcsn: {grid: {s: {type: int_range, min: 0, max: 5}}}
      cntn: {grid: {s_nxt: {type: int_range, min: 0, max: 5}}}
"""
PRIORS = {"main.RC": NormalPrior(2.0, 1.0), "main.theta": LogNormalPrior(0.3, 0.5), "main.p": BetaPrior(2.0, 2.0)}
DRIVEN, IDLE = 14, 6


@pytest.fixture(scope="module")
def estimator():
    """Decisions at every mileage, and months in which a bus was driven or not, in rows that know nothing of each other."""
    decisions = pd.DataFrame(
        {"s": np.repeat([1.0, 3.0, 5.0], 2), "d": [0.0, 1.0] * 3, "weight": [9, 2, 6, 4, 4, 5], "period": 0}
    )
    months = pd.DataFrame({"dx": [1.0, 0.0], "weight": [DRIVEN, IDLE], "period": 0})
    free = {"main.RC": (0.0, 8.0), "main.theta": (0.0, 3.0), "main.p": (0.0, 1.0)}
    return MLE(sc.load(ENGINE), free, pd.concat([decisions, months], ignore_index=True), {"BUS": ["s", "d", "dx"]})


@pytest.fixture(scope="module")
def posterior(estimator):
    return estimator.sample(jax.random.key(3), priors=PRIORS, chains=4, draws=300, warmup=150)


@pytest.mark.slow
def test_draws_have_the_moments_of_a_grid(estimator, posterior):
    grids = [np.linspace(*ends, 41)[1:-1] for ends in ((0.0, 7.0), (0.0, 1.6), (0.0, 1.0))]
    rc, theta, p = (x.ravel() for x in np.meshgrid(*grids, indexing="ij"))
    told = jax.jit(jax.vmap(lambda a, b, c: estimator.loglik({"main.RC": a, "main.theta": b, "main.p": c})))(rc, theta, p)
    prior = -0.5 * (rc - 2.0) ** 2 - 0.5 * (np.log(theta / 0.3) / 0.5) ** 2 - np.log(theta) + np.log(p) + np.log1p(-p)
    weight = np.exp(np.asarray(told) + prior - np.max(np.asarray(told) + prior))
    weight /= weight.sum()
    assert posterior.converged, posterior
    for path, x in zip(PRIORS, (rc, theta, p), strict=True):
        mean = weight @ x
        spread, count = np.sqrt(weight @ (x - mean) ** 2), posterior.ess[path]
        assert abs(posterior.parameters[path] - mean) < 4 * spread / np.sqrt(count), path
        assert posterior.draws[path].std() == pytest.approx(spread, rel=4 / np.sqrt(2 * count))


@pytest.mark.slow
def test_reports_name_what_speaks_against_draws(estimator, posterior):
    text, page = posterior.summary(), posterior.summary("html")
    assert "main.RC" in text and "R-hat" in text and "NOT CONVERGED" not in text and "<table>" in page
    apart = posterior.z.copy()
    apart[0, :, 0] += 3.0
    rest = (posterior.log_density, posterior.divergent | (np.arange(300) == 7), posterior.acceptance, posterior.steps)
    bad = Posterior(estimator, posterior.draws, apart, *rest)
    assert not bad.converged and "NOT CONVERGED" in bad.summary()
    assert "chains disagree on main.RC" in bad.outcome and "4 trajectories diverged" in bad.outcome
    np.testing.assert_allclose(bad.r_hat["main.p"], posterior.r_hat["main.p"])
    # A function of every draw, here of the solved circuit.
    keeps = lambda given: sc.solve(estimator.circuit.with_parameters(given))[0]["BUS"].dcsn.sol.probability["d[0]"](s=3.0)
    odds = posterior.of(keeps)
    at = {path: posterior.draws[path][1, 7] for path in PRIORS}
    assert odds.shape == (4, 300) and odds[1, 7] == pytest.approx(float(keeps(at)), rel=1e-9)
    assert posterior.circuit.parameters["main"]["RC"] == pytest.approx(posterior.parameters["main.RC"])


@pytest.mark.slow
def test_arviz_takes_the_draws_and_has_the_same_diagnostics(posterior):
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", FutureWarning
        )  # The arviz of some Pythons says on import that there will be another one.
        import arviz

    found = posterior.to_arviz()
    np.testing.assert_array_equal(found["posterior"]["main.p"].values, posterior.draws["main.p"])
    for name in posterior.names:
        x = posterior.draws[name]
        assert diagnostics.r_hat(x) == pytest.approx(float(arviz.rhat(x)), abs=1e-10)
        assert diagnostics.ess_bulk(x) == pytest.approx(float(arviz.ess(x)), rel=0.02)
        assert diagnostics.ess_tail(x) == pytest.approx(float(arviz.ess(x, method="tail")), rel=0.02)


def test_independent_draws_are_worth_what_they_are_and_dependent_ones_less():
    rng = np.random.default_rng(0)
    noise, x = rng.standard_normal((4, 4_000)), np.zeros((4, 4_000))
    assert diagnostics.ess_bulk(noise) == pytest.approx(16_000, rel=0.1)
    for t in range(1, 4_000):
        x[:, t] = 0.8 * x[:, t - 1] + noise[:, t]
    # Of an autoregression (1 - rho)/(1 + rho) of them.
    assert diagnostics.ess_bulk(x) == pytest.approx(16_000 * 0.2 / 1.8, rel=0.15)
    assert diagnostics.r_hat(noise) < 1.005 < 1.1 < diagnostics.r_hat(noise + np.arange(4)[:, None])


def test_priors_and_extras_that_are_not_there(estimator, monkeypatch):
    key = jax.random.key(0)
    with pytest.raises(ValueError, match="priors: `main.beta` is not free; free are main.RC"):
        estimator.sample(key, priors={"main.beta": NormalPrior(0.9, 0.1)})
    with pytest.raises(ValueError, match="priors: `main.RC` takes UniformPrior, NormalPrior.*or a JAX function"):
        estimator.sample(key, priors={"main.RC": DiscretePrior([1.0, 2.0])})
    with pytest.raises(ValueError, match="two chains or more"):
        estimator.sample(key, chains=1)
    with pytest.raises(ValueError, match="start: `main.RC` = 60 is not inside"):
        estimator.sample(key, start={"main.RC": 60.0})
    monkeypatch.setitem(sys.modules, "blackjax", None)
    with pytest.raises(ImportError, match=r'needs blackjax: pip install "dynx\[bayes\]"'):
        estimator.sample(key)
