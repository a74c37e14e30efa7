"""Accuracy: what changes on finer grids is about the true error, and falls with the square of the cells."""

import dataclasses
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stagecraft as sc

sys.path.insert(0, str(Path(__file__).parent))
from models import BUFFER

# One choice before a bequest: 1/c^2 = beta/(m - c + 1), a quadratic equation.
BEQUEST = """
model:
  name: Bequest
  horizon: 1
  terminal: log(w + 1)
  connections: {{inter_period: [{{source: EAT, target: EAT, mapping: {{w_nxt: w}}}}]}}
stage:
  name: EAT
  parameters: {{beta: 0.9}}
  settings: {{n: {n}}}
  math:
    functions: {{g_av: m = w + 1, g_ve: w_nxt = m - c, Q: "-1/c + beta*V[>]"}}
    controls: {{c: 0 < c <= m}}
    state_space:
      arvl: {{dimensions: ["w"]}}
      dcsn: {{dimensions: ["m"]}}
      cntn: {{grid: {{w_nxt: {{{grid}}}}}}}
"""
EXP = "type: exp, min: 0.0, max: 20.0, points: n"


def bequest(n, grid=EXP):
    return sc.solve(sc.load(BEQUEST.format(n=n, grid=grid)))


def eaten(m, beta=0.9):
    return np.minimum((np.sqrt(1 + 4 * beta * (m + 1)) - 1) / (2 * beta), m)


@pytest.fixture(scope="module")
def reports():
    moment = lambda s: {"c": s[0]["EAT"].dcsn.sol.policy["c"](m=jnp.array([2.3, 7.1])).mean()}
    points = {"EAT": {"w": np.linspace(0.5, 18.0, 2_000)}}
    return {n: (s, sc.accuracy(s, moment, points=points)) for n in (30, 59) for s in [bequest(n)]}


@pytest.mark.slow
def test_the_change_is_three_quarters_of_the_error_and_at_most_about_the_error(reports):
    m = np.linspace(1.5, 19.0, 2_000)
    for solved, report in reports.values():
        c = solved[0]["EAT"].dcsn.sol.policy["c"](m=m)
        error = np.abs(c / eaten(m) - 1)
        row = report.to_pandas().loc[("EAT", "c", 0)]
        # The largest change is in the middle of cells, where the refined solution has its knots.
        np.testing.assert_allclose([row["mean"], row["max"]], [0.75 * error.mean(), error.max()], rtol=0.1)
        assert row["points"] == 2_000


@pytest.mark.slow
def test_changes_of_policies_and_moments_fall_with_the_square(reports):
    (_, coarse), (_, fine) = reports[30], reports[59]
    for quantity, order in (("c", 2), ("value", 4)):
        before, after = (r.to_pandas().loc[("EAT", quantity, 0), "mean"] for r in (coarse, fine))
        np.testing.assert_allclose(np.log2(before / after), order, atol=0.35)
    table = coarse.moments_to_pandas()
    assert list(table.index) == ["c"] and 0 < abs(table.loc["c", "relative"]) < 1e-2
    assert "mean" in repr(fine) and "relative" in repr(fine) and "<table" in fine._repr_html_()


@pytest.mark.slow
def test_knots_stay_knots_and_the_refined_circuit_is_a_circuit(reports):
    solved, report = reports[30]
    before, after = (c.build("EAT", 0).cntn_to_dcsn.operator.problem.knots for c in (solved, report.refined))
    np.testing.assert_allclose(after[::2], before, rtol=1e-12)
    np.testing.assert_allclose(report.refined[0]["EAT"].dcsn.sol.policy["c"](m=3.0), eaten(3.0), rtol=1e-3)


def test_listed_knots_get_others_halfway_between_them():
    solved = bequest(3, "type: list, values: [0.0, 1.0, 4.0, 20.0]")
    knots = sc.accuracy(solved).refined.build("EAT", 0).cntn_to_dcsn.operator.problem.knots
    np.testing.assert_allclose(knots, [0.0, 0.5, 1.0, 2.5, 4.0, 12.0, 20.0])


@pytest.mark.slow
def test_every_period_and_moment_has_its_row():
    solved = sc.solve(sc.load(BUFFER))
    wealth = lambda s: sc.push_forward(s, {"a": 1.0})[7]["CONS"].cntn.dist.mean("a_nxt")
    report = sc.accuracy(solved, wealth, points=20)
    table = report.to_pandas()
    assert set(table.index) == {("CONS", q, t) for q in ("value", "c") for t in range(12)}
    assert (table["points"] > 0).all() and (table["max"] < 0.05).all() and (table["age"].loc["CONS", "c", 3] == 33)
    ((name, (before, after)),) = report.moments.items()
    np.testing.assert_allclose([before, after], [wealth(solved), wealth(report.refined)], rtol=1e-12)
    assert name == "moment" and 0 < abs(after / before - 1) < 0.03
    assert report.summary().loc[("CONS", "c"), "max"] == table.loc[("CONS", "c"), "max"].max()


# Income comes in a stage of its own, so that cash on hand is a state of the second stage, which has no grid for it.
PAID = """
model:
  name: Paid
  horizon: 3
  terminal: log(a + 1)
  types: {weights: [0.5, 0.5], CONS.beta: [0.9, 0.97]}
  connections:
    intra_period: [{source: PAY, target: CONS, mapping: {m: m}}]
    inter_period: [{source: CONS, target: PAY, mapping: {a_nxt: a}}]
stages:
  PAY:
    math:
      functions: {g_av: m = a + y, g_ve: m = m, Q: "V[>]"}
      shocks: {income: {dimensions: ["y"], shock_method: lognormal, mean: 1.0, std: 0.2, n_points: 3}}
      state_space: {arvl: {dimensions: ["a"]}, dcsn: {dimensions: ["m"]}, cntn: {dimensions: ["m"]}}
  CONS:
    parameters: {beta: 0.9}
    settings: {n: 30}
    math:
      functions: {g_av: m = m, g_ve: a_nxt = m - c, Q: "log(c) + beta*V[>]"}
      controls: {c: 0 < c <= m}
      state_space:
        arvl: {dimensions: ["m"]}
        dcsn: {dimensions: ["m"]}
        cntn: {grid: {a_nxt: {type: exp, min: 0.0, max: 20.0, points: n}}}
"""


@pytest.mark.slow
def test_a_stage_without_a_grid_is_looked_at_where_the_stages_before_lead_and_every_type_has_its_rows():
    table = sc.accuracy(sc.solve(sc.load(PAID)), points=10).to_pandas()
    assert set(table.index.get_level_values("type")) == {0, 1}
    # Ten levels of assets and three of income; the highest may lie beyond the grid.
    assert table.loc[(0, "CONS", "c", 0), "points"] > 20 and table.loc[(0, "PAY", "value", 0), "points"] <= 10
    assert (table["max"] < 0.05).all()


def test_what_cannot_be_refined_or_looked_at_is_named(reports):
    solved, _ = reports[30]
    with pytest.raises(ValueError, match="not solved"):
        sc.accuracy(dataclasses.replace(solved, stored=None))
    with pytest.raises(ValueError, match="no stage `ET`; there are EAT"):
        sc.accuracy(solved, points={"ET": {"w": 1.0}})
    with pytest.raises(ValueError, match="entered with w; a given"):
        sc.accuracy(solved, points={"EAT": {"a": 1.0}})
    with pytest.raises(ValueError, match="at least two"):
        sc.accuracy(solved, points=1)


def test_euler_errors_tell_who_is_beyond_the_last_knot():
    solved = sc.solve(sc.load(BUFFER))
    with pytest.warns(UserWarning, match="a = 40, off the grid"):
        panel = sc.simulate(solved, {"a": jnp.array([0.0, 1.0, 5.0, 40.0])}, agents=4, key=jax.random.key(0))
    table = sc.euler_errors(solved, panel).to_pandas().set_index("period")
    post = np.asarray(panel["CONS"]["a_nxt"])
    np.testing.assert_allclose(table["extrapolated"], (post > 20.0).mean(axis=1))
    assert table.loc[0, "extrapolated"] == 0.25
