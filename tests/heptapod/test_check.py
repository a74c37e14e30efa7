"""The checker's command line, explain and LaTeX."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import heptapod

MODEL = Path(__file__).parents[2] / "examples" / "cons_indshock" / "cons_indshock.yml"


def test_a_good_file_has_nothing_to_say():
    assert heptapod.check(MODEL) == ()


def test_a_wrong_file_is_told_whole_and_not_raised(tmp_path):
    path = tmp_path / "wrong.yml"
    path.write_text(MODEL.read_text().replace("R/G*a", "r/g*a"))
    found = heptapod.check(path)
    assert [d.code for d in found] and all(d.mark.file == "wrong.yml" for d in found)


def test_the_command_line_says_where_and_exits_with_a_status(tmp_path):
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(MODEL.read_text().replace("R/G*a", "r/G*a"))
    run = lambda *files: subprocess.run(
        [sys.executable, "-m", "heptapod", "check", *map(str, files)], capture_output=True, text=True
    )
    good, bad = run(MODEL), run(MODEL, wrong)
    assert good.returncode == 0 and "0 errors" in good.stdout
    assert bad.returncode == 1 and "wrong.yml:27:" in bad.stdout and "did you mean `R`" in bad.stdout
    assert run().returncode == 2


def test_what_is_declared_and_never_used_is_a_warning_with_a_place():
    text = MODEL.read_text().replace("    theta: ", "    idle:    3.0\n    theta: ").replace("n_y: 7,", "n_y: 7, extra: 2,")
    text = text.replace("      B(a):", "      v(c): 2*c\n      B(a):")
    found = heptapod.check(text)
    assert [(d.severity, d.code) for d in found] == [("warning", "unused")] * 3
    assert {text.splitlines()[d.mark.line - 1][d.mark.column - 1 :].split(":")[0] for d in found} == {"idle", "extra", "v(c)"}
    assert heptapod.load(text).diagnostics == found


def test_explain_prints_every_derived_formula():
    text = heptapod.explain(MODEL)
    assert "m               a_nxt + c" in text and "dV/dm           c^(-gamma)" in text
    assert heptapod.explain(heptapod.load(MODEL).stages["CONS"]) in text


def test_the_latex_of_a_model_is_balanced_and_whole():
    text = heptapod.to_latex(MODEL)
    for left, right in ("{}", "[]", "()"):
        assert text.count(left) == text.count(right)
    assert text.count(r"\begin{") == text.count(r"\end{") == 8
    for piece in (r"\max_{c}", r"\mathrm{E}\left[G^{1 - \gamma} V\right]", r"\lambda", r"0 &< c \leq m", "0.96"):
        assert piece in text
    assert not re.search(r"\[[<~>]\]", text)


@pytest.mark.parametrize("name", ["math", "methods", "num", "derived"])
def test_a_model_of_one_stage_lends_the_parts_of_its_stage(name):
    spec = heptapod.load(MODEL)
    assert getattr(spec, name) is getattr(spec.stages["CONS"], name)
    with pytest.raises(AttributeError):
        _ = spec.nothing


def test_a_functional_problem_has_its_five_parts():
    problem = heptapod.load(MODEL).stages["CONS"]
    assert set(problem.math) >= {"functions", "controls", "shocks", "state_space"}
    assert float(problem.parameters["beta"]) == 0.96 and problem.parameters["G"].shape == (65,)
    assert float(problem.settings["n_a"]) == 200 and problem.methods["solution"] == "auto"
    assert problem.num.method == "egm" and problem.num.solution.control == "c"


def test_two_loads_have_one_numeric_side_whatever_the_defaults():
    text = MODEL.read_text()
    one, other = heptapod.load(MODEL), heptapod.load(text.replace("0.96", "0.91").replace("theta:   1.5", "theta:   0"))
    assert one.num == other.num and hash(one.num) == hash(other.num) and one.structure == other.structure
    assert one.num != heptapod.load(text.replace("R/G*a + y", "R/G*a + 2*y")).num
