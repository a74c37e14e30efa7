"""What one asks of a solved model: draws of parameters, metrics, sweeps."""

from dynx_runner.design.laws import BetaPrior as BetaPrior
from dynx_runner.design.laws import CategoricalPrior as CategoricalPrior
from dynx_runner.design.laws import DiscretePrior as DiscretePrior
from dynx_runner.design.laws import LogNormalPrior as LogNormalPrior
from dynx_runner.design.laws import NormalPrior as NormalPrior
from dynx_runner.design.laws import TruncatedPrior as TruncatedPrior
from dynx_runner.design.laws import UniformPrior as UniformPrior
from dynx_runner.launch import prepare_mpi as prepare_mpi
from dynx_runner.plots.bars import plot_bars as plot_bars
from dynx_runner.plots.health import plot_failures as plot_failures
from dynx_runner.plots.health import plot_load as plot_load
from dynx_runner.plots.relations import plot_heat as plot_heat
from dynx_runner.plots.relations import plot_pairs as plot_pairs
from dynx_runner.plots.relations import plot_scatter as plot_scatter
from dynx_runner.runner.circuit_factory import circuit_factory as circuit_factory
from dynx_runner.runner.circuit_runner import CircuitRunner as CircuitRunner
from dynx_runner.runner.recorder import Recorder as Recorder
from dynx_runner.store.lines import StoreError as StoreError
from dynx_runner.store.result_store import ResultStore as ResultStore
from dynx_runner.store.result_store import Status as Status
from dynx_runner.sweep.mpi_map import mpi_map as mpi_map

_LATER = {
    "SweepConfig": "dynx_runner.commands.config",
    "doctor": "dynx_runner.commands.doctor",
    "job_script": "dynx_runner.commands.array",
    "read_config": "dynx_runner.commands.config",
    "run_sweep": "dynx_runner.commands.sweep",
    "MLE": "dynx_runner.estimation.mle",
    "SMM": "dynx_runner.estimation.smm",
    "MinimumDistance": "dynx_runner.estimation.minimum_distance",
    "load_fit": "dynx_runner.estimation.store",
    "Moment": "dynx_runner.estimation.moments",
    "Moments": "dynx_runner.estimation.moments",
}


def __getattr__(name: str):
    """Estimators and commands, whose imports a sweep does not need, when they are first asked for."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LATER[name]), name)
