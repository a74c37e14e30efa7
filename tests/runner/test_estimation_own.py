"""Estimators of models that are in no example, beside likelihoods that are written down by hand."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal, norm

import heptapod
import stagecraft as sc
from dynx_runner import MLE, MinimumDistance, Moments
from dynx_runner.estimation.transforms import Correlation, Interval, Ordered, Simplex

# Skills are a chain whose matrix is a parameter, gifts a vector of odds, and what is done at home is worth more every year.
SKILL = """
model:
  name: Skill
  horizon: 3
  terminal: 0
  parameters:
    beta: 0.9
    home: {by: t, values: [0.2, 0.5, 0.9]}
    Pi: [[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.05, 0.15, 0.8]]
    levels: [0.4, 1.0, 1.9]
    odds: [0.2, 0.5, 0.3]
    gifts: [-0.5, 0.0, 1.5]
  defaults: {inherit: all}
  connections: {inter_period: [{source: JOB, target: JOB, mapping: {z_nxt: z_pre}}]}
stage:
  name: JOB
  math:
    functions:
      g_av: z = w; g = x
      g_ve: z_nxt = z
      Q: d*(z + g) + home*(1 - d) + beta*V[>]
    controls: {d: {in: [0, 1]}}
    shocks:
      wage: {dimensions: ["w"], shock_method: markov, values: levels, transition_matrix: Pi, given: z_pre}
      gift: {dimensions: ["x"], shock_method: discrete, values: gifts, probs: odds}
    choice: {by: agent, taste_shock: gumbel, scale: 1.0}
    state_space:
      arvl: {grid: {z_pre: {values: levels}}, tabulate: true}
      dcsn: {grid: {z: {values: levels}, g: {values: gifts}}}
      cntn: {grid: {z_nxt: {values: levels}}}
"""
LEVELS, GIFTS = np.array([0.4, 1.0, 1.9]), np.array([-0.5, 0.0, 1.5])
FREE = {"main.home": Ordered(), "main.Pi": Simplex(), "main.odds": Simplex()}
OBSERVE = {"JOB": ["z_pre", "z", "g", "d"]}

# Cash is any function of what is drawn.
PAY = """
model:
  name: Pay
  horizon: 2
  terminal: 0
  parameters: {mu: 1.2, sigma: 0.4}
  defaults: {inherit: all}
  connections: {inter_period: [{source: JOB, target: JOB, mapping: {k_nxt: k}}]}
stage:
  name: JOB
  math:
    functions:
      g_av: CASH
      g_ve: k_nxt = 0*k + d
      Q: d*m + 0.9*V[>]
    controls: {d: {in: [0, 1]}}
    shocks: {pay: {dimensions: ["y"], shock_method: LAW, mean: mu, std: sigma, n_points: 3}}
    choice: {by: agent, taste_shock: gumbel, scale: 1.0}
    state_space:
      arvl: {grid: {k: {values: [0, 1]}}, tabulate: true}
      dcsn: {grid: {m: {min: 0.0, max: 50.0, points: 3}, k: {values: [0, 1]}}}
      cntn: {grid: {k_nxt: {values: [0, 1]}}}
"""


def paid(cash: str, law: str = "lognormal"):
    return sc.load(PAY.replace("CASH", cash).replace("LAW", law))


@pytest.fixture(scope="module")
def skill():
    return sc.load(SKILL)


@pytest.fixture(scope="module")
def jobs(skill):
    return sc.simulate(sc.solve(skill), {"z_pre": 1.0}, agents=300, key=jax.random.key(0)).to_pandas()


def place(values, x):
    return np.abs(np.asarray(x)[:, None] - values).argmin(axis=1)


def of_rows(z, frame):
    """The log-likelihood of each row of jobs: a logit of what work pays over home, a row of the chain, the odds of the gift."""
    home, chain, odds = z[:3], z[3:9].reshape(3, 2), z[9:]
    chain, odds = np.c_[chain, 1 - chain.sum(axis=1)], np.r_[odds, 1 - odds.sum()]
    worth = (frame["z"] + frame["g"]).to_numpy() - home[frame["period"].to_numpy()]
    moved = chain[place(LEVELS, frame["z_pre"]), place(LEVELS, frame["z"])] * odds[place(GIFTS, frame["g"])]
    return np.log(moved) - np.log1p(np.exp(np.where(frame["d"] == 1, -worth, worth)))


@pytest.mark.slow
def test_starts_that_do_not_fit_their_transforms_are_named(skill):
    rows = pd.DataFrame({"period": [0, 1], "z_pre": 1.0, "z": 1.0, "g": 0.0, "d": 1.0})
    est = MLE(skill, FREE, rows, OBSERVE)
    with pytest.raises(ValueError, match=r"start: `main.odds` = \[0.3, 0.3, 0.3\] does not fit its transform, Simplex"):
        est.fit({"main.odds": [0.3, 0.3, 0.3]})
    with pytest.raises(ValueError, match=r"start: `main.home` = \[0.5, 0.2, 0.1\] does not fit its transform, Ordered"):
        est.fit({"main.home": [0.5, 0.2, 0.1]})
    with pytest.raises(ValueError, match=r"start: `main.odds` is numbers of shape \(3,\), found \[0.5, 0.5\]"):
        est.fit({"main.odds": [0.5, 0.5]})
    for free, told in (({"main.Pi": Ordered()}, "increase are a vector"), ({"main.odds": Correlation()}, "a symmetric matrix")):
        with pytest.raises(ValueError, match=told):
            MLE(skill, free, rows, OBSERVE)


def second(function, z, step=2e-4):
    """Second derivatives by central differences."""
    moves = step * np.eye(len(z))
    at = lambda a, b: function(z + a + b) - function(z + a - b) - function(z - a + b) + function(z - a - b)
    return np.array([[at(a, b) for b in moves] for a in moves]) / (4 * step**2)


@pytest.mark.slow
def test_chains_odds_and_ordered_numbers_are_estimated_with_their_errors(skill, jobs):
    """Estimates of a chain that is seen are its frequencies, and their errors those of frequencies."""
    est = MLE(skill, FREE, jobs, OBSERVE)
    np.testing.assert_allclose(est.contributions({}), np.bincount(jobs["agent"], of_rows(est.task.own, jobs)), atol=1e-10)
    fit, counts = est.fit(check=False), np.zeros((3, 3))
    np.add.at(counts, (place(LEVELS, jobs["z_pre"]), place(LEVELS, jobs["z"])), 1)
    shares = counts / counts.sum(axis=1, keepdims=True)
    assert fit.converged and (np.diff(fit.parameters["main.home"]) > 0).all()
    np.testing.assert_allclose(fit.parameters["main.Pi"], shares, atol=1e-5)
    by_hand = np.linalg.inv(-second(lambda z: of_rows(z, jobs).sum(), fit.z))
    np.testing.assert_allclose(np.diag(fit.covariance()), np.diag(by_hand), rtol=1e-4)
    errors = np.sqrt(shares * (1 - shares) / counts.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(fit.se()["main.Pi"], errors, rtol=1e-4)  # The last column is by the delta method.
    works = lambda solved: solved[0]["JOB"].dcsn.sol.probability["d[1]"](z=1.9, g=0.0)
    value, error = fit.delta(works)
    np.testing.assert_allclose(error, value * (1 - value) * np.sqrt(by_hand[0, 0]), rtol=1e-4)
    # Drawn anew, chains vary as frequencies do; in no sample more than everything.
    drawn = fit.covariance("bootstrap", key=jax.random.key(0), samples=20)
    assert (np.diag(drawn)[3:9] < 9 * errors[:, :2].ravel() ** 2).all()
    # Nobody falls from the first level to the last: its share ends at zero, and stays a probability.
    never = (jobs["z_pre"] == 0.4) & (jobs["z"] == 1.9)
    edge = est.with_data(jobs[~jobs["agent"].isin(jobs["agent"][never])]).fit(check=False)
    assert edge.parameters["main.Pi"][0, 2] == pytest.approx(0.0, abs=1e-6)
    assert (edge.parameters["main.Pi"] > 0).all() and edge.converged
    with pytest.warns(UserWarning, match=r"`main.Pi\[0\]`, `main.Pi\[1\]` stands at a bound"):
        errors = edge.se()
    assert np.isnan(errors["main.Pi"][0]).all() and np.isfinite(errors["main.Pi"][1:]).all()


def test_what_transforms_hold_ends_somewhere():
    """A share of zero, of itself or of the last; equal neighbours; a correlation that leaves nothing."""
    near, one = 1e-8, np.ones(1)
    assert Interval(0.0, 2.0).edge(one - 1 + near) < 1e-6 < Interval(0.0, 2.0).edge(one)
    assert np.isinf(Interval().edge(one)).all()
    np.testing.assert_array_equal(Simplex(3).edge(np.array([0.3, near, 0.4, 0.6 - near])) < 1e-6, [False, True, True, True])
    np.testing.assert_array_equal(Ordered().edge(np.array([0.0, 1.0, 1.0 + near, 3.0])) < 1e-6, [False, True, True, False])
    assert Correlation().edge(np.array([1 - near])) < 1e-6 < Correlation().edge(np.array([0.99]))


@pytest.mark.slow
def test_draws_that_states_do_not_tell_are_named_and_asked_for():
    """A parabola has two inverses, what is cut off has many, and one of a factor of zero, too."""
    frame = {"id": [1, 1], "period": [0, 1], "k": 0.0, "m": 1.0, "d": 1}
    for cash in ("m = 1 + (y - 1)^2", "m = max(y - 1, 0) + k", "m = y*k + 1"):
        with pytest.raises(ValueError, match=r"of stage JOB m does not tell the draw y: at k = 0.*observe y in its place"):
            MLE(paid(cash), {"main.sigma": (0.01, 2.0)}, frame, {"JOB": ["k", "m", "d"]})
    MLE(paid("m = 1 + (y - 1)^2"), {"main.sigma": (0.01, 2.0)}, frame, {"JOB": ["k", "m", "d"]}, transitions=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cash", "law", "of", "slope"),
    [("m = y^2 + k", "lognormal", lambda y: y**2, lambda y: 2 * y),
     ("m = 8 + log(y)", "lognormal", lambda y: 8 + np.log(y), lambda y: 1 / y),
     ("m = exp(y)", "normal", np.exp, np.exp)],
)  # fmt: skip
def test_draws_are_found_however_far_they_are(cash, law, of, slope):
    """By curved equations, ten standard deviations away; in logarithms where they are lognormal."""
    y = np.linspace(0.05, 3.5, 60)
    frame = {"id": np.arange(60), "period": 0, "k": 0.0, "m": of(y), "d": 1}
    free = {"main.sigma": (0.01, 2.0), "main.mu": (0.1, 5.0)}
    both = [MLE(paid(cash, law), free, frame, {"JOB": ["k", "m", "d"]}, transitions=t) for t in (True, False)]
    found = np.asarray(both[0].contributions({}) - both[1].contributions({}))
    x, mean = (np.log(y), np.log(1.2) - 0.5 * 0.4**2) if law == "lognormal" else (y, 1.2)
    level = np.log(y) if law == "lognormal" else 0.0
    by_hand = -0.5 * ((x - mean) / 0.4) ** 2 - np.log(0.4) - level - 0.5 * np.log(2 * np.pi) - np.log(slope(y))
    np.testing.assert_allclose(found, by_hand, atol=1e-9)
    assert jnp.isfinite(both[0].score({})["main.sigma"])


DECLARED = """
- {of: CONS.c, kind: mean, ages: [30, 40]}
- {of: CONS.c, kind: variance, ages: 50, log: true}
- {of: CONS.m, kind: covariance, beside: CONS.c, column: cash}
- {of: CONS.m, kind: quantile, q: 0.25, ages: 40, column: cash}
- {of: CONS.m, kind: share, low: 1.0, high: 1.5, ages: [40, 50], column: cash}
- {of: CONS.c, kind: autocovariance, lag: 2, ages: [50, 60]}
"""


def test_declared_moments_of_data_are_those_of_numpy_with_their_covariance():
    """Against moments of arrays, and a bootstrap of whoever is observed; a column of the data may have another name."""
    rng, count = np.random.default_rng(0), 2_000
    cash = np.exp(0.3 * rng.standard_normal((count, 1)) + 0.2 * rng.standard_normal((count, 4)))
    spent = np.sqrt(cash) * np.exp(0.1 * rng.standard_normal((count, 4)))
    who, period = np.indices((count, 4))
    frame = pd.DataFrame({"id": who.ravel(), "period": period.ravel(), "age": 30 + 10 * period.ravel(),
                          "cash": cash.ravel(), "c": spent.ravel()}).sample(frac=1.0, random_state=0)  # fmt: skip

    def by_hand(i):
        m, c = cash[i], spent[i]
        cov = lambda x, y: np.mean(x * y) - np.mean(x) * np.mean(y)
        within = (m[:, 1:3] >= 1.0) & (m[:, 1:3] <= 1.5)
        return np.array([c[:, :2].mean(), np.log(c[:, 2]).var(), cov(m, c), np.quantile(m[:, 1], 0.25), within.mean(),
                         cov(c[:, 2:], c[:, :2])])  # fmt: skip

    moments, covariance = Moments.read(DECLARED, {"a": 0.0}).of_data(frame)
    np.testing.assert_allclose(list(moments.values()), by_hand(slice(None)), atol=1e-12)
    drawn = np.stack([by_hand(rng.integers(0, count, count)) for _ in range(600)])
    errors = np.sqrt(np.diag(covariance))
    smooth = np.arange(6) != 3  # That of a quantile asks for the density there, which few draws tell.
    np.testing.assert_allclose(errors[smooth], drawn.std(axis=0)[smooth], rtol=0.12)
    std = np.sqrt(0.3**2 + 0.2**2)
    at = np.exp(norm.ppf(0.25) * std)
    assert errors[3] == pytest.approx(np.sqrt(0.25 * 0.75 / count) / (norm.pdf(norm.ppf(0.25)) / (std * at)), rel=0.1)
    np.testing.assert_allclose(covariance / np.outer(errors, errors), np.corrcoef(drawn.T), atol=0.15)


def test_declared_moments_that_cannot_be_are_refused_by_name():
    for wrong, told in {
        "kind: quantile, q: 1.5": r"entry 0 \(CONS.c\) needs `q` between 0 and 1",
        "kind: autocovariance, lag: 0.5": "needs a whole number `lag`",
        "kind: share, low: 2, high: 1": "needs `low` below `high`",
        "ages: forty": "entry 0: `ages` are one age, or the first and the last.*found 'forty'",
    }.items():
        with pytest.raises(ValueError, match=told):
            Moments.read(f"- {{of: CONS.c, {wrong}}}\n", {"a": 0.0})
    with pytest.raises(ValueError, match="no column `spending`; there are age, c"):
        Moments.read("- {of: CONS.c, column: spending}\n", {"a": 0.0}).of_data(pd.DataFrame({"age": [30], "c": [1.0]}))


def of_lognormal(mu, sigma, shift, xp):
    """The first three moments of a lognormal law, and the mean of its logarithm."""
    return [mu + shift, mu**2 * xp.exp(sigma**2), mu**3 * xp.exp(3 * sigma**2), xp.log(mu) - 0.5 * sigma**2 + shift**2]


def spread_of_data(mu, sigma, xp):
    """A covariance that moves with the parameters."""
    one = xp.asarray(np.diag([0.02, 0.1, 0.9, 0.01]) + 0.004)
    return one * (1 + mu**2) + 0.05 * sigma**2 * xp.asarray(np.ones((4, 4)))


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["diagonal", "two-step", "continuous", "optimal"])
def test_weights_tests_and_sensitivities_are_those_of_closed_form_moments(weights):
    """Moments that parameters alone decide have an optimum that scipy finds without any derivative of ours."""
    text = PAY.replace("CASH", "m = y + k").replace("LAW", "lognormal").replace("sigma: 0.4", "sigma: 0.4, shift: 0.1")
    circuit, data = sc.load(text), np.array([1.35, 1.75, 2.6, 0.16])
    own = lambda solved: [solved.parameters["main"][name] for name in ("mu", "sigma")]
    moments = lambda solved: jnp.stack(of_lognormal(*own(solved), solved.parameters["main"]["shift"], jnp))
    moving = lambda solved: spread_of_data(*own(solved), jnp)
    fixed = spread_of_data(1.2, 0.4, np)
    given = fixed if weights in ("diagonal", "optimal") else moving
    free = {"main.mu": (0.1, 5.0), "main.sigma": (0.01, 2.0)}
    fit = MinimumDistance(circuit, free, moments, data, weights=weights, covariance=given).fit(check=False)

    gap = lambda z, target, shift: np.array(of_lognormal(*z, shift, np)) - target

    def best(weight, target=data, shift=0.1):
        distance = lambda z: gap(z, target, shift) @ weight(z) @ gap(z, target, shift)
        options = {"xatol": 1e-12, "fatol": 1e-18, "maxiter": 4_000}
        return minimize(distance, fit.z, method="Nelder-Mead", options=options).x

    inverse = lambda z: np.linalg.inv(spread_of_data(*z, np))
    first = best(lambda _: np.eye(4)) if weights == "two-step" else None
    weight = {"diagonal": lambda _: np.diag(1 / np.diag(fixed)), "optimal": lambda _: np.linalg.inv(fixed),
              "two-step": lambda _: inverse(first), "continuous": inverse}[weights]  # fmt: skip
    assert fit.converged
    np.testing.assert_allclose(fit.z, best(weight), atol=2e-5)
    move = 1e-5 * np.eye(2)
    slopes = np.stack([(gap(fit.z + h, data, 0.1) - gap(fit.z - h, data, 0.1)) / 2e-5 for h in move], axis=1)
    whole = weight(fit.z)
    omega = fixed if weights in ("diagonal", "optimal") else np.linalg.inv(whole)
    bread = np.linalg.solve(slopes.T @ whole @ slopes, slopes.T @ whole)
    np.testing.assert_allclose(fit.covariance(), bread @ omega @ bread.T, rtol=1e-4)
    test = fit.j_test()
    assert test["df"] == 2
    if weights != "diagonal":
        here = gap(fit.z, data, 0.1)
        assert test["J"] == pytest.approx(here @ whole @ here, rel=1e-3)
    moved = [best(weight, data + h) for h in 1e-3 * np.array([[1, 0, 0, 0], [-1, 0, 0, 0]])]
    np.testing.assert_allclose(fit.sensitivity().to_numpy()[:, 0], (moved[0] - moved[1]) / 2e-3, rtol=1e-2)
    moved = [best(weight, shift=0.1 + h) for h in (1e-3, -1e-3)]
    slopes = fit.sensitivity(["main.shift"]).to_numpy()[:, 0]
    np.testing.assert_allclose(slopes, (moved[0] - moved[1]) / 2e-3, rtol=1e-2)


@pytest.mark.slow
def test_hessians_in_many_parameters_see_what_a_factor_of_zero_moves_by():
    """The logarithm of `1 + u` is zero, and so is the slope in its exponent; it moves with `u` all the same."""
    years = 17
    text = PAY.replace("CASH", "m = y + k").replace("LAW", "lognormal").replace("horizon: 2", f"horizon: {years}")
    worth = np.linspace(-1.0, 1.0, years).round(3).tolist()
    text = text.replace("sigma: 0.4", f"sigma: 0.4, u: 0.0, worth: {{by: t, values: {worth}}}").replace(
        "d*m", "d*(m - 1 + (1 + u)^worth)"
    )
    circuit, rng = sc.load(text.replace("k_nxt = 0*k + d", "k_nxt = 0*k")), np.random.default_rng(1)
    frame = pd.DataFrame({"period": np.arange(6 * years) % years, "k": 0.0, "m": rng.uniform(0, 3, 6 * years),
                          "d": rng.integers(0, 2, 6 * years)})  # fmt: skip
    est = MLE(circuit, {"main.u": None, "main.worth": None}, frame, {"JOB": ["k", "m", "d"]}, transitions=False)

    def by_hand(z):
        value = frame["m"].to_numpy() - 1 + (1 + z[0]) ** z[1:][frame["period"]]
        return np.log1p(np.exp(np.where(frame["d"] == 1, -value, value))).sum()

    assert len(est.task.own) > 16 and est.task.value(est.task.own) == pytest.approx(by_hand(est.task.own), abs=1e-10)
    np.testing.assert_allclose(est.task.hessian(est.task.own), second(by_hand, est.task.own, 1e-3), atol=1e-4)


LAW = Path(__file__).parents[2] / "examples" / "own_parts" / "law.py"
ROWS = pd.DataFrame({"period": 0, "k": 0.0, "y": [1.0, 1.3, 1.5], "m": [1.0, 1.69, 2.25], "d": 1})


def triangular():
    """The law of `examples/own_parts`."""
    spec = importlib.util.spec_from_file_location("law", LAW)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Triangular


def drawn_by(law):
    text = PAY.replace("CASH", "m = y^2 + k").replace("LAW, mean: mu, std: sigma", "own, centre: mu, width: sigma")
    return sc.load(text, shocks=heptapod.SHOCKS | {"own": law})


def test_the_density_of_a_law_of_ones_own_is_asked_for():
    for seen in (["k", "m", "d"], ["y"]):
        with pytest.raises(
            ValueError, match=r"density of `y` of stage JOB is not known; give its law Triangular a method log_dens"
        ):
            MLE(drawn_by(triangular()), {"main.sigma": (0.01, 3.0)}, ROWS.assign(id=[1, 2, 3]), {"JOB": seen})


@pytest.mark.slow
def test_a_law_of_ones_own_may_say_how_dense_it_is():
    plain = triangular()

    @dataclass(frozen=True)
    class Dense(heptapod.AbstractShock):
        """A triangle that does."""

        centre: heptapod.Formula
        width: heptapod.Formula
        n_points: int
        count, nodes, draws, moments, _quantile = plain.count, plain.nodes, plain.draws, plain.moments, plain._quantile

        def log_density(self, scope, drawn):
            far = jnp.abs(drawn["y"] - self.centre(scope)) / self.width(scope)
            return jnp.where(far < 1, jnp.log1p(-jnp.where(far < 1, far, 0.0)) - jnp.log(self.width(scope)), -jnp.inf)

    circuit, free, y = drawn_by(Dense), {"main.sigma": (0.01, 3.0)}, ROWS["y"].to_numpy()
    by_hand = np.log(1 - np.abs(y - 1.2) / 0.4) - np.log(0.4)
    np.testing.assert_allclose(MLE(circuit, free, ROWS, {"JOB": ["y"]}).contributions({}), by_hand, atol=1e-10)
    told = [
        MLE(circuit, free, ROWS.assign(id=y), {"JOB": ["k", "m", "d"]}, transitions=t).contributions({}) for t in (True, False)
    ]
    np.testing.assert_allclose(told[0] - told[1], by_hand - np.log(2 * y), atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["normal", "log"])
def test_states_that_follow_from_what_is_seen_may_be_measured_with_an_error(kind):
    """Cash is what came and what was drawn; it is measured, though not by all."""
    frame = pd.DataFrame({"period": 0, "k": 1.0, "y": [1.0, 1.3, 1.5, 0.8], "m": [2.2, 2.1, np.nan, 1.9], "d": 1})
    errors = {"m": "main.sigma" if kind == "normal" else ("log", "main.sigma")}
    est = MLE(paid("m = y + k"), {"main.sigma": (0.01, 2.0)}, frame, {"JOB": ["k", "y", "d"]}, errors=errors, transitions=False)
    true, seen = frame["y"] + frame["k"], frame["m"]
    density = norm.logpdf(seen, true, 0.4) if kind == "normal" else norm.logpdf(np.log(seen), np.log(true), 0.4) - np.log(seen)
    choice = -np.log1p(np.exp(-true))
    # What comes next year is worth more to those who work: the state they arrive with pays.
    worth = MLE(paid("m = y + k"), {"main.sigma": (0.01, 2.0)}, frame.drop(columns="m"), {"JOB": ["k", "y", "d"]},
                transitions=False)  # fmt: skip
    assert (np.asarray(worth.contributions({})) >= choice).all()
    np.testing.assert_allclose(est.contributions({}) - worth.contributions({}), np.nan_to_num(density), atol=1e-10)


PICK = """
model:
  name: Pick
  horizon: 4
  terminal: 0
  types: {toil: [0.2, 1.2], weights: [0.4, 0.6]}
  parameters: {beta: 0.9, toil: 0.5, pay: 1.0, rest: 0.4}
  defaults: {inherit: all}
  connections:
    intra_period: [{source: PICK.work, target: WORK, mapping: {k: k}}, {source: PICK.home, target: HOME, mapping: {k: k}}]
    inter_period: [{source: WORK, target: PICK, mapping: {k_nxt: k}}, {source: HOME, target: PICK, mapping: {k_nxt: k}}]
stages:
  PICK:
    kind: branching
    math:
      branches: {work: {Q: "V[>] + pay*k - toil"}, home: {Q: "V[>] + rest"}}
      choice: {by: agent, taste_shock: gumbel, scale: 0.5}
      state_space: {arvl: {grid: {k: {values: [0, 1, 2]}}}, cntn.work: {dimensions: ["k"]}, cntn.home: {dimensions: ["k"]}}
  WORK:
    math:
      functions: {g_av: k = k, g_ve: "k_nxt = min(k + e, 2)", Q: "0.1*e + beta*V[>]"}
      controls: {e: {in: [0, 1]}}
      choice: {by: agent, taste_shock: gumbel, scale: 1.0}
      state_space: {arvl: {grid: {k: {values: [0, 1, 2]}}}, cntn: {grid: {k_nxt: {values: [0, 1, 2]}}}}
  HOME:
    math:
      functions: {g_av: k = k, g_ve: k_nxt = k, Q: "0*e + beta*V[>]"}
      controls: {e: {in: [0]}}
      state_space: {arvl: {grid: {k: {values: [0, 1, 2]}}}, cntn: {grid: {k_nxt: {values: [0, 1, 2]}}}}
"""


def odds_of(toil: float) -> list:
    """The logarithms of the probabilities of (branch, effort) in every year, by the Bellman equation in NumPy."""
    k, value, found = np.arange(3), np.zeros(3), []
    for _ in range(4):
        effort = np.stack([0.9 * value, 0.1 + 0.9 * value[np.minimum(k + 1, 2)]])
        work = np.logaddexp(*effort)
        branch = np.stack([work + k - toil, 0.9 * value + 0.4]) / 0.5
        found.append((branch - np.logaddexp(*branch), effort - work))
        value = 0.5 * np.logaddexp(*branch)
    return found[::-1]


@pytest.mark.slow
def test_types_branches_and_efforts_have_the_probabilities_of_a_bellman_equation_by_hand():
    """Branches by position, by name, and mixed among objects say the same; posteriors follow from what types make of it."""
    circuit = sc.load(PICK)
    frame = sc.simulate(sc.solve(circuit), {"PICK": {"k": jnp.zeros(60)}}, key=jax.random.key(1)).to_pandas()
    frame = frame.drop(columns="type")
    free = {"main.pay": None, "types.main.toil": Ordered(), "types.weights": Simplex()}
    est = MLE(circuit, free, frame, {"PICK": ["k", "branch"], "WORK": ["k", "e"]})
    by_type = np.zeros((2, 60))
    for j, toil in enumerate((0.2, 1.2)):
        odds = odds_of(toil)
        for row in frame.itertuples():
            branch, effort = odds[row.period]
            if row.stage == "PICK":
                by_type[j, row.agent] += branch[int(row.branch), int(row.k)]
            elif row.stage == "WORK":
                by_type[j, row.agent] += effort[int(row.e), int(row.k)]
    joint = by_type + np.log([[0.4], [0.6]])
    np.testing.assert_allclose(est.contributions({}), np.logaddexp(*joint), atol=1e-10)
    np.testing.assert_allclose(est.posterior({}), np.exp(joint - np.logaddexp(*joint)).T, atol=1e-10)
    names = frame["branch"].map({0.0: "work", 1.0: "home"})
    for column in (names, frame["branch"].astype(object), names.where(frame["period"] > 0, frame["branch"])):
        other = est.with_data(frame.assign(branch=column))
        np.testing.assert_array_equal(other.contributions({}), est.contributions({}))
    with pytest.raises(ValueError, match=r"have branch 'play'; stage PICK has work, home"):
        est.with_data(frame.assign(branch=names.replace("home", "play")))


# Three shocks whose correlations are one matrix parameter.
THREE = """
model:
  name: Three
  horizon: 1
  terminal: 0
  parameters: {sigma: 0.5, kappa: 0.8, R: [[1.0, 0.5, -0.3], [0.5, 1.0, 0.2], [-0.3, 0.2, 1.0]]}
  defaults: {inherit: all}
  connections: {inter_period: [{source: JOB, target: JOB, mapping: {k_nxt: k}}]}
stage:
  name: JOB
  math:
    functions:
      g_av: a = k + x; b = y; c = z
      g_ve: k_nxt = 0*a + d
      Q: d*(a + b + kappa*c) + 0.9*V[>]
    controls: {d: {in: [0, 1]}}
    shocks: {luck: {dimensions: ["x", "y", "z"], shock_method: normal, std: [sigma, 1.0, 0.7], corr: R, n_points: 2}}
    choice: {by: agent, taste_shock: gumbel, scale: 1.0}
    state_space:
      arvl: {grid: {k: {values: [0, 1]}}, tabulate: true}
      dcsn: {grid: {a: {min: -4, max: 4, points: 2}, b: {min: -4, max: 4, points: 2}, c: {min: -4, max: 4, points: 2}}}
      cntn: {grid: {k_nxt: {values: [0, 1]}}}
"""


@pytest.mark.slow
def test_a_matrix_of_correlations_is_estimated_with_its_errors():
    """From independence, beside the normal density and the logit that are written down by hand."""
    circuit = sc.load(THREE)
    frame = sc.simulate(sc.solve(circuit), {"k": 0.0}, agents=800, key=jax.random.key(0)).to_pandas()
    free = {"main.R": Correlation(), "main.sigma": (0.0, None), "main.kappa": None}
    est = MLE(circuit, free, frame, {"JOB": ["k", "a", "b", "c", "d"]})

    def by_hand(z):
        lower = np.zeros((3, 3))
        lower[np.tril_indices(3, -1)] = z[:3]
        std = np.array([z[3], 1.0, 0.7])
        law = multivariate_normal(np.zeros(3), (np.eye(3) + lower + lower.T) * np.outer(std, std))
        worth = (frame["a"] + frame["b"] + z[4] * frame["c"]).to_numpy()
        drawn = frame[["a", "b", "c"]].to_numpy() - np.outer(frame["k"], [1, 0, 0])
        return law.logpdf(drawn) - np.log1p(np.exp(np.where(frame["d"] == 1, -worth, worth)))

    truth = np.array([0.5, -0.3, 0.2, 0.5, 0.8])
    assert np.asarray(est.contributions()) == pytest.approx(by_hand(truth), abs=1e-12)
    fit = est.fit({"main.R": np.eye(3), "main.sigma": 1.0, "main.kappa": 0.0}, check=False)
    assert fit.converged and np.all(np.abs(fit.z - truth) < 3 * np.sqrt(np.diag(fit.covariance())))
    assert fit.covariance() == pytest.approx(np.linalg.inv(second(lambda z: -by_hand(z).sum(), fit.z)), rel=1e-4, abs=1e-9)
    errors = fit.se()["main.R"]
    assert np.all(np.diag(errors) == 0) and errors == pytest.approx(errors.T)


def test_moments_of_weighted_rows_are_those_of_rows_that_stand_there_so_often():
    """And of agents that die, which leave rows: only those who live count."""
    draw = np.random.default_rng(1)
    frame = pd.DataFrame({"agent": np.repeat(np.arange(60), 3), "period": np.tile(np.arange(3), 60)})
    frame = frame.assign(c=draw.normal(size=180), a=draw.normal(size=180), weight=np.repeat(draw.integers(0, 4, 60), 3))
    frame = frame[draw.uniform(size=180) < np.where(frame["period"] == 2, 0.6, 1.0)]
    kinds = "".join(f"- {{of: CONS.c, kind: {kind}}}\n" for kind in ("mean", "variance", "autocovariance", "share, low: 0.3"))
    moments = Moments.read(kinds + "- {of: CONS.c, kind: covariance, beside: CONS.a, ages: 1}\n", {"a": 0.0}, agents=10)
    told, covariance = moments.of_data(frame)
    often, of_often = moments.of_data(frame.loc[frame.index.repeat(frame["weight"])].drop(columns="weight"))
    assert list(told.values()) == pytest.approx(list(often.values()), rel=1e-12)
    # Who has no weight is one of the sample nonetheless.
    size, left = frame["agent"].nunique(), frame[frame["weight"] > 0]["agent"].nunique()
    ratio = (size / (size - 1)) / (left / (left - 1))
    assert covariance.to_numpy() == pytest.approx(ratio * of_often.to_numpy(), rel=1e-10)
    mean = np.average(frame["c"], weights=frame["weight"])
    assert next(iter(told.values())) == pytest.approx(mean, rel=1e-12)


# Health is a chain, and who is ill dies more often.
FRAIL = """
model:
  name: Frail
  horizon: 4
  terminal: 0
  parameters: {kappa: 0.8, s0: 0.6, s1: 0.95, P: [[0.7, 0.3], [0.2, 0.8]]}
  defaults: {inherit: all}
  connections: {inter_period: [{source: JOB, target: JOB, mapping: {h_nxt: h_pre}, survival: s0 + (s1 - s0)*h_nxt}]}
stage:
  name: JOB
  math:
    functions:
      g_av: h = x
      g_ve: h_nxt = h
      Q: d*(kappa*h - 0.3) + 0.9*(s0 + (s1 - s0)*h_nxt)*V[>]
    controls: {d: {in: [0, 1]}}
    shocks: {health: {dimensions: ["x"], shock_method: markov, values: [0, 1], transition_matrix: P, given: h_pre}}
    choice: {by: agent, taste_shock: gumbel, scale: 1.0}
    state_space:
      arvl: {grid: {h_pre: {values: [0, 1]}}, tabulate: true}
      dcsn: {grid: {h: {values: [0, 1]}}}
      cntn: {grid: {h_nxt: {values: [0, 1]}}}
"""


@pytest.mark.slow
def test_whoever_has_died_counts_neither_in_a_likelihood_nor_in_moments():
    circuit = sc.load(FRAIL)
    frame = sc.simulate(sc.solve(circuit), {"h_pre": 1.0}, agents=600, key=jax.random.key(0)).to_pandas()
    assert len(frame) < 2_200
    est = MLE(circuit, {"main.kappa": None, "main.P": Simplex()}, frame, {"JOB": ["h_pre", "h", "d"]})
    chain, worth = np.array([[0.7, 0.3], [0.2, 0.8]]), 0.8 * frame["h"] - 0.3
    moved = chain[frame["h_pre"].astype(int), frame["h"].astype(int)]
    each = np.log(moved) - np.log1p(np.exp(np.where(frame["d"] == 1, -worth, worth)))
    by_hand = pd.Series(each).groupby(frame["agent"].to_numpy()).sum()
    assert np.asarray(est.contributions()) == pytest.approx(by_hand[np.asarray(est.units, int)].to_numpy(), rel=1e-12)
    fit, count = est.fit(check=False), pd.crosstab(frame["h_pre"], frame["h"]).to_numpy()
    share = count[:, 0] / count.sum(axis=1)
    assert fit.z[1:] == pytest.approx(share, rel=1e-5)
    errors = np.sqrt(share * (1 - share) / count.sum(axis=1))
    assert np.sqrt(np.diag(fit.covariance()))[1:] == pytest.approx(errors, rel=1e-4)

    moments = Moments.read(
        "- {of: JOB.h, kind: mean, ages: [2, 3]}\n- {of: JOB.h, kind: autocovariance, ages: [1, 3]}", {"h_pre": 1.0}, agents=600
    )
    late, before = frame[frame["period"] >= 1], frame.assign(period=frame["period"] + 1)
    both = late.merge(before[["agent", "period", "h"]], on=["agent", "period"], suffixes=("", "_before"))
    told = [frame[frame["period"] >= 2]["h"].mean(), np.cov(both["h"], both["h_before"], ddof=0)[0, 1]]
    assert list(moments.of_data(frame)[0].values()) == pytest.approx(told, rel=1e-12)
    simulated = moments(sc.solve(circuit), jax.random.key(0))
    assert [float(x) for x in simulated.values()] == pytest.approx(told, rel=1e-12)
