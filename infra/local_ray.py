"""A private local Ray that lives as long as whoever holds this process's standard input; prints its address
as one JSON line.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from stages.parameters import load
from stages.runner.ray_map import start_ray, stop_ray


def main() -> None:
    """Start Ray, say where, wait for the end of standard input, stop Ray."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    address = start_ray(load(Path("params.yaml")).runtime)
    sys.stdout.write(
        json.dumps({"RAY_ADDRESS": address, "RAY_AUTH_MODE": os.environ["RAY_AUTH_MODE"]}) + "\n"
    )
    sys.stdout.flush()
    try:
        sys.stdin.read()
    finally:
        stop_ray()


if __name__ == "__main__":
    main()
