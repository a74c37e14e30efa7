"""Programs in a file: they answer as the circuit does, with JAX alone; what is no such file is refused, and nothing in it runs."""

import dataclasses
import hashlib
import json
import os
import re
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stagecraft as sc
from stagecraft.distribution.checks import watched

sys.path.insert(0, str(Path(__file__).parent))
from models import BUFFER
from test_saved import ATTACKS, Payload, pickle, rewritten, told

ROOT = Path(__file__).parents[2]


def value(solved):
    return solved[0]["CONS"].dcsn.sol.value(m=3.0)


@pytest.fixture(scope="module")
def circuit():
    return sc.load(BUFFER)


@pytest.fixture(scope="module")
def written(circuit, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "buffer.zip"
    sc.export(circuit, path, value)
    return path


@pytest.fixture(scope="module")
def programs(written):
    return sc.load_exported(written)


@pytest.fixture
def file(written, tmp_path):
    (tmp_path / "exported.zip").write_bytes(written.read_bytes())
    return tmp_path / "exported.zip"


@pytest.fixture(scope="module")
def answers(circuit):
    """Value and gradient as the circuit itself has them, at any parameters."""
    return jax.jit(jax.value_and_grad(lambda p: value(sc.solve(circuit.with_parameters(p)))))


def close(found, wanted):
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


def test_a_program_solves_as_the_circuit_does(programs, circuit):
    solved = sc.solve(circuit.with_parameters({"CONS.gamma": 3.0}))
    found = programs.solve({"CONS.gamma": 3.0})
    assert (int(found["outcome"]), int(found["iterations"]), float(found["error_bound"])) == (0, 12, 0.0)
    stored = solved.stored[0]["CONS"]
    lowest = {f"lowest.{name}": x for name, x in vars(stored.lowest).items()}
    wanted = {name: x for name, x in (vars(stored) | lowest).items() if isinstance(x, jax.Array)}
    close(found["solution"]["0"]["CONS"], wanted)


@pytest.mark.slow
def test_a_program_has_the_value_and_the_gradient_and_is_compiled_once(programs, circuit, answers):
    close(
        programs.value_and_gradient({"CONS": {"gamma": 3.0}}), answers(circuit.with_parameters({"CONS.gamma": 3.0}).parameters)
    )
    before = sc.compilations()
    assert before["exported gradient Buffer"] == 1
    programs.value_and_gradient()
    assert sc.compilations() == before


def refusing(script: str, *names: str) -> str:
    """What a script prints in a process that has none of some packages."""
    head = f"""
import sys
class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ImportError(name)
sys.meta_path.insert(0, Refused())
"""
    done = subprocess.run([sys.executable, "-c", head + script], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
                          capture_output=True, text=True, timeout=240)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_lines_of_the_page_need_nothing_but_jax(written, circuit, answers):
    text = (ROOT / "docs" / "programs.md").read_text()
    (lines,) = [code for code in re.findall(r"^```python\n(.*?)^```", text, re.M | re.S) if "deserialize" in code]
    assert len(lines.split("jax_enable_x64")[1].splitlines()) <= 10
    gone = ("stagecraft", "heptapod", "equinox", "sympy", "yaml", "jaxtyping", "networkx", "pandas")
    with_path = f"file = {str(written)!r}\n{lines}\nprint(float(found['value']), float(found['gradient']['CONS']['gamma']))"
    *_, last = refusing(with_path, *gone).splitlines()
    wanted, slope = answers(circuit.parameters)
    close([float(x) for x in last.split()], [float(wanted), float(slope["CONS"]["gamma"])])


def test_a_file_is_read_without_the_language_and_names_what_it_holds(written):
    script = f"""
import stagecraft as sc
sc.enable_x64()
programs = sc.load_exported({str(written)!r})
print(programs, programs.parameters["CONS"]["gamma"], sorted(programs.parameters))
"""
    said = refusing(script, "heptapod", "sympy", "yaml")
    assert said == "Exported Buffer: solve, gradient 2.0 ['CONS', 'main']\n"


def test_programs_are_for_both_platforms(written):
    """Lowered for each where they were written, whatever is there."""
    with zipfile.ZipFile(written) as archive:
        for name in ("solve.bin", "gradient.bin"):
            program = jax.export.deserialize(bytearray(archive.read(name)))
            assert program.platforms == ("cpu", "cuda") and "stablehlo.case" in str(program.mlir_module())


def test_a_failed_solve_is_told_from_its_outcome(programs):
    with pytest.raises(sc.SolveError, match="Buffer: a parameter lies outside its declared domain") as raised:
        programs.solve({"CONS.gamma": -1.0})
    assert raised.value.outcome == sc.Outcome.domain
    assert int(programs.solve({"CONS.gamma": -1.0}, throw=False)["outcome"]) == sc.Outcome.domain


@pytest.mark.parametrize(
    "given, message",
    [
        ({"CONS.gama": 1.0}, "no parameter `CONS.gama`; did you mean `CONS.gamma`"),
        ({"CONS.gamma": [1.0, 2.0]}, r"has shape \(\); \(2,\) given"),
        ({"CONS.gamma": "2"}, "must be a number"),
        (3.0, "expected"),
    ],
)
def test_values_that_do_not_fit_are_refused(given, message, programs):
    with pytest.raises(ValueError, match=message):
        programs.solve(given)


@pytest.mark.parametrize(
    "fn, message",
    [
        (lambda s: s.stored[0]["CONS"].value[0], r"fn\(solved\) is float64\[\d+\]; to have a gradient it must be one real"),
        (lambda s: s.info.outcome, r"int\d\d\[\]; to have a gradient"),
        (lambda s: jax.debug.print("{}", value(s)) or value(s), "would call functions of this process"),
        (lambda s: value(s) + jax.lax.stop_gradient(jax.pure_callback(float, jnp.zeros(()), 1.0)), "would call functions of"),
    ],
)
def test_a_function_that_is_no_scalar_or_calls_python_is_refused(fn, message, circuit, tmp_path):
    with pytest.raises(ValueError, match=message):
        sc.export(circuit, tmp_path / "exported.zip", fn)
    assert list(tmp_path.iterdir()) == []


@dataclasses.dataclass
class Masses:
    """What `watched` looks at of a push."""

    jumps: dict
    masses: tuple


def test_a_derivative_that_speaks_in_python_is_silent_in_a_file(circuit, tmp_path):
    def of_a_push(solved):
        x = value(solved)
        return watched(Masses({"CONS": jnp.reshape(x, (1, 1))}, (x,))).masses[0]

    derivative = jax.grad(lambda p: of_a_push(sc.solve(circuit.with_parameters(p))))
    assert jax.make_jaxpr(derivative)(circuit.parameters).effects
    sc.export(circuit, tmp_path / "exported.zip", of_a_push)
    assert "gradient" in str(sc.load_exported(tmp_path / "exported.zip"))
    assert jax.make_jaxpr(derivative)(circuit.parameters).effects


def test_nothing_is_exported_inside_a_transformation(circuit, tmp_path):
    with pytest.raises(ValueError, match="inside a transformation"):
        jax.jit(lambda p: sc.export(circuit.with_parameters(p), tmp_path / "c.zip"))(circuit.parameters)
    with pytest.raises(TypeError, match="takes a ModelCircuit"):
        sc.export(circuit.parameters, tmp_path / "c.zip")


def test_without_a_function_there_is_no_gradient(circuit, tmp_path):
    sc.export(circuit, tmp_path / "c.zip")
    with pytest.raises(ValueError, match="holds no gradient; give one a function"):
        sc.load_exported(tmp_path / "c.zip").value_and_gradient()


@pytest.mark.parametrize("part", [0, 100, 0.5, 0.9, 1.0])
def test_a_file_cut_short_is_refused(part, file):
    content = file.read_bytes()
    file.write_bytes(content[: part if isinstance(part, int) else int(part * len(content)) - 1])
    with pytest.raises(ValueError, match="exported.zip is no exported program, or is cut short or altered"):
        sc.load_exported(file)


def program(fn, **more) -> bytes:
    """A program of the parameters that is none of ours."""
    parameters = sc.load(BUFFER).parameters
    made = jax.export.export(jax.jit(fn), **more)(parameters)
    return bytes(made.serialize())


def callback() -> bytes:
    name = "xla_ffi_python_cpu_callback"
    call = jax.ffi.ffi_call(name, jax.ShapeDtypeStruct((), float))
    allowed = [jax.export.DisabledSafetyCheck.custom_call(name)]
    return program(lambda parameters: call(parameters["CONS"]["gamma"], index=0), disabled_checks=allowed)


def swapped(file, content: bytes) -> Path:
    """The file with another program, and the digest of that."""
    digests = json.loads(zipfile.ZipFile(file).read("about.json"))["sha256"] | {
        "solve.bin": hashlib.sha256(content).hexdigest()
    }
    return rewritten(file, **{"solve.bin": lambda _: content, "about.json": told(sha256=digests)})


PROGRAMS = {
    "nothing": (lambda: b"", "`solve.bin` cannot be read: written by jax .*, and this is .*; export the circuit again"),
    "zeros": (lambda: bytes(10_000), "`solve.bin` cannot be read"),
    "noise": (lambda: np.random.default_rng(0).bytes(10_000), "`solve.bin` cannot be read"),
    "a pickle": (lambda: pickle.dumps(Payload("payload")), "`solve.bin` cannot be read"),
    "a call of Python": (callback, "calls what is no part of XLA"),
    "other parameters": (lambda: bytes(jax.export.export(jax.jit(jnp.sin))(1.0).serialize()), "takes other parameters"),
    "another platform": (lambda: program(lambda p: p, platforms=["tpu"]), "exported for tpu, and this process computes on cpu"),
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_that_is_none_of_ours_is_refused_before_it_runs(name, file):
    make, message = PROGRAMS[name]
    with pytest.raises(ValueError, match=f"exported.zip: .*{message}"):
        sc.load_exported(swapped(file, make()))


WRONG = {
    "another format": ("about.json", told(format=2), "written in format 2, and this version reads 1; export the circuit again"),
    "another float type": ("about.json", told(dtype="float32"), "exported in float32, and this process computes in float64"),
    "no object": ("about.json", lambda _: b"[1]", "written in format"),
    "no programs": ("about.json", told(sha256={}), "lists no programs"),
    "programs that are none": ("about.json", told(sha256={"solve.bin": 1, "/etc/passwd": 1}), "lists no programs"),
    "no parameters": ("about.json", told(parameters=None), "its parameters cannot be read"),
    "parameters that are code": ("about.json", told(parameters={"CONS": {"gamma": "open('x', 'w')"}}), "cannot be read"),
    "other parameters": ("about.json", told(parameters={"CONS": {"gamma": 2.0}}), "takes other parameters"),
    "a program is missing": ("gradient.bin", lambda _: None, "`gradient.bin` is missing"),
    "a program is altered": ("solve.bin", lambda old: old[:-1] + b"x", "`solve.bin` is not what was written"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_an_altered_file_is_refused_and_the_message_says_what_is_wrong(name, file):
    member, change, message = WRONG[name]
    with pytest.raises(ValueError, match=f"exported.zip: .*{message}"):
        sc.load_exported(rewritten(file, **{member: change}))


def test_a_program_of_a_later_version_says_so(file, monkeypatch):
    def later(content):
        raise NotImplementedError("serialization version 99")

    monkeypatch.setattr(jax.export, "deserialize", later)
    with pytest.raises(ValueError, match=r"written by jax 9.9, and this is .*; export the circuit again \(NotImplementedError"):
        sc.load_exported(rewritten(file, **{"about.json": told(jax="9.9")}))


@pytest.mark.parametrize("name", ["code in about.json", "code for a version"])
def test_nothing_in_a_file_is_executed(name, file, tmp_path):
    member, attack = ATTACKS[name]
    with pytest.raises(ValueError):
        sc.load_exported(rewritten(file, **{member: lambda _: attack(tmp_path / "payload")}))
    assert not (tmp_path / "payload").exists()


def test_a_bomb_is_not_unpacked(file, monkeypatch):
    monkeypatch.setattr(sc.storage.exported, "_PROGRAM", 1_000)
    with pytest.raises(ValueError, match=r"larger than it can be \(\d+ bytes\)"):
        sc.load_exported(file)


def test_both_kinds_of_file_say_which_they_are(written, circuit, tmp_path):
    sc.save(circuit, tmp_path / "saved.zip")
    with pytest.raises(ValueError, match="lists no programs; the file is no exported program"):
        sc.load_exported(tmp_path / "saved.zip")
    with pytest.raises(ValueError, match="`model.yml` is missing; the file is no saved circuit"):
        sc.read(written)


def test_a_solve_with_types_has_an_outcome_of_each(circuit):
    found = {"outcome": jnp.array([0, 1])}
    program = types.SimpleNamespace(call=lambda parameters: found)
    with pytest.raises(sc.SolveError, match="outside its declared domain"):
        sc.Exported("Buffer", circuit.parameters, {"solve": program}).solve()
