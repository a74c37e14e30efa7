"""The house: arrows point one way, classes are abstract or final, and importing does nothing."""

import ast
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import dynx_runner
import heptapod
import stagecraft

ROOT = Path(__file__).parents[1]
PACKAGES = {"heptapod": 0, "stagecraft": 1, "dynx_runner": 2}
LAYERS = {
    "heptapod": [
        ["codes"], ["keys"], ["errors"], ["_text"], ["_yaml"], ["_smooth"], ["_foreign"], ["_formula"], ["builtins"], ["_arithmetic"], ["_scope"], ["_express"], ["_source"],
        ["_reader"], ["_parse"], ["_lower"], ["_numeric"], ["_dictionary"], ["_join"], ["_bundle"], ["_tree"], ["calibration"], ["_declared"], ["_by_age"], ["_numbers"], ["_entries"], ["_declare"], ["_steps"], ["_invert"],
        ["equation"], ["_stated"], ["_certificate"], ["_kinks"], ["_derivation"], ["derive"], ["_concave"], ["grids"], ["_read_grid"], ["shocks"], ["perch_space"], ["_stage_scope"], ["_branches"], ["_draws"], ["_arrival"], ["_controls"], ["_objective"], ["_equations"], ["_idle"],
        ["_direct"], ["_refusal"], ["_method"], ["numeric_problem"], ["functional_problem"], ["_stages"], ["_nodes"], ["_link_parts"], ["connections"], ["_sets"], ["periods"], ["_terminal"], ["_contraction"],
        ["_nonconcave"], ["_equilibrium"], ["_economy"], ["_unused"], ["_clock"], ["structure"], ["circuit_spec"], ["load"], ["_writing"], ["explain"], ["_latex"], ["_latex_shocks"], ["_latex_stage"], ["to_latex"], ["check"], ["_schema_blocks"], ["schema"], ["__main__"],
    ],
    "stagecraft": [
        ["results"], ["_dtype"], ["operators"], ["solution"], ["horses"], ["axes"], ["functional"], ["decision"], ["afterwards"], ["searched"], ["whisperers"], ["population"], ["perch"], ["inner"], ["_switches"], ["_switch_knots"], ["mover"], ["maximise"],
        ["_graph"], ["_held"], ["_run_board"], ["circuit_board"], ["_layout"], ["draw"], ["_show"], ["stage"], ["period"], ["_paths"], ["_compose"], ["types"], ["_cells"], ["_jumps"], ["_density"], ["_push"], ["_push_checks"], ["_view"], ["model_circuit"],
        ["load"], ["_sweep"], ["_linear_solve"], ["_classes"], ["_fixed_point"], ["_diagnose"], ["solve"], ["panel"], ["_agent_keys"], ["_initial"], ["_pass"], ["_agents"], ["_truth"], ["_follow"], ["_chunks"], ["simulate"], ["_population_of"], ["push_forward"], ["stationary"], ["comparative_statics"], ["euler_errors"], ["accuracy"], ["_written"], ["explain"], ["to_latex"], ["precision"],
    ],
    "dynx_runner": [
        ["_launch"], ["_places"], ["_prior"], ["circuit_factory"], ["circuit_runner"], ["backends"], ["sweep"], ["plots"],
    ],
}  # fmt: skip


def source_files():
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def room(module: str) -> tuple[str, str]:
    """The package and the room that a dotted module name stands in."""
    parts = module.split(".")
    return parts[0], parts[1] if len(parts) > 1 else "__init__"


def imports(path: Path):
    """Every module that a file imports at its top level, as absolute dotted names with the line."""
    here = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = here.rsplit(".", node.level)[0] + "." if node.level else ""
            if node.module is None:
                for alias in node.names:
                    yield base + alias.name, node.lineno
            else:
                yield (base + node.module).rstrip("."), node.lineno


@pytest.mark.parametrize("path", source_files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_arrows_point_one_way(path):
    """Between packages heptapod <- stagecraft <- dynx_runner; inside one, only rooms earlier in its list."""
    package, name = room(".".join(path.relative_to(ROOT).with_suffix("").parts))
    order = {r: i for i, layer in enumerate(LAYERS[package]) for r in layer}
    if name != "__init__":
        assert name in order, f"{path} has no place in the house: add it to LAYERS"
    for module, line in imports(path):
        other, target = room(module)
        if other not in PACKAGES:
            continue
        assert PACKAGES[other] <= PACKAGES[package], f"{path}:{line} imports {module}, against the arrows"
        if other == package and name != "__init__" and target not in (name, "__init__"):
            assert order[target] < order[name], f"{path}:{line} imports {module}, which comes later"


def classes():
    for package in (heptapod, stagecraft, dynx_runner):
        folder = Path(package.__file__).parent
        for path in sorted(folder.rglob("*.py")):
            name = ".".join((package.__name__, *path.relative_to(folder).with_suffix("").parts)).removesuffix(".__init__")
            module = sys.modules.get(name)
            for _, cls in inspect.getmembers(module, inspect.isclass) if module else ():
                if cls.__module__ == name:
                    yield cls


@pytest.mark.parametrize("cls", list(dict.fromkeys(classes())), ids=lambda c: f"{c.__module__}.{c.__qualname__}")
def test_classes_are_abstract_or_final(cls):
    """A class of ours that is built upon is abstract and says so; nobody overrides a concrete method."""
    for base in cls.__mro__[1:]:
        if base.__module__.split(".")[0] not in PACKAGES:
            continue
        assert inspect.isabstract(base), f"{cls.__name__} builds on {base.__name__}, which is not abstract"
        for name, member in vars(base).items():
            concrete = inspect.isfunction(member) and not getattr(member, "__isabstractmethod__", False)
            made = name.startswith("__") or name not in vars(cls)
            assert made or not concrete, f"{cls.__name__} overrides {base.__name__}.{name}"


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_starts_nothing(package):
    """No JAX backend, and neither matplotlib, pandas nor mpi4py."""
    code = (
        f"import {package}, sys\n"
        "from jax._src import xla_bridge\n"
        "assert not xla_bridge.backends_are_initialized(), 'a backend was started'\n"
        "heavy = [m for m in ('matplotlib', 'pandas', 'mpi4py') if m in sys.modules]\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env={**os.environ, "JAX_PLATFORMS": "cpu"})


@pytest.mark.parametrize("launched", [{}, {"PMI_SIZE": "2"}], ids=["alone", "under mpirun"])
def test_importing_changes_nothing(launched):
    """Hooks, warnings, signals, the environment and what runs at exit are as they were, also in a job of several processes."""
    code = (
        "import atexit, os, signal, sys, threading, warnings\n"
        # What our dependencies do at their import is theirs.
        "import jax, equinox, sympy, scipy.special, scipy.optimize, networkx, tqdm\n"
        "look = lambda: (sys.excepthook, sys.unraisablehook, threading.excepthook, sys.displayhook, sys.gettrace(),\n"
        "    list(warnings.filters), dict(os.environ), [signal.getsignal(s) for s in signal.valid_signals()],\n"
        "    atexit._ncallbacks(), threading.active_count(), sys.getrecursionlimit(), list(sys.path))\n"
        "before = look()\n"
        "import heptapod, stagecraft, dynx_runner\n"
        "changed = [(a, b) for a, b in zip(before, look()) if a != b]\n"
        "assert not changed, changed\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env={**os.environ, "JAX_PLATFORMS": "cpu", **launched})


@pytest.mark.parametrize("path", source_files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_importing_reads_no_environment_and_changes_no_configuration(path):
    """Outside functions no file mentions the environment, JAX's configuration, or opens anything."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            continue
        text = ast.unparse(node)
        for word in ("environ", "getenv", "jax.config", "open(", "print("):
            assert word not in text, f"{path}:{node.lineno} {word}"


def test_no_private_jax_and_no_evaluation():
    for path in source_files():
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            name = getattr(node, "id", None)
            called = isinstance(node, ast.Call) and getattr(node.func, "id", None) in ("eval", "exec", "compile")
            assert not called, f"{path}:{node.lineno} evaluates text"
            assert name not in ("sympify", "lambdify", "parse_expr"), f"{path}:{node.lineno} {name}"
            if isinstance(node, ast.ImportFrom) and node.module:
                assert not node.module.startswith("jax._src"), f"{path}:{node.lineno} uses JAX's own internals"


@pytest.mark.parametrize("path", [p for p in source_files() if "heptapod" in p.parts], ids=lambda p: p.stem)
def test_what_a_model_says_depends_on_no_clock(path):
    """No time, no threads, no signals, no tracing: they make a verdict depend on the machine and its load."""
    refused = {"time", "timeit", "threading", "concurrent", "multiprocessing", "signal", "asyncio", "sched", "datetime"}
    calls = {
        "settrace",
        "setprofile",
        "monitoring",
        "alarm",
        "setitimer",
        "perf_counter",
        "process_time",
        "monotonic",
        "thread_time",
    }
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        assert not refused & {name.split(".")[0] for name in names}, f"{path}:{node.lineno} imports {names}"
        assert getattr(node, "attr", None) not in calls, f"{path}:{node.lineno} {getattr(node, 'attr', None)}"
