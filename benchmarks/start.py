"""What one waits for in fresh processes: imports, loading, checking, showing; and a first policy, and a first gradient.

`python benchmarks/start.py` prints the best of several runs of each, in seconds, and imports beside that of JAX; then CPU
seconds of a whole process to its first policy and its first gradient, with nothing on disk and with what was kept.
"""

import os
import resource
import subprocess
import sys
import tempfile
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
FIRST = """
import jax, stagecraft as sc
sc.enable_x64()
circuit = sc.load({model!r})
worth = lambda p: sc.solve(circuit.with_parameters(p))[0][{stage!r}].dcsn.sol.value(**{at})
"""
POLICY = FIRST + "print(sc.solve(circuit)[0][{stage!r}].dcsn.sol.policy[{control!r}](**{at}))"
GRADIENT = FIRST + "print(jax.jit(jax.grad(worth))(circuit.parameters))"
CONS = {"model": str(BUFFER), "stage": "CONS", "control": "c", "at": {"m": 3.0}}
OWNER = {"model": str(HOUSING), "stage": "OWNC", "control": "c", "at": {"w": 20.0, "H": 1.0, "y": 1.0}}
PROCESSES = {
    "`cons_indshock`, first policy": POLICY.format(**CONS),
    "`cons_indshock`, first gradient": GRADIENT.format(**CONS),
    "`housing`, first policy": POLICY.format(**OWNER),
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


def cpu(script: str, kept: str) -> float:
    """CPU seconds of a fresh process, its imports included, the best of two. `kept`: what `DYNX_CACHE` says."""

    def once():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-c", script], check=True, capture_output=True, cwd=ROOT, env=os.environ | {"DYNX_CACHE": kept}
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return min(once() for _ in range(2))


if __name__ == "__main__":
    found = {name: seconds(work) for name, work in WORKS.items()}
    print("| what | seconds | of `import jax` |\n|---|---|---|")
    for name, value in found.items():
        print(f"| {name} | {value:.3f} | {value / found['import jax']:.2f} |")
    print("\n| CPU seconds | with nothing on disk | with what was kept |\n|---|---|---|")
    for name, script in PROCESSES.items():
        with tempfile.TemporaryDirectory() as folder:
            cold, _ = cpu(script, "off"), cpu(script, folder)
            print(f"| {name} | {cold:.2f} | {cpu(script, folder):.2f} |")
