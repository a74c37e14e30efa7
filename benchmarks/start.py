"""What one waits for before anything is computed, in fresh processes: imports, loading, checking, showing.

`python benchmarks/start.py` prints the best of several runs of each, in seconds, and imports beside that of JAX.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
HOUSING = ROOT / "tests" / "models" / "housing.yml"
BUFFER = ROOT / "examples" / "cons_indshock" / "cons_indshock.yml"
WORKS = {
    "import jax": "import jax",
    "import heptapod": "import heptapod",
    "import stagecraft": "import stagecraft",
    "import dynx_runner": "import dynx_runner",
    "load and check housing": f"import heptapod\nbegin()\nheptapod.load({str(HOUSING)!r}), heptapod.check({str(HOUSING)!r})",
    "load and check housing again": "import heptapod\n"
    f"heptapod.load({str(HOUSING)!r}), heptapod.check({str(HOUSING)!r})\nbegin()\n"
    f"heptapod.load({str(HOUSING)!r}), heptapod.check({str(HOUSING)!r})",
    "a circuit as HTML": f"import stagecraft as sc\ncircuit = sc.load({str(BUFFER)!r})\nbegin()\ncircuit._repr_html_()",
}
FRAME = """
import time
start = [time.perf_counter()]
def begin():
    start[0] = time.perf_counter()
{work}
print(time.perf_counter() - start[0])
"""


def seconds(work: str, runs: int = 7) -> float:
    """The best of several fresh processes, from `begin()` on, or from the start where there is none."""
    command = [sys.executable, "-c", FRAME.replace("{work}", work)]
    done = [subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT) for _ in range(runs)]
    return min(float(run.stdout.split()[-1]) for run in done)


if __name__ == "__main__":
    found = {name: seconds(work) for name, work in WORKS.items()}
    print("| what | seconds | of `import jax` |\n|---|---|---|")
    for name, value in found.items():
        print(f"| {name} | {value:.3f} | {value / found['import jax']:.2f} |")
