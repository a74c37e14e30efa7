"""What explain says of every model: the method, the reason, the formulas, and where the names come from."""

import re
from pathlib import Path

import pytest

import heptapod

ROOT = Path(__file__).parents[2]
SHARED = Path(__file__).parents[1] / "models"
EXAMPLES = {path.stem: path for path in sorted((ROOT / "examples").glob("*/*.yml"))}
SIX = {path.stem: path for path in sorted(SHARED.glob("*.yml"))}
MODELS = EXAMPLES | SIX
NEW = ("health", "durable", "job_search")


def lines(problem) -> list[tuple[str, str]]:
    """(label, text) of every line below the stage's name."""
    first, *rest = heptapod.explain(problem, width=None).splitlines()
    assert first == f"stage {problem.name}"
    return [tuple(re.split(r" {2,}", line.strip(), maxsplit=1)) for line in rest]


# (model, stage) -> method, whether with upper envelope, words of the reason, lines that must be there.
SAID = {
    ("housing", "TENU"): ("choice", False, "one of its branches", [("joined by", "the maximum"), ("Q of own", "V[>]")]),
    ("housing", "OWNH"): ("choice", False, "values of a finite set", [("H_new", "one of 6 values"), ("Q if", "w > 0")]),
    ("housing", "OWNC"): ("egm", True, "a choice of H_new lies downstream",
                          [("rows", "H (6 values), y (3 values)"), ("c", "alpha/(beta*lambda)"), ("w", "a_nxt + c"),
                           ("dV/dw", "alpha/c"), ("lowest a_nxt", "0, where c meets its upper bound")]),
    ("housing", "RNTC"): ("egm", True, "downstream", [("rows", "S (6 values), y (3 values)")]),
    ("ret_choice", "LABR"): ("choice", False, "branches", [("joined by", "s log(sum exp(Q/s)), s = sigma_eps; s = 0 is the maximum"),
                                                           ("Q of work", "V[>] - delta")]),
    ("ret_choice", "WORK"): ("egm", True, "a choice among branches lies downstream", [("c", "1/(beta*lambda)"), ("m", "b + c")]),
    ("ret_choice", "RETD"): ("egm", False, "has a closed inverse", [("c", "1/(beta*lambda)")]),
    ("mortgage_mon", "REFI"): ("choice", False, "branches", [("Q of refi if", "m > f")]),
    ("mortgage_mon", "CONS"): ("egm", True, "downstream", [("c", "(beta*lambda)^(-1/gamma)"), ("x", "a_nxt + c")]),
    ("cons_indshock", "CONS"): ("egm", False, "closed inverse", [("weight of V[>]", "beta*s"), ("dV/dm", "c^(-gamma)")]),
    ("aiyagari", "CONS"): ("egm", False, "closed inverse",
                           [("c", "(1/(beta*lambda) if gamma == 1 else (beta*lambda)^(-1/gamma))"), ("rows", "z (7 values)")]),
    ("portfolio", "PORT"): ("nested", False, "does not involve c: share first", [("c", "(beta*lambda)^(-1/gamma)"), ("dV/dm", "c^(-gamma)")]),
    ("health", "LUCK"): ("choice", False, "nature draws", [("P(well)", "h*(-p_heal - p_sick + 1) + p_heal")]),
    ("health", "SICK"): ("egm", False, "closed inverse", []),
    ("durable", "ADJ"): ("choice", False, "branches", []),
    ("durable", "BUY"): ("choice", False, "finite set", [("d_new", "one of 8 values")]),
    ("durable", "CONS"): ("egm", True, "a choice among branches lies downstream (ADJ)", [("rows", "d (25 knots)")]),
    ("job_search", "SEARCH"): ("choice", False, "the stage chooses", [("Q of accept if", "met > 0")]),
    ("job_search", "FATE"): ("choice", False, "nature draws", [("P(keep)", "1 - lose"), ("P(lost)", "lose")]),
    ("job_search", "WORK"): ("egm", True, "downstream", [("rows", "w (5 values)")]),
    ("job_search", "UNEM"): ("egm", True, "downstream", []),
}  # fmt: skip
WORDS = {"egm": "(egm)", "choice": "(choice)", "nested": "(nested)", "identity": "(identity)", "vfi": "(vfi)"}


@pytest.mark.parametrize(("model", "stage"), SAID)
def test_the_method_the_reason_and_the_formulas_are_said(model, stage):
    method, envelope, words, wanted = SAID[model, stage]
    problem = heptapod.load(MODELS[model]).stages[stage]
    said = lines(problem)
    assert said[0][0] == "method" and WORDS[method] in said[0][1] and ("upper envelope" in said[0][1]) == envelope
    assert said[1][0] == "because" and words in said[1][1]
    assert [line for line in wanted if line not in said] == []
    assert (problem.num.method, problem.num.solution.upper_envelope) == (method, envelope)


@pytest.mark.parametrize("model", MODELS)
def test_every_stage_of_every_model_is_explained(model):
    spec = heptapod.load(MODELS[model])
    text = heptapod.explain(spec, width=None)
    assert text == heptapod.explain(MODELS[model], width=None) and text.splitlines()[0].startswith(f"{spec.name}: ")
    shown = heptapod.explain(spec)
    assert max(map(len, shown.splitlines())) <= 96 and re.sub(r"\n {6,}", " ", shown) == text
    for problem in spec.stages.values():
        assert heptapod.explain(problem, width=None) in text
        assert all(label in dict(lines(problem)) for label in ("method", "because"))
    # Nothing of sympy or of our keys shows through.
    assert not re.search(r"Piecewise|Heaviside|dV\[>\]|\*\*|Symbol|\[<\]|u\(\)", text)


@pytest.mark.parametrize("model", MODELS)
def test_the_names_of_a_stage_are_those_that_it_uses_with_their_lines(model):
    spec, text = heptapod.load(MODELS[model]), MODELS[model].read_text().splitlines()
    for problem in spec.stages.values():
        seen = {str(s) for e in problem.equations.g_av.values() for s in e.free_symbols}
        for branch in problem.equations.branches:
            seen |= {str(s) for e in (branch.objective, *branch.g_ve.values()) for s in e.free_symbols}
        assert {n for n in problem.parameters if n in seen} <= set(problem.provenance)
        for name, origin in problem.provenance.items():
            line = int(re.search(r":(\d+)\)$", origin)[1])
            assert re.search(rf"\b{name}\b *:", text[line - 1]), (name, origin)
        said = lines(problem)
        shown = [line for label, line in said if label == "names"]
        alone = {label for label, _ in said}
        assert all(name in alone or any(re.search(rf"\b{name} \d+", line) for line in shown) for name in problem.provenance)


def test_what_a_stage_does_not_use_is_not_listed():
    provenance = heptapod.load(SIX["housing"]).stages["RNTH"].provenance
    assert set(provenance) == {"P_r", "S_vals"}
    assert provenance["P_r"] == "inherited from the model (housing.yml:14)"


def test_brackets_definitions_and_overrides_are_told_apart():
    provenance = heptapod.load(SIX["ret_choice"]).stages["WORK"].provenance
    assert provenance["beta"].startswith('inherited from the model by ["beta"]')
    hidden = SIX["housing"].read_text().replace("  OWNC:\n", "  OWNC:\n    parameters: {beta: 0.5}\n")
    assert "declared here, hiding that of the model" in heptapod.load(hidden).stages["OWNC"].provenance["beta"]
    aiyagari = heptapod.explain(SIX["aiyagari"], width=None)
    assert re.search(r"inherited from the model, aiyagari.yml: .*\bw 14\b", aiyagari)


@pytest.mark.parametrize("model", NEW)
def test_the_examples_have_nothing_to_say_against_them(model):
    assert heptapod.check(EXAMPLES[model]) == ()
    assert heptapod.to_latex(EXAMPLES[model]).count(r"\begin{align*}") >= 5


def test_a_worker_in_bad_health_earns_less_and_lives_shorter():
    spec = heptapod.load(EXAMPLES["health"])
    p = spec.parameters["main"]
    assert (p["mort"] * (1 + p["excess"]) < 1).all() and ((p["p_sick"] > 0) & (p["p_heal"] < 1)).all()
    assert (p["earn"] * (1 - p["loss"] * p["work"]) > 2 * p["med"]).all()


def test_the_kinds_of_period_of_a_job_search_differ():
    spec = heptapod.load(EXAMPLES["job_search"])
    first, second = spec.structure.block(0), spec.structure.block(1)
    assert "FATE" not in first.stages and {"FATE", "SEARCH", "WORK", "UNEM"} == set(second.stages)
    assert spec.structure.starts == ("SEARCH",)
