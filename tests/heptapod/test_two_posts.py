"""A stage whose controls move two continuous post-states: searched, or refused with which, why and what works."""

import pytest

import heptapod

MODEL = """
model:
  name: Durable
  horizon: 5
  terminal: 0
  parameters: {beta: 0.95, R: 1.03, y: 1.0, delta: 0.1}
  settings: {n: 20}
  defaults: {inherit: all}
  connections: {inter_period: [{source: S, target: S, mapping: {a_nxt: a, d_nxt: d}}]}
stage:
  name: S
  methods: {solution: METHOD}
  math:
    functions: {g_av: "m = R*a + y; d = d", g_ve: "a_nxt = m - c - i; d_nxt = (1-delta)*d + i", Q: "log(c) + log(d_nxt) + beta*V[>]"}
    controls: {c: 0 < c <= m, i: 0 <= i <= m}
    state_space:
      arvl: {dimensions: ["a", "d"]}
      dcsn: {dimensions: ["m", "d"], grid: {d: {min: 0.1, max: 5, points: n}}}
      cntn: {dimensions: ["a_nxt", "d_nxt"], grid: {a_nxt: {min: 0, max: 10, points: n}, d_nxt: {min: 0.1, max: 5, points: n}}}
"""
WHY = "2 post-states move with the control i: a_nxt and d_nxt"
WAY = "or choose `i` in a stage of its own before that of `c`"


def refused(text):
    with pytest.raises(heptapod.ModelError) as told:
        heptapod.load(text)
    (only,) = told.value.diagnostics
    return only


def test_it_is_searched_and_says_why():
    (num,) = heptapod.load(MODEL.replace("METHOD", "auto")).structure.stages
    assert num.method == "vfi"
    assert "i moves another post-state, d_nxt" in num.solution.reason and WHY in num.solution.reason


def test_egm_is_refused_with_the_post_states_by_name_and_what_works():
    told = refused(MODEL.replace("METHOD", "egm"))
    assert told.code == "method" and told.mark.line == 12
    assert WHY in told.message
    assert "leave it out: `vfi`" in told.help and WAY in told.help


@pytest.mark.parametrize("missing", [", grid: {d: {min: 0.1, max: 5, points: n}}", ", d_nxt: {min: 0.1, max: 5, points: n}"])
def test_a_grid_that_the_search_lacks_is_asked_for_with_why_there_is_a_search(missing):
    text = MODEL.replace("METHOD", "auto")
    assert missing in text
    text = text.replace(missing, "")
    if "d_nxt" in missing:  # Nor has the state a grid that could stand in.
        text = text.replace("{d: {min: 0.1, max: 5, points: n}}", "{m: {min: 0.1, max: 5, points: n}}")
    told = refused(text)
    assert told.code == "grid" and "has no grid, on which a direct search keeps" in told.message
    assert f"it is searched, since with c by its Euler equation i moves another post-state, d_nxt; with i by its Euler equation {WHY}" \
        in told.message  # fmt: skip
    assert WAY in told.help and ": {min: 0, max: 50, points:" in told.help


@pytest.mark.parametrize("written", ['["m = R*a + y", "d = d"]', "{m: R*a + y, d: d}"])
def test_equations_that_are_written_as_a_list_are_shown_as_the_text_that_they_should_be(written):
    told = refused(MODEL.replace("METHOD", "auto").replace('"m = R*a + y; d = d"', written))
    assert told.code == "type" and '"m = R*a + y; d = d"' in told.help
