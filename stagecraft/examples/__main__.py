"""The command line of the examples: `python -m stagecraft.examples [list | copy NAME [FOLDER] | scorecard [NAME ...]]`."""

import argparse
import sys
from pathlib import Path

from stagecraft.examples.files import copy, listed
from stagecraft.examples.scorecard import scorecard
from stagecraft.precision import enable_x64


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit status: 0, or 1 where a number is missed, 2 where something is not there."""
    parser = argparse.ArgumentParser(prog="python -m stagecraft.examples", description="The models that come with DynX.")
    verbs = parser.add_subparsers(dest="verb")
    verbs.add_parser("list", help="every model file, and what it says of itself (the default)")
    copying = verbs.add_parser("copy", help="copy a model file or a whole example to a folder")
    copying.add_argument("name")
    copying.add_argument("folder", nargs="?", default=".", type=Path)
    scoring = verbs.add_parser("scorecard", help="solve models of the gallery beside numbers from elsewhere")
    scoring.add_argument("names", nargs="*")
    told = parser.parse_args(arguments)
    try:
        if told.verb == "copy":
            sys.stdout.writelines(f"{path}\n" for path in copy(told.name, told.folder))
            return 0
        if told.verb == "scorecard":
            enable_x64()
            table = scorecard(*told.names)
            sys.stdout.write(table.to_string(index=False) + "\n")
            return 0 if all(table["ok"]) else 1
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    width = max(map(len, listed()))
    sys.stdout.writelines(f"{name:<{width}}  {words}\n" for name, words in listed().items())
    return 0


if __name__ == "__main__":
    sys.exit(main())
