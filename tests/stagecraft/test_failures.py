"""Bad values: said with stage, perch, period and parameter, and never silently wrong."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stagecraft as sc

sys.path.insert(0, str(Path(__file__).parent))
from models import BUFFER


@pytest.fixture(scope="module")
def circuit():
    return sc.load(BUFFER)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("main.bta", "did you mean `main.beta`"),
        ("beta", "did you mean `main.beta`"),
        ("CONS.beta", "it is inherited: set `main.beta`"),
        ("CONS.n", "a size and static"),
        ("WORK.gamma", "did you mean `CONS.gamma`"),
    ],
)
def test_an_unknown_path_is_refused_with_a_suggestion(circuit, path, message):
    with pytest.raises(ValueError, match=message):
        circuit.with_parameters({path: 0.5})
    with pytest.raises(ValueError, match=message):
        sc.load(BUFFER, parameters={path: 0.5})


@pytest.mark.parametrize("value", ["0.9", None, [0.9, 0.9], np.ones(3)])
def test_a_value_of_the_wrong_kind_is_refused(circuit, value):
    with pytest.raises(ValueError, match=r"main\.beta"):
        circuit.with_parameters({"main.beta": value})


def test_a_value_outside_its_domain_is_refused(circuit):
    with pytest.raises(ValueError, match=r"CONS\.gamma` = -1 lies outside its domain \(0, inf\)"):
        circuit.with_parameters({"CONS.gamma": -1.0})


def test_a_domain_holds_under_jit_too(circuit):
    """There the outcome is carried, and raised at the next verb that sees it."""

    @jax.jit
    def outcome(floor):
        parameters = {**circuit.parameters, "CONS": {**circuit.parameters["CONS"], "floor": floor}}
        return sc.solve(circuit.with_parameters(parameters)).info.outcome

    assert int(outcome(jnp.asarray(0.5))) == sc.Outcome.success
    assert int(outcome(jnp.asarray(1.5))) == sc.Outcome.domain


def test_a_grid_that_does_not_increase_names_its_place(circuit):
    with pytest.raises(
        sc.SolveError, match=r"stage CONS, grid of a_nxt on cntn, period 11 \(age 41\): a grid is not increasing"
    ):
        sc.solve(circuit.with_settings({"CONS.top": -1.0}))


def test_a_solve_that_is_not_finite_names_stage_perch_period_and_parameter(circuit):
    with pytest.raises(sc.SolveError) as caught:
        sc.solve(circuit.with_parameters({"CONS.gamma": 1.0}))
    message = str(caught.value)
    assert caught.value.outcome == sc.Outcome.nonfinite
    assert all(word in message for word in ("stage CONS", "period 11 (age 41)", "decision (dcsn)", "`gamma` = 1"))


def test_a_failure_is_returned_on_request(circuit):
    solved = sc.solve(circuit.with_parameters({"CONS.gamma": 1.0}), throw=False)
    assert int(solved.info.outcome) == sc.Outcome.nonfinite and int(solved.info.period) == 11


def test_a_parameter_that_is_not_a_number_is_named(circuit):
    with pytest.raises(sc.SolveError, match=r"`main\.R` is nan"):
        sc.solve(circuit.with_parameters({"main.R": np.nan}))


def test_a_convex_continuation_is_not_solved_by_plain_egm():
    text = BUFFER.replace("terminal: log(a + 1)", "terminal: log(a + 1) + 4*tanh(2*(a - 4))")
    with pytest.raises(sc.SolveError, match="folds back") as caught:
        sc.solve(sc.load(text))
    assert caught.value.outcome == sc.Outcome.folded


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("terminal: log(a + 1)", "terminal: log(a + 1) + 6*exp(-(a - 4)^2)"),
        ("u(c): c^(1-gamma)/(1-gamma)", "u(c): c^2"),
    ],
)
def test_what_is_no_maximum_is_not_returned_as_one(good, bad):
    """A value that falls in wealth, a convex reward."""
    with pytest.raises(sc.SolveError) as caught:
        sc.solve(sc.load(BUFFER.replace(good, bad)))
    assert caught.value.outcome in (sc.Outcome.convex, sc.Outcome.folded)


@pytest.mark.slow
def test_a_second_control_that_pays_nothing_changes_nothing(circuit):
    """Its own condition holds at its lower bound."""
    text = BUFFER.replace("Q: u(c) + beta*V[>]", "Q: u(c) + log(1 + h) - h + beta*V[>]")
    text = text.replace("controls: {c: 0 < c <= m}", "controls: {c: 0 < c <= m, h: 0 <= h <= 1}")
    two, one, m = sc.solve(sc.load(text))[3]["CONS"].dcsn.sol, sc.solve(circuit)[3]["CONS"].dcsn.sol, np.array([0.7, 2.0, 6.0])
    np.testing.assert_allclose(two.policy["h"](m=m), 0, atol=1e-8)
    np.testing.assert_allclose(two.policy["c"](m=m), one.policy["c"](m=m), rtol=5e-3)


def test_a_maximum_at_infinity_is_refused_with_its_place():
    """Spending is worth something without end, and nothing bounds it."""
    text = BUFFER.replace("controls: {c: 0 < c <= m}", "controls: {c: c > 0}").replace("a_nxt = m - c", "a_nxt = m")
    text = text.replace("settings: {n: 40", "methods: {solution: vfi}\n  settings: {n: 40")
    with pytest.raises(sc.SolveError, match="stage CONS, decision .*infinity") as caught:
        sc.solve(sc.load(text))
    assert caught.value.outcome == sc.Outcome.convex


def test_initial_states_are_checked(circuit):
    solved = sc.solve(circuit)
    key = jax.random.key(0)
    with pytest.raises(ValueError, match="must give a; it gives b"):
        sc.simulate(solved, {"b": 1.0}, key=key)
    with pytest.raises(ValueError, match="3 values of a for 5 agents"):
        sc.simulate(solved, {"a": np.zeros(3)}, agents=5, key=key)
    with pytest.raises(ValueError, match="not finite"):
        sc.simulate(solved, {"a": np.array([0.0, np.nan])}, key=key)
    with pytest.raises(ValueError, match="no feasible choice"):
        sc.simulate(solved, {"a": -5.0}, agents=10, key=key)
    with pytest.raises(ValueError, match="not solved"):
        sc.simulate(circuit, {"a": 0.0}, key=key)


@pytest.mark.parametrize("agents", [0, -1, 2.5])
def test_a_number_of_agents_is_a_positive_integer(circuit, agents):
    with pytest.raises(ValueError, match="positive integer"):
        sc.simulate(sc.solve(circuit), {"a": 0.0}, agents=agents, key=jax.random.key(0))


def test_a_key_is_a_key(circuit):
    with pytest.raises(ValueError, match=r"jax\.random\.key"):
        sc.simulate(sc.solve(circuit), {"a": 0.0}, key=0)


@pytest.mark.slow
def test_an_infinite_horizon_needs_a_number_of_periods_to_be_simulated():
    text = (
        BUFFER.replace("  age: {start: 30, step: 1}\n", "")
        .replace("horizon: 12", "horizon: infinite")
        .replace("G: {by: age, steps: {30: 1.02, 36: 1.0}}", "G: 1.01")
    )
    solved = sc.solve(sc.load(text))
    with pytest.raises(ValueError, match="infinite; say for how many periods"):
        sc.simulate(solved, {"a": np.zeros(3)}, key=jax.random.key(0))
    panel = sc.simulate(solved, {"a": np.zeros(3)}, periods=7, key=jax.random.key(0))
    assert panel["m"].shape == (7, 3) and np.isfinite(np.asarray(panel["m"])).all()
    assert sc.euler_errors(solved, panel)["CONS"].shape == (7, 3)


def test_a_terminal_value_that_is_nowhere_finite_is_laid_to_its_denominator():
    text = BUFFER.replace("terminal: log(a + 1)", "terminal: (a + 1)^(1-gamma)/(1-gamma)")
    with pytest.raises(sc.SolveError, match="`gamma` = 1 makes a denominator zero"):
        sc.solve(sc.load(text, parameters={"CONS.gamma": 1.0}))


def test_the_share_of_bad_knots_is_told_by_every_axis():
    """Only the sick of one stage of health have a utility that does not exist."""
    text = BUFFER.replace("sigma_y: 0.15", "sigma_y: 0.15\n    h_vals: [0.0, 1.0]\n    poison: 1.0")
    text = text.replace("Q: u(c) + beta*V[>]", "Q: u(c) + log(h + poison) + beta*V[>]")
    text = text.replace('arvl: {dimensions: ["a"]}', 'arvl: {dimensions: ["a", "h"], grid: {h: {values: h_vals}}}')
    text = text.replace('dcsn: {dimensions: ["m"]}', 'dcsn: {dimensions: ["m", "h"], grid: {h: {values: h_vals}}}')
    text = text.replace("cntn: {grid: {a_nxt", 'cntn: {dimensions: ["a_nxt", "h"], grid: {a_nxt')
    text = text.replace("mapping: {a_nxt: a}", "mapping: {a_nxt: a, h: h}")
    circuit = sc.load(text)
    sc.solve(circuit)
    with pytest.raises(sc.SolveError, match=r"period 11 .*50% of its knots are bad; by h: 100% at 0\. "):
        sc.solve(circuit.with_parameters({"CONS.poison": 0.0}))
