#!/bin/sh
# safetensors 0.8.0 with NumPy, seen 2026-11-29 on Linux x86-64.
#
# A good guess: `safetensors.numpy.save_file({"a": x.T}, path)` writes the numbers of x.T, or refuses an array that is not contiguous, as
# `safetensors.torch` does.
#
# Seen: it writes the shape of the view and the memory behind it, so reading the file back gives other numbers, without a word. A copy
# (`np.ascontiguousarray`) before saving is right. Weights are often transposed when they go from one framework's layout to another's.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check safetensors==0.8.0 numpy==2.4.6
"$place/venv/bin/python" - "$place" <<'EOF'
import sys

import numpy as np
import safetensors
from safetensors.numpy import load_file, save_file

grid = np.arange(6, dtype=np.float32).reshape(2, 3)
path = f"{sys.argv[1]}/view.safetensors"
save_file({"a": grid.T}, path)
found = load_file(path)["a"]
print(f"safetensors {safetensors.__version__}: saved {grid.T.tolist()}, read {found.tolist()}")
assert found.shape == (3, 2)
assert not np.array_equal(found, grid.T), "the view is written as its numbers now"
assert np.array_equal(found.ravel(), grid.ravel())
save_file({"a": np.ascontiguousarray(grid.T)}, path)
assert np.array_equal(load_file(path)["a"], grid.T)
EOF
