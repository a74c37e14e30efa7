"""Bounds of a control that meet the grid of the post-state inside, at and beyond its ends, against search by hand.

Three periods, two incomes, a cap on savings and a floor under consumption; both may bind in every period, and the grid ends below,
at or above the cap.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stagecraft as sc

MODEL = """
dialect: 1
model:
  name: Bounds
  horizon: {horizon}
  terminal: 0
  parameters: {{beta: {beta}, R: 1.02, cap: {cap}, cmin: {floor}, debt: {debt}, y: [{poor}, 1.4], p: [0.4, 0.6]}}
  settings: {{n: {n}}}
  defaults: {{inherit: all}}
  connections: {{inter_period: [{{source: C, target: C, mapping: {{b: a}}}}]}}
stage:
  name: C
  methods: {method}
  math:
    functions: {{g_av: "m = R*a + inc", g_ve: b = m - c, Q: "1 - 1/c + beta*V[>]"}}
    controls: {{c: "{bound} <= c <= m + debt"}}
    shocks: {{z: {{dimensions: ["inc"], shock_method: discrete, values: y, probs: p}}}}
    state_space:
      arvl: {{dimensions: ["a"]}}
      dcsn: {{{decision}}}
      cntn: {{grid: {{b: {{type: linspace, min: {low}, max: {high}, points: n}}}}}}
"""
SEARCH = "grid: {m: {type: linspace, min: -0.2, max: 5.5, points: 600}}"
PLAIN = 'dimensions: ["m"]'
KINDS = {
    "egm": ("{solution: egm}", PLAIN),
    "envelope": ("{solution: egm, upper_envelope: exact}", PLAIN),
    "search": ("{solution: vfi}", SEARCH),
}
# (cap, floor, income of the poor, lowest and highest knot): a cap inside the grid, at its top and beyond it; a floor that asks for
# savings; a grid that begins below zero; both bounds.
PLACES = {
    "cap inside": (0.5, 0.0, 0.7, 0.0, 4.0),
    "cap at the top": (0.5, 0.0, 0.7, 0.0, 0.5),
    "cap on a knot": (4.0 / 59 * 9, 0.0, 0.7, 0.0, 4.0),
    "cap beyond": (9.0, 0.0, 0.7, 0.0, 4.0),
    "floor": (9.0, 0.5, 0.3, 0.0, 4.0),
    "floor and cap": (0.8, 0.5, 0.3, 0.0, 4.0),
    "floor and debt": (0.8, 0.3, 0.45, -0.2, 4.0),
}


def text_of(place: str, kind: str) -> str:
    """The model with its bounds at one of the places, solved by one of the methods."""
    cap, floor, poor, low, high = PLACES[place]
    method, decision = KINDS[kind]
    bound = "max(m - cap, cmin)" if cap < 9 else ("cmin" if floor else "0")
    text = MODEL.format(horizon=3, n=240 if kind == "search" else 60, beta=0.95, cap=cap, floor=floor, poor=poor, debt=-low, low=low, high=high, method=method,
                        decision=decision, bound=bound)  # fmt: skip
    return text if floor or cap < 9 else text.replace("0 <= c", "0 < c")


def by_hand(cap, floor, poor, low, beta=0.95, periods=3, points=4_000):
    """(decision states from the least, consumption, value) of the first period by search over savings."""
    edge, m, value = low, None, None
    for _ in range(periods):
        # The most that may be spent is all, less what the poorest must bring along; consumption is above its floor.
        edge = low if m is None else max(low, (m[0] - poor) / 1.02)
        here = edge + max(floor, 1e-3) + np.linspace(0, 1, points) ** 2 * 6.5
        b = edge + (np.minimum(cap, here - max(floor, 1e-9)) - edge)[:, None] * np.linspace(0, 1, 801)
        after = 0.0 if m is None else np.interp(1.02 * b[..., None] + np.array([poor, 1.4]), m, value) @ np.array([0.4, 0.6])
        worth = 1 - 1 / (here[:, None] - b) + beta * after
        best = worth.argmax(1)
        m, value, chosen = here, worth.max(1), here - b[np.arange(points), best]
    return m, chosen, value


@pytest.mark.parametrize("kind", ["egm", *[pytest.param(kind, marks=pytest.mark.slow) for kind in ("envelope", "search")]])
@pytest.mark.parametrize("place", PLACES)
def test_choices_at_bounds_are_those_of_a_search_by_hand(place, kind):
    cap, floor, poor, low, high = PLACES[place]
    stage = sc.solve(sc.load(text_of(place, kind)))[0]["C"]
    m, c, value = by_hand(cap, floor, poor, low)
    least = m[0]
    at = np.concatenate([least + np.array([0.05, 0.1, 0.2]), np.linspace(least + 0.3, min(4.5, high + 2.0), 40)])
    policy, found = stage.dcsn.sol.policy["c"](m=jnp.asarray(at)), stage.dcsn.sol.value(m=jnp.asarray(at))
    # A search knows a corner of the policy to within a cell of its grid.
    wide = 3e-3 if kind == "search" else 3e-4
    np.testing.assert_allclose(policy, np.interp(at, m, c), atol=2e-2 if kind == "search" else 6e-3)
    right = np.interp(at, m, value)
    np.testing.assert_allclose(found, right, rtol=wide, atol=wide)


CASES = Path(__file__).parents[1] / "cases"


def decision(name: str, t: int = 0):
    """The decision of the only stage of a case."""
    period = sc.solve(sc.load(CASES / name))[t]
    return period[next(iter(period.stages))].dcsn.sol


@pytest.mark.slow
def test_a_firm_whose_capital_may_not_leave_the_grid_is_worth_its_closed_form():
    sol, k = decision("01-bound-meets-grid-top.yml"), jnp.array([0.1, 1.0, 4.0, 9.0])
    np.testing.assert_allclose(sol.policy["i"](k=k), 1 / 3, atol=1e-9)
    np.testing.assert_allclose(sol.value(k=k), 7 / 6 + 1.4 * k, rtol=1e-7)


def test_a_cap_below_the_top_of_the_grid_binds_and_leaves_the_rest_to_consumption():
    sol, m = decision("05-cap-below-grid-top.yml"), jnp.array([0.4, 0.9, 1.0, 1.1, 1.2, 1.25, 1.3, 2.0, 9.0, 20.0])
    right = jnp.where(m <= 1, m, jnp.maximum((m + 2) / 3, m - 0.5))
    np.testing.assert_allclose(sol.policy["c"](m=m), right, atol=1e-9)


def test_a_floor_under_consumption_asks_for_savings_and_people_have_them():
    sol = decision("07-floor-on-consumption.yml")
    m = jnp.array([0.71, 0.8, 0.95, 1.01])
    np.testing.assert_allclose(sol.policy["c"](m=m), m - 0.2, atol=1e-9)
    assert sol.value(m=jnp.array(0.8)) == pytest.approx(np.log(0.6) + 0.475 * (np.log(0.5) + np.log(1.7)), abs=1e-6)


@pytest.mark.parametrize(
    "name",
    [
        "cap",
        pytest.param("beta", marks=pytest.mark.slow),
        pytest.param("cmin", marks=pytest.mark.slow),
        pytest.param("y", marks=pytest.mark.slow),
    ],
)
def test_derivatives_at_bounds_are_central_differences(name):
    circuit = sc.load(MODEL.format(horizon=2, n=40, beta=0.95, cap=0.5, floor=0.3, poor=0.5, debt=0.0, low=0.0, high=4.0,
                                   method="{solution: egm}", decision=PLAIN, bound="max(m - cap, cmin)"))  # fmt: skip
    m = jnp.array([0.5, 0.9, 1.3, 2.5])

    def chosen(x):
        sol = sc.solve(circuit.with_parameters({f"main.{name}": x}))[0]["C"].dcsn.sol
        return jnp.stack([sol.policy["c"](m=m), sol.value(m=m)])

    x, one = circuit.parameters["main"][name], jnp.zeros_like(circuit.parameters["main"][name]).at[...].set(1e-5)
    step = one if one.ndim == 0 else one * jnp.array([1.0, 0.0])
    slope = jax.jvp(chosen, (x,), (step,))[1]
    np.testing.assert_allclose(slope, (chosen(x + step) - chosen(x - step)) / 2, atol=1e-10, rtol=1e-5)
