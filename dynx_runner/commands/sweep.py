"""A sweep told by a file, from Python and from the command line alike."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynx_runner.commands.config import SweepConfig, read_config
from dynx_runner.launch import prepare_mpi
from dynx_runner.store.result_store import ResultStore
from dynx_runner.sweep.mpi_map import mpi_map, world_for

if TYPE_CHECKING:
    from pandas import DataFrame


def run_sweep(
    config: str | Path | SweepConfig,
    *,
    share: tuple[int, int] | None = None,
    retry_quarantined: bool | None = None,
    progress: bool | None = None,
) -> "DataFrame":
    """Run what is missing of the sweep that a file tells, in this process or on all processes of `mpirun`.

    **Arguments:**

    - `config`: the file, or what `read_config` made of it.
    - `share`, `retry_quarantined`, `progress`: as of `mpi_map`.

    **Returns:** the table of `mpi_map`. Raises `ModelError` for a file that is wrong, `RuntimeError` for a backend that is not
    the one that started it, and what `mpi_map` raises.
    """
    prepare_mpi()
    config = config if isinstance(config, SweepConfig) else read_config(config)
    world_for(config.backend, str(config.file))
    # Models need it; a runner of one's own need not have it.
    import stagecraft

    if config.precision == "double":
        stagecraft.enable_x64()
    runner = config.runner()
    xs = runner.sample_prior(config.draws, method=config.method, seed=config.seed)
    runner.design = {**(runner.design or {}), "config": config.told()}
    store = ResultStore(config.store, version=config.version)
    how: dict[str, Any] = {"share": share, "retry_quarantined": retry_quarantined, "progress": progress}
    return mpi_map(runner, xs, store=store, backend=config.backend, workers=config.workers, **how)
