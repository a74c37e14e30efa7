"""The command line: `dynx`, or `python -m dynx_runner`."""

import argparse
import sys
from collections.abc import Sequence

from dynx_runner.commands.array import job_script
from dynx_runner.commands.config import KEYS, NEEDED
from dynx_runner.commands.doctor import doctor
from dynx_runner.commands.sweep import run_sweep
from dynx_runner.launch import end_the_job, prepare_mpi
from dynx_runner.store.lines import StoreError
from dynx_runner.store.result_store import ResultStore
from dynx_runner.store.table import failures_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says.

    **Returns:** 0, or 1 where something is wrong with what was asked; the message is on stderr.
    """
    given = _parser().parse_args(arguments)
    try:
        return given.act(given)
    except (StoreError, ValueError, RuntimeError, OSError) as error:
        sys.stderr.write(f"dynx: {error}\n")
        end_the_job()
        return 1


def _sweep(given: argparse.Namespace) -> int:
    table = run_sweep(given.config, share=given.share, retry_quarantined=given.retry_quarantined or None, progress=True)
    if prepare_mpi() == 0:
        counts = ", ".join(f"{count} {status}" for status, count in table["status"].value_counts().items())
        sys.stdout.write(f"{len(table)} draws: {counts or 'none'}\n")
    return 0


def _status(given: argparse.Namespace) -> int:
    store = ResultStore(given.folder, skip_damaged=given.skip_damaged)
    if not store.folder.is_dir():
        raise StoreError(f"there is no folder {store.folder}")
    sys.stdout.write(f"{store.status()}\n")
    for error, count in failures_of(store.to_frame()).items():
        sys.stdout.write(f"{count:6d} x {error}\n")
    return 0


def _compact(given: argparse.Namespace) -> int:
    store = ResultStore(given.folder)
    if not store.folder.is_dir():
        raise StoreError(f"there is no folder {store.folder}")
    sys.stdout.write(f"{store.compact()}\n")
    return 0


def _doctor(given: argparse.Namespace) -> int:
    del given  # There is nothing to say.
    report = doctor()
    # Where the processes do not see each other each of them is rank 0.
    if report.problems or prepare_mpi() == 0:
        sys.stdout.write(f"{report}\n")
    return 1 if report.problems else 0


def _array(given: argparse.Namespace) -> int:
    options = {"tasks": given.tasks, "time": given.time, "cores": given.cores, "gpu": given.gpu}
    sys.stdout.write(job_script(given.config, given.scheduler, **options))
    return 0


def _share(text: str) -> tuple[int, int]:
    k, _, n = text.partition("/")
    if not (k.isdigit() and n.isdigit()):
        raise argparse.ArgumentTypeError(f"expected K/N, found {text!r}")
    return int(k), int(n)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dynx", description="Sweeps: the metrics of a model at many parameters.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    keys = "\n".join(f"  {name:<10} {meaning}{' (needed)' if name in NEEDED else ''}" for name, meaning in KEYS.items())
    sweep = commands.add_parser(
        "sweep",
        help="run what is missing of a sweep; also under mpirun",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"CONFIG.yml has the keys\n{keys}\nPaths in it begin at its folder.",
    )
    _takes(sweep, _sweep, "config", "CONFIG.yml")
    sweep.add_argument("--share", type=_share, metavar="K/N", help="only every N-th draw, from the K-th on (from 0)")
    sweep.add_argument("--retry-quarantined", action="store_true", help="run draws again that ended their process twice")
    status = commands.add_parser("status", help="how far a sweep is; it may be running")
    _takes(status, _status, "folder", "DIR")
    status.add_argument("--skip-damaged", action="store_true", help="leave out lines that were altered")
    _takes(commands.add_parser("compact", help="gather all draws in one parquet file"), _compact, "folder", "DIR")
    commands.add_parser("doctor", help="what a sweep will find on this machine").set_defaults(act=_doctor)
    array = commands.add_parser("array", help="print a job script whose tasks share a sweep, and resume it")
    _takes(array, _array, "config", "CONFIG.yml")
    which = array.add_mutually_exclusive_group(required=True)
    for name in ("slurm", "pbs"):
        which.add_argument(f"--{name}", action="store_const", const=name, dest="scheduler")
    array.add_argument("--tasks", type=int, default=8, help="how many share the draws (8)")
    array.add_argument("--time", default="01:00:00", help="wall time of a task (01:00:00)")
    array.add_argument("--cores", type=int, default=1, help="of a task (1)")
    array.add_argument("--gpu", action="store_true", help="one GPU for each task")
    return parser


def _takes(parser: argparse.ArgumentParser, act, name: str, shown: str) -> None:
    parser.add_argument(name, metavar=shown)
    parser.set_defaults(act=act)


if __name__ == "__main__":
    sys.exit(main())
