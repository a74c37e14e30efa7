"""A job of several processes: whether this is one of them, its share of the machine, and how all end together."""

import atexit
import contextlib
import ctypes
import functools
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

# What MPICH and Intel MPI, Open MPI, and MVAPICH tell the processes they start.
_SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
# Its library, by the names that it has had since version 3, on Linux and on macOS.
_OPEN_MPI = ("libmpi.so.40", "libmpi.40.dylib")
_COMING, _LEAVING = 0, 1
_SHORTEST, _LONGEST = 5e-5, 5e-3


def prepare_mpi() -> int:
    """Join the other processes of `mpirun`, if there are any; all of them must call it.

    `mpi_map` does so itself. A script that calls it first gets its share of the cores before JAX starts its threads,
    and is safe from the beginning: from here on, a process that fails or leaves ends the job instead of hanging it.

    **Returns:** the rank of this process, 0 where it is alone. Raises `RuntimeError` where `mpirun` started several
    processes that cannot see each other.
    """
    comm = world()
    return 0 if comm is None else comm.rank


def world() -> Any:
    """The communicator of all processes of this job, `None` where this process is alone.

    Raises `RuntimeError` where the launcher started several processes but MPI sees one: they would all do everything.
    """
    size = _launched_size()
    # Another library than that of the launcher may end the process while it starts, in words of its own.
    told = os.environ.get("MPI4PY_LIBMPI", "")
    if told and "OMPI_COMM_WORLD_SIZE" in os.environ and "mpi4py.MPI" not in sys.modules and not _is_open_mpi(told):
        raise _alone(size, f"MPI4PY_LIBMPI is {told}")
    if size < 2 and "PMIX_RANK" not in os.environ and "mpi4py.MPI" not in sys.modules:
        return None
    try:
        with _library_of_the_launcher():
            from mpi4py import MPI
    # A RuntimeError is mpi4py's word for an MPI library it cannot find.
    except (ImportError, RuntimeError) as error:
        if size < 2:
            return None
        raise RuntimeError(
            f"mpirun started {size} processes, but mpi4py cannot be used ({error}), so each of them would run the whole"
            ' sweep. Install it with: pip install "dynx[mpi]"'
        ) from error
    comm = MPI.COMM_WORLD
    if comm.size == 1 and size > 1:
        raise _alone(size, MPI.Get_library_version().splitlines()[0].strip("\0 "))
    if comm.size == 1:
        return None
    _join()
    return comm


def open_mpi() -> str | None:
    """The name of Open MPI's library, where this machine has one."""
    for name in _OPEN_MPI:
        with contextlib.suppress(OSError):
            ctypes.CDLL(name)
            return name
    return None


def _alone(size: int, library: str) -> RuntimeError:
    return RuntimeError(
        f"mpirun started {size} processes, but each of them is alone in mpi4py's MPI ({library}), so each would run"
        " the whole sweep. Use the mpirun of that library: that of pip's mpich is next to the python executable; or call"
        " prepare_mpi() before anything imports mpi4py.MPI, so that it loads the library of this mpirun"
    )


def _is_open_mpi(path: str) -> bool:
    """Whether a file is the library of Open MPI; so it seems where the file cannot be loaded, which mpi4py will say."""
    with contextlib.suppress(OSError):
        return hasattr(ctypes.CDLL(path), "ompi_mpi_comm_world")
    return True


def meet(comm: Any) -> None:
    """Wait until every process has come; end the job if one of them leaves the script instead."""
    _all_say(comm, _COMING, "mpi_map")


def wait_until(done: Callable[[], bool]) -> None:
    """Sleep until something is so; MPI's own waiting keeps a core busy, which a draw of another process could use."""
    start = time.perf_counter()
    while not done():
        # A twentieth of the wait so far: prompt where draws are short, idle where they are long.
        time.sleep(min(max((time.perf_counter() - start) / 20, _SHORTEST), _LONGEST))


def end_the_job() -> None:
    """End all processes of this job, with a non-zero exit; do nothing where this process is alone."""
    MPI = sys.modules.get("mpi4py.MPI")
    if MPI is not None and MPI.Is_initialized():
        if MPI.Is_finalized() or MPI.COMM_WORLD.size == 1:
            return
        _last_words()
        MPI.COMM_WORLD.Abort(1)
    elif _launched_size() > 1:
        # Before MPI has started, launchers notice a process that is killed, but not one that exits.
        _last_words()
        os.kill(os.getpid(), signal.SIGKILL)


def watch_exceptions() -> None:
    """Let an exception that ends this process end the whole job, whose other processes would wait for it for ever.

    Nothing happens in a process that no launcher started together with others.
    """
    previous = sys.excepthook
    if _launched_size() < 2 or getattr(previous, "ends_the_job", False):
        return

    def hook(kind, error, trace):
        previous(kind, error, trace)
        end_the_job()

    hook.ends_the_job = True
    sys.excepthook = hook


@contextlib.contextmanager
def _library_of_the_launcher() -> Iterator[None]:
    """Let mpi4py load Open MPI where its `mpirun` started this process, even beside pip's MPICH: the wheels know both."""
    told = {"MPI4PY_LIBMPI", "MPI4PY_MPIABI"} & set(os.environ)
    if "OMPI_COMM_WORLD_SIZE" not in os.environ or told or "mpi4py.MPI" in sys.modules:
        yield
        return
    if name := open_mpi():
        os.environ["MPI4PY_LIBMPI"] = name
    try:
        yield
    finally:
        os.environ.pop("MPI4PY_LIBMPI", None)


@functools.cache
def _join() -> None:
    """What every process does once, when it first meets the others."""
    from mpi4py import MPI

    watch_exceptions()
    atexit.register(_leave)
    meet(MPI.COMM_WORLD)
    _share_cores(MPI)
    _share_devices(MPI)


def _leave() -> None:
    from mpi4py import MPI

    # MPI would wait here as well, but without noticing that the others wait for this process elsewhere.
    if not MPI.Is_finalized():
        _all_say(MPI.COMM_WORLD, _LEAVING, "the end of the script")


def _all_say(comm: Any, word: int, place: str) -> None:
    words = np.empty(comm.size, dtype=np.intc)
    wait_until(comm.Iallgather(np.array([word], dtype=np.intc), words).Test)
    if (words == word).all():
        return
    others = ", ".join(str(rank) for rank in np.flatnonzero(words != word))
    sys.stderr.write(f"dynx: rank {comm.rank} is at {place}, rank {others} is not. Every rank must call mpi_map.\n")
    end_the_job()


def _last_words() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    # The launcher drops what it has not passed on yet; tracebacks were seen cut short.
    time.sleep(0.3)


def _launched_size() -> int:
    """How many processes the launcher started, as far as it tells; 1 where there is no launcher."""
    sizes = [int(os.environ[name]) for name in _SIZES if os.environ.get(name, "").isdigit()]
    rank = os.environ.get("PMIX_RANK", "")
    # PMIx tells the rank only: that of the last process is one less than their number.
    return max([1, *sizes, int(rank) + 1 if rank.isdigit() else 1])


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def device_for(number: int) -> dict[str, str]:
    """The variables by which one of several processes on this machine sees one GPU; none where there is none."""
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    found = [path.name[6:] for path in sorted(Path("/dev").glob("nvidia[0-9]*"))] if seen is None else seen.split(",")
    if not found or found == [""]:
        return {}
    # Others may be on the same one, which each of them would fill.
    return {"CUDA_VISIBLE_DEVICES": found[number % len(found)], "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


def _share_devices(MPI: Any) -> None:
    """Let each process of this machine see one GPU, unless the launcher showed each another one."""
    node = MPI.COMM_WORLD.Split_type(MPI.COMM_TYPE_SHARED)
    alike = len(set(node.allgather(os.environ.get("CUDA_VISIBLE_DEVICES")))) < node.size
    for name, value in device_for(node.rank).items() if alike and node.size > 1 else ():
        os.environ[name] = value if name == "CUDA_VISIBLE_DEVICES" else os.environ.get(name, value)
    node.Free()


def _share_cores(MPI: Any) -> None:
    """Give each process of this machine its own cores, unless the launcher did.

    XLA sizes its thread pool by the affinity mask; a pool that has started already is moved onto the share.
    """
    node = MPI.COMM_WORLD.Split_type(MPI.COMM_TYPE_SHARED)
    rank, size = node.rank, node.size
    if not hasattr(os, "sched_setaffinity"):
        node.Free()
        os.environ.setdefault("NPROC", str(max(1, (os.cpu_count() or 1) // size)))
        return
    masks = node.allgather(frozenset(os.sched_getaffinity(0)))
    node.Free()
    rivals = [other for other in range(size) if masks[other] & masks[rank]]
    if len(rivals) == 1:
        return
    cores, place = sorted(masks[rank]), rivals.index(rank)
    if len(cores) < len(rivals) or any(masks[other] != masks[rank] for other in rivals):
        # More processes than cores: the system shifts them better than fixed places would.
        os.environ.setdefault("NPROC", "1")
        return
    share = cores[place * len(cores) // len(rivals) : (place + 1) * len(cores) // len(rivals)]
    for thread in os.listdir("/proc/self/task"):
        # A thread may end in the meantime.
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread), share)
