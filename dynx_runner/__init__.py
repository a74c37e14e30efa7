"""What one asks of a solved model: draws of parameters, metrics, sweeps."""

from .backends.launch import prepare_mpi as prepare_mpi
from .circuit_factory import circuit_factory as circuit_factory
from .circuit_runner import CircuitRunner as CircuitRunner
from .plots import plot_bars as plot_bars
from .sweep import mpi_map as mpi_map
