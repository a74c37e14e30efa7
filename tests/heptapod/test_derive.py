"""The rules of derivation: first-order condition, inverses, envelope, corner and kinks, against the equations as written."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy as sp
import yaml

import heptapod
from heptapod.derivation import conditions, derive
from heptapod.formulas.formula import Formula
from heptapod.formulas.freeze import freeze
from heptapod.formulas.in_numpy import number

MODELS = Path(__file__).parents[1] / "models"
PARAMETERS = {"beta": 0.95, "gamma": 2.5, "alpha": 0.3, "theta": 1.4, "R_s": 1.02, "R_b": 1.1, "b": 1.0, "phi": 0.6, "s": 0.9}
GRID = {"type": "exp", "min": 0.0, "max": 20.0, "points": "n"}


def stage_text(functions: dict, controls: dict, *, arvl=("a",), dcsn=("m",), cntn=("a_nxt",), rows=None, low=0.0, mapping=None,
               parameters=None, discrete_post=None, movers=None, math=None, methods=None, more_posts=None) -> str:  # fmt: skip
    """A model of one stage out of its equations; `rows`: grids of passive decision states."""
    grids = {cntn[0]: GRID | {"min": low}} | (more_posts or {})
    space = {"arvl": {"dimensions": list(arvl)}, "dcsn": {"dimensions": list(dcsn), "grid": rows or {}},
             "cntn": {"dimensions": list(cntn), "grid": grids}}  # fmt: skip
    stage = {"name": "S", "parameters": parameters or PARAMETERS, "settings": {"n": 20}, "methods": methods or {},
             "math": {"functions": functions, "controls": controls, "state_space": space, **(math or {})}}  # fmt: skip
    if movers:
        stage["movers"] = movers
    link = {"source": "S", "target": "S", "mapping": mapping or {"a_nxt": "a"}}
    model = {"name": "X", "horizon": 5, "terminal": "0", "connections": {"inter_period": [link]}}
    return yaml.safe_dump({"model": model, "stage": stage}, sort_keys=False)


def simple(objective: str, post: str = "a_nxt = m - c", bound: str = "0 < c <= m", low: float = 0.0, **more) -> str:
    """The text of a stage with cash `m`, a control `c` and a post-state `a_nxt`."""
    functions = {"g_av": "m = 1.03*a + 1", "g_ve": post, "Q": objective} | more.pop("functions", {})
    return stage_text(functions, {"c": bound}, low=low, **more)


@dataclass(frozen=True)
class Case:
    """A stage and the same stage in Python, written a second time.

    **Attributes:** `text`; `reward` $(p, m, c, x)$ and `post` $(p, m, c)$ with parameters and passive states in `p`;
    `weight` of V[>]; `control`, `state`: closed forms $(p, \\lambda, x)$ and $(p, x, c, \\lambda)$, `None` where none is known;
    `lowest`; `draw`: (state, control) ranges; `passive`: values of passive states and discrete controls.
    """

    text: str
    reward: Callable
    control: Callable | None
    post: Callable = lambda p, m, c: m - c
    state: Callable | None = lambda p, x, c, k: x + c
    weight: Callable = lambda p, m: p["beta"]
    lowest: Callable = lambda p: 0.0
    corner: str = "upper"
    names: tuple[str, str] = ("m", "c")
    draw: tuple[tuple[float, float], tuple[float, float]] = ((1.5, 4.0), (0.2, 1.3))
    passive: dict = field(default_factory=dict)
    utility: Callable | None = None


crra = lambda c, g: (c ** (1 - g) - 1) / (1 - g)
isoelastic = lambda p, m, c, x: c ** (1 - p["gamma"]) / (1 - p["gamma"])
mover_beta = {"cntn_to_dcsn": {"inherit": True, "parameters": {"patience": 0.9}, "functions": {"Q": "log(c) + patience*V[>]"}}}
power = lambda p, k, x: (p["beta"] * k) ** (-1 / p["gamma"])
BUILD = {"g_av": "m = a; h = h", "g_ve": "a_nxt = m - c; h = h"}
HOUSE = dict(arvl=("a", "h"), dcsn=("m", "h"), cntn=("a_nxt", "h"), rows={"h": {"values": [0.5, 1.0, 2.0]}})

CASES = {
    "crra by hand": Case(simple("c^(1-gamma)/(1-gamma) + beta*V[>]"), isoelastic, power, utility=isoelastic),
    "crra built in": Case(simple("crra(c, gamma) + beta*V[>]"), lambda p, m, c, x: crra(c, p["gamma"]), power,
                          utility=lambda p, m, c, x: crra(c, p["gamma"])),
    "log": Case(simple("theta*log(c) + beta*V[>]"), lambda p, m, c, x: p["theta"] * np.log(c),
                lambda p, k, x: p["theta"] / p["beta"] / k, utility=lambda p, m, c, x: p["theta"] * np.log(c)),
    "log at gamma one": Case(simple("(log(c) if gamma == 1 else c^(1-gamma)/(1-gamma)) + beta*V[>]"), isoelastic, power,
                             utility=isoelastic),
    "cara by hand": Case(simple("-exp(-gamma*c)/gamma + beta*V[>]"), lambda p, m, c, x: -np.exp(-p["gamma"] * c) / p["gamma"],
                         lambda p, k, x: -np.log(p["beta"] * k) / p["gamma"],
                         utility=lambda p, m, c, x: -np.exp(-p["gamma"] * c) / p["gamma"]),
    "cara built in": Case(simple("cara(c, gamma) + beta*V[>]"), lambda p, m, c, x: -np.expm1(-p["gamma"] * c) / p["gamma"],
                          lambda p, k, x: -np.log(p["beta"] * k) / p["gamma"],
                          utility=lambda p, m, c, x: -np.expm1(-p["gamma"] * c) / p["gamma"]),
    "quadratic": Case(simple("c - alpha/20*c^2 + beta*V[>]"), lambda p, m, c, x: c - p["alpha"] / 20 * c**2,
                      lambda p, k, x: 10 * (1 - p["beta"] * k) / p["alpha"]),
    "bliss": Case(simple("-(c - 10)^2/2 + beta*V[>]"), lambda p, m, c, x: -((c - 10) ** 2) / 2,
                  lambda p, k, x: 10 - p["beta"] * k),
    "subsistence": Case(simple("(c - phi)^(1-gamma)/(1-gamma) + beta*V[>]", bound="phi < c <= m"),
                        lambda p, m, c, x: (c - p["phi"]) ** (1 - p["gamma"]) / (1 - p["gamma"]),
                        lambda p, k, x: p["phi"] + (p["beta"] * k) ** (-1 / p["gamma"]), draw=((2.0, 4.0), (0.8, 1.8)),
                        utility=lambda p, m, c, x: (c - p["phi"]) ** (1 - p["gamma"]) / (1 - p["gamma"])),
    "ces": Case(simple("log(ces(c, 2, alpha, phi)) + beta*V[>]"),
                lambda p, m, c, x: p["phi"] / (p["phi"] - 1) * np.log(
                    p["alpha"] * c ** (1 - 1 / p["phi"]) + (1 - p["alpha"]) * 2 ** (1 - 1 / p["phi"])), None),
    "no closed form": Case(simple("log(c) + sqrt(c) + beta*V[>]"), lambda p, m, c, x: np.log(c) + np.sqrt(c), None),
    "ghh with labour chosen before": Case(
        stage_text({**BUILD, "Q": "ghh(c, h, gamma, phi, 0.2) + beta*V[>]"}, {"c": "0.2*h^(1+phi)/(1+phi) < c <= m"}, **HOUSE),
        lambda p, m, c, x: crra(c - 0.2 * p["h"] ** (1 + p["phi"]) / (1 + p["phi"]), p["gamma"]),
        lambda p, k, x: 0.2 * p["h"] ** (1 + p["phi"]) / (1 + p["phi"]) + (p["beta"] * k) ** (-1 / p["gamma"]),
        passive={"h": 1.7}, draw=((2.5, 4.0), (0.9, 2.2))),
    "bequest": Case(
        simple("c^(1-gamma)/(1-gamma) + beta*(s*V[>] + (1-s)*theta*(a_nxt + 1)^(1-gamma)/(1-gamma))"),
        lambda p, m, c, x: isoelastic(p, m, c, x) + p["beta"] * (1 - p["s"]) * p["theta"] * (x + 1) ** (1 - p["gamma"]) / (1 - p["gamma"]),
        lambda p, k, x: (p["beta"] * (p["s"] * k + (1 - p["s"]) * p["theta"] * (x + 1) ** -p["gamma"])) ** (-1 / p["gamma"]),
        weight=lambda p, m: p["beta"] * p["s"], utility=isoelastic),
    "growth and a return on saving": Case(
        simple("log(c) + beta*V[>]", "a_nxt = R_s/theta*(m - c)", functions={"A": "E[theta^(1-gamma)*V]"}),
        lambda p, m, c, x: np.log(c), lambda p, k, x: p["theta"] / (p["beta"] * p["R_s"] * k),
        lambda p, m, c: p["R_s"] / p["theta"] * (m - c), lambda p, x, c, k: c + x * p["theta"] / p["R_s"],
        utility=lambda p, m, c, x: np.log(c)),
    "passive discrete state in Q": Case(
        stage_text({**BUILD, "Q": "alpha*log(c) + (1-alpha)*log(h) + beta*V[>]"}, {"c": "0 < c <= m"}, **HOUSE),
        lambda p, m, c, x: p["alpha"] * np.log(c) + (1 - p["alpha"]) * np.log(p["h"]),
        lambda p, k, x: p["alpha"] / p["beta"] / k, passive={"h": 2.0}, utility=lambda p, m, c, x: p["alpha"] * np.log(c)),
    "housing services raise the worth of consumption": Case(
        stage_text({**BUILD, "Q": "h^phi*log(c) + beta*V[>]"}, {"c": "0 < c <= m"}, **HOUSE),
        lambda p, m, c, x: p["h"] ** p["phi"] * np.log(c), lambda p, k, x: p["h"] ** p["phi"] / p["beta"] / k,
        passive={"h": 1.3}, utility=lambda p, m, c, x: p["h"] ** p["phi"] * np.log(c)),
    "mortgage: a passive continuous state that moves by itself": Case(
        stage_text({"g_av": "m = a - 0.1*d; d = d", "g_ve": "a_nxt = m - c; d = (1 + alpha)*d - 0.1*d",
                    "Q": "log(c) + 0.1*log(5 - d[>]) + beta*V[>]"}, {"c": "0 < c <= m"},
                   arvl=("a", "d"), dcsn=("m", "d"), cntn=("a_nxt", "d"), rows={"d": {"min": 0.0, "max": 3.0, "points": 7}}),
        lambda p, m, c, x: np.log(c) + 0.1 * np.log(5 - (0.9 + p["alpha"]) * p["d"]), lambda p, k, x: 1 / p["beta"] / k,
        passive={"d": 1.2}, utility=lambda p, m, c, x: np.log(c)),
    "a discrete control beside the continuous one": Case(
        stage_text({"g_av": "m = a; h = h", "g_ve": "a_nxt = m - c - (H != h)*phi; h = H", "Q": "log(c) + alpha*log(H) + beta*V[>]"},
                   {"c": "0 < c <= m - (H != h)*phi", "H": {"in": [0.5, 1.0, 2.0]}}, **HOUSE),
        lambda p, m, c, x: np.log(c) + p["alpha"] * np.log(p["H"]), lambda p, k, x: 1 / p["beta"] / k,
        lambda p, m, c: m - c - p["phi"], lambda p, x, c, k: x + c + p["phi"],
        passive={"h": 1.0, "H": 2.0}, draw=((2.5, 4.0), (0.2, 1.3)), utility=lambda p, m, c, x: np.log(c)),
    "Cobb-Douglas with a durable": Case(
        stage_text({**BUILD, "Q": "crra(c^alpha*(h + phi)^(1 - alpha), gamma) + beta*V[>]"}, {"c": "0 < c <= m"}, **HOUSE),
        lambda p, m, c, x: crra(c ** p["alpha"] * (p["h"] + p["phi"]) ** (1 - p["alpha"]), p["gamma"]),
        lambda p, k, x: (p["beta"] * k / p["alpha"] / (p["h"] + p["phi"]) ** ((1 - p["alpha"]) * (1 - p["gamma"])))
        ** (1 / (p["alpha"] * (1 - p["gamma"]) - 1)), passive={"h": 1.5},
        utility=lambda p, m, c, x: crra(c ** p["alpha"] * (p["h"] + p["phi"]) ** (1 - p["alpha"]), p["gamma"])),
    "a borrowing limit": Case(simple("log(c) + beta*V[>]", bound="0 < c <= m + b", low=-0.5), lambda p, m, c, x: np.log(c),
                              lambda p, k, x: 1 / p["beta"] / k, lowest=lambda p: -p["b"], utility=lambda p, m, c, x: np.log(c)),
    "saving as the control": Case(
        stage_text({"g_av": "m = a + 1", "g_ve": "a_nxt = v", "Q": "(m - v)^(1-gamma)/(1-gamma) + beta*V[>]"}, {"v": "0 <= v < m"}),
        lambda p, m, c, x: (m - c) ** (1 - p["gamma"]) / (1 - p["gamma"]), lambda p, k, x: x, lambda p, m, c: c,
        lambda p, x, c, k: x + (p["beta"] * k) ** (-1 / p["gamma"]), corner="lower", names=("m", "v")),
    "curved technology": Case(
        stage_text({"g_av": "k = a", "g_ve": "a_nxt = k^alpha - c", "Q": "log(c) + beta*V[>]"}, {"c": "0 < c <= k^alpha"}, dcsn=("k",)),
        lambda p, m, c, x: np.log(c), lambda p, k, x: 1 / p["beta"] / k, lambda p, m, c: m ** p["alpha"] - c,
        lambda p, x, c, k: (x + c) ** (1 / p["alpha"]), names=("k", "c"), draw=((2.0, 9.0), (0.2, 1.0)),
        utility=lambda p, m, c, x: np.log(c)),
    "curved technology without a closed form": Case(
        stage_text({"g_av": "k = a", "g_ve": "a_nxt = k^alpha + 0.9*k - c", "Q": "log(c) + beta*V[>]"},
                   {"c": "0 < c <= k^alpha + 0.9*k"}, dcsn=("k",)),
        lambda p, m, c, x: np.log(c), lambda p, k, x: 1 / p["beta"] / k, lambda p, m, c: m ** p["alpha"] + 0.9 * m - c,
        None, names=("k", "c"), draw=((2.0, 9.0), (0.2, 1.0)), utility=lambda p, m, c, x: np.log(c)),
    "a tax on spending that rises": Case(
        simple("log(c) + beta*V[>]", "a_nxt = m - c - phi*c^2", "0 < c <= (sqrt(1 + 4*phi*m) - 1)/(2*phi)"),
        lambda p, m, c, x: np.log(c), None, lambda p, m, c: m - c - p["phi"] * c**2,
        lambda p, x, c, k: x + c + p["phi"] * c**2, utility=lambda p, m, c, x: np.log(c)),
    "a weight that depends on the state": Case(
        simple("log(c) + beta*m/(1 + m)*V[>]"), lambda p, m, c, x: np.log(c), None,
        weight=lambda p, m: p["beta"] * m / (1 + m), utility=lambda p, m, c, x: np.log(c)),
    "a borrowing premium, saver": Case(
        simple("log(c) + beta*V[>]", "a_nxt = where(m - c > 0, R_s, R_b)*(m - c)", "0 < c <= m + b", -0.5),
        lambda p, m, c, x: np.log(c), lambda p, k, x: 1 / p["beta"] / p["R_s"] / k, lambda p, m, c: p["R_s"] * (m - c),
        lambda p, x, c, k: c + x / p["R_s"], lowest=lambda p: -p["b"] * p["R_b"], utility=lambda p, m, c, x: np.log(c)),
    "a borrowing premium, borrower": Case(
        simple("log(c) + beta*V[>]", "a_nxt = where(m - c > 0, R_s, R_b)*(m - c)", "0 < c <= m + b", -0.5),
        lambda p, m, c, x: np.log(c), lambda p, k, x: 1 / p["beta"] / p["R_b"] / k, lambda p, m, c: p["R_b"] * (m - c),
        lambda p, x, c, k: c + x / p["R_b"], lowest=lambda p: -p["b"] * p["R_b"], draw=((0.5, 1.0), (1.1, 1.4)),
        utility=lambda p, m, c, x: np.log(c)),
    "a parameter of the mover": Case(
        stage_text({"g_av": "m = a", "g_ve": "a_nxt = m - c"}, {"c": "0 < c <= m"}, movers=mover_beta),
        lambda p, m, c, x: np.log(c), lambda p, k, x: 1 / 0.9 / k, weight=lambda p, m: 0.9, utility=lambda p, m, c, x: np.log(c)),
    "spending is taxed": Case(
        simple("log(c) + beta*V[>]", "a_nxt = m - (1 + alpha)*c", "0 < c <= m/(1 + alpha)"),
        lambda p, m, c, x: np.log(c), lambda p, k, x: 1 / (p["beta"] * (1 + p["alpha"]) * k),
        lambda p, m, c: m - (1 + p["alpha"]) * c, lambda p, x, c, k: x + (1 + p["alpha"]) * c, utility=lambda p, m, c, x: np.log(c)),
}  # fmt: skip


def problem_of(text: str):
    return heptapod.load(text).stages["S"]


def scope_of(case: Case) -> tuple[dict, dict]:
    """Numbers by the keys of the stage, and by plain name."""
    plain = PARAMETERS | case.passive
    keyed = {k: np.float64(v) for k, v in PARAMETERS.items()} | {"t": 0.0, "cntn_to_dcsn.patience": 0.9}
    return keyed | {f"{k}[~]": v for k, v in case.passive.items()} | {k: v for k, v in case.passive.items()}, plain


def partial(f: Callable, i: int, p: dict, at: tuple, h: float = 1e-6) -> float:
    """The central difference in the `i`-th argument after the parameters."""
    moved = lambda step: f(p, *[x + step * (j == i) for j, x in enumerate(at)])
    return (moved(h) - moved(-h)) / (2 * h)


@pytest.mark.parametrize("name", CASES)
def test_what_is_derived_agrees_with_differences_of_what_is_written(name):
    case, (keyed, p) = CASES[name], scope_of(CASES[name])
    problem = problem_of(case.text)
    derived, (state, control) = problem.derived, case.names
    assert problem.num.method == "egm" and derived.problem is None
    assert (derived.state, derived.post, problem.num.solution.control) == (f"{state}[~]", "a_nxt[>]", control)
    at = lambda e, **more: float(number(freeze(e), keyed | more))
    rng = np.random.default_rng(3)
    for _ in range(12):
        m, c = (rng.uniform(*ends) for ends in case.draw)
        x, v, weight = case.post(p, m, c), -1.7, case.weight(p, m)
        q_m, q_c, q_x = (partial(case.reward, i, p, (m, c, x)) for i in range(3))
        g_m, g_c = (partial(case.post, i, p, (m, c)) for i in range(2))
        slope = -(q_c / g_c + q_x) / weight
        here = {derived.state: m, control: c, derived.post: x, "dV[>]": slope, "V[>]": v}
        assert at(derived.foc, **here) == pytest.approx(0, abs=1e-6 * (1 + abs(q_c)))
        q_m += partial(case.weight, 0, p, (m,)) * v
        assert at(derived.slope, **here) == pytest.approx(q_m - q_c * g_m / g_c, rel=1e-6, abs=1e-8)
        assert at(derived.trade_off, **here) == pytest.approx(g_m / g_c, rel=1e-6, abs=1e-8)
        assert at(derived.discount, **here) == pytest.approx(weight)
        assert at(derived.objective, **here) == pytest.approx(case.reward(p, m, c, x) + weight * v)
        assert at(derived.lowest) == pytest.approx(case.lowest(p), abs=1e-12) and derived.corner == case.corner
        for inverse, formula, wanted, arguments in ((derived.control_inverse, case.control, c, (slope, x)),
                                                    (derived.state_inverse, case.state, m, (x, c, slope))):  # fmt: skip
            assert (inverse is None) == (formula is None)
            if inverse is not None:
                assert at(inverse, **here) == pytest.approx(formula(p, *arguments)) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_the_utility_that_straightens_values_is_the_part_of_the_reward_in_the_control(name):
    case, (keyed, p) = CASES[name], scope_of(CASES[name])
    derived, control = problem_of(case.text).derived, case.names[1]
    assert (derived.utility is None) == (derived.utility_inverse is None)
    if case.utility is None:
        return
    # Equal up to what does not move with the control.
    at = lambda c: float(number(freeze(derived.utility), keyed | {control: c}))
    low, high = case.draw[1]
    assert at(high) - at(low) == pytest.approx(case.utility(p, 0, high, 0) - case.utility(p, 0, low, 0))
    for c in np.linspace(low, high, 5):
        assert float(number(freeze(derived.utility_inverse), keyed | {"u()": at(c)})) == pytest.approx(c)


@pytest.mark.parametrize("name", [n for n, case in CASES.items() if None in (case.control, case.state)])
def test_what_has_no_closed_inverse_goes_to_newton_and_explain_says_so(name):
    problem = problem_of(CASES[name].text)
    assert problem.num.method == "egm" and "bracketed Newton" in problem.num.solution.reason
    text = heptapod.explain(problem, width=None)
    what = "control" if problem.derived.control_inverse is None else "state"
    assert f"no closed form for the {what}: bracketed Newton" in text and "(none in closed form)" in text
    assert getattr(problem.num.solution, f"{what}_inverse") is None and problem.num.solution.foc is not None


# What the endogenous grid method cannot solve: (text, method, words of the reason).
REFUSED = {
    "Epstein-Zin": (simple("((1-beta)*c^(1-gamma) + beta*V[>]^(1-gamma))^(1/(1-gamma))"), "vfi", "not linear in V"),
    "a weight that is chosen": (simple("log(c) + beta*(1 + c)*V[>]"), "vfi", "weight of V[>] depends on the control"),
    "a weight that moves along": (simple("log(c) + beta*(1 + a_nxt)*V[>]"), "vfi", "weight of V[>] depends on the post-state"),
    "a value beside the objective": (simple("log(c) + 0.7*beta*V[>]", functions={"V": "log(c) + beta*V[>]"}), "vfi",
                                     "V records another value"),
    "linear utility": (simple("c + beta*V[>]"), "vfi", "does not involve the control c"),
    "a kink in what is spent on": (simple("log(c) + beta*V[>]", "a_nxt = max(m, alpha) - c", "0 < c <= max(m, alpha)"), "vfi", "side of a kink"),
    "an absolute value": (simple("log(c) + beta*V[>]", "a_nxt = abs(m - c)", "0 < c <= m + b"), "vfi", "certificate"),
    "a jump": (simple("log(c) + beta*V[>]", "a_nxt = m - c - (m < c)*0.5", "0 < c <= m + b", -2.0), "vfi", "jumps"),
    "two posts moved": (stage_text({"g_av": "m = a + h", "g_ve": "a_nxt = m - c; h = 0.5*c", "Q": "log(c) + beta*V[>]"},
                                   {"c": "0 < c <= m"}, arvl=("a", "h"), cntn=("a_nxt", "h"), more_posts={"h": GRID}),
                        "vfi", "2 post-states move"),
    "no post moved": (stage_text({"g_av": "m = a", "g_ve": "a_nxt = m", "Q": "log(c) - c + beta*V[>]"}, {"c": "0 < c <= m"}),
                      "vfi", "no post-state moves"),
    "two states that could be endogenous": (
        stage_text({"g_av": "m = a; h = h", "g_ve": "a_nxt = m + h - c; h = 0.5", "Q": "log(c) + beta*V[>]"},
                   {"c": "0 < c <= m + h"}, **HOUSE | {"rows": {"m": GRID, "h": GRID}}), "vfi", "endogenous state is not unique"),
    "a state that has no closed form in the condition": (
        simple("log(c) + m*c + beta*V[>]", "a_nxt = m + log(1 + m) - c", "0 < c <= m + log(1 + m)"), "vfi", "no closed form"),
    "a derivative that is not known": (simple("log(c) + crra(2, c) + beta*V[>]"), "vfi", "no formula"),
    "a constraint on the choice": (simple("log(c) + beta*V[>]", math={"constraints": {"thrift": "c < 0.5*m"}}), "vfi", "`thrift` moves with c"),
    "two controls that separate": (
        stage_text({"g_av": "m = a*(1 + h)", "g_ve": "a_nxt = m - c", "Q": "log(c) + beta*V[>]"},
                   {"c": "0 < c <= m", "h": "0 <= h <= 1"}, arvl=("a", "h_pre"), cntn=("a_nxt", "h"),
                   mapping={"a_nxt": "a", "h": "h_pre"}).replace("a*(1 + h)", "a*(1 + h_pre)"), "nested", "h: c first|h first"),
    "two controls that do not": (
        stage_text({"g_av": "m = a", "g_ve": "a_nxt = m - c - h^2", "Q": "log(c + h) + beta*V[>]"},
                   {"c": "0 < c <= m", "h": "0 <= h <= 1"}), "vfi", "do not separate"),
    "only a discrete control": (stage_text({"g_av": "m = a", "g_ve": "a_nxt = m - d", "Q": "log(1 + d) + beta*V[>]"},
                                           {"d": {"in": [0, 1]}}), "choice", "finite set"),
    "no control": (stage_text({"g_av": "m = a", "g_ve": "a_nxt = m", "Q": "V[>]"}, {}), "identity", "nothing is chosen"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_other_stages_have_another_method_with_its_reason(name):
    text, method, words = REFUSED[name]
    problem = problem_of(text)
    assert problem.num.method == method
    assert any(word in problem.num.solution.reason for word in words.split("|")), problem.num.solution.reason
    assert problem.num.solution.reason in heptapod.explain(problem, width=None)


KINKED = {
    "premium": ("where(m - c > 0, R_s, R_b)*(m - c)", [0.0]),
    "premium as a minimum": ("min(R_s*(m - c), R_b*(m - c))", [0.0]),
    "wealth tax": ("m - c - alpha*max(m - c - phi, 0)", [PARAMETERS["phi"]]),
    "insurance by a maximum": ("max(m - c, 0.5*(m - c))", [0.0]),
    "two kinks": (
        "where(m - c < 0, R_b*(m - c), where(m - c < phi, m - c, phi + R_s*(m - c - phi)))",
        [0.0, PARAMETERS["phi"]],
    ),
    "two kinks by nesting": ("min(R_b*(m - c), m - c) - alpha*max(m - c - phi, 0)", [0.0, PARAMETERS["phi"]]),
}


@pytest.mark.parametrize("name", KINKED)
def test_the_kinks_of_a_transition_are_where_its_branches_meet(name):
    post, places = KINKED[name]
    problem = problem_of(simple("log(c) + beta*V[>]", f"a_nxt = {post}", "0 < c <= m + b", -0.5))
    derived, num = problem.derived, problem.num
    keyed = {k: np.float64(v) for k, v in PARAMETERS.items()}
    assert num.method == "egm" and num.solution.upper_envelope and "kink" in num.solution.reason
    found = {float(number(k, keyed)) for k in num.solution.kinks}
    assert all(min(abs(place - k) for k in found) < 1e-12 for place in places) and len(found) <= len(places) + 2
    written = sp.sympify(post.replace("where", "Piecewise_").replace("min", "Min").replace("max", "Max"),
                         {"Piecewise_": lambda q, a, b: sp.Piecewise((a, q), (b, True)), "beta": sp.Symbol("beta")})  # fmt: skip
    g = sp.lambdify(("m", "c"), written.subs(PARAMETERS), "numpy")
    for saved in (-0.9, -0.3, 0.1, 0.5, 0.7, 3.0):
        m = 1.7
        c = m - saved
        x = float(g(m, c))
        slope = 1 / c / partial(lambda _, *at: float(g(*at)), 0, {}, (m, c)) / PARAMETERS["beta"]
        here = keyed | {"a_nxt[>]": np.float64(x), "c": np.float64(c), "m[~]": np.float64(m), "dV[>]": np.float64(slope)}
        assert float(number(num.solution.control_inverse.formula, here)) == pytest.approx(c, rel=1e-6)
        assert float(number(num.solution.state_inverse.formula, here)) == pytest.approx(m)
        assert float(number(freeze(derived.slope), here)) == pytest.approx(1 / c)


def test_a_kink_in_the_reward_of_the_post_state_is_known():
    problem = problem_of(simple("log(c) - theta*max(phi - a_nxt, 0) + beta*V[>]"))
    assert [str(k) for k in problem.derived.kinks] == ["phi"] and problem.num.solution.upper_envelope
    assert problem.derived.control_inverse is not None


def test_a_reward_that_kinks_in_parameters_alone_has_no_kink():
    problem = problem_of(simple("max(theta, 1)*log(c) + beta*V[>]"))
    assert problem.derived.kinks == () and not problem.num.solution.upper_envelope


@pytest.mark.parametrize("name", CASES)
def test_other_defaults_give_the_same_formulas(name):
    """Degenerate values among them: a parameter at 0 or 1 decides nothing."""
    one = heptapod.load(CASES[name].text)
    for change in ({"beta": 0.5, "gamma": 1.0, "theta": 1.0}, {"theta": 3.0, "b": 2.0, "s": 1.0}, {"gamma": 7.0, "s": 0.2}):
        data = yaml.safe_load(CASES[name].text)
        data["stage"]["parameters"] |= change
        other = heptapod.load(yaml.safe_dump(data, sort_keys=False))
        assert other.stages["S"].derived == one.stages["S"].derived
        assert other.structure == one.structure and hash(other.stages["S"].num) == hash(one.stages["S"].num)


@pytest.mark.parametrize(
    "wrong", [lambda e: 1.01 * e, lambda e: e + sp.Rational(1, 1000), lambda e: -e, lambda e: sp.Integer(1)]
)
def test_a_wrong_inverse_is_caught_by_its_certificate(wrong, monkeypatch):
    """Every conjecture goes through one door; here it comes out wrong."""
    right = conditions.invert
    derive._from_text.cache_clear(), derive.derive.cache_clear()
    monkeypatch.setattr(conditions, "invert", lambda e, s: wrong(right(e, s)))
    try:
        problem = problem_of(simple("log(c) + beta*V[>] + 0*gamma"))
    finally:
        derive._from_text.cache_clear(), derive.derive.cache_clear()
    assert problem.derived.control_inverse is None and problem.derived.state_inverse is None
    assert problem.derived.utility_inverse is None
    assert sum("failed its numeric certificate" in note for note in problem.derived.notes) == 2
    assert "bracketed Newton" in heptapod.explain(problem, width=None)


@pytest.mark.parametrize("objective", ["-log(c) + beta*V[>]", "c^gamma + beta*V[>]", "exp(c) + beta*V[>]",
                                       "log(c) + theta*(a_nxt + 1)^2 + beta*V[>]", "c^(1-gamma) + beta*V[>]"])  # fmt: skip
def test_a_reward_that_is_not_concave_is_a_warning_at_its_objective(objective):
    text = simple(objective)
    (found,) = [d for d in heptapod.check(text) if d.code == "not-concave"]
    assert found.severity == "warning" and re.match(r"\s*Q:", text.splitlines()[found.mark.line - 1])
    assert "c = " in found.message


@pytest.mark.parametrize("name", CASES)
def test_a_concave_reward_is_no_warning(name):
    assert not [d for d in heptapod.check(CASES[name].text) if d.code == "not-concave"]


@pytest.mark.parametrize(("method", "reason"), [("egm", "not linear in V"), ("nested", "two controls.*c alone.*not linear in V"),
                                                ("discrete", "c is chosen from an interval")])  # fmt: skip
def test_a_method_that_cannot_solve_the_stage_is_an_error_with_the_reason(method, reason):
    text, _, words = REFUSED["Epstein-Zin"]
    data = yaml.safe_load(text)
    data["stage"]["methods"] = {"solution": method}
    with pytest.raises(heptapod.ModelError, match=reason) as caught:
        heptapod.load(yaml.safe_dump(data, sort_keys=False))
    assert caught.value.code == "method" and "`vfi` follows from the equations" in caught.value.help


@pytest.mark.parametrize(
    ("functions", "controls"),
    [
        ({"g_av": "m = a", "g_ve": "a_nxt = m - d", "Q": "log(1 + d) + beta*V[>]", "V": "beta*V[>]"}, {"d": {"in": [0, 1]}}),
        ({"g_av": "m = a", "g_ve": "a_nxt = m", "Q": "V[>]", "V": "beta*V[>]"}, {}),
    ],
)
def test_a_value_beside_the_objective_takes_continuous_controls(functions, controls):
    with pytest.raises(heptapod.ModelError, match="records `V` beside `Q`") as caught:
        heptapod.load(stage_text(functions, controls))
    assert caught.value.code == "structure" and "another stage" in caught.value.help


def test_value_function_iteration_may_be_asked_for():
    problem = problem_of(simple("log(c) + beta*V[>]", bound="0 < c <= m/2", methods={"solution": "vfi"}))
    assert (problem.num.method, problem.num.solution.reason) == ("vfi", "it was asked for")


AIYAGARI = (MODELS / "aiyagari.yml").read_text()


@pytest.mark.parametrize(
    ("old", "new", "worth"),
    [
        ("beta: 0.96", "beta: 1.0", 1.0),
        ("beta: 0.96", "beta: 1.1", 1.1),
        ("Q:    u(c) + beta*V[>]", 'Q:    u(c) + beta*V[>]\n      A:    "1.2*E[V]"', 1.152),
        ("Q:    u(c) + beta*V[>]", 'Q:    u(c) + beta*V[>]\n      A:    "E[2*V] + E[V]"', 2.88),
    ],
)
def test_an_infinite_horizon_that_is_no_contraction_is_a_warning(old, new, worth):
    (found,) = heptapod.check(AIYAGARI.replace(old, new))
    assert (found.code, found.severity, found.mark.line) == ("contraction", "warning", 5)
    assert f"counts {worth:g} times in this period's of CONS" in found.message and "`Q` of CONS" in found.help


def test_what_contracts_or_cannot_be_judged_or_ends_is_no_warning():
    assert heptapod.check(AIYAGARI) == ()
    assert (
        heptapod.check(AIYAGARI.replace("u(c) + beta*V[>]", "u(c) + beta*m/(1 + m)*V[>]").replace("beta: 0.96", "beta: 1.2"))
        == ()
    )
    assert not [d for d in heptapod.check(simple("log(c) + 1.5*beta*V[>]")) if d.code == "contraction"]


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 1.0000001, 2.0, 5.0])
def test_the_inverse_of_a_built_in_utility_is_right_at_its_limits(gamma):
    c = np.geomspace(0.05, 4.0, 7)
    for name in ("crra", "cara"):
        there, back = (("call", name + kind, ("sym", "x"), ("sym", "g")) for kind in ("", "_inverse"))
        values = Formula(there)({"x": c, "g": gamma})
        assert np.allclose(Formula(back)({"x": values, "g": gamma}), c, rtol=1e-5)
        assert np.allclose(number(back, {"x": number(there, {"x": c, "g": gamma}), "g": gamma}), c, rtol=1e-6)
        slope = jax.grad(lambda g, back=back, u=values[3]: jnp.sum(Formula(back)({"x": u, "g": g})))(gamma)
        assert np.isfinite(slope)


def test_hard_algebra_is_given_up_by_its_size():
    tower = "log(c)"
    for _ in range(6):
        tower = f"log(1 + ({tower})^2 + c*exp(-c))"
    problem = problem_of(simple(f"{tower} + log(c) + beta*V[>]"))
    assert problem.num.method == "egm" and problem.derived.control_inverse is None
    assert any("solving for a variable was left out" in words for words in problem.derived.left_out)
