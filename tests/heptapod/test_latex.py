"""LaTeX of every kind of stage: balanced, complete, and drawn by matplotlib row by row where it knows the signs."""

import re
from pathlib import Path

import pytest
from matplotlib import mathtext

import heptapod
from heptapod.parameters.calibration import MAIN
from heptapod.reports.latex import plain

ROOT = Path(__file__).parents[2]
MODELS = sorted((Path(__file__).parents[1] / "models").glob("*.yml"))
EXAMPLES = sorted((ROOT / "examples").glob("*/*.yml"))
# What matplotlib's own small TeX does not know, and amsmath does.
UNKNOWN = ("\\begin{cases}", "\\begin{pmatrix}", "\\text{for}")
HEAD = "model: {name: X, horizon: 3, terminal: 0, parameters: {beta: 0.9, sig: 0.3, p_up: 0.4}, defaults: {inherit: all}}\n"
KINDS = {
    "nature": """stage:
  name: S
  kind: branching
  math:
    branches: {up_1: {g_ve: "a = 1.1*a", Q: "beta*V[>]"}, down: {g_ve: "a = a/2", Q: "beta*V[>]"}}
    choice: {by: nature, probs: {up_1: p_up, down: 1 - p_up}}
    state_space: {arvl: {grid: {a: {min: 0.0, max: 4.0, points: 5}}}}
""",
    "log-sum over a discrete control": """stage:
  name: S
  math:
    functions: {g_ve: "a = a - d", Q: "log(1 + d) + beta*V[>]"}
    controls: {d: {in: [0, 1, 2]}}
    constraints: {no_debt: "a[>] >= 0"}
    choice: {taste_shock: gumbel, scale: sig}
    state_space: {arvl: {grid: {a: {min: 0.0, max: 4.0, points: 5}}}}
""",
    "Epstein-Zin": """stage:
  name: S
  math:
    functions: {g_av: "m = y*a + x + z", g_ve: a_nxt = m - c, Q: "((1-beta)*c^0.5 + beta*V[>]^0.5)^2", A: "E[V^(1-sig)]^(1/(1-sig))"}
    controls: {c: 0 < c < m}
    shocks:
      y: {dimensions: ["y"], shock_method: uniform, mean: 1, std: sig, n_points: 3, point_mass: {value: 0, prob: 0.1}}
      x: {dimensions: ["x"], shock_method: discrete, values: [0, 1], probs: [0.5, 0.5]}
      z: {dimensions: ["z"], shock_method: tauchen, rho: 0.5, std: sig, n_points: 3, given: z_pre}
    state_space: {arvl: {dimensions: [a, z_pre]}, dcsn: {dimensions: [m, z]}, cntn: {dimensions: [a_nxt, z], grid: {a_nxt: {min: 0, max: 9, points: 5}}}}
""",
}
LINKS = {"Epstein-Zin": "mapping: {a_nxt: a, z: z_pre}"}


def kind(name: str) -> str:
    """A model of one stage of a kind, that leads to itself."""
    if name not in LINKS:
        return HEAD + KINDS[name]
    link = f"connections: {{inter_period: [{{source: S, target: S, {LINKS[name]}}}]}}"
    return HEAD.replace("defaults:", link + ", defaults:") + KINDS[name]


SOURCES = (
    {path.stem: path for path in MODELS} | {f"example {path.stem}": path for path in EXAMPLES} | {name: None for name in KINDS}
)


@pytest.fixture(scope="module", params=SOURCES)
def model(request):
    return heptapod.load(SOURCES[request.param] or kind(request.param))


def rows(text: str) -> list[str]:
    """Every row of every `align*`, one formula each."""
    blocks = re.findall(r"\\begin\{align\*\}\n(.*?)\n\\end\{align\*\}", text, flags=re.S)
    return [row.strip().removesuffix("\\\\").strip() for block in blocks for row in block.split("\n")]


def test_braces_brackets_and_environments_are_balanced(model):
    text = heptapod.to_latex(model)
    depth = 0
    for character in re.sub(r"\\[{}]", "", text):
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0 and text.count(r"\left") == text.count(r"\right")
    assert re.findall(r"\\begin\{(\S+?)\}", text) and sorted(re.findall(r"\\begin\{(\S+?)\}", text)) == sorted(
        re.findall(r"\\end\{(\S+?)\}", text)
    )
    # A percent sign is a comment, an underscore a subscript: neither comes by itself.
    assert all(line.startswith("%") for line in text.splitlines() if "%" in line)
    assert not re.search(r"\[[<~>]\]|(?<!\\)_\w*_", text)


def test_every_row_is_drawn(model):
    parser, drawn = mathtext.MathTextParser("path"), 0
    for row in rows(heptapod.to_latex(model)):
        if not any(word in row for word in UNKNOWN):
            parser.parse("$" + row.replace("&", "").strip() + "$")
            drawn += 1
    assert drawn >= 3


def test_every_symbol_of_the_equations_is_there(model):
    text = heptapod.to_latex(model)
    for problem in model.stages.values():
        equations = problem.equations
        names = {str(s) for b in equations.branches for e in (b.objective, *b.g_ve.values()) for s in e.free_symbols}
        names |= {str(s) for e in equations.g_av.values() for s in e.free_symbols}
        for name in names - {"V[>]"}:
            assert plain(re.sub(r"\[[<~>]\]$", "", name)) in text, name
        own = heptapod.to_latex(problem)
        assert own.split("% calibration")[0].strip() in text
        assert all("$ & " in line for line in own.splitlines() if line.endswith(r"\\") and line.startswith("  $"))
    for scope, values in model.parameters.items():
        title = "the model" if scope == MAIN else scope
        assert not values or f"% calibration of {title}" in text
        assert all(f"  ${plain(name)}$ & $" in text for name in values)


def test_what_was_derived_is_there(model):
    for problem in model.stages.values():
        text = heptapod.to_latex(problem)
        assert (r"\lambda = \frac{\partial V^{\succ}}" in text) == (problem.num.method in ("egm", "nested"))


@pytest.mark.parametrize(
    ("name", "latex"),
    [
        ("H_vals", r"H_{\mathrm{vals}}"),
        ("a_nxt", r"a_{\mathrm{nxt}}"),
        ("sigma_y", r"\sigma_{\mathrm{y}}"),
        ("gamma", r"\gamma"),
        ("c", "c"),
        ("share_pre", r"\mathit{share}_{\mathrm{pre}}"),
        ("a_b_c", r"a_{\mathrm{b,c}}"),
        ("b_", "b"),
        ("cntn_to_dcsn.beta", r"\beta^{\mathrm{cntn\_to\_dcsn}}"),
        ("cntn_to_dcsn.beta_0", r"\beta_{\mathrm{0}}^{\mathrm{cntn\_to\_dcsn}}"),
    ],
)
def test_names_are_written_as_a_paper_would(name, latex):
    assert plain(name) == latex
    mathtext.MathTextParser("path").parse(f"${latex}$")


PIECES = {
    "housing": [r"\max_{d \in \{\mathrm{own},\, \mathrm{rent}\}}", r"Q_{\mathrm{own}} &= V^{\succ}_{\mathrm{own}}(a, H, y)",
                r"\max_{H_{\mathrm{new}}}", r"H_{\mathrm{new}} &\in H_{\mathrm{vals}}", r"\text{(solvent)}", r"H = 0",
                r"w^{\succ} &= w^{\sim} - P_{\mathrm{r}} S", r"\begin{pmatrix}", r"V^{\prec}_{T}(a, H, y_{\mathrm{pre}})"],
    "ret_choice": [r"\sigma_{\mathrm{eps}} \log \sum_{d \in \{\mathrm{work},\, \mathrm{retire}\}} \exp\left( \frac{1}{\sigma_{\mathrm{eps}}}",
                   r"\mathrm{LABR.work} &\to \mathrm{WORK}", r"\mathrm{RETD} &\to \mathrm{RETD}_{t+1}"],
    "mortgage_mon": [r"\frac{1}{50} \log \sum", r"\text{(when of refi)}", r"r_{\mathrm{bar}} + \rho_{\mathrm{r}} \left(r_{\mathrm{pre}}"],
    "cons_indshock": [r"\max_{c}", r"\mathrm{E}\left[G^{1 - \gamma} V\right]", r"0 &< c \leq m", r"\log y &\sim \mathcal{N}"],
    "aiyagari": [r"K_{\mathrm{dem}} &= N", r"A &= \mathrm{E}\left[a_{\mathrm{nxt}}\right]", r"0 &= A - K_{\mathrm{dem}}",
                 r"\mathrm{E}\left[z\right] = 1$"[:-1]],
    "portfolio": [r"\max_{c,\, \mathit{share}}", r"\mathrm{corr}\left(\log y", r"0 &\leq \mathit{share} \leq 1"],
    "nature": [r"V(a^{\sim}) &= p_{\mathrm{up\_1}}\, Q_{\mathrm{up\_1}} + p_{\mathrm{down}}\, Q_{\mathrm{down}}",
               r"p_{\mathrm{down}} &= 1 - p_{\mathrm{up}}", r"\beta\, V^{\succ}_{\mathrm{up\_1}}(a^{\succ})"],
    "log-sum over a discrete control": [r"\mathit{sig} \log \sum_{d} \exp\left( \frac{1}{\mathit{sig}}", r"d &\in \{0,\, 1,\, 2\}",
                                        r"\text{(no\_debt)}"],
    "Epstein-Zin": [r"\mathrm{E}\left[V^{1 - \mathit{sig}}\right]", r"\mathcal{U}\left[1 - \sqrt{3}\, \mathit{sig}", r"\Pr\left(y = 0\right) &= ",
                    r"\Pr\left(x = \left(0,\, 1\right)_{i}\right)", r"z &= \frac{1}{2}\, z_{\mathrm{pre}} + \varepsilon", r"0 &< c < m"],
}  # fmt: skip


@pytest.mark.parametrize("name", PIECES)
def test_each_kind_of_stage_shows_what_is_its_own(name):
    text = heptapod.to_latex(SOURCES[name] or kind(name))
    assert [piece for piece in PIECES[name] if piece not in text] == []


def test_periods_and_survival_of_a_connection_are_shown():
    text = (ROOT / "examples/cons_indshock/cons_indshock.yml").read_text()
    link = "- {source: CONS, target: CONS, mapping: {a_nxt: a}, "
    text = text.replace(
        "- {source: CONS, target: CONS, mapping: {a_nxt: a}}",
        link + "periods: 0..63, survival: s}\n      - {source: CONS, target: CONS, periods: 64, mapping: {a_nxt: a}}",
    )
    assert r"\Pr = s,\, 0 \leq t \leq 63" in heptapod.to_latex(text)
