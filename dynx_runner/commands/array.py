"""A job script for a scheduler: each of its tasks runs a share of a sweep, and goes on with it when it is started again."""

import shlex
import sys
from pathlib import Path

from dynx_runner.commands.config import SweepConfig, read_config

_HEAD = {
    "slurm": """\
#SBATCH --job-name={name}
#SBATCH --array=0-{last}
#SBATCH --cpus-per-task={cores}
#SBATCH --time={time}
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --output={name}-%a.log
#SBATCH --open-mode=append
{gpu}TASK=$SLURM_ARRAY_TASK_ID""",
    "pbs": """\
#PBS -N {name}
#PBS -J 0-{last}
#PBS -l select=1:ncpus={cores}{gpu}
#PBS -l walltime={time}
#PBS -r y
#PBS -j oe
TASK=$PBS_ARRAY_INDEX""",
}
_GPU = {"slurm": "#SBATCH --gres=gpu:1\n", "pbs": ":ngpus=1"}
_SCRIPT = """\
#!/bin/bash
# Submit it, and submit it again until `dynx status` says that nothing is missing: what is in the store is not run again.
{head}

cd {folder} || exit 1
export NPROC={cores}
{python} -m dynx_runner sweep {config} --share "$TASK/{tasks}" &
child=$!
# When time is almost up the sweep writes down what it was at; the next submission goes on from there.
trap 'kill -TERM $child 2>/dev/null; wait $child; exit 0' TERM INT
wait $child
"""


def job_script(
    config: str | Path | SweepConfig,
    scheduler: str,
    *,
    tasks: int = 8,
    time: str = "01:00:00",
    cores: int = 1,
    gpu: bool = False,
) -> str:
    """The text of a job script for `sbatch` or `qsub`.

    Its tasks need no MPI, so that a node that fails takes one of them along and not all. Each runs every n-th draw of the
    sweep, and all write into one store. When the scheduler says that time is up, a task ends what it is at and exits with 0.

    **Arguments:**

    - `config`: the file of a sweep; it is checked.
    - `scheduler`: `slurm` or `pbs`.
    - `tasks`: how many tasks share the draws; `time`: of each, as `HH:MM:SS`; `cores`: of each.
    - `gpu`: whether each has a GPU.

    **Returns:** the script, to be written to a file.

    Raises `ValueError` for another scheduler and for no tasks, `ModelError` for a file that is wrong.
    """
    if scheduler not in _HEAD:
        raise ValueError(f"job_script: no scheduler `{scheduler}`; there is `slurm`, `pbs`")
    if tasks < 1 or cores < 1:
        raise ValueError(f"job_script: at least one task and one core, got {tasks} and {cores}")
    file = (config if isinstance(config, SweepConfig) else read_config(config)).file
    names = {"name": f"dynx-{file.stem}", "last": tasks - 1, "cores": cores, "time": time}
    head = _HEAD[scheduler].format(**names, gpu=_GPU[scheduler] if gpu else "")
    quoted = {"folder": file.parent, "python": sys.executable, "config": file.name}
    return _SCRIPT.format(head=head, tasks=tasks, cores=cores, **{k: shlex.quote(str(v)) for k, v in quoted.items()})
