"""Models of the gallery say what closed forms and NumPy alone say of them, and stop saying it where people are less patient."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import stagecraft as sc
from stagecraft.examples.files import copy, folder, listed
from stagecraft.pictures.curves import functions_of

sys.path.insert(0, str(Path(__file__).parent / "gallery"))
from oracles import ORACLES
from scores import GALLERY, numbers, parameters_of

sc.enable_x64()
ROOT = Path(__file__).parents[1]
SCORES = json.loads((GALLERY / "scores.json").read_text())


def errors(solved, known):
    """How far a solution is from each number, relative to the larger of 1 and the number."""
    for period, what, states, expected in known["rows"]:
        stage, _, function = what.partition(".")
        found = float(functions_of(solved[period][stage].dcsn.sol)[function](**states))
        yield abs(found - expected) / max(1.0, abs(expected))


LIGHT = ("asset_price", "cake", "claiming", "occupation")


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in LIGHT else pytest.mark.slow) for n in ORACLES])
def test_a_model_says_what_is_known_of_it_and_notices_impatience(name):
    circuit = sc.load(GALLERY / f"{name}.yml")
    known = SCORES[name]
    assert max(errors(sc.solve(circuit), known)) <= known["claimed"]
    scope, _, parameter = ORACLES[name][2].partition(".")
    moved = circuit.with_parameters({ORACLES[name][2]: 0.99 * circuit.parameters[scope][parameter]})
    assert max(errors(sc.solve(moved), known)) > 2 * known["claimed"], "an oracle that does not see patience sees nothing"


@pytest.mark.parametrize("name", ORACLES)
def test_the_numbers_of_the_file_are_those_of_the_oracle(name):
    again = json.loads(json.dumps(numbers(name, parameters_of(sc.load(GALLERY / f"{name}.yml")))))
    assert (again["by"], again["claimed"]) == (SCORES[name]["by"], SCORES[name]["claimed"])
    for row, kept in zip(again["rows"], SCORES[name]["rows"], strict=True):
        assert row[:3] == kept[:3]
        np.testing.assert_allclose(row[3], kept[3], rtol=1e-9, atol=1e-12)


def test_the_scorecard_prints_number_beside_number():
    table = sc.scorecard("cake", "occupation")
    assert set(table["model"]) == {"cake", "occupation"} and table["ok"].all()
    with pytest.raises(ValueError, match="no numbers are known of `cakes`; there are cake, "):
        sc.scorecard("cakes")


def test_examples_are_listed_and_copied(tmp_path):
    # They are those of the clone, or of the wheel that was built from it.
    assert (
        "gallery/cake.yml" in listed() and (folder() / "gallery" / "cake.yml").read_text() == (GALLERY / "cake.yml").read_text()
    )
    (new,) = copy("gallery/cake.yml", tmp_path)
    assert new.read_text() == (GALLERY / "cake.yml").read_text()
    assert {p.name for p in copy("rust", tmp_path)} == {"decisions.csv", "increments.csv", "main.py", "rust.yml"}
    with pytest.raises(FileExistsError, match="is there already; nothing was copied"):
        copy("gallery/cake.yml", tmp_path)
    for wrong in ("cakes", "../README.md", ""):
        with pytest.raises(ValueError, match=f"no example `{wrong}`"):
            copy(wrong, tmp_path)


@pytest.mark.slow
def test_the_wheel_brings_the_examples(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(ROOT)], check=True, timeout=300
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    run = [
        sys.executable,
        "-c",
        "import sys; sys.path.insert(0, 'site'); from stagecraft.examples.__main__ import main; main(sys.argv[1:])",
    ]
    out = subprocess.run([*run, "list"], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=True).stdout
    assert "gallery/cake.yml" in out
    out = subprocess.run(
        [*run, "copy", "gallery/cake.yml", "mine"], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=True
    )
    assert (tmp_path / "mine" / "cake.yml").exists(), out
