"""Which draws end their process: blame is given to a draw that was in flight alone."""

from collections import Counter
from typing import NamedTuple

from dynx_runner.store.contents import Contents

# So often a draw ended its process before it is left out.
TWO = 2


class Suspicion(NamedTuple):
    """What crashes say of the draws that they cut off.

    **Attributes:**

    - `suspects`: keys that were in flight in a crash, to be run one at a time.
    - `quiet`: suspects that were in flight in two crashes beside others, to be run while nothing else is.
    - `crashes`: of every draw that is quarantined, how many processes ended in it.
    - `strikes`: the same of every other draw.
    """

    suspects: frozenset[str]
    quiet: frozenset[str]
    crashes: dict[str, int]
    strikes: dict[str, int]


def suspicion(contents: Contents) -> Suspicion:
    """Judge every draw that was in flight when a job ended.

    A draw of a batch earns suspicion, one that was the only draw of its process a strike. Two strikes convict if one of them
    came while nothing else of the job was in flight: of several processes that end together, only one draw is guilty.
    """
    strikes, alone, seen = Counter(), Counter(), set()
    for processes in contents.open.values():
        keys = [key for flying in processes for key in flying]
        seen.update(keys)
        strikes.update(flying[0] for flying in processes if len(flying) == 1)
        alone.update(keys if len(keys) == 1 else ())
    crashes = {key: count for key, count in strikes.items() if count >= TWO and alone[key]}
    quiet = {key for key, count in strikes.items() if count >= TWO and key not in crashes}
    rest = {key: count for key, count in strikes.items() if key not in crashes}
    return Suspicion(frozenset(seen - set(crashes)), frozenset(quiet), crashes, rest)
