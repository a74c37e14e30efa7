"""What README and the docs show runs as it stands."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest

matplotlib.use("Agg")
ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.M | re.S)


def test_the_python_of_the_readme_runs_in_order(monkeypatch):
    monkeypatch.chdir(ROOT)
    scope: dict = {}
    for block in blocks(README, "python"):
        exec(compile(block, "README.md", "exec"), scope)
    assert scope["gradient"]["CONS"]["G"].shape == (65,)
    assert (scope["draws"]["status"] == "ok").all() and len(scope["draws"]) == 5


def test_the_model_lines_of_the_readme_stand_in_the_model():
    model = (ROOT / "examples/cons_indshock/cons_indshock.yml").read_text()
    for line in blocks(README, "yaml")[0].splitlines():
        assert line.split("#")[0].strip() in model


def test_the_twenty_lines_of_the_readme_are_twenty():
    code = next(block for block in blocks(README, "python") if "mpi_map" in block)
    assert len([line for line in code.splitlines() if line]) <= 20


def test_pictures_and_pages_named_in_the_readme_are_there():
    links = re.findall(r"\]\(((?!https?:)[\w./-]+)\)", README)
    assert len(links) > 5 and [link for link in links if not (ROOT / link).exists()] == []


def test_the_timings_of_the_readme_are_those_of_the_benchmarks():
    told = dict(re.findall(r"^\| ([^|]+) \| ([\d.]+) \|$", README.split("## How fast")[1], flags=re.M))
    rows = lambda name: dict(re.findall(r"^\| ([^|]+) \| (.+) \|$", (ROOT / "benchmarks" / name).read_text(), flags=re.M))
    seconds = {what: float(cells.split(" | ")[0]) for what, cells in rows("smm_gradient.md").items() if cells[0].isdigit()}
    start = [float(x) for x in rows("start.md")["`cons_indshock`, first gradient"].split(" | ")[:2]]
    theirs = seconds["gradient by six evaluations, HARK"]
    found = [
        seconds["moments, ours"] / seconds["moments, HARK"],
        seconds["moments and their five derivatives, ours"] / theirs,
        seconds["distance and its gradient, ours backward"] / theirs,
        start[1] / theirs,
        start[0] / theirs,
    ]
    for (what, ratio), value in zip(told.items(), found, strict=True):
        assert float(ratio) == pytest.approx(value, rel=0.05, abs=0.006), what


def test_the_error_of_the_readme_is_the_error(tmp_path):
    import heptapod

    text = (ROOT / "examples/cons_indshock/cons_indshock.yml").read_text()
    wrong = re.sub(r"g_av: m = R/G\*a \+ y.*", "g_av: m = r/G*a + y", text)
    path = tmp_path / "cons_indshock.yml"
    path.write_text(wrong)
    with pytest.raises(heptapod.ModelError) as caught:
        heptapod.load(path)
    assert str(caught.value) == blocks(README, "text")[0].rstrip("\n")


def test_there_are_two_commands_of_one_line_each():
    section = README.split("## Two commands")[1].split("\n## ")[0]
    commands = blocks(section, "bash")
    assert len(commands) == 2 and all(len(c.strip().splitlines()) == 1 for c in commands)
    assert "examples/cons_indshock/main.py" in commands[0] and "pytest tests/" in commands[1]


def run(script: list[str], **env) -> str:
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, timeout=240, env={**os.environ, **env})
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_the_first_command_does_its_main_job():
    out = run([sys.executable, "examples/cons_indshock/main.py"])
    assert (ROOT / "examples/cons_indshock/output/cons_indshock.png").stat().st_size > 10_000
    gaps = [float(line.split()[-1]) for line in out.splitlines() if line.strip().startswith("CONS.") and len(line.split()) == 4]
    assert len(gaps) == 8 and max(gaps) < 1e-5
    assert out.count(" ok ") == 20


def test_the_check_line_runs():
    line = next(b.strip() for b in blocks(README, "bash") if "heptapod check" in b)
    assert "0 errors" in run([sys.executable, *line.split()[1:]])


@pytest.mark.slow
def test_the_mpirun_line_runs():
    line = next(b.strip() for b in blocks(README, "bash") if b.startswith("mpirun"))
    launcher, *rest = line.split()
    beside = Path(sys.executable).parent / launcher
    program = str(beside) if beside.exists() else shutil.which(launcher)
    assert program, "no mpirun: the test extra brings one"
    run([program, *[sys.executable if word == "python" else word for word in rest]])
