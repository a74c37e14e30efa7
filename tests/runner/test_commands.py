"""Sweeps told by a file: what it says is what is run, and what is wrong in it is told with its line."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dynx_runner import ResultStore, doctor, job_script, mpi_map, read_config, run_sweep
from dynx_runner.__main__ import main
from dynx_runner.commands.config import KEYS
from heptapod import ModelError

MODEL = Path(__file__).with_name("cake.yml").read_text()
METRICS = """
import os
import time


def eaten(solved):
    time.sleep(float(os.environ.get("SLOW", "0")))
    return solved[0]["EAT"].dcsn.sol.policy["c"](m=2.0)
"""
CONFIG = """\
model: cake.yml
prior:
  main.beta: [0.8, 1]
  main.gamma: {law: lognormal, median: 2, sd: 0.2, low: 1.2, high: 4}
draws: 6
method: sobol
seed: 1
metrics: {eaten: my_metrics:eaten}
store: results
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name, text in (("cake.yml", MODEL), ("my_metrics.py", METRICS), ("sweep.yml", CONFIG)):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("my_metrics", None)


@pytest.fixture
def dynx(folder, jobs):
    """The command line in a process of its own, or in several."""

    def run(*arguments, ranks=0, **extra):
        launcher = [jobs.mpirun(), "-n", str(ranks)] if ranks else []
        command = [*launcher, sys.executable, "-m", "dynx_runner", *arguments]
        return subprocess.run(command, cwd=folder, env=jobs.environment(**extra), capture_output=True, text=True, timeout=240)

    return run


@pytest.mark.slow
def test_a_file_is_the_sweep_that_python_would_run(folder, capsys):
    table = run_sweep(folder / "sweep.yml")
    config = read_config(folder / "sweep.yml")
    runner = config.runner()
    xs = runner.sample_prior(6, method="sobol", seed=1)
    by_hand = mpi_map(runner, xs)
    pd.testing.assert_frame_equal(table.drop(columns="seconds"), by_hand.drop(columns="seconds"), check_exact=True)
    assert (table["status"] == "ok").all() and table["main.gamma"].between(1.2, 4).all()
    manifest = ResultStore(folder / "results").manifest()
    assert manifest["design"]["config"]["metrics"] == {"eaten": "my_metrics:eaten"} and manifest["design"]["seed"] == 1
    # In processes of its own it is the same, to the last bit.
    config = CONFIG.replace("store: results", "store: other") + "backend: processes\nworkers: 2\n"
    (folder / "sweep.yml").write_text(config)
    elsewhere = run_sweep(folder / "sweep.yml")
    pd.testing.assert_frame_equal(table.drop(columns="seconds"), elsewhere.drop(columns="seconds"), check_exact=True)
    assert sorted(ResultStore(folder / "other").load()["draws"])[0] == 0  # This process only looked on.
    (folder / "sweep.yml").write_text(CONFIG)
    assert main(["status", str(folder / "results")]) == 0
    assert "6 of 6 draws: 6 ok, 0 failed" in capsys.readouterr().out
    assert main(["compact", str(folder / "results")]) == 0
    assert (folder / "results" / "table.parquet").exists()
    assert main(["sweep", str(folder / "sweep.yml")]) == 0 and "6 draws: 6 ok" in capsys.readouterr().out


def test_shares_make_the_whole(folder):
    whole = run_sweep(folder / "sweep.yml")
    (folder / "results").rename(folder / "whole")
    first = run_sweep(folder / "sweep.yml", share=(1, 2))
    assert first["main.beta"].tolist() == whole["main.beta"].tolist()[1::2]
    assert ResultStore(folder / "results").status()[:2] == (6, 3)
    both = run_sweep(folder / "sweep.yml", share=(0, 2))
    pd.testing.assert_frame_equal(both.drop(columns="seconds"), whole.drop(columns="seconds"), check_exact=True)
    for wrong in ((2, 2), (-1, 3)):
        with pytest.raises(ValueError, match="expected .k, n."):
            run_sweep(folder / "sweep.yml", share=wrong)
    with pytest.raises(ValueError, match="needs a store"):
        mpi_map(read_config(folder / "sweep.yml").runner(), [], share=(0, 2))


WRONG = {
    "an unknown key": (
        "draws: 6",
        "drews: 6",
        r"sweep.yml:5:\d+: error\[unknown-key\]: `drews`.*\n.*\n.*\n.*did you mean `draws`",
    ),
    "a missing key": ("draws: 6", "", "`draws` is missing: how many"),
    "a draw and a half": ("draws: 6", "draws: 1.5", r"sweep.yml:5:8: .*`draws` is a whole number"),
    "no model": ("cake.yml", "cakes.yml", r"sweep.yml:1:8: .*there is no model file"),
    "workers of no process": (
        "seed: 1",
        "workers: 2",
        r"sweep.yml:7:10: .*`workers` is how many processes `backend: processes`",
    ),
    "another backend": ("seed: 1", "backend: mqi", r"sweep.yml:7:10: (.|\n)*did you mean `mpi`"),
    "another method": ("sobol", "sobel", r"sweep.yml:6:9: .*did you mean `sobol`".replace(".*did", r"(.|\n)*did")),
    "a key twice": ("seed: 1", "seed: 1\nseed: 2", r"sweep.yml:8:1: error\[duplicate-key\]: `seed` stands here twice"),
    "a path twice": ("main.beta: [0.8, 1]", "main.beta: [0.8, 1]\n  main.beta: [0.8, 1]", r"sweep.yml:4:3: .*twice"),
    "two spellings of one path": (
        "main.beta: [0.8, 1]",
        "main.beta: [0.8, 1]\n  main.parameters.beta: [0.8, 1]",
        "the same parameter",
    ),
    "an unknown path": ("main.beta", "main.bata", r"sweep.yml:3:\d+: (.|\n)*did you mean `main.beta`"),
    "bounds in disorder": ("[0.8, 1]", "[1, 0.8]", r"sweep.yml:3:14: .*low = 1.0 must be below high = 0.8"),
    "three bounds": ("[0.8, 1]", "[1, 2, 3]", r"sweep.yml:3:14: .*expected `\[low, high\]`"),
    "a bound that is no number": ("[0.8, 1]", "[0.8, one]", r"sweep.yml:3:20: .*is a number, found 'one'"),
    "an unknown law": ("lognormal", "lognormol", r"sweep.yml:4:21: (.|\n)*did you mean `lognormal`"),
    "an unknown argument of a law": ("median: 2", "medium: 2", r"sweep.yml:4:(.|\n)*did you mean `median`"),
    "a missing argument of a law": ("median: 2, ", "", r"sweep.yml:4:15: .*missing 1 required positional argument: 'median'"),
    "a law that makes no sense": ("sd: 0.2", "sd: -1", r"sweep.yml:4:15: .*sd must be positive"),
    "an unknown metric": ("my_metrics:eaten", "my_metrics:eat", r"sweep.yml:8:18: .*cannot import `my_metrics:eat`"),
    "an unknown module": ("my_metrics:eaten", "other:eaten", r"sweep.yml:8:18: .*No module named 'other'"),
    "no function": ("my_metrics:eaten", "eaten", r"sweep.yml:8:18: .*expected `module:function`"),
    "no YAML": ("prior:", "prior: {", r"sweep.yml:\d+:\d+: error\[syntax\]"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_in_a_file_is_told_with_its_line(folder, case, capsys):
    old, new, message = WRONG[case]
    assert old in CONFIG
    (folder / "sweep.yml").write_text(CONFIG.replace(old, new, 1))
    with pytest.raises(ModelError, match=message):
        run_sweep(folder / "sweep.yml")
    assert main(["sweep", str(folder / "sweep.yml")]) == 1
    assert capsys.readouterr().err.startswith("dynx: ") and not (folder / "results").exists()


def test_the_help_names_every_key(capsys):
    with pytest.raises(SystemExit):
        main(["sweep", "--help"])
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in KEYS) and "model file (needed)" in shown


@pytest.mark.slow
def test_the_command_line_is_the_same_under_mpirun_and_refuses_another_backend(folder, dynx):
    (folder / "sweep.yml").write_text(CONFIG + "backend: mpi\n")
    alone = dynx("sweep", "sweep.yml")
    assert alone.returncode == 1 and "the backend is `mpi`, but the sweep was started in one process" in alone.stderr
    job = dynx("sweep", "sweep.yml", ranks=2)
    assert job.returncode == 0 and job.stdout.count("6 draws: 6 ok") == 1, job.stderr
    told = dynx("status", "results")
    assert told.returncode == 0 and "6 of 6 draws" in told.stdout
    (folder / "sweep.yml").write_text(CONFIG.replace("draws: 6", "drews: 6"))
    job = dynx("sweep", "sweep.yml", ranks=2)
    assert job.returncode != 0 and "did you mean `draws`" in job.stderr


@pytest.mark.slow
def test_the_doctor_knows_the_machine_and_a_mismatch(jobs):
    report = doctor()
    assert {"mpi", "mpirun", "threads", "devices", "precision", "programs", "versions"} <= set(report.facts)
    assert not [problem for problem in report.problems if "each of them is alone" in problem]
    code = "from dynx_runner.__main__ import main; import sys; sys.exit(main(['doctor']))"
    job = subprocess.run(
        [sys.executable, "-c", code], env=jobs.environment(PMI_SIZE="2"), capture_output=True, text=True, timeout=120
    )
    assert job.returncode == 1 and "PROBLEM: mpirun started 2 processes" in job.stdout
    job = subprocess.run(
        [jobs.mpirun(), "-n", "2", sys.executable, "-c", code],
        env=jobs.environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "processes  2:" in job.stdout


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["slurm", "pbs"])
def test_a_task_of_a_job_script_ends_well_when_its_time_is_up_and_goes_on_when_it_is_submitted_again(folder, jobs, scheduler):
    text = job_script(folder / "sweep.yml", scheduler, tasks=1, cores=1)
    (folder / "job.sh").write_text(text)
    variable = {"slurm": "SLURM_ARRAY_TASK_ID", "pbs": "PBS_ARRAY_INDEX"}[scheduler]
    command, extra = ["bash", str(folder / "job.sh")], {variable: "0"}
    job = subprocess.Popen(command, env=jobs.environment(SLOW="0.5", **extra), stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    store = ResultStore(folder / "results")
    while len(store) < 2:
        assert job.poll() is None, job.communicate()
        time.sleep(0.05)
    job.send_signal(signal.SIGTERM)
    job.communicate(timeout=60)
    assert job.returncode == 0 and 2 <= len(store) < 6
    done = subprocess.run(command, env=jobs.environment(**extra), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and store.status()[:4] == (6, 6, 0, 0), done.stderr
    table = store.to_frame()
    pd.testing.assert_frame_equal(table, run_sweep(folder / "sweep.yml"), check_exact=True)
    assert np.isfinite(table["eaten"]).all()


def test_a_job_script_is_what_was_asked_for(folder):
    slurm = job_script(folder / "sweep.yml", "slurm", tasks=5, time="12:00:00", cores=2, gpu=True)
    for line in ("#SBATCH --array=0-4", "#SBATCH --time=12:00:00", "#SBATCH --signal=B:TERM@120", "#SBATCH --gres=gpu:1"):
        assert line in slurm.splitlines()
    assert '--share "$TASK/5"' in slurm
    assert "#PBS -l select=1:ncpus=2:ngpus=1" in job_script(folder / "sweep.yml", "pbs", cores=2, gpu=True).splitlines()
    for wrong in ({"scheduler": "lsf"}, {"scheduler": "pbs", "tasks": 0}):
        with pytest.raises(ValueError, match="job_script"):
            job_script(folder / "sweep.yml", **wrong)


def test_a_folder_that_is_not_there_has_no_status(tmp_path, capsys):
    for command in ("status", "compact"):
        assert main([command, str(tmp_path / "none")]) == 1
        assert "there is no folder" in capsys.readouterr().err
    assert not (tmp_path / "none").exists() and os.listdir(tmp_path) == []


def test_the_entry_point_is_there():
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert 'dynx = "dynx_runner.__main__:main"' in text
