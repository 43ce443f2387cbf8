#!/bin/sh
# polars 2.1.0, seen 2026-11-29 on Linux x86-64 with 2 cores.
#
# A good guess: `group_by(..., maintain_order=True)` keeps the order of groups and of the rows within them, so adding up a column of floats
# gives the same number each time it is called on the same frame in the same process.
#
# Seen: of a frame of 3 million rows in 3 groups the sums differ in their last digits from call to call, with maintain_order too. Every
# thread adds up a part of a group, and the parts are put together in the order in which threads end. `Expr.sum` over the whole frame, and
# sums of many small groups, repeat. `pl.col("x").drop_nulls().sum()` inside the same `agg` repeats as well: it is not cut into parts.
# So a figure that is compared with a stored one, or hashed, changes without any change of data.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check polars==2.1.0 numpy==2.4.6
POLARS_MAX_THREADS=2 "$place/venv/bin/python" - <<'EOF'
import numpy as np
import polars as pl

rng = np.random.default_rng(0)
rows = 3_000_000
frame = pl.DataFrame({"group": rng.integers(0, 3, rows), "x": rng.normal(size=rows) * 10 ** rng.uniform(-3, 3, rows)})


def distinct(value: pl.Expr) -> int:
    found = set()
    for _ in range(30):
        sums = frame.group_by("group", maintain_order=True).agg(value).sort("group")["x"]
        found.add(sums.to_numpy().tobytes())
    return len(found)


plain, whole = distinct(pl.col("x").sum()), distinct(pl.col("x").drop_nulls().sum())
print(f"polars {pl.__version__}: 30 calls gave {plain} different sums of the groups; without nulls first, {whole}")
assert plain > 1, "the sums repeat now"
assert whole == 1, "sums after drop_nulls differ now too"
EOF
