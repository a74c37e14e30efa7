"""Write `examples/gallery/scores.json`, the numbers of the oracles at the parameters of the files: python tests/gallery/scores.py"""

import json
from pathlib import Path

import numpy as np
from oracles import ORACLES

GALLERY = Path(__file__).parents[2] / "examples" / "gallery"


def numbers(name: str, parameters: dict) -> dict:
    """What is known of a model, as it stands in the file."""
    oracle, by, _, claimed = ORACLES[name]
    rows = [[t, what, {k: float(v) for k, v in at.items()}, float(x)] for t, what, at, x in oracle(parameters)]
    return {"by": by, "claimed": claimed, "rows": rows}


def parameters_of(circuit) -> dict:
    """The parameters of a model by name, as NumPy arrays."""
    return {name: np.asarray(x) for names in circuit.parameters.values() for name, x in names.items()}


if __name__ == "__main__":
    import stagecraft

    stagecraft.enable_x64()
    found = {name: numbers(name, parameters_of(stagecraft.load(GALLERY / f"{name}.yml"))) for name in ORACLES}
    (GALLERY / "scores.json").write_text(json.dumps(found, indent=1) + "\n")
