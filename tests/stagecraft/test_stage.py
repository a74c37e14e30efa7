"""A stage by itself, its board, and how nouns show themselves."""

import importlib.util
import logging
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stagecraft as sc

sys.path.insert(0, str(Path(__file__).parent))
from models import BUFFER

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def stage():
    return sc.load(BUFFER)[11]["CONS"]


def after(a_nxt):
    return 8.0 * jnp.log(a_nxt + 1.0)


def example(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / name / "main.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_workflow_of_a_stage_sets_one_status_after_the_other():
    found = example("stage_workflow").main()
    counts = [sum(step.values()) for step in found["steps"].values()]
    assert counts == [2, 3, 4, 5]
    gaps = found["table"]["condition"].dropna()
    assert len(gaps) >= 4 and gaps.abs().max() < 1e-4


def test_a_stage_alone_satisfies_its_first_order_condition(stage):
    solved = sc.solve(stage.with_continuation(after))
    m = solved.dcsn.sol.rows.state[5:]
    c = solved.dcsn.sol.policy["c"](m=m)
    np.testing.assert_allclose(c**-2.0, 0.95 * 8.0 / (m - c + 1.0), rtol=1e-10)


def test_a_stage_alone_is_simulated_in_pairs_and_from_a_distribution(stage):
    solved, key = sc.solve(stage.with_continuation(after)), jax.random.key(0)
    dist = sc.Population({"a": jnp.array([1.0, 2.0])}, jnp.array([0.0, 1.0]))
    alone = sc.simulate(solved, dist, agents=10, antithetic=True, key=key)
    z = np.log(np.asarray(alone.arvl.dist.states["y"])) + 0.15**2 / 2
    np.testing.assert_allclose(z[::2], -z[1::2], atol=1e-12)
    assert float(alone.arvl.dist.mean("a")) == 2.0
    with pytest.raises(ValueError, match="stage CONS alone takes `initial`, `agents`, `antithetic` and `key`"):
        sc.simulate(solved, {"a": 1.0}, keep=["c"], key=key)


def test_gradients_pass_through_a_stage_alone(stage):
    def value(height):
        return sc.solve(stage.with_continuation(lambda a_nxt: height * jnp.log(a_nxt + 1.0))).dcsn.sol.value(m=2.0)

    def through(scale):
        parameters = jax.tree.map(lambda x: x, sc.load(BUFFER).parameters)
        circuit = sc.load(BUFFER).with_parameters({"main.beta": parameters["main"]["beta"] * scale})
        return sc.solve(circuit[3]["CONS"].with_continuation(after)).dcsn.sol.value(m=2.0)

    h = 1e-5
    np.testing.assert_allclose(jax.grad(through)(1.0), (through(1.0 + h) - through(1.0 - h)) / (2 * h), rtol=1e-7)
    assert value(8.0) > value(7.0)


def test_a_stage_without_a_continuation_is_not_solved(stage):
    assert not stage.solvable
    with pytest.raises(ValueError, match="no continuation"):
        sc.solve(stage)
    with pytest.raises(ValueError, match="not solved"):
        sc.simulate(stage, {"a": 1.0}, key=jax.random.key(0))
    with pytest.raises(ValueError, match="function of a_nxt"):
        stage.with_continuation(3.0)


@pytest.mark.parametrize(
    ("bump", "outcome"),
    [
        (lambda a_nxt: 4 * jnp.tanh(2 * (a_nxt - 4)), sc.Outcome.folded),
        (lambda a_nxt: 6 * jnp.exp(-((a_nxt - 4) ** 2)), sc.Outcome.convex),
    ],
)
def test_a_continuation_that_is_not_concave_is_refused_for_a_stage_alone(stage, bump, outcome):
    with pytest.raises(sc.SolveError) as caught:
        sc.solve(stage.with_continuation(lambda a_nxt: jnp.log(a_nxt + 1) + bump(a_nxt)))
    assert caught.value.outcome == outcome


@pytest.mark.parametrize(
    ("controls", "continuation", "outcome"),
    [
        ("c: 0 < c <= m", lambda a_nxt: jnp.log(a_nxt - 1e3), sc.Outcome.infeasible),
        ("c: 0 < c <= m", lambda a_nxt: jnp.where(a_nxt > 5, jnp.inf, a_nxt), sc.Outcome.nonfinite),
        ("c: c > 0", lambda a_nxt: -a_nxt, sc.Outcome.convex),
    ],
)
def test_a_stage_alone_that_is_searched_says_how_it_ended(controls, continuation, outcome):
    """No feasible choice, a continuation that is no number, a maximum at infinity: as in a circuit."""
    text = BUFFER.replace("  math:", "  methods: {solution: vfi}\n  math:")
    text = text.replace("c: 0 < c <= m", controls)
    with pytest.raises(sc.SolveError, match="stage CONS, decision") as caught:
        sc.solve(sc.load(text)[11]["CONS"].with_continuation(continuation))
    assert caught.value.outcome == outcome


def test_pulling_through_the_board_of_a_stage_solves_it(stage):
    given = stage.with_continuation(after)
    board = sc.pull(given.board, {"cntn": given.cntn.sol})
    solved = sc.solve(given)
    m = jnp.array([0.4, 1.9])
    np.testing.assert_allclose(board.sol["dcsn"].policy["c"](m=m), solved.dcsn.sol.policy["c"](m=m), rtol=1e-12)
    np.testing.assert_allclose(board.sol["arvl"].value(a=m), solved.arvl.sol.value(a=m), rtol=1e-12)


def test_the_board_of_a_stage_is_an_eulerian_circuit(stage):
    assert stage.board.is_eulerian
    assert stage.board.forward_order == ("arvl", "dcsn", "cntn") and stage.board.backward_order == ("cntn", "dcsn", "arvl")


def test_a_circuit_leads_back_to_its_arrival():
    circuit = sc.load(BUFFER)
    edges = set(circuit.board.forward_graph.edges)
    assert edges == {("CONS.arvl", "CONS.dcsn"), ("CONS.dcsn", "CONS.cntn"), ("CONS.cntn", "CONS.arvl")}
    assert set(circuit[0].board.forward_graph.edges) == edges - {("CONS.cntn", "CONS.arvl")}
    with pytest.raises(ValueError, match=r"CONS\.arvl -> CONS\.dcsn -> CONS\.cntn -> CONS\.arvl"):
        sc.validate(circuit.board)


def shown():
    circuit = sc.load(BUFFER)
    panel = sc.simulate(sc.solve(circuit), {"a": 0.0}, agents=20, key=jax.random.key(0))
    return {"circuit": circuit, "stage": circuit[3]["CONS"], "period": circuit[3], "panel": panel}


@pytest.mark.parametrize("name", ["circuit", "stage", "period", "panel"])
def test_a_noun_shows_itself_without_compiling_and_on_one_screen(name, caplog):
    thing = shown()[name]
    jax.clear_caches()
    caplog.clear()
    with jax.log_compiles(), caplog.at_level(logging.DEBUG, logger="jax"):
        page = thing._repr_html_()
    assert not [r for r in caplog.records if "ompiling" in r.getMessage()]
    ET.fromstring(page)
    lines = repr(thing).splitlines()
    assert len(lines) <= 30 and max(map(len, lines)) <= 120


def test_showing_a_circuit_starts_no_backend_of_its_own(stage):
    """A display under a trace must not compute either."""

    @jax.jit
    def traced(beta):
        circuit = sc.load(BUFFER).with_parameters({"main.beta": beta})
        assert "main.beta" in repr(circuit) and "svg" in circuit._repr_html_()
        return beta

    traced(jnp.asarray(0.9))


def test_explain_takes_a_stage_and_a_circuit(stage):
    assert "endogenous grid" in sc.explain(stage)
    assert sc.explain(stage) in sc.explain(sc.load(BUFFER))
    assert sc.to_latex(stage).split("% calibration")[0].strip() in sc.to_latex(sc.load(BUFFER)) and "align*" in sc.to_latex(
        stage
    )
