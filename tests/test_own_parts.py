"""A user's own shocks, grids, functions and methods: they work through every verb, and what lacks a method is refused."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import heptapod
import stagecraft as sc
from stagecraft.backward.solve import _solve

EXAMPLE = Path(__file__).parents[1] / "examples" / "own_parts"


@pytest.fixture(scope="module")
def main():
    sys.path.insert(0, str(EXAMPLE))
    import main as module

    yield module
    sys.path.remove(str(EXAMPLE))
    for name in ("main", "grid", "horse", "law", "utility"):
        del sys.modules[name]


@pytest.fixture(scope="module")
def solved(main):
    return {method: sc.solve(main.load(method)) for method in ("auto", "shares")}


M = jnp.array([0.5, 0.9, 1.4, 3.0, 8.0])
INITIAL = {"a": jnp.linspace(0.1, 3.0, 400)}


def test_every_part_is_a_file_of_forty_lines():
    for name in ("law", "grid", "utility", "horse"):
        assert len((EXAMPLE / f"{name}.py").read_text().splitlines()) <= 40, name


@pytest.mark.slow
def test_the_example_prints_what_its_methods_agree_on():
    done = subprocess.run([sys.executable, "main.py"], cwd=EXAMPLE, capture_output=True, text=True, check=True, timeout=300)
    ours, theirs = (np.array([float(x) for x in re.findall(r"\d+\.\d*", line)]) for line in done.stdout.splitlines())
    np.testing.assert_allclose(theirs, ours, atol=0.03)


def test_a_method_of_ones_own_agrees_with_ours(solved):
    ours, theirs = (solved[method][0]["SAVE"].dcsn.sol for method in ("auto", "shares"))
    np.testing.assert_allclose(theirs.policy["c"](m=M), ours.policy["c"](m=M), atol=0.03)
    np.testing.assert_allclose(theirs.value(m=M), ours.value(m=M), atol=0.03)
    np.testing.assert_allclose(theirs.marginal["m"](m=M), ours.marginal["m"](m=M), rtol=0.15)


def test_a_panel_and_a_push_follow_it(solved):
    panel = sc.simulate(solved["shares"], INITIAL, key=jax.random.key(0))
    pushed = sc.push_forward(solved["shares"], INITIAL)
    ours = sc.push_forward(solved["auto"], INITIAL)
    for t in (0, 5, 10):
        mean = float(pushed[t]["SAVE"].cntn.dist.mean("a_nxt"))
        assert float(panel["a_nxt"][t].mean()) == pytest.approx(mean, abs=0.03)
        assert float(ours[t]["SAVE"].cntn.dist.mean("a_nxt")) == pytest.approx(mean, abs=0.05)


@pytest.mark.slow
def test_values_have_derivatives(main):
    """A choice among listed shares stands still, so that the derivative of the value is the envelope's."""

    def value(method):
        circuit = main.load(method)
        return jax.jit(
            jax.grad(lambda p: sc.solve(circuit.with_parameters(p))[0]["SAVE"].dcsn.sol.value(m=2.0)),
        )(circuit.parameters)

    ours, theirs = (value(method)["main"] for method in ("auto", "shares"))
    for name in ("beta", "R"):
        assert float(theirs[name]) == pytest.approx(float(ours[name]), rel=0.06), name


def test_parts_are_compared_by_value(main):
    sc.solve(main.load("shares"))
    before = _solve._cache_size()
    sc.solve(main.load("shares").with_parameters({"main.beta": 0.9}))
    assert _solve._cache_size() == before
    assert main.load().structure == main.load().structure


def test_the_law_has_the_moments_that_it_says(main):
    """A triangle of half-width 0.2 around 1: mean 1 and standard deviation 0.2/sqrt(6), of the nodes and of draws."""
    law = main.Triangular(("y",), *(lambda v: [Constant(v[0]), Constant(v[1]), 4_001])((1.0, 0.2)))
    scope = {"t": jnp.asarray(0.0)}
    nodes, weights = law.nodes(scope)
    draws = law.draws(scope, jax.random.key(1), 200_000)["y"]
    told = law.moments(scope)
    for mean, std in ((nodes["y"] @ weights, jnp.sqrt(((nodes["y"] - 1) ** 2) @ weights)), (draws.mean(), draws.std())):
        assert float(mean) == pytest.approx(float(told.mean[0]), abs=1e-3)
        assert float(std) == pytest.approx(float(told.std[0]), abs=1e-3)
    assert float(told.std[0]) == pytest.approx(0.2 / np.sqrt(6))


@dataclasses.dataclass(frozen=True)
class Constant:
    """A formula of no name."""

    value: float

    def __call__(self, scope):
        return jnp.asarray(self.value)


def test_a_function_in_an_equation_is_differentiated(main):
    """The first-order condition of a felicity that no closed form inverts, solved by Newton: V' = u'(c) along the policy."""
    sol = sc.solve(main.load())[0]["SAVE"].dcsn.sol
    c = sol.policy["c"](m=M)
    np.testing.assert_allclose(sol.marginal["m"](m=M), jax.vmap(jax.grad(main.felicity))(c), rtol=1e-8)


def without(base, name):
    """A subclass of an interface with every method but one."""
    rest = {n: (lambda *a: None) for n in base.interface if n != name}
    made = type("Lacking", (base,), rest)
    return made if base is sc.AbstractHorse else dataclasses.dataclass(frozen=True)(made)


KINDS = {
    "shocks": heptapod.AbstractShock,
    "grids": heptapod.AbstractGrid,
    "horses": sc.AbstractHorse,
}
LACKING = [(kind, name) for kind, base in KINDS.items() for name in base.interface]
TEXT = (EXAMPLE / "model.yaml").read_text()


@pytest.mark.parametrize(("kind", "name"), LACKING)
def test_what_lacks_a_method_is_refused_with_what_it_should_return(kind, name):
    base = KINDS[kind]
    with pytest.raises(TypeError) as caught:
        sc.load(TEXT, **{kind: {"mine": without(base, name)}})
    assert f"`mine` (Lacking) has no `{name}`" in str(caught.value) and base.interface[name] in str(caught.value)


def test_a_record_that_lacks_its_method_is_refused():
    @dataclasses.dataclass(frozen=True)
    class Record(heptapod.AbstractSolution):
        pass

    with pytest.raises(TypeError, match=r"`mine` \(Record\) has no `of`: of\(cls, num\)"):
        heptapod.load(TEXT, horses={"mine": Record})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("given", [object(), "a word", int, 3])
def test_what_is_no_part_is_refused(kind, given):
    with pytest.raises(TypeError, match=f"{kind}: `mine`"):
        sc.load(TEXT, **{kind: {"mine": given}})
    with pytest.raises(TypeError, match=f"`{kind}` is a dictionary"):
        sc.load(TEXT, **{kind: [given]})


def test_names_that_no_file_can_say_are_refused(main):
    for name in ("my law", "2nd", "lambda", "Mine", 3):
        with pytest.raises(ValueError, match="is no name that"):
            sc.load(TEXT, shocks={name: main.Triangular})
    with pytest.raises(ValueError, match="`normal` is one of ours"):
        sc.load(TEXT, shocks={"normal": main.Triangular})


@pytest.mark.parametrize(
    ("functions", "error", "words"),
    [
        ({"log": jnp.log}, ValueError, "a function of ours"),
        ({"f": 3}, TypeError, "elementwise JAX function"),
        ({"f": lambda *x: x}, TypeError, "cannot be told"),
        ({"not a name": lambda x: x}, ValueError, "is no name that"),
        ([jnp.sin], TypeError, "is a dictionary of functions"),
    ],
)
def test_functions_that_cannot_be_called_are_refused(functions, error, words):
    with pytest.raises(error, match=words):
        sc.load(TEXT, functions=functions)


def parts(main):
    return dict(
        horses=sc.HORSES | {"shares": main.BestShare},
        shocks=heptapod.SHOCKS | {"triangular": main.Triangular},
        grids=heptapod.GRIDS | {"quadratic": main.Quadratic},
        functions={"felicity": main.felicity},
    )


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("width: scale, ", "", "a Triangular shock needs `width`"),
        ("width: scale", "wdith: scale", "`wdith` is not a key of a Triangular shock"),
        ("n_points: k", "n_points: beta", "a size must not depend on `beta`"),
        ("low: 0.0, ", "", "a grid of type quadratic needs `low`"),
        ("type: quadratic", "type: quadratc", "quadratic"),
        ("shock_method: triangular", "shock_method: triangle", "triangular"),
        ("felicity(c)", "felicty(c)", "did you mean `felicity`"),
        ("felicity(c)", "felicity(c, 2)", "takes (c); 2 given"),
        ("  name: SAVE\n", "  name: SAVE\n  methods: {solution: share}\n", "shares"),
    ],
)
def test_a_mistake_in_the_block_of_a_part_is_told(main, old, new, words):
    with pytest.raises(heptapod.ModelError) as caught:
        sc.load(TEXT.replace(old, new), **parts(main))
    assert words in str(caught.value) and len(caught.value.diagnostics) == 1


def test_a_method_says_why_it_cannot_solve_a_stage(main):
    text = (
        TEXT.replace("m ", "w ")
        .replace('["m"]', '["w"]')
        .replace("<= m", "<= w")
        .replace("  name: SAVE\n", "  name: SAVE\n  methods: {solution: shares}\n")
    )
    with pytest.raises(heptapod.ModelError, match="cannot be solved by `shares`: it eats `c` out of `m`"):
        sc.load(text.replace("g_av: m", "g_av: w").replace("a_nxt = m", "a_nxt = w"), **parts(main))


def test_explain_names_the_method(main):
    assert "a user's own (shares)" in sc.explain(main.load("shares"), width=None) and "triangular" not in sc.to_latex(
        main.load("shares")
    )
