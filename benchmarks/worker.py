"""A candidate's process: ``python -m benchmarks.worker FIGURE STACK DIRECTORY``, then lines ``MODE N`` on stdin.

The figure's module has ``serve(stack, directory)``, which gives the modes: functions of n whose result
is written back as one line of JSON.
"""

import gc
import importlib
import json
import sys
from pathlib import Path


def main() -> None:
    figure, stack, directory = sys.argv[1:]
    answers = sys.stdout
    sys.stdout = sys.stderr
    modes = importlib.import_module(f"benchmarks.{figure}").serve(stack, Path(directory))
    gc.collect()
    gc.freeze()
    print(json.dumps("ready"), file=answers, flush=True)
    for line in sys.stdin:
        mode, n = line.split()
        print(json.dumps(modes[mode](int(n))), file=answers, flush=True)


if __name__ == "__main__":
    main()
