"""A model as Python dictionaries is the model of the file, and its errors are as precise."""

import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import yaml

import heptapod

ROOT = Path(__file__).parents[2]
CONS = ROOT / "examples" / "cons_indshock" / "cons_indshock.yml"
MODELS = [*sorted((Path(__file__).parents[1] / "models").glob("*.yml")), *sorted((ROOT / "examples").glob("*/*.yml"))]


def tree(path: Path = CONS) -> dict:
    return yaml.safe_load(path.read_text())


def numeric(node):
    """The same tree with tuples for lists, NumPy scalars for numbers and arrays for lists of numbers."""
    if isinstance(node, dict):
        return {k: numeric(v) for k, v in node.items()}
    if isinstance(node, list):
        numbers = node and all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in node)
        return np.array(node, float) if numbers else tuple(numeric(x) for x in node)
    if isinstance(node, bool):
        return np.bool_(node)
    return np.int64(node) if isinstance(node, int) else np.float64(node) if isinstance(node, float) else node


@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
@pytest.mark.parametrize("change", [lambda t: t, numeric], ids=["plain", "numpy"])
def test_a_dictionary_and_its_file_are_one_model(path, change):
    file, dictionary = heptapod.load(path), heptapod.load(change(tree(path)))
    assert dictionary.structure == file.structure and hash(dictionary.structure.stages) == hash(file.structure.stages)
    for scope, names in file.parameters.items():
        assert {n: np.asarray(v).tolist() for n, v in names.items()} == {
            n: np.asarray(v).tolist() for n, v in dictionary.parameters[scope].items()
        }
    for name, problem in file.stages.items():
        assert problem.num == dictionary.stages[name].num and problem.derived == dictionary.stages[name].derived
    assert [(d.code, d.message) for d in heptapod.check(tree(path))] == [(d.code, d.message) for d in file.diagnostics]
    assert heptapod.to_latex(tree(path)) == heptapod.to_latex(path)


def test_the_text_of_a_dictionary_is_the_same_model_again():
    spec = heptapod.load(numeric(tree()))
    assert heptapod.load(spec.text).structure == spec.structure


def test_arrays_of_jax_are_numbers_too():
    data = tree()
    data["stage"]["parameters"]["beta"] = jnp.asarray(0.96)
    data["stage"]["parameters"]["G"] = {"by": "age", "values": jnp.ones(65)}
    spec = heptapod.load(data)
    assert float(spec.parameters["CONS"]["beta"]) == pytest.approx(0.96) and spec.parameters["CONS"]["G"].shape == (65,)


def test_a_dictionary_is_not_changed():
    data = tree()
    heptapod.load(data)
    assert data == tree()


def put(data, path, value):
    *above, last = path
    for step in above:
        data = data[step]
    data[last] = value


F = ("stage", "math", "functions")
WRONG = [
    ((*F, "Q"), "u(c) + betta*V[>]", "unknown-symbol", "stage.math.functions.Q:8", "betta"),
    ((*F, "Q"), "(u(c)\n  + betta*V[>])", "unknown-symbol", "stage.math.functions.Q:2:5", "betta"),
    ((*F, "g_av"), "m = R/GG*a + y", "unknown-symbol", "stage.math.functions.g_av:7", "GG"),
    ((*F, "g_av"), 3, "type", "stage.math.functions.g_av", None),
    ((*F, "g_avv"), "m = a", "unknown-key", "stage.math.functions.g_avv", None),
    (("stage", "parameters", "beta"), lambda: 0.96, "parameter", "stage.parameters.beta", None),
    (("stage", "parameters", "beta"), object(), "type", "stage.parameters.beta", None),
    (("stage", "parameters", "beta"), 1j, "type", "stage.parameters.beta", None),
    (("stage", "parameters", "beta"), np.complex64(1), "type", "stage.parameters.beta", None),
    (("stage", "parameters", "beta"), b"0.96", "type", "stage.parameters.beta", None),
    (("stage", "parameters", "beta"), {0.96}, "type", "stage.parameters.beta", None),
    (("stage", "parameters", "beta"), np.nan, "parameter", "stage.parameters.beta", None),
    (("stage", "parameters", "beta"), np.array(["a", "b"]), "parameter", "stage.parameters.beta", None),
    (("stage", "parameters", "beta"), 10**20, "literal", "stage.parameters.beta", None),
    (("stage", "parameters", "beta"), "0.9\x00", "yaml", "stage.parameters.beta", None),
    (("stage", "parameters", "beta"), "0.9\ud800", "yaml", "stage.parameters.beta", None),
    (("stage", "parameters", None), 1, "yaml-key", "stage.parameters", None),
    (("stage", "parameters", (1, 2)), 1, "yaml-key", "stage.parameters", None),
    (("stage", "parameters", "gamma", "in"), "0 to 1", "domain", "stage.parameters.gamma.in:1", "0 to 1"),
    (("stage", "math", "shocks", "income", "dimensions", 0), "a", "name", None, None),
    (
        ("model", "connections", "inter_period", 0, "target"),
        "CON",
        "reference",
        "model.connections.inter_period[0].target:1",
        "CON",
    ),
    (("model", "horizon"), 0, "horizon", "model.horizon", None),
]


@pytest.mark.parametrize(("path", "value", "code", "place", "under"), WRONG, ids=range(len(WRONG)))
def test_an_error_names_the_path(path, value, code, place, under):
    data = tree()
    put(data, path, value)
    with pytest.raises(heptapod.ModelError) as caught:
        heptapod.load(data)
    found = next(d for d in caught.value.diagnostics if d.code == code)
    assert place is None or str(found.mark) == place
    assert str(found).startswith(f"{found.mark}: error[{code}]: ")
    if under is not None:
        line, carets = str(found).split("\n")[1:3]
        assert line[carets.index("^") :][: carets.count("^")] == under
    assert [d.code for d in heptapod.check(data)] == [d.code for d in caught.value.diagnostics]


def test_what_contains_itself_or_grows_without_end_is_refused():
    data = tree()
    data["stage"]["again"] = data
    assert [d.code for d in heptapod.check(data)] == ["yaml-depth"]
    wide = [0.0] * 200_000
    assert [d.code for d in heptapod.check(tree() | {"wide": wide})] == ["yaml-bomb"]
    assert [d.code for d in heptapod.check(tree() | {"wide": np.zeros(200_000)})] == ["yaml-bomb"]


def test_other_things_are_a_type_error():
    for thing in (None, 3, [tree()], lambda: 0):
        with pytest.raises(TypeError, match="dictionary"):
            heptapod.load(thing)


def test_two_keys_that_spell_alike_are_refused():
    data = tree()
    data["stage"]["parameters"]["G"] = {"by": "age", "steps": {25: 1.0, "25": 2.0}}
    assert "duplicate-key" in {d.code for d in heptapod.check(data)}


def test_a_dictionary_and_its_file_solve_to_the_same_numbers():
    code = (
        "import stagecraft as sc, yaml, numpy as np, jax\n"
        "sc.enable_x64()\n"
        f"text = open({str(CONS)!r}).read()\n"
        "one, other = sc.solve(sc.load(text)), sc.solve(sc.load(yaml.safe_load(text)))\n"
        "m = np.linspace(0.1, 20, 50)\n"
        "for t in (0, 30, 64):\n"
        "    a, b = (s[t]['CONS'].dcsn.sol for s in (one, other))\n"
        "    assert np.array_equal(a.policy['c'](m=m), b.policy['c'](m=m))\n"
        "    assert np.array_equal(a.value(m=m), b.value(m=m))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
