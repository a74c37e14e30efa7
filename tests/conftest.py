"""Every test runs in double precision, and with the shapes in the numerical rooms' signatures checked at run time.

The library itself never touches JAX's configuration, nor checks shapes.
"""

import functools
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# Most tests compile for longer than they run. These options make programs that compile in a quarter of the time and run two to
# four times longer; they are read when JAX starts, here and in the processes that tests start.
CHEAP = "--xla_cpu_use_fusion_emitters=false --xla_backend_optimization_level=0"
if "XLA_FLAGS" not in os.environ:
    os.environ["XLA_FLAGS"] = CHEAP

import hypothesis
import jax
import pytest
from jaxtyping import install_import_hook
from xdist.scheduler import LoadScopeScheduling

jax.config.update("jax_enable_x64", True)
# Tracing makes many small objects that live long; looking for rings among them all the time takes a tenth of a run.
gc.set_threshold(50_000, 20, 20)
install_import_hook(["stagecraft.arrays", "stagecraft.operators", "stagecraft.horses"], "beartype.beartype")

# The same cases on every machine: a run that fails must fail again.
hypothesis.settings.register_profile("dynx", derandomize=True, deadline=None)
hypothesis.settings.load_profile("dynx")

sys.path.insert(0, str(Path(__file__).parent))
import compiled

# Tests that are held to the last digits, or run for much longer than they compile: a process of their own compiles in full.
EXACT = (
    "test_levels_have_mean_one_times_the_mean",
    "test_preferences_are_exact_at_their_limits_in_value_and_derivatives",
    "test_euler_errors_say_what_a_panel_has_not_kept",
    "test_the_true_error_is_within_the_reported_bound",
    "test_estimations_find_the_truth_within_their_standard_errors",
    "test_a_markov_state_has_its_row",  # A search, whose choice between two equal peaks is one of digits.
)
# Files whose tests share nothing but what they compile for one model.
BY_MODEL = ("test_one_word.py", "test_panel_and_push.py", "test_example_gradients.py", "test_duality.py")
# Files of long tests that compile nothing.
BY_TEST = ("test_fuzz.py", "test_wrong_structures.py")
# Files that compile much come first, so that those of many short tests fill the gaps at the end.
ORDER = ("stagecraft", "theory", "tests", "runner", "heptapod")
# What a run shares between its processes: the programs that they compile, and the names of the structures.
SHARED = "DYNX_TESTS_SHARED"


def pytest_configure(config):
    """One folder for a run, which goes with it; what it takes long to compile is kept there, for whoever compiles it next."""
    config.whole = not hasattr(config, "workerinput") and config.option.markexpr == "not slow" and config.args == ["tests/"]
    if not hasattr(config, "workerinput"):
        config.shared = os.environ[SHARED] = tempfile.mkdtemp(prefix="dynx-tests-")
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", config.shared)
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "1")
    # JAX has read the environment already.
    jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
    least = float(os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", least)


def pytest_sessionstart():
    import stagecraft  # noqa: F401 - it must be there to be watched.
    from heptapod.derivation import kept

    # What one run derives is not what the next one reads.
    kept._folder = functools.partial(lambda real: None, kept._folder)

    compiled.watch(_record)


def _record(digest, label):
    with open(Path(os.environ[SHARED]) / f"structures.{os.getpid()}", "a") as file:
        file.write(json.dumps([digest, label]) + "\n")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    """A whole run compiles what the list names, and nothing else."""
    if not session.config.whole or session.testsfailed or not session.testscollected:
        return
    lines = [line for file in Path(session.config.shared).glob("structures.*") for line in file.read_text().splitlines()]
    found = dict(map(json.loads, lines))
    if os.environ.get("DYNX_COMPILED") == "write":
        compiled.LIST.write_text(compiled.written(found))
    more = {name: count for name, count in compiled.counted(found).items() if count > compiled.listed().get(name, 0)}
    if more:
        told = "".join(f"\n  {count} of {name}, {compiled.listed().get(name, 0)} in the list" for name, count in more.items())
        session.config.get_terminal_writer().line(f"\ncompiled beside tests/compiled.txt:{told}", red=True)
        session.exitstatus = 1


def pytest_unconfigure(config):
    if hasattr(config, "shared"):
        shutil.rmtree(config.shared, ignore_errors=True)


def pytest_xdist_make_scheduler(config, log):
    """The tests of a file share a worker, and so what it compiles; no two jobs of `mpirun` run at a time."""
    return _ByFile(config, log)


class _ByFile(LoadScopeScheduling):
    def _split_scope(self, nodeid):
        file, _, test = nodeid.partition("::")
        if "test_mpi" in file or "mpirun" in test:
            return "mpirun"
        name, _, model = test.partition("[")
        if name in EXACT:
            return "exact"
        if file.endswith(BY_MODEL):
            return f"{file} {model.partition('-')[0].rstrip(']')}"
        return f"{file} {name}" if file.endswith(BY_TEST) else file


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: ORDER.index(item.path.parent.name))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """A test that is held to the last digits has its answer from a process that compiles without the cheap options."""
    if os.environ["XLA_FLAGS"] != CHEAP or pyfuncitem.originalname not in EXACT:
        return None
    status, text = _exactly(pyfuncitem.session)
    if f"PASSED {pyfuncitem.nodeid}" not in status:
        pytest.fail(text, pytrace=False)
    return True


@functools.cache
def _exactly(session):
    """The lines that say how the exact tests ended in a process of their own, and all that it printed."""
    names = [item.nodeid for item in session.items if item.originalname in EXACT]
    command = [sys.executable, "-m", "pytest", "-n", "0", "-q", "-rA", "--durations=0", "-m", "", *names]
    environment = {**os.environ, "XLA_FLAGS": "--xla_cpu_use_fusion_emitters=false"}
    done = subprocess.run(command, cwd=session.config.rootpath, env=environment, capture_output=True, text=True, timeout=600)
    return set(done.stdout.splitlines()), done.stdout + done.stderr


@pytest.fixture(autouse=True, scope="module")
def compiled_programs():
    """Those of a module go with it: a process may hold so many pieces of memory, and every program takes several."""
    yield
    jax.clear_caches()
