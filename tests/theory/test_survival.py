"""Who lives on may depend on states and choices: distributions and agents die as a chain of health says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import heptapod
import stagecraft as sc

MODEL = """
dialect: 1
model:
  name: Health
  horizon: 6
  age: {start: 60, step: 1}
  terminal: log(a + 1)
  defaults: {inherit: all}
  parameters: {beta: 0.95, fall: 0.2, heal: 0.3, frail: 0.9, care: 0.5, s: {by: age, expr: 1 - 0.01*(age - 50)}}
  connections:
    inter_period: [{source: C, target: C, mapping: {b: a, h: h_pre}, survival: "SURVIVAL"}]
stage:
  name: C
  math:
    functions:
      alive(h): s*where(h == 1, 1, frail)
      g_av: m = a + 1
      g_ve: b = m - c
      Q: log(c) + beta*alive(h)*V[>]
    controls: {c: 0 < c <= m}
    shocks: {health: {dimensions: ["h"], shock_method: markov, values: [0, 1], given: h_pre,
                      transition_matrix: [[1 - heal, heal], [fall, 1 - fall]]}}
    state_space:
      arvl: {dimensions: ["a", "h_pre"], grid: {h_pre: {nodes_of: health}}}
      dcsn: {dimensions: ["m", "h"]}
      cntn: {dimensions: ["b", "h"], grid: {b: {type: linspace, min: 0.0, max: 9.0, points: 30}}}
"""
BY_HEALTH = MODEL.replace("SURVIVAL", "alive(h)")


def shares(heal=0.3, fall=0.2, frail=0.9):
    """Who is alive at the beginning of every period."""
    now, found = np.array([0.0, 1.0]), []
    for t in range(6):
        found.append(now.sum())
        now = now @ np.array([[1 - heal, heal], [fall, 1 - fall]]) * (1 - 0.01 * (10 + t)) * np.array([frail, 1.0])
    return np.array(found)


def alive(circuit):
    pushed = sc.push_forward(sc.solve(circuit), {"a": 2.0, "h_pre": 1.0})
    return jnp.stack([pushed[t]["C"].dcsn.dist.mass for t in range(6)])


@pytest.mark.slow
def test_distributions_die_by_health_as_the_chain_does_and_so_do_derivatives():
    circuit = sc.load(BY_HEALTH)
    np.testing.assert_allclose(alive(circuit), shares(), rtol=1e-12)
    slope = jax.jacobian(lambda x: alive(circuit.with_parameters({"main.frail": x})))(0.9)
    np.testing.assert_allclose(slope, (shares(frail=0.901) - shares(frail=0.899)) / 0.002, rtol=1e-5)


def test_agents_die_by_health_as_the_chain_does():
    solved = sc.solve(sc.load(BY_HEALTH))
    panel = sc.simulate(solved, {"a": 2.0, "h_pre": 1.0}, agents=20_000, key=jax.random.key(1))
    np.testing.assert_allclose(panel.share("C"), shares(), atol=0.012)
    sick, last = np.asarray(panel["C"]["h"])[0] == 0, np.isnan(np.asarray(panel["C"]["h"])[1])
    assert last[sick].mean() == pytest.approx(1 - 0.9 * 0.9, abs=0.02) and last[~sick].mean() == pytest.approx(0.1, abs=0.02)


@pytest.mark.slow
def test_survival_may_name_decisions_choices_and_post_states():
    """Two of three formulas for the same share: what is eaten is what is there and not kept."""
    masses = []
    for share in ("s*exp(-care*c)", "s*exp(-care*(m - b))"):
        circuit = sc.load(MODEL.replace("SURVIVAL", share).replace("beta*alive(h)", f"beta*frail*{share}*0 + beta"))
        masses.append(np.asarray(alive(circuit)))
    np.testing.assert_allclose(masses[0], masses[1], rtol=1e-12)
    assert 0.05 < masses[0][1] < 0.9 * np.exp(-0.5 * 0.1)


@pytest.mark.parametrize(
    ("survival", "objective", "warned"),
    [
        ("alive(h)", "beta*alive(h)*V[>]", False),
        ("alive(h)", "beta*where(h > 0, s, s*frail)*V[>]", False),
        ("s", "beta*s*V[>]", False),
        ("alive(h)", "beta*s*V[>]", True),
        ("s*where(h == 1, 1, frail^2)", "beta*alive(h)*V[>]", True),
        ("alive(h)*exp(-care*c)", "beta*alive(h)*V[>]", True),
    ],
)
def test_a_survival_that_decisions_do_not_count_on_is_warned_of(survival, objective, warned):
    found = heptapod.check(MODEL.replace("SURVIVAL", survival).replace("beta*alive(h)*V[>]", objective))
    assert [d.code for d in found if d.code != "unused"] == ["survival"] * warned


def test_a_survival_sees_what_its_source_sees_and_nothing_else():
    for share, code in (("alive(hh)", "unknown-symbol"), ("alive(h_pre)", "unknown-symbol"), ("alive(h, h)", "arity")):
        assert code in [d.code for d in heptapod.check(MODEL.replace("SURVIVAL", share))], share


@pytest.mark.parametrize(
    ("survival", "found"),
    [("1.2 - h", "1.2 at h = 0"), ("0.5 - h", "-0.5 at h = 1"), ("where(h == 1, 0.9, 1.0) - 0.4*t*h", "-0.3 at h = 1, t = 3")],
)
def test_a_survival_that_is_no_share_at_some_state_or_age_is_refused(survival, found):
    told = [d for d in heptapod.check(MODEL.replace("SURVIVAL", survival)) if d.severity == "error"]
    assert [d.code for d in told] == ["domain"] and f"must lie in [0, 1], found {found}" in told[0].message
