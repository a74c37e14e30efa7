"""What is compiled: it is counted by verb and model, and kept on disk where the user wants it, and nowhere else."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import types
import warnings
from pathlib import Path

import jax
import pytest
from jax.experimental.compilation_cache.compilation_cache import reset_cache

import stagecraft as sc
from stagecraft.programs import cache, counts

sys.path.insert(0, str(Path(__file__).parent))
from models import BUFFER

ROOT = Path(__file__).parents[2]


def process(script: str, **environment) -> subprocess.CompletedProcess:
    """A script in a process of its own, which finds no setting of this one."""
    bare = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "DYNX_", "XDG_"))}
    environment = {**bare, "PYTHONPATH": str(ROOT), **{k: str(v) for k, v in environment.items()}}
    return subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240
    )


SOLVE = f"""
import json, jax, stagecraft as sc
sc.enable_x64()
circuit = sc.load({BUFFER!r})
assert jax.config.jax_compilation_cache_dir is None
solved = sc.solve(circuit)
print(json.dumps([sc.compilations(), float(solved.stored[0]["CONS"].value.sum())]))
"""


def solved_in_a_process(**environment):
    """What a process has compiled, what it found, and what it said."""
    done = process(SOLVE, **environment)
    assert done.returncode == 0, done.stderr
    return (*json.loads(done.stdout), done.stderr)


@pytest.mark.slow
def test_the_next_process_compiles_nothing_and_what_is_damaged_is_compiled_again(tmp_path):
    first, value, _ = solved_in_a_process(XDG_CACHE_HOME=tmp_path)
    second, again, _ = solved_in_a_process(XDG_CACHE_HOME=tmp_path)
    assert (first, second, again) == ({"solve Buffer": 1}, {}, value)
    folder = tmp_path / "dynx" / "programs"
    (program,) = folder.glob("*/jit__solve*-cache")
    assert [path.stat().st_mode & 0o777 for path in (folder, program.parent)] == [0o700, 0o700]
    program.write_bytes(program.read_bytes()[:1000])
    third, still, said = solved_in_a_process(XDG_CACHE_HOME=tmp_path)
    assert (third, still) == ({"solve Buffer": 1}, value) and "Error reading persistent compilation cache entry" in said


def test_off_leaves_nothing_behind(tmp_path):
    compiled, _, _ = solved_in_a_process(XDG_CACHE_HOME=tmp_path, DYNX_CACHE="off")
    assert compiled == {"solve Buffer": 1} and list(tmp_path.iterdir()) == []


@pytest.fixture
def undecided(monkeypatch):
    """A process in which nobody has said where programs are kept; afterwards all is as it was."""
    names = ("jax_compilation_cache_dir", "jax_enable_compilation_cache", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    jax.config.update("jax_compilation_cache_dir", None)
    monkeypatch.delenv("DYNX_CACHE", raising=False)
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    reset_cache()


@pytest.mark.parametrize("said, wanted", [("off", None), ("{tmp}/mine", "mine"), ("", "dynx/programs")])
def test_the_environment_says_where(said, wanted, undecided, tmp_path, monkeypatch):
    monkeypatch.setenv("DYNX_CACHE", said.format(tmp=tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache.begin()
    place = jax.config.jax_compilation_cache_dir
    assert place == (wanted and str(next((tmp_path / wanted).iterdir()))) and jax.config.jax_enable_compilation_cache == bool(
        wanted
    )


@pytest.mark.parametrize("name, value", [("jax_compilation_cache_dir", "theirs"), ("jax_enable_compilation_cache", False)])
def test_what_the_user_has_told_jax_stands(name, value, undecided, tmp_path, monkeypatch):
    monkeypatch.setenv("DYNX_CACHE", str(tmp_path))
    jax.config.update(name, value)
    cache.begin()
    assert getattr(jax.config, name) == value and list(tmp_path.iterdir()) == []


def test_none_keeps_none_and_a_folder_is_taken_again(undecided, tmp_path):
    sc.compilation_cache(None)
    cache.begin()
    assert jax.config.jax_compilation_cache_dir is None
    sc.compilation_cache(tmp_path)
    assert Path(jax.config.jax_compilation_cache_dir).parent == tmp_path


def broken(name, folder, monkeypatch):
    """A folder in which programs cannot be kept."""
    if name == "a file":
        folder.write_text("")
    elif name == "below a file":
        (folder.parent / "file").write_text("")
        return folder.parent / "file" / "folder"
    elif name == "a home that nobody has":
        return Path("~nobody-at-all") / "programs"
    elif name == "another's":
        folder.mkdir()
        monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    elif name == "open to others":
        folder.mkdir()
        folder.chmod(0o777)
    elif name == "full":
        monkeypatch.setattr(os, "statvfs", lambda _: types.SimpleNamespace(f_bavail=1, f_frsize=4096))
    elif name == "cannot be written":
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: open("/dev/full/file"))
    return folder


REFUSED = {
    "a file": "File exists",
    "below a file": "Not a directory",
    "a home that nobody has": "nobody knows where ~nobody-at-all is",
    "another's": "belongs to another user",
    "open to others": "others may write into it",
    "full": "its disk has 0 MB left",
    "cannot be written": "Not a directory",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_folder_that_will_not_do_is_refused_with_a_reason_and_work_goes_on(name, undecided, tmp_path, monkeypatch):
    folder = broken(name, tmp_path / "folder", monkeypatch)
    with pytest.warns(UserWarning, match=f"not kept in {re.escape(str(folder))}: .*{REFUSED[name]}.*DYNX_CACHE=off"):
        sc.compilation_cache(folder)
    assert not jax.config.jax_enable_compilation_cache and jax.config.jax_compilation_cache_dir is None
    assert float(jax.jit(lambda x: x + 1)(1.0)) == 2.0


def aged(place, ages):
    """Entries of 1,000 bytes, the oldest the one of the highest number."""
    place.mkdir(exist_ok=True)
    for age in ages:
        path = place / f"{age}-cache"
        path.write_bytes(bytes(1_000))
        os.utime(path, (10_000 - age, 10_000 - age))


def test_the_folder_is_bounded_and_the_latest_stay(undecided, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "_MOST", 2_500)
    aged(tmp_path / "place", range(4))
    sc.compilation_cache(tmp_path)
    assert sorted(path.name for path in (tmp_path / "place").iterdir()) == ["0-cache", "1-cache"]


def test_the_folder_is_bounded_whenever_a_verb_has_compiled(undecided, tmp_path, monkeypatch):
    sc.compilation_cache(tmp_path)
    monkeypatch.setattr(cache, "_MOST", 2_500)
    aged(tmp_path / "place", range(4))
    with counts.compiling("verb", "model"):
        pass
    assert len(list((tmp_path / "place").iterdir())) == 4
    with counts.compiling("verb", "model"):
        jax.jit(lambda x: x - 2)(1.0)
    assert sorted(path.name for path in (tmp_path / "place").iterdir()) == ["0-cache", "1-cache"]


def test_a_folder_of_jax_s_own_is_not_ours_to_bound(undecided, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "_MOST", 0)
    aged(tmp_path / "place", range(2))
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "place"))
    cache.bound()
    assert len(list((tmp_path / "place").iterdir())) == 2


def test_a_process_without_a_home_solves_without_a_cache(undecided, monkeypatch):
    """As in a container whose user has no name."""
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda _: {}[0])
    with pytest.warns(UserWarning, match="nobody knows where ~ is"):
        cache.begin()
    assert float(jax.jit(lambda x: x + 3)(1.0)) == 4.0


def test_what_cannot_be_dropped_stays_and_nothing_fails_of_it(undecided, tmp_path, monkeypatch):
    def refused(path, missing_ok=False):
        raise PermissionError(path)

    aged(tmp_path / "place", range(3))
    monkeypatch.setattr(cache, "_MOST", 0)
    monkeypatch.setattr(Path, "unlink", refused)
    sc.compilation_cache(tmp_path)
    assert len(list((tmp_path / "place").iterdir())) == 3


@pytest.fixture
def entry(undecided, tmp_path):
    """A program, what it answers, and where it is kept."""
    sc.compilation_cache(tmp_path / "programs")
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    kept = jax.jit(lambda x: jax.numpy.sin(x) @ jax.numpy.cumsum(x))
    answer = float(kept(jax.numpy.arange(9.0)))
    (path,) = tmp_path.glob("programs/*/jit__lambda*-cache")
    return kept, answer, path


@pytest.mark.parametrize("part", [0.0, 0.3, 0.6, 0.99])
def test_an_entry_that_was_altered_is_not_run(part, entry):
    kept, answer, path = entry
    content = bytearray(path.read_bytes())
    content[int(part * len(content))] ^= 0xFF
    path.write_bytes(content)
    jax.clear_caches()
    with pytest.warns(UserWarning, match="Error reading persistent compilation cache entry"):
        assert float(kept(jax.numpy.arange(9.0))) == answer


def test_a_folder_that_is_lost_while_a_process_runs_is_not_missed(entry, tmp_path):
    kept, answer, _ = entry
    shutil.rmtree(tmp_path / "programs")
    (tmp_path / "programs").write_text("")
    jax.clear_caches()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with counts.compiling("verb", "model"):
            assert float(kept(jax.numpy.arange(9.0))) == answer
    assert any("persistent compilation cache" in str(warning.message) for warning in said)


def test_programs_are_counted_by_verb_and_model_and_new_parameters_bring_none():
    circuit = sc.load(BUFFER.replace("Buffer", "Counted").replace("n_y: 5", "n_y: 3"))
    seen = lambda: {name: n for name, n in sc.compilations().items() if name.endswith("Counted")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # A shared cache of another run may be read.
        solved = sc.solve(circuit)
    sc.simulate(solved, {"a": 1.0}, agents=10, key=jax.random.key(0))
    before = seen()
    assert (
        before["solve Counted"] == 1
        and before["simulate Counted"] >= 1
        and set(before) == {"solve Counted", "simulate Counted"}
    )
    again = sc.solve(circuit.with_parameters({"CONS.gamma": 3.0}))
    sc.simulate(again, {"a": 1.0}, agents=10, key=jax.random.key(1))
    assert seen() == before


def test_a_long_compilation_says_so_once_and_a_short_one_does_not(monkeypatch, capsys):
    circuit = sc.load(BUFFER.replace("Buffer", "Slow").replace("n_y: 5", "n_y: 4"))
    monkeypatch.setattr(counts, "_LONG", 0.0)
    sc.solve(circuit)
    sc.solve(circuit)
    assert re.fullmatch(r"stagecraft: compiled solve Slow in \d+\.\d s\n", capsys.readouterr().err)
    monkeypatch.setattr(counts, "_LONG", 1e9)
    sc.solve(sc.load(BUFFER.replace("Buffer", "Fast").replace("n_y: 5", "n_y: 2")))
    assert capsys.readouterr().err == ""


def first_value(solved):
    return solved[0]["CONS"].dcsn.sol.value(m=2.0)


@pytest.mark.parametrize("gradient", [True, first_value])
def test_what_is_compiled_ahead_is_not_compiled_again(gradient, undecided, monkeypatch, capsys):
    """Every program but the smallest says that it is compiled, those of derivatives too."""
    monkeypatch.setattr(counts, "_LONG", 0.1)
    sc.compilation_cache(None)
    if gradient is True:  # The second finds what the first has compiled.
        jax.clear_caches()
    circuit = sc.load(BUFFER)
    sc.compile(circuit, gradient=gradient)
    assert ("compiled solve Buffer in" in capsys.readouterr().err) == (gradient is True)
    before = sc.compilations()
    sc.solve(circuit.with_parameters({"CONS.gamma": 3.0}))
    jax.grad(lambda p: first_value(sc.solve(circuit.with_parameters(p))))(
        circuit.with_parameters({"CONS.gamma": 3.0}).parameters
    )
    assert sc.compilations() == before and capsys.readouterr().err == ""


def test_compiling_ahead_runs_nothing_and_refuses_what_a_solve_refuses(monkeypatch):
    circuit = sc.load(BUFFER)
    monkeypatch.setattr("stagecraft.backward.compile.solve", None)
    sc.compile(circuit)
    with pytest.raises(TypeError, match="takes a ModelCircuit"):
        sc.compile(circuit.parameters)
    with pytest.raises(ValueError, match="compile it outside"):
        jax.jit(sc.compile)(circuit)


def same(text, before, after):
    assert before in text
    return text.replace(before, after, 1)


SAME = {
    "comments": lambda text: "# Said first.\n" + same(text, "beta*V[>]", "beta*V[>]  # Bellman."),
    "values": lambda text: same(same(text, "0.95", "0.9"), "value: 2.0", "value: 3.5"),
    "the order of the parameters": lambda text: same(text, "{beta: 0.95, R: 1.03}", "{R: 1.03, beta: 0.95}"),
    "the order of keys": lambda text: same(same(text, "  horizon: 12\n", ""), "  terminal:", "  horizon: 12\n  terminal:"),
    "the name of the model": lambda text: same(text, "name: Buffer", "name: Stock"),
}


@pytest.mark.parametrize("name", SAME)
def test_what_a_model_does_not_compute_decides_no_program(name, tmp_path):
    (tmp_path / "other.yml").write_text(SAME[name](BUFFER))
    one, other = sc.load(BUFFER), sc.load(tmp_path / "other.yml")
    assert jax.tree.structure(one) == jax.tree.structure(other)
    assert jax.jit(sc.solve).lower(one).as_text() == jax.jit(sc.solve).lower(other).as_text()


WAYS = """
model:
  name: Ways
  horizon: 3
  terminal: log(a + 1)
  parameters: {beta: 0.95, scale: 0.1}
  settings: {n: 8}
  defaults: {inherit: all}
  connections:
    intra_period: [{source: LABR.work, target: WORK}, {source: LABR.rest, target: REST}]
    inter_period: [{source: WORK, target: LABR, mapping: {b: a}}, {source: REST, target: REST, mapping: {b: a}}]
"""
STAGES = {
    "LABR": """
    kind: branching
    math:
      branches: {work: {Q: "V[>] - 0.3"}, rest: {Q: "V[>]"}}
      choice: {by: agent, taste_shock: gumbel, scale: scale}
      state_space: {arvl: {dimensions: [a]}, dcsn: {dimensions: [a]}, cntn.work: {dimensions: [a]}, cntn.rest: {dimensions: [a]}}
""",
    "WORK": """
    math:
      functions: {g_av: m = a + y, g_ve: b = m - c, Q: "log(c) + beta*V[>]"}
      controls: {c: 0 < c <= m}
      shocks: {wage: {dimensions: [y], shock_method: lognormal, std: 0.2, n_points: 3}}
      state_space: {arvl: {dimensions: [a]}, dcsn: {dimensions: [m]}, cntn: {grid: {b: {min: 0.0, max: 9.0, points: n}}}}
""",
    "REST": """
    math:
      state_space: {arvl: {dimensions: [a]}, dcsn: {dimensions: [m]}, cntn: {grid: {b: {min: 0.0, max: 9.0, points: n}}}}
      controls: {c: 0 < c <= m}
      functions: {Q: "beta*V[>] + log(c)", g_ve: b = m - c, g_av: m = a + 0.5}
""",
}


@pytest.mark.slow
def test_the_order_of_stages_and_connections_decides_no_program():
    text = lambda head, names: head + "stages:" + "".join(f"\n  {name}:{STAGES[name]}" for name in names)
    ways = "{source: LABR.work, target: WORK}, {source: LABR.rest, target: REST}"
    turned = same(WAYS, ways, "{source: LABR.rest, target: REST}, {source: LABR.work, target: WORK}")
    one, other = sc.load(text(WAYS, STAGES)), sc.load(text(turned, reversed(STAGES)))
    assert jax.jit(sc.solve).lower(one).as_text() == jax.jit(sc.solve).lower(other).as_text()
