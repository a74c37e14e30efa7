"""Helpers and shocks that a model declares once are those of every stage that names them."""

from pathlib import Path

import pytest

import heptapod

CASE = Path(__file__).parents[1] / "cases" / "16-survival-by-health.yml"
HELPERS = """    u(c): c^(1-gamma)/(1-gamma)
    B(a): theta*u(a + a_0)
    surv(h): where(h == 1, s_good, s_bad)
    cost(x, h): x*where(h == 1, med_good, med_bad)
"""
SHOCKS = """    health: {dimensions: ["h"], shock_method: markov, values: [0, 1], transition_matrix: [[1 - p_bg, p_bg], [p_gb, 1 - p_gb]], given: h_pre}
    medical: {dimensions: ["x"], shock_method: lognormal, std: sigma_med, n_points: n_x}
    wage: {dimensions: ["y"], shock_method: lognormal, std: sigma_w, n_points: n_w}
"""


def indented(text, more):
    return "".join(" " * more + line + "\n" for line in text.splitlines())


def once(text):
    """The same model with what its stages share declared for the model."""
    for line in (HELPERS + SHOCKS).splitlines():
        text = text.replace(f"    {line}\n", "").replace(f"  {line}\n", "")
    text = text.replace("      shocks:\n", "").replace("      functions: &f\n", "      functions: &f\n")
    return text.replace("  settings: {n_a", "  functions:\n" + HELPERS + "  shocks:\n" + SHOCKS + "  settings: {n_a")


def test_a_model_whose_helpers_and_shocks_are_declared_once_is_the_same_model():
    text = CASE.read_text()
    assert once(text).count("lognormal") == 2 and text.count("lognormal") == 3
    shared, written = heptapod.load(once(text)), heptapod.load(text)
    assert shared.structure == written.structure
    assert [str(d) for d in shared.diagnostics] == [str(d) for d in written.diagnostics] == []
    assert shared.text == once(text)


def test_nodes_of_a_shared_shock_are_those_of_the_first_stage_that_draws_it():
    text = once(CASE.read_text())
    assert heptapod.load(text.replace("nodes_of: WORK.health", "nodes_of: health")).structure == heptapod.load(text).structure


@pytest.mark.slow
def test_a_stage_may_list_the_shocks_that_it_draws_and_have_its_own():
    text = once(CASE.read_text())
    listed = text.replace(
        "      controls: {c: 0 < c <= m}\n", '      controls: {c: 0 < c <= m}\n      shocks: ["health", "medical"]\n'
    )
    assert heptapod.load(listed).structure == heptapod.load(text).structure
    own = text.replace("      controls: {c: 0 < c <= m}\n      state_space:\n        arvl: {dimensions: [\"a\", \"h_pre\", \"k\"]",
                       "      controls: {c: 0 < c <= m}\n      shocks: {medical: {dimensions: [x], shock_method: discrete, values: [1], "
                       "probs: [1]}}\n      state_space:\n        arvl: {dimensions: [\"a\", \"h_pre\", \"k\"]")  # fmt: skip
    assert own != text
    shocks = {s.name: [type(x).__name__ for x in s.shocks] for s in heptapod.load(own).structure.stages}
    assert shocks == {"CLAIM": [], "WORK": ["Markov", "Normal", "Normal"], "RETD": ["Discrete", "Markov"]}


@pytest.mark.parametrize(
    ("right", "wrong", "code", "under"),
    [
        ("    u(c): c^", "    u(c): q + c^", "unknown-symbol", "q + c"),
        ("std: sigma_med", "std: sigma_mad", "unknown-symbol", "sigma_mad"),
        ("    u(c): c^", "    g_av: m = a\n    u(c): c^", "unknown-key", "g_av"),
        ("    u(c): c^", "    idle(c): c\n    u(c): c^", "unused", "idle(c)"),
        ("    medical:", '    idle: {dimensions: ["z"], shock_method: normal, std: 1, n_points: 3}\n    medical:', "unused", "idle:"),
    ],
)  # fmt: skip
def test_a_mistake_in_what_is_shared_is_told_once_where_it_is_written(right, wrong, code, under):
    text = once(CASE.read_text())
    found = heptapod.check(text.replace(right, wrong, 1))
    assert [d.code for d in found] == [code], [str(d) for d in found]
    assert found[0].mark.text[found[0].mark.column - 1 :].startswith(under)
