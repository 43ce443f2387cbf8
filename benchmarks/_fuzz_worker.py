"""The child of `rpt bench fuzz`: reads damaged files with little memory, one case a line of standard input,
one answer a line of output.

Its memory is limited to what it has after a first undamaged read, and 1 GiB; the parent limits its time.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
import tempfile
import traceback
from pathlib import Path

import numpy as np

from benchmarks._fuzzed_readers import READERS, Reader, complaint
from data_contracts.failure import Failure

ROOM = 2**30


def limit_memory() -> None:
    """This process may take 1 GiB more than it has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    most = pages * os.sysconf("SC_PAGE_SIZE") + ROOM
    if pages:
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def try_one(reader: Reader, valid: dict[str, bytes], folder: Path, seed: int) -> dict:
    """How one damaged file is taken: read, quarantined, refused, or a fault with what was raised."""
    generator = np.random.default_rng(seed)
    name = str(generator.choice(sorted(reader.damaged)))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for other, data in valid.items():
        (folder / other).parent.mkdir(parents=True, exist_ok=True)
        (folder / other).write_bytes(data)
    (folder / name).write_bytes(reader.damaged[name](generator, valid[name]))
    try:
        return {"outcome": reader.read(folder), "file": name}
    except Failure as failure:
        wrong = complaint(failure, (name, folder.name))
        return {"outcome": "fault" if wrong else "refused", "file": name, "said": wrong or str(failure)[:300]}
    except BaseException as error:  # a panic of a Rust library is no Exception
        if isinstance(error, KeyboardInterrupt):
            raise
        where = [
            f"{Path(frame.filename).name}:{frame.lineno}"
            for frame in traceback.extract_tb(error.__traceback__)
        ]
        said = f"{type(error).__name__}: {error}"[:300]
        return {"outcome": "fault", "file": name, "said": said, "where": " ".join(where[-5:])}


def main() -> None:
    """Answer until standard input ends."""
    reader = READERS[sys.argv[1]]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "a-folder"
        folder.mkdir()
        reader.make(folder)
        valid = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        first = reader.read(folder)
        limit_memory()
        answers.write(json.dumps({"outcome": first}) + "\n")
        answers.flush()
        for line in sys.stdin:
            answers.write(json.dumps(try_one(reader, valid, folder, int(line))) + "\n")
            answers.flush()


if __name__ == "__main__":
    main()
