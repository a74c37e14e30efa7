"""The keys of every block of a model file, with their meanings: what is read, what an editor completes, what is documented.

Grids and shocks have tables of their own, `spaces.grids.GRID_TYPES` and `shocks.read.SHOCK_KEYS`, since their keys differ by
type.
"""

from collections.abc import Mapping
from types import MappingProxyType

_KEPT = "kept with the text"
_SCOPE = {
    "parameters": "numbers that can be differentiated",
    "settings": "sizes (integers) and bounds or tolerances (real numbers)",
    "definitions": "arithmetic over parameters, computed at each solve",
}
KEYS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "a file": {
            "dialect": "`1`, which is also the default",
            "model": "the model's own block; required",
            "stage": "the one stage, with its `name`; this or `stages` or `imports`",
            "stages": "`{NAME: stage}`, in the order in which they are shown",
            "imports": "stages that stand in files of their own",
        },
        "an import": {
            "file": "a relative path; required",
            "alias": "the name of the stage in this model; its own if left out",
            "stage": "which stage of a file with several",
        },
        "`model`": {
            "name": "for messages; the first stage's if left out",
            "description": _KEPT,
            "version": _KEPT,
            "horizon": "a number of periods, arithmetic over integer settings of the model, or `infinite`; required",
            "age": "the age in each period; none if left out",
            "start": "the stage where households begin, or a list; needed where several stages begin the first period",
            "terminal": "the value on arrival after the last period, or `{STAGE: value}`; required for a finite horizon",
            **_SCOPE,
            "defaults": "what every stage inherits",
            "connections": "what follows what; a single stage leads to itself if left out",
            "types": "kinds of household: `{beta: [0.94, 0.97], weights: [0.5, 0.5]}`",
            "aggregates": "`{name: formula}`, expectations over all households",
            "equilibrium": "unknown parameters, and the markets that determine them",
        },
        "`age`": {"start": "the age in period 0; required", "step": "years in a period, above 0; default 1"},
        "`defaults`": {"inherit": "`all`: every stage sees every name of the model; `none` (default): those in brackets"},
        "`connections`": {
            "intra_period": "a list of connections inside a period",
            "inter_period": "a list of connections to the next period",
        },
        "a connection": {
            "source": "the continuation that is left: `CONS`, or `LABR.work` of a branching stage; required",
            "target": "the stage that is entered; required",
            "mapping": "`{post-state: arrival state}`; names that agree need not be written",
            "set": "`{arrival state: constant}`, a numeric slot of the source",
            "periods": "the periods in which it holds: `3`, `0..44`, `45..`, or a list of these; all if left out",
            "survival": "the share of households that it carries, a numeric slot of the source; to the next period only",
            "description": _KEPT,
            "direction": "older: `forward` says nothing, `backward` is refused",
        },
        "a stage": {
            "name": "under `stage:`, required; under `stages:` the key is the name",
            "description": _KEPT,
            "kind": "`sequential` (default) or `branching`",
            **_SCOPE,
            "methods": "how to solve it; derived from the equations if left out",
            "math": "equations, controls, shocks, spaces; required",
            "movers": "equations, parameters and methods of single movers",
        },
        "`math`": {
            "functions": "transitions, objective, value on arrival, helpers",
            "controls": "what is chosen",
            "constraints": "`{name: condition}`, that a choice must satisfy",
            "shocks": "what is drawn on the way from arrival to decision",
            "branches": "the continuations of a branching stage",
            "choice": "who chooses among branches or values, and how",
            "state_space": "the variables and grids of the perches; required",
        },
        "a parameter": {
            "value": "a number, a list or an expression; this or `steps`, `expr`, `values`",
            "in": "its domain, an interval such as `(0, inf)` or `[0, 1]`",
            "by": "`age` or `t`: it differs between periods",
            "steps": "`{age: value}`, each held until the next age named",
            "expr": "arithmetic, in `age` and `t` where it goes by them",
            "values": "a list, or one value for each period",
            "unit": _KEPT,
            "latex": _KEPT,
            "description": _KEPT,
        },
        "a control": {
            "in": "the set of a discrete control: a list, a vector parameter, or a block as of a grid; required",
            "description": _KEPT,
        },
        "a branch": {
            "g_ve": "its transition; that of the stage if left out, and names that agree carry over",
            "Q": "its objective; that of the stage if left out",
            "when": "a condition on decision states: elsewhere the branch is shut",
            "constraints": "`{name: condition}`, besides those of the stage",
            "description": _KEPT,
        },
        "`choice`": {
            "by": "`agent` (default) or `nature`",
            "taste_shock": "`none`, or `gumbel`, the default where there is a `scale`",
            "scale": "of the Gumbel shocks, a numeric slot; 0 is the hard maximum",
            "probs": "for nature: `{branch: probability}`, in decision states and parameters",
        },
        "`state_space`": {
            "arvl": "arrival",
            "dcsn": "decision",
            "cntn": "continuation; `cntn.NAME` of a branch",
        },
        "a perch": {
            "dimensions": "its variables, a bracketed list; the names of its grids if left out",
            "grid": "`{variable: grid}`, for all or some of them",
            "tabulate": "`true` on `arvl`: values are stored on its grids and read between them",
        },
        "a mover": {
            "inherit": "`true`: it sees all that its stage sees; default `false`",
            **_SCOPE,
            "methods": "of `cntn_to_dcsn` only, before those of the stage",
            "functions": "its equation and helpers of its own",
            "description": _KEPT,
        },
        "`equilibrium`": {
            "unknowns": "`{parameter: {start, in}}`",
            "clear": "`{market: formula}`, zero where it clears; one for each unknown",
        },
        "an unknown": {"start": "where the search begins; its value if left out", "in": "the interval that it stays in"},
    }
)


def of(block: str) -> tuple[str, ...]:
    """The keys of a block."""
    return tuple(KEYS[block])
