"""Post-states that are worth nothing at the margin, below others that are: whoever saves too little saves nothing, or stays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stagecraft as sc

MODEL = """
model: {{name: Flat, horizon: {periods}, terminal: "{terminal}", parameters: {{beta: 0.9, debt: -1.0, R: 1.0}},
        connections: {{inter_period: [{{source: C, target: C, mapping: {{a_nxt: a}}}}]}}, defaults: {{inherit: all}}}}
stage:
  name: C
  methods: {{upper_envelope: exact}}
  math:
    functions: {{g_av: "{arrive}", g_ve: a_nxt = m - c, Q: "log(c) + beta*V[>]"}}
    controls: {{c: 0 < c <= m - debt}}
    state_space: {{arvl: {{dimensions: [a]}}, dcsn: {{dimensions: [m]}},
                  cntn: {{grid: {{a_nxt: {{type: linspace, min: {low}, max: 8.0, points: 150}}}}}}}}
"""
LOW, KNOTS = -1.0, np.linspace(-1.0, 8.0, 90_001)
CASH = np.array([-0.9, -0.5, 0.3, 1.0, 1.3, 1.5, 1.8, 2.2, 3.0, 6.0])
ENDS = {
    "max(a, 1.0)": lambda a: np.maximum(a, 1.0),  # Worth nothing up to 1, from the corner on.
    "log(where(a > -0.5, a, -0.5) + 1)": lambda a: np.log(np.maximum(a, -0.5) + 1),
    "sqrt(max(a - 2, 0))": lambda a: np.sqrt(np.maximum(a - 2, 0)),  # Worth infinitely much where it begins.
    "log(min(a, 0.0) + 1.1) + 2*max(a - 2, 0)": lambda a: np.log(np.minimum(a, 0) + 1.1) + 2 * np.maximum(a - 2, 0),
    "log(min(a, 0.0) + 1.1) + max(a - 4, 0)": lambda a: np.log(np.minimum(a, 0) + 1.1) + np.maximum(a - 4, 0),
    "min(a, -0.5) + max(min(a, 3.0), 1) + 0.5*max(a - 5, 0)": lambda a: (
        np.minimum(a, -0.5) + np.maximum(np.minimum(a, 3), 1) + 0.5 * np.maximum(a - 5, 0)  # Two stretches.
    ),
}


def searched(after, cash):
    """The best of all points on a fine grid, and what it is worth."""
    spent = cash[:, None] - KNOTS
    worth = np.where(spent > 0, np.log(np.where(spent > 0, spent, 1.0)), -np.inf) + 0.9 * after
    best = worth.argmax(axis=1)
    return np.take_along_axis(spent, best[:, None], axis=1)[:, 0], worth.max(axis=1)


QUICK = "min(a, -0.5)"


@pytest.mark.parametrize("terminal", [pytest.param(e, marks=() if e.startswith(QUICK) else pytest.mark.slow) for e in ENDS])
def test_what_is_not_worth_saving_is_not_saved(terminal):
    circuit = sc.load(MODEL.format(periods=1, terminal=terminal, arrive="m = a", low=LOW))
    sol = sc.solve(circuit)[0]["C"].dcsn.sol
    control, value = searched(ENDS[terminal](KNOTS), CASH)
    np.testing.assert_allclose(sol.value(m=CASH), value, atol=1e-5)
    np.testing.assert_allclose(sol.policy["c"](m=CASH), control, atol=2e-4)


@pytest.mark.slow
def test_a_floor_on_what_one_brings_leaves_nothing_to_save_for_the_poor():
    """Means-tested help (Hubbard, Skinner and Zeldes 1995): arrivals below the floor are lifted to it, so that V is flat there."""
    circuit = sc.load(MODEL.format(periods=3, terminal="log(a + 1.5)", arrive="m = max(R*a + 0.2, 1.0)", low="debt"))
    circuit = circuit.with_parameters({"main.debt": 0.0})
    solved = sc.solve(circuit)
    fine = np.linspace(0.0, 8.0, 4_001)
    after, cash = np.log(fine + 1.5), np.array([1.0, 1.4, 1.9, 2.6, 4.0, 7.0])
    for t in (2, 1, 0):
        choose = lambda m, after=after: np.where(m - fine > 0, np.log(np.maximum(m - fine, 1e-300)), -np.inf) + 0.9 * after
        value = np.array([choose(m).max() for m in cash])
        np.testing.assert_allclose(solved[t]["C"].dcsn.sol.value(m=cash), value, atol=1e-3)
        after = np.array([choose(m).max() for m in np.maximum(fine + 0.2, 1.0)])


@pytest.mark.slow
def test_derivatives_are_those_of_the_choice_that_is_held():
    circuit = sc.load(MODEL.format(periods=1, terminal="log(min(a, 0.0) + 1.1) + 2*max(a - 2, 0)", arrive="m = a", low=LOW))
    at = jnp.array([0.3, 1.8, 3.0, 6.0])
    value = lambda beta: sc.solve(circuit.with_parameters({"main.beta": beta}))[0]["C"].dcsn.sol.at(m=at).value
    step = 1e-5
    difference = (value(0.9 + step) - value(0.9 - step)) / (2 * step)
    np.testing.assert_allclose(jax.jacfwd(value)(0.9), difference, rtol=1e-6, atol=1e-8)
