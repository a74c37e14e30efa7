"""What a user is told of a solution, and sees of it: records, warnings beyond grids, wrong calls, and what prints itself."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stagecraft as sc

MODEL = """
dialect: 1
model:
  name: Told
  horizon: 3
  terminal: 0
  parameters: {beta: 0.95, floor: 0.1}
  connections: {inter_period: [{source: C, target: C, mapping: {b: a}}]}
stage:
  name: C
  parameters: {beta: ["beta"], floor: ["floor"]}
  math:
    functions: {g_av: m = a + y, g_ve: b = m - c, Q: "log(c) + beta*V[>]"}
    controls: {c: 0 < c <= m}
    constraints: {rich: m > floor}
    shocks: {income: {dimensions: ["y"], shock_method: discrete, values: [0.5, 1.5], probs: [0.5, 0.5]}}
    state_space:
      arvl: {grid: {a: {type: linspace, min: 0.0, max: 5.0, points: 40}}}
      dcsn: {dimensions: ["m"]}
      cntn: {grid: {b: {type: linspace, min: 0.0, max: 5.0, points: 40}}}
"""


@pytest.fixture(scope="module")
def solved():
    return sc.solve(sc.load(MODEL))


def fresh(solved):
    """The decision of a circuit that nobody has asked before."""
    return sc.solve(solved)[0]["C"].dcsn.sol


def test_a_record_holds_all_that_is_known_under_jit_too(solved):
    sol, ms = solved[0]["C"].dcsn.sol, jnp.array([0.05, 0.8, 2.0, 50.0])
    for record in (sol.at(m=ms), jax.jit(lambda s, m: s.at(m=m))(sol, ms)):
        np.testing.assert_array_equal(record.feasible, [False, True, True, True])
        np.testing.assert_array_equal(record.outside > 0, [False, False, False, True])
        for x in (record.value, record.policy["c"], record.marginal["m"]):
            np.testing.assert_array_equal(np.isnan(x), [True, False, False, False])
    np.testing.assert_array_equal(record.value[1:3], sol.value(m=ms[1:3]))


def test_without_a_choice_there_is_no_number_and_derivatives_beside_are_clean(solved):
    sol, ms = solved[0]["C"].dcsn.sol, jnp.array([0.05, 0.8])
    np.testing.assert_array_equal(np.isnan(sol.policy["c"](m=ms)), [True, False])
    slopes = jax.grad(lambda m: jnp.nansum(sol.value(m=m)))(ms)
    assert slopes[0] == 0 and slopes[1] == pytest.approx(float(sol.marginal["m"](m=0.8)), rel=1e-3)

    def value(floor):
        now = sc.solve(solved.with_parameters({"main.floor": floor}))
        return jnp.nansum(now[0]["C"].dcsn.sol.value(m=ms))

    assert np.isfinite(jax.grad(value)(0.1))
    # The same numbers for whoever solves and follows are finite everywhere.
    assert np.isfinite(sol.at({"m": ms}).value).all()


def test_one_is_told_once_how_far_beyond_the_grid_one_asks(solved):
    sol, ms = fresh(solved), np.array([1.0, 2.0, 3.0, 50.0])
    for ask, name in ((sol.value, "value"), (sol.policy["c"], 'policy\\["c"\\]')):
        with pytest.warns(UserWarning, match=rf"{name} .* at 25.0% of the states \(m up to 50, where the last knot is"):
            ask(m=ms)
        ask(m=ms)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jax.jit(lambda m: sol.marginal["m"](m=m))(ms)
        sol.marginal["m"](m=ms[:3])
    with pytest.warns(UserWarning, match="a up to 60"):
        sc.solve(solved)[0]["C"].arvl.sol.value(a=60.0)


def test_what_is_not_there_yet_says_which_verb_makes_it(solved):
    bare = sc.load(MODEL)[0]["C"]
    assert not bare.dcsn.sol and not bare.arvl.dist and not solved[0]["C"].dcsn.dist
    with pytest.raises(AttributeError, match=r"not solved: sc.solve\(circuit\)"):
        bare.dcsn.sol.value(m=1.0)
    with pytest.raises(AttributeError, match=r"sc.push_forward\(solved, initial\)"):
        solved[0]["C"].dcsn.dist.mean("m")
    assert repr(bare.dcsn.sol) == "not solved: sc.solve(circuit)"
    assert sc.solve(bare.with_continuation(lambda b: jnp.log(b + 1))).solved


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda s: s[0]["C"].dcsn.sol.policy["c"](1.0), r"called with m; a state without its name given; write \(m=\.\.\.\)"),
        (lambda s: s[0]["C"].dcsn.sol.at(x=1.0), r"called with m; x given; write \(m=\.\.\.\)"),
        (lambda s: sc.push_forward(s, jnp.ones(3)), r'an array of shape \(3,\) without names: write {"a": ...}'),
        (lambda s: sc.push_forward(s, {"a": jnp.ones((3, 2))}), r"arrays of one axis .* a of shape \(3, 2\)"),
        (lambda s: sc.simulate(s, {"a": 1.0}, agents=2, key=jax.random.key(0))["z"], r"no variable and no stage `z`; .* C\.c"),
    ],
)
def test_wrong_calls_say_what_was_expected(solved, call, said):
    with pytest.raises((ValueError, KeyError), match=said):
        call(solved)


def test_what_a_user_meets_shows_its_numbers_on_a_few_lines(solved):
    pushed = sc.push_forward(solved, {"a": 1.0})
    stage, panel = pushed[1]["C"], sc.simulate(solved, {"a": 1.0}, agents=4, key=jax.random.key(0))
    sol = stage.dcsn.sol
    # The names that a panel shows are names that it takes.
    np.testing.assert_array_equal(panel["C.c"], panel["c"])
    shown = {
        "outcome": solved.info, "iterations": solved.info, "mass  1": stage.dcsn.dist, "mean 1.": stage.dcsn.dist,
        "40 in [": sol, "policy": sol.policy, "value": sol.at(m=1.0), "of m": sol.value, "of a": stage.arvl.sol,
        "distributions of 3 periods": pushed, "C": pushed.dists, "dcsn": stage.dcsn, "egm": stage.cntn_to_dcsn,
        "Panel": panel, "Period": pushed[1], "b": stage.cntn.sol,
    }  # fmt: skip
    for word, thing in shown.items():
        text = repr(thing)
        assert word in text and len(text.splitlines()) <= 12 and max(map(len, text.splitlines())) <= 128, text


def test_what_is_the_same_at_every_age_is_given_once():
    text = MODEL.replace("floor: 0.1", "floor: {by: age, values: [0.1, 0.1, 0.2]}")
    circuit = sc.load(text.replace("horizon: 3", "horizon: 3\n  age: {start: 20, step: 1}"))
    np.testing.assert_array_equal(circuit.with_parameters({"main.floor": 0.3}).parameters["main"]["floor"], [0.3] * 3)
    with pytest.raises(ValueError, match=r"main.floor` has shape \(3,\); \(2,\) given"):
        circuit.with_parameters({"main.floor": [0.3, 0.4]})
    with pytest.raises(ValueError, match=r"main.beta` has shape \(\)"):
        circuit.with_parameters({"main.beta": [0.3, 0.4, 0.5]})


@pytest.mark.parametrize(
    ("reward", "beta", "begins"),
    [
        ("-exp(-1000*(c - 3))", 0.95, r"`exp\(3000 - 1000\*c\)` overflows at c = "),
        ("c^(1 - 20*beta)/(1 - 20*beta)", 0.05, r"`beta` = 0.05 makes a denominator zero: stage C"),
    ],
)
def test_a_failure_begins_with_its_cause(reward, beta, begins):
    circuit = sc.load(MODEL.replace("log(c) + beta", f"{reward} + beta")).with_parameters({"main.beta": beta})
    with pytest.raises(sc.SolveError, match=f"^{begins}"):
        sc.solve(circuit)


BOUND = """
model:
  name: Bound
  horizon: 1
  terminal: 0
  connections: {inter_period: [{source: W, target: W, mapping: {b: a, k_nxt: k}}]}
stage:
  name: W
  parameters: {beta: 0.95}
  math:
    functions: {g_av: "m = a; e = k", g_ve: "b = m + e^2 - c; k_nxt = e", Q: "log(c) + beta*V[>]"}
    controls: {c: 0 < c <= m + 9}
    constraints: {budget: c <= m + e^2}
    state_space:
      arvl: {dimensions: [a, k]}
      dcsn: {grid: {m: {min: 0.1, max: 5.0, points: 6}, e: {min: 0.5, max: 3.0, points: 3}}}
      cntn: {grid: {b: {min: 0.0, max: 9.0, points: 6}, k_nxt: {min: 0.5, max: 3.0, points: 3}}}
  methods: {solution: vfi}
"""


@pytest.mark.slow
def test_states_inside_their_grids_that_lead_beyond_those_of_the_post_states_are_told_as_such():
    """In the last period all is spent, and between knots of e a line through m + e^2 spends more than there is."""
    policy = sc.solve(sc.load(BOUND))[0]["W"].dcsn.sol.policy["c"]
    with pytest.warns(UserWarning, match=r'policy\["c"\] leads beyond the grid of the post-states at 50.0% of the states'):
        found = policy(m=1.0, e=jnp.array([0.5, 1.2]))
    np.testing.assert_allclose(found, 1.0 + np.interp([0.5, 1.2], [0.5, 1.75, 3.0], np.array([0.5, 1.75, 3.0]) ** 2), rtol=1e-6)
