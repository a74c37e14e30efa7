"""Floors under consumption, closed and open, alone and with hours that have corners: right, or refused with what works."""

import sys
from pathlib import Path

import numpy as np
import pytest

import heptapod
import stagecraft as sc

sys.path.insert(0, str(Path(__file__).parent))

import test_bounds as bounds
from labour import MODEL
from small import FRAME, stage

PERIODS, BETA, R, FLOOR = 3, 0.95, 1.03, 0.8
NUMBERS = "beta: 0.95, R: 1.03, w: 1.0, gamma: 2.0, psi: 6.0, phi: 2.0, least: 0.8"
TOIL, FELICITY = "psi*n^(1+phi)/(1+phi)", "c^(1-gamma)/(1-gamma)"


def two_stages(floor, hours):
    """Hours first, then consumption."""
    grid = "{{grid: {{{}: {{type: exp, min: 0, max: {}, points: 120}}}}}}".format
    work = stage("WORK", f'g_av: x = R*a, g_ve: m = x + w*n, Q: "V[>] - {TOIL}"', f"n: {hours}",
                 arvl="{dimensions: [a]}", dcsn="{dimensions: [x]}", cntn=grid("m", 14))  # fmt: skip
    eat = stage("CONS", f'g_ve: b = m - c, Q: "{FELICITY} + beta*V[>]"', f'c: "{floor} c <= m"',
                arvl="{dimensions: [m]}", dcsn="{dimensions: [m]}", cntn=grid("b", 12))  # fmt: skip
    links = dict(intra="{source: WORK, target: CONS}", inter="{source: CONS, target: WORK, mapping: {b: a}}")
    return FRAME.replace("n: 250", "points: 250").format(
        T=PERIODS, terminal="0", parameters=NUMBERS, **links, stages=work + eat
    )


def one_stage(bound, hours, more=""):
    functions = f'g_av: m = R*a, g_ve: "b = m + w*n - c", Q: "{FELICITY} - {TOIL} + beta*V[>]"'
    text = MODEL.format(T=PERIODS, parameters=NUMBERS, points=60, method="auto", functions=functions,
                        controls=f'c: "{bound}", n: {hours}', state="m", top=12.0)  # fmt: skip
    return text.replace("    state_space:", f"{more}    state_space:", 1)


def by_search(most, points=1200):
    """Arrival assets from the least, value and hours of the first period: savings, then hours, on lattices from exact edges."""
    after, edge = None, 0.0
    steps = np.linspace(0, 1, 801)
    for _ in range(PERIODS):
        # Whoever comes next must reach the least cash, with all hours that there are.
        saved = edge / R
        m = saved + FLOOR + np.linspace(0, 1, points) ** 2 * 15
        b = saved + (m[:, None] - FLOOR - saved) * steps**2
        eaten = m[:, None] - b
        worth = -1 / eaten + (0 if after is None else BETA * np.interp(R * b, *after))
        value = worth.max(1)
        edge = max(m[0] - most, 0.0)
        x = edge + np.linspace(0, 1, points) ** 2 * 13
        low = np.clip(m[0] - x, 0, most)
        n = low[:, None] + (most - low)[:, None] * steps
        total = np.interp(x[:, None] + n, m, value) - 2 * n**3
        after = x, total.max(1)
        hours = n[np.arange(points), total.argmax(1)]
    return x / R, after[1], hours


@pytest.mark.slow
@pytest.mark.parametrize(("floor", "most"), [("least <=", 1.0), ("least <", 1.0), ("least <=", 0.6)])
def test_those_below_a_floor_work_for_it_as_a_search_says(floor, most):
    """They were once called infeasible, all those who would not choose the floor's cash by themselves."""
    sol = sc.solve(sc.load(two_stages(floor, f"0 <= n <= {most}")))[0]["WORK"]
    a, value, hours = by_search(most)
    at = a[0] + np.array([0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.55, 0.7, 1.0, 2.0, 4.0])
    np.testing.assert_allclose(sol.arvl.sol.value(a=at), np.interp(at, a, value), atol=3e-3)
    np.testing.assert_allclose(sol.dcsn.sol.policy["n"](x=R * at), np.interp(at, a, hours), atol=8e-3)
    assert a[0] == 0 or np.isnan(sol.arvl.sol.value(a=np.array([a[0] - 0.01])))


@pytest.mark.slow
def test_an_open_floor_that_holds_people_is_worth_what_a_closed_one_is():
    """The reward is not infinitely steep there; states up to twice the floor were once called infeasible."""
    closed = bounds.text_of("floor", "egm")
    assert "cmin <= c" in closed
    sol = sc.solve(sc.load(closed.replace("cmin <= c", "cmin < c")))[0]["C"].dcsn.sol
    m, c, value = bounds.by_hand(*bounds.PLACES["floor"][:-1])
    at = m[0] + np.array([0.02, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0])
    np.testing.assert_allclose(sol.value(m=at), np.interp(at, m, value), atol=1e-3)
    np.testing.assert_allclose(sol.policy["c"](m=at), np.interp(at, m, c), atol=6e-3)


@pytest.mark.parametrize("hours", ["0 <= n <= 1", "0 < n < 1"])
@pytest.mark.parametrize("floor", ["least <=", "least <"])
@pytest.mark.parametrize("most", ["<= m + w*n", "< m + w*n", "<= min(m + w*n, 2)"])
def test_one_stage_with_a_floor_beside_hours_is_refused_with_two_ways_out(floor, most, hours):
    with pytest.raises(heptapod.ModelError) as told:
        heptapod.load(one_stage(f"{floor} c {most}", hours))
    (only,) = told.value.diagnostics
    assert (only.code, only.mark.line) == ("bounds", 15)
    assert "the bound of `c` names the control `n`" in only.message
    assert "held at its bound least" in only.message or "does not say what the lowest b is" in only.message
    assert "choose `n` in a stage of its own" in only.help and "constraints: {budget: ...}" in only.help


@pytest.mark.slow
def test_the_second_way_out_is_right():
    """By search, with the budget as a constraint."""
    model = one_stage("least <= c <= m + w", "0 <= n <= 1", "    constraints: {budget: b >= 0}\n")
    sol = sc.solve(sc.load(model))[0]["HH"].arvl.sol
    a, value, _ = by_search(1.0)
    at = np.array([0.2, 0.4, 0.55, 0.7, 1.0, 2.0, 4.0])
    np.testing.assert_allclose(sol.value(a=at), np.interp(at, a, value), atol=4e-3)
