"""The command line: `python -m heptapod check FILE...` and `python -m heptapod schema`."""

import json
import sys

from heptapod.check import run
from heptapod.reports.schema import schema

if __name__ == "__main__":
    text, status = (json.dumps(schema(), indent=2), 0) if sys.argv[1:] == ["schema"] else run(sys.argv[1:])
    sys.stdout.write(text + "\n")
    sys.exit(status)
