"""A circuit in a file: what is read is what was saved; what is not such a file is refused, and nothing in it runs."""

import io
import json
import pickle
import sys
import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stagecraft as sc

sys.path.insert(0, str(Path(__file__).parent))
from models import BUFFER


@pytest.fixture(scope="module")
def solved():
    return sc.solve(sc.load(BUFFER, parameters={"CONS.gamma": 3.0}))


@pytest.fixture
def file(solved, tmp_path):
    sc.save(solved, tmp_path / "saved.zip")
    return tmp_path / "saved.zip"


def rewritten(file, **members) -> Path:
    """The file with some members changed by a function of their bytes, or left out."""
    with zipfile.ZipFile(file) as old:
        content = {name: old.read(name) for name in old.namelist()}
    for name, change in members.items():
        found = change(content.pop(name))
        content |= {} if found is None else {name: found}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for name, data in content.items():
            new.writestr(name, data)
    return file


def told(**changes):
    """Change what `about.json` says."""
    return lambda old: json.dumps(json.loads(old) | changes).encode()


def equal(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert a.dtype == b.dtype and a.weak_type == b.weak_type
        np.testing.assert_array_equal(a, b)


def test_what_is_read_is_what_was_saved_and_needs_no_solve(solved, file):
    before = sc.compilations().get("solve Buffer")
    found = sc.read(file)
    equal(found, solved)
    assert sc.compilations().get("solve Buffer") == before
    assert float(found[3]["CONS"].dcsn.sol.policy["c"](m=2.0)) == float(solved[3]["CONS"].dcsn.sol.policy["c"](m=2.0))
    assert int(found.info.outcome) == sc.Outcome.success


def test_an_unsolved_circuit_is_read_unsolved_and_solves_without_compiling(solved, tmp_path):
    circuit = solved.with_parameters({"main.beta": 0.9})
    sc.save(circuit, tmp_path / "c.zip")
    found = sc.read(tmp_path / "c.zip")
    assert found.stored is None
    before = sc.compilations()
    equal(sc.solve(found), sc.solve(circuit))
    assert sc.compilations() == before


BARE = """
model: {name: Bare, horizon: 2, terminal: 0, connections: {inter_period: [{source: CONS, target: CONS, mapping: {b: a}}]}}
stage:
  name: CONS
  math:
    functions: {g_av: m = 1.02*a + 1, g_ve: b = m - c, Q: "log(c) + 0.9*V[>]"}
    controls: {c: 0 < c <= m}
    state_space: {arvl: {dimensions: [a]}, dcsn: {dimensions: [m]}, cntn: {grid: {b: {type: exp, min: 0, max: 20, points: 9}}}}
"""


def test_a_model_without_a_parameter_is_saved_exported_and_solved(tmp_path):
    """Cake of two periods: of m + 1/1.02 in all, the first 1/(1 + 0.9) is eaten at once."""
    circuit = sc.load(BARE)
    assert jax.tree.leaves((circuit.parameters, circuit.settings)) == []
    sc.save(circuit, tmp_path / "c.zip")
    sc.export(circuit, tmp_path / "e.zip")
    assert sc.load_exported(tmp_path / "e.zip").parameters == circuit.parameters
    eaten = sc.solve(sc.read(tmp_path / "c.zip"))[0]["CONS"].dcsn.sol.policy["c"](m=5.0)
    np.testing.assert_allclose(eaten, (5.0 + 1 / 1.02) / 1.9, rtol=1e-9)


def test_a_model_of_several_files_is_one_file_when_saved(tmp_path):
    folder = tmp_path / "model"
    (folder / "stages").mkdir(parents=True)
    head, _, stage = BUFFER.partition("stage:\n")
    (folder / "master.yml").write_text(head)
    (folder / "stages" / "CONS.yml").write_text(
        "".join(line[2:] + "\n" for line in stage.splitlines()).replace("name: CONS\n", "")
    )
    circuit = sc.load(folder)
    sc.save(circuit, tmp_path / "c.zip")
    equal(sc.read(tmp_path / "c.zip"), circuit)


def test_no_half_file_is_left_where_saving_fails(solved, tmp_path, monkeypatch):
    target = tmp_path / "c.zip"
    target.write_text("before")

    def full(*arguments, **more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", full)
    with pytest.raises(OSError, match="No space left"):
        sc.save(solved, target)
    assert target.read_text() == "before" and list(tmp_path.iterdir()) == [target]


def test_nothing_is_saved_inside_a_transformation(solved, tmp_path):
    with pytest.raises(ValueError, match="inside a transformation"):
        jax.jit(lambda p: sc.save(solved.with_parameters(p), tmp_path / "c.zip"))(solved.parameters)


@pytest.mark.parametrize("part", [0, 100, 0.5, 0.9, 1.0])
def test_a_file_cut_short_is_refused(part, file):
    content = file.read_bytes()
    file.write_bytes(content[: part if isinstance(part, int) else int(part * len(content)) - 1])
    with pytest.raises(ValueError, match="saved.zip is no saved circuit, or is cut short or altered"):
        sc.read(file)


def test_a_flipped_byte_is_refused_wherever_it_stands_in_an_array(file):
    content = file.read_bytes()
    with zipfile.ZipFile(file) as archive:
        places = [info.header_offset + 60 + info.compress_size // 2 for info in archive.infolist() if "found/" in info.filename]
    for place in places[:5]:
        file.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        with pytest.raises(ValueError, match="saved.zip"):
            sc.read(file)


WRONG = {
    "another format": ("about.json", told(format=2), "written in format 2, and this version reads 1"),
    "no object": ("about.json", lambda _: b"[1]", "written in format"),
    "no JSON": ("about.json", lambda _: b"{", "`about.json` cannot be read"),
    "nested without end": ("about.json", lambda _: b"[" * 100_000, "`about.json` cannot be read"),
    "another float type": ("about.json", told(dtype="float32"), "saved in float32, and this process computes in float64; read it"),
    "other leaves": ("about.json", told(found=["rows"]), "its arrays are not those of its model"),
    "no text": ("model.yml", lambda _: None, "`model.yml` is missing"),
    "text that is none": ("model.yml", lambda _: b"\xff\xfe", "`model.yml` is no text"),
    "an array is missing": ("found/0.npy", lambda _: None, "`found/0.npy` is missing"),
    "an array of another shape": ("found/0.npy", lambda _: npy(jnp.zeros(3)), r"`found/0.npy` is float64\[3\], expected"),
    "an array of another type": ("given/0.npy", lambda _: npy(np.float32(1)), "is float32.*expected float64"),
    "an array beyond all bounds": ("given/0.npy", lambda _: bytes(10**7), "larger than it can be"),
    "a parameter outside its domain": ("given/2.npy", lambda _: npy(np.float64(-1)), "domain"),
}  # fmt: skip


def npy(array) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


@pytest.mark.parametrize("name", WRONG)
def test_an_altered_file_is_refused_and_the_message_says_what_is_wrong(name, file, solved):
    member, change, message = WRONG[name]
    if "domain" in name:
        place = [path for path in json.loads(zipfile.ZipFile(file).read("about.json"))["given"]].index("0.CONS.gamma")
        member = f"given/{place}.npy"
    with pytest.raises(ValueError, match=message):
        sc.read(rewritten(file, **{member: change}))


class Payload:
    """What a pickle would run."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


def pickled(target):
    out = io.BytesIO()
    np.save(out, np.array([Payload(target)], dtype=object), allow_pickle=True)
    return out.getvalue()


def header(target):
    text = f"{{'descr': __import__('pathlib').Path({str(target)!r}).touch(), 'fortran_order': False, 'shape': ()}}"
    text = text.ljust(246) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + bytes(8)


ATTACKS = {
    "a pickle in an array": ("found/0.npy", pickled),
    "a pickle in place of an array": ("given/0.npy", lambda target: pickle.dumps(Payload(target))),
    "code in the head of an array": ("given/0.npy", header),
    "a YAML object": ("model.yml", lambda t: f"model: !!python/object/apply:pathlib.Path.touch ['{t}']\n".encode()),
    "code in an equation": ("model.yml", lambda t: BUFFER.replace("beta*V[>]", f"open('{t}','w')").encode()),
    "code in a parameter": ("model.yml", lambda t: BUFFER.replace("0.95", f"__import__('os').system('touch {t}')").encode()),
    "an import": ("model.yml", lambda t: f"imports: [{t}]\n".encode() + BUFFER.encode()),
    "code in about.json": ("about.json", lambda t: f'{{"format": open("{t}", "w")}}'.encode()),
    "code for a version": ("about.json", lambda t: json.dumps({"format": f"__import__('os').system('touch {t}')"}).encode()),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_nothing_in_a_file_is_executed(name, file, tmp_path):
    member, attack = ATTACKS[name]
    target = tmp_path / "payload"
    with pytest.raises(ValueError):
        sc.read(rewritten(file, **{member: lambda _: attack(target)}))
    assert not target.exists()


def test_a_pickle_is_no_saved_circuit_and_is_not_loaded(tmp_path):
    (tmp_path / "saved.zip").write_bytes(pickle.dumps(Payload(tmp_path / "payload")))
    with pytest.raises(ValueError, match="no saved circuit"):
        sc.read(tmp_path / "saved.zip")
    assert not (tmp_path / "payload").exists()


def test_members_that_nobody_asked_for_are_not_unpacked(file, solved, tmp_path):
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("../outside", "x")
    equal(sc.read(file), solved)
    assert not (tmp_path.parent / "outside").exists()
