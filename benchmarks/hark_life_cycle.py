"""HARK's solution of a life cycle with permanent and transitory shocks, as a fixture for `tests/theory/test_peers.py`.

Run with econ-ark installed, in an environment of its own: python benchmarks/hark_life_cycle.py tests/theory/fixtures/hark.json
"""

import json
import sys
from pathlib import Path

import numpy as np

PERIODS = 20


def main(path: str) -> None:
    """Solve and write consumption at a few ages, with the nodes that HARK used."""
    from HARK.ConsumptionSaving.ConsIndShockModel import IndShockConsumerType, init_idiosyncratic_shocks

    given = dict(init_idiosyncratic_shocks)
    given.update(cycles=1, T_cycle=PERIODS, CRRA=2.5, Rfree=[1.03] * PERIODS, DiscFac=0.95, LivPrb=[0.99] * PERIODS)
    given.update(PermGroFac=[1.02] * 10 + [0.98] * 10, PermShkStd=[0.1] * PERIODS, TranShkStd=[0.2] * PERIODS)
    given.update(PermShkCount=7, TranShkCount=7, UnempPrb=0.05, IncUnemp=0.3, BoroCnstArt=0.0)
    given.update(aXtraMin=0.001, aXtraMax=60.0, aXtraCount=1000, aXtraNestFac=3, vFuncBool=False, CubicBool=False)
    agent = IndShockConsumerType(**given)
    agent.solve()
    income = agent.IncShkDstn[0]
    m = np.array([0.1, 0.3, 0.7, 1.0, 1.5, 3.0, 7.0, 15.0, 30.0])
    found = {
        "m": m.tolist(),
        "c": {str(t): agent.solution[t].cFunc(m).tolist() for t in (0, 5, 12, 18)},
        "weights": income.pmv.tolist(),
        "permanent": income.atoms[0].tolist(),
        "transitory": income.atoms[1].tolist(),
    }
    Path(path).write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
