"""Likelihoods are those that a hand would write down, and their derivatives those of what they are."""

import itertools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import stagecraft as sc
from dynx_runner import MLE
from dynx_runner.estimation.transforms import Simplex

RUST = Path(__file__).parents[2] / "examples" / "rust"
FREE = {"main.RC": (0.0, 50.0), "main.theta": (0.0, 20.0)}
TRUTH = {"main.RC": 10.0749422, "main.theta": 2.29309298}
USAGE = {"main.p0": 1682 / 4292, "main.p1": 2555 / 4292}

# Engines wear out hidden from the owner of the data, by a chain; what is seen is mileage and replacement.
HIDDEN = """
model:
  name: Hidden
  horizon: infinite
  parameters: {beta: 0.9, RC: 2.0, theta: 0.3, bad: 0.8, up: 0.2, down: 0.1, p: 0.6}
  defaults: {inherit: all}
  connections: {inter_period: [{source: BUS, target: BUS, mapping: {s_nxt: s_pre, z_nxt: z_pre}}]}
stage:
  name: BUS
  math:
    functions:
      g_av: s = min(s_pre + dx, 5); z = w
      g_ve: s_nxt = s*(1 - d); z_nxt = z
      Q: -RC*d - (theta*s + bad*z)*(1 - d) + beta*V[>]
    controls: {d: {in: [0, 1]}}
    shocks:
      usage: {dimensions: ["dx"], shock_method: discrete, values: [0, 1], probs: [1 - p, p]}
      wear: {dimensions: ["w"], shock_method: markov, values: [0, 1], transition_matrix: [[1-up, up], [down, 1-down]], given: z_pre}
    choice: {by: agent, taste_shock: gumbel, scale: 1.0}
    state_space:
      arvl: {grid: {s_pre: {type: int_range, min: 0, max: 5}, z_pre: {values: [0, 1]}}, tabulate: true}
      dcsn: {grid: {s: {type: int_range, min: 0, max: 5}, z: {values: [0, 1]}}}
      cntn: {grid: {s_nxt: {type: int_range, min: 0, max: 5}, z_nxt: {values: [0, 1]}}}
"""


@pytest.fixture(scope="module")
def rust():
    return sc.load(RUST / "rust.yml").with_parameters({**TRUTH, **USAGE})


@pytest.fixture(scope="module")
def decisions():
    return pd.read_csv(RUST / "decisions.csv")


@pytest.fixture(scope="module")
def choices(rust, decisions):
    return MLE(rust, FREE, decisions, {"BUS": ["s", "d"]})


@pytest.fixture(scope="module")
def hidden():
    return sc.load(HIDDEN)


@pytest.fixture(scope="module")
def lives(hidden):
    """A panel of owners, with the hidden state that nobody is shown."""
    panel = sc.simulate(sc.solve(hidden), {"s_pre": 0.0, "z_pre": 0.0}, agents=60, periods=12, key=jax.random.key(3))
    return panel.to_pandas()


def central(function, z, step):
    """Central differences of a function of a vector, along the last axis."""
    moves = step * np.eye(len(z))
    return np.stack([(np.asarray(function(z + m)) - np.asarray(function(z - m))) / (2 * step) for m in moves], axis=-1)


def test_the_likelihood_of_rust_is_the_published_one(rust, choices):
    assert -float(choices.loglik({})) == pytest.approx(163.58428365680, abs=1e-8)
    increments = pd.read_csv(RUST / "increments.csv")
    usage = MLE(rust, {"main.p0": (0, 1), "main.p1": (0, 1)}, increments, {"BUS": ["dx"]})
    assert -float(usage.loglik({})) == pytest.approx(3140.5705570938, abs=1e-9)


def test_the_estimates_of_rust_are_the_published_ones(choices):
    fit = choices.fit({"main.RC": 5.0, "main.theta": 1.0})
    assert fit.converged and fit.check["agrees"].all()
    assert fit.parameters == pytest.approx(TRUTH, abs=1e-4)
    assert fit.se() == pytest.approx({"main.RC": 1.3512, "main.theta": 0.5538}, abs=1e-3)
    assert fit.loglik == pytest.approx(-163.58428365680, abs=1e-8)
    assert fit.traces[0].evaluations <= 15


def test_a_row_for_each_month_says_what_its_counts_say(rust, decisions, choices):
    long = decisions.loc[decisions.index.repeat(decisions["weight"]), ["s", "d"]]
    months = MLE(rust, FREE, long, {"BUS": ["s", "d"]})
    assert float(months.loglik({})) == pytest.approx(float(choices.loglik({})), abs=1e-9)
    assert months.contributions({}).shape == (4292,)


@pytest.mark.slow
def test_scores_and_hessians_are_those_of_the_likelihood(choices):
    task, z = choices.task, np.array([9.0, 2.0])
    np.testing.assert_allclose(task.slope(z), central(task.value, z, 1e-4), rtol=1e-6)
    np.testing.assert_allclose(task.hessian(z), central(task.slope, z, 1e-4), rtol=1e-5)
    found = choices.score(dict(zip(FREE, z, strict=True)))
    np.testing.assert_allclose(np.array(list(found.values())), -task.slope(z), rtol=1e-9)
    batch = jax.vmap(lambda rc: choices.loglik({"main.RC": rc}))(jnp.array([9.0, TRUTH["main.RC"]]))
    assert float(batch[1]) == pytest.approx(-163.58428365680, abs=1e-8) and batch[0] < batch[1]


@pytest.mark.slow
def test_errors_of_scores_and_of_scores_and_hessians_agree_where_the_model_is_true(hidden, lives):
    free = {"main.RC": (0.0, 10.0), "main.theta": (0.0, 3.0)}
    fit = MLE(hidden, free, lives, {"BUS": ["s", "z", "d"]}).fit(check=False)
    assert fit.converged
    errors = [np.array(list(fit.se(kind).values())) for kind in ("hessian", "opg", "sandwich")]
    errors.append(np.array(list(fit.se("score-bootstrap", key=jax.random.key(0), samples=400).values())))
    for other in errors[1:]:
        np.testing.assert_allclose(other, errors[0], rtol=0.35)
    # Clusters of one unit each are no clusters, but for the count.
    count = 60
    by_id = fit.covariance("cluster", by="agent")
    np.testing.assert_allclose(by_id, fit.covariance("sandwich") * count / (count - 1), rtol=1e-9)


def by_hand(circuit, frame, hidden: bool) -> float:
    """The likelihood of a panel, written down from the probabilities of the solution and the laws in the text."""
    solved, p = sc.solve(circuit), {k: float(v) for k, v in circuit.parameters["main"].items()}
    works = solved[0]["BUS"].dcsn.sol.probability["d[1]"]
    odds = np.array([[float(works(s=s, z=z)) for z in (0, 1)] for s in range(6)])
    wear = np.array([[1 - p["up"], p["up"]], [p["down"], 1 - p["down"]]])
    start = np.array([p["down"], p["up"]]) / (p["down"] + p["up"])
    total = 0.0
    for _, life in frame.sort_values("period").groupby("agent"):
        s, d, z = (life[name].to_numpy(int) for name in ("s", "d", "z"))
        before = np.where(d == 1, 0, s)
        moves = 0.0
        for a, b in zip(before[:-1], s[1:], strict=True):
            moves += np.log((1 - p["p"]) * (b == min(a, 5)) + p["p"] * (b == min(a + 1, 5)))
        paths = itertools.product((0, 1), repeat=len(s)) if hidden else [tuple(z)]
        whole = 0.0
        for path in paths:
            chance = start[path[0]] if hidden else 1.0
            for a, b in zip(path[:-1], path[1:], strict=True):
                chance *= wear[a, b]
            seen = odds[s, list(path)]
            whole += chance * np.prod(np.where(d == 1, seen, 1 - seen))
        total += np.log(whole) + moves
    return total


def test_panels_have_the_probabilities_of_choices_and_of_every_transition(hidden, lives):
    est = MLE(hidden, {"main.RC": (0, 10)}, lives, {"BUS": ["s", "z", "d"]})
    assert float(est.loglik({})) == pytest.approx(by_hand(hidden, lives, hidden=False), abs=1e-9)
    # The order of rows says nothing.
    mixed = MLE(hidden, {"main.RC": (0, 10)}, lives.sample(frac=1.0, random_state=1), {"BUS": ["s", "z", "d"]})
    assert float(mixed.loglik({})) == pytest.approx(float(est.loglik({})), abs=1e-9)


@pytest.mark.slow
def test_the_filter_sums_over_every_hidden_path(hidden, lives):
    few = lives[lives["agent"] < 4]
    est = MLE(hidden, {"main.RC": (0, 10), "main.up": (0, 1)}, few, {"BUS": ["s", "d"]})
    assert float(est.loglik({})) == pytest.approx(by_hand(hidden, few, hidden=True), abs=1e-10)
    np.testing.assert_allclose(np.asarray(est.filtered({})).sum(axis=2), 1.0, atol=1e-12)
    z = np.array([2.1, 0.25])
    np.testing.assert_allclose(est.task.slope(z), central(est.task.value, z, 1e-4), rtol=1e-5)


def test_a_state_that_is_always_missing_is_hidden(hidden, lives):
    few = lives[lives["agent"] < 4]
    unseen = MLE(hidden, {"main.RC": (0, 10)}, few, {"BUS": ["s", "d"]})
    blank = MLE(hidden, {"main.RC": (0, 10)}, few.assign(z=np.nan), {"BUS": ["s", "z", "d"]})
    assert float(blank.loglik({})) == pytest.approx(float(unseen.loglik({})), abs=1e-10)
    # What is seen at one date is less than what is seen at all of them, and more than nothing.
    half = few.assign(z=np.where(few["period"] % 2 == 0, few["z"], np.nan))
    seen = MLE(hidden, {"main.RC": (0, 10)}, half, {"BUS": ["s", "z", "d"]})
    assert float(seen.loglik({})) < float(unseen.loglik({}))


def test_unbalanced_panels_are_sums_over_what_is_there(hidden, lives):
    """A gap of a unit parts it in two: what is seen after it is told given the state that is seen then."""
    observe = {"BUS": ["s", "z", "d"]}
    gap = lives[lives["period"] != 5]
    parted = gap.assign(agent=gap["agent"] + 1_000 * (gap["period"] > 5))
    one, two = (MLE(hidden, {"main.RC": (0, 10)}, data, observe) for data in (gap, parted))
    assert float(one.loglik({})) == pytest.approx(float(two.loglik({})), abs=1e-9)


@pytest.mark.slow
def test_mixtures_are_averages_of_their_types_and_find_who_is_who(hidden):
    text = HIDDEN.replace("  defaults", "  types: {theta: [0.1, 1.5], weights: [0.3, 0.7]}\n  defaults")
    circuit = sc.load(text)
    panel = sc.simulate(sc.solve(circuit), {"s_pre": 0.0, "z_pre": 0.0}, agents=80, periods=25, key=jax.random.key(5))
    frame = panel.to_pandas()
    free = {"types.main.theta": (0.0, 5.0), "types.weights": Simplex()}
    est = MLE(circuit, free, frame.drop(columns="type"), {"BUS": ["s", "z", "d"]})
    apart = [MLE(hidden.with_parameters({"main.theta": theta}), {"main.RC": (0, 10)}, frame.drop(columns="type"),
                 {"BUS": ["s", "z", "d"]}).contributions({}) for theta in (0.1, 1.5)]  # fmt: skip
    average = np.log(0.3 * np.exp(apart[0]) + 0.7 * np.exp(apart[1]))
    np.testing.assert_allclose(est.contributions({}), average, atol=1e-10)
    posterior = np.asarray(est.posterior({}))
    np.testing.assert_allclose(posterior.sum(axis=1), 1.0, atol=1e-12)
    kinds = frame.drop_duplicates("agent").sort_values("agent")["type"].to_numpy()
    assert (posterior.argmax(axis=1) == kinds).mean() > 0.9
    fit = est.fit(check=False)
    errors = fit.se()["types.main.theta"]
    assert fit.converged and (np.abs(fit.parameters["types.main.theta"] - [0.1, 1.5]) < 3 * errors).all()
    np.testing.assert_allclose(fit.parameters["types.weights"].sum(), 1.0)
    # Whose type is told is of that type alone.
    told = MLE(circuit, free, frame, {"BUS": ["s", "z", "d"]})
    chosen = np.where(kinds == 0, np.log(0.3) + apart[0], np.log(0.7) + apart[1])
    np.testing.assert_allclose(told.contributions({}), chosen, atol=1e-10)


LIFE = (Path(__file__).parents[2] / "examples" / "estimation" / "retirement.yml").read_text()
ERRORS = {"WORK.c": ("log", "main.sigma_c"), "RETD.c": ("log", "main.sigma_c")}
LIVES = {"LABR": ["a", "branch"], "WORK": ["a", "m"], "RETD": ["a"]}


@pytest.fixture(scope="module")
def life():
    return sc.load(
        LIFE.replace("horizon: 20", "horizon: 5").replace("n: 150", "n: 60").replace("n_w: 5", "n_w: 3")
    ).with_parameters({"main.sigma_eps": 0.4})


@pytest.fixture(scope="module")
def workers(life):
    rng = np.random.default_rng(2)
    initial = {"LABR": {"a": jnp.asarray(rng.uniform(0.0, 60.0, 300))}}
    frame = sc.simulate(sc.solve(life), initial, key=jax.random.key(8)).to_pandas()
    return frame.assign(c=frame["c"] * np.exp(0.1 * rng.standard_normal(len(frame))))


@pytest.fixture(scope="module")
def working(life, workers):
    free = {"main.beta": (0.8, 1.0), "main.w": (5.0, 50.0), "main.sigma_w": (0.01, 1.0), "main.delta": (0.0, 3.0)}
    free |= {"main.sigma_eps": (0.01, 2.0), "main.sigma_c": (0.01, 1.0)}
    return MLE(life, free, workers, LIVES, errors=ERRORS)


@pytest.mark.slow
def test_wages_told_from_cash_measured_consumption_and_choices_have_their_densities(life, workers, working):
    solved, p = sc.solve(life), {k: float(v) for k, v in life.parameters["main"].items()}
    normal = lambda x, mean, std: -0.5 * ((x - mean) / std) ** 2 - np.log(std) - 0.5 * np.log(2 * np.pi)
    total = 0.0
    for (t, stage), rows in workers.groupby(["period", "stage"]):
        here, a = solved[int(t)][stage].dcsn.sol, rows["a"].to_numpy()
        if stage == "LABR":
            work = np.asarray(here.probability["work"](a=a))
            total += np.log(np.where(rows["branch"] == 0, work, 1 - work)).sum()
            continue
        m = rows["m"].to_numpy()
        true = np.log(np.asarray(here.policy["c"](m=m)))
        total += (normal(np.log(rows["c"]), true, p["sigma_c"]) - np.log(rows["c"])).sum()
        if stage == "WORK":
            y = m - (1 + p["r"]) * a
            total += (normal(np.log(y), np.log(p["w"]) - 0.5 * p["sigma_w"] ** 2, p["sigma_w"]) - np.log(y)).sum()
    assert float(working.loglik({})) == pytest.approx(total, abs=1e-8)


@pytest.mark.slow
def test_what_is_drawn_may_be_seen_itself_or_left_out(life, workers, working):
    drawn = MLE(life, {"main.beta": (0.8, 1.0)}, workers, {**LIVES, "WORK": ["a", "y"]}, errors=ERRORS)
    assert float(drawn.loglik({})) == pytest.approx(float(working.loglik({})), abs=1e-6)
    without = MLE(life, {"main.beta": (0.8, 1.0)}, workers, LIVES, errors=ERRORS, transitions=False)
    law = MLE(life, {"main.w": (5, 50)}, workers, {"WORK": ["y"]})
    assert float(without.loglik({})) + float(law.loglik({})) == pytest.approx(float(working.loglik({})), abs=1e-6)


@pytest.mark.slow
def test_scores_of_continuous_observations_are_those_of_the_likelihood(working):
    z = working.task.own * np.array([0.99, 1.05, 1.1, 0.9, 1.2, 1.1])
    exact = central(working.task.vector, z, 1e-6)
    size = np.abs(exact).max(axis=0)
    np.testing.assert_allclose(working.task.jacobian(z) / size, exact / size, atol=1e-5)
    reverse = jax.grad(lambda p: working.loglik(p))(dict(zip(working.free, z, strict=True)))
    np.testing.assert_allclose([reverse[path] for path in working.free], -working.task.slope(z), rtol=1e-6)


@pytest.mark.slow
def test_six_parameters_of_workers_are_found(working):
    fit = working.fit({"main.beta": 0.9, "main.w": 15.0, "main.delta": 1.3}, steps=60)
    truth = np.array([0.97, 20.0, 0.15, 0.8, 0.4, 0.1])
    assert fit.converged and fit.traces[0].evaluations <= 40
    assert (np.abs(fit.z - truth) < 4 * np.sqrt(np.diag(fit.covariance("opg")))).all()
    assert fit.check["agrees"][6:].all(), fit.check


@pytest.mark.slow
def test_other_data_of_the_same_shape_compile_nothing(hidden, lives):
    est = MLE(hidden, {"main.RC": (0.0, 10.0)}, lives, {"BUS": ["s", "z", "d"]})
    before, compiled = est.fit(steps=3, check=False), []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_, **__: compiled.append(name) if "backend_compile" in name else None
    )
    # Whoever kept the engine in the last month has replaced it, which leads nowhere that is seen.
    other = est.with_data(lives.assign(d=lives["d"].where(lives["period"] < 11, 1)))
    compiled.clear()
    again = other.fit(steps=3, check=False)
    assert not compiled, len(compiled)
    assert again.criterion != before.criterion


@pytest.mark.slow
def test_fewer_rows_of_as_many_units_are_filled_up(working, workers):
    """Two halves of every life, where states on arrival are seen, tell together what the whole of it tells.

    So it is with periods in which nobody is seen: two pairs of them have the last one in common, and tell the same.
    """
    halves = [working.with_data(workers[(workers["period"] + workers["agent"]) % 2 == k]) for k in (0, 1)]
    apart = [half.contributions({}) for half in halves]
    np.testing.assert_allclose(apart[0] + apart[1], working.contributions({}), rtol=1e-10)
    shapes = [[x.shape for x in jax.tree.leaves(est.task.inputs)] for est in (working, *halves)]
    assert shapes[0] == shapes[1] == shapes[2]
    some = [working.with_data(workers[workers["period"].isin((*periods, 4))]) for periods in ((0, 1), (2, 3), (0, 2), (1, 3))]
    told = [np.asarray(one.contributions({})) for one in some]
    np.testing.assert_allclose(told[0] + told[1], told[2] + told[3], rtol=1e-10)
    assert all([x.shape for x in jax.tree.leaves(one.task.inputs)] == shapes[0] for one in some)
