"""Circuits of several stages and kinds of period: views, types, blocks, boards, panels."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import stagecraft as sc

sys.path.insert(0, str(Path(__file__).parent))
from models import BUFFER

MODELS = Path(__file__).parents[1] / "models"


@pytest.fixture(scope="module")
def solved():
    text = (MODELS / "ret_choice.yml").read_text().replace("horizon: 20", "horizon: 5").replace("n: 500", "n: 80")
    return sc.solve(sc.load(text))


def test_a_period_shows_its_stages_in_forward_order(solved):
    assert list(solved[2].stages) == ["LABR", "WORK", "RETD"]
    edges = set(solved[2].board.forward_graph.edges)
    assert ("LABR.cntn.work", "WORK.arvl") in edges and ("LABR.cntn.retire", "RETD.arvl") in edges
    assert ("RETD.cntn", "RETD.arvl") in set(solved.board.forward_graph.edges)
    assert "LABR" in sc.mermaid(solved)


def test_a_branch_leads_where_its_connection_says(solved):
    a, period = jnp.array([3.0, 40.0]), solved[1]
    branch = period["LABR"].cntn["work"].sol
    np.testing.assert_allclose(branch.value(a=a), period["WORK"].arvl.sol.value(a=a))
    with pytest.raises(KeyError, match="retire, work"):
        period["LABR"].cntn["wrk"]
    odds = [period["LABR"].dcsn.sol.probability[k](a=a) for k in ("work", "retire")]
    np.testing.assert_allclose(sum(odds), 1.0)


def test_a_branching_stage_is_solved_alone_from_two_continuations(solved):
    stage = solved[1]["LABR"].with_continuation({"work": lambda a: jnp.log(a + 2.0), "retire": lambda a: jnp.log(a + 1.0)})
    alone = sc.solve(stage)
    # Disutility 1, scale 0.05: the worker's branch is worth less everywhere.
    assert float(alone.dcsn.sol.probability["retire"](a=5.0)) > 0.99
    panel = sc.simulate(alone, {"a": jnp.linspace(0.0, 5.0, 50)}, key=jax.random.key(0))
    assert float(panel.cntn["retire"].dist.mean("taken")) > 0.9


def test_everybody_is_somewhere_and_retirement_is_absorbing(solved):
    panel = sc.simulate(solved, {"a": jnp.linspace(0.0, 300.0, 400)}, key=jax.random.key(0))
    here = {name: np.asarray(panel.inside(name)) for name in ("LABR", "WORK", "RETD")}
    assert (here["WORK"] ^ here["RETD"]).all() and (here["LABR"] >= here["WORK"]).all()
    assert (np.diff(here["RETD"].astype(int), axis=0) >= 0).all()
    frame = panel.to_pandas()
    worker = frame[frame.stage == "WORK"]
    np.testing.assert_allclose(worker.b, worker.m - worker.c, rtol=1e-12)
    np.testing.assert_allclose(worker.m, 1.02 * worker.a + 20.0, rtol=1e-12)


@pytest.mark.slow
def test_the_draws_of_an_agent_do_not_move_when_another_is_added(solved):
    few, many = (sc.simulate(solved, {"a": jnp.full(n, 200.0)}, key=jax.random.key(3)) for n in (20, 30))
    np.testing.assert_array_equal(few["LABR"]["branch"], many["LABR"]["branch"][:, :20])


def test_questions_beyond_the_grid_are_counted(solved):
    assert all(0 <= float(x.max()) <= 0.2 for x in solved.info.outside.values())


TYPED = BUFFER.replace("  name: Buffer\n", "  name: Buffer\n  types: {beta: [0.90, 0.97], weights: [0.25, 0.75]}\n")


@pytest.fixture(scope="module")
def typed():
    return sc.solve(sc.load(TYPED))


def test_types_are_solved_together_as_each_alone(typed):
    solved = typed
    for k, beta in enumerate((0.90, 0.97)):
        alone = sc.solve(sc.load(BUFFER, parameters={"main.beta": beta}))
        ours, theirs = (s[3]["CONS"].dcsn.sol.policy["c"](m=jnp.array([0.5, 3.0])) for s in (solved.of_type(k), alone))
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    with pytest.raises(ValueError, match="2 types"):
        solved[0]
    panel = sc.simulate(solved, {"a": 0.5}, agents=4_000, key=jax.random.key(0))
    assert abs(float(np.mean(panel.types)) - 0.75) < 0.03 and "type" in panel.to_pandas()
    poor = np.asarray(panel["a"])[-1][np.asarray(panel.types) == 0].mean()
    assert poor < np.asarray(panel["a"])[-1][np.asarray(panel.types) == 1].mean()


def test_types_may_be_given_with_the_states(typed):
    kinds = np.arange(300) % 3 // 2
    panel = sc.simulate(typed, pd.DataFrame({"a": 1.0, "type": kinds}), key=jax.random.key(3))
    np.testing.assert_array_equal(panel.types, kinds)
    for k in (0, 1):
        alone = sc.simulate(typed.of_type(k), {"a": np.ones(300)}, key=jax.random.key(3))
        np.testing.assert_allclose(panel["c"][:, kinds == k], alone["c"][:, kinds == k], rtol=1e-12)
    drawn = sc.simulate(typed, {"a": 1.0}, agents=300, key=jax.random.key(3))
    parts = sc.simulate(typed, {"a": 1.0}, agents=300, key=jax.random.key(3), chunk=110, keep=["c"])
    np.testing.assert_array_equal(parts.types, drawn.types)
    np.testing.assert_allclose(parts["c"], drawn["c"], rtol=1e-12)
    for wrong, says in ((2, "type = 2; types are whole numbers from 0 to 1"), (0.5, "type = 0.5")):
        with pytest.raises(ValueError, match=says):
            sc.simulate(typed, {"a": 1.0, "type": wrong}, agents=10, key=jax.random.key(3))
