"""How large the compiled programs are: lines that are traced and lowered, kernels that are compiled, and the seconds of each.

`python benchmarks/weight.py [--gradient] [name or path ...]` prints a line a program, `solve` and the gradient of a value:
plain and expanded lines of StableHLO, kernels, and seconds to trace, lower, compile and run. Counts are the same at every run;
seconds are not.
"""

import re
import sys
import time
from collections import Counter
from pathlib import Path

import jax
import jax.numpy as jnp

import stagecraft as sc

ROOT = Path(__file__).parents[1]
MODELS = {
    "cons_indshock": "examples/cons_indshock/cons_indshock.yml",
    "ret_choice": "examples/ret_choice/ret_choice.yml",
    "portfolio": "examples/portfolio/portfolio.yml",
    "mortgage_mon": "examples/mortgage_mon/mortgage_mon.yml",
    "aiyagari": "examples/aiyagari/aiyagari.yml",
    "housing": "examples/housing/housing.yml",
}
# What costs the compiler nothing: names for what is there already, and the frames of loops.
_FREE = {"parameter", "tuple", "get-tuple-element", "constant", "while", "conditional", "call", "bitcast", "after-all"}


def expanded(text: str) -> int:
    """The lines of a StableHLO module with every call replaced by the lines of what it calls, as XLA inlines it."""
    bodies, name = {}, None
    for line in text.splitlines():
        if found := re.match(r"\s*func\.func \w+ @([\w.$-]+)\(", line):
            name = found[1]
            bodies[name] = (0, Counter())
        elif name is not None and line.strip() not in ("", "}") and not line.lstrip().startswith("return"):
            lines, calls = bodies[name]
            if found := re.search(r"\bcall @([\w.$-]+)\(", line):
                calls[found[1]] += 1
            else:
                bodies[name] = (lines + 1, calls)
    total: dict[str, int] = {}

    def size(name: str) -> int:
        if name not in total:
            lines, calls = bodies[name]
            total[name] = lines + sum(size(callee) * many for callee, many in calls.items())
        return total[name]

    return size("main")


def kernels(text: str) -> int:
    """The instructions of a compiled module outside fused and reducing computations, names and frames of loops apart."""
    inlined = set(re.findall(r"(?:calls|to_apply)=%([\w.-]+)", text))
    many, counted = 0, False
    for line in text.splitlines():
        if found := re.match(r"(?:ENTRY )?%([\w.-]+) .*\{$", line):
            counted = found[1] not in inlined
        elif counted and (found := re.match(r"\s+(?:ROOT )?%[\w.-]+ = .*?\s([\w-]+)\(", line)):
            many += found[1] not in _FREE
    return many


def value_gradient(circuit):
    """The derivative, in all parameters, of a value of the first stored stage in the first period."""
    stored = next(num.name for num in circuit.structure.stages if num.stored)
    states = {name: jnp.asarray(1.0) for name in circuit[0][stored].dcsn.dimensions}

    def value(parameters):
        solved = sc.solve(circuit.with_parameters(parameters), throw=False)
        return jnp.sum(solved[0][stored].dcsn.sol.value(**states))

    return jax.grad(value)


def weigh(function, argument) -> dict:
    """Counts and seconds of one program."""
    clock = [time.perf_counter()]
    tick = lambda: clock.append(time.perf_counter())
    traced = jax.jit(function).trace(argument)
    tick()
    lowered = traced.lower()
    tick()
    cpu = time.process_time()
    compiled = lowered.compile()
    cpu = time.process_time() - cpu
    tick()
    text = lowered.as_text()
    jax.block_until_ready(compiled(argument))
    start = time.perf_counter()
    jax.block_until_ready(compiled(argument))
    seconds = [b - a for a, b in zip(clock, clock[1:], strict=False)]
    return {
        "lines": text.count("\n"),
        "expanded": expanded(text),
        "kernels": kernels(compiled.as_text()),
        "trace": seconds[0],
        "lower": seconds[1],
        "compile": seconds[2],
        "cpu": cpu,
        "run": time.perf_counter() - start,
    }


def _shown(name, found) -> str:
    counts = " | ".join(f"{found[key]:,}" for key in ("lines", "expanded", "kernels"))
    return (
        f"| {name} | {counts} | "
        + " | ".join(f"{found[key]:.3g}" for key in ("trace", "lower", "compile", "cpu", "run"))
        + " |"
    )


if __name__ == "__main__":
    sc.enable_x64()
    print("| program | lines | expanded | kernels | trace, s | lower, s | compile, s | compile, CPU s | run, s |")
    print("|---" * 9 + "|")
    wanted = [argument for argument in sys.argv[1:] if not argument.startswith("-")] or list(MODELS)
    for name in wanted:
        circuit = sc.load(ROOT / MODELS.get(name, name))
        print(_shown(name, weigh(lambda c: sc.solve(c, throw=False), circuit)), flush=True)
        if "--gradient" in sys.argv:
            print(_shown(f"{name}, gradient", weigh(value_gradient(circuit), circuit.parameters)), flush=True)
