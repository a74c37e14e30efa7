"""The command line: `python -m heptapod check FILE...`."""

import sys

from heptapod.check import run

if __name__ == "__main__":
    text, status = run(sys.argv[1:])
    sys.stdout.write(text + "\n")
    sys.exit(status)
