"""What follows from a model's text follows from nothing else: no clock, no order, no seed of hashes, no load of the machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import heptapod
from heptapod.derivation import steps

sys.path.insert(0, str(Path(__file__).parents[1]))
import derivations

HERE = Path(__file__).parent
LIST = json.loads((HERE / "derived.json").read_text())


@pytest.mark.parametrize("name", derivations.models())
def test_methods_and_closed_forms_are_those_of_the_list(name):
    """The list was written before derivations were bounded by size; closed forms were added to it since, and none lost."""
    assert derivations.methods(derivations.models()[name]) == LIST[name]


def test_the_list_has_no_other_models():
    assert list(LIST) == list(derivations.models())


@pytest.mark.slow
def test_every_process_says_the_same_in_any_order_and_again():
    """Diagnostics, reasons and frozen formulas of every model, with three seeds of hashes."""
    said = []
    for seed, order in (("0", "forward"), ("1", "backward"), ("2", "forward")):
        command = [sys.executable, str(HERE.parent / "derivations.py"), order]
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(HERE.parents[1])}
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)
        assert done.returncode == 0, done.stderr[-3000:]
        said += json.loads(done.stdout)
    assert len(said) == 6 and set(said[0]) >= {name for name in LIST if name.startswith(("examples/", "tests/cases/"))}
    for name in said[0]:
        assert len({each[name] for each in said}) == 1, name


# Equations too large for a step: (objective, transition, the step, what the expression has too much of).
LARGE = {
    "a power of many terms": ("(c + phi + theta + alpha + m)^50", "m - c", "solving for a variable", "200 terms when multiplied out"),
    "many kinks": ("log(c)", "m - c" + "".join(f" - 0.01*max(m - c - {i}*phi, 0)" for i in range(8)),
                   "telling the sides of kinks apart", "64 sides of conditions"),
    "a long sum": ("+".join(f"c^({i}/7)*phi^{i}" for i in range(1, 60)), "m - c", "cancelling", "300 parts"),
    "many fractions": ("+".join(f"1/(c + {i}*m + phi)" for i in range(1, 60)), "m - c", "solving for a variable", "200 terms"),
}  # fmt: skip


@pytest.mark.parametrize("name", LARGE)
def test_a_step_that_an_expression_is_too_large_for_is_named_with_the_bound(name):
    objective, post, step, bound = LARGE[name]
    model = derivations.one_stage(objective, post, "c", "0 < c <= m")
    found = [d for d in heptapod.check(model) if d.code == "left-out"]
    assert found and all(d.severity == "warning" and "Q" in str(d) for d in found)
    words = [part for d in found for part in d.message.split("; ")]
    assert any(part.startswith(step) and bound in part for part in words), words
    text = heptapod.explain(heptapod.load(model), width=None)
    assert all(part in text for part in words)


@pytest.mark.slow
def test_a_formula_of_ordinary_size_leaves_nothing_out():
    for name, source in derivations.models().items():
        assert not [d for d in heptapod.check(source) if d.code == "left-out"], name


def test_terms_and_sides_are_counted_without_multiplying_out():
    import sympy as sp

    a, b, c = sp.symbols("a b c")
    for expression in ((a + b) ** 7, (a + b) * (b + c) * (a + c), ((a + b) ** 2 + c) ** 3, a**9, sp.log((a + b + c) ** 4)):
        counted = len(sp.Add.make_args(sp.expand(expression.args[0] if expression.func is sp.log else expression)))
        assert counted <= steps.multiplied_out(expression) <= 3 * counted
    assert steps.multiplied_out((a + b + c) ** 10**6) > 10**8
    assert steps.folded(sp.Max(a, b) + sp.Piecewise((a, b > 0), (b, c > 0), (c, True))) == 6
