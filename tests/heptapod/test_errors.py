"""A message says where, what, and what to do."""

import pickle

import pytest

from heptapod.errors import Collector, Diagnostic, Mark, ModelError, did_you_mean

LINE = '      functions: {g_ve: w = w - Pr*S, Q: "V[>]"}'


def unknown(line=68, column=33, file="housing.yml"):
    mark = Mark(file, line, column, LINE, 2)
    return Diagnostic("unknown-symbol", "`Pr` is not declared in g_ve of stage RNTH", mark, "did you mean `P_r`?")


def test_a_diagnostic_shows_the_line_a_caret_and_help():
    assert str(unknown()) == (
        "housing.yml:68:33: error[unknown-symbol]: `Pr` is not declared in g_ve of stage RNTH\n"
        '  68 |       functions: {g_ve: w = w - Pr*S, Q: "V[>]"}\n'
        "                                       ^^\n"
        "  help: did you mean `P_r`?"
    )


def test_the_caret_stands_under_the_word():
    shown = str(unknown()).splitlines()
    assert shown[1][shown[2].index("^") :].startswith("Pr")


def test_without_a_source_line_there_is_no_caret():
    assert str(Diagnostic("mapping", "arrival needs H", Mark("a.yml", 28, 9))) == (
        "a.yml:28:9: error[mapping]: arrival needs H"
    )


@pytest.mark.parametrize("severity", ["error", "warning", "note"])
def test_severity_is_said(severity):
    assert f"{severity}[unused]" in str(Diagnostic("unused", "`x` is never used", severity=severity))


def test_a_long_line_is_shown_around_its_caret():
    text = " " * 5000 + "Pr" + " " * 5000
    shown = str(Diagnostic("syntax", "no", Mark("a.yml", 1, 5001, text, 2))).splitlines()
    assert len(shown[1]) < 200
    assert shown[1][shown[2].index("^") :].startswith("Pr")


def test_a_tab_does_not_move_the_caret():
    shown = str(Diagnostic("syntax", "no", Mark("a.yml", 1, 3, "\t\tPr", 2))).splitlines()
    assert shown[1][shown[2].index("^") :].startswith("Pr")


def test_an_error_speaks_for_its_first_diagnostic():
    error = ModelError(unknown(), unknown(70))
    assert (error.code, error.file, error.line, error.column) == ("unknown-symbol", "housing.yml", 68, 33)
    assert error.help == "did you mean `P_r`?"
    assert str(error) == f"{unknown()}\n{unknown(70)}"
    assert isinstance(error, ValueError)


def test_an_error_survives_pickling():
    error = pickle.loads(pickle.dumps(ModelError(unknown(), unknown(70))))
    assert error.diagnostics == (unknown(), unknown(70))


def test_an_error_without_a_diagnostic_is_none():
    with pytest.raises(TypeError):
        ModelError()


@pytest.mark.parametrize(
    ("name", "pool", "answer"),
    [
        ("Pr", ["P_r", "R", "P"], "did you mean `P_r`?"),
        ("beta_", ["beta", "zeta"], "did you mean `beta`?"),
        ("gama", ["gamma", "beta"], "did you mean `gamma`?"),
        ("xyzzy", ["gamma", "beta"], None),
        ("x", [], None),
    ],
)
def test_the_nearest_name_is_suggested(name, pool, answer):
    assert did_you_mean(name, pool) == answer


def test_a_collector_raises_every_error_in_the_order_of_the_source():
    found = Collector()
    found.error("b", "second", Mark("a.yml", 2, 9))
    found.error("c", "third", Mark("b.yml", 1, 1))
    found.error("a", "first", Mark("a.yml", 2, 1), help="do this")
    found.warning("unused", "a warning", Mark("a.yml", 1, 1))
    found.note("dropped", "a note", Mark("a.yml", 1, 2))
    with pytest.raises(ModelError) as raised:
        found.raise_if_any()
    assert [diagnostic.code for diagnostic in raised.value.diagnostics] == ["a", "b", "c"]
    assert [diagnostic.severity for diagnostic in found.diagnostics] == ["warning", "note", "error", "error", "error"]


def test_warnings_refuse_nothing():
    found = Collector()
    found.warning("unused", "a warning", Mark())
    found.raise_if_any()
    assert not found.errors


def test_the_same_complaint_is_heard_once():
    found = Collector()
    found.extend(ModelError(unknown(), unknown(70)))
    found.extend(ModelError(unknown()))
    assert found.errors == (unknown(), unknown(70))
