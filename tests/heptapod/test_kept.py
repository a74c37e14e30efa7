"""Formulas that are kept on disk are those that are derived, and whatever else stands in a file counts for nothing."""

import json
import os
from pathlib import Path

import jax.numpy as jnp
import pytest

import heptapod
from heptapod.derivation import derive, kept

ROOT = Path(__file__).parents[2]
MODELS = [
    "examples/cons_indshock/cons_indshock.yml",
    "examples/ret_choice/ret_choice.yml",
    "examples/gallery/hours.yml",
    "examples/gallery/investment.yml",
    "examples/gallery/huggett.yml",
    "tests/models/housing.yml",
    "tests/models/mortgage_mon.yml",
]
KINKED = """
model:
  name: Kinked
  horizon: 5
  terminal: log(a + 9)
  parameters: {Rb: 1.1, Rs: 1.01, beta: 0.95, y: 1.0}
  defaults: {inherit: all}
  connections: {inter_period: [{source: C, target: C, mapping: {a_nxt: a}}]}
stage:
  name: C
  math:
    functions: {g_av: "m = a + y", g_ve: "a_nxt = where(m - c < 0, Rb, Rs)*(m - c)", Q: "log(c) + beta*V[>]"}
    controls: {c: 0 < c <= m + 0.9}
    state_space: {arvl: {dimensions: ["a"]}, dcsn: {dimensions: ["m"]}, cntn: {grid: {a_nxt: {type: linspace, min: -0.99, max: 9, points: 50}}}}
"""
REAL = kept._folder.args[0]  # What conftest hides.


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where formulas are kept, for this test alone."""
    monkeypatch.setattr(kept, "_folder", REAL)
    monkeypatch.setenv("DYNX_CACHE", str(tmp_path))
    return tmp_path / "formulas"


def loaded(source):
    """What is derived and lowered of all stages, as a process finds it that has read nothing yet."""
    derive.derive.cache_clear()
    derive._from_text.cache_clear()
    return [(name, problem.derived, problem.num) for name, problem in heptapod.load(source).stages.items()]


def forbidden(stage):
    raise AssertionError(f"derived again: {stage}")


@pytest.mark.parametrize("model", [*MODELS, "kinked"])
def test_what_is_read_is_what_is_derived(model, folder, monkeypatch):
    source = KINKED if model == "kinked" else ROOT / model
    monkeypatch.setenv("DYNX_CACHE", "off")
    plain = loaded(source)
    assert not folder.exists()
    monkeypatch.setenv("DYNX_CACHE", str(folder.parent))
    written = loaded(source)
    assert list(folder.glob("*.json")) and folder.stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(derive, "_formulas", forbidden)
    assert repr(loaded(source)) == repr(written) == repr(plain)
    assert loaded(source) == plain


def changed(told, change):
    """A file whose sum is right."""
    change(told["found"])
    return json.dumps({"found": told["found"], "sum": kept._sum(told["found"])})


DAMAGE = {
    "empty": lambda told: "",
    "cut short": lambda told: json.dumps(told)[:200],
    "no JSON": lambda told: "import os",
    "a number": lambda told: "3",
    "a list": lambda told: "[]",
    "other keys": lambda told: '{"found": {"exec": "1"}, "sum": ""}',
    "altered": lambda told: json.dumps(told).replace("beta", "zeta"),
    "another field": lambda told: changed(told, lambda found: found.update(exec="1")),
    "a function of Python": lambda told: changed(
        told, lambda found: found.update(foc={"formula": ["call", "__import__", ["sym", "os"]]})
    ),
    "an unknown word": lambda told: changed(told, lambda found: found.update(foc={"formula": ["eval", ["sym", "os"]]})),
    "no formula": lambda told: changed(told, lambda found: found.update(foc={"sympify": "x"})),
    "too deep": lambda told: changed(told, lambda found: found.update(foc={"formula": deep(200)})),
    "not UTF-8": lambda told: b"\xff\xfe{",
}


def deep(levels):
    tree = ["sym", "x"]
    for _ in range(levels):
        tree = ["not", tree, tree[:1]]
    return tree


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_file_that_was_altered_counts_for_nothing(damage, folder):
    right = loaded(KINKED)
    for path in folder.glob("*.json"):
        text = DAMAGE[damage](json.loads(path.read_text()))
        path.write_bytes(text) if isinstance(text, bytes) else path.write_text(text)
    assert loaded(KINKED) == right
    assert loaded(KINKED) == right


def test_a_wrong_formula_fails_its_certificate_at_every_load(folder):
    source = ROOT / MODELS[0]
    loaded(source)

    def wrong(found):
        if found["control_inverse"] is not None:
            found["control_inverse"] = {"formula": ["mul", ["num", 2, 1], found["control_inverse"]["formula"]]}

    for path in folder.glob("*.json"):
        path.write_text(changed(json.loads(path.read_text()), wrong))
    derive.derive.cache_clear()
    derive._from_text.cache_clear()
    assert "failed its numeric certificate" in heptapod.explain(heptapod.load(source))


@pytest.mark.parametrize("wrong", ["a file", "open to others", "another's", "read only", "no home"])
def test_a_folder_that_cannot_be_used_is_not_missed(wrong, folder, monkeypatch):
    if wrong == "a file":
        folder.write_text("")
    elif wrong == "open to others":
        folder.mkdir()
        folder.chmod(0o777)
    elif wrong == "another's":
        monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    elif wrong == "read only":
        monkeypatch.setattr(kept.tempfile, "NamedTemporaryFile", lambda *a, **k: open("/dev/full/file"))
    else:
        monkeypatch.setenv("DYNX_CACHE", "~nobody-at-all/here")
    assert loaded(KINKED) == loaded(KINKED)
    assert not folder.is_dir() or not list(folder.iterdir())


def test_old_files_go(folder, monkeypatch):
    monkeypatch.setattr(kept, "_MOST", 4)
    for power in range(12):
        loaded(KINKED.replace("log(c)", f"c^(-{power + 1})"))
        assert len(list(folder.iterdir())) <= 4


def test_a_function_of_the_users_own_is_never_kept(folder):
    text = KINKED.replace("log(c)", "mine(c)")
    derive.derive.cache_clear()
    derive._from_text.cache_clear()
    heptapod.load(text, functions={"mine": lambda c: jnp.arcsinh(c)})
    assert not folder.exists() or not list(folder.iterdir())
