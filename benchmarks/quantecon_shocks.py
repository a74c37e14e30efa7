"""QuantEcon's chains for autoregressive processes, as a fixture for `tests/heptapod/test_shocks.py`.

Run with quantecon installed, in an environment of its own:
python benchmarks/quantecon_shocks.py tests/heptapod/fixtures/quantecon.json
"""

import itertools
import json
import sys
import warnings
from pathlib import Path

RHO, SIGMA, POINTS, MEAN = (-0.4, 0.0, 0.6, 0.95), (0.1, 0.7), (2, 3, 7), 0.5


def main(path: str) -> None:
    """Write values and transition matrices."""
    from quantecon.markov.approximation import rouwenhorst, tauchen

    found = []
    for rho, sigma, n in itertools.product(RHO, SIGMA, POINTS):
        # Theirs is y' = mu + rho y + e, whose mean is mu/(1 - rho).
        chains = {
            ("rouwenhorst", 3.0): rouwenhorst(n, rho, sigma, MEAN * (1 - rho)),
            ("tauchen", 3.0): tauchen(n, rho, sigma, MEAN * (1 - rho), 3),
            ("tauchen", 2.0): tauchen(n, rho, sigma, MEAN * (1 - rho), 2),
        }
        for (method, m), chain in chains.items():
            case = {"method": method, "rho": rho, "std": sigma, "mean": MEAN, "n_points": n, "m": m}
            found.append(case | {"values": chain.state_values.tolist(), "transition": chain.P.tolist()})
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    # Both functions warn that their arguments were once in another order.
    warnings.simplefilter("ignore", UserWarning)
    main(sys.argv[1])
