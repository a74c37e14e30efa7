"""A JSON Schema of the model language for editors, from the tables that the checker reads with."""

from collections.abc import Mapping
from typing import Any

from heptapod.dialect import keys
from heptapod.dialect.codes import CODES
from heptapod.dialect.keys import (
    BRACKET,
    FLAG,
    LIST,
    NUMBER,
    STRING,
    TEXT,
    VALUE,
    VALUES,
    Kind,
    either,
    listed,
    ref,
    several,
    word,
)
from heptapod.problem.functional_problem import OLDER_MOVER_KEYS
from heptapod.problem.method import METHODS
from heptapod.shocks import normal, uniform
from heptapod.shocks.read import SHOCK_KEYS
from heptapod.spaces.grids import GRID_KEYS, GRID_TYPES

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_HELPER = r"^\s*[A-Za-z]\w*\s*\([^()]*\)\s*$"
_SLOTS = either(ref("slot"), several(ref("slot")))
# What a block takes besides the keys of its table.
_MORE: Mapping[str, Kind] = {
    "`state_space`": {"patternProperties": {r"^cntn\.\w+$": ref("perch")}, "minProperties": 1},
    "a mover": {"properties": dict.fromkeys(OLDER_MOVER_KEYS, FLAG | {"deprecated": True})},
}


def schema() -> dict[str, Any]:
    """The schema of a model file, draft 2020-12: blocks, keys and words; names and equations are left to `check`.

    **Returns:** a dictionary of its own at each call, which `json.dump` can write.
    """
    definitions = {
        "slot": either(VALUE, BRACKET) | {"description": "a number, arithmetic, or a bracketed name"},
        "expression": either(VALUE, BRACKET, _only({"expr": VALUE})),
        "names": several(keys.NAME) | {"uniqueItems": True},
        "parameter": either(VALUE, LIST, _block("a parameter")),
        "grid": _grid(),
        "shock": _shock(),
        "functions": _functions(),
        "helpers": _only({}) | {"patternProperties": {_HELPER: keys.EXPRESSION}},
        "methods": _only({key: word(*choices) for key, choices in METHODS.items()}),
        "math": _block("`math`"),
        "model": _block("`model`"),
    }
    definitions |= {name: _block(f"a {name}") for name in ("perch", "branch", "mover", "stage", "connection")}
    return {
        "$schema": DRAFT,
        "$id": "https://dynx.invalid/heptapod/dialect-1.json",
        "title": "A recursive economic model, heptapod dialect 1",
        "description": f"Checked further by `python -m heptapod check`, which knows {len(CODES)} codes.",
        **_block("a file"),
        "$defs": definitions,
    }


def _block(name: str) -> Kind:
    """A block of the table."""
    rows, more = keys.BLOCKS[name], dict(_MORE.get(name, {}))
    properties = {key: {"description": meaning, **_expanded(kind)} for key, (kind, meaning) in rows.items()}
    found = _only(properties | more.pop("properties", {})) | more
    required = [key for key, (_, meaning) in rows.items() if meaning.endswith("; required")]
    return found | ({"required": required} if required else {})


def _expanded(kind: Any) -> Any:
    """A kind as a copy with the blocks in it written out."""
    if isinstance(kind, dict):
        return _block(kind["inside"]) if "inside" in kind else {k: _expanded(v) for k, v in kind.items()}
    return [_expanded(k) for k in kind] if isinstance(kind, list) else kind


def _only(properties: Mapping[str, Kind]) -> Kind:
    """A block with these keys and no other."""
    return {"type": "object", "properties": dict(properties), "additionalProperties": False}


def _keyed(meanings: Mapping[str, str], kinds: Mapping[str, Kind]) -> Kind:
    """A block with given keys and meanings."""
    return _only({key: {"description": meaning, **kinds[key]} for key, meaning in meanings.items()})


def _functions() -> Kind:
    """The `functions:` of a stage or a mover: the equations, and helpers by their call."""
    slots = {slot: {"description": f"of the mover {mover}", **keys.EXPRESSION} for slot, mover in keys.MOVER_OF.items()}
    return _only(slots) | {"patternProperties": {_HELPER: keys.EXPRESSION}}


def _grid() -> Kind:
    """A grid of each type, a set of values, or the nodes of a shock."""
    take = {"values": VALUES, "nodes_of": either(STRING, BRACKET), "type": {}} | dict.fromkeys(("nest", "p"), NUMBER)
    take |= dict.fromkeys(("min", "max", "points"), ref("slot"))
    pick = lambda names, needed: _keyed({key: GRID_KEYS[key] for key in names}, take) | {"required": needed}
    found = [pick([key], [key]) for key in ("values", "nodes_of")]
    for kind, (meaning, names) in GRID_TYPES.items():
        one: dict[str, Any] = pick(names, [k for k in names if k not in ("nest", "p")]) | {"description": meaning}
        one["properties"]["type"] = {"const": kind}
        found.append(one)
    return either(*found, pick(["min", "max", "points"], ["min", "max", "points"]))


def _shock() -> Kind:
    """A shock of each method."""
    mass = _only({"value": _SLOTS, "prob": ref("slot")}) | {"required": ["value", "prob"]}
    take = {"dimensions": ref("names"), "given": either(STRING, BRACKET), "log": FLAG, "description": TEXT,
            "point_mass": mass, "corr": either(_SLOTS, listed(_SLOTS))}  # fmt: skip
    take |= dict.fromkeys(("values", "probs", "transition_matrix"), VALUES)
    found = []
    for method, meanings in SHOCK_KEYS.items():
        rules = uniform.RULES if method == "uniform" else normal.RULES
        own = dict.fromkeys(meanings, _SLOTS) | take | {"shock_method": {"const": method}, "nodes": word(*rules)}
        found.append(_keyed(meanings, own) | {"required": ["dimensions", "shock_method"]})
    return either(*found)
