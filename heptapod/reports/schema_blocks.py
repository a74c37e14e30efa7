"""The blocks of the JSON Schema: keys from the tables of the readers, and what kind of value each takes."""

from typing import Any

from heptapod.circuit.stages import KINDS
from heptapod.dialect.keys import KEYS
from heptapod.parameters.entries import CLOCKS
from heptapod.problem.functional_problem import OLDER_MOVER_KEYS
from heptapod.problem.method import METHODS
from heptapod.read_model import INHERITANCE
from heptapod.shocks import normal, uniform
from heptapod.shocks.read import SHOCK_KEYS
from heptapod.spaces.grids import GRID_KEYS, GRID_TYPES
from heptapod.stage.choice import CHOOSERS, TASTE_SHOCKS
from heptapod.stage.scope import MOVER_OF, MOVERS, SLOTS

Schema = dict[str, Any]
NAME = "^[A-Za-z][A-Za-z0-9_]*$"
_HELPER = r"^\s*[A-Za-z]\w*\s*\([^()]*\)\s*$"
_BRACKET: Schema = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 1}
SLOT: Schema = {
    "description": "a number, arithmetic, or a bracketed name",
    "anyOf": [{"type": ["number", "string"]}, _BRACKET],
}
EXPRESSION: Schema = {
    "anyOf": [
        {"type": ["number", "string"]},
        _BRACKET,
        {"type": "object", "properties": {"expr": {"type": ["number", "string"]}}, "additionalProperties": False},
    ]
}
NAMES: Schema = {"type": "array", "items": {"type": "string", "pattern": NAME}, "minItems": 1, "uniqueItems": True}
# What a key of the tables of grids and shocks takes; slots if it is not here.
_SLOTS: Schema = {"anyOf": [{"$ref": "#/$defs/slot"}, {"type": "array", "items": {"$ref": "#/$defs/slot"}, "minItems": 1}]}
_VALUES: Schema = {
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": ["number", "string", "array"]}, "minItems": 1}]
}
_TEXT = {"$ref": "#/$defs/text"}


def ref(name: str) -> Schema:
    """A reference to a definition of the schema."""
    return {"$ref": f"#/$defs/{name}"}


def words(choices) -> Schema:
    """One of some words, in the spelling of the documentation."""
    return {"enum": list(choices)}


def named(value: Schema) -> Schema:
    """Entries under names of the user's choice."""
    return {"type": "object", "propertyNames": {"pattern": NAME}, "additionalProperties": value}


def block(name: str, values: dict[str, Schema]) -> Schema:
    """A block with the keys of the table; what is not in `values` is text that is kept."""
    return keyed(KEYS[name], values)


def keyed(meanings, values: dict[str, Schema]) -> Schema:
    """A block with given keys and meanings."""
    properties = {key: {"description": meaning, **values.get(key, _TEXT)} for key, meaning in meanings.items()}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def file() -> dict[str, Schema]:
    """What the keys of a file take."""
    entry = block("an import", {key: {"type": "string"} for key in KEYS["an import"]}) | {"required": ["file"]}
    return {
        "dialect": {"const": 1},
        "model": ref("model"),
        "stage": ref("stage"),
        "stages": named(ref("stage")),
        "imports": {"type": "array", "items": {"anyOf": [{"type": "string"}, entry]}},
    }


def model() -> Schema:
    """The `model:` block."""
    links = {"type": "array", "items": ref("connection")}
    unknown = block("an unknown", {"start": {"type": "number"}, "in": {"type": "string"}})
    equilibrium = {"unknowns": named(unknown), "clear": named({"type": "string"})}
    age = block("`age`", {"start": {"type": "number"}, "step": {"type": "number", "exclusiveMinimum": 0}})
    values = _scope() | {
        "horizon": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string"}]},
        "age": age | {"required": ["start"]},
        "start": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
        "terminal": {"anyOf": [{"type": ["number", "string"]}, named({"type": ["number", "string"]})]},
        "defaults": block("`defaults`", {"inherit": words(INHERITANCE)}),
        "connections": block("`connections`", dict.fromkeys(KEYS["`connections`"], links)),
        "types": named(ref("numbers")) | {"required": ["weights"]},
        "aggregates": named({"type": "string"}),
        "equilibrium": block("`equilibrium`", equilibrium),
    }
    # The parameter of a type may be told by its scope.
    values["types"] |= {"propertyNames": {"pattern": r"^[A-Za-z][\w.]*$"}}
    return block("`model`", values) | {"required": ["horizon"]}


def connection() -> Schema:
    """An entry of `intra_period` or `inter_period`."""
    periods = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": r"^\s*\d*\s*\.\.\s*\d*\s*$"}]}
    values = {
        "source": {"type": "string"},
        "target": {"type": "string"},
        "mapping": {"type": "object", "additionalProperties": {"type": ["string", "number"]}},
        "set": named(ref("slot")),
        "periods": {"anyOf": [periods, {"type": "array", "items": periods, "minItems": 1}]},
        "survival": ref("slot"),
        "direction": {"const": "forward"},
    }
    return block("a connection", values) | {"required": ["source", "target"]}


def _scope() -> dict[str, Schema]:
    return {"parameters": ref("scope"), "settings": ref("scope"), "definitions": ref("definitions")}


def parameter() -> Schema:
    """One parameter or setting."""
    number = {"type": ["number", "string"]}
    steps = {"type": "object", "propertyNames": {"pattern": r"^[-+]?[\d.]+([eE][-+]?\d+)?$"}, "minProperties": 1}
    full = block("a parameter", {
        "value": {"type": ["number", "string", "array"]},
        "in": {"type": "string"},
        "by": words(CLOCKS),
        "steps": steps | {"additionalProperties": {"type": "number"}},
        "expr": number,
        "values": {"type": "array", "minItems": 1},
    })  # fmt: skip
    return {"anyOf": [number, {"type": "array", "minItems": 1}, full]}


def stage() -> Schema:
    """One stage."""
    movers = {"type": "object", "properties": dict.fromkeys(MOVERS, ref("mover")), "additionalProperties": False}
    values = _scope() | {"kind": words(KINDS), "methods": ref("methods"), "math": ref("math"), "movers": movers}
    return block("a stage", values | {"name": {"type": "string", "pattern": NAME}})


def mover() -> Schema:
    """One mover; its older keys are read, too."""
    flag = {"type": "boolean"}
    values = _scope() | {"inherit": flag, "methods": ref("methods"), "functions": ref("functions")}
    found = block("a mover", values)
    found["properties"] |= dict.fromkeys(OLDER_MOVER_KEYS, flag | {"deprecated": True})
    return found


def methods() -> Schema:
    """The `methods:` block."""
    properties = {key: words(choices) for key, choices in METHODS.items()}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def functions() -> Schema:
    """The `functions:` of a stage or a mover: the equations, and helpers by their call."""
    properties = {slot: {"description": f"of the mover {MOVER_OF[slot]}", **ref("expression")} for slot in SLOTS}
    helpers = {_HELPER: ref("expression")}
    return {"type": "object", "properties": properties, "patternProperties": helpers, "additionalProperties": False}


def math() -> Schema:
    """The `math:` block."""
    finite = block("a control", {"in": {"anyOf": [_VALUES, ref("grid")]}}) | {"required": ["in"]}
    perches = {p: {"description": m, **ref("perch")} for p, m in KEYS["`state_space`"].items()}
    space = {"type": "object", "properties": perches, "patternProperties": {r"^cntn\.\w+$": ref("perch")}}
    who = {"by": words(CHOOSERS), "taste_shock": words(TASTE_SHOCKS), "scale": ref("slot"), "probs": named(ref("expression"))}
    values = {
        "functions": ref("functions"),
        "controls": named({"anyOf": [{"type": "string"}, finite]}),
        "constraints": ref("constraints"),
        "shocks": named(ref("shock")),
        "branches": named(ref("branch")),
        "choice": block("`choice`", who),
        "state_space": space | {"additionalProperties": False, "minProperties": 1},
    }
    return block("`math`", values) | {"required": ["state_space"]}


def branch() -> Schema:
    """One branch."""
    values = {"g_ve": ref("expression"), "Q": ref("expression"), "when": {"type": "string"}, "constraints": ref("constraints")}
    return block("a branch", values)


def perch() -> Schema:
    """One perch."""
    grids = named(ref("grid"))
    return block("a perch", {"dimensions": ref("names"), "grid": grids, "tabulate": {"type": "boolean"}})


def grid() -> Schema:
    """A grid of each type, a set of values, or the nodes of a shock."""
    take = {"values": _VALUES, "nodes_of": {"anyOf": [{"type": "string"}, _BRACKET]}}
    take |= {key: ref("slot") for key in ("min", "max", "points")} | dict.fromkeys(("nest", "p"), {"type": "number"})
    pick = lambda keys: keyed({key: GRID_KEYS[key] for key in keys}, take)
    found = [pick(("values",)) | {"required": ["values"]}, pick(("nodes_of",)) | {"required": ["nodes_of"]}]
    for kind, (meaning, keys) in GRID_TYPES.items():
        one = pick(keys) | {"description": meaning, "required": [k for k in keys if k not in ("nest", "p")]}
        one["properties"]["type"] = {"const": kind}
        found.append(one)
    bounded = pick(GRID_TYPES["linspace"][1])
    del bounded["properties"]["type"]
    return {"anyOf": [*found, bounded | {"required": ["min", "max", "points"]}]}


def shock() -> Schema:
    """A shock of each method."""
    mass = {"type": "object", "properties": {"value": _SLOTS, "prob": ref("slot")}, "additionalProperties": False}
    take = {"dimensions": ref("names"), "given": {"anyOf": [{"type": "string"}, _BRACKET]}, "log": {"type": "boolean"},
            "values": _VALUES, "probs": _VALUES, "transition_matrix": _VALUES, "description": _TEXT,
            "point_mass": mass | {"required": ["value", "prob"]}}  # fmt: skip
    rules = {"uniform": uniform.RULES}
    found = []
    for method, meanings in SHOCK_KEYS.items():
        matrix = {"type": "array", "items": _SLOTS}
        own = {key: _SLOTS for key in meanings if key not in take} | take | {"shock_method": {"const": method}}
        own |= {"nodes": words(rules.get(method, normal.RULES)), "corr": {"anyOf": [_SLOTS, matrix]}}
        found.append(keyed(meanings, own) | {"required": ["dimensions", "shock_method"]})
    return {"anyOf": found}
