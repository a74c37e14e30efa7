"""Distributions of an infinite horizon, period by period: where they come from, where they go, and what moves them on the way."""

import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stagecraft as sc

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "tests" / "models" / "aiyagari.yml").read_text()
SMALL = TEXT.replace("n_a: 300, n_z: 7, a_max: 200.0", "n_a: 60, n_z: 3, a_max: 60.0").replace("beta: 0.96", "beta: 0.94")
TYPES = SMALL.replace("  connections:", "  types: {beta: [0.9, 0.94], weights: [0.25, 0.75]}\n  connections:", 1)

# McCall with a risk of losing one's work: a branch of either stage leads to the next period, and households begin in both.
LOSING = (ROOT / "examples" / "gallery" / "mccall.yml").read_text()
for _old, _new in (
    ("- {source: WORK, target: WORK}", "- {source: WORK.keep, target: WORK}\n      - {source: WORK.lose, target: SEARCH}"),
    ("benefit: 0.5", "benefit: 0.9\n    fire: 0.1"),
    (
        '    math:\n      functions: {Q: "w + beta*V[>]"}\n      state_space:\n',
        "    kind: branching\n    math:\n      branches:\n"
        '        keep: {g_ve: "w = w", Q: "w + beta*V[>]"}\n'
        '        lose: {g_ve: "best = 0.4 + 0*w", Q: "w + beta*V[>]"}\n'
        "      choice: {by: nature, probs: {keep: 1-fire, lose: fire}}\n      state_space:\n"
        '        dcsn: {dimensions: ["w"]}\n        cntn.keep: {dimensions: ["w"]}\n        cntn.lose: {dimensions: ["best"]}\n',
    ),
):
    assert _old in LOSING, _old
    LOSING = LOSING.replace(_old, _new)


@pytest.fixture(scope="module")
def solved():
    return sc.solve(sc.load(SMALL))


@pytest.fixture(scope="module")
def steady(solved):
    return sc.stationary(solved, tolerance=1e-11)


@pytest.fixture(scope="module")
def poor(solved, steady):
    """Everybody without assets, and of the lowest productivity."""
    return {"a": 0.0, "z_pre": float(steady[0]["CONS"].arvl.dist.states["z_pre"].min())}


@pytest.mark.slow
def test_a_long_push_comes_to_the_invariant_distribution(solved, steady, poor):
    pushed, limit = sc.push_forward(solved, poor, periods=500), steady[0]["CONS"]
    assert float(pushed[0]["CONS"].arvl.dist.mean("a")) == 0.0
    gaps = [abs(float(pushed[t]["CONS"].cntn.dist.mean("a_nxt") - limit.cntn.dist.mean("a_nxt"))) for t in (20, 100, 499)]
    assert gaps[0] > 0.5 > 0.1 > gaps[1] and gaps[2] < 1e-8
    np.testing.assert_allclose(pushed.dists.masses[0]["CONS"][499], steady.dists.masses[0]["CONS"][0], atol=1e-9)
    for t in (1, 250, 499):
        assert float(pushed[t]["CONS"].cntn.dist.mass) == pytest.approx(1, abs=1e-13 * (t + 1))


@pytest.mark.slow
def test_what_is_invariant_stays(solved, steady):
    pushed = sc.push_forward(solved, steady[0]["CONS"].arvl.dist, periods=20)
    np.testing.assert_allclose(pushed.dists.masses[0]["CONS"][19], steady.dists.masses[0]["CONS"][0], atol=1e-11)


@pytest.mark.slow
def test_every_period_agrees_with_that_of_a_panel(solved, poor):
    panel, pushed = (
        sc.simulate(solved, poor, periods=12, agents=20_000, key=jax.random.key(2)),
        sc.push_forward(solved, poor, periods=12),
    )
    for t in (0, 1, 4, 11):
        for name, perch in (("c", "dcsn"), ("a_nxt", "cntn")):
            x = np.asarray(panel[name])[t]
            mean = float(getattr(pushed[t]["CONS"], perch).dist.mean(name))
            # Beside the error of sampling, that of productivity's nodes and cells.
            assert abs(x.mean() - mean) < 4 * x.std() / np.sqrt(x.size) + 0.02 * abs(mean), (t, name)


@pytest.mark.slow
def test_a_transition_has_derivatives(steady):
    """From the invariant distribution at one interest rate along the first periods at another, in both modes."""
    circuit, start = sc.load(SMALL), steady[0]["CONS"].arvl.dist

    @jax.jit
    def path(r):
        pushed = sc.push_forward(sc.solve(circuit.with_parameters({"main.r": r})), start, periods=4)
        return jnp.stack([pushed[t]["CONS"].cntn.dist.mean("a_nxt") for t in (0, 3)])

    at, h = 0.035, 1e-5
    assert float(path(at)[1] - path(0.03)[1]) > 0.1
    forward, reverse = jax.jit(jax.jacfwd(path))(at), jax.jit(jax.jacrev(path))(at)
    np.testing.assert_allclose(forward, reverse, rtol=1e-9)
    np.testing.assert_allclose(forward, (path(at + h) - path(at - h)) / (2 * h), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("periods", [None, 0, True, 2.5, -3])
def test_periods_are_asked_for_as_of_a_panel(solved, poor, periods):
    said = []
    for verb in (sc.push_forward, lambda *args, **more: sc.simulate(*args, key=jax.random.key(0), agents=2, **more)):
        with pytest.raises(ValueError, match="the horizon is infinite; say for how many periods") as found:
            verb(solved, poor, periods=periods)
        said.append(str(found.value))
    assert said[0] == said[1]


@pytest.mark.slow
def test_a_pushed_circuit_has_the_periods_that_were_pushed(solved, steady, poor):
    pushed = sc.push_forward(solved, poor, periods=3)
    assert len(solved) == len(steady) == 1 and len(pushed) == 3
    assert [int(period.t) for period in pushed] == [0, 1, 2] and int(pushed[-1].t) == 2
    with pytest.raises(
        IndexError, match="period 3 of a circuit with an infinite horizon that was pushed for 3 periods, 0 to 2"
    ):
        pushed[3]
    for circuit in (solved, steady):
        with pytest.raises(IndexError, match="period 1 of a circuit with an infinite horizon, whose periods are all alike"):
            circuit[1]
    m = jnp.linspace(1.0, 5.0, 4)
    for t in (0, 2):
        policy = pushed[t]["CONS"].dcsn.sol.policy["c"](m=m, z=poor["z_pre"])
        np.testing.assert_array_equal(policy, solved[0]["CONS"].dcsn.sol.policy["c"](m=m, z=poor["z_pre"]))


@pytest.mark.slow
def test_a_branch_to_the_next_period_is_chosen_by_what_is_there():
    """0.3 of offers are accepted, 0.1 of workers lose their work at the end of a period: 0.1/0.37 of all search."""
    solved = sc.solve(sc.load(LOSING))
    steady, pushed = sc.stationary(solved), sc.push_forward(solved, {"best": 0.4}, periods=300)
    for searching in (steady[0]["SEARCH"], pushed[299]["SEARCH"]):
        assert float(searching.arvl.dist.mass) == pytest.approx(0.1 / 0.37, rel=1e-8)
        assert float(searching.cntn["accept"].dist.mass / searching.arvl.dist.mass) == pytest.approx(0.3, rel=1e-8)
    both = {name: steady[0][name].arvl.dist for name in ("SEARCH", "WORK")}
    working = steady.dists.masses[0]["WORK"][0].sum()
    both["WORK"] = sc.Population({"w": solved.scope("WORK", 0)["w_vals"]}, steady.dists.masses[0]["WORK"][0])
    later = sc.push_forward(solved, both, periods=10)
    np.testing.assert_allclose(later.dists.masses[0]["WORK"][9], steady.dists.masses[0]["WORK"][0], atol=1e-8)
    assert float(later[9]["WORK"].arvl.dist.mass) > float(working)  # Those who were hired in the period, too.
    with pytest.raises(ValueError, match="agents begin in one stage, and `initial` gives SEARCH, WORK"):
        sc.simulate(solved, both, periods=2, key=jax.random.key(0))


@pytest.mark.slow
def test_types_stay_who_they_are(poor):
    """From the invariant distribution of all types, which knows who is who, nobody moves."""
    solved = sc.solve(sc.load(TYPES))
    steady = sc.stationary(solved, tolerance=1e-11)
    pushed = sc.push_forward(solved, steady[0]["CONS"].arvl.dist, periods=8)
    assert len(pushed) == 8
    parts = pushed[7]["CONS"].cntn.dist.by("type")
    for k, share in ((0, 0.25), (1, 0.75)):
        own = steady.of_type(k)[0]["CONS"].cntn.dist
        np.testing.assert_allclose([parts[k].mass, own.mass], share, rtol=1e-12)
        np.testing.assert_allclose(parts[k].mean("a_nxt"), own.mean("a_nxt"), rtol=1e-8)
    assert float(parts[1].mean("a_nxt") - parts[0].mean("a_nxt")) > 0.5


@pytest.mark.slow
def test_everything_that_reads_distributions_reads_these(solved, poor):
    """Panels from a later period, beliefs and truth, errors, and the table of jumps."""
    pushed = sc.push_forward(solved, poor, periods=6, refine="auto")
    assert pushed.dists.refine == 1 and pushed.dists.jumps_to_pandas().empty
    start = pushed[5]["CONS"].arvl.dist
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        panel = sc.simulate(pushed, start, periods=2, agents=4_000, truth=pushed, key=jax.random.key(0))
    assert abs(float(panel["a"][0].mean() - start.mean("a"))) < 4 * float(panel["a"][0].std()) / np.sqrt(4_000)
    assert sc.euler_errors(pushed, panel).mean == sc.euler_errors(solved, panel).mean


@pytest.mark.slow
def test_accuracy_and_comparative_statics_push_for_ever(solved, poor):
    """From a pushed circuit, too."""
    wealth = lambda circuit: sc.push_forward(circuit, poor, periods=6)[5]["CONS"].arvl.dist.mean("a")
    pushed = sc.push_forward(solved, poor, periods=6)
    value, finer = sc.accuracy(pushed, wealth).moments["moment"]
    assert value == pytest.approx(float(pushed[5]["CONS"].arvl.dist.mean("a")), rel=1e-12) and 0 < abs(finer / value - 1) < 0.05
    statics = sc.comparative_statics(wealth, sc.load(SMALL), "main.r", step=1e-5).to_pandas().iloc[0]
    assert statics["change"] == pytest.approx(statics["predicted"], rel=1e-2)
