"""Pictures show the numbers that the solution, the panel and the distribution hold, under the names of the model."""

import re
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")
from matplotlib import pyplot as plt

import stagecraft as sc
from stagecraft.households.population import Population

sys.path.insert(0, str(Path(__file__).parent))
from models import BUFFER, ODDS

TYPES = BUFFER.replace("parameters: {beta: 0.95", "types: {R: [1.01, 1.05], weights: [0.5, 0.5]}\n  parameters: {beta: 0.95", 1)


@pytest.fixture(scope="module")
def solved():
    return sc.solve(sc.load(BUFFER))


@pytest.fixture(scope="module")
def pushed(solved):
    return sc.push_forward(solved, {"a": 1.0})


@pytest.fixture(scope="module")
def odds():
    return sc.solve(sc.load(ODDS))


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def words(ax):
    return ax.get_xlabel(), ax.get_ylabel(), ax.get_legend_handles_labels()[1]


def test_a_stage_draws_its_policy_where_it_was_solved(solved):
    stage = solved[3]["CONS"]
    ax = stage.plot()
    assert words(ax) == ("m", "c", ["c"])
    x, y = ax.lines[0].get_data()
    knots = np.asarray(stage.dcsn.sol.rows.state)
    assert set(knots) <= set(x), "kinks lie on knots"
    np.testing.assert_allclose(y, stage.dcsn.sol.policy["c"](m=x), rtol=1e-12)
    m = np.linspace(1.0, 2.0, 7)
    ax = stage.plot(["value", "marginal[m]"], {"m": m}, label="age 33", color="k")
    assert words(ax)[2] == ["age 33, value", "age 33, marginal[m]"]
    np.testing.assert_allclose(ax.lines[1].get_ydata(), stage.dcsn.sol.marginal["m"](m=m))
    assert stage.plot("value", {"a": [1.0, 2.0]}, perch="arvl").get_xlabel() == "a"
    assert stage.plot("value", perch="cntn").get_xlabel() == "a_nxt"


def test_a_discrete_state_has_a_curve_for_each_value_and_points_for_an_axis(odds):
    stage = odds[1]["CONS"]
    ax = stage.plot("c")
    assert words(ax) == ("m", "c", ["z = 0.5", "z = 1.5"])
    x, y = ax.lines[1].get_data()
    np.testing.assert_allclose(y, stage.dcsn.sol.policy["c"](m=x, z=1.5), rtol=1e-12)
    ax = stage.plot("c", "z", at={"m": 2.0})
    np.testing.assert_allclose(ax.lines[0].get_data(), [[0.5, 1.5], stage.dcsn.sol.policy["c"](m=2.0, z=jnp.array([0.5, 1.5]))])
    ax = odds[1]["FATE"].plot(x={"a": np.linspace(0.0, 2.0, 5)}, at={"z": 1.5})
    assert words(ax)[2] == ["good", "bad"]
    np.testing.assert_allclose([line.get_ydata()[0] for line in ax.lines], [0.4, 0.6])


def test_all_ages_at_once_are_the_ages_one_by_one(solved):
    many, m = solved.stage("CONS"), jnp.array([0.5, 2.0])
    answer = many.at(m=m)
    one = [solved[t]["CONS"].dcsn.sol.at(m=m) for t in range(12)]
    np.testing.assert_allclose(answer.value, [a.value for a in one], rtol=1e-12)
    np.testing.assert_allclose(many.policy["c"](m=m), [a.policy["c"] for a in one], rtol=1e-12)
    np.testing.assert_allclose(many.marginal["m"](m=2.0), [a.marginal["m"][1] for a in one], rtol=1e-12)
    np.testing.assert_allclose(many.value(m=2.0), [a.value[1] for a in one], rtol=1e-12)
    arrival = [solved[t]["CONS"].arvl.sol.value(a=1.0) for t in (0, 11)]
    np.testing.assert_allclose(many.at("arvl", a=1.0).value[jnp.array([0, 11])], arrival, rtol=1e-12)
    frame = many.to_pandas(m=m)
    assert list(frame.columns) == ["period", "age", "m", "value", "c", "marginal[m]"]
    row = frame[(frame["age"] == 33) & (frame["m"] == 2.0)]
    np.testing.assert_allclose(row["c"], one[3].policy["c"][1], rtol=1e-12)
    assert len(solved[2:5]) == 3 and int(solved[2:5][0].t) == 2
    assert "age 30 to 41" in repr(many) and len(repr(many).splitlines()) <= 12
    slope = jax.grad(lambda m: jnp.sum(many.policy["c"](m=m)))(2.0)
    difference = np.sum(many.policy["c"](m=2.0 + 1e-6) - many.policy["c"](m=2.0 - 1e-6)) / 2e-6
    np.testing.assert_allclose(slope, difference, rtol=1e-6)


def test_a_circuit_draws_over_ages_where_every_state_is_held(solved):
    ax = solved.plot("CONS.c", at={"m": 2.0})
    assert words(ax) == ("age", "c", ["c"])
    x, y = ax.lines[0].get_data()
    np.testing.assert_array_equal(x, np.arange(30, 42))
    np.testing.assert_allclose(y, solved.stage("CONS").policy["c"](m=2.0))
    ax = solved.plot("CONS.c", {"m": [1.0, 2.0]})
    assert words(ax)[2] == ["age 30", "age 36", "age 41"]
    np.testing.assert_allclose(ax.lines[2].get_ydata(), solved[11]["CONS"].dcsn.sol.policy["c"](m=jnp.array([1.0, 2.0])))
    ax = solved.compare(solved, "CONS.c", {"m": [1.0, 2.0]}, period=4, labels=("before", "after"))
    assert words(ax)[2] == ["before", "after"]


def test_types_have_a_curve_each():
    solved = sc.solve(sc.load(TYPES))
    ax = solved.plot("CONS.c", at={"m": 2.0})
    assert words(ax)[2] == ["type 0, c", "type 1, c"]
    np.testing.assert_allclose(ax.lines[1].get_ydata(), solved.of_type(1).stage("CONS").policy["c"](m=2.0))
    with pytest.raises(ValueError, match=r"of_type\(0\)"):
        solved.stage("CONS")


def test_a_panel_draws_means_and_percentiles(solved):
    panel = sc.simulate(solved, {"a": jnp.linspace(0, 3, 500)}, key=jax.random.key(0))
    ax = panel.plot("c", "CONS.a")
    assert words(ax) == ("age", "c, CONS.a", ["c", "CONS.a"])
    np.testing.assert_allclose(ax.lines[0].get_ydata(), panel.mean("c"))
    low = ax.collections[0].get_paths()[0].vertices[:, 1].min()
    np.testing.assert_allclose(low, np.percentile(panel["c"], 10, axis=1).min())
    assert not panel.plot("c", band=None).collections
    assert panel.plot().get_ylabel() == "CONS.c, CONS.a_nxt"


@pytest.mark.slow
def test_households_draw_quantiles_shares_and_inequality(pushed):
    ax = pushed.plot("CONS.a_nxt")
    dists = [pushed[t]["CONS"].cntn.dist for t in range(12)]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [d.quantile("a_nxt", 0.5) for d in dists])
    assert words(ax)[:2] == ("age", "a_nxt") and len(ax.collections) == 2
    ax = pushed.plot("CONS.a_nxt", kind="density", period=5)
    counts = ax.patches[0].get_data().values
    assert 0.998 < counts.sum() <= 1.0 + 1e-9
    ax = pushed.plot("CONS.a_nxt", kind="lorenz", period=5)
    assert f"Gini {float(dists[5].gini('a_nxt')):.3f}" in words(ax)[2][0]
    np.testing.assert_allclose(np.interp(0.5, *ax.lines[0].get_data()), dists[5].lorenz("a_nxt", 0.5), rtol=1e-9)
    assert pushed.plot("CONS.c", at={"m": 2.0}).get_xlabel() == "age", "what is held still is a policy"


@pytest.mark.parametrize(
    ("draw", "says"),
    [
        (lambda s, p: sc.load(BUFFER).plot("CONS.c"), "not solved; call stagecraft.solve"),
        (lambda s, p: sc.load(BUFFER)[0]["CONS"].plot(), "not solved"),
        (lambda s, p: sc.load(BUFFER).stage("CONS"), "not solved"),
        (lambda s, p: s.plot("CONS.d"), "no `d` to draw; there are c, value, marginal, marginal[m]"),
        (lambda s, p: s.plot("WORK.c"), "`WORK.c` names no stage; there are CONS"),
        (lambda s, p: s.plot("c"), "write `CONS.c`"),
        (lambda s, p: s.plot("CONS.a_nxt", kind="fan"), "no households yet: draw what sc.push_forward"),
        (lambda s, p: p.plot("CONS.zz"), "no variable `zz` to draw; there are"),
        (lambda s, p: p.plot("CONS", kind="density"), "say of which variable, `CONS.NAME`"),
        (lambda s, p: p.plot("CONS.a", kind="fan", period=1), 'a fan runs over all periods: leave `period` out, or say kind="'),
        (lambda s, p: s.compare(sc.load(BUFFER), "CONS.c"), "not solved; call stagecraft.solve"),
        (lambda s, p: p.plot("CONS.a", kind="pie"), "`kind` is one of fan, density, lorenz, found `pie`"),
        (lambda s, p: s[0]["CONS"].plot(at={"z": 1.0}), "no state `z` to hold still; it has m"),
        (lambda s, p: s[0]["CONS"].plot(x="z"), "no state `z`; it has m"),
        (lambda s, p: s[0]["CONS"].plot(at={"m": 1.0}), "leave one out of `at`"),
        (lambda s, p: s[0]["CONS"].plot(x={"m": [1.0], "a": [2.0]}), "x is one state with its points"),
        (lambda s, p: s[0]["CONS"].plot(perch="middle"), "no perch `middle`; there are arvl, dcsn, cntn"),
        (lambda s, p: s[11]["CONS"].plot("value", perch="cntn"), "no knots along `a_nxt`; say where to draw"),
        (lambda s, p: jax.jit(lambda m: s.with_parameters({"CONS.floor": m}).plot("CONS.c"))(0.2), "not solved"),
        (lambda s, p: jax.jit(lambda: sc.solve(sc.load(BUFFER))[0]["CONS"].plot() or 1)(), "draw outside of jit"),
    ],
)
def test_what_cannot_be_drawn_says_what_to_do(solved, pushed, draw, says):
    with pytest.raises((ValueError, KeyError), match=re.escape(says)):
        draw(solved, pushed)


def test_what_is_no_circuit_is_neither_compared_nor_explained(solved):
    panel = sc.Panel({"CONS": {"c": jnp.ones((1, 3))}})
    with pytest.raises(TypeError, match="compare takes a ModelCircuit, found Panel"):
        solved.compare(panel, "CONS.c")
    with pytest.raises(TypeError, match="text of a circuit and of its stages; found Panel"):
        sc.explain(panel)
    with pytest.raises(TypeError, match='what is drawn has a name, "CONS.c", found list'):
        solved.plot(["CONS.c"])


def test_statics_without_a_change_have_none_to_draw():
    one = sc.analysis.comparative_statics.Statics(1.0, {"main.beta": 2.0}, {"main.beta": jnp.float64(0.9)}, {}, {})
    with pytest.raises(ValueError, match="no column `change` to draw; there are value, derivative, elasticity; `to=` or"):
        one.plot("change")


def test_a_picture_stands_on_the_axes_it_is_given(solved):
    _, ax = plt.subplots()
    ax.set_xlabel("cash on hand")
    assert solved[0]["CONS"].plot(ax=ax) is ax and ax.get_xlabel() == "cash on hand"
    solved[5]["CONS"].plot(ax=ax)
    assert len(ax.lines) == 2


def test_to_xarray_names_its_dimensions(solved):
    pytest.importorskip("xarray")
    data = solved.stage("CONS").to_xarray(m=jnp.array([1.0, 2.0]))
    assert dict(data.sizes) == {"period": 12, "m": 2}
    np.testing.assert_allclose(data["c"].sel(period=3, m=2.0), solved[3]["CONS"].dcsn.sol.policy["c"](m=2.0))
    assert float(data["age"][3]) == 33


@pytest.mark.slow
def test_moments_of_households_are_those_of_their_distributions(pushed):
    frame = pushed.stage("CONS").moments("a_nxt")
    assert list(frame.columns[:3]) == ["period", "age", "variable"] and (abs(frame["mass"] - 1) < 1e-9).all()
    for t in (0, 3):
        dist, row = pushed[t]["CONS"].cntn.dist, frame[(frame["variable"] == "a_nxt") & (frame["period"] == t)].iloc[0]
        np.testing.assert_allclose(
            row[["mean", "gini", "q50"]].astype(float), [dist.mean("a_nxt"), dist.gini("a_nxt"), dist.quantile("a_nxt", 0.5)]
        )
    with pytest.raises(ValueError, match=r"has no variable `k`; there are a, "):
        pushed.stage("CONS").moments("k")


def test_a_panel_is_a_dataset_too(solved):
    pytest.importorskip("xarray")
    panel = sc.simulate(solved, {"a": jnp.ones(3)}, key=jax.random.key(0))
    data = panel.to_xarray()
    assert data["CONS.c"].dims == ("period", "agent") and data["age"].dims == ("period",)
    np.testing.assert_array_equal(data["CONS.c"].values, panel["c"])


def test_a_discrete_axis_is_asked_at_its_values(odds):
    stage = odds[1]["CONS"]
    for wrong in (lambda: stage.plot("c", {"z": [0.5, 1.0]}, at={"m": 1.0}), lambda: stage.plot("c", at={"z": 0.7})):
        with pytest.raises(ValueError, match=r"`z` of stage CONS is discrete: it is one of 0.5, 1.5; found (1|0.7)$"):
            wrong()


def test_a_state_of_households_who_are_not_there_says_who_brings_them(solved):
    with pytest.raises(ValueError, match=r"`a_nxt` is a state, whose distribution is drawn of what sc.push_forward"):
        solved.plot("CONS.a_nxt")
    with pytest.raises(ValueError, match=r"no households yet: ask what sc.push_forward"):
        solved.stage("CONS").moments()


UNITS = BUFFER.replace(
    "  terminal: log(a + 1)", "  units: {age: years, m: 1000 euros, c: 1000 euros, a_nxt: saved, y: 1}\n  terminal: log(a + 1)"
)


@pytest.mark.slow
def test_axes_have_the_units_that_the_model_says(solved):
    """Units decide no program: the solution is that of the model without them."""
    circuit = sc.load(UNITS)
    assert jax.tree.structure(circuit) == jax.tree.structure(sc.load(BUFFER))
    told = sc.solve(circuit)
    assert words(told[3]["CONS"].plot())[:2] == ("m (1000 euros)", "c (1000 euros)")
    assert words(told[3]["CONS"].plot(["c", "value"]))[1] == "c (1000 euros), value"
    assert words(told.plot("CONS.c", at={"m": 2.0}))[:2] == ("age (years)", "c (1000 euros)")
    assert words(told.plot("CONS.c", at={"m": 2.0}, label="now"))[2] == ["now, c"]
    panel = sc.simulate(told, {"a": jnp.ones(3)}, key=jax.random.key(0))
    assert words(panel.plot("c", "m"))[:2] == ("age (years)", "c, m (1000 euros)")
    assert words(panel.plot("CONS.c", "a_nxt"))[1] == "CONS.c (1000 euros), a_nxt (saved)"
    people = sc.push_forward(told, {"a": 1.0})
    assert words(people.plot("CONS.a_nxt"))[:2] == ("age (years)", "a_nxt (saved)")
    assert people.plot("CONS.a_nxt", kind="density").get_xlabel() == "a_nxt (saved)"
    assert people.plot("CONS.a_nxt", kind="lorenz").get_ylabel() == "share of a_nxt"
    assert words(solved[3]["CONS"].plot())[:2] == ("m", "c")


@pytest.mark.parametrize(
    ("units", "says"),
    [
        ("{n: euros}", "no variable `n` that has a unit.*the variables are a, m, a_nxt, y, c, age|no variable `n`"),
        ("{a_nx: euros}", "no variable `a_nx` that has a unit"),
        ("{m: [euros]}", "a unit is text, found a list"),
        ("euros", "`units` must be a mapping"),
    ],
)
def test_a_unit_is_text_and_of_a_variable(units, says):
    with pytest.raises(ValueError, match=says):
        sc.load(BUFFER.replace("  terminal: log(a + 1)", f"  units: {units}\n  terminal: log(a + 1)"))


KINDS = """
model:
  name: Kinds
  horizon: 6
  start: WORK
  age: {start: 60, step: 1}
  terminal: 0
  parameters: {beta: 0.95, R: 1.02}
  settings: {n: 12}
  defaults: {inherit: all}
  connections:
    inter_period:
      - {source: WORK, target: WORK, mapping: {a_nxt: a}, periods: 0..2}
      - {source: WORK, target: REST, mapping: {a_nxt: a}, periods: 3}
      - {source: REST, target: REST, mapping: {a_nxt: a}}
stages:
  WORK:
    math: &saver
      functions: {g_av: m = R*a + 1, g_ve: a_nxt = m - c, Q: "log(c) + beta*V[>]"}
      controls: {c: 0 < c <= m}
      state_space:
        arvl: {dimensions: ["a"]}
        dcsn: {dimensions: ["m"]}
        cntn: {grid: {a_nxt: {type: linspace, min: 0.0, max: 5.0, points: n}}}
  REST:
    math:
      <<: *saver
      functions: {g_av: m = R*a + 0.5, g_ve: a_nxt = m - c, Q: "log(c) + beta*V[>]"}
"""


def test_periods_that_differ_in_kind_are_drawn_kind_by_kind():
    circuit = sc.load(KINDS)
    board = circuit.folded
    early, last, rest = groups = list(dict.fromkeys(board.groups))
    assert groups == ["WORK, ages 60 to 62", "WORK, age 63", "REST, ages 64 to 65"]
    between = [(e.source, e.target) for e in board.forward if e.source.endswith("cntn")]
    ways = [(early, early), (early, last), (last, rest), (rest, rest)]
    assert between == [(f"{a}.cntn", f"{b}.arvl") for a, b in ways]
    words = [text.get_text() for text in sc.draw(circuit).texts]
    assert set(groups) <= set(words)
    assert "ages 64 to 65" in circuit._repr_html_()


def test_quantiles_and_lorenz_curves_of_many_ages_are_compiled_once(caplog):
    """Each call was once compiled anew, a fan of 35 ages for ten seconds."""
    ages = [Population({"a": jnp.linspace(0.0, 1.0 + k, 7)}, jnp.full(7, 1.0 / 7)) for k in range(3)]
    asked = [(ages[0].quantile("a", jnp.array([0.2, 0.5])), ages[0].lorenz("a", 0.5), ages[0].share("a"))]
    with jax.log_compiles():
        asked += [(x.quantile("a", jnp.array([0.2, 0.5])), x.lorenz("a", 0.5), x.share("a")) for x in ages[1:]]
    assert not [record for record in caplog.records if "Compiling" in record.getMessage()]
    for k, (quantile, half, top) in enumerate(asked):
        np.testing.assert_allclose(quantile[1], 0.5 * (1.0 + k))  # The middle point of seven.
        np.testing.assert_allclose([half, top], [(3 + 0.5 * 3) / 21, 0.7 * 6 / 21], rtol=1e-6)  # Of 0 + 1 + ... + 6.
