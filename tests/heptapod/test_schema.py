"""The JSON Schema for editors: it is valid, takes every good model, and refuses the keys that the checker refuses."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

import heptapod
from heptapod.dialect import keys
from heptapod.shocks.read import SHOCK_KEYS
from heptapod.spaces.grids import GRID_KEYS, GRID_TYPES
from heptapod.text.yaml import read

sys.path.insert(0, str(Path(__file__).parent))
import structures as models

SCHEMA = heptapod.schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
FILES = [*sorted(models.EXAMPLES.glob("*/*.yml")), *sorted(models.SHARED.glob("*.yml"))]
OWN = {"ages": models.AGES, "health": models.HEALTH, "movers": models.MOVERS, "master": models.MASTER}
TEXTS = {path.stem: path.read_text() for path in FILES} | OWN


def wrong(tree) -> list:
    return [error.message for error in VALIDATOR.iter_errors(tree)]


def test_the_schema_is_a_schema_and_its_own_copy():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    other = heptapod.schema()
    other["properties"].clear()
    assert heptapod.schema() == SCHEMA != other


@pytest.mark.parametrize("name", TEXTS)
def test_a_good_model_is_valid(name):
    assert wrong(read(TEXTS[name]).data) == []


def test_the_command_line_prints_it():
    done = subprocess.run([sys.executable, "-m", "heptapod", "schema"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == SCHEMA


# A place in a model for every block of the tables.
PLACES = {
    "a file": ("health", []),
    "an import": ("master", ["imports", 0]),
    "`model`": ("health", ["model"]),
    "`age`": ("ages", ["model", "age"]),
    "`defaults`": ("ages", ["model", "defaults"]),
    "`connections`": ("health", ["model", "connections"]),
    "a connection": ("health", ["model", "connections", "intra_period", 0]),
    "a stage": ("health", ["stages", "BUY"]),
    "`math`": ("health", ["stages", "BUY", "math"]),
    "a parameter": ("ages", ["model", "parameters", "w"]),
    "a control": ("health", ["stages", "BUY", "math", "controls", "D_new"]),
    "a branch": ("health", ["stages", "LUCK", "math", "branches", "ill"]),
    "`choice`": ("health", ["stages", "LUCK", "math", "choice"]),
    "`state_space`": ("health", ["stages", "BUY", "math", "state_space"]),
    "a perch": ("health", ["stages", "BUY", "math", "state_space", "arvl"]),
    "a mover": ("movers", ["stage", "movers", "cntn_to_dcsn"]),
    "`equilibrium`": ("aiyagari", ["model", "equilibrium"]),
    "an unknown": ("aiyagari", ["model", "equilibrium", "unknowns", "r"]),
}
MORE = {
    "functions": ("movers", ["stage", "math", "functions"]),
    "methods": ("movers", ["stage", "movers", "cntn_to_dcsn", "methods"]),
    "movers": ("movers", ["stage", "movers"]),
    "a grid": ("movers", ["stage", "math", "state_space", "cntn", "grid", "a"]),
    "a set": ("health", ["stages", "BUY", "math", "state_space", "arvl", "grid", "D"]),
    "a shock": ("mortgage_mon", ["stages", "REFI", "math", "shocks", "income"]),
    "a chain": ("housing", ["stages", "TENU", "math", "shocks", "income"]),
    "a process": ("aiyagari", ["stage", "math", "shocks", "labour"]),
}


def tree_of(name: str):
    return yaml.safe_load(yaml.safe_dump(yaml.load(TEXTS[name], yaml.SafeLoader)))


def at(tree, path):
    for step in path:
        tree = tree[step]
    return tree


def test_every_block_of_the_tables_is_tried():
    assert set(PLACES) == set(keys.BLOCKS)


@pytest.mark.parametrize("block", PLACES | MORE)
def test_a_key_that_the_checker_refuses_is_refused(block, tmp_path):
    name, path = (PLACES | MORE)[block]
    tree = tree_of(name)
    at(tree, path)["qqqqqq"] = {}
    assert wrong(tree), block
    file = models.folder(tmp_path, stages__own=models.STAGE_FILE) / "model.yml"
    file.write_text(yaml.safe_dump(tree, sort_keys=False))
    assert [d.code for d in heptapod.check(file) if d.severity == "error"] == ["unknown-key"]


@pytest.mark.parametrize("block", PLACES)
def test_every_key_of_the_tables_is_read_and_known_to_the_schema(block):
    """The checker's own list, in the help of the error for an unknown key, is the table's."""
    name, path = PLACES[block]
    known = SCHEMA
    for step in _schema_path(block):
        known = known[step]
    assert set(keys.of(block)) <= set(known["properties"])
    if block != "an import":
        tree = tree_of(name)
        at(tree, path)["qqqqqq"] = {}
        (found,) = [d for d in heptapod.check(yaml.safe_dump(tree, sort_keys=False)) if d.severity == "error"]
        listed = found.help.removeprefix("the keys are ").split(", ")
        assert set(keys.of(block)) <= set(listed), found.help


def _schema_path(block: str) -> list:
    defs = lambda name: ["$defs", name]
    model = lambda key: [*defs("model"), "properties", key]
    return {
        "a file": [],
        "an import": ["properties", "imports", "items", "anyOf", 1],
        "`model`": defs("model"),
        "`age`": model("age"),
        "`defaults`": model("defaults"),
        "`connections`": model("connections"),
        "a connection": defs("connection"),
        "a stage": defs("stage"),
        "`math`": defs("math"),
        "a parameter": [*defs("parameter"), "anyOf", 2],
        "a control": [*defs("math"), "properties", "controls", "additionalProperties", "anyOf", 1],
        "a branch": defs("branch"),
        "`choice`": [*defs("math"), "properties", "choice"],
        "`state_space`": [*defs("math"), "properties", "state_space"],
        "a perch": defs("perch"),
        "a mover": defs("mover"),
        "`equilibrium`": model("equilibrium"),
        "an unknown": [*model("equilibrium"), "properties", "unknowns", "additionalProperties"],
    }[block]


def test_grids_and_shocks_have_the_keys_of_their_tables():
    grids = {
        g["properties"]["type"]["const"]: set(g["properties"])
        for g in SCHEMA["$defs"]["grid"]["anyOf"]
        if "type" in g["properties"]
    }
    assert grids == {kind: set(taken) for kind, (_, taken) in GRID_TYPES.items()}
    assert {k for taken in grids.values() for k in taken} | {"nodes_of"} == set(GRID_KEYS)
    shocks = {s["properties"]["shock_method"]["const"]: set(s["properties"]) for s in SCHEMA["$defs"]["shock"]["anyOf"]}
    assert shocks == {method: set(taken) for method, taken in SHOCK_KEYS.items()}


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("health", "kind: branching", "kind: branchy"),
        ("health", "by: nature", "by: chance"),
        ("movers", "solution: egm", "solution: newton"),
        ("movers", "type: exp, min", "type: expp, min"),
        ("aiyagari", "shock_method: rouwenhorst", "shock_method: rowenhorst"),
        ("ages", "periods: 0..1", "periods: early"),
        ("ages", "inherit: all", "inherit: some"),
        ("movers", "inherit: true", "inherit: 1"),
        ("ages", "dialect: 1", "dialect: 2"),
        ("ages", "  horizon: 6\n", ""),
    ],
)  # fmt: skip
def test_a_word_that_the_checker_refuses_is_refused(name, old, new):
    text = TEXTS[name].replace(old, new, 1)
    assert text != TEXTS[name] and wrong(read(text).data)
    assert [d for d in heptapod.check(text) if d.severity == "error"]
