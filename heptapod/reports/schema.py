"""A JSON Schema of the model language for editors, from the tables that the checker reads with."""

from typing import Any

from heptapod.dialect.codes import CODES
from heptapod.reports import schema_blocks as blocks

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """The schema of a model file, draft 2020-12: blocks, keys and words; names and equations are left to `check`.

    **Returns:** a dictionary of its own at each call, which `json.dump` can write.
    """
    definitions = {
        "slot": blocks.SLOT,
        "expression": blocks.EXPRESSION,
        "names": blocks.NAMES,
        "text": {"type": ["string", "number"]},
        "numbers": {"type": "array", "items": {"type": "number"}, "minItems": 1},
        "parameter": blocks.parameter(),
        "grid": blocks.grid(),
        "shock": blocks.shock(),
        "perch": blocks.perch(),
        "branch": blocks.branch(),
        "scope": blocks.named({"$ref": "#/$defs/parameter"}),
        "definitions": blocks.named({"$ref": "#/$defs/expression"}),
        "constraints": blocks.named({"type": "string"}),
        "functions": blocks.functions(),
        "methods": blocks.methods(),
        "mover": blocks.mover(),
        "math": blocks.math(),
        "stage": blocks.stage(),
        "connection": blocks.connection(),
        "model": blocks.model(),
    }
    top = blocks.block("a file", blocks.file())
    return {
        "$schema": DRAFT,
        "$id": "https://dynx.invalid/heptapod/dialect-1.json",
        "title": "A recursive economic model, heptapod dialect 1",
        "description": f"Checked further by `python -m heptapod check`, which knows {len(CODES)} codes.",
        **top,
        "required": ["model"],
        "$defs": definitions,
    }
