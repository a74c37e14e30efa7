"""Plain JAX functions in place of equations: the same tree, the same numbers."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import heptapod
import stagecraft as sc

TREE = {
    "model": {
        "name": "Saver",
        "horizon": 4,
        "terminal": "log(a + 1)",
        "parameters": {"beta": 0.95, "R": 1.03, "gamma": 2.0},
        "defaults": {"inherit": "all"},
        "connections": {"inter_period": [{"source": "S", "target": "S", "mapping": {"a_nxt": "a"}}]},
    },
    "stage": {
        "name": "S",
        "settings": {"n": 40},
        "math": {
            "functions": {
                "u(c)": "c^(1-gamma)/(1-gamma)",
                "g_av": "m = R*a + y",
                "g_ve": "a_nxt = m - c",
                "Q": "u(c) + beta*V[>]",
            },
            "controls": {"c": "0 < c <= m"},
            "shocks": {"inc": {"dimensions": ["y"], "shock_method": "lognormal", "std": 0.2, "n_points": 3}},
            "state_space": {
                "arvl": {"dimensions": ["a"]},
                "dcsn": {"dimensions": ["m"]},
                "cntn": {"grid": {"a_nxt": {"type": "exp", "min": 0, "max": 20, "points": "n"}}},
            },
        },
    },
}
M = jnp.linspace(0.2, 8.0, 7)


def variant(terminal=None, constraint=None, **functions):
    tree = copy.deepcopy(TREE)
    for slot, function in functions.items():
        tree["stage"]["math"]["functions"]["u(c)" if slot == "u" else slot] = function
    if terminal is not None:
        tree["model"]["terminal"] = terminal
    if constraint is not None:
        tree["stage"]["math"]["constraints"] = {"some": constraint}
    if "Q" in functions:
        del tree["stage"]["math"]["functions"]["u(c)"]
    return tree


def utility(c, gamma):
    return jnp.power(c, 1 - gamma) / (1 - gamma)


def arrive(a, y, R):
    return {"m": R * a + y}


def save(m, c):
    return {"a_nxt": m - c}


def save_by_jax(m, c):
    return {"a_nxt": jnp.subtract(m, c)}


def objective(c, V, beta, gamma):
    return c ** (1 - gamma) / (1 - gamma) + beta * V


def objective_by_jax(c, V, beta, gamma):
    return jnp.exp((1 - gamma) * jnp.log(c)) / (1 - gamma) + beta * V


def ending(a):
    return jnp.log(a + 1)


def solution(tree):
    return sc.solve(sc.load(tree))[0]["S"].dcsn.sol


@pytest.fixture(scope="module")
def written():
    return solution(TREE)


VARIANTS = {
    "utility": {"u": utility},
    "arithmetic": {"g_av": arrive, "g_ve": save, "Q": objective},
    "jax": {"g_av": arrive, "g_ve": save_by_jax, "Q": objective_by_jax, "terminal": ending},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_stage_of_functions_solves_to_the_numbers_of_its_text(written, name):
    found = solution(variant(**VARIANTS[name]))
    np.testing.assert_allclose(found.policy["c"](m=M), written.policy["c"](m=M), rtol=1e-10)
    # Where the utility is not known as a formula the value between knots is a plain cubic.
    np.testing.assert_allclose(found.value(m=M), written.value(m=M), rtol=1e-12 if name == "arithmetic" else 1e-4)


def test_arithmetic_becomes_formulas_and_anything_else_a_numeric_inverse():
    symbolic, opaque = (heptapod.load(variant(**VARIANTS[n])) for n in ("arithmetic", "jax"))
    assert symbolic.num.solution.control_inverse is not None and symbolic.num == heptapod.load(variant(Q=objective)).num
    assert opaque.num.method == "egm" and opaque.num.solution.control_inverse is None
    assert "bracketed Newton" in heptapod.explain(opaque, width=None) and "objective_by_jax" in heptapod.explain(
        opaque, width=None
    )
    assert "objective" in heptapod.to_latex(opaque)


@pytest.mark.slow
def test_gradients_pass_through_functions():
    circuit = sc.load(variant(**VARIANTS["jax"]))
    value = lambda p: sc.solve(circuit.with_parameters(p))[0]["S"].dcsn.sol.policy["c"](m=2.0)
    found = jax.grad(value)(circuit.parameters)["main"]
    for name, x in circuit.parameters["main"].items():
        high, low = (value({f"main.{name}": x + h}) for h in (1e-5, -1e-5))
        np.testing.assert_allclose(found[name], (high - low) / 2e-5, rtol=1e-6, atol=1e-9)


def test_one_function_compiles_once():
    assert sc.load(variant(**VARIANTS["jax"])).structure == sc.load(variant(**VARIANTS["jax"])).structure


def test_a_constraint_may_be_a_function():
    tree = variant(constraint=lambda m: m > 0.1)
    solved = sc.solve(sc.load(tree))
    with pytest.raises(ValueError, match="no feasible choice"):
        sc.simulate(
            sc.solve(sc.load(variant(g_av="m = R*a + 0*y", constraint=lambda m: m > 0.1))),
            {"a": jnp.array([0.01, 2.0])},
            key=jax.random.key(0),
        )
    assert np.isfinite(solved[0]["S"].dcsn.sol.value(m=2.0))


def test_a_name_on_two_perches_takes_a_suffix():
    tree = copy.deepcopy(TREE)
    math = tree["stage"]["math"]
    math["functions"] |= {"g_ve": "m = m - c", "Q": lambda c, V, beta, gamma: c ** (1 - gamma) / (1 - gamma) + beta * V}
    del math["functions"]["u(c)"]
    math["constraints"] = {"some": lambda m__dcsn: m__dcsn > -1.0}
    math["state_space"]["cntn"] = {"grid": {"m": {"type": "exp", "min": 0, "max": 20, "points": "n"}}}
    tree["model"]["connections"]["inter_period"][0]["mapping"] = {"m": "a"}
    assert heptapod.load(tree).num.solution.post == "m"


@pytest.mark.parametrize(
    ("functions", "code", "place"),
    [
        ({"Q": lambda c, V, bta: c + bta * V}, "unknown-symbol", "stage.math.functions.Q"),
        ({"g_ve": lambda m, c: m - c}, "function", "stage.math.functions.g_ve"),
        ({"Q": lambda c, V: [c, V]}, "function", "stage.math.functions.Q"),
        ({"Q": lambda *args: args[0]}, "function", "stage.math.functions.Q"),
        ({"g_av": lambda a, y: {"mm": a + y}}, "target", "stage.math.functions.g_av"),
        ({"Q": lambda c, V: jnp.ones(3) * c + V}, "function", "stage.math.functions.Q"),
        ({"A": lambda V: V}, "objective", "stage.math.functions.A"),
    ],
)
def test_a_wrong_function_is_refused_where_it_stands(functions, code, place):
    found = [d for d in heptapod.check(variant(**functions)) if d.severity == "error"]
    assert [(d.code, d.mark.file) for d in found] == [(code, place)]


@pytest.mark.parametrize("written", [["c"], {"expr": ["c"]}], ids=str)
def test_the_body_of_a_helper_may_be_one_bracketed_name(written):
    tree, plain = copy.deepcopy(TREE), copy.deepcopy(TREE)
    tree["stage"]["math"]["functions"] |= {"own(c)": written, "Q": "u(own(c)) + beta*V[>]"}
    plain["stage"]["math"]["functions"] |= {"own(c)": "c", "Q": "u(own(c)) + beta*V[>]"}
    assert not [d for d in heptapod.check(tree) if d.severity == "error"]
    assert heptapod.explain(heptapod.load(tree), width=None) == heptapod.explain(heptapod.load(plain), width=None)
