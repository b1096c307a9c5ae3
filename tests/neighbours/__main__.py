"""``python -m tests.neighbours --out F``: plays every scene and writes as JSON what was seen."""

import argparse
import asyncio
import faulthandler
import gc
import importlib
import json
import logging
import sys
from pathlib import Path
from typing import Any

from tests.neighbours.application import make
from tests.neighbours.driving import Play, in_process, over_sockets
from tests.neighbours.others import NEIGHBOURS


def main() -> None:
    """Play, and write down what was seen."""
    options = _options()
    faulthandler.dump_traceback_later(options.limit, exit=True)
    logging.disable(logging.CRITICAL)  # what asyncio and uvicorn say of failures that are meant
    gc.disable()  # it runs when a scene asks for it, so that it cannot come between two events
    gc.freeze()  # ... and looks only at what is new
    neighbour = NEIGHBOURS[options.neighbour]()
    late = options.loaded == "late"
    if not late:
        neighbour.load()
    play = Play(neighbour) if not late else Play(NEIGHBOURS["nobody"]())
    app = make(play.stage)
    if late:
        _afterword(options.afterword, app)
        neighbour.load()
        play.neighbour = neighbour
    neighbour.attach(app)
    if not late:
        _afterword(options.afterword, app)
    if options.afterword == "gone":
        importlib.import_module("afterword").uninstrument(app)

    def runs(started: bool) -> None:
        if started is late:
            neighbour.running()

    play.only, play.own_factory = options.only, options.factory
    if options.loop is None:
        asyncio.run(in_process(play, app, runs))
    else:
        over_sockets(play, app, options.loop, runs)
    told = {name: scene.told for name, scene in play.scenes.items()}
    seen = {"scenes": told, "exported": neighbour.tell(), "afterword": "afterword" in sys.modules}
    options.out.write_text(json.dumps(seen, indent=1, default=str), encoding="utf-8")


def _afterword(how: str, app: Any) -> None:
    if how != "absent":
        importlib.import_module("afterword").instrument(app)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.neighbours", description=__doc__)
    parser.add_argument("--neighbour", choices=NEIGHBOURS, default="nobody")
    parser.add_argument("--loaded", choices=["early", "late"], default="early", help="before afterword, or after it")
    parser.add_argument("--afterword", choices=["absent", "present", "gone"], default="absent")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], help="behind uvicorn; else in this process")
    parser.add_argument("--factory", action="store_true", help="the program has a task factory from the beginning")
    parser.add_argument("--only", nargs="+", metavar="SCENE", help="just these, and with no task factory of its own")
    parser.add_argument("--limit", type=float, default=90, help="seconds, then it tells where it hangs and ends")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
