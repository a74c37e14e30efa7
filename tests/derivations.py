"""What is derived of many models, as text that two versions of DynX, two machines and two processes can compare.

`python tests/derivations.py > tests/heptapod/derived.json` writes the list that `test_derivations.py` holds.
"""

import dataclasses
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import heptapod

ROOT = Path(__file__).parents[1]
FILES = sorted(
    path
    for folder in ("examples", "tests/models", "tests/theory/fixtures", "tests/cases")
    for path in (ROOT / folder).rglob("*.yml")
)
FORMULAS = ("control_inverse", "state_inverse", "utility_inverse")

# Rewards in consumption c and cash m, with a_nxt = m - c.
REWARDS = [
    "c^(1-gamma)/(1-gamma)", "-1/c", "sqrt(c)", "2*sqrt(c) + phi*c", "log(c) - phi*c", "log(c + phi) + log(theta)", "alpha*log(c) + (1-alpha)*log(m)",
    "c^alpha/alpha - phi*m", "-exp(-phi*c)", "log(c) + theta*log(c)", "log(c)*theta + phi*c", "c^(1-gamma)/(1-gamma) + theta*log(a_nxt + 1)",
    "log(c/(1+phi))", "log(c*(1-alpha))/theta", "(c+phi)^alpha", "-(theta*c + phi)^(-gamma)", "-exp(-(c+phi)/theta)", "log(1-exp(-c))",
    "-exp(-gamma*c)/gamma - phi*c", "crra(c, gamma) + theta*c", "crra(phi*c, gamma)", "cara(c - phi, gamma)", "phi*c - gamma*c^2/20", "phi*c - gamma*c^3/300",
    "sqrt(c*m)", "sqrt(c+m)", "log(c - phi*m/9)", "(c - phi*m/9)^(1-gamma)/(1-gamma)", "log(c^2 + 1)", "-1/(c+phi)^2", "-theta/c - phi*c/9", "log(sqrt(c))",
    "max(theta, phi)*log(c)", "log(c) if theta > 1 else sqrt(c)", "where(theta > 1, log(c), where(phi > 1, sqrt(c), -1/c))", "c^0.5/0.5", "(c^alpha*2^(1-alpha))^(1-gamma)/(1-gamma)",
    "tanh(c)", "normcdf(c)", "log(c) - phi*(c - theta)^2", "c^alpha + c^(2*alpha)", "log(c^alpha + phi)", "log(crra(c, gamma)+5)", "ces(c, m, alpha, phi)", "log(c) + log(c + phi)",
]  # fmt: skip
# Transitions of cash m with log utility, and the bounds that exhaust it.
TRANSITIONS = {
    "R_s*(m - c)": "0 < c <= m", "(m - c)^alpha": "0 < c <= m", "m^alpha - c": "0 < c <= m^alpha", "log(1+m) - c": "0 < c <= log(1+m)", "m*(1-c)": "0 < c <= 1",
    "sqrt(m^2 + phi) - c": "0 < c <= sqrt(m^2 + phi)", "m - c^2": "0 < c <= sqrt(m)", "m^alpha + (1-phi)*m - c": "0 < c <= m^alpha + (1-phi)*m",
    "(m-c)/(1+phi)": "0 < c <= m", "m + m^2 - c": "0 < c <= m + m^2", "m*R_s/(1+m) - c": "0 < c <= m*R_s/(1+m)", "R_s*m - (1+alpha)*c": "0 < c <= R_s*m/(1+alpha)",
    "max(m - c, phi*(m-c))": "0 < c <= m", "m - c - max(phi*c, 0)": "0 < c <= m/(1+phi)", "where(m - c < phi, m - c, phi + alpha*(m - c - phi))": "0 < c <= m",
    "m - c - alpha*max(m - c - phi, 0) - theta/10*max(m-c-2*phi, 0)": "0 < c <= m", "m - c + min(phi, alpha*(m-c))": "0 < c <= m",
    "(m^alpha - c)*R_s": "0 < c <= m^alpha", "phi*m^alpha - c": "0 < c <= phi*m^alpha", "ces(m, 2, alpha, phi) - c": "0 < c <= ces(m, 2, alpha, phi)", "exp(m) - 1 - c": "0 < c <= exp(m) - 1",
}  # fmt: skip
# Profits of a firm with capital k and investment i, with k_nxt = .9 k + i.
PROFITS = [
    "k^alpha - i - phi/2*i^2/k", "k^alpha - i - phi/2*(i/k)^2*k", "k^alpha - i - phi*i^2", "k^alpha - i*theta - phi/2*(i/k - 0.1)^2*k", "k^alpha - i - phi*exp(i)",
    "k^alpha - i - phi*sqrt(1+i^2)", "k^alpha - i - phi*(i/k)^3*k", "k^alpha - i - phi*i^2/(k + 1)",
]  # fmt: skip


def one_stage(objective: str, post: str, control: str, bound: str, state: str = "m") -> dict:
    """A model of one stage as dictionaries."""
    parameters = {"beta": 0.95, "gamma": 2.5, "alpha": 0.3, "theta": 1.4, "R_s": 1.02, "phi": 0.6}
    grid = {"x_nxt": {"type": "exp", "min": 0.0, "max": 20.0, "points": "n"}}
    spaces = {"arvl": {"dimensions": ["x"]}, "dcsn": {"dimensions": [state]}, "cntn": {"dimensions": ["x_nxt"], "grid": grid}}
    functions = {"g_av": f"{state} = x", "g_ve": f"x_nxt = {post}", "Q": f"{objective} + beta*V[>]"}
    math = {"functions": functions, "controls": {control: bound}, "state_space": spaces}
    link = {"source": "S", "target": "S", "mapping": {"x_nxt": "x"}}
    model = {"name": "X", "horizon": 5, "terminal": "0", "connections": {"inter_period": [link]}}
    return {"model": model, "stage": {"name": "S", "parameters": parameters, "settings": {"n": 20}, "math": math}}


def models() -> dict[str, Path | dict]:
    """Every model by the name that it has in the list."""
    found: dict[str, Path | dict] = {str(path.relative_to(ROOT)): path for path in FILES}
    found |= {f"reward {q}": one_stage(q.replace("a_nxt", "x_nxt"), "m - c", "c", "0 < c <= m") for q in REWARDS}
    found |= {f"transition {g}": one_stage("log(c)", g, "c", bound) for g, bound in TRANSITIONS.items()}
    found |= {f"profit {q}": one_stage(q, "0.9*k + i", "i", "-0.9*k <= i <= 5*k", "k") for q in PROFITS}
    return found


def methods(source: Path | Mapping) -> dict[str, str] | str:
    """Of every stage its method and which of its formulas are closed; of a wrong model the codes of its errors."""
    try:
        spec = heptapod.load(source)
    except heptapod.ModelError as error:
        return "error " + " ".join(sorted({d.code for d in error.diagnostics if d.severity == "error"}))
    return {name: _method(stage) for name, stage in spec.stages.items()}


def _method(stage) -> str:
    closed = [name for name in FORMULAS if getattr(stage.num.solution, name, None) is not None]
    return " ".join([stage.num.method, *(["envelope"] if stage.num.solution.upper_envelope else []), *closed])


def told(source: Path | Mapping) -> str:
    """All that is said of a model: its diagnostics, methods, reasons and formulas, and the frozen ones part by part."""
    said = [str(d) for d in heptapod.check(source)]
    try:
        spec = heptapod.load(source)
    except heptapod.ModelError:
        return "\n".join(said)
    return "\n".join([*said, heptapod.explain(spec, width=None), *[str(frozen(stage.num)) for stage in spec.stages.values()]])


def frozen(value):
    """A record as nested lists in which formulas stand in full."""
    if dataclasses.is_dataclass(value):
        return [(f.name, frozen(getattr(value, f.name))) for f in dataclasses.fields(value) if f.name != "_hash"]
    if isinstance(value, Mapping):
        return [(name, frozen(part)) for name, part in value.items()]
    if isinstance(value, tuple | list):
        return [frozen(part) for part in value]
    return str(value)


if __name__ == "__main__":
    if sys.argv[1:]:  # `told` in an order, and all of it again.
        order = [(name, source) for name, source in models().items() if name.startswith(("examples/", "tests/cases/"))]
        order = order[:: -1 if sys.argv[1] == "backward" else 1]
        first, again = ({name: told(source) for name, source in order} for _ in range(2))
        sys.stdout.write(json.dumps([first, again], sort_keys=True))
    else:
        sys.stdout.write(json.dumps({name: methods(source) for name, source in models().items()}, indent=1) + "\n")
