"""A run in a process with eight simulated devices that is stopped by SIGTERM and goes on on other devices,
for test_topology.py.

Argument: a folder with the artifacts, where history.json is written: the losses of a run on one device and of
one on eight, then on two with its state cut over them, then on one.
"""

import json
import os
import sys
from pathlib import Path

import jax
import numpy as np

from model.mesh import make_layout
from tests.stages.training.test_resume import GEOMETRY, StopsAt, session

STEPS = 9


def main(place: Path) -> None:
    """Write place/history.json."""
    os.chdir(place)
    data, devices = StopsAt(place / "sequences", place / "supervision", GEOMETRY), jax.devices()
    alone = session(place / "alone", data, steps=STEPS, layout=make_layout(2, 4, devices=devices[:1]))
    layouts = (
        make_layout(2, 4, devices=devices),
        make_layout(2, 4, state_bytes=1, memory_bytes=1, devices=devices[:2]),
        make_layout(2, 4, devices=devices[:1]),
    )
    shapes = [(dict(layout.mesh.shape), layout.split_state) for layout in layouts]
    for layout in layouts[:2]:
        data.read, data.steps = 0, (6,)  # in the third step: the two rows are read one by one
        try:
            session(place / "moved", data, steps=STEPS, layout=layout)
        except KeyboardInterrupt:
            continue
        raise SystemExit("it was not stopped")
    data.steps = ()
    cut, _ = session(place / "cut", data, steps=1, layout=layouts[1])
    pieces = [
        array.addressable_shards[0].data.size / array.size
        for array in jax.tree.leaves(cut)
        if array.size >= 64
    ]
    state, history = session(place / "moved", data, steps=STEPS, layout=layouts[2])
    differences = {
        path: float(np.abs(value - alone[0].parameters[path]).max())
        for path, value in state.parameters.items()
    }
    found = {
        "shapes": shapes,
        "alone": alone[1],
        "moved": history,
        "differences": differences,
        "largest_piece": max(pieces),
    }
    (place / "history.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
