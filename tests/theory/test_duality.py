"""Solve and push are each other's transpose at the points where the solve asked: every kind of stage, example and gallery file."""

import sys
from pathlib import Path

import pytest

import stagecraft as sc

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "stagecraft"))

from duality import balances
from models import BUFFER, ODDS
from one_word import EXAMPLES_BY_NAME
from test_bounds import KINDS, PLACES, text_of
from test_flat import MODEL as FLAT

FOLDER = Path(__file__).parents[1] / "cases"
# Models whose value is no mean of rewards: a certainty equivalent is not linear in it. One with present bias records a value
# that is, of what it does and not of what it seeks; beliefs apart from the truth are those of a simulation alone.
EXCEPTIONS = {"epstein_zin"}
QUICK = {"mccall", "rust"}
CASES = (
    "01-bound-meets-grid-top", "02-kinked-rate-no-atom", "05-cap-below-grid-top", "07-floor-on-consumption", "08-no-choice-for-ever",
    "10-branch-to-the-next-period", "11-q-model-not-finite",
)  # fmt: skip

HOURS = """
model:
  name: HoursAndTaste
  horizon: 2
  terminal: log(a + 1)
  parameters: {beta: 0.95, R: 1.03, delta: 0.35, w: 1.0, s: 0.1}
  defaults: {inherit: all}
  connections: {inter_period: [{source: WORK, target: WORK, mapping: {a_nxt: a, z: z_pre}}]}
stage:
  name: WORK
  settings: {n: 20}
  math:
    functions:
      g_av: m = R*a + 0.4
      g_ve: a_nxt = m + w*z*h - c
      Q: log(c) - delta*h + beta*V[>]
    controls: {c: 0 < c <= m + w*z*h, h: {in: [0, 1]}}
    choice: {by: agent, taste_shock: gumbel, scale: s}
    shocks: {skill: {dimensions: [z], shock_method: markov, values: [0.8, 1.2], transition_matrix: [[0.7, 0.3], [0.2, 0.8]], given: z_pre}}
    state_space:
      arvl: {grid: {a: {type: linspace, min: 0, max: 14.0, points: n}}, dimensions: [a, z_pre]}
      dcsn: {dimensions: [m, z]}
      cntn: {grid: {a_nxt: {type: linspace, min: 0, max: 14.0, points: n}}, dimensions: [a_nxt, z]}
"""


def hold(text: str, times=None) -> None:
    """The identity to 1e-12 at every perch of some periods, one of each kind by default, and at most points of each."""
    solved = sc.solve(sc.load(text))
    for t in times or [block.first for block in solved.structure.blocks]:
        found = balances(solved, t)
        assert {name for name, place in found if place == "dcsn"} == set(solved[t].stages)
        for place, balance in found.items():
            assert balance.gap < 1e-12, (t, place, balance.gap)
            assert balance.met.all(), (t, place)
            # Beside these stand knots at which two runs of the correspondence cross, and what nobody can have.
            assert balance.asked.mean() > (0.3 if place[1] == "dcsn" else 0.6), (t, place, balance.asked.mean())


@pytest.mark.parametrize(
    "name", [x if x in QUICK else pytest.param(x, marks=pytest.mark.slow) for x in EXAMPLES_BY_NAME if x not in EXCEPTIONS]
)
def test_what_an_example_stores_is_the_reward_and_what_those_who_leave_find(name):
    hold(EXAMPLES_BY_NAME[name].text())


SMALL = {
    "parameters by age, and the last of them": (BUFFER, (0, 11)),
    "a chain, nature, a point mass": (ODDS, (0,)),
    "hours beside consumption": (HOURS, (0,)),
    "a search": (EXAMPLES_BY_NAME["saver"].switched("vfi"), (0,)),
}


SLOW = {"hours beside consumption", "a search", "a chain, nature, a point mass"}


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in SMALL])
def test_every_kind_of_stage_stores_the_reward_and_what_those_who_leave_find(name):
    hold(*SMALL[name])


HELD = [("cap inside", "egm"), ("floor and debt", "egm")]
HELD_TOO = [(place, "egm") for place in PLACES] + [(place, kind) for place, _ in HELD for kind in KINDS]


@pytest.mark.parametrize(
    ("place", "kind"), HELD + [pytest.param(*x, marks=pytest.mark.slow) for x in dict.fromkeys(HELD_TOO) if x not in HELD]
)
@pytest.mark.filterwarnings("ignore:stage C")
def test_those_who_are_held_at_a_bound_count_as_all_others(place, kind):
    hold(text_of(place, kind), (0,))


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore:stage")
def test_troubles_that_were_solved_hold_it_too(name):
    hold((FOLDER / f"{name}.yml").read_text(), (0,))


@pytest.mark.slow
def test_those_who_stay_where_saving_is_worth_nothing_hold_it_too():
    hold(FLAT.format(periods=3, terminal="log(a + 1.5)", arrive="m = max(R*a + 0.2, 1.0)", low="debt"), (0,))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["portfolio", "cons_indshock"])
def test_searches_of_examples_hold_it_too(name):
    hold(EXAMPLES_BY_NAME[name].switched("vfi"), (0,))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(EXCEPTIONS))
def test_exceptions_are_some(name):
    """Whoever stands in the list does not hold the identity."""
    found = balances(sc.solve(sc.load(EXAMPLES_BY_NAME[name].text())), 0)
    assert max(balance.gap for balance in found.values()) > 1e-3
