"""Mutations of a good file: each is refused with its code, at its line, with the caret under what is wrong."""

from pathlib import Path

import pytest

import heptapod

MODEL = (Path(__file__).parents[2] / "examples" / "cons_indshock" / "cons_indshock.yml").read_text()

# (what stands in the good file, what replaces it, code, text under the caret)
MUTATIONS = [
    ("g_av: m = R/G*a + y", "g_av: m = R/GG*a + y", "unknown-symbol", "GG"),
    ("g_av: m = R/G*a + y", "g_av: mm = R/G*a + y", "target", "mm"),
    ("g_av: m = R/G*a + y", "g_av: m = R/G*a + c", "unknown-symbol", "c"),
    ("g_av: m = R/G*a + y", "g_av: R/G*a + y", "equation", "R"),
    ("g_av: m = R/G*a + y", "g_av: m = R/G*a + + * y", "syntax", None),
    ("g_ve: a_nxt = m - c", "g_ve: a_nxt = m[t+1] - c", "index", "m"),
    ("g_ve: a_nxt = m - c", "g_ve: a_nxt = a - c", "unknown-symbol", "a"),
    ("g_ve: a_nxt = m - c", "g_vee: a_nxt = m - c", "unknown-key", "g_vee"),
    ("Q:    u(c) + beta*(s*V[>] + (1-s)*B(a_nxt))", "Q:    u(c)", "objective", "Q"),
    ("Q:    u(c) + beta*(s*V[>] + (1-s)*B(a_nxt))", "Q:    u(c, a_nxt) + beta*V[>]", "arity", "u"),
    ("Q:    u(c) + beta*(s*V[>] + (1-s)*B(a_nxt))", "Q:    uu(c) + beta*V[>]", "unknown-function", "uu"),
    ("Q:    u(c) + beta*(s*V[>] + (1-s)*B(a_nxt))", "Q:    u(c) + n_a*V[>]", "scope", "n_a"),
    ("A:    E[G^(1-gamma)*V]", "A:    G^(1-gamma)*V", "objective", "A"),
    ("A:    E[G^(1-gamma)*V]", "V:    u(c)", "objective", "V"),
    ("A:    E[G^(1-gamma)*V]", "V:    u(cc) + beta*V[>]", "unknown-symbol", "cc"),
    ("u(c): c^(1-gamma)/(1-gamma)", "u(c): u(c)/(1-gamma)", "circular", "u"),
    ("u(c): c^(1-gamma)/(1-gamma)", "u(c): m*c^(1-gamma)/(1-gamma)", "scope", "m"),
    ("u(c): c^(1-gamma)/(1-gamma)", "u(c): __import__('os').system('touch x')", "not-allowed", "__import__"),
    ("u(c): c^(1-gamma)/(1-gamma)", "u(c): '(lambda: c)()'", "not-allowed", None),
    ("controls: {c: 0 < c <= m}", "controls: {c: c > m + 1 + c}", "bounds", None),
    ("controls: {c: 0 < c <= m}", "controls: {c: 0 < c}", "bounds", None),
    ("controls: {c: 0 < c <= m}", "controls: {c: 0 < c <= m/2}", "bounds", None),
    ("controls: {c: 0 < c <= m}", "controls: {c: 0 < c <= mm}", "unknown-symbol", "mm"),
    ('dimensions: ["y"]', "dimensions: y", "type", "y"),
    ('dimensions: ["y"]', 'dimensions: ["a"]', "name", None),
    ("shock_method: lognormal", "shock_method: lognormla", "value", "lognormla"),
    ("std: sigma_y", "std: sigma_z", "unknown-symbol", "sigma_z"),
    ("std: sigma_y", "stdev: sigma_y", "unknown-key", "stdev"),
    ("n_points: n_y", "n_points: beta", "type", None),
    ("n_points: n_y", "n_points: 0", "type", None),
    ("n_points: n_y", "", "shock", None),
    ("type: exp, min: 0.0, max: a_max, points: n_a}}}\n      dcsn", "type: expp, min: 0.0, max: a_max, points: n_a}}}\n      dcsn",
     "value", "expp"),
    ("cntn: {grid: {a_nxt: {type: exp, min: 0.0", "cntn: {grid: {a_nxt: {type: exp, min: 70.0", "grid-bounds", "min"),
    ("cntn: {grid: {a_nxt: {type: exp, min: 0.0", "cntn: {grid: {a_nxt: {type: geomspace, min: 0.0", "grid-bounds", "min"),
    ("cntn: {grid: {a_nxt: {type: exp, min: 0.0", "cntn: {grid: {a_nxt: {type: exp, min: -1.0", "grid-bounds", "a_nxt"),
    ("cntn: {grid: {a_nxt: {type: exp, min: 0.0, max: a_max, points: n_a}}}", "cntn: {grid: {a_nxt: {type: exp, min: 0.0}}}", "grid", "a_nxt"),
    ("cntn: {grid: {a_nxt:", "cnt: {grid: {a_nxt:", "unknown-key", "cnt"),
    ("mapping: {a_nxt: a}", "mapping: {a_nx: a}", "mapping", "a_nx"),
    ("mapping: {a_nxt: a}", "mapping: {a_nxt: b}", "mapping", "b"),
    ("target: CONS", "target: CON", "reference", "CON"),
    ("  terminal: B(a)                     # value on the arrival state after the last period\n", "", "terminal", "horizon"),
    ("terminal: B(a) ", "terminal: B(m) ", "unknown-symbol", "m"),
    ("horizon: 65 ", "horizon: 0 ", "horizon", "0"),
    ("horizon: 65 ", "horizon: many ", "unknown-symbol", "many"),
    ("settings: {n_a", "setings: {n_a", "unknown-key", "setings"),
    ("beta:    0.96", "beta:    oops", "unknown-symbol", "oops"),
    ("beta:    0.96", "beta:    [\"bta\"]", "reference", "bta"),
    ("beta:    0.96", "V:    0.96", "name", "V"),
    ('gamma:   {value: 2.0, in: "(0, inf)"}', 'gamma:   {value: -2.0, in: "(0, inf)"}', "domain", None),
    ('gamma:   {value: 2.0, in: "(0, inf)"}', 'gamma:   {value: 2.0, in: "0 to inf"}', "domain", None),
    ('gamma:   {value: 2.0, in: "(0, inf)"}', 'gamma:   {valeu: 2.0}', "unknown-key", "valeu"),
    ("steps: {25: 1.03,", "steps: {30: 1.03,", "by-age", None),
    ("G:       {by: age, steps: {25: 1.03, 45: 1.00, 65: 0.70, 66: 1.00}}", "G:       {by: age, values: [1.0, 1.1]}", "by-age", None),
    ("G:       {by: age", "G:       {by: agee", "value", "agee"),
    ("theta:   1.5 ", "theta:   a_0*2\n    a_0:     theta ", "duplicate-key", None),
    ("a_0:     1.0", "a_0:     theta\n    theta2:  theta3\n    theta3:  theta2", "circular", "theta3"),
    ("age: {start: 25, step: 1} ", "age: {begin: 25, step: 1} ", "unknown-key", "begin"),
    ("dialect: 1", "dialect: 7", "dialect", "7"),
    ("  name: CONS\n  parameters:", "  kind: sequentiall\n  name: CONS\n  parameters:", "value", "sequentiall"),
    ("  name: CONS\n  parameters:", "  parameters:", "name", None),
    ("sigma_y: 0.10", "sigma_y: -0.10", "domain", None),
    ("mean: 1.0", "mean: -1.0", "domain", None),
    ("n_points: n_y", "n_points: 1000000", "shock", None),
    ("beta:    0.96", "beta:    .nan", "parameter", ".nan"),
    ("beta:    0.96", "beta:    [0.9, 0.95]", "scope", "beta"),
    ("beta:    0.96", "exp:    0.96", "name", "exp"),
    ("beta:    0.96", "if:    0.96", "name", "if"),
    ("beta:    0.96", "beta:    {by: age, value: 0.96}", "parameter", "by"),
    ("terminal: B(a) ", "terminal: true ", "type", "true"),
    ("terminal: B(a) ", "terminal: null ", "terminal", None),
    ("terminal: B(a) ", "terminal: {CON: B(a)} ", "unknown-key", "CON"),
    ("points: n_a}}}\n      dcsn", "points: n_a, p: 3}}}\n      dcsn", "unknown-key", "p"),
    ("points: n_a}}}\n      dcsn", "points: n_a, nest: 1.5}}}\n      dcsn", "grid", "1.5"),
    ("points: n_a}}}\n      dcsn", "points: 100000000}}}\n      dcsn", "type", None),
    ("a_max: 60.0", "a_max: [60.0]", "parameter", None),
    ("mapping: {a_nxt: a}}", "mapping: {a_nxt: a}}\n      - {source: CONS, target: CONS, mapping: {a_nxt: a}}", "connection", None),
]  # fmt: skip


@pytest.mark.parametrize(("good", "bad", "code", "under"), MUTATIONS, ids=[f"{i}-{m[2]}" for i, m in enumerate(MUTATIONS)])
def test_a_wrong_model_is_refused_where_it_is_wrong(good, bad, code, under):
    assert MODEL.count(good) == 1 or good in MODEL, good
    text = MODEL.replace(good, bad, 1)
    with pytest.raises(heptapod.ModelError) as caught:
        heptapod.load(text)
    found = [d for d in caught.value.diagnostics if d.code == code]
    assert found, str(caught.value)
    mark = found[0].mark
    line = text.splitlines()[mark.line - 1]
    assert mark.text == line
    if under is not None:
        assert line[mark.column - 1 :].startswith(under), str(caught.value)
    assert f":{mark.line}:{mark.column}: error[{code}]" in str(caught.value) and "^" in str(caught.value)


def test_all_errors_of_a_file_come_at_once():
    text = MODEL.replace("R/G*a", "R/GG*a").replace("mapping: {a_nxt: a}", "mapping: {x: a}").replace("0.96", "oops")
    with pytest.raises(heptapod.ModelError) as caught:
        heptapod.load(text)
    assert {"unknown-symbol"} <= {d.code for d in caught.value.diagnostics}
    assert len(caught.value.diagnostics) >= 2
    places = [(d.mark.line, d.mark.column) for d in caught.value.diagnostics]
    assert places == sorted(places)


@pytest.mark.parametrize("text", ["# nothing\n", "- a\n- b\n", "word\n\n"])
def test_a_file_that_is_no_model_is_told_so_once(text):
    with pytest.raises(heptapod.ModelError) as caught:
        heptapod.load(text)
    assert len(caught.value.diagnostics) == 1


@pytest.mark.parametrize("source", ["", "  ", None, 3, b"model:"])
def test_a_source_is_a_path_or_text(source):
    with pytest.raises(TypeError, match="from text"):
        heptapod.load(source)


def test_one_mistake_is_told_once():
    text = MODEL.replace("beta:    0.96", "beta:    {valeu: 0.96}")
    with pytest.raises(heptapod.ModelError) as caught:
        heptapod.load(text)
    assert {d.mark.line for d in caught.value.diagnostics} == {caught.value.line}


def test_a_terminal_value_may_be_given_by_stage():
    one = heptapod.load(MODEL)
    assert heptapod.load(MODEL.replace("terminal: B(a) ", "terminal: {CONS: B(a)} ")).structure == one.structure


def test_the_order_of_parameters_does_not_matter():
    lines = MODEL.replace("    beta:    0.96\n", "").replace("    a_0:     1.0\n", "    a_0:     1.0\n    beta:    0.96\n")
    assert heptapod.load(lines).structure == heptapod.load(MODEL).structure


def test_a_grid_may_move_with_age():
    text = MODEL.replace("a_max: 60.0}", "}").replace(
        "    theta: ", "    a_max: {by: age, expr: 40 + 0.1*(age - 25)}\n    theta: "
    )
    assert heptapod.load(text).stages["CONS"].parameters["a_max"].shape == (65,)


def test_a_missing_file_is_a_model_error(tmp_path):
    with pytest.raises(heptapod.ModelError, match="cannot read"):
        heptapod.load(tmp_path / "nowhere.yml")


def test_an_inherited_name_that_is_not_listed_says_which_line_to_add():
    text = MODEL.replace("    beta:    0.96\n", "").replace("  terminal:", "  parameters: {beta: 0.96}\n  terminal:", 1)
    with pytest.raises(heptapod.ModelError, match=r'add `beta: \["beta"\]` to the parameters of CONS'):
        heptapod.load(text)
    fixed = text.replace("    gamma:", '    beta: ["beta"]\n    gamma:', 1)
    assert "beta" in heptapod.load(fixed).parameters["main"]
    everything = text.replace("  connections:", "  defaults: {inherit: all}\n  connections:", 1)
    assert "beta" in heptapod.load(everything).parameters["main"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "    controls: {c",
            "    methods: {solution: vfi}\n    controls: {c",
            "`methods` is a key of a stage and of a mover; here the keys are",
        ),
        ("    controls: {c", "    horizon: 7\n    controls: {c", "`horizon` is a key of `model`; here the keys are"),
        ("terminal: B(a) ", "terminal: B(m) ", "variables here: a"),
        ("g_ve: a_nxt = m - c", "g_ve: a_nxt = a - c", "variables here: m, c"),
        ('dimensions: ["y"]', 'dimensions: ["n_a"]', "the shock `n_a` shares its name with a setting"),
        ('dimensions: ["y"]', 'dimensions: ["beta"]', "the shock `beta` shares its name with a parameter"),
        ('dimensions: ["y"]', 'dimensions: ["a"]', "the shock `a` shares its name with a state"),
        ("controls: {c: 0 < c", "controls: {n_a: 0 < n_a", "the control `n_a` shares its name with a setting"),
        ("controls: {c: 0 < c", "controls: {y: 0 < y", "the control `y` shares its name with a shock"),
        ("cntn: {grid: {a_nxt:", "cntn: {grid: {n_a:", "`n_a` is a state on cntn and a setting"),
    ],
)
def test_a_message_says_what_else_has_the_name_and_which_names_are_in_sight(old, new, words):
    assert old in MODEL and any(words in str(found) for found in heptapod.check(MODEL.replace(old, new)))
