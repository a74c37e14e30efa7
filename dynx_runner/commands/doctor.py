"""What a sweep will find on a machine, and what may be wrong with it."""

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from dynx_runner.launch import open_mpi, world
from dynx_runner.store.manifest import versions


class Report(NamedTuple):
    """What was found.

    **Attributes:** `facts`, by name; `problems`, each with its remedy.
    """

    facts: dict[str, str]
    problems: list[str]

    def __str__(self) -> str:
        width = max(map(len, self.facts))
        lines = [f"{name:<{width}}  {fact}" for name, fact in self.facts.items()]
        return "\n".join([*lines, *(f"PROBLEM: {problem}" for problem in self.problems)])


def doctor() -> Report:
    """Look at MPI, threads, devices, precision, the cache of compiled programs, and versions; nothing is changed.

    Under `mpirun` every process must call it.

    **Returns:** a `Report`: facts, and problems in words; it prints itself.
    """
    import jax  # It starts JAX, which is the only way to know its devices.

    problems: list[str] = []
    facts = {"python": f"{platform.python_version()}, {sys.executable}", "machine": platform.platform()}
    facts["versions"] = ", ".join(f"{name} {version}" for name, version in versions().items())
    facts |= _mpi(problems)
    facts["threads"] = _threads()
    facts["devices"] = ", ".join(str(device) for device in jax.local_devices())
    facts["precision"] = "double" if jax.config.read("jax_enable_x64") else "single, until stagecraft.enable_x64()"
    facts["programs"] = _cache(jax)
    facts["parquet"] = "pyarrow" if importlib.util.find_spec("pyarrow") else 'none: pip install "dynx[store]"'
    return Report(facts, problems)


def _mpi(problems: list[str]) -> dict[str, str]:
    if importlib.util.find_spec("mpi4py") is None:
        return {"mpi": 'none: pip install "dynx[mpi]", or "dynx[mpi-cluster]" for a site\'s own'}
    try:
        comm = world()
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # Also the word of mpi4py for a library that it cannot find.
        problems.append(str(error))
        return {"mpi": "mpi4py, without a library that can be used"}
    library = MPI.Get_library_version().splitlines()[0].strip("\0 ")
    here = f"{platform.node()}, {_threads()}"
    told = [here] if comm is None else comm.allgather(here)
    facts = {"mpi": library, "processes": f"{len(told)}: " + "; ".join(dict.fromkeys(told))}
    launcher, name = _launcher()
    facts["mpirun"] = f"{launcher or 'none'} ({name})"
    if name == "Open MPI" != _family(library) and _takes_open_mpi():
        facts["mpirun"] += ", under which mpi4py takes Open MPI"
    elif name != "unknown" and name != _family(library):
        problems.append(
            f"{launcher} is that of {name}, and mpi4py uses {_family(library)}: every process would be alone. Use the mpirun of"
            f" {_family(library)}; that of pip's mpich is next to the python executable"
        )
    return facts


def _launcher() -> tuple[str | None, str]:
    """What started this process, or the mpirun that one finds first; and whose it is."""
    if "OMPI_COMM_WORLD_SIZE" in os.environ:
        return os.environ.get("OMPI_COMMAND", "mpirun"), "Open MPI"
    beside = Path(sys.executable).parent / "mpirun"
    found = shutil.which("mpirun") or (str(beside) if beside.exists() else None)
    if found is None:
        return None, "unknown"
    told = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=30)
    return found, _family(told.stdout + told.stderr)


def _takes_open_mpi() -> bool:
    """Whether mpi4py, in a new process, can use Open MPI's library, as `prepare_mpi` tells it to under that launcher."""
    code = "import mpi4py; mpi4py.rc.initialize = False; from mpi4py import MPI; print(MPI.Get_library_version())"
    environment = os.environ | {"MPI4PY_LIBMPI": open_mpi() or "none"}
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    return told.returncode == 0 and _family(told.stdout) == "Open MPI"


def _family(text: str) -> str:
    families = {"Open MPI": ("Open MPI", "OpenRTE"), "MPICH": ("MPICH", "HYDRA"), "Intel MPI": ("Intel",)}
    # Intel's is built upon Hydra.
    order = ("Intel MPI", "Open MPI", "MPICH")
    return next((name for name in order if any(sign in text for sign in families[name])), "unknown")


def _threads() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    said = [f"{name}={os.environ[name]}" for name in ("NPROC", "OMP_NUM_THREADS", "XLA_FLAGS") if name in os.environ]
    return ", ".join([f"{cores} of {os.cpu_count()} cores", *said])


def _cache(jax: Any) -> str:
    told = os.environ.get("DYNX_CACHE") or jax.config.jax_compilation_cache_dir
    home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "dynx" / "programs"
    return str(told or home) + ("" if jax.config.jax_enable_compilation_cache else " (turned off)")
