"""The blocks of a model file: the keys of each, what every key takes, and what it means.

From this one table come what is read, what an editor completes (`heptapod.schema`) and what is documented. Grids and shocks
have tables of their own, `spaces.grids.GRID_TYPES` and `shocks.read.SHOCK_KEYS`, since their keys differ by type.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

# What a key takes, in the words of JSON Schema; `{"inside": name}` is a block of the table.
Kind = dict[str, Any]
IDENTIFIER = "^[A-Za-z][A-Za-z0-9_]*$"


def ref(name: str) -> Kind:
    """A definition of the schema."""
    return {"$ref": f"#/$defs/{name}"}


def inside(block: str) -> Kind:
    """A block of the table."""
    return {"inside": block}


def word(*choices: str) -> Kind:
    """One of some words, in the spelling of the documentation."""
    return {"enum": list(choices)}


def either(*kinds: Kind) -> Kind:
    """One of several kinds."""
    return {"anyOf": list(kinds)}


def listed(kind: Kind) -> Kind:
    """A list, which may be empty."""
    return {"type": "array", "items": kind}


def several(kind: Kind) -> Kind:
    """A list of at least one."""
    return listed(kind) | {"minItems": 1}


def named(kind: Kind) -> Kind:
    """Entries under names of the user's choice."""
    return {"type": "object", "propertyNames": {"pattern": IDENTIFIER}, "additionalProperties": kind}


def only(kind: Kind, names: tuple[str, ...]) -> Kind:
    """Entries under some of the given names."""
    return {"type": "object", "properties": dict.fromkeys(names, kind), "additionalProperties": False}


STRING, NUMBER, FLAG = ({"type": kind} for kind in ("string", "number", "boolean"))
COUNT, POSITIVE = {"type": "integer", "minimum": 1}, NUMBER | {"exclusiveMinimum": 0}
NAME, TEXT, VALUE = STRING | {"pattern": IDENTIFIER}, {"type": ["string", "number"]}, {"type": ["number", "string"]}
LIST, ENTRY = {"type": "array", "minItems": 1}, {"type": ["number", "string", "array"]}
BRACKET = several(STRING) | {"maxItems": 1}
SLOT, EXPRESSION = ref("slot"), ref("expression")
VALUES = either(STRING, several(ENTRY))
PERIODS = either({"type": "integer", "minimum": 0}, STRING | {"pattern": r"^\s*\d*\s*\.\.\s*\d*\s*$"})
MAPPING = {"type": "object", "additionalProperties": TEXT}
STEPS = {"type": "object", "propertyNames": {"pattern": r"^[-+]?[\d.]+([eE][-+]?\d+)?$"}, "minProperties": 1,
         "additionalProperties": NUMBER}  # fmt: skip
# The parameter of a type may be told by its scope.
TYPES = named(several(NUMBER)) | {"required": ["weights"], "propertyNames": {"pattern": r"^[A-Za-z][\w.]*$"}}
# The mover whose model holds an equation, when the equation is written at the mover.
MOVER_OF = {"g_av": "arvl_to_dcsn", "g_ve": "dcsn_to_cntn", "Q": "cntn_to_dcsn", "V": "cntn_to_dcsn", "A": "dcsn_to_arvl"}
MOVERS = tuple(dict.fromkeys(MOVER_OF.values()))

_KEPT = (TEXT, "kept with the text")
_PARAMETERS = named(ref("parameter"))
_SCOPE = {
    "parameters": (_PARAMETERS, "numbers that can be differentiated"),
    "settings": (_PARAMETERS, "sizes (integers) and bounds or tolerances (real numbers)"),
    "definitions": (named(EXPRESSION), "arithmetic over parameters, computed at each solve"),
}
# Block -> key -> (what it takes, what it means).
BLOCKS: Mapping[str, Mapping[str, tuple[Kind, str]]] = MappingProxyType(
    {
        "a file": {
            "dialect": ({"const": 1}, "`1`, which is also the default"),
            "model": (ref("model"), "the model's own block; required"),
            "stage": (ref("stage"), "the one stage, with its `name`; this or `stages` or `imports`"),
            "stages": (named(ref("stage")), "`{NAME: stage}`, in the order in which they are shown"),
            "imports": (listed(either(STRING, inside("an import"))), "stages that stand in files of their own"),
        },
        "an import": {
            "file": (STRING, "a relative path; required"),
            "alias": (STRING, "the name of the stage in this model; its own if left out"),
            "stage": (STRING, "which stage of a file with several"),
        },
        "`model`": {
            "name": (TEXT, "for messages; the first stage's if left out"),
            "description": _KEPT,
            "version": _KEPT,
            "horizon": (
                either(COUNT, STRING),
                "a number of periods, arithmetic over integer settings of the model, or `infinite`; required",
            ),
            "age": (inside("`age`"), "the age in each period; none if left out"),
            "start": (
                either(STRING, listed(STRING)),
                "the stage where households begin, or a list; needed where several stages begin the first period",
            ),
            "terminal": (
                either(VALUE, named(VALUE)),
                "the value on arrival after the last period, or `{STAGE: value}`; required for a finite horizon",
            ),
            **_SCOPE,
            "functions": (ref("helpers"), "helpers for every stage that calls them"),
            "shocks": (named(ref("shock")), "shocks for every stage that names their dimensions"),
            "defaults": (inside("`defaults`"), "what every stage inherits"),
            "connections": (inside("`connections`"), "what follows what; a single stage leads to itself if left out"),
            "types": (TYPES, "kinds of household: `{beta: [0.94, 0.97], weights: [0.5, 0.5]}`"),
            "aggregates": (named(STRING), "`{name: formula}`, expectations over all households"),
            "equilibrium": (inside("`equilibrium`"), "unknown parameters, and the markets that determine them"),
            "units": (named(TEXT), "`{variable: unit}`, `age` among them, which pictures write at their axes"),
        },
        "`age`": {
            "start": (NUMBER, "the age in period 0; required"),
            "step": (POSITIVE, "years in a period, above 0; default 1"),
        },
        "`defaults`": {
            "inherit": (
                word("all", "none"),
                "`all`: every stage sees every name of the model; `none` (default): those in brackets",
            ),
        },
        "`connections`": {
            "intra_period": (listed(ref("connection")), "a list of connections inside a period"),
            "inter_period": (listed(ref("connection")), "a list of connections to the next period"),
        },
        "a connection": {
            "source": (STRING, "the continuation that is left: `CONS`, or `LABR.work` of a branching stage; required"),
            "target": (STRING, "the stage that is entered; required"),
            "mapping": (MAPPING, "`{post-state: arrival state}`; names that agree need not be written"),
            "set": (named(SLOT), "`{arrival state: constant}`, a numeric slot of the source"),
            "periods": (
                either(PERIODS, several(PERIODS)),
                "the periods in which it holds: `3`, `0..44`, `45..`, or a list of these; all if left out",
            ),
            "survival": (
                SLOT,
                "the share of households that it carries, a formula in states, controls and parameters of the source and "
                "`age`; to the next period only",
            ),
            "description": _KEPT,
            "direction": ({"const": "forward"}, "older: `forward` says nothing, `backward` is refused"),
        },
        "a stage": {
            "name": (NAME, "under `stage:`, required; under `stages:` the key is the name"),
            "description": _KEPT,
            "kind": (word("sequential", "branching"), "`sequential` (default) or `branching`"),
            **_SCOPE,
            "methods": (ref("methods"), "how to solve it; derived from the equations if left out"),
            "math": (ref("math"), "equations, controls, shocks, spaces; required"),
            "movers": (only(ref("mover"), MOVERS), "equations, parameters and methods of single movers"),
        },
        "`math`": {
            "functions": (ref("functions"), "transitions, objective, value on arrival, helpers"),
            "controls": (named(either(STRING, inside("a control"))), "what is chosen"),
            "constraints": (named(STRING), "`{name: condition}`, that a choice must satisfy"),
            "shocks": (named(ref("shock")), "what is drawn on the way from arrival to decision"),
            "branches": (named(ref("branch")), "the continuations of a branching stage"),
            "choice": (inside("`choice`"), "who chooses among branches or values, and how"),
            "state_space": (inside("`state_space`"), "the variables and grids of the perches; required"),
        },
        "a parameter": {
            "value": (ENTRY, "a number, a list or an expression; this or `steps`, `expr`, `values`"),
            "in": (STRING, "its domain, an interval such as `(0, inf)` or `[0, 1]`"),
            "by": (word("age", "t"), "`age` or `t`: it differs between periods"),
            "steps": (STEPS, "`{age: value}`, each held until the next age named"),
            "expr": (VALUE, "arithmetic, in `age` and `t` where it goes by them"),
            "values": (LIST, "a list, or one value for each period"),
            "unit": (TEXT, "its unit, which pictures write beside its name"),
            "latex": _KEPT,
            "description": _KEPT,
        },
        "a control": {
            "in": (
                either(VALUES, ref("grid")),
                "the set of a discrete control: a list, a vector parameter, or a block as of a grid; required",
            ),
            "description": _KEPT,
        },
        "a branch": {
            "g_ve": (EXPRESSION, "its transition; that of the stage if left out, and names that agree carry over"),
            "Q": (EXPRESSION, "its objective; that of the stage if left out"),
            "when": (STRING, "a condition on decision states: elsewhere the branch is shut"),
            "constraints": (named(STRING), "`{name: condition}`, besides those of the stage"),
            "description": _KEPT,
        },
        "`choice`": {
            "by": (word("agent", "nature"), "`agent` (default) or `nature`"),
            "taste_shock": (word("none", "gumbel"), "`none`, or `gumbel`, the default where there is a `scale`"),
            "scale": (SLOT, "of the Gumbel shocks, a numeric slot; 0 is the hard maximum"),
            "probs": (named(EXPRESSION), "for nature: `{branch: probability}`, in decision states and parameters"),
        },
        "`state_space`": {
            "arvl": (ref("perch"), "arrival"),
            "dcsn": (ref("perch"), "decision"),
            "cntn": (ref("perch"), "continuation; `cntn.NAME` of a branch"),
        },
        "a perch": {
            "dimensions": (ref("names"), "its variables, a bracketed list; the names of its grids if left out"),
            "grid": (named(ref("grid")), "`{variable: grid}`, for all or some of them"),
            "tabulate": (FLAG, "`true` on `arvl`: values are stored on its grids and read between them"),
        },
        "a mover": {
            "inherit": (FLAG, "`true`: it sees all that its stage sees; default `false`"),
            **_SCOPE,
            "methods": (ref("methods"), "of `cntn_to_dcsn` only, before those of the stage"),
            "functions": (ref("functions"), "its equation and helpers of its own"),
            "description": _KEPT,
        },
        "`equilibrium`": {
            "unknowns": (named(inside("an unknown")), "`{parameter: {start, in}}`"),
            "clear": (named(STRING), "`{market: formula}`, zero where it clears; one for each unknown"),
        },
        "an unknown": {
            "start": (NUMBER, "where the search begins; its value if left out"),
            "in": (STRING, "the interval that it stays in"),
        },
    }
)


def of(block: str) -> tuple[str, ...]:
    """The keys of a block."""
    return tuple(BLOCKS[block])


def homes(key: str) -> tuple[str, ...]:
    """The blocks that have a key."""
    return tuple(block for block, found in BLOCKS.items() if key in found)


def words(block: str, key: str) -> tuple[str, ...]:
    """The words that a key may have."""
    return tuple(BLOCKS[block][key][0]["enum"])


def texts(block: str) -> tuple[str, ...]:
    """The keys that take text, which is kept."""
    return tuple(key for key, (kind, _) in BLOCKS[block].items() if kind == TEXT)
